/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interleaving explorer: lib compiled once more so that each access to shared memory is a point
 * where another agent may go on, and a search through all the ways in which they can.
 *
 * Files: fibre.c switches stacks; memory.c is the memory model; explore.c decides who goes on and
 * searches; states.c knows where it was, snapshot.c keeps beginnings of runs; shared.c says where
 * that makes a difference, sleep.c who need not go on; world.c holds what is explored, and looks at
 * it in the end; tlb.c is a TLB that keeps whatever it may; watch.c feeds the runtime checker;
 * ops.c are the operations; test_interleave.c the cases.
 */
#ifndef TESTS_INTERLEAVE_IV_H
#define TESTS_INTERLEAVE_IV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IV_FIBRES 3	    /* agents at work at once */
#define IV_NOBODY IV_FIBRES /* the test itself: its accesses are not explored */

/* A finaliser with full avalanche (splitmix64's), for every hash here. */
static inline uint64_t iv_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1342543de82ef95);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* ---- fibre.c: stacks ---- */

/* Makes IV_FIBRES fibres, once; `body` runs when a fibre is entered after a restart, and must not
 * return. */
void iv_fibres_make(void (*body)(unsigned id));
/* The fibre begins its body anew when it is entered next. From home only. */
void iv_fibre_restart(unsigned id);
/* From `from` (a fibre, or IV_NOBODY: home) to `to`. */
void iv_fibre_switch(unsigned from, unsigned to);
/* What of its stack is in use while another runs. */
void *iv_fibre_stack(unsigned id);
size_t iv_fibre_stack_used(unsigned id);

/* ---- snapshot.c: runs from their middle ---- */

/* Of what a run changes, whatever is no local variable, table or arena of the checker's. */
#define IV_RUN __attribute__((section("iv_run")))

struct iv_mark {
	unsigned depth; /* of the decision that is about to be taken */
	uint64_t event;
};
/* From home, all agents being at rest. Where there is no room for one more, it is left out. */
void iv_snapshot_take(const struct iv_mark *mark);
const struct iv_mark *iv_snapshot_last(void); /* NULL: none */
/* Those behind this depth; or all. */
void iv_snapshots_drop(unsigned depth);
void iv_snapshots_drop_all(void);
/* From home: all is as it was when the last was taken, which stays. */
void iv_snapshot_restore(void);

/* ---- memory.c: the memory model; called by the shim in atomics.h and by port/pt/port.h ---- */

uint64_t iv_load(const volatile void *at, unsigned size, int order);
void iv_store(volatile void *at, unsigned size, uint64_t value, int order);
void iv_init(volatile void *at, uint64_t value); /* a plain store to a private table */
bool iv_cas(volatile void *at, unsigned size, uint64_t *old, uint64_t value, int order);
enum iv_rmw { IV_SWAP, IV_ADD, IV_SUB, IV_OR, IV_AND };
uint64_t iv_rmw(volatile void *at, unsigned size, enum iv_rmw what, uint64_t operand, int order);
void iv_fence(int order);
void iv_lock(volatile void *at);
void iv_unlock(volatile void *at);
void iv_zero(void *at, size_t bytes);

/* A descriptor as the agent that runs sees it. */
uint64_t iv_memory_view(const volatile void *at);

/* A page of table memory holds words of lib's own from now on, or no more. */
void iv_memory_book(const volatile void *page, bool is_book);

void iv_memory_reset(void);
/* Everything that is held back becomes visible: of one agent, or of all (IV_NOBODY). True: there
 * was something. */
bool iv_memory_settle(unsigned agent);
/* Is there a store to `at` that is not yet visible? */
bool iv_memory_pending(const volatile void *at);
/* Of this agent, to the same word? */
bool iv_memory_holds(unsigned agent, const volatile void *at);
uint64_t iv_memory_hash(void);
/* Begins an attempt at something that others may have to make possible; and has another agent
 * changed a location that the agent read since? (Or one of the same hash: one try more.) */
void iv_attempt(void);
bool iv_memory_woken(unsigned agent);
/* What an agent has read so far; its local state is a function of it. */
void iv_observe(unsigned agent, uint64_t what, uint64_t value);

/* ---- watch.c: the runtime checker ---- */

/* A new checker, before a first state is built; what it knows then is kept; what each run begins
 * with. */
void iv_watch_build(void);
void iv_watch_save(void);
void iv_watch_reset(void);
void iv_watch_end(void);
/* All that it knows. */
void *iv_watch_arena(void);
size_t iv_watch_arena_used(void);
/* A descriptor is read or written, now: `kind` is an enum pt_event_kind. */
void iv_watch(uint8_t kind, const volatile void *at, uint64_t old, uint64_t entry, bool lost);
/* A store is held back (kind 0: not of a descriptor); it is about to become visible; after some
 * have. */
