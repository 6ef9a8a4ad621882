/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs at the edges: of each argument, of each step's budget, of what others do meanwhile. */
#include "dirty_fixture.h"

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
}

static unsigned logs(const struct logged *l)
{
	const struct pt_dirty_log *log = atomic_load(&l->c.ctx.dirty);
	unsigned n = 0;

	for (; log; log = atomic_load(&log->next))
		n++;
	return n;
}

/* The range of START and GET, at each end of the space and of the log. */
static void ranges_at_their_edges(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct logged l;
		uint64_t page, top, end;

		logged_open_on(&l, &shapes[s], 0, 1);
		page = l.page;
		top = UINT64_C(1) << l.c.ctx.geo.ipa_bits;
		end = l.base + l.size;
		const struct {
			uint64_t ipa, size;
			enum pt_outcome start, get;
		} rows[] = {
			{l.base, 0, PT_INVALID, PT_INVALID},
			{0 - page, 2 * page, PT_INVALID, PT_INVALID},
			{0, 0 - page, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{l.base + 1, page, PT_MISALIGNED, PT_MISALIGNED},
			{l.base + page / 2, page, PT_MISALIGNED, PT_MISALIGNED},
			{l.base, page - 1, PT_MISALIGNED, PT_MISALIGNED},
			{l.base, page + page / 2, PT_MISALIGNED, PT_MISALIGNED},
			{top, page, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{top - page, 2 * page, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{UINT64_C(1) << 63, page, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{0, page, PT_OK, PT_OUT_OF_RANGE},
			{top - page, page, PT_OK, PT_OUT_OF_RANGE},
			{l.base - page, 2 * page, PT_OK, PT_OUT_OF_RANGE},
			{end - page, 2 * page, PT_OK, PT_OUT_OF_RANGE},
			{end, page, PT_OK, PT_OUT_OF_RANGE},
			{l.base, page, PT_OK, PT_OK},
			{end - page, page, PT_OK, PT_OK},
		};

		log_start(&l, false, false);
		for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
			bool start = i & 1;
			struct pt_digest before = core_digest_of(&l.c);
			static uint64_t memory[64];
			struct pt_dirty_log second;
			struct pt_dirty_args args = get_args(&l, true, l.log.generation);
			enum pt_outcome want = start ? rows[i / 2].start : rows[i / 2].get;

			memset(memory, 0, sizeof(memory));
			if (start) {
				args = start_args(&l, false, false);
				args.memory = memory;
				args.log = &second;
			}
			args.ipa.v = rows[i / 2].ipa;
			args.size = rows[i / 2].size;
			ASSERT_OUTCOME(want, dirty_run(&l, &args, 100000));
			assert_int_equal(before.state[0], core_digest_of(&l.c).state[0]);
			assert_int_equal(start && want == PT_OK ? 2 : 1, logs(&l));
			if (!start || want != PT_OK)
				continue;
			args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &second};
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 100000));
			assert_int_equal(0, l.op.dirty);
		}
		log_stop(&l);
		logged_close(&l);
	}
}

/* What must be given, and what a kind is; each kind without it is refused. */
static void what_is_missing_is_refused(void **state)
{
	static const uint32_t unknown[] = {0, 4, 5, 255, UINT32_C(1) << 31 | PT_DIRTY_STOP};
	struct pt_dirty_args args;
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 1);
	args = start_args(&l, false, false);
	args.log = NULL;
	for (args.kind = PT_DIRTY_START; args.kind <= PT_DIRTY_STOP; args.kind++)
		ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 1));
	args = start_args(&l, false, false);
	args.ctx = NULL;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 1));
	args = start_args(&l, false, false);
	args.memory = NULL;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 1));
	assert_int_equal(0, logs(&l));
	log_start(&l, false, false);
	args = get_args(&l, true, 1);
	args.bitmap = NULL;
	ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 1));
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		args = get_args(&l, true, 1);
		args.kind = unknown[i];
		ASSERT_OUTCOME(PT_INVALID, dirty_run(&l, &args, 1));
	}
	/* A generation that was never told; nothing is acknowledged by it. */
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
	assert_int_equal(1, log_get(&l, true));
	args = get_args(&l, true, 5);
	ASSERT_OUTCOME(PT_GENERATION_MISMATCH, dirty_run(&l, &args, 100));
	args = get_args(&l, false, 0);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 100));
	assert_int_equal(1, l.op.dirty);
	log_stop(&l);
	logged_close(&l);
}

