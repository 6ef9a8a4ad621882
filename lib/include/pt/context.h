/* SPDX-License-Identifier: BSD-2-Clause */
/* One stage-2 tree with its VMID, geometry, policy, quota and memslots. */
#ifndef PT_CONTEXT_H
#define PT_CONTEXT_H

#include <pt/desc.h>
#include <pt/machine.h>

/* An IPA range backed by a PA range (KVM's memslot). Byte units, granule-aligned; ranges of a
 * context do not overlap. */
#define PT_SLOT_READ_ONLY 0x1u
#define PT_SLOT_LOG_DIRTY 0x2u
#define PT_SLOT_NO_EXEC	  0x4u /* an instruction fetch is PT_DENIED */
#define PT_SLOT_FLAGS	  0x7u /* these */
/* Its memory may lack its content, page by page: see pt_ctx_set_present(). Set by who keeps the
 * slots, for no client to choose. At the other end, so that those that a plain fault has to rule
 * out stand side by side, which A64 tests at once. */
#define PT_SLOT_PAGED	  0x80000000u

struct pt_slot {
	uint64_t ipa, size, pa;
	uint32_t id;
	uint32_t flags;
	uint8_t backing_shift; /* log2 of the backing page: the largest block a fault may install.
				  >= granule_shift */
};

/* Sorted by ipa. Immutable once published; replaced as a whole. */
struct pt_slots {
	uint32_t count;
	struct pt_slot slot[];
};

/* The slot that holds `ipa`, or NULL. Pure; inside the section that loaded `slots`. */
const struct pt_slot *pt_slot_find(const struct pt_slots *slots, uint64_t ipa);

/*
 * A dirty log: which pages of [ipa, last] were written. Caller's memory, made and used by
 * <pt/dirty.h>; the logs of a context are a list that sections read and operations under the
 * machine's lock change. `bits` belong to whoever resolves a fault (set) and to the operation that
 * holds `busy` and a drained claim (cleared).
 */
struct pt_dirty_log {
	_Atomic(struct pt_dirty_log *) next;
	struct pt_ctx *ctx;
	uint64_t ipa, last; /* inclusive; anyone */
	unsigned shift;	    /* log2 of the granule */
	bool eager, initially_set;
	bool given_up; /* what is in `sent` was not told: put it back */
	_Atomic uint32_t busy;
	_Atomic uint64_t *bits;	     /* one a granule: dirty, not told yet */
	uint64_t *sent;		     /* one a granule: told, not acknowledged yet */
	uint64_t sent_lo, sent_last; /* words of `sent` that may be set; lo > last: none */
	uint64_t generation;	     /* of the last answer, from 1 on */
};

/*
 * Who gives meaning to a software bit of the leaves of a context. A bit has one owner, from the
 * first declaration until the context ends, so that two uses cannot meet in one descriptor.
 */
enum pt_sw_owner {
	PT_SW_FREE,
	PT_SW_OWNERSHIP,   /* page states (kvm-stage2.md 2.11) */
	PT_SW_GUEST_LEVEL, /* the guest's leaf level in a shadow (5.3) */
	PT_SW_CALLER,	   /* who maps: the only bits that a MAP may name */
};

/* Policies of a context. */
#define PT_CTX_IDENTITY                                                                            \
	0x1u /* a MAP whose IPA and PA differ is PT_INVALID (KVM_PGTABLE_S2_IDMAP) */

/*
 * Asked once for each MAP item of the context: true puts the item's leaves at the last level
 * (KVM's force_pte_cb); and for each block that a fault or a collapse would make, with the rights
 * that it would have, which true prevents. Called in the section of pt_txn_init()'s, pt_point()'s,
 * pt_fault_handle()'s or pt_upkeep_step()'s caller; may not call lib.
 */
typedef bool (*pt_force_pages_fn)(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot);

/*
 * Does the memory that a slot with PT_SLOT_PAGED has for [ipa, ipa + size) hold its content? Asked
 * before a fault gives a page a leaf, or a leaf a right, from that slot, and before it makes a
 * block; false keeps it out (PT_ABSENT), or the block in pages. Once true it stays so, and what the
 * memory holds was written before. Called in the section of pt_fault_handle()'s caller; may not
 * call lib.
 */
typedef bool (*pt_present_fn)(void *arg, struct pt_ipa ipa, uint64_t size);

/*
 * What the owners of frames let a context of their machine do; set by lib/owner, which says so in
 * docs/ownership.md. Called in the section of the operation, once no claim is in its way: a
 * transition that claims later waits for that section, so the answer holds until it ends; under the
 * operation's own claim it holds as long as that stands. May read tables, records and the index.
 */
