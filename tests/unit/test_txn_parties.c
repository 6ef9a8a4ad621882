/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions over several contexts: their order, what they hold meanwhile, and what they come to.
 */
#include "parties_fixture.h"

/* What the hooks are to do, and what they have seen. */
struct story {
	struct parties_rig *rig;
	struct pt_parties *parties;
	char text[64];	/* c: check, 0 to 4: between, u: undo; in capitals where it is to go on */
	unsigned again; /* how often each says that it has more to do */
	unsigned turn;
	enum pt_outcome refusal;
	uint32_t refused; /* item */
	void (*look)(struct story *story, uint32_t done);
};

static void write_down(struct story *story, char c)
{
	size_t used = strlen(story->text);

	assert_true(pt_in_section(&story->rig->c.agent));
	assert_true(used + 1 < sizeof(story->text));
	story->text[used] = c;
}

static bool again(struct story *story)
{
	if (story->turn++ < story->again)
		return true;
	story->turn = 0;
	return false;
}

static enum pt_outcome check(void *arg, struct pt_agent *agent, int64_t *left, struct pt_error *err)
{
	struct story *story = arg;

	(void)agent;
	--*left;
	assert_false(pt_parties_committed(story->parties));
	for (uint32_t i = 0; i < story->parties->legs; i++)
		assert_true(story->parties->leg[i].claim.slot >= 0);
	write_down(story, 'c');
	if (again(story))
		return PT_MORE;
	err->index = story->refused;
	return story->refusal;
}

static bool between(void *arg, struct pt_agent *agent, uint32_t done, int64_t *left)
{
	struct story *story = arg;

	(void)agent;
	--*left;
	assert_true(pt_parties_committed(story->parties));
	write_down(story, (char)('0' + done));
	if (story->look)
		story->look(story, done);
	return !again(story);
}

static void undo(void *arg, struct pt_agent *agent)
{
	(void)agent;
	write_down(arg, 'u');
	((struct story *)arg)->turn = 0;
}

static const struct pt_parties_hooks hooks = {check, between, undo};

static void open_story(struct story *story, struct parties_rig *rig, struct pt_parties *p,
		       struct pt_item *item, uint32_t count, struct pt_parties_args *args)
{
	*story = (struct story){.rig = rig, .parties = p};
	*args = (struct pt_parties_args){
		.item = item, .count = count, .hooks = &hooks, .arg = story};
}

/* All vCPUs, which know what they have read once. */
static enum pt_outcome vcpu_reads(struct parties_rig *rig, unsigned i, uint64_t ipa)
{
	struct pt_host_access a = {.ipa = {ipa}, .access = PT_ACCESS_AT, .vcpu = i};
	bool inside = pt_in_section(&rig->c.agent);
	enum pt_outcome outcome;

	if (!inside)
		pt_section_begin(&rig->c.agent);
	outcome = pt_host_access(&rig->c.agent, party(rig, i), NULL, &a);
	if (!inside)
		pt_section_end(&rig->c.agent);
	return outcome;
}

