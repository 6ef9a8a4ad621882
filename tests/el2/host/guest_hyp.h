/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor that does one order after the other, and the page in which the host gives
 * them.
 */
#ifndef TESTS_EL2_HOST_GUEST_HYP_H
#define TESTS_EL2_HOST_GUEST_HYP_H

#include <stdint.h>

enum hyp_what {
	HYP_SET,  /* nested IPA, level, entry: in its tables, which it makes down to the level */
	HYP_RUN,  /* code's IPA, x0, x1 of its guest */
	HYP_TLBI, /* ISS, operand */
};

/* At the begin of the guest's page; the tables that it makes are behind its vCPU's and its stack's.
 * Its guest sees it nowhere. */
struct hyp_orders {
	uint64_t vttbr, vtcr, hcr; /* of its guest */
	uint64_t root, next;	   /* IPAs: its level-1 table; the next page for one */
	uint64_t vcpu;		   /* IPA of a page */
	uint64_t what, arg[3];
	/* What came of it: x0 and x1 of the hypercall; of a run what its guest was left with. */
	int64_t code;
	uint64_t x1, x2, esr, far, ipa, value, runs;
};

/* Position independent, a section of its own: one page at HYP_CODE. x0: where the orders are. */
void guest_hyp(volatile struct hyp_orders *orders);

#endif