struct pt_item;
struct pt_owner_rules {
	/*
	 * May this item, of any kind but FLUSH, be carried out at `ipa`, an address of its range,
	 * by who manages mappings? PT_OK; PT_NOT_MAPPED, PT_WRONG_OWNER, PT_WRONG_STATE,
	 * PT_POISONED; PT_RACED: the entry is under break. *last: how far it is asked; lowered to
	 * how far that is the answer.
	 */
	enum pt_outcome (*may)(void *arg, const struct pt_item *item, uint64_t ipa, uint64_t *last);
	/* May a fault fill the entry of the page at `ipa` if it is empty? PT_OK or PT_WRONG_OWNER.
	 */
	enum pt_outcome (*may_fill)(void *arg, uint64_t ipa);
	/* May a fault or a collapse make one leaf of [ipa, last]? NULL: any. */
	bool (*is_one)(void *arg, uint64_t ipa, uint64_t last);
	/* Could the frame at `ipa`, which is another's, be reclaimed by force? NULL: none. */
	bool (*may_force)(void *arg, uint64_t ipa);
};

/*
 * A range whose leaves have been taken, or have lost rights, and how far what shadows have of them
 * has followed. Who took them sets `lo`, `hi` and `lost`, and the rest to 0.
 */
struct pt_shadow_search {
	uint64_t lo, hi; /* IPAs, inclusive */
	uint32_t lost;	/* the rights that they lost, of PT_PROT_RWX; 0: they are gone, or are other
			   memory */
	bool pending;	/* shadows may still have something, or grant it */
	bool point;	/* at once or not at all */
	uint32_t tlbis; /* issued for it; added to */
	/* Private to lib/nested. */
	bool begun, sweeps;
	uint8_t class, shift, sweep_class;
	uint32_t shadow;
	uint64_t at, sweep_at, head;
	uint64_t whole_at; /* tables are taken as a whole from here on */
};

/*
 * What has to be told of changes to a context from which shadows are made; set by lib/nested
 * (docs/nested.md). Called in the section of the operation, under no lock.
 */
struct pt_shadow_rules {
	/*
	 * May shadows have anything of [lo, hi], or fills be about to make it? False: nothing that
	 * does not look at the canonical leaf again; true: it has to be looked for. A word for each
	 * size of leaf that there has been. After the descriptor is written, and a full fence.
	 */
	bool (*holds)(void *arg, uint64_t lo, uint64_t hi);
	/*
	 * Leaves of [search->lo, search->hi] have just been taken, or lost search->lost: removes
	 * what shadows have of them, or takes these rights from those of their leaves all of whose
	 * memory lost them and removes the others that grant one; about *left leaves, flushed and
	 * counted. After the descriptor is written, and before the reply, before the claim lets go
	 * of the range, and before a point puts anything into its entry. With `lost`, and no point:
	 * under a claim of the range that is drained. True: all is done. False: again, with the
	 * same search; or, of a point, that it would take more than a step: then nothing is
	 * promised, and the point puts back what was there.
	 */
	bool (*taken)(void *arg, struct pt_agent *agent, struct pt_shadow_search *search,
		      int64_t *left);
	/*
	 * Have shadows used what they have of canonical leaves, `leaves` of 1 << shift bytes side
	 * by side from `ipa` on: is the access flag of one of theirs set? young[n] is 1 or 0 for
	 * the n-th; with `clear` no flag is set afterwards, without an invalidation. An inexact
	 * page counts as used, and so does what another agent is about to take from them, and a
	 * leaf of which they have more than is looked at in one go (8192 leaves and entries).
	 * Returns how many of the leaves are answered, at least one: *left less what was looked at
	 * is not much below 0.
	 */
	uint32_t (*young)(void *arg, uint64_t ipa, unsigned shift, uint32_t leaves, bool clear,
			  uint8_t *young, int64_t *left);
};

enum pt_ctx_state {
	PT_CTX_LIVE,
	PT_CTX_DYING,
	PT_CTX_CLOSED, /* no section that begins now may use it: pt_ctx_closed() */
};

struct pt_claim_range {
	_Atomic uint64_t lo, hi;
};

/*
 * Caller's memory. Fields are read through the functions below; only those marked "anyone" may be
 * read directly.
 */
