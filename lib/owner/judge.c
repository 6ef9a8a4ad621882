/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks of a transition, page by page, in the order of docs/ownership.md. The tables of all
 * parties are frozen meanwhile. */
#include "transition.h"

#include <pt/walk.h>

#include "../txn/mark.h"

/* Pages that are looked at in one go: the records of a page of records. */
#define CHUNK_FRAMES 512

static bool logged(const struct pt_ctx *ctx, uint64_t ipa, uint64_t size)
{
	struct pt_dirty_log *logs = pt__logs(ctx);

	return logs && pt__meets_log(logs, ipa, ipa + size - 1);
}

/* Whose the frame is, by its record. */
static enum pt_owner_kind owner_of(struct pt_frame_record r)
{
	if (r.hyp == PT_PAGE_OWNED)
		return PT_OWNER_HYP;
	return r.host == PT_PAGE_NOPAGE || r.host == PT_PAGE_SHARED_BORROWED ? PT_OWNER_GUEST
									     : PT_OWNER_HOST;
}

static enum pt_outcome judge_count(uint8_t rule, uint32_t count, uint32_t most)
{
	switch (rule) {
	case PT__COUNT_NONE: return count ? PT_WRONG_STATE : PT_OK;
	case PT__COUNT_SOME: return count ? PT_OK : PT_WRONG_STATE;
	case PT__COUNT_FREE: return count ? PT_BUSY : PT_OK;
	case PT__COUNT_ROOM: return count == most ? PT_BUSY : PT_OK;
	default: return PT_OK;
	}
}

/* The giving side: whose, in which state, in what use. */
static enum pt_outcome judge_record(const struct pt__row *row, struct pt_frame_record r)
{
	enum pt_outcome outcome;

	if (r.table != row->table)
		return PT_WRONG_OWNER; /* to everybody a table's frame is hyp's for good */
	if (owner_of(r) != row->owner)
		return row->by == PT__BY_OWNER && owner_of(r) == PT_OWNER_HOST ? PT_WRONG_STATE
									       : PT_WRONG_OWNER;
	if (!(row->host >> r.host & 1) || !(row->hyp >> r.hyp & 1))
		return PT_WRONG_STATE;
	if (row->shares_by > 0 && r.host == PT_PAGE_SHARED_OWNED && !r.shares)
		return PT_WRONG_STATE; /* with a third component */
	outcome = judge_count(row->shares, r.shares, UINT32_MAX);
	return outcome == PT_OK ? judge_count(row->pins, r.pins, UINT16_MAX) : outcome;
}

static enum pt_outcome judge_frame(const struct pt_transfer *t, uint64_t pa)
{
	const struct pt_machine_owners *o = t->args.owners;
	enum pt_outcome outcome;

	if (pt__any_table(o, pa, pt__frame_bytes(o)))
		return PT_WRONG_OWNER;
	outcome = judge_record(t->row, pt_frames_get(&o->frames, pa));
	if (outcome == PT_OK && t->row->log_is_busy && logged(o->host, pa, pt__frame_bytes(o)))
		return PT_BUSY;
	return outcome;
}

/* Frames that follow each other: the first that is not right; *n: bytes before it. Those with the
 * same record are judged at once, if it tells all. */
static enum pt_outcome judge_frames(const struct pt_transfer *t, uint64_t pa, uint64_t size,
				    int64_t *left, uint64_t *n)
{
	const struct pt_machine_owners *o = t->args.owners;
	bool apart = pt__any_table(o, pa, size) || (t->row->log_is_busy && pt__logs(o->host));
	uint64_t frame = pt__frame_bytes(o);
	enum pt_outcome outcome = PT_OK;

	for (*n = 0; outcome == PT_OK && *n < size;) {
		struct pt_frame_record r;
		uint64_t alike =
			apart ? frame : pt_frames_alike(&o->frames, pa + *n, pa + size, &r);

		outcome = apart ? judge_frame(t, pa + *n) : judge_record(t->row, r);
		*n += outcome == PT_OK ? alike : 0;
		*left -= (int64_t)(alike >> o->frames.frame_shift);
	}
	return outcome;
}

/* A page of the guest's own that is wanted to be in `state`. */
static enum pt_outcome judge_own(enum pt_page_state is, enum pt_page_state state)
{
	if (is == PT_PAGE_NOPAGE)
		return PT_NOT_MAPPED;
	if (is == PT_PAGE_POISONED)
		return PT_POISONED;
	if (is == PT_PAGE_SHARED_BORROWED || is == PT_PAGE_LENT_BORROWED)
		return PT_WRONG_OWNER;
	return is == state ? PT_OK : PT_WRONG_STATE;
}

