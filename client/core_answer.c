/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers: headers, messages and trailers as nghttp2 hands them over, and what they mean. */
#include "core_private.h"
#include "status.h"

#include <string.h>

/* Rows of the outcome table (docs/errors.md; their numbers never change) of which a retry takes
 * note. */
enum code {
	CODE_BUSY = 72,
	CODE_NOT_FOUND = 76,
	CODE_STALE_EPOCH = 78,
	CODE_REQUEST_ID_REUSED = 80,
	CODE_DENIED_FEATURE = 84,
	CODE_CANCELLED = 85,
	CODE_DEADLINE = 86,
	CODE_DRAINING = 87,
	CODE_INTERNAL = 88,
	CODE_INJECTED = 89,
	CODE_OVERLOADED = 90,
};

/* gRPC's mapping of HTTP status codes for answers that are not gRPC. */
static int grpc_of_http(int http)
{
	switch (http) {
	case 400: return 13;
	case 401: return 16;
	case 403: return 7;
	case 404: return 12;
	case 429:
	case 502:
	case 503:
	case 504: return 14;
	default: return 2;
	}
}

/* RFC 9113 8.7: not processed in any way. So are the streams that a GOAWAY leaves out. */
static void end_refused(struct core *core, struct ptd_call *call)
{
	uint32_t before = call->attempts ? call->attempts - 1 : 0;

	call->sent = false;
	if (core_again(core, call, core->now_ns + core_backoff_ns(core, before)))
		return;
	status_local(&call->status, call->maybe ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED,
		     PTD_WHERE_DAEMON, 14, "%s", core->farewell);
	core_end(core, call, false);
}

static void end_by_reset(struct core *core, struct ptd_call *call, uint32_t error)
{
	struct ptd_status *status = &call->status;

	switch (error) {
	case NGHTTP2_ENHANCE_YOUR_CALM:
		status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_DAEMON, 8,
			     "the daemon limits this client's rate");
		break;
	case NGHTTP2_CANCEL:
		/* Its connection has reached its age, or the daemon its end. */
		if (core_again(core, call,
			       core_retry_ns(core, call->attempts - 1, PTD_RETRY_UNSAID)))
			return;
		status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_DAEMON, 1,
			     "the daemon cancelled the call");
		break;
	case NGHTTP2_NO_ERROR:
		status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_DAEMON, 13,
			     "the answer ended without a status");
		break;
	default:
		status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_DAEMON, 13,
			     "the daemon reset the call: %s", nghttp2_http2_strerror(error));
		break;
	}
	core_end(core, call, false);
}

/* Codes that say nothing of whether the call was executed, when no detail of ptd comes along; and
 * an injected failure of the reply, which comes after the work. */
static bool is_unclear(const struct ptd_status *status)
{
	return status->code == CODE_INJECTED ||
	       (!status->code && (status->grpc == 1 || status->grpc == 2 || status->grpc == 4));
}

/* When an earlier attempt may have been executed, a failure says that nothing was done only if it
 * comes from behind the table of request ids, or says that the request can never be. */
static bool speaks_for_all_attempts(const struct ptd_status *status)
{
	switch (status->code) {
	case 0:
	case CODE_BUSY:
	case CODE_NOT_FOUND:
	case CODE_STALE_EPOCH:
	case CODE_REQUEST_ID_REUSED:
	case CODE_DENIED_FEATURE:
	case CODE_CANCELLED:
	case CODE_DEADLINE:
	case CODE_DRAINING:
	case CODE_INTERNAL:
	case CODE_OVERLOADED: return false;
	default: return true;
	}
}

/* When to send a refused call again; CORE_NEVER: not at all. */
static uint64_t retry_at(struct core *core, const struct ptd_call *call)
{
	uint64_t at_ns = CORE_NEVER;

	if ((call->pushback_ms >= 0 && (call->status.grpc == 8 || call->status.grpc == 14)) ||
	    (call->pushback_ms == PTD_RETRY_UNSAID && call->status.grpc == 14))
		at_ns = core_retry_ns(core, call->attempts - 1, call->pushback_ms);
	return at_ns < call->deadline_ns ? at_ns : CORE_NEVER;
}

static void end_by_failure(struct core *core, struct ptd_call *call)
{
	struct ptd_status *status = &call->status;
	uint64_t at_ns;

	status->grpc = call->grpc;
	status->state = is_unclear(status) ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED;
	/* Here "failed" speaks of this attempt. */
	call->sent = call->sent && status->state == PTD_STATE_UNKNOWN;
	at_ns = retry_at(core, call);
	if (at_ns != CORE_NEVER && core_again(core, call, at_ns))
		return;
	if (call->maybe && !speaks_for_all_attempts(status))
		status->state = PTD_STATE_UNKNOWN;
	core_end(core, call, false);
}

static void end_by_trailers(struct core *core, struct ptd_call *call)
{
	if (call->grpc) {
		end_by_failure(core, call);
	} else if (call->message || (call->messages == 1 && !call->prefix_length)) {
		core_end(core, call, true);
	} else {
		status_local(&call->status, PTD_STATE_UNKNOWN, PTD_WHERE_DAEMON, 13,
			     "the answer has %u messages, not 1", call->messages);
		core_end(core, call, false);
	}
}

