/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions by which a guest hypervisor invalidates, by the manual's table of encodings. */
#ifndef TESTS_UNIT_GUEST_TLBI_H
#define TESTS_UNIT_GUEST_TLBI_H

#include <pt/nested.h>

enum domain { HERE, IS, OS };

/* Arm ARM C5.5, one line each; op0 is 1, CRn 8. */
static const struct instruction {
	const char *name;
	unsigned op1, crm, op2;
	enum pt_guest_tlbi_scope scope;
	enum domain domain;
	bool leaf_only;
} guest_tlbis[] = {
	{"ALLE1", 4, 7, 4, PT_GUEST_TLBI_ALL, HERE, false},
	{"ALLE1IS", 4, 3, 4, PT_GUEST_TLBI_ALL, IS, false},
	{"ALLE1OS", 4, 1, 4, PT_GUEST_TLBI_ALL, OS, false},
	{"VMALLS12E1", 4, 7, 6, PT_GUEST_TLBI_VMID, HERE, false},
	{"VMALLS12E1IS", 4, 3, 6, PT_GUEST_TLBI_VMID, IS, false},
	{"VMALLS12E1OS", 4, 1, 6, PT_GUEST_TLBI_VMID, OS, false},
	{"IPAS2E1", 4, 4, 1, PT_GUEST_TLBI_IPA, HERE, false},
	{"IPAS2E1IS", 4, 0, 1, PT_GUEST_TLBI_IPA, IS, false},
	{"IPAS2E1OS", 4, 4, 0, PT_GUEST_TLBI_IPA, OS, false},
	{"IPAS2LE1", 4, 4, 5, PT_GUEST_TLBI_IPA, HERE, true},
	{"IPAS2LE1IS", 4, 0, 5, PT_GUEST_TLBI_IPA, IS, true},
	{"IPAS2LE1OS", 4, 4, 4, PT_GUEST_TLBI_IPA, OS, true},
	{"RIPAS2E1", 4, 4, 2, PT_GUEST_TLBI_RANGE, HERE, false},
	{"RIPAS2E1IS", 4, 0, 2, PT_GUEST_TLBI_RANGE, IS, false},
	{"RIPAS2E1OS", 4, 4, 3, PT_GUEST_TLBI_RANGE, OS, false},
	{"RIPAS2LE1", 4, 4, 6, PT_GUEST_TLBI_RANGE, HERE, true},
	{"RIPAS2LE1IS", 4, 0, 6, PT_GUEST_TLBI_RANGE, IS, true},
	{"RIPAS2LE1OS", 4, 4, 7, PT_GUEST_TLBI_RANGE, OS, true},
	{"VMALLE1", 0, 7, 0, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VMALLE1IS", 0, 3, 0, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VMALLE1OS", 0, 1, 0, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VAE1", 0, 7, 1, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VAE1IS", 0, 3, 1, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VAE1OS", 0, 1, 1, PT_GUEST_TLBI_STAGE1, OS, false},
	{"ASIDE1", 0, 7, 2, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"ASIDE1IS", 0, 3, 2, PT_GUEST_TLBI_STAGE1, IS, false},
	{"ASIDE1OS", 0, 1, 2, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VAAE1", 0, 7, 3, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VAAE1IS", 0, 3, 3, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VAAE1OS", 0, 1, 3, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VALE1", 0, 7, 5, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"VALE1IS", 0, 3, 5, PT_GUEST_TLBI_STAGE1, IS, true},
	{"VALE1OS", 0, 1, 5, PT_GUEST_TLBI_STAGE1, OS, true},
	{"VAALE1", 0, 7, 7, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"VAALE1IS", 0, 3, 7, PT_GUEST_TLBI_STAGE1, IS, true},
	{"VAALE1OS", 0, 1, 7, PT_GUEST_TLBI_STAGE1, OS, true},
	{"RVAE1", 0, 6, 1, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"RVAE1IS", 0, 2, 1, PT_GUEST_TLBI_STAGE1, IS, false},
	{"RVAE1OS", 0, 5, 1, PT_GUEST_TLBI_STAGE1, OS, false},
	{"RVAAE1", 0, 6, 3, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"RVAAE1IS", 0, 2, 3, PT_GUEST_TLBI_STAGE1, IS, false},
	{"RVAAE1OS", 0, 5, 3, PT_GUEST_TLBI_STAGE1, OS, false},
	{"RVALE1", 0, 6, 5, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"RVALE1IS", 0, 2, 5, PT_GUEST_TLBI_STAGE1, IS, true},
	{"RVALE1OS", 0, 5, 5, PT_GUEST_TLBI_STAGE1, OS, true},
	{"RVAALE1", 0, 6, 7, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"RVAALE1IS", 0, 2, 7, PT_GUEST_TLBI_STAGE1, IS, true},
	{"RVAALE1OS", 0, 5, 7, PT_GUEST_TLBI_STAGE1, OS, true},
};

#define GUEST_TLBIS (sizeof(guest_tlbis) / sizeof(guest_tlbis[0]))

/* As an exception reports it. */
static inline uint32_t sys_of(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2)
{
	return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 31 << 5 | crm << 1;
}

#endif
