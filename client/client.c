/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocking layer: moves bytes between a core and a socket, and hands over the ends of calls. */
#include "core.h"
#include "socket.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_BATCH	(128u << 10)
/* Reads before answering: bounds the time between two rounds of callbacks. */
#define READS_PER_ROUND 4

struct ptd_client {
	struct ptd_core *core;
	int fd; /* -1: none */
	bool connecting;
	bool gone;	 /* no connection, and none to come; the core has ended all calls */
	bool delivering; /* inside a callback: no new round */
	uint64_t wake_ns;
	struct ptd_status complaint; /* of a call that could not be started; state OK: none */
	struct call_list ready;	     /* ended, for ptd_next() */
	struct ptd_call *held;	     /* what the last reply points into */
	struct endpoint endpoint;
	struct socket_address addresses[SOCKET_ADDRESSES];
	unsigned address, address_count;
	uint8_t input[INPUT_BATCH];
};

const char *ptd_version(void)
{
	return PTD_VERSION;
}

bool ptd_draw_request_id(uint8_t id[16])
{
	return socket_random(id, 16);
}

bool client_reconnects(const struct ptd_client *client)
{
	return core_reconnects(core_of(client->core));
}

/* --- the connection -------------------------------------------------------------------------- */

static void drop_socket(struct ptd_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->connecting = false;
}

static void lose(struct ptd_client *client, const char *why)
{
	drop_socket(client);
	ptd_core_lost(client->core, socket_now_ns(), why);
}

/* Tries the addresses that are left of this round. */
static void try_addresses(struct ptd_client *client)
{
	const char *why = "no address";

	while (client->fd < 0 && client->address < client->address_count) {
		client->fd = socket_begin(&client->addresses[client->address++]);
		if (client->fd < 0)
			why = strerror(errno);
	}
	client->connecting = client->fd >= 0;
	if (client->fd < 0)
		lose(client, why);
}

/* A new round looks the name up again. */
static void begin_connection(struct ptd_client *client)
{
	const char *why;
	bool wrong;

	if (client->address >= client->address_count) {
		client->address = 0;
		client->address_count =
			socket_resolve(&client->endpoint, client->addresses, &why, &wrong);
		if (!client->address_count) {
			lose(client, why);
			return;
		}
	}
	try_addresses(client);
}

static void finish_connection(struct ptd_client *client)
{
	int error = socket_finish(client->fd);

	client->connecting = false;
	if (!error) {
		client->address = client->address_count;
		ptd_core_connected(client->core, socket_now_ns());
	} else if (client->address < client->address_count) {
		drop_socket(client);
		try_addresses(client);
	} else {
		lose(client, strerror(error));
	}
}

/* Does what the core wants done about the connection. */
static void settle(struct ptd_client *client)
{
	for (;;) {
		switch (ptd_core_step(client->core, socket_now_ns(), &client->wake_ns)) {
		case PTD_CORE_CONNECT: begin_connection(client); break;
		case PTD_CORE_CLOSE: lose(client, "closed by the daemon"); break;
		case PTD_CORE_GONE:
			drop_socket(client);
			client->gone = true;
			return;
		case PTD_CORE_NOTHING:
		default: return;
		}
	}
}

/* --- bytes ----------------------------------------------------------------------------------- */

static const char *why_lost(void)
{
	return errno ? strerror(errno) : "closed by the daemon";
}

static void flush(struct ptd_client *client)
{
	const uint8_t *bytes;
	size_t length;

	while (client->fd >= 0 && !client->connecting &&
	       (length = ptd_core_output(client->core, &bytes))) {
		long moved = socket_write(client->fd, bytes, length);

		if (moved < 0)
			lose(client, why_lost());
		if (moved <= 0)
			break;
		ptd_core_wrote(client->core, (size_t)moved);
	}
	settle(client);
}

/* Reads what is there, a few batches at most. True: something came. */
static bool take_input(struct ptd_client *client)
{
	bool any = false;

	for (int i = 0; i < READS_PER_ROUND && client->fd >= 0; i++) {
		long length = socket_read(client->fd, client->input, INPUT_BATCH);
		if (length < 0)
			lose(client, why_lost());
		if (length <= 0)
			break;
		any = true;
		/* Callbacks of streams run in here; they must not start another round. */
		client->delivering = true;
		ptd_core_input(client->core, client->input, (size_t)length, socket_now_ns());
		client->delivering = false;
		if ((size_t)length < INPUT_BATCH)
			break;
	}
	return any;
}

static int wait_ms(uint64_t until_ns, uint64_t now_ns, int timeout_ms)
{
	uint64_t left_ms;

	if (until_ns == CORE_NEVER)
		return timeout_ms;
	left_ms = until_ns > now_ns ? (until_ns - now_ns + 999999) / 1000000 : 0;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms ? timeout_ms
	       : left_ms > INT32_MAX				 ? INT32_MAX
								 : (int)left_ms;
}

