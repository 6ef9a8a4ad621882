/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd_core.h: a core, the TLS filter around it, and when to connect and to close. */
#include "core.h"
#include "endpoint.h"
#include "status.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLEAR_BATCH  (16u << 10) /* a TLS record */
/* Ciphertext is not made beyond this: what waits stays where it counts as not sent. */
#define CIPHER_LIMIT (64u << 10)

enum link {
	LINK_DOWN,
	LINK_ASKED,   /* CONNECT has been said */
	LINK_SHAKING, /* TLS handshake */
	LINK_WAITING, /* TLS: for the daemon's first frame; until then it may refuse our certificate
		       */
	LINK_UP,
};

struct ptd_core {
	struct core *core;
	struct tls_credentials *credentials; /* NULL: clear text */
	struct tls *tls;		     /* from SHAKING on */
	enum link link;
	bool wished;
	bool broken;	 /* no memory for this connection */
	bool timed_out;	 /* it took too long to make */
	bool delivering; /* inside ptd_core_deliver() */
	uint32_t timeout_ms;
	uint64_t connect_timeout_ns, connect_until_ns;
	struct ptd_status connection;
	char host[256], name[256]; /* of :authority, and in the certificate */
};

struct core *core_of(struct ptd_core *core)
{
	return core->core;
}

static struct ptd_core *no_memory(struct ptd_core *core, struct ptd_status *status)
{
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
	ptd_core_destroy(core);
	return NULL;
}

static struct core *make_core(const struct ptd_options *options, const struct ptd_core *outer)
{
	const struct core_config config = {
		.max_receive_bytes = options->max_receive_bytes,
		.reconnects = options->reconnects,
		.backoff_ms = options->backoff_ms,
		.backoff_max_ms = options->backoff_max_ms,
		.retries = options->retries,
		.seed = options->seed,
		.greeting_first = outer->credentials,
		.scheme = outer->credentials ? "https" : "http",
		.authority = outer->host,
	};

	return core_create(&config);
}

static bool set_host(struct ptd_core *core, const char *host, const char *name)
{
	return snprintf(core->host, sizeof(core->host), strchr(host, ':') ? "[%s]" : "%s", host) <
		       (int)sizeof(core->host) &&
	       snprintf(core->name, sizeof(core->name), "%s", name ? name : host) <
		       (int)sizeof(core->name);
}

struct ptd_core *ptd_core_create(const struct ptd_options *given, const char *host,
				 struct ptd_status *status)
{
	struct ptd_options options = options_of(given);
	struct ptd_core *core = calloc(1, sizeof(*core));
	struct ptd_status unused;

	status = status ? status : &unused;
	if (!core)
		return no_memory(core, status);
	if (!set_host(core, host ? host : "localhost", options.tls_name)) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 3,
			     "the host's name is too long");
		ptd_core_destroy(core);
		return NULL;
	}
	if (host && !(core->credentials = tls_load(&options, status))) {
		ptd_core_destroy(core);
		return NULL;
	}
	core->core = make_core(&options, core);
	if (!core->core)
		return no_memory(core, status);
	core->timeout_ms = options.timeout_ms;
	core->connect_timeout_ns = options.connect_timeout_ms * UINT64_C(1000000);
	core->connection = *status = status_ok;
	return core;
}

void ptd_core_destroy(struct ptd_core *core)
{
	if (!core)
		return;
	if (core->core) {
		core_abandon(core->core, "the client was closed");
		ptd_core_deliver(core);
		core_destroy(core->core);
	}
	tls_free(core->tls);
	tls_credentials_free(core->credentials);
	free(core);
}

/* --- the connection -------------------------------------------------------------------------- */

void ptd_core_wish_connection(struct ptd_core *core)
{
	core->wished = true;
}

static bool is_over(struct ptd_core *core)
{
	if (core->broken || core->timed_out || (core->tls && tls_error(core->tls)))
		return true;
	return core->link >= LINK_WAITING && core_over(core->core) &&
	       !(core->tls && tls_pending(core->tls));
}

static void not_later(uint64_t *wake_ns, uint64_t at_ns)
{
	if (at_ns < *wake_ns)
		*wake_ns = at_ns;
}

static enum ptd_core_want step_down(struct ptd_core *core, uint64_t now_ns, uint64_t *wake_ns)
{
	uint64_t at_ns;

	if (!core_wants_connection(core->core, &at_ns) && !core->wished)
		return PTD_CORE_NOTHING;
	if (at_ns > now_ns) {
		not_later(wake_ns, at_ns);
		return PTD_CORE_NOTHING;
	}
	core->wished = false;
	core->link = LINK_ASKED;
	core->connect_until_ns = now_ns + core->connect_timeout_ns;
	not_later(wake_ns, core->connect_until_ns);
	return PTD_CORE_CONNECT;
}

enum ptd_core_want ptd_core_step(struct ptd_core *core, uint64_t now_ns, uint64_t *wake_ns)
{
	*wake_ns = core_expire(core->core, now_ns);
	if (core_gone(core->core))
		return PTD_CORE_GONE;
	if (core->link == LINK_DOWN)
		return step_down(core, now_ns, wake_ns);
	if (core->link != LINK_UP) {
		core->timed_out = core->timed_out || now_ns >= core->connect_until_ns;
		not_later(wake_ns, core->connect_until_ns);
	}
	return is_over(core) ? PTD_CORE_CLOSE : PTD_CORE_NOTHING;
}

static void go_up(struct ptd_core *core)
{
	core->link = LINK_UP;
	core->connection = status_ok;
}

