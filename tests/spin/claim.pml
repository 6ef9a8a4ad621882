/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claims. CPUs 0 and 1 claim a range each, leave their section, and wait for everybody's: each for the other's, too. CPU 2
 * changes an entry of either range by a point operation, or is never started.
 *
 * Safety: while a claim is drained, no point operation is at work in its range. Progress: no CPU waits for ever.
 */
#include "cpu.pml"

bool claim[2];	  /* memory: ctx->claims */
bool use[CPUS];	  /* memory: machine->agents */
bool drained[2];  /* the owner of claim k believes that it is alone */
byte at_work[2];  /* point operations in range k that have not seen a claim */

/* `data_wait` is CPU k's own store to claim k; CPU 2's is that of its bit in use. */
proctype drain(byte i)
{
end:	do
	:: atomic { section_wait[i] && !(released[i] && data_wait[i]) ->
		section[i] = section_to[i]; section_wait[i] = false }
	:: atomic { i < 2 && data_wait[i] -> claim[i] = true; data_wait[i] = false }
	:: atomic { i == 2 && data_wait[i] -> use[i] = true; data_wait[i] = false }
	:: over[i] && !section_wait[i] && !data_wait[i] -> break
	od
}

inline look_if_used(k)
{
	/* @ lib/txn/machine.c pt_grace_begin: agents = atomic_load_explicit(&machine->agents, memory_order_relaxed); */
	if
	:: use[k] ->
		/* @ lib/txn/machine.c pt_grace_begin: section = atomic_load_explicit(&other->section, memory_order_acquire); */
		look_at_section(seen[k], k)
	:: else -> seen[k] = 0
	fi
}

/* @ lib/txn/machine.c pt_grace_done: atomic_load_explicit(&other->section, memory_order_acquire) != grace->seen[id]) */
inline wait(i)
{
	ended(seen[(i + 1) % CPUS], (i + 1) % CPUS);
	ended(seen[(i + 2) % CPUS], (i + 2) % CPUS)
}

proctype claimer(byte i)
{
	byte seen[CPUS];

	section_begin(i, 0);
	use[i] = true; /* pt_machine_use(), as of CPU 2 below, with its fence */
	fence(i);
	/* @ lib/txn/claim.c activate: atomic_store_explicit(&ctx->claims, active(ctx) | 1u << claim->slot, memory_order_release); */
	data_wait[i] = true;
	/* @ lib/txn/machine.c pt_grace_begin: pt_port_fence_full(); */
#ifndef NO_CLAIM_FENCE
	fence(i);
#endif
	look_if_used((i + 1) % CPUS);
	look_if_used((i + 2) % CPUS);
#ifdef WAIT_INSIDE
	wait(i);
	section_end(i, 0);
#else
	section_end(i, 0);
#ifndef NO_DRAIN
	wait(i);
#endif
#endif
	section_begin(i, 1);
	drained[i] = true; /* plain stores */
	assert(at_work[i] == 0);
	drained[i] = false;
	/* @ lib/txn/claim.c leave_slot: atomic_store_explicit(&ctx->claims, active(ctx) & ~(1u << claim->slot), */
	claim[i] = false;
	section_end(i, 1);
	over[i] = true
}

proctype pointer()
{
	byte k, n = 0;

	if
	:: true -> over[2] = true; goto out
	:: true
	fi;
	do
	:: n < 2 ->
		if :: k = 0 :: k = 1 fi;
		section_begin(2, n);
		if
		:: n == 0 ->
			/* @ lib/include/pt/machine.h pt_machine_use: atomic_fetch_or(&machine->agents, bit); */
			data_wait[2] = true;
			/* @ lib/include/pt/machine.h pt_machine_use: pt_port_fence_full(); */
#ifndef NO_USE_FENCE
			fence(2)
#endif
		:: else
		fi;
		/* @ lib/txn/internal.h pt__admit: uint32_t claims = atomic_load_explicit(&ctx->claims, memory_order_acquire); */
		if
		:: atomic { !claim[k] -> at_work[k]++ };
			assert(!drained[k]);
			at_work[k]--
		:: claim[k] /* PARKED */
		fi;
		section_end(2, n);
		n++
	:: else -> break
	od;
	over[2] = true;
out:	skip
}

init
{
	atomic {
		run claimer(0); run claimer(1); run pointer();
		run drain(0); run drain(1); run drain(2)
	}
}
