/* SPDX-License-Identifier: BSD-2-Clause */
/* How an existing leaf compares with a wanted one, and what a change of rights takes away; private
 * to lib. */
#ifndef PT_TXN_COMPARE_H
#define PT_TXN_COMPARE_H

#include <pt/txn.h>

#include "../walk/inline.h"

/* S2AP[1] of a leaf that hardware may write through: set, or DBM (D1, Arm ARM D8.5.2). */
PT__INLINE pt_pte pt__writable(pt_pte e)
{
	return (e | e >> 44) & PT_PTE_S2AP_W;
}
_Static_assert(PT_PTE_DBM >> 44 == PT_PTE_S2AP_W, "pt__writable() shifts the one to the other");

enum pt__match { PT__SAME, PT__RIGHTS, PT__OTHER };

/* The software bits that a MAP sets and compares, as descriptor bits; others' stay as they are. */
PT__INLINE pt_pte pt__sw_mask(const struct pt_ctx *ctx)
{
	if (PT__LIKELY(!atomic_load_explicit(&ctx->sw_owner, memory_order_relaxed)))
		return 0;
	return pt_sw_to_pte(pt_ctx_sw_of(ctx, PT_SW_CALLER));
}

/* The same for an item of lib/owner. */
PT__INLINE pt_pte pt__sw_of(const struct pt_item *item)
{
	if (PT__UNLIKELY(item->flags & PT_ITEM_OWNER))
		return pt_sw_to_pte(pt_ctx_sw_of(item->ctx, PT_SW_OWNERSHIP));
	return pt__sw_mask(item->ctx);
}

/*
 * Does leaf `e` say the same as `want`? `want` has the output address for the first address that e
 * spans, so that a block and a page compare alike; access flag, dirty state and software bits
 * other than `sw` do not count.
 */
PT__INLINE enum pt__match pt__match(pt_pte e, pt_pte want, pt_pte sw)
{
	pt_pte differ = ((e | pt__writable(e)) ^ want) & (~(PT__IGNORED | PT_PTE_TYPE) | sw);

	if (!differ)
		return PT__SAME;
	return differ & ~(PT_PTE_PERM | sw) ? PT__OTHER : PT__RIGHTS;
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
	pt_pte r = old & ~new &PT_PTE_S2AP_R, w = pt__writable(old) & ~pt__writable(new);

	return r | w || (pt__exec(old) & ~pt__exec(new));
}

/* Which it takes, of PT_PROT_RWX. */
PT__INLINE uint32_t pt__lost(pt_pte old, pt_pte new)
{
	uint32_t lost = (pt__exec(old) & ~pt__exec(new)) << 2;

	if (old & ~new &PT_PTE_S2AP_R)
		lost |= PT_PROT_R;
	if (pt__writable(old) & ~pt__writable(new))
		lost |= PT_PROT_W;
	return lost;
}
_Static_assert(PT_PROT_PX == 1 << 2 && PT_PROT_UX == 2 << 2, "pt__exec() shifted");

PT__INLINE bool pt__adds_exec(pt_pte old, pt_pte new)
{
	return pt__exec(new) & ~pt__exec(old);
}

/* XN[1:0] that lets these execute, as pt__exec() says it. */
PT__INLINE pt_pte pt__xn(unsigned exec)
{
	return (pt_pte)(0x1eu >> (2 * exec) & 3) << 53;
}

/* XN[1:0] that lets all execute who may by `a` or by `b`. */
PT__INLINE pt_pte pt__exec_either(pt_pte a, pt_pte b)
{
	return pt__xn(pt__exec(a) | pt__exec(b));
}

/* Leaf `e`, which has no DBM, without some rights, of PT_PROT_RWX. */
PT__INLINE pt_pte pt__without(pt_pte e, uint32_t rights)
{
	pt_pte gone =
		(rights & PT_PROT_R ? PT_PTE_S2AP_R : 0) | (rights & PT_PROT_W ? PT_PTE_S2AP_W : 0);

	return (e & ~(gone | PT_PTE_XN)) | pt__xn(pt__exec(e) & ~(rights >> 2));
}

/*
 * What an operation that rewrites leaves in place makes of leaf `e`; `rights` are the permission
 * bits of the item; those of a MAP that replaces rights (as PROTECT does) come with the software
 * bits in `sw`; SET_SW has these alone. It is 0 for all others. The one place where each of these
 * kinds is defined, for ranges and points, prepare and commit. A writable leaf with DBM stays as
 * clean or dirty as it is (D8.5.2): only losing W takes DBM away.
 */
PT__INLINE pt_pte pt__next(uint32_t kind, pt_pte e, pt_pte rights, pt_pte sw)
{
	pt_pte dirty = e & e >> 44 & PT_PTE_S2AP_W, dbm = e >> 44 & PT_PTE_S2AP_W;

	switch (kind) {
	case PT_ITEM_PROTECT:
		if (!(rights & PT_PTE_S2AP_W))
			return (e & ~(PT_PTE_PERM | PT_PTE_DBM | sw)) | rights;
		return (e & ~(PT_PTE_PERM | sw)) | (rights & ~dbm) | dirty;
	case PT_ITEM_WRITE_PROTECT: return e & ~(PT_PTE_S2AP_W | PT_PTE_DBM);
	case PT_ITEM_RELAX:
		return (e & ~PT_PTE_XN) | (rights & ~dbm & (PT_PTE_S2AP_R | PT_PTE_S2AP_W)) |
		       pt__exec_either(e, rights);
	case PT_ITEM_MAKE_YOUNG: return e | PT_PTE_AF;
	case PT_ITEM_SET_SW: return (e & ~sw) | rights;
	default: return e; /* PT_ITEM_FLUSH */
	}
}

/* The leaf's memory type is Normal write-back, i.e. it may grant execute. */
PT__INLINE bool pt__may_exec(const struct pt_ctx *ctx, pt_pte e)
{
	return pt_prot_memtype(pt_leaf_prot(&ctx->geo, e, ctx->attrs)) == PT_MEM_NORMAL;
}

#endif
