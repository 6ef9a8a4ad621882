/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine of a play, its sessions, and the loop over steps. */
#include "play.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_BYTES (UINT64_C(512) << 20)
#define STRAYS_FROM 700
#define RAM_BYTES   (UINT64_C(32) << 30)

void fail(struct play *p, const char *format, ...)
{
	char why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(p->v->failure, sizeof(p->v->failure), "%s (step %u)", why, p->at);
	_exit(1);
}

const char *outcome_name(unsigned o)
{
	const struct pt_outcome_info *info = pt_outcome_info(o);

	return info ? info->name : "?";
}

void count(struct play *p, enum row row, unsigned outcome)
{
	p->v->counts.cell[row][outcome % RESULTS]++;
	p->v->counts.requests += row != ROW_EXIT;
}

/* ---- sessions ---- */

static struct session *session_of(struct play *p, const struct pt_waiter *w)
{
	for (unsigned i = 0; i < p->sessions; i++)
		if ((const char *)w >= (const char *)&p->session[i] &&
		    (const char *)w < (const char *)(&p->session[i] + 1))
			return &p->session[i];
	fail(p, "wake: of a waiter that nobody has");
}

static struct play *playing; /* for wake(), which lib calls */

void wake(struct pt_waiter *w)
{
	struct session *s = session_of(playing, w);

	if (!s->parked || s->woken)
		fail(playing, "wake: of a session that does not wait");
	s->woken = true;
}

static uint64_t failures(void)
{
	uint64_t hits, failures;

	pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
	return failures;
}

void session_begin(struct session *s)
{
	if (s->holding)
		session_end(s);
	s->failures = failures();
	pt_section_begin(&s->agent);
	pt_reclaim(&s->agent);
}

void session_end(struct session *s)
{
	pt_section_end(&s->agent);
	s->refused |= failures() != s->failures;
	s->holding = false;
}

void session_park(struct play *p, struct session *s, uint64_t lo, uint64_t hi)
{
	s->parked = true;
	s->woken = false;
	if (!pt_waiter_park(&s->waiter, &p->ctx[s->ctx].pt, lo, hi, wake))
		s->woken = true;
}

void session_idle(struct play *p, struct session *s)
{
	(void)p;
	s->doing = IDLE;
	s->parked = s->woken = s->begun = s->committed = s->stopped = s->refused = false;
	s->failures = failures();
	s->before.count = 0;
}

static void session_step(struct play *p, struct session *s, uint32_t budget)
{
	if (s->parked && !s->woken)
		return;
	s->parked = s->woken = false;
	p->turn += p->mover != s;
	p->mover = s;
	session_begin(s);
	switch (s->doing) {
	case IDLE: break;
	case POINT: step_point(p, s); break;
	case RANGE:
		s->txn.wake = wake;
		step_range(p, s, budget);
		break;
	case ACCESS: step_access(p, s); break;
	case FAULT: step_fault(p, s); break;
	case UPKEEP: step_upkeep(p, s, budget); break;
	case DIRTY: step_dirty(p, s, budget); break;
	}
	if (s->hold_next)
		s->holding = true;
	else
		session_end(s);
	s->hold_next = false;
}

/* ---- claims ---- */

static const struct pt_claim *active_claim(const struct session *s)
{
	const struct pt_claim *claim = NULL;

	if (s->doing == RANGE && s->begun && s->txn.phase != PT_TXN_CLAIM)
		claim = &s->txn.claim;
	if (s->doing == UPKEEP && s->upkeep.phase != PT_UPKEEP_CLAIM)
		claim = &s->upkeep.claim;
	/* One that was queued becomes active with its owner's next step, unless it is shared. */
	if (s->doing == DIRTY && (!s->parked || s->dirty.claim.mode == PT_CLAIM_SHARED))
		claim = &s->dirty.claim;
	return claim && claim->ctx && claim->slot >= 0 ? claim : NULL;
}

bool is_covered(const struct play *p, unsigned ctx, uint64_t lo, uint64_t hi,
		const struct session *self)
{
	struct reach busy[SESSIONS_MOST];
	unsigned n = busy_reaches(p, ctx, self, busy);

	for (unsigned i = 0; i < n; i++)
		if (busy[i].lo <= hi && busy[i].hi >= lo)
			return true;
	return false;
}

unsigned busy_reaches(const struct play *p, unsigned ctx, const struct session *self,
		      struct reach *busy)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->sessions; i++) {
		const struct session *s = &p->session[i];
		const struct pt_claim *claim = active_claim(s);

		if (s != self && s->ctx == ctx && claim)
			busy[n++] = (struct reach){claim->lo, claim->hi};
	}
	return n;
}

bool is_under_way(const struct session *s, unsigned ctx, uint64_t ipa)
{
	const struct pt_claim *claim = active_claim(s);

	return s->ctx == ctx && s->committed && claim && ipa >= claim->lo && ipa <= claim->hi;
}