/* Any budget comes to the same end, none at all counts as one; a step after the end does nothing.
 * More pages than a word of the log has, so that words are passed in parts. */
static void each_budget_comes_to_the_same_end(void **state)
{
	static const uint32_t budgets[] = {0, 1, 2, 63, 1000000};

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		for (unsigned b = 0; b < 5; b++) {
			struct pt_dirty_args args;
			struct logged l;

			logged_open_on(&l, &shapes[0], dirty_modes[m], 2);
			args = start_args(&l, false, true);
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, budgets[b]));
			for (unsigned clear = 0; clear < 2; clear++) {
				args = get_args(&l, clear, 0);
				ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, budgets[b]));
				assert_int_equal(2 * l.per_block, l.op.dirty);
				assert_int_equal(l.base + l.size, l.op.next);
			}
			ASSERT_OUTCOME(PT_OK, dirty_step(&l, budgets[b]));
			assert_int_equal(2, l.op.generation);
			for (uint64_t p = 0; p < 2 * l.per_block; p += 100)
				ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base + p * l.page,
								 PT_ACCESS_WRITE, NULL));
			args = get_args(&l, true, 2);
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, budgets[b]));
			assert_int_equal(11, l.op.dirty);
			args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &l.log};
			/* The last answer is not acknowledged by a STOP: it has arrived. */
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, budgets[b]));
			assert_int_equal(0, l.op.dirty);
			assert_int_equal(0, logs(&l));
			logged_close(&l);
		}
	}
}

/* Entries a step. Under sanitizers and the runtime checker, and at EL2, a block takes as many steps
 * in each granule; the plain run goes on by the smallest of them in all. */
static uint32_t step_budget(const struct logged *l)
{
#if defined(PT_CHECKED) || !__STDC_HOSTED__
	return (uint32_t)l->per_block / 25;
#else
	(void)l;
	return 20;
#endif
}

/* Given up after each number of steps: the log is gone, or nothing told is lost; and the next call
 * works. */
static void given_up_anywhere(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		bool over = false;

		for (unsigned steps = 0; !over; steps++) {
			struct pt_dirty_args args;
			struct logged l;
			uint32_t budget;

			logged_open_on(&l, &shapes[i], dirty_modes[m], 1);
			budget = step_budget(&l);
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
			args = start_args(&l, true, false);
			ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l.op, &args, NULL));
			for (unsigned k = 0; k < steps && !over; k++)
				over = dirty_step(&l, budget) == PT_OK;
			pt_section_begin(&l.c.agent);
			assert_true(pt_dirty_abort(&l.op, &l.c.agent));
			assert_true(pt_dirty_abort(&l.op, &l.c.agent));
			pt_section_end(&l.c.agent);
			assert_int_equal(over, logs(&l));
			assert_int_equal(0, atomic_load(&l.c.ctx.claims));
			if (!over)
				log_start(&l, true, false);
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
			args = get_args(&l, true, 0);
			ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l.op, &args, NULL));
			for (unsigned k = 0; k < steps; k++)
				if (dirty_step(&l, budget) == PT_OK)
					break;
			pt_section_begin(&l.c.agent);
			assert_true(pt_dirty_abort(&l.op, &l.c.agent));
			pt_section_end(&l.c.agent);
			args = get_args(&l, true, 0); /* 0: whatever was told is told again */
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 100000));
			assert_int_equal(1, l.op.dirty);
			assert_true(told(&l, l.base));
			log_stop(&l);
			logged_close(&l);
		}
	}
}

