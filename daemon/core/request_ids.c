/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request ids.
 *
 * An entry is running (the call that owns it is at work; retries queue in `waiters`) or finished
 * (it holds the packed answer). A call that fails, or is abandoned before it changed anything,
 * takes its entry away, and the first retry that waited becomes the new owner. Finished entries
 * leave after ten minutes; a principal beyond its part of the table loses its own oldest, and when
 * the whole table is full it is the principal with the most that does. Running ones stay.
 */
#include "domain_types.h"

#include "domain_fail.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ANSWER_ROOM 64u /* of most answers; a longer one takes memory, if there is some */
#define BUCKETS	    (LIMIT_REQUEST_IDS / 8) /* 64 KiB, taken with the first id */

/* A retry that waits for the first. In its call's arena. */
struct retry_waiter {
	struct retry_waiter *next;
	struct call *call;
	struct request_id_entry *entry; /* NULL: not queued; under the table's lock */
};

/* A principal that has entries. */
struct request_id_owner {
	struct request_id_owner *chain;
	uint32_t count;
	uint64_t bytes;				  /* of finished entries */
	struct request_id_entry *oldest, *newest; /* of its own, finished */
	char name[PRINCIPAL_MAX];
};

struct request_id_entry {
	struct request_id_entry *chain, *older, *newer;
	struct request_id_entry *own_older, *own_newer;
	struct request_id_owner *owner;
	const ProtobufCMessageDescriptor *method;      /* a request type belongs to one method */
	const ProtobufCMessageDescriptor *answer_type; /* NULL: running */
	struct retry_waiter *waiters;
	uint8_t *answer; /* packed; in `room` unless it is longer; NULL: it could not be kept */
	size_t length;
	uint64_t done_ns, hash;
	XXH128_hash_t body;
	uint8_t id[16];
	uint8_t room[ANSWER_ROOM];
};

/* What a call with a request id keeps around its handler's own state. */
struct once {
	struct request_id_entry *owned; /* the running entry of this call */
	void *inner;
	struct retry_waiter waiter;
};

static uint64_t hash_of(const struct call *call, const uint8_t *id)
{
	const char *who = call->principal->name;

	return XXH3_64bits_withSeed(id, 16, XXH3_64bits(who, strlen(who)));
}

static bool same_key(const struct request_id_entry *e, const struct call *call, const uint8_t *id)
{
	return !memcmp(e->id, id, 16) && !strcmp(e->owner->name, call->principal->name);
}

static struct request_id_entry **place(const struct request_ids *ids, uint64_t hash)
{
	return &ids->bucket[hash & (BUCKETS - 1)];
}

static struct request_id_entry *find(struct request_ids *ids, const struct call *call,
				     const uint8_t *id)
{
	for (struct request_id_entry *e = *place(ids, hash_of(call, id)); e; e = e->chain)
		if (same_key(e, call, id))
			return e;
	return NULL;
}

static struct request_id_owner **owner_place(struct request_ids *ids, const char *name)
{
	struct request_id_owner **at =
		&ids->owner[XXH3_64bits(name, strlen(name)) % REQUEST_ID_OWNERS];

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->chain;
	return at;
}

static struct request_id_owner *enter_owner(struct request_ids *ids, const char *name)
{
	struct request_id_owner **at = owner_place(ids, name);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (*at)
			memcpy((*at)->name, name, PRINCIPAL_MAX);
	}
	if (*at)
		(*at)->count++;
	return *at;
}

static void leave_owner(struct request_ids *ids, struct request_id_owner *owner)
{
	struct request_id_owner **at;

	if (--owner->count)
		return;
	at = owner_place(ids, owner->name);
	*at = owner->chain;
	free(owner);
}

static void unchain(struct request_ids *ids, struct request_id_entry *entry)
{
	struct request_id_entry **at = place(ids, entry->hash);

	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	ids->count--;
	leave_owner(ids, entry->owner);
}

static struct request_id_entry *add(struct request_ids *ids, const struct call *call,
				    const uint8_t *id, XXH128_hash_t body)
{
	struct request_id_entry **at, *e = calloc(1, sizeof(*e));

	if (e)
		e->owner = enter_owner(ids, call->principal->name);
	if (!e || !e->owner) {
		free(e);
		return NULL;
	}
	e->method = call->request->descriptor;
	e->body = body;
	e->hash = hash_of(call, id);
	memcpy(e->id, id, 16);
	at = place(ids, e->hash);
	e->chain = *at;
	*at = e;
	ids->count++;
	return e;
}

static void free_entry(struct request_id_entry *e)
{
	if (e->answer != e->room)
		free(e->answer);
	free(e);
}

static uint64_t weight(const struct request_id_entry *e)
{
	return sizeof(*e) + (e->answer == e->room ? 0 : e->length);
}

