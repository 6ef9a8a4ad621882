/* SPDX-License-Identifier: BSD-2-Clause */
/* A call that is cancelled, or whose deadline passes, at each point of its life: an ATOMIC batch
 * has all of its effect or none, the others keep what they did, and nothing is held afterwards. */
#include "shard_state.h"
#include "wire_fixture.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#define ITEMS 32768u
#define APPLY "/ptd.v1.MappingService/Apply"
#define CHECK "/grpc.health.v1.Health/Check"
#define PAGE  UINT64_C(4096)

struct bench {
	struct wire *w;
	struct wire_peer *p;
	uint64_t machine, context;
};

/* One call at once, whose answer holds a handle right behind `mark`. */
static void call(struct bench *b, const char *path, const ProtobufCMessage *request)
{
	uint8_t body[256];
	int32_t id = wire_open(b->w, b->p, path, NULL);

	wire_message(b->w, b->p, id, body, protobuf_c_message_pack(request, body), true);
	assert_int_equal(wire_status(b->p, id), 0);
}

/* Handles hold 16 bits of the epoch (1) and count up from 1. */
static uint64_t handle(uint64_t number)
{
	return UINT64_C(1) << 48 | number;
}

static struct bench begin(uint32_t window)
{
	static const struct wire_config off;
	struct bench b = {.w = wire_start(&off)};
	Ptd__V1__CreateMachineRequest m = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateContextRequest c = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	struct wire_peer *setup;

	setup = b.p = wire_connect(b.w, "uid:1", true, 65535);
	m.name = (char *)(uintptr_t) "m";
	m.memory_bytes = 64u << 20;
	m.vcpus = 1;
	call(&b, "/ptd.v1.MachineService/CreateMachine", &m.base);
	b.machine = handle(1);
	c.machine = b.machine;
	c.name = (char *)(uintptr_t) "g";
	c.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	call(&b, "/ptd.v1.ContextService/CreateContext", &c.base);
	b.context = handle(2);
	wire_drop(b.w, setup);
	b.p = wire_connect(b.w, "uid:1", true, window);
	return b;
}

static void end(struct bench *b)
{
	wire_drop(b->w, b->p);
	wire_end(b->w);
}

static uint64_t written(const struct bench *b)
{
	return b->w->shard->counters->leaves_written;
}

static uint64_t mapped(const struct bench *b)
{
	return written(b) - b->w->shard->counters->leaves_removed;
}

/* A framed Apply that maps ITEMS pages, every second one. */
static uint8_t *apply_body(const struct bench *b, Ptd__V1__BatchMode mode, size_t *length)
{
	static uint64_t ipa[ITEMS], pa[ITEMS];
	uint64_t size = PAGE;
	uint32_t kind = 1, prot = 3;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	uint8_t *body;

	for (unsigned i = 0; i < ITEMS; i++) {
		ipa[i] = 2 * i * PAGE;
		pa[i] = i * PAGE;
	}
	ops.n_ipa = ops.n_pa = ITEMS;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	ops.ipa = ipa;
	ops.pa = pa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	q.context = b->context;
	q.mode = mode;
	q.ops = &ops;
	*length = 5 + protobuf_c_message_get_packed_size(&q.base);
	body = malloc(*length);
	assert_non_null(body);
	protobuf_c_message_pack(&q.base, body + 5);
	*body = 0;
	for (unsigned i = 0; i < 4; i++)
		body[1 + i] = (uint8_t)((*length - 5) >> (24 - 8 * i));
	return body;
}

/* Sends `n` bytes of a body in DATA frames, and lets the shard run `steps` steps after it. */
static void send_body(struct bench *b, int32_t id, const uint8_t *body, size_t n, bool whole,
		      unsigned steps)
{
	uint8_t *data = malloc(n + 9 * (n / 16384 + 1)), *at = data;
	struct event event = {.kind = EVENT_BYTES, .peer = &b->p->peer, .data = data};

	assert_non_null(data);
	for (size_t done = 0; done < n;) {
		size_t part = n - done > 16384 ? 16384 : n - done;
		uint8_t head[9] = {0,
				   (uint8_t)(part >> 8),
				   (uint8_t)part,
				   NGHTTP2_DATA,
				   whole && done + part == n,
				   0,
				   0,
				   (uint8_t)(id >> 8),
				   (uint8_t)id};

		memcpy(at, head, 9);
		memcpy(at + 9, body + done, part);
		at += 9 + part;
		done += part;
	}
	event.length = (size_t)(at - data);
	wire_step(b->w, &event);
	for (unsigned i = 0; i < steps; i++) {
		struct event mail = {.kind = EVENT_MAIL};

		wire_step(b->w, &mail);
	}
	free(data);
}

static int32_t apply_for(struct bench *b, Ptd__V1__BatchMode mode, const char *timeout,
			 unsigned steps)
{
	size_t length;
	uint8_t *body = apply_body(b, mode, &length);
	int32_t id = wire_open(b->w, b->p, APPLY, timeout);

	send_body(b, id, body, length, true, steps);
	free(body);
	return id;
}

static void cancel(struct bench *b, int32_t id)
{
	const uint8_t code[4] = {0, 0, 0, NGHTTP2_CANCEL};

	wire_frame(b->w, b->p, NGHTTP2_RST_STREAM, 0, id, code, 4);
}

