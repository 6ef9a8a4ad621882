/* SPDX-License-Identifier: BSD-2-Clause */
/* Transitions of ownership, and the guests of a machine with owners. docs/ownership.md says what
 * each of them does in each state; it is the reference of everything here. */
#ifndef PT_TRANSFER_H
#define PT_TRANSFER_H

#include <pt/owner_store.h>
#include <pt/parties.h>

/* Addresses are multiples of the unit, the largest granule among the parties named. "By": which
 * address names the range; the others follow from the tables. */
/* clang-format off */
enum pt_transfer_kind {
	PT_SHARE_HYP = 1,     /* by pa (KVM: __pkvm_host_share_hyp) */
	PT_UNSHARE_HYP,	      /* by pa (__pkvm_host_unshare_hyp) */
	PT_PIN,		      /* by pa (hyp_pin_shared_mem) */
	PT_UNPIN,	      /* by pa (hyp_unpin_shared_mem) */
	PT_DONATE_HYP,	      /* by pa; wipe (__pkvm_host_donate_hyp) */
	PT_RETURN_HYP,	      /* by pa (__pkvm_hyp_donate_host) */
	PT_SHARE_THIRD,	      /* by pa (__pkvm_host_share_ffa) */
	PT_UNSHARE_THIRD,     /* by pa (__pkvm_host_unshare_ffa) */
	PT_SHARE_GUEST,	      /* pa, and guest, ipa, prot (__pkvm_host_share_guest) */
	PT_UNSHARE_GUEST,     /* by guest, ipa (__pkvm_host_unshare_guest) */
	PT_DONATE_GUEST,      /* pa, and guest, ipa; wipe (__pkvm_host_donate_guest) */
	PT_SHARE_BACK,	      /* by guest, ipa (__pkvm_guest_share_host) */
	PT_UNSHARE_BACK,      /* by guest, ipa (__pkvm_guest_unshare_host) */
	PT_BALLOON,	      /* by guest, ipa */
	PT_FORCE_RECLAIM,     /* by pa, from whichever guests have it (__pkvm_host_force_reclaim_page_guest) */
	PT_RECLAIM_DYING,     /* by guest, ipa (__pkvm_reclaim_dying_guest_page) */
	PT_TOP_UP,	      /* pa, and guest: for its tables (topup_hyp_memcache) */
	PT_RECLAIM_TABLES,    /* by guest alone: all that it was topped up with (teardown_mc) */
	PT_TRANSFERS,
	/* Parts of the calls of <pt/lending.h>, which alone makes them. */
	PT_LEND = PT_TRANSFERS, /* by pa, or by guest, ipa */
	PT_RETRIEVE,
	PT_RELINQUISH,
	PT_TAKE_BACK,
	PT_TRANSFER_KINDS
};
/* clang-format on */

/* A guest. Its handle is its index. */
enum pt_guest_life {
	PT_GUEST_NONE,
	PT_GUEST_RESERVED,
	PT_GUEST_LIVE,
	PT_GUEST_DYING,
	PT_GUEST_CHANGING, /* being created or finalized: for others nobody */
};

struct pt_guest {
	_Atomic uint32_t life;	 /* anyone: enum pt_guest_life */
	bool protected;		 /* anyone, while LIVE or DYING */
	_Atomic uint32_t users;	 /* transitions that may hold `ctx` beyond a section */
	_Atomic uint64_t tables; /* anyone: bytes that the host has given for its tables */
	struct pt_ctx *ctx;
};

struct pt_transfer;
struct pt_lending;
struct pt_lend;

/* Memory of the machine: frames that can change hands. */
struct pt_region {
	uint64_t pa, size; /* bytes */
};

/*
 * A machine with owners. Caller's memory, as is all that it names; set up by
 * pt_machine_owners_init() and then as the caller likes, before the first use.
 */
struct pt_machine_owners {
	struct pt_ctx *host; /* PT_CTX_IDENTITY; the machine's first context */
	struct pt_frames frames;
	struct pt_extents extents;	/* by frame, in units of 4 KiB */
	const struct pt_region *region; /* ascending, apart from each other */
	uint32_t regions;
	uint32_t guests;
	struct pt_guest *guest;	    /* zeroed: nobody */
	uint32_t lendings;	    /* at most PT_LENDINGS */
	struct pt_lending *lending; /* zeroed: none */
	uint64_t lend_handles;	    /* given so far; under the lock of the ledger */
	/* Is any frame in [pa, pa + size) one of tables, that belong to hyp for good? Asked of
	 * blocks of any size, on the way of faults: its time may not depend on it. NULL: none lie
	 * in a region. */
	bool (*is_table)(void *arg, uint64_t pa, uint64_t size);
	/*
	 * Makes [pa, pa + size) read as zero, at most PT_WIPE_BYTES. No party reaches it meanwhile.
	 * In the section of the step; may not call lib. Cannot fail. NULL: a transition that wipes
	 * is PT_UNSUPPORTED.
	 */
	void (*wipe)(void *arg, uint64_t pa, uint64_t size);
	/* hyp reaches [pa, pa + size) from now on, or no longer and no TLB of its knows it. As
	 * wipe. NULL: hyp is records alone. */
	void (*hyp_reach)(void *arg, uint64_t pa, uint64_t size, bool reaches);
	/*
	 * A transition's runs (list, runs) are claimed: with false, perhaps more than once, before
	 * anything is written; with true when their records and extents are. So what the index says
	 * of them in between is this transition's alone, and calls for the same frames come in the
	 * order of the transitions. In a section; may read the index. NULL: nobody asks.
	 */
	void (*watch)(void *arg, const struct pt_transfer *transfer, bool done);
	void *arg;
};

