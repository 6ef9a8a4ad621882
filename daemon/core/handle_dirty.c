/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService: dirty logs.
 *
 * StartDirtyLog and GetDirtyLog can be given up between steps, and then leave nothing behind: a log
 * that was not told of is gone, and pages that were collected count as never told. StopDirtyLog
 * runs to its end.
 */
#include "handlers.h"

#include "context.h"
#include "dirty_logs.h"
#include "domain_fail.h"
#include "domain_progress.h"
#include "registry.h"

#include "ptd/v1/mapping.pb-c.h"

struct dirty {
	struct progress progress;
	struct dirty_log *log;
	uint64_t end; /* GET: of what was asked for */
	Ptd__V1__Effects effects;
	union {
		ProtobufCMessage base;
		Ptd__V1__StartDirtyLogResponse start;
		Ptd__V1__GetDirtyLogResponse get;
		Ptd__V1__StopDirtyLogResponse stop;
	};
};

static void answer_start(struct call *call, struct dirty *s)
{
	struct pt_dirty *op = &s->progress.dirty;

	dirty_log_publish(call->domain, s->log);
	count_effects(call, &op->effects);
	ptd__v1__effects__init(&s->effects);
	effects_fill(&s->effects, &op->effects);
	ptd__v1__start_dirty_log_response__init(&s->start);
	s->start.log = s->log->handle;
	s->start.log_generation = op->generation;
	s->start.effects = &s->effects;
	s->start.stopped = op->stopped;
}

static void answer_get(struct call *call, struct dirty *s)
{
	struct pt_dirty *op = &s->progress.dirty;
	uint64_t granules = (op->next - op->args.ipa.v) >> s->log->pt.shift;

	count_effects(call, &op->effects);
	ptd__v1__get_dirty_log_response__init(&s->get);
	s->get.bitmap.data = op->args.bitmap;
	s->get.bitmap.len = (granules + 7) / 8;
	s->get.ipa = op->args.ipa.v;
	s->get.next_ipa = op->next;
	s->get.log_generation = op->generation;
	s->get.dirty = op->dirty;
	s->get.done = op->next == s->end;
}

static void answer_stop(struct call *call, struct dirty *s)
{
	ptd__v1__stop_dirty_log_response__init(&s->stop);
	s->stop.dirty = s->progress.dirty.dirty;
	fold_later(call, s->log->context->handle, s->log->pt.ipa,
		   s->log->pt.last - s->log->pt.ipa + 1);
	dirty_log_retire(call->domain, s->log);
}

static enum call_result refuse(struct call *call, struct dirty *s)
{
	enum pt_outcome o = s->progress.outcome;

	if (s->progress.dirty.args.kind == PT_DIRTY_START)
		dirty_log_retire(call->domain, s->log);
	if (s->progress.dirty.args.kind == PT_DIRTY_STOP)
		dirty_log_stop_undo(call->domain, s->log);
	switch (o) {
	case PT_BUSY: return call_fail(call, o, "log: another call works on it");
	case PT_WRONG_STATE: return call_fail(call, o, "context: it is being deleted");
	case PT_GENERATION_MISMATCH:
		return call_fail(
			call, o,
			"log_generation: neither that of the last reply nor the one before");
	default: return call_fail(call, o, NULL);
	}
}

/* It is over. */
static enum call_result finish(struct call *call, struct dirty *s)
{
	if (s->progress.outcome != PT_OK) {
		refuse(call, s);
		progress_end(&s->progress);
		return CALL_DONE;
	}
	switch (s->progress.dirty.args.kind) {
	case PT_DIRTY_START: answer_start(call, s); break;
	case PT_DIRTY_GET: answer_get(call, s); break;
	default: answer_stop(call, s); break;
	}
	call->response = &s->base;
	progress_end(&s->progress);
	return CALL_DONE;
}

static enum call_result go_on(struct call *call, struct dirty *s)
{
	enum call_result result = progress_step(&s->progress);

	return result == CALL_DONE ? finish(call, s) : result;
}

static enum call_result begin(struct call *call, struct dirty *s, const struct pt_dirty_args *args)
{
	enum pt_outcome o = progress_dirty(call, &s->progress, s->log->context, args);

