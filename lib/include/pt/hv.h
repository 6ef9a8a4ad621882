/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor: a host under its own stage-2, guests' contexts, and the hypercalls that manage
 * them. */
#ifndef PT_HV_H
#define PT_HV_H

#include <pt/fault.h>
#include <pt/guest_at.h>
#include <pt/hvc.h>
#include <pt/hyp_space.h>
#include <pt/lending.h>
#include <pt/nested.h>
#include <pt/upkeep.h>

#define PT_HV_CONTEXTS	 64u
#define PT_HV_SLOTS	 16u /* of a guest's context */
#define PT_HV_HOST_SLOTS 32u
#define PT_HV_OPS	 32u /* range operations under way, and those whose answer waits */
#define PT_HV_TRANSFERS	 8u  /* of them, transitions under way */
#define PT_HV_NESTS	 4u  /* contexts that may have shadows */
#define PT_HV_SHADOWS	 4u  /* of each */

/* What the CPUs have, all of them: a context asks for no more. */
struct pt_hv_features {
	uint8_t granules;  /* bit 0: 4K, 1: 16K, 2: 64K, for stage 2; 7: PT_HV_OWNING */
	uint8_t lpa2;	   /* the same bits: with VTCR_EL2.DS; 64K: 52-bit addresses */
	uint8_t pa_bits;   /* PARange */
	uint8_t vtcr;	   /* PT_VTCR_*: what may be asked for */
	uint8_t attrs;	   /* PT_ATTR_*: HCR_EL2.FWB is set, XNX is there, FEAT_BBM */
	uint8_t host_bits; /* IPA size of the host's context, at 4K granule without DS */
};

#define PT_HV_OWNING 0x80u /* pt_hv_own() has set it: the machine has owners */

/* Room for a slot table; it is read and written through pt_hv_table() alone. A guest's context has
 * two that take turns. */
#define PT_HV_ROOM(slots) (sizeof(struct pt_slots) + (slots) * sizeof(struct pt_slot))

struct pt_hv_slots {
	_Alignas(struct pt_slots) unsigned char room[PT_HV_ROOM(PT_HV_SLOTS)];
};
struct pt_hv_host_slots {
	_Alignas(struct pt_slots) unsigned char room[PT_HV_ROOM(PT_HV_HOST_SLOTS)];
};

static inline struct pt_slots *pt_hv_table(void *room)
{
	return room;
}

enum pt_hv_ctx_state {
	PT_HV_FREE,
	PT_HV_MAKING,
	PT_HV_LIVE,
	PT_HV_DYING,
	/* In a machine with owners. */
	PT_HV_RESERVED, /* a guest's handle, no context yet */
	PT_HV_ENDING,	/* dying, and a FINALIZE is under way */
};

struct pt_hv_ctx {
	struct pt_ctx ctx;
	_Atomic uint32_t state;
	_Atomic uint32_t running; /* who keeps it: CPUs between pt_hv_enter() and pt_hv_leave() */
	_Atomic uint64_t handle;
	struct pt_hv_slots slots[2];
	uint32_t in_use;	  /* which of them; under `changing` */
	_Atomic bool changing;	  /* a slot is being set or deleted */
	struct pt_grace replaced; /* sections that may still read the other one */
	struct pt_hv_nest *nest;  /* NULL: it has no shadows */
};

/* What the next step of an operation is. */
enum pt_hv_does {
	PT_HV_CHANGES,	   /* a transaction, or a transition */
	PT_HV_LOOKS,	   /* FINALIZE: has the guest anything? Then its context goes */
	PT_HV_SHRINKS,	   /* the end of a context: its shadows go first */
	PT_HV_INVALIDATES, /* NEST_TLBI */
};

/* A transaction that hypercalls step. Whoever has set `busy` may touch what is below it. */
struct pt_hv_op {
	_Atomic bool busy;
	_Atomic bool woken;	 /* since the last step */
	_Atomic uint64_t handle; /* anyone may read it; 0: never used */
	struct pt_hv_ctx *ctx;	 /* NULL: free */
	uint32_t kind;		 /* enum pt_hvc, or PT_HVC_COUNT: EL2's own */
	uint32_t caller; /* whose it is to continue: 0, the host; else a guest's place + 1 */
	bool parked;
	uint8_t does;		 /* enum pt_hv_does */
	enum pt_outcome outcome; /* PT_MORE: under way */
	uint64_t serial;	 /* when it ended: the oldest answer is lost first */
	struct pt_item item;
	struct pt_txn txn;
	struct pt_hv_transfer *transfer; /* a transition under way, else NULL */
	struct pt_guest_final final;
	struct pt_guest_tlbi_op tlbi; /* NEST_TLBI */
};

