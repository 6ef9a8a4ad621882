/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's long arithmetic is done in short turns. The test counts the processor's time itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <tls_turns.h>

#define LONG_NS 10000000u

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What a long piece of arithmetic took of a processor, in how much time, with how many rests. */
struct piece {
	uint64_t processor_ns, time_ns;
	unsigned rests;
};

static void *compute(void *data)
{
	struct piece *piece = data;
	uint64_t time_ns = read_ns(CLOCK_MONOTONIC), since_ns;

	turns_begin();
	since_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
	do
		piece->processor_ns = read_ns(CLOCK_THREAD_CPUTIME_ID) - since_ns;
	while (piece->processor_ns < LONG_NS);
	piece->rests = turns_end();
	piece->time_ns = read_ns(CLOCK_MONOTONIC) - time_ns;
	return NULL;
}

/* A timer is never early, and on a busy machine late: never a rest more than turns, and one for
 * four turns at least. */
static void judge(const struct piece *piece)
{
	uint64_t turns = piece->processor_ns / TURN_NS;

	print_message("# %u rests in %u turns\n", piece->rests, (unsigned)turns);
	assert_in_range(piece->rests, 1 + turns / 4, 1 + turns);
	assert_true(piece->time_ns >= (uint64_t)piece->rests * REST_NS);
}

static void rests_after_each_turn(void **state)
{
	struct piece piece;

	(void)state;
	compute(&piece);
	judge(&piece);
}

/* The second time of a thread, too: what is left of the first is not counted. */
static void each_begin_counts_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		turns_begin();
		assert_int_equal(turns_end(), 1);
	}
}

static void each_thread_has_turns_of_its_own(void **state)
{
	struct piece piece[2];
	pthread_t thread[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, compute, &piece[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		judge(&piece[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rests_after_each_turn),
		cmocka_unit_test(each_begin_counts_anew),
		cmocka_unit_test(each_thread_has_turns_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
