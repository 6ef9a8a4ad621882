/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two shards of one daemon in one thread, and clients on nghttp2 whose connections can be cut at
 * any byte in either direction. Time is a number. For the tests of MappingService.Session.
 */
#ifndef TESTS_UNIT_SESSION_WIRE_H
#define TESTS_UNIT_SESSION_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch.h"
#include "shard_state.h"

#include <nghttp2/nghttp2.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#define SHARDS 2
#define LINKS  160
#define NEVER  SIZE_MAX
#define SECOND UINT64_C(1000000000)

struct bytes {
	uint8_t *at;
	size_t length, room;
};

static inline void bytes_put(struct bytes *b, const void *data, size_t length)
{
	if (b->length + length > b->room) {
		b->room = (b->length + length) * 2;
		b->at = realloc(b->at, b->room);
		assert_non_null(b->at);
	}
	if (length)
		memcpy(b->at + b->length, data, length);
	b->length += length;
}

/* One connection with at most one stream at a time. */
struct link {
	struct peer peer; /* first */
	struct wire *wire;
	uint32_t shard;
	nghttp2_session *session;
	size_t up_left, down_left; /* bytes until it is cut */
	size_t up, down;	   /* bytes so far */
	size_t chunk;		   /* most bytes of a read of the daemon; 0: any number */
	uint32_t linger;	   /* turns until the daemon learns of the cut; 0: in that step */
	bool in_use, cut, told, writable_due, deaf;
	bool closing; /* the daemon wants it closed */

	int32_t stream; /* 0: none */
	struct bytes out, in;
	size_t sent, taken;
	bool half_closed, ended;
	int status; /* grpc-status, -1: none came */
	char text[256];
};

struct wire {
	uint64_t now_ns;
	struct domain *domain;
	struct routes *routes;
	struct shard *shard[SHARDS];
	uint64_t timer_at[SHARDS];
	bool mail[SHARDS], reclaim[SHARDS], drained[SHARDS];
	struct link link[LINKS];
	const char *who; /* principal of new connections */
	uint64_t machine;
	uint32_t names;
};

static inline ssize_t link_give(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
				uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct link *l = source->ptr;
	size_t n = l->out.length - l->sent;

	(void)session, (void)id, (void)user;
	if (!n && !l->half_closed)
		return NGHTTP2_ERR_DEFERRED;
	n = n > room ? room : n;
	memcpy(out, l->out.at + l->sent, n);
	l->sent += n;
	if (l->half_closed && l->sent == l->out.length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static inline int link_header(nghttp2_session *session, const nghttp2_frame *frame,
			      const uint8_t *name, size_t name_length, const uint8_t *value,
			      size_t value_length, uint8_t flags, void *user)
{
	struct link *l = user;

	(void)session, (void)frame, (void)flags;
	if (name_length == 11 && !memcmp(name, "grpc-status", 11))
		l->status = atoi((const char *)value);
	if (name_length == 12 && !memcmp(name, "grpc-message", 12))
		snprintf(l->text, sizeof(l->text), "%.*s", (int)value_length, (const char *)value);
	return 0;
}

static inline int link_data(nghttp2_session *session, uint8_t flags, int32_t id,
			    const uint8_t *data, size_t length, void *user)
{
	struct link *l = user;

	(void)session, (void)flags, (void)id;
	bytes_put(&l->in, data, length);
	return 0;
}

static inline int link_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct link *l = user;

	(void)session, (void)id, (void)code;
	l->ended = true;
	l->stream = 0;
	return 0;
}

static inline void step(struct wire *w, uint32_t shard, struct event *event);

/* A free place, connected to `shard`. */
static inline struct link *connect_to(struct wire *w, uint32_t shard, size_t up, size_t down)
{
	static uint64_t random = 77;
	nghttp2_session_callbacks *callbacks;
	struct principal principal = {.admin = true};
	struct event event = {.kind = EVENT_ACCEPTED, .principal = &principal};
	struct link *l = w->link;

	while (l->in_use)
		l++;
	assert_true(l < w->link + LINKS);
	*l = (struct link){.wire = w,
			   .shard = shard,
			   .up_left = up,
			   .down_left = down,
			   .in_use = true,
			   .status = -1};
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, link_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, link_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, link_close);
	assert_int_equal(nghttp2_session_client_new(&l->session, callbacks, l), 0);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(l->session, 0, NULL, 0);
	snprintf(principal.name, sizeof(principal.name), "%s", w->who);
	event.peer = &l->peer;
	event.random = random += UINT64_C(0x9e3779b97f4a7c15);
	step(w, shard, &event);
	return l;
}

