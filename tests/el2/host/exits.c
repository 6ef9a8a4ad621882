/* SPDX-License-Identifier: BSD-2-Clause */
/* Ways into EL2 and out of it: interrupts of the host, and exceptions of each mode that EL1 and EL0
 * may be in. */
#include "host.h"

#define EC_SVC_32 UINT64_C(0x11)
#define EC_SVC	  UINT64_C(0x15)
#define IL	  (UINT64_C(1) << 25)
#define WNR	  (UINT64_C(1) << 6)
#define EXTERNAL  UINT64_C(0x10)

/* PSTATE: the mode, interrupts masked. */
#define EL1H  UINT64_C(0x3c5)
#define OPEN  UINT64_C(0xf0000005) /* EL1h, nothing masked, all flags set */
#define EL1T  UINT64_C(0x3c4)
#define EL0   UINT64_C(0x3c0)
#define A32   UINT64_C(0x1d0)
#define T32   UINT64_C(0x1f0)
#define MODE  UINT64_C(0x1f)
#define NZCV  UINT64_C(0xf0000000)
#define PAN   (UINT64_C(1) << 22)
#define DAIF  UINT64_C(0x3c0)
#define SPAN  (UINT64_C(1) << 23) /* of SCTLR_EL1: PAN stays as it is */
#define WORLD (MEMORY + 16 * BLOCK)

static bool has_aarch32(void)
{
	uint64_t pfr0;

	__asm__("mrs %0, id_aa64pfr0_el1" : "=r"(pfr0));
	return (pfr0 & 0xf) == 2;
}

static const struct mode {
	uint64_t pstate, vector, il;
	const unsigned char *load, *store;
} modes[] = {
	{EL1H, 0x200, IL, code_load, code_store},
	{OPEN, 0x200, IL, code_load, code_store},
	{EL1T, 0x000, IL, code_load, code_store},
	{EL0, 0x400, IL, code_load, code_store},
	{A32, 0x600, IL, code_load_a32, code_store_a32},
	{T32, 0x600, 0, code_load_t32, code_store_t32},
};

static bool has_pan(void)
{
	uint64_t mmfr1;

	__asm__("mrs %0, id_aa64mmfr1_el1" : "=r"(mmfr1));
	return mmfr1 >> 20 & 0xf;
}

static uint64_t sctlr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, sctlr_el1" : "=r"(value));
	return value;
}

/* The vector, and the states that the exception came to and from. */
static void came_from(const struct mode *m, const unsigned char *pc)
{
	const struct host_cpu *self = host_self();
	uint64_t pan = has_pan() && !(sctlr() & SPAN) ? PAN : 0;

	assert_int_equal(self->vector & UINT32_MAX, m->vector);
	assert_int_equal(self->vector >> 32, (m->pstate & NZCV) | DAIF | pan);
	assert_int_equal(self->spsr, m->pstate);
	assert_int_equal(self->elr, (uintptr_t)pc);
}

static void aborts(const struct mode *m, bool write)
{
	const unsigned char *pc = write ? m->store : m->load;
	bool same = m->vector < 0x400;
	uint64_t class = EC_DATA + same, va = (uint64_t)IMAGE(CALL_OWN, 1).code;

	va += same ? 0 : HOST_EL0_VA;
	host_probe_at(va, 0x5a5a, m->pstate, pc);
	came_from(m, pc);
	assert_int_equal(host_self()->esr, class << 26 | m->il | (write ? WNR : 0) | EXTERNAL);
	assert_int_equal(host_self()->far, va);
}

/* To the vector, and with the class, that hardware would choose. */
static void an_abort_comes_to_the_vector_of_its_mode(void **state)
{
	uint64_t word = (uint64_t)IMAGE(CALL_OWN, 1).code,
		 before = (uint64_t)IMAGE(CALL_WORD, word).code;

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (modes[i].vector == 0x600 && !has_aarch32())
			continue;
		aborts(&modes[i], false);
		aborts(&modes[i], true);
	}
	assert_int_equal(IMAGE(CALL_WORD, word).code, before);
}

