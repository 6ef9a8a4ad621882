/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixture of the domain's tests: a domain with two loops on one thread, and calls made by hand.
 * Doubles of the call's four functions stand in for the wire.
 */
#ifndef TESTS_UNIT_DOMAIN_FIXTURE_H
#define TESTS_UNIT_DOMAIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "domain.h"
#include "domain_limits.h"

#include <pt/platform.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/server.pb-c.h"

#define EPOCH UINT64_C(0x1234)
#define MIB   (UINT64_C(1) << 20)

struct block {
	struct block *next;
	max_align_t bytes[];
};

#define MAX_SENT 64

/* A call and its arena. */
struct fake {
	struct call call;
	const struct method *method;
	struct block *blocks;
	size_t used, cap;
	unsigned wakes;
	uint8_t *bytes, *packed; /* the request; the last answer of a session */
	size_t packed_length;
	/* A server stream: what was sent, unpacked again; `room` messages fit. */
	unsigned room, sent;
	void (*meanwhile)(struct fake *); /* what another loop does while a message is sent */
	Ptd__V1__WatchContextsResponse *message[MAX_SENT];
};

struct fixture {
	struct domain *domain;
	struct domain_loop *loop[2];
	struct principal principal, other;
	uint64_t now_ns, connection;
	uint64_t machine, context; /* handles made by setup */
	struct fake *last[32];	   /* finished calls, so that responses live to the next */
	unsigned calls;
};

void *call_alloc(struct call *call, size_t bytes)
{
	struct fake *f = (struct fake *)call;
	struct block *b;

	if (f->cap && f->used + bytes > f->cap)
		return NULL;
	b = calloc(1, sizeof(*b) + bytes);
	assert_non_null(b);
	f->used += bytes;
	b->next = f->blocks;
	f->blocks = b;
	return b->bytes;
}

enum call_result call_fail(struct call *call, enum pt_outcome code, const char *text, ...)
{
	va_list list;

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
	__atomic_fetch_add(&((struct fake *)call)->wakes, 1, __ATOMIC_RELEASE);
}

bool call_send(struct call *call, const ProtobufCMessage *message)
{
	struct fake *f = (struct fake *)call;
	uint8_t *bytes;
	size_t n;

	if (!f->room)
		return false;
	f->room--;
	n = protobuf_c_message_get_packed_size(message);
	bytes = malloc(n + 1);
	assert_non_null(bytes);
	protobuf_c_message_pack(message, bytes);
	assert_true(f->sent < MAX_SENT);
	f->message[f->sent++] =
		(void *)protobuf_c_message_unpack(message->descriptor, NULL, n, bytes);
	free(bytes);
	if (f->meanwhile)
		f->meanwhile(f);
	return true;
}

bool call_send_packed(struct call *call, const uint8_t *message, size_t length)
{
	struct fake *f = (struct fake *)call;

	free(f->packed);
	f->packed = malloc(length + 1);
	assert_non_null(f->packed);
	memcpy(f->packed, message, length);
	f->packed_length = length;
	return true;
}

static void *fake_alloc(void *data, size_t bytes)
{
	return call_alloc(data, bytes);
}

static void fake_free(void *data, void *pointer)
{
	(void)data, (void)pointer;
}

static void fake_end(struct fake *f)
{
	while (f->blocks) {
		struct block *b = f->blocks;

		f->blocks = b->next;
		free(b);
	}
	for (unsigned i = 0; i < f->sent; i++)
		protobuf_c_message_free_unpacked(&f->message[i]->base, NULL);
	free(f->call.arena);
	free(f->bytes);
	free(f->packed);
	free(f);
}

static const struct method *find_method(const char *rpc)
{
	for (const struct method *m = domain_methods; m->path; m++)
		if (!strcmp(strrchr(m->path, '/') + 1, rpc))
			return m;
	fail_msg("no method %s", rpc);
	return NULL;
}

