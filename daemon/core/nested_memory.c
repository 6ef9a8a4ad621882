/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory for the walks of lib/nested: through the canonical context's leaves and memslots. */
#include "nested_memory.h"

#include <pt/dirty.h>

/* Where a word is, and what may be done with it. */
struct place {
	uint64_t pa;
	bool read, write;
};

static const struct pt_slot *slot_of(struct context *c, uint64_t ipa)
{
	return pt_slot_find(pt_ctx_slots(&c->pt), ipa);
}

static bool by_leaf(struct context *c, uint64_t ipa, struct place *at)
{
	const struct pt_slot *slot;
	struct hw_result r;

	if (pt_host_translate(&c->pt, pt_ipa(ipa), PT_ACCESS_AT, false, &r) != PT_OK ||
	    (r.fault != HW_NO_FAULT && r.fault != HW_PERMISSION && r.fault != HW_ACCESS_FLAG))
		return false;
	*at = (struct place){r.pa, r.read, r.write};
	if (at->write)
		return true;
	/* Write-protected for a dirty log, or not written yet: the slot says what it is. */
	slot = slot_of(c, ipa);
	at->write = slot && !(slot->flags & PT_SLOT_READ_ONLY) && !c->machine->owners &&
		    slot->pa + (ipa - slot->ipa) == r.pa;
	return true;
}

static bool by_slot(struct context *c, uint64_t ipa, struct place *at)
{
	const struct pt_slot *slot = c->machine->owners ? NULL : slot_of(c, ipa);

	if (!slot || (slot->flags & PT_SLOT_PAGED && !pagers_present(c, pt_ipa(ipa), sizeof(ipa))))
		return false;
	*at = (struct place){slot->pa + (ipa - slot->ipa), true,
			     !(slot->flags & PT_SLOT_READ_ONLY)};
	return true;
}

/* PT_OK or PT_NO_SLOT. */
static enum pt_outcome find(struct context *c, uint64_t ipa, struct place *at)
{
	if (ipa >> c->pt.geo.ipa_bits || (!by_leaf(c, ipa, at) && !by_slot(c, ipa, at)))
		return PT_NO_SLOT;
	return at->read ? PT_OK : PT_NO_SLOT;
}

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	struct context *c = arg;
	struct place at;

	if (find(c, ipa.v, &at) != PT_OK ||
	    pt_host_ram_read(&c->machine->ram, at.pa, word, sizeof(*word)) != PT_OK)
		return PT_NO_SLOT;
	return PT_OK;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	struct context *c = arg;
	struct place at;
	enum pt_outcome o;

	if (find(c, ipa.v, &at) != PT_OK)
		return PT_NO_SLOT;
	if (!at.write)
		return PT_READ_ONLY;
	o = pt_host_ram_swap(&c->machine->ram, at.pa, word, to);
	if (o == PT_OUT_OF_RANGE)
		return PT_NO_SLOT;
	if (o == PT_OK)
		pt_dirty_mark(&c->pt, ipa, sizeof(*word));
	return o;
}

struct pt_guest_memory nested_memory(struct context *c)
{
	return (struct pt_guest_memory){.load = load, .swap = swap, .arg = c};
}