struct pt_hv_transfer {
	_Atomic bool taken;
	struct pt_hv_op *op;
	bool lends;	     /* all of `lend`; else its `t` alone */
	struct pt_lend lend; /* TEARDOWN: LEAVE */
};

/* What pt_hv_own() needs to know. */
struct pt_hv_owner_args {
	/* Makes [pa, pa + size), at most PT_WIPE_BYTES of memory that nobody reaches, read as zero,
	 * also past the caches (KVM: kvm_flush_dcache_to_poc after clear_page): in a section, may
	 * not call lib but for the CPU's window. Cannot fail. */
	void (*wipe)(void *arg, uint64_t pa, uint64_t size);
	void *arg;
	bool force; /* an access of the host to what a guest has for itself takes it by force */
};

/* Caller's memory, zeroed, one of a machine with owners. Fields are private to lib. */
struct pt_hv_owners {
	struct pt_hv_owner_args args;
	struct pt_store store;
	struct pt_machine_owners machine;
	struct pt_region region[PT_HV_HOST_SLOTS];
	struct pt_guest guest[PT_HV_CONTEXTS]; /* beside hv->guest */
	struct pt_lending lending[PT_LENDINGS];
	struct pt_hv_transfer transfer[PT_HV_TRANSFERS];
};

/* What pt_hv_nest() needs to know: words of memory that is not EL2's at an aligned PA. Single-copy
 * atomic, in a section, may not call lib but for the CPU's window. Cannot fail. */
struct pt_hv_nest_args {
	uint64_t (*load)(void *arg, uint64_t pa);
	/* Compare-and-swap; false: *word is what stands there. */
	bool (*swap)(void *arg, uint64_t pa, uint64_t *word, uint64_t to);
	void *arg;
};

/* A guest hypervisor's shadows. One at a time ends. */
struct pt_hv_nest {
	_Atomic bool taken;
	struct pt_hv *hv;
	uint64_t quota;
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[PT_HV_SHADOWS], number[PT_HV_SHADOWS];
	struct pt_shadow shadow[PT_HV_SHADOWS];
	_Atomic bool used[PT_HV_SHADOWS]; /* the shadow's memory */
	_Atomic bool busy;		  /* whoever has set it may touch what is below `woken` */
	_Atomic bool woken;		  /* since the last step */
	bool under_way, parked, ended;
	struct pt_shadow_end end;
	struct pt_grace grace; /* for lookups */
};

/* Caller's memory, zeroed, one of a machine with nested guests. Fields are private to lib. */
struct pt_hv_nests {
	struct pt_hv_nest_args args;
	struct pt_hv_nest nest[PT_HV_NESTS];
};

/* The host's MMIO gives its tables back: unmapped, then empty tables are swept. */
struct pt_hv_recycle {
	_Atomic bool busy;  /* whoever has set it may touch what is below `woken` */
	_Atomic bool woken; /* since the last step */
	bool under_way, sweeps, parked;
	struct pt_item item[PT_HV_HOST_SLOTS];
	uint32_t items;
	struct pt_txn txn;
	struct pt_upkeep sweep;
};

/* Caller's memory, zeroed, one of an EL2. Fields are private to lib. */
struct pt_hv {
	struct pt_hyp_space *space;
	struct pt_machine machine;
	struct pt_hv_features features;
	const struct pt_hyp_region *own; /* EL2's: nobody else maps them */
	uint32_t owns;
	struct pt_hv_ctx host;
	struct pt_hv_host_slots host_slots;
	struct pt_hv_ctx guest[PT_HV_CONTEXTS];
	struct pt_hv_op op[PT_HV_OPS];
	struct pt_hv_recycle recycle;
	_Atomic uint64_t serial;
	_Atomic uint32_t helped;		  /* where who helps begins to look */
	struct pt_hv_owners *owners;		  /* NULL: a machine without */
	struct pt_hv_nests *nests;		  /* the same */
	struct pt_hv_ctx *running[PT_MAX_AGENTS]; /* of each CPU: the guest that it runs */
};

