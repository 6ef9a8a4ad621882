/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The explorer itself: which results of small programs the memory model has and which it has not
 * (litmus tests), and that what the search leaves out changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define X (&iv_w.word[0])
#define Y (&iv_w.word[1])
#define Z (&iv_w.word[2])

static uint64_t get(const uint64_t *at)
{
	return iv_load(at, 8, memory_order_acquire);
}

static void put(uint64_t *at, uint64_t value)
{
	iv_store(at, 8, value, memory_order_relaxed);
}

static void release(uint64_t *at, uint64_t value)
{
	iv_store(at, 8, value, memory_order_release);
}

/* ---- what the agents of the programs do; the result is one or two hexadecimal digits ---- */

static uint64_t put_x_get_y(void)
{
	put(X, 1);
	return get(Y);
}

static uint64_t put_y_get_x(void)
{
	put(Y, 1);
	return get(X);
}

static uint64_t release_x_get_y(void)
{
	release(X, 1);
	return get(Y);
}

static uint64_t release_y_get_x(void)
{
	release(Y, 1);
	return get(X);
}

static uint64_t put_x_fence_get_y(void)
{
	put(X, 1);
	iv_fence(memory_order_seq_cst);
	return get(Y);
}

static uint64_t put_y_fence_get_x(void)
{
	put(Y, 1);
	iv_fence(memory_order_seq_cst);
	return get(X);
}

static uint64_t locked_put_x_get_y(void)
{
	iv_lock(&iv_w.word_lock);
	put(X, 1);
	iv_unlock(&iv_w.word_lock);
	return get(Y);
}

static uint64_t put_x_put_y(void)
{
	put(X, 1);
	put(Y, 1);
	return 0;
}

static uint64_t put_x_release_y(void)
{
	put(X, 1);
	release(Y, 1);
	return 0;
}

static uint64_t put_x_barrier_put_y(void)
{
	put(X, 1);
	iv_fence(memory_order_release);
	put(Y, 1);
	return 0;
}

static uint64_t cas_y(int order)
{
	uint64_t old = 0;

	put(X, 1);
	iv_cas(Y, 8, &old, 1, order);
	return 0;
}

static uint64_t put_x_cas_y(void)
{
	return cas_y(memory_order_acq_rel);
}

static uint64_t put_x_weak_cas_y(void)
{
	return cas_y(memory_order_relaxed);
}

static uint64_t get_y_get_x(void)
{
	uint64_t y = get(Y);

	return y << 4 | get(X);
}

static uint64_t put_x_twice(void)
{
	put(X, 1);
	put(X, 2);
	return 0;
}

static uint64_t get_x_get_x(void)
{
	uint64_t first = get(X);

	return first << 4 | get(X);
}

static uint64_t get_x_put_y(void)
{
	uint64_t x = get(X);

	put(Y, 1);
	return x;
}

static uint64_t get_y_put_x(void)
{
	uint64_t y = get(Y);

	put(X, 1);
	return y;
}

static uint64_t put_x(void)
{
	put(X, 1);
	return 0;
}

static uint64_t locked_put_both(void)
{
	iv_lock(&iv_w.word_lock);
	put(X, 1);
	put(Y, 1);
	iv_unlock(&iv_w.word_lock);
	return 0;
}

static uint64_t locked_get_both(void)
{
	uint64_t both;

	iv_lock(&iv_w.word_lock);
	both = get_y_get_x();
	iv_unlock(&iv_w.word_lock);
	return both;
}

static uint64_t put_and_get_x(void)
{
	put(X, 1);
	return get(X);
}

static uint64_t add_x(void)
{
	return iv_rmw(X, 8, IV_ADD, 1, memory_order_relaxed);
}

static uint64_t swap(uint64_t *at)
{
	uint64_t old = 0;

	return iv_cas(at, 8, &old, 1, memory_order_acq_rel);
}

static uint64_t swap_x(void)
{
	return swap(X);
}

static uint64_t swap_x_get_y(void)
{
	swap(X);
	return get(Y);
}

static uint64_t swap_y_get_x(void)
{
	swap(Y);
	return get(X);
}

static uint64_t swap_x_fence_get_y(void)
{
	swap(X);
	iv_fence(memory_order_seq_cst);
	return get(Y);
}

