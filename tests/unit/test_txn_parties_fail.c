/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions over several contexts that fail or end early: no party has changed, everything is
 * given back, and the next one works. */
#include "parties_fixture.h"

/* A layer above that reserves something: what it holds must be gone in the end. */
struct owner {
	unsigned checks, undone, borders, again, turn;
	int held;
	enum pt_outcome refusal;
};

static enum pt_outcome check(void *arg, struct pt_agent *agent, int64_t *left, struct pt_error *err)
{
	struct owner *owner = arg;

	(void)agent;
	--*left;
	owner->held += owner->turn == 0;
	owner->checks++;
	if (owner->turn++ < owner->again)
		return PT_MORE;
	owner->turn = 0;
	err->index = 1;
	err->ipa = pt_ipa(0x1234);
	return owner->refusal;
}

static bool between(void *arg, struct pt_agent *agent, uint32_t done, int64_t *left)
{
	struct owner *owner = arg;

	(void)agent;
	--*left;
	assert_int_equal(1, owner->held);
	assert_int_equal(owner->borders++, done);
	return true;
}

static void undo(void *arg, struct pt_agent *agent)
{
	struct owner *owner = arg;

	(void)agent;
	owner->held--;
	owner->undone++;
	owner->turn = 0;
}

static const struct pt_parties_hooks hooks = {check, between, undo};

/* A transfer that needs pages on both sides: pages out of blocks of the host, into two guests. */
struct transfer {
	struct parties_rig rig;
	struct pt_item item[4];
	struct owner owner;
	struct pt_parties p;
	struct pt_parties_args args;
};

static void open_transfer(struct transfer *t, unsigned shape)
{
	struct parties_rig *rig = &t->rig;
	uint64_t page, block;

	parties_open(rig, 3, &shapes[shape], &shapes[shape]);
	page = core_size(&rig->c, 3);
	block = core_size(&rig->c, 2);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig->c, 0, 4 * block, 0, PT_PROT_RWX, 0));
	t->item[0] = party_item(rig, 0, PT_ITEM_ANNOTATE, block + page, 2 * page, PARTY_GONE, 0, 0);
	t->item[1] = party_item(rig, 0, PT_ITEM_SET_SW, 2 * block + page, 2 * page, 0,
				PARTY_STATES & -PARTY_STATES, PT_ITEM_OWNER);
	t->item[2] = party_item(rig, 2, PT_ITEM_MAP, block, 2 * page, block + page, PT_PROT_RW,
				PT_ITEM_OWNER);
	t->item[3] = party_item(rig, 1, PT_ITEM_MAP, 3 * block, 2 * page, 2 * block + page,
				PT_PROT_RW | (PARTY_STATES & (PARTY_STATES << 1)), PT_ITEM_OWNER);
	t->owner = (struct owner){.again = 1};
	t->args = (struct pt_parties_args){
		.item = t->item, .count = 4, .hooks = &hooks, .arg = &t->owner};
}

static enum pt_outcome run(struct transfer *t, uint32_t budget)
{
	t->owner.borders = t->owner.checks = t->owner.undone = 0;
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&t->p, &t->args));
	return parties_run(&t->p, &t->rig.c.agent, budget);
}

static void done(struct transfer *t)
{
	assert_int_equal(4, t->owner.borders);
	assert_int_equal(0, t->owner.undone);
	assert_int_equal(1, t->owner.held); /* used */
	ASSERT_OUTCOME(PT_ANNOTATED, (enum pt_outcome)t->item[0].outcome);
	for (unsigned i = 1; i < 4; i++)
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)t->item[i].outcome);
	parties_at_rest(&t->rig);
}

/* B15, O4: each page that any party asks for is refused in turn. */
static void failing_each_reservation_changes_no_party(void **state)
{
	(void)state;
	for (unsigned shape = 0; shape < 3; shape++) {
		struct transfer t;
		unsigned nth = 0, levels;
		uint64_t failures;

		open_transfer(&t, shape);
		levels = (unsigned)(PT_LEVEL_LAST - t.rig.guest[0].geo.start_level);
		do {
			struct pt_host_failpoint how = {.nth = ++nth, .times = 1};
			struct parties_state before = parties_state_of(&t.rig);
			enum pt_outcome outcome;
			uint64_t hits;

			pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
			outcome = run(&t, 7);
			pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
			pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
			if (!failures) {
				ASSERT_OUTCOME(PT_OK, outcome);
				break;
			}
			ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
			ASSERT_OUTCOME(PT_NO_MEMORY, t.p.error.code);
			assert_int_equal(nth < 3 ? nth - 1 : 2 + (nth > 2 + levels),
					 t.p.error.index);
			assert_int_equal(0, t.p.effects.leaves_written);
			assert_int_equal(1, t.owner.undone);
			assert_int_equal(0, t.owner.held);
			parties_unchanged(&t.rig, &before);
		} while (failures);
		/* one for each split; in each guest those below the start tables */
		assert_int_equal(2 + 2 * levels, nth - 1);
		done(&t);
		parties_close(&t.rig);
	}
}