	s->progress.dirty.args.kind = args->kind;
	if (o != PT_OK) {
		s->progress.outcome = o;
		return refuse(call, s);
	}
	call->state = s;
	return go_on(call, s);
}

static enum call_result check_range(struct call *call, struct context *c, uint64_t ipa,
				    uint64_t size)
{
	struct pt_item item = {
		.ctx = &c->pt, .ipa = pt_ipa(ipa), .size = size, .kind = PT_ITEM_UNMAP};
	enum pt_outcome o = pt_item_check(&item);

	return o == PT_OK ? CALL_MORE : fail_item(call, &item, o, "", 0);
}

static enum call_result start(struct call *call)
{
	const Ptd__V1__StartDirtyLogRequest *q = (const void *)call->request;
	struct context *c = find_own_tables(call, q->context, "context");
	struct dirty *s = c ? call_alloc(call, sizeof(*s)) : NULL;
	struct pt_dirty_args args = {.kind = PT_DIRTY_START,
				     .ipa = pt_ipa(q->ipa),
				     .size = q->size,
				     .eager_split = q->eager_split,
				     .initially_set = q->initially_set};
	const char *limit;
	enum pt_outcome o;

	if (!c || check_range(call, c, q->ipa, q->size) != CALL_MORE)
		return CALL_DONE;
	if (!s)
		return fail_arena(call);
	/* Teardown waits for a section that has not seen it, and then for the pin; one that has
	 * must not give the context another log. */
	if (atomic_load(&c->pt.state) != PT_CTX_LIVE)
		return call_fail(call, PT_WRONG_STATE, "context: it is being deleted");
	o = dirty_log_create(call, c, pt_dirty_bytes(c->pt.geo.granule_shift, q->size), &s->log,
			     &limit);
	if (o == PT_TOO_LARGE)
		return call_fail(call, o, "%s: the log would go beyond it", limit);
	if (o != PT_OK)
		return call_fail(call, o, "size: no memory for the log's bits");
	args.ctx = &c->pt;
	args.log = &s->log->pt;
	args.memory = s->log->memory;
	return begin(call, s, &args);
}

/* The part of the log that is asked for; more than a bitmap may hold is told in parts. */
static enum call_result part(struct call *call, struct dirty *s, struct pt_dirty_args *args)
{
	const Ptd__V1__GetDirtyLogRequest *q = (const void *)call->request;
	const struct pt_dirty_log *log = &s->log->pt;
	uint64_t ipa = q->ipa || q->size ? q->ipa : log->ipa;
	uint64_t size = q->size ? q->size : log->last - ipa + 1;
	uint64_t most = (uint64_t)LIMIT_BITMAP_BYTES * 8 << log->shift;

	if (ipa - log->ipa > log->last - log->ipa)
		return call_fail(call, PT_OUT_OF_RANGE,
				 "ipa: the log begins at 0x%llx and ends at 0x%llx",
				 (unsigned long long)log->ipa, (unsigned long long)log->last);
	if (check_range(call, s->log->context, ipa, size) != CALL_MORE)
		return CALL_DONE;
	if (ipa + size - 1 > log->last)
		return call_fail(call, PT_OUT_OF_RANGE, "size: the log ends at 0x%llx",
				 (unsigned long long)log->last);
	s->end = ipa + size;
	args->ipa = pt_ipa(ipa);
	args->size = size < most ? size : most;
	args->bitmap = call_alloc(call, ((args->size >> log->shift) + 7) / 8);
	return args->bitmap ? CALL_MORE : fail_arena(call);
}

static enum call_result get(struct call *call)
{
	const Ptd__V1__GetDirtyLogRequest *q = (const void *)call->request;
	struct pt_dirty_args args = {
		.kind = PT_DIRTY_GET, .clear = q->clear, .generation = q->log_generation};
	struct dirty_log *log = find_dirty_log(call, q->log);
	struct dirty *s = log ? call_alloc(call, sizeof(*s)) : NULL;

