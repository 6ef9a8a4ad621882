/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: every method of the domain, through scan, unpack, validation and the handler, in
 * sequences of calls on two loops that overlap, wait, are woken and abandoned; among them pagers,
 * with messages as they come. Who waits for a page has a pager, or it is not absent. In the end
 * each call has ended, and when the machines are deleted all table memory is back.
 */
#include "fuzz.h"

#include "arena.h"
#include "domain_types.h"
#include "registry.h"
#include "scan.h"
#include "status.h"

#include <stdarg.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#define LOOPS	  2
#define CALLS	  12
#define MAX_TURNS 400000
#define FIRST	  512

/* A call, and the doubles' view of it. */
struct fake {
	struct call call; /* first */
	const struct method *method;
	struct arena arena;
	uint8_t first[FIRST], *bytes;
	unsigned room;
	bool used, woken, parked, streams, abandoned, half_closed;
};

struct world {
	struct source in;
	struct domain *domain;
	struct domain_loop *loop[LOOPS];
	struct slab slab;
	struct fake fake[CALLS];
	uint64_t now_ns;
	unsigned turns;
};

static const struct principal root = {.name = "uid:0", .admin = true}, other = {.name = "uid:7"};
static const char *const word[] = {"m0",  "c0",	   "m0/c0",	"m1",	     "c1",	     "",
				   "all", "uid:7", "tlbi.drop", "rpc.reply", "pool.reserve", NULL};
static struct vocabulary words = {.word = word};

void *call_alloc(struct call *call, size_t bytes)
{
	void *block = arena_alloc(&((struct fake *)call)->arena, bytes);

	return block ? memset(block, 0, bytes) : NULL;
}

enum call_result call_fail(struct call *call, enum pt_outcome code, const char *text, ...)
{
	va_list list;

	CHECK(code != PT_OK);
	call->status.code = code;
	if (text) {
		va_start(list, text);
		vsnprintf(call->status.text, sizeof(call->status.text), text, list);
		va_end(list);
	}
	return CALL_DONE;
}

void call_wake(struct call *call)
{
	struct fake *f = (struct fake *)call;

	CHECK(f->used);
	f->woken = true;
}

/* Everything in it can be read. */
static void check_message(const ProtobufCMessage *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(n + 1);

	CHECK(bytes);
	CHECK(protobuf_c_message_pack(message, bytes) == n);
	CHECK(protobuf_c_message_check(message));
	free(bytes);
}

bool call_send(struct call *call, const ProtobufCMessage *message)
{
	struct fake *f = (struct fake *)call;

	check_message(message);
	if (!f->room)
		return false;
	f->room--;
	return true;
}

bool call_send_packed(struct call *call, const uint8_t *message, size_t length)
{
	uint8_t *copy = malloc(length + 1);

	(void)call;
	CHECK(copy);
	memcpy(copy, message, length); /* every byte is there to be read */
	free(copy);
	return true;
}

/* The fast form of an answer is the answer. */
static void check_packed(const struct fake *f)
{
	const ProtobufCMessage *response = f->call.response;
	size_t most = f->method->pack ? f->method->pack(response, NULL) : 0, n, slow;
	uint8_t *fast;
	ProtobufCMessage *again;

	check_message(response);
	if (!most)
		return;
	fast = malloc(most);
	CHECK(fast);
	n = f->method->pack(response, fast);
	CHECK(n <= most);
	again = protobuf_c_message_unpack(response->descriptor, NULL, n, fast);
	CHECK(again);
	slow = protobuf_c_message_get_packed_size(response);
	CHECK(protobuf_c_message_get_packed_size(again) == slow);
	protobuf_c_message_free_unpacked(again, NULL);
	free(fast);
}

static void check_answer(const struct fake *f)
{
	struct status_wire wire;

	if (f->abandoned)
		return;
	if (f->call.status.code == PT_OK && !f->call.status.grpc) {
		CHECK(f->call.response || f->method->server_streaming);
		if (f->call.response)
			check_packed(f);
		return;
	}
	status_encode(&wire, &f->call.status);
	CHECK(wire.fields >= 1 && status_grpc(&f->call.status) != PT_GRPC_OK);
}

static void end(struct fake *f)
{
	check_answer(f);
	arena_fini(&f->arena);
	free(f->bytes);
	f->used = false;
}

