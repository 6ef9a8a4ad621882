/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLB invalidations that a guest hypervisor traps with.
 *
 * Source of the encodings: Arm ARM C5.5 (op0 1; op1 4 for EL2's own, 0 for those of EL1; CRn 8,
 * with nXS 9). The groups below are CRm: in each a form stands for one of the shareability domains.
 */
#include <pt/nested.h>

#include "base/bits.h"

#define VTCR_DS (UINT64_C(1) << 32)

#define CRN_TLBI     8
#define CRN_TLBI_NXS 9

enum { NONE, INNER, OUTER };

struct row {
	uint8_t op1, crm;
	uint8_t op2; /* of which a bit each */
	uint8_t scope, domain;
	uint8_t leaf_only; /* bits of op2 */
};

#define OP2(n)	     (1u << (n))
/* VMALLE1, VAE1, ASIDE1, VAAE1, VALE1, VAALE1; of ranges those that take an address. */
#define STAGE1	     (OP2(0) | OP2(1) | OP2(2) | OP2(3) | OP2(5) | OP2(7))
#define STAGE1_RANGE (OP2(1) | OP2(3) | OP2(5) | OP2(7))
#define STAGE1_LEAF  (OP2(5) | OP2(7))

static const struct row rows[] = {
	{4, 0, OP2(1) | OP2(5), PT_GUEST_TLBI_IPA, INNER, OP2(5)},
	{4, 0, OP2(2) | OP2(6), PT_GUEST_TLBI_RANGE, INNER, OP2(6)},
	{4, 4, OP2(1) | OP2(5), PT_GUEST_TLBI_IPA, NONE, OP2(5)},
	{4, 4, OP2(2) | OP2(6), PT_GUEST_TLBI_RANGE, NONE, OP2(6)},
	{4, 4, OP2(0) | OP2(4), PT_GUEST_TLBI_IPA, OUTER, OP2(4)},
	{4, 4, OP2(3) | OP2(7), PT_GUEST_TLBI_RANGE, OUTER, OP2(7)},
	{4, 1, OP2(4), PT_GUEST_TLBI_ALL, OUTER, 0},
	{4, 3, OP2(4), PT_GUEST_TLBI_ALL, INNER, 0},
	{4, 7, OP2(4), PT_GUEST_TLBI_ALL, NONE, 0},
	{4, 1, OP2(6), PT_GUEST_TLBI_VMID, OUTER, 0},
	{4, 3, OP2(6), PT_GUEST_TLBI_VMID, INNER, 0},
	{4, 7, OP2(6), PT_GUEST_TLBI_VMID, NONE, 0},
	{0, 1, STAGE1, PT_GUEST_TLBI_STAGE1, OUTER, STAGE1_LEAF},
	{0, 3, STAGE1, PT_GUEST_TLBI_STAGE1, INNER, STAGE1_LEAF},
	{0, 7, STAGE1, PT_GUEST_TLBI_STAGE1, NONE, STAGE1_LEAF},
	{0, 5, STAGE1_RANGE, PT_GUEST_TLBI_STAGE1, OUTER, STAGE1_LEAF},
	{0, 2, STAGE1_RANGE, PT_GUEST_TLBI_STAGE1, INNER, STAGE1_LEAF},
	{0, 6, STAGE1_RANGE, PT_GUEST_TLBI_STAGE1, NONE, STAGE1_LEAF},
};

static const struct row *row_of(uint64_t op1, uint64_t crm, uint64_t op2)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].op1 == op1 && rows[i].crm == crm && rows[i].op2 & OP2(op2))
			return &rows[i];
	return NULL;
}

/* A write (MSR, SYS) with op0 1 and a CRn of TLB maintenance. */
static bool is_tlbi(uint32_t sys)
{
	uint64_t crn = pt__field(sys, 13, 10);

	return !(sys >> 22) && pt__field(sys, 21, 20) == 1 && !(sys & 1) &&
	       (crn == CRN_TLBI || crn == CRN_TLBI_NXS);
}

static bool read_operand(uint64_t operand, bool ds, struct pt_guest_tlbi *tlbi)
{
	bool range = tlbi->scope == PT_GUEST_TLBI_RANGE;
	struct pt_tlbi_op op;
	int level;

	if (!pt_tlbi_decode(ds, operand, range, &op, &level))
		return false;
	tlbi->ttl_given = level != PT_TTL_UNKNOWN;
	tlbi->level = (int8_t)level;
	tlbi->ttl_shift = op.granule_shift;
	tlbi->ipa = op.ipa;
	tlbi->size = range ? op.size : 0;
	return true;
}

enum pt_outcome pt_guest_tlbi_decode(uint32_t sys, uint64_t operand, uint64_t vtcr,
				     struct pt_guest_tlbi *tlbi)
{
	uint64_t op2 = pt__field(sys, 19, 17);
	const struct row *row =
		is_tlbi(sys) ? row_of(pt__field(sys, 16, 14), pt__field(sys, 4, 1), op2) : NULL;
	struct pt_guest_tlbi out;

	if (!row)
		return PT_UNSUPPORTED;
	out = (struct pt_guest_tlbi){.scope = (enum pt_guest_tlbi_scope)row->scope,
				     .leaf_only = row->leaf_only & OP2(op2),
				     .inner = row->domain == INNER,
				     .outer = row->domain == OUTER,
				     .nxs = pt__field(sys, 13, 10) == CRN_TLBI_NXS,
				     .level = PT_TTL_UNKNOWN};
	if ((out.scope == PT_GUEST_TLBI_IPA || out.scope == PT_GUEST_TLBI_RANGE) &&
	    !read_operand(operand, vtcr & VTCR_DS, &out))
		return PT_INVALID;
	*tlbi = out;
	return PT_OK;
}