/* What a write brings to the client, as far as the connection lives. */
static inline void take_write(struct link *l, struct action *a)
{
	size_t n = a->length < l->down_left ? a->length : l->down_left;

	if (!l->cut && !l->told && !l->deaf)
		assert_int_equal(nghttp2_session_mem_recv(l->session, a->data, n), n);
	l->down += n;
	if (l->down_left != NEVER)
		l->down_left -= n;
	if (!l->down_left)
		l->cut = true;
	a->done = !a->report && !l->deaf;
	l->writable_due = !a->done;
}

static inline void carry_out(struct wire *w, uint32_t shard)
{
	size_t n;
	struct action *a = shard_actions(w->shard[shard], &n);

	for (size_t i = 0; i < n; i++) {
		struct link *l = (struct link *)(void *)a[i].peer;

		switch (a[i].kind) {
		case ACTION_WRITE: take_write(l, &a[i]); break;
		case ACTION_CLOSE:
		case ACTION_ABORT: l->closing = true; break;
		case ACTION_ARM: w->timer_at[shard] = a[i].at_ns; break;
		case ACTION_MAIL: w->mail[shard] = true; break;
		case ACTION_RECLAIM: w->reclaim[shard] = true; break;
		case ACTION_NOTIFY: w->mail[a[i].shard] = true; break;
		case ACTION_DRAINED: w->drained[shard] = true; break;
		default: break;
		}
	}
}

static inline void step(struct wire *w, uint32_t shard, struct event *event)
{
	event->now_ns = w->now_ns;
	shard_step(w->shard[shard], event);
	carry_out(w, shard);
}

/* The daemon learns that the connection is gone. */
static inline void hang_up(struct link *l)
{
	struct event event = {.kind = EVENT_CLOSED, .peer = &l->peer};

	if (l->told)
		return;
	l->told = true;
	step(l->wire, l->shard, &event);
}

static inline void free_link(struct link *l)
{
	hang_up(l);
	nghttp2_session_del(l->session);
	free(l->out.at);
	free(l->in.at);
	l->in_use = false;
}

/* What the client has to send now. */
static inline bool send_up(struct link *l)
{
	struct event event = {.kind = EVENT_BYTES, .peer = &l->peer};
	struct bytes up = {0};
	const uint8_t *data;
	ssize_t n;

	if (l->told || l->cut)
		return false;
	while ((n = nghttp2_session_mem_send(l->session, &data)) > 0)
		bytes_put(&up, data, (size_t)n);
	n = (ssize_t)(up.length < l->up_left ? up.length : l->up_left);
	l->up += (size_t)n;
	if (l->up_left != NEVER)
		l->up_left -= (size_t)n;
	for (size_t at = 0; at < (size_t)n; at += event.length) {
		event.data = up.at + at;
		event.length = (size_t)n - at;
		if (l->chunk && event.length > l->chunk)
			event.length = l->chunk;
		step(l->wire, l->shard, &event);
	}
	l->cut = l->cut || !l->up_left;
	if (l->cut && !l->linger)
		hang_up(l);
	free(up.at);
	return n || l->cut;
}

static inline bool serve_link(struct link *l)
{
	struct event event = {.kind = EVENT_WRITABLE, .peer = &l->peer};

	if (!l->in_use || l->told)
		return false;
	if (l->closing || (l->cut && (!l->linger || !--l->linger))) {
		hang_up(l);
		return true;
	}
	if (l->cut)
		return true;
	if (l->writable_due && !l->deaf) {
		l->writable_due = false;
		step(l->wire, l->shard, &event);
		return true;
	}
	return send_up(l);
}

static inline bool serve_shard(struct wire *w, uint32_t shard)
{
	struct event event = {.kind = EVENT_MAIL};

	if (w->timer_at[shard] <= w->now_ns) {
		w->timer_at[shard] = UINT64_MAX;
		event.kind = EVENT_TIMER;
	} else if (w->mail[shard]) {
		w->mail[shard] = false;
	} else if (w->reclaim[shard]) {
		w->reclaim[shard] = false;
		event.kind = EVENT_RECLAIMED;
	} else {
		return false;
	}
	step(w, shard, &event);
	return true;
}

/* One thing that can happen, connections first. False: nothing can. */
static inline bool turn(struct wire *w)
{
	bool any = false;

	for (uint32_t i = 0; i < LINKS; i++)
		any |= serve_link(&w->link[i]);
	for (uint32_t i = 0; i < SHARDS; i++)
		any |= serve_shard(w, i);
	return any;
}

