/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deferred free. CPUs 0 and 1 each unlink a table in a section that also walks, retire it, leave their section, and wait
 * until it is safe: the pool is empty, so each needs its own page, for which the other's section must end. CPU 2 walks, takes an
 * exception at EL2 in its section, or is never started.
 *
 * Safety: no table is read after it was zeroed. Progress: no CPU waits for ever (Spin: no invalid end state).
 */
#include "cpu.pml"

byte link[2] = 1; /* memory: descriptor k links table k, or not */
bool zeroed[2];	  /* table k is back in the pool */

/* `data_wait` is CPU k's own store of 0 to link k. */
proctype drain(byte i)
{
end:	do
	:: atomic { section_wait[i] && !(released[i] && data_wait[i]) ->
		section[i] = section_to[i]; section_wait[i] = false }
	:: atomic { data_wait[i] -> link[i] = 0; data_wait[i] = false }
	:: over[i] && !section_wait[i] && !data_wait[i] -> break
	od
}

/* @ lib/hyp/hyp.c pt__hyp_descend: at->entry = pt_pte_load(at->slot); */
inline walk(i, k)
{
	p = (k == i && data_wait[i] -> 0 : link[k])
}

inline read_table(k)
{
	if
	:: p -> assert(!zeroed[k])
	:: else
	fi
}

/* Whoever waits holds no pointer and is in no section. */
inline wait_and_free(i)
{
	/* @ lib/pool/agent.c snapshot_over: if (other && atomic_load_explicit(&other->section, memory_order_acquire) == */
	ended(seen[(i + 1) % CPUS], (i + 1) % CPUS);
	ended(seen[(i + 2) % CPUS], (i + 2) % CPUS);
	/* @ lib/pool/agent.c free_pages: pt_port_zero(pt_port_table(pool->port, pt_page_pa(pool->port, page)), size); */
	zeroed[i] = true
}

proctype changer(byte i)
{
	byte p, seen[CPUS];

	section_begin(i, 0);
	walk(i, 1 - i);
	/* @ lib/hyp/map.c unlink_empty: pt_pte_store(at.slot, 0); */
	data_wait[i] = true;
	read_table(1 - i);
	/* The DSB of the TLBI, and the fence of the snapshot: either would do, so this is both. */
	/* @ lib/hyp/map.c pt_hyp_unmap: pt_port_tlbi(hyp->mmu, */
	/* @ lib/pool/agent.c snapshot: pt_port_fence_full(); */
#ifndef NO_FLUSH
	fence(i);
#endif
	/* @ lib/pool/agent.c snapshot: section = atomic_load_explicit(&other->section, memory_order_acquire); */
	look_at_section(seen[(i + 1) % CPUS], (i + 1) % CPUS);
	look_at_section(seen[(i + 2) % CPUS], (i + 2) % CPUS);
#ifdef WAIT_INSIDE
	wait_and_free(i);
	section_end(i, 0);
#else
	section_end(i, 0);
#ifdef FREE_AT_ONCE
	zeroed[i] = true;
#else
	/* @ lib/pool/agent.c reclaim: if (!snapshot_over(agent) || pt_port_failpoint_checked(PT_FP_FREE_DELAY, 0)) */
	wait_and_free(i);
#endif
#endif
	over[i] = true
}

/* An exception taken at EL2 nests in the section that it meets. */
inline nested(i, n)
{
	if
	:: true
#ifdef NESTED_ENDS
	:: store_section(i, EVEN(n), false); /* it counts as from outside, twice */
	   fence(i);
	   store_section(i, ODD(n), true)
#endif
	fi
}

proctype walker()
{
	byte p, k, n = 0;

	if
	:: true -> over[2] = true; goto out /* off, or never started */
	:: true
	fi;
	do
	:: n < 2 ->
		if :: k = 0 :: k = 1 fi;
		section_begin(2, n);
		walk(2, k);
		nested(2, n);
#ifdef NO_RELEASE
		section_end(2, n); /* passes the load */
		read_table(k);
#else
		read_table(k);
		section_end(2, n);
#endif
		n++
	:: else -> break
	od;
	over[2] = true;
out:	skip
}

init
{
	atomic {
		run changer(0); run changer(1); run walker();
		run drain(0); run drain(1); run drain(2)
	}
}
