/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor with two vCPUs, whose guest runs on both under one shadow: what one CPU takes
 * away the other stops at, and both fill it at once. */
#include "nested.h"

#define TIMES  UINT64_C(0x10000000) /* of guest_spin: it would come to its end */
#define ROUNDS 20
#define FLAG   (NDATA + PAGE) /* nested: where guest_spin says that it runs */

/* The second vCPU, on the second CPU. */
static struct {
	struct pt_el2_vcpu *v;
	int64_t code;
	uint64_t why;
} second;
static _Alignas(PAGE) struct pt_el2_virtual second_el2;

static volatile struct hyp_orders *seconds_orders(void)
{
	return nest_orders_at(NEST_SECOND);
}

static void begin_second(struct host_cpu *self)
{
	(void)self;
	second.v = nest_begin_vcpu(NEST_SECOND);
}

static void run_second(struct host_cpu *self)
{
	struct answer a;

	(void)self;
	do
		a = CALL(RUN, nest.context, (uintptr_t)second.v,
			 nest.virtual ? (uintptr_t)&second_el2 : 0);
	while (a.code == PT_RACED || a.code == -PT_BUSY);
	second.code = a.code;
	second.why = a.x[0];
}

/* The first CPU has made the shadow: two that make it at once may do so in another place. */
static void open_two(void)
{
	uint64_t value;

	nest_open();
	assert_true(nest_loads(NDATA, &value));
	memset(&second_el2, 0, sizeof(second_el2));
	second_el2.e2h0 = nest.nvhe;
	host_cpu_run(1, begin_second);
	host_cpu_wait(1);
}

static void begin_on_second(void (*code)(void), uint64_t x0, uint64_t x1, uint64_t x2)
{
	volatile struct hyp_orders *o = seconds_orders();

	o->what = HYP_RUN;
	o->arg[0] = nest_code_at(code);
	o->arg[1] = x0;
	o->arg[2] = x1;
	o->arg[3] = x2;
	host_cpu_run(1, run_second);
}

static volatile uint64_t *word_of(unsigned page)
{
	return host_memory(FRAMES + nest.frame[nest.to[page]] * PAGE);
}

/* Its guest loads from the first page, again and again. */
static void spin_on_second(void)
{
	*word_of(1) = 0;
	begin_on_second(guest_spin, NDATA, TIMES, FLAG);
	while (*word_of(1) != 1)
		continue;
}

static void ends_with(uint64_t why)
{
	host_cpu_wait(1);
	assert_int_equal(second.code, PT_OK);
	assert_int_equal(second.why, why);
	nest.compared++;
}

static void nested_cpus_stop_at_what_the_host_takes(void **state)
{
	uint64_t canonical;

	(void)state;
	open_two();
	canonical = OUTSIDE + nest.to[0] * PAGE;
	spin_on_second();
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, canonical, PAGE));
	ends_with(PT_EL2_VCPU_ABORT);
	assert_int_equal(second.v->ipa, canonical);
	assert_int_equal((int)second.v->outcome, PT_NO_SLOT);
	nest.host[nest.to[0]] = 0;
	nest_judge(UINT64_C(2));
	nest_close();
}

static void nested_cpus_stop_at_what_their_hypervisor_takes(void **state)
{
	volatile struct hyp_orders *o = seconds_orders();

	(void)state;
	open_two();
	spin_on_second();
	nest_guest_maps(0, 0, 0);
	nest_tlbi(IPAS2E1IS, NDATA, 1);
	ends_with(PT_EL2_VCPU_EXIT);
	assert_int_equal(o->code, PT_OK);
	assert_int_equal(o->x1, PT_EL2_VCPU_ABORT);
	assert_int_equal(FSC(o->esr), FSC_TRANSLATION(3));
	assert_int_equal(o->ipa, NDATA);
	nest_judge(UINT64_C(2));
	nest_close();
}

/* Each adds 1 to a word of each page, whose leaf the one makes that comes first. */
static void nested_cpus_fill_at_once(void **state)
{
	(void)state;
	open_two();
	for (unsigned i = 0; i < PAGES; i++)
		*word_of(i) = 0;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		begin_on_second(guest_sum, NDATA, PAGES, PAGE);
		nest_order(HYP_RUN, nest_code_at(guest_sum), NDATA, PAGES);
		nest_orders()->arg[3] = PAGE;
		assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
		assert_int_equal(nest_orders()->x1, PT_EL2_VCPU_EXIT);
		ends_with(PT_EL2_VCPU_EXIT);
		assert_int_equal(seconds_orders()->x1, PT_EL2_VCPU_EXIT);
		for (unsigned i = 0; i < PAGES; i++)
			assert_int_equal(*word_of(i), 2 * round);
		nest_judge(ALL);
		nest_tlbi(VMALLS12E1IS, 0, PAGES + 1);
		nest_judge(0);
	}
	nest_close();
}

const struct CMUnitTest host_nested_cpus_tests[] = {
	cmocka_unit_test(nested_cpus_stop_at_what_the_host_takes),
	cmocka_unit_test(nested_cpus_stop_at_what_their_hypervisor_takes),
	cmocka_unit_test(nested_cpus_fill_at_once),
};
const size_t host_nested_cpus_count =
	sizeof(host_nested_cpus_tests) / sizeof(host_nested_cpus_tests[0]);
