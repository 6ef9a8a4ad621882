/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: whole shards with a domain behind them, and what peers may send. The input is a
 * script: bytes as they stand, frames of a small grammar with requests in them, cuts, time, and a
 * driver that holds writes back. What comes out has to be HTTP/2 and gRPC; in the end nothing may
 * be left.
 */
#include "fuzz.h"

#include "dispatch.h"
#include "registry.h"
#include "services.h"
#include "stream.h"
#include "transcript.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/nested.pb-c.h"

#define SHARDS	 2
#define PEERS	 3
#define STREAMS	 64
#define ROOM	 (96u << 10)
#define MAX_STEP 20000

struct wire {
	struct peer peer; /* first */
	uint32_t shard;
	int32_t next_id;
	const struct method *method[STREAMS]; /* by number of the stream */
	bool accepted, closing, closed, told, paused, holds, pending;
	struct transcript transcript;
	size_t length; /* of `out`: sent, and not yet taken */
	uint8_t out[ROOM];
};

struct script {
	struct source in;
	uint64_t now_ns;
	struct domain *domain;
	struct shard *shard[SHARDS];
	uint64_t timer_at[SHARDS];
	bool mail[SHARDS], reclaim[SHARDS];
	struct wire *wire[PEERS];
	unsigned steps;
	bool nested; /* the context may have shadows, and has one */
};

static struct routes *routes;
static const struct method *methods[128];
static unsigned method_count;
static struct vocabulary words;

static void write_action(struct wire *wire, struct action *action)
{
	if (wire->closed)
		return;
	transcript_read(&wire->transcript, action->data, action->length);
	if (action->report || wire->holds)
		wire->pending = true;
	else
		action->done = true;
}

static void carry_out(struct script *s, uint32_t shard)
{
	size_t n;
	struct action *a = shard_actions(s->shard[shard], &n);

	for (size_t i = 0; i < n; i++) {
		struct wire *wire = (struct wire *)(void *)a[i].peer;

		switch (a[i].kind) {
		case ACTION_WRITE: write_action(wire, &a[i]); break;
		case ACTION_PAUSE: wire->paused = true; break;
		case ACTION_RESUME: wire->paused = false; break;
		case ACTION_CLOSE: wire->closing = true; break;
		case ACTION_ABORT: wire->closed = true; break;
		case ACTION_ARM: s->timer_at[shard] = a[i].at_ns; break;
		case ACTION_MAIL: s->mail[shard] = true; break;
		case ACTION_RECLAIM: s->reclaim[shard] = true; break;
		case ACTION_NOTIFY: s->mail[a[i].shard] = true; break;
		default: break;
		}
	}
}

static void step(struct script *s, uint32_t shard, struct event event)
{
	event.now_ns = s->now_ns;
	s->steps++;
	shard_step(s->shard[shard], &event);
	carry_out(s, shard);
}

static void connect(struct script *s, unsigned index)
{
	struct principal who = {.name = "uid:0", .admin = true};
	struct wire *wire = s->wire[index];

	if (!wire) {
		wire = s->wire[index] = calloc(1, sizeof(*wire));
		CHECK(wire);
	}
	if (wire->accepted)
		return;
	if (index == 2)
		who = (struct principal){.name = "uid:1000"};
	wire->accepted = true;
	wire->next_id = 1;
	wire->shard = index % SHARDS;
	transcript_begin(&wire->transcript);
	step(s, wire->shard,
	     (struct event){.kind = EVENT_ACCEPTED,
			    .peer = &wire->peer,
			    .principal = &who,
			    .random = take_number(&s->in, 2)});
}

static void turn_wire(struct script *s, struct wire *wire)
{
	struct event event = {.kind = EVENT_WRITABLE};

	if (!wire || !wire->accepted || wire->told)
		return;
	event.peer = &wire->peer;
	if (wire->pending && !wire->holds) {
		wire->pending = false;
		step(s, wire->shard, event);
	}
	if (wire->closed || (wire->closing && !wire->pending)) {
		wire->told = true;
		event.kind = EVENT_CLOSED;
		step(s, wire->shard, event);
	}
}

