/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One step: settle what the driver did, take the event, the mail and the due timers, run each
 * queued call once and a part of one long call, flush each connection that has output. The section
 * spans all of it.
 */
#include "stream.h"
#include "wire_limits.h"

#include <stdlib.h>
#include <string.h>

#define LONG_PART_NS (SECOND / 1000) /* longer: the loop has waited for events since */

_Thread_local struct shard *shard_running;

/* In a step a connection writes once, closes once, is given up once, and stops and resumes reading
 * a few times at most; what is left are a connection that is refused, and the shard's own. */
#define ACTIONS_OF_CONN	 8u
#define ACTIONS_OF_SHARD 16u

bool shard_reserve(struct shard *shard, uint32_t conns)
{
	size_t need = (size_t)ACTIONS_OF_CONN * conns + ACTIONS_OF_SHARD + shard->shards;
	size_t room = shard->actions_room;
	struct action *bigger;

	if (need <= room)
		return true;
	room = need < 2 * room ? 2 * room : need;
	bigger = realloc(shard->actions, room * sizeof(*bigger));
	if (!bigger)
		return false;
	shard->actions = bigger;
	shard->actions_room = room;
	return true;
}

struct action *shard_act(struct shard *shard, enum action_kind kind)
{
	struct action *action;

	if (shard->actions_count == shard->actions_room)
		__builtin_trap(); /* ACTIONS_OF_CONN is wrong */
	action = &shard->actions[shard->actions_count++];
	*action = (struct action){.kind = kind};
	return action;
}

void shard_notify(struct shard *shard, uint32_t index)
{
	if (shard->notified[index])
		return;
	shard->notified[index] = true;
	shard_act(shard, ACTION_NOTIFY)->shard = index;
}

struct action *shard_actions(struct shard *shard, size_t *n)
{
	*n = shard->actions_count;
	return shard->actions;
}

void shard_queue(struct shard *shard, struct stream *stream)
{
	if (stream->queued)
		return;
	stream->queued = true;
	stream->next_run = NULL;
	if (shard->run_last)
		shard->run_last->next_run = stream;
	else
		shard->run_first = stream;
	shard->run_last = stream;
}

static void queue_conn(struct shard *shard, struct conn *conn)
{
	conn->next_long = NULL;
	if (shard->long_first)
		shard->long_last->next_long = conn;
	else
		shard->long_first = conn;
	shard->long_last = conn;
}

void shard_queue_long(struct shard *shard, struct stream *stream)
{
	struct conn *conn = stream->conn;

	if (stream->queued)
		return;
	stream->queued = true;
	stream->next_run = NULL;
	if (conn->long_first) {
		conn->long_last->next_run = stream;
	} else {
		conn->long_first = stream;
		queue_conn(shard, conn);
	}
	conn->long_last = stream;
}

static void digest_bytes(struct shard *shard, const void *data, size_t length)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < length; i++)
		shard->digest = (shard->digest ^ at[i]) * UINT64_C(0x100000001b3);
}

static void digest_item(struct shard *shard, uint32_t kind, const struct peer *peer,
			const uint8_t *data, size_t length, uint64_t number)
{
	uint64_t head[4] = {kind, peer && peer->conn ? peer->conn->number : 0, length, number};

	digest_bytes(shard, head, sizeof(head));
	digest_bytes(shard, data, length);
}

static void digest_actions(struct shard *shard)
{
	for (size_t i = 0; i < shard->actions_count; i++) {
		const struct action *a = &shard->actions[i];

		digest_item(shard, 100 + a->kind, a->peer, a->data, a->length, a->at_ns + a->shard);
	}
}

/* Writes that the driver finished on the spot. */
static void settle(struct shard *shard)
{
	for (size_t i = 0; i < shard->actions_count; i++)
		if (shard->actions[i].kind == ACTION_WRITE && shard->actions[i].done)
			conn_written(shard->actions[i].owner);
	shard->actions_count = 0;
	memset(shard->notified, 0, shard->shards * sizeof(*shard->notified));
}

