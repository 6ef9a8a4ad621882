/* SPDX-License-Identifier: BSD-2-Clause */
/* Invalidations: their order, scope, hints and operands, and what they discharge (T1 to T4, T7). */
#include "state.h"

/* The place of who made the event; another thread may have begun there since. */
static struct ck_bracket *bracket_of(struct pt_check *c, const struct pt_event *e)
{
	return &c->bracket[e->thread % CK_THREADS];
}

static unsigned rounds(const struct pt_check *c)
{
	return c->config.quirks & PT_CHECK_REPEAT_TLBI ? 2 : 1;
}

static bool is_whole(const struct pt_tlbi *tlbi)
{
	return tlbi->kind == PT_TLBI_VMID || tlbi->kind == PT_TLBI_ALL;
}

static bool of_ctx(const struct pt_event *e, const struct ck_ctx *ctx)
{
	if (!ctx || e->at != ctx->facts.mmu)
		return false;
	if (ctx->facts.el2 || e->tlbi->kind == PT_TLBI_EL2)
		return ctx->facts.el2 && e->tlbi->kind == PT_TLBI_EL2;
	return (e->tlbi->kind == PT_TLBI_ALL || (ctx->given && e->tlbi->vmid == ctx->vmid));
}

static uint64_t last_of(const struct pt_tlbi *tlbi)
{
	return tlbi->ipa.v + (tlbi->size ? tlbi->size - 1 : 0);
}

bool pt__ck_flushes(const struct pt_event *e, const struct ck_ctx *ctx, int level, uint64_t *first,
		    uint64_t *last)
{
	const struct pt_tlbi *tlbi = e->tlbi;
	bool whole = is_whole(tlbi), tables = level == PT_TTL_UNKNOWN;

	*first = whole ? 0 : tlbi->ipa.v;
	*last = whole ? UINT64_MAX : last_of(tlbi);
	return of_ctx(e, ctx) && tlbi->kind != PT_TLBI_STAGE1 &&
	       (whole || (tlbi->level == PT_TTL_UNKNOWN && !(tables && tlbi->last_level)) ||
		(!tables && tlbi->level == level));
}

/* Is a leaf of the hinted level owed in the range? Then leaves of other levels there wait for an
 * instruction of their own: an entry that changed its size and then its leaves owes both. */
static bool hint_is_owed(const struct pt_check *c, const struct pt_tlbi *tlbi)
{
	for (const struct ck_owed *o = c->op->owed; o; o = o->next)
		if (!o->table && o->level == tlbi->level &&
		    pt__ck_meet(o->lo, o->hi, tlbi->ipa.v, last_of(tlbi)))
			return true;
	return false;
}

/* T3: what the hint says was true of all that it meets. */
static void judge_hint(struct pt_check *c, const struct ck_owed *o, const struct pt_tlbi *tlbi)
{
	if (o->table)
		pt__ck_judge(c, PT_RULE_T3, tlbi->level == PT_TTL_UNKNOWN && !tlbi->last_level,
			     "a level hint, or last level only, where a table went");
	else if (tlbi->level != PT_TTL_UNKNOWN)
		pt__ck_judge(c, PT_RULE_T3, tlbi->level == o->level,
			     "the level hint is not the level of the old leaf");
}

/* Cuts what the range does not cover off into debts of their own: true when something is left that
 * it does. */
static bool cut(struct pt_check *c, struct ck_op *op, struct ck_owed *o, uint64_t lo, uint64_t hi)
{
	if (!pt__ck_meet(o->lo, o->hi, lo, hi))
		return false;
	for (unsigned side = 0; side < 2; side++) {
		struct ck_owed *rest;

		if (side ? o->lo >= lo : o->hi <= hi)
			continue;
		rest = pt__ck_get(c, sizeof(*rest), false);
		if (!rest)
			return false;
		*rest = *o;
		rest->missed = true;
		o->next = rest;
		if (op->last == o)
			op->last = rest;
		if (side) {
			rest->hi = lo - 1;
			o->lo = lo;
		} else {
			rest->lo = hi + 1;
			o->hi = hi;
		}
	}
	return true;
}

/* A table of EL2's own map had no entries when it went: what may be cached of it is the descriptor
 * that led there, which an invalidation of any address in its span removes. */
static bool covers(struct pt_check *c, struct ck_owed *o, const struct pt_tlbi *tlbi)
{
	if (is_whole(tlbi))
		return true;
	if (o->table && c->op->ctx->facts.el2)
		return pt__ck_meet(o->lo, o->hi, tlbi->ipa.v, last_of(tlbi));
	return cut(c, c->op, o, tlbi->ipa.v, last_of(tlbi));
}