/* As hardware does, EL2 sets PSTATE.PAN with SCTLR_EL1.SPAN clear: an exception of each. */
static void the_handler_begins_without_access_to_el0(void **state)
{
	uint64_t before = sctlr();

	(void)state;
	assert_true(before & SPAN);
	__asm__ volatile("msr sctlr_el1, %0\n\tisb" ::"r"(before & ~SPAN));
	aborts(&modes[0], false);
	host_probe_at(PT_HVC(PT_HVC_VERSION), 0, modes[3].pstate, code_hvc);
	came_from(&modes[3], code_hvc);
	__asm__ volatile("msr sctlr_el1, %0\n\tisb" ::"r"(before));
}

/* What EL0 touches is mapped for it. */
static void el0s_aborts_are_resolved(void **state)
{
	uint64_t before = IMAGE(CALL_ABORTS, 0).code;

	(void)state;
	for (size_t i = 3; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const struct mode *m = &modes[i];
		bool wide = m->vector == 0x400;

		if (!wide && !has_aarch32())
			continue;
		host_probe_at(WORLD + HOST_EL0_VA, 4711 + i, m->pstate, m->store);
		came_from(m, m->store + (m->pstate == T32 ? 2 : 4) * 2);
		assert_int_equal(EC(host_self()->esr), wide ? EC_SVC : EC_SVC_32);
		assert_int_equal((uint32_t)*host_memory(WORLD), 4711 + i);
	}
	assert_in_range(IMAGE(CALL_ABORTS, 0).code - before, 0, 1);
}

/* Neither reaches EL2: EL1 gets an undefined instruction from hardware. */
static void el0_calls_nobody(void **state)
{
	static const struct {
		const struct mode *mode;
		const unsigned char *code;
	} call[] = {{&modes[3], code_hvc}, {&modes[3], code_smc}, {&modes[4], code_hvc_a32}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		if (call[i].mode == &modes[4] && !has_aarch32())
			continue;
		host_probe_at(PT_HVC(PT_HVC_VERSION), 0, call[i].mode->pstate, call[i].code);
		came_from(call[i].mode, call[i].code);
		assert_int_equal(host_self()->esr, IL);
	}
}

/* A guest at EL0: its calls are its own EL1's, and after an abort it is at EL0 again, in the state
 * it was in. */
static void a_guests_el0_stays_at_el0(void **state)
{
	static const struct {
		uint64_t pstate, vector, class;
		void (*code)(void);
	} user[] = {{EL0, 0x400, EC_SVC, guest_load_user}, {A32, 0x600, EC_SVC_32, guest_load_a32}};
	uint64_t context = guest_new();
	struct pt_el2_vcpu *v = guest_vcpu(guest_hvc_user, 0, 0, 0);

	(void)state;
	v->regs.pstate = EL0;
	v->regs.vbar_el1 = GUEST_VECTORS;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 0x400);
	assert_int_equal(v->regs.esr_el1, IL);
	for (unsigned i = 0; i < 1u + has_aarch32(); i++) {
		v = guest_vcpu(user[i].code, DATA, 0, 0);
		v->regs.pstate = user[i].pstate;
		v->regs.vbar_el1 = GUEST_VECTORS;
		assert_int_equal(guest_run(context, v), PT_EL2_VCPU_ABORT);
		assert_int_equal(v->regs.pstate, user[i].pstate);
		EXPECT(PT_MAPPED, CALL(MAP, context, DATA, PAGE, GUEST_PAGE, RW));
		assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
		assert_int_equal(v->regs.x[1], user[i].vector);
		assert_int_equal(EC(v->regs.esr_el1), user[i].class);
		assert_int_equal(v->regs.spsr_el1, user[i].pstate);
		EXPECT(PT_UNMAPPED, CALL(UNMAP, context, DATA, PAGE));
	}
	guest_end(context);
}

