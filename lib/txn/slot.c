/* SPDX-License-Identifier: BSD-2-Clause */
/* Memslots: look-up. */
#include <pt/context.h>

const struct pt_slot *pt_slot_find(const struct pt_slots *slots, uint64_t ipa)
{
	uint32_t lo = 0, hi = slots ? slots->count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct pt_slot *slot = &slots->slot[mid];

		if (ipa < slot->ipa)
			hi = mid;
		else if (ipa - slot->ipa >= slot->size)
			lo = mid + 1;
		else
			return slot;
	}
	return NULL;
}
