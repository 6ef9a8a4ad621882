/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An nghttp2 client session and the calls on it, without I/O.
 *
 * A call is on one list at a time: live (from start to its end), ended (to be handed over), or free
 * (recycled, with its buffers). nghttp2's stream user data points to a live call, and to nothing
 * once the call has ended here: a stream may outlive its call, never the other way round.
 */
#include "core_private.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_WINDOW	  (4 << 20)
#define CONNECTION_WINDOW (64 << 20)
#define RECEIVE_DEFAULT	  (4u << 20)
/* The daemon hears the deadline and answers with what it knows; the client gives up a little later.
 */
#define DEADLINE_GRACE_NS UINT64_C(100000000)

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

/* The end of a live call. Its stream, if any is left, no longer knows it. */
void core_end(struct core *core, struct ptd_call *call, bool ok)
{
	call->end = ok ? &status_ok : &call->status;
	call_list_remove(&core->live, call);
	call_list_append(&core->ended, call);
}

void core_end_locally(struct core *core, struct ptd_call *call, enum ptd_where where, int grpc,
		      const char *text)
{
	/* What never left as a whole cannot have been executed. */
	status_local(&call->status, call->sent ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED,
		     where == PTD_WHERE_LOST && !call->sent ? PTD_WHERE_CONNECT : where, grpc, "%s",
		     text);
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

static bool open_session(struct core *core)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};
	nghttp2_session_callbacks *table = core_callbacks();
	bool made = table && !nghttp2_session_client_new(&core->session, table, core);

	if (table)
		nghttp2_session_callbacks_del(table);
	return made && !nghttp2_submit_settings(core->session, NGHTTP2_FLAG_NONE, settings, 2) &&
	       !nghttp2_session_set_local_window_size(core->session, NGHTTP2_FLAG_NONE, 0,
						      CONNECTION_WINDOW);
}

struct core *core_create(uint32_t max_receive_bytes)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->max_receive = max_receive_bytes ? max_receive_bytes : RECEIVE_DEFAULT;
	core->next_deadline = CORE_NEVER;
	if (!open_session(core)) {
		core_destroy(core);
		return NULL;
	}
	return core;
}

static void free_calls(struct call_list *list)
{
	struct ptd_call *next;

	for (struct ptd_call *call = list->first; call; call = next) {
		next = call->next;
		free(call->request);
		free(call->response);
		free(call);
	}
}

void core_destroy(struct core *core)
{
	nghttp2_session_del(core->session);
	free_calls(&core->live);
	free_calls(&core->ended);
	free_calls(&core->free);
	free(core);
}

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
			    size_t length, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct ptd_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
	size_t left;

	(void)source;
	(void)user;
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	left = call->request_length - call->request_sent;
	left = left < length ? left : length;
	memcpy(bytes, call->request + call->request_sent, left);
	call->request_sent += left;
	if (call->request_sent == call->request_length) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		call->sent = true;
	}
	return (ssize_t)left;
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

/* Everything but the buffers, which are kept. The status is large: cleared only if it was used. */
static void reset_call(struct ptd_call *call, const struct core_request *request)
{
	if (call->end != &status_ok || call->trailed)
		status_clear(&call->status);
	call->method = request->method;
	call->request_sent = call->response_length = 0;
	call->deadline_ns = CORE_NEVER;
	call->wanted = call->messages = 0;
	call->prefix_length = 0;
	call->sent = call->solo = call->over = call->trailed = false;
	call->stream_id = 0;
	call->http = 0;
	call->grpc = -1;
	call->message = request->message;
	call->done = request->done;
	call->arg = request->arg;
	call->end = &status_ok;
}

static bool frame_request(struct ptd_call *call, const struct core_request *request)
{
	uint32_t n = (uint32_t)request->length;
	const uint8_t prefix[CORE_PREFIX] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
					     (uint8_t)(n >> 8), (uint8_t)n};

	if (request->length > UINT32_MAX - CORE_PREFIX ||
	    !core_reserve(&call->request, &call->request_capacity, request->length + CORE_PREFIX))
		return false;
	memcpy(call->request, prefix, CORE_PREFIX);
	if (request->length)
		memcpy(call->request + CORE_PREFIX, request->data, request->length);
	call->request_length = request->length + CORE_PREFIX;
	return true;
}

#define NV(n, v, l)                                                                                \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, (l),          \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE               \
	}
#define NV_CONST(n, v) NV(n, v, sizeof(v) - 1)

