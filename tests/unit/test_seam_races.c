/* SPDX-License-Identifier: BSD-2-Clause */
/* Races at a chosen place: another agent, or the hardware, acts just before one event of the seam.
 * Only in checked builds, whose events it reads. */
#include <pt/dirty.h>
#include <pt/host/checked.h>

#include "upkeep.h"

#define NOTE  (UINT64_C(3) << 60)
#define OTHER (UINT64_C(3) << 60 | 2)

/* What is done once, just before the event of `kind` after `skip` others of its kind. */
static struct {
	enum pt_event_kind kind;
	unsigned skip, fired;
	void (*act)(const struct pt_event *);
	struct core *c;
	struct pt_agent b; /* another agent of the machine */
	struct pt_item item;
	struct pt_ctx *ctx;
	enum pt_outcome outcome; /* of what it did */
	pt_pte set;
} race;

static void hook(const struct pt_event *e)
{
	struct pt_host_self self = pt_host_self;

	if (e->kind != race.kind || race.fired || race.skip--)
		return;
	race.fired++;
	pt_host_event_hook = NULL;
	pt_host_self = (struct pt_host_self){.thread = self.thread + 1000};
	race.act(e);
	pt_host_self = self;
}

static void arm(enum pt_event_kind kind, unsigned skip, void (*act)(const struct pt_event *))
{
	race.kind = kind;
	race.skip = skip;
	race.act = act;
	race.fired = 0;
	pt_host_event_hook = hook;
}

static void disarm(void)
{
	pt_host_event_hook = NULL;
	assert_int_equal(1, race.fired);
}

static void open_race(struct core *c, const struct shape *shape)
{
	memset(&race, 0, sizeof(race));
	core_open(c, shape);
	race.c = c;
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c->tables.world, &race.b));
}

static void close_race(struct core *c)
{
	while (pt_reclaim(&race.b) || pt_reclaim(&c->agent))
		continue;
	pt_agent_leave(&race.b);
	core_close(c);
}

/* ---- another agent is first ---- */

static void other_points(const struct pt_event *e)
{
	struct pt_effects fx = {0};

	(void)e;
	pt_section_begin(&race.b);
	race.outcome = pt_point(&race.b, &race.item, &fx, NULL);
	pt_section_end(&race.b);
}

static void other_faults(const struct pt_event *e)
{
	struct pt_fault in = {.ipa = {0x1000}, .access = PT_ACCESS_READ};
	struct pt_fault_result r;

	(void)e;
	pt_section_begin(&race.b);
	race.outcome = pt_fault_handle(&race.b, &race.c->ctx, &in, &r);
	pt_section_end(&race.b);
}

/* What stands at the page, what is asked of it, what another agent does first; the outcomes where a
 * second look is taken (a plain context), and where none is. */
static const struct {
	pt_pte note;
	enum pt_item_kind kind;
	uint64_t pa;
	uint32_t flags;
	enum pt_item_kind first;
	uint64_t first_pa;
	enum pt_outcome plain, wide;
} firsts[] = {
	{0, PT_ITEM_MAP, 0x10000, 0, PT_ITEM_MAP, 0x10000, PT_ALREADY_MAPPED, PT_RACED},
	{0, PT_ITEM_MAP, 0x10000, 0, PT_ITEM_MAP, 0x20000, PT_OVERLAP, PT_RACED},
	{0, PT_ITEM_MAP, 0x10000, PT_MAP_REPLACE, PT_ITEM_MAP, 0x20000, PT_MAPPED, PT_RACED},
	{0, PT_ITEM_ANNOTATE, NOTE, 0, PT_ITEM_MAP, 0x20000, PT_RACED, PT_RACED},
	{NOTE, PT_ITEM_UNMAP, 0, 0, PT_ITEM_ANNOTATE, OTHER, PT_RACED, PT_RACED},
	{NOTE, PT_ITEM_MAP, 0x10000, PT_MAP_REPLACE, PT_ITEM_ANNOTATE, OTHER, PT_RACED, PT_RACED},
	{NOTE, PT_ITEM_ANNOTATE, OTHER, 0, PT_ITEM_UNMAP, 0, PT_RACED, PT_RACED},
};

