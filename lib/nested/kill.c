/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaves of shadows are broken, flushed, unlinked and cleared, or lose rights; claims are called
 * off.
 */
#include "kill.h"

/* The entry of a spot, as far as it is one; of a leaf in a table that is set aside PT__ASIDE. */
static pt_pte *entry_of(struct pt__spot spot, pt_pte *entry)
{
	const struct pt_ctx *ctx = &spot.shadow->ctx;
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, spot.ipa.v, spot.level, 12, &at),
		       pt__descend(ctx, spot.ipa.v, spot.level, 14, &at),
		       pt__descend(ctx, spot.ipa.v, spot.level, 16, &at));
	*entry = at.entry;
	return at.level == spot.level && !pt_pte_is_table(at.entry, at.level) ? at.slot : NULL;
}

static bool names(struct pt__spot spot, uint64_t canonical)
{
	struct pt__linked l;

	if (canonical == UINT64_MAX)
		return true;
	l = pt__link_get(spot);
	return l.set && l.shift == spot.shift && l.canonical == canonical;
}

static void add(struct pt__kills *kills, struct pt__spot spot, pt_pte *slot, bool ours)
{
	uint64_t bit = UINT64_C(1) << spot.shadow->number % 64;

	kills->twice |= kills->once & bit;
	kills->once |= bit;
	kills->kill[kills->count++] = (struct pt__kill){spot, slot, ours};
	if (kills->count == sizeof(kills->kill) / sizeof(kills->kill[0]))
		pt__kills_finish(kills);
}

bool pt__kill(struct pt__kills *kills, struct pt__spot spot, uint64_t canonical)
{
	pt_pte e, *slot = entry_of(spot, &e);
	enum pt__hit hit;

	if ((!slot && e != PT__ASIDE) || !e || !names(spot, canonical))
		return false;
	hit = pt__hit(kills, spot, slot, e, canonical);
	if (PT__LIKELY(hit == PT__HIT_BROKEN)) {
		kills->removed++;
		add(kills, spot, slot, true);
		return true;
	}
	if (hit == PT__HIT_ASIDE)
		kills->again = true;
	if (hit >= PT__HIT_OWES)
		add(kills, spot, slot, false);
	return false;
}

bool pt__shadow_young(struct pt__spot spot, uint64_t canonical, bool clear)
{
	pt_pte e, *slot = entry_of(spot, &e);

	if (e == PT__ASIDE)
		return true; /* it may come back */
	return slot && names(spot, canonical) && pt__is_young(slot, e, clear);
}

/* What the batch owes to the TLBs of one shadow; all of it is marked as done. */
static void flush(struct pt__kills *kills, uint32_t first, uint64_t *done)
{
	struct pt_shadow *shadow = kills->kill[first].spot.shadow;
	bool more = kills->twice >> shadow->number % 64 & 1;
	uint32_t end = more ? kills->count : first + 1;
	struct pt_ledger ledger;

	pt_ledger_init(&ledger, &shadow->ctx);
	for (uint32_t i = first; i < end; i++) {
		const struct pt__spot *spot = &kills->kill[i].spot;

		if (spot->shadow != shadow)
			continue;
		pt_ledger_add(&ledger, spot->ipa.v, spot->ipa.v + (UINT64_C(1) << spot->shift) - 1,
			      spot->level, false);
		*done |= UINT64_C(1) << i;
	}
	kills->tlbis += pt_ledger_discharge(&ledger);
}

/* The descriptor before the VMID (lib/txn/vmid.c). */
void pt__kills_finish(struct pt__kills *kills)
{
	uint64_t done = 0;

	if (!kills->count)
		return;
	pt_port_fence_full();
	for (uint32_t i = 0; i < kills->count; i++)
		if (!(done >> i & 1))
			flush(kills, i, &done);
	for (uint32_t i = 0; i < kills->count; i++) {
		const struct pt__kill *k = &kills->kill[i];

		if (!k->ours)
			continue;
		pt__link_leave(k->spot, kills->agent);
		pt_pte_store_release(k->slot, 0);
	}
	kills->count = 0;
	kills->once = 0;
	kills->twice = 0;
}