/* A finished entry goes. */
static void drop(struct request_ids *ids, struct request_id_entry *e)
{
	struct request_id_owner *owner = e->owner;
	uint64_t bytes = weight(e);

	*(e->older ? &e->older->newer : &ids->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &ids->newest) = e->older;
	*(e->own_older ? &e->own_older->own_newer : &owner->oldest) = e->own_newer;
	*(e->own_newer ? &e->own_newer->own_older : &owner->newest) = e->own_older;
	ids->bytes -= bytes;
	owner->bytes -= bytes;
	unchain(ids, e);
	free_entry(e);
}

/* A finished entry comes. */
static void append(struct request_ids *ids, struct request_id_entry *e)
{
	struct request_id_owner *owner = e->owner;
	uint64_t bytes = weight(e);

	e->older = ids->newest;
	*(e->older ? &e->older->newer : &ids->oldest) = e;
	ids->newest = e;
	e->own_older = owner->newest;
	*(e->own_older ? &e->own_older->own_newer : &owner->oldest) = e;
	owner->newest = e;
	ids->bytes += bytes;
	owner->bytes += bytes;
}

/* Another loop's clock may be ahead of this step's: then the answer is young. */
static bool is_old(const struct request_id_entry *e, uint64_t now_ns)
{
	return now_ns > e->done_ns && now_ns - e->done_ns >= REQUEST_ID_TTL_NS;
}

static bool is_full(const struct request_ids *ids)
{
	return ids->count >= LIMIT_REQUEST_IDS || ids->bytes > LIMIT_REQUEST_ID_BYTES;
}

static bool has_its_part(const struct request_id_owner *owner)
{
	return owner->oldest && (owner->count >= LIMIT_PRINCIPAL_REQUEST_IDS ||
				 owner->bytes > LIMIT_PRINCIPAL_REQUEST_ID_BYTES);
}

/* Who has the most, of those that have finished entries. */
static struct request_id_owner *greediest(struct request_ids *ids)
{
	struct request_id_owner *most = NULL;

	for (unsigned i = 0; i < REQUEST_ID_OWNERS; i++)
		for (struct request_id_owner *o = ids->owner[i]; o; o = o->chain)
			if (o->oldest && (!most || o->bytes > most->bytes))
				most = o;
	return most;
}

static void expire(struct request_ids *ids, const char *name, uint64_t now_ns)
{
	struct request_id_owner *owner;

	while (ids->oldest && is_old(ids->oldest, now_ns))
		drop(ids, ids->oldest);
	while ((owner = *owner_place(ids, name)) && has_its_part(owner))
		drop(ids, owner->oldest);
	while (is_full(ids) && (owner = greediest(ids)))
		drop(ids, owner->oldest);
}

static void wake_waiters(struct request_id_entry *e)
{
	while (e->waiters) {
		struct retry_waiter *w = e->waiters;

		e->waiters = w->next;
		w->entry = NULL;
		call_wake(w->call);
	}
}

static void wait_for(struct request_id_entry *e, struct once *once, struct call *call)
{
	struct retry_waiter **at = &e->waiters;

	once->waiter = (struct retry_waiter){.call = call, .entry = e};
	while (*at)
		at = &(*at)->next;
	*at = &once->waiter;
}

static void unqueue(struct retry_waiter *waiter)
{
	struct retry_waiter **at = &waiter->entry->waiters;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	waiter->entry = NULL;
}

/* What a call finds when it asks for its id. */
enum found {
	FOUND_NEW,
	FOUND_RUNNING,
	FOUND_ANSWER,
	FOUND_LOST,
	FOUND_OTHER_BODY,
	FOUND_NO_MEMORY,
};

struct answer {
	const ProtobufCMessageDescriptor *type;
	uint8_t *bytes;
	size_t length;
};

static enum found copy_answer(struct call *call, const struct request_id_entry *e,
			      struct answer *answer)
{
	if (!e->answer)
		return FOUND_LOST;
	*answer = (struct answer){e->answer_type, call_alloc(call, e->length + 1), e->length};
	if (!answer->bytes)
		return FOUND_NO_MEMORY;
	memcpy(answer->bytes, e->answer, e->length);
	return FOUND_ANSWER;
}

/* What is left then is at work: the calls themselves are bounded. */
static bool may_add(struct request_ids *ids, const char *name)
{
	const struct request_id_owner *owner = *owner_place(ids, name);

	return ids->count < LIMIT_REQUEST_IDS &&
	       (!owner || owner->count < LIMIT_PRINCIPAL_REQUEST_IDS);
}

