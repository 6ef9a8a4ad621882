/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descent and descriptor arithmetic of the hot paths; private to lib. `gs` is the granule shift:
 * hot functions switch on it once and pass a constant, so that masks and shifts are constants too.
 */
#ifndef PT_WALK_INLINE_H
#define PT_WALK_INLINE_H

#include <pt/context.h>

#define PT__INLINE	static inline __attribute__((always_inline))
#define PT__LIKELY(x)	__builtin_expect(!!(x), 1)
#define PT__UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Calls an always-inline function once for each granule. */
#define PT__BY_GRANULE(g, call12, call14, call16)                                                  \
	((g)->granule_shift == 12 ? (call12) : (g)->granule_shift == 14 ? (call14) : (call16))

/* Is part of the output address kept in low bits (Arm ARM D8.3.1: 52-bit output addresses)? */
PT__INLINE bool pt__wide(const struct pt_geometry *g)
{
	return PT__UNLIKELY(g->ds | g->lpa);
}

/* OA[49:granule]; bits 49:48 are zero in the 48-bit formats. */
PT__INLINE uint64_t pt__oa_low(unsigned gs)
{
	return ((UINT64_C(1) << 50) - 1) & ~((UINT64_C(1) << gs) - 1);
}

PT__INLINE uint64_t pt__oa(const struct pt_geometry *g, pt_pte e, unsigned gs)
{
	if (pt__wide(g))
		return pt_pte_to_oa(g, e).v;
	return e & pt__oa_low(gs);
}

PT__INLINE pt_pte pt__oa_pte(const struct pt_geometry *g, uint64_t pa)
{
	if (pt__wide(g))
		return pt_oa_to_pte(g, pt_pa(pa));
	return pa;
}

PT__INLINE pt_pte *pt__table(const struct pt_ctx *ctx, uint64_t pa)
{
	return pt_port_table(ctx->machine->port, pt_pa(pa));
}

/* Where the descent for an address ended. */
struct pt__at {
	pt_pte *slot;
	pt_pte entry;
	uint64_t table; /* PA of the table (at the start level: of all of them) */
	uint32_t index;
	unsigned shift; /* log2 of the entry's span */
	int level;
};

/* From the root to the entry for `ipa` that is no table, or to level `stop`. */
PT__INLINE void pt__descend(const struct pt_ctx *ctx, uint64_t ipa, int stop, unsigned gs,
			    struct pt__at *at)
{
	const unsigned stride = gs - 3;
	const struct pt_port *port = ctx->machine->port;
	int level = ctx->geo.start_level;
	unsigned shift = gs + stride * (unsigned)(PT_LEVEL_LAST - level);
	uint64_t table = ctx->root.v;
	uint64_t index = ipa >> shift;
	pt_pte *slot = pt_port_table(port, pt_pa(table)) + index;
	pt_pte e = pt_pte_load(slot);

	while (level < stop && (e & 3) == 3) {
		level++;
		shift -= stride;
		index = (ipa >> shift) & ((1u << stride) - 1);
		table = pt__oa(&ctx->geo, e, gs);
		slot = pt_port_table(port, pt_pa(table)) + index;
		e = pt_pte_load(slot);
	}
	*at = (struct pt__at){slot, e, table, (uint32_t)index, shift, level};
}

/*
 * Bits of a leaf that the hardware or others keep there and that no comparison of mappings looks
 * at. (nT, bit 16 of a block, is an address bit of a page; no context sets it.)
 */
#define PT__IGNORED (PT_PTE_AF | PT_PTE_SW | PT_PTE_CONTIGUOUS | PT_PTE_DBM)

#endif