/*
 * After pt_hyp_boot(), on its CPU: makes the machine and the host's context, identity-mapped, with
 * a slot for each piece of memory that is not EL2's (`own`: ascending, apart, granule aligned; they
 * stay where they are) and one for each gap between (MMIO: no execute; KVM: host_stage2_idmap).
 * Nothing is mapped: real aborts fill it. PT_OK; PT_INVALID: more pieces than PT_HV_HOST_SLOTS, or
 * features that make no context; PT_NO_MEMORY.
 */
enum pt_outcome pt_hv_init(struct pt_hv *hv, struct pt_agent *agent, struct pt_hyp_space *space,
			   struct pt_port *port, struct pt_port_mmu *mmu,
			   const struct pt_hv_features *features, const struct pt_hyp_region *own,
			   uint32_t owns);

/*
 * After pt_hv_init(), before the host goes on: from then on frames have owners
 * (docs/ownership.md), and hypercalls those of PT_HVC_OWNER_TABLE. EL2's own memory counts as
 * tables; all other is the host's. The tables of EL2's map for all of memory are made here, so that
 * what hyp is given can always be mapped. PT_OK; else EL2 cannot go on: PT_UNSUPPORTED: EL2's
 * granule is not 4K; PT_INVALID: more regions than PT_HV_HOST_SLOTS; PT_NO_MEMORY.
 */
enum pt_outcome pt_hv_own(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_owners *owners,
			  const struct pt_hv_owner_args *args);

/*
 * After pt_hv_init(), before the host goes on: from then on contexts may be made that can have
 * shadows, PT_HV_NESTS of them at a time, and their guests have the hypercalls of
 * PT_HVC_NEST_TABLE.
 */
void pt_hv_nest(struct pt_hv *hv, struct pt_hv_nests *nests, const struct pt_hv_nest_args *args);

/* Who called, as the port knows it: of guests, the one that this CPU has entered. */
enum pt_hv_caller { PT_HV_HOST, PT_HV_GUEST };

enum pt_hv_next {
	PT_HV_ANSWERED, /* x[0..3] are the answer: return to the caller */
	PT_HV_RUN,	/* the host's: x[1..3] as the call had them: pt_hv_enter(), then run it */
	PT_HV_EXIT,	/* the guest's: leave it, the host reads x[1..3] */
	PT_HV_NEST, /* the guest's: x[1..4] as the call had them: pt_hv_nest_enter(), then run it */
};

/*
 * One hypercall: x[0..5] as the caller's registers. Outside a section; holds the CPU for at most
 * PT_HVC_STEP entries. Arguments are a stranger's: each has an answer, <pt/hvc.h>.
 */
enum pt_hv_next pt_hv_call(struct pt_hv *hv, struct pt_agent *agent, enum pt_hv_caller caller,
			   uint64_t x[6]);

/*
 * One stage-2 abort of the host (`ctx` is &hv->host.ctx) or of the guest that this CPU runs, by
 * real hardware: the fault carried out, or what pt_fault_handle() says of it. Outside a section.
 * Where that would have the caller wait, PT_RACED: the CPU goes back and faults again, interrupts
 * are taken meanwhile. Behind a claim, one step of the operation that has it is done first; and
 * when table memory has run out, pages that are only retired are waited for, and the host's MMIO is
 * unmapped, which faults bring back (KVM: host_stage2_unmap_dev_all). Then: PT_NO_MEMORY.
 * PT_WRONG_OWNER: the frame is another's, and pt_hv_owner_args.force is not set, or that was
 * refused (KVM: -EPERM of host_stage2_idmap): an abort for the host.
 */
enum pt_outcome pt_hv_fault(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
			    const struct pt_fault *fault, struct pt_fault_result *result);

/*
 * The CPU is about to run the context in a guest: PT_OK, *ctx, and its VMID stays until
 * pt_hv_leave(); the context cannot be destroyed meanwhile. PT_NOT_FOUND; PT_BUSY: somebody tries
 * to destroy it; PT_RACED: VMIDs are rolling over, again. Outside a section.
 */
enum pt_outcome pt_hv_enter(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle,
			    struct pt_ctx **ctx);
/* The CPU is out of the guest. `ctx` is what pt_hv_enter() gave. */
void pt_hv_leave(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx);