#define PT_WIPE_BYTES UINT64_C(0x40000)

/*
 * Over a host's context, which is an identity map, and a store. frame_shift: log2 of the smallest
 * granule of all contexts that there will be. PT_OK; PT_INVALID: as pt_frames_init(), or it is
 * larger than the host's granule. The rest of *owners is zeroed: no memory, no guests.
 */
enum pt_outcome pt_machine_owners_init(struct pt_machine_owners *owners, struct pt_store *store,
				       struct pt_ctx *host, unsigned frame_shift);

/* What a request is about. */
struct pt_transfer_range {
	uint64_t pa;	   /* of the first byte; kinds "by pa", else 0 */
	struct pt_ipa ipa; /* the guest's; kinds "by guest, ipa", else 0 */
	uint64_t size;	   /* bytes; RECLAIM_TABLES: 0, it goes over all memory */
	uint32_t guest;	   /* handle; kinds that name one, else 0 */
	uint32_t prot;	   /* SHARE_GUEST: rights and memory type; else 0 */
};

struct pt_transfer_args {
	struct pt_machine_owners *owners;
	uint32_t kind; /* enum pt_transfer_kind */
	/* One range: as in struct pt_transfer_range. */
	uint32_t guest;
	uint64_t pa;
	struct pt_ipa ipa;
	uint64_t size;
	uint32_t prot;
	/*
	 * Or several, all or none of which pass, with one commit point; those above are 0 then.
	 * Caller's memory, until the end. At most PT_TRANSFER_RUNS of at most PT_PARTIES - 1
	 * guests, else PT_TOO_LARGE; one for RECLAIM_DYING and RECLAIM_TABLES. None names a frame
	 * or an address of a guest's that another one names.
	 */
	const struct pt_transfer_range *range;
	uint32_t ranges;
	bool wipe;			  /* where the row of the kind says "asked", else false */
	bool validate_only;		  /* judge and prepare, then give all back */
	uint64_t expected_generation;	  /* 0, or the host's context's at the commit point: else
					     PT_GENERATION_MISMATCH. Neither with RECLAIM_DYING and
					     RECLAIM_TABLES */
	uint64_t id;			  /* of the request: what its extents bear */
	void (*wake)(struct pt_waiter *); /* called with &transfer->parties.leg[0].claim.waiter */
};

/* Frames that follow each other at both addresses. A request over frames that lie in more pieces
 * than this is PT_TOO_LARGE. */
#define PT_TRANSFER_RUNS 32

struct pt_transfer_run {
	uint64_t pa, ipa, size; /* ipa: the guest's */
	uint32_t guest;		/* PT_NO_GUEST: none has to do with it */
	uint32_t prot;
};
#define PT_NO_GUEST UINT32_MAX

enum pt_transfer_phase {
	PT_TRANSFER_PARTIES,
	PT_TRANSFER_SCAN,
	PT_TRANSFER_RUN,
	PT_TRANSFER_SETTLE,
	PT_TRANSFER_DONE,
};

/* Caller's memory, not moved before the end. Private to lib but for what is marked. */
struct pt_transfer {
	struct pt_transfer_args args;
	const struct pt__row *base; /* what is asked for */
	const struct pt__row *row;  /* what is done with the runs at hand */
	struct pt_lend *lend;	    /* anyone: the call that this is a part of, or NULL */
	enum pt_transfer_phase phase;
	bool looked;  /* RECLAIM_TABLES: the guest has nothing mapped */
	bool again;   /* the tables have changed since they were looked at: look again */
	bool partly;  /* the runs end before the range, at a page that may not be right */
	bool overlap; /* frames are in more than one run */
	bool judged, wiped;
	bool grouped; /* `group` says something */
	/* Bytes are counted through all ranges, in their order. */
	uint64_t size; /* anyone: of all */
	uint64_t done; /* anyone: bytes that are through */
	uint64_t span; /* bytes at hand, from `done` on */
	uint64_t at;   /* bytes of these looked at or judged; of a host's item, for the books */
	uint32_t turn; /* run, or host's item, of `at` */
	uint32_t runs, items, host_first, host_items;
	uint32_t books;		    /* so many parties are carried out before the books are kept */
	uint32_t groups;	    /* changes of the index that were counted */
	uint32_t extents;	    /* and that are reserved */
	uint32_t held, named;	    /* the first `named` stand in the request */
	uint32_t holds[PT_PARTIES]; /* guests that this uses */
	uint32_t kept_item;	    /* records are reserved up to `kept_at` of it */
	uint64_t kept_at;
	struct pt_extent group;		  /* frames side by side that become the same */
	uint8_t run_of[PT_TRANSFER_RUNS]; /* the run of each host's item */
	struct pt_transfer_run list[PT_TRANSFER_RUNS];
	struct pt_item item[2 * PT_TRANSFER_RUNS];
	struct pt_parties parties;
	struct pt_effects effects; /* anyone: of all parties, at the end */
	struct pt_error error;	   /* anyone: ipa is the address that names the range: the PA, or
				      the guest's where there is none; index: of the range */
};