/* Behind another claim an operation waits, however often it is asked; it can be given up there. */
static void queued_behind_a_claim(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		bool start = k & 1, give_up = k & 2;
		struct pt_dirty_args args;
		struct pt_claim claim;
		struct logged l;

		logged_open_on(&l, &shapes[0], 0, 1);
		if (!start) {
			log_start(&l, false, false);
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
		}
		ASSERT_OUTCOME(PT_OK,
			       pt_claim_acquire(&claim, &l.c.ctx, l.base, l.base + l.page - 1,
						PT_CLAIM_EXCLUSIVE, false, NULL));
		args = start ? start_args(&l, false, false) : get_args(&l, true, 0);
		ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l.op, &args, wake));
		for (unsigned i = 0; i < 3; i++)
			ASSERT_OUTCOME(PT_PARKED, dirty_step(&l, 1000));
		assert_int_equal(!start, logs(&l));
		if (give_up) {
			pt_section_begin(&l.c.agent);
			assert_true(pt_dirty_abort(&l.op, &l.c.agent));
			pt_section_end(&l.c.agent);
			assert_null(l.c.ctx.first);
		}
		pt_claim_release(&claim);
		if (!give_up)
			ASSERT_OUTCOME(PT_OK, dirty_step(&l, 100000));
		assert_int_equal(0, atomic_load(&l.c.ctx.claims));
		if (start && give_up)
			assert_int_equal(0, logs(&l));
		else if (start)
			assert_int_equal(0, log_stop(&l));
		else /* told and taken as arrived, or still there */
			assert_int_equal(give_up, log_stop(&l));
		logged_close(&l);
	}
}

/* A block that comes to stand over the edge while the operation waits for its claim: the claim is
 * taken again, around all of it. */
static void a_late_block_over_the_edge(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		bool high = k & 1, eager = k & 2;
		struct pt_dirty_args args;
		struct pt_claim claim;
		struct pt_effects fx = {0};
		struct pt_item block;
		struct logged l;
		uint64_t cut;

		logged_open_on(&l, &shapes[0], 0, 2);
		args = start_args(&l, eager, false);
		cut = high ? l.block + 4 * l.page : 4 * l.page;
		args.ipa.v += high ? 0 : cut;
		args.size = high ? cut : l.size - cut;
		ASSERT_OUTCOME(PT_OK,
			       pt_claim_acquire(&claim, &l.c.ctx, l.base, l.base + l.size - 1,
						PT_CLAIM_EXCLUSIVE, false, NULL));
		ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l.op, &args, wake));
		ASSERT_OUTCOME(PT_PARKED, dirty_step(&l, 1000));
		assert_int_equal(args.ipa.v, l.op.claim.lo); /* nothing stood there */
		assert_int_equal(args.ipa.v + args.size - 1, l.op.claim.hi);
		/* What the owner of the other claim maps. */
		atomic_store(&l.c.ctx.claims, 0);
		block = core_item(&l.c, PT_ITEM_MAP, l.base + (high ? l.block : 0), l.block,
				  high ? l.block : 0, PT_PROT_RW, 0);
		pt_section_begin(&l.c.agent);
		ASSERT_OUTCOME(PT_MAPPED, pt_point(&l.c.agent, &block, &fx, NULL));
		pt_section_end(&l.c.agent);
		atomic_store(&l.c.ctx.claims, 1);
		pt_claim_release(&claim);
		ASSERT_OUTCOME(PT_OK, dirty_step(&l, 100000));
		assert_true(l.op.wide);
		assert_int_equal(eager, l.op.effects.blocks_split);
		assert_int_equal(HW_PERMISSION,
				 core_walk(&l.c, l.base + l.block - !high, HW_WRITE).fault);
		assert_int_equal(0, log_stop(&l));
		logged_close(&l);
	}
}