/* O2, at each border: before the donor goes, before the receiver comes, at the end. */
static void look_at_donation(struct story *story, uint32_t done)
{
	struct parties_rig *rig = story->rig;
	enum pt_outcome no = PT_NOT_MAPPED;

	for (uint64_t at = PT_SZ_2M; at < 2 * PT_SZ_2M; at += PT_SZ_2M / 8) {
		assert_int_equal(done ? no : PT_OK, vcpu_reads(rig, 0, at));
		assert_int_equal(done < 2 ? no : PT_OK, vcpu_reads(rig, 1, at + PT_SZ_1G));
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(1, __builtin_popcount(atomic_load(&party(rig, i)->claims)));
}

static void a_donation_goes_party_by_party(void **state)
{
	static const uint32_t budgets[] = {1, 7, 100, 100000};

	(void)state;
	for (unsigned b = 0; b < 4; b++) {
		struct pt_parties_args args;
		uint32_t pages = b % 2 ? PT_MAP_FORCE_PAGES : 0;
		struct parties_rig rig;
		struct pt_parties p;
		struct pt_item item[2];
		struct story story;
		int level;

		parties_open(&rig, 2, &shapes[0], &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 4 * PT_SZ_2M, 0, PT_PROT_RWX, pages));
		for (uint64_t at = 0; at < 4 * PT_SZ_2M; at += PT_SZ_2M / 8)
			ASSERT_OUTCOME(PT_OK, vcpu_reads(&rig, 0, at));
		parties_donation(&rig, item, 1, PT_SZ_2M, PT_SZ_1G + PT_SZ_2M, PT_SZ_2M);
		open_story(&story, &rig, &p, item, 2, &args);
		story.look = look_at_donation;
		story.again = 2;
		ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
		assert_int_equal(2, p.legs);
		ASSERT_OUTCOME(PT_OK, parties_run(&p, &rig.c.agent, budgets[b]));
		assert_string_equal("ccc000111222", story.text);
		ASSERT_OUTCOME(PT_ANNOTATED, (enum pt_outcome)item[0].outcome);
		ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)item[1].outcome);
		assert_int_equal(512, p.effects.annotated);
		assert_int_equal(512, p.leg[0].effects.annotated);
		assert_int_equal(pages ? 512 : 1, p.leg[0].effects.leaves_removed);
		assert_int_equal(1, p.leg[1].effects.leaves_written);
		assert_int_equal(1, p.effects.leaves_written);
		/* for pages; above a block */
		assert_int_equal(pages ? 1 : 2, p.effects.tables_added);
		assert_int_equal(1, p.effects.tlbis);
		assert_int_equal(3, p.leg[0].generation); /* after the map */
		assert_int_equal(2, p.leg[1].generation);
		assert_int_equal(3, atomic_load(&party(&rig, 0)->generation));
		assert_int_equal(2, atomic_load(&party(&rig, 1)->generation));
		assert_int_equal(PARTY_GONE, party_entry(&rig, 0, PT_SZ_2M, &level));
		assert_true(party_entry(&rig, 1, PT_SZ_1G + PT_SZ_2M, &level) & PT_PTE_VALID);
		assert_int_equal(2, level);
		ASSERT_OUTCOME(PT_OK, vcpu_reads(&rig, 0, PT_SZ_2M - 8));
		parties_at_rest(&rig);
		parties_close(&rig);
	}
}

/* The other direction: the claims are in the same order, the parties in the other. */
static void a_reclaim_goes_the_other_way(void **state)
{
	struct pt_parties_args args;
	struct parties_rig rig;
	struct pt_item item[4];
	struct story story;
	struct pt_parties p;
	int level;

	(void)state;
	parties_open(&rig, 4, &shapes[0], &shapes[2]); /* guests of 64K */
	for (unsigned i = 0; i < 3; i++) {
		item[0] = party_item(&rig, 0, PT_ITEM_ANNOTATE, i * PT_SZ_2M, PT_SZ_64K, PARTY_GONE,
				     0, 0);
		ASSERT_OUTCOME(PT_ANNOTATED, core_range(&rig.c, item[0], NULL));
		item[0] = party_item(&rig, i + 1, PT_ITEM_MAP, PT_SZ_1G, PT_SZ_64K, i * PT_SZ_2M,
				     PT_PROT_RWX, 0);
		ASSERT_OUTCOME(PT_MAPPED, core_range(&rig.c, item[0], NULL));
		ASSERT_OUTCOME(PT_OK, vcpu_reads(&rig, i + 1, PT_SZ_1G));
	}
	for (unsigned i = 0; i < 3; i++)
		item[i] = party_item(&rig, 3 - i, PT_ITEM_UNMAP, PT_SZ_1G, PT_SZ_64K, 0, 0, 0);
	item[3] = party_item(&rig, 0, PT_ITEM_MAP, 0, 3 * PT_SZ_2M, 0, PT_PROT_RWX, PT_MAP_REPLACE);
	open_story(&story, &rig, &p, item, 4, &args);
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
	ASSERT_OUTCOME(PT_OK, parties_run(&p, &rig.c.agent, 50));
	assert_string_equal("c01234", story.text);
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item[i].outcome);
		assert_int_equal(PT_NOT_MAPPED, vcpu_reads(&rig, i + 1, PT_SZ_1G));
		ASSERT_OUTCOME(PT_OK, vcpu_reads(&rig, 0, i * PT_SZ_2M));
	}
	ASSERT_OUTCOME(PT_MAPPED, (enum pt_outcome)item[3].outcome);
	assert_true(party_entry(&rig, 0, 0, &level) & PT_PTE_VALID);
	assert_int_equal(2, level); /* blocks again */
	parties_close(&rig);
}

