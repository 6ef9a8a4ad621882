/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests: their life, their aborts, and what their host does to them meanwhile. */
#include "host.h"

#define PAGES UINT64_C(64)
#define LONG  UINT64_C(2048) /* pages: more steps than one */

#define EC_FP	 7
#define EC_WFI	 1
#define EC_SMC	 0x17
#define EC_SYS	 0x18
#define EC_FETCH 0x20
#define WNR(esr) ((esr) >> 6 & 1)

static void map(uint64_t context, uint64_t pages)
{
	struct answer a = CALL(MAP, context, DATA, pages * PAGE, GUEST_PAGE, RW);

	EXPECT(PT_MAPPED, host_finish(a));
}

static void a_guest_computes_on_its_pages(void **state)
{
	uint64_t context = guest_new();
	struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA, PAGES, PAGE);

	(void)state;
	memset(host_memory(GUEST_PAGE), 0, PAGES * PAGE);
	map(context, PAGES);
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->why, PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(*host_memory(GUEST_PAGE + i * PAGE), 1);
	/* It goes on behind its call. */
	v->regs.x[0] = DATA;
	v->regs.x[1] = PAGES;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 2 * PAGES);
	guest_end(context);
}

static void slots_fill_what_a_guest_touches(void **state)
{
	uint64_t context = guest_new(), before = IMAGE(CALL_ABORTS, 0).x[0];
	struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA, PAGES, PAGE);

	(void)state;
	memset(host_memory(GUEST_PAGE), 0, PAGES * PAGE);
	EXPECT(PT_OK,
	       host_finish(CALL(SET_SLOT, context, DATA, PAGES * PAGE, GUEST_PAGE, SHIFT(12))));
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], PAGES);
	assert_int_equal(IMAGE(CALL_ABORTS, 0).x[0] - before, PAGES);
	guest_end(context);
}

static void an_abort_that_nothing_resolves_is_the_hosts(void **state)
{
	uint64_t context = guest_new();
	struct pt_el2_vcpu *v = guest_vcpu(guest_store, DATA + 0x128, 7, 0);

	(void)state;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
	assert_int_equal(v->outcome, PT_NO_SLOT);
	assert_int_equal(EC(v->esr), EC_DATA);
	assert_int_equal(FSC(v->esr), 0x06); /* level 2: CODE has made the table above */
	assert_int_equal(WNR(v->esr), 1);
	assert_int_equal(v->far, DATA + 0x128);
	assert_int_equal(v->ipa, DATA + 0x128);
	assert_int_equal(v->regs.pc, CODE + (uintptr_t)guest_store - (uintptr_t)guest_code);
	/* What its host then maps, the same instruction writes. */
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, context, DATA, PAGE, GUEST_PAGE,
				       SHIFT(12) | 1 /* PT_SLOT_READ_ONLY */)));
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
	assert_int_equal(v->outcome, PT_READ_ONLY);
	EXPECT(PT_OK, host_finish(CALL(DELETE_SLOT, context, DATA, PAGE)));
	EXPECT(PT_MAPPED, CALL(MAP, context, DATA, PAGE, GUEST_PAGE, RW));
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(*host_memory(GUEST_PAGE + 0x128), 7);
	/* Its code is not writable, and its data not executable. */
	v = guest_vcpu(guest_store, CODE, 7, 0);
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
	assert_int_equal(FSC(v->esr), 0x0f);
	assert_int_equal(v->ipa, CODE);
	v->regs.pc = DATA;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
	assert_int_equal(EC(v->esr), EC_FETCH);
	assert_int_equal(v->ipa, DATA);
	guest_end(context);
}

/* QEMU drops all translations with another VMID: a missing TLBI shows in cpus.c alone. */
static void what_is_unmapped_is_gone(void **state)
{
	uint64_t context = guest_new();
	struct pt_el2_vcpu *v = guest_vcpu(guest_load, DATA, 0, 0);
	int64_t vmid;

	(void)state;
	*host_memory(GUEST_PAGE) = 4711;
	map(context, 1);
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 4711);
	vmid = IMAGE(CALL_VMID, context & 0xff).code;
	assert_true(vmid > 0);
	EXPECT(PT_UNMAPPED, CALL(UNMAP, context, DATA, PAGE));
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
	assert_int_equal(v->outcome, PT_NO_SLOT);
	assert_int_equal(IMAGE(CALL_VMID, context & 0xff).code, vmid);
	guest_end(context);
}