/* A message of the client's stream is done with: nothing points to it any more. */
static void forget_message(struct world *w, struct fake *f)
{
	f->call.request = NULL;
	f->call.request_bytes = NULL;
	f->call.request_length = 0;
	arena_fini(&f->arena);
	arena_init(&f->arena, &w->slab, f->first, FIRST);
	free(f->bytes);
	f->bytes = NULL;
}

/* A client's stream without a message looks what there is, unless it is at its end. */
static call_handler *handler_of(const struct fake *f)
{
	return f->method->client_streaming && !f->call.request && !f->half_closed ? f->method->look
										  : f->method->run;
}

/* One turn of a call in a section of its loop. */
static void run(struct world *w, struct fake *f)
{
	call_handler *handler = handler_of(f);
	enum call_result result;

	f->woken = false;
	f->parked = false;
	f->call.now_ns = w->now_ns;
	if (f->abandoned && f->method->abandon)
		handler = f->method->abandon;
	else if (f->abandoned && f->method->server_streaming) {
		end(f);
		return;
	}
	domain_section_begin(f->call.loop);
	result = handler(&f->call);
	w->turns++;
	if (result == CALL_STREAM && f->call.request && f->method->client_streaming)
		forget_message(w, f);
	if (result == CALL_DONE || (result == CALL_STREAM && f->abandoned))
		end(f);
	domain_section_end(f->call.loop);
	f->parked = f->used && result == CALL_PARKED;
	f->streams = f->used && result == CALL_STREAM;
}

static bool can_run(const struct fake *f)
{
	return f->used && (f->woken || !(f->parked || f->streams));
}

/* Both loops pass: what was retired becomes free. */
static void pass(struct world *w)
{
	for (unsigned i = 0; i < LOOPS; i++) {
		domain_section_begin(w->loop[i]);
		domain_section_end(w->loop[i]);
	}
}

static bool turn(struct world *w)
{
	bool any = false;

	for (unsigned i = 0; i < CALLS; i++) {
		if (!can_run(&w->fake[i]))
			continue;
		run(w, &w->fake[i]);
		any = true;
	}
	pass(w);
	return any;
}

static struct fake *free_place(struct world *w)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (!w->fake[i].used)
			return &w->fake[i];
	return NULL;
}

static ProtobufCMessage *unpack(struct fake *f, const uint8_t *bytes, size_t length)
{
	const struct method *m = f->method;
	ProtobufCMessage *fast, *slow;

	f->arena.cap = f->arena.used + 16 * length + 4096;
	slow = protobuf_c_message_unpack(m->request, &f->arena.allocator, length, bytes);
	CHECK(f->arena.used <= f->arena.cap);
	if (!m->unpack)
		return slow;
	f->arena.cap = SIZE_MAX;
	fast = m->unpack(&f->arena.allocator, length, bytes);
	CHECK(!fast || slow);
	return fast ? fast : slow;
}

/* Gives a call its request and runs it for the first time. False: refused before the handler. */
static bool start(struct world *w, const struct method *method, const uint8_t *bytes, size_t length,
		  unsigned how)
{
	struct fake *f = free_place(w);

	if (!f || wire_scan(method->request, bytes, length) != SCAN_OK)
		return false;
	*f = (struct fake){.method = method, .room = 8, .used = true};
	arena_init(&f->arena, &w->slab, f->first, FIRST);
	f->bytes = malloc(length + 1);
	CHECK(f->bytes);
	if (length)
		memcpy(f->bytes, bytes, length);
	f->call = (struct call){.domain = w->domain,
				.loop = w->loop[how & 1],
				.principal = how & 14 ? &root : &other,
				.connection = how >> 4 & 3,
				.deadline_ns = UINT64_MAX,
				.arena = &f->arena.allocator,
				.request_bytes = f->bytes,
				.request_length = length};
	f->call.status.level = PT_TTL_UNKNOWN;
	f->call.request = unpack(f, f->bytes, length);
	f->arena.cap = f->arena.used + (1u << 20);
	if (!f->call.request) {
		f->abandoned = true;
		end(f);
		return false;
	}
	run(w, f);
	return true;
}

static bool is_pager(const struct method *method)
{
	return method->request == &ptd__v1__serve_pages_request__descriptor;
}