/* One party, no hooks: as a pt_txn, and its claim shrinks. */
static void one_party_is_a_transaction_like_any_other(void **state)
{
	struct parties_rig rig;
	struct pt_item item[2];
	struct pt_parties p;
	struct pt_parties_args args = {.item = item, .count = 2};
	uint64_t lo = 0;

	(void)state;
	parties_open(&rig, 2, &shapes[0], &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, PT_SZ_2M, 0, PT_PROT_RW, PT_MAP_FORCE_PAGES));
	item[0] = party_item(&rig, 0, PT_ITEM_WRITE_PROTECT, 0, PT_SZ_2M / 2, 0, 0, 0);
	item[1] = party_item(&rig, 0, PT_ITEM_FLUSH, PT_SZ_2M / 2, PT_SZ_4K, 0, 0, 0);
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
	for (enum pt_outcome o = PT_MORE; o == PT_MORE;) {
		o = parties_step(&p, &rig.c.agent, 16);
		assert_true(p.leg[0].claim.lo >= lo);
		lo = p.leg[0].claim.lo;
		if (o != PT_MORE)
			ASSERT_OUTCOME(PT_OK, o);
	}
	assert_true(lo >= PT_SZ_2M / 4);
	ASSERT_OUTCOME(PT_PROTECTED, (enum pt_outcome)item[0].outcome);
	ASSERT_OUTCOME(PT_FLUSHED, (enum pt_outcome)item[1].outcome);
	assert_int_equal(256, p.effects.leaves_written);
	parties_at_rest(&rig);
	parties_close(&rig);
}

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
}

/* What is on its way nobody reaches: points of all parties wait until the end, wherever they are in
 * the ranges. */
static void points_wait_until_the_end(void **state)
{
	struct pt_waiter waiter[4] = {0};
	struct pt_parties_args args;
	struct parties_rig rig;
	struct pt_item item[2], point[4];
	const uint64_t size = 3 * PT_SZ_2M; /* some tables on either side, a step for each */
	struct story story;
	struct pt_parties p;
	enum pt_outcome o;

	(void)state;
	parties_open(&rig, 2, &shapes[0], &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 4 * PT_SZ_2M, 0, PT_PROT_RWX, 0));
	parties_donation(&rig, item, 1, 0x10000, 0x40000, size);
	for (unsigned i = 0; i < 4; i++)
		point[i] = party_item(&rig, i / 2, PT_ITEM_MAKE_YOUNG,
				      (i / 2 ? 0x40000 : 0x10000) + (i % 2 ? size - 0x1000 : 0),
				      0x1000, 0, 0, 0);
	open_story(&story, &rig, &p, item, 2, &args);
	story.again = 1;
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
	while ((o = parties_step(&p, &rig.c.agent, 8)) == PT_MORE) {
		for (unsigned i = 0; p.phase < PT_PARTIES_RETIRE && i < 4; i++)
			ASSERT_OUTCOME(PT_PARKED, core_point(&rig.c, point[i], NULL, NULL));
		for (unsigned i = 0; i < 4; i++)
			if (!waiter[i].ctx)
				assert_true(pt_waiter_park(&waiter[i], point[i].ctx, point[i].ipa.v,
							   point[i].ipa.v + 0xfff, wake));
	}
	ASSERT_OUTCOME(PT_OK, o);
	for (unsigned i = 0; i < 4; i++)
		assert_false(waiter[i].queued);
	ASSERT_OUTCOME(PT_HOLE, core_point(&rig.c, point[0], NULL, NULL));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_point(&rig.c, point[3], NULL, NULL));
	parties_close(&rig);
}

/* What the donor's vCPUs did when it was flushed has ended before anybody goes on. */
static void accesses_in_flight_end_before_the_next_party(void **state)
{
	struct pt_agent other = {0};
	struct pt_parties_args args;
	struct parties_rig rig;
	struct pt_item item[2];
	struct story story;
	struct pt_parties p;

	(void)state;
	parties_open(&rig, 2, &shapes[0], &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig.c.tables.world, &other));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, PT_SZ_2M, 0, PT_PROT_RWX, 0));
	parties_donation(&rig, item, 1, 0, 0, PT_SZ_2M);
	open_story(&story, &rig, &p, item, 2, &args);
	pt_section_begin(&other);
	pt_machine_use(&rig.c.machine, &other);
	ASSERT_OUTCOME(PT_OK, pt_parties_init(&p, &args));
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OUTCOME(PT_MORE, parties_step(&p, &rig.c.agent, 100000));
	assert_string_equal("", story.text); /* not drained */
	pt_section_end(&other);
	while (!strchr(story.text, '0'))
		ASSERT_OUTCOME(PT_MORE, parties_step(&p, &rig.c.agent, 1));
	pt_section_begin(&other); /* walks with what it finds now */
	for (unsigned i = 0; i < 1000; i++)
		ASSERT_OUTCOME(PT_MORE, parties_step(&p, &rig.c.agent, 100000));
	assert_string_equal("c0", story.text);
	pt_section_end(&other);
	ASSERT_OUTCOME(PT_OK, parties_run(&p, &rig.c.agent, 100000));
	assert_string_equal("c012", story.text);
	pt_agent_leave(&other);
	parties_close(&rig);
}

