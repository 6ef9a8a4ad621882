/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes of descriptors: who may, how, and what they leave owed (W1 to W9, L2, V3). */
#include "state.h"

#define RIGHTS (PT_PTE_S2AP_R | PT_PTE_S2AP_W)

/* An entry of LOCKED's type as it is kept here: the operation that set it, and its kind, of which
 * there are several in a shadow (docs/nested.md). */
#define KIND	   (UINT64_C(3) << 1)
#define KIND_CLAIM (UINT64_C(1) << 1)
#define KIND_DEAD  (UINT64_C(2) << 1)
#define KIND_BITS  3

static pt_pte kept(pt_pte entry, uint64_t locker)
{
	if (!pt_pte_locked(entry))
		return entry;
	return PT_PTE_LOCKED | (entry & KIND) | locker << KIND_BITS;
}

static bool is_cas(uint8_t how)
{
	return how == PT_EVENT_CAS || how == PT_EVENT_HW_CAS;
}

static bool is_leaf(const struct ck_write *w, pt_pte e)
{
	return pt_pte_valid(e) && !pt__ck_is_table(w->t, e);
}

/* A fill of a shadow is called off, which anyone may do: its claim stays a locked entry. */
static bool calls_off(const struct ck_write *w)
{
	return w->ctx->shadow && is_cas(w->how) && (w->old & KIND) == KIND_CLAIM &&
	       pt_pte_locked(w->entry) && (w->entry & KIND) == KIND_DEAD;
}

/* May this operation change a locked entry? In a shadow by an exchange, too, since it may have been
 * called off. */
static bool unlocks(const struct pt_check *c, const struct ck_write *w)
{
	if (calls_off(w))
		return true;
	return w->locker == c->op->serial && (w->ctx->shadow || !is_cas(w->how));
}

/* W9, L2, V3: whose turn it is. */
static void judge_writer(struct pt_check *c, struct ck_write *w)
{
	bool plain = !is_cas(w->how);

	if (w->ctx->facts.el2)
		return; /* whoever holds the map's lock */
	pt__ck_judge(c, PT_RULE_V3,
		     w->ctx->state < CK_CTX_CLOSED || c->op->kind == PT_OP_TEARDOWN ||
			     w->how == PT_EVENT_HW_CAS,
		     "a write to a context that is being torn down");
	if (w->how == PT_EVENT_HW_CAS)
		return;
	pt__ck_write_claims(c, w);
	if (pt_pte_locked(w->old)) {
		pt__ck_judge(c, PT_RULE_W9, unlocks(c, w),
			     "a LOCKED entry was changed by another than its operation");
		return;
	}
	pt__ck_judge(c, PT_RULE_W9, !plain || w->owned,
		     "a plain store to a live entry outside a drained claim");
	if (w->ctx->facts.vtcr_flags & PT_VTCR_HD && w->old & PT_PTE_DBM && pt_pte_valid(w->old))
		pt__ck_judge(c, PT_RULE_W9, !plain || w->old & PT_PTE_S2AP_W,
			     "a plain store over an entry that hardware may make dirty");
	if (pt__ck_is_table(w->t, w->old))
		pt__ck_judge(c, PT_RULE_L2, w->owned || pt__ck_sets_aside(w),
			     "a table was unlinked without a drained claim on its span");
}

/* XN[1:0] as a set of who may execute: bit 0 EL1, bit 1 EL0. */
static unsigned exec(pt_pte e)
{
	switch ((e & PT_PTE_XN) >> 53) {
	case 0: return 3;
	case 1: return 2;
	case 3: return 1;
	default: return 0;
	}
}

static bool tightens(const struct ck_write *w)
{
	bool hd = w->ctx->facts.vtcr_flags & PT_VTCR_HD;

	if (w->old & ~w->entry & RIGHTS || exec(w->old) & ~exec(w->entry))
		return true;
	return hd && w->old & PT_PTE_DBM && !(w->entry & (PT_PTE_DBM | PT_PTE_S2AP_W));
}

static bool hardware_bits_only(const struct ck_write *w)
{
	pt_pte diff = w->old ^ w->entry;

	return pt_pte_valid(w->old) && w->entry & ~w->old ? !(diff & ~(PT_PTE_AF | PT_PTE_S2AP_W))
							  : !diff;
}

/* Block to table or back, live: FEAT_BBM level 2, or level 1 with nT in the block. */
static void judge_resize(struct pt_check *c, const struct ck_write *w)
{
	bool split = is_leaf(w, w->old);
	pt_pte block = split ? w->old : w->entry;
	uint8_t bbm = w->ctx->facts.bbm;

	if (!pt__ck_judge(
		    c, PT_RULE_W3, bbm == 2 || (bbm == 1 && block & PT_PTE_NT),
		    "block and table changed places live, which FEAT_BBM does not allow here"))
		return;
	if (split && bbm == 1)
		pt__ck_judge(c, PT_RULE_W5, !pt__ck_owed(w->ctx, w->lo, w->hi, UINT64_MAX),
			     "a block was split live before its nT bit was flushed for");
	pt__ck_judge(c, PT_RULE_W3, pt__ck_same_translation(c, w),
		     "block and table changed places live and do not say the same");
}