void iv_watch_held(uint8_t kind, const volatile void *at, uint64_t entry);
void iv_watch_visible(unsigned agent, const volatile void *at);
void iv_watch_caught_up(unsigned agent);
/* What it knows besides memory (owed.c): a part of the search's states. */
uint64_t iv_watch_hash(void);
struct pt_check;
uint64_t iv_check_hash(const struct pt_check *check);

/* ---- explore.c: who goes on ---- */

unsigned iv_self(void); /* the fibre that runs, or IV_NOBODY */

enum iv_event {
	IV_EVENT_LOAD,
	IV_EVENT_STORE,
	IV_EVENT_INIT,
	IV_EVENT_CAS,
	IV_EVENT_RMW,
	IV_EVENT_LOCK,
	IV_EVENT_UNLOCK,
	IV_EVENT_ZERO,
	IV_EVENT_TLBI,
	IV_EVENT_FENCE,
};
/* Before each event: somebody else may go on here. `at` NULL: concerns everybody. */
void iv_event(enum iv_event kind, const volatile void *at, unsigned bytes);
/* Between two reads of the agent that runs something else was done. */
void iv_between(void);
/* May this location be seen by more than one agent? */
bool iv_is_shared(const volatile void *at);
/* A store is about to be made: hold it back? Costs one of the run's delays. */
bool iv_choose_hold(void);
/* A store held back by another agent is about to be passed: let it become visible? */
bool iv_choose_drain(unsigned whose);
/* For the trace of a failed run. */
void iv_trace(enum iv_event kind, const volatile void *at, uint64_t value, const char *note);

struct pt_event;
void iv_trace_event(const struct pt_event *event);

/* The fibre waits: until the lock is free, the flag is not zero, or somebody else changed what it
 * read in this attempt. */
void iv_wait_lock(const volatile void *at);
void iv_wait_flag(const volatile uint32_t *at);
void iv_wait_write(void);

/* Between two operations of one agent. */
void iv_turn(void);

/* The run has failed; does not come back. */
_Noreturn void iv_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- states.c: what the search has gone on from ---- */

void iv_states_clear(void);
/* Has it gone on from this state with as much left, and nobody asleep who is awake now? If not, it
 * does now. */
bool iv_states_seen(uint64_t state, unsigned sleepers, unsigned preemptions, unsigned delays);
uint64_t iv_states_count(void);

/* ---- shared.c: where a switch makes a difference ---- */

/* A case begins. */
void iv_shared_forget(void);
/* The agent that runs is about to do this. True: so something is shared that was not known to be.
 */
bool iv_shared_note(enum iv_event kind, const volatile void *at, unsigned bytes);
bool iv_shared_word(const volatile void *at);
/* A name of the page, if this reads one that another agent gives back; or 0. */
unsigned iv_shared_page(enum iv_event kind, const volatile void *at);

/* ---- sleep.c: who need not go on ---- */

void iv_sleep_reset(void);
/* What the agent does when it goes on; and it was preempted before that. */
void iv_sleep_before(unsigned agent, enum iv_event kind, const volatile void *at);
void iv_sleep(unsigned agent);
unsigned iv_asleep(void); /* an agent a bit */
void iv_wake(unsigned agent);
void iv_wake_all(void);
/* The agent that runs has touched this; or does it now. */
void iv_wake_for(const volatile void *at, bool writes);
void iv_wake_after(enum iv_event kind, const volatile void *at);

struct iv_limits {
	unsigned preemptions, delays;
	double seconds; /* of processor time: give up after so many; 0: never */
	bool naive;	/* every location is a switching point, and states are not compared */
	bool whole;	/* each run is played from its beginning */
	bool audit;	/* who sleeps goes on nevertheless, and it is a failure if that is news */
	/* Called at the end of each complete run, in place of the comparison with the orders of the
	 * operations. */
	void (*observe)(uint64_t exact);
};

struct iv_result {
	uint64_t schedules, completed, states, restarts;
	uint64_t longest; /* events in one run */
	unsigned points;  /* of them, at most so many are switching points */
	unsigned bounds;  /* all runs with fewer preemptions than this were searched */
	bool exhausted;	  /* false: the time ran out */
	bool failed;
	char text[256];	    /* what failed */
	char schedule[512]; /* how to see it again, as short as found */
};

struct iv_case;
/* All runs of a case within the limits, or up to the first that fails. */
void iv_explore(const struct iv_case *c, const struct iv_limits *limits, struct iv_result *result);
/* One run by a schedule that a failure printed, with its trace on stdout. True: it failed, as
 * before. */
bool iv_replay(const struct iv_case *c, const char *schedule, struct iv_result *result);

/* ---- tlb.c: what hardware may remember ---- */

void iv_tlb_reset(void);
/* After a write to a table that hardware may see. */
void iv_tlb_note(unsigned agent);
void iv_tlb_page_freed(uint64_t table_pa);
/* The operation of this agent is about to be answered. */
void iv_tlb_reply(unsigned agent);
void iv_tlb_end(void);
uint64_t iv_tlb_hash(void);

#endif