/* Waits for the socket until `timeout_ms` or until the core wants to be asked, and serves it. */
static void wait_socket(struct ptd_client *client, int timeout_ms)
{
	bool output = client->connecting || ptd_core_wants_write(client->core);

	if (!socket_wait(client->fd, output, wait_ms(client->wake_ns, socket_now_ns(), timeout_ms)))
		return;
	if (client->connecting)
		finish_connection(client);
	else
		take_input(client);
}

/* --- open and close -------------------------------------------------------------------------- */

static struct ptd_client *create(const struct ptd_options *given, const char *endpoint,
				 struct ptd_status *status)
{
	struct ptd_options options = options_of(given);
	struct ptd_client *client = calloc(1, sizeof(*client));

	if (!client) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return NULL;
	}
	if (!options.seed)
		socket_random(&options.seed, sizeof(options.seed));
	client->fd = -1;
	if (endpoint_parse(&client->endpoint, endpoint, status))
		client->core = ptd_core_create(
			&options, client->endpoint.tls ? client->endpoint.host : NULL, status);
	if (client->core)
		return client;
	free(client);
	return NULL;
}

/* A name that cannot exist is told apart from one that is not there now. */
static bool resolve_first(struct ptd_client *client, struct ptd_status *status)
{
	bool wrong = false;
	const char *why;

	client->address_count = socket_resolve(&client->endpoint, client->addresses, &why, &wrong);
	if (!client->address_count)
		status_local(status, PTD_STATE_FAILED,
			     wrong ? PTD_WHERE_ARGUMENT : PTD_WHERE_CONNECT, wrong ? 3 : 14,
			     "endpoint %.100s: %s", client->endpoint.text, why);
	return client->address_count;
}

static bool connect_first(struct ptd_client *client, struct ptd_status *status)
{
	const struct ptd_status *connection = ptd_core_connection(client->core);

	ptd_core_wish_connection(client->core);
	settle(client);
	while (!ptd_core_is_up(client->core) && connection->state == PTD_STATE_OK) {
		flush(client);
		if (!ptd_core_is_up(client->core) && connection->state == PTD_STATE_OK)
			wait_socket(client, -1);
	}
	if (connection->state == PTD_STATE_OK)
		return true;
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_CONNECT, 14, "%.120s: %s",
		     client->endpoint.text, connection->message);
	return false;
}

struct ptd_client *ptd_open(const char *endpoint, const struct ptd_options *options,
			    struct ptd_status *status)
{
	struct ptd_status unused;
	struct ptd_client *client;

	status = status ? status : &unused;
	client = create(options, endpoint, status);
	if (!client)
		return NULL;
	if (!resolve_first(client, status) || !connect_first(client, status)) {
		ptd_close(client);
		return NULL;
	}
	*status = status_ok;
	return client;
}

static void release(struct ptd_client *client)
{
	if (client->held)
		core_recycle(core_of(client->core), client->held);
	client->held = NULL;
}

/* Hands over what has ended. Returns how many. Callbacks may start calls, also ones that end now.
 */
static int deliver(struct ptd_client *client)
{
	struct core *core = core_of(client->core);
	struct ptd_call *call;
	int delivered = 0;

	if (client->delivering)
		return 0;
	client->delivering = true;
	while ((call = core_ended(core))) {
		struct ptd_reply reply;

		delivered++;
		if (call->solo) {
			call->over = true;
		} else if (!call->done) {
			call_list_append(&client->ready, call);
		} else {
			core_fill_reply(&reply, call);
			call->done(call->arg, &reply);
			core_recycle(core, call);
		}
	}
	client->delivering = false;
	return delivered;
}

void ptd_close(struct ptd_client *client)
{
	if (!client)
		return;
	release(client);
	core_abandon(core_of(client->core), "the client was closed");
	deliver(client);
	while (client->ready.first) {
		struct ptd_call *call = client->ready.first;

		call_list_remove(&client->ready, call);
		core_recycle(core_of(client->core), call);
	}
	drop_socket(client);
	ptd_core_destroy(client->core);
	free(client);
}

/* --- rounds ---------------------------------------------------------------------------------- */

/* One round without releasing what the last reply points into. */
static int pump(struct ptd_client *client, int timeout_ms)
{
	int ended;

	if (client->delivering)
		return 0;
	flush(client);
	ended = deliver(client);
	if (client->gone)
		return ended ? ended : -1;
	/* With one call under way the answer cannot be there yet: go to sleep at once. */
	if (!ended && !(ptd_core_outstanding(client->core) > 1 && client->fd >= 0 &&
			!client->connecting && take_input(client)))
		wait_socket(client, timeout_ms);
	settle(client);
	ended += deliver(client);
	flush(client);
	return ended + deliver(client);
}

int ptd_pump(struct ptd_client *client, int timeout_ms)
{
	if (!client->delivering)
		release(client);
	return pump(client, timeout_ms);
}

