/* SPDX-License-Identifier: BSD-2-Clause */
/* The checked build's seam: events go through the hook and lib/check; a finding prints the last
 * events and aborts. */
#include "trace.h"

#include <pt/host/checked.h>
#include <pt/host/vcpu.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>

/* Pages of it come with their first use. */
#define ARENA_BYTES  (UINT64_C(1) << 30)
#define TRACE_EVENTS 256

enum { DSB_ISH, DSB_ISHST }; /* arg of PT_EVENT_DSB */

void (*pt_host_event_hook)(const struct pt_event *event);
void (*pt_host_finding_hook)(const struct pt_finding *finding);
_Thread_local struct pt_host_self pt_host_self;

/*
 * One event at a time, and a descriptor's write together with its event: what the checker saw last
 * is what stands there.
 */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static struct host_event trace[TRACE_EVENTS]; /* the last ones, under `order` */
static uint64_t events, traced;
static struct pt_check *check;
static bool told;   /* that the arena is full */
static FILE *saved; /* PTD_TRACE: each event, for tests/checker/replay */
static _Atomic uint32_t threads;
static _Atomic bool repeats; /* the CPUs have the quirk of rule T7 */

/* A program of one thread, which most tests are, has nobody to wait for. Whether there are others
 * does not change while the lock is held: whoever holds it makes none. */
static void enter(void)
{
	if (!__libc_single_threaded)
		pthread_mutex_lock(&order);
}

static void leave(void)
{
	if (!__libc_single_threaded)
		pthread_mutex_unlock(&order);
}

static void start(void)
{
	static const struct pt_check_config config;
	void *arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (arena == MAP_FAILED) {
		fputs("ptd: checker: no address space\n", stderr);
		abort();
	}
	check = pt_check_init(arena, ARENA_BYTES, &config);
	if (getenv("PTD_TRACE"))
		saved = fopen(getenv("PTD_TRACE"), "w");
}

static void save(const struct pt_event *e)
{
	struct host_event h;

	host_event_copy(&h, e);
	host_event_print(saved, &h);
}

static void report(const struct pt_finding *finding)
{
	uint64_t from = traced > TRACE_EVENTS ? traced - TRACE_EVENTS : 0;

	if (pt_host_finding_hook) {
		leave();
		pt_host_finding_hook(finding);
		enter();
	}
	fputs("ptd: checker: the last events, newest at the end:\n", stderr);
	for (uint64_t i = from; i < traced; i++)
		host_event_print(stderr, &trace[i % TRACE_EVENTS]);
	host_finding_print(stderr, finding);
	if (saved)
		fflush(saved);
	abort();
}

static void tell_when_full(void)
{
	if (told || !pt_check_untracked(check))
		return;
	told = true;
	fputs("ptd: checker: its memory is full, it sees only a part from now on\n", stderr);
}

/* Under `order`. Loads would push the rest out of the trace, and need no memory of the checker. */
static void feed(const struct pt_event *e)
{
	bool load = e->kind == PT_EVENT_LOAD;
	struct pt_finding finding;

	if (!check)
		start();
	if (!load)
		host_event_copy(&trace[traced++ % TRACE_EVENTS], e);
	if (saved)
		save(e);
	events++;
	if (!pt_check_event(check, e, &finding))
		report(&finding);
	if (!load)
		tell_when_full();
}

/* Who runs, and the hook. */
static void sign(struct pt_event *e)
{
	if (!pt_host_self.thread)
		pt_host_self.thread = atomic_fetch_add(&threads, 1) + 1;
	e->thread = pt_host_self.thread;
	e->agent = pt_host_self.agent;
	e->op = pt_host_self.op;
	if (pt_host_event_hook)
		pt_host_event_hook(e);
}

static void announce(struct pt_event *e)
{
	if (e->kind == PT_EVENT_SECTION_BEGIN) {
		pt_host_self.agent = e->at;
		pt_host_self.scope = 0;
	}
	if (e->kind == PT_EVENT_OP_BEGIN) {
		const struct pt_ctx *ctx = (const void *)(uintptr_t)e->ctx;

		pt_host_self.scope = ctx ? ctx->scope : 0; /* an operation without items has none */
		pt_host_self.op = e->at;
		pt_host_self.outer = pt_host_self.agent;
		pt_host_self.agent = e->lo;
	}
	sign(e);
}

static bool fails(enum pt_failpoint point)
{
	return pt_port_failpoint(point, pt_host_self.scope);
}

static void hold(enum pt_failpoint point)
{
	if (fails(point))
		pt_host_failpoint_hold(point);
}

