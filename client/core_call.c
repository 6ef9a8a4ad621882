/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a call: framed, sent, sent again after a loss, ended. */
#include "core_private.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Memory for a buffer that keeps its size between calls. */
bool core_reserve(uint8_t **buffer, size_t *capacity, size_t length)
{
	size_t larger = *capacity ? *capacity : 256;
	uint8_t *moved;

	if (length <= *capacity)
		return true;
	while (larger < length)
		larger *= 2;
	moved = realloc(*buffer, larger);
	if (!moved)
		return false;
	*buffer = moved;
	*capacity = larger;
	return true;
}

/* --- the request ---------------------------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
			    size_t length, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct ptd_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
	struct core *core = user;
	size_t left;

	(void)source;
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	left = call->request_length - call->request_sent;
	if (!left && call->open) {
		call->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	left = left < length ? left : length;
	if (left)
		memcpy(bytes, call->request + call->request_sent, left);
	call->request_sent += left;
	if (call->request_sent == call->request_length && !call->open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!call->sent && call->request_sent >= call->first_end &&
	    (call->first_end || !call->open)) {
		call->sent = true;
		call->begun = call->open;
		core->stamping = call;
	}
	return (ssize_t)left;
}

/* What has left makes room. A request that may have to be sent again is kept whole. */
static void forget_sent(struct ptd_call *call)
{
	size_t left = call->request_length - call->request_sent;

	if (!call->open || !call->sent || call->request_sent < left)
		return;
	memmove(call->request, call->request + call->request_sent, left);
	call->request_sent = 0;
	call->request_length = left;
}

static bool append_message(struct ptd_call *call, const void *data, size_t length)
{
	uint32_t n = (uint32_t)length;
	const uint8_t prefix[CORE_PREFIX] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
					     (uint8_t)(n >> 8), (uint8_t)n};

	forget_sent(call);
	if (length > UINT32_MAX - CORE_PREFIX ||
	    !core_reserve(&call->request, &call->request_capacity,
			  call->request_length + length + CORE_PREFIX))
		return false;
	memcpy(call->request + call->request_length, prefix, CORE_PREFIX);
	if (length)
		memcpy(call->request + call->request_length + CORE_PREFIX, data, length);
	call->request_length += length + CORE_PREFIX;
	if (!call->first_end)
		call->first_end = call->request_length;
	return true;
}

#define NV(n, v, l)                                                                                \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, (l),          \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE               \
	}
#define NV_CONST(n, v) NV(n, v, sizeof(v) - 1)

static int submit(struct core *core, struct ptd_call *call, uint64_t timeout_ms)
{
	const nghttp2_data_provider body = {.read_callback = read_request};
	const struct core_config *config = &core->config;
	char timeout[16] = "";
	nghttp2_nv headers[] = {
		NV_CONST(":method", "POST"),
		NV(":scheme", config->scheme, strlen(config->scheme)),
		NV(":path", call->method, strlen(call->method)),
		NV(":authority", config->authority, strlen(config->authority)),
		NV_CONST("te", "trailers"),
		NV_CONST("content-type", "application/grpc"),
		NV_CONST("user-agent", "libptd/" PTD_VERSION),
		NV("grpc-timeout", timeout, 0),
	};
	size_t count = sizeof(headers) / sizeof(headers[0]);

	if (timeout_ms) {
		bool fits = timeout_ms <= 99999999;
		int length = snprintf(timeout, sizeof(timeout), fits ? "%um" : "%uS",
				      (unsigned)(fits ? timeout_ms : timeout_ms / 1000));

		headers[count - 1].valuelen = (size_t)length;
		headers[count - 1].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
	} else {
		count--;
	}
	return nghttp2_submit_request(core->session, NULL, headers, count, &body, call);
}

/* What the daemon is told: the time that is left, at least a millisecond; 0: no deadline. */
static uint64_t time_left_ms(const struct core *core, const struct ptd_call *call)
{
	uint64_t end_ns = call->deadline_ns - CORE_DEADLINE_GRACE_NS;

	if (call->deadline_ns == CORE_NEVER)
		return 0;
	return end_ns > core->now_ns ? (end_ns - core->now_ns + 999999) / 1000000 : 1;
}

void core_submit(struct core *core, struct ptd_call *call)
{
	int32_t id;

	call_list_remove(&core->waiting, call);
	call_list_append(&core->live, call);
	call->live = true;
	call->attempts++;
	id = submit(core, call, time_left_ms(core, call));
	call->stream_id = id > 0 ? id : 0;
	/* Without stream ids the next connection has to take it. */
	if (id > 0)
		return;
	core->goodbye = core->goodbye || id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE;
	if (id == NGHTTP2_ERR_NOMEM || !core_again(core, call, 0))
		core_end_locally(core, call, PTD_WHERE_CONNECT, 14, nghttp2_strerror(id));
}

void core_submit_waiting(struct core *core)
{
	struct ptd_call *next;

	for (struct ptd_call *call = core->waiting.first; call && core_open(core); call = next) {
		next = call->next;
		if (call->retry_ns <= core->now_ns)
			core_submit(core, call);
		else if (call->retry_ns < core->next_deadline)
			core->next_deadline = call->retry_ns;
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- start and end -------------------------------------------------------------------------- */

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
	    !append_message(call, request->data, request->length)) {
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
		core_end_locally(core, call, PTD_WHERE_CONNECT, 14,
				 "the daemon takes no new calls on this connection");
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
	if (call->stream_id < 0 || !call->open || !append_message(call, data, length))
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
