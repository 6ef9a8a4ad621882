/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's protocol against an HTTP/2 server in memory: no socket, no clock, no thread. */
#include "client/core.h"
#include "client/status.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define METHOD "/ptd.v1.MappingService/Map"

/* What the server answers to every call. */
struct answer {
	const char *http; /* "200" */
	const char *status, *message, *details;
	const uint8_t *body;
	size_t length;
	uint32_t reset; /* instead of an answer: RST_STREAM with this */
	bool use_reset, silent;
};

struct server {
	nghttp2_session *session;
	struct answer answer;
	char timeout[32];
	uint8_t got[4096];
	size_t got_length, calls;
};

struct pair {
	struct core *core;
	struct server server;
};

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
			    strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void submit_trailers(struct server *server, int32_t stream_id)
{
	nghttp2_nv trailers[3];
	size_t count = 0;

	if (server->answer.status)
		trailers[count++] = header("grpc-status", server->answer.status);
	if (server->answer.message)
		trailers[count++] = header("grpc-message", server->answer.message);
	if (server->answer.details)
		trailers[count++] = header("grpc-status-details-bin", server->answer.details);
	nghttp2_submit_trailer(server->session, stream_id, trailers, count);
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t length,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct server *server = user;
	/* Uneven pieces: borders of DATA frames mean nothing. */
	size_t offset = (size_t)(uintptr_t)nghttp2_session_get_stream_user_data(session, stream_id);
	size_t part = server->answer.length - offset;

	(void)source;
	part = part < length ? part : length;
	part = part > 3 ? part / 2 : part;
	memcpy(to, server->answer.body + offset, part);
	offset += part;
	nghttp2_session_set_stream_user_data(session, stream_id, (void *)(uintptr_t)offset);
	if (offset == server->answer.length) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailers(server, stream_id);
	}
	return (ssize_t)part;
}

static void respond(struct server *server, int32_t stream_id)
{
	const nghttp2_data_provider body = {.read_callback = read_body};
	const nghttp2_nv headers[] = {header(":status", server->answer.http),
				      header("content-type", "application/grpc")};

	server->calls++;
	if (server->answer.silent)
		return;
	if (server->answer.use_reset)
		nghttp2_submit_rst_stream(server->session, 0, stream_id, server->answer.reset);
	else
		nghttp2_submit_response(server->session, stream_id, headers, 2, &body);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)session;
	if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		respond(user, frame->hd.stream_id);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t length, void *user)
{
	struct server *server = user;

	(void)session;
	(void)flags;
	(void)stream_id;
	if (server->got_length + length <= sizeof(server->got)) {
		memcpy(server->got + server->got_length, data, length);
		server->got_length += length;
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *user)
{
	struct server *server = user;

	(void)session;
	(void)frame;
	(void)flags;
	if (name_length == 12 && !memcmp(name, "grpc-timeout", 12))
		snprintf(server->timeout, sizeof(server->timeout), "%.*s", (int)length,
			 (const char *)value);
	return 0;
}

static void open_server(struct server *server)
{
	nghttp2_session_callbacks *table;

	nghttp2_session_callbacks_new(&table);
	nghttp2_session_callbacks_set_on_frame_recv_callback(table, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, on_data);
	nghttp2_session_callbacks_set_on_header_callback(table, on_header);
	assert_int_equal(nghttp2_session_server_new(&server->session, table, server), 0);
	nghttp2_session_callbacks_del(table);
	nghttp2_submit_settings(server->session, 0, NULL, 0);
}

static int set_up(void **state)
{
	const struct core_config config = {
		.max_receive_bytes = 1 << 16, .scheme = "http", .authority = "localhost"};
	struct pair *pair = calloc(1, sizeof(*pair));

	pair->core = core_create(&config);
	assert_true(core_connected(pair->core, 0));
	open_server(&pair->server);
	pair->server.answer = (struct answer){.http = "200",
					      .status = "0",
					      .body = (const uint8_t *)"\0\0\0\0\3abc",
					      .length = 8};
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	core_destroy(pair->core);
	nghttp2_session_del(pair->server.session);
	free(pair);
	return 0;
}

/* Moves bytes both ways until nothing moves, `step` bytes at a time. */
static void run(struct pair *pair, size_t step)
{
	bool moved = true;

	while (moved) {
		const uint8_t *bytes;
		size_t length = core_output(pair->core, &bytes);
		ssize_t got;

		moved = length > 0;
		length = length < step ? length : step;
		if (length) {
			assert_int_equal(
				nghttp2_session_mem_recv(pair->server.session, bytes, length),
				length);
			core_wrote(pair->core, length);
		}
		while ((got = nghttp2_session_mem_send(pair->server.session, &bytes)) > 0) {
			moved = true;
			for (size_t at = 0; at < (size_t)got; at += step)
				core_input(pair->core, bytes + at,
					   (size_t)got - at < step ? (size_t)got - at : step, 0);
		}
	}
}

static struct ptd_call *start(struct pair *pair, uint32_t timeout_ms)
{
	const struct core_request request = {
		.method = METHOD, .data = "hello", .length = 5, .timeout_ms = timeout_ms};
	struct ptd_status why;
	struct ptd_call *call = core_start(pair->core, &request, 0, &why);

	assert_non_null(call);
	return call;
}

static struct ptd_call *one_call(struct pair *pair)
{
	struct ptd_call *call = start(pair, 0);

	run(pair, 1 << 16);
	assert_ptr_equal(core_ended(pair->core), call);
	return call;
}

static void an_answer_comes_back_whole_whatever_the_pieces(void **state)
{
	struct pair *pair = *state;
	static const size_t steps[] = {1, 2, 7, 1 << 16};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct ptd_call *call = start(pair, 0);

		pair->server.got_length = 0;
		run(pair, steps[i]);
		assert_int_equal(pair->server.got_length, 10);
		assert_memory_equal(pair->server.got, "\0\0\0\0\5hello", 10);
		assert_ptr_equal(core_ended(pair->core), call);
		assert_int_equal(call->end->state, PTD_STATE_OK);
		assert_int_equal(call->response_length, 3);
		assert_memory_equal(call->response, "abc", 3);
		core_recycle(pair->core, call);
	}
}

