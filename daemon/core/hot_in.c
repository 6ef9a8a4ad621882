/* SPDX-License-Identifier: BSD-2-Clause */
/* Unpacking Apply and Session messages: one pass over the bytes, one look at each field's tag. */
#include "hot.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ptd/v1/mapping.pb-c.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Memory for all that one short message unpacks to, taken at once; a longer one's columns are taken
 * one by one. */
struct memory {
	uint8_t *at, *end;
	ProtobufCAllocator *arena;
};

/* What is left to read; `bad` stays once something does not fit. */
struct in {
	const uint8_t *at, *end;
	struct memory *memory;
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
	if (unlikely(*in->at++ >= 0x80 || !number || in->seen & 1u << number)) {
		spoil(in);
		return 0;
	}
	in->seen |= 1u << number;
	return number;
}

static inline uint64_t fixed64(struct in *in)
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
static inline struct in inner(struct in *in)
{
	uint64_t length = varint(in);
	struct in part = {in->at, in->at, in->memory, 0, in->bad};

	if (unlikely(length > (uint64_t)(in->end - in->at))) {
		spoil(in);
		part.bad = true;
		return part;
	}
	in->at += length;
	part.end = in->at;
	return part;
}

static void *take_slowly(struct in *in, size_t bytes)
{
	ProtobufCAllocator *arena = in->memory->arena;
	void *block = arena->alloc(arena->allocator_data, bytes);

	if (!block)
		spoil(in);
	return block;
}

/* 8-byte aligned. */
static inline void *take(struct in *in, size_t bytes)
{
	struct memory *m = in->memory;
	size_t size = (bytes + 7) & ~(size_t)7;
	void *block = m->at;

	if (unlikely((size_t)(m->end - m->at) < size))
		return take_slowly(in, bytes);
	m->at += size;
	return block;
}

#define SHORT	128u /* bytes on the wire */
#define STRUCTS (sizeof(Ptd__V1__SessionRequest) + sizeof(struct batch))

/* A byte on the wire is at most one entry of a column of 32 bits; each of six columns and a request
 * id is rounded up. */
static void take_memory(struct memory *m, ProtobufCAllocator *arena, size_t length, size_t structs)
{
	size_t bytes = structs + 4 * length + 7 * 8;

	*m = (struct memory){.arena = arena};
	if (length > SHORT)
		return;
	m->at = arena->alloc(arena->allocator_data, bytes);
	if (m->at)
		m->end = m->at + bytes;
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

static inline void fixed64_column(struct in *in, uint64_t **column, size_t *n)
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
	if (likely(length == 8))
		memcpy(*column, part.at, 8);
	else
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

static void long_column(struct in *in, struct in part, uint32_t **column, size_t *n)
{
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

static inline void uint32_column(struct in *in, uint32_t **column, size_t *n)
{
	struct in part = inner(in);

	if (unlikely(part.end - part.at != 1 || *part.at >= 0x80)) {
		long_column(in, part, column, n);
		return;
	}
	*column = take(in, sizeof(**column));
	if (!*column)
		return;
	**column = *part.at;
	*n = 1;
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
	uint64_t ipa, size, pa; /* of a single item */
	uint32_t kind, prot, flags;
};

/* A column of one entry in ascending order of numbers: its tag, its length, its value. */
static inline const uint8_t *one64(const uint8_t *at, const uint8_t *end, uint8_t number,
				   uint64_t *value, uint64_t **column, size_t *n)
{
	if (end - at < 10 || at[0] != (number << 3 | WIRE_BYTES) || at[1] != 8)
		return at;
	memcpy(value, at + 2, 8);
	*column = value;
	*n = 1;
	return at + 10;
}

static inline const uint8_t *one32(const uint8_t *at, const uint8_t *end, uint8_t number,
				   uint32_t *value, uint32_t **column, size_t *n)
{
	if (end - at < 3 || at[0] != (number << 3 | WIRE_BYTES) || at[1] != 1 || at[2] >= 0x80)
		return at;
	*value = at[2];
	*column = value;
	*n = 1;
	return at + 3;
}

/* A single item, as encoders write it. False: not that. */
static inline bool ops_of_one(const uint8_t *at, const uint8_t *end, struct batch *b)
{
	Ptd__V1__Ops *o = &b->ops;

	at = one64(at, end, 1, &b->ipa, &o->ipa, &o->n_ipa);
	at = one64(at, end, 2, &b->size, &o->size, &o->n_size);
	at = one64(at, end, 3, &b->pa, &o->pa, &o->n_pa);
	at = one32(at, end, 4, &b->kind, &o->kind, &o->n_kind);
	at = one32(at, end, 5, &b->prot, &o->prot, &o->n_prot);
	at = one32(at, end, 6, &b->flags, &o->flags, &o->n_flags);
	return at == end;
}

/* The fields that most have, as encoders write them, with a single item. False: not that. */
static bool apply_in_order(const struct in *in, struct batch *b)
{
	static const Ptd__V1__Ops no_ops = PTD__V1__OPS__INIT;
	const uint8_t *at = in->at, *end = in->end;

	if (end - at >= 2 && at[0] == (2 << 3 | WIRE_VARINT) && at[1] < 0x80) {
		b->request.mode = (Ptd__V1__BatchMode)at[1];
		at += 2;
	}
	if (end - at >= 2 && at[0] == (3 << 3 | WIRE_BYTES) && at[1] < 0x80) {
		if (end - at - 2 < at[1])
			return false;
		b->ops = no_ops;
		b->request.ops = &b->ops;
		if (!ops_of_one(at + 2, at + 2 + at[1], b))
			return false;
		at += 2 + at[1];
	}
	if (end - at >= 2 && at[0] == (7 << 3 | WIRE_VARINT) && at[1] <= 1) {
		b->request.want_outcomes = at[1];
		at += 2;
	}
	return at == end;
}

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
		q->ops = &b->ops;
		b->ops = no_ops;
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
	if (likely(apply_in_order(in, b)))
		return &b->request;
	b->request = nothing;
	while ((number = next_field(in, &wire)))
		apply_field(in, b, number, wire);
	return in->bad ? NULL : &b->request;
}

ProtobufCMessage *hot_unpack_apply(ProtobufCAllocator *arena, size_t length, const uint8_t *data)
{
	struct memory memory;
	struct in in = {data, length ? data + length : data, &memory, 0, false};
	Ptd__V1__ApplyRequest *request;

	take_memory(&memory, arena, length, sizeof(struct batch));
	request = apply(&in);
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
	struct memory memory;
	struct in in = {data, length ? data + length : data, &memory, 0, false};
	Ptd__V1__SessionRequest *q;
	uint32_t number;
	enum wire wire;

	take_memory(&memory, arena, length, STRUCTS);
	q = take(&in, sizeof(*q));
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