/* The GIC, which is the host's: Arm IHI 0069. Interrupts of group 0 are FIQs, of group 1 IRQs. */
#define GICD_CTLR	  0x08000000
#define GICR(cpu)	  (UINT64_C(0x080a0000) + (cpu)*UINT64_C(0x20000))
#define GICR_WAKER	  0x14
#define SGI_IGROUPR	  0x10080
#define SGI_ISENABLER	  0x10100
#define SGI_IPRIORITYR	  0x10400
#define TIMER		  30 /* CNTP */
#define SGI		  5
#define WRITE(reg, value) __asm__ volatile("msr " reg ", %0\n\tisb" ::"r"((uint64_t)(value)))
#define READ(reg)                                                                                  \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " reg : "=r"(value_));                                   \
		value_;                                                                            \
	})
#define CNTP_TVAL_EL0 "cntp_tval_el0"
#define CNTP_CTL_EL0  "cntp_ctl_el0"
#define PMR	      "S3_0_C4_C6_0"
#define SRE	      "S3_0_C12_C12_5"
#define IGRPEN0	      "S3_0_C12_C12_6"
#define IGRPEN1	      "S3_0_C12_C12_7"
#define IAR0	      "S3_0_C12_C8_0"
#define EOIR0	      "S3_0_C12_C8_1"
#define IAR1	      "S3_0_C12_C12_0"
#define EOIR1	      "S3_0_C12_C12_1"
#define SGI1R	      "S3_0_C12_C11_5"

static struct {
	_Atomic uint64_t fiqs, irqs, last; /* taken; the number of the last one */
	/* Of the call that is interrupted. */
	_Atomic uint64_t begun, sent, taken;
} seen;

static void write32(uint64_t pa, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)pa = value;
}

static void gic_on(uint32_t group1)
{
	uint64_t mine = GICR(0);

	write32(GICD_CTLR, 0x13); /* both groups, affinity routing */
	write32(mine + GICR_WAKER, 0);
	write32(mine + SGI_IGROUPR, group1);
	*(volatile uint8_t *)(uintptr_t)(mine + SGI_IPRIORITYR + TIMER) = 0x80;
	*(volatile uint8_t *)(uintptr_t)(mine + SGI_IPRIORITYR + SGI) = 0x80;
	write32(mine + SGI_ISENABLER, UINT32_C(1) << TIMER | UINT32_C(1) << SGI);
	WRITE(SRE, 1);
	WRITE(PMR, 0xff);
	WRITE(IGRPEN0, 1);
	WRITE(IGRPEN1, 1);
}

void host_interrupt(bool fiq)
{
	uint64_t number = fiq ? READ(IAR0) : READ(IAR1);

	atomic_fetch_add(fiq ? &seen.fiqs : &seen.irqs, 1);
	atomic_store(&seen.last, number);
	if (number == TIMER)
		WRITE(CNTP_CTL_EL0, 0);
	if (number == SGI)
		atomic_store(&seen.taken, atomic_load(&seen.begun));
	if (fiq)
		WRITE(EOIR0, number);
	else
		WRITE(EOIR1, number);
}

static void unmask(void)
{
	__asm__ volatile("msr daifclr, #3\n\tisb" ::: "memory");
}

static void mask(void)
{
	__asm__ volatile("msr daifset, #3" ::: "memory");
}

#define TIMES UINT64_C(0x10000000) /* it would come to its end */

void host_timer_in(bool fiq, uint64_t ticks)
{
	memset(&seen, 0, sizeof(seen));
	gic_on(fiq ? 0 : UINT32_MAX);
	WRITE(CNTP_TVAL_EL0, ticks);
	WRITE(CNTP_CTL_EL0, 1);
}

void host_timer_start(bool fiq)
{
	host_timer_in(fiq, READ("cntfrq_el0") / 500);
}

