/* SPDX-License-Identifier: BSD-2-Clause */
/* Next state for items. */
#include "model.h"

/* ---- an item by itself ---- */

static enum pt_outcome check_prot(const struct model *m, uint32_t prot)
{
	uint32_t exec = prot & 0xc, type = prot >> 8 & 0xff;

	if (prot & ~0xfff0fu || type > 2 || !(prot & 0xf) || (type && exec))
		return PT_INVALID;
	return (exec == 4 || exec == 8) && !m->xnx ? PT_UNSUPPORTED : PT_OK;
}

static enum pt_outcome check_range(uint64_t at, uint64_t size, unsigned granule, unsigned address)
{
	if (size == 0 || at > UINT64_MAX - (size - 1))
		return PT_INVALID;
	if ((at & ((UINT64_C(1) << granule) - 1)) || (size & ((UINT64_C(1) << granule) - 1)))
		return PT_MISALIGNED;
	return at + (size - 1) >= UINT64_C(1) << address ? PT_OUT_OF_RANGE : PT_OK;
}

enum pt_outcome model_check(const struct model *m, const struct pt_item *item)
{
	enum pt_outcome o = PT_OK;

	switch (item->kind) {
	case PT_ITEM_MAP:
		if (item->flags & ~PT_MAP_FLAGS)
			return PT_INVALID;
		o = check_prot(m, item->prot);
		if (o == PT_OK &&
		    ((item->prot >> 16 & ~m->sw) || (m->identity && item->ipa.v != item->pa.v)))
			return PT_INVALID;
		break;
	case PT_ITEM_ANNOTATE:
		if (item->flags || item->prot || item->pa.v & 1 || item->pa.v >> 60 < 2)
			return PT_INVALID;
		break;
	case PT_ITEM_PROTECT:
	case PT_ITEM_RELAX:
		if (item->flags || item->prot > 0xff)
			return PT_INVALID;
		o = check_prot(m, item->prot);
		break;
	case PT_ITEM_UNMAP:
	case PT_ITEM_FLUSH:
	case PT_ITEM_WRITE_PROTECT:
	case PT_ITEM_MAKE_YOUNG:
		if (item->flags || item->prot)
			return PT_INVALID;
		break;
	default: return PT_INVALID;
	}
	if (o == PT_OK)
		o = check_range(item->ipa.v, item->size, m->granule, m->ipa_bits);
	if (o == PT_OK && item->kind == PT_ITEM_MAP)
		o = check_range(item->pa.v, item->size, m->granule, m->pa_bits);
	return o;
}

/* ---- what it says ---- */

/* Parts of a range that say one thing, from its begin to its end. */
struct part {
	uint64_t lo, hi;
	struct cell cell;
};

static bool next_part(const struct model *m, const struct pt_item *item, struct part *p)
{
	uint64_t last = item->ipa.v + (item->size - 1);

	if (p->lo > last || p->lo < item->ipa.v)
		return false;
	p->cell = space_get(&m->space, p->lo, &p->hi);
	if (p->hi > last)
		p->hi = last;
	return true;
}

#define FOR_PARTS(m, item, p)                                                                      \
	for (struct part p = {.lo = (item)->ipa.v}; next_part((m), (item), &p); p.lo = p.hi + 1)

static uint64_t granules(const struct model *m, const struct part *p)
{
	return (p->hi - p->lo + 1) >> m->granule;
}

static struct cell wanted(const struct pt_item *item, uint64_t ipa)
{
	return (struct cell){.what = LEAF,
			     .rights = item->prot & 0xf,
			     .memtype = (uint8_t)(item->prot >> 8),
			     .sw = item->prot >> 16 & 0xf,
			     .young = true,
			     .at = item->pa.v + (ipa - item->ipa.v)};
}

static bool same_place(const struct cell *have, const struct cell *want)
{
	return have->what == LEAF && have->at == want->at && have->memtype == want->memtype;
}

static struct told tell_map(const struct model *m, const struct pt_item *item)
{
	bool replace = item->flags & PT_MAP_REPLACE, changed = false, rights = false;

	FOR_PARTS(m, item, p)
	{
		struct cell want = wanted(item, p.lo);

		if (p.cell.what == HOLE)
			changed = true;
		else if (!same_place(&p.cell, &want) && !replace)
			return (struct told){.outcome = PT_OVERLAP, .ipa = p.lo};
		else if (!same_place(&p.cell, &want))
			changed = true;
		else if (p.cell.rights != want.rights || p.cell.sw != want.sw)
			*(replace ? &changed : &rights) = true;
	}
	return (struct told){.outcome = rights	  ? PT_PERMISSION_ONLY
					: changed ? PT_MAPPED
						  : PT_ALREADY_MAPPED,
			     .loose = replace && !changed};
}