static struct pt_item page_item(struct core *c, enum pt_item_kind kind, uint64_t pa, uint32_t flags)
{
	return core_item(c, kind, 0x1000, 0x1000, pa, kind == PT_ITEM_MAP ? PT_PROT_R : 0, flags);
}

static void the_second_of_two_points_changes_nothing(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2 * sizeof(firsts) / sizeof(firsts[0]); k++) {
		unsigned i = k / 2;
		bool wide = k & 1;
		enum pt_outcome want = wide ? firsts[i].wide : firsts[i].plain;
		struct core c;
		pt_pte e;
		int level;

		open_race(&c, &shapes[wide ? 3 : 0]);
		/* The page's table is there. */
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x2000, 0x1000, 0, PT_PROT_R, 0));
		if (firsts[i].note)
			ASSERT_OUTCOME(PT_ANNOTATED,
				       core_point(&c, page_item(&c, PT_ITEM_ANNOTATE, NOTE, 0),
						  NULL, NULL));
		race.item = page_item(&c, firsts[i].first, firsts[i].first_pa, 0);
		arm(PT_EVENT_CAS, 0, other_points);
		ASSERT_OUTCOME(
			want,
			core_point(&c, page_item(&c, firsts[i].kind, firsts[i].pa, firsts[i].flags),
				   NULL, NULL));
		disarm();
		assert_true(race.outcome != PT_RACED && race.outcome < PT_MORE);
		e = upkeep_entry(&c, 0x1000, &level);
		if (want == PT_MAPPED)
			assert_int_equal(firsts[i].pa, pt_pte_to_oa(&c.ctx.geo, e).v);
		else if (firsts[i].first == PT_ITEM_MAP)
			assert_int_equal(firsts[i].first_pa, pt_pte_to_oa(&c.ctx.geo, e).v);
		else
			assert_int_equal(firsts[i].first_pa, e);
		close_race(&c);
	}
}

/* Two faults on one page: the second finds the leaf, or asks for another try. */
static void the_second_of_two_faults_finds_the_leaf(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct pt_fault in = {.ipa = {0x1000}, .access = PT_ACCESS_WRITE};
		struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));
		struct pt_fault_result r;
		enum pt_outcome outcome;
		struct core c;

		assert_non_null(slots);
		open_race(&c, &shapes[k ? 3 : 0]);
		slots->count = 1;
		slots->slot[0] =
			(struct pt_slot){.size = PT_SZ_2M, .pa = PT_SZ_2M, .backing_shift = 12};
		pt_ctx_set_slots(&c.ctx, slots);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x2000, 0x1000, 0, PT_PROT_R, 0));
		arm(PT_EVENT_CAS, 0, other_faults);
		pt_section_begin(&c.agent);
		outcome = pt_fault_handle(&c.agent, &c.ctx, &in, &r);
		pt_section_end(&c.agent);
		disarm();
		ASSERT_OUTCOME(k ? PT_RACED : PT_ALREADY_MAPPED, outcome);
		ASSERT_OUTCOME(PT_MAPPED, race.outcome);
		assert_int_equal(PT_SZ_2M + 0x1000, core_walk(&c, 0x1000, HW_WRITE).pa);
		close_race(&c);
		free(slots);
	}
}

/* ---- in the middle of a batch ---- */

#define BATCH	 8
#define LOST	 3 /* the change of a batch whose exchange another agent is before */
#define PAGES	 0x10000
#define OTHER_PA 0x100000

/* A plain context of which a batch's table is there; with pages where they are to be unmapped. */
static void open_batch(struct core *c, struct pt_item item[BATCH], bool map)
{
	open_race(c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, 0x1000, 0, PT_PROT_R, 0));
	for (unsigned k = 0; k < BATCH; k++) {
		uint64_t ipa = PAGES + k * 0x1000;

		if (!map)
			ASSERT_OUTCOME(PT_MAPPED, core_map(c, ipa, 0x1000, ipa, PT_PROT_R, 0));
		item[k] = core_item(c, map ? PT_ITEM_MAP : PT_ITEM_UNMAP, ipa, 0x1000,
				    map ? ipa : 0, map ? PT_PROT_RW : 0, 0);
	}
}