/* A call that has not yet run. `request` must live as long. */
static struct fake *fake_call(struct fixture *fx, unsigned loop, const char *rpc,
			      const void *request)
{
	const ProtobufCMessage *message = request;
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->method = find_method(rpc);
	assert_ptr_equal(f->method->request, message->descriptor);
	f->room = MAX_SENT;
	f->call.domain = fx->domain;
	f->call.loop = fx->loop[loop];
	f->call.principal = &fx->principal;
	f->call.now_ns = fx->now_ns;
	f->call.deadline_ns = UINT64_MAX;
	f->call.connection = fx->connection;
	f->call.request = message;
	f->call.request_length = protobuf_c_message_get_packed_size(message);
	f->bytes = malloc(f->call.request_length + 1);
	protobuf_c_message_pack(message, f->bytes);
	f->call.request_bytes = f->bytes;
	f->call.arena = malloc(sizeof(*f->call.arena));
	*f->call.arena = (ProtobufCAllocator){fake_alloc, fake_free, f};
	f->call.status.level = PT_TTL_UNKNOWN;
	return f;
}

static enum call_result fake_step(struct fake *f, call_handler *handler)
{
	enum call_result result;

	domain_section_begin(f->call.loop);
	result = handler(&f->call);
	domain_section_end(f->call.loop);
	return result;
}

/* Runs until the call ends, parks without a wake, or streams. */
static enum call_result fake_run(struct fake *f)
{
	enum call_result result;

	for (unsigned steps = 0; steps < 100000; steps++) {
		result = fake_step(f, f->method->run);
		if (result == CALL_PARKED && f->wakes) {
			f->wakes--;
			continue;
		}
		if (result != CALL_MORE)
			return result;
	}
	fail_msg("the call never ends");
	return CALL_DONE;
}

static inline void fake_abandon(struct fake *f)
{
	enum call_result result = CALL_MORE;

	f->call.abandoned = true;
	for (unsigned steps = 0; result != CALL_DONE && steps < 1000; steps++)
		result = f->method->abandon ? fake_step(f, f->method->abandon) : CALL_DONE;
	assert_int_equal(result, CALL_DONE);
}

static void keep(struct fixture *fx, struct fake *f)
{
	struct fake **place = &fx->last[fx->calls++ % 32];

	if (*place)
		fake_end(*place);
	*place = f;
}

static struct fake *call_on(struct fixture *fx, unsigned loop, const char *rpc, const void *request)
{
	struct fake *f = fake_call(fx, loop, rpc, request);

	assert_int_equal(fake_run(f), CALL_DONE);
	keep(fx, f);
	return f;
}

/* A call that must succeed: its response. */
static inline void *ok_at(struct fixture *fx, const char *rpc, const void *request, int line)
{
	struct fake *f = call_on(fx, 0, rpc, request);

	if (f->call.status.code != PT_OK)
		fail_msg("line %d: %s failed with %s: %s", line, rpc,
			 pt_outcome_info(f->call.status.code)->name, f->call.status.text);
	assert_non_null(f->call.response);
	return f->call.response;
}
#define OK(fx, rpc, request) ok_at(fx, rpc, request, __LINE__)

/* A call that must fail with `code` and a text that starts with `text`. Returns its status. */
static inline struct call_status *refused_at(struct fixture *fx, const char *rpc,
					     const void *request, enum pt_outcome code,
					     const char *text, int line)
{
	struct fake *f = call_on(fx, 0, rpc, request);

	if (f->call.status.code != code || strncmp(f->call.status.text, text, strlen(text)))
		fail_msg("line %d: %s ended with %s: \"%s\", not %s: \"%s\"", line, rpc,
			 pt_outcome_info(f->call.status.code)->name, f->call.status.text,
			 pt_outcome_info(code)->name, text);
	assert_null(f->call.response);
	return &f->call.status;
}
#define REFUSED(fx, rpc, request, code, text) refused_at(fx, rpc, request, code, text, __LINE__)