static void a_thousand_pipelined_calls_all_end(void **state)
{
	struct pair *pair = *state;
	size_t ended = 0;
	struct ptd_call *call;

	for (int i = 0; i < 1000; i++)
		start(pair, 0);
	assert_int_equal(core_outstanding(pair->core), 1000);
	run(pair, 1 << 16);
	while ((call = core_ended(pair->core))) {
		assert_int_equal(call->end->state, PTD_STATE_OK);
		core_recycle(pair->core, call);
		ended++;
	}
	assert_int_equal(ended, 1000);
	assert_int_equal(core_outstanding(pair->core), 0);
}

static void a_refusal_carries_code_hint_and_nearest_values(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call;

	/* google.rpc.Status with ErrorInfo{OVERLAP, ptd} and ErrorDetail{68, level 2, ipa 0x1000,
	 * nearest 0x1000 and 0x2000, hint "unmap"}, made by hand. */
	pair->server.answer.status = "6";
	pair->server.answer.message = "mapped%20elsewhere, 100%25";
	pair->server.answer.details =
		"CAYaOgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mbxIOCgdPVkVSTEFQEgNw"
		"dGQaUAomdHlwZS5nb29nbGVhcGlzLmNvbS9wdGQudjEuRXJyb3JEZXRhaWwSJghEGQAQAAAAAAAAIAQp"
		"ABAAAAAAAAAxACAAAAAAAAA6BXVubWFw";
	call = one_call(pair);
	assert_int_equal(call->end->state, PTD_STATE_FAILED);
	assert_int_equal(call->end->where, PTD_WHERE_DAEMON);
	assert_int_equal(call->end->grpc, 6);
	assert_string_equal(call->end->message, "mapped elsewhere, 100%");
	assert_int_equal(call->end->code, 68);
	assert_int_equal(call->end->level, 2);
	assert_int_equal(call->end->ipa, 0x1000);
	assert_int_equal(call->end->nearest_below, 0x1000);
	assert_int_equal(call->end->nearest_above, 0x2000);
	assert_string_equal(call->end->hint, "unmap");
	assert_string_equal(call->end->reason, "OVERLAP");
	core_recycle(pair->core, call);
}

static void a_recycled_call_keeps_nothing_of_its_last_failure(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call;

	pair->server.answer.status = "6";
	pair->server.answer.message = "old";
	core_recycle(pair->core, one_call(pair));
	pair->server.answer.message = NULL;
	call = one_call(pair);
	assert_int_equal(call->end->grpc, 6);
	assert_string_equal(call->end->message, "");
	core_recycle(pair->core, call);
}