static inline void settle(struct wire *w)
{
	for (uint32_t turns = 0; turn(w); turns++)
		assert_true(turns < 100000);
}

#define NV(n, v)                                                                                   \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v),        \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

static inline void begin_stream(struct link *l, const char *path)
{
	nghttp2_nv nv[] = {NV(":method", "POST"),
			   NV(":scheme", "http"),
			   NV(":path", path),
			   NV(":authority", "localhost"),
			   NV("content-type", "application/grpc"),
			   NV("te", "trailers")};
	nghttp2_data_provider body = {{.ptr = l}, link_give};

	l->out.length = l->sent = l->in.length = l->taken = 0;
	l->half_closed = l->ended = false;
	l->status = -1;
	*l->text = 0;
	l->stream = nghttp2_submit_request(l->session, NULL, nv, 6, &body, NULL);
	assert_true(l->stream > 0);
}

static inline void put_message(struct link *l, const void *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(n + 5);

	assert_non_null(packed);
	packed[0] = 0;
	for (int i = 0; i < 4; i++)
		packed[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	protobuf_c_message_pack(message, packed + 5);
	bytes_put(&l->out, packed, n + 5);
	free(packed);
	if (l->stream)
		nghttp2_session_resume_data(l->session, l->stream);
}

static inline void half_close(struct link *l)
{
	l->half_closed = true;
	if (l->stream)
		nghttp2_session_resume_data(l->session, l->stream);
}

/* The next whole message that has come, or NULL. To be freed by the caller. */
static inline void *get_message(struct link *l, const ProtobufCMessageDescriptor *type)
{
	size_t have = l->in.length - l->taken, n;
	const uint8_t *at;
	void *message;

	if (have < 5)
		return NULL;
	at = l->in.at + l->taken;
	n = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
	if (have - 5 < n)
		return NULL;
	l->taken += 5 + n;
	message = protobuf_c_message_unpack(type, NULL, n, at + 5);
	assert_non_null(message);
	return message;
}

static inline void drop_message(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

/* A unary call that succeeds. */
static inline void *unary(struct link *l, const char *path, const void *request,
			  const ProtobufCMessageDescriptor *type)
{
	void *response;

	begin_stream(l, path);
	put_message(l, request);
	half_close(l);
	settle(l->wire);
	if (l->status)
		fail_msg("%s: status %d: %s", path, l->status, l->text);
	response = get_message(l, type);
	assert_non_null(response);
	return response;
}

static inline uint64_t make_machine(struct link *l)
{
	Ptd__V1__CreateMachineRequest q = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateMachineResponse *r;
	uint64_t handle;

	q.name = (char *)(uintptr_t) "m0";
	q.memory_bytes = 64 << 20;
	q.vcpus = 2;
	q.pa_bits = 44;
	r = unary(l, "/ptd.v1.MachineService/CreateMachine", &q,
		  &ptd__v1__create_machine_response__descriptor);
	handle = r->machine->handle;
	drop_message(r);
	return handle;
}

#define SLOT_IPA UINT64_C(0x80000000)

/* A context with 1 MiB of memory in a slot at SLOT_IPA. */
static inline uint64_t make_context(struct link *l)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__SetSlotRequest set = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;
	Ptd__V1__CreateContextResponse *r;
	char name[16];

	snprintf(name, sizeof(name), "g%u", l->wire->names++);
	q.machine = l->wire->machine;
	q.name = name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	r = unary(l, "/ptd.v1.ContextService/CreateContext", &q,
		  &ptd__v1__create_context_response__descriptor);
	set.context = r->context->handle;
	drop_message(r);
	slot.ipa = SLOT_IPA;
	slot.size = 1 << 20;
	slot.pa = 2 << 20;
	set.slot = &slot;
	drop_message(unary(l, "/ptd.v1.ContextService/SetSlot", &set,
			   &ptd__v1__set_slot_response__descriptor));
	return set.context;
}

static inline void delete_context(struct link *l, uint64_t handle)
{
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	q.handle = handle;
	drop_message(unary(l, "/ptd.v1.ContextService/DeleteContext", &q,
			   &ptd__v1__delete_context_response__descriptor));
}

static inline void wire_init(struct wire *w)
{
	struct routes_config routes = {.domain_methods = domain_methods, .reflection = true};
	struct domain_config config = {.epoch = 0x1234,
				       .table_bytes = UINT64_C(64) << 20,
				       .loops = SHARDS,
				       .version = "test",
				       .allow_failpoints = true,
				       .wire = WIRE_CONFIG_DEFAULT};
	const char *error;

	memset(w, 0, sizeof(*w));
	w->now_ns = SECOND;
	w->who = "uid:0";
	w->routes = routes_create(&routes, &error);
	assert_non_null(w->routes);
	config.services = routes_services(w->routes);
	w->domain = domain_create(&config);
	assert_non_null(w->domain);
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct shard_config shard = {w->domain, w->routes, i, SHARDS};

		w->shard[i] = shard_create(&shard);
		assert_non_null(w->shard[i]);
		w->timer_at[i] = UINT64_MAX;
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		shard_meet(w->shard[i], w->shard);
}

static inline void wire_fini(struct wire *w)
{
	for (uint32_t i = 0; i < LINKS; i++)
		if (w->link[i].in_use)
			hang_up(&w->link[i]);
	settle(w);
	for (uint32_t i = 0; i < LINKS; i++)
		if (w->link[i].in_use)
			free_link(&w->link[i]);
	for (uint32_t i = 0; i < SHARDS; i++)
		shard_destroy(w->shard[i]);
	domain_destroy(w->domain);
	routes_destroy(w->routes);
}

/* Session messages by value. */
typedef Ptd__V1__SessionRequest Request;
typedef Ptd__V1__SessionResponse Response;
#define ASKS(name)    PTD__V1__SESSION_REQUEST__WHAT_##name
#define ANSWERS(name) PTD__V1__SESSION_RESPONSE__WHAT_##name
#define OP_MAP	      1
#define OP_UNMAP      2
#define PAGES_ONLY    2
#define SESSION_PATH  "/ptd.v1.MappingService/Session"

static inline void put_open(struct link *l, uint64_t context, const uint8_t *id)
{
	Ptd__V1__SessionOpen open = PTD__V1__SESSION_OPEN__INIT;
	Request q = PTD__V1__SESSION_REQUEST__INIT;

	open.context = context;
	if (id)
		open.session_id = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)id};
	q.what_case = ASKS(OPEN);
	q.open = &open;
	put_message(l, &q);
}

