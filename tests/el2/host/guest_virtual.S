/* SPDX-License-Identifier: BSD-2-Clause */
/* The second page of a guest hypervisor with an EL2: into its guest, and its vectors. */
#include "port/el2/vector.inc"
#include "../guest.inc"

#define EL1H 0x3c5

	.section .text.guest_virtual_enter, "ax"
	.balign 4096
function guest_virtual_enter /* (pc, x0, x1, x2, struct hyp_left *) */
	stp	x29, x30, [sp, #-112]!
	pairs	stp, sp, 19, 28, 136 /* from 16 on */
	str	x4, [sp, #96]
	mov	x4, #EL1H
	msr	spsr_el2, x4
	mov	x4, xzr
	msr	elr_el2, x0
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	eret

left:
	stp	x0, x2, [sp, #-16]!
	ldr	x2, [sp, #112]
	mrs	x0, esr_el2
	str	x0, [x2]
	mrs	x0, far_el2
	str	x0, [x2, #8]
	mrs	x0, hpfar_el2
	stp	x0, x1, [x2, #16]
	ldp	x0, x2, [sp], #16
	pairs	ldp, sp, 19, 28, 136
	ldp	x29, x30, [sp], #112
	.global guest_virtual_ret
guest_virtual_ret:
	ret

	.macro lost /* says which: the host finds no EXIT */
	.balign 0x80
	wfi
	b	.
	.endm

	.balign 2048
	.rept 4
	lost
	.endr
	.balign 0x80
	mrs	x2, esr_el2 /* of itself: its HVC; an abort, after which it goes on elsewhere */
	mrs	x3, spsr_el2
	tbz	x2, #31, 1f
	msr	elr_el2, x5
1:	eret
	.rept 3
	lost
	.endr
	.balign 0x80
	b	left
	.rept 7
	lost
	.endr
	.balign 4096