/* Before the exchange of item LOST another agent maps there, or unmaps: the batch looks again, ends
 * before that item, and has begun nothing of those behind it. What it comes to alone is told. */
static void a_batch_of_points_ends_where_it_loses(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		uint64_t ipa = PAGES + LOST * 0x1000;
		bool map = !k;
		struct pt_effects fx = {0};
		struct pt_item item[BATCH];
		struct core c;

		open_batch(&c, item, map);
		race.item = core_item(&c, map ? PT_ITEM_MAP : PT_ITEM_UNMAP, ipa, 0x1000,
				      map ? OTHER_PA : 0, map ? PT_PROT_R : 0, 0);
		arm(PT_EVENT_CAS, LOST, other_points);
		pt_section_begin(&c.agent);
		assert_int_equal(LOST, pt_points(&c.agent, item, BATCH, &fx));
		pt_section_end(&c.agent);
		disarm();
		ASSERT_OUTCOME(map ? PT_MAPPED : PT_UNMAPPED, race.outcome);
		assert_int_equal(map ? LOST : 0, fx.leaves_written);
		assert_int_equal(map ? 0 : LOST, fx.leaves_removed);
		for (unsigned i = 0; i < BATCH; i++) {
			pt_pte e = upkeep_entry(&c, item[i].ipa.v, &(int){0});
			bool changed = i <= LOST;

			assert_int_equal(changed == map, pt_pte_valid(e));
			if (pt_pte_valid(e))
				assert_int_equal(map && i == LOST ? OTHER_PA : item[i].ipa.v,
						 pt_pte_to_oa(&c.ctx.geo, e).v);
			if (i < LOST)
				ASSERT_OUTCOME(map ? PT_MAPPED : PT_UNMAPPED,
					       (enum pt_outcome)item[i].outcome);
		}
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(map ? PT_OVERLAP : PT_HOLE,
			       pt_point(&c.agent, &item[LOST], &fx, NULL));
		assert_int_equal(BATCH - LOST - 1,
				 pt_points(&c.agent, &item[LOST + 1], BATCH - LOST - 1, &fx));
		pt_section_end(&c.agent);
		assert_int_equal(BATCH - 1, map ? fx.leaves_written : fx.leaves_removed);
		close_race(&c);
	}
}

static pt_pte other_leaf;

/* Another agent's leaf stands there since. */
static void other_maps_here(const struct pt_event *e)
{
	other_points(e);
	other_leaf = *(const pt_pte *)(uintptr_t)e->at;
}

/* The same of faults. One that another agent resolved meanwhile is looked at again in the batch,
 * finds its page and is done; where another's leaf is not the slot's, the batch ends. */
static void a_batch_of_faults_looks_again_where_it_loses(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));
		struct pt_fault fault[BATCH];
		struct pt_fault_page page[BATCH];
		struct pt_item item[BATCH];
		struct core c;
		bool same = !k;

		assert_non_null(slots);
		open_batch(&c, item, true);
		slots->count = 1;
		slots->slot[0] =
			(struct pt_slot){.size = PT_SZ_2M, .pa = PT_SZ_2M, .backing_shift = 12};
		pt_ctx_set_slots(&c.ctx, slots);
		for (unsigned i = 0; i < BATCH; i++)
			fault[i] = (struct pt_fault){.ipa = item[i].ipa, .access = PT_ACCESS_READ};
		race.item = item[LOST];
		race.item.pa.v = same ? PT_SZ_2M + item[LOST].ipa.v : OTHER_PA;
		memset(page, 0xff, sizeof(page));
		arm(PT_EVENT_CAS, LOST, other_maps_here);
		pt_section_begin(&c.agent);
		assert_int_equal(same ? BATCH : LOST,
				 pt_faults(&c.agent, &c.ctx, fault, BATCH, page));
		pt_section_end(&c.agent);
		disarm();
		ASSERT_OUTCOME(PT_MAPPED, race.outcome);
		assert_int_equal(other_leaf, upkeep_entry(&c, fault[LOST].ipa.v, &(int){0}));
		for (unsigned i = 0; i < BATCH; i++) {
			pt_pte e = upkeep_entry(&c, fault[i].ipa.v, &(int){0});

			if (i == LOST && !same)
				continue;
			assert_int_equal(same || i < LOST, pt_pte_valid(e));
			if (!pt_pte_valid(e))
				continue;
			assert_int_equal(PT_SZ_2M + fault[i].ipa.v, pt_pte_to_oa(&c.ctx.geo, e).v);
			ASSERT_OUTCOME(i == LOST ? PT_ALREADY_MAPPED : PT_MAPPED,
				       (enum pt_outcome)page[i].outcome);
			assert_int_equal(PT_SZ_2M + fault[i].ipa.v, page[i].pa.v);
		}
		close_race(&c);
		free(slots);
	}
}

