/* SPDX-License-Identifier: BSD-2-Clause */
/* The vectors of a CPU whose EL1 is a host or one of its guests: registers go to a frame on EL2's stack, which may be
 * another's when they come back. What is done with at first sight has only those saved that C may change. */
#include "vector.inc"

	.macro save_volatile /* what a C function may change */
	sub	sp, sp, #256
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	str	x18, [sp, #144]
	str	x30, [sp, #240]
	.endm

	.macro save_rest_and_go to
	str	x19, [sp, #152]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
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
	unexpected 0
	unexpected 1
	unexpected 2
	unexpected 3
	unexpected 4 /* from EL2 itself */
	unexpected 5
	unexpected 6
	unexpected 7
	.rept 2 /* from AArch64 and, at EL0, AArch32 */
	handled_first pt__el2_host_first, pt__el2_host_sync
	handled pt__el2_host_irq
	handled pt__el2_host_fiq
	handled pt__el2_host_serror
	.endr
	.balign 0x80

resume:
	ldr	x19, [sp, #152]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
resume_volatile:
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldr	x18, [sp, #144]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp], #256
	eret

	.global pt__el2_host_begin
pt__el2_host_begin: /* (x0 of the host, EL2's stack from now on): nothing of EL2 stays in a register */
	mov	sp, x1
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	mov	x\n, xzr
	.endr
	eret