/*
 * The guest that this CPU runs, and whose stage 2 is not loaded now, is about to run its own one
 * with these registers of its EL2, whose pa_bits and attrs are the machine's to say: *shadow is
 * found, or made, and used, and VTTBR_EL2 is that of shadow->ctx until pt_hv_nest_leave(). PT_OK;
 * PT_BUSY: all PT_HV_SHADOWS are made: a step was done to end the one that was used longest ago,
 * again; PT_INVALID: other bits of HCR_EL2; PT_UNSUPPORTED as pt_shadow_init(), or tables that the
 * CPU has not; PT_NO_MEMORY, PT_QUOTA. But with PT_OK the CPU still runs the guest's context.
 * Outside a section.
 */
enum pt_outcome pt_hv_nest_enter(struct pt_hv *hv, struct pt_agent *agent,
				 const struct pt_guest_regs *el2, struct pt_shadow **shadow);
/* The CPU is out of it, and its stage 2 is not loaded: it runs the guest's context again. Waits for
 * sections of other CPUs if VMIDs roll over. Outside a section. */
void pt_hv_nest_leave(struct pt_hv *hv, struct pt_agent *agent, struct pt_shadow *shadow);

/*
 * One stage-2 abort of a guest's guest: as pt_nested_fault(), and as pt_hv_fault() where that would
 * wait. A table of the guest's that its context does not map yet is faulted in first. PT_RACED: the
 * CPU goes back and faults again. Outside a section.
 */
enum pt_outcome pt_hv_nest_fault(struct pt_hv *hv, struct pt_agent *agent, struct pt_shadow *shadow,
				 const struct pt_nested_fault *fault,
				 struct pt_nested_result *result);

/*
 * An AT instruction of the guest that this CPU runs, whose context can have shadows, for its own
 * guests: as pt_guest_at(), with the CPU's PA size for regs.pa_bits. A table that the guest's
 * context does not map yet is faulted in first: PT_RACED, again. PT_UNSUPPORTED as
 * pt_guest_s2_decode(). Outside a section.
 */
struct pt_hv_nest_at {
	struct pt_guest_at_regs regs; /* hcr with VM */
	struct pt_guest_regs el2;     /* as pt_hv_nest_enter() takes them */
	enum pt_guest_at_op op;
	uint64_t va;
};

enum pt_outcome pt_hv_nest_at(struct pt_hv *hv, struct pt_agent *agent,
			      const struct pt_hv_nest_at *at, struct pt_guest_at_result *result);

/*
 * The frame of a guest's page, for EL2 to read and write to the end of this section, as if the
 * guest wrote to it now. PT_OK and *pa; PT_RACED: it is on its way: pt_hv_fault() of it, outside
 * the section, then again; PT_MISALIGNED to 4K; PT_OUT_OF_RANGE: it is no memory; what a fault says
 * besides. `ctx`: what pt_hv_enter() gave.
 */
enum pt_outcome pt_hv_nest_page(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
				uint64_t ipa, uint64_t *pa);

/*
 * Before a CPU leaves EL2: pages that it has retired go back to the pool. It waits for sections of
 * other CPUs, which are bounded, in none of its own and with no pointer: two that wait pass each
 * other.
 */
void pt_hv_settle(struct pt_agent *agent);

/*
 * May EL2 use [pa, pa + size), which is not empty, for whoever asks: as a guest's memory, or a
 * vCPU's registers? PT_OK; PT_OUT_OF_RANGE: it is not memory, or wraps; PT_WRONG_OWNER: some of it
 * is EL2's. Any CPU, inside a section or not.
 */
enum pt_outcome pt_hv_may_map(const struct pt_hv *hv, uint64_t pa, uint64_t size);

/*
 * May EL2 use the page of the host's memory at `pa` for the host, to the end of this section?
 * pt_hv_may_map() has said yes. Without owners: PT_OK. Else PT_OK; PT_RACED: it is on its way to
 * somebody: pt_hv_fault() of it, outside the section, then again; PT_WRONG_OWNER; what a fault says
 * besides.
 */
enum pt_outcome pt_hv_use(struct pt_hv *hv, struct pt_agent *agent, uint64_t pa);

/* The slots of a host's identity map: pieces of `region` that are not in `own`, and the gaps up to
 * 1 << bits. PT_OK; PT_INVALID: more than `room`. Pure. */
enum pt_outcome pt_hv_host_map(struct pt_slots *slots, uint32_t room,
			       const struct pt_hyp_memory *memory, const struct pt_hyp_region *own,
			       uint32_t owns, const struct pt_geometry *geo);

#endif
