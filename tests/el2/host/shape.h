/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the host stands; numbers that its assembly shares with C, and the image's own calls. */
#ifndef TESTS_EL2_HOST_SHAPE_H
#define TESTS_EL2_HOST_SHAPE_H

#define HOST_BASE      0x50000000
#define HOST_CPUS      4
#define HOST_CPU_BYTES 0x10000 /* its stack at the end */
#define HOST_CPU_ESR   0
#define HOST_CPU_FAR   8
#define HOST_CPU_WHERE 16	  /* vector, ELR, SPSR */
#define HOST_EL0_VA    0x40000000 /* EL0 sees memory so far above its PA */

/* HVC #n, which the image answers beside EL2's own. */
#define CALL_ABORTS 1 /* x0, x1: taken from the host and from guests, on this CPU; x2: lost */
#define CALL_OWN    2 /* (i): PA and size of what is EL2's; size 0: no more */
#define CALL_WORD   3 /* (PA of EL2's memory): what stands there */
#define CALL_VMID   4 /* (handle): VMID and table pages of the context */
#define CALL_USED   5 /* bytes of the pool that are in use; free contexts */
#define CALL_COUNT  6 /* (1: from zero on) instructions at EL2, under icount */
#define CALL_LIB    7 /* lib_calls.h */
#define CALL_LOOK                                                                                  \
	8 /* (party, address, pages): which can be read, and written; the sum of (n + 1) * PA */
#define CALL_FORCE 9  /* (may the host take what it touches by force?) */
#define CALL_NEST  10 /* (place): leaves that its guest's TLBIs have removed from its shadows */

#define CALL_TYPE                                                                                  \
	11 /* (guest or shadow, address): PAR_EL1 of a read, by a stage 1 of Device and of Normal  \
	    */

/* Parties of CALL_LOOK; a guest by its place. */
#define LOOK_HOST   0x100
#define LOOK_HYP    0x101
/* A shadow of a guest by its place: its own in 31:16. */
#define LOOK_SHADOW 0x8000

/* clang-format off */
/* Those of PT_EL2_SYS_TABLE that a guest may write: from which of its registers, and the bits that
 * QEMU keeps and that do nothing to a guest with its MMU off. */
#define GUEST_REGISTERS(X)                                                                         \
	X(cpacr_el1, 2, 0x300000) X(ttbr0_el1, 3, 0xffff00007ffff000)                              \
	X(ttbr1_el1, 4, 0xffff00007ffff000) X(tcr_el1, 5, 0x3f003f) X(mair_el1, 6, ~0)             \
	X(vbar_el1, 7, 0xfffffffff800) X(contextidr_el1, 8, 0xffffffff) X(tpidr_el0, 9, ~0)        \
	X(tpidrro_el0, 10, ~0) X(tpidr_el1, 11, ~0) X(esr_el1, 12, 0xffffffff) X(far_el1, 13, ~0)  \
	X(elr_el1, 14, ~0) X(spsr_el1, 15, 0xf00003c5) X(par_el1, 16, ~0) X(cntkctl_el1, 17, 3)    \
	X(cntv_ctl_el0, 18, 2) X(cntv_cval_el0, 19, ~0) X(csselr_el1, 20, 0xe) X(sp_el0, 21, ~0)
/* clang-format on */

#endif