/* One turn of what a driver does by itself. False: it has nothing to do. */
static bool turn(struct script *s)
{
	unsigned before = s->steps;

	for (uint32_t i = 0; i < SHARDS; i++) {
		if (s->timer_at[i] <= s->now_ns) {
			s->timer_at[i] = UINT64_MAX;
			step(s, i, (struct event){.kind = EVENT_TIMER});
		}
		if (s->mail[i]) {
			s->mail[i] = false;
			step(s, i, (struct event){.kind = EVENT_MAIL});
		}
		if (s->reclaim[i]) {
			s->reclaim[i] = false;
			step(s, i, (struct event){.kind = EVENT_RECLAIMED});
		}
	}
	for (unsigned i = 0; i < PEERS; i++)
		turn_wire(s, s->wire[i]);
	for (uint32_t i = 0; i < SHARDS && s->steps == before; i++) {
		shard_idle(s->shard[i]);
		shard_busy(s->shard[i]);
	}
	return s->steps != before;
}

static void settle(struct script *s, unsigned turns)
{
	while (turns-- && turn(s))
		;
}

/* What was sent reaches the shard in pieces of `piece` bytes. */
static void deliver(struct script *s, struct wire *wire, size_t piece)
{
	size_t at = 0;

	while (at < wire->length && !wire->paused && !wire->closing && !wire->closed &&
	       s->steps < MAX_STEP) {
		size_t n = wire->length - at < piece ? wire->length - at : piece;
		uint8_t *copy = malloc(n); /* exactly so long */

		CHECK(copy);
		memcpy(copy, wire->out + at, n);
		at += n;
		step(s, wire->shard,
		     (struct event){
			     .kind = EVENT_BYTES, .peer = &wire->peer, .data = copy, .length = n});
		free(copy);
		settle(s, 4);
	}
	wire->length -= at;
	memmove(wire->out, wire->out + at, wire->length);
}

static void put(struct wire *wire, const void *data, size_t length)
{
	if (length > ROOM - wire->length)
		return;
	if (length)
		memcpy(wire->out + wire->length, data, length);
	wire->length += length;
}

static void put_frame(struct wire *wire, uint8_t type, uint8_t flags, int32_t id, const void *data,
		      size_t length)
{
	uint32_t n = (uint32_t)length, stream = (uint32_t)id;
	uint8_t head[9] = {(uint8_t)(n >> 16),
			   (uint8_t)(n >> 8),
			   (uint8_t)n,
			   type,
			   flags,
			   (uint8_t)(stream >> 24),
			   (uint8_t)(stream >> 16),
			   (uint8_t)(stream >> 8),
			   (uint8_t)stream};

	put(wire, head, sizeof(head));
	put(wire, data, length);
}

struct block {
	size_t length;
	uint8_t data[20000];
};

/* A literal header field, never indexed; lengths below 127 + 128 * 128. */
static void put_length(struct block *block, size_t n)
{
	if (n < 127) {
		block->data[block->length++] = (uint8_t)n;
		return;
	}
	block->data[block->length++] = 127;
	for (n -= 127; n >= 128; n >>= 7)
		block->data[block->length++] = (uint8_t)(n | 128);
	block->data[block->length++] = (uint8_t)n;
}

static void put_header(struct block *block, const char *name, const char *value, size_t length)
{
	size_t n = strlen(name);

	if (block->length + n + length + 16 > sizeof(block->data))
		return;
	block->data[block->length++] = 0;
	put_length(block, n);
	memcpy(block->data + block->length, name, n);
	block->length += n;
	put_length(block, length);
	memcpy(block->data + block->length, value, length);
	block->length += length;
}

static void put_field(struct block *block, const char *name, const char *value)
{
	put_header(block, name, value, strlen(value));
}

/* One thing that is not as most clients have it. */
static void oddity(struct script *s, struct block *block)
{
	static const char *const timeouts[] = {"1n", "1S", "50m", "0n", "99999999H", "1X", "-1S"};
	static const char *const types[] = {"application/grpc+proto", "application/grpc;charset=a",
					    "application/grpcx", "text/html", "application/json"};
	static char filler[9000];
	uint8_t how = take(&s->in), which = take(&s->in);
	size_t length;
	const uint8_t *bytes;

	memset(filler, 'x', sizeof(filler));
	switch (how % 10) {
	case 0: put_field(block, "grpc-timeout", timeouts[which % 7]); break;
	case 1: put_field(block, "content-type", types[which % 5]); break;
	case 2: put_field(block, "grpc-encoding", which & 1 ? "gzip" : "identity"); break;
	case 3: put_header(block, "x-long", filler, (size_t)which * 35); break;
	case 4:
		for (unsigned i = 0; i < which; i++)
			put_field(block, "x", "y");
		break;
	case 5: put_field(block, "grpc-accept-encoding", "identity,gzip"); break;
	case 6: put_field(block, ":method", "GET"); break;
	case 7: put_field(block, "content-length", which & 1 ? "5" : "x"); break;
	case 8:
		bytes = take_bytes(&s->in, which & 31, &length);
		put_header(block, which & 32 ? "grpc-timeout" : "x-bin", (const char *)bytes,
			   length);
		break;
	default: put_field(block, "Upper", "case"); break;
	}
}