static void judge_valid_to_valid(struct pt_check *c, const struct ck_write *w)
{
	const pt_pte free_bits = PT_PTE_PERM | PT_PTE_AF | PT_PTE_DBM | PT_PTE_SW;
	pt_pte diff = w->old ^ w->entry;

	if (w->ctx->facts.el2) {
		pt__ck_judge(c, PT_RULE_W3, !(diff & ~(PT_PTE_SW | PT_PTE_AF)),
			     "a live entry of EL2's own map changed in more than software bits");
		return;
	}
	if (w->how == PT_EVENT_HW_CAS) {
		pt__ck_judge(c, PT_RULE_W3, hardware_bits_only(w),
			     "hardware changed more than access flag and dirty state");
		return;
	}
	if (pt__ck_is_table(w->t, w->old) != pt__ck_is_table(w->t, w->entry)) {
		judge_resize(c, w);
		return;
	}
	if (pt__ck_is_table(w->t, w->old)) {
		pt__ck_judge(c, PT_RULE_W3, !diff, "a table was replaced by another one live");
		return;
	}
	if (diff & PT_PTE_NT && w->t->level < PT_LEVEL_LAST && w->ctx->facts.bbm == 1)
		diff &= ~PT_PTE_NT;
	if (diff & PT_PTE_CONTIGUOUS) {
		pt__ck_judge(c, PT_RULE_W7, w->ctx->facts.bbm > 0,
			     "the contiguous bit of a valid entry was changed at FEAT_BBM level 0");
		diff &= ~PT_PTE_CONTIGUOUS;
	}
	pt__ck_judge(c, PT_RULE_W3, !(diff & ~free_bits),
		     "a valid entry became another one without break-before-make");
}

static bool was_cached(const struct ck_write *w)
{
	return w->t->cached[w->index / 8] >> w->index % 8 & 1;
}

static void note_cached(const struct ck_write *w)
{
	uint8_t *byte = &w->t->cached[w->index / 8], bit = (uint8_t)(1u << w->index % 8);

	if (!is_leaf(w, w->entry))
		*byte &= (uint8_t)~bit;
	else if (w->entry & PT_PTE_AF)
		*byte |= bit;
}

/* What of the old entry may stay behind in TLBs (W4, W6, W8). */
static void owe_old(struct pt_check *c, const struct ck_write *w)
{
	bool gone = !pt_pte_valid(w->entry);

	if (pt__ck_is_table(w->t, w->old)) {
		if (w->old != w->entry && !pt__ck_sets_aside(w))
			pt__ck_owe(c, w->ctx, w->lo, w->hi, PT_TTL_UNKNOWN, true, PT_RULE_W8);
	} else if (pt_pte_valid(w->old)) {
		enum pt_rule why = PT_RULE_W4;

		if (!gone && is_leaf(w, w->entry)) {
			if ((w->old ^ w->entry) & PT_PTE_CONTIGUOUS)
				why = PT_RULE_W7;
			else if (tightens(w))
				why = PT_RULE_W3;
			else
				return;
		} else if (!gone) {
			why = PT_RULE_W8;
		} else if (!(w->old & PT_PTE_AF)) {
			c->judged[PT_RULE_W6]++;
			if (!was_cached(w))
				return;
			why = PT_RULE_W6;
		}
		pt__ck_owe(c, w->ctx, w->lo, w->hi, w->t->level, false, why);
	}
}

static void take_effect(struct pt_check *c, const struct ck_write *w)
{
	pt_pte *value = &w->t->value[w->index];

	owe_old(c, w);
	note_cached(w);
	if (w->ctx->owners && w->how != PT_EVENT_HW_CAS) {
		pt__ck_owner_changed(c, (uintptr_t)value, w->old, w->entry);
		pt__ck_owner(c, w->t, w->index, w->old, false);
	}
	c->op->locks += pt_pte_locked(w->entry);
	c->op->locks -= pt_pte_locked(w->old);
	*value = kept(w->entry, calls_off(w) ? w->locker : c->op->serial);
	if (pt__ck_sets_aside(w))
		pt__ck_aside(c, w);
	else if (pt__ck_is_table(w->t, w->old) && w->old != w->entry)
		pt__ck_unlink_table(c, w->t, w->old);
	if (!pt__ck_aside_ends(c, w) && pt__ck_is_table(w->t, w->entry) && w->old != w->entry)
		pt__ck_link(c, w->t, w->index, w->entry, w->how);
	if (w->how != PT_EVENT_HW_CAS)
		pt__ck_owner(c, w->t, w->index, w->entry, true);
	pt__ck_shadow_write(c, w);
}