/* What a pager's client says: about pages near the start of the memslot; or any message. */
static size_t make_pager_message(struct world *w, bool first, uint8_t *out, size_t room)
{
	static uint8_t page[4096];
	Ptd__V1__ServePagesRequest q = PTD__V1__SERVE_PAGES_REQUEST__INIT;
	Ptd__V1__PagerOpen open = PTD__V1__PAGER_OPEN__INIT;
	Ptd__V1__PageSupply supply = PTD__V1__PAGE_SUPPLY__INIT;
	uint8_t how = take(&w->in), at = take(&w->in);

	if (how & 0x80)
		return generate(&w->in, &ptd__v1__serve_pages_request__descriptor, &words, out,
				room);
	open.context = words.handle[how & 0x40 ? 2 : 1];
	open.ipa = (at & 7) * sizeof(page);
	open.size = (1 + (at >> 3)) * sizeof(page);
	open.window = how & 3;
	q.open = &open;
	supply.ipa = (at & 15) * sizeof(page);
	supply.size = (1 + (at >> 4)) * sizeof(page);
	supply.content = (Ptd__V1__PageContent)(how & 7);
	if (supply.content == PTD__V1__PAGE_CONTENT__PAGE_CONTENT_DATA)
		supply.data = (ProtobufCBinaryData){supply.size = sizeof(page), page};
	if (first) {
		q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	} else {
		q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
		q.supply = &supply;
	}
	return protobuf_c_message_pack(&q.base, out);
}

/* The client of a stream sends on, or half-closes. */
static void send_message(struct world *w, struct fake *f)
{
	static uint8_t bytes[8192];
	size_t length;

	if (!is_pager(f->method) || f->call.request)
		return;
	f->half_closed = take(&w->in) == 0xff;
	if (f->half_closed)
		return;
	length = make_pager_message(w, false, bytes, sizeof(bytes));
	if (wire_scan(f->method->request, bytes, length) != SCAN_OK)
		return;
	f->bytes = malloc(length + 1);
	CHECK(f->bytes);
	memcpy(f->bytes, bytes, length);
	f->call.request_bytes = f->bytes;
	f->call.request_length = length;
	f->call.request = unpack(f, f->bytes, length);
	f->arena.cap = f->arena.used + (1u << 20);
	if (!f->call.request)
		forget_message(w, f);
}

/* The one with the next number. */
static const struct method *pick_method(uint16_t number)
{
	const struct method *best = domain_methods;

	for (const struct method *m = domain_methods; m->path; m++)
		if ((uint16_t)(method_number(m->path) - number) <
		    (uint16_t)(method_number(best->path) - number))
			best = m;
	return best;
}

static const struct method *find_method(const char *rpc)
{
	for (const struct method *m = domain_methods; m->path; m++)
		if (!strcmp(strrchr(m->path, '/') + 1, rpc))
			return m;
	abort();
}

static void start_any(struct world *w)
{
	static uint8_t bytes[8192];
	const struct method *method = pick_method((uint16_t)take_number(&w->in, 2));
	uint8_t how = take(&w->in);
	const uint8_t *at = bytes;
	size_t length;

	if (method->client_streaming && !is_pager(method))
		return; /* the wire's targets have them */
	if (is_pager(method))
		length = make_pager_message(w, true, bytes, sizeof(bytes));
	else if (how & 0x80)
		at = take_bytes(&w->in, take(&w->in), &length);
	else
		length = generate(&w->in, method->request, &words, bytes, sizeof(bytes));
	start(w, method, at, length, how);
}

static void abandon(struct fake *f)
{
	if (!f->used || f->abandoned)
		return;
	f->abandoned = f->call.abandoned = true;
	f->streams = false;
	if (f->method->abandon)
		f->parked = false;
}

/* An access to one of the pages that pagers are about. */
static void touch(struct world *w)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	uint8_t at = take(&w->in), bytes[64];

	q.context = words.handle[1];
	q.vcpu = at >> 5 & 1;
	q.ipa = (at & 15) * UINT64_C(4096);
	q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	q.length = 8;
	start(w, find_method("Access"), bytes, protobuf_c_message_pack(&q.base, bytes), at | 2);
}

/* Nobody waits for a page that is there or failed, or that no stream serves; and no more is asked
 * for than the window allows. */
static void check_waits(const struct world *w)
{
	for (const struct pager *p = w->domain->pagers.first; p; p = p->all_next) {
		CHECK(p->wanted_count <= p->window || !p->server);
		CHECK(!p->waiting || p->server || p->opening);
		for (unsigned i = 0; i < PAGE_WAIT_BUCKETS; i++)
			for (const struct page_wait *q = p->bucket[i]; q; q = q->next)
				CHECK(!pager_has(p, q->page) &&
				      !(p->failed[q->page / 64] >> q->page % 64 & 1));
	}
}

