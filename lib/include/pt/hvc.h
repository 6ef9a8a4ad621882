/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls of EL2: numbers, arguments, answers. For callers at EL1, too: it needs no other
 * header of lib but the table of outcomes. */
#ifndef PT_HVC_H
#define PT_HVC_H

#include <pt/outcome.h>

/*
 * HVC #0 with a function identifier of the SMC Calling Convention (DEN0028) in x0: a fast call of
 * the vendor-specific hypervisor service, 64-bit arguments in x1 to x5. The answer is in x0, read
 * as signed:
 *
 *   0 and above        a named outcome of <pt/outcome.h>; x1 to x3 as each function says
 *   PT_MORE            the operation goes on with PT_HVC_CONTINUE and the handle in x1
 *   PT_HVC_NO_FUNCTION no such function, or not one of this caller's (SMCCC: NOT_SUPPORTED)
 *   other negatives    an error of that table, negated; nothing was changed. x1: the address that
 *                      it concerns, if it concerns one; x2: the level of the walk there
 *
 * A call that has an answer leaves x4 to x17 alone, and sets x1 to x3 to zero where they say
 * nothing. Sizes and addresses are bytes; bits of arguments that are not named are PT_INVALID.
 */
#define PT_HVC(n)	   (0xc6000000u + (n))
#define PT_HVC_NO_FUNCTION (-1)

/* clang-format off */
/* X(name, number, who may call, arguments) */
#define PT_HVC_TABLE(X)                                                                            \
	X(VERSION,     0, ANYBODY, "x1: PT_HVC_ABI; x2: PT_HVC_FEATURES of this machine")          \
	X(CREATE,      1, HOST, "VTCR_EL2 (PS, TG0, SL0, SL2, T0SZ, DS, HA, HD, VS), quota of table pages, of pages for shadows; x1: handle") \
	X(DESTROY,     2, HOST, "context")                                                         \
	X(SET_SLOT,    3, HOST, "context, IPA, size, PA, PT_SLOT_* in 7:0 and backing shift in 15:8") \
	X(DELETE_SLOT, 4, HOST, "context, IPA and size as they were set")                          \
	X(MAP,         5, HOST, "context, IPA, size, PA, prot in 31:0 and PT_MAP_* in 63:32")      \
	X(UNMAP,       6, HOST, "context, IPA, size")                                              \
	X(PROTECT,     7, HOST, "context, IPA, size, prot")                                        \
	X(FAULT,       8, HOST, "context, IPA, enum pt_access and PT_HVC_EL0 if EL0 makes it; x1: PA, x2: level, x3: prot") \
	X(LEAF,        9, HOST, "context, IPA; x1: the entry that ends the walk, x2: level")       \
	X(CONTINUE,   10, HOST_OR_ABLE_GUEST, "handle of an operation")                            \
	X(HYP_MAP,    11, HOST, "PA, size, prot; EL2's own map")                                   \
	X(HYP_UNMAP,  12, HOST, "PA, size")                                                        \
	X(HYP_DEVICE, 13, HOST, "PA, size, prot; x1: EL2's address")                               \
	X(RUN,        14, HOST, "context, PA of a vCPU's registers, PA of its EL2's or 0; x1: why it ended") \
	X(EXIT,       15, GUEST, "x1 to x3 are the host's to read")                                \
	PT_HVC_OWNER_TABLE(X)                                                                      \
	PT_HVC_NEST_TABLE(X)

/*
 * In a machine with owners alone (bit 7 of the features), and there in the place of CREATE,
 * DESTROY, HYP_MAP and HYP_UNMAP, which are PT_UNSUPPORTED: transitions, which docs/ownership.md
 * names and judges, and the life of guests. "Guest": its handle, which is that of its context. The
 * name in brackets is pKVM's.
 */
