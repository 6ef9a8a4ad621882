/* SPDX-License-Identifier: BSD-2-Clause */
/* One agent's operations between two events of another's; what is judged when agents meet. */
#include "beside.h"

#include "../unit/core.h"

#include <pt/host/checked.h>
#include <pt/host/rcu.h>

/* What the other agent does before an event of `kind`, once. */
static struct {
	struct core c;
	struct pt_agent b;
	uint8_t kind;
	void (*act)(void);
	unsigned acted;
} beside;

static void hook(const struct pt_event *e)
{
	struct pt_host_self self = pt_host_self;

	if (e->kind != beside.kind || !beside.act)
		return;
	pt_host_self = (struct pt_host_self){.thread = self.thread + 1000};
	pt_host_event_hook = NULL;
	pt_section_begin(&beside.b);
	beside.act();
	pt_section_end(&beside.b);
	beside.acted++;
	pt_host_self = self;
}

static void open_beside(enum pt_event_kind kind, void (*act)(void))
{
	memset(&beside, 0, sizeof(beside));
	core_open(&beside.c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&beside.c.tables.world, &beside.b));
	beside.kind = (uint8_t)kind;
	beside.act = act;
}

static void close_beside(void)
{
	assert_int_equal(1, beside.acted);
	pt_agent_leave(&beside.b);
	core_close(&beside.c);
}

static enum pt_outcome point_of(struct pt_agent *agent, enum pt_item_kind kind, uint32_t prot)
{
	struct pt_item item = core_item(&beside.c, kind, 0, 0x1000, 0x1000, prot, 0);
	struct pt_effects effects = {0};

	return pt_point(agent, &item, &effects, NULL);
}

static void unmap_and_map(void)
{
	ASSERT_OUTCOME(PT_UNMAPPED, point_of(&beside.b, PT_ITEM_UNMAP, 0));
	ASSERT_OUTCOME(PT_MAPPED, point_of(&beside.b, PT_ITEM_MAP, PT_PROT_RW));
}

/* W5: what the second agent flushed is clean, whatever the first still owes for its own reply. */
void unmapped_and_mapped_before_the_flush(void **state)
{
	struct core *c = &beside.c;

	(void)state;
	open_beside(PT_EVENT_TLBI, unmap_and_map);
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, 0x2000, 0x1000, PT_PROT_RW, 0));
	pt_section_begin(&c->agent);
	pt_host_event_hook = hook;
	ASSERT_OUTCOME(PT_PROTECTED, point_of(&c->agent, PT_ITEM_PROTECT, PT_PROT_R));
	pt_host_event_hook = NULL;
	pt_section_end(&c->agent);
	close_beside();
}

static uint64_t judged(enum pt_rule rule)
{
	uint64_t counts[PT_RULES];

	pt_host_check_counts(counts);
	return counts[rule];
}

static unsigned instructions;

static void count_instructions(const struct pt_event *e)
{
	instructions += e->kind == PT_EVENT_TLBI_S2 || e->kind == PT_EVENT_TLBI_S12;
}

/* T1, T7: a page, a range and a whole context, on CPUs without the quirk and with it. */
static unsigned instructions_of(bool quirk)
{
	struct core c;

	instructions = 0;
	pt_host_repeat_tlbis(quirk);
	pt_host_event_hook = count_instructions;
	core_open_bytes(&c, &shapes[0], UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x8000, 0x1000, PT_PROT_RW, 0));
	ASSERT_OUTCOME(PT_PROTECTED, core_protect(&c, 0, 0x4000, PT_PROT_R));
	ASSERT_OUTCOME(PT_UNMAPPED, core_point(&c, core_item(&c, PT_ITEM_UNMAP, 0, 0x1000, 0, 0, 0),
					       NULL, NULL));
	core_close(&c);
	pt_host_event_hook = NULL;
	pt_host_repeat_tlbis(false);
	return instructions;
}

void invalidations_are_doubled_with_the_quirk(void **state)
{
	uint64_t t1 = judged(PT_RULE_T1), t7 = judged(PT_RULE_T7);
	unsigned once = instructions_of(false);

	(void)state;
	assert_true(once >= 3);
	assert_true(judged(PT_RULE_T1) > t1);
	assert_int_equal(t7, judged(PT_RULE_T7));
	assert_int_equal(2 * once, instructions_of(true));
	assert_true(judged(PT_RULE_T7) > t7);
}

static unsigned woken;

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
	woken++;
}

/* L4: who waited for a claim is called when it goes, under no lock. */
void a_waiter_is_woken(void **state)
{
	uint64_t before = judged(PT_RULE_L4);
	struct pt_waiter waiter = {0};
	struct pt_item item;
	struct pt_txn txn;
	struct core c;

	(void)state;
	woken = 0;
	core_open(&c, &shapes[0]);
	item = core_item(&c, PT_ITEM_MAP, 0, 0x8000, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &c.agent, 1));
	assert_true(pt_waiter_park(&waiter, &c.ctx, 0, 0xfff, wake));
	pt_section_end(&c.agent);
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1));
	assert_int_equal(1, woken);
	assert_true(judged(PT_RULE_L4) > before);
	core_close(&c);
}

/* L5 */
void a_barrier_waits_outside_sections(void **state)
{
	uint64_t before = judged(PT_RULE_L5);

	(void)state;
	pt_rcu_barrier();
	assert_int_equal(before + 1, judged(PT_RULE_L5));
}
