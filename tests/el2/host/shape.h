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

#endif
