/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on dirty logs beside another agent, stepped by hand; and every kind of access to every
 * kind of page, as KVM's page_fault_test has them. */
#include <pt/upkeep.h>

#include "dirty_fixture.h"

static struct pt_agent other; /* of the same machine */

static void open_with_other(struct logged *l)
{
	logged_open_on(l, &shapes[0], 0, 2);
	memset(&other, 0, sizeof(other));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&l->c.tables.world, &other));
	pt_section_begin(&other);
	pt_machine_use(&l->c.machine, &other);
	pt_section_end(&other);
}

static void close_with_other(struct logged *l)
{
	while (pt_reclaim(&other) || pt_reclaim(&l->c.agent))
		continue;
	pt_agent_leave(&other);
	logged_close(l);
}

static void begin(struct logged *l, struct pt_dirty_args args)
{
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&l->op, &args, NULL));
}

/* The log must not begin while a fault is under way that has not seen it. */
static void start_waits_for_those_who_may_not_see_the_log(void **state)
{
	struct logged l;

	(void)state;
	open_with_other(&l);
	pt_section_begin(&other);
	begin(&l, start_args(&l, false, false));
	for (unsigned i = 0; i < 10; i++) {
		ASSERT_OUTCOME(PT_MORE, dirty_step(&l, 1000));
		assert_null(atomic_load(&l.c.ctx.dirty));
		ASSERT_OUTCOME(PT_PARKED, dirty_fault(&l, l.base, PT_ACCESS_WRITE, NULL));
	}
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, dirty_step(&l, 100000));
	assert_ptr_equal(&l.log, atomic_load(&l.c.ctx.dirty));
	ASSERT_OUTCOME(PT_MAPPED, dirty_fault(&l, l.base, PT_ACCESS_WRITE, NULL));
	assert_int_equal(1, log_get(&l, true));
	log_stop(&l);
	close_with_other(&l);
}

/* A page is told clean when no access through an old translation is in flight any more (D2). */
static void an_answer_waits_for_accesses_in_flight(void **state)
{
	struct logged l;

	(void)state;
	open_with_other(&l);
	log_start(&l, false, false);
	ASSERT_OUTCOME(PT_OK, vcpu_touch(&l, 0, l.base, PT_ACCESS_WRITE, NULL));
	begin(&l, get_args(&l, true, 0));
	ASSERT_OUTCOME(PT_MORE, dirty_step(&l, 1));
	pt_section_begin(&other);
	for (unsigned i = 0; i < 50; i++)
		ASSERT_OUTCOME(PT_MORE, dirty_step(&l, 100000));
	assert_int_equal(1, l.log.generation);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, dirty_step(&l, 100000));
	assert_int_equal(2, l.log.generation);
	assert_int_equal(1, l.op.dirty);
	log_stop(&l);
	close_with_other(&l);
}

static void stop_waits_for_those_who_may_mark(void **state)
{
	struct pt_dirty_args args = {.kind = PT_DIRTY_STOP};
	struct logged l;

	(void)state;
	open_with_other(&l);
	log_start(&l, false, false);
	pt_section_begin(&other);
	args.log = &l.log;
	begin(&l, args);
	for (unsigned i = 0; i < 10; i++)
		ASSERT_OUTCOME(PT_MORE, dirty_step(&l, 1000));
	assert_null(atomic_load(&l.c.ctx.dirty));
	assert_false(pt_dirty_abort(&l.op, &l.c.agent));
	/* One that saw the log has its bit counted. */
	l.log.bits[0] |= 4;
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, dirty_step(&l, 1000));
	assert_int_equal(1, l.op.dirty);
	close_with_other(&l);
}

/* A write that the hardware notes, if the log is there; and a leaf that somebody would take out. */
static bool write_if_logged(struct logged *l, uint64_t *written)
{
	struct pt_item item =
		core_item(&l->c, PT_ITEM_UNMAP, l->base + l->size - l->page, l->page, 0, 0, 0);
	bool parked = core_point(&l->c, item, NULL, NULL) == PT_PARKED;

	if (atomic_load(&l->c.ctx.dirty))
		ASSERT_OUTCOME(PT_OK, vcpu_touch(l, 0, l->base + (*written)++ * 3 * l->page,
						 PT_ACCESS_WRITE, NULL));
	return parked;
}

/*
 * A log ends at one moment, and what the hardware has noted before it is counted, wherever the
 * operation was by then. The leaves stay until they are read.
 */
static void stop_counts_what_was_written_while_the_log_was_there(void **state)
{
	struct pt_dirty_args args = {.kind = PT_DIRTY_STOP};
	uint64_t written = 0, parked = 0;
	struct logged l;

	(void)state;
	open_with_other(&l);
	l.c.ctx.vtcr_flags = (uint8_t)dirty_modes[1];
	l.c.ctx.plain = false;
	core_note_options(&l.c.ctx);
	for (uint64_t k = 0; k < 2; k++)
		ASSERT_OUTCOME(PT_OK,
			       vcpu_touch(&l, 0, l.base + k * l.block, PT_ACCESS_WRITE, NULL));
	log_start(&l, true, false);
	pt_section_begin(&other);
	args.log = &l.log;
	begin(&l, args);
	for (unsigned i = 0; i < 4; i++) {
		ASSERT_OUTCOME(PT_MORE, dirty_step(&l, 16));
		write_if_logged(&l, &written);
	}
	pt_section_end(&other);
	while (dirty_step(&l, 16) == PT_MORE)
		parked += write_if_logged(&l, &written);
	assert_int_equal(written, l.op.dirty);
	assert_true(written >= 4);
	assert_true(parked > 3);
	close_with_other(&l);
}

