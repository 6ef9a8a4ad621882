/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents, sections, claims and deferred free: who may be where at the same time. See
 * docs/concurrency.md. */
#ifndef PT_MACHINE_H
#define PT_MACHINE_H

#include <pt/pool.h>

#define PT_MAX_AGENTS 64

/*
 * An agent runs lib: a loop of the daemon, a CPU at EL2, a test thread. A *section* is one bounded
 * step of it. No pointer to a table, slot or context outlives a section, and nothing in it blocks.
 * `section` is odd inside one; the full fence at its begin pairs with the one in pt_grace_begin()
 * after a claim is published: either the section sees the claim or the claimer sees the section.
 */
struct pt_agent {
	_Atomic uint64_t section;
	struct pt_world *world;
	uint32_t id;
	struct pt_magazine magazine[3]; /* 4K, 16K, 64K */

	/* Deferred free, two groups: `waiting` has a snapshot of all agents, `fresh` collects
	 * meanwhile. */
	struct pt_pages waiting[3], fresh[3];
	struct pt_pieces waiting_pieces, fresh_pieces;
	uint64_t waiting_for[PT_MAX_AGENTS];
	bool waiting_busy;
	_Atomic uint64_t graces; /* groups that became safe; any thread may read it */
};

/* All agents that can meet, and the pool that they share: one daemon, or one EL2. */
struct pt_world {
	struct pt_pool pool;
	_Atomic uint32_t agents; /* slots ever used */
	_Atomic(struct pt_agent *) agent[PT_MAX_AGENTS];
};

void pt_world_init(struct pt_world *world);

/* Gives `agent` (caller's memory, zeroed) a free id. PT_OK, or PT_BUSY when PT_MAX_AGENTS are
 * taken. Any thread. */
enum pt_outcome pt_agent_join(struct pt_world *world, struct pt_agent *agent);
/* The agent is outside a section and its retired pages are reclaimed; its magazines go back to the
 * pool. */
void pt_agent_leave(struct pt_agent *agent);

void pt_section_begin(struct pt_agent *agent);
void pt_section_end(struct pt_agent *agent);

static inline bool pt_in_section(const struct pt_agent *agent)
{
	return atomic_load_explicit(&agent->section, memory_order_relaxed) & 1;
}

/*
 * Retires table pages that were unlinked and flushed: zeroed and back in the pool once every other
 * agent has ended the section it was in (rule A1). Inside or outside a section. With no other agent
 * inside a section, at once.
 */
void pt_retire(struct pt_agent *agent, unsigned granule_shift, struct pt_pages *list);
/* The same for pieces of pages, which were no tables. */
void pt_retire_pieces(struct pt_agent *agent, struct pt_pieces *list);
/* Reclaims what has become safe. Returns true while something still waits. Cheap when nothing does.
 */
bool pt_reclaim(struct pt_agent *agent);

/* A snapshot of the sections that other agents are in, to be waited for as a continuation. */
struct pt_grace {
	uint64_t mask; /* agents still to end the section they were in */
	uint64_t seen[PT_MAX_AGENTS];
};

struct pt_ctx;
struct pt_waiter;

/*
 * The VMIDs of a machine. A context gets a number when a vCPU first runs it; numbers are not given
 * back but run out, and then all of them roll over: a new generation begins, one ALLE1IS discharges
 * every older one, and no number is given again before the sections have ended that may still
 * flush an old one by its name (rule V1; Linux: arch/arm64/kvm/vmid.c). What CPUs are running then
 * keeps its number, and so does the context of pt_vmid_keep(). Fields are private to lib.
 */
#define PT_VMID_RUNS (PT_MAX_AGENTS + 1) /* one an agent, and that of pt_vmid_keep() */

struct pt_vmids {
	_Atomic uint64_t generation; /* in 63:16; a number of another generation is void */
	uint32_t narrow, wide;	     /* given so far of 1 to 255, and of 256 to 65535 */
	bool flushing, draining;     /* a rollover under way */
	uint32_t rollovers;
	struct pt_grace grace;
	_Atomic(struct pt_ctx *) running[PT_VMID_RUNS]; /* pt_vmid_run() to pt_vmid_stop() */
	_Atomic bool outside;				/* somebody has run outside sections */
	uint32_t kept_count;
	uint16_t kept[PT_VMID_RUNS]; /* numbers that the last rollover left */
};

/*
 * One machine: contexts that share memory, vCPUs and TLBs. `agents` has a bit for each agent that
 * has used the machine; a claim waits only for those. Caller's memory.
 */
struct pt_machine {
	struct pt_world *world;
	struct pt_port *port;
	struct pt_port_mmu *mmu;
	_Atomic uint64_t agents;
	struct pt_port_lock lock; /* wait queues, claim publication, VMIDs: short, never held across
				     anything else */
	struct pt_vmids vmids;	  /* under the lock, but for the generation */
	_Atomic uint64_t contexts; /* made so far: each has its number of this count */
	uint8_t pa_bits;
};

/* `port` names the world's table memory at this machine's PAs; both outlive the machine. */
void pt_machine_init(struct pt_machine *machine, struct pt_world *world, struct pt_port *port,
		     struct pt_port_mmu *mmu, unsigned pa_bits);

/*
 * Must be called in a section before the section's first use of `machine` by `agent`: notes the
 * agent as a user (one atomic or with a full fence, the first time only).
 */
