/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs of tests/checker play in: a small world whose parts have names. */
#ifndef CHECKER_WORLD_H
#define CHECKER_WORLD_H

#include <pt/check.h>

#define MAX_WORDS 12
#define PAGES	  64

/* Where things are. The numbers mean nothing; table memory is at PA 0x80000000. */
#define AT_MEMORY  UINT64_C(0x40000000)
#define PA_MEMORY  UINT64_C(0x80000000)
#define AT_WORLD   0x1000
#define AT_MACHINE 0x2000
#define AT_MMU	   0x3000
#define AT_AGENT   0x4000
#define AT_NAMES   0x10000 /* operations, claims, locks, logs: by their names */
#define AT_CTX	   0x8000

struct world {
	void *arena;
	size_t bytes;
	struct pt_check *check;
	struct pt_finding finding;
	bool broken;	 /* an event of this line broke a rule */
	uint32_t thread; /* and agent: 1 for a, 2 for b .. */
	bool inside[8];
	uint64_t op[8];
	uint8_t kind[8];
	uint64_t ctx; /* the context at hand */
	struct pt_geometry geo;
	uint64_t value[PAGES][2048]; /* of pages of up to 16K */
	unsigned page_shift;
};

void world_open(struct world *w, void *arena, size_t bytes);
void world_event(struct world *w, struct pt_event event);
/* One line. NULL, or what is wrong with it. */
const char *world_line(struct world *w, char *line);
const char *world_lines(struct world *w, const char *const *lines, size_t count);

/* Context 1 is made, with start tables P3 and VMID 2; it gets P4 and P5 for its first 2M. */
const char *world_second(struct world *w);
const char *world_second_tables(struct world *w);

/* Numbers, names, slots such as P3[5], and descriptors such as page(0x1000,rw). */
bool value_number(const char *word, uint64_t *value);
uint64_t value_name(const char *word);
bool value_slot(const char *word, unsigned *page, unsigned *index);
bool value_descriptor(const struct world *w, const char *word, pt_pte *value);
/* The number after `name=` among the words, or `otherwise`. */
uint64_t value_option(char **word, unsigned words, const char *name, uint64_t otherwise);
bool value_flag(char **word, unsigned words, const char *name);

#endif