static int submit(struct core *core, struct ptd_call *call, uint32_t timeout_ms)
{
	const nghttp2_data_provider body = {.read_callback = read_request};
	char timeout[16] = "";
	nghttp2_nv headers[] = {
		NV_CONST(":method", "POST"),
		NV_CONST(":scheme", "http"),
		NV(":path", call->method, strlen(call->method)),
		NV_CONST(":authority", "localhost"),
		NV_CONST("te", "trailers"),
		NV_CONST("content-type", "application/grpc"),
		NV_CONST("user-agent", "libptd/" PTD_VERSION),
		NV("grpc-timeout", timeout, 0),
	};
	size_t count = sizeof(headers) / sizeof(headers[0]);

	if (timeout_ms) {
		int length = timeout_ms <= 99999999
				     ? snprintf(timeout, sizeof(timeout), "%um", timeout_ms)
				     : snprintf(timeout, sizeof(timeout), "%uS", timeout_ms / 1000);

		headers[count - 1].valuelen = (size_t)length;
		headers[count - 1].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
	} else {
		count--;
	}
	return nghttp2_submit_request(core->session, NULL, headers, count, &body, call);
}

struct ptd_call *core_start(struct core *core, const struct core_request *request, uint64_t now_ns,
			    struct ptd_status *why)
{
	struct ptd_call *call = take_free(core);

	if (!call) {
		status_local(why, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return NULL;
	}
	reset_call(call, request);
	if (frame_request(call, request))
		call->stream_id = submit(core, call, request->timeout_ms);
	if (call->stream_id <= 0) {
		call_list_append(&core->free, call);
		status_local(why, PTD_STATE_FAILED, PTD_WHERE_CONNECT, 14, "%s",
			     call->stream_id ? nghttp2_strerror(call->stream_id) : "no memory");
		return NULL;
	}
	if (request->timeout_ms) {
		call->deadline_ns =
			now_ns + request->timeout_ms * UINT64_C(1000000) + DEADLINE_GRACE_NS;
		if (call->deadline_ns < core->next_deadline)
			core->next_deadline = call->deadline_ns;
	}
	call_list_append(&core->live, call);
	return call;
}

void core_cancel(struct core *core, struct ptd_call *call, enum ptd_where where)
{
	core_forget_stream(core, call, NGHTTP2_CANCEL);
	if (where == PTD_WHERE_DEADLINE)
		core_end_locally(core, call, where, 4, "the deadline passed without an answer");
	else
		core_end_locally(core, call, where, 1, "cancelled here");
	call->stream_id = 0;
}

static void fail(struct core *core)
{
	core->broken = true;
	core->rest_length = 0;
}

size_t core_output(struct core *core, const uint8_t **bytes)
{
	*bytes = core->output + core->output_start;
	if (core->output_end > core->output_start)
		return core->output_end - core->output_start;
	core->output_start = core->output_end = 0;
	while (!core->broken && core->output_end < CORE_OUTPUT_BATCH) {
		size_t part;

		if (!core->rest_length) {
			ssize_t got = nghttp2_session_mem_send(core->session, &core->rest);

			if (got < 0)
				fail(core);
			if (got <= 0)
				break;
			core->rest_length = (size_t)got;
		}
		part = CORE_OUTPUT_ROOM - core->output_end;
		part = core->rest_length < part ? core->rest_length : part;
		memcpy(core->output + core->output_end, core->rest, part);
		core->output_end += part;
		core->rest += part;
		core->rest_length -= part;
	}
	*bytes = core->output;
	return core->output_end;
}

void core_wrote(struct core *core, size_t length)
{
	core->output_start += length;
}

bool core_wants_write(const struct core *core)
{
	return core->output_end > core->output_start || core->rest_length ||
	       (!core->broken && nghttp2_session_want_write(core->session));
}

void core_input(struct core *core, const uint8_t *bytes, size_t length)
{
	if (!core->broken && nghttp2_session_mem_recv(core->session, bytes, length) < 0)
		fail(core);
}

/* After a protocol error nghttp2 still has a GOAWAY to send that says which. */
bool core_over(const struct core *core)
{
	return core->broken ||
	       (!core_wants_write(core) && !nghttp2_session_want_read(core->session));
}

void core_lost(struct core *core)
{
	while (core->live.first)
		core_end_locally(core, core->live.first, PTD_WHERE_LOST, 14,
				 "the connection was lost");
	fail(core);
	core->output_start = core->output_end = 0;
}

uint64_t core_expire(struct core *core, uint64_t now_ns)
{
	struct ptd_call *next;

	if (now_ns < core->next_deadline)
		return core->next_deadline;
	core->next_deadline = CORE_NEVER;
	for (struct ptd_call *call = core->live.first; call; call = next) {
		next = call->next;
		if (call->deadline_ns <= now_ns)
			core_cancel(core, call, PTD_WHERE_DEADLINE);
		else if (call->deadline_ns < core->next_deadline)
			core->next_deadline = call->deadline_ns;
	}
	return core->next_deadline;
}

struct ptd_call *core_ended(struct core *core)
{
	struct ptd_call *call = core->ended.first;

	if (call)
		call_list_remove(&core->ended, call);
	return call;
}

void core_recycle(struct core *core, struct ptd_call *call)
{
	call_list_append(&core->free, call);
}

size_t core_outstanding(const struct core *core)
{
	return core->live.count + core->ended.count;
}
