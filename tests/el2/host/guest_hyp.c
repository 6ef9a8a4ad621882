/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor at EL1, its MMU off: its own stage-2 tables in its own IPA space, and
 * hypercalls in the place of what a CPU with FEAT_NV would trap. Nothing here is of lib but numbers
 * and the form of a vCPU. */
#include "guest_hyp.h"

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

INLINE void call(volatile struct hyp_orders *o, uint32_t function, uint64_t a, uint64_t b,
		 uint64_t c, uint64_t d)
{
	register uint64_t x0 __asm__("x0") = PT_HVC(function);
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;
	register uint64_t x4 __asm__("x4") = d;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : "r"(x4) : "memory");
	o->code = (int64_t)x0;
	o->x1 = x1;
	o->x2 = x2;
}

/* 4K, from level 1. */
INLINE void set(volatile struct hyp_orders *o, uint64_t ipa, uint64_t level, uint64_t entry)
{
	uint64_t table = o->root;

	for (unsigned at = 1;; at++) {
		volatile uint64_t *e = word(table) + (ipa >> (39 - 9 * at) & 511);

		if (at == level) {
			*e = entry;
			break;
		}
		if ((*e & TABLE) != TABLE) {
			*e = o->next | TABLE;
			o->next += 4096;
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
		/* The host's turn; nothing of the orders stands in a register meanwhile. */
		{
			register uint64_t x0 __asm__("x0") = PT_HVC(PT_HVC_EXIT);

			__asm__ volatile("hvc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
		}
	}
}
