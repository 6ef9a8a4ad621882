/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest executes at EL1; position independent, since it sees this at an address of its own. */
	.section .guest, "ax"
	.macro function name
	.balign 4
	.global \name
\name:
	.endm

function guest_load
	ldr	x0, [x0]
	hvc	#0

function guest_store
	str	x1, [x0]
	mov	x0, #0
	hvc	#0

function guest_exec
	br	x0

function guest_sum
1:	ldaxr	x3, [x0]
	add	x3, x3, #1
	stlxr	w4, x3, [x0]
	cbnz	w4, 1b
	add	x0, x0, x2
	subs	x1, x1, #1
	b.ne	1b
	mov	x0, #0
	hvc	#0

	.section .rodata.guest, "a"
	.balign 8
	.global guest_answer
guest_answer:
	mov	x0, #42
	hvc	#0