static void end_by_http(struct core *core, struct ptd_call *call)
{
	status_local(&call->status, call->maybe ? PTD_STATE_UNKNOWN : PTD_STATE_FAILED,
		     PTD_WHERE_DAEMON, grpc_of_http(call->http), "HTTP status %d", call->http);
	core_end(core, call, false);
}

static void end_call(struct core *core, struct ptd_call *call, uint32_t error)
{
	if (call->grpc >= 0)
		end_by_trailers(core, call);
	else if (call->http && call->http != 200)
		end_by_http(core, call);
	else if (error == NGHTTP2_REFUSED_STREAM && !call->http)
		end_refused(core, call);
	else
		end_by_reset(core, call, error);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
	struct ptd_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	if (call)
		end_call(user, call, error);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct core *core = user;
	struct ptd_call *call;

	core->greeted = true;
	if (core->holding) {
		core->holding = false;
		core_submit_waiting(core);
	}
	if (frame->hd.type == NGHTTP2_GOAWAY)
		core_say_goodbye(core, frame->goaway.opaque_data, frame->goaway.opaque_data_len);
	/* The daemon is done before the request is: nothing more can come. */
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (call && (call->open || core_queued(call))) {
			core_forget_stream(core, call, NGHTTP2_CANCEL);
			end_call(core, call, NGHTTP2_NO_ERROR);
		}
	}
	return 0;
}

/* A request that could not leave: the daemon has said goodbye (GOAWAY), or stream ids are used up.
 */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
			     void *user)
{
	struct core *core = user;

	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	for (struct ptd_call *call = core->live.first; call; call = call->next) {
		if (call->stream_id != frame->hd.stream_id)
			continue;
		if (error == NGHTTP2_ERR_NOMEM || !core_again(core, call, 0))
			core_end_locally(core, call, PTD_WHERE_CONNECT, 14,
					 nghttp2_strerror(error));
		break;
	}
	return 0;
}

static bool name_is(const uint8_t *name, size_t length, const char *expected)
{
	return length == strlen(expected) && !memcmp(name, expected, length);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *user)
{
	struct ptd_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (!call)
		return 0;
	if (name_is(name, name_length, ":status")) {
		/* nghttp2 has checked that these are three digits. */
		call->http = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
	} else if (name_is(name, name_length, "grpc-status")) {
		call->grpc = status_number(value, length);
	} else if (name_is(name, name_length, "grpc-message")) {
		call->trailed = true;
		status_message(&call->status, value, length);
	} else if (name_is(name, name_length, "grpc-status-details-bin")) {
		call->trailed = true;
		status_details(&call->status, value, length);
	} else if (name_is(name, name_length, "grpc-retry-pushback-ms")) {
		call->pushback_ms = status_pushback(value, length);
	}
	return 0;
}

static void refuse_answer(struct core *core, struct ptd_call *call, const char *text)
{
	core_forget_stream(core, call, NGHTTP2_CANCEL);
	status_local(&call->status, PTD_STATE_UNKNOWN, PTD_WHERE_ARGUMENT, 8, "%s", text);
	core_end(core, call, false);
}

/* The prefix is complete: false when the call has ended for it. */
static bool begin_message(struct core *core, struct ptd_call *call)
{
	const uint8_t *prefix = call->prefix;

	call->wanted = (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 |
		       (uint32_t)prefix[3] << 8 | prefix[4];
	call->response_length = 0;
	if (prefix[0])
		refuse_answer(core, call, "the answer is compressed, which was not offered");
	else if (call->wanted > core->config.max_receive_bytes)
		refuse_answer(core, call, "the answer is larger than this client accepts");
	else if (!call->message && call->messages)
		refuse_answer(core, call, "the answer has more than one message");
	else if (!core_reserve(&call->response, &call->response_capacity, call->wanted))
		refuse_answer(core, call, "no memory for the answer");
	else
		return true;
	return false;
}

/* The message is complete: false when the call has ended by the caller's wish. */
static bool end_message(struct core *core, struct ptd_call *call)
{
	bool go_on;

	call->prefix_length = 0;
	call->messages++;
	if (!call->message)
		return true;
	go_on = call->message(call->arg, call->response, call->response_length);
	/* The callback may have cancelled the call itself; its memory stays until it is delivered.
	 */
	if (!go_on)
		core_cancel(core, call, PTD_WHERE_CANCEL);
	return call->stream_id > 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t length, void *user)
{
	struct core *core = user;
	struct ptd_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)flags;
	while (call && length) {
		size_t part;

		if (call->prefix_length < CORE_PREFIX) {
			call->prefix[call->prefix_length++] = *data++;
			length--;
			if (call->prefix_length == CORE_PREFIX && !begin_message(core, call))
				break;
		} else {
			part = call->wanted - call->response_length;
			part = part < length ? part : length;
			memcpy(call->response + call->response_length, data, part);
			call->response_length += part;
			data += part;
			length -= part;
		}
		if (call->prefix_length == CORE_PREFIX && call->response_length == call->wanted &&
		    !end_message(core, call))
			break;
	}
	return 0;
}

nghttp2_session_callbacks *core_callbacks(void)
{
	nghttp2_session_callbacks *table;

	if (nghttp2_session_callbacks_new(&table))
		return NULL;
	nghttp2_session_callbacks_set_on_header_callback(table, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(table, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(table, on_frame);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(table, on_frame_not_send);
	return table;
}
