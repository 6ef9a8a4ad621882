/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs: which pages of a range were written since the last look. Start, get, get-and-clear
 * and stop, in bounded steps. */
#ifndef PT_DIRTY_H
#define PT_DIRTY_H

#include <pt/fault.h>
#include <pt/txn.h>

/* clang-format off */
/*
 * How logging looks in a leaf. Rights of a mapping do not change because it is logged: DBM (bit 51)
 * says "may write", and S2AP[1] says "is dirty".
 *
 *   DBM  S2AP[1]
 *    0     0      read-only
 *    0     1      writable; in a logged range its pages are set in the log (rule D1)
 *    1     0      writable and clean. The first write faults, or, in a context with PT_VTCR_HA and
 *                 PT_VTCR_HD, is noted by the hardware in S2AP[1] itself
 *    1     1      writable and made dirty by the hardware; its next overwrite or look feeds the log (D3)
 *
 * Hardware ignores DBM where VTCR_EL2.HD is 0 (Arm ARM D8.5.4, FEAT_HAFDBS). pt_leaf_prot() gives W for
 * both; WRITE_PROTECT takes both away.
 *
 * What an explicit MAP puts into a logged range, and what PROTECT or RELAX makes writable there, is
 * dirty from then on; it is mapped in blocks of at most 2^18 pages, so that marking them is a step. A
 * page that is unmapped stays dirty until it is told. Where the hardware keeps dirty state, a block
 * that was not split becomes dirty as a whole: ask for eager_split.
 *
 * Logs of a context may overlap: a page that becomes dirty is set in each. A slot with
 * PT_SLOT_LOG_DIRTY makes faults behave as in a logged range, but has no bits of its own: who sets
 * the flag starts a log over the slot first, and stops it after the flag is gone.
 */
/* clang-format on */

/*
 * Bytes of memory for the bits of a log over `size` bytes of a context with this granule: two bits
 * a granule, rounded up to whole words.
 */
static inline uint64_t pt_dirty_bytes(unsigned granule_shift, uint64_t size)
{
	return (((size >> granule_shift) + 63) / 64) * 2 * sizeof(uint64_t);
}

enum pt_dirty_kind {
	PT_DIRTY_START = 1, /* attach a log and write-protect its range */
	PT_DIRTY_GET,	    /* read, or read and clear, a part */
	PT_DIRTY_STOP,	    /* count what is left, and detach */
};

struct pt_dirty_args {
	uint32_t kind;
	struct pt_dirty_log *log; /* caller's memory; START makes it */
	struct pt_ctx *ctx;	  /* START */
	struct pt_ipa ipa;	  /* START, GET; bytes, granule-aligned */
	uint64_t size;
	/* START: pt_dirty_bytes() bytes, zeroed, aligned to 8; the caller's, until STOP or a given
	 * up START has returned. */
	void *memory;
	bool eager_split;   /* START: split blocks into pages now (with initially_set: at the
			       first clear), not at their first write */
	bool initially_set; /* START: every page counts as dirty, nothing is write-protected until
			       it is cleared (KVM_DIRTY_LOG_INITIALLY_SET) */
	bool clear;	    /* GET */
	/* GET: the generation that the last answer brought, 0: none did. That answer is then
	 * acknowledged; with the generation before, or 0, its bits count as never told. */
	uint64_t generation;
	uint8_t *bitmap; /* GET: one bit a granule from `ipa` on, bit 0 of byte 0 first; zeroed by
			    the caller; bits are added as the operation goes on */
};

/*
 * One operation in progress. Caller's memory; it does not move while its claim is queued. Results
 * are final when pt_dirty_step() has returned PT_OK.
 */
struct pt_dirty {
	struct pt_dirty_args args; /* private from here on */
	struct pt_claim claim;
	struct pt_grace grace;
	struct pt_ledger ledger;
	struct pt_shadow_search taken;
	struct pt_agent *agent;
	void (*wake)(struct pt_waiter *);
	uint64_t last; /* inclusive */
	uint64_t from; /* bits below are taken; not above op->next */
	uint8_t phase;
	bool wide, flushed, attached, owns;

	uint64_t next;		   /* result: the first address not done */
	uint64_t dirty;		   /* GET, STOP: pages */
	uint64_t generation;	   /* START, GET: of the log now */
	struct pt_effects effects; /* leaves_written: write-protected; blocks_split and so on */
	enum pt_outcome stopped;   /* START, GET: PT_OK, or why eager splitting ended early
				      (PT_NO_MEMORY, PT_QUOTA); blocks left are split by faults */
};

/* clang-format off */
/*
 * Prepares an operation; nothing is changed. Any context. PT_OK, or
 *   PT_INVALID, PT_MISALIGNED, PT_OUT_OF_RANGE   the range (GET: also outside the log), no memory or
 *                                                bitmap given, unknown kind
 */
/* clang-format on */
enum pt_outcome pt_dirty_init(struct pt_dirty *op, const struct pt_dirty_args *args,
			      void (*wake)(struct pt_waiter *));

/* clang-format off */
/*
 * Runs until the end or for about `budget` descriptor and bitmap visits, in a section that ends
 * before the next call. Holds an exclusive claim (GET without clear, and STOP: a shared one) that
 * shrinks as it goes; every step is a valid end state.
 *   PT_OK       done. START: from now on a write to a clean page sets its bit. GET with clear: each
 *               page told is clean: write-protected or DBM-clean, flushed, and no access that used
 *               an old translation is in flight (rule D2). STOP: the log ended at one moment of
 *               the operation, and each write before it is counted, by whomever it was noted (one
 *               that hardware noted later in the operation may be); no fault sets a bit any more;
 *               the log and its memory are the caller's again
 *   PT_MORE     call again in another section; PT_PARKED: call again after wake
 *   PT_BUSY     GET, STOP: another operation uses the log
 *   PT_GENERATION_MISMATCH  GET: `generation` is neither the last told nor the one before; nothing changed
 *   PT_WRONG_STATE          START, GET: the context is being torn down. STOP detaches all the same
 * Rules D1 to D3; KVM: kvm_vm_ioctl_get_dirty_log, kvm_arch_mmu_enable_log_dirty_pt_masked.
 */
/* clang-format on */
enum pt_outcome pt_dirty_step(struct pt_dirty *op, struct pt_agent *agent, uint32_t budget);

/*
 * Gives up. True: the operation is over: a START has detached its log (write protection stays and
 * goes with the next write), and the log and its memory go after a grace period, like a replaced
 * slot table; a GET has put back what it had collected. Nothing is lost. False: keep stepping: a
 * STOP that is not done, which cannot be given up, or a START or GET that has made pages clean
 * which shadows may still write: its steps remove what they have, and end with PT_CANCELLED and all
 * of the above. After PT_PARKED the claim may have been granted
 * meanwhile; then wake is still to come, and the operation's memory stays until it has. In a
 * section.
 */
bool pt_dirty_abort(struct pt_dirty *op, struct pt_agent *agent);

/*
 * Memory of the context was written, but not through its leaves: the pages of [ipa, ipa + size) are
 * dirty in each log that covers them. After the bytes are written, in the same section, so that a
 * GET which has cleared the pages before tells them again. Not empty, inside the IPA space. (KVM:
 * mark_page_dirty_in_slot, as kvm_write_guest calls it.)
 */
void pt_dirty_mark(struct pt_ctx *ctx, struct pt_ipa ipa, uint64_t size);

#endif