void host_timer_take(bool fiq)
{
	assert_int_equal(atomic_load(&seen.irqs) + atomic_load(&seen.fiqs), 0);
	unmask();
	mask();
	assert_int_equal(atomic_load(&seen.irqs), !fiq);
	assert_int_equal(atomic_load(&seen.fiqs), fiq);
	assert_int_equal(atomic_load(&seen.last), TIMER);
}

/* A guest that has its own interrupts masked is left by one of the host's, which comes when the
 * host lets it; at the next RUN it goes on as if nothing had been. */
static void leaves(bool fiq)
{
	uint64_t context = guest_new(), pc;
	struct pt_el2_vcpu *v = guest_vcpu(guest_held, DATA, TIMES, 0);

	*host_memory(GUEST_PAGE) = 0;
	EXPECT(PT_MAPPED, CALL(MAP, context, DATA, PAGE, GUEST_PAGE, RW));
	for (unsigned i = 4; i < 31; i++)
		v->regs.x[i] = 0x1111 * i;
	host_timer_start(fiq);
	pc = v->regs.pc;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_INTERRUPT);
	assert_in_range(v->regs.pc, pc, pc + 16);
	assert_in_range(v->regs.x[1], 1, TIMES);
	assert_int_equal(v->regs.pstate & ~(UINT64_C(0xf) << 28), EL1H);
	/* It stays pending: the guest does not get on. */
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_INTERRUPT);
	host_timer_take(fiq);
	*host_memory(GUEST_PAGE) = 1;
	assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
	assert_in_range(v->regs.x[1], 1, TIMES);
	for (unsigned i = 4; i < 31; i++)
		assert_int_equal(v->regs.x[i], 0x1111 * i);
	guest_end(context);
}

static void a_guest_is_left_by_an_irq(void **state)
{
	(void)state;
	leaves(false);
}

static void a_guest_is_left_by_an_fiq(void **state)
{
	(void)state;
	leaves(true);
}

#define LONG (UINT64_C(2048) * PAGE)

/* Another CPU, while the first is in a call. `sent`: the call that was under way at the latest when
 * the interrupt was there. */
static void send(struct host_cpu *self)
{
	(void)self;
	atomic_store(&seen.sent, 1);
	while (!atomic_load(&seen.begun))
		continue;
	WRITE(SGI1R, (uint64_t)SGI << 24 | 1);
	__asm__ volatile("dsb sy" ::: "memory");
	atomic_store(&seen.sent, atomic_load(&seen.begun) + 1);
}

/* One call and what it goes on with, each counted as it begins. Was the interrupt taken between two
 * of them? */
static bool taken_within(struct answer (*call)(uint64_t context), uint64_t context, int64_t outcome)
{
	uint64_t first = atomic_fetch_add(&seen.begun, 1) + 1, taken;
	struct answer a;

	for (a = call(context); a.code == PT_MORE; a = CALL(CONTINUE, a.x[0]))
		atomic_fetch_add(&seen.begun, 1);
	EXPECT(outcome, a);
	assert_true(atomic_load(&seen.begun) - first + 1 >= LONG / PAGE / PT_HVC_STEP);
	taken = atomic_load(&seen.taken);
	return taken >= first && taken < atomic_load(&seen.begun);
}

static struct answer map_long(uint64_t context)
{
	return CALL(MAP, context, DATA, LONG, GUEST_PAGE, RW);
}

static struct answer unmap_long(uint64_t context)
{
	return CALL(UNMAP, context, DATA, LONG);
}

/* Long calls, interrupts unmasked between their steps, until one was taken. Between steps of one?
 */
