/* SPDX-License-Identifier: BSD-2-Clause */
/* The vectors of a CPU whose EL1 is a host or one of its guests: registers go to a frame on EL2's stack, which may be
 * another's when they come back. What is done with at first sight has only those saved that C may change. */
#include "vector.inc"

	.macro save_rest_and_go to
	str	x19, [sp, #152]
	pairs	stp, sp, 20, 29
	mov	x0, sp
	adr	x30, resume
	b	\to
	.endm

	.macro handled by
	.balign 0x80
	save_volatile
	save_rest_and_go \by
	.endm

	.macro handled_first first, by
	.balign 0x80
	save_volatile
	bl	\first
	tbnz	w0, #0, resume_volatile
	save_rest_and_go \by
	.endm

	.section .text.host, "ax"
	.balign 2048
	.global pt__el2_host_vectors
pt__el2_host_vectors:
	unexpected_at_el2
	.rept 2 /* from AArch64 and, at EL0, AArch32 */
	handled_first pt__el2_host_first, pt__el2_host_sync
	handled pt__el2_host_irq
	handled pt__el2_host_fiq
	handled pt__el2_host_serror
	.endr
	.balign 0x80

	.macro vectors name, sync, irq, fiq, serror /* the same for EL0 in both states */
	.global \name
\name:
	unexpected_at_el2
	.rept 2
	handled \sync
	handled \irq
	handled \fiq
	handled \serror
	.endr
	.balign 0x80
	.endm
	/* while a guest's guest runs */
	vectors	pt__el2_nest_vectors, pt__el2_nest_sync, pt__el2_nest_irq, pt__el2_nest_irq, pt__el2_nest_serror
	/* while a guest with an EL2 runs, or its guest */
	vectors	pt__el2_virtual_vectors, pt__el2_virtual_sync, pt__el2_host_irq, pt__el2_host_fiq, pt__el2_host_serror

resume:
	ldr	x19, [sp, #152]
	pairs	ldp, sp, 20, 29
resume_volatile:
	restore_volatile
	eret

	.global pt__el2_host_begin
pt__el2_host_begin: /* (x0 of the host, EL2's stack from now on): nothing of EL2 stays in a register */
	mov	sp, x1
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	mov	x\n, xzr
	.endr
	eret
