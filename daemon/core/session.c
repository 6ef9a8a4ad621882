/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nghttp2 side of a connection: options, callbacks, memory, and the counting that the library
 * does not do (header lists, idle frames, resets in both directions).
 *
 * A callback never enters the session again except to submit; a broken rule sets `failing` and
 * stops the reading, and conn.c acts when nghttp2 is off the stack.
 */
#include "stream.h"
#include "wire_limits.h"

#define FRAME_STOP(conn) ((conn)->failing ? NGHTTP2_ERR_CALLBACK_FAILURE : 0)

static struct stream *stream_at(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static bool recently_reset(const struct conn *conn, int32_t id)
{
	for (unsigned i = 0; i < 64; i++)
		if (conn->recent_resets[i] == id)
			return true;
	return false;
}

/* HEADERS for a stream that ended long ago: with RFC 7540 priorities off nghttp2 forgets it, and
 * would only ignore the frame. */
static void begin_headers_frame(struct conn *conn, const nghttp2_frame_hd *hd)
{
	conn->block_frames = 1;
	conn->block_bytes = (uint32_t)hd->length;
	conn->block_since_ns = conn->shard->now_ns;
	conn->block_ends = hd->flags & NGHTTP2_FLAG_END_HEADERS;
	if (hd->stream_id > conn->highest)
		conn->highest = hd->stream_id;
	else if (!stream_at(conn->session, hd->stream_id) && !recently_reset(conn, hd->stream_id))
		conn_fail(conn, NGHTTP2_PROTOCOL_ERROR, "HEADERS on a closed stream");
}

static void begin_continuation(struct conn *conn, const nghttp2_frame_hd *hd)
{
	conn->block_frames++;
	conn->block_bytes += (uint32_t)hd->length;
	conn->block_ends = hd->flags & NGHTTP2_FLAG_END_HEADERS;
	if (conn->block_frames > WIRE_MAX_CONTINUATIONS || conn->block_bytes > WIRE_HEADER_BLOCK)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "header block too long");
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
	struct conn *conn = user;

	(void)session;
	if (conn->block_ends)
		conn->block_since_ns = 0;
	switch (hd->type) {
	case NGHTTP2_HEADERS: begin_headers_frame(conn, hd); break;
	case NGHTTP2_CONTINUATION: begin_continuation(conn, hd); break;
	case NGHTTP2_RST_STREAM:
		if (!budget_take(&conn->resets_in, conn->shard->now_ns))
			conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many resets");
		break;
	default:
		if (!budget_take(&conn->idle_frames, conn->shard->now_ns))
			conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many idle frames");
		break;
	}
	return FRAME_STOP(conn);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct conn *conn = user;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		conn->block_stream = stream_at(session, frame->hd.stream_id);
		return 0;
	}
	conn->block_stream = stream_open(conn, frame->hd.stream_id);
	if (!conn->block_stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, conn->block_stream);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
		     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	struct conn *conn = user;

	(void)session, (void)frame, (void)flags;
	if (conn->block_stream)
		stream_header(conn->block_stream, name, value);
	return FRAME_STOP(conn);
}

static void recv_headers(struct conn *conn, const nghttp2_frame *frame)
{
	struct stream *stream = conn->block_stream;

	conn->block_since_ns = 0;
	conn->block_stream = NULL;
	if (!stream)
		return;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		budget_give(&conn->idle_frames, 4);
		stream_request(stream);
		if (frame->hd.stream_id > WIRE_LAST_STREAM)
			conn_say_goaway(conn);
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		stream_end(stream);
}

static void recv_data(struct conn *conn, const nghttp2_frame *frame)
{
	struct stream *stream;

	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return;
	stream = stream_at(conn->session, frame->hd.stream_id);
	if (stream)
		stream_end(stream);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct conn *conn = user;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS: recv_headers(conn, frame); break;
	case NGHTTP2_DATA: recv_data(conn, frame); break;
	case NGHTTP2_SETTINGS:
		conn->got_settings = true;
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			conn->settings_sent_ns = 0;
		else
			conn_window_grew(conn, 0);
		break;
	case NGHTTP2_WINDOW_UPDATE: conn_window_grew(conn, frame->hd.stream_id); break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			conn_ponged(conn, frame->ping.opaque_data);
		else
			conn_pinged(conn);
		break;
	default: break;
	}
	return FRAME_STOP(conn);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
			 size_t length, void *user)
{
	struct conn *conn = user;
	struct stream *stream = stream_at(session, id);

	(void)flags;
	budget_give(&conn->idle_frames, 5);
	if (stream)
		stream_data(stream, data, length);
	else
		nghttp2_session_consume_connection(session, length);
	return FRAME_STOP(conn);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct conn *conn = user;
	struct stream *stream = stream_at(session, id);

	(void)code;
	if (!stream)
		return 0;
	if (conn->block_stream == stream)
		conn->block_stream = NULL;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	stream_closed(stream);
	return 0;
}