/*
 * An operation of several contexts goes from one to the next: what it took away in the one is in no
 * TLB by then, and no access in flight uses it (O2: the next may be about to reach the frame).
 */
static void judge_party(struct pt_check *c, const struct ck_write *w)
{
	struct ck_op *op = c->op;

	if (op->kind != PT_OP_TXN || op->ctx == w->ctx || w->how == PT_EVENT_HW_CAS)
		return;
	/* Shadows are no parties: their leaves follow the canonical context's, and owe for
	 * themselves. */
	if (w->ctx->shadow || (op->ctx && op->ctx->shadow)) {
		if (!w->ctx->shadow && !op->owed)
			op->ctx = w->ctx;
		return;
	}
	if (!pt__ck_judge(c, PT_RULE_T6, !op->owed,
			  "another context was written with invalidations owed in the one before"))
		return;
	if (op->flushed && c->self)
		pt__ck_judge(c, PT_RULE_T6,
			     pt__ck_sections_over(c, c->self->world, op->agents, op->flushed),
			     "another context was written with an access in flight in the one "
			     "before");
	op->ctx = w->ctx;
}

static void live_write(struct pt_check *c, struct ck_write *w)
{
	judge_party(c, w);
	judge_writer(c, w);
	pt__ck_shape(c, w->t, w->index, w->entry);
	if (pt_pte_valid(w->old) && pt_pte_valid(w->entry) && w->old != w->entry)
		judge_valid_to_valid(c, w);
	else if (pt_pte_valid(w->entry) && !pt_pte_valid(w->old) && !pt__ck_comes_back(c, w))
		pt__ck_judge(c, PT_RULE_W5, !pt__ck_owed(w->ctx, w->lo, w->hi, UINT64_MAX),
			     "an entry became valid while its old translation may be cached");
	if (is_leaf(w, w->entry))
		pt__ck_group(c, w);
	pt__ck_dirty_write(c, w);
	take_effect(c, w);
}

static void private_write(struct pt_check *c, struct ck_table *t, uint32_t index,
			  const struct pt_event *e)
{
	struct ck_op *owner = t->op ? pt__ck_op_by_serial(c, t->op) : NULL;

	/* Live, too, if it was linked below a table that there was no memory to know. */
	pt__ck_judge(c, PT_RULE_W1, !owner || owner == c->op || c->untracked,
		     "a private table was written by another operation than its own");
	c->op->locks += pt_pte_locked(e->hi); /* a fill's claim, at the end of new tables */
	c->op->locks -= pt_pte_locked(t->value[index]);
	t->value[index] = kept(e->hi, c->op->serial);
	t->filled = c->serial;
}

static void written(struct pt_check *c, const struct pt_event *e, struct ck_table *t)
{
	uint32_t index = (uint32_t)((e->at - t->node.key) / sizeof(pt_pte));
	pt_pte old = index < t->entries ? t->value[index] : 0;
	struct ck_write w = {.t = t, .ctx = t->ctx, .index = index, .how = e->kind};

	if (!pt__ck_judge(c, PT_RULE_S1, index < t->entries, "a write behind the start tables"))
		return;
	if (t->state == CK_PRIVATE) {
		private_write(c, t, index, e);
		return;
	}
	if (t->state == CK_UNLINKED) {
		pt__ck_judge(c, PT_RULE_W8, e->kind == PT_EVENT_HW_CAS,
			     "a table that was unlinked was written");
		t->value[index] = e->hi;
		return;
	}
	if (pt_pte_locked(old)) {
		w.locker = (old & ~PT_PTE_INVALID_TYPE) >> KIND_BITS;
		old = PT_PTE_LOCKED | (old & KIND);
	}
	w.old = old;
	w.entry = e->hi;
	w.lo = t->ipa + index * pt__ck_span(t);
	w.hi = w.lo + pt__ck_span(t) - 1;
	pt__ck_judge(c, PT_RULE_W1, e->kind != PT_EVENT_INIT,
		     "a live table was written as if it were private");
	pt__ck_judge(c, PT_RULE_W9, e->lo == old || (pt_pte_locked(e->lo) && pt_pte_locked(old)),
		     "an entry was changed unseen");
	live_write(c, &w);
}

void pt__ck_write_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_table *t = pt__ck_table_of(c, e->at);

	if ((is_cas(e->kind) && e->arg) || (t && !pt__ck_copy(c, t)))
		return;
	if (e->kind == PT_EVENT_POKE) {
		if (t)
			t->value[(e->at - t->node.key) / sizeof(pt_pte)] = e->hi;
	} else if (t) {
		written(c, e, t);
	} else if (pt__ck_in_memory(c, e->at) && !c->untracked) {
		pt__ck_judge(c, PT_RULE_S1, false, "a page was written that is no table");
	}
}
