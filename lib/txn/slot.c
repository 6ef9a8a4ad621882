/* SPDX-License-Identifier: BSD-2-Clause */
/* Memslots: the search, for transactions and faults. */
#include "slot.h"

const struct pt_slot *pt_slot_find(const struct pt_slots *slots, uint64_t ipa)
{
	return pt__slot_find(slots, ipa);
}