/* Tables above a claim's edge are anybody's to add: what a range has made is surplus then, also
 * where it had written annotations into it. */
static void a_table_that_another_agent_links_first_is_used(void **state)
{
	static const enum pt_item_kind kinds[] = {PT_ITEM_MAP, PT_ITEM_ANNOTATE};

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		enum pt_item_kind kind = kinds[k & 1];
		bool map = kind == PT_ITEM_MAP;
		struct pt_effects fx;
		struct pt_item item;
		struct core c;

		open_race(&c, &shapes[0]);
		item = core_item(&c, kind, 0x1000, 0x2000, map ? 0x1000 : NOTE, map ? PT_PROT_R : 0,
				 0);
		race.item = core_item(&c, PT_ITEM_MAP, 0x8000, 0x1000, 0x8000, PT_PROT_R, 0);
		arm(PT_EVENT_CAS, k >> 1, other_points);
		ASSERT_OUTCOME(map ? PT_MAPPED : PT_ANNOTATED, core_range(&c, item, &fx));
		disarm();
		ASSERT_OUTCOME(PT_MAPPED, race.outcome);
		assert_int_equal(2, map ? fx.leaves_written : fx.annotated);
		/* A table of level 2 and one of level 3, whoever made them. */
		assert_int_equal(2, atomic_load(&c.ctx.table_pages));
		assert_int_equal(k >> 1, fx.tables_added);
		assert_int_equal(HW_NO_FAULT, core_walk(&c, 0x8000, HW_READ).fault);
		for (uint64_t ipa = 0x1000; ipa < 0x3000; ipa += 0x1000) {
			int level;
			pt_pte e = upkeep_entry(&c, ipa, &level);

			assert_int_equal(3, level);
			assert_int_equal(map ? ipa : NOTE, map ? pt_pte_to_oa(&c.ctx.geo, e).v : e);
		}
		close_race(&c);
	}
}

/* A point that made tables gives them back when another's are there first. */
static void a_chain_of_tables_comes_too_late(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		uint64_t page, pages, used;
		struct pt_item item;
		struct core c;

		open_race(&c, &shapes[i]);
		page = core_size(&c, 3);
		item = core_item(&c, PT_ITEM_MAP, page, page, page, PT_PROT_R, 0);
		race.item = core_item(&c, PT_ITEM_MAP, 3 * page, page, 0, PT_PROT_R, 0);
		arm(PT_EVENT_CAS, 0, other_points);
		ASSERT_OUTCOME(PT_RACED, core_point(&c, item, NULL, NULL));
		disarm();
		ASSERT_OUTCOME(PT_MAPPED, race.outcome);
		pages = atomic_load(&c.ctx.table_pages);
		used = atomic_load(&c.tables.world.pool.used_bytes);
		assert_int_equal(3 - c.ctx.geo.start_level, pages);
		ASSERT_OUTCOME(PT_MAPPED, core_point(&c, item, NULL, NULL));
		assert_int_equal(pages, atomic_load(&c.ctx.table_pages));
		assert_int_equal(used, atomic_load(&c.tables.world.pool.used_bytes));
		close_race(&c);
	}
}

static struct pt_txn teardown;

static void teardown_begins(const struct pt_event *e)
{
	(void)e;
	race.outcome = pt_ctx_destroy_begin(&teardown, &race.c->ctx, NULL);
}