static void make_request(struct script *s, struct block *block, const struct method *method,
			 uint8_t odd)
{
	static const char *const paths[] = {
		"/", "", "//", "/ptd.v1.MappingService/map", "/ptd.v1.MappingService/Map/", "/x/y"};

	put_field(block, ":method", odd == 1 ? "GET" : "POST");
	put_field(block, ":scheme", "http");
	put_field(block, ":path", method ? method->path : paths[take(&s->in) % 6]);
	put_field(block, ":authority", "localhost");
	if (odd != 2)
		put_field(block, "content-type", "application/grpc");
	if (odd != 3)
		put_field(block, "te", "trailers");
	for (unsigned i = 4; i < odd; i++)
		oddity(s, block);
}

/* HEADERS, perhaps in several frames. */
static void put_block(struct wire *wire, int32_t id, const struct block *block, bool ends,
		      unsigned parts)
{
	size_t at = 0, part = block->length / (parts + 1) + 1;
	uint8_t type = NGHTTP2_HEADERS, flags = ends ? NGHTTP2_FLAG_END_STREAM : 0;

	do {
		size_t n = block->length - at < part ? block->length - at : part;

		if (at + n == block->length)
			flags |= NGHTTP2_FLAG_END_HEADERS;
		put_frame(wire, type, flags, id, block->data + at, n);
		at += n;
		type = NGHTTP2_CONTINUATION;
		flags = 0;
	} while (at < block->length);
}

/* The one with the next number; NULL: none. */
static const struct method *pick_method(uint16_t number)
{
	const struct method *best = NULL;
	uint16_t least = UINT16_MAX;

	for (unsigned i = 0; (number & 0x3f) != 0x3f && i < method_count; i++) {
		uint16_t n = (uint16_t)(method_number(methods[i]->path) - number);

		if (n < least) {
			best = methods[i];
			least = n;
		}
	}
	return best;
}

static void open_stream(struct script *s, struct wire *wire)
{
	static struct block block;
	uint8_t how = take(&s->in), odd = take(&s->in) % 24;
	const struct method *method = pick_method((uint16_t)take_number(&s->in, 2));
	int32_t id = wire->next_id;

	block.length = 0;
	make_request(s, &block, method, odd < 7 ? odd : 0);
	wire->method[id / 2 % STREAMS] = method;
	wire->next_id += how & 0x20 ? 4 : 2;
	put_block(wire, id, &block, (how & 15) == 1, how >> 6 == 3 ? take(&s->in) % 12 : 0);
}

/* One of the last streams. */
static int32_t pick_stream(struct script *s, const struct wire *wire)
{
	uint8_t which = take(&s->in);
	int32_t id = wire->next_id - 2 - 2 * (which & 3);

	if (which >= 0xf0)
		return (int32_t)take_number(&s->in, 4);
	return id < 1 ? 1 : id;
}

/* A request message of the stream's method, framed as gRPC. */
static size_t make_message(struct script *s, const struct wire *wire, int32_t id, uint8_t *out,
			   size_t room)
{
	const struct method *method = id > 0 ? wire->method[id / 2 % STREAMS] : NULL;
	size_t n = method ? generate(&s->in, method->request, &words, out + 5, room - 5) : 0;

	out[0] = 0;
	out[1] = 0;
	out[2] = (uint8_t)(n >> 16);
	out[3] = (uint8_t)(n >> 8);
	out[4] = (uint8_t)n;
	return n + 5;
}

static void send_data(struct script *s, struct wire *wire, bool framed)
{
	uint8_t how = take(&s->in), flags = how & 1 ? 0 : NGHTTP2_FLAG_END_STREAM;
	int32_t id = pick_stream(s, wire);
	static uint8_t data[12000];
	const uint8_t *bytes = data;
	size_t length = 0;

	if (framed)
		for (unsigned i = 0; i <= (how >> 1 & 3u); i += how & 8 ? 1 : 4)
			length += make_message(s, wire, id, data + length, sizeof(data) / 4);
	else
		bytes = take_bytes(&s->in, how >> 1, &length);
	put_frame(wire, NGHTTP2_DATA, flags, id, bytes, length);
}