/* STOP of a log that is not attached any more finds nothing to do. */
static void stopped_twice(void **state)
{
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 1);
	log_start(&l, false, false);
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
	assert_int_equal(1, log_stop(&l));
	assert_int_equal(1, log_stop(&l));
	logged_close(&l);
}

/* The hint that a START left on a group (every page counted as dirty): for who only reads what the
 * hardware noted, a dirty page makes all of its group dirty. */
static void a_read_tells_a_group_as_a_whole(void **state)
{
	struct pt_dirty_args args;
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], PT_VTCR_HA | PT_VTCR_HD, 1);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&l.c, l.base, 32 * l.page, l.base + DIRTY_OFFSET,
					   PT_PROT_RW, PT_MAP_CONTIGUOUS));
	log_start(&l, false, false);
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
	assert_int_equal(1, log_get(&l, true));
	log_stop(&l);
	/* Regrouped by a map after the log; then a log that begins with every page set. */
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&l.c, l.base, 32 * l.page));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&l.c, l.base, 32 * l.page, l.base + DIRTY_OFFSET,
					   PT_PROT_RW, PT_MAP_CONTIGUOUS));
	for (unsigned i = 0; i < 32; i++) {
		struct pt_walk_step step[PT_LEVELS];
		unsigned n = pt_walk_explain(&l.c.ctx, pt_ipa(l.base + i * l.page), step);
		pt_pte *slot = pt_port_table(&l.c.port, step[n - 1].table) + step[n - 1].index;

		assert_true(*slot & PT_PTE_CONTIGUOUS);
		core_poke(slot, (*slot | PT_PTE_DBM) & ~(i == 5 ? 0 : PT_PTE_S2AP_W));
	}
	args = start_args(&l, false, true);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	memset(l.memory, 0,
	       pt_dirty_bytes(12, l.size)); /* none of it: only what is in the leaves */
	args = get_args(&l, false, 1);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(16, l.op.dirty);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(i < 16, told(&l, l.base + i * l.page));
	log_stop(&l);
	logged_close(&l);
}

/* Eager splitting that ran out of pages at each page in turn: the log begins all the same, says so,
 * and translates as before. Reading it later splits nothing either. */
static void a_start_without_pages_for_its_splits(void **state)
{
	(void)state;
	EACH_SHAPE_AND_MODE(i, m)
	{
		enum pt_outcome stopped = PT_NO_MEMORY;
		uint32_t nth = 0;

		while (stopped == PT_NO_MEMORY) {
			struct pt_host_failpoint how = {.scope = 4714, .nth = ++nth, .times = 1};
			struct pt_dirty_args args;
			uint64_t hits, failures;
			struct logged l;

			logged_open_on(&l, &shapes[i], dirty_modes[m], 3);
			l.c.ctx.scope = 4714;
			ASSERT_OUTCOME(PT_MAPPED, core_map(&l.c, l.base, l.size,
							   l.base + DIRTY_OFFSET, PT_PROT_RW, 0));
			args = start_args(&l, true, false);
			pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
			pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
			pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
			stopped = l.op.stopped;
			assert_int_equal(failures, stopped == PT_NO_MEMORY);
			assert_int_equal(stopped == PT_NO_MEMORY ? nth - 1 : 3,
					 l.op.effects.blocks_split);
			for (uint64_t a = l.base; a < l.base + l.size; a += l.block) {
				struct hw_result r = core_walk(&l.c, a + l.page, HW_READ);

				assert_int_equal(HW_NO_FAULT, r.fault);
				assert_int_equal(a + l.page + DIRTY_OFFSET, r.pa);
				assert_int_equal((a - l.base) / l.block < nth - 1 ? 3 : 2, r.level);
			}
			args = get_args(&l, false, 1);
			ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
			assert_int_equal(0, l.op.dirty);
			assert_int_equal(0, l.op.effects.blocks_split);
			log_stop(&l);
			logged_close(&l);
		}
		ASSERT_OUTCOME(PT_OK, stopped);
		assert_int_equal(4, nth); /* three injected, three told */
	}
}

