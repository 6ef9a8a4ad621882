/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest hypervisors, their MMU off: their own stage-2 tables in their own IPA space. One at EL1,
 * with hypercalls in the place of what a CPU with FEAT_NV would trap; and one at the EL2 that such
 * a CPU gives it. Nothing here is of lib but numbers and the form of a vCPU. */
#include "guest_hyp.h"

#include <stdbool.h>

#include <pt/el2/host.h>
#include <pt/hvc.h>

#define INLINE	   static inline __attribute__((always_inline))
#define TABLE	   3u
#define OUT(entry) ((entry)&0xfffffffff000)
#define SCTLR_OFF  0x30d00800 /* RES1: its MMU is off */
#define EL1H	   0x3c5

INLINE volatile uint64_t *word(uint64_t ipa)
{
	return (volatile uint64_t *)(uintptr_t)ipa;
}

/* By HVC, or, of who is at an EL2, by SMC. */
INLINE void call_by(bool smc, volatile struct hyp_orders *o, uint32_t function, uint64_t a,
		    uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t x0 __asm__("x0") = PT_HVC(function);
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;
	register uint64_t x4 __asm__("x4") = d;

	if (smc)
		__asm__ volatile("smc #0"
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
				 : "r"(x4)
				 : "memory");
	else
		__asm__ volatile("hvc #0"
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
				 : "r"(x4)
				 : "memory");
	o->code = (int64_t)x0;
	o->x1 = x1;
	o->x2 = x2;
}

INLINE void call(volatile struct hyp_orders *o, uint32_t function, uint64_t a, uint64_t b,
		 uint64_t c, uint64_t d)
{
	call_by(false, o, function, a, b, c, d);
}

INLINE void call_to_its_end(bool smc, volatile struct hyp_orders *o)
{
	call_by(smc, o, (uint32_t)o->arg[0], o->arg[1], o->arg[2], 0, 0);
	while (o->code == PT_MORE)
		call_by(smc, o, PT_HVC_CONTINUE, o->x1, 0, 0, 0);
}

INLINE void set(volatile struct hyp_orders *o, uint64_t ipa, uint64_t level, uint64_t entry)
{
	uint64_t table = o->root, shift = o->shift, bits = shift - 3;

	for (uint64_t at = o->start;; at++) {
		uint64_t i = ipa >> (shift + (3 - at) * bits) & ((UINT64_C(1) << bits) - 1);
		volatile uint64_t *e = word(table) + i;

		if (at == level) {
			*e = entry;
			break;
		}
		if ((*e & TABLE) != TABLE) {
			*e = o->next | TABLE;
			o->next += UINT64_C(1) << shift;
		}
		table = OUT(*e);
	}
	__asm__ volatile("dsb ish" ::: "memory");
}

/* Until its guest has done something that is its to see. */
INLINE void run(volatile struct hyp_orders *o)
{
	volatile struct pt_el2_vcpu *v = (volatile struct pt_el2_vcpu *)(uintptr_t)o->vcpu;

	v->regs.pc = o->arg[0];
	v->regs.x[0] = o->arg[1];
	v->regs.x[1] = o->arg[2];
	v->regs.x[2] = o->arg[3];
	v->regs.pstate = EL1H;
	v->regs.sctlr_el1 = SCTLR_OFF;
	do {
		o->runs++;
		call(o, PT_HVC_NEST_RUN, o->vcpu, o->vttbr, o->vtcr, o->hcr);
	} while (o->code == -PT_BUSY || (o->code == PT_OK && o->x1 == PT_EL2_VCPU_INTERRUPT));
	o->esr = v->esr;
	o->far = v->far;
	o->ipa = v->ipa;
	o->value = v->regs.x[1];
}