/* Each party's quota is its own. */
static void a_quota_of_any_party_refuses_all(void **state)
{
	struct parties_state before;
	struct transfer t;

	(void)state;
	open_transfer(&t, 0);
	before = parties_state_of(&t.rig);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t index[] = {0, 3, 2};
		struct pt_ctx *ctx = party(&t.rig, i);

		atomic_store(&ctx->quota_pages, 0);
		ASSERT_OUTCOME(PT_QUOTA, run(&t, 100));
		assert_int_equal(index[i], t.p.error.index);
		parties_unchanged(&t.rig, &before);
		atomic_store(&ctx->quota_pages, UINT64_MAX);
	}
	ASSERT_OUTCOME(PT_OK, run(&t, 100));
	done(&t);
	parties_close(&t.rig);
}

static void what_check_refuses_has_not_happened(void **state)
{
	struct parties_state before;
	struct transfer t;

	(void)state;
	open_transfer(&t, 0);
	before = parties_state_of(&t.rig);
	t.owner.refusal = PT_WRONG_OWNER;
	ASSERT_OUTCOME(PT_WRONG_OWNER, run(&t, 1));
	ASSERT_OUTCOME(PT_WRONG_OWNER, t.p.error.code);
	assert_int_equal(1, t.p.error.index);
	assert_int_equal(0x1234, t.p.error.ipa.v);
	assert_int_equal(2, t.owner.checks);
	assert_int_equal(1, t.owner.undone);
	assert_int_equal(0, t.owner.held);
	assert_int_equal(0, t.owner.borders);
	parties_unchanged(&t.rig, &before);
	t.owner.refusal = PT_OK;
	ASSERT_OUTCOME(PT_OK, run(&t, 1));
	done(&t);
	parties_close(&t.rig);
}

/* The item that stands in the way is named, whichever party's it is. */
static void an_error_names_its_item(void **state)
{
	struct parties_state before;
	struct transfer t;
	struct pt_item in_the_way;

	(void)state;
	open_transfer(&t, 0);
	in_the_way = party_item(&t.rig, 1, PT_ITEM_MAP, t.item[3].ipa.v + 0x1000, 0x1000, 0,
				PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_MAPPED, core_range(&t.rig.c, in_the_way, NULL));
	before = parties_state_of(&t.rig);
	ASSERT_OUTCOME(PT_OVERLAP, run(&t, 1));
	assert_int_equal(3, t.p.error.index);
	assert_int_equal(t.item[3].ipa.v + 0x1000, t.p.error.ipa.v);
	assert_int_equal(3, t.p.error.level);
	parties_unchanged(&t.rig, &before);
	parties_close(&t.rig);
}

/* Gives up after each number of steps: before the commit point nothing has happened, behind it it
 * goes on. */
static void abort_before_the_commit_point_gives_all_back(void **state)
{
	unsigned aborted = 0;

	(void)state;
	for (unsigned steps = 0;; steps++) {
		struct parties_state before;
		struct transfer t;
		enum pt_outcome o = PT_MORE;

		open_transfer(&t, 0);
		before = parties_state_of(&t.rig);
		ASSERT_OUTCOME(PT_OK, pt_parties_init(&t.p, &t.args));
		for (unsigned i = 0; i < steps && o == PT_MORE; i++)
			o = parties_step(&t.p, &t.rig.c.agent, 1);
		pt_section_begin(&t.rig.c.agent);
		if (pt_parties_abort(&t.p, &t.rig.c.agent)) {
			pt_section_end(&t.rig.c.agent);
			assert_false(pt_parties_committed(&t.p));
			assert_int_equal(0, t.owner.held);
			parties_unchanged(&t.rig, &before);
			aborted++;
			parties_close(&t.rig);
			continue;
		}
		pt_section_end(&t.rig.c.agent);
		assert_true(pt_parties_committed(&t.p));
		if (o == PT_MORE)
			o = parties_run(&t.p, &t.rig.c.agent, 1);
		ASSERT_OUTCOME(PT_OK, o);
		done(&t);
		parties_close(&t.rig);
		break;
	}
	assert_true(aborted > 5);
}