/* The most table pages that a range can need: each table that meets it, at each level. */
static uint64_t most_tables(const struct model *m, uint64_t lo, uint64_t hi)
{
	uint64_t n = 0;

	for (int level = m->start; level < 3; level++)
		n += (hi >> model_shift(m, level)) - (lo >> model_shift(m, level)) + 1;
	return n;
}

void refusal_has_reason(struct play *p, const struct session *s, unsigned outcome, uint64_t lo,
			uint64_t hi)
{
	const struct model *m = &p->ctx[s->ctx].model;
	uint64_t now = atomic_load(&p->ctx[s->ctx].pt.table_pages);

	if (outcome == PT_NO_MEMORY && !s->refused && failures() == s->failures &&
	    atomic_load(&p->tables.world.pool.used_bytes) +
			    (most_tables(m, lo, hi) << m->granule) <=
		    p->tables.world.pool.total_bytes)
		fail(p, "memory: refused although the pool has pages and no failpoint hit");
	if (outcome == PT_QUOTA &&
	    (m->quota == UINT64_MAX || now + most_tables(m, lo, hi) <= m->quota))
		fail(p, "quota: refused with %llu of %llu pages in use", (unsigned long long)now,
		     (unsigned long long)m->quota);
}

/* ---- steps ---- */

static bool is_idle(const struct session *s)
{
	return s->doing == IDLE;
}

/* What takes very many small steps goes on in larger ones: there are requests of 2^32 pages. */
#define SMALL_STEPS 100000u
#define LARGE_STEP  100000u

static void run_to_end(struct play *p, struct session *s, uint32_t budget)
{
	for (unsigned i = 0; !is_idle(s); i++) {
		if (s->parked && !s->woken)
			return;
		if (i == 1000000)
			fail(p, "endless: a request does not end");
		/* Somebody else's open section is waited for: not now. */
		for (unsigned k = 0; k < p->sessions; k++)
			if (&p->session[k] != s && p->session[k].holding)
				return;
		session_step(p, s, i < SMALL_STEPS ? budget : LARGE_STEP);
	}
}

static void disarm(void)
{
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
}

static void arm(uint64_t nth)
{
	struct pt_host_failpoint how = {.nth = (uint32_t)nth, .times = 1};

	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
}

/* PLANT_STRAY: one descriptor somewhere in a table says something else than lib put there. */
static void stray(struct play *p)
{
	struct context *c = &p->ctx[below(p, CONTEXTS)];
	struct stretch s;
	uint64_t *entry;

	if (reader_at(&c->reader, c->low.ipa + below(p, c->low.bytes), &s))
		fail(p, "shape: a walk does not end");
	entry = (uint64_t *)(uintptr_t)&s.entry[below(p, s.count)];
	if (!reader_is_table(*entry, s.level))
		*entry ^= *entry & 1 ? UINT64_C(1) << 55 : UINT64_C(1) << 62;
}

/* Everybody comes to an end; a session that waits is woken by one that goes on. */
static void settle(struct play *p)
{
	bool busy = true;

	for (unsigned i = 0; i < p->sessions; i++)
		if (p->session[i].holding)
			session_end(&p->session[i]);
	for (unsigned round = 0; busy; round++) {
		busy = false;
		if (round == 100000)
			fail(p, "endless: sessions wait for each other");
		for (unsigned i = 0; i < p->sessions; i++) {
			struct session *s = &p->session[i];

			s->hold_next = false;
			if (!is_idle(s))
				session_step(p, s, 10000);
			busy |= !is_idle(s);
		}
	}
	for (unsigned i = 0; i < p->sessions; i++)
		while (pt_reclaim(&p->session[i].agent))
			continue;
	dirty_settled(p);
	if (p->v->plant == PLANT_STRAY && p->at >= STRAYS_FROM)
		stray(p);
	compare_settled(p);
}

static void do_step(struct play *p, const struct step *step)
{
	struct session *s = &p->session[step->who % p->sessions];
	struct context *c = &p->ctx[step->ctx % CONTEXTS];

	switch ((enum verb)step->verb) {
	case V_begin:
	case V_run:
		if (!is_idle(s))
			break;
		begin_items(p, s, step);
		if (step->verb == V_run)
			run_to_end(p, s, (uint32_t)step->arg);
		break;
	case V_slot:
		if (is_idle(s) && !c->slot_busy)
			begin_slot(p, s, step);
		break;
	case V_access:
		if (!is_idle(s))
			break;
		begin_access(p, s, step);
		session_step(p, s, 0);
		break;
	case V_fault:
		if (!is_idle(s))
			break;
		begin_fault(p, s, step);
		session_step(p, s, 0);
		break;
	case V_upkeep:
		if (!is_idle(s))
			break;
		begin_upkeep(p, s, step);
		if (step->flags & STEP_ALONE)
			run_to_end(p, s, (uint32_t)step->item[0].pa);
		break;
	case V_dirty:
		p->mover = NULL; /* it takes its first step at once */
		p->turn++;
		if (is_idle(s))
			begin_dirty(p, s, step);
		if (s->doing == DIRTY && step->flags & STEP_ALONE)
			run_to_end(p, s, (uint32_t)step->item[0].pa);
		break;
	case V_step:
		p->v->counts.in_flight++;
		session_step(p, s, (uint32_t)step->arg);
		break;
	case V_abort:
		p->mover = NULL;
		p->turn++;
		if (s->doing == RANGE && s->begun)
			abort_items(p, s);
		else if (s->doing == UPKEEP)
			stop_upkeep(p, s);
		else if (s->doing == DIRTY)
			stop_dirty(p, s);
		break;
	case V_hold: s->hold_next = true; break;
	case V_arm: arm(step->arg); break;
	case V_quota:
		c->model.quota = step->arg;
		atomic_store(&c->pt.quota_pages, step->arg);
		break;
	case V_settle: settle(p); break;
	case VERB_COUNT: break;
	}
}

