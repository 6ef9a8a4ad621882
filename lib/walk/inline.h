/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descent and descriptor arithmetic of the hot paths; private to lib. `gs` is the granule shift:
 * hot functions switch on it once and pass a constant, so that masks and shifts are constants too.
 */
#ifndef PT_WALK_INLINE_H
#define PT_WALK_INLINE_H

#include <pt/context.h>

/* One body for all granules where branches are counted: see tests/coverage. */
#ifdef PT_COVERAGE
#define PT__INLINE static __attribute__((unused))
#else
#define PT__INLINE static inline __attribute__((always_inline))
#endif
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

/* Output address of a leaf or table in one of the wide formats (as pt_pte_to_oa(), but no call, for
 * which hot functions would have to save registers). */
PT__INLINE uint64_t pt__oa_of_wide(bool ds, pt_pte e, unsigned gs)
{
	uint64_t low = e & pt__oa_low(gs);

	return ds ? low | (e >> 8 & 3) << 50 : (low & ~(UINT64_C(3) << 48)) | (e >> 12 & 0xf) << 48;
}

PT__INLINE uint64_t pt__oa(const struct pt_geometry *g, pt_pte e, unsigned gs)
{
	return pt__wide(g) ? pt__oa_of_wide(g->ds, e, gs) : e & pt__oa_low(gs);
}

PT__INLINE pt_pte pt__oa_pte(const struct pt_geometry *g, uint64_t pa)
{
	if (pt__wide(g))
		return pt_oa_to_pte(g, pt_pa(pa));
	return pa;
}

PT__INLINE pt_pte *pt__table(const struct pt_ctx *ctx, uint64_t pa)
{
	return pt_port_table(&ctx->port, pt_pa(pa));
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

/* What a descent keeps in registers: after each load of an entry the compiler would read them
 * again. */
struct pt__path {
	struct pt_port port;
	bool wide, ds;
	uint64_t ipa;
	int stop;
	unsigned gs;
};

PT__INLINE void pt__enter(const struct pt__path *path, uint64_t table, uint64_t index, int level,
			  struct pt__at *at)
{
	at->table = table;
	at->index = (uint32_t)index;
	at->slot = pt_port_table(&path->port, pt_pa(table)) + index;
	at->entry = pt_pte_load(at->slot);
	at->level = level;
	at->shift = path->gs + (path->gs - 3) * (unsigned)(PT_LEVEL_LAST - level);
}

/* One level down, to `level`. False: the descent has ended. */
PT__INLINE bool pt__down(const struct pt__path *path, int level, struct pt__at *at)
{
	const unsigned stride = path->gs - 3;
	unsigned shift = path->gs + stride * (unsigned)(PT_LEVEL_LAST - level);

	if (level > path->stop || (at->entry & 3) != 3)
		return false;
	pt__enter(path,
		  PT__UNLIKELY(path->wide) ? pt__oa_of_wide(path->ds, at->entry, path->gs)
					   : at->entry & pt__oa_low(path->gs),
		  (path->ipa >> shift) & ((1u << stride) - 1), level, at);
	return true;
}

/*
 * From the root to the entry for `ipa` that is no table, or to level `stop`. Unrolled, so that each
 * level's shift is a constant; the switch takes the one entry point that a geometry has. `wide`:
 * may the context's descriptors be of a wide format?
 */
PT__INLINE void pt__descend_in(const struct pt_ctx *ctx, uint64_t ipa, int stop, unsigned gs,
			       bool wide, struct pt__at *at)
{
	const struct pt__path path = {ctx->port, wide && ctx->wide, ctx->geo.ds, ipa, stop, gs};
	int level = ctx->geo.start_level;

	pt__enter(&path, ctx->root.v, ipa >> ctx->root_shift, level, at);
	switch (level) {
	case -1:
		if (!pt__down(&path, 0, at))
			return;
		/* fallthrough */
	case 0:
		if (!pt__down(&path, 1, at))
			return;
		/* fallthrough */
	case 1:
		if (!pt__down(&path, 2, at))
			return;
		/* fallthrough */
	case 2: pt__down(&path, 3, at); return;
	default: return;
	}
}

PT__INLINE void pt__descend(const struct pt_ctx *ctx, uint64_t ipa, int stop, unsigned gs,
			    struct pt__at *at)
{
	pt__descend_in(ctx, ipa, stop, gs, true, at);
}

/* The entry of the last level for `ipa`, which need not have been read; NULL: the descent ends
 * above. */
PT__INLINE pt_pte *pt__last_slot(const struct pt_ctx *ctx, uint64_t ipa, unsigned gs, bool wide)
{
	const unsigned stride = gs - 3;
	struct pt__at at;
	uint64_t table;

	pt__descend_in(ctx, ipa, PT_LEVEL_LAST - 1, gs, wide, &at);
	if (at.level == PT_LEVEL_LAST) /* the start level */
		return at.slot;
	if (at.level != PT_LEVEL_LAST - 1 || (at.entry & 3) != 3)
		return NULL;
	table = wide ? pt__oa_of_wide(ctx->geo.ds, at.entry, gs) : at.entry & pt__oa_low(gs);
	return pt__table(ctx, table) + ((ipa >> gs) & ((1u << stride) - 1));
}

/*
 * Bits of a leaf that the hardware or others keep there and that no comparison of mappings looks
 * at. (nT, bit 16 of a block, is an address bit of a page; no context sets it.)
 */
#define PT__IGNORED (PT_PTE_AF | PT_PTE_SW | PT_PTE_CONTIGUOUS | PT_PTE_DBM)

#endif
