/* SPDX-License-Identifier: BSD-2-Clause */
/* A user of libptd-uv: calls, both kinds of streams, back-pressure, cancel, and closing anywhere.
 */
#include <ptd_uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CALLS	 5000
#define WINDOW	 256
#define GET_INFO "/ptd.v1.ServerService/GetInfo"
#define WATCH	 "/ptd.v1.ContextService/WatchContexts"
#define REFLECT	 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define QUESTION "\x3a\x01*" /* list_services */
#define QUEUE	 (16u << 10)

#define CHECK(fact)                                                                                \
	do {                                                                                       \
		if (!(fact)) {                                                                     \
			fprintf(stderr, "line %d: %s\n", __LINE__, #fact);                         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct test {
	const char *endpoint;
	struct ptd_options options;
	uv_loop_t loop;
	struct ptd_uv *uv;
	struct ptd_call *call;
	unsigned started, ok, failed, unknown, messages, sent, closed;
};

static void on_closed(void *arg)
{
	((struct test *)arg)->closed++;
}

static void open_client(struct test *test)
{
	struct ptd_status status;

	test->started = test->ok = test->failed = test->unknown = test->messages = test->sent = 0;
	test->closed = 0;
	test->uv = ptd_uv_open(&test->loop, test->endpoint, &test->options, &status);
	if (!test->uv)
		fprintf(stderr, "%s\n", status.message);
	CHECK(test->uv);
}

static void count(struct test *test, const struct ptd_reply *reply)
{
	if (reply->status->state == PTD_STATE_OK)
		test->ok++;
	else if (reply->status->state == PTD_STATE_FAILED)
		test->failed++;
	else
		test->unknown++;
}

static void start(struct test *test, uint32_t flags, const char *method, ptd_message_fn *message,
		  ptd_reply_fn *done)
{
	const struct ptd_request request = {.size = sizeof(request),
					    .flags = flags,
					    .method = method,
					    .message = message,
					    .done = done,
					    .arg = test};
	struct ptd_status status;

	test->call = ptd_uv_start(test->uv, &request, &status);
	CHECK(test->call);
	test->started++;
}

/* --- many calls ------------------------------------------------------------------------------ */

static void on_info(void *arg, const struct ptd_reply *reply)
{
	struct test *test = arg;

	count(test, reply);
	if (reply->status->state != PTD_STATE_OK)
		fprintf(stderr, "sent %u times: %s\n", (unsigned)reply->attempts,
			reply->status->message);
	CHECK(reply->status->state == PTD_STATE_OK && reply->length > 10);
	if (test->started < CALLS)
		start(test, PTD_CALL_REPLAY, GET_INFO, NULL, on_info);
	else if (!ptd_uv_outstanding(test->uv) || test->ok == CALLS)
		ptd_uv_close(test->uv, on_closed, test);
}

static void many_calls(struct test *test)
{
	open_client(test);
	for (int i = 0; i < WINDOW; i++)
		start(test, PTD_CALL_REPLAY, GET_INFO, NULL, on_info);
	CHECK(!uv_run(&test->loop, UV_RUN_DEFAULT));
	CHECK(test->ok == CALLS && test->closed == 1);
}

/* --- a stream both ways ---------------------------------------------------------------------- */

static void feed(struct test *test)
{
	while (test->sent < CALLS && ptd_uv_queued(test->uv, test->call) < QUEUE) {
		CHECK(ptd_uv_send(test->uv, test->call, QUESTION, 3));
		test->sent++;
	}
	if (test->sent == CALLS)
		ptd_uv_half_close(test->uv, test->call);
}

static bool on_answer(void *arg, const uint8_t *data, size_t length)
{
	struct test *test = arg;

	CHECK(data && length > 20);
	test->messages++;
	feed(test);
	return true;
}

static void on_bidi_end(void *arg, const struct ptd_reply *reply)
{
	struct test *test = arg;

	count(test, reply);
	CHECK(!reply->data);
	ptd_uv_close(test->uv, on_closed, test);
}

static void both_ways(struct test *test)
{
	open_client(test);
	start(test, PTD_CALL_OPEN, REFLECT, on_answer, on_bidi_end);
	feed(test);
	CHECK(test->sent == (QUEUE + 7) / 8);
	CHECK(!uv_run(&test->loop, UV_RUN_DEFAULT));
	CHECK(test->ok == 1 && test->messages == CALLS && test->closed == 1);
}

/* --- cancel and close ------------------------------------------------------------------------ */

static bool close_at_once(void *arg, const uint8_t *data, size_t length)
{
	struct test *test = arg;

	(void)data;
	(void)length;
	test->messages++;
	ptd_uv_close(test->uv, on_closed, test);
	return true;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	count(arg, reply);
}

static void closed_from_inside(struct test *test)
{
	open_client(test);
	start(test, 0, WATCH, close_at_once, on_end);
	start(test, 0, WATCH, close_at_once, on_end);
	CHECK(!uv_run(&test->loop, UV_RUN_DEFAULT));
	CHECK(test->unknown == 2 && test->messages >= 1 && test->closed == 1);
}

static void closed_before_it_is_connected(struct test *test)
{
	open_client(test);
	start(test, 0, GET_INFO, NULL, on_end);
	ptd_uv_close(test->uv, on_closed, test);
	CHECK(test->failed == 1);
	CHECK(!uv_run(&test->loop, UV_RUN_DEFAULT));
	CHECK(test->closed == 1);
}

static void on_cancelled(void *arg, const struct ptd_reply *reply)
{
	struct test *test = arg;

	count(test, reply);
	CHECK(reply->status->where == PTD_WHERE_CANCEL);
	ptd_uv_close(test->uv, on_closed, test);
}

static void cancelled(struct test *test)
{
	open_client(test);
	start(test, 0, WATCH, close_at_once, on_cancelled);
	ptd_uv_cancel(test->uv, test->call);
	CHECK(!uv_run(&test->loop, UV_RUN_DEFAULT));
	CHECK(test->failed == 1 && test->closed == 1 && !test->messages);
}

static void on_no_connection(void *arg, const struct ptd_reply *reply)
{
	struct test *test = arg;

	count(test, reply);
	CHECK(reply->status->where == PTD_WHERE_CONNECT);
	CHECK(ptd_uv_connection(test->uv)->state == PTD_STATE_FAILED);
	ptd_uv_close(test->uv, on_closed, test);
}

static void nobody_there(struct test *test)
{
	struct test other = *test;

	other.endpoint = "unix:/nowhere/at/all";
	CHECK(!uv_loop_init(&other.loop));
	open_client(&other);
	start(&other, 0, GET_INFO, NULL, on_no_connection);
	CHECK(!uv_run(&other.loop, UV_RUN_DEFAULT));
	CHECK(other.failed == 1 && other.closed == 1);
	CHECK(!uv_loop_close(&other.loop));
	CHECK(!ptd_uv_open(&test->loop, "nonsense", NULL, NULL));
}

int main(int argc, char **argv)
{
	struct test test = {.options = {.size = sizeof(struct ptd_options),
					.reconnects = 20,
					.backoff_ms = 5,
					.tls_ca = getenv("PTD_TLS_CA"),
					.tls_certificate = getenv("PTD_TLS_CERTIFICATE"),
					.tls_key = getenv("PTD_TLS_KEY")}};

	CHECK(argc >= 2);
	test.endpoint = argv[1];
	CHECK(!uv_loop_init(&test.loop));
	many_calls(&test);
	if (argc == 2) {
		test.options.reconnects = 0;
		both_ways(&test);
		closed_from_inside(&test);
		closed_before_it_is_connected(&test);
		cancelled(&test);
		nobody_there(&test);
	}
	CHECK(!uv_loop_close(&test.loop));
	puts("done");
	return 0;
}