struct pt_ctx {
	struct pt_geometry geo; /* anyone */
	struct pt_machine *machine;
	struct pt_pa root;     /* anyone */
	_Atomic uint64_t vmid; /* generation and number: pt_ctx_vmid(), pt_vmid_get() */
	uint8_t attrs;	       /* anyone: PT_ATTR_* */
	uint8_t vtcr_flags;    /* anyone: PT_VTCR_* */
	uint8_t bbm;	       /* anyone: FEAT_BBM level, 0 to 2 */
	/* Private to lib, as what follows. */
	uint8_t root_shift; /* log2 of what an entry of the start level spans */
	bool wide;	    /* descriptors of another format than the 48-bit one */
	bool plain;    /* neither that, nor written by hardware, nor of a machine with owners */
	bool ruled;    /* plain, but of a machine with owners */
	bool shadowed; /* it has shadow_rules */
	bool direct;   /* plain, and not shadowed: no change of a page concerns another context */
	struct pt_port port; /* a copy of the machine's */
	_Atomic uint32_t state;
	uint8_t policy;		   /* PT_CTX_* */
	_Atomic bool grouped;	   /* a MAP has made contiguous groups, once */
	_Atomic uint32_t sw_owner; /* enum pt_sw_owner of the four software bits, a byte each */
	pt_pte fault_attrs; /* of a leaf that a fault installs, read-only and without execute */
	/* What a point operation reads stands together: two cache lines with what is above. */
	_Atomic uint32_t claims; /* bitmap of active entries of claim[] */
	uint32_t taken;		 /* entries that keep other claims out; under the machine's lock */
	_Atomic(const struct pt_slots *) slots;
	_Atomic(struct pt_dirty_log *) dirty; /* the logs of this context; NULL: none */
	uint32_t shared; /* of `taken`: which are shared; under the machine's lock */
	struct pt_claim_range claim[PT_CLAIMS_PER_CTX];
	struct pt_waiter *first, *last; /* who waits; under the machine's lock, as what follows */
	struct pt_waiter *look;		/* the next to be looked at; NULL: the first */
	uint32_t waiting, unseen;	/* how many wait; how many are still to be looked at */
	int64_t looked; /* how many were, less those that came before the end of a round */

	pt_force_pages_fn force_pages;
	void *force_pages_arg;
	pt_present_fn present; /* NULL: the memory of all slots is there */
	void *present_arg;
	const struct pt_owner_rules *owner_rules; /* NULL: the machine has no owners */
	void *owner_arg;
	const struct pt_shadow_rules *shadow_rules; /* NULL: no shadows are made from it */
	void *shadow_arg;
	uint64_t scope; /* anyone: the owner's handle for failpoints and traces */
	_Atomic uint64_t
		generation; /* anyone: explicit changes, from 1 on; fault fills do not count */
	_Atomic uint64_t table_pages; /* anyone: below the start tables, granule-sized */
	_Atomic uint64_t quota_pages; /* anyone may set */
	/* A guest's: bytes that the host has given for its tables, so much beyond the quota. */
	_Atomic(const _Atomic uint64_t *) topped_up;
	uint64_t number; /* anyone: in the order in which the machine's contexts were made, from 0
			    on; the host's is the first */
};

/*
 * Makes an empty live context; takes its start tables from the agent's pool. PT_OK or PT_NO_MEMORY.
 * `geo` was made by pt_geometry_init() with the machine's pa_bits: table memory stands in the upper
 * half of that space, where shorter descriptors do not reach. quota_pages counts table
 * pages below the start tables; UINT64_MAX: no limit. It has no VMID until a vCPU runs it.
 * attrs: PT_ATTR_*; their FEAT_BBM level is at most 2.
 */
enum pt_outcome pt_ctx_init(struct pt_ctx *ctx, struct pt_agent *agent, struct pt_machine *machine,
			    const struct pt_geometry *geo, unsigned attrs, unsigned vtcr_flags,
			    uint64_t quota_pages);

/*
 * Table pages that the context may have below the start tables: its quota and, of a guest that was
 * topped up (<pt/transfer.h>), the pages that fit in what the host gave. Any thread.
 */
uint64_t pt_ctx_table_limit(const struct pt_ctx *ctx);

/* Takes pt_ctx_init() back: the context is empty, no vCPU ran it, and no other agent has seen it.
 * Its memory is the caller's again. */
void pt_ctx_undo(struct pt_ctx *ctx, struct pt_agent *agent);

/*
 * Gives the context a VMID of its machine, for a vCPU that is about to run it: of 16 bits with
 * PT_VTCR_VS, else of 8. In a section; the number holds while pt_ctx_vmid() returns it. PT_OK; or
 * PT_MORE: the numbers are rolling over and sections are running that may still flush older ones:
 * again in a later section.
 */
enum pt_outcome pt_vmid_get(struct pt_ctx *ctx, struct pt_agent *agent);

/*
 * The same for a CPU that goes into a guest, outside sections: until its pt_vmid_stop() the context
 * keeps its number, whatever rolls over, and is not torn down (the caller sees to that). In a
 * section of `agent`, the CPU's own; after PT_OK VTTBR_EL2 is pt_ctx_vttbr(). PT_MORE: nothing is
 * run. A second run takes the place of the first.
 */
