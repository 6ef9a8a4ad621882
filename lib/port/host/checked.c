/* SPDX-License-Identifier: BSD-2-Clause */
/* The checked build's seam: each descriptor write goes through lib/check; a finding prints the last
 * events and aborts. */
#include <pt/check.h>
#include <pt/platform.h>

#include <stdio.h>
#include <stdlib.h>

#ifdef PT_CHECKED

#define TRACE_EVENTS 64

/* The last writes of all agents, oldest overwritten first. Racy on purpose: a trace, not a log. */
static struct {
	_Atomic uintptr_t slot;
	_Atomic uint64_t old, entry;
	_Atomic uint32_t how;
} trace[TRACE_EVENTS];
static _Atomic uint64_t events;

static const char *const how_name[] = {"store", "release", "cas"};

static void note(const struct pt_write *write)
{
	uint64_t at = atomic_fetch_add_explicit(&events, 1, memory_order_relaxed) % TRACE_EVENTS;

	atomic_store_explicit(&trace[at].slot, (uintptr_t)write->slot, memory_order_relaxed);
	atomic_store_explicit(&trace[at].old, write->old, memory_order_relaxed);
	atomic_store_explicit(&trace[at].entry, write->entry, memory_order_relaxed);
	atomic_store_explicit(&trace[at].how, write->how, memory_order_relaxed);
}

static void report(const struct pt_finding *finding)
{
	uint64_t end = atomic_load(&events);
	uint64_t from = end > TRACE_EVENTS ? end - TRACE_EVENTS : 0;

	fprintf(stderr, "ptd: checker: rule %s: %s; the last writes, newest at the end:\n",
		finding->rule, finding->text);
	for (uint64_t i = from; i < end; i++)
		fprintf(stderr, "  %llu %-7s slot %#llx: %#018llx -> %#018llx\n",
			(unsigned long long)i, how_name[trace[i % TRACE_EVENTS].how % 3],
			(unsigned long long)trace[i % TRACE_EVENTS].slot,
			(unsigned long long)trace[i % TRACE_EVENTS].old,
			(unsigned long long)trace[i % TRACE_EVENTS].entry);
	abort();
}

void pt_host_checked_write(const pt_pte *slot, pt_pte old, pt_pte entry, unsigned how)
{
	struct pt_write write = {slot, old, entry, (enum pt_write_how)how};
	struct pt_finding finding;

	note(&write);
	if (!pt_check_write(&write, &finding))
		report(&finding);
}

uint64_t pt_host_checked_events(void)
{
	return atomic_load_explicit(&events, memory_order_relaxed);
}

#else

uint64_t pt_host_checked_events(void)
{
	return 0;
}

#endif
