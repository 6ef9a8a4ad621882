/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of sessions.
 *
 * A session has a stream (`holder`), or has lost it: then it stands in the list of those that
 * expire. A stream that opens a session which another one has marks it as wanted and waits in
 * `next`; a later one takes its place there. The mark and the start of a message exclude each other
 * in one word: from then on no message begins, and a stream at rest is woken to see it. One that
 * executes a message sees it at the end of that; but a pager may let it wait for ever, so one that
 * waits for a page gives the message up.
 */
#include "domain_sessions.h"

#include "domain_fail.h"
#include "domain_types.h"
#include "registry.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS 256u

struct key {
	uint64_t who; /* hash of the principal */
	uint8_t id[SESSION_ID_BYTES];
};

static uint64_t hash_of(const struct key *key)
{
	return XXH3_64bits_withSeed(key->id, SESSION_ID_BYTES, key->who);
}

static struct session **place(const struct sessions *sessions, uint64_t hash)
{
	return &sessions->bucket[hash & (BUCKETS - 1)];
}

static bool is_of(const struct session *s, const struct call *call, uint64_t who)
{
	return s->who == who && !strcmp(s->principal, call->principal->name);
}

static struct session *find(const struct sessions *sessions, const struct call *call,
			    const struct key *key)
{
	struct session *s = *place(sessions, hash_of(key));

	while (s && (memcmp(s->id, key->id, SESSION_ID_BYTES) || !is_of(s, call, key->who)))
		s = s->chain;
	return s;
}

static void free_session(struct session *s)
{
	for (uint32_t i = 0; i < LIMIT_SESSION_WINDOW; i++)
		free(s->answer[i].large);
	free(s);
}

static void note_due(struct sessions *sessions)
{
	const struct session *oldest = sessions->oldest;

	atomic_store_explicit(&sessions->due_ns, oldest ? oldest->lost_ns + SESSION_TTL_NS : 0,
			      memory_order_relaxed);
}

/* Out of the list of those without a stream. */
static void unlist(struct sessions *sessions, struct session *s)
{
	if (s->older)
		s->older->newer = s->newer;
	else
		sessions->oldest = s->newer;
	if (s->newer)
		s->newer->older = s->older;
	else
		sessions->newest = s->older;
	s->older = s->newer = NULL;
	note_due(sessions);
}

static void list(struct sessions *sessions, struct session *s)
{
	s->older = sessions->newest;
	if (s->older)
		s->older->newer = s;
	else
		sessions->oldest = s;
	sessions->newest = s;
	note_due(sessions);
}

static void drop(struct sessions *sessions, struct session *s)
{
	struct session **at = place(sessions, s->hash);

	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	unlist(sessions, s);
	sessions->count--;
	free_session(s);
}

/* A stream may be lost at a time that another loop's clock has not reached: then the list is not
 * quite in order, and a session ends that much later. */
static void expire(struct sessions *sessions, uint64_t now_ns)
{
	while (sessions->oldest && now_ns >= sessions->oldest->lost_ns + SESSION_TTL_NS)
		drop(sessions, sessions->oldest);
}

void sessions_expire(struct sessions *sessions, uint64_t now_ns)
{
	pt_port_lock(&sessions->lock);
	expire(sessions, now_ns);
	pt_port_unlock(&sessions->lock);
}

static uint32_t count_of(const struct sessions *sessions, const struct call *call, uint64_t who)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct session *s = sessions->bucket[i]; s; s = s->chain)
			n += is_of(s, call, who);
	return n;
}

static struct session *add(struct sessions *sessions, const struct call *call,
			   const struct key *key, uint64_t context)
{
	struct session **at, *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->context = context;
	s->who = key->who;
	s->hash = hash_of(key);
	memcpy(s->id, key->id, SESSION_ID_BYTES);
	memcpy(s->principal, call->principal->name, sizeof(s->principal));
	at = place(sessions, s->hash);
	s->chain = *at;
	*at = s;
	sessions->count++;
	return s;
}

/* An id that nobody else gets: fresh bits of the connection, who it is, and a count. */
static void draw(struct sessions *sessions, const struct call *call, struct key *key)
{
	const uint64_t from[] = {call->random, call->connection, ++sessions->drawn,
				 call->domain->config.epoch};
	XXH128_hash_t id = XXH3_128bits_withSeed(from, sizeof(from), key->who);

	memcpy(key->id, &id, SESSION_ID_BYTES);
}

static void grant(struct session *s, struct session_hold *hold)
{
	s->holder = hold;
	atomic_store_explicit(&s->claim, 0, memory_order_relaxed);
	hold->grant = SESSION_GRANTED;
}

static void displace(struct session *s)
{
	struct session_hold *waiting = s->next;

	s->next = NULL;
	waiting->grant = SESSION_DISPLACED;
	call_wake(waiting->call);
}

/* A stream that executes a message sees the mark when it is done, or comes to wait for a page; one
 * at rest, or that waits for a page, must be woken. */
static enum call_result take_over(struct session *s, struct session_hold *hold)
{
	if (s->next)
		displace(s);
	s->next = hold;
	hold->grant = SESSION_WAITS;
	if (!atomic_fetch_or_explicit(&s->claim, SESSION_WANTED, memory_order_acq_rel))
		call_wake(s->holder->call);
	else
		page_wait_cut(&hold->call->domain->pagers, s->holder->call);
	return CALL_PARKED;
}