/* One instruction, or the whole of pt_port_tlbi(): moves on each debt that it covers. */
static void stage2(struct pt_check *c, const struct pt_event *e, enum ck_stage next)
{
	const struct pt_tlbi *tlbi = e->tlbi;
	bool apart = !is_whole(tlbi) && tlbi->level != PT_TTL_UNKNOWN && hint_is_owed(c, tlbi);

	for (struct ck_owed *o = c->op->owed; o; o = o->next) {
		if (!of_ctx(e, c->op->ctx)) {
			o->missed = true;
			continue;
		}
		if (apart && !o->table && o->level != tlbi->level)
			continue;
		if (!covers(c, o, tlbi))
			continue;
		if (next == CK_S2 && !pt__ck_judge(c, PT_RULE_T1, o->stage == CK_ORDERED,
						   "a TLBI without a DSB after the write"))
			continue;
		if (!is_whole(tlbi))
			judge_hint(c, o, tlbi);
		o->stage = next;
	}
}

static void stage1(struct pt_check *c, const struct pt_event *e)
{
	for (struct ck_owed *o = c->op->owed; o; o = o->next) {
		if (!of_ctx(e, c->op->ctx) || o->stage < CK_S2)
			continue;
		if (pt__ck_judge(c, PT_RULE_T1, o->stage == CK_S2_ORDERED,
				 "a stage-1 TLBI without a DSB after that of stage 2"))
			o->stage = CK_S1;
	}
}

/* An invalidation is complete: whoever used the machine may use an old translation until its
 * section ends. */
static void flushed(struct pt_check *c)
{
	struct ck_machine *machine =
		c->op->ctx ? pt__ck_machine(c, c->op->ctx->facts.machine) : NULL;

	c->op->flushed = c->serial;
	c->op->agents = machine ? machine->agents : 0;
}

static void completed(struct pt_check *c)
{
	for (struct ck_owed *o = c->op->owed; o; o = o->next) {
		if (o->stage != CK_S1)
			continue;
		o->rounds++;
		if (rounds(c) > 1)
			c->judged[PT_RULE_T7]++;
		o->stage = o->rounds >= rounds(c) ? CK_DONE : CK_ORDERED;
		c->judged[o->why] += o->stage == CK_DONE;
	}
	pt__ck_paid(c->op);
	pt__ck_discharge_done(c, c->op);
	flushed(c);
}

/* arg of PT_EVENT_DSB */
#define STORES_ALONE  1u
#define NON_SHAREABLE 2u

static void dsb(struct pt_check *c, const struct pt_event *e)
{
	bool all = !(e->arg & STORES_ALONE), any = false;

	if (e->arg & NON_SHAREABLE)
		return; /* what is owed is owed to all CPUs */
	if (c->self)
		c->self->fence = c->serial;
	for (struct ck_owed *o = c->op->owed; o; o = o->next) {
		any |= o->stage == CK_S1;
		if (o->stage == CK_WRITTEN)
			o->stage = CK_ORDERED;
		if (o->stage == CK_S2 && all)
			o->stage = CK_S2_ORDERED;
	}
	if (any && all)
		completed(c);
}

/* A shadow's granule may be another one than that of the context whose operation this is; an
 * operand may come without saying whose it is. */
static bool of_known_granule(const struct pt_check *c, const struct pt_event *e)
{
	return c->op->ctx && !(e->tlbi && e->tlbi->vmid && !of_ctx(e, c->op->ctx));
}

/* T2, T4: an invalidation by itself. */
static void judge_form(struct pt_check *c, const struct pt_event *e)
{
	const struct pt_tlbi *tlbi = e->tlbi;
	bool local = tlbi->kind == PT_TLBI_LOCAL;
	uint64_t grain = 1;
	bool met = false;

	for (const struct ck_owed *o = c->op->owed; o; o = o->next)
		met |= of_ctx(e, c->op->ctx) &&
		       pt__ck_meet(o->lo, o->hi, tlbi->ipa.v, last_of(tlbi));
	if (met)
		pt__ck_judge(c, PT_RULE_T2, !local,
			     "what is owed to all was invalidated for one vCPU");
	if (is_whole(tlbi) || tlbi->kind == PT_TLBI_STAGE1 || !of_known_granule(c, e))
		return;
	grain <<= c->op->ctx->facts.geo.granule_shift;
	pt__ck_judge(c, PT_RULE_T4, tlbi->size && !((tlbi->ipa.v | tlbi->size) & (grain - 1)),
		     "an invalidation of no whole granules");
	if (tlbi->kind == PT_TLBI_RANGE)
		pt__ck_operands(c, &c->op->ctx->facts.geo, tlbi);
}

/* Of a port that shows no instructions. */
static void whole_sequence(struct pt_check *c, const struct pt_event *e)
{
	if (e->tlbi->kind == PT_TLBI_ALL)
		pt__ck_all_flushed(c, e->at);
	if (e->tlbi->kind == PT_TLBI_STAGE1)
		return; /* what is owed of stage 2 stays so */
	stage2(c, e, CK_S1);
	completed(c);
}