/* Whoever lost tries again: what follows is no hit, so that each loop ends. */
static bool loses(void)
{
	pt_host_self.lost = !pt_host_self.lost && fails(PT_FP_CAS_LOSE);
	return pt_host_self.lost;
}

static bool is_zero(const struct pt_event *e)
{
	const uint64_t *word = (const uint64_t *)(uintptr_t)e->at;
	uint64_t any = 0;

	for (uint64_t i = 0; i < e->lo / sizeof(*word); i++)
		any |= word[i];
	return !any;
}

void pt_checked_event(const struct pt_event *event)
{
	struct pt_event e = *event;

	announce(&e);
	if (e.kind == PT_EVENT_SECTION_END)
		hold(PT_FP_SECTION_LONG);
	if (e.kind == PT_EVENT_PAGE_GET || e.kind == PT_EVENT_PAGE_PUT)
		e.arg = is_zero(&e);
	enter();
	feed(&e);
	leave();
	if (e.kind == PT_EVENT_SECTION_END)
		pt_host_self.agent = 0;
	if (e.kind == PT_EVENT_OP_END) {
		pt_host_self.op = 0;
		pt_host_self.agent = pt_host_self.outer;
	}
}

void pt_checked_event_store(pt_pte *slot, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind,
			     .at = (uintptr_t)slot,
			     .lo = __atomic_load_n(slot, __ATOMIC_RELAXED),
			     .hi = entry};

	sign(&e);
	enter();
	e.lo = __atomic_load_n(slot, __ATOMIC_RELAXED);
	feed(&e);
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
	leave();
}

bool pt_checked_event_cas(pt_pte *slot, pt_pte *old, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot, .lo = *old, .hi = entry};
	bool lost;

	sign(&e);
	lost = kind == PT_EVENT_CAS && loses();
	enter();
	if (lost)
		*old = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	e.arg = lost || !__atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
						     __ATOMIC_ACQUIRE);
	feed(&e);
	leave();
	return !e.arg;
}

pt_pte pt_checked_event_load(const pt_pte *slot, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot};
	pt_pte value;

	sign(&e);
	enter();
	value = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	e.lo = e.hi = value;
	feed(&e);
	leave();
	return value;
}

static void dsb(uint32_t domain)
{
	pt_checked_event(&(struct pt_event){.kind = PT_EVENT_DSB, .arg = domain});
}

/* The instructions of one invalidation as a CPU issues them (rule T1). */
static void instructions(struct pt_event e)
{
	struct pt_port_mmu *mmu = (struct pt_port_mmu *)(uintptr_t)e.at;
	bool alone = e.tlbi->kind == PT_TLBI_STAGE1;
	bool whole = !alone && e.tlbi->kind != PT_TLBI_IPA && e.tlbi->kind != PT_TLBI_RANGE;

	dsb(DSB_ISHST);
	if (!alone) {
		e.kind = whole ? PT_EVENT_TLBI_S12 : PT_EVENT_TLBI_S2;
		pt_checked_event(&e);
	}
	hold(PT_FP_TLBI_DELAY);
	if (mmu)
		pt_host_tlbi_stage2(mmu, e.tlbi);
	if (!whole) {
		if (!alone)
			dsb(DSB_ISH);
		e.kind = PT_EVENT_TLBI_S1;
		pt_checked_event(&e);
	}
	if (mmu)
		pt_host_tlbi_stage1(mmu, e.tlbi);
	dsb(DSB_ISH);
}

void pt_host_event_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	struct pt_event e = {.kind = PT_EVENT_TLBI, .at = (uintptr_t)mmu, .tlbi = tlbi};
	bool local = tlbi->kind == PT_TLBI_LOCAL;

	pt_checked_event(&e);
	if (local && mmu)
		pt_host_tlbi(mmu, tlbi);
	for (unsigned i = 0; !local && i <= atomic_load(&repeats); i++)
		instructions(e);
	e.kind = PT_EVENT_TLBI_DONE;
	pt_checked_event(&e);
}

void pt_host_repeat_tlbis(bool repeat)
{
	enter();
	if (!check)
		start();
	pt_check_set_quirks(check, repeat ? PT_CHECK_REPEAT_TLBI : 0);
	atomic_store(&repeats, repeat);
	leave();
}

uint64_t pt_host_events(void)
{
	uint64_t n;

	enter();
	n = events;
	leave();
	return n;
}

void pt_host_check_counts(uint64_t judged[PT_RULES])
{
	enter();
	for (unsigned i = 0; i < PT_RULES; i++)
		judged[i] = check ? pt_check_judged(check, (enum pt_rule)i) : 0;
	leave();
}
