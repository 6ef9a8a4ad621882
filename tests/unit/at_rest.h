/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of a context's tables when nobody is at work on it. */
#ifndef TESTS_UNIT_AT_REST_H
#define TESTS_UNIT_AT_REST_H

#include "core.h"

struct at_rest {
	const struct pt_ctx *ctx;
	uint64_t offset;
	const struct pt_slots *within; /* NULL: leaves may be anywhere */
};

static inline enum pt_walk_next at_rest_leaf(const struct pt_walk_entry *at, void *arg)
{
	const struct at_rest *r = arg;

	if (!pt_pte_valid(at->entry)) {
		assert_int_equal(0, at->entry); /* at rest nothing is LOCKED */
		return PT_WALK_ON;
	}
	assert_int_equal(at->ipa + r->offset, pt_pte_to_oa(&r->ctx->geo, at->entry).v);
	assert_true(!r->within || pt_slot_find(r->within, at->ipa));
	return PT_WALK_ON;
}

/* Each leaf maps to `offset` above its IPA, and lies in one of the slots `within`; each table page
 * is linked and accounted for; nobody claims or waits. Returns the digest. */
static inline struct pt_digest check_at_rest(struct core *c, uint64_t offset,
					     const struct pt_slots *within)
{
	struct pt_digest digest = core_digest_of(c);
	struct at_rest r = {&c->ctx, offset, within};
	struct pt_walker walker = {.ctx = &c->ctx,
				   .last = (UINT64_C(1) << c->ctx.geo.ipa_bits) - 1,
				   .visits = PT_VISIT_LEAF,
				   .skip_above = -1,
				   .visit = at_rest_leaf,
				   .arg = &r};

	ASSERT_OUTCOME(PT_OK, pt_walk(&walker, UINT32_MAX));
	assert_int_equal(digest.tables, atomic_load(&c->ctx.table_pages));
	assert_int_equal(c->empty_bytes + c->ctx.geo.start_bytes +
				 (digest.tables << c->ctx.geo.granule_shift),
			 atomic_load(&c->tables.world.pool.used_bytes));
	assert_int_equal(0, atomic_load(&c->ctx.claims));
	assert_null(c->ctx.first);
	return digest;
}

#endif