static void take_event(struct shard *shard, const struct event *event)
{
	struct conn *conn = event->peer ? event->peer->conn : NULL;

	switch (event->kind) {
	case EVENT_ACCEPTED: conn_accept(shard, event); break;
	case EVENT_BYTES:
		if (conn)
			conn_bytes(conn, event->data, event->length);
		shard->busy = true;
		break;
	case EVENT_WRITABLE:
		if (conn)
			conn_writable(conn);
		break;
	case EVENT_CLOSED:
		if (conn)
			conn_closed(conn);
		break;
	case EVENT_TIMER: shard->timer_armed = UINT64_MAX; break;
	case EVENT_MAIL:
	case EVENT_DURABLE:
	case EVENT_RECLAIMED:
	case EVENT_SIGNAL: break; /* mail, timers and the drain are looked at in each step */
	}
}

static void take_mail(struct shard *shard)
{
	struct mail *mail = mailbox_take(&shard->mailbox);

	while (mail) {
		struct stream *stream = container_of_(mail, struct stream, mail);

		mail = mail->next;
		atomic_store_explicit(&stream->mailed, false, memory_order_release);
		shard_queue(shard, stream);
	}
}

static void fire_timers(struct shard *shard)
{
	struct timer *timer;

	while ((timer = timers_due(&shard->timers, shard->now_ns)))
		timer->fire(timer, shard->now_ns);
}

/* Each watcher of health hears of it first: GOAWAY waits for the next step. */
static void begin_drain(struct shard *shard)
{
	shard->draining = true;
	shard_act(shard, ACTION_MAIL);
	for (struct conn *conn = shard->conns; conn; conn = conn->next) {
		for (struct stream *stream = conn->streams; stream; stream = stream->next)
			stream_look_again(stream);
	}
	for (uint32_t i = 0; i < shard->shards; i++)
		if (i != shard->index)
			shard_notify(shard, i);
}

static void say_goaway(struct shard *shard)
{
	shard->said_goaway = true;
	for (struct conn *conn = shard->conns; conn; conn = conn->next)
		conn_drain_daemon(conn);
}

/* Each call once. One that says MORE goes on in steps without other events, a part at a time, so
 * that short calls need not wait for long ones. */
static void run_calls(struct shard *shard)
{
	struct stream *stream = shard->run_first;

	shard->run_first = shard->run_last = NULL;
	while (stream) {
		struct stream *next = stream->next_run;

		stream->queued = false;
		stream_run(stream);
		stream = next;
	}
}

/* What the last part took is known now. While others send, the next one waits seven times as long,
 * so that long calls have an eighth of the time. */
static void time_long_call(struct shard *shard)
{
	uint64_t took_ns = shard->now_ns - shard->long_began_ns;

	if (!shard->long_began_ns)
		return;
	shard->long_began_ns = 0;
	shard->long_next_ns = shard->now_ns + 7 * (took_ns < LONG_PART_NS ? took_ns : LONG_PART_NS);
}

/* Goes on with one long call: connections take turns, and in each its calls. */
static void run_long_call(struct shard *shard)
{
	struct conn *conn = shard->long_first;
	struct stream *stream;
	bool busy = shard->busy;

	shard->busy = false;
	if (!conn || (busy && shard->now_ns < shard->long_next_ns))
		return;
	shard->long_began_ns = shard->now_ns;
	shard->long_first = conn->next_long;
	stream = conn->long_first;
	conn->long_first = stream->next_run;
	if (conn->long_first)
		queue_conn(shard, conn);
	stream->queued = false;
	stream_run(stream);
}

static void flush_all(struct shard *shard)
{
	while (shard->dirty) {
		struct conn *conn = shard->dirty;

		shard->dirty = conn->next_dirty;
		conn_flush(conn);
		conn_stream_gone(conn);
	}
}

