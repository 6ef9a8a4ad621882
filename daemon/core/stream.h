/* SPDX-License-Identifier: BSD-2-Clause */
/* One RPC on the wire: request headers, messages, the handler's life, and the answer. */
#ifndef PTD_STREAM_H
#define PTD_STREAM_H

#include "arena.h"
#include "call.h"
#include "conn.h"
#include "dispatch.h"
#include "frame.h"

#define STREAM_FIRST_ARENA 2048

/* Framed messages that wait to be sent; their bytes follow. */
struct outmsg {
	struct outmsg *next;
	uint32_t length, sent;
	uint32_t room; /* length and what may be added */
	bool in_arena;
};

/*
 * Who may free it: nobody before all four are over: nghttp2 has closed the stream (`gone`), the
 * handler holds nothing (`working`), it stands in no queue (`queued`), no mail is on its way
 * (`mailed`).
 */
struct stream {
	struct call call; /* first: a handler's call is its stream */
	struct conn *conn;
	struct stream *next, *prev; /* of the connection */
	struct stream *next_run;
	const struct route *route;
	int32_t id;

	struct mail mail;
	atomic_bool mailed;
	bool queued;	  /* in the run queue */
	bool admitted;	  /* it counts as work of the shard (admission.h) */
	bool is_long;	  /* and as a long call */
	bool gone;	  /* nghttp2 has forgotten it */
	bool working;	  /* the handler has run and is not done */
	bool parked;	  /* it waits for call_wake() */
	bool winding;	  /* it is to be abandoned */
	bool answered;	  /* status is decided */
	bool responded;	  /* response HEADERS are submitted */
	bool deferred;	  /* nghttp2 waits for more data */
	bool half_closed; /* the client has sent END_STREAM */
	bool started;	  /* the request's message was given to the handler */
	bool delayed;	  /* the answer waits for the timer */
	bool lost;	  /* the answer was dropped by a failpoint */
	bool overdue;	  /* the deadline passed while the handler was at work */
	bool held;	  /* DATA waits for a window that is worth it */
	bool plain;	  /* answered over HTTP alone: no trailers */
	bool bulk;	  /* its DATA takes turns with other streams' */
	bool blocked;	  /* call_send() said no */
	bool trailers;	  /* trailers are submitted */
	bool got_headers; /* the request's header block is complete */

	/* Request headers. */
	uint32_t header_bytes, header_count;
	bool is_post, has_type, bad_type, has_te, has_timeout, bad_timeout, bad_encoding, has_path;
	uint64_t timeout_ns;
	struct metadata *metadata; /* of methods that keep it */

	/* Messages. */
	struct frame frame;
	size_t room;	 /* of the body being received */
	size_t reserved; /* what it counts for in the connection's budget */
	bool body_slab;	 /* the body is the slab's, not the arena's */
	uint8_t *body;	 /* of the complete message */
	uint32_t body_length;
	bool has_message;
	uint64_t progress_ns;
	struct timer timer; /* deadline, or the delay of the answer */

	/* Client streams: input that waits, as it came. */
	uint8_t *in;
	size_t in_room, in_at, in_end;
	size_t unconsumed; /* of it, bytes still in the stream's window */
	bool in_work;	   /* a message is with the handler across steps */

	struct outmsg *out_first, *out_last;
	size_t out_bytes;

	struct arena arena;
	_Alignas(16) uint8_t first_arena[STREAM_FIRST_ARENA];
};

static inline struct stream *stream_of(struct call *call)
{
	return (struct stream *)(void *)call;
}

/* There is room for it among the shard's calls; else it has been refused. */
static inline bool stream_admits(struct stream *stream)
{
	return admission_has_room(&stream->conn->shard->admission) || admission_judge(stream);
}

/* NULL: no memory. */
struct stream *stream_open(struct conn *conn, int32_t id);
/* One request header. */
void stream_header(struct stream *stream, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* One field of metadata, if the method keeps them. Dropped when there is no memory. */
void stream_keep_metadata(struct stream *stream, const nghttp2_vec *name, const nghttp2_vec *value);
void stream_drop_metadata(struct stream *stream);
/* The request's header block is complete. */
void stream_request(struct stream *stream);
void stream_data(struct stream *stream, const uint8_t *data, size_t length);
/* The client has half-closed. */
void stream_end(struct stream *stream);
/* From nghttp2: the stream is closed. */
void stream_closed(struct stream *stream);
/* From the run queue. */
void stream_run(struct stream *stream);
/* What the handler returned decides what comes next. */
void stream_settle(struct stream *stream, enum call_result result);
/* Its answer is not the handler's, which is to let go of what it holds. */
void stream_wind_up(struct stream *stream);
/* Frees it when nothing uses it any more. */
void stream_release(struct stream *stream);
/* The peer is gone: as if nghttp2 had closed the stream. */
void stream_drop(struct stream *stream);
/* The connection drains: streaming answers look again. */
void stream_look_again(struct stream *stream);

/* Decides the answer with call.status (code PT_OK: the response). Once. */
void stream_answer(struct stream *stream);
/* As stream_answer() after call_fail() with another gRPC status. */
void stream_fail(struct stream *stream, enum pt_outcome code, enum pt_grpc grpc, const char *text);
/* The delay of the answer, or the deadline meanwhile, is over. */
void stream_answer_late(struct stream *stream);
/* The handler is through after the deadline: what it did before its commit point is undone, what it
 * did after that is told. */
void stream_answer_overdue(struct stream *stream);
/* An HTTP answer to what is not gRPC; `text` NULL: that only POST is allowed. */
void stream_answer_http(struct stream *stream, const char *code, const char *text);
/* As stream_fail() with RESOURCE_EXHAUSTED and when to try again: a budget has said no. */
void stream_refuse(struct stream *stream, const char *text);
/* RST_STREAM instead of an answer. */
void stream_reset(struct stream *stream, uint32_t code);
/* Packs and queues one message. False: no memory, or too large. */
bool stream_queue_message(struct stream *stream, const ProtobufCMessage *message);
/* Queues one message that is packed already. False: no memory, or too large. */
bool stream_queue_packed(struct stream *stream, const uint8_t *message, size_t length);
void stream_drop_output(struct stream *stream);
/* From the session: the frame with the stream's END_STREAM has left. */
void stream_trailers_sent(struct stream *stream);
void stream_deadline(struct stream *stream);

#endif