static void a_reset_is_refused_or_unknown_by_its_code(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call;

	pair->server.answer.use_reset = true;
	pair->server.answer.reset = NGHTTP2_REFUSED_STREAM;
	call = one_call(pair);
	assert_int_equal(call->end->state, PTD_STATE_FAILED);
	assert_int_equal(call->end->grpc, 14);
	core_recycle(pair->core, call);
	pair->server.answer.reset = NGHTTP2_INTERNAL_ERROR;
	call = one_call(pair);
	assert_int_equal(call->end->state, PTD_STATE_UNKNOWN);
	assert_int_equal(call->end->grpc, 13);
	core_recycle(pair->core, call);
}

static void answers_that_are_not_one_message_are_not_ok(void **state)
{
	struct pair *pair = *state;
	static const struct {
		const char *body;
		size_t length;
	} bodies[] = {{"", 0},
		      {"\0\0\0\0", 4},
		      {"\0\0\0\0\3ab", 7},
		      {"\0\0\0\0\0\0\0\0\0\0", 10},
		      {"\1\0\0\0\1x", 6},
		      {"\0\xff\xff\xff\xff", 5}};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct ptd_call *call;

		pair->server.answer.body = (const uint8_t *)bodies[i].body;
		pair->server.answer.length = bodies[i].length;
		call = one_call(pair);
		assert_int_equal(call->end->state, PTD_STATE_UNKNOWN);
		core_recycle(pair->core, call);
	}
}

static void an_empty_message_is_an_answer(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call;

	pair->server.answer.length = 5;
	pair->server.answer.body = (const uint8_t *)"\0\0\0\0\0";
	call = one_call(pair);
	assert_int_equal(call->end->state, PTD_STATE_OK);
	assert_int_equal(call->response_length, 0);
	core_recycle(pair->core, call);
}

static void an_http_error_is_a_grpc_status(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call;

	pair->server.answer.http = "503";
	pair->server.answer.status = NULL;
	call = one_call(pair);
	assert_int_equal(call->end->state, PTD_STATE_FAILED);
	assert_int_equal(call->end->grpc, 14);
	assert_string_equal(call->end->message, "HTTP status 503");
	core_recycle(pair->core, call);
}

static void a_lost_connection_tells_sent_from_unsent(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *sent, *unsent;

	pair->server.answer.silent = true;
	sent = start(pair, 0);
	run(pair, 1 << 16);
	unsent = start(pair, 0);
	core_lost(pair->core, 0, "cut");
	assert_ptr_equal(core_ended(pair->core), sent);
	assert_int_equal(sent->end->state, PTD_STATE_UNKNOWN);
	assert_int_equal(sent->end->where, PTD_WHERE_LOST);
	assert_ptr_equal(core_ended(pair->core), unsent);
	assert_int_equal(unsent->end->state, PTD_STATE_FAILED);
	assert_int_equal(unsent->end->where, PTD_WHERE_CONNECT);
	core_recycle(pair->core, sent);
	core_recycle(pair->core, unsent);
}

static void a_deadline_is_sent_and_then_kept(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *early, *late;
	uint64_t ms = 1000000;

	pair->server.answer.silent = true;
	early = start(pair, 250);
	late = start(pair, 500);
	run(pair, 1 << 16);
	assert_string_equal(pair->server.timeout, "500m");
	assert_true(core_expire(pair->core, 250 * ms) > 250 * ms);
	assert_null(core_ended(pair->core));
	assert_true(core_expire(pair->core, 450 * ms) > 450 * ms);
	assert_ptr_equal(core_ended(pair->core), early);
	assert_int_equal(early->end->grpc, 4);
	assert_int_equal(early->end->state, PTD_STATE_UNKNOWN);
	assert_null(core_ended(pair->core));
	assert_true(core_expire(pair->core, 1000 * ms) == CORE_NEVER);
	assert_ptr_equal(core_ended(pair->core), late);
	core_recycle(pair->core, early);
	core_recycle(pair->core, late);
}

static void a_cancelled_call_ends_once_and_its_answer_is_ignored(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call = start(pair, 0);
	const uint8_t *bytes;

	assert_true(core_output(pair->core, &bytes) > 0);
	core_cancel(pair->core, call, PTD_WHERE_CANCEL);
	assert_ptr_equal(core_ended(pair->core), call);
	assert_int_equal(call->end->grpc, 1);
	core_recycle(pair->core, call);
	run(pair, 1 << 16);
	assert_null(core_ended(pair->core));
	/* The connection goes on. */
	core_recycle(pair->core, one_call(pair));
}