/* Writes beside the log are none of its business, also of two logs; and a page that logging made
 * read-only keeps its right without a slot. */
static void writes_beside_the_log(void **state)
{
	static uint64_t memory[64];
	struct pt_dirty_log second;
	struct pt_dirty_args args;
	struct pt_fault_result r;
	struct logged l;

	(void)state;
	logged_open_on(&l, &shapes[0], 0, 4);
	memset(memory, 0, sizeof(memory));
	args = start_args(&l, false, false);
	args.size = l.block;
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	args.log = &second;
	args.ipa.v += 3 * l.block;
	args.memory = memory;
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	ASSERT_OUTCOME(PT_MAPPED, dirty_fault(&l, l.base + l.block, PT_ACCESS_WRITE, &r));
	assert_int_equal(2, r.level); /* a block: no log meets it */
	ASSERT_OUTCOME(PT_MAPPED, dirty_fault(&l, l.base + 3 * l.block, PT_ACCESS_READ, &r));
	assert_int_equal(3, r.level);
	ASSERT_OUTCOME(PT_RELAXED, dirty_fault(&l, l.base + 3 * l.block, PT_ACCESS_WRITE, &r));
	ASSERT_OUTCOME(PT_HOLE, core_unmap(&l.c, l.base + 2 * l.block, l.block));
	/* Clean again, and then the slot goes. */
	args = (struct pt_dirty_args){.kind = PT_DIRTY_GET,
				      .log = &second,
				      .ipa = {l.base + 3 * l.block},
				      .size = l.block,
				      .clear = true,
				      .bitmap = l.bitmap};
	memset(l.bitmap, 0, l.size / l.page / 8 + 1);
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(1, l.op.dirty);
	pt_ctx_set_slots(&l.c.ctx, NULL);
	ASSERT_OUTCOME(PT_RELAXED, dirty_fault(&l, l.base + 3 * l.block, PT_ACCESS_WRITE, &r));
	assert_int_equal(PT_TODO_NONE, r.todo.kind);
	args = (struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &second};
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(1, l.op.dirty);
	args.log = &l.log;
	ASSERT_OUTCOME(PT_OK, dirty_run(&l, &args, 1000));
	assert_int_equal(0, l.op.dirty);
	logged_close(&l);
}

/* Made clean and split: one invalidation for both, and one for the mark of FEAT_BBM level 1. */
static void a_block_is_invalidated_once(void **state)
{
	(void)state;
	for (unsigned bbm = 0; bbm < 3; bbm++)
		for (unsigned i = 0; i < SHAPES; i++) {
			struct logged l;

			logged_open_on(&l, &shapes[i], 0, 2);
			l.c.ctx.bbm = (uint8_t)bbm;
			core_note_options(&l.c.ctx);
			ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
			assert_int_equal(2, core_walk(&l.c, l.base, HW_AT).level);
			log_start(&l, true, false);
			assert_int_equal(3, core_walk(&l.c, l.base, HW_AT).level);
			assert_int_equal(bbm == 1 ? 2 : 1, l.op.effects.tlbis);
			log_stop(&l);
			logged_close(&l);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_at_their_edges),
		cmocka_unit_test(what_is_missing_is_refused),
		cmocka_unit_test(each_budget_comes_to_the_same_end),
		cmocka_unit_test(given_up_anywhere),
		cmocka_unit_test(queued_behind_a_claim),
		cmocka_unit_test(a_late_block_over_the_edge),
		cmocka_unit_test(stopped_twice),
		cmocka_unit_test(a_read_tells_a_group_as_a_whole),
		cmocka_unit_test(a_start_without_pages_for_its_splits),
		cmocka_unit_test(writes_beside_the_log),
		cmocka_unit_test(a_block_is_invalidated_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
