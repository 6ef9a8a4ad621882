/* SPDX-License-Identifier: BSD-2-Clause */
/* Annotations, page states and frame records: encode and decode (kvm-stage2.md 2.11). */
#include <pt/owner.h>

#include "base/bits.h"

#define TYPE_SHIFT 60

static pt_pte place(uint8_t type, uint8_t kind, uint64_t metadata)
{
	return (pt_pte)type << TYPE_SHIFT | pt__place(metadata, 59, 4) | pt__place(kind, 3, 1);
}

static bool is_nobody(const struct pt_owner *o)
{
	return !o->kind && !o->handle && !o->gfn;
}

static enum pt_outcome encode_donation(const struct pt_owner *o, pt_pte *entry)
{
	if (o->kind != PT_OWNER_HYP && o->kind != PT_OWNER_GUEST)
		return PT_INVALID;
	if (o->kind == PT_OWNER_HYP && (o->handle || o->gfn))
		return PT_INVALID;
	if (o->gfn >> PT_OWNER_GFN_BITS)
		return PT_OUT_OF_RANGE;
	*entry = place(PT_NOTE_DONATION, o->kind, o->handle | o->gfn << 16);
	return PT_OK;
}

enum pt_outcome pt_note_encode(const struct pt_note *note, pt_pte *entry)
{
	if (note->type == PT_NOTE_DONATION)
		return note->lending ? PT_INVALID : encode_donation(&note->owner, entry);
	if (!is_nobody(&note->owner))
		return PT_INVALID;
	if (note->type == PT_NOTE_POISONED) {
		if (note->lending)
			return PT_INVALID;
	} else if (note->type != PT_NOTE_LENT) {
		return PT_INVALID;
	}
	if (note->lending >> PT_OWNER_LEND_BITS)
		return PT_OUT_OF_RANGE;
	*entry = place(note->type, 0, note->lending);
	return PT_OK;
}

enum pt_outcome pt_note_decode(pt_pte entry, struct pt_note *note)
{
	struct pt_note n = {.type = (uint8_t)(entry >> TYPE_SHIFT)};
	uint64_t metadata = pt__field(entry, 59, 4);
	pt_pte again;

	if (pt_pte_valid(entry))
		return PT_WRONG_STATE;
	if (!entry)
		return PT_NOT_MAPPED;
	if (pt_pte_locked(entry))
		return PT_RACED;
	if (n.type == PT_NOTE_DONATION)
		n.owner = (struct pt_owner){.kind = (uint8_t)pt__field(entry, 3, 1),
					    .handle = (uint16_t)metadata,
					    .gfn = metadata >> 16};
	else
		n.lending = metadata;
	/* What would be encoded in another way was not encoded here. */
	if (pt_note_encode(&n, &again) != PT_OK || again != entry)
		return PT_INVALID;
	*note = n;
	return PT_OK;
}

enum pt_outcome pt_page_state_of_entry(pt_pte entry, enum pt_page_state *state)
{
	struct pt_note note;
	enum pt_outcome outcome = pt_note_decode(entry, &note);

	if (outcome == PT_WRONG_STATE) {
		*state = pt_page_state_of_leaf(entry);
		return PT_OK;
	}
	if (outcome == PT_NOT_MAPPED) {
		*state = PT_PAGE_NOPAGE;
		return PT_OK;
	}
	if (outcome != PT_OK)
		return outcome;
	if (note.type == PT_NOTE_DONATION)
		return PT_INVALID;
	*state = note.type == PT_NOTE_LENT ? PT_PAGE_LENT : PT_PAGE_POISONED;
	return PT_OK;
}

bool pt_frame_sound(struct pt_frame_record r)
{
	bool with_hyp = r.host == PT_PAGE_SHARED_OWNED && r.hyp == PT_PAGE_SHARED_BORROWED;

	if ((r.pins && !with_hyp) || (r.table && r.hyp != PT_PAGE_OWNED))
		return false;
	if (r.shares && (r.host != PT_PAGE_SHARED_OWNED || with_hyp))
		return false;
	switch (r.hyp) {
	case PT_PAGE_NOPAGE:
		return r.host == PT_PAGE_OWNED || r.host == PT_PAGE_SHARED_OWNED ||
		       r.host == PT_PAGE_SHARED_BORROWED || r.host == PT_PAGE_NOPAGE ||
		       r.host == PT_PAGE_LENT;
	case PT_PAGE_SHARED_BORROWED: return with_hyp;
	case PT_PAGE_OWNED: return r.host == PT_PAGE_NOPAGE;
	default: return false;
	}
}
