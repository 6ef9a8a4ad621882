/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService: Age, Split and Collapse.
 *
 * Progressive: each step is a valid end state, and the answer says how far it came. A call whose
 * deadline passes, or that is cancelled, stops between two steps; a peer that is still there is
 * told what was done.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_progress.h"
#include "registry.h"

#include "ptd/v1/mapping.pb-c.h"

struct upkeep {
	struct progress progress;
	Ptd__V1__Effects effects;
	union {
		ProtobufCMessage base;
		Ptd__V1__AgeResponse age;
		Ptd__V1__SplitResponse split;
		Ptd__V1__CollapseResponse collapse;
	};
};

static void answer_age(Ptd__V1__AgeResponse *r, const struct pt_upkeep *u)
{
	uint64_t granules = (u->next - u->args.ipa.v) >> u->args.ctx->geo.granule_shift;

	ptd__v1__age_response__init(r);
	r->young = u->young;
	r->old = u->old;
	r->next_ipa = u->next;
	r->stopped = u->stopped;
	if (u->args.bitmap) {
		r->bitmap.data = u->args.bitmap;
		r->bitmap.len = (granules + 7) / 8;
	}
}

static void answer_split(Ptd__V1__SplitResponse *r, const struct pt_upkeep *u,
			 Ptd__V1__Effects *effects)
{
	ptd__v1__split_response__init(r);
	r->next_ipa = u->next;
	r->stopped = u->stopped;
	r->effects = effects;
}

static void answer_collapse(Ptd__V1__CollapseResponse *r, const struct pt_upkeep *u,
			    Ptd__V1__Effects *effects)
{
	ptd__v1__collapse_response__init(r);
	r->next_ipa = u->next;
	r->blocks_made = u->blocks_made;
	r->stopped = u->stopped;
	r->effects = effects;
}

/* What was done, also when it was given up. */
static enum call_result answer(struct call *call, struct upkeep *s)
{
	struct pt_upkeep *u = &s->progress.upkeep;

	count_effects(call, &u->effects);
	ptd__v1__effects__init(&s->effects);
	effects_fill(&s->effects, &u->effects);
	if (s->progress.outcome == PT_CANCELLED)
		u->stopped = PT_CANCELLED;
	switch (u->args.kind) {
	case PT_UPKEEP_AGE: answer_age(&s->age, u); break;
	case PT_UPKEEP_SPLIT: answer_split(&s->split, u, &s->effects); break;
	default: answer_collapse(&s->collapse, u, &s->effects); break;
	}
	call->response = &s->base;
	progress_end(&s->progress);
	return CALL_DONE;
}

static enum call_result go_on(struct call *call, struct upkeep *s)
{
	enum call_result result = progress_step(&s->progress);

	if (result != CALL_DONE)
		return result;
	if (s->progress.outcome == PT_OK)
		return answer(call, s);
	call_fail(call, s->progress.outcome,
		  s->progress.outcome == PT_WRONG_STATE
			  ? "context: it is being deleted, or the page at ipa is lent"
			  : NULL);
	call->status.ipa = s->progress.upkeep.next;
	progress_end(&s->progress);
	return CALL_DONE;
}

/* The range, as that of every operation. */
static enum call_result check_range(struct call *call, struct context *c, uint64_t ipa,
				    uint64_t size)
{
	struct pt_item item = {
		.ctx = &c->pt, .ipa = pt_ipa(ipa), .size = size, .kind = PT_ITEM_UNMAP};
	enum pt_outcome o = pt_item_check(&item);

	return o == PT_OK ? CALL_MORE : fail_item(call, &item, o, "", 0);
}

static enum call_result begin(struct call *call, struct context *c, struct pt_upkeep_args *args)
{
	struct upkeep *s = call_alloc(call, sizeof(*s));
	enum pt_outcome o;

	if (!s)
		return fail_arena(call);
	args->ctx = &c->pt;
	o = progress_upkeep(call, &s->progress, c, args);
	if (o != PT_OK)
		return call_fail(call, o, "level_plus_2: the context has no leaves of this level");
	call->state = s;
	return go_on(call, s);
}

/* A bitmap has a limit: the answer is of what it covers, and next_ipa says where to go on. */
static enum call_result take_bitmap(struct call *call, const struct context *c,
				    struct pt_upkeep_args *args)
{
	unsigned shift = c->pt.geo.granule_shift;
	uint64_t most = (uint64_t)LIMIT_BITMAP_BYTES * 8 << shift;

	if (args->size > most)
		args->size = most;
	args->bitmap = call_alloc(call, ((args->size >> shift) + 7) / 8);
	return args->bitmap ? CALL_MORE : fail_arena(call);
}

static enum call_result age_step(struct call *call)
{
	const Ptd__V1__AgeRequest *q = (const void *)call->request;
	struct pt_upkeep_args args = {
		.kind = PT_UPKEEP_AGE, .ipa = pt_ipa(q->ipa), .size = q->size, .clear = q->clear};
	struct context *c;

	if (call->state)
		return go_on(call, call->state);
	c = find_own_tables(call, q->context, "context");
	if (!c || check_range(call, c, q->ipa, q->size) != CALL_MORE ||
	    (q->want_bitmap && take_bitmap(call, c, &args) != CALL_MORE))
		return CALL_DONE;
	return begin(call, c, &args);
}

enum call_result mapping_split(struct call *call)
{
	const Ptd__V1__SplitRequest *q = (const void *)call->request;
	struct pt_upkeep_args args = {.kind = PT_UPKEEP_SPLIT,
				      .ipa = pt_ipa(q->ipa),
				      .size = q->size,
				      .level = PT_LEVEL_LAST,
				      .page_budget = q->page_budget};
	struct context *c;

	if (call->state)
		return go_on(call, call->state);
	c = find_own_tables(call, q->context, "context");
	if (!c || check_range(call, c, q->ipa, q->size) != CALL_MORE)
		return CALL_DONE;
	if (q->level_plus_2 > PT_LEVEL_LAST + 2)
		return call_fail(call, PT_INVALID, "level_plus_2: %u is above 5", q->level_plus_2);
	if (q->level_plus_2)
		args.level = (int8_t)((int)q->level_plus_2 - 2);
	return begin(call, c, &args);
}

enum call_result mapping_collapse(struct call *call)
{
	const Ptd__V1__CollapseRequest *q = (const void *)call->request;
	struct pt_upkeep_args args = {
		.kind = PT_UPKEEP_COLLAPSE, .ipa = pt_ipa(q->ipa), .size = q->size};
	struct context *c;

	if (call->state)
		return go_on(call, call->state);
	c = find_own_tables(call, q->context, "context");
	if (!c || check_range(call, c, q->ipa, q->size) != CALL_MORE)
		return CALL_DONE;
	return begin(call, c, &args);
}

enum call_result mapping_age(struct call *call)
{
	const Ptd__V1__AgeRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, age_step);
}

/* Nothing done yet, nothing to tell. */
enum call_result mapping_upkeep_abandon(struct call *call)
{
	struct upkeep *s = call->state;
	enum call_result result;

	if (!s)
		return CALL_DONE;
	result = progress_abandon(&s->progress);
	if (result != CALL_DONE)
		return result;
	if (s->progress.upkeep.next != s->progress.upkeep.args.ipa.v)
		return answer(call, s);
	progress_end(&s->progress);
	return CALL_DONE;
}

enum call_result mapping_age_abandon(struct call *call)
{
	const Ptd__V1__AgeRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, mapping_upkeep_abandon);
}
