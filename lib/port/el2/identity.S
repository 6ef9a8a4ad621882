/* SPDX-License-Identifier: BSD-2-Clause */
/* The change of EL2's table: the code that runs while the MMU is off, in the identity page. */

/*
 * Registers only: with the MMU off, data would pass by the caches. Table walks are cacheable, so what
 * was written to the new table is seen after the DSB. KVM: __pkvm_init_switch_pgd.
 */
	.section .text.switch, "ax"
	.balign 256 /* it crosses no page */
	.global pt_el2_switch_code
pt_el2_switch_code:
	.global pt__el2_switch
pt__el2_switch: /* x0 TTBR0_EL2, x1 TCR_EL2, x2 MAIR_EL2 */
	dsb	ish
	mrs	x3, sctlr_el2
	bic	x4, x3, #1
	msr	sctlr_el2, x4
	isb
	msr	ttbr0_el2, x0
	msr	tcr_el2, x1
	msr	mair_el2, x2
	isb
	tlbi	alle2
	dsb	nsh
	isb
	msr	sctlr_el2, x3
	isb
	ret