/* In the queue, and after the wake before it goes on. */
static unsigned woken;

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
	woken++;
}

static void giving_up_in_the_queue_lets_others_go(void **state)
{
	(void)state;
	for (unsigned granted = 0; granted < 2; granted++) {
		struct parties_state before;
		struct pt_claim first;
		struct transfer t;

		open_transfer(&t, 0);
		before = parties_state_of(&t.rig);
		t.args.wake = wake;
		woken = 0;
		ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&first, party(&t.rig, 2), 0, t.item[2].ipa.v,
						       PT_CLAIM_EXCLUSIVE, false, NULL));
		ASSERT_OUTCOME(PT_OK, pt_parties_init(&t.p, &t.args));
		for (unsigned i = 0; i < 3; i++)
			ASSERT_OUTCOME(PT_PARKED, parties_step(&t.p, &t.rig.c.agent, 100));
		assert_int_equal(0, party(&t.rig, 0)->taken);
		if (granted)
			pt_claim_release(&first);
		assert_int_equal(granted, woken);
		pt_section_begin(&t.rig.c.agent);
		assert_true(pt_parties_abort(&t.p, &t.rig.c.agent));
		pt_section_end(&t.rig.c.agent);
		if (!granted)
			pt_claim_release(&first);
		assert_int_equal(0, t.owner.checks);
		parties_unchanged(&t.rig, &before);
		parties_close(&t.rig);
	}
}

/* validate_only says what a commit would have come to. */
static void validation_tells_what_a_commit_does(void **state)
{
	(void)state;
	for (unsigned shape = 0; shape < 3; shape++) {
		struct parties_state before;
		struct pt_effects told;
		struct transfer t;

		open_transfer(&t, shape);
		before = parties_state_of(&t.rig);
		t.args.validate_only = true;
		ASSERT_OUTCOME(PT_OK, run(&t, 3));
		told = t.p.effects;
		assert_int_equal(1, t.owner.undone);
		assert_int_equal(0, t.owner.borders);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(i ? 1 : 2, t.p.leg[i].generation); /* the host's map */
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)t.item[1].outcome);
		parties_unchanged(&t.rig, &before);
		t.args.validate_only = false;
		ASSERT_OUTCOME(PT_OK, run(&t, 3));
		told.tlbis = t.p.effects.tlbis;
		assert_memory_equal(&told, &t.p.effects, sizeof(told));
		done(&t);
		parties_close(&t.rig);
	}
}

/* One context's generation may be asked for; where it is another no generation has counted. */
static void generations_guard_and_count(void **state)
{
	struct parties_state before;
	struct transfer t;

	(void)state;
	open_transfer(&t, 0);
	before = parties_state_of(&t.rig);
	t.args.expected = party(&t.rig, 1);
	t.args.expected_generation = 2;
	for (unsigned dry = 0; dry < 2; dry++) {
		t.args.validate_only = dry;
		ASSERT_OUTCOME(PT_GENERATION_MISMATCH, run(&t, 100));
		assert_int_equal(3, t.p.error.index);
		assert_int_equal(1, t.owner.undone);
		assert_int_equal(0, t.p.effects.leaves_written);
		parties_unchanged(&t.rig, &before);
	}
	t.args.validate_only = false;
	t.args.expected_generation = 1;
	ASSERT_OUTCOME(PT_OK, run(&t, 100));
	done(&t);
	assert_int_equal(3, t.p.leg[0].generation);
	assert_int_equal(2, t.p.leg[1].generation);
	assert_int_equal(2, t.p.leg[2].generation);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(i ? 2 : 3, atomic_load(&party(&t.rig, i)->generation));
	parties_close(&t.rig);
}

