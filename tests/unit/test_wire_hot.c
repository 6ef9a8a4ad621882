/* SPDX-License-Identifier: BSD-2-Clause */
/* The fast codec beside protobuf-c: what it takes and what it writes must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arena.h"
#include "hot.h"

#include <stdlib.h>
#include <string.h>

#include "ptd/v1/mapping.pb-c.h"

#define ROUNDS 3000
#define ITEMS  40

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (state >> 20) % below;
}

static void seed(void)
{
	const char *text = getenv("PTD_SEED");

	state = text ? strtoull(text, NULL, 0) : 20;
	print_message("PTD_SEED=%llu\n", (unsigned long long)state);
}

/* Small numbers often, any number sometimes. */
static uint64_t number(void)
{
	uint64_t value = draw(UINT64_C(1) << 44) << 20 | draw(1 << 20);

	return draw(3) ? draw(200) : value >> draw(64);
}

struct columns {
	uint64_t a[ITEMS], b[ITEMS], c[ITEMS];
	uint32_t d[ITEMS], e[ITEMS], f[ITEMS];
	uint8_t id[16];
};

static void fill(struct columns *c)
{
	for (int i = 0; i < ITEMS; i++) {
		c->a[i] = number();
		c->b[i] = number();
		c->c[i] = number();
		c->d[i] = (uint32_t)number();
		c->e[i] = (uint32_t)number();
		c->f[i] = (uint32_t)number();
	}
}

/* Entries of a column; `one`: a single item. */
static size_t some(bool one)
{
	return one ? draw(8) != 0 : draw(ITEMS);
}

static void random_apply(Ptd__V1__ApplyRequest *q, Ptd__V1__Ops *o, struct columns *c)
{
	bool one = draw(2);

	ptd__v1__apply_request__init(q);
	ptd__v1__ops__init(o);
	fill(c);
	*o = (Ptd__V1__Ops){o->base,   some(one), c->a,	     some(one), c->b,	   some(one), c->c,
			    some(one), c->d,	  some(one), c->e,	some(one), c->f};
	q->context = draw(2) ? number() : 0;
	q->mode = (Ptd__V1__BatchMode)draw(4);
	q->ops = draw(8) ? o : NULL;
	q->request_id = (ProtobufCBinaryData){draw(2) ? 16 : 0, c->id};
	q->expected_generation = draw(2) ? number() >> 1 : 0;
	q->validate_only = draw(2);
	q->want_outcomes = draw(2);
}

typedef ProtobufCMessage *unpack_fn(ProtobufCAllocator *arena, size_t length, const uint8_t *data);

/* 1: taken, and equal to what protobuf-c makes of it. 0: left to protobuf-c. */
static int compare(unpack_fn *hot, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
		   size_t length)
{
	static struct slab slab;
	static uint8_t first[4096], one[16384], two[16384];
	struct arena arena = {.cap = 1 << 20};
	uint8_t *exact = malloc(length ? length : 1); /* a sanitizer sees what is read beyond */
	ProtobufCMessage *taken, *general;
	size_t n;

	assert_non_null(exact);
	memcpy(exact, bytes, length);
	arena_init(&arena, &slab, first, sizeof(first));
	arena.cap = 1 << 20;
	taken = hot(&arena.allocator, length, exact);
	general = protobuf_c_message_unpack(type, &arena.allocator, length, exact);
	if (taken) {
		assert_non_null(general);
		n = protobuf_c_message_get_packed_size(general);
		assert_true(n <= sizeof(one));
		assert_int_equal(protobuf_c_message_get_packed_size(taken), n);
		assert_int_equal(protobuf_c_message_pack(taken, one), n);
		assert_int_equal(protobuf_c_message_pack(general, two), n);
		assert_memory_equal(one, two, n);
	}
	arena_fini(&arena);
	slab_fini(&slab);
	free(exact);
	return taken != NULL;
}

static void damage(uint8_t *bytes, size_t length)
{
	for (uint64_t i = draw(4); i && length; i--) {
		uint8_t *at = &bytes[draw(length)];

		*at = draw(2) ? (uint8_t)(*at ^ 1u << draw(8)) : (uint8_t)draw(256);
	}
}

static void apply_requests_are_unpacked_as_protobuf_does(void **unused)
{
	Ptd__V1__ApplyRequest q;
	Ptd__V1__Ops o;
	static struct columns c;
	static uint8_t bytes[8192];
	int taken = 0;

	(void)unused;
	seed();
	for (int i = 0; i < ROUNDS; i++) {
		size_t length;

		random_apply(&q, &o, &c);
		length = protobuf_c_message_pack(&q.base, bytes);
		taken += compare(hot_unpack_apply, q.base.descriptor, bytes, length);
		damage(bytes, length);
		compare(hot_unpack_apply, q.base.descriptor, bytes, length - draw(length / 8 + 1));
	}
	assert_in_range(taken, ROUNDS * 9 / 10, ROUNDS);
}

static void session_requests_are_unpacked_as_protobuf_does(void **unused)
{
	static struct columns c;
	static uint8_t bytes[8192];
	Ptd__V1__ApplyRequest apply;
	Ptd__V1__Ops ops;
	int taken = 0;

	(void)unused;
	seed();
	for (int i = 0; i < ROUNDS; i++) {
		Ptd__V1__SessionRequest q = PTD__V1__SESSION_REQUEST__INIT;
		Ptd__V1__Accesses a = PTD__V1__ACCESSES__INIT;
		size_t length;

		random_apply(&apply, &ops, &c);
		a = (Ptd__V1__Accesses){a.base, draw(ITEMS), c.a, draw(ITEMS),
					c.d,	draw(ITEMS), c.e};
		q.seq = number() >> 1;
		q.what_case = 3 + (unsigned)draw(4);
		q.apply = &apply;
		if (q.what_case > 3)
			q.access = &a;
		length = protobuf_c_message_pack(&q.base, bytes);
		taken += compare(hot_unpack_session, q.base.descriptor, bytes, length);
		damage(bytes, length);
		compare(hot_unpack_session, q.base.descriptor, bytes,
			length - draw(length / 8 + 1));
	}
	assert_in_range(taken, ROUNDS * 9 / 10, ROUNDS);
}

