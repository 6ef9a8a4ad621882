/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's vectors, the way into EL1 and the two ways out of it. */
#include <pt/el2/cpu.h>

#include "vector.inc"

	.section .text.vectors, "ax"
	.balign 2048
	.global pt__el2_vectors
pt__el2_vectors:
	unexpected 0
	unexpected 1
	unexpected 2
	unexpected 3
	unexpected 4 /* from EL2 itself */
	unexpected 5
	unexpected 6
	unexpected 7
	.balign 0x80 /* synchronous, from EL1 */
	stp	x0, x1, [sp, #-160]!
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x1, tpidr_el2
	bl	pt__el2_sync /* (x0 of the guest, cpu): back to the guest? */
	tbz	w0, #0, leave
	b	resume
	unexpected 9
	unexpected 10
	unexpected 11
	unexpected 12
	unexpected 13
	unexpected 14
	unexpected 15
	.balign 0x80

resume: /* x19 to x29 are the guest's still: the compiler's functions kept them */
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	ldp	x0, x1, [sp], #160
	eret

	.global pt__el2_enter
pt__el2_enter: /* (entry, cpu): returns when the guest has left */
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	mov	x2, sp
	str	x2, [x1, #PT_EL2_CPU_HOST_SP]
	ldp	x3, x4, [x0] /* pc, sp */
	msr	elr_el2, x3
	msr	sp_el1, x4
	mov	x3, #0x3c5 /* EL1h, interrupts masked */
	msr	spsr_el2, x3
	ldr	x30, [x0, #16]
	ldr	x2, [x0, #40]
	ldp	x0, x1, [x0, #24]
	eret

leave:
	mrs	x0, tpidr_el2
	ldr	x0, [x0, #PT_EL2_CPU_HOST_SP]
	mov	sp, x0
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
	ret

	.global pt__el2_unexpected
pt__el2_unexpected: /* x0: the vector; its own value is in SP_EL0 */
	msr	tpidr_el1, x1 /* the guest's, which ends here */
	adrp	x1, panic_frame
	add	x1, x1, #:lo12:panic_frame
	stp	x2, x3, [x1, #16]
	stp	x4, x5, [x1, #32]
	stp	x6, x7, [x1, #48]
	stp	x8, x9, [x1, #64]
	stp	x10, x11, [x1, #80]
	stp	x12, x13, [x1, #96]
	stp	x14, x15, [x1, #112]
	stp	x16, x17, [x1, #128]
	stp	x18, x19, [x1, #144]
	stp	x20, x21, [x1, #160]
	stp	x22, x23, [x1, #176]
	stp	x24, x25, [x1, #192]
	stp	x26, x27, [x1, #208]
	stp	x28, x29, [x1, #224]
	mrs	x2, sp_el0
	mrs	x3, tpidr_el1
	stp	x2, x3, [x1]
	mov	x2, sp
	stp	x30, x2, [x1, #240]
	adrp	x3, panic_stack_top /* whatever was wrong with the other one */
	add	x3, x3, #:lo12:panic_stack_top
	mov	sp, x3
	b	pt__el2_panic /* (vector, frame) */

	.section .region.panic, "aw", %nobits
	.balign 16
panic_frame:
	.skip	256
	.skip	8192
panic_stack_top:
