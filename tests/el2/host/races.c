/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUs that come to the same address at once, to one that another CPU's call has claimed, and a
 * host that has no table memory left. */
#include "host.h"

#define PAGES  UINT64_C(4096)
#define LONG   UINT64_C(2048) /* pages: more steps than one */
#define LAST   ((LONG - 1) * PAGE)
#define ROUNDS 50

/* Of all CPUs together. */
struct aborts {
	uint64_t host, guest, lost;
};

static struct {
	uint64_t context, ipa, piece, wrong[HOST_CPUS], why;
	struct aborts of[HOST_CPUS];
	_Atomic uint32_t there;
} job;

static void note_aborts(struct aborts *to, uint64_t sign)
{
	struct answer a = IMAGE(CALL_ABORTS, 0);

	to->host += sign * (uint64_t)a.code;
	to->guest += sign * a.x[0];
	to->lost += sign * a.x[1];
}

/* On all CPUs, which begin together. */
static struct aborts on_all(void (*work)(struct host_cpu *))
{
	struct aborts sum = {0};

	atomic_store(&job.there, 0);
	memset(job.of, 0, sizeof(job.of));
	memset(job.wrong, 0, sizeof(job.wrong));
	for (uint32_t i = 1; i < HOST_CPUS; i++)
		host_cpu_run(i, work);
	work(host_self());
	for (uint32_t i = 0; i < HOST_CPUS; i++) {
		if (i)
			host_cpu_wait(i);
		assert_int_equal(job.wrong[i], 0);
		sum.host += job.of[i].host;
		sum.guest += job.of[i].guest;
		sum.lost += job.of[i].lost;
	}
	return sum;
}

static struct aborts *begin(struct host_cpu *self)
{
	atomic_fetch_add(&job.there, 1);
	while (atomic_load(&job.there) < HOST_CPUS)
		__asm__ volatile("yield");
	note_aborts(&job.of[self->port.id], UINT64_MAX);
	return &job.of[self->port.id];
}

/* The first page of each piece is everybody's, the others are divided up. */
static void load_piece(uint64_t at, uint64_t size)
{
	struct host_cpu *self = host_self();
	uint64_t mine = size / HOST_CPUS;

	job.wrong[self->port.id] += !host_load(at);
	for (uint64_t from = self->port.id * mine; size > PAGE && mine; mine -= PAGE)
		job.wrong[self->port.id] += !host_load(at + from + mine - PAGE);
}

static void load_everything(struct host_cpu *self)
{
	struct aborts *aborts = begin(self);
	uint64_t pieces = host_pieces(load_piece);

	note_aborts(aborts, 1);
	if (!self->port.id)
		job.piece = pieces;
}

/* Whoever comes second finds the block there: an abort, and no work. */
static void four_cpus_touch_the_hosts_memory(void **state)
{
	struct answer before = IMAGE(CALL_ABORTS, 0);
	struct aborts sum = on_all(load_everything);

	(void)state;
	/* What was there before: the program's and the console. */
	sum.host += (uint64_t)before.code;
	sum.lost += before.x[1];
	print_message("%lu aborts for %lu pieces, %lu found them there\n", sum.host, job.piece + 1,
		      sum.lost);
	assert_int_equal(sum.host - sum.lost, job.piece + 1);
}

static void sum_pages(struct host_cpu *self)
{
	struct aborts *aborts = begin(self);
	struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA, PAGES, PAGE);

	job.wrong[self->port.id] += guest_run(job.context, v) != PT_EL2_VCPU_EXIT;
	note_aborts(aborts, 1);
}

static void four_cpus_want_a_guests_pages(void **state)
{
	uint64_t lost = 0, rounds = 0;

	(void)state;
	job.context = guest_new();
	EXPECT(PT_OK,
	       host_finish(CALL(SET_SLOT, job.context, DATA, PAGES * PAGE, GUEST_PAGE, SHIFT(12))));
	memset(host_memory(GUEST_PAGE), 0, PAGES * PAGE);
	while (rounds++ < ROUNDS && !lost) {
		struct aborts sum = on_all(sum_pages);
		struct answer a = host_finish(CALL(UNMAP, job.context, DATA, PAGES * PAGE));

		assert_int_equal(sum.guest - sum.lost, PAGES);
		EXPECT(PT_UNMAPPED, a);
		assert_int_equal(a.x[1], PAGES); /* none of them twice */
		for (uint64_t i = 0; i < PAGES; i++)
			assert_int_equal(*host_memory(GUEST_PAGE + i * PAGE), HOST_CPUS * rounds);
		lost += sum.lost;
	}
	print_message("races lost: %lu in %lu rounds\n", lost, rounds - 1);
	assert_true(lost > 0);
	guest_end(job.context);
}

static void load(struct host_cpu *self)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_load, job.ipa, 0, 0);

	note_aborts(&job.of[self->port.id], UINT64_MAX);
	job.why = guest_run(job.context, v);
	note_aborts(&job.of[self->port.id], 1);
}

/* This CPU does not go into EL2 while the other one comes to what it has claimed. */
static uint64_t another_loads(uint64_t ipa)
{
	job.ipa = ipa;
	memset(job.of, 0, sizeof(job.of));
	host_cpu_run(1, load);
	host_cpu_wait(1);
	return job.of[1].guest;
}

static void who_meets_a_claim_carries_it_on(void **state)
{
	const struct pt_el2_vcpu *v = &((struct host_cpu *)(void *)host_cpus[1])->vcpu;
	struct answer a;
	uint64_t steps;

	(void)state;
	job.context = guest_new();
	*host_memory(GUEST_PAGE + LAST) = 817;
	a = CALL(MAP, job.context, DATA, LONG * PAGE, GUEST_PAGE, RW);
	EXPECT(PT_MORE, a);
	/* A step an abort, and none does as much as is left. */
	steps = another_loads(DATA + LAST);
	print_message("%lu aborts\n", steps);
	assert_true(steps > 1);
	assert_int_equal(job.why, PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 817);
	/* It is over, and only its answer waits. */
	a = CALL(CONTINUE, a.x[0]);
	EXPECT(PT_MAPPED, a);
	assert_int_equal(a.x[0], LONG);

	/* What is still mapped is still there; a hole is the guest's host's to see when it is over.
	 */
	a = CALL(UNMAP, job.context, DATA, 2 * LONG * PAGE);
	EXPECT(PT_MORE, a);
	assert_true(another_loads(DATA + LONG * PAGE + LAST) > 1);
	assert_int_equal(job.why, PT_EL2_VCPU_ABORT);
	assert_int_equal(v->outcome, PT_NO_SLOT);
	a = host_finish(a);
	EXPECT(PT_UNMAPPED, a);
	assert_int_equal(a.x[1], LONG);
	guest_end(job.context);
}

const struct CMUnitTest host_race_tests[] = {
	cmocka_unit_test(four_cpus_touch_the_hosts_memory),
	cmocka_unit_test(four_cpus_want_a_guests_pages),
	cmocka_unit_test(who_meets_a_claim_carries_it_on),
};
const size_t host_race_count = sizeof(host_race_tests) / sizeof(host_race_tests[0]);