static enum found ask_locked(struct request_ids *ids, struct call *call, struct once *once,
			     const uint8_t *id, struct answer *answer)
{
	XXH128_hash_t body = XXH3_128bits(call->request_bytes, call->request_length);
	struct request_id_entry *e;

	if (!ids->bucket)
		ids->bucket = calloc(BUCKETS, sizeof(*ids->bucket));
	if (!ids->bucket)
		return FOUND_NO_MEMORY;
	e = find(ids, call, id);
	if (e && e->answer_type && is_old(e, call->now_ns)) {
		drop(ids, e);
		e = NULL;
	}
	if (!e) {
		expire(ids, call->principal->name, call->now_ns);
		if (may_add(ids, call->principal->name))
			once->owned = add(ids, call, id, body);
		return once->owned ? FOUND_NEW : FOUND_NO_MEMORY;
	}
	if (e->method != call->request->descriptor || !XXH128_isEqual(e->body, body))
		return FOUND_OTHER_BODY;
	if (e->answer_type)
		return copy_answer(call, e, answer);
	wait_for(e, once, call);
	return FOUND_RUNNING;
}

/* CALL_MORE: the call owns the id now and may run. */
static enum call_result ask(struct call *call, struct once *once, const uint8_t *id)
{
	struct request_ids *ids = &call->domain->request_ids;
	struct answer answer = {0};
	enum found found;

	pt_port_lock(&ids->lock);
	found = ask_locked(ids, call, once, id, &answer);
	pt_port_unlock(&ids->lock);
	switch (found) {
	case FOUND_NEW: return CALL_MORE;
	case FOUND_RUNNING: return CALL_PARKED;
	case FOUND_OTHER_BODY:
		return call_fail(call, PT_REQUEST_ID_REUSED,
				 "request_id: it came with another method or body before");
	case FOUND_LOST:
		return call_fail(call, PT_INTERNAL,
				 "request_id: it was done, but its answer could not be kept");
	case FOUND_ANSWER:
		call->response = protobuf_c_message_unpack(answer.type, call->arena, answer.length,
							   answer.bytes);
		return call->response ? CALL_DONE : fail_arena(call);
	default: return call_fail(call, PT_NO_MEMORY, "request_id: no room to remember it");
	}
}

/* Stores the answer, if there is one worth keeping, and lets the retries go on. */
static void finish(struct call *call, struct once *once)
{
	struct request_ids *ids = &call->domain->request_ids;
	struct request_id_entry *e = once->owned;
	bool keep = call->response != NULL; /* the status may be that of a deadline since */
	size_t length = keep ? protobuf_c_message_get_packed_size(call->response) : 0;
	uint8_t *packed = length <= ANSWER_ROOM ? e->room : malloc(length);

	if (keep && packed)
		protobuf_c_message_pack(call->response, packed);
	pt_port_lock(&ids->lock);
	wake_waiters(e);
	if (keep) { /* without memory, too: a retry must not run again */
		e->answer = packed;
		e->length = packed ? length : 0;
		e->answer_type = call->response->descriptor;
		e->done_ns = call->now_ns;
		append(ids, e);
	} else {
		unchain(ids, e);
		free_entry(e);
	}
	pt_port_unlock(&ids->lock);
	once->owned = NULL;
}

static enum call_result run_inner(struct call *call, struct once *once, call_handler *body)
{
	enum call_result result;

	call->state = once->inner;
	result = body(call);
	once->inner = call->state;
	call->state = once;
	if (result == CALL_DONE)
		finish(call, once);
	return result;
}

enum call_result call_once(struct call *call, const ProtobufCBinaryData *id, call_handler *body)
{
	struct once *once = call->state;
	enum call_result result;

	if (likely(!id->len))
		return body(call);
	if (!request_id_ok(call, id))
		return CALL_DONE;
	if (!once) {
		once = call->state = call_alloc(call, sizeof(*once));
		if (!once)
			return fail_arena(call);
	}
	if (!once->owned) {
		result = ask(call, once, id->data);
		if (result != CALL_MORE)
			return result;
	}
	return run_inner(call, once, body);
}

/* A retry that waits leaves the queue. Wakes are called under the lock: none is on its way after.
 */
static void stop_waiting(struct call *call, struct once *once)
{
	struct request_ids *ids = &call->domain->request_ids;

	pt_port_lock(&ids->lock);
	if (once->waiter.entry)
		unqueue(&once->waiter);
	pt_port_unlock(&ids->lock);
}

static enum call_result nothing_to_undo(struct call *call)
{
	(void)call;
	return CALL_DONE;
}

enum call_result call_once_abandon(struct call *call, const ProtobufCBinaryData *id,
				   call_handler *abandon)
{
	struct once *once = call->state;

	if (!abandon)
		abandon = nothing_to_undo;
	if (!id->len)
		return abandon(call);
	if (!once)
		return CALL_DONE;
	if (once->owned)
		return run_inner(call, once, abandon);
	stop_waiting(call, once);
	return CALL_DONE;
}

/* The request id of any request that has one. */
static const ProtobufCBinaryData *id_of(const ProtobufCMessage *request)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "request_id");

	return (const void *)((const char *)request + f->offset);
}

enum call_result call_once_leave(struct call *call)
{
	return call_once_abandon(call, id_of(call->request), NULL);
}

void request_ids_free(struct request_ids *ids)
{
	while (ids->oldest)
		drop(ids, ids->oldest);
	free(ids->bucket);
	ids->bucket = NULL;
}