static void sent_reset(struct conn *conn, const nghttp2_frame *frame)
{
	conn->recent_resets[conn->recent_at++ % 64] = frame->hd.stream_id;
	if (frame->rst_stream.error_code == NGHTTP2_NO_ERROR ||
	    frame->rst_stream.error_code == NGHTTP2_CANCEL)
		return;
	if (!budget_take(&conn->resets_out, conn->shard->now_ns))
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many streams had to be reset");
}

static void sent_answer(struct conn *conn, const nghttp2_frame *frame)
{
	struct stream *stream;

	conn->good_ping_ns = 0;
	conn->ping_strikes = 0;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return;
	budget_give(&conn->resets_in, 1);
	stream = stream_at(conn->session, frame->hd.stream_id);
	if (stream)
		stream_trailers_sent(stream);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct conn *conn = user;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		if (!conn->cut)
			budget_give(&conn->idle_frames, 4);
		if (frame->hd.length >= WIRE_LEAST_DATA && conn->small_frames < WIRE_SMALL_FRAMES)
			conn->small_frames++;
		sent_answer(conn, frame);
		break;
	case NGHTTP2_HEADERS: sent_answer(conn, frame); break;
	case NGHTTP2_RST_STREAM: sent_reset(conn, frame); break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			conn->settings_sent_ns = conn->shard->now_ns;
		break;
	default: break;
	}
	return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
			    void *user)
{
	struct conn *conn = user;

	(void)session, (void)code;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		conn->block_since_ns = 0;
		conn->block_stream = NULL;
	}
	return 0;
}

/* Frames of unknown types are ignored; that the library hands them out at all is so that
 * on_begin_frame() counts them. */
static int unpack_unknown(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
			  void *user)
{
	(void)session, (void)payload, (void)hd, (void)user;
	return NGHTTP2_ERR_CANCEL;
}

static int on_unknown_chunk(nghttp2_session *session, const nghttp2_frame_hd *hd,
			    const uint8_t *data, size_t length, void *user)
{
	(void)session, (void)hd, (void)data, (void)length, (void)user;
	return 0;
}

/* The library's own limits, where they can be set at all. Its reset limiter reads the clock, so its
 * burst is set out of reach and resets are counted above. */
static bool make_option(struct shard *shard)
{
	if (nghttp2_option_new(&shard->option))
		return false;
	nghttp2_option_set_no_auto_window_update(shard->option, 1);
	nghttp2_option_set_no_closed_streams(shard->option, 1);
	nghttp2_option_set_max_outbound_ack(shard->option, 200);
	nghttp2_option_set_max_settings(shard->option, 32);
	nghttp2_option_set_max_continuations(shard->option, 72);
	nghttp2_option_set_stream_reset_rate_limit(shard->option, UINT64_C(1) << 62, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(shard->option, 4096);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(shard->option, (uint8_t)type);
	return true;
}

bool session_setup(struct shard *shard)
{
	nghttp2_session_callbacks *cb;

	if (!make_option(shard) || nghttp2_session_callbacks_new(&shard->callbacks))
		return false;
	cb = shard->callbacks;
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_unpack_extension_callback(cb, unpack_unknown);
	nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(cb, on_unknown_chunk);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	return true;
}

void session_teardown(struct shard *shard)
{
	nghttp2_session_callbacks_del(shard->callbacks);
	nghttp2_option_del(shard->option);
}

bool session_open(struct conn *conn)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_CONCURRENT_STREAMS},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WIRE_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_LIST_BYTES},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};

	conn->mem = session_memory(conn);
	if (nghttp2_session_server_new3(&conn->session, conn->shard->callbacks, conn,
					conn->shard->option, &conn->mem))
		return false;
	return !nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
					sizeof(settings) / sizeof(settings[0])) &&
	       !nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
						      WIRE_CONNECTION_WINDOW);
}
