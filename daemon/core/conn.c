/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's life: bytes in, one contiguous buffer out at the end of each step, back-pressure
 * and end; conn_life.c has what time does to it.
 *
 * Output: at most one buffer is with the driver. While it is there nothing more is framed, so a
 * peer that does not read costs one buffer and its queued answers; reading stops when those grow.
 */
#include "message.h"
#include "wire_limits.h"

#include <stdlib.h>

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

void conn_wake_waiting(struct conn *conn)
{
	while (conn->wait_first) {
		struct stream *stream = conn->wait_first;

		conn->wait_first = stream->next_run;
		stream->queued = false;
		shard_queue(conn->shard, stream);
	}
	conn->wait_last = NULL;
}

void conn_close(struct conn *conn, enum action_kind how)
{
	struct action *action;

	if (conn->closing || !conn->peer)
		return;
	conn->closing = true;
	timer_stop(&conn->shard->timers, &conn->timer);
	if (how == ACTION_CLOSE)
		timer_arm(&conn->shard->timers, &conn->timer,
			  conn->shard->now_ns + WIRE_CLOSE_TIME);
	action = shard_act(conn->shard, how);
	action->peer = conn->peer;
	/* TCP gives up what is on its way when the peer sends on after the close. */
	action->linger = conn->terminated || !conn->local;
}

bool conn_request_room(struct conn *conn, size_t bytes)
{
	size_t need = conn->body_bytes + bytes;

	conn->own_limit = need > WIRE_BODY_BUDGET;
	return !conn->own_limit &&
	       (need <= conn->share.held[PRINCIPAL_REQUEST] || !conn->share.account ||
		principal_take(&conn->share, PRINCIPAL_REQUEST, need));
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

	if (!conn || !shard_reserve(shard, shard->conns_count + 1) ||
	    !timers_claim(&shard->timers)) {
		free(conn);
		abort_new(shard, event);
		return;
	}
	conn->shard = shard;
	conn->principal = *event->principal;
	conn->random = event->random;
	conn->timer.fire = conn_tick;
	conn_life_begin(conn, event);
	input_begin(&conn->input);
	conn->idle_frames = full_budget(WIRE_IDLE_FRAMES, WIRE_IDLE_FRAMES_RATE, shard->now_ns);
	conn->resets_in = full_budget(WIRE_RESETS_IN, WIRE_RESETS_IN_RATE, shard->now_ns);
	conn->resets_out = full_budget(WIRE_RESETS_OUT, WIRE_RESETS_OUT_RATE, shard->now_ns);
	if (!session_open(conn)) {
		session_memory_drop(conn);
		timers_release(&shard->timers);
		free(conn);
		abort_new(shard, event);
		return;
	}
	conn->peer = event->peer;
	event->peer->conn = conn;
	link_conn(shard, conn);
	conn_life_arm(conn);
	if (!domain_principal_admit(shard->domain, &conn->principal, &conn->share))
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM,
			  "too many connections of this principal");
	if (shard->said_goaway)
		conn_drain_daemon(conn);
	conn_dirty(conn);
}

static bool take_bytes(struct conn *conn, const uint8_t *data, size_t length)
{
	ssize_t used = nghttp2_session_mem_recv(conn->session, data, length);

	if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC || used == NGHTTP2_ERR_NOMEM)
		conn_close(conn, ACTION_ABORT);
	else if (used < 0)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, nghttp2_strerror((int)used));
	else if (nghttp2_session_get_outbound_queue_size(conn->session) > WIRE_OUTBOUND_ITEMS)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames wait to be sent");
	return !conn->failing && !conn->closing && !conn->starved;
}

/* Of a block that nghttp2 leaves out, because GOAWAY was sent, it does not tell the end. */
static void end_block(struct conn *conn)
{
	if (conn->block_ends && !conn->input.left)
		conn->block_since_ns = 0;
}

void conn_bytes(struct conn *conn, const uint8_t *data, size_t length)
{
	count(&conn->shard->counters->bytes_in, length);
	if (conn->failing || conn->terminated || conn->closing)
		return;
	conn->heard_ns = conn->shard->now_ns;
	conn->ping_sent_ns = 0;
	input_take(conn, data, length, take_bytes);
	if (conn->block_since_ns)
		end_block(conn);
	if (conn->open || conn->block_since_ns)
		conn_watch(conn);
	conn_pause_if_full(conn);
	conn_dirty(conn);
}

void conn_writable(struct conn *conn)
{
	conn_written(conn);
	conn_dirty(conn);
}

static void free_conn(struct conn *conn)
{
	if (conn->live || conn->peer || conn->is_dirty)
		return;
	unlink_conn(conn);
	timers_release(&conn->shard->timers);
	domain_principal_release(conn->shard->domain, &conn->share);
	session_memory_drop(conn);
	free(conn);
}

static void drop_streams(struct conn *conn)
{
	struct stream *stream = conn->streams, *next;

	conn->live++; /* stays until all streams are dropped */
	for (; stream; stream = next) {
		next = stream->next;
		stream_drop(stream);
	}
	conn_wake_waiting(conn);
	conn->live--;
}

void conn_starved(struct conn *conn)
{
	conn_close(conn, ACTION_ABORT);
	drop_streams(conn);
	conn->session = NULL;
}

void conn_closed(struct conn *conn)
{
	conn->closing = true;
	conn->peer = NULL;
	timer_stop(&conn->shard->timers, &conn->timer);
	timer_stop(&conn->shard->timers, &conn->admission.unheard);
	conn_written(conn);
	drop_streams(conn);
	if (!conn->starved)
		nghttp2_session_del(conn->session);
	conn->session = NULL;
	free_conn(conn);
}

void conn_stream_gone(struct conn *conn)
{
	if (!conn->live && !conn->peer)
		free_conn(conn);
}
