/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime checker over every run: lib is compiled with PT_CHECKED here, and each event of the
 * seam goes to lib/check, as in the checked build. A finding is a failure of the run.
 *
 * A store is told when it becomes visible. What its agent says after it that others may rely on
 * (fences, and the end of a right) is told when all of its stores before that are visible; the rest
 * at once.
 *
 * All that the checker knows stands in one arena, which each run begins with as the first state
 * left it.
 */
#include "world.h"

#include <string.h>

#include <check/state.h>
#include <pt/check.h>
#include <pt/host/checked.h>

#define ARENA_BYTES (1u << 20)
#define NEVER_TAKEN 0xa5

static struct {
	struct pt_check *check;
	unsigned char *used; /* what of the arena the first state takes: up to here */
	struct {
		uint64_t agent, op, outer;
	} self[IV_FIBRES + 1];
} w IV_RUN, first;

/* Of an agent, in the order of its program: stores that are held back, and what waits for them. */
#define LATE_MAX 128
static struct {
	unsigned count[IV_FIBRES];
	struct late {
		const volatile void *at; /* of a store; NULL: an event that waits */
		struct pt_event event;	 /* of no kind: a store to no table */
	} late[IV_FIBRES][LATE_MAX];
} q IV_RUN;
static _Alignas(64) unsigned char arena[ARENA_BYTES], saved[ARENA_BYTES];

void iv_watch_build(void)
{
	static const struct pt_check_config config;

	memset(&w, 0, sizeof(w));
	memset(arena, NEVER_TAKEN, sizeof(arena));
	w.check = pt_check_init(arena, sizeof(arena), &config);
}

/* The arena is taken from its beginning, and each piece zeroed. */
void iv_watch_save(void)
{
	w.used = arena + sizeof(arena);
	while (w.used > arena && w.used[-1] == NEVER_TAKEN)
		w.used--;
	memcpy(saved, arena, (size_t)(w.used - arena));
	first = w;
}

void iv_watch_reset(void)
{
	w = first;
	memset(q.count, 0, sizeof(q.count));
	memcpy(arena, saved, (size_t)(w.used - arena));
}

void *iv_watch_arena(void)
{
	return arena;
}

size_t iv_watch_arena_used(void)
{
	return (size_t)(w.check->at - arena);
}

void iv_watch_end(void)
{
	if (pt_check_untracked(w.check))
		iv_fail("the checker's memory is full");
}

/* And what was said of stores that are held back, which the checker has not been told. */
uint64_t iv_watch_hash(void)
{
	uint64_t hash = iv_check_hash(w.check);

	for (unsigned f = 0; f < IV_FIBRES; f++)
		for (unsigned i = 0; i < q.count[f]; i++)
			hash = iv_mix(iv_mix(hash, f), q.late[f][i].event.kind);
	return hash;
}

static void sign(struct pt_event *e)
{
	unsigned self = iv_self();

	e->thread = self + 1;
	e->agent = w.self[self].agent;
	e->op = w.self[self].op;
}

static void feed(const struct pt_event *e)
{
	struct pt_finding finding;

	if (!pt_check_event(w.check, e, &finding))
		iv_fail("checker: rule %s: %s", pt_rule_name(finding.rule), finding.text);
}

void iv_watch(uint8_t kind, const volatile void *at, uint64_t old, uint64_t entry, bool lost)
{
	struct pt_event e = {
		.kind = kind, .arg = lost, .at = (uintptr_t)at, .lo = old, .hi = entry};

	sign(&e);
	feed(&e);
}

/* ---- what is told late ---- */

static void add_late(const volatile void *at, const struct pt_event *e)
{
	unsigned self = iv_self();

	if (q.count[self] == LATE_MAX)
		iv_fail("more waits for late stores than there is room for");
	q.late[self][q.count[self]++] = (struct late){at, *e};
}

void iv_watch_held(uint8_t kind, const volatile void *at, uint64_t entry)
{
	struct pt_event e = {.kind = kind, .at = (uintptr_t)at, .hi = entry};
	unsigned self = iv_self();

	for (unsigned i = 0; i < q.count[self]; i++)
		if (q.late[self][i].at == at && q.late[self][i].event.kind == PT_EVENT_VMID)
			return;
	sign(&e);
	add_late(at, &e);
}

/* Tells entry i and closes the gap. */
static void tell(unsigned agent, unsigned i)
{
	struct late l = q.late[agent][i];

	q.count[agent]--;
	memmove(&q.late[agent][i], &q.late[agent][i + 1],
		(q.count[agent] - i) * sizeof(q.late[0][0]));
	if (l.at && iv_in_tables(l.at))
		l.event.lo = *(const volatile uint64_t *)l.at;
	if (l.event.kind)
		feed(&l.event);
}

void iv_watch_visible(unsigned agent, const volatile void *at)
{
	unsigned i = 0;

	while (i < q.count[agent] && q.late[agent][i].at != at)
		i++;
	if (i < q.count[agent])
		tell(agent, i);
}

void iv_watch_caught_up(unsigned agent)
{
	while (q.count[agent] && !q.late[agent][0].at)
		tell(agent, 0);
}

static bool waits(uint8_t kind)
{
	switch (kind) {
	case PT_EVENT_FENCE_STORE:
	case PT_EVENT_FENCE_FULL:
	case PT_EVENT_CLAIM: /* it is there for others once its store is */
	case PT_EVENT_CLAIM_SHRINK:
	case PT_EVENT_CLAIM_RELEASE:
	case PT_EVENT_CLAIM_CANCEL:
	case PT_EVENT_SECTION_END:
	case PT_EVENT_OP_END:
	case PT_EVENT_PAGE_PUT:
	case PT_EVENT_REFUND: return true;
	default: return false;
	}
}

static bool is_zero(const struct pt_event *e)
{
	const uint64_t *word = (const uint64_t *)(uintptr_t)e->at;
	uint64_t any = 0;

	for (uint64_t i = 0; i < e->lo / sizeof(*word); i++)
		any |= word[i] ? iv_memory_view(&word[i]) : 0;
	return !any;
}

/* What the seam of a checked build calls for whatever is not a descriptor. */
void pt_checked_event(const struct pt_event *event)
{
	unsigned self = iv_self();
	struct pt_event e = *event;

	if (e.kind == PT_EVENT_SECTION_BEGIN)
		w.self[self].agent = e.at;
	if (e.kind == PT_EVENT_OP_BEGIN) {
		w.self[self].op = e.at;
		w.self[self].outer = w.self[self].agent;
		w.self[self].agent = e.lo;
	}
	if (e.kind == PT_EVENT_PAGE_GET || e.kind == PT_EVENT_PAGE_PUT)
		e.arg = is_zero(&e);
	if (e.kind == PT_EVENT_PAGE_BOOK || e.kind == PT_EVENT_PAGE_GET)
		iv_memory_book((const volatile void *)(uintptr_t)e.at,
			       e.kind == PT_EVENT_PAGE_BOOK);
	sign(&e);
	iv_between();
	iv_trace_event(&e);
	if (self != IV_NOBODY && e.kind == PT_EVENT_VMID) /* with the store of the number */
		add_late(&((const struct pt_ctx *)(uintptr_t)e.ctx)->vmid, &e);
	else if (self != IV_NOBODY && q.count[self] && waits(e.kind))
		add_late(NULL, &e);
	else
		feed(&e);
	if (e.kind == PT_EVENT_SECTION_END)
		w.self[self].agent = 0;
	if (e.kind == PT_EVENT_OP_END) {
		w.self[self].op = 0;
		w.self[self].agent = w.self[self].outer;
	}
}