static void only_items_that_make_sense_are_begun(void **state)
{
	struct parties_rig rig;
	struct pt_parties p;
	struct pt_item item[PARTY_MAX];
	struct pt_parties_args args = {.item = item, .count = PARTY_MAX};
	struct parties_state before;
	struct core other;

	(void)state;
	parties_open(&rig, PARTY_MAX, &shapes[0], &shapes[0]);
	core_open(&other, &shapes[0]);
	before = parties_state_of(&rig);
	for (unsigned i = 0; i < PARTY_MAX; i++)
		item[i] = party_item(&rig, i, PT_ITEM_MAP, i * 0x2000, 0x2000, 0, PT_PROT_R, 0);
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args)); /* too many parties */
	assert_int_equal(4, p.error.index);
	ASSERT_OUTCOME(PT_INVALID, parties_step(&p, &rig.c.agent, 1));
	args.count = 0;
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args));
	ASSERT_OUTCOME(PT_INVALID, parties_step(&p, &rig.c.agent, 1));
	args.count = 3;
	item[2].ctx = item[0].ctx; /* apart */
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args));
	assert_int_equal(2, p.error.index);
	item[2].ctx = item[1].ctx;
	item[2].ipa.v = item[1].ipa.v + 0x1000; /* overlapping */
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args));
	assert_int_equal(2, p.error.index);
	item[2].ctx = &other.ctx; /* of another machine */
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args));
	assert_int_equal(2, p.error.index);
	args.count = 2;
	args.expected = party(&rig, 3); /* no party */
	args.expected_generation = 1;
	ASSERT_OUTCOME(PT_INVALID, pt_parties_init(&p, &args));
	assert_true(pt_parties_abort(&p, &rig.c.agent));
	parties_unchanged(&rig, &before);
	core_close(&other);
	parties_close(&rig);
}

/* A party that is torn down: refused by its item, before and while the others are asked. */
static void a_dying_party_refuses_all(void **state)
{
	struct pt_txn teardown;
	struct transfer t;

	(void)state;
	open_transfer(&t, 0);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&teardown, party(&t.rig, 2), NULL));
	ASSERT_OUTCOME(PT_WRONG_STATE, run(&t, 100));
	assert_int_equal(2, t.p.error.index);
	assert_int_equal(0, t.owner.checks);
	ASSERT_OUTCOME(PT_OK, core_run(&teardown, &t.rig.c.agent, 1000));
	t.rig.parties = 2;
	parties_at_rest(&t.rig);
	parties_close(&t.rig);
}

/* A block comes to stand over an edge of a claim while it waits: all claims are taken again, and
 * what check has reserved is given back meanwhile. */
static void a_late_block_sends_all_parties_back(void **state)
{
	struct owner owner = {0};
	struct parties_rig rig;
	struct pt_item item[2], late;
	struct pt_parties p;
	struct pt_parties_args args = {
		.item = item, .count = 2, .hooks = &hooks, .arg = &owner, .wake = wake};
	struct pt_txn first;

	(void)state;
	parties_open(&rig, 2, &shapes[0], &shapes[0]);
	item[0] = party_item(&rig, 0, PT_ITEM_MAP, 0, 0x1000, 0, PT_PROT_R, 0);
	item[1] = party_item(&rig, 1, PT_ITEM_UNMAP, 0x3000, 0x2000, 0, 0, 0);
	late = party_item(&rig, 1, PT_ITEM_MAP, 0, PT_SZ_2M, 0, PT_PROT_RW, 0);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&first, &late, 1, 0, false, NULL));
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&first, &rig.c.agent, 1));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
	ASSERT_OUTCOME(PT_PARKED, parties_step(&p, &rig.c.agent, 1000));
	ASSERT_OUTCOME(PT_OK, core_run(&first, &rig.c.agent, 50));
	ASSERT_OUTCOME(PT_OK, parties_run(&p, &rig.c.agent, 1000));
	assert_true(p.leg[1].wide);
	assert_false(p.leg[0].wide);
	assert_int_equal(2, owner.checks);
	assert_int_equal(1, owner.undone);
	assert_int_equal(1, owner.held);
	assert_int_equal(3, owner.borders);
	ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)item[0].outcome);
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item[1].outcome);
	assert_int_equal(1, p.leg[1].effects.blocks_split);
	parties_at_rest(&rig);
	parties_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failing_each_reservation_changes_no_party),
		cmocka_unit_test(a_quota_of_any_party_refuses_all),
		cmocka_unit_test(what_check_refuses_has_not_happened),
		cmocka_unit_test(an_error_names_its_item),
		cmocka_unit_test(abort_before_the_commit_point_gives_all_back),
		cmocka_unit_test(giving_up_in_the_queue_lets_others_go),
		cmocka_unit_test(validation_tells_what_a_commit_does),
		cmocka_unit_test(generations_guard_and_count),
		cmocka_unit_test(only_items_that_make_sense_are_begun),
		cmocka_unit_test(a_dying_party_refuses_all),
		cmocka_unit_test(a_late_block_sends_all_parties_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
