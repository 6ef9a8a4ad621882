/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs with store buffers, and their sections. Both models include it.
 *
 * A store waits in its CPU's buffer, one for each variable, and reaches memory when the CPU's drain() says so, in any
 * order. A fence waits until the buffer is empty; a store-release reaches memory after the stores before it. Its own CPU
 * sees a store at once, others from memory. Loads are made in program order where a fence, an acquire or an address
 * dependency keeps them so, which is everywhere here; the one that may move down, past the end of its section, does so
 * under NO_RELEASE.
 *
 * `@ file function: text` names the code that the next lines are; the runner looks for it.
 */
#define CPUS 3

byte section[CPUS];	/* memory: pt_agent.section */
byte section_to[CPUS];	/* the buffers: what is stored to it, */
bool section_wait[CPUS];/* and whether it is still there */
bool released[CPUS];	/* by a store-release */
bool data_wait[CPUS];	/* the CPU's other store of the model is still in its buffer */
bool over[CPUS];	/* the CPU does nothing any more */

#define fence(i) (!section_wait[i] && !data_wait[i])

inline store_section(i, v, release)
{
	atomic { section_to[i] = v; section_wait[i] = true; released[i] = release }
}

/* The odd number of a CPU's n-th section, from 0 on, and the even one after it. */
#define ODD(n)	(2 * (n) + 1)
#define EVEN(n) (2 * (n) + 2)

inline section_begin(i, n)
{
	/* @ lib/pool/section.h pt__section_begin: atomic_store_explicit(&agent->section, section + 1, memory_order_relaxed); */
	store_section(i, ODD(n), false);
	/* @ lib/pool/section.h pt__section_begin: pt_port_fence_full(); */
#ifndef NO_SECTION_FENCE
	fence(i);
#endif
}

inline section_end(i, n)
{
	/* @ lib/pool/section.h pt__section_end: atomic_store_explicit(&agent->section, section + 1, memory_order_release); */
	store_section(i, EVEN(n), true);
}

/* 0: CPU k is outside a section as far as memory says, off, or was never started: it is quiescent. */
inline look_at_section(seen, k)
{
	atomic { /* one load */
#ifdef WAIT_FOR_THE_QUIET
		seen = section[k] + 100;
#else
		seen = (section[k] & 1 -> section[k] : 0);
#endif
	}
}

#ifdef WAIT_FOR_THE_QUIET
#define ended(seen, k) (section[k] + 100 != seen)
#else
#define ended(seen, k) (seen == 0 || section[k] != seen)
#endif
