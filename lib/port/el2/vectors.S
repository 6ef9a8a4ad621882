/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's vectors, the way into EL1 and the two ways out of it. */
#include <pt/el2/cpu.h>

#include "vector.inc"

	.section .text.vectors, "ax"
	.balign 2048
	.global pt__el2_vectors
pt__el2_vectors:
	unexpected_at_el2
	.balign 0x80 /* synchronous, from EL1 */
	save_volatile
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
	restore_volatile
	eret

	.global pt__el2_enter
pt__el2_enter: /* (entry, cpu): returns when the guest has left */
	sub	sp, sp, #96
	pairs	stp, sp, 19, 30, 152
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
	pairs	ldp, sp, 19, 30, 152
	add	sp, sp, #96
	ret

	.global pt__el2_unexpected
pt__el2_unexpected: /* x0: the vector; its own value is in SP_EL0 */
	msr	tpidr_el1, x1 /* the guest's, which ends here */
	address	x1, panic_frame
	pairs	stp, x1, 2, 29
	mrs	x2, sp_el0
	mrs	x3, tpidr_el1
	stp	x2, x3, [x1]
	mov	x2, sp
	stp	x30, x2, [x1, #240]
	address	x3, panic_stack_top /* whatever was wrong with the other one */
	mov	sp, x3
	b	pt__el2_panic /* (vector, frame) */

	.section .region.panic, "aw", %nobits
	.balign 16
panic_frame:
	.skip	256
	.skip	8192
panic_stack_top:
