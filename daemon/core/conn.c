/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's life: bytes in, one contiguous buffer out at the end of each step, back-pressure,
 * slow checks by timer, drain and end.
 *
 * Output: at most one buffer is with the driver. While it is there nothing more is framed, so a
 * peer that does not read costs one buffer and its queued answers; reading stops when those grow.
 */
#include "stream.h"
#include "wire_limits.h"

#include <stdlib.h>
#include <string.h>

#define OUTBUF_FULL  (64u << 10) /* no further frame is added */
#define OUTBUF_BYTES (OUTBUF_FULL + (40u << 10))
#define OUTBUFS_KEPT 16u

struct outbuf {
	struct outbuf *next;
	size_t length;
	uint8_t data[OUTBUF_BYTES];
};

bool budget_take(struct budget *budget, uint64_t now_ns)
{
	uint64_t gained = (now_ns - budget->at_ns) / (SECOND / budget->rate);

	if (gained) {
		budget->at_ns += gained * (SECOND / budget->rate);
		budget_give(budget, gained > budget->most ? budget->most : (uint32_t)gained);
	}
	if (!budget->tokens)
		return false;
	budget->tokens--;
	return true;
}

void budget_give(struct budget *budget, uint32_t tokens)
{
	budget->tokens =
		budget->most - budget->tokens < tokens ? budget->most : budget->tokens + tokens;
}

static struct budget full_budget(uint32_t most, uint32_t rate, uint64_t now_ns)
{
	return (struct budget){.at_ns = now_ns, .tokens = most, .most = most, .rate = rate};
}

static struct outbuf *outbuf_take(struct shard *shard)
{
	struct outbuf *outbuf = shard->outbufs;

	if (!outbuf)
		return malloc(sizeof(*outbuf));
	shard->outbufs = outbuf->next;
	shard->outbufs_kept--;
	return outbuf;
}

void outbuf_release(struct shard *shard, struct outbuf *outbuf)
{
	if (shard->outbufs_kept >= OUTBUFS_KEPT) {
		free(outbuf);
		return;
	}
	outbuf->next = shard->outbufs;
	shard->outbufs = outbuf;
	shard->outbufs_kept++;
}

void outbufs_free(struct shard *shard)
{
	while (shard->outbufs) {
		struct outbuf *next = shard->outbufs->next;

		free(shard->outbufs);
		shard->outbufs = next;
	}
}

void conn_dirty(struct conn *conn)
{
	if (conn->is_dirty)
		return;
	conn->is_dirty = true;
	conn->next_dirty = conn->shard->dirty;
	conn->shard->dirty = conn;
}

void conn_fail(struct conn *conn, uint32_t code, const char *text)
{
	if (conn->failing)
		return;
	conn->failing = true;
	conn->fail_code = code;
	conn->fail_text = text;
	conn_dirty(conn);
}

void conn_wait(struct conn *conn, struct stream *stream)
{
	stream->queued = true; /* it stands in this queue instead */
	stream->next_run = NULL;
	if (conn->wait_last)
		conn->wait_last->next_run = stream;
	else
		conn->wait_first = stream;
	conn->wait_last = stream;
}

static void wake_waiting(struct conn *conn)
{
	while (conn->wait_first) {
		struct stream *stream = conn->wait_first;

		conn->wait_first = stream->next_run;
		stream->queued = false;
		shard_queue(conn->shard, stream);
	}
	conn->wait_last = NULL;
}

/* Closes by way of the driver; EVENT_CLOSED answers. */
static void close_peer(struct conn *conn, enum action_kind how)
{
	if (conn->closing || !conn->peer)
		return;
	conn->closing = true;
	timer_stop(&conn->shard->timers, &conn->timer);
	shard_act(conn->shard, how)->peer = conn->peer;
}

void conn_watch(struct conn *conn)
{
	if (!conn->timer.slot && !conn->closing)
		timer_arm(&conn->shard->timers, &conn->timer, conn->shard->now_ns + WIRE_TICK);
}

/* A stream whose client neither sends what it began nor takes what waits for it. */
static bool is_stalled(const struct stream *stream, uint64_t now_ns)
{
	bool idle_client = stream->route && stream->route->method.client_streaming &&
			   frame_idle(&stream->frame);

	if (stream->gone || now_ns - stream->progress_ns < WIRE_STALL_TIME)
		return false;
	return stream->out_first || !(stream->half_closed || stream->answered || idle_client);
}

static void reset_stalled(struct conn *conn)
{
	for (struct stream *stream = conn->streams; stream; stream = stream->next)
		if (is_stalled(stream, conn->shard->now_ns))
			stream_reset(stream, NGHTTP2_CANCEL);
}