enum pt_outcome pt_vmid_run(struct pt_ctx *ctx, struct pt_agent *agent);
/*
 * The same for good, beside what each agent runs: for the one context of a machine that any CPU may
 * come back to at any time, EL2's host. pt_ctx_vmid() is never 0 from then on, and the same number.
 */
enum pt_outcome pt_vmid_keep(struct pt_ctx *ctx, struct pt_agent *agent);
/* The CPU is out of the guest: in EL2, before anything else of lib. */
void pt_vmid_stop(struct pt_machine *machine, const struct pt_agent *agent);

/* The number under which TLBs may hold entries of the context now; 0: none, it never ran or the
 * numbers have rolled over since. Any thread. */
static inline uint16_t pt_ctx_vmid(const struct pt_ctx *ctx)
{
	uint64_t word = atomic_load_explicit(&ctx->vmid, memory_order_acquire);
	uint64_t now = atomic_load_explicit(&ctx->machine->vmids.generation, memory_order_acquire);

	return (word ^ now) >> 16 ? 0 : (uint16_t)word;
}

/*
 * Sets the policies of a context that nobody uses yet: PT_CTX_* and the force-pages function (NULL:
 * none), which gets `arg`. PT_INVALID for an unknown policy, nothing changed. Slots of an identity
 * context have ipa == pa: that is for whoever publishes them to see to.
 */
enum pt_outcome pt_ctx_set_policy(struct pt_ctx *ctx, uint32_t policy,
				  pt_force_pages_fn force_pages, void *arg);

/* Sets who knows the pages of slots with PT_SLOT_PAGED, for good, on a context that nobody uses
 * yet; it gets `arg`. */
void pt_ctx_set_present(struct pt_ctx *ctx, pt_present_fn present, void *arg);

/* Sets the rules of the owners of frames, for good, on a context that nobody uses yet; they get
 * `arg`. For lib/owner alone. */
void pt_ctx_set_owner_rules(struct pt_ctx *ctx, const struct pt_owner_rules *rules, void *arg);

/* Sets who is told of changes for the sake of shadows, for good, on a context that nobody uses yet;
 * it gets `arg`. For lib/nested alone. */
void pt_ctx_set_shadow_rules(struct pt_ctx *ctx, const struct pt_shadow_rules *rules, void *arg);

/*
 * Declares `owner` (not PT_SW_FREE) the owner of the software bits in `mask` (PT_PROT_SW). PT_OK,
 * also when it owns them; PT_WRONG_STATE when another has one of them, PT_INVALID for other bits or
 * no such owner: nothing changed. Any agent, no lock.
 */
enum pt_outcome pt_ctx_sw_own(struct pt_ctx *ctx, uint32_t mask, enum pt_sw_owner owner);

/* The software bits (PT_PROT_SW) that `owner` has. */
uint32_t pt_ctx_sw_of(const struct pt_ctx *ctx, enum pt_sw_owner owner);

uint64_t pt_ctx_vtcr(const struct pt_ctx *ctx);
uint64_t pt_ctx_vttbr(const struct pt_ctx *ctx);

/*
 * Publishes another slot table (release); returns the old one, which the caller frees after a grace
 * period. The caller holds an exclusive claim on every range whose slot disappears or changes, and
 * unmaps it before release.
 */
static inline const struct pt_slots *pt_ctx_set_slots(struct pt_ctx *ctx,
						      const struct pt_slots *slots)
{
	return atomic_exchange(&ctx->slots, slots);
}

static inline const struct pt_slots *pt_ctx_slots(struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->slots, memory_order_acquire);
}

/*
 * Teardown: from now on no claim is granted to others (PT_WRONG_STATE); point operations and faults
 * that meet no claim still pass until the first step has claimed the whole space, and are waited
 * for. Then, in bounded steps: unmaps, flushes the VMID and gives back every table. Call
 * pt_ctx_destroy_begin() once (PT_WRONG_STATE: it was called before), then pt_txn_step() until
 * PT_OK; it cannot be given up. Whoever may use the context has called pt_machine_use() in that
 * section, readers too, and then asked pt_ctx_closed(): the start tables go when the sections that
 * were told false have ended, and then the memory of *ctx is the caller's again. All who waited
 * for a claim are woken before.
 */
struct pt_txn;
enum pt_outcome pt_ctx_destroy_begin(struct pt_txn *txn, struct pt_ctx *ctx,
				     void (*wake)(struct pt_waiter *));

/* Are its tables about to go (design.md 4: no pointer to a context outlives a section)? In a
 * section, after pt_machine_use(). */
static inline bool pt_ctx_closed(const struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->state, memory_order_relaxed) == PT_CTX_CLOSED;
}

#endif