/* No call is left, and the next one is served. */
static void all_is_well(struct bench *b)
{
	wire_settle(b->w, b->p);
	assert_false(wire_ended(b->p));
	wire_frame(b->w, b->p, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\1\0\0", 4);
	assert_int_equal(wire_unary(b->w, b->p, CHECK), 0);
}

static void before_the_body_and_amid_it(void **state)
{
	struct bench b = begin(65535);
	size_t length;
	uint8_t *body = apply_body(&b, PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC, &length);
	int32_t id = wire_open(b.w, b.p, APPLY, NULL);

	(void)state;
	cancel(&b, id);
	id = wire_open(b.w, b.p, APPLY, NULL);
	send_body(&b, id, body, length / 2, false, 1);
	cancel(&b, id);
	cancel(&b, id); /* twice */
	assert_int_equal(written(&b), 0);
	all_is_well(&b);
	free(body);
	end(&b);
}

/* One run: how many pages are mapped when the cancel comes after `steps` steps of an Apply. */
static uint64_t cancelled_after(Ptd__V1__BatchMode mode, unsigned steps)
{
	struct bench b = begin(65535);
	int32_t id = apply_for(&b, mode, NULL, steps);
	uint64_t left;

	cancel(&b, id);
	all_is_well(&b);
	left = mapped(&b);
	/* Nothing is held: the same batch runs now. */
	id = apply_for(&b, PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC, NULL, 0);
	wire_settle(b.w, b.p);
	assert_int_equal(wire_status(b.p, id), 0);
	assert_int_equal(mapped(&b), ITEMS);
	end(&b);
	return left;
}

/* Until the first item has its effect a cancel undoes; from then on the batch runs to its end. */
static void has_all_or_none(Ptd__V1__BatchMode mode, unsigned most, bool may_stop)
{
	unsigned none = 0, all = 0;

	for (unsigned steps = 0; steps < most; steps++) {
		uint64_t left = cancelled_after(mode, steps);

		none += left == 0;
		all += left == ITEMS;
	}
	print_message("%u times none, %u times all\n", none, all);
	assert_int_equal(none + all, most);
	assert_true(all > 0);
	assert_int_equal(none > 0, may_stop);
}

static void an_atomic_batch_has_all_of_its_effect_or_none(void **state)
{
	(void)state;
	has_all_or_none(PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC, 5, true);
}

static void a_batch_that_has_begun_is_not_cut_in_two(void **state)
{
	(void)state;
	has_all_or_none(PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT, 5, false);
}

static void a_cancel_that_comes_with_the_last_byte_undoes_all(void **state)
{
	struct bench b = begin(65535);
	int32_t id = wire_open(b.w, b.p, APPLY, NULL);
	struct event event = {.kind = EVENT_BYTES, .peer = &b.p->peer};
	const uint8_t reset[13] = {0, 0, 4, NGHTTP2_RST_STREAM, 0, 0, 0, 0, (uint8_t)id,
				   0, 0, 0, NGHTTP2_CANCEL};
	size_t length;
	uint8_t *body = apply_body(&b, PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT, &length);

	(void)state;
	send_body(&b, id, body, length - 1, false, 0);
	{
		uint8_t last[10 + 13] = {0, 0, 1, NGHTTP2_DATA, 1,
					 0, 0, 0, (uint8_t)id,	body[length - 1]};

		memcpy(last + 10, reset, 13);
		event.data = last;
		event.length = sizeof(last);
		wire_step(b.w, &event);
	}
	all_is_well(&b);
	assert_int_equal(written(&b), 0);
	free(body);
	end(&b);
}

/* Before its commit point a deadline undoes a call, and after it the answer tells. */
static void a_deadline_amid_a_batch_leaves_none_or_all(void **state)
{
	unsigned none = 0, all = 0;

	(void)state;
	for (unsigned steps = 0; steps < 5; steps++) {
		struct bench b = begin(65535);
		int32_t id = apply_for(&b, PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC, "5m", steps);

		wire_until(b.w, b.p, b.w->now_ns + 5 * MS);
		wire_settle(b.w, b.p);
		assert_true(wire_status(b.p, id) == 0 || wire_status(b.p, id) == 4);
		none += mapped(&b) == 0;
		all += mapped(&b) == ITEMS;
		assert_int_equal(wire_status(b.p, id) == 0, mapped(&b) == ITEMS);
		all_is_well(&b);
		end(&b);
	}
	print_message("%u times none, %u times all\n", none, all);
	assert_int_equal(none + all, 5);
	assert_true(none > 0);
}

/* The answer waits for a window when the cancel comes. */
static void after_the_last_byte_was_queued(void **state)
{
	struct bench b = begin(0);
	int32_t id = apply_for(&b, PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC, NULL, 0);

	(void)state;
	wire_settle(b.w, b.p);
	assert_int_equal(mapped(&b), ITEMS);
	assert_int_equal(wire_status(b.p, id), -1);
	assert_true(b.w->shard->slab.used > 0);
	cancel(&b, id);
	cancel(&b, id);
	assert_int_equal(mapped(&b), ITEMS);
	wire_settle(b.w, b.p);
	assert_false(wire_ended(b.p));
	end(&b);
}

static void ten_thousand_connections_leave_nothing_behind(void **state)
{
	struct bench b = begin(65535);
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct wire_peer *p = wire_connect(b.w, "uid:1", true, 65535);

		if (i % 100 == 0)
			assert_int_equal(wire_unary(b.w, p, CHECK), 0);
		wire_drop(b.w, p);
		used = used ? used : b.w->shard->slab.used;
	}
	assert_int_equal(b.w->shard->slab.used, used);
	assert_int_equal(b.w->shard->conns_count, 1);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_body_and_amid_it),
		cmocka_unit_test(an_atomic_batch_has_all_of_its_effect_or_none),
		cmocka_unit_test(a_batch_that_has_begun_is_not_cut_in_two),
		cmocka_unit_test(a_cancel_that_comes_with_the_last_byte_undoes_all),
		cmocka_unit_test(a_deadline_amid_a_batch_leaves_none_or_all),
		cmocka_unit_test(after_the_last_byte_was_queued),
		cmocka_unit_test(ten_thousand_connections_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
