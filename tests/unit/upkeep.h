/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers of the tests of upkeep operations. */
#ifndef TESTS_UNIT_UPKEEP_H
#define TESTS_UNIT_UPKEEP_H

#include <pt/upkeep.h>

#include "core.h"

static inline struct pt_upkeep_args upkeep_args(struct core *c, enum pt_upkeep_kind kind,
						uint64_t ipa, uint64_t size)
{
	return (struct pt_upkeep_args){.ctx = &c->ctx,
				       .kind = kind,
				       .ipa = {ipa},
				       .size = size,
				       .level = kind == PT_UPKEEP_SPLIT ? 3 : 0};
}

static inline enum pt_outcome upkeep_step(struct core *c, struct pt_upkeep *u, uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_upkeep_step(u, &c->agent, budget);
	pt_section_end(&c->agent);
	return outcome;
}

/* Runs to the end; the outcome of init or of the last step. */
static inline enum pt_outcome upkeep_run(struct core *c, struct pt_upkeep *u,
					 struct pt_upkeep_args args, uint32_t budget)
{
	enum pt_outcome outcome = pt_upkeep_init(u, &args, NULL);

	if (outcome != PT_OK)
		return outcome;
	do
		outcome = upkeep_step(c, u, budget);
	while (outcome == PT_MORE);
	return outcome;
}

/* The entry that ends the walk for an address. */
static inline pt_pte upkeep_entry(struct core *c, uint64_t ipa, int *level)
{
	pt_pte e = 0;

	pt_section_begin(&c->agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c->ctx, pt_ipa(ipa), &e, level));
	pt_section_end(&c->agent);
	return e;
}

static inline pt_pte *upkeep_slot(struct core *c, uint64_t ipa)
{
	struct pt_walk_step step[PT_LEVELS];
	unsigned n;

	pt_section_begin(&c->agent);
	n = pt_walk_explain(&c->ctx, pt_ipa(ipa), step);
	pt_section_end(&c->agent);
	return pt_port_table(&c->port, step[n - 1].table) + step[n - 1].index;
}

/* What hardware or an owner of software bits would do to an entry. */
static inline void upkeep_poke(struct core *c, uint64_t ipa, pt_pte clear, pt_pte set)
{
	pt_pte *slot = upkeep_slot(c, ipa);

	core_poke(slot, (__atomic_load_n(slot, __ATOMIC_RELAXED) & ~clear) | set);
}

#endif
