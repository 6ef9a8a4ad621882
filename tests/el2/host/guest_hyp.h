/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest hypervisors that do one order after the other, and the page in which the host gives them.
 */
#ifndef TESTS_EL2_HOST_GUEST_HYP_H
#define TESTS_EL2_HOST_GUEST_HYP_H

#include <stdint.h>

enum hyp_what {
	HYP_SET,    /* nested IPA, level, entry: in its tables, which it makes down to the level */
	HYP_RUN,    /* code's IPA, x0, x1, x2 of its guest */
	HYP_TLBI,   /* ISS, operand */
	HYP_CALL,   /* of EL2's: function, two arguments; to its end */
	HYP_AT,	    /* of the one with an EL2: ISS, address */
	HYP_SELF,   /* the same: HVC, which it takes itself and returns from */
	HYP_STAGE1, /* TTBR0_EL2, TCR_EL2, SCTLR_EL2, and reads them: x1, x2, value */
	HYP_PROBE,  /* address, enum hyp_access: ESR_EL2, 0 where it went through, and FAR_EL2 */
	HYP_NAMES,  /* a number: into registers of its guest's EL1, by its names for them */
	HYP_CPTR,   /* CPTR_EL2, and reads it: value */
};
enum hyp_access { HYP_LOADS, HYP_STORES, HYP_JUMPS };

/* ESR_EL2.ISS of EC 0x18: op0, op2, op1, CRn, Rt 31, CRm. */
#define SYS(op1, crn, crm, op2)                                                                    \
	(UINT64_C(1) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | 31 << 5 | (crm) << 1)
#define IPAS2E1IS    SYS(4, 8, 0, 1)
#define RIPAS2E1IS   SYS(4, 8, 0, 2)
#define VMALLS12E1IS SYS(4, 8, 3, 6)
#define ALLE1IS	     SYS(4, 8, 3, 4)
#define VMALLE1IS    SYS(0, 8, 3, 0)
#define ALLE2IS	     SYS(4, 8, 3, 0)
#define AT_S1E1R     SYS(0, 7, 8, 0)
#define AT_S1E2R     SYS(4, 7, 8, 0)
#define AT_S1E2W     SYS(4, 7, 8, 1)
#define AT_S12E1R    SYS(4, 7, 8, 4)
#define AT_S12E1W    SYS(4, 7, 8, 5)

/* At the begin of the guest's page; the tables that it makes are behind its vCPU's and its stack's.
 * Its guest sees it nowhere. */
struct hyp_orders {
	uint64_t vttbr, vtcr, hcr; /* of its guest */
	uint64_t root, next;	   /* IPAs: its first table; the next page for one */
	uint64_t shift, start;	   /* its granule, as log2, and the level of `root` */
	uint64_t vcpu;		   /* IPA of a page; or of guest_virtual_enter */
	uint64_t nvhe;		   /* its EL2 has no HCR_EL2.E2H */
	uint64_t what, arg[4];
	/* What came of it: x0 and x1 of the hypercall; of a run what its guest was left with. */
	int64_t code;
	uint64_t x1, x2, esr, far, ipa, value, runs;
};

/* Position independent, a section of its own: one page at HYP_CODE. x0: where the orders are. */
void guest_hyp(volatile struct hyp_orders *orders);
/* The same with an EL2, at which it runs: by its own instructions. */
void guest_virtual(volatile struct hyp_orders *orders);
/* guest_virtual.S: the page behind it, with its vectors. Goes to `pc` at EL1 with x0 to x2; back
 * when that comes to EL2: *left. */
struct hyp_left {
	uint64_t esr, far, hpfar, x1;
};
void guest_virtual_enter(uint64_t pc, uint64_t x0, uint64_t x1, uint64_t x2, struct hyp_left *left);
#define HYP_VECTORS 2048
extern const unsigned char guest_virtual_ret[]; /* in it: goes back to x30 */

#endif
