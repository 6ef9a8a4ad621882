/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of a guest hypervisor's stage 2.
 *
 * Sources: Arm ARM D8.2 (walks), D8.3 (descriptors), D8.13 (order of faults); pseudocode
 * AArch64.S2Walk, DecodeDescriptorType, OAOutOfRange, S2CheckPermissions. Every descriptor is
 * loaded once and judged by that value alone: whoever changes it meanwhile makes the walk see the
 * one or the other.
 */
#include <pt/guest_walk.h>

#include "base/bits.h"
#include "fsc.h"
#include "txn/contiguous.h"

struct walk {
	const struct pt_guest_memory *memory;
	const struct pt_guest_s2 *s2;
	uint64_t ipa;
	enum pt_access access;
	bool el0;
	bool explain; /* nothing is updated, and the steps are kept */
	struct pt_guest_step *step;
	unsigned steps;
	uint64_t at;  /* canonical IPA of the descriptor */
	uint64_t raw; /* the descriptor as it was loaded */
	struct pt_guest_leaf *leaf;
	struct pt_guest_fault *fault;
};

/* Between the guest's byte order and the host's. */
static pt_pte ordered(const struct pt_guest_s2 *s2, uint64_t word)
{
	return s2->big_endian ? pt__swap_bytes(word) : word;
}

static enum pt_outcome deny(const struct walk *w, enum pt__fsc class, int level)
{
	*w->fault = (struct pt_guest_fault){
		.fsc = pt__fsc(class, level), .level = (int8_t)level, .table = pt_ipa(w->at)};
	return PT_DENIED;
}

static bool out_of_range(const struct pt_guest_s2 *s2, uint64_t address)
{
	return address >> s2->pa_bits;
}

/* As pt_pte_to_oa(), without a call where the format is the plain one. */
static uint64_t output(const struct pt_geometry *g, pt_pte e)
{
	if (pt__wide(g))
		return pt_pte_to_oa(g, e).v;
	return e & (pt__low_mask(48) & ~pt__low_mask(g->granule_shift));
}

static bool load(struct walk *w, uint64_t at, int level, pt_pte *e)
{
	w->at = at;
	if (w->memory->load(w->memory->arg, pt_ipa(w->at), &w->raw) != PT_OK)
		return false;
	*e = ordered(w->s2, w->raw);
	if (w->explain)
		w->step[w->steps++] = (struct pt_guest_step){
			.at = pt_ipa(w->at), .entry = *e, .level = (int8_t)level};
	return true;
}

/* DBM makes a write lawful only where hardware manages dirty state. */
static bool dirties(const struct walk *w, pt_pte e)
{
	return w->access == PT_ACCESS_WRITE && w->s2->flags & PT_VTCR_HD && e & PT_PTE_DBM;
}

/* What hardware makes of the descriptor when the access is allowed. */
static pt_pte updated(const struct walk *w, pt_pte e)
{
	if (w->access == PT_ACCESS_AT)
		return e;
	return e | (w->s2->flags & PT_VTCR_HA ? PT_PTE_AF : 0) |
	       (dirties(w, e) ? PT_PTE_S2AP_W : 0);
}

static void fill_leaf(const struct walk *w, pt_pte e, int level)
{
	const struct pt_geometry *g = &w->s2->geo;
	unsigned shift = pt_level_shift(g, level);
	uint64_t offset = pt__low_mask(shift);

	*w->leaf = (struct pt_guest_leaf){
		.out = pt_ipa((output(g, e) & ~offset) | (w->ipa & offset)),
		.entry = e,
		.prot = pt_leaf_prot(g, e & ~PT_PTE_DBM, w->s2->attrs),
		.memattr = (uint8_t)pt__field(e, 5, 2),
		.sh = g->ds ? w->s2->sh0 : (uint8_t)pt__field(e, 9, 8),
		.level = (int8_t)level,
		.shift = (uint8_t)shift,
		.group_shift = (uint8_t)pt__span_shift(g->granule_shift, e, level, shift),
	};
}

static bool permitted(const struct walk *w, pt_pte e)
{
	uint32_t prot = w->leaf->prot;

	switch (w->access) {
	case PT_ACCESS_WRITE: return prot & PT_PROT_W || dirties(w, e);
	case PT_ACCESS_EXEC: return prot & (w->el0 ? PT_PROT_UX : PT_PROT_PX);
	default: return prot & PT_PROT_R;
	}
}

