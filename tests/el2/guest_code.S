/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest executes at EL1; position independent, since it sees this at an address of its own. */
#include "guest.inc"

	.section .guest, "ax"

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
	sum_pages
	mov	x0, #0
	hvc	#0

	.section .rodata.guest, "a"
	.balign 8
	.global guest_answer
guest_answer:
	mov	x0, #42
	hvc	#0
