/* SPDX-License-Identifier: BSD-2-Clause */
/* Admission control: the count of work, shares of it, and refusals that cost little. */
#include "admission.h"

#include "message.h"
#include "status.h"
#include "wire_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_TIME     (SECOND / 100) /* in case nobody says that a turn is over */
#define PUSHBACK_MIN  32u
#define PUSHBACK_MAX  2048u
#define UNHEARD_TIME  (PUSHBACK_MIN / 2 * SECOND / 1000)
#define REFUSALS_A_MS 5u /* of callers that come back: about one part in a hundred of a loop */

void admission_begin(struct admission *admission, uint64_t random)
{
	*admission = (struct admission){.room = WIRE_CALLS_AT_ONCE,
					.turn = 1,
					.pushback_ms = PUSHBACK_MIN,
					.random = random | 1};
}

void admission_end(struct admission *admission)
{
	free(admission->refusal);
}

void admission_turn(struct admission *admission)
{
	admission->load = admission->under_way;
	if (!admission->active)
		return;
	admission->turn++;
	admission->active_before = admission->active;
	admission->active = 0;
}

/* The first call of a turn. Who was active a while ago is not by now. */
static void begin_turn(struct admission *admission, uint64_t now_ns)
{
	if (now_ns - admission->turn_ns >= TURN_TIME)
		admission->active_before = 0;
	admission->turn_ns = now_ns;
}

void admission_enter(struct stream *stream)
{
	struct admission *admission = &stream->conn->shard->admission;
	struct admission_share *own = &stream->conn->admission;

	if (own->turn != admission->turn) {
		if (!admission->active++)
			begin_turn(admission, stream->conn->shard->now_ns);
		own->turn = admission->turn;
		own->load = own->under_way;
	}
	own->load++;
	own->under_way++;
	admission->load++;
	admission->under_way++;
	stream->admitted = true;
}

static void count_long(struct stream *stream, int more)
{
	struct admission *admission = &stream->conn->shard->admission;

	stream->is_long = more > 0;
	stream->conn->admission.long_ones += (uint32_t)more;
	admission->long_ones += (uint32_t)more;
	admission->room = admission->long_ones < WIRE_LONG_CALLS ? WIRE_CALLS_AT_ONCE : 0;
}

void admission_leave(struct stream *stream)
{
	if (stream->is_long)
		count_long(stream, -1);
	stream->conn->admission.under_way--;
	stream->conn->shard->admission.under_way--;
	stream->admitted = false;
}

void admission_lasts(struct stream *stream)
{
	if (!stream->is_long)
		count_long(stream, 1);
}

/* Health, reflection and ServerService: who looks after the daemon is heard. */
static bool is_exempt(const struct stream *stream)
{
	static const char server[] = "/ptd.v1.ServerService/";

	return !stream->route->domain ||
	       !strncmp(stream->route->method.path, server, sizeof(server) - 1);
}

static uint32_t share_of_each(const struct admission *admission)
{
	uint32_t active = admission->active > admission->active_before ? admission->active
								       : admission->active_before;

	return active < WIRE_CALLS_AT_ONCE ? WIRE_CALLS_AT_ONCE / (active ? active : 1) : 1;
}

/* It has one of the long calls, of which there are too many. */
static bool is_too_long(const struct conn *conn)
{
	return conn->shard->admission.long_ones >= WIRE_LONG_CALLS && conn->admission.long_ones;
}

/* There is no room for more, and it has its share of the calls. Who is alone has nobody to make
 * room for: of what he has in flight, SETTINGS are the limit, and what is done counts no more. */
static bool is_too_busy(const struct conn *conn)
{
	const struct admission *admission = &conn->shard->admission;
	const struct admission_share *own = &conn->admission;
	uint32_t load = own->turn == admission->turn ? own->load : own->under_way;

	if (admission->active <= 1 && admission->active_before <= 1)
		return own->under_way >= LIMIT_CONCURRENT_STREAMS;
	return admission->load >= WIRE_CALLS_AT_ONCE && load >= share_of_each(admission);
}

static uint32_t draw(struct admission *admission)
{
	admission->random ^= admission->random << 13;
	admission->random ^= admission->random >> 7;
	admission->random ^= admission->random << 17;
	return (uint32_t)(admission->random >> 32);
}

/* The base doubles while more are refused than can be afforded. What it does shows only when those
 * come back who have it, so it is left alone for as long. */