/* The context begins to end just before the claim is asked for: nothing was done. */
static void a_teardown_comes_before_the_claim(void **state)
{
	static uint64_t memory[16];

	(void)state;
	for (unsigned kind = 0; kind <= PT_UPKEEP_SWEEP + 1; kind++) {
		struct pt_dirty_log log;
		struct pt_dirty_args start = {
			.kind = PT_DIRTY_START, .log = &log, .size = PT_SZ_2M, .memory = memory};
		enum pt_outcome outcome;
		struct pt_upkeep_args args;
		struct pt_item item;
		struct pt_upkeep u;
		struct pt_dirty op;
		struct core c;

		open_race(&c, &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_RW, 0));
		memset(memory, 0, sizeof(memory));
		start.ctx = &c.ctx;
		args = upkeep_args(&c, kind, 0, PT_SZ_2M);
		args.clear = kind == PT_UPKEEP_AGE;
		item = core_item(&c, PT_ITEM_UNMAP, 0, 0x2000, 0, 0, 0);
		ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, &start, NULL));
		arm(PT_EVENT_LOCK, 0, teardown_begins);
		if (kind > PT_UPKEEP_SWEEP) {
			pt_section_begin(&c.agent);
			outcome = pt_dirty_step(&op, &c.agent, 1000);
			pt_section_end(&c.agent);
		} else {
			outcome =
				kind ? upkeep_run(&c, &u, args, 1000) : core_range(&c, item, NULL);
		}
		disarm();
		ASSERT_OUTCOME(PT_OK, race.outcome);
		ASSERT_OUTCOME(PT_WRONG_STATE, outcome);
		assert_null(atomic_load(&c.ctx.dirty));
		assert_int_equal(HW_NO_FAULT, core_walk(&c, 0, HW_WRITE).fault);
		ASSERT_OUTCOME(PT_OK, core_run(&teardown, &c.agent, 1000));
		while (pt_reclaim(&c.agent))
			continue;
		c.ctx.machine = NULL;
		close_race(&c);
	}
}

/* ---- the hardware is first ---- */

static void hardware_sets(const struct pt_event *e)
{
	pt_pte *slot = (pt_pte *)(uintptr_t)e->at, old = __atomic_load_n(slot, __ATOMIC_RELAXED);

	assert_true(pt_checked_event_cas(slot, &old, old | race.set, PT_EVENT_HW_CAS));
}

/* A context whose hardware keeps both flags, with a writable-clean leaf of `level` at 2M. */
static uint64_t open_clean(struct core *c, int level, unsigned bbm)
{
	uint64_t ipa = PT_SZ_2M, size;

	open_race(c, &shapes[0]);
	c->ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
	c->ctx.plain = false;
	c->ctx.bbm = (uint8_t)bbm;
	core_note_options(&c->ctx);
	size = core_size(c, level);
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, ipa, size, ipa, PT_PROT_RW, 0));
	upkeep_poke(c, ipa, PT_PTE_S2AP_W, PT_PTE_DBM);
	return ipa;
}

/* The flag goes, what the hardware noted beside it stays (W9). */
static void ageing_keeps_what_the_hardware_notes(void **state)
{
	(void)state;
	for (int level = 2; level <= 3; level++) {
		struct pt_upkeep_args args;
		struct pt_upkeep u;
		struct core c;
		uint64_t ipa = open_clean(&c, level, 0);
		int at;

		args = upkeep_args(&c, PT_UPKEEP_AGE, ipa, core_size(&c, level));
		args.clear = true;
		race.set = PT_PTE_S2AP_W;
		arm(PT_EVENT_CAS, 0, hardware_sets);
		ASSERT_OUTCOME(PT_OK, upkeep_run(&c, &u, args, 1000));
		disarm();
		assert_int_equal(PT_PTE_DBM | PT_PTE_S2AP_W,
				 upkeep_entry(&c, ipa, &at) &
					 (PT_PTE_DBM | PT_PTE_S2AP_W | PT_PTE_AF));
		assert_int_equal(level, at);
		assert_int_equal(core_size(&c, level) / 0x1000, u.young);
		close_race(&c);
	}
}

/* A block that becomes dirty while it is split leaves dirty pages behind, at each level of
 * FEAT_BBM.
 */