bool ptd_wait(struct ptd_client *client, size_t limit)
{
	if (client->delivering)
		return false;
	release(client);
	while (ptd_core_outstanding(client->core) > limit)
		if (pump(client, -1) < 0)
			return false;
	return !client->gone;
}

bool ptd_next(struct ptd_client *client, struct ptd_reply *reply, int timeout_ms)
{
	uint64_t until = socket_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;
	struct ptd_call *call;

	if (client->delivering)
		return false;
	release(client);
	while (!client->ready.first) {
		uint64_t now = socket_now_ns();
		int left = timeout_ms < 0 ? -1 : now < until ? wait_ms(until, now, -1) : 0;

		/* With no call under way none can end. */
		if (!ptd_core_outstanding(client->core) || pump(client, left) < 0 ||
		    (!left && !client->ready.first))
			return false;
	}
	call = client->ready.first;
	call_list_remove(&client->ready, call);
	client->held = call;
	core_fill_reply(reply, call);
	return true;
}

/* --- calls ----------------------------------------------------------------------------------- */

struct ptd_call *ptd_start_request(struct ptd_client *client, const struct ptd_request *request)
{
	struct ptd_call *call =
		core_start_request(client->core, request, socket_now_ns(), &client->complaint);

	if (call)
		client->complaint.state = PTD_STATE_OK;
	return call;
}

struct ptd_call *ptd_start(struct ptd_client *client, const char *method, const void *request,
			   size_t length, uint32_t timeout_ms, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .method = method,
							       .data = request,
							       .length = length,
							       .timeout_ms = timeout_ms,
							       .done = done,
							       .arg = arg});
}

struct ptd_call *ptd_start_stream(struct ptd_client *client, const char *method,
				  const void *request, size_t length, uint32_t timeout_ms,
				  ptd_message_fn *message, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .method = method,
							       .data = request,
							       .length = length,
							       .timeout_ms = timeout_ms,
							       .message = message,
							       .done = done,
							       .arg = arg});
}

struct ptd_call *ptd_start_bidi(struct ptd_client *client, const char *method, uint32_t timeout_ms,
				ptd_message_fn *message, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .flags = PTD_CALL_OPEN,
							       .method = method,
							       .timeout_ms = timeout_ms,
							       .message = message,
							       .done = done,
							       .arg = arg});
}

bool ptd_send(struct ptd_client *client, struct ptd_call *call, const void *data, size_t length)
{
	return ptd_core_send(client->core, call, data, length);
}

void ptd_half_close(struct ptd_client *client, struct ptd_call *call)
{
	ptd_core_half_close(client->core, call);
}

size_t ptd_queued(const struct ptd_client *client, const struct ptd_call *call)
{
	return ptd_core_queued(client->core, call);
}

void ptd_cancel(struct ptd_client *client, struct ptd_call *call)
{
	ptd_core_cancel(client->core, call);
	deliver(client);
}

enum ptd_state ptd_unary_request(struct ptd_client *client, const struct ptd_request *request,
				 struct ptd_reply *reply)
{
	struct ptd_call *call = NULL;

	*reply = (struct ptd_reply){.status = ptd_connection(client)};
	if (client->delivering)
		return PTD_STATE_FAILED;
	release(client);
	call = ptd_start_request(client, request);
	if (!call) {
		reply->status = ptd_connection(client);
		return PTD_STATE_FAILED;
	}
	call->solo = true;
	while (!call->over)
		pump(client, -1);
	client->held = call;
	core_fill_reply(reply, call);
	return (enum ptd_state)call->end->state;
}

enum ptd_state ptd_unary(struct ptd_client *client, const char *method, const void *request,
			 size_t length, uint32_t timeout_ms, struct ptd_reply *reply)
{
	return ptd_unary_request(client,
				 &(struct ptd_request){.size = sizeof(struct ptd_request),
						       .method = method,
						       .data = request,
						       .length = length,
						       .timeout_ms = timeout_ms},
				 reply);
}

size_t ptd_outstanding(const struct ptd_client *client)
{
	return ptd_core_outstanding(client->core);
}

const struct ptd_status *ptd_connection(const struct ptd_client *client)
{
	const struct ptd_status *connection = ptd_core_connection(client->core);

	return client->complaint.state != PTD_STATE_OK && !client->gone ? &client->complaint
									: connection;
}

struct ptd_core *ptd_client_core(struct ptd_client *client)
{
	return client->core;
}

int ptd_fd(const struct ptd_client *client)
{
	return client->fd;
}

bool ptd_wants_write(const struct ptd_client *client)
{
	return client->fd >= 0 && (client->connecting || ptd_core_wants_write(client->core));
}

int ptd_wait_ms(struct ptd_client *client)
{
	if (client->delivering || client->gone)
		return client->gone ? -1 : 0;
	settle(client);
	return wait_ms(client->wake_ns, socket_now_ns(), -1);
}
