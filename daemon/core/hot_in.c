/* SPDX-License-Identifier: BSD-2-Clause */
/* Unpacking Apply and Session messages: one pass over the bytes, one look at each field's tag. */
#include "hot.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ptd/v1/mapping.pb-c.h"

#define likely(x) __builtin_expect(!!(x), 1)

/* What is left to read; `bad` stays once something does not fit. */
struct in {
	const uint8_t *at, *end;
	ProtobufCAllocator *arena;
	uint32_t seen; /* fields of the message under way, by number */
	bool bad;
};

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2 };

static void spoil(struct in *in)
{
	in->bad = true;
	in->at = in->end;
}

/* At most nine bytes: a longer one is protobuf-c's. */
static uint64_t long_varint(struct in *in)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 63 && in->at < in->end; shift += 7) {
		uint8_t byte = *in->at++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	spoil(in);
	return 0;
}

static inline uint64_t varint(struct in *in)
{
	if (likely(in->at < in->end && *in->at < 0x80))
		return *in->at++;
	return long_varint(in);
}

/* The next field's number, if its tag is one byte and it has not been there before; 0: the end. */
static inline uint32_t next_field(struct in *in, enum wire *wire)
{
	uint32_t number;

	if (in->at == in->end)
		return 0;
	number = *in->at >> 3;
	*wire = *in->at & 7;
	if (*in->at++ >= 0x80 || !number || in->seen & 1u << number) {
		spoil(in);
		return 0;
	}
	in->seen |= 1u << number;
	return number;
}

static uint64_t fixed64(struct in *in)
{
	uint64_t value;

	if (in->end - in->at < 8) {
		spoil(in);
		return 0;
	}
	memcpy(&value, in->at, 8); /* protobuf's order is this machine's, as protobuf-c knows */
	in->at += 8;
	return value;
}

/* A field with a length, to be read by itself; the outer one goes on behind it. */
static struct in inner(struct in *in)
{
	uint64_t length = varint(in);
	struct in part = {in->at, in->at, in->arena, 0, in->bad};

	if (length > (uint64_t)(in->end - in->at)) {
		spoil(in);
		part.bad = true;
		return part;
	}
	in->at += length;
	part.end = in->at;
	return part;
}

static void *take(struct in *in, size_t bytes)
{
	void *block = in->arena->alloc(in->arena->allocator_data, bytes);

	if (!block)
		spoil(in);
	return block;
}

static void bytes_field(struct in *in, ProtobufCBinaryData *to)
{
	struct in part = inner(in);
	size_t length = (size_t)(part.end - part.at);

	if (!length)
		return;
	to->data = take(in, length);
	if (!to->data)
		return;
	memcpy(to->data, part.at, length);
	to->len = length;
}

static void fixed64_column(struct in *in, uint64_t **column, size_t *n)
{
	struct in part = inner(in);
	size_t length = (size_t)(part.end - part.at);

	if (length % 8 || !length) {
		spoil(in);
		return;
	}
	*column = take(in, length);
	if (!*column)
		return;
	memcpy(*column, part.at, length);
	*n = length / 8;
}

static size_t varints_in(const struct in *part)
{
	size_t n = 0;

	for (const uint8_t *at = part->at; at < part->end; at++)
		n += *at < 0x80;
	return n;
}

static void uint32_column(struct in *in, uint32_t **column, size_t *n)
{
	struct in part = inner(in);
	size_t count = varints_in(&part), i = 0;

	if (!count) {
		spoil(in);
		return;
	}
	*column = take(in, count * sizeof(**column));
	if (!*column)
		return;
	while (i < count && !part.bad) {
		const uint8_t *from = part.at;

		(*column)[i++] = (uint32_t)varint(&part);
		part.bad = part.bad || part.at - from > 5;
	}
	if (part.bad || part.at != part.end)
		spoil(in);
	*n = count;
}

#define EXPECT(in, wire, wanted) ((wire) == (wanted) ? (void)0 : spoil(in))

/* A number of 32 bits, signed or not: longer forms are protobuf-c's to cut. */
static uint32_t number32(struct in *in, enum wire wire)
{
	uint64_t value;

	EXPECT(in, wire, WIRE_VARINT);
	value = varint(in);
	if (value > UINT32_MAX)
		spoil(in);
	return (uint32_t)value;
}

static uint64_t number64(struct in *in, enum wire wire)
{
	EXPECT(in, wire, WIRE_VARINT);
	return varint(in);
}

static bool boolean(struct in *in, enum wire wire)
{
	return number64(in, wire) != 0;
}

