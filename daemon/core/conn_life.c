/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What time does to a connection: debts of the peer that fall due, keepalive, PINGs that come too
 * often, idleness, age, drain.
 *
 * One timer serves all of it. Nothing moves it when bytes come: when it fires, it looks at the
 * times noted, does what is due and is armed for the next; so a busy connection pays a few stores,
 * and an idle one a step for each keepalive.
 */
#include "message.h"
#include "wire_limits.h"

#include <string.h>

static const uint8_t ping_alive[8] = "ptdalive", ping_drain[8] = "ptddrain";

static const struct wire_config *wire_of(const struct conn *conn)
{
	return domain_wire(conn->shard->domain);
}

static bool older(uint64_t since_ns, uint64_t now_ns, uint64_t age_ns)
{
	return since_ns && now_ns - since_ns >= age_ns;
}

static uint64_t after(uint64_t since_ns, uint64_t age_ns)
{
	return age_ns < UINT64_MAX - since_ns ? since_ns + age_ns : UINT64_MAX;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void conn_life_begin(struct conn *conn, const struct event *event)
{
	uint64_t age = wire_of(conn)->age_ns, now = conn->shard->now_ns;

	conn->accepted_ns = conn->heard_ns = conn->idle_since_ns = now;
	conn->local = event->local;
	/* Give or take 10 %, so that connections made together do not all end together. */
	conn->age_at_ns =
		age ? after(now, age - age / 10 + event->random % (age / 5 + 1)) : UINT64_MAX;
}

void conn_watch(struct conn *conn)
{
	uint64_t latest = conn->shard->now_ns + WIRE_TICK;

	if ((!conn->timer.slot || conn->timer.at_ns > latest) && !conn->closing)
		timer_arm(&conn->shard->timers, &conn->timer, latest);
}

/* A stream whose client neither sends what it began nor takes what waits for it. While a message is
 * at work here, the client's next one may have to wait. */
static bool is_stalled(const struct stream *stream, uint64_t now_ns)
{
	bool idle_client = stream->route && stream->route->method.client_streaming &&
			   (stream->in_work || !stream_mid_message(stream));

	if (stream->gone || now_ns - stream->progress_ns < WIRE_STALL_TIME)
		return false;
	return stream->out_first || !(stream->half_closed || stream->answered || idle_client);
}

static void reset_stalled(struct conn *conn, uint64_t now_ns)
{
	for (struct stream *stream = conn->streams; stream; stream = stream->next)
		if (is_stalled(stream, now_ns))
			stream_reset(stream, NGHTTP2_CANCEL);
}

/* A peer that takes nothing would not take the reason either. */
static void give_up(struct conn *conn, uint32_t code, const char *text)
{
	if (conn->writing)
		conn_close(conn, ACTION_ABORT);
	else
		conn_fail(conn, code, text);
}

static void check_debts(struct conn *conn, uint64_t now_ns)
{
	if ((!conn->got_settings && older(conn->accepted_ns, now_ns, WIRE_PREFACE_TIME)) ||
	    older(conn->write_since_ns, now_ns, WIRE_STALL_TIME))
		conn_close(conn, ACTION_ABORT);
	else if (older(conn->block_since_ns, now_ns, WIRE_HEADERS_TIME))
		give_up(conn, NGHTTP2_ENHANCE_YOUR_CALM, "header block too slow");
	else if (older(conn->settings_sent_ns, now_ns, WIRE_SETTINGS_ACK_TIME))
		give_up(conn, NGHTTP2_SETTINGS_TIMEOUT, "no answer to SETTINGS");
	if (conn->open)
		reset_stalled(conn, now_ns);
}

/* GOAWAY if it can be written at once, and the end without waiting for it to arrive. */
static void end_dead(struct conn *conn, const char *text)
{
	conn->dead = true;
	if (conn->writing)
		conn_close(conn, ACTION_ABORT);
	else
		conn_fail(conn, NGHTTP2_NO_ERROR, text);
}

/* A peer that we do not read from, or that does not read from us, cannot answer: the time limit of
 * a write decides about it. */
static bool may_be_asked(const struct conn *conn)
{
	return conn->got_settings && !conn->paused && !conn->writing;
}

static void check_keepalive(struct conn *conn, uint64_t now_ns)
{
	const struct wire_config *wire = wire_of(conn);

	if (!wire->keepalive_ns)
		return;
	if (!may_be_asked(conn)) {
		conn->heard_ns = now_ns;
		conn->ping_sent_ns = 0;
	} else if (conn->ping_sent_ns) {
		if (wire->keepalive_timeout_ns &&
		    older(conn->ping_sent_ns, now_ns, wire->keepalive_timeout_ns))
			end_dead(conn, "keepalive_timeout");
	} else if (older(conn->heard_ns, now_ns, wire->keepalive_ns)) {
		conn->ping_sent_ns = now_ns;
		nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, ping_alive);
		conn_dirty(conn);
	}
}

static uint64_t keepalive_due(const struct conn *conn)
{
	const struct wire_config *wire = wire_of(conn);

	if (!wire->keepalive_ns)
		return UINT64_MAX;
	if (!conn->ping_sent_ns)
		return after(conn->heard_ns, wire->keepalive_ns);
	return wire->keepalive_timeout_ns ? after(conn->ping_sent_ns, wire->keepalive_timeout_ns)
					  : UINT64_MAX;
}