/* What the last load lets out has been held back while the first passed it. */
static uint64_t put_x_get_y_strong_get_z(void)
{
	uint64_t y;

	put(X, 1);
	y = get(Y);
	return y << 4 | iv_load(Z, 8, memory_order_seq_cst);
}

static uint64_t put_y_fence_get_x_put_z(void)
{
	uint64_t x = put_y_fence_get_x();

	put(Z, 1);
	return x;
}

/* Two who take two forks, in another order each: which they got. */
static uint64_t take_x_then_y(void)
{
	uint64_t first = swap(X);

	return first << 4 | swap(Y);
}

static uint64_t take_y_then_x(void)
{
	uint64_t first = swap(Y);

	return first << 4 | swap(X);
}

static uint64_t put_2_get_x_twice(void)
{
	put(X, 2);
	return get_x_get_x();
}

struct litmus {
	const char *name;
	uint64_t (*agent[IV_FIBRES])(void);
	uint64_t result; /* three bytes, agent 0 lowest */
	bool possible;
	unsigned results; /* so many different ones there are */
};

#define R(a, b, c) ((a) | (b) << 8 | (c) << 16)

static const struct litmus programs[] = {
	{"a_store_passes_a_load", {put_x_get_y, put_y_get_x}, R(0, 0, 0), true, 4},
	{"a_release_store_passes_a_load", {release_x_get_y, release_y_get_x}, R(0, 0, 0), true, 4},
	{"no_store_passes_a_full_fence",
	 {put_x_fence_get_y, put_y_fence_get_x},
	 R(0, 0, 0),
	 false,
	 3},
	{"both_need_the_fence", {put_x_get_y, put_y_fence_get_x}, R(0, 0, 0), true, 4},
	{"an_unlock_is_no_full_fence",
	 {locked_put_x_get_y, put_y_fence_get_x},
	 R(0, 0, 0),
	 true,
	 4},
	{"a_store_passes_a_store", {put_x_put_y, get_y_get_x}, R(0, 0x10, 0), true, 4},
	{"no_store_is_passed_by_a_release",
	 {put_x_release_y, get_y_get_x},
	 R(0, 0x10, 0),
	 false,
	 3},
	{"no_store_passes_a_barrier", {put_x_barrier_put_y, get_y_get_x}, R(0, 0x10, 0), false, 3},
	{"no_store_is_passed_by_a_releasing_swap",
	 {put_x_cas_y, get_y_get_x},
	 R(0, 0x10, 0),
	 false,
	 3},
	{"a_store_is_passed_by_a_relaxed_swap",
	 {put_x_weak_cas_y, get_y_get_x},
	 R(0, 0x10, 0),
	 true,
	 4},
	{"stores_to_one_location_keep_their_order",
	 {put_x_twice, get_x_get_x},
	 R(0, 0x21, 0),
	 false,
	 6},
	{"a_store_is_seen_between_two_loads", {put_x_twice, get_x_get_x}, R(0, 0x12, 0), true, 6},
	{"no_load_comes_before_a_store_it_follows",
	 {get_x_put_y, get_y_put_x},
	 R(1, 1, 0),
	 false,
	 3},
	{"what_one_agent_has_seen_all_have",
	 {put_x, get_x_put_y, get_y_get_x},
	 R(0, 1, 0x10),
	 false,
	 7},
	{"what_is_under_a_lock_is_seen_as_a_whole",
	 {locked_put_both, locked_get_both},
	 R(0, 0x10, 0),
	 false,
	 2},
	{"or_not_at_all", {locked_put_both, locked_get_both}, R(0, 0x11, 0), true, 2},
	{"an_agent_sees_its_own_store", {put_and_get_x, put_and_get_x}, R(0, 1, 0), false, 1},
	{"no_addition_is_lost", {add_x, add_x}, R(0, 0, 0), false, 2},
	{"a_swap_acts_at_once", {swap_x_get_y, swap_y_get_x}, R(0, 0, 0), false, 3},
	{"a_store_passes_a_load_until_a_strong_one",
	 {put_x_get_y_strong_get_z, put_y_fence_get_x_put_z},
	 R(0, 0, 0),
	 true,
	 8},
	{"who_takes_two_forks_crosswise_may_get_one",
	 {take_x_then_y, take_y_then_x},
	 R(0x10, 0x10, 0),
	 true,
	 3},
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* And where exchanges may be seen late. */
static const struct litmus late_programs[] = {
	{"a_late_swap_passes_a_load", {swap_x_get_y, swap_y_get_x}, R(0, 0, 0), true, 4},
	{"no_late_swap_passes_a_full_fence",
	 {swap_x_fence_get_y, put_y_fence_get_x},
	 R(0, 0, 0),
	 false,
	 3},
	{"of_two_late_swaps_one_wins", {swap_x, swap_x}, R(1, 1, 0), false, 2},
	{"no_late_swap_loses_to_nobody", {swap_x, swap_x}, R(0, 0, 0), false, 2},
	{"no_late_swap_undoes_a_store", {swap_x, put_2_get_x_twice}, R(1, 0x21, 0), false, 2},
};
#define LATE (sizeof(late_programs) / sizeof(late_programs[0]))

/* ---- results seen ---- */

static uint64_t results[4096];
static unsigned result_count;

static void add(uint64_t result)
{
	for (unsigned i = 0; i < result_count; i++)
		if (results[i] == result)
			return;
	if (result_count == sizeof(results) / sizeof(results[0]))
		abort();
	results[result_count++] = result;
}

static bool has(uint64_t result)
{
	for (unsigned i = 0; i < result_count; i++)
		if (results[i] == result)
			return true;
	return false;
}

static void observe_told(uint64_t exact)
{
	(void)exact;
	add(iv_w.told[0][0] | iv_w.told[1][0] << 8 | iv_w.told[2][0] << 16);
}

static struct iv_case program_of(const struct litmus *l)
{
	struct iv_case c = {.name = l->name,
			    .late_cas = l >= late_programs && l < late_programs + LATE};

	for (unsigned f = 0; f < IV_FIBRES && l->agent[f]; f++)
		c.script[f][0] = (struct iv_op){.kind = IV_OP_CALL, .call = l->agent[f]};
	return c;
}

/* What the program comes to within the limits. */
static void run_program(const struct litmus *l, struct iv_limits limits)
{
	struct iv_case c = program_of(l);
	struct iv_result r;

	limits.observe = observe_told;
	result_count = 0;
	iv_explore(&c, &limits, &r);
	if (r.failed)
		fail_msg("%s: %s", l->name, r.text);
	assert_true(r.completed > 1);
}

static void litmus(void **state)
{
	const struct litmus *l = *state;

	run_program(l, (struct iv_limits){.preemptions = 4, .delays = 3});
	assert_int_equal(l->possible, has(l->result));
	assert_int_equal(result_count, l->results);
}

/* Under each bound, too, under which the reduction may not cost a result that is in it. */
static void litmus_under_bounds(void **state)
{
	const struct litmus *l = *state;

	for (unsigned p = 0; p < 3; p++)
		for (unsigned d = 0; d < 3; d++) {
			struct iv_limits limits = {.preemptions = p, .delays = d};
			unsigned reduced;

			run_program(l, limits);
			reduced = result_count;
			limits.naive = true;
			run_program(l, limits);
			assert_int_equal(reduced, result_count);
		}
}

static void litmus_audited(void **state)
{
	run_program(*state, (struct iv_limits){.preemptions = 4, .delays = 2, .audit = true});
}

/* ---- what the search leaves out ---- */

static void observe_exact(uint64_t exact)
{
	add(exact);
}

static const struct iv_case *case_of(const char *name)
{
	for (unsigned i = 0; i < iv_case_count; i++)
		if (!strcmp(iv_cases[i].name, name))
			return &iv_cases[i];
	fail_msg("no case %s", name);
	return NULL;
}

/* The ends of all runs are those that the search comes to, with every event as a switching point
 * and without a comparison of states. */
static void leaves_nothing_out(const char *name, unsigned preemptions, unsigned delays)
{
	struct iv_limits limits = {
		.preemptions = preemptions, .delays = delays, .observe = observe_exact};
	struct iv_result with, without;
	unsigned searched;

	result_count = 0;
	iv_explore(case_of(name), &limits, &with);
	assert_false(with.failed);
	searched = result_count;
	limits.naive = true;
	iv_explore(case_of(name), &limits, &without);
	assert_false(without.failed);
	assert_int_equal(searched, result_count);
	assert_true(searched > 1);
	assert_true(without.schedules > with.schedules);
	print_message("# %s: %u ends, by %llu schedules and by %llu\n", name, searched,
		      (unsigned long long)with.schedules, (unsigned long long)without.schedules);
}

static void the_search_leaves_no_end_out(void **state)
{
	(void)state;
	leaves_nothing_out("fault_and_fault", 2, 1);
	leaves_nothing_out("page_unmap_and_page_map", 2, 1);
	leaves_nothing_out("relax_and_protect", 2, 1);
	leaves_nothing_out("fault_and_range_unmap", 2, 0);
	leaves_nothing_out("store_and_harvest", 2, 0);
}

/* Runs that begin at snapshots are the runs that begin at the beginning. */
static void goes_on_as_from_the_beginning(const char *name)
{
	struct iv_limits limits = {.preemptions = 2, .delays = 1};
	struct iv_result with, without;

	iv_explore(case_of(name), &limits, &with);
	limits.whole = true;
	iv_explore(case_of(name), &limits, &without);
	assert_false(with.failed || without.failed);
	assert_true(without.longest > 500);
	assert_int_equal(with.schedules, without.schedules);
	assert_int_equal(with.completed, without.completed);
	assert_int_equal(with.states, without.states);
	assert_int_equal(with.longest, without.longest);
}

static void a_snapshot_goes_on_as_from_the_beginning(void **state)
{
	(void)state;
	goes_on_as_from_the_beginning("sweep_and_sweep");
	goes_on_as_from_the_beginning("fault_and_table_unmap");
	goes_on_as_from_the_beginning("fill_of_a_leaf_and_write_protect_of_a_block_by_the_host");
}

/* ---- what sleeps ---- */

/* Where who sleeps goes on all the same, it comes to states that the search was in before. */
static void comes_to_nothing_new(const char *name, unsigned preemptions)
{
	struct iv_limits limits = {.preemptions = preemptions, .delays = 1, .audit = true};
	struct iv_result r;

	iv_explore(case_of(name), &limits, &r);
	if (r.failed)
		fail_msg("%s: %s", name, r.text);
	print_message("# %s: %llu schedules\n", name, (unsigned long long)r.schedules);
}

static void who_sleeps_comes_to_nothing_new(void **state)
{
	(void)state;
	comes_to_nothing_new("fault_and_fault", 3);
	comes_to_nothing_new("fault_and_range_unmap", 2);
	comes_to_nothing_new("fault_and_slot_delete", 2);
	comes_to_nothing_new("access_and_page_unmap", 2);
	comes_to_nothing_new("access_and_range_unmap", 2);
	comes_to_nothing_new("fault_and_table_unmap", 2);
	comes_to_nothing_new("store_and_harvest", 2);
	comes_to_nothing_new("sweep_and_sweep", 2);
	comes_to_nothing_new("fill_and_fill", 2);
	comes_to_nothing_new("fill_and_page_unmap_by_the_host", 2);
	comes_to_nothing_new("fault_page_unmap_and_sweep", 1);
}

#define CASES (PROGRAMS + LATE)
static struct CMUnitTest test[3 * CASES + 3];
static char name[3 * CASES][80];

static void add_programs(unsigned from, const char *suffix, CMUnitTestFunction what)
{
	for (unsigned i = 0; i < CASES; i++) {
		const struct litmus *l = i < PROGRAMS ? &programs[i] : &late_programs[i - PROGRAMS];

		snprintf(name[from + i], sizeof(name[0]), "%s%s", l->name, suffix);
		test[from + i] = (struct CMUnitTest){.name = name[from + i],
						     .test_func = what,
						     .initial_state = (void *)(uintptr_t)l};
	}
}

int main(void)
{
	if (getenv("PTD_ONLY"))
		cmocka_set_test_filter(getenv("PTD_ONLY"));
	add_programs(0, "", litmus);
	add_programs(CASES, "_under_bounds", litmus_under_bounds);
	add_programs(2 * CASES, "_audited", litmus_audited);
	test[3 * CASES] = (struct CMUnitTest)cmocka_unit_test(the_search_leaves_no_end_out);
	test[3 * CASES + 1] = (struct CMUnitTest)cmocka_unit_test(who_sleeps_comes_to_nothing_new);
	test[3 * CASES + 2] =
		(struct CMUnitTest)cmocka_unit_test(a_snapshot_goes_on_as_from_the_beginning);
	return _cmocka_run_group_tests("model", test, 3 * CASES + 3, NULL, NULL);
}
