/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events of the platform seam: what a checked build (PT_CHECKED) shows to the runtime checker
 * <pt/check.h>, one at a time and in one order. In other builds nothing of this is left.
 *
 * The port makes most of them itself, since there is no other way to a table than through it. What
 * the seam cannot see (operations, claims, contexts) lib announces by pt_port_note(). An event is
 * made just before what it tells happens, unless it says otherwise.
 */
#ifndef PT_EVENT_H
#define PT_EVENT_H

#include <pt/tlbi.h>

/* clang-format off */
enum pt_event_kind {
	PT_EVENT_NONE,
	/* Descriptors. at: the slot; lo: what it holds, hi: what is written. */
	PT_EVENT_INIT,          /* pt_pte_init() */
	PT_EVENT_STORE,         /* pt_pte_store() */
	PT_EVENT_STORE_RELEASE, /* pt_pte_store_release() */
	PT_EVENT_CAS,           /* pt_pte_cas(); lo is what was expected. arg 1: it lost */
	PT_EVENT_HW_CAS,        /* the same, of a hardware walk: access flag and dirty state */
	PT_EVENT_LOAD,          /* pt_pte_load() */
	PT_EVENT_PRIVATE,       /* pt_pte_private() */

	/* Order. */
	PT_EVENT_FENCE_STORE,
	PT_EVENT_FENCE_FULL,
	PT_EVENT_RELAX,         /* pt_port_relax(), also at each turn of a lock that is taken */
	PT_EVENT_LOCK_CLASS,    /* what a lock is for. at: the lock; arg: enum pt_lock_class */
	PT_EVENT_LOCK,          /* at: the lock */
	PT_EVENT_LOCKED,        /* after it was taken */
	PT_EVENT_UNLOCK,

	/* TLBs and caches. */
	PT_EVENT_TLBI,          /* at: the MMU; tlbi. With its DSBs, unless a port shows the instructions;
				   complete at PT_EVENT_TLBI_DONE */
	PT_EVENT_TLBI_OPERAND,  /* between the two: lo: register operand; arg: 1 a range, 0 an address, with
				   the level that is known, whether the CPU takes one or not */
	PT_EVENT_TLBI_DONE,     /* as PT_EVENT_TLBI */
	PT_EVENT_TLBI_DROPPED,  /* in place of the first two: a failpoint. ctx */
	PT_EVENT_DCACHE,        /* lo: PA, hi: size */
	PT_EVENT_ICACHE,
	PT_EVENT_TLBI_NONE,     /* in place of the first two: ctx has no VMID; it never ran, or a rollover flushed it */
	/* Single instructions, of a port that issues them one by one: between the first two, or
	   without them. at: the MMU. */
	PT_EVENT_DSB,           /* arg: 0 ISH, 1 ISHST, 2 NSH, 3 NSHST */
	PT_EVENT_TLBI_S2,       /* tlbi: IPAS2E1IS or RIPAS2E1IS; PT_TLBI_LOCAL: IPAS2E1 */
	PT_EVENT_TLBI_S1,       /* tlbi: VMALLE1IS; PT_TLBI_LOCAL: VMALLE1 */
	PT_EVENT_TLBI_S12,      /* tlbi: VMALLS12E1IS or ALLE1IS; PT_TLBI_EL2: VAE2IS or ALLE2IS, of one stage */

	/* Table memory. at: its first byte as the CPU sees it; lo: bytes. */
	PT_EVENT_MEMORY,        /* handed to a pool; ctx: the pool. 0: an early allocator, whose pages stay what
				   they are when a pool gets the same memory */
	PT_EVENT_MEMORY_GONE,   /* unmapped */
	PT_EVENT_PAGE_GET,      /* out of the pool. arg: 1 it is all zero, filled in by the port */
	PT_EVENT_PAGE_PUT,      /* back in the pool. arg: as above */
	PT_EVENT_PAGE_BOOK,     /* after its PAGE_GET: of the ledger of owners, and so no operation's */
	PT_EVENT_ZERO,          /* pt_port_zero() */
	PT_EVENT_CHARGE,        /* quota taken. ctx; lo: pages, hi: the quota */
	PT_EVENT_REFUND,        /* quota given back. ctx; lo: pages */
	PT_EVENT_POOL_USED,     /* lo: bytes that the pool counts as handed out; ctx: the world. An
				   agent leaves; nobody else does anything */