/* A whole call. */
static void send_call(struct script *s, struct wire *wire)
{
	open_stream(s, wire);
	send_data(s, wire, true);
}

/* A Session: opened on the first context or its shadow, then messages that may be anything. */
static void send_session(struct script *s, struct wire *wire)
{
	static const uint8_t opens[] = {0, 0, 0, 0, 29, 0x12, 27,   0x09, 2,
					0, 0, 0, 0, 0,	0x34, 0x12, 0x12, 16};
	static struct block block;
	uint8_t how = take(&s->in), data[4096];
	const struct method *method = domain_methods;
	int32_t id = wire->next_id;
	size_t n = sizeof(opens) + 16;

	while (strcmp(method->path, "/ptd.v1.MappingService/Session"))
		method++;
	block.length = 0;
	make_request(s, &block, method, 0);
	wire->method[id / 2 % STREAMS] = method;
	wire->next_id += 2;
	put_block(wire, id, &block, false, 0);
	memcpy(data, opens, sizeof(opens));
	if (s->nested && how & 0x40)
		data[8] = 3;
	memset(data + sizeof(opens), how & 1, 16);
	for (unsigned i = how >> 1 & 7; i; i--) {
		size_t seq = n + 7, length;

		length = make_message(s, wire, id, data + n, 400);
		if (how & 0x10 && seq < n + length && data[n + 5] == 8 && data[n + 6] < 0x80)
			data[n + 6] = (uint8_t)((how >> 1 & 7) + 1 - i); /* in order */
		n += length;
	}
	put_frame(wire, NGHTTP2_DATA, how & 0x20 ? NGHTTP2_FLAG_END_STREAM : 0, id, data, n);
}

/* More calls in one moment than a shard takes on. */
static void send_flood(struct script *s, struct wire *wire)
{
	uint8_t how = take(&s->in);
	const uint8_t *from = s->in.at;

	for (unsigned i = how & 7 ? 3 : 400; i; i--) {
		s->in.at = from;
		send_call(s, wire);
	}
}

static void send_settings(struct script *s, struct wire *wire)
{
	uint8_t n = take(&s->in) % 40, payload[6 * 40];
	uint8_t flags = 0;

	if (n == 39) {
		flags = NGHTTP2_FLAG_ACK;
		n = 0;
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t value = take(&s->in);
		uint8_t *at = payload + 6 * i;

		value = value & 1 ? value >> 1 : take_number(&s->in, 4);
		at[0] = 0;
		at[1] = i < 6 ? (uint8_t)(i + 1) : take(&s->in);
		at[2] = (uint8_t)(value >> 24);
		at[3] = (uint8_t)(value >> 16);
		at[4] = (uint8_t)(value >> 8);
		at[5] = (uint8_t)value;
	}
	put_frame(wire, NGHTTP2_SETTINGS, flags, 0, payload, 6u * n);
}

static void put_word_frame(struct script *s, struct wire *wire, uint8_t type, int32_t id)
{
	uint32_t value = (uint32_t)take(&s->in);
	uint8_t payload[4];

	if (value >= 0xc0)
		value = (uint32_t)take_number(&s->in, 4);
	for (unsigned i = 0; i < 4; i++)
		payload[i] = (uint8_t)(value >> (24 - 8 * i));
	put_frame(wire, type, 0, id, payload, 4);
}

/* Any type, with bytes of the input; many of one kind are a flood. */
static void any_frame(struct script *s, struct wire *wire)
{
	uint8_t type = take(&s->in) % 12, flags = take(&s->in), many = take(&s->in);
	int32_t id = many & 1 ? 0 : pick_stream(s, wire);
	size_t length;
	const uint8_t *bytes = take_bytes(&s->in, take(&s->in) & 31, &length);

	for (unsigned i = many < 0xf8 ? 1 : 3000; i; i--)
		put_frame(wire, type, flags, id, bytes, length);
}

