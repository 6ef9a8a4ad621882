/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: names and handles, and of each context a flat array of pages. Shares nothing with the
 * daemon but the numbers of outcomes and rights.
 */
#include "sim.h"

#include <pt/txn.h>

#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

uint32_t model_block(uint32_t granule_shift)
{
	return 1u << (granule_shift - 3);
}

uint32_t model_pages(uint32_t granule_shift)
{
	return granule_shift == 12 ? 3 * 512 : granule_shift == 14 ? 2 * 2048 : 8192 + 64;
}

/* Across the end of a level 1 entry where that is near. */
uint64_t model_base(uint32_t granule_shift)
{
	return granule_shift == 12   ? GIB - (UINT64_C(1) << 21)
	       : granule_shift == 14 ? 64 * GIB - (UINT64_C(1) << 25)
				     : GIB;
}

static void free_pages(struct model_context *c)
{
	free(c->page);
	*c = (struct model_context){0};
}

void model_reset(struct model *model)
{
	for (uint32_t m = 0; m < SIM_MACHINES; m++)
		for (uint32_t c = 0; c < SIM_CONTEXTS; c++)
			free_pages(&model->context[m][c]);
	memset(model, 0, sizeof(*model));
}

struct daemon *model_daemon(struct sim *sim, uint64_t handle)
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		if (sim->daemon[i].epoch == handle >> 48)
			return &sim->daemon[i];
	return NULL;
}

struct model_context *model_context(struct model *model, uint64_t handle)
{
	for (uint32_t m = 0; m < SIM_MACHINES; m++)
		for (uint32_t c = 0; c < SIM_CONTEXTS; c++)
			if (model->context[m][c].live && model->context[m][c].handle == handle)
				return &model->context[m][c];
	return NULL;
}

struct model_machine *model_machine(struct model *model, uint64_t handle)
{
	for (uint32_t m = 0; m < SIM_MACHINES; m++)
		if (model->machine[m].live && model->machine[m].handle == handle)
			return &model->machine[m];
	return NULL;
}

void model_create(struct sim *sim, struct model_context *c, uint64_t handle, uint64_t machine,
		  uint32_t granule_shift)
{
	(void)sim;
	free_pages(c);
	c->live = true;
	c->handle = handle;
	c->machine = machine;
	c->granule_shift = granule_shift;
	c->base = model_base(granule_shift);
	c->pages = model_pages(granule_shift);
	c->highest = 1;
	c->page = calloc(c->pages, sizeof(*c->page));
	if (!c->page)
		abort();
}

static uint64_t granule(const struct model_context *c)
{
	return UINT64_C(1) << c->granule_shift;
}

const struct page *model_page(const struct model_context *c, uint64_t ipa)
{
	static const struct page none;
	uint64_t at = (ipa - c->base) >> c->granule_shift;

	return ipa < c->base || at >= c->pages ? &none : &c->page[at];
}

bool model_grants(const struct model_context *c, const struct page *page, uint32_t prot)
{
	return prot == page->prot || (c->logged && (prot | PT_PROT_W) == page->prot);
}

static uint32_t memory_type(uint32_t prot)
{
	return prot >> 8;
}

static bool same_place(const struct page *page, const struct item *item, uint64_t offset)
{
	return page->pa == item->pa + offset && memory_type(page->prot) == memory_type(item->prot);
}

static enum pt_outcome expect_map(const struct model_context *c, const struct page *page,
				  const struct item *item, bool *loose)
{
	uint64_t n = item->size >> c->granule_shift;
	bool replace = item->flags & PT_MAP_REPLACE, changed = false, rights = false;

	for (uint64_t i = 0; i < n; i++) {
		bool same = same_place(&page[i], item, i * granule(c));

		if (!page[i].mapped && (!page[i].note || replace))
			changed = true;
		else if (page[i].mapped && replace && (!same || page[i].prot != item->prot))
			changed = true;
		else if (!page[i].mapped || !same)
			return PT_OVERLAP;
		else if (page[i].prot != item->prot)
			rights = true;
	}
	*loose = replace && !changed; /* leaves may have become a block, or the reverse */
	return rights ? PT_PERMISSION_ONLY : changed ? PT_MAPPED : PT_ALREADY_MAPPED;
}

static enum pt_outcome expect_unmap(const struct model_context *c, const struct page *page,
				    const struct item *item)
{
	uint64_t n = item->size >> c->granule_shift;

	for (uint64_t i = 0; i < n; i++)
		if (page[i].mapped)
			return PT_UNMAPPED;
	return PT_HOLE;
}

/* The rights of a mapped page after the item. */
static uint32_t rights_after(const struct item *item, uint32_t had)
{
	switch (item->kind) {
	case PT_ITEM_PROTECT: return item->prot;
	case PT_ITEM_WRITE_PROTECT: return had & ~(uint32_t)PT_PROT_W;
	case PT_ITEM_RELAX: return had | item->prot;
	default: return had;
	}
}

static enum pt_outcome expect_rights(const struct model_context *c, const struct page *page,
				     const struct item *item)
{
	uint64_t n = item->size >> c->granule_shift, mapped = 0;
	bool changed = false, tightened = false;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t had = page[i].prot & 0xff, next = rights_after(item, had);

		if (!page[i].mapped)
			continue;
		mapped++;
		if (item->prot & PT_PROT_X && memory_type(page[i].prot))
			return PT_INVALID; /* only Normal memory executes */
		changed |= had != next;
		tightened |= (had & ~next) != 0;
	}
	return !mapped	   ? PT_HOLE
	       : tightened ? PT_PROTECTED
	       : changed   ? PT_RELAXED
			   : PT_ALREADY_MAPPED;
}

enum pt_outcome model_expect(const struct model_context *c, const struct item *item, bool *loose)
{
	const struct page *page = &c->page[(item->ipa - c->base) >> c->granule_shift];

	*loose = false;
	switch (item->kind) {
	case PT_ITEM_MAP: return expect_map(c, page, item, loose);
	case PT_ITEM_UNMAP: return expect_unmap(c, page, item);
	case PT_ITEM_ANNOTATE: return PT_ANNOTATED;
	case PT_ITEM_FLUSH: return expect_unmap(c, page, item) == PT_HOLE ? PT_HOLE : PT_FLUSHED;
	case PT_ITEM_MAKE_YOUNG: *loose = c->aged; break;
	default: break;
	}
	return expect_rights(c, page, item);
}

void model_apply(struct model_context *c, const struct item *item)
{
	struct page *page = &c->page[(item->ipa - c->base) >> c->granule_shift];
	uint64_t n = item->size >> c->granule_shift;

	for (uint64_t i = 0; i < n; i++) {
		if (item->kind == PT_ITEM_UNMAP || item->kind == PT_ITEM_ANNOTATE)
			page[i] = (struct page){.note = item->pa};
		else if (item->kind != PT_ITEM_MAP && page[i].mapped)
			page[i].prot =
				(page[i].prot & ~0xffu) | rights_after(item, page[i].prot & 0xff);
		else if (item->kind == PT_ITEM_MAP &&
			 (!page[i].mapped || item->flags & PT_MAP_REPLACE))
			page[i] = (struct page){.pa = item->pa + i * granule(c),
						.prot = item->prot,
						.mapped = true};
	}
}