static void ask_driver(struct shard *shard)
{
	uint64_t next = timers_next(&shard->timers);
	bool idle_work = shard->idle_due_ns <= shard->now_ns;

	if (!idle_work && shard->idle_due_ns < next)
		next = shard->idle_due_ns;
	if (shard->run_first || shard->long_first || idle_work ||
	    (!shard->draining && domain_draining(shard->domain)))
		shard_act(shard, ACTION_MAIL);
	if (next < shard->timer_armed) {
		shard->timer_armed = next;
		shard_act(shard, ACTION_ARM)->at_ns = next;
	}
	if (shard->draining && !shard->conns_count && !shard->drained) {
		shard->drained = true;
		shard_act(shard, ACTION_DRAINED);
	}
}

void shard_step(struct shard *shard, const struct event *event)
{
	shard_running = shard;
	domain_section_begin(shard->loop);
	settle(shard);
	shard->now_ns = event->now_ns;
	domain_tick(shard->domain, shard->now_ns);
	if (shard->tracing)
		digest_item(shard, event->kind, event->peer, event->data, event->length,
			    event->now_ns);
	time_long_call(shard);
	take_event(shard, event);
	take_mail(shard);
	if (timers_next(&shard->timers) <= shard->now_ns)
		fire_timers(shard);
	if (shard->draining && !shard->said_goaway)
		say_goaway(shard);
	if (!shard->draining && domain_draining(shard->domain))
		begin_drain(shard);
	run_calls(shard);
	if (event->kind == EVENT_MAIL || event->kind == EVENT_RECLAIMED)
		run_long_call(shard);
	shard->idle_due_ns =
		domain_idle_work(shard->loop,
				 (event->kind == EVENT_MAIL || event->kind == EVENT_RECLAIMED) &&
					 !shard->run_first && !shard->long_first,
				 shard->now_ns);
	flush_all(shard);
	ask_driver(shard);
	if (domain_section_end(shard->loop))
		shard_act(shard, ACTION_RECLAIM);
	if (shard->tracing)
		digest_actions(shard);
	shard_running = NULL;
}

struct shard *shard_create(const struct shard_config *config)
{
	struct shard *shard = calloc(1, sizeof(*shard));

	if (!shard)
		return NULL;
	shard->domain = config->domain;
	shard->routes = config->routes;
	shard->index = config->index;
	shard->shards = config->shards;
	shard->timer_armed = UINT64_MAX;
	slab_init(&shard->slab);
	admission_begin(&shard->admission, config->index + 1);
	shard->notified = calloc(config->shards, sizeof(*shard->notified));
	if (shard->notified && shard_reserve(shard, 0) && session_setup(shard))
		shard->loop = domain_loop_enter(config->domain, config->index);
	if (!shard->loop) {
		session_teardown(shard);
		free(shard->actions);
		free(shard->notified);
		free(shard);
		return NULL;
	}
	shard->counters = domain_loop_counters(shard->loop);
	return shard;
}

void shard_meet(struct shard *shard, struct shard *const *all)
{
	shard->all = all;
}

void shard_destroy(struct shard *shard)
{
	domain_loop_leave(shard->loop);
	session_teardown(shard);
	admission_end(&shard->admission);
	timers_fini(&shard->timers);
	outbufs_free(shard);
	slab_fini(&shard->slab);
	free(shard->actions);
	free(shard->notified);
	free(shard);
}

void shard_idle(struct shard *shard)
{
	admission_turn(&shard->admission);
	domain_loop_idle(shard->loop);
}

void shard_busy(struct shard *shard)
{
	domain_loop_busy(shard->loop);
}

struct domain_graces shard_graces(const struct shard *shard)
{
	return domain_loop_graces(shard->loop);
}

void shard_trace(struct shard *shard, bool on)
{
	shard->tracing = on;
	shard->digest = on ? UINT64_C(0xcbf29ce484222325) : 0;
}

uint64_t shard_digest(const struct shard *shard)
{
	return shard->digest;
}