static void begin_connection(struct script *s, struct wire *wire)
{
	put(wire, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	put_frame(wire, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	put_frame(wire, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
	put_frame(wire, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\x10\0\0", 4);
	(void)s;
}

static void pass_time(struct script *s)
{
	static const uint64_t ms[] = {1, 20, 1000, 5000, 10000, 31000, 61000, 600000};

	s->now_ns += ms[take(&s->in) % 8] * 1000000;
	settle(s, 16);
}

static void raw_bytes(struct script *s, struct wire *wire)
{
	size_t length;
	const uint8_t *bytes = take_bytes(&s->in, take(&s->in), &length);

	put(wire, bytes, length);
}

static void drain(struct script *s)
{
	domain_drain(s->domain);
	for (unsigned i = 0; i < SHARDS; i++)
		s->mail[i] = true;
	settle(s, 16);
}

static void other_wire(struct script *s, struct wire **wire)
{
	unsigned index = take(&s->in) % PEERS;

	connect(s, index);
	*wire = s->wire[index];
	if (!(*wire)->length && (*wire)->next_id == 1)
		begin_connection(s, *wire);
}

static void send_reset(struct script *s, struct wire *wire)
{
	int32_t id = pick_stream(s, wire);

	put_word_frame(s, wire, NGHTTP2_RST_STREAM, take(&s->in) < 0xf0 ? id : wire->next_id + 10);
}

static void one_op(struct script *s, struct wire **at)
{
	struct wire *wire = *at;

	switch (take(&s->in) % 23) {
	case 0:
	case 1:
	case 2: send_call(s, wire); break;
	case 3: open_stream(s, wire); break;
	case 4: send_data(s, wire, true); break;
	case 5: send_data(s, wire, false); break;
	case 6: send_reset(s, wire); break;
	case 7: send_settings(s, wire); break;
	case 8: put_word_frame(s, wire, NGHTTP2_WINDOW_UPDATE, pick_stream(s, wire)); break;
	case 9: any_frame(s, wire); break;
	case 10: raw_bytes(s, wire); break;
	case 11:
	case 12: deliver(s, wire, ROOM); break;
	case 13: deliver(s, wire, 1u + take(&s->in)); break;
	case 14: pass_time(s); break;
	case 15: wire->holds = !wire->holds; break;
	case 16: settle(s, 16); break;
	case 17: other_wire(s, at); break;
	case 18:
		if (take(&s->in) & 1)
			wire->closed = true;
		else
			put_word_frame(s, wire, NGHTTP2_WINDOW_UPDATE, 0);
		break;
	case 21: send_flood(s, wire); break;
	case 19:
	case 20: send_session(s, wire); break;
	default:
		if (take(&s->in) & 8)
			drain(s);
		break;
	}
}

/* A call that was begun has an answer, or waits for something that can come. */
static void check_calls(const struct script *s)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		for (struct conn *c = s->shard[i]->conns; c; c = c->next) {
			if (c->closing || c->failing)
				continue;
			for (const struct stream *t = c->streams; t; t = t->next)
				CHECK(!t->working || t->queued || t->parked ||
				      t->route->method.server_streaming);
		}
	}
}

static void finish(struct script *s)
{
	for (unsigned i = 0; i < PEERS; i++) {
		if (!s->wire[i])
			continue;
		s->wire[i]->holds = false;
		settle(s, 200);
		deliver(s, s->wire[i], ROOM);
	}
	for (unsigned i = 0; i < 4; i++) {
		settle(s, 200);
		s->now_ns += UINT64_C(31000000000);
	}
	if (s->steps < MAX_STEP)
		check_calls(s);
	for (unsigned i = 0; i < PEERS; i++)
		if (s->wire[i])
			s->wire[i]->closed = true;
	for (unsigned i = 0; i < 4; i++) {
		settle(s, 20000);
		s->now_ns += UINT64_C(3600000000000);
	}
	for (uint32_t i = 0; i < SHARDS; i++) {
		CHECK(!s->shard[i]->conns_count);
		CHECK(!s->shard[i]->slab.used);
		CHECK(!s->shard[i]->run_first);
		CHECK(shard_digest(s->shard[i]));
		shard_destroy(s->shard[i]);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		if (s->wire[i])
			transcript_end(&s->wire[i]->transcript);
		free(s->wire[i]);
	}
	domain_destroy(s->domain);
}

static void put_call(struct wire *wire, const char *rpc, const ProtobufCMessage *message)
{
	static struct block block;
	uint8_t data[256] = {0}, *at = data + 5;
	char path[64];

	block.length = 0;
	snprintf(path, sizeof(path), "/ptd.v1.%s", rpc);
	put_field(&block, ":method", "POST");
	put_field(&block, ":scheme", "http");
	put_field(&block, ":path", path);
	put_field(&block, ":authority", "localhost");
	put_field(&block, "content-type", "application/grpc");
	put_field(&block, "te", "trailers");
	put_block(wire, wire->next_id, &block, false, 0);
	data[4] = (uint8_t)protobuf_c_message_pack(message, at);
	put_frame(wire, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, wire->next_id, data, 5u + data[4]);
	wire->next_id += 2;
}

/* A guest hypervisor's vCPU runs what stands behind handle 2: a shadow, with its stage 2 off. */
static void enter(struct script *s, struct wire *wire)
{
	Ptd__V1__EnterNestedRequest enter = PTD__V1__ENTER_NESTED_REQUEST__INIT;

	enter.context = words.handle[1];
	enter.vcpu = 1;
	enter.vttbr = UINT64_C(1) << 48;
	enter.vtcr = 0x800a0059;
	put_call(wire, "NestedService/EnterNested", &enter.base);
	deliver(s, wire, ROOM);
	settle(s, 16);
	CHECK(registry_contexts(s->domain) == 2);
}

/* A machine, a context in it, and a memslot. */
static void populate(struct script *s, struct wire *wire)
{
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateMachineRequest machine = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateContextRequest context = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__SetSlotRequest set = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;

	machine.name = (char *)(uintptr_t) "m0";
	machine.memory_bytes = 64 << 20;
	machine.vcpus = 2;
	machine.pa_bits = 40;
	put_call(wire, "MachineService/CreateMachine", &machine.base);
	context.machine = words.handle[0];
	context.name = (char *)(uintptr_t) "c0";
	context.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	options.nested = s->nested;
	context.options = &options;
	put_call(wire, "ContextService/CreateContext", &context.base);
	set.context = words.handle[1];
	set.slot = &slot;
	slot.size = 32 << 20;
	put_call(wire, "ContextService/SetSlot", &set.base);
	deliver(s, wire, ROOM);
	settle(s, 16);
	CHECK(registry_contexts(s->domain) == 1);
	if (s->nested)
		enter(s, wire);
}

static void learn(void)
{
	static const char *word[200] = {
		"m0",
		"c0",
		"m0/c0",
		"",
		"tlbi.drop",
		"rpc.reply",
		"pool.reserve",
		"ptd.v1.MappingService",
		"ptd/v1/mapping.proto",
		"ptd.v1.MapRequest",
	};
	static const struct method *const tables[] = {domain_methods, health_methods,
						      reflection_methods};
	struct routes_config config = {.domain_methods = domain_methods, .reflection = true};
	const char *error;
	unsigned n = 10;

	routes = routes_create(&config, &error);
	CHECK(routes);
	for (unsigned t = 0; t < 3; t++)
		for (const struct method *m = tables[t]; m->path; m++)
			methods[method_count++] = m;
	for (const char *const *name = routes_services(routes); *name && n < 199; name++)
		word[n++] = *name;
	words.word = word;
	for (words.handles = 0; words.handles < 8; words.handles++)
		words.handle[words.handles] = UINT64_C(0x1234) << 48 | (words.handles + 1);
}

static void begin(struct script *s)
{
	struct wire_config wire = WIRE_CONFIG_DEFAULT;
	struct domain_config config = {.epoch = 0x1234,
				       .table_bytes = UINT64_C(4) << 20,
				       .loops = SHARDS,
				       .version = "fuzzed",
				       .allow_failpoints = true,
				       .services = routes_services(routes)};
	uint8_t mode = take(&s->in);

	s->nested = mode & 32;
	if (mode & 1)
		wire.age_ns = UINT64_C(20000000000);
	if (mode & 2)
		wire.idle_ns = UINT64_C(10000000000);
	if (mode & 4)
		wire.keepalive_ns = wire.permit_ping_ns = 0;
	config.wire = wire;
	s->now_ns = 1000000000;
	s->domain = domain_create(&config);
	CHECK(s->domain);
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct shard_config shard = {s->domain, routes, i, SHARDS};

		s->shard[i] = shard_create(&shard);
		CHECK(s->shard[i]);
		shard_trace(s->shard[i], true);
		s->timer_at[i] = UINT64_MAX;
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		shard_meet(s->shard[i], s->shard);
	connect(s, 0);
	if (!(mode & 8))
		begin_connection(s, s->wire[0]);
	if (!(mode & 24))
		populate(s, s->wire[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct script s = {.in = source_of(data, length)};
	struct wire *wire;

	if (!routes)
		learn();
	begin(&s);
	wire = s.wire[0];
	while (more(&s.in) && s.steps < MAX_STEP)
		one_op(&s, &wire);
	finish(&s);
	return 0;
}
