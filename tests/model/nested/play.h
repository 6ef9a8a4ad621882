/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle of composition: two shadows of a guest hypervisor's tables over a canonical context,
 * whose maps are changed at random, with vCPUs that have an adversarial TLB each. Nothing here
 * shares code with lib/nested: all three tables are read by the architectural walker
 * (lib/port/host/hwwalk.c).
 *
 * After each operation each leaf of the shadows says what some state of the guest's tables since
 * the last TLBI for it, and the canonical tables as they are now, say together; and each access
 * ends as these two say. Where the guest has given the TLBI, there is one such state.
 */
#ifndef MODEL_NESTED_PLAY_H
#define MODEL_NESTED_PLAY_H

#include <stdbool.h>
#include <stdint.h>

enum nested_defect {
	NESTED_AS_IS,
	NESTED_LOSE_TLBI, /* what a guest's TLBI should have removed stays */
};

struct nested_counts {
	uint64_t operations, accesses, leaves, stale; /* stale: answers by an older state */
	uint64_t guest, host, tlbis, ends;	      /* operations of each kind */
	uint64_t fills, killed, invalidated, to_guest, to_host;
};

/*
 * One play of `steps` operations of a seed, which also chooses the two granules. False: `failure`
 * says what was wrong and when.
 */
bool nested_play(uint64_t seed, uint32_t steps, enum nested_defect defect,
		 struct nested_counts *counts, char failure[256]);

#endif