static inline void pt_machine_use(struct pt_machine *machine, struct pt_agent *agent)
{
	uint64_t bit = UINT64_C(1) << agent->id;

	if (!(atomic_load_explicit(&machine->agents, memory_order_relaxed) & bit)) {
		atomic_fetch_or(&machine->agents, bit);
		pt_port_fence_full();
		pt_port_note(PT_EVENT_MACHINE_USE, agent->id, machine, agent, 0, 0);
	}
}

/* Takes the snapshot: full fence, then the sections of all other agents that use the machine. */
void pt_grace_begin(struct pt_grace *grace, struct pt_machine *machine,
		    const struct pt_agent *self);
/* True when all of them have ended. Called outside any promise to others: the caller holds no table
 * pointer. */
bool pt_grace_done(struct pt_grace *grace, const struct pt_machine *machine);

/*
 * Somebody who met a claim, or whose claim met another. Caller's memory; it stays untouched until
 * `wake` was called or pt_waiter_cancel() returned true. `wake` is called outside all locks, in the
 * releasing agent's section, once; it may only hand on a message. Order of arrival is kept; point
 * operations that wait go before the next overlapping claim.
 */
struct pt_waiter {
	struct pt_waiter *next, *prev;
	struct pt_ctx *ctx;
	uint64_t lo, hi;	/* inclusive IPAs */
	struct pt_claim *claim; /* NULL: a point operation */
	void (*wake)(struct pt_waiter *);
	bool queued;
};

enum pt_claim_mode { PT_CLAIM_EXCLUSIVE, PT_CLAIM_SHARED };

/*
 * The right to be the only software writer of [lo, hi] of a context once drained. Shared claims
 * (stable reads) admit each other. At most PT_CLAIMS_PER_CTX are active in a context; more wait as
 * if they overlapped, and so does one that comes behind 32 claims or 256 points that wait. A
 * claim's memory outlives it by nothing: after release it may be reused.
 */
#define PT_CLAIMS_PER_CTX 8
/* So many can be asked for at once, of a context each. */
#define PT_CLAIMS_AT_ONCE 4

struct pt_claim {
	struct pt_ctx *ctx;
	uint64_t lo, hi;
	enum pt_claim_mode mode;
	int8_t slot;   /* index in ctx->claim, -1 while queued */
	bool lazy;     /* a transaction's: active only when its owner goes on after the wake */
	bool told;     /* whose waiter is woken, of those asked for at once */
	int64_t until; /* who waits for it has been looked at when ctx->looked is this */
	/* Those asked for at once, by number of context: the first, and the next. Only while they
	 * wait: granted, each goes its own way. */
	struct pt_claim *first, *with;
	struct pt_waiter waiter;
};

/*
 * Claims [lo, hi] (inclusive; the caller has rounded it out). PT_OK: published, now wait with
 * pt_grace_*. PT_PARKED: queued behind an overlapping claim; `wake` is called when it has been
 * published. PT_WRONG_STATE: the context is dying (teardown itself passes `teardown`).
 */
enum pt_outcome pt_claim_acquire(struct pt_claim *claim, struct pt_ctx *ctx, uint64_t lo,
				 uint64_t hi, enum pt_claim_mode mode, bool teardown,
				 void (*wake)(struct pt_waiter *));
/*
 * Claims `count` ranges at once, of different contexts of one machine; the caller has set ctx, lo
 * and hi of each. They are granted together, when every one of them could be, and none is held
 * before (rule L6): meanwhile each stands in the queue of its context, so that who comes later and
 * overlaps any of them waits for all. All come into their queues in one step, under the machine's
 * lock: of two that meet in several contexts one is first in all of them, so they cannot wait for
 * each other. They are granted by number of context, whatever their order here. PT_OK, PT_PARKED as
 * above; `wake` is called once, with the waiter of claim[0]. PT_WRONG_STATE: a context is dying.
 * PT_INVALID: none or more than PT_CLAIMS_AT_ONCE, a context twice, or of another machine; nothing
 * asked for. Granted ones are shrunk and released one by one; pt_claim_cancel() of one takes all
 * out of their queues.
 */
enum pt_outcome pt_claims_acquire(struct pt_claim *const claim[], uint32_t count,
				  enum pt_claim_mode mode, void (*wake)(struct pt_waiter *));
/* Everything below `lo` is done with: the claim no longer covers it, and who waits there is woken:
 * of the points 256 are looked at in turn, the others at the next shrink or release. */
void pt_claim_shrink(struct pt_claim *claim, uint64_t lo);
/* Who waited for it is woken. The machine's lock is held for 256 points at a time; operations of
 * lib do so in steps, but for those that fail or that claim again. */
void pt_claim_release(struct pt_claim *claim);
/* Leaves the queue before publication. True: it was queued and is out. False: it is published;
 * release it instead. */
bool pt_claim_cancel(struct pt_claim *claim);

/*
 * A point operation that met a claim at [lo, hi] queues itself. True: queued, `wake` will be
 * called. False: the claim has passed meanwhile; try again at once.
 */
bool pt_waiter_park(struct pt_waiter *waiter, struct pt_ctx *ctx, uint64_t lo, uint64_t hi,
		    void (*wake)(struct pt_waiter *));
/* True: it was queued and is out. False: wake has been or is being called. In a section, so that
 * the context does not go meanwhile. */
bool pt_waiter_cancel(struct pt_waiter *waiter, struct pt_machine *machine);

#endif