static void ops(struct in *in, Ptd__V1__Ops *o)
{
	uint32_t number;
	enum wire wire;

	while ((number = next_field(in, &wire))) {
		if (wire != WIRE_BYTES) {
			spoil(in);
			return;
		}
		switch (number) {
		case 1: fixed64_column(in, &o->ipa, &o->n_ipa); break;
		case 2: fixed64_column(in, &o->size, &o->n_size); break;
		case 3: fixed64_column(in, &o->pa, &o->n_pa); break;
		case 4: uint32_column(in, &o->kind, &o->n_kind); break;
		case 5: uint32_column(in, &o->prot, &o->n_prot); break;
		case 6: uint32_column(in, &o->flags, &o->n_flags); break;
		default: spoil(in); return;
		}
	}
}

/* Memory for a batch in one piece: nearly all have both parts. */
struct batch {
	Ptd__V1__ApplyRequest request;
	Ptd__V1__Ops ops;
};

static void apply_field(struct in *in, struct batch *b, uint32_t number, enum wire wire)
{
	static const Ptd__V1__Ops no_ops = PTD__V1__OPS__INIT;
	Ptd__V1__ApplyRequest *q = &b->request;
	struct in part;

	switch (number) {
	case 1:
		EXPECT(in, wire, WIRE_64);
		q->context = fixed64(in);
		break;
	case 2: q->mode = (Ptd__V1__BatchMode)number32(in, wire); break;
	case 3:
		EXPECT(in, wire, WIRE_BYTES);
		part = inner(in);
		b->ops = no_ops;
		q->ops = &b->ops;
		ops(&part, q->ops);
		if (part.bad)
			spoil(in);
		break;
	case 4:
		EXPECT(in, wire, WIRE_BYTES);
		bytes_field(in, &q->request_id);
		break;
	case 5: q->expected_generation = number64(in, wire); break;
	case 6: q->validate_only = boolean(in, wire); break;
	case 7: q->want_outcomes = boolean(in, wire); break;
	default: spoil(in); break;
	}
}

static Ptd__V1__ApplyRequest *apply(struct in *in)
{
	static const Ptd__V1__ApplyRequest nothing = PTD__V1__APPLY_REQUEST__INIT;
	struct batch *b = take(in, sizeof(*b));
	uint32_t number;
	enum wire wire;

	if (!b)
		return NULL;
	b->request = nothing;
	while ((number = next_field(in, &wire)))
		apply_field(in, b, number, wire);
	return in->bad ? NULL : &b->request;
}

ProtobufCMessage *hot_unpack_apply(ProtobufCAllocator *arena, size_t length, const uint8_t *data)
{
	struct in in = {data, length ? data + length : data, arena, 0, false};
	Ptd__V1__ApplyRequest *request = apply(&in);

	return request ? &request->base : NULL;
}

static Ptd__V1__Accesses *accesses(struct in *in)
{
	static const Ptd__V1__Accesses nothing = PTD__V1__ACCESSES__INIT;
	Ptd__V1__Accesses *a = take(in, sizeof(*a));
	uint32_t number;
	enum wire wire;

	if (!a)
		return NULL;
	*a = nothing;
	while ((number = next_field(in, &wire))) {
		if (wire != WIRE_BYTES)
			spoil(in);
		else if (number == 1)
			fixed64_column(in, &a->ipa, &a->n_ipa);
		else if (number == 2)
			uint32_column(in, &a->vcpu, &a->n_vcpu);
		else if (number == 3)
			uint32_column(in, &a->access, &a->n_access);
		else
			spoil(in);
	}
	return in->bad ? NULL : a;
}

/* The oneof's member; a second one is protobuf-c's to settle. */
static void session_what(struct in *in, Ptd__V1__SessionRequest *q, uint32_t number)
{
	struct in part = inner(in);

	if (part.bad || q->what_case != PTD__V1__SESSION_REQUEST__WHAT__NOT_SET) {
		spoil(in);
		return;
	}
	switch (number) {
	case 3: q->apply = apply(&part); break;
	case 4: q->access = accesses(&part); break;
	case 5: q->handle_fault = accesses(&part); break;
	case 6: q->translate = accesses(&part); break;
	default: part.bad = true; break; /* open comes once a stream */
	}
	q->what_case = (Ptd__V1__SessionRequest__WhatCase)number;
	if (part.bad)
		spoil(in);
}

ProtobufCMessage *hot_unpack_session(ProtobufCAllocator *arena, size_t length, const uint8_t *data)
{
	static const Ptd__V1__SessionRequest nothing = PTD__V1__SESSION_REQUEST__INIT;
	struct in in = {data, length ? data + length : data, arena, 0, false};
	Ptd__V1__SessionRequest *q = take(&in, sizeof(*q));
	uint32_t number;
	enum wire wire;

	if (!q)
		return NULL;
	*q = nothing;
	while ((number = next_field(&in, &wire))) {
		if (number == 1)
			q->seq = number64(&in, wire);
		else if (wire == WIRE_BYTES)
			session_what(&in, q, number);
		else
			spoil(&in);
	}
	return in.bad ? NULL : &q->base;
}
