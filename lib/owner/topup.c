/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that the host gives for a guest's tables: which they are, and how they come back. */
#include "transition.h"

/* Whose they are to be no more. */
static uint32_t whose(const struct pt_transfer *t)
{
	return pt__range(t, 0).guest;
}

void pt__count_tables(const struct pt_transfer *t, uint32_t guest, uint64_t bytes, bool gains)
{
	_Atomic uint64_t *tables = &t->args.owners->guest[guest].tables;

	if (gains)
		atomic_fetch_add(tables, bytes);
	else
		atomic_fetch_sub(tables, bytes);
}

/* How far it goes on from `pa`: *n bytes, at most as many as it is on entry. */
bool pt__are_tables(const struct pt_transfer *t, uint64_t pa, uint64_t *n)
{
	struct pt_extent e;
	uint64_t room;

	if (pt_extents_find(&t->args.owners->extents, pa >> PT_OWNER_SHIFT, &e) != PT_OK)
		return false;
	room = (e.end << PT_OWNER_SHIFT) - pa;
	if (*n > room)
		*n = room;
	return e.owner.kind == PT_OWNER_HYP && e.meta == pt__tables_meta(whose(t));
}

/* Its tables are in use as long as it has something. */
static enum pt_outcome look(struct pt_transfer *t, int64_t *left)
{
	struct pt_ctx *ctx = pt__guest_ctx(&t->args.owners->guest[whose(t)]);
	enum pt_outcome outcome = ctx ? pt__guest_look(ctx, &t->at, left) : PT_OK;

	if (outcome == PT_WRONG_STATE)
		t->error = (struct pt_error){outcome, 0, pt_ipa(t->at), PT_TTL_UNKNOWN};
	if (outcome != PT_OK)
		return outcome;
	t->at = 0;
	t->looked = true;
	return PT_OK;
}

/* All of memory; the account says when there is nothing more to be found. */
enum pt_outcome pt__scan_tables(struct pt_transfer *t, int64_t *left)
{
	const struct pt_machine_owners *o = t->args.owners;
	const struct pt_region *top = o->regions ? &o->region[o->regions - 1] : NULL;
	enum pt_outcome outcome = t->looked ? PT_OK : look(t, left);

	if (outcome != PT_OK)
		return outcome;
	t->size = top ? top->pa + top->size : 0;
	while (t->done < t->size && atomic_load(&o->guest[whose(t)].tables)) {
		uint64_t n = t->size - t->done;

		if (*left <= 0)
			return PT_MORE;
		*left -= 16;
		if (pt__are_tables(t, t->done, &n)) {
			t->list[t->runs++] = (struct pt_transfer_run){t->done, 0, n, whose(t), 0};
			t->span = n;
			return PT_OK;
		}
		t->done += n;
	}
	t->done = t->size;
	return PT_OK;
}