/* ---- begin and end ---- */

static void open_machine(struct play *p, uint64_t seed)
{
	unsigned first = (unsigned)below(p, shape_count);

	if (pt_host_tables_create(&p->tables, TABLE_BYTES) != PT_OK ||
	    pt_host_ram_create(&p->ram, RAM_BYTES) != PT_OK ||
	    pt_host_mmu_init(&p->mmu, VCPUS, PT_HOST_TLB_ADVERSARIAL, seed) != PT_OK)
		fail(p, "set-up: no memory");
	p->seen = calloc(1, TABLE_BYTES >> 12);
	p->content = content_new();
	p->sessions = 2 + (unsigned)below(p, SESSIONS_MOST - 1);
	for (unsigned i = 0; i < p->sessions; i++)
		if (pt_agent_join(&p->tables.world, &p->session[i].agent) != PT_OK)
			fail(p, "set-up: no agent");
	p->empty_bytes = atomic_load(&p->tables.world.pool.used_bytes);
	context_open(p, 0, first);
	context_open(p, 1, first + (unsigned)below(p, shape_count));
}

static void close_context(struct play *p, unsigned i)
{
	struct context *c = &p->ctx[i];
	struct session *s = &p->session[0];
	enum pt_outcome o;

	if (pt_ctx_destroy_begin(&s->txn, &c->pt, wake) != PT_OK)
		fail(p, "teardown: refused");
	do {
		session_begin(s);
		o = pt_txn_step(&s->txn, &s->agent, 500);
		session_end(s);
	} while (o == PT_MORE);
	if (o != PT_OK || atomic_load(&c->pt.table_pages))
		fail(p, "teardown: %s, %llu table pages left", outcome_name(o),
		     (unsigned long long)atomic_load(&c->pt.table_pages));
	space_free(&c->model.space);
}

static void close_machine(struct play *p)
{
	struct pt_host_tlb_stats tlb = {0};

	dirty_close(p, &p->session[0]);
	for (unsigned i = 0; i < CONTEXTS; i++)
		close_context(p, i);
	for (unsigned i = 0; i < p->sessions; i++) {
		while (pt_reclaim(&p->session[i].agent))
			continue;
		space_free(&p->session[i].before);
		pt_agent_leave(&p->session[i].agent);
	}
	if (atomic_load(&p->tables.world.pool.used_bytes) != p->empty_bytes)
		fail(p, "teardown: pages are lost");
	pt_host_tlb_stats(&p->mmu, &tlb);
	p->v->counts.kept += tlb.kept;
	p->v->counts.served += tlb.served;
	p->v->counts.stale += tlb.stale;
	p->v->counts.invalidated += tlb.invalidated;
	pt_host_mmu_destroy(&p->mmu);
	pt_host_ram_destroy(&p->ram);
	pt_host_tables_destroy(&p->tables);
	content_free(p->content);
	free(p->seen);
}

#define PLAY_STEPS  2500
#define SETTLE_EACH 250

static void plant(const struct verdict *v)
{
	struct pt_host_failpoint how = {.nth = 1};

	if (v->plant == PLANT_LOSE_TLBI)
		pt_host_failpoint_arm(PT_FP_TLBI_DROP, &how);
}

void play(struct verdict *v)
{
	struct play *p = calloc(1, sizeof(*p));
	bool given = v->steps != 0;

	p->v = v;
	p->seed = v->seed;
	p->rng = v->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (unsigned i = 0; i < 8; i++)
		draw(p);
	playing = p;
	open_machine(p, v->seed);
	plant(v);
	for (p->at = 0; p->at < (given ? v->steps : PLAY_STEPS); p->at++) {
		struct step *step = &v->step[p->at];

		if (!given) {
			*step = (struct step){.verb = V_settle};
			if (p->at % SETTLE_EACH != SETTLE_EACH - 1)
				draw_step(p, step);
			v->steps = p->at + 1;
		}
		if (v->plant == PLANT_CRASH && p->at == 99)
			abort();
		do_step(p, step);
	}
	disarm();
	settle(p);
	close_machine(p);
	v->counts.steps += p->at;
	v->counts.plays++;
	free(p);
}