static void a_call_cancelled_before_it_left_has_failed(void **state)
{
	struct pair *pair = *state;
	struct ptd_call *call = start(pair, 0);

	core_cancel(pair->core, call, PTD_WHERE_CANCEL);
	assert_ptr_equal(core_ended(pair->core), call);
	assert_int_equal(call->end->state, PTD_STATE_FAILED);
	core_recycle(pair->core, call);
	run(pair, 1 << 16);
	assert_int_equal(pair->server.calls, 0);
}

static void garbage_ends_the_session(void **state)
{
	struct pair *pair = *state;
	const uint8_t *bytes;
	size_t length;
	struct ptd_call *call = start(pair, 0);

	run(pair, 1 << 16);
	assert_ptr_equal(core_ended(pair->core), call);
	core_recycle(pair->core, call);
	assert_false(core_over(pair->core));
	core_input(pair->core, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0);
	while ((length = core_output(pair->core, &bytes)))
		core_wrote(pair->core, length);
	assert_true(core_over(pair->core));
}

static bool two_messages(void *arg, const uint8_t *data, size_t length)
{
	char *text = arg;

	strncat(text, (const char *)data, length);
	strcat(text, ";");
	return true;
}

static void a_stream_delivers_each_message(void **state)
{
	struct pair *pair = *state;
	char text[64] = "";
	const struct core_request request = {
		.method = METHOD, .message = two_messages, .arg = text};
	struct ptd_status why;
	struct ptd_call *call;

	pair->server.answer.body = (const uint8_t *)"\0\0\0\0\2ab\0\0\0\0\0\0\0\0\0\1c";
	pair->server.answer.length = 18;
	call = core_start(pair->core, &request, 0, &why);
	run(pair, 1);
	assert_ptr_equal(core_ended(pair->core), call);
	assert_int_equal(call->end->state, PTD_STATE_OK);
	assert_string_equal(text, "ab;;c;");
	core_recycle(pair->core, call);
}

static void base64_takes_padded_and_unpadded_text(void **state)
{
	uint8_t bytes[8];

	(void)state;
	assert_int_equal(base64_decode((const uint8_t *)"YQ==", 4, bytes, 8), 1);
	assert_int_equal(base64_decode((const uint8_t *)"YWI", 3, bytes, 8), 2);
	assert_memory_equal(bytes, "ab", 2);
	assert_int_equal(base64_decode((const uint8_t *)"Y W", 3, bytes, 8), -1);
	assert_int_equal(base64_decode((const uint8_t *)"YWJjZGVmZ2hp", 12, bytes, 8), -1);
}

static void damaged_details_leave_the_status_as_it_is(void **state)
{
	struct ptd_status status;

	(void)state;
	status_clear(&status);
	status_details(&status, (const uint8_t *)"/////////w", 10);
	status_details(&status, (const uint8_t *)"CAYaPgoo", 8);
	status_details(&status, (const uint8_t *)"", 0);
	assert_int_equal(status.code, 0);
	assert_int_equal(status.level, PTD_LEVEL_UNKNOWN);
}

static void messages_cannot_write_to_a_terminal(void **state)
{
	struct ptd_status status;

	(void)state;
	status_clear(&status);
	status_message(&status, (const uint8_t *)"a%1B[31mb%0A%zz%4", 17);
	assert_string_equal(status.message, "a?[31mb?%zz%4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_comes_back_whole_whatever_the_pieces),
		TEST(a_thousand_pipelined_calls_all_end),
		TEST(a_refusal_carries_code_hint_and_nearest_values),
		TEST(a_recycled_call_keeps_nothing_of_its_last_failure),
		TEST(a_reset_is_refused_or_unknown_by_its_code),
		TEST(answers_that_are_not_one_message_are_not_ok),
		TEST(an_empty_message_is_an_answer),
		TEST(an_http_error_is_a_grpc_status),
		TEST(a_lost_connection_tells_sent_from_unsent),
		TEST(a_deadline_is_sent_and_then_kept),
		TEST(a_cancelled_call_ends_once_and_its_answer_is_ignored),
		TEST(a_call_cancelled_before_it_left_has_failed),
		TEST(garbage_ends_the_session),
		TEST(a_stream_delivers_each_message),
		cmocka_unit_test(base64_takes_padded_and_unpadded_text),
		cmocka_unit_test(damaged_details_leave_the_status_as_it_is),
		cmocka_unit_test(messages_cannot_write_to_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
