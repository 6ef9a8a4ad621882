/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: which canonical pages are young, with what shadows have of them. */
#include "world.h"

/* Of a leaf, or a contiguous group, of the canonical context: was it used, by itself or in a
 * shadow? */
struct used {
	bool own, shadow;
};

static struct used used(struct play *p, struct seen *seen, uint64_t base, uint64_t span, bool spend)
{
	struct used u = {false, false};

	for (uint64_t at = base; at < base + span;) {
		bool young;
		struct hw_result r = walk_context(p, &p->g.c.ctx, at, &young);
		uint64_t own = UINT64_C(1) << pt_level_shift(&p->g.c.ctx.geo, r.level);

		u.own |= young;
		at += own;
	}
	for (unsigned i = 0; i < MIRRORS * PROBES; i++) {
		uint64_t at;

		if (!seen[i].there || !seen[i].young)
			continue;
		at = canonical_of(p, seen[i].pa);
		if (at >= base + span || base >= at + seen[i].span)
			continue;
		u.shadow = true;
		seen[i].young = !spend;
	}
	return u;
}

/*
 * Pages of [ipa, ipa + size) that are young. A shadow's leaf may be larger than the canonical ones,
 * which were split since: its flag counts for each of them, or, to be spent, for the first alone.
 */
static uint64_t count(struct play *p, uint64_t ipa, uint64_t size, bool spend, uint64_t *by_shadow)
{
	struct seen seen[MIRRORS * PROBES];
	uint64_t young = 0;

	see_all(p, seen);
	*by_shadow = 0;
	for (uint64_t at = ipa; at < ipa + size;) {
		struct hw_result r = walk_context(p, &p->g.c.ctx, at, NULL);
		uint64_t span = has_leaf(&r)
					? r.span
					: UINT64_C(1) << pt_level_shift(&p->g.c.ctx.geo, r.level);
		uint64_t base = at & ~(span - 1), end = base + span;
		struct used u = {false, false};

		if (has_leaf(&r))
			u = used(p, seen, base, span, spend);
		end = end < ipa + size ? end : ipa + size;
		young += u.own || u.shadow ? (end - at) / p->host_page : 0;
		*by_shadow += u.shadow && !u.own;
		at = end;
	}
	return young;
}

/* Those whose own leaves say so. */
uint64_t young_alone(struct play *p, uint64_t ipa, uint64_t size)
{
	uint64_t n = 0;

	for (uint64_t at = ipa; at < ipa + size; at += p->host_page) {
		bool young;
		struct hw_result r = walk_context(p, &p->g.c.ctx, at, &young);

		n += has_leaf(&r) && young;
	}
	return n;
}

void do_age(struct play *p, uint64_t ipa, uint64_t size, bool clear)
{
	uint64_t by_shadow, young = count(p, ipa, size, false, &by_shadow), again;
	uint64_t least = clear ? count(p, ipa, size, true, &again) : young;
	struct seen was[MIRRORS * PROBES], now[MIRRORS * PROBES];
	struct pt_upkeep_args args = upkeep_args(&p->g.c, PT_UPKEEP_AGE, ipa, size);
	struct pt_upkeep u;

	note(p, NESTED_AGE);
	args.clear = clear;
	if (clear && p->going.kind == NOTHING && !draw(p, 4)) {
		begin_upkeep(p, &args);
		return;
	}
	see_all(p, was);
	assert_int_equal(PT_OK, upkeep_run(&p->g.c, &u, args, 1000));
	see_all(p, now);
	p->counts->of[NESTED_YOUNG] += young;
	p->counts->of[NESTED_YOUNG_SHADOW] += by_shadow;
	if (u.young < least || u.young > young)
		wrong(p, "another number of young pages", 0, ipa);
	for (unsigned i = 0; i < MIRRORS * PROBES; i++)
		if (was[i].there && (!now[i].there || now[i].pa != was[i].pa))
			wrong(p, "ageing takes a leaf", i / PROBES, was[i].ipa);
	young = count(p, ipa, size, false, &again);
	if (clear && young)
		wrong(p, "a page is young when it has been made old", 0, ipa);
}
