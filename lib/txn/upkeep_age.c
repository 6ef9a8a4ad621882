/* SPDX-License-Identifier: BSD-2-Clause */
/* AGE: access flags, eight leaves at a time. */
#include "line.h"
#include "upkeep.h"

#define GROUP	 PT__LINE
#define AF_SHIFT 10
_Static_assert(PT_PTE_AF >> AF_SHIFT == 1 && PT_PTE_VALID == 1, "sums count both");

/* What a run of entries held. */
struct aged {
	uint64_t valid, young; /* leaves */
	uint64_t first, end;   /* young ones, from the first to behind the last */
};

static void set_bits(uint8_t *bitmap, uint64_t first, uint64_t n)
{
	for (; n && first % 8; first++, n--)
		bitmap[first / 8] |= (uint8_t)(1u << first % 8);
	for (; n >= 8; first += 8, n -= 8)
		bitmap[first / 8] = 0xff;
	for (; n; first++, n--)
		bitmap[first / 8] |= (uint8_t)(1u << first % 8);
}

/* `young` bits of eight granules from `first` on. */
PT__INLINE void set_group(uint8_t *bitmap, uint64_t first, unsigned young)
{
	unsigned word = young << first % 8;

	if (word & 0xff)
		bitmap[first / 8] |= (uint8_t)word;
	if (word >> 8)
		bitmap[first / 8 + 1] |= (uint8_t)(word >> 8);
}

PT__INLINE void note(struct aged *aged, uint64_t at, uint64_t n, uint64_t valid, uint64_t young)
{
	aged->valid += valid;
	aged->young += young;
	if (!young)
		return;
	if (!aged->end)
		aged->first = at;
	aged->end = at + n;
}

/* Clears the flag of a young leaf. Hardware does not touch the flag while it is set, but it may set
 * the dirty state beside it (W9). */
PT__INLINE void make_old(const struct pt_ctx *ctx, pt_pte *slot, pt_pte e)
{
	if (!pt__hw_dirties(ctx, e))
		pt_pte_store(slot, e & ~PT_PTE_AF);
	else
		while (!pt_pte_cas(slot, &e, e & ~PT_PTE_AF))
			pt_port_relax();
}

/* Was what shadows have of the leaf at `ipa` used? Theirs are copies of its flag. */
static bool used_in_shadows(const struct pt_ctx *ctx, pt_pte e, uint64_t ipa, unsigned shift,
			    bool clear)
{
	return PT__UNLIKELY(ctx->shadowed) && pt_pte_valid(e) &&
	       ctx->shadow_rules->young(ctx->shadow_arg, ipa, ipa + (UINT64_C(1) << shift) - 1,
					clear);
}

/* Entries side by side: the first, the address that it is for, and what each spans. */
struct leaves {
	pt_pte *slot;
	uint64_t ipa;
	unsigned shift;
};

/* n entries, one at a time, from number `at` of their run on; their young bits. */
static unsigned age_each(const struct pt_ctx *ctx, struct aged *aged, struct leaves of, uint64_t at,
			 unsigned n, bool clear)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < n; i++) {
		pt_pte e = pt_pte_load(of.slot + i);
		unsigned flag = (unsigned)(e >> AF_SHIFT & e & 1), young = flag;

		young |= used_in_shadows(ctx, e, of.ipa + ((uint64_t)i << of.shift), of.shift,
					 clear);
		bits |= i < 32 ? young << i
			       : 0; /* of a line: who asks for a group does not ask for them */
		note(aged, at + i, 1, e & 1, young);
		if (clear && flag)
			make_old(ctx, of.slot + i, e);
	}
	return bits;
}

/*
 * Eight valid pages: one sum counts both flags, and the stores need no branch. False: not all are
 * valid, and nothing was done.
 */
PT__INLINE bool age_group(struct aged *aged, pt_pte *slot, uint64_t at, bool clear)
{
	uint64_t sum = pt__sum_line(slot, PT_PTE_AF | PT_PTE_VALID);

	if (PT__UNLIKELY((sum & (PT_PTE_AF - 1)) != GROUP))
		return false;
	if (clear && sum >> AF_SHIFT)
		pt__clear_line(slot, PT_PTE_AF);
	note(aged, at, GROUP, GROUP, sum >> AF_SHIFT);
	return true;
}

/* Lines of young pages; returns how many pages. */
static uint64_t age_young(struct aged *aged, pt_pte *slot, uint64_t at, uint64_t most, bool clear)
{
	const pt_pte young = PT_PTE_AF | PT_PTE_VALID;
	uint64_t n = 0;

	for (; most - n >= GROUP && (pt__common_line(slot + n) & young) == young; n += GROUP)
		if (clear)
			pt__clear_line(slot + n, PT_PTE_AF);
	if (n)
		note(aged, at, n, n, n);
	return n;
}

