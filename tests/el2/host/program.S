/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's program, as a part of EL2's image that is loaded where it was linked. */
	.section .host, "ax"
	.incbin PROGRAM
