/* SPDX-License-Identifier: BSD-2-Clause */
/* The host on all its CPUs: guests run while another CPU changes their tables. */
#include "host.h"

#define FLAG	   (DATA + PAGE)	  /* where a guest says that it runs */
#define TIMES	   UINT64_C(0x10000000)	  /* it does not come to its end */
#define SHARED	   (MEMORY + (16u << 20)) /* of the guest that all CPUs run */
#define PRIVATE(n) (MEMORY + ((32u + 8u * (n)) << 20))
#define PAGES	   UINT64_C(64)
#define ROUNDS	   12

static struct {
	uint64_t context, stores;
	uint64_t why[HOST_CPUS];
	_Atomic uint64_t wrong;
} job;

static void spin(struct host_cpu *self)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_spin, DATA, TIMES, FLAG);

	v->regs.x[4] = job.stores;
	job.why[self->port.id] = guest_run(job.context, v);
}

/* A guest that goes on for good under another CPU; what it sees is taken away. */
static struct pt_el2_vcpu *spinning(bool stores)
{
	volatile uint64_t *flag = host_memory(GUEST_PAGE + PAGE);

	*flag = 0;
	job.context = guest_new();
	job.stores = stores;
	EXPECT(PT_MAPPED, CALL(MAP, job.context, DATA, 2 * PAGE, GUEST_PAGE, RW));
	host_cpu_run(1, spin);
	while (!*flag)
		continue;
	return &((struct host_cpu *)(void *)host_cpus[1])->vcpu;
}

static void expect_abort(const struct pt_el2_vcpu *v, unsigned fsc, bool write)
{
	host_cpu_wait(1);
	assert_int_equal(job.why[1], PT_EL2_VCPU_ABORT);
	assert_int_equal(EC(v->esr), EC_DATA);
	assert_int_equal(FSC(v->esr), fsc);
	assert_int_equal(v->esr >> 6 & 1, write);
	assert_int_equal(v->far, DATA);
	assert_int_equal(v->ipa, DATA);
	guest_end(job.context);
}

/* Neither CPU nor VMID changes meanwhile, so that only the TLBI makes it abort. */
static void a_guest_that_runs_loses_what_is_unmapped(void **state)
{
	struct pt_el2_vcpu *v = spinning(false);
	int64_t vmid = IMAGE(CALL_VMID, job.context & 0xff).code;

	(void)state;
	EXPECT(-PT_BUSY, CALL(DESTROY, job.context));
	EXPECT(PT_UNMAPPED, CALL(UNMAP, job.context, DATA, PAGE));
	host_cpu_wait(1);
	assert_int_equal(IMAGE(CALL_VMID, job.context & 0xff).code, vmid);
	expect_abort(v, 0x07, false);
}

static void a_guest_that_runs_loses_its_right_to_write(void **state)
{
	struct pt_el2_vcpu *v = spinning(true);

	(void)state;
	EXPECT(PT_PROTECTED, CALL(PROTECT, job.context, DATA, PAGE, PT_PROT_R));
	expect_abort(v, 0x0f, true);
}

static struct answer again(uint32_t function, const uint64_t arg[5])
{
	struct answer a;

	do
		a = host_finish(host_call(function, arg));
	while (a.code == -PT_BUSY);
	return a;
}
#define AGAIN(name, ...) again(PT_HVC(PT_HVC_##name), (const uint64_t[5]){__VA_ARGS__})

static void wrong_if(bool is)
{
	if (is)
		atomic_fetch_add(&job.wrong, 1);
}

static bool sums(uint64_t context, uint64_t *sum)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA, PAGES, PAGE);
	uint64_t why = guest_run(context, v);

	*sum = v->regs.x[1];
	return why == PT_EL2_VCPU_EXIT;
}

/* A guest of its own, from its creation to its end. */
static void own_guest(uint32_t id)
{
	uint64_t pa = PRIVATE(id), sum = 0;
	struct answer a = AGAIN(CREATE, VTCR_SMALL, UINT64_MAX);
	uint64_t context = a.x[0];

	wrong_if(a.code != PT_OK);
	memset(host_memory(pa), 0, PAGES * PAGE);
	wrong_if(AGAIN(MAP, context, CODE, PAGE, (uintptr_t)guest_code, RX).code != PT_MAPPED);
	wrong_if(AGAIN(SET_SLOT, context, DATA, PAGES * PAGE, pa, SHIFT(12)).code != PT_OK);
	for (uint64_t i = 1; i <= 3; i++) {
		wrong_if(!sums(context, &sum) || sum != i * PAGES);
		a = AGAIN(UNMAP, context, DATA, PAGES * PAGE);
		wrong_if(a.code != PT_UNMAPPED || a.x[1] != PAGES);
	}
	wrong_if(AGAIN(DESTROY, context).code != PT_OK);
	wrong_if(CALL(LEAF, context, DATA).code != -PT_NOT_FOUND);
}

static void work(struct host_cpu *self)
{
	uint64_t sum;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t from = (self->port.id * 16 + i) % PAGES;
		struct answer a;

		wrong_if(!sums(job.context, &sum));
		a = AGAIN(UNMAP, job.context, DATA + from * PAGE, (PAGES - from) * PAGE);
		wrong_if(a.code != PT_UNMAPPED && a.code != PT_HOLE);
		if (i % 4 == 0)
			own_guest(self->port.id);
	}
}

static void four_cpus_run_guests_and_change_them(void **state)
{
	int64_t used = IMAGE(CALL_USED, 0).code;
	uint64_t contexts = IMAGE(CALL_USED, 0).x[0];

	(void)state;
	memset(host_memory(SHARED), 0, PAGES * PAGE);
	job.context = guest_new();
	EXPECT(PT_OK, AGAIN(SET_SLOT, job.context, DATA, PAGES * PAGE, SHARED, SHIFT(12)));
	for (uint32_t i = 1; i < HOST_CPUS; i++)
		host_cpu_run(i, work);
	work(host_self());
	for (uint32_t i = 1; i < HOST_CPUS; i++)
		host_cpu_wait(i);
	assert_int_equal(atomic_load(&job.wrong), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(*host_memory(SHARED + i * PAGE), HOST_CPUS * ROUNDS);
	guest_end(job.context);
	assert_int_equal(IMAGE(CALL_USED, 0).x[0], contexts);
	assert_int_equal(IMAGE(CALL_USED, 0).code, used);
}

const struct CMUnitTest host_cpu_tests[] = {
	cmocka_unit_test(a_guest_that_runs_loses_what_is_unmapped),
	cmocka_unit_test(a_guest_that_runs_loses_its_right_to_write),
	cmocka_unit_test(four_cpus_run_guests_and_change_them),
};
const size_t host_cpu_count = sizeof(host_cpu_tests) / sizeof(host_cpu_tests[0]);
