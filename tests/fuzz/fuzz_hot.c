/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: every request type of the domain through the look over its wire form and unpacking
 * into a capped arena; and where a method has its own faster way, that way beside protobuf-c's:
 * what it takes has to be the same message, and what it packs the same bytes.
 */
#include "fuzz.h"

#include "arena.h"
#include "domain.h"
#include "hot.h"
#include "scan.h"

#include "ptd/v1/mapping.pb-c.h"

#define ROOM 8192

static const char *const word[] = {"m0", "m0/c0", "", "\xc3\xa9", NULL};
static const struct vocabulary words = {
	.handle = {1, 2, UINT64_C(0x123456789abcdef0)}, .handles = 3, .word = word};

typedef ProtobufCMessage *fast_unpack(ProtobufCAllocator *, size_t, const uint8_t *);
typedef size_t fast_pack(const ProtobufCMessage *, uint8_t *);

static size_t pack(const ProtobufCMessage *message, uint8_t **bytes)
{
	size_t n = protobuf_c_message_get_packed_size(message);

	*bytes = malloc(n + 1);
	CHECK(*bytes && protobuf_c_message_pack(message, *bytes) == n);
	return n;
}

static void same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	uint8_t *x, *y;
	size_t n = pack(a, &x);

	CHECK(a->descriptor == b->descriptor && pack(b, &y) == n && !memcmp(x, y, n));
	free(x);
	free(y);
}

/* A copy that ends where the message does. */
static void unpack_both(const ProtobufCMessageDescriptor *type, fast_unpack *fast,
			const uint8_t *bytes, size_t length)
{
	struct slab slab = {0};
	struct arena arena;
	uint8_t first[512], *copy = malloc(length ? length : 1);
	ProtobufCMessage *a = NULL, *b;
	bool looks_well;

	CHECK(copy);
	memcpy(copy, bytes, length);
	looks_well = wire_scan(type, copy, length) == SCAN_OK;
	arena_init(&arena, &slab, first, sizeof(first));
	arena.cap = 16 * length + 4096;
	if (fast)
		a = fast(&arena.allocator, length, copy);
	CHECK(arena.used <= arena.cap);
	CHECK(!a || looks_well); /* it need not be looked over first */
	if (looks_well) {
		arena.cap += arena.used;
		b = protobuf_c_message_unpack(type, &arena.allocator, length, copy);
		CHECK(arena.used <= arena.cap);
		CHECK(!a || b || arena.overflow);
		if (a && b)
			same(a, b);
	}
	arena_fini(&arena);
	CHECK(!slab.used);
	free(copy);
}

static void pack_both(struct source *in, const ProtobufCMessageDescriptor *type, fast_pack *fast)
{
	static uint8_t bytes[ROOM];
	size_t length = generate(in, type, &words, bytes, ROOM), most, n;
	ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, bytes);
	uint8_t *x, *y;

	if (!message)
		return;
	most = fast(message, NULL);
	if (most) {
		x = malloc(most);
		CHECK(x);
		n = fast(message, x);
		CHECK(n <= most && n == pack(message, &y) && !memcmp(x, y, n));
		free(x);
		free(y);
	}
	protobuf_c_message_free_unpacked(message, NULL);
}

static const struct method *pick_method(uint16_t number)
{
	const struct method *best = domain_methods;

	for (const struct method *m = domain_methods; m->path; m++)
		if ((uint16_t)(method_number(m->path) - number) <
		    (uint16_t)(method_number(best->path) - number))
			best = m;
	return best;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static uint8_t bytes[ROOM];
	struct source in = source_of(data, length);
	const ProtobufCMessageDescriptor *type = &ptd__v1__session_request__descriptor;
	fast_unpack *fast = hot_unpack_session;
	uint8_t how = take(&in);
	size_t n;

	if ((how & 0x7f) < 96) {
		const struct method *method = pick_method((uint16_t)take_number(&in, 2));

		type = method->request;
		fast = method->unpack;
	}
	if ((how & 0x7f) >= 112) {
		if (how & 1)
			pack_both(&in, &ptd__v1__apply_response__descriptor, hot_pack_apply);
		else
			pack_both(&in, &ptd__v1__session_response__descriptor, hot_pack_session);
		return 0;
	}
	if (how & 0x80) {
		const uint8_t *raw = take_bytes(&in, ROOM, &n);

		memcpy(bytes, raw, n);
	} else {
		n = generate(&in, type, &words, bytes, ROOM);
		uint8_t damage = take(&in);

		if (damage & 4) /* one behind the other: they are to be merged */
			n += generate(&in, type, &words, bytes + n, ROOM - n);
		for (unsigned i = damage & 3; i && n; i--)
			bytes[take_number(&in, 2) % n] ^= (uint8_t)take_number(&in, 1);
	}
	unpack_both(type, fast, bytes, n);
	return 0;
}
