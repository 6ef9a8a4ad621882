/* SPDX-License-Identifier: BSD-2-Clause */
/* The checked build's seam: events go through the hook and lib/check; a finding prints the last
 * events and aborts. */
#include <pt/check.h>
#include <pt/host/checked.h>
#include <pt/platform.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TRACE_EVENTS 64

void (*pt_host_event_hook)(const struct pt_event *event);
_Thread_local struct pt_host_self pt_host_self;

/*
 * One event at a time, and a descriptor's write together with its event: what the checker saw last
 * is what stands there. Loads are no part of it.
 */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static struct pt_event trace[TRACE_EVENTS]; /* the last ones, under `order` */
static uint64_t events;

static const char *name_of(unsigned kind)
{
	static const char *const name[PT_EVENT_KINDS] = {
		[PT_EVENT_INIT] = "init",
		[PT_EVENT_STORE] = "store",
		[PT_EVENT_STORE_RELEASE] = "release",
		[PT_EVENT_CAS] = "cas",
		[PT_EVENT_HW_CAS] = "hardware",
	};

	return name[kind] ? name[kind] : "event";
}

static void report(const struct pt_finding *finding)
{
	uint64_t from = events > TRACE_EVENTS ? events - TRACE_EVENTS : 0;

	fprintf(stderr, "ptd: checker: rule %s: %s; the last events, newest at the end:\n",
		finding->rule, finding->text);
	for (uint64_t i = from; i < events; i++) {
		const struct pt_event *e = &trace[i % TRACE_EVENTS];

		fprintf(stderr, "  %llu %-8s agent %#llx op %#llx at %#llx: %#018llx %#018llx\n",
			(unsigned long long)i, name_of(e->kind), (unsigned long long)e->agent,
			(unsigned long long)e->op, (unsigned long long)e->at,
			(unsigned long long)e->lo, (unsigned long long)e->hi);
	}
	abort();
}

static void check_write(const struct pt_event *e)
{
	struct pt_write write = {(const pt_pte *)(uintptr_t)e->at, e->lo, e->hi, PT_WRITE_STORE};
	struct pt_finding finding;

	if (e->kind == PT_EVENT_STORE_RELEASE)
		write.how = PT_WRITE_STORE_RELEASE;
	else if (e->kind != PT_EVENT_STORE)
		write.how = PT_WRITE_CAS;
	if (!pt_check_write(&write, &finding))
		report(&finding);
}

/* Under `order`. */
static void feed(const struct pt_event *e)
{
	trace[events++ % TRACE_EVENTS] = *e;
	if (e->kind == PT_EVENT_STORE || e->kind == PT_EVENT_STORE_RELEASE ||
	    ((e->kind == PT_EVENT_CAS || e->kind == PT_EVENT_HW_CAS) && !e->arg))
		check_write(e);
}

static void hook(struct pt_event *e)
{
	if (e->kind == PT_EVENT_SECTION_BEGIN)
		pt_host_self.agent = e->at;
	if (e->kind == PT_EVENT_OP_BEGIN)
		pt_host_self.op = e->at;
	e->agent = pt_host_self.agent;
	e->op = pt_host_self.op;
	if (pt_host_event_hook)
		pt_host_event_hook(e);
}

void pt_host_event(const struct pt_event *event)
{
	struct pt_event e = *event;

	hook(&e);
	pthread_mutex_lock(&order);
	feed(&e);
	pthread_mutex_unlock(&order);
	if (e.kind == PT_EVENT_SECTION_END)
		pt_host_self.agent = 0;
	if (e.kind == PT_EVENT_OP_END)
		pt_host_self.op = 0;
}

void pt_host_event_store(pt_pte *slot, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind,
			     .at = (uintptr_t)slot,
			     .lo = __atomic_load_n(slot, __ATOMIC_RELAXED),
			     .hi = entry};

	hook(&e);
	pthread_mutex_lock(&order);
	e.lo = __atomic_load_n(slot, __ATOMIC_RELAXED);
	feed(&e);
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&order);
}

bool pt_host_event_cas(pt_pte *slot, pt_pte *old, pt_pte entry, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot, .lo = *old, .hi = entry};

	hook(&e);
	pthread_mutex_lock(&order);
	e.arg = !__atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
					     __ATOMIC_ACQUIRE);
	feed(&e);
	pthread_mutex_unlock(&order);
	return !e.arg;
}

pt_pte pt_host_event_load(const pt_pte *slot, enum pt_event_kind kind)
{
	struct pt_event e = {.kind = (uint8_t)kind, .at = (uintptr_t)slot};

	hook(&e);
	return kind == PT_EVENT_PRIVATE ? *slot : __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

void pt_host_event_tlbi(struct pt_port_mmu *mmu, const struct pt_tlbi *tlbi)
{
	struct pt_event e = {.kind = PT_EVENT_TLBI, .at = (uintptr_t)mmu, .tlbi = tlbi};

	pt_host_event(&e);
	if (mmu)
		pt_host_tlbi(mmu, tlbi);
	e.kind = PT_EVENT_TLBI_DONE;
	pt_host_event(&e);
}

uint64_t pt_host_events(void)
{
	return events;
}
