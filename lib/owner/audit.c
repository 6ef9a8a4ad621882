/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit. In four passes: the host's table (what it says of others leads to them), the records
 * (what they say stands in the host's table), guests' tables (what they have leads back), and
 * extents. A page that borrows leads to its frame, but a frame not to those that borrow it; so
 * shares are counted: up by records, down by leaves, once plain and once weighed by frame. LENT
 * entries do not name their frame: counted up by DONATIONs that lead to them, down where they are.
 * So is table memory, up by guests' accounts, down by records; once weighed by guest.
 */
#include <pt/owner_audit.h>

#include "base/bits.h"

static uint64_t weight(uint64_t pa)
{
	return (pa >> PT_OWNER_SHIFT | 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* By what the index says of the frames: the guest's handle + 1. */
static uint64_t weight_of_tables(uint64_t meta)
{
	return weight(meta << (PT_OWNER_SHIFT + 1));
}

enum { HOST_TABLE, RECORDS, GUEST_TABLES, EXTENTS, COUNTS, DONE };

void pt_owner_audit_begin(struct pt_owner_audit *audit, struct pt_ctx *host,
			  const struct pt_owner_guest *guest, uint32_t guests,
			  const struct pt_frames *frames, const struct pt_extents *extents)
{
	*audit = (struct pt_owner_audit){.host = host,
					 .guest = guest,
					 .guests = guests,
					 .frames = frames,
					 .extents = extents};
	for (uint32_t i = 0; i < guests; i++) {
		audit->tables[0] += guest[i].tables;
		if (extents)
			audit->tables[1] +=
				guest[i].tables * weight_of_tables((uint64_t)guest[i].handle + 1);
	}
}

static bool wrong(struct pt_owner_audit *a, enum pt_audit_kind kind, uint64_t pa)
{
	a->found.kind = kind;
	a->found.pa = pa;
	return false;
}

static uint64_t frame_size(const struct pt_owner_audit *a)
{
	return UINT64_C(1) << a->frames->frame_shift;
}

static uint64_t frames_end(const struct pt_owner_audit *a)
{
	return a->frames->frames << a->frames->frame_shift;
}

/* The entry for an address; none is like an empty one. */
static pt_pte entry_at(struct pt_ctx *ctx, uint64_t ipa, int *level)
{
	pt_pte entry = 0;

	*level = ctx->geo.start_level;
	return pt_get_leaf(ctx, pt_ipa(ipa), &entry, level) == PT_OK ? entry : 0;
}

/* What the host's table says of a frame: an annotation or, with type 0, none. False: neither. */
static bool note_of(const struct pt_owner_audit *a, uint64_t pa, struct pt_note *note)
{
	int level;
	enum pt_outcome outcome = pt_note_decode(entry_at(a->host, pa, &level), note);

	if (outcome == PT_NOT_MAPPED || outcome == PT_WRONG_STATE) {
		*note = (struct pt_note){0};
		return true;
	}
	/* A granule of the host may be several frames: gfns go on. */
	if (outcome == PT_OK && note->owner.kind == PT_OWNER_GUEST)
		note->owner.gfn +=
			(pa & pt__low_mask(a->host->geo.granule_shift)) >> PT_OWNER_SHIFT;
	return outcome == PT_OK && note->type != PT_NOTE_POISONED;
}

static const struct pt_owner_guest *guest_of(const struct pt_owner_audit *a, uint16_t handle)
{
	for (uint32_t i = 0; i < a->guests; i++)
		if (a->guest[i].handle == handle)
			return &a->guest[i];
	return NULL;
}

/* What the owner of a frame has at the address that a DONATION names: a leaf of its own to this
 * frame, or LENT. */
static bool owner_has(const struct pt_owner_audit *a, uint64_t pa, const struct pt_owner *owner,
		      enum pt_page_state *state)
{
	const struct pt_owner_guest *g = guest_of(a, owner->handle);
	uint64_t ipa = owner->gfn << PT_OWNER_SHIFT, oa;
	pt_pte entry;
	int level;

	if (!g || !g->ctx)
		return false;
	entry = entry_at(g->ctx, ipa, &level);
	if (pt_page_state_of_entry(entry, state) != PT_OK)
		return false;
	if (*state == PT_PAGE_LENT)
		return true;
	oa = pt_pte_to_oa(&g->ctx->geo, entry).v + (ipa & (pt_level_size(&g->ctx->geo, level) - 1));
	return *state == PT_PAGE_OWNED && oa == pa;
}

/* One frame of the host's table that bears an annotation. */
static bool look_at_note(struct pt_owner_audit *a, uint64_t pa)
{
	struct pt_frame_record r;
	enum pt_page_state state;
	struct pt_note note;

	if (!note_of(a, pa, &note) || pa >= frames_end(a))
		return wrong(a, PT_AUDIT_ENTRY, pa);
	r = pt_frames_get(a->frames, pa);
	if (note.type == PT_NOTE_LENT)
		return r.host == PT_PAGE_LENT || wrong(a, PT_AUDIT_HOST, pa);
	if (r.host != PT_PAGE_NOPAGE ||
	    (r.hyp == PT_PAGE_OWNED) != (note.owner.kind == PT_OWNER_HYP))
		return wrong(a, PT_AUDIT_HOST, pa);
	if (note.owner.kind == PT_OWNER_HYP)
		return true;
	if (!owner_has(a, pa, &note.owner, &state))
		return wrong(a, PT_AUDIT_GUEST, pa);
	a->lent += state == PT_PAGE_LENT;
	return true;
}

/* Onwards in a table: one frame, or all of an entry that says nothing of single ones. */
static bool step_host(struct pt_owner_audit *a)
{
	int level;
	pt_pte entry = entry_at(a->host, a->cursor, &level);
	bool skips = !entry || pt_pte_valid(entry);
	uint64_t pa = a->cursor, size = skips ? pt_level_size(&a->host->geo, level) : frame_size(a);

	a->cursor = (pa & ~(size - 1)) + size;
	if (a->cursor >> a->host->geo.ipa_bits)
		a->phase = RECORDS;
	if (a->phase == RECORDS)
		a->cursor = 0;
	return skips || look_at_note(a, pa);
}

/* Of a frame that is not the default: whose, by its record and the host's entry. */
static bool extent_agrees(struct pt_owner_audit *a, uint64_t pa, struct pt_frame_record r,
			  const struct pt_note *note)
{
	enum pt_page_state state = PT_PAGE_OWNED;
	struct pt_extent e;
	uint64_t gfn;

	if (!a->extents)
		return true;
	if (pt_extents_find(a->extents, pa >> PT_OWNER_SHIFT, &e) != PT_OK)
		return false;
	if (r.host != PT_PAGE_NOPAGE && r.host != PT_PAGE_SHARED_BORROWED)
		return e.owner.kind == PT_OWNER_HOST && e.state == r.host;
	if (r.host == PT_PAGE_SHARED_BORROWED)
		return e.owner.kind == PT_OWNER_GUEST && e.state == PT_PAGE_SHARED_OWNED;
	if (e.owner.kind != note->owner.kind || e.owner.handle != note->owner.handle)
		return false;
	gfn = e.owner.gfn + (pa >> PT_OWNER_SHIFT) - e.start;
	if (e.owner.kind == PT_OWNER_GUEST && gfn != note->owner.gfn)
		return false;
	if (e.owner.kind == PT_OWNER_GUEST)
		owner_has(a, pa, &note->owner, &state);
	if (r.table)
		a->tables[1] -= frame_size(a) * weight_of_tables(e.meta);
	else if (r.hyp == PT_PAGE_OWNED && e.meta)
		return false;
	return e.state == state;
}

static bool look_at_record(struct pt_owner_audit *a, uint64_t pa)
{
	struct pt_frame_record r = pt_frames_get(a->frames, pa);
	struct pt_note note;
	uint8_t type = 0;

	if (!pt_frame_sound(r))
		return wrong(a, PT_AUDIT_RECORD, pa);
	if (r.host == PT_PAGE_NOPAGE)
		type = PT_NOTE_DONATION;
	else if (r.host == PT_PAGE_LENT)
		type = PT_NOTE_LENT;
	if (!note_of(a, pa, &note) || note.type != type)
		return wrong(a, PT_AUDIT_HOST, pa);
	if (!extent_agrees(a, pa, r, &note))
		return wrong(a, PT_AUDIT_EXTENT, pa);
	a->tables[0] -= r.table ? frame_size(a) : 0;
	a->shares[0] += r.shares;
	a->shares[1] += r.shares * weight(pa);
	return true;
}

static bool step_record(struct pt_owner_audit *a)
{
	uint64_t end = frames_end(a), pa;

	if (!pt_frames_next(a->frames, &a->cursor, end, 1)) {
		if (a->cursor < end)
			return true;
		a->phase = GUEST_TABLES;
		a->cursor = 0;
		return true;
	}
	pa = a->cursor;
	a->cursor += frame_size(a);
	return look_at_record(a, pa);
}

/* A frame that a guest's leaf outputs. */
static bool leaf_agrees(struct pt_owner_audit *a, uint64_t pa, const struct pt_owner_guest *g,
			uint64_t ipa, enum pt_page_state state)
{
	struct pt_frame_record r;
	enum pt_page_state owners;
	struct pt_note note;

	if (pa >= frames_end(a) || !note_of(a, pa, &note))
		return false;
	r = pt_frames_get(a->frames, pa);
	switch (state) {
	case PT_PAGE_OWNED:
		return note.type == PT_NOTE_DONATION && note.owner.kind == PT_OWNER_GUEST &&
		       note.owner.handle == g->handle && note.owner.gfn == ipa >> PT_OWNER_SHIFT;
	case PT_PAGE_SHARED_OWNED: return r.host == PT_PAGE_SHARED_BORROWED;
	case PT_PAGE_SHARED_BORROWED:
		a->shares[0]--;
		a->shares[1] -= weight(pa);
		return r.host == PT_PAGE_SHARED_OWNED && r.shares;
	default:
		if (note.type == PT_NOTE_LENT)
			return true;
		return note.owner.kind == PT_OWNER_GUEST && note.owner.handle != g->handle &&
		       owner_has(a, pa, &note.owner, &owners) && owners == PT_PAGE_LENT;
	}
}

static bool look_at_guest(struct pt_owner_audit *a, const struct pt_owner_guest *g, uint64_t ipa,
			  pt_pte entry, int level)
{
	enum pt_page_state state;
	uint64_t pa = 0;

	a->found.in_guest = true;
	a->found.handle = g->handle;
	a->found.ipa = ipa;
	if (pt_page_state_of_entry(entry, &state) != PT_OK)
		return wrong(a, PT_AUDIT_ENTRY, 0);
	a->lent -= state == PT_PAGE_LENT;
	if (!pt_pte_valid(entry))
		return true;
	pa = pt_pte_to_oa(&g->ctx->geo, entry).v + (ipa & (pt_level_size(&g->ctx->geo, level) - 1));
	return leaf_agrees(a, pa, g, ipa, state) || wrong(a, PT_AUDIT_LEAF, pa);
}

static bool step_guest(struct pt_owner_audit *a)
{
	const struct pt_owner_guest *g = &a->guest[a->at];
	uint64_t ipa = a->cursor, size;
	pt_pte entry;
	int level;

	if (a->at == a->guests) {
		a->found.in_guest = false;
		a->phase = a->extents ? EXTENTS : COUNTS;
		return true;
	}
	if (!g->ctx) {
		a->at++;
		return true;
	}
	entry = entry_at(g->ctx, ipa, &level);
	size = entry ? frame_size(a) : pt_level_size(&g->ctx->geo, level);
	a->cursor = (ipa & ~(size - 1)) + size;
	if (a->cursor >> g->ctx->geo.ipa_bits) {
		a->at++;
		a->cursor = 0;
	}
	return !entry || look_at_guest(a, g, ipa, entry, level);
}

/* Each frame of an extent that is not the default has a record that is not: its record has been
 * held against it. */
static bool step_extent(struct pt_owner_audit *a)
{
	uint64_t unit = a->cursor, pa = unit << PT_OWNER_SHIFT;
	struct pt_extent e;

	if (pt_extents_find(a->extents, unit, &e) != PT_OK) {
		a->phase = COUNTS;
		return true;
	}
	if (e.owner.kind == PT_OWNER_HOST && e.state == PT_PAGE_OWNED) {
		a->cursor = e.end;
		return true;
	}
	a->cursor = unit + (frame_size(a) >> PT_OWNER_SHIFT);
	if (pa >= frames_end(a) || !pt_frame_word(pt_frames_get(a->frames, pa)))
		return wrong(a, PT_AUDIT_EXTENT, pa);
	return true;
}

static bool step_counts(struct pt_owner_audit *a)
{
	a->phase = DONE;
	if (a->shares[0] || a->shares[1])
		return wrong(a, PT_AUDIT_SHARES, 0);
	if (a->tables[0] || a->tables[1])
		return wrong(a, PT_AUDIT_TABLES, 0);
	return !a->lent || wrong(a, PT_AUDIT_LENT, 0);
}

static bool step(struct pt_owner_audit *a)
{
	switch (a->phase) {
	case HOST_TABLE: return step_host(a);
	case RECORDS: return step_record(a);
	case GUEST_TABLES: return step_guest(a);
	case EXTENTS: return step_extent(a);
	default: return step_counts(a);
	}
}

enum pt_outcome pt_owner_audit_step(struct pt_owner_audit *audit, uint32_t budget)
{
	for (; budget && audit->phase != DONE; budget--) {
		audit->looked++;
		if (!step(audit))
			audit->phase = DONE;
	}
	if (audit->phase != DONE)
		return PT_MORE;
	return audit->found.kind == PT_AUDIT_NONE ? PT_OK : PT_WRONG_STATE;
}