static void other_forms_are_left_to_protobuf(void **unused)
{
	static const struct {
		const char *bytes;
		size_t length;
	} form[] = {
		{"\x10\x01\x10\x02", 4},			      /* a field twice */
		{"\x1a\x00\x1a\x00", 4},			      /* a sub-message twice */
		{"\x40\x01", 2},				      /* an unknown field */
		{"\x90\x00\x01", 3},				      /* a tag of two bytes */
		{"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a negative enum */
		{"\x0d\x00\x00\x00\x00", 5},			      /* another wire type */
		{"\x1a\x02\x20\x01", 4}, /* a column that is not packed */
		{"\x13", 1},		 /* a group */
		{"\x22\x05"
		 "ab",
		 4}, /* cut */
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++)
		assert_int_equal(compare(hot_unpack_apply, &ptd__v1__apply_request__descriptor,
					 (const uint8_t *)form[i].bytes, form[i].length),
				 0);
	assert_int_equal(compare(hot_unpack_session, &ptd__v1__session_request__descriptor,
				 (const uint8_t *)"\x1a\x00\x22\x00", 4),
			 0); /* two members of the oneof */
}

static void same_bytes(const ProtobufCMessage *message,
		       size_t (*pack)(const ProtobufCMessage *, uint8_t *))
{
	static uint8_t hot[16384], general[16384];
	size_t most = pack(message, NULL), n = protobuf_c_message_pack(message, general);

	assert_in_range(n, 0, most);
	assert_in_range(most, 1, sizeof(hot));
	memset(hot, 0x55, sizeof(hot));
	assert_int_equal(pack(message, hot), n);
	assert_memory_equal(hot, general, n);
	assert_int_equal(hot[most], 0x55);
}

static void random_answer(Ptd__V1__ApplyResponse *r, Ptd__V1__Effects *e, struct columns *c)
{
	ptd__v1__apply_response__init(r);
	ptd__v1__effects__init(e);
	fill(c);
	e->leaves_written = draw(2) ? number() : 0;
	e->leaves_removed = number();
	e->already = number();
	e->holes = draw(2) ? UINT64_MAX : 0;
	e->blocks_split = (uint32_t)number();
	e->tables_added = draw(2) ? UINT32_MAX : 0;
	e->tables_freed = (uint32_t)number();
	e->tlbis = (uint32_t)number();
	e->annotated = draw(2) ? UINT64_MAX : 0;
	r->generation = draw(2) ? number() : 0;
	r->applied = (uint32_t)number();
	r->effects = draw(4) ? e : NULL;
	r->errors_total = draw(2) ? (uint32_t)number() : 0;
	r->n_outcome = draw(ITEMS);
	r->outcome = c->d;
}

static void answers_are_packed_as_protobuf_does(void **unused)
{
	static struct columns c;
	Ptd__V1__ApplyResponse r;
	Ptd__V1__Effects e;

	(void)unused;
	seed();
	for (int i = 0; i < ROUNDS; i++) {
		Ptd__V1__SessionResponse s = PTD__V1__SESSION_RESPONSE__INIT;
		Ptd__V1__AccessResults a = PTD__V1__ACCESS_RESULTS__INIT;

		random_answer(&r, &e, &c);
		same_bytes(&r.base, hot_pack_apply);
		s.seq = number();
		s.what_case = PTD__V1__SESSION_RESPONSE__WHAT_APPLY;
		s.apply = &r;
		same_bytes(&s.base, hot_pack_session);
		a = (Ptd__V1__AccessResults){
			a.base, draw(ITEMS), c.d, draw(ITEMS), c.a, draw(ITEMS), c.b, draw(ITEMS),
			c.c,	draw(ITEMS), c.d, draw(ITEMS), c.a};
		s.what_case = PTD__V1__SESSION_RESPONSE__WHAT_RESULTS;
		s.results = &a;
		same_bytes(&s.base, hot_pack_session);
	}
}

static void rare_answers_are_left_to_protobuf(void **unused)
{
	Ptd__V1__ApplyResponse r = PTD__V1__APPLY_RESPONSE__INIT;
	Ptd__V1__SessionResponse s = PTD__V1__SESSION_RESPONSE__INIT;

	(void)unused;
	r.n_errors = 1;
	assert_int_equal(hot_pack_apply(&r.base, NULL), 0);
	s.what_case = PTD__V1__SESSION_RESPONSE__WHAT_APPLY;
	s.apply = &r;
	assert_int_equal(hot_pack_session(&s.base, NULL), 0);
	s.what_case = PTD__V1__SESSION_RESPONSE__WHAT_ERROR;
	assert_int_equal(hot_pack_session(&s.base, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apply_requests_are_unpacked_as_protobuf_does),
		cmocka_unit_test(session_requests_are_unpacked_as_protobuf_does),
		cmocka_unit_test(other_forms_are_left_to_protobuf),
		cmocka_unit_test(answers_are_packed_as_protobuf_does),
		cmocka_unit_test(rare_answers_are_left_to_protobuf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