static bool taken_between_steps(uint64_t context)
{
	bool within = false;

	atomic_store(&seen.taken, 0);
	atomic_store(&seen.begun, 0);
	atomic_store(&seen.sent, 0);
	host_cpu_run(1, send);
	while (!atomic_load(&seen.sent))
		continue;
	unmask();
	while (!atomic_load(&seen.taken)) {
		within |= taken_within(map_long, context, PT_MAPPED);
		within |= taken_within(unmap_long, context, PT_UNMAPPED);
	}
	host_cpu_wait(1);
	mask();
	return within;
}

/* EL2 masks what comes while it works, and does not work for long. */
static void an_interrupt_waits_for_one_step_at_most(void **state)
{
	uint64_t context = guest_new(), between = 0;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	gic_on(UINT32_MAX);
	for (unsigned i = 0; i < 200 && between < 3; i++) {
		between += taken_between_steps(context);
		assert_true(atomic_load(&seen.taken) <= atomic_load(&seen.sent));
	}
	assert_int_equal(between, 3);
	guest_end(context);
}

/* FEAT_XNX: ID_AA64MMFR1_EL1. */
static bool has_xnx(void)
{
	uint64_t mmfr1;

	__asm__("mrs %0, id_aa64mmfr1_el1" : "=r"(mmfr1));
	return mmfr1 >> 28 & 0xf;
}

static uint64_t run_alias(uint64_t context, void (*code)(void), uint64_t pstate)
{
	struct pt_el2_vcpu *v = guest_vcpu(code, CODE, 0, 0);

	v->regs.pc += DATA - CODE;
	v->regs.pstate = pstate;
	v->regs.vbar_el1 = GUEST_VECTORS;
	return guest_run(context, v);
}

/* What EL0 fetches needs EL0's right, and what EL1 fetches EL1's. */
static void a_fetch_needs_the_right_of_its_level(void **state)
{
	const struct pt_el2_vcpu *v = &host_self()->vcpu;
	uint64_t context;

	(void)state;
	if (!has_xnx())
		skip();
	context = guest_new();
	EXPECT(PT_MAPPED,
	       CALL(MAP, context, DATA, PAGE, (uintptr_t)guest_code, PT_PROT_R | PT_PROT_PX));
	assert_int_equal(run_alias(context, guest_mode, EL1H), PT_EL2_VCPU_EXIT);
	assert_int_equal(run_alias(context, guest_load_user, EL0), PT_EL2_VCPU_ABORT);
	assert_int_equal(FSC(v->esr), 0x0f);
	assert_int_equal(v->outcome, PT_NO_SLOT);
	EXPECT(PT_UNMAPPED, CALL(UNMAP, context, DATA, PAGE));
	EXPECT(PT_MAPPED,
	       CALL(MAP, context, DATA, PAGE, (uintptr_t)guest_code, PT_PROT_R | PT_PROT_UX));
	assert_int_equal(run_alias(context, guest_load_user, EL0), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], 0x400);
	assert_int_equal(run_alias(context, guest_mode, EL1H), PT_EL2_VCPU_ABORT);
	assert_int_equal(FSC(v->esr), 0x0f);
	guest_end(context);
}

const struct CMUnitTest host_exit_tests[] = {
	cmocka_unit_test(an_abort_comes_to_the_vector_of_its_mode),
	cmocka_unit_test(the_handler_begins_without_access_to_el0),
	cmocka_unit_test(el0s_aborts_are_resolved),
	cmocka_unit_test(el0_calls_nobody),
	cmocka_unit_test(a_guests_el0_stays_at_el0),
	cmocka_unit_test(a_guest_is_left_by_an_irq),
	cmocka_unit_test(a_guest_is_left_by_an_fiq),
	cmocka_unit_test(a_fetch_needs_the_right_of_its_level),
};
const size_t host_exit_count = sizeof(host_exit_tests) / sizeof(host_exit_tests[0]);

const struct CMUnitTest host_send_tests[] = {
	cmocka_unit_test(an_interrupt_waits_for_one_step_at_most),
};
const size_t host_send_count = sizeof(host_send_tests) / sizeof(host_send_tests[0]);