/* What stands in the way of a session; PT_OK: it is there, or was made. */
static enum pt_outcome open_locked(struct sessions *sessions, struct call *call, struct key *key,
				   bool drawn, struct session_hold *hold, uint64_t context,
				   bool there)
{
	struct session *s = NULL;

	if (!sessions->bucket)
		sessions->bucket = calloc(BUCKETS, sizeof(*sessions->bucket));
	if (!sessions->bucket)
		return PT_NO_MEMORY;
	expire(sessions, call->now_ns);
	if (drawn)
		draw(sessions, call, key);
	else
		s = find(sessions, call, key);
	if (s && s->context != context)
		return PT_INVALID;
	if (!s && !there)
		return PT_NOT_FOUND;
	if (!s && (sessions->count >= LIMIT_SESSIONS ||
		   count_of(sessions, call, key->who) >= LIMIT_SESSIONS_PRINCIPAL))
		return PT_TOO_LARGE;
	hold->session = s ? s : add(sessions, call, key, context);
	if (!hold->session)
		return PT_NO_MEMORY;
	if (s && !s->holder)
		unlist(sessions, s);
	return PT_OK;
}

enum call_result session_open_for(struct call *call, struct session_hold *hold, uint64_t context,
				  const ProtobufCBinaryData *id)
{
	struct sessions *sessions = &call->domain->sessions;
	const char *name = call->principal->name;
	struct key key = {.who = XXH3_64bits(name, strlen(name))};
	enum call_result result = CALL_STREAM;
	const struct context *c = peek_context(call, context);
	enum pt_outcome o;

	if (id->len && id->len != SESSION_ID_BYTES)
		return call_fail(call, PT_INVALID,
				 "session_id: %zu bytes; it must have %u, or none", id->len,
				 SESSION_ID_BYTES);
	if (id->len)
		memcpy(key.id, id->data, SESSION_ID_BYTES);
	hold->call = call;
	pt_port_lock(&sessions->lock);
	o = open_locked(sessions, call, &key, !id->len, hold, context, c);
	if (o == PT_OK && hold->session->holder)
		result = take_over(hold->session, hold);
	else if (o == PT_OK)
		grant(hold->session, hold);
	pt_port_unlock(&sessions->lock);
	switch (o) {
	case PT_OK: return result;
	case PT_NOT_FOUND: find_context(call, context, "context"); return CALL_DONE;
	case PT_INVALID: return call_fail(call, o, "context: not that of this session");
	case PT_TOO_LARGE:
		return call_fail(call, o, "max_sessions_per_principal: too many sessions are kept");
	default: return call_fail(call, o, "session_id: no room to remember it");
	}
}

enum call_result session_granted(struct call *call, struct session_hold *hold)
{
	struct sessions *sessions = &call->domain->sessions;
	enum session_grant now;

	pt_port_lock(&sessions->lock);
	now = hold->grant;
	pt_port_unlock(&sessions->lock);
	if (now == SESSION_GRANTED)
		return CALL_STREAM;
	if (now == SESSION_WAITS)
		return CALL_PARKED;
	return call_fail(call, PT_TAKEN_OVER, NULL);
}

static void hand_over(struct sessions *sessions, struct session *s, uint64_t now_ns)
{
	struct session_hold *next = s->next;

	s->holder = s->next = NULL;
	if (next) {
		grant(s, next);
		call_wake(next->call);
		return;
	}
	atomic_store_explicit(&s->claim, 0, memory_order_relaxed);
	s->lost_ns = now_ns;
	list(sessions, s);
}

void session_let_go(struct call *call, struct session_hold *hold)
{
	struct sessions *sessions = &call->domain->sessions;
	struct session *s = hold->session;

	pt_port_lock(&sessions->lock);
	if (hold->grant == SESSION_GRANTED)
		hand_over(sessions, s, call->now_ns);
	else if (hold->grant == SESSION_WAITS)
		s->next = NULL; /* its stream sees the mark, ends, and leaves the session behind */
	pt_port_unlock(&sessions->lock);
}

static void drop_large(struct session *s, struct session_answer *answer)
{
	s->bytes -= answer->room;
	free(answer->large);
	answer->large = NULL;
	answer->room = 0;
}

/* The oldest large answers go until the rest is small enough. */
static void keep_bounds(struct session *s)
{
	uint64_t first =
		s->last_seq > LIMIT_SESSION_WINDOW ? s->last_seq - LIMIT_SESSION_WINDOW + 1 : 1;

	for (uint64_t seq = first; seq < s->last_seq && s->bytes > LIMIT_SESSION_BYTES; seq++) {
		struct session_answer *answer = &s->answer[seq % LIMIT_SESSION_WINDOW];

		if (!answer->large)
			continue;
		drop_large(s, answer);
		answer->gone = true;
	}
}

/* Memory for `length` bytes of a large answer. */
static bool make_large(struct session *s, struct session_answer *answer, size_t length)
{
	answer->large = malloc(length);
	if (!answer->large)
		return false;
	answer->room = (uint32_t)length;
	s->bytes += length;
	return true;
}

bool session_done(struct session *s, uint64_t hash, const uint8_t *packed, size_t length)
{
	struct session_answer *answer = &s->answer[++s->last_seq % LIMIT_SESSION_WINDOW];

	answer->hash = hash;
	answer->length = (uint32_t)length;
	if (answer->large)
		drop_large(s, answer);
	answer->gone = !packed || (length > SESSION_ANSWER_SMALL && !make_large(s, answer, length));
	if (answer->gone)
		return false;
	memcpy(answer->large ? answer->large : answer->small, packed, length);
	if (s->bytes > LIMIT_SESSION_BYTES)
		keep_bounds(s);
	return true;
}

void sessions_free(struct sessions *sessions)
{
	for (uint32_t i = 0; sessions->bucket && i < BUCKETS; i++)
		while (sessions->bucket[i]) {
			struct session *s = sessions->bucket[i];

			sessions->bucket[i] = s->chain;
			free_session(s);
		}
	free(sessions->bucket);
	sessions->bucket = NULL;
}