	if (!log)
		return CALL_DONE;
	if (!s)
		return fail_arena(call);
	/* StopDirtyLog waits for a section that has not seen it. */
	if (dirty_log_is_stopping(call->domain, log))
		return call_fail(call, PT_BUSY, "log: another call stops it");
	s->log = log;
	if (part(call, s, &args) != CALL_MORE)
		return CALL_DONE;
	args.log = &log->pt;
	return begin(call, s, &args);
}

static enum call_result stop(struct call *call)
{
	const Ptd__V1__StopDirtyLogRequest *q = (const void *)call->request;
	struct pt_dirty_args args = {.kind = PT_DIRTY_STOP};
	struct dirty_log *log = find_dirty_log(call, q->log);
	struct dirty *s = log ? call_alloc(call, sizeof(*s)) : NULL;

	if (!log)
		return CALL_DONE;
	if (!s)
		return fail_arena(call);
	/* Teardown waits for the section that has not seen it, and then for the pin. */
	if (atomic_load(&log->context->pt.state) != PT_CTX_LIVE)
		return call_fail(call, PT_WRONG_STATE,
				 "log: its context is being deleted, and it with it");
	if (!dirty_log_stop_begin(call->domain, log))
		return call_fail(call, PT_BUSY, "log: another call stops it");
	s->log = log;
	args.log = &log->pt;
	return begin(call, s, &args);
}

static enum call_result start_step(struct call *call)
{
	return call->state ? go_on(call, call->state) : start(call);
}

enum call_result mapping_start_dirty_log(struct call *call)
{
	const Ptd__V1__StartDirtyLogRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, start_step);
}

enum call_result mapping_get_dirty_log(struct call *call)
{
	return call->state ? go_on(call, call->state) : get(call);
}

enum call_result mapping_stop_dirty_log(struct call *call)
{
	return call->state ? go_on(call, call->state) : stop(call);
}

static enum call_result answer_list(struct call *call, struct dirty_log_seen *seen, uint32_t n)
{
	Ptd__V1__ListDirtyLogsResponse *r =
		new_response(call, &ptd__v1__list_dirty_logs_response__descriptor);
	Ptd__V1__DirtyLog *log = call_alloc(call, n * sizeof(*log) + 1);

	if (!r)
		return CALL_DONE;
	r->logs = call_alloc(call, n * sizeof(*r->logs) + 1);
	if (!log || !r->logs)
		return fail_arena(call);
	for (uint32_t i = 0; i < n; i++) {
		ptd__v1__dirty_log__init(&log[i]);
		log[i].log = seen[i].handle;
		log[i].context = seen[i].context;
		log[i].ipa = seen[i].ipa;
		log[i].size = seen[i].size;
		log[i].memory_bytes = seen[i].bytes;
		log[i].context_name = seen[i].context_name;
		r->logs[r->n_logs++] = &log[i];
	}
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result mapping_list_dirty_logs(struct call *call)
{
	const Ptd__V1__ListDirtyLogsRequest *q = (const void *)call->request;
	struct context *c = q->context ? find_context(call, q->context, "context") : NULL;
	struct dirty_log_seen *seen;
	uint32_t room, n;

	if (q->context && !c)
		return CALL_DONE;
	room = dirty_logs_list(call->domain, c, NULL, 0);
	seen = call_alloc(call, room * sizeof(*seen) + 1);
	if (!seen)
		return fail_arena(call);
	n = dirty_logs_list(call->domain, c, seen, room);
	return answer_list(call, seen, n < room ? n : room);
}

enum call_result mapping_dirty_abandon(struct call *call)
{
	struct dirty *s = call->state;
	enum call_result result;

	if (!s)
		return CALL_DONE;
	result = progress_abandon(&s->progress);
	if (result != CALL_DONE)
		return result;
	if (s->progress.outcome != PT_CANCELLED)
		return finish(call, s);
	if (s->progress.dirty.args.kind == PT_DIRTY_START)
		dirty_log_retire(call->domain, s->log);
	progress_end(&s->progress);
	return CALL_DONE;
}

enum call_result mapping_start_dirty_log_abandon(struct call *call)
{
	const Ptd__V1__StartDirtyLogRequest *q = (const void *)call->request;

	return call_once_abandon(call, &q->request_id, mapping_dirty_abandon);
}
