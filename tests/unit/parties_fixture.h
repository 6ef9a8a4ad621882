/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with a host and guests: what transactions over several contexts are tried on. */
#ifndef TESTS_UNIT_PARTIES_FIXTURE_H
#define TESTS_UNIT_PARTIES_FIXTURE_H

#include <pt/parties.h>

#include "core.h"

#define PARTY_MAX 5
#define PARTY_STATES                                                                               \
	(UINT32_C(3) << PT_PROT_SW_SHIFT)	  /* software bits 1:0 (kvm-stage2.md 2.11)        \
						   */
#define PARTY_GONE (UINT64_C(2) << 60 | 0x5 << 1) /* the host's annotation of what a guest has */

struct parties_rig {
	struct core c; /* its context is the host's: party 0 */
	struct pt_ctx guest[PARTY_MAX - 1];
	unsigned parties;
};

static inline struct pt_ctx *party(struct parties_rig *rig, unsigned i)
{
	return i ? &rig->guest[i - 1] : &rig->c.ctx;
}

/* `guests` may have another geometry than the host. */
static inline void parties_open(struct parties_rig *rig, unsigned parties, const struct shape *host,
				const struct shape *guests)
{
	struct pt_geometry geo;

	memset(rig, 0, sizeof(*rig));
	rig->parties = parties;
	core_open_bytes(&rig->c, host, UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &guests->args));
	pt_section_begin(&rig->c.agent);
	for (unsigned i = 1; i < parties; i++) {
		ASSERT_OUTCOME(PT_OK, pt_ctx_init(party(rig, i), &rig->c.agent, &rig->c.machine,
						  &geo, PT_ATTR_FWB, 0, UINT64_MAX));
		ASSERT_OUTCOME(PT_OK, pt_vmid_get(party(rig, i), &rig->c.agent));
		ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(party(rig, i), PARTY_STATES, PT_SW_OWNERSHIP));
	}
	pt_section_end(&rig->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(party(rig, 0), PARTY_STATES, PT_SW_OWNERSHIP));
}

static inline void parties_close(struct parties_rig *rig)
{
	for (unsigned i = 1; i < rig->parties; i++) {
		struct pt_txn txn;

		assert_int_equal(0, atomic_load(&party(rig, i)->claims));
		assert_null(party(rig, i)->first);
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, party(rig, i), NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig->c.agent, 1000));
	}
	core_close(&rig->c);
}

static inline struct pt_item party_item(struct parties_rig *rig, unsigned i, enum pt_item_kind kind,
					uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot,
					uint32_t flags)
{
	struct pt_item item = core_item(&rig->c, kind, ipa, size, pa, prot, flags);

	item.ctx = party(rig, i);
	ASSERT_OUTCOME(PT_OK, pt_item_check_owner(&item));
	return item;
}

/* The donation of [pa, pa + size), which the host has mapped, to a guest at `ipa`. */
static inline void parties_donation(struct parties_rig *rig, struct pt_item item[2], unsigned to,
				    uint64_t pa, uint64_t ipa, uint64_t size)
{
	item[0] = party_item(rig, 0, PT_ITEM_ANNOTATE, pa, size, PARTY_GONE, 0, 0);
	item[1] = party_item(rig, to, PT_ITEM_MAP, ipa, size, pa, PT_PROT_RWX, PT_ITEM_OWNER);
}

static inline enum pt_outcome parties_step(struct pt_parties *p, struct pt_agent *agent,
					   uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(agent);
	outcome = pt_parties_step(p, agent, budget);
	pt_section_end(agent);
	return outcome;
}

static inline enum pt_outcome parties_run(struct pt_parties *p, struct pt_agent *agent,
					  uint32_t budget)
{
	enum pt_outcome outcome;

	do
		outcome = parties_step(p, agent, budget);
	while (outcome == PT_MORE);
	return outcome;
}

/* The entry that ends the walk for an address. */
static inline pt_pte party_entry(struct parties_rig *rig, unsigned i, uint64_t ipa, int *level)
{
	bool inside = pt_in_section(&rig->c.agent);
	pt_pte e = 0;

	if (!inside)
		pt_section_begin(&rig->c.agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(party(rig, i), pt_ipa(ipa), &e, level));
	if (!inside)
		pt_section_end(&rig->c.agent);
	return e;
}

/* All that a transaction which failed must leave as it was. */
struct parties_state {
	uint64_t digest[PARTY_MAX][2], generation[PARTY_MAX], table_pages[PARTY_MAX], used;
};

static inline struct parties_state parties_state_of(struct parties_rig *rig)
{
	struct parties_state state = {.used = atomic_load(&rig->c.tables.world.pool.used_bytes)};

	pt_section_begin(&rig->c.agent);
	for (unsigned i = 0; i < rig->parties; i++) {
		struct pt_digest digest;

		pt_digest_begin(&digest, party(rig, i));
		while (pt_digest_step(&digest, 100000) == PT_MORE)
			continue;
		memcpy(state.digest[i], digest.state, sizeof(digest.state));
		state.generation[i] = atomic_load(&party(rig, i)->generation);
		state.table_pages[i] = atomic_load(&party(rig, i)->table_pages);
	}
	pt_section_end(&rig->c.agent);
	return state;
}

static inline void parties_at_rest(struct parties_rig *rig)
{
	for (unsigned i = 0; i < rig->parties; i++) {
		assert_int_equal(0, atomic_load(&party(rig, i)->claims));
		assert_int_equal(0, party(rig, i)->taken);
		assert_null(party(rig, i)->first);
	}
}

static inline void parties_unchanged(struct parties_rig *rig, const struct parties_state *before)
{
	struct parties_state now = parties_state_of(rig);

	assert_memory_equal(before, &now, sizeof(now));
	parties_at_rest(rig);
}

#endif