static void a_split_keeps_what_the_hardware_notes(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		unsigned bbm = k < 3 ? k : 1, second = k == 3; /* level 1: nT, then the table */
		struct pt_upkeep u;
		struct core c;
		uint64_t ipa = open_clean(&c, 2, bbm);
		int level;

		race.set = PT_PTE_S2AP_W;
		arm(PT_EVENT_CAS, second, hardware_sets);
		ASSERT_OUTCOME(
			PT_OK,
			upkeep_run(&c, &u, upkeep_args(&c, PT_UPKEEP_SPLIT, ipa, PT_SZ_2M), 1000));
		disarm();
		for (uint64_t page = 0; page < PT_SZ_2M; page += 0x1000) {
			pt_pte e = upkeep_entry(&c, ipa + page, &level);

			assert_int_equal(3, level);
			assert_int_equal(ipa + page, pt_pte_to_oa(&c.ctx.geo, e).v);
			assert_int_equal(PT_PTE_DBM | PT_PTE_S2AP_W | PT_PTE_AF,
					 e & (PT_PTE_DBM | PT_PTE_S2AP_W | PT_PTE_AF));
		}
		close_race(&c);
	}
}

/* A log that begins while the hardware sets an access flag. */
static void a_log_that_begins_keeps_the_access_flag(void **state)
{
	static uint64_t memory[16];
	struct pt_dirty_log log;
	struct pt_dirty_args args = {
		.kind = PT_DIRTY_START, .log = &log, .size = PT_SZ_2M, .memory = memory};
	struct pt_dirty op;
	enum pt_outcome outcome;
	struct core c;
	int level;

	(void)state;
	memset(memory, 0, sizeof(memory));
	args.ipa.v = open_clean(&c, 3, 0);
	args.ctx = &c.ctx;
	upkeep_poke(&c, args.ipa.v, PT_PTE_AF, PT_PTE_S2AP_W);
	race.set = PT_PTE_AF;
	arm(PT_EVENT_CAS, 0, hardware_sets);
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, &args, NULL));
	do {
		pt_section_begin(&c.agent);
		outcome = pt_dirty_step(&op, &c.agent, 1000);
		pt_section_end(&c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	disarm();
	assert_int_equal(PT_PTE_DBM | PT_PTE_AF, upkeep_entry(&c, args.ipa.v, &level) &
							 (PT_PTE_DBM | PT_PTE_S2AP_W | PT_PTE_AF));
	assert_int_equal(1, op.effects.leaves_written);
	args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &log};
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, &args, NULL));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_OK, pt_dirty_step(&op, &c.agent, 1000));
	pt_section_end(&c.agent);
	close_race(&c);
}

/* A fault that adds a right while the hardware sets the access flag goes on. */
static void a_fault_is_not_raced_by_the_hardware(void **state)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));
	struct pt_fault in = {.ipa = {PT_SZ_2M}, .access = PT_ACCESS_EXEC};
	struct pt_fault_result r;
	enum pt_outcome outcome;
	struct core c;

	(void)state;
	assert_non_null(slots);
	open_clean(&c, 3, 0);
	slots->count = 1;
	slots->slot[0] = (struct pt_slot){
		.ipa = PT_SZ_2M, .size = PT_SZ_2M, .pa = PT_SZ_2M, .backing_shift = 12};
	pt_ctx_set_slots(&c.ctx, slots);
	upkeep_poke(&c, PT_SZ_2M, PT_PTE_AF, 0);
	race.set = PT_PTE_S2AP_W;
	arm(PT_EVENT_CAS, 0, hardware_sets);
	pt_section_begin(&c.agent);
	outcome = pt_fault_handle(&c.agent, &c.ctx, &in, &r);
	pt_section_end(&c.agent);
	disarm();
	ASSERT_OUTCOME(PT_RELAXED, outcome);
	assert_int_equal(PT_PROT_RWX, r.prot);
	assert_int_equal(PT_PTE_S2AP_W | PT_PTE_AF,
			 upkeep_entry(&c, PT_SZ_2M, &(int){0}) & (PT_PTE_S2AP_W | PT_PTE_AF));
	close_race(&c);
	free(slots);
}

