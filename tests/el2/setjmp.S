/* SPDX-License-Identifier: BSD-2-Clause */
/* setjmp and longjmp: x19 to x30 and SP. And a function on another stack. */
#include "port/el2/vector.inc"

	.text
	.global setjmp
setjmp:
	pairs	stp, x0, 19, 30, 152
	mov	x1, sp
	str	x1, [x0, #96]
	mov	w0, #0
	ret

	.global longjmp
longjmp:
	pairs	ldp, x0, 19, 30, 152
	ldr	x2, [x0, #96]
	mov	sp, x2
	cmp	w1, #0
	csinc	w0, w1, wzr, ne
	ret

	.global el2_on_stack
el2_on_stack: /* (function, top): what it returns */
	stp	x29, x30, [sp, #-16]!
	mov	x29, sp
	mov	sp, x1
	blr	x0
	mov	sp, x29
	ldp	x29, x30, [sp], #16
	ret