static void operand(struct pt_check *c, const struct pt_event *e)
{
	const struct ck_ctx *ctx = c->op->ctx;

	if (!of_known_granule(c, e) ||
	    (e->tlbi && ctx->facts.el2 != (e->tlbi->kind == PT_TLBI_EL2)))
		return;
	pt__ck_operand(c, &ctx->facts.geo, e->lo, e->arg, &bracket_of(c, e)->operand);
	bracket_of(c, e)->operands = true;
}

static void begin(struct pt_check *c, const struct pt_event *e)
{
	judge_form(c, e);
	*bracket_of(c, e) = (struct ck_bracket){.thread = e->thread,
						.operand = e->tlbi->ipa.v,
						.open = true,
						.local = e->tlbi->kind == PT_TLBI_LOCAL};
}

static void judge_first(struct pt_check *c, const struct ck_bracket *b)
{
	pt__ck_judge(c, PT_RULE_T1, b->stage == CK_ORDERED || b->stage == CK_DONE,
		     "a TLBI without a DSB after the write");
}

/*
 * T1 of the instructions alone, whatever is owed: what local invalidations are for is owed to
 * nobody else, and EL2's own map may owe nothing. A repeated one begins where the first has ended.
 */
static void judge_order(struct pt_check *c, const struct pt_event *e)
{
	struct ck_bracket *b = bracket_of(c, e);

	if (!b->open || b->thread != e->thread)
		return;
	b->single |= e->kind != PT_EVENT_DSB;
	switch (e->kind) {
	case PT_EVENT_DSB:
		if (e->arg & NON_SHAREABLE && !b->local)
			break;
		if (b->stage == CK_WRITTEN)
			b->stage = CK_ORDERED;
		else if (!(e->arg & STORES_ALONE) && (b->stage == CK_S2 || b->stage == CK_S1))
			b->stage++;
		break;
	case PT_EVENT_TLBI_S1:
		if (e->tlbi->kind == PT_TLBI_STAGE1)
			judge_first(c, b);
		else
			pt__ck_judge(c, PT_RULE_T1, b->stage == CK_S2_ORDERED,
				     "a stage-1 TLBI without a DSB after that of stage 2");
		b->stage = CK_S1;
		break;
	default: judge_first(c, b); b->stage = e->kind == PT_EVENT_TLBI_S2 ? CK_S2 : CK_S1;
	}
}

static void done(struct pt_check *c, const struct pt_event *e)
{
	struct ck_bracket *b = bracket_of(c, e);

	b->open = false;
	if (b->operands)
		pt__ck_judge(c, PT_RULE_T4, b->operand == last_of(e->tlbi) + 1,
			     "range operands reach too far, or not far enough");
	if (b->single)
		pt__ck_judge(c, PT_RULE_T1, b->stage == CK_DONE,
			     "nobody waited until a TLBI was complete");
	if (e->tlbi->kind == PT_TLBI_LOCAL)
		return;
	pt__ck_asides_flushed(c, e);
	pt__ck_apart_flushed(c, e);
	if (b->single)
		flushed(c);
	else
		whole_sequence(c, e);
}

static void both_stages(struct pt_check *c, const struct pt_event *e)
{
	stage2(c, e, CK_S2);
	for (struct ck_owed *o = c->op->owed; o; o = o->next)
		o->stage = o->stage == CK_S2 ? CK_S1 : o->stage;
	if (e->tlbi->kind == PT_TLBI_ALL)
		pt__ck_all_flushed(c, e->at);
}

void pt__ck_tlbi_event(struct pt_check *c, const struct pt_event *e)
{
	bool local = e->tlbi && e->tlbi->kind == PT_TLBI_LOCAL;

	switch (e->kind) {
	case PT_EVENT_TLBI: begin(c, e); return;
	case PT_EVENT_TLBI_OPERAND: operand(c, e); return;
	case PT_EVENT_TLBI_DONE: done(c, e); return;
	case PT_EVENT_TLBI_DROPPED:
		pt__ck_forgive(c, c->op);
		pt__ck_drop_apart(c, c->op, NULL);
		pt__ck_asides_flushed(c, NULL);
		return;
	case PT_EVENT_TLBI_NONE: pt__ck_unknown(c); return;
	case PT_EVENT_DSB: dsb(c, e); break;
	case PT_EVENT_TLBI_S2:
		if (!bracket_of(c, e)->open)
			judge_form(c, e);
		if (!local)
			stage2(c, e, CK_S2);
		break;
	case PT_EVENT_TLBI_S1:
		if (!local)
			stage1(c, e);
		break;
	default: both_stages(c, e);
	}
	judge_order(c, e);
}