static enum pt_outcome judge_borrowed(enum pt_page_state is)
{
	switch (is) {
	case PT_PAGE_NOPAGE: return PT_NOT_MAPPED;
	case PT_PAGE_POISONED: return PT_POISONED;
	case PT_PAGE_LENT_BORROWED: return PT_WRONG_STATE;
	default: return is == PT_PAGE_SHARED_BORROWED ? PT_OK : PT_WRONG_OWNER;
	}
}

static enum pt_outcome judge_state(enum pt__page rule, enum pt_page_state is)
{
	switch (rule) {
	case PT__PAGE_VACANT:
		if (is == PT_PAGE_POISONED)
			return PT_POISONED;
		return is == PT_PAGE_NOPAGE ? PT_OK : PT_WRONG_STATE;
	case PT__PAGE_OWNED: return judge_own(is, PT_PAGE_OWNED);
	case PT__PAGE_SHARED: return judge_own(is, PT_PAGE_SHARED_OWNED);
	case PT__PAGE_BORROWED: return judge_borrowed(is);
	case PT__PAGE_FORCED: return is == PT_PAGE_OWNED ? PT_OK : PT_WRONG_STATE;
	case PT__PAGE_LENT: return is == PT_PAGE_LENT ? PT_OK : PT_WRONG_STATE;
	case PT__PAGE_LENT_BORROWED: return is == PT_PAGE_LENT_BORROWED ? PT_OK : PT_WRONG_STATE;
	default: return is == PT_PAGE_POISONED ? PT_OK : PT_WRONG_STATE;
	}
}

/* The guest's page at `ipa`, and how far what it says goes on: *n bytes, at most as many as it is
 * on entry. *pa: its frame, if it has one. */
static enum pt_outcome judge_page(const struct pt_transfer *t, uint32_t guest, uint64_t ipa,
				  uint64_t *pa, uint64_t *n)
{
	bool private = t->row->page == PT__PAGE_OWNED || t->row->page == PT__PAGE_FORCED;
	struct pt_ctx *ctx = t->args.owners->guest[guest].ctx;
	uint64_t last = ipa + *n - 1;
	enum pt_outcome outcome;

	outcome = judge_state((enum pt__page)t->row->page, pt__page_at(ctx, ipa, pa, &last));
	if (last - ipa < *n)
		*n = last - ipa + 1;
	if (outcome != PT_OK || !private || !(t->row->life >> PT_GUEST_LIVE & 1) || !pt__logs(ctx))
		return outcome;
	*n = *n < pt__frame_bytes(t->args.owners) ? *n : pt__frame_bytes(t->args.owners);
	return logged(ctx, ipa, *n) ? PT_BUSY : PT_OK;
}

bool pt__judge_one(const struct pt_transfer *t, uint64_t pa, struct pt_frame_record record)
{
	const struct pt_machine_owners *o = t->args.owners;

	return !pt__any_table(o, pa, pt__frame_bytes(o)) && judge_record(t->row, record) == PT_OK;
}

/* What the range's next part is about. */
struct part {
	uint64_t off, size; /* of the range; at most to the end of the run */
	const struct pt_transfer_run *run;
	uint64_t in; /* the run, so far */
};

/* False: the runs have come to their end. */
static bool next_part(struct pt_transfer *t, struct part *part)
{
	uint64_t most = (uint64_t)CHUNK_FRAMES << t->args.owners->frames.frame_shift, in = t->at;
	uint32_t i = 0;

	for (; i < t->runs && in >= t->list[i].size; i++)
		in -= t->list[i].size;
	if (i == t->runs)
		return false;
	*part = (struct part){t->at, t->list[i].size - in, &t->list[i], in};
	if (part->size > most)
		part->size = most;
	return true;
}

/* Frame first, then the address that it is to get. */
static enum pt_outcome judge_both(struct pt_transfer *t, struct part *part, int64_t *left)
{
	uint64_t pa = part->run->pa + part->in, n = part->size, none;
	enum pt_outcome there =
		judge_page(t, part->run->guest, part->run->ipa + part->in, &none, &n);
	enum pt_outcome outcome;

	if (there != PT_OK)
		n = pt__frame_bytes(t->args.owners);
	part->size = n;
	outcome = judge_frames(t, pa, n, left, &n);
	if (outcome == PT_OK)
		return there;
	part->off += n;
	return outcome;
}

/* The guest's page first. It has to have the frame that the claims were made for. */
static enum pt_outcome judge_guest(struct pt_transfer *t, struct part *part, int64_t *left)
{
	uint64_t pa = part->run->pa + part->in, is = 0, n = part->size;
	enum pt_outcome outcome =
		judge_page(t, part->run->guest, part->run->ipa + part->in, &is, &n);

