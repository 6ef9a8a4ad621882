/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: the host changes the canonical context. */
#include "world.h"

/* The page of some leaf of a shadow's. False: none was found. */
static bool some_leaf(struct play *p, uint64_t *page)
{
	for (unsigned i = 0; i < 4; i++) {
		const struct mirror *m = &p->m[draw(p, MIRRORS)];
		struct hw_result r;

		if (!m->live)
			continue;
		r = walk_context(p, &m->shadow.ctx, m->probe[draw(p, p->probes)].ipa, NULL);
		*page = canonical_of(p, r.pa) & ~(p->host_page - 1);
		if (has_leaf(&r) && *page < p->base + 2 * p->area)
			return true;
	}
	return false;
}

/* In one of the two areas that may be written, and often what a shadow has. */
static uint64_t some_range(struct play *p, uint64_t *size)
{
	uint64_t base = p->base + draw(p, 2) * p->area;
	uint64_t page, pages = p->guest_page > p->host_page ? 8 * p->guest_page / p->host_page : 8;

	*size = p->host_page;
	if (draw(p, 2) && some_leaf(p, &page))
		return page;
	*size = p->host_page * (1 + draw(p, 3));
	if (!draw(p, 6)) {
		*size = p->area;
		return base;
	}
	return base + draw(p, pages < 61 ? pages : 61) * p->host_page;
}

/* ---- items ---- */

static const enum nested_kind kind_of[] = {
	[PT_ITEM_MAP] = NESTED_MAP,	    [PT_ITEM_UNMAP] = NESTED_UNMAP,
	[PT_ITEM_PROTECT] = NESTED_PROTECT, [PT_ITEM_WRITE_PROTECT] = NESTED_WRITE_PROTECT,
	[PT_ITEM_RELAX] = NESTED_RELAX,
};

void run_item(struct play *p, const struct pt_item *item)
{
	bool nothing = item->kind == PT_ITEM_RELAX;
	uint64_t lo = item->ipa.v, hi = lo + (item->size - 1);
	struct seen was[MIRRORS * PROBES];

	see_all(p, was);
	round_out(p, false, &lo, &hi);
	if (item->size != p->host_page || draw(p, 2) ||
	    core_point(&p->g.c, *item, NULL, NULL) == PT_MORE)
		core_range(&p->g.c, *item, NULL);
	if (p->defect == NESTED_LOSE_LEAF && !draw(p, 8))
		core_unmap(&p->g.c, p->base, 2 * p->area);
	compare_stays(p, was, nothing ? 1 : lo, nothing ? 0 : hi,
		      item->kind == PT_ITEM_WRITE_PROTECT);
}

/* Only a map gives memory a type, and only what is not executed another one than write-back. */
static uint32_t some_prot(struct play *p, enum pt_item_kind kind)
{
	static const uint32_t rights[] = {PT_PROT_R,
					  PT_PROT_RW,
					  PT_PROT_RWX,
					  PT_PROT_R | PT_PROT_X,
					  PT_PROT_R | PT_PROT_PX,
					  PT_PROT_RW | PT_PROT_UX};
	uint32_t prot = rights[draw(p, p->g.c.ctx.attrs & PT_ATTR_XNX ? 6 : 4)];

	if (kind != PT_ITEM_MAP || prot & PT_PROT_X || draw(p, 2))
		return prot;
	return PT_PROT(prot, draw(p, 2) ? PT_MEM_NC : PT_MEM_DEVICE);
}

static void do_item(struct play *p, enum pt_item_kind kind)
{
	uint64_t size, ipa = some_range(p, &size);
	struct pt_item item = core_item(&p->g.c, kind, ipa, size, 0, 0, 0);
	bool group = kind == PT_ITEM_MAP && !draw(p, 3);

	if (group) { /* what there can be groups in */
		item.ipa.v = ipa & ~(p->area - 1);
		item.size = p->area >> 1 > 128 * p->host_page ? 128 * p->host_page : p->area >> 1;
		note(p, NESTED_GROUP);
	}
	if (kind == PT_ITEM_MAP) {
		item.pa.v = p->pa[draw(p, 2)] + (item.ipa.v - p->base);
		item.flags = PT_MAP_REPLACE | (group ? PT_MAP_CONTIGUOUS : 0);
	}
	if (kind == PT_ITEM_MAP || kind == PT_ITEM_PROTECT || kind == PT_ITEM_RELAX)
		item.prot = some_prot(p, kind);
	note(p, kind_of[kind]);
	if (p->going.kind == NOTHING && !draw(p, 4))
		begin_item(p, &item);
	else
		run_item(p, &item);
}

/* ---- what translates as before ---- */

static void do_upkeep(struct play *p, enum pt_upkeep_kind kind)
{
	static const enum nested_kind kinds[] = {[PT_UPKEEP_SPLIT] = NESTED_SPLIT,
						 [PT_UPKEEP_COLLAPSE] = NESTED_COLLAPSE,
						 [PT_UPKEEP_SWEEP] = NESTED_SWEEP};
	struct pt_upkeep_args args =
		upkeep_args(&p->g.c, kind, p->base + draw(p, 2) * p->area, p->area);
	struct seen was[MIRRORS * PROBES];
	struct pt_upkeep u;

	note(p, kinds[kind]);
	if (p->going.kind == NOTHING && draw(p, 2)) {
		begin_upkeep(p, &args);
		return;
	}
	see_all(p, was);
	assert_int_equal(PT_OK, upkeep_run(&p->g.c, &u, args, 1000));
	compare_stays(p, was, 1, 0, false);
}

/* ---- the read-only slot goes, with what it mapped, or comes again ---- */

static void do_slot(struct play *p)
{
	uint64_t at = p->base + 2 * p->area;
	struct pt_item item = core_item(&p->g.c, PT_ITEM_UNMAP, at, p->area, 0, 0, 0);
	struct seen was[MIRRORS * PROBES];
	struct pt_txn txn;

	if (pt_ctx_slots(&p->g.c.ctx) == p->without) {
		pt_ctx_set_slots(&p->g.c.ctx, guest_slots(&p->g));
		return;
	}
	note(p, NESTED_SLOT);
	see_all(p, was);
	p->without->count = 1;
	p->without->slot[0] = guest_slots(&p->g)->slot[0];
	assert_int_equal(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	txn.publish = p->without;
	assert_int_equal(PT_OK, core_run(&txn, &p->g.c.agent, 1000));
	compare_stays(p, was, at, at + (p->area - 1), false);
}

void do_host(struct play *p)
{
	uint64_t size, ipa;

	if (claims(p)) { /* one after the other: it would be waited for */
		finish_beside(p);
		return;
	}
	switch (draw(p, 13)) {
	case 0:
	case 1: do_item(p, PT_ITEM_UNMAP); break;
	case 2:
	case 3: do_item(p, PT_ITEM_MAP); break;
	case 4: do_item(p, PT_ITEM_PROTECT); break;
	case 5: do_item(p, PT_ITEM_WRITE_PROTECT); break;
	case 6: do_item(p, PT_ITEM_RELAX); break;
	case 7:
		ipa = some_range(p, &size);
		do_age(p, ipa, size, true);
		touch_some(p, ipa, size);
		if (!claims(p))
			do_age(p, ipa, size, draw(p, 2));
		break;
	case 8: do_upkeep(p, PT_UPKEEP_SPLIT); break;
	case 9: do_upkeep(p, PT_UPKEEP_COLLAPSE); break;
	case 10: do_upkeep(p, PT_UPKEEP_SWEEP); break;
	case 11: do_slot(p); break;
	default: do_log(p); break;
	}
}
