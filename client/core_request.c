/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests: messages framed and kept, headers, and how nghttp2 reads them. */
#include "core_private.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool core_append_message(struct ptd_call *call, const void *data, size_t length)
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
	if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE && !core->goodbye)
		core_say_goodbye(core, NULL, 0);
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
