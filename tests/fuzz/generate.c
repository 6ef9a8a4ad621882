/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages from a descriptor and an input. */
#include "fuzz.h"

#include "codec.h"

#define MAX_DEPTH 5
#define MAX_ITEMS 80u

struct maker {
	struct source *in;
	const struct vocabulary *words;
	struct writer *to;
	unsigned items; /* of repeated fields: columns of a batch have one length */
};

static uint64_t number(struct maker *m)
{
	uint8_t how = take(m->in);

	switch (how & 7) {
	case 0: return how >> 3;
	case 1: return m->words->handles ? m->words->handle[(how >> 3) % m->words->handles] : 0;
	case 2: return take_number(m->in, 1) << 12;
	case 3: return (uint64_t)(how >> 3) << 21;
	case 4: return UINT64_C(1) << (12 + (how >> 3));
	case 5: return take_number(m->in, 4);
	case 6: return take_number(m->in, 8);
	default: return UINT64_MAX - (take(m->in) << 12);
	}
}

/* Enums, flags, ids: small ones as a rule. */
static uint64_t small(struct maker *m)
{
	uint8_t value = take(m->in);

	return value < 0xf0 ? value & 15 : value < 0xf8 ? take_number(m->in, 2) : number(m);
}

static void text(struct maker *m, unsigned field)
{
	uint8_t how = take(m->in);
	unsigned words = 0;
	const uint8_t *bytes;
	size_t length;

	while (m->words->word[words])
		words++;
	if (words && how & 3) {
		put_string(m->to, field, m->words->word[(how >> 2) % words]);
		return;
	}
	bytes = take_bytes(m->in, how >> 2, &length);
	put_bytes(m->to, field, bytes, length);
}

/* Request and session ids: a few, so that they meet again; else any. */
static void octets(struct maker *m, unsigned field)
{
	uint8_t how = take(m->in), id[16];
	const uint8_t *bytes;
	size_t length;

	if (how & 1) {
		memset(id, how >> 1 & 3, sizeof(id));
		put_bytes(m->to, field, id, sizeof(id));
		return;
	}
	bytes = take_bytes(m->in, how >> 1, &length);
	put_bytes(m->to, field, bytes, length);
}

static void fixed(struct writer *to, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++, value >>= 8) {
		if (to->length == to->capacity)
			to->overflow = true;
		else
			to->data[to->length++] = (uint8_t)value;
	}
}

static unsigned wire_type(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT: return 5;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE: return 1;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE: return 2;
	default: return 0;
	}
}

static void scalar(struct maker *m, const ProtobufCFieldDescriptor *f, struct writer *to)
{
	switch (wire_type(f->type)) {
	case 1: fixed(to, number(m), 8); break;
	case 5: fixed(to, number(m), 4); break;
	default:
		put_varint(to, f->type == PROTOBUF_C_TYPE_UINT64 ? number(m)
			       : f->type == PROTOBUF_C_TYPE_BOOL ? take(m->in) & 1
								 : small(m));
		break;
	}
}

static void message(struct maker *m, const ProtobufCMessageDescriptor *type, unsigned depth);

static void inner(struct maker *m, const ProtobufCFieldDescriptor *f, unsigned depth)
{
	uint8_t bytes[4096];
	struct writer writer = {.data = bytes, .capacity = sizeof(bytes)}, *to = m->to;

	m->to = &writer;
	if (depth < MAX_DEPTH)
		message(m, f->descriptor, depth + 1);
	m->to = to;
	put_bytes(to, f->id, bytes, writer.length);
}

static void one(struct maker *m, const ProtobufCFieldDescriptor *f, unsigned depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: text(m, f->id); break;
	case PROTOBUF_C_TYPE_BYTES: octets(m, f->id); break;
	case PROTOBUF_C_TYPE_MESSAGE: inner(m, f, depth); break;
	default:
		put_varint(m->to, (uint64_t)f->id << 3 | wire_type(f->type));
		scalar(m, f, m->to);
		break;
	}
}

static void packed(struct maker *m, const ProtobufCFieldDescriptor *f, unsigned items)
{
	uint8_t bytes[MAX_ITEMS * 10];
	struct writer to = {.data = bytes, .capacity = sizeof(bytes)};

	while (items--)
		scalar(m, f, &to);
	put_bytes(m->to, f->id, bytes, to.length);
}

static void repeated(struct maker *m, const ProtobufCFieldDescriptor *f, uint8_t how,
		     unsigned depth)
{
	unsigned items = how < 0xf0 ? m->items : how & 15;

	if (wire_type(f->type) != 2 && how < 0xe0)
		packed(m, f, items);
	else
		while (items--)
			one(m, f, depth);
}

static void message(struct maker *m, const ProtobufCMessageDescriptor *type, unsigned depth)
{
	unsigned before = m->items, chosen = type->n_fields;
	uint8_t count = take(m->in);

	m->items = count < 0xf8 ? count & 7 : count % MAX_ITEMS;
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];
		uint8_t how = take(m->in);

		if (!(how & 7) || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && chosen < i && how & 1))
			continue;
		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			chosen = i;
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			repeated(m, f, how, depth);
		else
			one(m, f, depth);
	}
	m->items = before;
}

size_t generate(struct source *in, const ProtobufCMessageDescriptor *type,
		const struct vocabulary *words, uint8_t *out, size_t room)
{
	struct writer to = {.data = out, .capacity = room};
	struct maker m = {.in = in, .words = words, .to = &to};

	message(&m, type, 0);
	return to.length;
}
