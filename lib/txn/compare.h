/* SPDX-License-Identifier: BSD-2-Clause */
/* How an existing leaf compares with a wanted one, and what a change of rights takes away; private
 * to lib. */
#ifndef PT_TXN_COMPARE_H
#define PT_TXN_COMPARE_H

#include "../walk/inline.h"

enum pt__match { PT__SAME, PT__RIGHTS, PT__OTHER };

/*
 * Does leaf `e` say the same as `want`? `want` has the output address for the first address that e
 * spans, so that a block and a page compare alike; the access flag and software bits do not count.
 */
PT__INLINE enum pt__match pt__match(pt_pte e, pt_pte want)
{
	pt_pte differ = (e ^ want) & ~(PT__IGNORED | PT_PTE_TYPE);

	if (!differ)
		return PT__SAME;
	return differ & ~PT_PTE_PERM ? PT__OTHER : PT__RIGHTS;
}

/* XN[1:0] as a set of who may execute: bit 0 EL1, bit 1 EL0. */
PT__INLINE unsigned pt__exec(pt_pte e)
{
	/* 00 both, 01 EL0 only, 10 none, 11 EL1 only */
	return 0x1023u >> (4 * (unsigned)((e & PT_PTE_XN) >> 53)) & 3;
}

/* Does going from the rights of `old` to those of `new` take one away? */
PT__INLINE bool pt__tightens(pt_pte old, pt_pte new)
{
	pt_pte rw = PT_PTE_S2AP_R | PT_PTE_S2AP_W;

	return (old & rw & ~new) || (pt__exec(old) & ~pt__exec(new));
}

PT__INLINE bool pt__adds_exec(pt_pte old, pt_pte new)
{
	return pt__exec(new) & ~pt__exec(old);
}

/* The leaf's memory type is Normal write-back, i.e. it may grant execute. */
PT__INLINE bool pt__may_exec(const struct pt_ctx *ctx, pt_pte e)
{
	return pt_prot_memtype(pt_leaf_prot(&ctx->geo, e, ctx->attrs)) == PT_MEM_NORMAL;
}

#endif
