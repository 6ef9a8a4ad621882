/* SPDX-License-Identifier: BSD-2-Clause */
/* The search for a memslot; private to lib/txn and lib/s2. */
#ifndef PT_TXN_SLOT_H
#define PT_TXN_SLOT_H

#include "../walk/inline.h"

/* The last slot that does not begin above `ipa`; the first if all do. NULL: there is none. */
PT__INLINE const struct pt_slot *pt__slot_below(const struct pt_slots *slots, uint64_t ipa)
{
	const struct pt_slot *slot;
	uint32_t left;

	if (PT__UNLIKELY(!slots || !slots->count))
		return NULL;
	slot = slots->slot;
	for (left = slots->count; left > 1; left -= left / 2)
		slot += ipa >= slot[left / 2].ipa ? left / 2 : 0;
	return slot;
}

/* As pt_slot_find(): that slot, if it reaches that far. */
PT__INLINE const struct pt_slot *pt__slot_find(const struct pt_slots *slots, uint64_t ipa)
{
	const struct pt_slot *slot = pt__slot_below(slots, ipa);

	return PT__LIKELY(slot != NULL) && ipa - slot->ipa < slot->size ? slot : NULL;
}

#endif
