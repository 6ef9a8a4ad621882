/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection of a core: an nghttp2 client session, without I/O, and another after it is lost.
 *
 * States: down (session NULL, !gone) -> core_connected() -> up -> core_lost() -> down, or gone when
 * the attempts are used up. A call is on one list at a time: waiting (for a connection or for its
 * time), live (on the connection), ended (to be handed over), or free (recycled, with its buffers).
 * nghttp2's stream user data points to a live call, and to nothing once the call has left the
 * connection: a stream may outlive its call, never the other way round.
 *
 * A call may have been executed once its last byte (of an open call: its first message) has left;
 * core_wrote() is where bytes leave. What left in part only cannot have been executed.
 */
#include "core_private.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_WINDOW	  (4 << 20)
#define CONNECTION_WINDOW (64 << 20)
#define RECEIVE_DEFAULT	  (4u << 20)
#define BACKOFF_MS	  50u
#define BACKOFF_MAX_MS	  5000u
#define RETRIES		  16u

struct core *core_create(const struct core_config *config)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->config = *config;
	if (!config->max_receive_bytes)
		core->config.max_receive_bytes = RECEIVE_DEFAULT;
	if (!config->backoff_ms)
		core->config.backoff_ms = BACKOFF_MS;
	if (!config->backoff_max_ms)
		core->config.backoff_max_ms = BACKOFF_MAX_MS;
	if (!config->retries)
		core->config.retries = RETRIES;
	core->random = config->seed;
	core->next_deadline = CORE_NEVER;
	return core;
}

static void free_calls(struct call_list *list)
{
	struct ptd_call *next;

	for (struct ptd_call *call = list->first; call; call = next) {
		next = call->next;
		free(call->request);
		free(call->response);
		free(call);
	}
}

void core_destroy(struct core *core)
{
	nghttp2_session_del(core->session);
	free_calls(&core->waiting);
	free_calls(&core->live);
	free_calls(&core->ended);
	free_calls(&core->free);
	free(core);
}

static bool open_session(struct core *core)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};
	nghttp2_session_callbacks *table = core_callbacks();
	bool made = table && !nghttp2_session_client_new(&core->session, table, core);

	if (table)
		nghttp2_session_callbacks_del(table);
	return made && !nghttp2_submit_settings(core->session, NGHTTP2_FLAG_NONE, settings, 2) &&
	       !nghttp2_session_set_local_window_size(core->session, NGHTTP2_FLAG_NONE, 0,
						      CONNECTION_WINDOW);
}