/* Access flag and dirty state go into the very descriptor that was judged, or not at all. */
static enum pt_outcome update(const struct walk *w, pt_pte want)
{
	uint64_t word = w->raw;

	if (w->explain)
		return PT_OK;
	switch (w->memory->swap(w->memory->arg, pt_ipa(w->at), &word, ordered(w->s2, want))) {
	case PT_OK: return PT_OK;
	case PT_RACED: return PT_RACED;
	case PT_READ_ONLY: return deny(w, PT__FSC_ATOMIC_UPDATE, w->leaf->level);
	default: return deny(w, PT__FSC_EXTERNAL_WALK, w->leaf->level);
	}
}

static enum pt_outcome finish(const struct walk *w, pt_pte e, int level)
{
	pt_pte want = updated(w, e);
	enum pt_outcome outcome;

	fill_leaf(w, e, level);
	if (out_of_range(w->s2, w->leaf->out.v & ~pt__low_mask(w->leaf->shift)))
		return deny(w, PT__FSC_ADDRESS_SIZE, level);
	if (!(e & PT_PTE_AF) && !(w->s2->flags & PT_VTCR_HA))
		return deny(w, PT__FSC_ACCESS_FLAG, level);
	if (!permitted(w, e))
		return deny(w, PT__FSC_PERMISSION, level);
	if (want == e)
		return PT_OK;
	outcome = update(w, want);
	if (outcome != PT_OK)
		return outcome;
	fill_leaf(w, want, level);
	w->leaf->dirtied = true;
	return PT_OK;
}

static enum pt_outcome walk(struct walk *w)
{
	const struct pt_guest_s2 *s2 = w->s2;
	const struct pt_geometry *g = &s2->geo;
	const uint64_t entries = pt_table_entries(g);
	uint64_t table = s2->base.v, index;
	unsigned shift;

	if (s2->broken || w->ipa >> s2->geo.ipa_bits)
		return deny(w, PT__FSC_TRANSLATION, 0);
	if (s2->base_out)
		return deny(w, PT__FSC_ADDRESS_SIZE, 0);
	shift = pt_level_shift(g, g->start_level);
	index = w->ipa >> shift; /* over all start tables */
	for (int level = g->start_level;; level++) {
		pt_pte e;

		if (!load(w, table + index * sizeof(e), level, &e))
			return deny(w, PT__FSC_EXTERNAL_WALK, level);
		if (!pt_pte_is_table(e, level))
			return pt_pte_is_leaf(e, level) && pt_level_has_leaf(g, level)
				       ? finish(w, e, level)
				       : deny(w, PT__FSC_TRANSLATION, level);
		table = output(g, e);
		if (out_of_range(s2, table))
			return deny(w, PT__FSC_ADDRESS_SIZE, level);
		shift -= g->stride;
		index = w->ipa >> shift & (entries - 1);
	}
}

static inline struct walk walk_of(const struct pt_guest_memory *memory,
				  const struct pt_guest_s2 *s2, struct pt_ipa ipa,
				  enum pt_access access, bool el0, struct pt_guest_leaf *leaf,
				  struct pt_guest_fault *fault)
{
	return (struct walk){.memory = memory,
			     .s2 = s2,
			     .ipa = ipa.v,
			     .access = access,
			     .el0 = el0,
			     .leaf = leaf,
			     .fault = fault};
}

enum pt_outcome pt_guest_walk(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			      struct pt_ipa ipa, enum pt_access access, bool el0,
			      struct pt_guest_leaf *leaf, struct pt_guest_fault *fault)
{
	struct walk w = walk_of(memory, s2, ipa, access, el0, leaf, fault);

	return walk(&w);
}

unsigned pt_guest_explain(const struct pt_guest_memory *memory, const struct pt_guest_s2 *s2,
			  struct pt_ipa ipa, enum pt_access access, bool el0,
			  struct pt_guest_step step[PT_LEVELS], enum pt_outcome *outcome,
			  struct pt_guest_leaf *leaf, struct pt_guest_fault *fault)
{
	struct walk w = walk_of(memory, s2, ipa, access, el0, leaf, fault);

	w.explain = true;
	w.step = step;
	*outcome = walk(&w);
	return w.steps;
}