	part->size = n;
	if (outcome == PT_OK && is != pa)
		t->again = true;
	if (outcome != PT_OK || t->again)
		return outcome;
	outcome = judge_frames(t, pa, n, left, &n);
	part->off += outcome == PT_OK ? 0 : n;
	return outcome;
}

/* Is the frame annotated as what the run says? The number is that of the host's granule. */
static bool is_noted(const struct pt_transfer *t, const struct part *part)
{
	struct pt_ctx *host = t->args.owners->host;
	uint64_t pa = part->run->pa + part->in, ipa = part->run->ipa + part->in;
	struct pt_note note;
	pt_pte entry;
	int level;

	if (pt_get_leaf(host, pt_ipa(pa), &entry, &level) != PT_OK ||
	    pt_note_decode(entry, &note) != PT_OK || note.type != PT_NOTE_DONATION)
		return false;
	ipa -= pa & (pt_level_size(&host->geo, PT_LEVEL_LAST) - 1);
	return note.owner.kind == PT_OWNER_GUEST && note.owner.handle == part->run->guest &&
	       note.owner.gfn == ipa >> PT_OWNER_SHIFT;
}

/* A frame, then whoever has it. */
static enum pt_outcome judge_owner(struct pt_transfer *t, struct part *part)
{
	uint64_t pa = part->run->pa + part->in, is = 0;
	enum pt_outcome outcome = judge_frame(t, pa);

	part->size = pt__frame_bytes(t->args.owners);
	if (outcome != PT_OK)
		return outcome;
	t->again = !is_noted(t, part);
	if (t->again)
		return PT_OK;
	outcome = judge_page(t, part->run->guest, part->run->ipa + part->in, &is, &part->size);
	t->again = outcome == PT_OK && is != pa;
	return outcome;
}

/* What the index names must be so still: nobody else than this takes it from hyp. */
static enum pt_outcome judge_tables(struct pt_transfer *t, struct part *part, int64_t *left)
{
	uint64_t pa = part->run->pa + part->in, n;

	if (pt__are_tables(t, pa, &part->size) &&
	    judge_frames(t, pa, part->size, left, &n) == PT_OK)
		return PT_OK;
	t->again = true;
	return PT_OK;
}

static enum pt_outcome judge_part(struct pt_transfer *t, struct part *part, int64_t *left)
{
	uint64_t n;
	enum pt_outcome outcome;

	*left -= 8;
	switch (t->row->by) {
	case PT__BY_BOTH: return judge_both(t, part, left);
	case PT__BY_GUEST: return judge_guest(t, part, left);
	case PT__BY_OWNER: return judge_owner(t, part);
	case PT__BY_TABLES: return judge_tables(t, part, left);
	default:
		outcome = judge_frames(t, part->run->pa + part->in, part->size, left, &n);
		part->off += outcome == PT_OK ? 0 : n;
		return outcome;
	}
}

/* The page behind the runs, at which the scan has stopped. */
static enum pt_outcome judge_rest(struct pt_transfer *t)
{
	uint64_t pa, n = pt__frame_bytes(t->args.owners);
	struct pt_transfer_range r;
	enum pt_outcome outcome;

	pt__range_at(t, t->at, &r);
	if (t->row->by == PT__BY_OWNER)
		outcome = judge_frame(t, r.pa);
	else
		outcome = judge_page(t, r.guest, r.ipa.v, &pa, &n);
	t->again = outcome == PT_OK;
	return outcome;
}

/* Poisoned pages of a dying guest have no frames, and no runs. */
static enum pt_outcome judge_poisoned(struct pt_transfer *t, int64_t *left)
{
	while (t->at < t->span) {
		uint64_t pa, n = t->span - t->at;
		struct pt_transfer_range r;

		if (*left <= 0)
			return PT_MORE;
		*left -= 4;
		pt__range_at(t, t->done + t->at, &r);
		if (judge_page(t, r.guest, r.ipa.v, &pa, &n) != PT_OK)
			return t->again = true, PT_BUSY;
		t->at += n;
	}
	return PT_OK;
}

enum pt_outcome pt__judge(struct pt_transfer *t, int64_t *left)
{
	enum pt_outcome outcome = PT_OK;
	struct part part;

	if (t->row->page == PT__PAGE_POISONED)
		return judge_poisoned(t, left);
	while (outcome == PT_OK && next_part(t, &part)) {
		if (*left <= 0)
			return PT_MORE;
		outcome = judge_part(t, &part, left);
		t->again |= outcome != PT_OK && t->args.kind == PT_RECLAIM_DYING;
		if (t->again)
			return PT_BUSY;
		if (outcome != PT_OK)
			return pt__at_fault(t, outcome, t->done + part.off);
		t->at += part.size;
	}
	if (!t->partly)
		return outcome;
	outcome = judge_rest(t);
	return t->again ? PT_BUSY : pt__at_fault(t, outcome, t->at);
}
