/* SPDX-License-Identifier: BSD-2-Clause */
/* Admission control: the count of work, shares of it, and refusals that cost little. */
#include "admission.h"

#include "message.h"
#include "wire_limits.h"

#include <string.h>

#define TURN_TIME     (SECOND / 100) /* in case nobody says that a turn is over */
#define PUSHBACK_MIN  16u
#define PUSHBACK_MAX  2048u
#define REFUSALS_A_MS 5u /* of callers that come back: about one part in a hundred of a loop */

void admission_begin(struct admission *admission, uint64_t random)
{
	*admission = (struct admission){.limit = WIRE_CALLS_AT_ONCE,
					.turn = 1,
					.pushback_ms = PUSHBACK_MIN,
					.random = random | 1};
}

void admission_turn(struct admission *admission)
{
	if (!admission->active)
		return;
	admission->done = 0;
	admission->turn++;
	admission->active_before = admission->active;
	admission->active = 0;
}

/* The connection has calls in this turn. */
static void touch(struct admission *admission, struct conn *conn)
{
	struct admission_share *share = &conn->admission;

	if (share->turn == admission->turn)
		return;
	if (!admission->active)
		admission->turn_ns = conn->shard->now_ns;
	admission->active++;
	share->turn = admission->turn;
	share->done = 0;
}

void admission_enter(struct stream *stream)
{
	struct conn *conn = stream->conn;

	touch(&conn->shard->admission, conn);
	stream->admitted = true;
	conn->admission.under_way++;
	conn->shard->admission.under_way++;
}

void admission_leave(struct stream *stream)
{
	struct conn *conn = stream->conn;

	touch(&conn->shard->admission, conn);
	stream->admitted = false;
	conn->admission.under_way--;
	conn->admission.done++;
	conn->shard->admission.under_way--;
	conn->shard->admission.done++;
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

	return active < admission->limit ? admission->limit / (active ? active : 1) : 1;
}

static bool has_less_than_its_share(const struct conn *conn)
{
	const struct admission *admission = &conn->shard->admission;
	const struct admission_share *share = &conn->admission;
	uint32_t done = share->turn == admission->turn ? share->done : 0;

	return share->under_way + done < share_of_each(admission);
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

/* Headers and trailers in one frame; all but the push-back is always the same. */
static void refuse(struct stream *stream)
{
	struct conn *conn = stream->conn;
	struct admission *admission = &conn->shard->admission;

	adjust_pushback(admission, conn->shard->now_ns);
	stream->call.status.pushback_ms = choose_pushback(admission);
	count(&conn->shard->counters->calls_refused, 1);
	stream_fail(stream, PT_OVERLOADED, PT_GRPC_RESOURCE_EXHAUSTED, NULL);
}

bool admission_admits(struct stream *stream)
{
	struct shard *shard = stream->conn->shard;
	struct admission *admission = &shard->admission;

	if (admission->under_way + admission->done < admission->limit)
		return true;
	if (shard->now_ns - admission->turn_ns >= TURN_TIME) {
		admission_turn(admission);
		admission->turn_ns = shard->now_ns;
	}
	if (admission->under_way + admission->done < admission->limit ||
	    has_less_than_its_share(stream->conn) || is_exempt(stream))
		return true;
	refuse(stream);
	return false;
}