static void check_age(struct conn *conn, uint64_t now_ns)
{
	const struct wire_config *wire = wire_of(conn);

	if (now_ns >= conn->age_at_ns)
		conn_drain(conn, "max_age", wire->age_grace_ns);
	else if (wire->idle_ns && !conn->open && older(conn->idle_since_ns, now_ns, wire->idle_ns))
		conn_drain(conn, "max_idle", 0);
}

/* A call whose handler has never run may be tried elsewhere; the others are cut. */
static void end_streams(struct conn *conn)
{
	for (struct stream *stream = conn->streams; stream; stream = stream->next)
		if (!stream->gone)
			stream_reset(stream, stream->started || stream->answered
						     ? NGHTTP2_CANCEL
						     : NGHTTP2_REFUSED_STREAM);
}

static void check_drain(struct conn *conn, uint64_t now_ns)
{
	if (!conn->drain_text)
		return;
	if (now_ns >= conn->drain_until_ns) {
		end_streams(conn);
		end_dead(conn, conn->drain_text);
	} else if (now_ns >= conn->notice_until_ns) {
		conn_say_goaway(conn);
	}
}

/* The earliest time at which something can be due, as things stand now. */
static uint64_t next_due(const struct conn *conn, uint64_t now_ns)
{
	uint64_t idle_ns = wire_of(conn)->idle_ns, due = keepalive_due(conn);

	if (!conn->got_settings)
		due = earlier(due, conn->accepted_ns + WIRE_PREFACE_TIME);
	if (conn->settings_sent_ns)
		due = earlier(due, conn->settings_sent_ns + WIRE_SETTINGS_ACK_TIME);
	if (conn->block_since_ns)
		due = earlier(due, conn->block_since_ns + WIRE_HEADERS_TIME);
	if (conn->write_since_ns)
		due = earlier(due, conn->write_since_ns + WIRE_STALL_TIME);
	if (conn->open)
		due = earlier(due, now_ns + WIRE_TICK);
	if (conn->drain_text)
		return earlier(due,
			       conn->sent_goaway ? conn->drain_until_ns : conn->notice_until_ns);
	if (idle_ns)
		due = earlier(due, after(conn->open ? now_ns : conn->idle_since_ns, idle_ns));
	return earlier(due, conn->age_at_ns);
}

void conn_life_arm(struct conn *conn)
{
	uint64_t now_ns = conn->shard->now_ns;
	uint64_t due = next_due(conn, now_ns);

	if (due != UINT64_MAX && !conn->closing)
		timer_arm(&conn->shard->timers, &conn->timer,
			  due > now_ns ? due : now_ns + SECOND / 1000);
}

void conn_tick(struct timer *timer, uint64_t now_ns)
{
	struct conn *conn = container_of_(timer, struct conn, timer);

	if (conn->closing) {
		/* It was to close when its last bytes had left, and they do not leave. */
		shard_act(conn->shard, ACTION_ABORT)->peer = conn->peer;
		return;
	}
	check_debts(conn, now_ns);
	check_keepalive(conn, now_ns);
	check_age(conn, now_ns);
	check_drain(conn, now_ns);
	principal_trim(&conn->share, PRINCIPAL_CALLS, conn->live);
	principal_trim(&conn->share, PRINCIPAL_REQUEST, conn->body_bytes);
	conn_life_arm(conn);
}

/* gRFC A8: HEADERS and DATA that we send make up for any number of PINGs, so that bandwidth probes
 * stay legal. */
void conn_pinged(struct conn *conn)
{
	uint64_t now = conn->shard->now_ns, wait = wire_of(conn)->permit_ping_ns;

	if (!wait)
		return;
	if (!conn->local && !conn->open)
		wait = WIRE_PING_ALONE_TIME;
	if (!conn->good_ping_ns || now - conn->good_ping_ns >= wait)
		conn->good_ping_ns = now;
	else if (++conn->ping_strikes > WIRE_PING_STRIKES)
		conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

void conn_ponged(struct conn *conn, const uint8_t *opaque)
{
	if (conn->drain_text && !memcmp(opaque, ping_drain, sizeof(ping_drain)))
		conn_say_goaway(conn);
}

void conn_drain(struct conn *conn, const char *text, uint64_t grace_ns)
{
	uint64_t now = conn->shard->now_ns, end = grace_ns ? after(now, grace_ns) : UINT64_MAX;

	if (conn->closing || !conn->session)
		return;
	if (conn->drain_text) {
		conn->drain_until_ns = earlier(conn->drain_until_ns, end);
	} else {
		conn->drain_text = text;
		conn->notice_until_ns = earlier(end, now + WIRE_NOTICE_TIME);
		conn->drain_until_ns = end;
		nghttp2_submit_shutdown_notice(conn->session);
		nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, ping_drain);
		conn_dirty(conn);
	}
	conn_life_arm(conn);
}

void conn_drain_daemon(struct conn *conn)
{
	uint64_t grace = wire_of(conn)->drain_grace_ns;

	conn_drain(conn, "draining", grace ? grace : WIRE_GRACE_TIME);
}

void conn_say_goaway(struct conn *conn)
{
	const char *text = conn->drain_text ? conn->drain_text : "";

	if (conn->sent_goaway || conn->closing)
		return;
	conn->sent_goaway = true;
	nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(conn->session),
			      NGHTTP2_NO_ERROR, (const uint8_t *)text, strlen(text));
	conn_dirty(conn);
}
