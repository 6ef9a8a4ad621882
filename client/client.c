/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection: moves bytes between the core and a socket, and hands over the ends of calls. */
#include "core.h"
#include "socket.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000
#define INPUT_BATCH	   (128u << 10)
/* Reads before answering: bounds the time between two rounds of callbacks. */
#define READS_PER_ROUND	   4

struct ptd_client {
	struct core *core;
	int fd;
	uint32_t timeout_ms;
	bool gone;	 /* the connection is lost; the core has ended all calls */
	bool delivering; /* inside a callback: no new round */
	struct ptd_status connection;
	struct call_list ready; /* ended, for ptd_next() */
	struct ptd_call *held;	/* what the last reply points into */
	uint8_t input[INPUT_BATCH];
};

const char *ptd_version(void)
{
	return PTD_VERSION;
}

static struct ptd_client *create(const struct ptd_options *given, struct ptd_status *status,
				 uint32_t *connect_timeout_ms)
{
	struct ptd_options options = {0};
	struct ptd_client *client = calloc(1, sizeof(*client));

	/* A caller of an older version knows fewer fields. */
	if (given)
		memcpy(&options, given,
		       given->size < sizeof(options) ? given->size : sizeof(options));
	*connect_timeout_ms =
		options.connect_timeout_ms ? options.connect_timeout_ms : CONNECT_TIMEOUT_MS;
	if (client)
		client->core = core_create(options.max_receive_bytes);
	if (!client || !client->core) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		free(client);
		return NULL;
	}
	client->timeout_ms = options.timeout_ms;
	client->fd = -1;
	return client;
}

struct ptd_client *ptd_open(const char *endpoint, const struct ptd_options *options,
			    struct ptd_status *status)
{
	struct ptd_status unused;
	uint32_t connect_timeout_ms;
	struct ptd_client *client;

	status = status ? status : &unused;
	client = create(options, status, &connect_timeout_ms);
	if (!client)
		return NULL;
	client->fd = socket_open(endpoint, connect_timeout_ms, status);
	if (client->fd < 0) {
		core_destroy(client->core);
		free(client);
		return NULL;
	}
	client->connection = status_ok;
	*status = status_ok;
	return client;
}

static void lose(struct ptd_client *client, int error)
{
	if (client->gone)
		return;
	client->gone = true;
	status_local(&client->connection, PTD_STATE_FAILED, PTD_WHERE_LOST, 14,
		     "the connection was lost: %s",
		     error ? strerror(error) : "closed by the daemon");
	core_lost(client->core);
}

static void release(struct ptd_client *client)
{
	if (client->held)
		core_recycle(client->core, client->held);
	client->held = NULL;
}

static void fill_reply(struct ptd_reply *reply, const struct ptd_call *call)
{
	bool has_data = call->end->state == PTD_STATE_OK && !call->message;

	reply->status = call->end;
	reply->data = has_data ? call->response : NULL;
	/* An empty message is data too: not NULL. */
	if (has_data && !reply->data)
		reply->data = call->prefix;
	reply->length = has_data ? call->response_length : 0;
	reply->arg = call->arg;
	reply->call = call;
}

/* Hands over what has ended. Returns how many. Callbacks may start calls, also ones that end now.
 */
static int deliver(struct ptd_client *client)
{
	struct ptd_call *call;
	int delivered = 0;

	if (client->delivering)
		return 0;
	client->delivering = true;
	while ((call = core_ended(client->core))) {
		struct ptd_reply reply;

		delivered++;
		if (call->solo) {
			call->over = true;
		} else if (!call->done) {
			call_list_append(&client->ready, call);
		} else {
			fill_reply(&reply, call);
			call->done(call->arg, &reply);
			core_recycle(client->core, call);
		}
	}
	client->delivering = false;
	return delivered;
}

static void flush(struct ptd_client *client)
{
	const uint8_t *bytes;
	size_t length;

	while (!client->gone && (length = core_output(client->core, &bytes))) {
		long moved = socket_write(client->fd, bytes, length);

		if (moved < 0)
			lose(client, errno);
		if (moved <= 0)
			break;
		core_wrote(client->core, (size_t)moved);
	}
	if (!client->gone && core_over(client->core))
		lose(client, 0);
}

/* Reads what is there, a few batches at most. True: something came. */
static bool take_input(struct ptd_client *client)
{
	bool any = false;

	for (int i = 0; i < READS_PER_ROUND && !client->gone; i++) {
		long length = socket_read(client->fd, client->input, INPUT_BATCH);
		if (length < 0)
			lose(client, errno);
		if (length <= 0)
			break;
		any = true;
		/* Callbacks of streams run in here; they must not start another round. */
		client->delivering = true;
		core_input(client->core, client->input, (size_t)length);
		client->delivering = false;
		if ((size_t)length < INPUT_BATCH)
			break;
	}
	return any;
}

