/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: fills that get no page, and more aliases of a page than it has links.
 */
#include "world.h"

void do_scarce(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);
	struct pt_shadow *s = &p->m[mirror].shadow;
	struct pt_host_failpoint how = {.nth = 1 + (uint32_t)draw(p, 4), .times = 0};
	bool links = draw(p, 2), tables = draw(p, 2);

	if (!open_mirror(p, mirror))
		return;
	finish_beside(p);
	note(p, NESTED_SCARCE);
	p->scarce = true;
	if (links)
		atomic_store(&p->g.nested.store.quota_pages, pt_store_pages(&p->g.nested.store));
	if (tables)
		atomic_store(&s->ctx.quota_pages, atomic_load(&s->ctx.table_pages));
	if (!links && !tables)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
	for (unsigned i = 0; i < 4; i++)
		touch(p, mirror, &p->m[mirror].probe[draw(p, p->probes)], some_use(p));
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	atomic_store(&p->g.nested.store.quota_pages, UINT64_MAX);
	atomic_store(&s->ctx.quota_pages, UINT64_MAX);
	p->scarce = false;
}

/* ---- more aliases of a page than it has links ---- */

static bool crowd_has_leaf(struct play *p, unsigned mirror)
{
	for (unsigned n = 0; n < CROWD; n++) {
		struct hw_result r =
			walk_context(p, &p->m[mirror].shadow.ctx, crowd_ipa(p, n), NULL);

		if (has_leaf(&r))
			return true;
	}
	return false;
}

static uint64_t read_count(const _Atomic uint64_t *of)
{
	return atomic_load(of);
}

/* All of a shadow's that lead to one page go with it, listed or not, and what goes besides is
 * counted. */
void do_crowd(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);
	const struct pt_nested_counts *c = &p->g.nested.counts;
	uint64_t page = p->base + draw(p, 2) * p->area + draw(p, 8) * p->host_page;
	uint64_t inexact = read_count(&c->inexact), over;
	struct pt_item item = core_item(&p->g.c, PT_ITEM_UNMAP, page, p->host_page, 0, 0, 0);
	unsigned filled = 0;

	if (mirror == OFF || !open_mirror(p, mirror))
		return;
	finish_beside(p);
	note(p, NESTED_CROWD);
	crowd_map(p, page & ~(p->guest_page - 1));
	for (unsigned n = 0; n < CROWD && !*p->failure; n++) {
		struct pt_nested_result r;

		filled += fault(p, mirror, crowd_ipa(p, n) + (page & (p->guest_page - 1)), 0,
				(struct use){PT_ACCESS_READ, false}, &r) == PT_MAPPED;
	}
	if (filled != CROWD || read_count(&c->inexact) == inexact)
		wrong(p, "a crowd without an inexact page", mirror, page);
	over = read_count(&c->over);
	if (draw(p, 2)) { /* other memory instead */
		struct hw_result r = walk_context(p, &p->g.c.ctx, page, NULL);

		item.kind = PT_ITEM_MAP;
		item.flags = PT_MAP_REPLACE;
		item.prot = PT_PROT_RW;
		item.pa.v = p->pa[r.pa == p->pa[0] + (page - p->base)] + (page - p->base);
	}
	core_range(&p->g.c, item, NULL);
	if (crowd_has_leaf(p, mirror))
		wrong(p, "a leaf of an inexact page stays", mirror, page);
	p->counts->of[NESTED_INEXACT] += read_count(&c->inexact) - inexact;
	p->counts->of[NESTED_OVER] += read_count(&c->over) - over;
	crowd_unmap(p);
	run_tlbi(p, &(struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_ALL}, 0);
}
