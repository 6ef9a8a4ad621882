/* SPDX-License-Identifier: BSD-2-Clause */
/* Four CPUs whose guests fault on the same pages at the same time, and beside changes of the
 * tables. */
#include "stage2.h"

#define PAGES	UINT64_C(4000)
#define PRIVATE UINT64_C(500)
#define ROUNDS	10

static struct stage2 s;

struct job {
	struct s2_vcpu *v;
	uint64_t from, pages, stride, passes;
	bool done; /* all its runs ended as they should */
	_Atomic uint32_t *running;
};

/* Assertions are for the first CPU: this one says how it went. */
static void sum(void *arg)
{
	struct job *job = arg;
	struct pt_el2_exit exit;

	if (job->v->id)
		s2_load(job->v);
	job->v->handle = true;
	job->done = true;
	for (uint64_t i = 0; i < job->passes; i++)
		if (s2_guest(job->v, guest_sum, S2_RAM + job->from, job->pages, job->stride,
			     &exit) != PT_EL2_HVC)
			job->done = false;
	if (job->v->id)
		s2_unload(job->v);
	if (job->running)
		atomic_fetch_sub(job->running, 1);
}

static void open_pages(const struct s2_shape *shape)
{
	assert_true(s2_open(&s, shape));
	s.slots->slot[1].backing_shift = s.ctx.geo.granule_shift; /* no blocks */
	memset(s2_memory(0), 0, S2_RAM_BYTES);
	for (uint32_t i = 1; i < S2_VCPUS; i++)
		assert_true(pt_el2_cpu_start(i));
}

static void fault_together(struct job job[S2_VCPUS])
{
	for (uint32_t i = 1; i < S2_VCPUS; i++)
		pt_el2_cpu_run(i, sum, &job[i]);
	sum(&job[0]);
	for (uint32_t i = 1; i < S2_VCPUS; i++)
		pt_el2_cpu_wait(i);
	for (uint32_t i = 0; i < S2_VCPUS; i++)
		assert_true(job[i].done);
}

/* All on the same 4000 pages, then each on 500 of its own. */
static uint32_t round_of_faults(void)
{
	struct job job[S2_VCPUS];
	uint32_t mapped = 0, lost = 0;

	open_pages(&s2_shapes[0]);
	for (uint32_t i = 0; i < S2_VCPUS; i++)
		job[i] = (struct job){&s.vcpu[i], 0, PAGES, PT_SZ_4K, 1, false, NULL};
	fault_together(job);
	for (uint32_t i = 0; i < S2_VCPUS; i++) {
		job[i].from = (PAGES + i * PRIVATE) * PT_SZ_4K;
		job[i].pages = PRIVATE;
	}
	fault_together(job);
	for (uint32_t i = 0; i < S2_VCPUS; i++) {
		mapped += s.vcpu[i].mapped;
		lost += s.vcpu[i].lost;
	}
	assert_int_equal(mapped, PAGES + S2_VCPUS * PRIVATE);
	for (uint64_t i = 0; i < PAGES + S2_VCPUS * PRIVATE; i++) {
		assert_int_equal(*s2_memory(i * PT_SZ_4K), i < PAGES ? S2_VCPUS : 1);
		assert_int_equal(s2_walk(&s, S2_RAM + i * PT_SZ_4K, HW_WRITE).pa,
				 s2_pa(i * PT_SZ_4K));
		el2_compared++;
	}
	s2_close(&s);
	return lost;
}

static void four_cpus_fault_on_the_same_pages(void **state)
{
	uint32_t lost = 0, rounds = 0;

	(void)state;
	while (rounds < ROUNDS && (rounds < 2 || !lost)) {
		lost += round_of_faults();
		rounds++;
	}
	print_message("races lost: %u in %u rounds\n", lost, rounds);
	assert_true(lost > 0);
}

/* Pages come and go, split and join, under three guests that add to each word of them. */
static void guests_go_on_while_their_tables_change(void **state)
{
	uint64_t seed = s2_seed(), pages = 512, changes = 0;
	_Atomic uint32_t running = S2_VCPUS - 1;
	struct job job[S2_VCPUS];

	(void)state;
	assert_true(s2_open(&s, &s2_shapes[0]));
	memset(s2_memory(0), 0, S2_RAM_BYTES);
	for (uint32_t i = 1; i < S2_VCPUS; i++) {
		assert_true(pt_el2_cpu_start(i));
		job[i] = (struct job){&s.vcpu[i], 0, pages, PT_SZ_4K, 20, false, &running};
		pt_el2_cpu_run(i, sum, &job[i]);
	}
	while (atomic_load(&running)) {
		uint64_t from = s2_random(&seed) % pages, n = s2_random(&seed) % (pages - from) + 1;
		uint64_t ipa = S2_RAM + from * PT_SZ_4K, size = n * PT_SZ_4K;
		enum pt_outcome outcome;

		if (s2_random(&seed) % 2)
			outcome = s2_unmap(&s, ipa, size);
		else
			outcome = s2_protect(&s, ipa, size, PT_PROT_R);
		assert_false(pt_is_error(outcome));
		changes++;
	}
	for (uint32_t i = 1; i < S2_VCPUS; i++) {
		pt_el2_cpu_wait(i);
		assert_true(job[i].done);
	}
	print_message("changes beside them: %lu\n", (unsigned long)changes);
	assert_true(changes > 0);
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(*s2_memory(i * PT_SZ_4K), 20 * (S2_VCPUS - 1));
	s2_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_cpus_fault_on_the_same_pages),
		cmocka_unit_test(guests_go_on_while_their_tables_change),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
