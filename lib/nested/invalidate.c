/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TLB invalidation of a guest hypervisor, carried out on its shadows.
 *
 * One shadow after the other: its count of invalidations is raised, then a fence, then its entries
 * are looked at, in a pass for each level of guest leaves that the instruction may name. A fill
 * counts its leaf in before its own fence and its look at the invalidations (docs/nested.md, steps
 * 4 to 6). So either the fill sees that it is called off, or its level has a pass, which finds the
 * claim or the leaf.
 *
 * Between steps a shadow is known by its number. One that takes the place of another has nothing
 * older than the instruction in it; what is done to it is only too much, and how far the other was
 * searched may be beyond its end.
 */
#include "internal.h"

#include "../txn/internal.h"

enum { SHADOW, ENTRIES, GRACE };

struct span {
	uint64_t lo, last;
};

static bool by_address(const struct pt_guest_tlbi *tlbi)
{
	return tlbi->scope == PT_GUEST_TLBI_IPA || tlbi->scope == PT_GUEST_TLBI_RANGE;
}

static bool names(const struct pt_guest_tlbi_op *op, const struct pt_shadow *shadow)
{
	return shadow && pt__shadow_live(shadow) &&
	       (op->tlbi.scope == PT_GUEST_TLBI_ALL || shadow->s2.vmid == op->vmid);
}

/* ---- which shadows ---- */

static struct pt_shadow *numbered(const struct pt_guest_tlbi_op *op, uint32_t number)
{
	return atomic_load_explicit(&op->nested->shadow[number], memory_order_acquire);
}

/* From op->shadow on, which moves as far as was looked. */
static struct pt_shadow *next_of_all(struct pt_guest_tlbi_op *op, uint32_t *budget)
{
	for (; op->shadow < op->nested->shadows && *budget; op->shadow++) {
		struct pt_shadow *shadow = numbered(op, op->shadow);

		--*budget;
		if (names(op, shadow))
			return shadow;
	}
	return NULL;
}

/* So many of a chain are looked at for one of them. A guest hypervisor may have all its shadows in
 * one chain: then they are gone through by number, each once. */
#define CHAIN_MOST 16

/* Those of a VMID stand in one chain: the one with the least number from op->shadow on. */
static struct pt_shadow *next_of_vmid(struct pt_guest_tlbi_op *op, uint32_t *budget)
{
	struct pt_shadow *least = NULL;
	struct pt_shadow *shadow =
		atomic_load_explicit(pt__shadow_bucket(op->nested, op->vmid), memory_order_acquire);

	for (unsigned looked = 0; shadow; looked++) {
		if (looked == CHAIN_MOST)
			return next_of_all(op, budget);
		if (names(op, shadow) && shadow->number >= op->shadow &&
		    (!least || shadow->number < least->number))
			least = shadow;
		shadow = atomic_load_explicit(&shadow->next, memory_order_acquire);
	}
	--*budget;
	op->shadow = least ? least->number : op->nested->shadows;
	return least;
}

/* ---- which leaves ---- */

/* Is it of the granule of the guest's tables? With stage 2 off there is no guest leaf at all. */
static bool may_have(const struct pt_guest_tlbi *tlbi, const struct pt_shadow *shadow)
{
	return shadow->key.enabled && !shadow->s2.broken &&
	       (!tlbi->ttl_shift || tlbi->ttl_shift == shadow->s2.geo.granule_shift);
}

/* May there be leaves of this level that the instruction names? */
static bool may_name(const struct pt_guest_tlbi *tlbi, const struct pt_shadow *shadow, int level)
{
	return may_have(tlbi, shadow) && pt_level_has_leaf(&shadow->s2.geo, level) &&
	       (!tlbi->ttl_given || tlbi->level == level) &&
	       atomic_load_explicit(&shadow->leaves[level + 1], memory_order_acquire);
}

/* Where the guest leaves of a level lie that the instruction names; by no address, everything. */
static bool span_of(const struct pt_guest_tlbi *tlbi, const struct pt_shadow *shadow, int level,
		    struct span *span)
{
	const struct pt_ctx *ctx = &shadow->ctx;
	uint64_t end = ((uint64_t)ctx->geo.start_entries << ctx->root_shift) - 1, last, mask;

	*span = (struct span){0, end};
	if (!by_address(tlbi))
		return true;
	if (!may_name(tlbi, shadow, level))
		return false;
	mask = pt_level_size(&shadow->s2.geo, level) - 1;
	last = tlbi->ipa.v + (tlbi->size ? tlbi->size - 1 : 0);
	span->lo = tlbi->ipa.v & ~mask;
	span->last = (last | mask) < end ? last | mask : end;
	return span->lo <= span->last;
}