__attribute__((section(".text.guest_hyp"), aligned(4096))) void
guest_hyp(volatile struct hyp_orders *orders)
{
	for (;;) {
		if (orders->what == HYP_SET)
			set(orders, orders->arg[0], orders->arg[1], orders->arg[2]);
		if (orders->what == HYP_RUN)
			run(orders);
		if (orders->what == HYP_TLBI) {
			call(orders, PT_HVC_NEST_TLBI, orders->arg[0], orders->arg[1],
			     orders->vttbr, orders->vtcr);
			while (orders->code == PT_MORE)
				call(orders, PT_HVC_CONTINUE, orders->x1, 0, 0, 0);
		}
		if (orders->what == HYP_CALL)
			call_to_its_end(false, orders);
		/* The host's turn; nothing of the orders stands in a register meanwhile. */
		{
			register uint64_t x0 __asm__("x0") = PT_HVC(PT_HVC_EXIT);

			__asm__ volatile("hvc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
		}
	}
}

/* ---- with an EL2 ---- */

#define EC(esr)		    ((esr) >> 26)
#define EC_HVC		    0x16
#define INSN(text, operand) __asm__ volatile(text ::"r"(operand) : "memory")

INLINE void invalidate(uint64_t iss, uint64_t operand)
{
	INSN("dsb ish", 0);
	if (iss == IPAS2E1IS)
		INSN("tlbi ipas2e1is, %0", operand);
	if (iss == RIPAS2E1IS)
		INSN("sys #4, c8, c0, #2, %0", operand);
	if (iss == VMALLS12E1IS)
		INSN("tlbi vmalls12e1is", 0);
	if (iss == ALLE1IS)
		INSN("tlbi alle1is", 0);
	if (iss == VMALLE1IS)
		INSN("tlbi vmalle1is", 0);
	if (iss == ALLE2IS)
		INSN("tlbi alle2is", 0);
	INSN("dsb ish\n\tisb", 0);
}

INLINE uint64_t translate(uint64_t iss, uint64_t at)
{
	uint64_t par;

	INSN("msr par_el1, %0", ~UINT64_C(0));
	if (iss == AT_S12E1R)
		INSN("at s12e1r, %0", at);
	if (iss == AT_S12E1W)
		INSN("at s12e1w, %0", at);
	if (iss == AT_S1E1R)
		INSN("at s1e1r, %0", at);
	if (iss == AT_S1E2R)
		INSN("at s1e2r, %0", at);
	if (iss == AT_S1E2W)
		INSN("at s1e2w, %0", at);
	__asm__ volatile("isb\n\tmrs %0, par_el1" : "=r"(par)::"memory");
	return par;
}

/* ESR, and SPSR where that came from; and its level. */
INLINE void call_itself(volatile struct hyp_orders *o)
{
	register uint64_t x2 __asm__("x2");
	register uint64_t x3 __asm__("x3");
	uint64_t level;

	__asm__ volatile("hvc #5" : "=r"(x2), "=r"(x3)::"memory");
	o->esr = x2;
	o->x2 = x3;
	__asm__ volatile("mrs %0, CurrentEL" : "=r"(level));
	o->value = level;
}

INLINE void run_below(volatile struct hyp_orders *o)
{
	__typeof__(&guest_virtual_enter) enter =
		(__typeof__(&guest_virtual_enter))(uintptr_t)o->vcpu;
	struct hyp_left left;

	o->runs++;
	if (o->nvhe)
		INSN("msr sctlr_el1, %0", (uint64_t)SCTLR_OFF);
	else
		INSN("msr S3_5_C1_C0_0, %0", (uint64_t)SCTLR_OFF); /* SCTLR_EL12 */
	enter(o->arg[0], o->arg[1], o->arg[2], o->arg[3], &left);
	o->code = PT_OK;
	o->x1 = EC(left.esr) == EC_HVC ? PT_EL2_VCPU_EXIT : PT_EL2_VCPU_ABORT;
	o->esr = left.esr;
	o->far = left.far;
	o->ipa = left.hpfar << 8 | (left.far & 0xfff);
	o->value = left.x1;
}

#define MOVE(name, value)                                                                          \
	({                                                                                         \
		uint64_t read;                                                                     \
		__asm__ volatile("msr " name ", %1\n\tmrs %0, " name                               \
				 : "=r"(read)                                                      \
				 : "r"(value)                                                      \
				 : "memory");                                                      \
		read;                                                                              \
	})

/* Its own stage 1, whose tables map what it stands on where that is. */
INLINE void begin_stage1(volatile struct hyp_orders *o)
{
	INSN("msr mair_el2, %0", UINT64_C(0xff));
	o->x1 = MOVE("ttbr0_el2", o->arg[0]);
	o->x2 = MOVE("tcr_el2", o->arg[1]);
	INSN("isb\n\ttlbi alle2\n\tdsb ish\n\tisb", 0);
	o->value = MOVE("sctlr_el2", o->arg[2]);
	INSN("isb", 0);
}

/* An abort goes on behind the access: its vector finds where in x5, and tells in x2 and x3. */
INLINE void probe(volatile struct hyp_orders *o)
{
	register uint64_t x0 __asm__("x0") = o->arg[0];
	register uint64_t x2 __asm__("x2") = 0;
	register uint64_t x3 __asm__("x3") = 0;
	uint64_t what = o->arg[1];

#define PROBE(insn)                                                                                \
	__asm__ volatile("adr x5, 1f\n\tmov x30, x5\n\t" insn "\n1:"                               \
			 : "+r"(x2), "+r"(x3)                                                      \
			 : "r"(x0)                                                                 \
			 : "x4", "x5", "x30", "memory")
	if (what == HYP_LOADS)
		PROBE("ldr x4, [x0]");
	else if (what == HYP_STORES)
		PROBE("str xzr, [x0]");
	else
		PROBE("br x0");
#undef PROBE
	o->esr = x2;
	__asm__ volatile("mrs %0, far_el2" : "=r"(x3));
	o->far = x3;
}

/* With HCR_EL2.E2H EL1's names are EL2's own registers. */
#define BY_NAME(o, name, e2h, n)                                                                   \
	do {                                                                                       \
		if ((o)->nvhe)                                                                     \
			INSN("msr " name ", %0", n);                                               \
		else                                                                               \
			INSN("msr " e2h ", %0", n);                                                \
	} while (0)

INLINE void name_guests(volatile struct hyp_orders *o)
{
	uint64_t n = o->arg[0];

	BY_NAME(o, "ttbr0_el1", "S3_5_C2_C0_0", n);
	BY_NAME(o, "contextidr_el1", "S3_5_C13_C0_1", n);
	BY_NAME(o, "vbar_el1", "S3_5_C12_C0_0", n << 11);
	BY_NAME(o, "elr_el1", "S3_5_C4_C0_1", n);
	BY_NAME(o, "far_el1", "S3_5_C6_C0_0", n);
}

__attribute__((section(".text.guest_virtual"), aligned(4096))) void
guest_virtual(volatile struct hyp_orders *orders)
{
	for (;;) {
		INSN("msr vbar_el2, %0", orders->vcpu + HYP_VECTORS);
		INSN("msr vttbr_el2, %0", orders->vttbr);
		INSN("msr vtcr_el2, %0", orders->vtcr);
		INSN("msr hcr_el2, %0\n\tisb", orders->hcr);
		if (orders->what == HYP_SET)
			set(orders, orders->arg[0], orders->arg[1], orders->arg[2]);
		if (orders->what == HYP_RUN)
			run_below(orders);
		if (orders->what == HYP_TLBI)
			invalidate(orders->arg[0], orders->arg[1]);
		if (orders->what == HYP_AT)
			orders->value = translate(orders->arg[0], orders->arg[1]);
		if (orders->what == HYP_SELF)
			call_itself(orders);
		if (orders->what == HYP_STAGE1)
			begin_stage1(orders);
		if (orders->what == HYP_PROBE)
			probe(orders);
		if (orders->what == HYP_NAMES)
			name_guests(orders);
		if (orders->what == HYP_CPTR)
			orders->value = MOVE("cptr_el2", orders->arg[0]);
		if (orders->what == HYP_CALL)
			call_to_its_end(true, orders);
		{
			register uint64_t x0 __asm__("x0") = PT_HVC(PT_HVC_EXIT);

			__asm__ volatile("smc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
		}
	}
}