bool ptd_core_connected(struct ptd_core *core, uint64_t now_ns)
{
	if (core->link != LINK_ASKED)
		return false;
	core->broken = core->timed_out = false;
	if (core->credentials) {
		core->link = LINK_SHAKING;
		core->tls = tls_create(core->credentials, core->name);
		core->broken = !core->tls;
	} else {
		core->broken = !core_connected(core->core, now_ns);
		go_up(core);
	}
	return !core->broken;
}

void ptd_core_lost(struct ptd_core *core, uint64_t now_ns, const char *why)
{
	const char *tls = core->tls ? tls_error(core->tls) : NULL;
	bool was_up = core->link == LINK_UP;

	if (core->link == LINK_DOWN)
		return;
	why = tls ? tls : core->timed_out ? "no connection in time" : why;
	status_local(&core->connection, PTD_STATE_FAILED,
		     was_up ? PTD_WHERE_LOST : PTD_WHERE_CONNECT, 14, "%s%s",
		     was_up ? "the connection was lost: " : "", core->broken ? "no memory" : why);
	tls_free(core->tls);
	core->tls = NULL;
	core->link = LINK_DOWN;
	core->broken = core->timed_out = false;
	core_lost(core->core, now_ns, core->connection.message);
}

static void input_tls(struct ptd_core *core, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
	uint8_t clear[CLEAR_BATCH];
	size_t got;

	if (!tls_input(core->tls, bytes, length)) {
		core->broken = true;
		return;
	}
	do {
		got = tls_read(core->tls, clear, sizeof(clear));
		if (core->link == LINK_SHAKING && tls_ready(core->tls)) {
			core->link = LINK_WAITING;
			core->broken = !core_connected(core->core, now_ns);
		}
		if (got)
			core_input(core->core, clear, got, now_ns);
		if (core->link == LINK_WAITING && core_open(core->core))
			go_up(core);
	} while (got);
}

void ptd_core_input(struct ptd_core *core, const void *bytes, size_t length, uint64_t now_ns)
{
	if (core->tls)
		input_tls(core, bytes, length, now_ns);
	else if (core->link == LINK_UP)
		core_input(core->core, bytes, length, now_ns);
}

size_t ptd_core_output(struct ptd_core *core, const uint8_t **bytes)
{
	size_t length;

	if (!core->tls)
		return core_output(core->core, bytes);
	while (core->link >= LINK_WAITING && tls_pending(core->tls) < CIPHER_LIMIT &&
	       (length = core_output(core->core, bytes))) {
		if (!tls_write(core->tls, *bytes, length))
			break;
		core_wrote(core->core, length);
	}
	return tls_output(core->tls, bytes);
}

void ptd_core_wrote(struct ptd_core *core, size_t length)
{
	if (core->tls)
		tls_wrote(core->tls, length);
	else
		core_wrote(core->core, length);
}

bool ptd_core_wants_write(const struct ptd_core *core)
{
	return (core->tls && tls_pending(core->tls)) || core_wants_write(core->core);
}

/* --- calls ----------------------------------------------------------------------------------- */

void core_fill_reply(struct ptd_reply *reply, const struct ptd_call *call)
{
	bool has_data = call->end->state == PTD_STATE_OK && !call->message;

	*reply = (struct ptd_reply){
		.status = call->end, .arg = call->arg, .call = call, .attempts = call->attempts};
	if (!has_data)
		return;
	/* An empty message is data too: not NULL. */
	reply->data = call->response ? call->response : call->prefix;
	reply->length = call->response_length;
}

int ptd_core_deliver(struct ptd_core *core)
{
	struct ptd_call *call;
	struct ptd_reply reply;
	int delivered = 0;

	if (core->delivering)
		return 0;
	core->delivering = true;
	while ((call = core_ended(core->core))) {
		core_fill_reply(&reply, call);
		call->done(call->arg, &reply);
		core_recycle(core->core, call);
		delivered++;
	}
	core->delivering = false;
	return delivered;
}

struct ptd_call *core_start_request(struct ptd_core *core, const struct ptd_request *given,
				    uint64_t now_ns, struct ptd_status *status)
{
	struct ptd_request request = {0};
	struct core_request what;

	memcpy(&request, given, given->size < sizeof(request) ? given->size : sizeof(request));
	what = (struct core_request){.method = request.method,
				     .data = request.data,
				     .length = request.length,
				     .timeout_ms = request.timeout_ms,
				     .flags = request.flags,
				     .message = request.message,
				     .done = request.done,
				     .arg = request.arg};
	if (!what.timeout_ms && !what.message && !(what.flags & PTD_CALL_OPEN))
		what.timeout_ms = core->timeout_ms;
	return core_start(core->core, &what, now_ns, status);
}

struct ptd_call *ptd_core_start(struct ptd_core *core, const struct ptd_request *request,
				uint64_t now_ns, struct ptd_status *status)
{
	struct ptd_status unused;

	return core_start_request(core, request, now_ns, status ? status : &unused);
}

bool ptd_core_send(struct ptd_core *core, struct ptd_call *call, const void *data, size_t length)
{
	return core_send(core->core, call, data, length);
}

void ptd_core_half_close(struct ptd_core *core, struct ptd_call *call)
{
	core_half_close(core->core, call);
}

size_t ptd_core_queued(const struct ptd_core *core, const struct ptd_call *call)
{
	(void)core;
	return core_queued(call);
}

void ptd_core_cancel(struct ptd_core *core, struct ptd_call *call)
{
	core_cancel(core->core, call, PTD_WHERE_CANCEL);
}

size_t ptd_core_outstanding(const struct ptd_core *core)
{
	return core_outstanding(core->core);
}

const struct ptd_status *ptd_core_connection(const struct ptd_core *core)
{
	return &core->connection;
}

bool ptd_core_is_up(const struct ptd_core *core)
{
	return core->link == LINK_UP;
}