/* One level's entries. False: not all. */
static bool remove(struct pt_guest_tlbi_op *op, struct pt_shadow *shadow, struct pt_agent *agent,
		   const struct span *span, uint32_t *budget)
{
	struct pt__kills kills = {.agent = agent};
	bool all;

	if (by_address(&op->tlbi))
		kills.guest_levels = (uint8_t)(1u << (op->level + 1));
	if (op->at < span->lo)
		op->at = span->lo;
	if (op->at > span->last)
		return true;
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, op, &shadow->ctx, (uintptr_t)agent, 0);
	all = pt__shadow_clear(&kills, shadow, &op->at, span->last, budget);
	pt__kills_finish(&kills);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, op, &shadow->ctx, all ? PT_OK : PT_MORE, 0);
	op->removed += kills.removed;
	atomic_fetch_add_explicit(&op->nested->counts.invalidated, kills.removed,
				  memory_order_relaxed);
	return all;
}

/* All levels, one after the other; by no address all at once. False: out of budget. */
static bool entries(struct pt_guest_tlbi_op *op, struct pt_shadow *shadow, struct pt_agent *agent,
		    uint32_t *budget)
{
	for (; op->level <= PT_LEVEL_LAST; op->level++, op->at = 0) {
		struct span span;

		if (!span_of(&op->tlbi, shadow, op->level, &span))
			continue;
		if (!*budget || !remove(op, shadow, agent, &span, budget))
			return false;
	}
	return true;
}

/* ---- steps ---- */

/* To the checker: what the instruction names here. */
static void announce(const struct pt_guest_tlbi_op *op, const struct pt_shadow *shadow)
{
	const struct pt_guest_tlbi *tlbi = &op->tlbi;
	bool any = by_address(tlbi) && may_have(tlbi, shadow);
	uint64_t lo = any ? tlbi->ipa.v : 1, last = tlbi->size ? lo + tlbi->size - 1 : lo;

	pt_port_note(PT_EVENT_GUEST_TLBI,
		     (tlbi->ttl_given ? (uint32_t)tlbi->level : 7) | (by_address(tlbi) ? 0u : 8u),
		     op, &shadow->ctx, lo, any ? last : 0);
	(void)lo, (void)last;
}

/* What stage 1 gave, and nobody fills in again. */
static void flush(const struct pt_guest_tlbi_op *op, struct pt_shadow *shadow)
{
	if (!by_address(&op->tlbi))
		pt__tlbi_stage1(&shadow->ctx);
}

/* False: no shadow is left, or none was found within the budget. */
static bool take_shadow(struct pt_guest_tlbi_op *op, uint32_t *budget)
{
	struct pt_shadow *shadow = op->tlbi.scope == PT_GUEST_TLBI_ALL ? next_of_all(op, budget)
								       : next_of_vmid(op, budget);

	if (!shadow)
		return false;
	op->shadows++;
	op->phase = ENTRIES;
	op->at = 0;
	op->level = by_address(&op->tlbi) ? -1 : PT_LEVEL_LAST;
	if (op->tlbi.scope == PT_GUEST_TLBI_STAGE1) {
		op->level = PT_LEVEL_LAST + 1;
		return true;
	}
	announce(op, shadow);
	atomic_fetch_add_explicit(&shadow->invalidations, 1, memory_order_release);
	pt_port_fence_full();
	return true;
}

/* False: out of budget. */
static bool do_shadow(struct pt_guest_tlbi_op *op, struct pt_agent *agent, uint32_t *budget)
{
	struct pt_shadow *shadow = numbered(op, op->shadow);

	if (names(op, shadow)) {
		if (!entries(op, shadow, agent, budget))
			return false;
		flush(op, shadow);
		if (op->tlbi.scope != PT_GUEST_TLBI_STAGE1)
			pt_port_note(PT_EVENT_GUEST_TLBI_DONE, 0, op, &shadow->ctx, 0, 0);
	}
	op->phase = SHADOW;
	op->shadow++;
	return true;
}

void pt_guest_tlbi_begin(struct pt_guest_tlbi_op *op, struct pt_nested *nested, uint16_t vmid,
			 const struct pt_guest_tlbi *tlbi)
{
	*op = (struct pt_guest_tlbi_op){.nested = nested, .tlbi = *tlbi, .vmid = vmid};
}

enum pt_outcome pt_guest_tlbi_step(struct pt_guest_tlbi_op *op, struct pt_agent *agent,
				   uint32_t budget)
{
	struct pt_machine *machine = op->nested->canonical->machine;
	uint32_t left = budget ? budget : 1;

	pt_machine_use(machine, agent);
	while (op->phase != GRACE) {
		if (!left)
			return PT_MORE;
		if (op->phase == ENTRIES) {
			if (!do_shadow(op, agent, &left))
				return PT_MORE;
		} else if (!take_shadow(op, &left)) {
			if (op->shadow < op->nested->shadows)
				return PT_MORE;
			pt_grace_begin(&op->grace, machine, agent);
			op->phase = GRACE;
		}
	}
	return pt_grace_done(&op->grace, machine) ? PT_OK : PT_MORE;
}