static void adjust_pushback(struct admission *admission, uint64_t now_ns)
{
	uint64_t past_ms = (now_ns - admission->window_ns) / (SECOND / 1000);

	admission->refused++;
	if (past_ms < admission->pushback_ms)
		return;
	if (past_ms > 4 * PUSHBACK_MAX)
		admission->pushback_ms = PUSHBACK_MIN;
	else if (admission->refused > past_ms * REFUSALS_A_MS &&
		 admission->pushback_ms < PUSHBACK_MAX)
		admission->pushback_ms *= 2;
	else if (admission->refused < past_ms * REFUSALS_A_MS / 4 &&
		 admission->pushback_ms > PUSHBACK_MIN)
		admission->pushback_ms /= 2;
	admission->window_ns = now_ns;
	admission->refused = 0;
}

/* Between a half of the base and more than all of it. Eight values for each base only, so that
 * HPACK soon knows them. */
static uint32_t choose_pushback(struct admission *admission)
{
	return admission->pushback_ms / 8 * (4 + draw(admission) % 8);
}

/* Headers and trailers in one frame. */
struct refusal {
	struct status_wire wire;
	nghttp2_nv field[2 + STATUS_FIELDS];
	size_t fields;
	char pushback[16];
};

static struct refusal *make_refusal(void)
{
	static const nghttp2_nv head[] = {
		STATIC_NV(":status", "200"),
		STATIC_NV("content-type", "application/grpc"),
	};
	const struct call_status status = {
		.code = PT_OVERLOADED, .level = PT_TTL_UNKNOWN, .pushback_ms = 1};
	struct refusal *refusal = calloc(1, sizeof(*refusal));

	if (!refusal)
		return NULL;
	status_encode(&refusal->wire, &status);
	memcpy(refusal->field, head, sizeof(head));
	memcpy(refusal->field + 2, refusal->wire.field,
	       refusal->wire.fields * sizeof(refusal->field[0]));
	refusal->fields = 2 + refusal->wire.fields;
	return refusal;
}

/* Only the push-back is different each time. */
static void send_refusal(struct stream *stream, struct refusal *refusal, uint32_t pushback_ms)
{
	int n = snprintf(refusal->pushback, sizeof(refusal->pushback), "%u", pushback_ms);

	for (size_t i = 2; i < refusal->fields; i++) {
		if (refusal->field[i].namelen != sizeof("grpc-retry-pushback-ms") - 1)
			continue;
		refusal->field[i].value = (uint8_t *)refusal->pushback;
		refusal->field[i].valuelen = (size_t)n;
	}
	stream->answered = stream->responded = stream->trailers = true;
	nghttp2_submit_response(stream->conn->session, stream->id, refusal->field, refusal->fields,
				NULL);
	conn_dirty(stream->conn);
}

static void refuse(struct stream *stream)
{
	struct shard *shard = stream->conn->shard;
	struct admission *admission = &shard->admission;

	adjust_pushback(admission, shard->now_ns);
	count(&shard->counters->calls_refused, 1);
	count(&shard->counters->calls_failed, 1);
	if (!admission->refusal)
		admission->refusal = make_refusal();
	if (admission->refusal)
		send_refusal(stream, admission->refusal, choose_pushback(admission));
	else
		stream_reset(stream, NGHTTP2_REFUSED_STREAM);
}

static void hear_again(struct timer *timer, uint64_t now_ns)
{
	struct conn *conn = container_of_(timer, struct conn, admission.unheard);

	(void)now_ns;
	if (!conn->paused && !conn->closing)
		shard_act(conn->shard, ACTION_RESUME)->peer = conn->peer;
}

static void stop_hearing(struct conn *conn)
{
	struct timer *timer = &conn->admission.unheard;

	if (timer->slot || conn->closing)
		return;
	timer->fire = hear_again;
	if (timer_arm(&conn->shard->timers, timer, conn->shard->now_ns + UNHEARD_TIME))
		shard_act(conn->shard, ACTION_PAUSE)->peer = conn->peer;
}

static void send_away(struct stream *stream)
{
	refuse(stream);
	if (!stream->conn->shard->admission.room)
		stop_hearing(stream->conn);
}

bool admission_judge(struct stream *stream)
{
	struct shard *shard = stream->conn->shard;
	struct admission *admission = &shard->admission;

	if (shard->now_ns - admission->turn_ns >= TURN_TIME) {
		admission_turn(admission);
		admission->turn_ns = shard->now_ns;
	}
	if (!(is_too_busy(stream->conn) || is_too_long(stream->conn)) || is_exempt(stream))
		return true;
	send_away(stream);
	return false;
}

bool admission_judge_again(struct stream *stream)
{
	if (!is_too_long(stream->conn) || is_exempt(stream))
		return true;
	send_away(stream);
	return false;
}