static inline Response *get_response(struct link *l)
{
	return get_message(l, &ptd__v1__session_response__descriptor);
}

/* One operation on `size` bytes, in pages. */
static inline void put_range(struct link *l, uint64_t seq, uint32_t kind, uint64_t ipa, uint64_t pa,
			     uint64_t size)
{
	Ptd__V1__ApplyRequest apply = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	Request q = PTD__V1__SESSION_REQUEST__INIT;
	uint32_t prot = 3, flags = kind == OP_MAP ? PAGES_ONLY : 0;

	ops.ipa = &ipa;
	ops.pa = &pa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.flags = &flags;
	ops.n_ipa = ops.n_pa = ops.n_size = ops.n_kind = ops.n_prot = ops.n_flags = 1;
	apply.mode = PTD__V1__BATCH_MODE__BATCH_MODE_STOP_ON_ERROR;
	apply.ops = &ops;
	apply.want_outcomes = true;
	q.seq = seq;
	q.what_case = ASKS(APPLY);
	q.apply = &apply;
	put_message(l, &q);
}

static inline void put_page(struct link *l, uint64_t seq, uint32_t kind, uint64_t ipa, uint64_t pa)
{
	put_range(l, seq, kind, ipa, pa, 4096);
}

/* Accesses of `n` pages, each `stride` bytes behind the one before; `what` says which. */
static inline void put_strided(struct link *l, uint64_t seq, uint32_t what, uint64_t ipa,
			       uint64_t stride, uint32_t n)
{
	Ptd__V1__Accesses a = PTD__V1__ACCESSES__INIT;
	Request q = PTD__V1__SESSION_REQUEST__INIT;
	uint32_t access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	uint64_t *at = malloc(n * sizeof(*at));

	assert_non_null(at);
	for (uint32_t i = 0; i < n; i++)
		at[i] = ipa + i * stride;
	a.ipa = at;
	a.n_ipa = n;
	a.access = &access;
	a.n_access = 1;
	q.seq = seq;
	q.what_case = (Ptd__V1__SessionRequest__WhatCase)what;
	q.access = &a;
	put_message(l, &q);
	free(at);
}

static inline void put_accesses(struct link *l, uint64_t seq, uint32_t what, uint64_t ipa,
				uint32_t n)
{
	put_strided(l, seq, what, ipa, 4096, n);
}

#endif
