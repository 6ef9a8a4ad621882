/* SPDX-License-Identifier: BSD-2-Clause */
/* Digest of a tree; the order of visits stands for table addresses. */
#include <pt/walk.h>

/* A 64-bit finaliser with full avalanche (the constants are those of splitmix64). */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* For one state no two pairs come to the same: mix() is a bijection. The two do not wait for each
 * other, which is most of what an entry costs. */
static void absorb(struct pt_digest *digest, uint64_t where, uint64_t what)
{
	digest->state[1] = mix(digest->state[1] ^ what);
	digest->state[0] = mix(digest->state[0] ^ where) + digest->state[1];
}

static enum pt_walk_next take(const struct pt_walk_entry *at, void *arg)
{
	struct pt_digest *digest = arg;
	const struct pt_geometry *g = &digest->walker.ctx->geo;
	pt_pte entry = at->entry;

	if (!entry)
		return PT_WALK_ON;
	if (at->visit == PT_VISIT_TABLE_PRE) {
		entry &= ~pt_oa_mask(g);
		digest->tables++;
	} else if (pt_pte_valid(entry)) {
		digest->leaves[at->level + 1]++;
	} else {
		digest->invalid_nonzero++;
	}
	absorb(digest, at->ipa | (uint64_t)(at->level + 1), entry);
	return PT_WALK_ON;
}

void pt_digest_begin(struct pt_digest *digest, struct pt_ctx *ctx)
{
	*digest = (struct pt_digest){
		.walker = {.ctx = ctx,
			   .last = (UINT64_C(1) << ctx->geo.ipa_bits) - 1,
			   .visits = PT_VISIT_TABLE_PRE | PT_VISIT_LEAF,
			   .mode = PT_WALK_READ,
			   .skip_above = PT_LEVEL_FIRST,
			   .visit = take},
	};
}

enum pt_outcome pt_digest_step(struct pt_digest *digest, uint32_t budget)
{
	digest->walker.arg = digest; /* the caller may have moved it between steps */
	return pt_walk(&digest->walker, budget / 2 + 1); /* each is read twice */
}