static struct told tell_unmap(const struct model *m, const struct pt_item *item)
{
	struct told t = {.outcome = PT_HOLE};

	FOR_PARTS(m, item, p)
	{
		if (p.cell.what == LEAF)
			t.outcome = PT_UNMAPPED;
		else
			t.holes += granules(m, &p);
	}
	return t;
}

/* What a leaf becomes where leaves are rewritten in place. */
static struct cell rewritten(const struct pt_item *item, struct cell c)
{
	switch (item->kind) {
	case PT_ITEM_PROTECT: c.rights = item->prot & 0xf; break;
	case PT_ITEM_WRITE_PROTECT: c.rights &= (uint8_t)~PT_PROT_W; break;
	case PT_ITEM_RELAX: c.rights |= item->prot & 0xf; break;
	case PT_ITEM_MAKE_YOUNG: c.young = true; break;
	default: break; /* FLUSH */
	}
	if (!(c.rights & PT_PROT_W))
		c.dbm = c.dirty = false;
	return c;
}

static struct told tell_rewrite(const struct model *m, const struct pt_item *item)
{
	bool met = false, changed = false, tightened = false;
	struct told t = {.outcome = PT_HOLE};

	FOR_PARTS(m, item, p)
	{
		struct cell next = rewritten(item, p.cell);

		if (p.cell.what != LEAF) {
			t.holes += granules(m, &p);
			continue;
		}
		if (item->prot & PT_PROT_X && p.cell.memtype)
			return (struct told){.outcome = PT_INVALID, .ipa = p.lo};
		met = true;
		changed |= !cell_equal(&next, &p.cell);
		tightened |= (p.cell.rights & ~next.rights) != 0;
	}
	if (changed)
		t.outcome = item->kind == PT_ITEM_MAKE_YOUNG ? PT_MADE_YOUNG
			    : tightened			     ? PT_PROTECTED
							     : PT_RELAXED;
	else if (met)
		t.outcome = item->kind == PT_ITEM_FLUSH ? PT_FLUSHED : PT_ALREADY_MAPPED;
	return t;
}

struct told model_tell(const struct model *m, const struct pt_item *item)
{
	switch (item->kind) {
	case PT_ITEM_MAP: return tell_map(m, item);
	case PT_ITEM_UNMAP: return tell_unmap(m, item);
	case PT_ITEM_ANNOTATE:
		return (struct told){.outcome = PT_ANNOTATED,
				     .annotated = item->size >> m->granule};
	default: return tell_rewrite(m, item);
	}
}

/* ---- what it does ---- */

static void apply_map(struct model *m, const struct pt_item *item)
{
	bool replace = item->flags & PT_MAP_REPLACE;

	FOR_PARTS(m, item, p)
	{
		struct cell want = wanted(item, p.lo);

		if (p.cell.what != HOLE && !replace)
			continue;
		/* In place, or as a part of a new block, which is young. */
		if (same_place(&p.cell, &want)) {
			want.any_young = !p.cell.young;
			want.dbm = p.cell.dbm && want.rights & PT_PROT_W;
			want.dirty = p.cell.dirty && want.dbm;
			want.any_dirty = want.dbm;
		}
		space_put(&m->space, p.lo, p.hi, want);
	}
}

static void apply_rewrite(struct model *m, const struct pt_item *item)
{
	FOR_PARTS(m, item, p)
	{
		if (p.cell.what == LEAF)
			space_put(&m->space, p.lo, p.hi, rewritten(item, p.cell));
	}
}

void model_age_unsure(struct model *m, uint64_t lo, uint64_t hi)
{
	const struct pt_item range = {.ipa = {lo}, .size = hi - lo + 1};

	if (lo > hi)
		return;
	FOR_PARTS(m, &range, p)
	{
		p.cell.any_young = true;
		p.cell.any_dirty |= m->hd && p.cell.rights & PT_PROT_W;
		if (p.cell.what == LEAF)
			space_put(&m->space, p.lo, p.hi, p.cell);
	}
}

void model_apply(struct model *m, const struct pt_item *item)
{
	switch (item->kind) {
	case PT_ITEM_MAP: apply_map(m, item); break;
	case PT_ITEM_UNMAP:
		space_put(&m->space, item->ipa.v, item->ipa.v + (item->size - 1), (struct cell){0});
		break;
	case PT_ITEM_ANNOTATE:
		space_put(&m->space, item->ipa.v, item->ipa.v + (item->size - 1),
			  (struct cell){.what = NOTE, .at = item->pa.v});
		break;
	default: apply_rewrite(m, item); break;
	}
}