#define PT_HVC_OWNER_TABLE(X)                                                                      \
	X(SHARE_HYP,     16, OWNING_HOST, "PA, size (__pkvm_host_share_hyp)")                      \
	X(UNSHARE_HYP,   17, OWNING_HOST, "PA, size (__pkvm_host_unshare_hyp)")                    \
	X(PIN,           18, OWNING_HOST, "PA, size (hyp_pin_shared_mem)")                         \
	X(UNPIN,         19, OWNING_HOST, "PA, size (hyp_unpin_shared_mem)")                       \
	X(DONATE_HYP,    20, OWNING_HOST, "PA, size, PT_HVC_WIPE or 0 (__pkvm_host_donate_hyp)")   \
	X(RETURN_HYP,    21, OWNING_HOST, "PA, size (__pkvm_hyp_donate_host)")                     \
	X(SHARE_THIRD,   22, OWNING_HOST, "PA, size (__pkvm_host_share_ffa)")                      \
	X(UNSHARE_THIRD, 23, OWNING_HOST, "PA, size (__pkvm_host_unshare_ffa)")                    \
	X(SHARE_GUEST,   24, OWNING_HOST, "guest, IPA, size, PA, prot (__pkvm_host_share_guest)")  \
	X(UNSHARE_GUEST, 25, OWNING_HOST, "guest, IPA, size (__pkvm_host_unshare_guest)")          \
	X(DONATE_GUEST,  26, OWNING_HOST, "guest, IPA, size, PA, PT_HVC_WIPE or 0 (__pkvm_host_donate_guest)") \
	X(SHARE_BACK,    27, OWNING_GUEST, "IPA, size (__pkvm_guest_share_host)")                  \
	X(UNSHARE_BACK,  28, OWNING_GUEST, "IPA, size (__pkvm_guest_unshare_host)")                \
	X(BALLOON,       29, OWNING_GUEST, "IPA, size")                                            \
	X(FORCE_RECLAIM, 30, OWNING_HOST, "PA, size (__pkvm_host_force_reclaim_page_guest)")       \
	X(RECLAIM_DYING, 31, OWNING_HOST, "guest, IPA, size (__pkvm_reclaim_dying_guest_page)")    \
	X(RESERVE,       32, OWNING_HOST, "; x1: guest (__pkvm_reserve_vm)")                       \
	X(CREATE_GUEST,  33, OWNING_HOST, "guest, VTCR_EL2 and quota as CREATE, PT_HVC_PROTECTED or 0, quota for shadows as CREATE (__pkvm_init_vm)") \
	X(TEARDOWN,      34, OWNING_HOST, "guest (__pkvm_start_teardown_vm)")                      \
	X(FINALIZE,      35, OWNING_HOST, "guest (__pkvm_finalize_teardown_vm)")                   \
	X(OWNER,         36, OWNING_HOST, "PA; x1: owner and states, x2: guest, x3: its IPA")      \
	X(TOP_UP,        37, OWNING_HOST, "guest, PA, size (topup_hyp_memcache)")                  \
	X(RECLAIM_TABLES, 38, OWNING_HOST, "guest (teardown_mc)")                                  \
	X(LEND,          39, OWNING_HOST_OR_GUEST, "size and PT_HVC_WIPE, up to four borrowers, then 0; x1: lending") \
	X(LEND_PIECE,    40, OWNING_HOST_OR_GUEST, "lending, PA, or a guest's IPA, size")          \
	X(LEND_DROP,     41, OWNING_HOST, "lending that is still open: its list is gone")          \
	X(RETRIEVE,      42, OWNING_GUEST, "lending, IPA")                                         \
	X(RELINQUISH,    43, OWNING_GUEST, "lending")                                              \
	X(TAKE_BACK,     44, OWNING_HOST_OR_GUEST, "lending; by its lender")

/*
 * Of a guest that may have shadows alone (docs/nested.md): its context was made with a quota of
 * pages for them, which is not 0. A guest hypervisor's own guest, by its EL2 registers: HCR_EL2 has
 * VM and FWB. NEST_RUN enters it with the registers of a struct pt_el2_vcpu at a page of its IPA
 * space, as RUN does for the host, and answers when it has to come back; BUSY: a shadow of another
 * one has to end first: again. NEST_TLBI takes an instruction as ESR_EL2.ISS of EC 0x18 and its
 * register, and answers as a range operation: MORE, or x1: leaves removed, x2: shadows it named.
 */
#define PT_HVC_NEST_TABLE(X)                                                                       \
	X(NEST_RUN,      45, NESTING_GUEST, "IPA of a vCPU's registers, VTTBR_EL2, VTCR_EL2, HCR_EL2; x1: why it ended") \
	X(NEST_TLBI,     46, NESTING_GUEST, "ISS, operand, VTTBR_EL2, VTCR_EL2")
/* clang-format on */

#define PT_HVC_EL0	 0x100u /* a fetch needs EL0's right (FEAT_XNX), else EL1's */
#define PT_HVC_WIPE	 1u	/* the receiver finds zeroes */
#define PT_HVC_PROTECTED 1u /* a guest that owns its memory, else a plain one, that borrows it */

/* x1 of OWNER: enum pt_owner_kind in 3:0; the host's state in 7:4 and hyp's in 11:8, enum
 * pt_page_state; pins in 31:16; shares in 63:32. x2 and x3 are zero unless a guest owns it. */

enum pt_hvc {
#define PT_X(name, number, who, what) PT_HVC_##name = number,
	PT_HVC_TABLE(PT_X)
#undef PT_X
		PT_HVC_COUNT
};

#define PT_HVC_ABI 1u

/*
 * MAP, UNMAP, PROTECT, SET_SLOT and DELETE_SLOT are transactions: all or nothing at any size, and
 * answer x1: leaves written, x2: leaves removed, x3: blocks split in 31:0 and TLBIs in 63:32; so
 * are the transitions of owners, lendings and TEARDOWN, for all parties (RECLAIM_DYING divides its
 * range: what came before x1 is through when it is refused). One call does at most PT_HVC_STEP
 * entries; until it is continued to its end the addresses still to come are claimed, and whoever
 * faults on one carries the operation on. An operation whose answer nobody fetches may lose it:
 * PT_REPLY_GONE. While as many are under way as there is room for, PT_BUSY: each such answer has
 * carried one of them on.
 */
#define PT_HVC_STEP 512u

#endif
