/* SPDX-License-Identifier: BSD-2-Clause */
/* What the owners of frames let contexts do that are not theirs to decide: who manages mappings,
 * faults, collapses. The "map" rows of docs/ownership.md. */
#include "transition.h"

#include <pt/txn.h>
#include <pt/walk.h>

/*
 * A host's empty entry is the host's own: whatever is not has an annotation, which nobody but a
 * transition writes or takes away. So a fault of one page looks at no record. Where a block may
 * stand, the index knows, which holds still: see struct pt_owner_rules.
 */

/* Does the host have the frames of this extent, alone or with others? (Its record says OWNED,
 * SHARED_OWNED or SHARED_BORROWED.) */
static enum pt_outcome host_has(const struct pt_extent *e)
{
	if (e->owner.kind == PT_OWNER_HOST)
		return e->state == PT_PAGE_LENT ? PT_WRONG_STATE : PT_OK;
	if (e->owner.kind == PT_OWNER_GUEST && e->state == PT_PAGE_SHARED_OWNED)
		return PT_OK;
	return PT_WRONG_OWNER;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* PROTECT, WRITE_PROTECT, RELAX, MAKE_YOUNG. */
static bool is_change(const struct pt_item *item)
{
	return item->kind != PT_ITEM_MAP && item->kind != PT_ITEM_UNMAP &&
	       item->kind != PT_ITEM_ANNOTATE;
}

static enum pt_outcome host_may(void *arg, const struct pt_item *item, uint64_t ipa, uint64_t *last)
{
	const struct pt_machine_owners *o = arg;
	struct pt_extent e;
	enum pt_outcome outcome;

	if (is_change(item))
		return PT_OK; /* of what it maps */
	outcome = pt_extents_find(&o->extents, ipa >> PT_OWNER_SHIFT, &e);
	if (outcome != PT_OK)
		return outcome;
	*last = least(*last, (e.end << PT_OWNER_SHIFT) - 1);
	if (pt__any_table(o, ipa, *last - ipa + 1)) { /* which? */
		*last = least(*last, ipa | (pt__frame_bytes(o) - 1));
		if (pt__any_table(o, ipa, *last - ipa + 1))
			return PT_WRONG_OWNER;
	}
	if (item->kind == PT_ITEM_ANNOTATE)
		return PT_WRONG_OWNER;
	outcome = host_has(&e);
	/* What is shared with the host has its leaf there until it is unshared. */
	if (item->kind == PT_ITEM_UNMAP && e.owner.kind == PT_OWNER_GUEST)
		return PT_WRONG_OWNER;
	return outcome;
}

static enum pt_outcome host_may_fill(void *arg, uint64_t ipa)
{
	const struct pt_machine_owners *o = arg;
	uint64_t page;

	if (!o->is_table)
		return PT_OK;
	page = pt_level_size(&o->host->geo, PT_LEVEL_LAST);
	return pt__any_table(o, ipa & ~(page - 1), page) ? PT_WRONG_OWNER : PT_OK;
}

/* Does neither end of a region lie in [pa, last]: all of it is in one, or in none? */
static bool in_one_region(const struct pt_machine_owners *o, uint64_t pa, uint64_t last)
{
	uint32_t n = pt__regions_to(o, pa);
	uint64_t end;

	if (n != pt__regions_to(o, last))
		return false;
	end = n ? o->region[n - 1].pa + o->region[n - 1].size - 1 : 0;
	return !n || pa > end || last <= end;
}

static bool host_is_one(void *arg, uint64_t ipa, uint64_t last)
{
	const struct pt_machine_owners *o = arg;
	struct pt_extent e;

	if (pt_extents_find(&o->extents, ipa >> PT_OWNER_SHIFT, &e) != PT_OK)
		return false;
	return host_has(&e) == PT_OK && last >> PT_OWNER_SHIFT < e.end &&
	       in_one_region(o, ipa, last) && !pt__any_table(o, ipa, last - ipa + 1);
}

static bool host_may_force(void *arg, uint64_t ipa)
{
	const struct pt_machine_owners *o = arg;
	struct pt_extent e;

	return pt_extents_find(&o->extents, ipa >> PT_OWNER_SHIFT, &e) == PT_OK &&
	       e.owner.kind == PT_OWNER_GUEST && e.state == PT_PAGE_OWNED;
}

/* The page is there: what may a MAP of it change? Its memory type is its owner's, who said it when
 * the page came. */
static enum pt_outcome guest_has(const struct pt_item *item, uint64_t ipa, uint64_t pa)
{
	struct pt_ctx *ctx = item->ctx;
	pt_pte entry;
	int level;

	if (pa != item->pa.v + (ipa - item->ipa.v))
		return PT_WRONG_OWNER;
	if (pt_get_leaf(ctx, pt_ipa(ipa), &entry, &level) != PT_OK || !pt_pte_valid(entry))
		return PT_RACED;
	return pt_prot_memtype(pt_leaf_prot(&ctx->geo, entry, ctx->attrs)) ==
			       pt_prot_memtype(item->prot)
		       ? PT_OK
		       : PT_WRONG_STATE;
}

/* Rights and age change where the host shares the page, and there alone. */
static enum pt_outcome guest_may_change(enum pt_page_state state)
{
	switch (state) {
	case PT_PAGE_SHARED_BORROWED: return PT_OK;
	case PT_PAGE_LENT_BORROWED: return PT_WRONG_STATE;
	case PT_PAGE_NOPAGE: return PT_NOT_MAPPED;
	default: return PT_WRONG_OWNER;
	}
}

/* A guest has what transitions gave it, and nobody else takes it away. */
static enum pt_outcome guest_may(void *arg, const struct pt_item *item, uint64_t ipa,
				 uint64_t *last)
{
	uint64_t pa = 0, until = ipa;
	enum pt_page_state state = pt__page_at(item->ctx, ipa, &pa, &until);

	*last = least(*last, until);
	if (item->kind == PT_ITEM_MAP && pt__any_table(arg, item->pa.v + (ipa - item->ipa.v), 1))
		return PT_WRONG_OWNER;
	if (state == PT_PAGE_STATES)
		return PT_RACED;
	if (state == PT_PAGE_POISONED)
		return PT_POISONED;
	if (is_change(item))
		return guest_may_change(state);
	if (state == PT_PAGE_NOPAGE && item->kind == PT_ITEM_UNMAP)
		return PT_OK;
	if (state > PT_PAGE_LENT_BORROWED || item->kind != PT_ITEM_MAP)
		return PT_WRONG_OWNER;
	return guest_has(item, ipa, pa);
}

static enum pt_outcome guest_may_fill(void *arg, uint64_t ipa)
{
	(void)arg;
	(void)ipa;
	return PT_WRONG_OWNER;
}

void pt__rule_host(struct pt_machine_owners *o)
{
	static const struct pt_owner_rules rules = {.may = host_may,
						    .may_fill = host_may_fill,
						    .is_one = host_is_one,
						    .may_force = host_may_force};

	pt_ctx_set_owner_rules(o->host, &rules, o);
}

void pt__rule_guest(struct pt_machine_owners *o, struct pt_ctx *ctx)
{
	static const struct pt_owner_rules rules = {.may = guest_may, .may_fill = guest_may_fill};

	pt_ctx_set_owner_rules(ctx, &rules, o);
}