/* The pages of a last-level table from `next` on. */
static uint64_t age_pages(struct pt_upkeep *upkeep, const struct pt__at *at, struct aged *aged)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	const struct pt_ctx *ctx = args->ctx;
	bool alone = ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD) || ctx->shadowed;
	uint64_t most = (upkeep->last - upkeep->next + 1) >> at->shift, n;
	uint64_t first = (upkeep->next - args->ipa.v) >> at->shift;
	uint32_t room = pt_table_entries(&ctx->geo) - at->index;

	if (at->level != ctx->geo.start_level && most > room)
		most = room;
	for (uint64_t i = 0; i < most; i += n) {
		unsigned bits;

		n = alone ? 0 : age_young(aged, at->slot + i, i, most - i, args->clear);
		if (n && args->bitmap)
			set_bits(args->bitmap, first + i, n);
		if (n)
			continue;
		n = most - i < GROUP ? most - i : GROUP;
		if (PT__LIKELY(n == GROUP && !args->bitmap && !alone) &&
		    age_group(aged, at->slot + i, i, args->clear))
			continue;
		bits = age_each(
			ctx, aged,
			(struct leaves){at->slot + i, upkeep->next + (i << at->shift), at->shift},
			i, (unsigned)n, args->clear);
		if (args->bitmap && bits)
			set_group(args->bitmap, first + i, bits);
	}
	return most;
}

/* A block, a contiguous group or a hole of 1 << shift bytes: the granules of it that are in the
 * range. A group has one flag, the OR of those of its entries, and loses them all. False: the claim
 * does not cover it. */
static bool age_one(struct pt_upkeep *upkeep, const struct pt__at *at, unsigned shift,
		    struct aged *aged)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	unsigned gs = args->ctx->geo.granule_shift, entries = 1u << (shift - at->shift);
	uint64_t mask = (UINT64_C(1) << shift) - 1, end = upkeep->next | mask;
	uint64_t first = (upkeep->next - args->ipa.v) >> gs, n;
	bool valid = pt_pte_valid(at->entry), young;
	const struct leaves of = {at->slot - (at->index & (entries - 1)), upkeep->next & ~mask,
				  at->shift};
	struct aged all = {0};

	age_each(args->ctx, &all, of, 0, entries, false);
	young = valid && all.young;
	if (young && args->clear &&
	    ((upkeep->next & ~mask) < upkeep->claim.lo || end > upkeep->claim.hi))
		return false;
	end = end < upkeep->last ? end : upkeep->last;
	n = (end - upkeep->next + 1) >> gs;
	age_each(args->ctx, aged, of, 0, entries, args->clear);
	if (young && args->bitmap)
		set_bits(args->bitmap, first, n);
	upkeep->young += young ? n : 0;
	upkeep->old += valid && !young ? n : 0;
	upkeep->effects.holes += valid ? 0 : n;
	if (young)
		aged->first = 0, aged->end = entries;
	return true;
}

static void account(struct pt_upkeep *upkeep, const struct pt__at *at, unsigned shift,
		    const struct aged *aged)
{
	uint64_t base = upkeep->next & ~((UINT64_C(1) << shift) - 1);

	if (!upkeep->args.clear)
		return;
	upkeep->effects.leaves_written += aged->young;
	upkeep->effects.already += aged->valid - aged->young;
	if (aged->end)
		pt_ledger_add(&upkeep->ledger, base + (aged->first << at->shift),
			      base + (aged->end << at->shift) - 1, at->level, false);
}

static enum pt_outcome age_range(struct pt_upkeep *upkeep, int64_t *left)
{
	struct pt_ctx *ctx = upkeep->args.ctx;
	unsigned gs = ctx->geo.granule_shift;

	while (upkeep->next <= upkeep->last) {
		struct aged aged = {0};
		struct pt__at at;
		unsigned shift;
		uint64_t n;

		if (*left <= 0)
			return PT_MORE;
		pt__descend(ctx, upkeep->next, PT_LEVEL_LAST, gs, &at);
		shift = at.shift;
		if (at.level == PT_LEVEL_LAST && !pt__has_groups(ctx)) {
			n = age_pages(upkeep, &at, &aged);
			upkeep->young += aged.young;
			upkeep->old += aged.valid - aged.young;
			upkeep->effects.holes += n - aged.valid;
		} else {
			if (pt_pte_valid(at.entry))
				shift = pt__span_shift(gs, at.entry, at.level, at.shift);
			n = UINT64_C(1) << (shift - at.shift);
			if (!age_one(upkeep, &at, shift, &aged))
				return PT_PARKED;
			n -= at.index & (n - 1);
		}
		account(upkeep, &at, shift, &aged);
		pt__upkeep_pass(upkeep, at.level, n);
		*left -= (int64_t)n;
	}
	return PT_OK;
}

/* When somebody uses its own pages is its owner's secret: those are as MAKE_YOUNG finds them, but
 * that a hole is none of anybody's. */
enum pt_outcome pt__age(struct pt_upkeep *upkeep, int64_t *left)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	const struct pt_owner_rules *rules = args->ctx->owner_rules;
	const struct pt_item item = {
		.ctx = args->ctx, .ipa = args->ipa, .size = args->size, .kind = PT_ITEM_MAKE_YOUNG};
	uint64_t last = upkeep->last;
	enum pt_outcome outcome = PT_OK;

	if (PT__LIKELY(!rules))
		return age_range(upkeep, left);
	for (; outcome == PT_OK && upkeep->next <= last; upkeep->last = last) {
		upkeep->last = last;
		outcome = rules->may(args->ctx->owner_arg, &item, upkeep->next, &upkeep->last);
		if (outcome == PT_OK || outcome == PT_NOT_MAPPED) {
			outcome = age_range(upkeep, left);
			*left -= 4;
			continue;
		}
		upkeep->last = last;
		if (outcome == PT_RACED) /* under break, and this has no claim */
			return PT_MORE;
		upkeep->stopped = outcome;
		return PT_OK;
	}
	return outcome;
}