static bool older(uint64_t since_ns, uint64_t now_ns, uint64_t age_ns)
{
	return since_ns && now_ns - since_ns >= age_ns;
}

static void check_drain(struct conn *conn, uint64_t now_ns)
{
	if (older(conn->drain_since_ns, now_ns, WIRE_GRACE_TIME))
		close_peer(conn, ACTION_ABORT);
	else if (older(conn->drain_since_ns, now_ns, WIRE_NOTICE_TIME))
		conn_say_goaway(conn);
}

/* The slow checks, every few seconds while something is owed by either side. */
static void on_tick(struct timer *timer, uint64_t now_ns)
{
	struct conn *conn = container_of_(timer, struct conn, timer);

	if (!conn->got_settings && older(conn->accepted_ns, now_ns, WIRE_PREFACE_TIME))
		close_peer(conn, ACTION_ABORT);
	else if (older(conn->write_since_ns, now_ns, WIRE_STALL_TIME))
		close_peer(conn, ACTION_ABORT);
	else if (older(conn->block_since_ns, now_ns, WIRE_HEADERS_TIME))
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "header block too slow");
	else if (older(conn->settings_sent_ns, now_ns, WIRE_SETTINGS_ACK_TIME))
		conn_fail(conn, NGHTTP2_SETTINGS_TIMEOUT, "no answer to SETTINGS");
	reset_stalled(conn);
	check_drain(conn, now_ns);
	if (conn->drain_since_ns)
		timer_arm(&conn->shard->timers, timer, now_ns + WIRE_NOTICE_TIME);
	else if (conn->open || conn->settings_sent_ns || !conn->got_settings || conn->writing ||
		 conn->block_since_ns)
		conn_watch(conn);
}

static void link_conn(struct shard *shard, struct conn *conn)
{
	conn->next = shard->conns;
	if (shard->conns)
		shard->conns->prev = conn;
	shard->conns = conn;
	shard->conns_count++;
	shard->conns_ever++;
	conn->number = (uint64_t)(shard->index + 1) << 40 | shard->conns_ever;
	count(&shard->counters->connections, 1);
}

static void unlink_conn(struct conn *conn)
{
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		conn->shard->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	conn->shard->conns_count--;
}

static void abort_new(struct shard *shard, const struct event *event)
{
	event->peer->conn = NULL;
	shard_act(shard, ACTION_ABORT)->peer = event->peer;
}

void conn_accept(struct shard *shard, const struct event *event)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn) {
		abort_new(shard, event);
		return;
	}
	conn->shard = shard;
	conn->principal = *event->principal;
	conn->accepted_ns = shard->now_ns;
	conn->timer.fire = on_tick;
	conn->idle_frames = full_budget(WIRE_IDLE_FRAMES, WIRE_IDLE_FRAMES_RATE, shard->now_ns);
	conn->resets_in = full_budget(WIRE_RESETS_IN, WIRE_RESETS_IN_RATE, shard->now_ns);
	conn->resets_out = full_budget(WIRE_RESETS_OUT, WIRE_RESETS_OUT_RATE, shard->now_ns);
	if (!session_open(conn)) {
		if (conn->session)
			nghttp2_session_del(conn->session);
		free(conn);
		abort_new(shard, event);
		return;
	}
	conn->peer = event->peer;
	event->peer->conn = conn;
	link_conn(shard, conn);
	conn_watch(conn);
	if (shard->draining)
		conn_drain(conn);
	conn_dirty(conn);
}

/* The driver holds bytes that do not leave, and answers or frames pile up behind them. */
static void pause_if_full(struct conn *conn)
{
	if (conn->paused || !conn->writing || conn->closing)
		return;
	if (conn->queued < WIRE_HIGH_WATER &&
	    nghttp2_session_get_outbound_queue_size(conn->session) < WIRE_OUTBOUND_ITEMS / 2)
		return;
	conn->paused = true;
	shard_act(conn->shard, ACTION_PAUSE)->peer = conn->peer;
}

static void resume_if_low(struct conn *conn)
{
	if (!conn->paused || conn->closing || conn->queued > WIRE_LOW_WATER ||
	    nghttp2_session_get_outbound_queue_size(conn->session) >= WIRE_OUTBOUND_ITEMS / 2)
		return;
	conn->paused = false;
	shard_act(conn->shard, ACTION_RESUME)->peer = conn->peer;
}