	/* Agents. at: the agent; arg: its id; ctx: the world. */
	PT_EVENT_AGENT_JOIN,
	PT_EVENT_AGENT_LEAVE,
	PT_EVENT_SECTION_BEGIN,
	PT_EVENT_SECTION_BEGUN, /* after its fence */
	PT_EVENT_SECTION_END,
	PT_EVENT_MACHINE_INIT,  /* at: the machine; lo: its MMU */
	PT_EVENT_MACHINE_USE,   /* after it is noted. at: the machine; arg: the agent's id */

	/* Claims. at: the claim; ctx; lo, hi: the range, inclusive; arg: 1 shared. */
	PT_EVENT_CLAIM_ASK,     /* arg 2, too: at once with the one before, which is of a context made earlier */
	PT_EVENT_CLAIM,         /* after it was published: holds off points and claims */
	PT_EVENT_CLAIM_DRAINED, /* its owner goes on */
	PT_EVENT_CLAIM_SHRINK,  /* lo: the new lower end */
	PT_EVENT_CLAIM_RELEASE,
	PT_EVENT_CLAIM_CANCEL,  /* left the queue */

	/* Operations. at: the object that is stepped; ctx; arg: enum pt_op_kind. */
	PT_EVENT_OP_BEGIN,      /* a step of it begins. lo: the agent */
	PT_EVENT_OP_COMMIT,     /* its commit point has passed */
	PT_EVENT_OP_END,        /* the step ends. lo: enum pt_outcome */
	PT_EVENT_WAKE,          /* a callback of a waiter */
	PT_EVENT_WAIT,          /* the thread is about to wait for something outside */
	PT_EVENT_TRANSPORT,     /* ... or hands something to a client */

	/* Contexts. ctx. */
	PT_EVENT_CTX_INIT,      /* facts */
	PT_EVENT_CTX_DYING,
	PT_EVENT_CTX_GONE,      /* its start tables go back next; arg 1: at once, since nobody but their maker
				   has ever seen them */
	PT_EVENT_CTX_ACTIVATE,  /* a vCPU uses it. at: the MMU; arg: vCPU; lo: root; hi: VMID, 0 when it has just rolled over */
	PT_EVENT_CTX_DEACTIVATE,
	PT_EVENT_SHADOW,        /* ctx is a shadow, with nothing mapped. at: its canonical context */
	PT_EVENT_SHADOW_KEY,    /* arg 1, with FWB 3, with EE 5 or 7: ctx is found by this key from now on; lo:
				   VTTBR_EL2, hi: VTCR_EL2, with stage 2 off ~0. arg 0: no more */
	PT_EVENT_FILL,          /* a fault of the shadow ctx begins, and has read the count of invalidations */
	PT_EVENT_FILL_LEAF,     /* a leaf comes into ctx, or gains rights, in this section. lo: its first nested
				   IPA, hi: the canonical one; arg: rights of the guest's leaf (7:0, W where it is
				   dirty), its level (15:8) and log2 of its size (23:16) */
	PT_EVENT_GUEST_TLBI,    /* of a guest hypervisor begins in ctx; its count is still to be raised. at: the
				   object that is stepped; lo, hi: the addresses named, inclusive, lo > hi: none;
				   arg: level (2:0, 7: any), 8: everything */
	PT_EVENT_GUEST_TLBI_DONE, /* nothing older is left of what it named in ctx. at: as above */
	PT_EVENT_VMID,          /* given to ctx. at: the machine; lo: the number */
	PT_EVENT_VMID_ROLLOVER, /* all numbers are void. at: the machine; one ALLE1IS follows before any is given again */
	PT_EVENT_VMID_KEPT,     /* by ctx, which a CPU runs, over the rollover just before. at: the machine; lo: the number */

