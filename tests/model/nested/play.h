/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle of composition: shadows of a guest hypervisor's tables over a canonical context, whose
 * maps are changed at random, with vCPUs that have an adversarial TLB each. Nothing here shares
 * code with lib/nested: all three tables are read by the architectural walker
 * (lib/port/host/hwwalk.c).
 *
 * After each operation each leaf of the shadows says what some state of the guest's tables since
 * the last TLBI for it, and the canonical tables as they are now, say together; and each access
 * ends as these two say. Where the guest has given the TLBI, there is one such state. A shadow
 * writes only what both have noted as dirty. And nothing goes that is not concerned: what stays is
 * compared, too, and so are counts of young pages.
 */
#ifndef MODEL_NESTED_PLAY_H
#define MODEL_NESTED_PLAY_H

#include <stdbool.h>
#include <stdint.h>

enum nested_defect {
	NESTED_AS_IS,
	NESTED_LOSE_TLBI, /* what a guest's TLBI should have removed stays */
	NESTED_LOSE_LEAF, /* a leaf that nothing concerns goes */
};

/* What is counted: operations of each kind, and what came of them. */
#define NESTED_KINDS(X)                                                                            \
	X(ACCESS, "accesses")                                                                      \
	X(OWN_ACCESS, "accesses of the guest hypervisor's own")                                    \
	X(GUEST_PAGE, "pages by the guest")                                                        \
	X(GUEST_BLOCK, "blocks by the guest")                                                      \
	X(GUEST_HINT, "contiguous hints by the guest")                                             \
	X(GUEST_CLEAN, "descriptors made clean and old by the guest")                              \
	X(TLBI, "TLBIs")                                                                           \
	X(UNMAP, "unmaps by the host")                                                             \
	X(MAP, "maps")                                                                             \
	X(GROUP, "contiguous maps")                                                                \
	X(PROTECT, "protects")                                                                     \
	X(WRITE_PROTECT, "write-protects")                                                         \
	X(RELAX, "relaxes")                                                                        \
	X(AGE, "ages")                                                                             \
	X(SPLIT, "splits")                                                                         \
	X(COLLAPSE, "collapses")                                                                   \
	X(SWEEP, "sweeps")                                                                         \
	X(SLOT, "slots deleted")                                                                   \
	X(LOG_START, "logs begun")                                                                 \
	X(LOG_GET, "logs read")                                                                    \
	X(CROWD, "crowds on a page")                                                               \
	X(SCARCE, "accesses with no page left")                                                    \
	X(USE, "uses of a shadow")                                                                 \
	X(RECYCLE, "recycled shadows")                                                             \
	X(START_BESIDE, "logs begun in steps")                                                     \
	X(GET_BESIDE, "logs read in steps")                                                        \
	X(STOP_BESIDE, "logs ended in steps")                                                      \
	X(AGE_BESIDE, "ages in steps")                                                             \
	X(SPLIT_BESIDE, "splits in steps")                                                         \
	X(COLLAPSE_BESIDE, "collapses in steps")                                                   \
	X(SWEEP_BESIDE, "sweeps in steps")                                                         \
	X(END_BESIDE, "shadows ended in steps")                                                    \
	X(STEP, "steps beside others")                                                             \
	X(LEAF, "leaves compared")                                                                 \
	X(STALE, "leaves of older tables")                                                         \
	X(KEPT, "leaves that stayed")                                                              \
	X(YOUNG, "young pages")                                                                    \
	X(YOUNG_SHADOW, "young by a shadow alone")                                                 \
	X(DIRTIED, "updates of the guest's descriptors")                                           \
	X(REFUSED, "fills refused a page")                                                         \
	X(PARKED, "fills parked")                                                                  \
	X(ALL_USED, "recyclings refused")                                                          \
	X(INEXACT, "inexact pages")                                                                \
	X(OVER, "leaves that an inexact page took along")                                          \
	X(FILL, "fills")                                                                           \
	X(KILLED, "leaves removed for the host")                                                   \
	X(INVALIDATED, "leaves removed for the guest")                                             \
	X(TO_GUEST, "aborts for the guest")                                                        \
	X(TO_HOST, "exits of the host's")                                                          \
	X(OWNED_ACCESS, "accesses in a machine with owners")                                       \
	X(OWNED_EXIT, "exits for what somebody else owns")                                         \
	X(OWNED_PARKED, "fills parked by a transition")                                            \
	X(TRANSFER, "transitions of ownership")                                                    \
	X(LEND, "calls of lendings")                                                               \
	X(OWNED_REFUSED, "transitions refused")                                                    \
	X(DEATH, "deaths of guests")                                                               \
	X(DYING, "pages reclaimed of dying guests")                                                \
	X(REBORN, "guests that came again")                                                        \
	X(OWNED_GONE, "leaves that went with an owner")                                            \
	X(OWNED_BLOCK, "blocks that went for a part")                                              \
	X(OWNED_KEPT, "leaves that a transition left alone")                                       \
	X(EL0, "accesses at EL0")                                                                  \
	X(IDENTITY, "leaves with stage 2 off")                                                     \
	X(APART, "leaves that EL1 and EL0 execute apart")                                          \
	X(PLAIN_HOST, "leaves over hosts without FWB")                                             \
	X(PLAIN_GUEST, "leaves of guests without FWB over hosts with it")                          \
	X(TYPE, "leaves that are not write-back")                                                  \
	X(BIG_ENDIAN, "leaves of big-endian tables")                                               \
	X(WIDE_HOST, "operations over 52-bit hosts")                                               \
	X(WIDE_GUEST, "operations of 52-bit guests")                                               \
	X(DIRTY_HOST, "operations over hosts with HA and HD")

enum nested_kind {
#define NESTED_ENUM(name, text) NESTED_##name,
	NESTED_KINDS(NESTED_ENUM)
#undef NESTED_ENUM
		NESTED_KIND_COUNT
};

struct nested_counts {
	uint64_t operations, of[NESTED_KIND_COUNT];
};

/*
 * One play of `steps` operations of a seed, which also chooses the two granules, formats and what
 * hardware manages. False: `failure` says what was wrong and when.
 */
bool nested_play(uint64_t seed, uint32_t steps, enum nested_defect defect,
		 struct nested_counts *counts, char failure[256]);

/* The same with transitions of ownership, for so many steps of a seed. */
bool owned_play(uint64_t seed, uint32_t steps, struct nested_counts *counts, char failure[256]);

/* The first kind that came up less often than that, or NULL. */
const char *nested_lacks(const struct nested_counts *counts, uint64_t least);
/* As TAP comments. */
void nested_print(const struct nested_counts *counts);

#endif