static unsigned woken[2];

/* Two transactions over the same two contexts, in opposite orders; which of them takes each step
 * is the schedule's bits. */
static void wake_first(struct pt_waiter *waiter)
{
	(void)waiter;
	woken[0]++;
}

static void wake_second(struct pt_waiter *waiter)
{
	(void)waiter;
	woken[1]++;
}

#define STEPS 12

static unsigned play(struct parties_rig *rig, struct pt_agent *agent[2], unsigned schedule)
{
	enum pt_outcome o[2] = {PT_MORE, PT_MORE};
	unsigned order = 0, done = 0;
	struct pt_item item[2][2];
	struct pt_parties p[2];

	for (unsigned i = 0; i < 2; i++) {
		struct pt_parties_args args = {
			.item = item[i], .count = 2, .wake = i ? wake_second : wake_first};

		for (unsigned k = 0; k < 2; k++)
			item[i][k] = party_item(rig, (i + k) % 2, PT_ITEM_MAP, 0x1000 * i, 0x2000,
						0x100000 * (i + 1), PT_PROT_RW, PT_MAP_REPLACE);
		ASSERT_OUTCOME(PT_OK, pt_parties_init(&p[i], &args));
		woken[i] = 0;
	}
	for (unsigned turn = 0; done < 2; turn++) {
		unsigned i = turn < STEPS ? schedule >> turn & 1 : turn & 1;

		assert_true(turn < 200); /* else they wait for each other */
		if (o[i] == PT_OK || (o[i] == PT_PARKED && !woken[i]))
			continue;
		if (o[i] == PT_PARKED) {
			assert_int_equal(1, woken[i]);
			woken[i] = 0;
		}
		o[i] = parties_step(&p[i], agent[i], 4);
		assert_true(o[i] == PT_OK || o[i] == PT_MORE || o[i] == PT_PARKED);
		if (o[i] == PT_PARKED)
			for (unsigned k = 0; k < 2; k++)
				assert_int_equal(-1, p[i].leg[k].claim.slot);
		if (o[i] == PT_OK && !done++)
			order = i;
	}
	for (unsigned i = 0; i < 2; i++)
		woken[i] = 0;
	return order;
}

static void opposite_orders_never_wait_for_each_other(void **state)
{
	struct pt_agent other = {0}, *agent[2];
	struct parties_rig rig;
	unsigned first[2] = {0, 0};

	(void)state;
	parties_open(&rig, 2, &shapes[0], &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig.c.tables.world, &other));
	agent[0] = &rig.c.agent;
	agent[1] = &other;
	for (unsigned schedule = 0; schedule < 1u << STEPS; schedule++) {
		unsigned winner = play(&rig, agent, schedule);
		uint64_t pa[2];

		first[winner]++;
		/* The page that both write: in both contexts of whoever came last. */
		for (unsigned i = 0; i < 2; i++) {
			int level;

			pa[i] = pt_pte_to_oa(&party(&rig, i)->geo,
					     party_entry(&rig, i, 0x1000, &level))
					.v;
		}
		assert_int_equal(winner ? 0x101000 : 0x200000, pa[0]);
		assert_int_equal(pa[0], pa[1]);
		parties_at_rest(&rig);
	}
	assert_true(first[0] && first[1]);
	while (pt_reclaim(&other))
		continue;
	pt_agent_leave(&other);
	parties_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_donation_goes_party_by_party),
		cmocka_unit_test(a_reclaim_goes_the_other_way),
		cmocka_unit_test(one_party_is_a_transaction_like_any_other),
		cmocka_unit_test(points_wait_until_the_end),
		cmocka_unit_test(accesses_in_flight_end_before_the_next_party),
		cmocka_unit_test(opposite_orders_never_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
