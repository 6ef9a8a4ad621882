/* SPDX-License-Identifier: BSD-2-Clause */
/* Who reaches a frame, at every moment (O2, O3; O1 of two owners). An entry comes when its record
 * allows it, and a record changes when no entry stands against it any more. */
#include "state.h"

#define UNIT (UINT64_C(1) << CK_FRAME_SHIFT)

/* Does the record allow the leaves that guests have? Who lends a frame has none. */
static bool allowed(const struct ck_frame *f)
{
	bool guests = pt__ck_is_guests(f->record);
	bool lent = pt__ck_host_state(f->record) == CK_LENT || guests;

	return (!f->owned || guests) && f->borrowed <= f->record >> 32 &&
	       (!f->lent || (lent && !f->owned));
}

static void count(struct ck_frame *f, unsigned state, bool comes)
{
	switch (state) {
	case CK_SHARED_BORROWED: f->borrowed += comes ? 1 : -1u; break;
	case CK_LENT_BORROWED: f->lent = (uint16_t)(f->lent + (comes ? 1 : -1)); break;
	default: f->owned = (uint16_t)(f->owned + (comes ? 1 : -1)); break;
	}
}

/* A leaf of a guest's, or that one went. */
static void guest_leaf(struct pt_check *c, const struct ck_ctx *ctx, uint64_t ipa, uint64_t pa,
		       uint64_t size, unsigned state, bool comes)
{
	bool kept = true, once = true;

	for (uint64_t at = 0; at < size; at += UNIT) {
		struct ck_frame *f = pt__ck_frame(c, ctx->owners, pa + at);

		if (!f)
			return;
		count(f, state, comes);
		if (state <= CK_SHARED_OWNED && comes) {
			f->ipa = ipa + at;
			f->handle = ctx->handle;
			f->shared = state == CK_SHARED_OWNED;
		}
		kept &= allowed(f);
		once &= f->owned <= 1;
	}
	if (!comes)
		return;
	pt__ck_judge(c, PT_RULE_O1, once, "a frame is owned at two addresses");
	pt__ck_judge(c, PT_RULE_O2, kept, "a guest reaches a frame that is not its");
}

/* Where nothing is known all is the host's. */
static bool all_hosts(const struct pt_check *c, const struct ck_machine *m, uint64_t lo,
		      uint64_t hi)
{
	const uint64_t most = CK_FRAMES_AT_ONCE * UNIT;

	for (uint64_t pa = lo, next; pa <= hi; pa = next) {
		const struct ck_frame *f = pt__ck_frame_known(c, m, pa);

		next = f ? pa + UNIT : (pa | (most - 1)) + 1;
		if (f && !pt__ck_is_hosts(f->record))
			return false;
	}
	return true;
}

static void leaf(struct pt_check *c, const struct ck_ctx *ctx, uint64_t ipa, uint64_t pa,
		 uint64_t size, unsigned state, bool comes)
{
	if (comes)
		pt__ck_judge(c, PT_RULE_O3, !pt__ck_meets_pool(c, ctx, pa, size),
			     "an entry leads to table memory");
	if (ctx->guest)
		guest_leaf(c, ctx, ipa, pa, size, state, comes);
	else if (comes)
		pt__ck_judge(c, PT_RULE_O2, all_hosts(c, ctx->owners, pa, pa + size - 1),
			     "the host reaches a frame that is not its");
	pt__ck_owner_touch(c, ctx->owners, pa, pa + size - 1);
}

static void note(struct pt_check *c, const struct ck_ctx *ctx, uint64_t ipa, uint64_t size,
		 pt_pte e, bool comes)
{
	if (!ctx->guest)
		pt__ck_owner_touch(c, ctx->owners, ipa, ipa + size - 1);
	else if (pt__ck_note(e) == CK_NOTE_LENT)
		ctx->owners->lent += comes ? size / UNIT : -(size / UNIT);
}

void pt__ck_owner_entry(struct pt_check *c, const struct ck_table *t, uint32_t index, pt_pte e,
			bool comes)
{
	uint64_t span = pt__ck_span(t), ipa = t->ipa + index * span;
	pt_pte plain = t->level < PT_LEVEL_LAST ? e & ~PT_PTE_NT : e;

	if (!pt_pte_valid(e))
		note(c, t->ctx, ipa, span, e, comes);
	else if (!pt__ck_is_table(t, e))
		leaf(c, t->ctx, ipa, pt_pte_to_oa(&t->ctx->facts.geo, plain).v, span,
		     (unsigned)(e >> PT_PTE_SW_SHIFT & 3), comes);
}

/* Is nothing that the operation took away in a TLB, or used by an access in flight? */
static bool quiet(const struct pt_check *c)
{
	const struct ck_op *op = c->op;

	return !op->owed && (!op->flushed || !c->self ||
			     pt__ck_sections_over(c, c->self->world, op->agents, op->flushed));
}

/* Has the host no entry there, and no TLB one? */
static bool host_is_out(struct pt_check *c, const struct ck_machine *m, uint64_t lo, uint64_t hi)
{
	for (uint64_t ipa = lo, mask; ipa <= hi && ipa >= lo; ipa = (ipa | mask) + 1)
		if (pt_pte_valid(pt__ck_look_up(c, m->host, ipa, &mask)))
			return false;
	return !pt__ck_owed(m->host, lo, hi, UINT64_MAX);
}

/* A frame that the host did not reach becomes its own. */
static bool comes_home(uint64_t was, uint64_t now)
{
	return pt__ck_host_state(was) == CK_NOPAGE && pt__ck_host_state(now) <= CK_SHARED_OWNED;
}

void pt__ck_owner_record(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi,
			 uint64_t record)
{
	bool guests = true, wiped = true;

	for (uint64_t pa = lo; pa <= hi; pa += UNIT) {
		struct ck_frame *f = pt__ck_frame(c, m, pa);

		if (!f)
			return;
		wiped &= f->wiped || !comes_home(f->record, record);
		pt__ck_owner_changed(c, m->node.key ^ pa, f->record, record);
		f->record = record;
		f->wiped = false;
		guests &= allowed(f);
	}
	pt__ck_owner_touch(c, m, lo, hi);
	pt__ck_judge(c, PT_RULE_O2, pt__ck_owner_holds(c, m, lo, hi),
		     "an owner is written outside a drained claim of the operation");
	pt__ck_judge(c, PT_RULE_O2, quiet(c),
		     "an owner is written while what was taken may be in a TLB or in use");
	pt__ck_judge(c, PT_RULE_O2, guests,
		     "an owner is written while a guest still reaches the frame");
	pt__ck_judge(c, PT_RULE_O2, pt__ck_is_hosts(record) || host_is_out(c, m, lo, hi),
		     "an owner is written while the host still reaches the frame");
	pt__ck_judge(c, PT_RULE_O2, wiped, "a frame comes back to the host and was not wiped");
}

void pt__ck_owner_wiped(struct pt_check *c, struct ck_machine *m, uint64_t lo, uint64_t hi)
{
	bool alone = quiet(c) && host_is_out(c, m, lo, hi);

	for (uint64_t pa = lo; pa <= hi; pa += UNIT) {
		struct ck_frame *f = pt__ck_frame(c, m, pa);

		if (!f)
			return;
		alone &= !f->owned && !f->borrowed && !f->lent;
		f->wiped = true;
	}
	pt__ck_judge(c, PT_RULE_O2, alone, "a frame is wiped while somebody reaches it");
}
