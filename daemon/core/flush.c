/* SPDX-License-Identifier: BSD-2-Clause */
/* Output of a connection: frames into one buffer, back-pressure, and what closes at the end of it.
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

void conn_written(struct conn *conn)
{
	if (!conn->writing)
		return;
	outbuf_release(conn->shard, conn->writing);
	conn->writing = NULL;
	conn->write_since_ns = 0;
}

void conn_pause_if_full(struct conn *conn)
{
	if (conn->paused || !conn->writing || conn->closing)
		return;
	if (conn->queued < WIRE_HIGH_WATER &&
	    nghttp2_session_get_outbound_queue_size(conn->session) < WIRE_OUTBOUND_ITEMS / 2)
		return;
	conn->paused = true;
	shard_act(conn->shard, ACTION_PAUSE)->peer = conn->peer;
}

/* With no write under way it is the peer's windows that hold the rest back, and only reading can
 * open them. */
static void resume_if_low(struct conn *conn)
{
	bool low = conn->queued <= WIRE_LOW_WATER &&
		   nghttp2_session_get_outbound_queue_size(conn->session) < WIRE_OUTBOUND_ITEMS / 2;

	if (!conn->paused || conn->closing || (conn->writing && !low))
		return;
	conn->paused = false;
	if (!conn->admission.unheard.slot)
		shard_act(conn->shard, ACTION_RESUME)->peer = conn->peer;
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

/* What is left after a flush, or while a write does not leave, waits for its reader. */
static void account_output(struct conn *conn)
{
	struct principal_share *share = &conn->share;

	if (conn->queued > share->held[PRINCIPAL_OUTPUT])
		principal_charge(share, PRINCIPAL_OUTPUT, conn->queued);
	else if (share->held[PRINCIPAL_OUTPUT])
		principal_trim(share, PRINCIPAL_OUTPUT, conn->queued);
}

void conn_flush(struct conn *conn)
{
	struct outbuf *outbuf;
	bool sound;

	conn->is_dirty = false;
	if (conn->starved)
		conn_starved(conn);
	if (conn->writing)
		account_output(conn);
	if (conn->closing || conn->writing || !conn->session)
		return;
	if (conn->failing && !conn->terminated)
		terminate(conn);
	outbuf = outbuf_take(conn->shard);
	if (!outbuf) {
		conn_close(conn, ACTION_ABORT);
		return;
	}
	sound = fill(conn, outbuf);
	if (sound && outbuf->length)
		submit_write(conn, outbuf);
	else
		outbuf_release(conn->shard, outbuf);
	if (!sound)
		conn_close(conn, ACTION_ABORT);
	else if (conn->terminated && conn->dead)
		conn_close(conn, ACTION_ABORT);
	else if (conn->terminated || (!nghttp2_session_want_read(conn->session) &&
				      !nghttp2_session_want_write(conn->session)))
		conn_close(conn, ACTION_CLOSE);
	account_output(conn);
	resume_if_low(conn);
	if (conn->queued < WIRE_LOW_WATER)
		conn_wake_waiting(conn);
}
