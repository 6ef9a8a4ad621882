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

/* Entries side by side: the first, the address that it is for, and what each spans. */
struct leaves {
	pt_pte *slot;
	uint64_t ipa;
	unsigned shift;
};

/* As many entries are asked for in shadows at once: a group has no more. */
#define ASKED 128

/* Was what shadows have of the first n entries used? Theirs are copies of the flags. How many have
 * been asked for. Not of a context without shadows. */
static unsigned ask_shadows(const struct pt_ctx *ctx, struct leaves of, unsigned n, bool clear,
			    uint8_t *used, int64_t *left)
{
	return ctx->shadow_rules->young(ctx->shadow_arg, of.ipa, of.shift, n < ASKED ? n : ASKED,
					clear, used, left);
}

static void ask_shadows_of_all(const struct pt_ctx *ctx, struct leaves of, unsigned n, bool clear,
			       uint8_t *used, int64_t *left)
{
	for (unsigned asked; n; n -= asked, used += asked, of.ipa += (uint64_t)asked << of.shift)
		asked = ask_shadows(ctx, of, n, clear, used, left);
}

/* n entries, one at a time, from number `at` of their run on, with what shadows used of them (NULL:
 * there are none); their young bits. */
static unsigned age_each(const struct pt_ctx *ctx, struct aged *aged, pt_pte *slot,
			 const uint8_t *used, uint64_t at, unsigned n, bool clear)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < n; i++) {
		pt_pte e = pt_pte_load(slot + i);
		unsigned flag = (unsigned)(e >> AF_SHIFT & e & 1), young = flag;

		if (PT__UNLIKELY(used))
			young |= used[i] & e & 1;
		bits |= i < 32 ? young << i
			       : 0; /* of a line: who asks for a group does not ask for them */
		note(aged, at + i, 1, e & 1, young);
		if (clear && flag)
			make_old(ctx, slot + i, e);
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

/* Pages one at a time, from number `i` of `most` of a table on: a line at most, or as many as
 * shadows are asked for at once. */
static unsigned age_slowly(struct pt_upkeep *upkeep, const struct pt__at *at, struct aged *aged,
			   uint64_t i, uint64_t most, int64_t *left)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	const struct leaves of = {at->slot + i, upkeep->next + (i << at->shift), at->shift};
	uint64_t first = ((upkeep->next - args->ipa.v) >> at->shift) + i;
	bool asked = args->ctx->shadowed;
	uint8_t used[ASKED];
	unsigned n = most - i < ASKED ? (unsigned)(most - i) : ASKED;

	if (PT__UNLIKELY(asked))
		n = ask_shadows(args->ctx, of, n, args->clear, used, left);
	else if (n > GROUP)
		n = GROUP;
	for (unsigned k = 0; k < n; k += GROUP) {
		unsigned some = n - k < GROUP ? n - k : GROUP;
		unsigned bits = age_each(args->ctx, aged, of.slot + k, asked ? used + k : NULL,
					 i + k, some, args->clear);

		if (args->bitmap && bits)
			set_group(args->bitmap, first + k, bits);
	}
	return n;
}

/* The pages of a last-level table from `next` on; of such as shadows have not all, where that is
 * more than what is left of the step. How many. */
static uint64_t age_pages(struct pt_upkeep *upkeep, const struct pt__at *at, struct aged *aged,
			  int64_t *left)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	const struct pt_ctx *ctx = args->ctx;
	bool alone = ctx->vtcr_flags & (PT_VTCR_HA | PT_VTCR_HD) || ctx->shadowed;
	uint64_t most = (upkeep->last - upkeep->next + 1) >> at->shift, i, n;
	uint64_t first = (upkeep->next - args->ipa.v) >> at->shift;
	uint32_t room = pt_table_entries(&ctx->geo) - at->index;

	if (at->level != ctx->geo.start_level && most > room)
		most = room;
	for (i = 0; i < most && (!i || !ctx->shadowed || *left > 0); i += n) {
		n = alone ? 0 : age_young(aged, at->slot + i, i, most - i, args->clear);
		if (n && args->bitmap)
			set_bits(args->bitmap, first + i, n);
		if (n)
			continue;
		n = GROUP;
		if (PT__LIKELY(most - i >= GROUP && !args->bitmap && !alone) &&
		    age_group(aged, at->slot + i, i, args->clear))
			continue;
		n = age_slowly(upkeep, at, aged, i, most, left);
	}
	return i;
}

/* A block, a contiguous group or a hole of 1 << shift bytes: the granules of it that are in the
 * range. A group has one flag, the OR of those of its entries, and loses them all. False: the claim
 * does not cover it. */
static bool age_one(struct pt_upkeep *upkeep, const struct pt__at *at, unsigned shift,
		    struct aged *aged, int64_t *left)
{
	const struct pt_upkeep_args *args = &upkeep->args;
	unsigned gs = args->ctx->geo.granule_shift, entries = 1u << (shift - at->shift);
	uint64_t mask = (UINT64_C(1) << shift) - 1, end = upkeep->next | mask;
	uint64_t first = (upkeep->next - args->ipa.v) >> gs, n;
	bool valid = pt_pte_valid(at->entry), young;
	const struct leaves of = {at->slot - (at->index & (entries - 1)), upkeep->next & ~mask,
				  at->shift};
	bool asked = valid && args->ctx->shadowed;
	uint8_t used[ASKED];
	struct aged all = {0};

	if (PT__UNLIKELY(asked))
		ask_shadows_of_all(args->ctx, of, entries, false, used, left);
	age_each(args->ctx, &all, of.slot, asked ? used : NULL, 0, entries, false);
	young = valid && all.young;
	if (young && args->clear &&
	    ((upkeep->next & ~mask) < upkeep->claim.lo || end > upkeep->claim.hi))
		return false;
	end = end < upkeep->last ? end : upkeep->last;
	n = (end - upkeep->next + 1) >> gs;
	if (PT__UNLIKELY(asked && args->clear))
		ask_shadows_of_all(args->ctx, of, entries, true, used, left);
	age_each(args->ctx, aged, of.slot, asked ? used : NULL, 0, entries, args->clear);
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
			n = age_pages(upkeep, &at, &aged, left);
			upkeep->young += aged.young;
			upkeep->old += aged.valid - aged.young;
			upkeep->effects.holes += n - aged.valid;
		} else {
			if (pt_pte_valid(at.entry))
				shift = pt__span_shift(gs, at.entry, at.level, at.shift);
			n = UINT64_C(1) << (shift - at.shift);
			if (!age_one(upkeep, &at, shift, &aged, left))
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
