/* SPDX-License-Identifier: BSD-2-Clause */
/* How a call ends: its status is decided once, by the handler, a rule of the wire, its deadline, or
 * the rpc.reply failpoint. */
#include "message.h"
#include "wire_limits.h"

/* An answer that does not leave now still honours the call's deadline. */
static bool wait_until(struct stream *stream, uint64_t at_ns)
{
	struct timers *timers = &stream->conn->shard->timers;
	uint64_t deadline_ns = stream->call.deadline_ns;

	if (at_ns > deadline_ns)
		at_ns = deadline_ns;
	stream->delayed = at_ns != UINT64_MAX && timer_arm(timers, &stream->timer, at_ns);
	return stream->delayed;
}

/* The rpc.reply failpoint. True: the answer does not leave now. */
static bool reply_fails(struct stream *stream)
{
	struct reply_failure failure = domain_reply_fate(&stream->call);

	switch (failure.fate) {
	case REPLY_SEND: return false;
	case REPLY_DROP:
		stream->lost = true;
		wait_until(stream, UINT64_MAX);
		return true;
	case REPLY_DELAY:
		return wait_until(stream,
				  stream->conn->shard->now_ns + failure.delay_ms * SECOND / 1000);
	case REPLY_ERROR:
		call_fail(&stream->call, PT_INJECTED, NULL);
		stream->call.status.grpc = failure.grpc_status;
		return false;
	}
	return false;
}

void stream_answer(struct stream *stream)
{
	if (stream->answered)
		return;
	stream->answered = true;
	if (stream->timer.slot)
		timer_stop(&stream->conn->shard->timers, &stream->timer);
	if (stream->route && stream->route->domain && stream->started && !stream->gone &&
	    reply_fails(stream))
		return;
	stream_send_answer(stream);
}

void stream_answer_late(struct stream *stream)
{
	stream->delayed = false;
	if (stream->call.deadline_ns <= stream->conn->shard->now_ns) {
		/* DEADLINE would promise that nothing was done. */
		call_fail(&stream->call,
			  stream->call.status.code == PT_OK ? PT_INJECTED : PT_DEADLINE, NULL);
		stream->call.status.grpc = PT_GRPC_DEADLINE_EXCEEDED;
		stream->call.status.text[0] = 0;
	}
	stream_send_answer(stream);
}

void stream_answer_overdue(struct stream *stream)
{
	stream->overdue = false;
	if (!stream->call.response) {
		stream_fail(stream, PT_DEADLINE, PT_GRPC_DEADLINE_EXCEEDED, NULL);
		return;
	}
	stream->call.status = (struct call_status){.level = PT_TTL_UNKNOWN};
	stream->answered = true;
	stream_send_answer(stream);
}

void stream_fail(struct stream *stream, enum pt_outcome code, enum pt_grpc grpc, const char *text)
{
	if (stream->answered)
		return;
	call_fail(&stream->call, code, text ? "%s" : NULL, text);
	stream->call.status.grpc = grpc;
	stream->answered = true;
	stream_send_answer(stream);
}

void stream_refuse(struct stream *stream, const char *text)
{
	count(&stream->conn->shard->counters->streams_refused, 1);
	stream->call.status.pushback_ms = WIRE_PUSHBACK_MS;
	stream_fail(stream, PT_TOO_LARGE, PT_GRPC_RESOURCE_EXHAUSTED, text);
}

void stream_reset(struct stream *stream, uint32_t code)
{
	stream->answered = true;
	if (!stream->gone && stream->conn->session) {
		nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id,
					  code);
		conn_dirty(stream->conn);
	}
}

void stream_trailers_sent(struct stream *stream)
{
	if (!stream->half_closed && !stream->gone)
		stream_reset(stream, NGHTTP2_NO_ERROR);
}