/* Behind the claim of a GET a write is the next answer's, before it the write waits. */
static void faults_go_on_behind_the_claim(void **state)
{
	struct pt_fault_result r;
	struct logged l;
	unsigned behind = 0, parked = 0;

	(void)state;
	open_with_other(&l);
	log_start(&l, true, false);
	for (uint64_t p = 0; p < 2 * l.per_block; p++)
		ASSERT_OUTCOME(PT_OK,
			       vcpu_touch(&l, 0, l.base + p * l.page, PT_ACCESS_WRITE, NULL));
	begin(&l, get_args(&l, true, 0));
	while (dirty_step(&l, 64) == PT_MORE) {
		enum pt_outcome first = dirty_fault(&l, l.base, PT_ACCESS_WRITE, &r);
		enum pt_outcome last = dirty_fault(&l, l.base + l.size - 1, PT_ACCESS_READ, NULL);

		behind += first == PT_RELAXED;
		parked += last == PT_PARKED;
	}
	assert_int_equal(2 * l.per_block, l.op.dirty);
	assert_int_equal(1, behind); /* the first time; then it is writable */
	assert_true(parked > 3);
	assert_int_equal(1, log_get(&l, true));
	assert_true(told(&l, l.base));
	log_stop(&l);
	close_with_other(&l);
}

/* A context that is torn down under its log: STOP detaches all the same. */
static void stop_of_a_dying_context(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct pt_dirty_args args;
		struct logged l;
		struct pt_txn txn;

		logged_open_on(&l, &shapes[0], dirty_modes[m], 1);
		log_start(&l, false, false);
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &l.c.ctx, NULL));
		args = get_args(&l, true, 0);
		ASSERT_OUTCOME(PT_WRONG_STATE, dirty_run(&l, &args, 1000));
		log_stop(&l);
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &l.c.agent, 1000));
		l.c.ctx.machine = NULL;
		logged_close(&l);
	}
}

/* ---- every access to every page ---- */

enum page { HOLE, CLEAN, OLD, READ_ONLY, NO_SLOT, PAGES };

static const struct {
	const char *name;
	enum pt_access access;
	bool s1ptw, writes;
} accesses[] = {
	{"read", PT_ACCESS_READ, false, false},
	{"write", PT_ACCESS_WRITE, false, true},
	{"execute", PT_ACCESS_EXEC, false, false},
	{"AT", PT_ACCESS_AT, false, false},
	{"walk", PT_ACCESS_READ, true, false},
	{"walk that sets AF", PT_ACCESS_WRITE, true, true},
};

static void make_old(struct logged *l)
{
	struct pt_upkeep_args args = {.ctx = &l->c.ctx,
				      .kind = PT_UPKEEP_AGE,
				      .clear = true,
				      .ipa = {l->base},
				      .size = l->size};
	struct pt_upkeep upkeep;
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &args, NULL));
	do {
		pt_section_begin(&l->c.agent);
		outcome = pt_upkeep_step(&upkeep, &l->c.agent, 100000);
		pt_section_end(&l->c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
}

static uint64_t prepare(struct logged *l, enum page page)
{
	uint64_t ipa = l->base + 3 * l->page;

	if (page == CLEAN || page == OLD) {
		ASSERT_OUTCOME(PT_OK, vcpu_touch(l, 1, ipa, PT_ACCESS_WRITE, NULL));
		ASSERT_OUTCOME(PT_OK, vcpu_touch(l, 1, ipa, PT_ACCESS_EXEC, NULL));
		assert_int_equal(1, log_get(l, true));
	}
	if (page == OLD)
		make_old(l);
	if (page == READ_ONLY)
		logged_set_slot(l, 40, PT_SLOT_READ_ONLY);
	return page == NO_SLOT ? l->base + l->size : ipa;
}

static enum pt_outcome expected(enum page page, bool writes)
{
	if (page == NO_SLOT)
		return PT_NO_SLOT;
	return page == READ_ONLY && writes ? PT_READ_ONLY : PT_OK;
}

static void each_access_to_each_page(void **state)
{
	(void)state;
	for (unsigned a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++)
		for (enum page page = HOLE; page < PAGES; page++)
			EACH_SHAPE_AND_MODE(i, m)
			{
				struct pt_host_access x = {.access = (uint8_t)accesses[a].access,
							   .s1ptw = accesses[a].s1ptw,
							   .handle_faults = true};
				enum pt_outcome outcome, want = expected(page, accesses[a].writes);
				bool dirty = accesses[a].writes && want == PT_OK;
				struct logged l;

				logged_open_on(&l, &shapes[i], dirty_modes[m], 1);
				log_start(&l, false, false);
				x.ipa.v = prepare(&l, page);
				pt_section_begin(&l.c.agent);
				outcome = pt_host_access(&l.c.agent, &l.c.ctx, &l.ram, &x);
				pt_section_end(&l.c.agent);
				if (outcome != want || log_get(&l, true) != dirty)
					fail_msg("%s, page %d, %s, mode %u: %s, dirty %llu",
						 accesses[a].name, page, shapes[i].name, m,
						 pt_outcome_info(outcome)->name,
						 (unsigned long long)l.op.dirty);
				/* A write may need two exits: a walk makes the hardware's bit. */
				assert_in_range(x.exits, want != PT_OK || page == HOLE, 2);
				log_stop(&l);
				logged_close(&l);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_waits_for_those_who_may_not_see_the_log),
		cmocka_unit_test(an_answer_waits_for_accesses_in_flight),
		cmocka_unit_test(stop_waits_for_those_who_may_mark),
		cmocka_unit_test(stop_counts_what_was_written_while_the_log_was_there),
		cmocka_unit_test(faults_go_on_behind_the_claim),
		cmocka_unit_test(stop_of_a_dying_context),
		cmocka_unit_test(each_access_to_each_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