void core_say_goodbye(struct core *core, const uint8_t *why, size_t length)
{
	int room = (int)(length < 40 ? length : 40);

	core->goodbye = true;
	snprintf(core->farewell, sizeof(core->farewell),
		 "the daemon takes no new calls on this connection%s%.*s", length ? ": " : "", room,
		 length ? (const char *)why : "");
	for (char *c = core->farewell; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void close_session(struct core *core)
{
	nghttp2_session_del(core->session);
	core->session = NULL;
	core->broken = core->greeted = core->goodbye = false;
	core->farewell[0] = 0;
	core->rest_length = 0;
	core->framed = core->written = 0;
	core->output_start = core->output_end = 0;
}

bool core_connected(struct core *core, uint64_t now_ns)
{
	core->now_ns = now_ns;
	if (!open_session(core)) {
		close_session(core);
		return false;
	}
	core->holding = core->config.greeting_first;
	core_submit_waiting(core);
	return true;
}

static void fail(struct core *core)
{
	core->broken = true;
	core->rest_length = 0;
}

/* The next frame. The call whose request ends in it learns where that is. */
static bool frame(struct core *core)
{
	ssize_t got = nghttp2_session_mem_send(core->session, &core->rest);

	if (got < 0)
		fail(core);
	if (got <= 0)
		return false;
	core->rest_length = (size_t)got;
	core->framed += (size_t)got;
	if (core->stamping)
		core->stamping->sent_at = core->framed;
	core->stamping = NULL;
	return true;
}

size_t core_output(struct core *core, const uint8_t **bytes)
{
	*bytes = core->output + core->output_start;
	if (core->output_end > core->output_start)
		return core->output_end - core->output_start;
	core->output_start = core->output_end = 0;
	while (core->session && !core->broken && core->output_end < CORE_OUTPUT_BATCH) {
		size_t part;

		if (!core->rest_length && !frame(core))
			break;
		part = CORE_OUTPUT_ROOM - core->output_end;
		part = core->rest_length < part ? core->rest_length : part;
		memcpy(core->output + core->output_end, core->rest, part);
		core->output_end += part;
		core->rest += part;
		core->rest_length -= part;
	}
	*bytes = core->output;
	return core->output_end;
}

void core_wrote(struct core *core, size_t length)
{
	core->output_start += length;
	core->written += length;
}

bool core_wants_write(const struct core *core)
{
	return core->output_end > core->output_start || core->rest_length ||
	       (core->session && !core->broken && nghttp2_session_want_write(core->session));
}

void core_input(struct core *core, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
	core->now_ns = now_ns;
	if (core->session && !core->broken &&
	    nghttp2_session_mem_recv(core->session, bytes, length) < 0)
		fail(core);
}

/* After goodbye streams are all that is left, and calls wait for the next connection: the daemon
 * would end the streams soon, too. */
static bool holds_up_others(const struct core *core)
{
	if (!core->goodbye || !core->waiting.first)
		return false;
	for (const struct ptd_call *call = core->live.first; call; call = call->next)
		if (!call->message)
			return false;
	return true;
}

/* After a protocol error nghttp2 still has a GOAWAY to send that says which. */
bool core_over(const struct core *core)
{
	return core->session && (core->broken || (!core_wants_write(core) &&
						  (!nghttp2_session_want_read(core->session) ||
						   holds_up_others(core))));
}

/* splitmix64: enough for a jitter, and a seed replays it. */
static uint64_t draw(struct core *core)
{
	uint64_t z = core->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t core_backoff_ns(struct core *core, uint32_t n)
{
	uint64_t ms = (uint64_t)core->config.backoff_ms << (n < 20 ? n : 20);
	uint64_t half_ns;

	ms = ms < core->config.backoff_max_ms ? ms : core->config.backoff_max_ms;
	half_ns = ms * UINT64_C(500000);
	return half_ns + draw(core) % (half_ns + 1);
}

static void end_all(struct core *core, struct call_list *list, const char *why)
{
	while (list->first)
		core_end_locally(core, list->first, PTD_WHERE_LOST, 14, why);
}

/* Calls that left as a whole may have been executed. Those that may be sent again go before those
 * that wait already, in their order. */
static void leave_connection(struct core *core, const char *why)
{
	struct call_list waiting = core->waiting;
	struct ptd_call *call;

	core->waiting = (struct call_list){0};
	while ((call = core->live.first)) {
		call->sent = call->sent && call->sent_at && core->written >= call->sent_at;
		if (!core_again(core, call, 0))
			core_end_locally(core, call, PTD_WHERE_LOST, 14, why);
	}
	while ((call = waiting.first)) {
		call_list_remove(&waiting, call);
		call_list_append(&core->waiting, call);
	}
}

void core_lost(struct core *core, uint64_t now_ns, const char *why)
{
	core->now_ns = now_ns;
	core->failures = core->greeted ? 0 : core->failures + 1;
	if (core->gone || core->failures >= core->config.reconnects) {
		core_abandon(core, why);
		return;
	}
	leave_connection(core, why);
	close_session(core);
	core->connect_ns = now_ns + core_backoff_ns(core, core->failures);
}

void core_abandon(struct core *core, const char *why)
{
	core->gone = true;
	leave_connection(core, why);
	end_all(core, &core->waiting, why);
	close_session(core);
}

bool core_open(const struct core *core)
{
	return core->session && !core->broken && !core->goodbye && !core->holding;
}

bool core_gone(const struct core *core)
{
	return core->gone;
}

uint64_t core_now_ns(const struct core *core)
{
	return core->now_ns;
}

uint64_t core_retry_ns(struct core *core, uint32_t n, int64_t retry_after_ms)
{
	return core->now_ns + (retry_after_ms >= 0 ? (uint64_t)retry_after_ms * 1000000
						   : core_backoff_ns(core, n));
}

bool core_reconnects(const struct core *core)
{
	return core->config.reconnects;
}

bool core_wants_connection(const struct core *core, uint64_t *at_ns)
{
	*at_ns = core->connect_ns;
	return !core->session && !core->gone && core->waiting.first;
}

struct ptd_call *core_ended(struct core *core)
{
	struct ptd_call *call = core->ended.first;

	if (call)
		call_list_remove(&core->ended, call);
	return call;
}

void core_recycle(struct core *core, struct ptd_call *call)
{
	call_list_append(&core->free, call);
}

size_t core_outstanding(const struct core *core)
{
	return core->waiting.count + core->live.count + core->ended.count;
}