static int wait_ms(uint64_t deadline_ns, uint64_t now_ns, int timeout_ms)
{
	uint64_t left_ms;

	if (deadline_ns == CORE_NEVER)
		return timeout_ms;
	left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns + 999999) / 1000000 : 0;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms ? timeout_ms
	       : left_ms > INT32_MAX				 ? INT32_MAX
								 : (int)left_ms;
}

/* Waits for input until `timeout_ms` or the first deadline, and takes it. */
static void wait_input(struct ptd_client *client, int timeout_ms)
{
	uint64_t now = socket_now_ns();
	uint64_t deadline = core_expire(client->core, now);

	if (socket_wait(client->fd, core_wants_write(client->core),
			wait_ms(deadline, now, timeout_ms)))
		take_input(client);
}

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
	if (!ended && !(core_outstanding(client->core) > 1 && take_input(client)) && !client->gone)
		wait_input(client, timeout_ms);
	core_expire(client->core, socket_now_ns());
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
	while (core_outstanding(client->core) > limit)
		if (pump(client, -1) < 0)
			return false;
	return !client->gone;
}

static struct ptd_call *start(struct ptd_client *client, struct core_request *request)
{
	struct ptd_status why;
	struct ptd_call *call;

	if (client->gone)
		return NULL;
	call = core_start(client->core, request, socket_now_ns(), &why);
	/* Out of stream ids: this connection can start no more calls, ever. */
	if (!call)
		client->connection = why;
	return call;
}

struct ptd_call *ptd_start(struct ptd_client *client, const char *method, const void *request,
			   size_t length, uint32_t timeout_ms, ptd_reply_fn *done, void *arg)
{
	struct core_request what = {.method = method,
				    .data = request,
				    .length = length,
				    .timeout_ms = timeout_ms ? timeout_ms : client->timeout_ms,
				    .done = done,
				    .arg = arg};

	return start(client, &what);
}

struct ptd_call *ptd_start_stream(struct ptd_client *client, const char *method,
				  const void *request, size_t length, uint32_t timeout_ms,
				  ptd_message_fn *message, ptd_reply_fn *done, void *arg)
{
	struct core_request what = {.method = method,
				    .data = request,
				    .length = length,
				    .timeout_ms = timeout_ms,
				    .message = message,
				    .done = done,
				    .arg = arg};

	return start(client, &what);
}

void ptd_cancel(struct ptd_client *client, struct ptd_call *call)
{
	core_cancel(client->core, call, PTD_WHERE_CANCEL);
	deliver(client);
}

enum ptd_state ptd_unary(struct ptd_client *client, const char *method, const void *request,
			 size_t length, uint32_t timeout_ms, struct ptd_reply *reply)
{
	struct ptd_call *call = NULL;

	*reply = (struct ptd_reply){.status = &client->connection};
	if (client->delivering)
		return PTD_STATE_FAILED;
	release(client);
	call = ptd_start(client, method, request, length, timeout_ms, NULL, NULL);
	if (!call)
		return (enum ptd_state)client->connection.state;
	call->solo = true;
	while (!call->over)
		pump(client, -1);
	client->held = call;
	fill_reply(reply, call);
	return (enum ptd_state)call->end->state;
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
		if (!core_outstanding(client->core) || pump(client, left) < 0 ||
		    (!left && !client->ready.first))
			return false;
	}
	call = client->ready.first;
	call_list_remove(&client->ready, call);
	client->held = call;
	fill_reply(reply, call);
	return true;
}

size_t ptd_outstanding(const struct ptd_client *client)
{
	return core_outstanding(client->core);
}

const struct ptd_status *ptd_connection(const struct ptd_client *client)
{
	return &client->connection;
}

int ptd_fd(const struct ptd_client *client)
{
	return client->fd;
}

bool ptd_wants_write(const struct ptd_client *client)
{
	return !client->gone && core_wants_write(client->core);
}

static void recycle_all(struct ptd_client *client, struct call_list *list)
{
	while (list->first) {
		struct ptd_call *call = list->first;

		call_list_remove(list, call);
		core_recycle(client->core, call);
	}
}

void ptd_close(struct ptd_client *client)
{
	if (!client)
		return;
	release(client);
	lose(client, 0);
	deliver(client);
	recycle_all(client, &client->ready);
	close(client->fd);
	core_destroy(client->core);
	free(client);
}