static void one_op(struct world *w)
{
	uint8_t op = take(&w->in);
	struct fake *f = &w->fake[(op >> 4) % CALLS];

	switch (op & 15) {
	case 12: turn(w); break;
	case 13: abandon(f); break;
	case 14:
		w->now_ns += (uint64_t)(op >> 4) * 1000000000;
		pass(w);
		break;
	case 15:
		if (f->used && f->streams) {
			f->room = 8;
			f->woken = true;
			send_message(w, f);
		} else {
			touch(w);
		}
		break;
	default: start_any(w); break;
	}
	for (unsigned i = 0; i < (op >> 4); i++)
		turn(w);
	check_waits(w);
}

/* A call by root that must not wait for others. */
static void call_now(struct world *w, const char *rpc, const ProtobufCMessage *request)
{
	uint8_t bytes[512];

	CHECK(protobuf_c_message_get_packed_size(request) <= sizeof(bytes));
	CHECK(start(w, find_method(rpc), bytes, protobuf_c_message_pack(request, bytes), 2));
	for (unsigned i = 0; i < MAX_TURNS && turn(w); i++)
		;
}

static void populate(struct world *w)
{
	Ptd__V1__CreateMachineRequest machine = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateContextRequest context = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__SetSlotRequest slot = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot s = PTD__V1__SLOT__INIT;

	machine.name = (char *)(uintptr_t)word[0];
	machine.memory_bytes = 64 << 20;
	machine.vcpus = 2;
	machine.pa_bits = 40;
	call_now(w, "CreateMachine", &machine.base);
	context.machine = words.handle[0];
	context.name = (char *)(uintptr_t)word[1];
	context.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	call_now(w, "CreateContext", &context.base);
	slot.context = words.handle[1];
	s.size = 32 << 20;
	slot.slot = &s;
	call_now(w, "SetSlot", &slot.base);
	CHECK(registry_machines(w->domain) == 1 && registry_contexts(w->domain) == 1);
}

static void open_world(struct world *w)
{
	static const char *const services[] = {"ptd.v1.ServerService", NULL};
	struct domain_config config = {.epoch = 0x1234,
				       .table_bytes = UINT64_C(4) << 20,
				       .loops = LOOPS,
				       .version = "fuzzed",
				       .allow_failpoints = true,
				       .services = services};

	w->domain = domain_create(&config);
	CHECK(w->domain);
	w->now_ns = 1000000000;
	slab_init(&w->slab);
	for (unsigned i = 0; i < LOOPS; i++)
		w->loop[i] = domain_loop_enter(w->domain, i);
}

/* Every call ends, one way or the other. */
static void end_calls(struct world *w)
{
	bool busy = true;

	for (unsigned i = 0; i < CALLS; i++)
		abandon(&w->fake[i]);
	for (unsigned i = 0; busy && i < MAX_TURNS; i++) {
		w->now_ns += 1000000000;
		turn(w);
		busy = false;
		for (unsigned k = 0; k < CALLS; k++)
			busy = busy || w->fake[k].used;
	}
	CHECK(!busy);
}

static void delete_machines(struct world *w)
{
	Ptd__V1__DisarmFailpointsRequest disarm = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__DeleteMachineRequest q = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	uint64_t key;

	call_now(w, "DisarmFailpoints", &disarm.base);
	q.force = true;
	while (ordered_next(&w->domain->machine_list, 0, &key)) {
		q.handle = key;
		call_now(w, "DeleteMachine", &q.base);
		CHECK(!registry_machines(w->domain) ||
		      (ordered_next(&w->domain->machine_list, 0, &q.handle), q.handle != key));
	}
	CHECK(!registry_contexts(w->domain));
}

static void close_world(struct world *w)
{
	const struct pt_pool *pool = &w->domain->tables.world.pool;

	for (unsigned i = 0; i < 8; i++)
		pass(w);
	for (unsigned i = 0; i < LOOPS; i++)
		domain_loop_leave(w->loop[i]);
	CHECK(!atomic_load(&pool->used_bytes)); /* all table memory is back */
	domain_destroy(w->domain);
	CHECK(!w->slab.used);
	slab_fini(&w->slab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	for (words.handles = 0; words.handles < 8; words.handles++)
		words.handle[words.handles] = UINT64_C(0x1234) << 48 | (words.handles + 1);
	w.in = source_of(data, length);
	open_world(&w);
	populate(&w);
	while (more(&w.in) && w.turns < 4000)
		one_op(&w);
	end_calls(&w);
	delete_machines(&w);
	close_world(&w);
	return 0;
}
