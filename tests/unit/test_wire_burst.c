/* SPDX-License-Identifier: BSD-2-Clause */
/* Many calls in one piece: who is alone is not sent away, and what is over counts no more. */
#include "conn.h"
#include "wire_fixture.h"

#define APPLY	  "/ptd.v1.MappingService/Apply"
#define LIST	  "/grpc.health.v1.Health/List"
#define EXHAUSTED 8

static const struct wire_config off;

static size_t put_frame(uint8_t *at, uint8_t type, uint8_t flags, int32_t id, const void *body,
			size_t n)
{
	const uint8_t head[9] = {0, (uint8_t)(n >> 8),	 (uint8_t)n,	     type,	 flags,
				 0, (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	memcpy(at, head, 9);
	memcpy(at + 9, body, n);
	return 9 + n;
}

/* `calls` whole calls, whose message is `message` with its prefix. */
static void burst(struct wire *w, struct wire_peer *p, const char *path, unsigned calls,
		  const void *message, size_t n)
{
	uint8_t block[256], *data = malloc(calls * (sizeof(block) + n + 18));
	size_t length = 0, fields = 0;

	assert_non_null(data);
	fields += wire_literal(block + fields, ":method", "POST");
	fields += wire_literal(block + fields, ":scheme", "http");
	fields += wire_literal(block + fields, ":path", path);
	fields += wire_literal(block + fields, ":authority", "localhost");
	fields += wire_literal(block + fields, "content-type", "application/grpc");
	fields += wire_literal(block + fields, "te", "trailers");
	for (unsigned i = 0; i < calls; i++, p->next_stream += 2) {
		length += put_frame(data + length, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS,
				    p->next_stream, block, fields);
		length += put_frame(data + length, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM,
				    p->next_stream, message, n);
	}
	wire_send(w, p, data, length);
	free(data);
}

static unsigned answers(const struct wire_peer *p, int grpc)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->count; i++)
		n += p->seen[i].type == NGHTTP2_HEADERS && p->seen[i].grpc == grpc;
	return n;
}

/* As many as SETTINGS allow, twice in a turn: in flight are never more. */
static void who_is_alone_may_have_all_streams_at_once(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		burst(w, p, APPLY, LIMIT_CONCURRENT_STREAMS, "\0\0\0\0", 5);
		assert_int_equal(answers(p, EXHAUSTED), 0);
		assert_int_equal(answers(p, 3) + answers(p, 5), i * LIMIT_CONCURRENT_STREAMS);
	}
	wire_drop(w, p);
	wire_end(w);
}

/* Calls of others long ago do not count. */
static void who_is_alone_again_has_all_streams_again(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		p[i] = wire_connect(w, "uid:1", true, 65535);
		burst(w, p[i], APPLY, 1, "\0\0\0\0", 5);
	}
	shard_idle(w->shard);
	w->now_ns += SECOND;
	burst(w, p[0], APPLY, LIMIT_CONCURRENT_STREAMS, "\0\0\0\0", 5);
	assert_int_equal(answers(p[0], EXHAUSTED), 0);
	for (unsigned i = 0; i < 4; i++)
		wire_drop(w, p[i]);
	wire_end(w);
}

/* Their answers do not leave, but there is no more work to do for them. */
static void calls_that_never_run_are_no_work(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	p->stuck = true;
	burst(w, p, LIST, 1, "\0\0\0\0", 5);
	burst(w, p, APPLY, 100, "\0\0\0\0\2\xff\xff", 7); /* malformed */
	assert_int_equal(w->shard->admission.under_way, 0);
	wire_drop(w, p);
	wire_end(w);
}

/* Answers behind a write that does not leave are their principal's, as those behind a window. */
static void answers_behind_a_stuck_write_are_charged(void **state)
{
	struct wire *w = wire_start(&off);
	struct wire_peer *p = wire_connect(w, "uid:1", true, 65535);

	(void)state;
	p->stuck = true;
	burst(w, p, LIST, 1, "\0\0\0\0", 5);
	burst(w, p, LIST, 400, "\0\0\0\0", 5);
	assert_true(w->shard->conns->queued > 100000);
	assert_true(w->shard->conns->share.held[PRINCIPAL_OUTPUT] >= w->shard->conns->queued);
	wire_drop(w, p);
	wire_end(w);
}

/* Connections that had many calls once do not keep room for them from others of their principal. */
static void calls_that_are_over_leave_their_room_to_others(void **state)
{
	enum { EACH = 64, PEERS = WIRE_PRINCIPAL_CALLS / EACH };
	struct wire *w = wire_start(&off);
	struct wire_peer *p[PEERS], *more;

	(void)state;
	for (unsigned i = 0; i < PEERS; i++) {
		p[i] = wire_connect(w, "uid:1", true, 65535);
		burst(w, p[i], LIST, EACH, "\0\0\0\0", 5);
		assert_int_equal(answers(p[i], 0), EACH);
	}
	more = wire_connect(w, "uid:1", true, 65535);
	assert_int_equal(wire_unary(w, more, LIST), 0);
	for (unsigned i = 0; i < PEERS; i++)
		wire_drop(w, p[i]);
	wire_drop(w, more);
	wire_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_alone_may_have_all_streams_at_once),
		cmocka_unit_test(who_is_alone_again_has_all_streams_again),
		cmocka_unit_test(calls_that_never_run_are_no_work),
		cmocka_unit_test(answers_behind_a_stuck_write_are_charged),
		cmocka_unit_test(calls_that_are_over_leave_their_room_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
