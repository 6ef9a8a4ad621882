/* SPDX-License-Identifier: BSD-2-Clause */
/* The first instructions of each CPU: at EL2, MMU off, caches perhaps not clean of other owners' lines. */
#include <pt/el2/cpu.h>
#include <pt/el2/image.h>

#include "vector.inc"

/*
 * Nothing is written before the MMU is on: the loader's table is constant, so no line of it can be
 * stale, and all other memory is only ever seen through the caches.
 */
#define MAIR_VALUE  0x0444ff   /* PT_HYP_MAIR: what lib/hyp will go on with */
#define TCR_VALUE   0x80803519 /* RES1; SH0 inner, ORGN0 and IRGN0 write-back, TG0 4K, T0SZ 25: 39 bits */
#define SCTLR_VALUE 0x30c5183d /* RES1; I, SA, C, M */
#define SCTLR_OFF   0x30c50830
#define HCR_VALUE   (1 << 31)  /* RW */
#define CPTR_VALUE  0x33ff     /* RES1; nothing traps */

#define ICC_SRE_EL2 S3_4_C12_C9_5 /* no names in armv8-a's assembler */
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define HCRX_EL2    S3_4_C1_C2_2
#define HFGRTR_EL2  S3_4_C1_C1_4
#define HFGWTR_EL2  S3_4_C1_C1_5
#define HFGITR_EL2  S3_4_C1_C1_6
#define HDFGRTR_EL2 S3_4_C3_C1_4
#define HDFGWTR_EL2 S3_4_C3_C1_5

#define NORMAL (0x1 | 1 << 6 | 3 << 8 | 1 << 10)
#define DEVICE (0x1 | 2 << 2 | 1 << 6 | 1 << 10 | 1 << 54)

	.section .rodata.loader, "a"
	.balign 4096
	.global pt_el2_loader_table
pt_el2_loader_table: /* level 1: a GiB an entry; devices, then memory */
	.quad DEVICE
	.quad PT_EL2_RAM + NORMAL
	.fill 510, 8, 0

	.macro go_on to /* in C, on the stack at x0 */
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x19
	b	\to
	.endm

	.section .text.start, "ax"
	.global _start
_start: /* the first CPU */
	mov	x19, xzr
	b	cpu_on

	.global pt__el2_secondary
pt__el2_secondary: /* PSCI's context in x0: its struct pt_el2_cpu */
	mov	x19, x0

cpu_on:
	msr	daifset, #0xf
	mrs	x0, CurrentEL
	cmp	x0, #8
	b.ne	wrong_level
	ldr	x0, =SCTLR_OFF
	msr	sctlr_el2, x0
	isb
	ldr	x0, =HCR_VALUE
	msr	hcr_el2, x0
	mov	x0, #CPTR_VALUE
	msr	cptr_el2, x0
	mrs	x1, id_aa64dfr0_el1
	ubfx	x1, x1, #8, #4 /* PMUVer: 0 and 15 are none of Arm's */
	sub	x1, x1, #1
	mov	x0, xzr
	cmp	x1, #14
	b.hs	1f
	mrs	x0, pmcr_el0
	ubfx	x0, x0, #11, #5
1:	msr	mdcr_el2, x0 /* HPMN: EL1 has all counters. 0 is UNPREDICTABLE without FEAT_HPMN0 */
	mrs	x0, id_aa64mmfr1_el1
	ubfx	x0, x0, #40, #4
	cbz	x0, 1f
	msr	HCRX_EL2, xzr /* like the next ones, of any value out of reset */
1:	mrs	x0, id_aa64mmfr0_el1
	ubfx	x0, x0, #56, #4
	cbz	x0, 1f
	msr	HFGRTR_EL2, xzr
	msr	HFGWTR_EL2, xzr
	msr	HFGITR_EL2, xzr
	msr	HDFGRTR_EL2, xzr
	msr	HDFGWTR_EL2, xzr
1:	msr	hstr_el2, xzr
	msr	cntvoff_el2, xzr
	mov	x0, #3 /* EL1 may read its counter and set its timer */
	msr	cnthctl_el2, x0
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	msr	vttbr_el2, xzr
	ldr	x0, =SCTLR_OFF & 0x30d00800 /* EL1: stage 1 off, little endian */
	msr	sctlr_el1, x0
	mrs	x0, id_aa64pfr0_el1
	ubfx	x0, x0, #24, #4
	cbz	x0, 1f
	mrs	x0, ICC_SRE_EL2 /* EL1 has the GIC's registers, if it has any, and no virtual interrupts */
	mov	x1, #9          /* SRE, Enable */
	orr	x0, x0, x1
	msr	ICC_SRE_EL2, x0
	isb
	msr	ICH_HCR_EL2, xzr
1:

	ldr	x0, =MAIR_VALUE
	msr	mair_el2, x0
	ldr	x0, =TCR_VALUE
	mrs	x1, id_aa64mmfr0_el1
	and	x1, x1, #0xf
	cmp	x1, #5 /* 48 bits: more than this table says */
	mov	x2, #5
	csel	x1, x1, x2, lo
	bfi	x0, x1, #16, #3
	msr	tcr_el2, x0
	adrp	x0, pt_el2_loader_table
	msr	ttbr0_el2, x0
	address	x0, pt__el2_vectors
	msr	vbar_el2, x0
	isb
	tlbi	alle2
	tlbi	alle1
	ic	iallu
	dsb	nsh
	isb
	ldr	x0, =SCTLR_VALUE
	msr	sctlr_el2, x0
	isb

	cbnz	x19, 2f
	address	x0, pt_el2_bss
	address	x1, pt_el2_bss_end
1:	cmp	x0, x1
	b.hs	3f
	stp	xzr, xzr, [x0], #16
	b	1b
3:	address	x0, pt__el2_stacks + PT_EL2_STACK_BYTES
	go_on	pt__el2_first

2:	msr	tpidr_el2, x19
	ldr	x0, [x19, #PT_EL2_CPU_STACK]
	go_on	pt__el2_work

wrong_level: /* exit status 2, by semihosting with a block on no stack */
	adr	x1, 4f
	mov	w0, #0x18
	hlt	#0xf000
5:	wfi
	b	5b
	.balign 8
4:	.quad	0x20026, 2