void conn_bytes(struct conn *conn, const uint8_t *data, size_t length)
{
	ssize_t used;

	count(&conn->shard->counters->bytes_in, length);
	if (conn->failing || conn->terminated || conn->closing)
		return;
	used = nghttp2_session_mem_recv(conn->session, data, length);
	if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC || used == NGHTTP2_ERR_NOMEM)
		close_peer(conn, ACTION_ABORT);
	else if (used < 0)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, nghttp2_strerror((int)used));
	else if (nghttp2_session_get_outbound_queue_size(conn->session) > WIRE_OUTBOUND_ITEMS)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames wait to be sent");
	if (conn->open)
		conn_watch(conn);
	pause_if_full(conn);
	conn_dirty(conn);
}

void conn_written(struct conn *conn)
{
	if (!conn->writing)
		return;
	outbuf_release(conn->shard, conn->writing);
	conn->writing = NULL;
	conn->write_since_ns = 0;
}

void conn_writable(struct conn *conn)
{
	conn_written(conn);
	conn_dirty(conn);
}

/* GOAWAY with the reason; nothing is read from now on, and the connection closes once it has left.
 */
static void terminate(struct conn *conn)
{
	conn->terminated = true;
	nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(conn->session),
			      conn->fail_code, (const uint8_t *)conn->fail_text,
			      strlen(conn->fail_text));
}

/* Frames until the buffer is full or nothing is left. False: the session is broken. */
static bool fill(struct conn *conn, struct outbuf *outbuf)
{
	outbuf->length = 0;
	while (outbuf->length < OUTBUF_FULL) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(conn->session, &data);

		if (n <= 0)
			return n == 0;
		if ((size_t)n > OUTBUF_BYTES - outbuf->length)
			return false;
		memcpy(outbuf->data + outbuf->length, data, (size_t)n);
		outbuf->length += (size_t)n;
	}
	return true;
}

static void submit_write(struct conn *conn, struct outbuf *outbuf)
{
	struct action *action = shard_act(conn->shard, ACTION_WRITE);

	count(&conn->shard->counters->bytes_out, outbuf->length);
	conn->writing = outbuf;
	conn->write_since_ns = conn->shard->now_ns;
	action->peer = conn->peer;
	action->data = outbuf->data;
	action->length = outbuf->length;
	action->owner = conn;
	action->report = conn->paused || (conn->failing && !conn->terminated) ||
			 nghttp2_session_want_write(conn->session);
	conn_watch(conn);
}

void conn_flush(struct conn *conn)
{
	struct outbuf *outbuf;
	bool sound;

	conn->is_dirty = false;
	if (conn->closing || conn->writing || !conn->session)
		return;
	if (conn->failing && !conn->terminated)
		terminate(conn);
	outbuf = outbuf_take(conn->shard);
	if (!outbuf) {
		close_peer(conn, ACTION_ABORT);
		return;
	}
	sound = fill(conn, outbuf);
	if (sound && outbuf->length)
		submit_write(conn, outbuf);
	else
		outbuf_release(conn->shard, outbuf);
	if (!sound)
		close_peer(conn, ACTION_ABORT);
	else if (conn->terminated || (!nghttp2_session_want_read(conn->session) &&
				      !nghttp2_session_want_write(conn->session)))
		close_peer(conn, ACTION_CLOSE);
	resume_if_low(conn);
	if (conn->queued < WIRE_LOW_WATER)
		wake_waiting(conn);
}

static void free_conn(struct conn *conn)
{
	if (conn->live || conn->peer || conn->is_dirty)
		return;
	unlink_conn(conn);
	free(conn);
}

void conn_closed(struct conn *conn)
{
	struct stream *stream = conn->streams, *next;

	conn->closing = true;
	conn->peer = NULL;
	timer_stop(&conn->shard->timers, &conn->timer);
	conn_written(conn);
	conn->live++; /* stays until all streams are dropped */
	for (; stream; stream = next) {
		next = stream->next;
		stream_drop(stream);
	}
	wake_waiting(conn);
	nghttp2_session_del(conn->session);
	conn->session = NULL;
	conn->live--;
	free_conn(conn);
}

void conn_stream_gone(struct conn *conn)
{
	if (!conn->live && !conn->peer)
		free_conn(conn);
}

void conn_drain(struct conn *conn)
{
	static const uint8_t opaque[8] = "ptddrain";

	if (conn->drain_since_ns || conn->closing || !conn->session)
		return;
	conn->drain_since_ns = conn->shard->now_ns;
	nghttp2_submit_shutdown_notice(conn->session);
	nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, opaque);
	timer_arm(&conn->shard->timers, &conn->timer, conn->shard->now_ns + WIRE_NOTICE_TIME);
	conn_dirty(conn);
}

void conn_say_goaway(struct conn *conn)
{
	if (conn->sent_goaway || conn->closing)
		return;
	conn->sent_goaway = true;
	nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(conn->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
	conn_dirty(conn);
}
