/* SPDX-License-Identifier: BSD-2-Clause */
/* What an address space maps, as a map from intervals to cells: no tables, no blocks, no TLB. */
#ifndef MODEL_SPACE_H
#define MODEL_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum what { HOLE, LEAF, NOTE };

/* What one granule says, and how it goes on: a leaf's output address rises with the address. */
struct cell {
	uint8_t what;	 /* enum what */
	uint8_t rights;	 /* R 1, W 2, PX 4, UX 8 */
	uint8_t memtype; /* 0 Normal, 1 non-cacheable, 2 device */
	uint8_t sw;	 /* software bits */
	bool young;	 /* access flag */
	bool any_young;	 /* only in an expectation: either access flag is right */
	bool dbm, dirty; /* hardware dirty state; dirty without dbm is false */
	bool any_dirty;	 /* as any_young, for dbm and dirty */
	bool group;	 /* of a table: has the contiguous hint; says nothing of what is mapped */
	uint64_t at;	 /* LEAF: output address of the first byte; NOTE: the descriptor */
};

struct span {
	uint64_t lo, hi; /* inclusive */
	struct cell cell;
};

/* Sorted, apart from each other, never two that could be one; holes are not kept. */
struct space {
	struct span *span;
	size_t count, room;
};

/* The cell at `at`, and the last address up to which it goes on. */
struct cell space_get(const struct space *s, uint64_t at, uint64_t *last);
/* Index of the first span that ends at `at` or later. */
size_t space_find(const struct space *s, uint64_t at);
void space_put(struct space *s, uint64_t lo, uint64_t hi, struct cell cell);
/* The part of `from` in [lo, hi] into an empty `to`. */
void space_copy(struct space *to, const struct space *from, uint64_t lo, uint64_t hi);
void space_free(struct space *s);

/* The cell as it stands `by` bytes further. */
static inline struct cell cell_after(struct cell c, uint64_t by)
{
	if (c.what == LEAF)
		c.at += by;
	return c;
}

/* Equal in all that a descriptor says; an expectation's "any" on either side is equal to both. */
bool cell_equal(const struct cell *a, const struct cell *b);
/* One line for a person. */
void cell_print(char *to, size_t room, const struct cell *c);

#endif
