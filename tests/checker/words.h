/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of a program, by subject: each runs one line and returns NULL, or what is wrong with
 * it. */
#ifndef CHECKER_WORDS_H
#define CHECKER_WORDS_H

#include "world.h"

struct call {
	struct world *w;
	char **word;
	unsigned words;
};

/* What a line says when its words do not fit. */
extern const char *const words_bad;

struct word {
	const char *name;
	const char *(*run)(const struct call *);
	unsigned words; /* at least, with the first */
};

/* Each ends with a name of NULL. */
extern const struct word
	words_of_agents[]; /* words_agent.c: agents, operations, claims, locks, contexts */
extern const struct word words_of_tables[];  /* words_table.c: pages and descriptors */
extern const struct word words_of_tlbs[];    /* words_tlb.c: order and invalidations */
extern const struct word words_of_owners[];  /* words_owner.c: owners of frames */
extern const struct word words_of_shadows[]; /* words_nested.c: shadows */

/* An event of the context at hand; one of the agent at hand. */
void world_make(struct world *w, enum pt_event_kind kind, uint32_t arg, uint64_t at, uint64_t lo,
		uint64_t hi);
void world_agent_event(struct world *w, enum pt_event_kind kind);

#endif