static void a_long_call_goes_on_by_its_handle(void **state)
{
	uint64_t context = guest_new();
	struct pt_el2_vcpu *v = guest_vcpu(guest_load, DATA + (LONG - 1) * PAGE, 0, 0);
	struct answer a = CALL(MAP, context, DATA, LONG * PAGE, GUEST_PAGE, RW);

	(void)state;
	EXPECT(PT_MORE, a);
	a = host_finish(a);
	EXPECT(PT_MAPPED, a);
	assert_int_equal(a.x[0], LONG);
	*host_memory(GUEST_PAGE + (LONG - 1) * PAGE) = 815;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 815);
	EXPECT(PT_UNMAPPED, host_finish(CALL(UNMAP, context, DATA, LONG * PAGE)));
	guest_end(context);
}

/* The host forgets its call; a guest that comes to what it claims finishes it. */
static void an_abandoned_call_holds_nobody_up(void **state)
{
	uint64_t context = guest_new(), before;
	struct pt_el2_vcpu *v = guest_vcpu(guest_load, DATA + (LONG - 1) * PAGE, 0, 0);
	struct answer a = CALL(MAP, context, DATA, LONG * PAGE, GUEST_PAGE, RW);

	(void)state;
	EXPECT(PT_MORE, a);
	before = IMAGE(CALL_ABORTS, 0).x[0];
	*host_memory(GUEST_PAGE + (LONG - 1) * PAGE) = 816;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 816);
	assert_true(IMAGE(CALL_ABORTS, 0).x[0] > before + 1);
	a = host_finish(a);
	EXPECT(PT_MAPPED, a);
	assert_int_equal(a.x[0], LONG);
	guest_end(context);
}

static void what_a_guest_has_not_is_an_exit(void **state)
{
	static const struct {
		void (*code)(void);
		unsigned class;
		unsigned pfr0; /* a field of ID_AA64PFR0_EL1 that says whether the CPU has it */
	} trap[] = {{guest_float, EC_FP, 0},	    {guest_wait, EC_WFI, 0},
		    {guest_secure, EC_SMC, 0},	    {guest_counter, EC_SYS, 0},
		    {guest_timer, EC_SYS, 0},	    {guest_pmu, EC_SYS, 0},
		    {guest_cycles, EC_SYS, 0},	    {guest_debug, EC_SYS, 0},
		    {guest_breakpoint, EC_SYS, 0},  {guest_os_lock, EC_SYS, 0},
		    {guest_auxiliary, EC_SYS, 0},   {guest_set_way, EC_SYS, 0},
		    {guest_gic_common, EC_SYS, 24}, {guest_gic_group0, EC_SYS, 24},
		    {guest_gic_group1, EC_SYS, 24}, {guest_gic_sgi, EC_SYS, 24},
		    {guest_errors, EC_SYS, 28}};
	uint64_t context = guest_new(), pfr0;
	struct pt_el2_vcpu *v;

	(void)state;
	__asm__("mrs %0, id_aa64pfr0_el1" : "=r"(pfr0));
	for (unsigned i = 0; i < sizeof(trap) / sizeof(trap[0]); i++) {
		if (!(pfr0 >> trap[i].pfr0 & 0xf))
			continue;
		v = guest_vcpu(trap[i].code, 0, 0, 0);
		v->regs.cpacr_el1 = UINT64_C(3) << 20; /* EL1's own trap off */
		if (guest_run(context, v) != PT_EL2_VCPU_TRAP)
			print_error("trap %u\n", i);
		assert_int_equal(v->why, PT_EL2_VCPU_TRAP);
		assert_int_equal(EC(v->esr), trap[i].class);
		assert_int_equal(v->regs.pc,
				 CODE + (uintptr_t)trap[i].code - (uintptr_t)guest_code);
	}
	/* Neither has it the host's calls. */
	for (unsigned n = 0; n < PT_HVC_COUNT + 2; n++) {
		if (n == PT_HVC_EXIT)
			continue;
		v = guest_vcpu(guest_call, PT_HVC(n), context, 0);
		assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
		assert_int_equal(v->regs.x[1], n == PT_HVC_VERSION ? PT_OK : (uint64_t)-1);
	}
	guest_end(context);
}

static uint64_t pattern(unsigned n, unsigned turn)
{
	return (0x0123456789abcdef + n * 0x1111) ^ (turn ? ~UINT64_C(0) : 0);
}

static struct pt_el2_vcpu *writes_registers(uint64_t context, unsigned turn)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_write_registers, 0, 0, 0);

