/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a transition of one page will read is asked for while its claims are taken: the entries of
 * its parties, its record, and the leaf of the index. They lie far apart, and each would be waited
 * for by itself. Nothing is learnt here that has to stay as it is.
 */
#include "node.h"
#include "transition.h"

#include "../walk/inline.h"

/* As find() in extent.c; where that begins again, this gives up. The last node is not read. */
static void extent_ahead(const struct pt_extents *index, uint64_t unit)
{
	uint64_t off = pt__get(&index->root), seq;
	const pt__word *node;
	uint32_t levels = atomic_load_explicit(&index->levels, memory_order_relaxed), i;

	if (!off)
		return;
	node = pt__words(index->store, off);
	for (; levels > 1 && !pt__is_leaf(node); levels--) {
		seq = pt__get(node + PT__SEQ);
		i = pt__rank_inner(node, unit);
		if (!i)
			return;
		off = pt__get(pt__branch(node, i - 1) + 1);
		if (seq & 1 || pt__get(node + PT__SEQ) != seq)
			return;
		node = pt__words(index->store, off);
	}
	pt__leaf_fetch(node);
}

static void entry_ahead(const struct pt_ctx *ctx, uint64_t ipa)
{
	const struct pt_geometry *g = &ctx->geo;
	pt_pte *slot = PT__BY_GRANULE(g, pt__last_slot(ctx, ipa, 12, true),
				      pt__last_slot(ctx, ipa, 14, true),
				      pt__last_slot(ctx, ipa, 16, true));

	if (slot)
		pt_port_prefetch(slot);
}

static void frame_ahead(const struct pt_transfer *t)
{
	const struct pt_machine_owners *o = t->args.owners;

	entry_ahead(o->host, t->args.pa);
	pt__frames_fetch(&o->frames, t->args.pa);
	if (t->row->host_to != PT_PAGE_STATES || t->row->shares_by)
		extent_ahead(&o->extents, t->args.pa >> PT_OWNER_SHIFT);
}

void pt__ahead(const struct pt_transfer *t)
{
	const struct pt_machine_owners *o = t->args.owners;

	/* Of more pages the time that these wait for is little. */
	if (t->args.size != pt__frame_bytes(o))
		return;
	if (t->row->by != PT__BY_GUEST)
		frame_ahead(t);
	if (t->row->by == PT__BY_GUEST || t->row->by == PT__BY_BOTH)
		entry_ahead(o->guest[t->args.guest].ctx, t->args.ipa.v);
}