/* Messages by value: MSG(MapRequest, map_request, .ipa = 1). */
#define MSG(Type, type, ...)                                                                       \
	((Ptd__V1__##Type){PROTOBUF_C_MESSAGE_INIT(&ptd__v1__##type##__descriptor), __VA_ARGS__})

/* Requests start from their generated initialisers, since strings must not be NULL. */
#define REQUEST(Type, type, var) Ptd__V1__##Type var = type##__INIT

static inline uint64_t new_machine(struct fixture *fx, const char *name, uint64_t bytes)
{
	Ptd__V1__CreateMachineRequest q = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateMachineResponse *r;

	q.name = (char *)(uintptr_t)name;
	q.memory_bytes = bytes;
	q.vcpus = 2;
	q.pa_bits = 44;
	r = OK(fx, "CreateMachine", &q);
	return r->machine->handle;
}

static inline uint64_t new_context(struct fixture *fx, uint64_t machine, const char *name)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__CreateContextResponse *r;

	q.machine = machine;
	q.name = (char *)(uintptr_t)name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	r = OK(fx, "CreateContext", &q);
	return r->context->handle;
}

static inline Ptd__V1__Context *get_context(struct fixture *fx, uint64_t handle)
{
	Ptd__V1__GetContextRequest q = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__GetContextResponse *r;

	q.handle = handle;
	r = OK(fx, "GetContext", &q);
	return r->context;
}

static inline Ptd__V1__GetDigestResponse get_digest(struct fixture *fx, uint64_t handle)
{
	Ptd__V1__GetDigestRequest q = PTD__V1__GET_DIGEST_REQUEST__INIT;

	q.context = handle;
	return *(Ptd__V1__GetDigestResponse *)OK(fx, "GetDigest", &q);
}

static inline Ptd__V1__TranslateResponse *translate(struct fixture *fx, uint64_t context,
						    uint64_t ipa, Ptd__V1__AccessKind access)
{
	Ptd__V1__TranslateRequest q = PTD__V1__TRANSLATE_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.access = access;
	return OK(fx, "Translate", &q);
}

static inline Ptd__V1__MapRequest map_request(uint64_t context, uint64_t ipa, uint64_t size,
					      uint64_t pa, uint32_t prot)
{
	Ptd__V1__MapRequest q = PTD__V1__MAP_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.size = size;
	q.pa = pa;
	q.prot = prot;
	return q;
}

/* A vCPU runs the context, whatever becomes of its access: from then on TLBs may know it. */
static inline void run_once(struct fixture *fx, uint64_t context)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = context;
	q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	q.length = 1;
	OK(fx, "Access", &q);
}

static inline Ptd__V1__UnmapRequest unmap_request(uint64_t context, uint64_t ipa, uint64_t size)
{
	Ptd__V1__UnmapRequest q = PTD__V1__UNMAP_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.size = size;
	return q;
}

static inline void set_slot(struct fixture *fx, uint64_t context, uint32_t id, uint64_t ipa,
			    uint64_t size, uint64_t pa, uint32_t flags, uint64_t backing)
{
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot s = PTD__V1__SLOT__INIT;

	s.id = id;
	s.ipa = ipa;
	s.size = size;
	s.pa = pa;
	s.flags = flags;
	s.backing = backing;
	q.context = context;
	q.slot = &s;
	OK(fx, "SetSlot", &q);
}

static inline int setup(void **state)
{
	static const char *const services[] = {"ptd.v1.ServerService", "ptd.v1.MappingService",
					       NULL};
	struct domain_config config = {.epoch = EPOCH,
				       .table_bytes = 64 * MIB,
				       .loops = 2,
				       .allow_failpoints = true,
				       .version = "0.0-test",
				       .services = services,
				       .max_connections = 77,
				       .wire = WIRE_CONFIG_DEFAULT};
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	fx->domain = domain_create(&config);
	assert_non_null(fx->domain);
	for (unsigned i = 0; i < 2; i++) {
		fx->loop[i] = domain_loop_enter(fx->domain, i);
		assert_non_null(fx->loop[i]);
	}
	fx->principal = (struct principal){.name = "uid:0", .admin = true};
	fx->other = (struct principal){.name = "uid:1000"};
	fx->now_ns = UINT64_C(1000000000);
	fx->connection = 5;
	fx->machine = new_machine(fx, "m0", 256 * MIB);
	fx->context = new_context(fx, fx->machine, "g0");
	*state = fx;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < 32; i++)
		if (fx->last[i])
			fake_end(fx->last[i]);
	for (unsigned i = 0; i < 2; i++)
		domain_loop_leave(fx->loop[i]);
	domain_destroy(fx->domain);
	free(fx);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