/* ---- VMIDs ---- */

static void other_runs(const struct pt_event *e)
{
	(void)e;
	pt_section_begin(&race.b);
	pt_machine_use(&race.c->machine, &race.b);
	race.outcome = pt_vmid_get(race.ctx, &race.b);
	pt_section_end(&race.b);
}

static enum pt_outcome run(struct core *c, struct pt_ctx *ctx)
{
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	pt_machine_use(&c->machine, &c->agent);
	outcome = pt_vmid_get(ctx, &c->agent);
	pt_section_end(&c->agent);
	return outcome;
}

/* One number for a context that two agents run at the same moment; none for anybody between the
 * begin of a rollover and its invalidation. */
static void numbers_are_given_once(void **state)
{
	struct pt_ctx ctx[2];
	struct pt_txn txn;
	struct core c;

	(void)state;
	open_race(&c, &shapes[0]);
	for (unsigned i = 0; i < 2; i++)
		ASSERT_OUTCOME(PT_OK, pt_ctx_init(&ctx[i], &c.agent, &c.machine, &c.ctx.geo,
						  PT_ATTR_FWB, 0, UINT64_MAX));
	race.ctx = &ctx[0];
	arm(PT_EVENT_LOCK, 0, other_runs);
	ASSERT_OUTCOME(PT_OK, run(&c, &ctx[0]));
	disarm();
	ASSERT_OUTCOME(PT_OK, race.outcome);
	assert_int_equal(2, c.machine.vmids.narrow);
	assert_int_equal(2, pt_ctx_vmid(&ctx[0]));

	c.machine.vmids.narrow = 255;
	race.ctx = &ctx[0];
	arm(PT_EVENT_TLBI, 0, other_runs);
	ASSERT_OUTCOME(PT_OK, run(&c, &ctx[1]));
	disarm();
	ASSERT_OUTCOME(PT_MORE, race.outcome);
	assert_int_equal(0, pt_ctx_vmid(&ctx[0]));
	assert_int_equal(1, pt_ctx_vmid(&ctx[1]));
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &ctx[i], NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	}
	close_race(&c);
}

/* ---- a walk beside a change ---- */

static pt_pte *gone;

static void table_goes(const struct pt_event *e)
{
	(void)e;
	core_poke(gone, 0);
}

/* Explain reads from the root again for each step: it ends where the tree ends by then. */
static void explain_ends_where_the_tree_has_ended(void **state)
{
	struct pt_walk_step step[PT_LEVELS];
	struct core c;
	pt_pte was;

	(void)state;
	open_race(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0, PT_PROT_R, 0));
	assert_int_equal(3, pt_walk_explain(&c.ctx, pt_ipa(0x1000), step));
	gone = pt_port_table(&c.port, step[0].table) + step[0].index;
	was = *gone;
	arm(PT_EVENT_LOAD, 1, table_goes);
	pt_section_begin(&c.agent);
	assert_int_equal(1, pt_walk_explain(&c.ctx, pt_ipa(0x1000), step));
	pt_section_end(&c.agent);
	disarm();
	assert_int_equal(was, step[0].entry);
	core_poke(gone, was);
	close_race(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_of_two_points_changes_nothing),
		cmocka_unit_test(the_second_of_two_faults_finds_the_leaf),
		cmocka_unit_test(a_batch_of_points_ends_where_it_loses),
		cmocka_unit_test(a_batch_of_faults_looks_again_where_it_loses),
		cmocka_unit_test(a_table_that_another_agent_links_first_is_used),
		cmocka_unit_test(a_chain_of_tables_comes_too_late),
		cmocka_unit_test(a_teardown_comes_before_the_claim),
		cmocka_unit_test(ageing_keeps_what_the_hardware_notes),
		cmocka_unit_test(a_split_keeps_what_the_hardware_notes),
		cmocka_unit_test(a_log_that_begins_keeps_the_access_flag),
		cmocka_unit_test(a_fault_is_not_raced_by_the_hardware),
		cmocka_unit_test(numbers_are_given_once),
		cmocka_unit_test(explain_ends_where_the_tree_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
