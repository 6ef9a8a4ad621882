/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows in a machine with owners: one play. */
#include "owned.h"

#define PA  UINT64_C(0x40000000)
#define IPA UINT64_C(0x8000000)

static enum pt_outcome no_memory(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	(void)arg, (void)ipa, (void)word;
	return PT_NO_SLOT;
}

static enum pt_outcome no_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)to;
	return no_memory(arg, ipa, word);
}

static void open_party(struct owned *o, unsigned party)
{
	const struct pt_guest_memory memory = {no_memory, no_swap, NULL};
	struct party *p = &o->party[party];

	ASSERT_OUTCOME(PT_OK, pt_nested_init(&p->nested, rig_ctx(&o->rig, party), &memory,
					     p->bucket, 4, p->number, OWNED_KEYS, UINT64_MAX, 0));
	owned_open_shadows(o, party);
}

/* The host has blocks of pages of 4K. */
static void open_host(struct owned *o, unsigned granule_shift)
{
	struct pt_slots *slots = (struct pt_slots *)(void *)o->slots;

	slots->count = 1;
	slots->slot[0] = (struct pt_slot){
		.ipa = PA,
		.size = o->units << o->rig.shift,
		.pa = PA,
		.backing_shift = granule_shift == 12 ? 21 : (uint8_t)granule_shift};
	pt_ctx_set_slots(&o->rig.c.ctx, slots);
}

/* Granules, in any mixture, or all of 4K: where a unit is 4K there are two blocks of them. */
static void open_play(struct owned *o, uint64_t seed)
{
	const struct shape *guest[RIG_GUESTS], *host;
	bool mixed;

	o->rng = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	owned_draw(o, 2);
	mixed = !owned_draw(o, 3);
	host = &shapes[mixed ? owned_draw(o, 3) : 0];
	for (unsigned i = 0; i < RIG_GUESTS; i++)
		guest[i] = &shapes[mixed ? owned_draw(o, 3) : 0];
	o->units = mixed ? 128 : 1024;
	rig_open_shapes(&o->rig, host, guest, o->units, PA, IPA, true);
	open_host(o, host->args.granule_shift);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&o->rig.c.tables.world, &o->other));
	for (unsigned i = 0; i < PARTIES; i++)
		open_party(o, i);
	owned_before(o);
	for (unsigned i = 0; i < 6 * PARTIES; i++) /* what they have touched by then */
		owned_access(o);
}

static void close_party(struct owned *o, unsigned party)
{
	enum pt_outcome outcome;

	owned_end_shadows(o, party);
	do {
		pt_section_begin(&o->rig.c.agent);
		outcome = pt_nested_close(&o->party[party].nested, &o->rig.c.agent, 100);
		pt_section_end(&o->rig.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(0, atomic_load(&o->party[party].nested.store.bytes));
}

static void close_play(struct owned *o)
{
	for (unsigned i = 0; i < PARTIES; i++)
		close_party(o, i);
	while (pt_reclaim(&o->other))
		continue;
	pt_agent_leave(&o->other);
	rig_close(&o->rig);
}

bool owned_play(uint64_t seed, uint32_t steps, struct nested_counts *counts, char failure[256])
{
	struct owned *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	*failure = 0;
	o->counts = counts;
	o->failure = failure;
	open_play(o, seed);
	for (uint32_t i = 0; i < steps && !*failure; i++) {
		counts->operations++;
		if (owned_draw(o, 8) < 5)
			owned_access(o);
		else
			owned_change(o);
	}
	if (!*failure)
		rig_same(&o->rig);
	close_play(o);
	free(o);
	return !*failure;
}