#define X(reg, n, mask) v->regs.x[n] = pattern(n, turn) & (uint64_t)(mask);
	GUEST_REGISTERS(X)
#undef X
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
#define X(reg, n, mask) assert_int_equal(v->regs.reg, v->regs.x[n]);
	GUEST_REGISTERS(X)
#undef X
	return v;
}

/* What a guest writes, it finds when it runs again, whoever ran meanwhile, and nobody else does. */
static void each_has_its_own_registers(void **state)
{
	struct {
#define X(reg) uint64_t reg;
		PT_EL2_SYS_TABLE(X)
#undef X
	} before, after;
	uint64_t context = guest_new();
	static struct pt_el2_vcpu first;
	struct pt_el2_vcpu *v;

	(void)state;
#define X(reg) __asm__ volatile("mrs %0, " #reg : "=r"(before.reg));
	PT_EL2_SYS_TABLE(X)
#undef X
	first = *writes_registers(context, 0);
	v = writes_registers(context, 1);
#define X(reg) __asm__ volatile("mrs %0, " #reg : "=r"(after.reg));
	PT_EL2_SYS_TABLE(X)
#undef X
	assert_memory_equal(&before, &after, sizeof(before));
	*v = first;
	v->regs.pc = CODE + (uintptr_t)guest_read_registers - (uintptr_t)guest_code;
	memset(v->regs.x, 0, sizeof(v->regs.x));
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
#define X(reg, n, mask) assert_int_equal(v->regs.x[n], pattern(n, 0) & (uint64_t)(mask));
	GUEST_REGISTERS(X)
#undef X
	guest_end(context);
}

/* EL2 and EL3, AArch32, an illegal mode: EL1h. */
static void a_guest_stays_at_el1(void **state)
{
	static const uint64_t pstate[] = {0x3c9, 0x3c8, 0x3cd, 0x1d3, 0x1da, 0x3c7, ~UINT64_C(0)};
	uint64_t context = guest_new();

	(void)state;
	for (unsigned i = 0; i < sizeof(pstate) / sizeof(pstate[0]); i++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_mode, 0, 0, 0);

		v->regs.pstate = pstate[i];
		assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
		assert_int_equal(v->regs.x[1], 4);
	}
	guest_end(context);
}

static void run_takes_no_address_but_the_hosts(void **state)
{
	uint64_t context = guest_new(), v = (uintptr_t)guest_vcpu(guest_mode, 0, 0, 0);

	(void)state;
	EXPECT(-PT_NOT_FOUND, CALL(RUN, 0, v));
	EXPECT(-PT_NOT_FOUND, CALL(RUN, context + 1, v));
	EXPECT(-PT_NOT_FOUND, CALL(RUN, context + 0x100, v));
	EXPECT(-PT_NOT_FOUND, CALL(RUN, UINT64_MAX, v));
	EXPECT(-PT_MISALIGNED, CALL(RUN, context, v + 8));
	EXPECT(-PT_MISALIGNED, CALL(RUN, context, UINT64_MAX));
	EXPECT(-PT_OUT_OF_RANGE, CALL(RUN, context, UART));
	EXPECT(-PT_OUT_OF_RANGE, CALL(RUN, context, RAM_END));
	EXPECT(-PT_OUT_OF_RANGE, CALL(RUN, context, -PAGE));
	for (uint64_t i = 0; i < 3; i++)
		EXPECT(-PT_WRONG_OWNER, CALL(RUN, context, (uint64_t)IMAGE(CALL_OWN, i).code));
	assert_int_equal(guest_run(context, (struct pt_el2_vcpu *)v), PT_EL2_VCPU_EXIT);
	guest_end(context);
}

const struct CMUnitTest host_guest_tests[] = {
	cmocka_unit_test(a_guest_computes_on_its_pages),
	cmocka_unit_test(slots_fill_what_a_guest_touches),
	cmocka_unit_test(an_abort_that_nothing_resolves_is_the_hosts),
	cmocka_unit_test(what_is_unmapped_is_gone),
	cmocka_unit_test(a_long_call_goes_on_by_its_handle),
	cmocka_unit_test(an_abandoned_call_holds_nobody_up),
	cmocka_unit_test(what_a_guest_has_not_is_an_exit),
	cmocka_unit_test(each_has_its_own_registers),
	cmocka_unit_test(a_guest_stays_at_el1),
	cmocka_unit_test(run_takes_no_address_but_the_hosts),
};
const size_t host_guest_count = sizeof(host_guest_tests) / sizeof(host_guest_tests[0]);
