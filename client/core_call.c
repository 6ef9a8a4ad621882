/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a call: started, sent, sent again after a loss, ended. */
#include "core_private.h"
#include "status.h"

#include <stdlib.h>

void call_list_append(struct call_list *list, struct ptd_call *call)
{
	call->next = NULL;
	call->prev = list->last;
	if (list->last)
		list->last->next = call;
	else
		list->first = call;
	list->last = call;
	list->count++;
}

void call_list_remove(struct call_list *list, struct ptd_call *call)
{
	*(call->prev ? &call->prev->next : &list->first) = call->next;
	*(call->next ? &call->next->prev : &list->last) = call->prev;
	list->count--;
}

static void leave_list(struct core *core, struct ptd_call *call)
{
	call_list_remove(call->live ? &core->live : &core->waiting, call);
	call->live = false;
	if (core->stamping == call)
		core->stamping = NULL;
}

void core_end(struct core *core, struct ptd_call *call, bool ok)
{
	leave_list(core, call);
	call->stream_id = -1;
	call->end = ok ? &status_ok : &call->status;
	call->status.retry_after_ms = call->pushback_ms;
	call_list_append(&core->ended, call);
}

void core_end_locally(struct core *core, struct ptd_call *call, enum ptd_where where, int grpc,
		      const char *text)
{
	/* What never left as a whole cannot have been executed. */
	bool may_be_done = call->sent || call->maybe;

	status_local(&call->status, may_be_done ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED,
		     where == PTD_WHERE_LOST && !may_be_done ? PTD_WHERE_CONNECT : where, grpc,
		     "%s", text);
	call->pushback_ms = PTD_RETRY_UNSAID;
	core_end(core, call, false);
}

void core_forget_stream(struct core *core, struct ptd_call *call, uint32_t error)
{
	nghttp2_session_set_stream_user_data(core->session, call->stream_id, NULL);
	nghttp2_submit_rst_stream(core->session, NGHTTP2_FLAG_NONE, call->stream_id, error);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct ptd_call *take_free(struct core *core)
{
	struct ptd_call *call = core->free.last;

	if (call)
		call_list_remove(&core->free, call);
	else
		call = calloc(1, sizeof(*call));
	return call;
}

/* What belongs to one attempt. */
static void reset_attempt(struct ptd_call *call)
{
	call->request_sent = call->response_length = 0;
	call->sent_at = 0;
	call->wanted = call->messages = 0;
	call->prefix_length = 0;
	call->sent = call->trailed = call->deferred = false;
	call->stream_id = 0;
	call->http = 0;
	call->grpc = -1;
	call->pushback_ms = PTD_RETRY_UNSAID;
}

/* Everything but the buffers, which are kept. The status is large: cleared only if it was used. */
static void reset_call(struct ptd_call *call, const struct core_request *request)
{
	if (call->end != &status_ok || call->trailed)
		status_clear(&call->status);
	reset_attempt(call);
	call->method = request->method;
	call->request_length = call->first_end = 0;
	call->deadline_ns = CORE_NEVER;
	call->retry_ns = request->not_before_ns;
	call->attempts = 0;
	call->begun = call->maybe = call->live = call->solo = call->over = false;
	call->replay = request->flags & PTD_CALL_REPLAY;
	call->open = request->flags & PTD_CALL_OPEN;
	call->message = request->message;
	call->done = request->done;
	call->arg = request->arg;
	call->end = &status_ok;
}

static struct ptd_call *refuse(struct ptd_status *why, enum ptd_where where, int grpc,
			       const char *text)
{
	status_local(why, PTD_STATE_FAILED, where, grpc, "%s", text);
	return NULL;
}

static void set_deadline(struct core *core, struct ptd_call *call, uint32_t timeout_ms)
{
	call->deadline_ns = core->now_ns + timeout_ms * UINT64_C(1000000) + CORE_DEADLINE_GRACE_NS;
	core->next_deadline = least(core->next_deadline, call->deadline_ns);
}

struct ptd_call *core_start(struct core *core, const struct core_request *request, uint64_t now_ns,
			    struct ptd_status *why)
{
	struct ptd_call *call;

	if (core->gone)
		return refuse(why, PTD_WHERE_CONNECT, 14, "the connection is gone");
	call = take_free(core);
	if (!call)
		return refuse(why, PTD_WHERE_ARGUMENT, 8, "no memory");
	core->now_ns = now_ns;
	reset_call(call, request);
	if ((!call->open || request->data) &&
	    !core_append_message(call, request->data, request->length)) {
		call_list_append(&core->free, call);
		return refuse(why, PTD_WHERE_ARGUMENT, 8, "no memory");
	}
	if (request->timeout_ms)
		set_deadline(core, call, request->timeout_ms);
	call_list_append(&core->waiting, call);
	if (call->retry_ns > now_ns)
		core->next_deadline = least(core->next_deadline, call->retry_ns);
	else if (core_open(core))
		core_submit(core, call);
	else if (!core->config.reconnects && core->session && !core->holding)
		core_end_locally(core, call, PTD_WHERE_CONNECT, 14, core->farewell);
	return call;
}

void core_cancel(struct core *core, struct ptd_call *call, enum ptd_where where)
{
	if (call->stream_id < 0)
		return;
	if (call->live)
		core_forget_stream(core, call, NGHTTP2_CANCEL);
	if (where == PTD_WHERE_DEADLINE)
		core_end_locally(core, call, where, 4, "the deadline passed without an answer");
	else
		core_end_locally(core, call, where, 1, "cancelled here");
}

static void wake(struct core *core, struct ptd_call *call)
{
	if (call->live && call->deferred)
		nghttp2_session_resume_data(core->session, call->stream_id);
	call->deferred = false;
}

bool core_send(struct core *core, struct ptd_call *call, const void *data, size_t length)
{
	if (call->stream_id < 0 || !call->open || !core_append_message(call, data, length))
		return false;
	wake(core, call);
	return true;
}

void core_half_close(struct core *core, struct ptd_call *call)
{
	if (call->stream_id < 0 || !call->open)
		return;
	call->open = false;
	wake(core, call);
}

size_t core_queued(const struct ptd_call *call)
{
	return call->request_length - call->request_sent;
}

bool core_again(struct core *core, struct ptd_call *call, uint64_t at_ns)
{
	bool may = core->config.reconnects && !core->gone && !(call->message && call->messages) &&
		   call->attempts < core->config.retries + 1 && (!call->sent || call->replay) &&
		   !call->begun;

	if (!may)
		return false;
	leave_list(core, call);
	call->maybe = call->maybe || call->sent;
	if (call->trailed)
		status_clear(&call->status);
	reset_attempt(call);
	call->retry_ns = at_ns;
	if (at_ns < core->next_deadline)
		core->next_deadline = at_ns;
	call_list_append(&core->waiting, call);
	return true;
}

static void expire_list(struct core *core, struct call_list *list)
{
	struct ptd_call *next;

	for (struct ptd_call *call = list->first; call; call = next) {
		next = call->next;
		if (call->deadline_ns <= core->now_ns)
			core_cancel(core, call, PTD_WHERE_DEADLINE);
		else if (call->deadline_ns < core->next_deadline)
			core->next_deadline = call->deadline_ns;
	}
}

uint64_t core_expire(struct core *core, uint64_t now_ns)
{
	core->now_ns = now_ns;
	if (now_ns < core->next_deadline)
		return core->next_deadline;
	core->next_deadline = CORE_NEVER;
	expire_list(core, &core->live);
	expire_list(core, &core->waiting);
	core_submit_waiting(core);
	return core->next_deadline;
}