	/* Dirty logs. at: the log; ctx; lo, hi: IPAs, inclusive. */
	PT_EVENT_DIRTY_START,   /* the log takes marks; where the operation's claim has passed, nothing
				   is writable without one */
	PT_EVENT_DIRTY_MARK,
	PT_EVENT_DIRTY_CLEAR,   /* read and cleared */
	PT_EVENT_DIRTY_STOP,

	/* Owners. at: the machine. */
	PT_EVENT_OWNERS,        /* it has owners from now on. ctx: the host's context; none: its records are
				   changed by other means than transfers, and no rule of owners is
				   held against it any more (tests) */
	PT_EVENT_GUEST,         /* ctx is a guest's, with nothing mapped. arg: its handle */
	PT_EVENT_WIPED,         /* after frames were. lo, hi: PAs, inclusive */
	PT_EVENT_OWNER,         /* records change. lo: the first frame's PA; hi: what each becomes,
				   pt_frame_word() of <pt/owner.h>; arg: how many units of 4 KiB */

	/* What only a test does. */
	PT_EVENT_POKE,          /* after it wrote hi to the descriptor at `at`, past the seam */
	PT_EVENT_CTX_OPTIONS,   /* after it changed those of ctx. arg: attributes, VTCR flags and FEAT_BBM level, a byte each */
	PT_EVENT_KINDS
};

/* Global order of locks (rule L1): one is taken only while all that are held have a smaller class. */
enum pt_lock_class {
	PT_LOCK_SESSION = 1,
	PT_LOCK_REGISTRY,
	PT_LOCK_CONTEXT,
	PT_LOCK_OWNER,          /* frames, by address */
	PT_LOCK_CLAIM,          /* the wait queue of a machine */
	PT_LOCK_POOL,
	PT_LOCK_LEAF,           /* nothing is taken inside */
	PT_LOCK_CLASSES
};

enum pt_op_kind {
	PT_OP_POINT = 1,
	PT_OP_FAULT,
	PT_OP_TXN,
	PT_OP_TEARDOWN,
	PT_OP_AGE,
	PT_OP_SPLIT,
	PT_OP_COLLAPSE,
	PT_OP_SWEEP,
	PT_OP_DIRTY,
	PT_OP_KINDS
};
/* clang-format on */

/* What the checker has to know of a context. */
struct pt_event_ctx {
	struct pt_geometry geo;
	uint64_t machine, mmu;	/* ids */
	uint64_t root, root_va; /* PA of the start tables, and where the CPU sees them */
	uint64_t scope;
	uint64_t quota;
	uint64_t number; /* in the machine's order of contexts */
	uint8_t attrs, vtcr_flags;
	uint8_t bbm; /* FEAT_BBM level */
	/* EL2's own stage-1 map, and no stage 2: one writer at a time and so no claims, operations,
	 * VMID or quota; descriptors as <pt/hyp_desc.h>; only PT_TLBI_EL2 invalidates it, which
	 * needs no doing before PT_EVENT_CTX_ACTIVATE, when EL2 begins to run on it. */
	bool el2;
};

/*
 * One event. Ids are addresses of objects; they are compared, never followed. `agent` and `op` are
 * filled in by the port: the agent whose section it is, and the operation that it steps; 0: none.
 */
struct pt_event {
	uint8_t kind; /* enum pt_event_kind */
	uint32_t arg;
	uint32_t thread; /* who runs, also outside sections; from 1 on */
	uint64_t agent, op;
	uint64_t at, ctx, lo, hi;
	const struct pt_tlbi *tlbi;	  /* TLB events; valid during the call */
	const struct pt_event_ctx *facts; /* PT_EVENT_CTX_INIT; valid during the call */
};

#endif