/*
 * Prepares a transition: judges what can be judged without a table. PT_OK; or what step 1 of "The
 * order of checks" says, with error.code: PT_INVALID (also a kind, prot or flag that there is not),
 * PT_UNSUPPORTED, PT_TOO_LARGE (too many ranges, or guests). Nothing is held. Any context.
 */
enum pt_outcome pt_transfer_init(struct pt_transfer *transfer, const struct pt_transfer_args *args);

/*
 * Runs until the end or for about `budget` descriptor visits, of which each 64 bytes that are wiped
 * are one (it goes over by a call of wipe() at most); in a section that ends before the next call.
 * PT_MORE: again in another section. PT_PARKED: again after wake. PT_OK: done, in all tables and
 * books, no access or TLB entry that used what was taken is left. An error: nothing has changed in
 * any table, record, extent, quota or frame (RECLAIM_DYING: `done` bytes are through, and nothing
 * else; RECLAIM_TABLES: what was given back stays so); code and address are in `error`: those of
 * docs/ownership.md, PT_TOO_LARGE, PT_GENERATION_MISMATCH, and PT_CANCELLED after an abort.
 */
enum pt_outcome pt_transfer_step(struct pt_transfer *transfer, struct pt_agent *agent,
				 uint32_t budget);

/*
 * Gives up before the commit point. True: the transition will end with PT_CANCELLED; keep stepping
 * until it does, which parks no more, so that what it had reserved goes back in bounded steps.
 * After PT_PARKED the claim may have been granted meanwhile; then wake is still to come. False: it
 * is committed, or over. In a section.
 */
bool pt_transfer_abort(struct pt_transfer *transfer, struct pt_agent *agent);

/*
 * Top-up: frames that the host gives for a guest's tables, hyp's meanwhile. Each raises what its
 * context may have of table pages (pt_ctx_table_limit()) by the granules that fit in, once the
 * transition is through: to a context made without a quota of its own it is all that there is. The
 * pages themselves are the pool's, which table memory of the world is apart for; so a frame counts,
 * but is not written, and the very same frames come back. RECLAIM_TABLES brings them, wiped, in
 * bounded steps each of which is a valid end, from a guest that is only reserved, or is dying and
 * has nothing any more (else PT_WRONG_STATE, error.ipa the address at which it has).
 *
 * The life of a guest. None of these blocks; any agent, in a section.
 *
 * reserve: a handle that nobody has. PT_OK, PT_BUSY.
 * create: over a context of the machine, that has nothing mapped and that PT_SW_OWNERSHIP may have
 * the bits PT_OWNER_SW of. PT_OK, PT_NOT_FOUND, PT_WRONG_STATE; PT_INVALID: another machine, or a
 * granule below that of the frames; PT_BUSY: a transition of its table memory is under way.
 * create_undo: takes create back, of a guest that nobody else has seen; it is reserved again, with
 * what it was topped up with.
 * teardown: from PT_OK on no transition accepts it but FORCE_RECLAIM and RECLAIM_DYING; those that
 * have begun go on. PT_NOT_FOUND, PT_WRONG_STATE. The caller has taken its vCPUs out.
 */
enum pt_outcome pt_guest_reserve(struct pt_machine_owners *owners, uint32_t *guest);
enum pt_outcome pt_guest_create(struct pt_machine_owners *owners, uint32_t guest,
				struct pt_ctx *ctx, bool protected);
void pt_guest_create_undo(struct pt_machine_owners *owners, uint32_t guest);
enum pt_outcome pt_guest_teardown(struct pt_machine_owners *owners, uint32_t guest);

/* The last look at a guest: does it have nothing any more? */
struct pt_guest_final {
	struct pt_machine_owners *owners;
	uint32_t guest;
	bool begun;  /* it is dying, and `grace` says who was in a section then */
	uint64_t at; /* IPA */
	struct pt_grace grace;
};

/*
 * Finalize in bounded steps, about `budget` descriptors each. PT_MORE: again, in another section;
 * it waits for those that began before the guest died, too.
 * PT_OK: the handle may be given again, and the context is the caller's, to be destroyed.
 * PT_NOT_FOUND; PT_WRONG_STATE: it is live, `at` is an address that it still has, or it has table
 * memory that was not reclaimed; PT_BUSY: a
 * transition that began before its end is still under way, begin again then. One at a time for a
 * guest.
 */
void pt_guest_finalize_init(struct pt_guest_final *final, struct pt_machine_owners *owners,
			    uint32_t guest);
enum pt_outcome pt_guest_finalize_step(struct pt_guest_final *final, struct pt_agent *agent,
				       uint32_t budget);

#endif
