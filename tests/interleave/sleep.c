/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleep: which agents need not go on yet, since what they would do next could have been done before
 * (the reduction by partial order; docs/testing.md says why it is sound under a bound).
 *
 * Who is preempted before an event sleeps until another agent does something on which the outcome
 * of that event, or of whatever the agent does up to its next switching point, may depend, or that
 * others may tell apart:
 *
 *   it touches the event's word, one of the two writing;
 *   it writes, and so does the event: the TLB and the checker see writes to all words, in order;
 *   it touches a word of which the sleeper holds a store back, which the step may let out;
 *   it waits: what it waits for may be what the step does;
 *   it acts on everybody, as TLBIs and pages given back do.
 */
#include "iv.h"

static struct {
	const volatile void *at; /* NULL: concerns everybody, and nobody sleeps before it */
	bool writes;
} next[IV_FIBRES] IV_RUN;
static unsigned asleep IV_RUN;

static bool concerns_all(enum iv_event kind, const volatile void *at)
{
	return !at || kind == IV_EVENT_ZERO;
}

void iv_sleep_reset(void)
{
	asleep = 0;
}

void iv_sleep_before(unsigned agent, enum iv_event kind, const volatile void *at)
{
	next[agent].at = concerns_all(kind, at) ? NULL : at;
	next[agent].writes = kind != IV_EVENT_LOAD;
}

void iv_sleep(unsigned agent)
{
	if (next[agent].at)
		asleep |= 1u << agent;
}

void iv_wake(unsigned agent)
{
	asleep &= ~(1u << agent);
}

void iv_wake_all(void)
{
	asleep = 0;
}

unsigned iv_asleep(void)
{
	return asleep;
}

static bool same_word(const volatile void *a, const volatile void *b)
{
	return (uintptr_t)a / 8 == (uintptr_t)b / 8;
}

static bool depends(unsigned agent, const volatile void *at, bool writes)
{
	if (writes && next[agent].writes)
		return true;
	if (same_word(next[agent].at, at) && (writes || next[agent].writes))
		return true;
	return iv_memory_holds(agent, at);
}

void iv_wake_for(const volatile void *at, bool writes)
{
	for (unsigned f = 0; asleep >> f; f++)
		if (asleep >> f & 1 && depends(f, at, writes))
			iv_wake(f);
}

void iv_wake_after(enum iv_event kind, const volatile void *at)
{
	if (concerns_all(kind, at))
		iv_wake_all();
	else
		iv_wake_for(at, kind != IV_EVENT_LOAD);
}
