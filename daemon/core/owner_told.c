/* SPDX-License-Identifier: BSD-2-Clause */
/* Transitions as events. The index tells stretches, however many pages they have; only where memory
 * is shared do records differ, and are looked at. */
#include "owner_told.h"

#define LOOKS 256u /* at pages of records, in one transition */

/* From `pa` on, and below `end`, frames are borrowed as often; as far as that was looked at. */
static uint64_t alike(const struct owners *o, uint64_t pa, uint64_t end, uint32_t *looks)
{
	struct pt_frame_record first, r;
	uint64_t at = pa;

	while (at < end && *looks) {
		uint64_t n = pt_frames_alike(&o->pt.frames, at, end, &r);

		--*looks;
		if (at == pa)
			first = r;
		else if (pt_frame_word(r) != pt_frame_word(first))
			break;
		at += n;
	}
	return at;
}

/* What the ledger says of frames from `unit` on, and below `end`, as long as it says one thing. */
static struct pt_extent look(const struct owners *o, uint64_t unit, uint64_t end, uint32_t *looks)
{
	struct pt_extent e;

	pt_extents_find(&o->pt.extents, unit, &e); /* a frame of the machine: it finds one */
	if (e.owner.kind == PT_OWNER_GUEST)
		e.owner.gfn += unit - e.start;
	e.start = unit;
	e.end = e.end < end ? e.end : end;
	if (e.state == PT_PAGE_SHARED_OWNED && *looks)
		e.end = alike(o, unit << PT_OWNER_SHIFT, e.end << PT_OWNER_SHIFT, looks) >>
			PT_OWNER_SHIFT;
	return e;
}

/* From `unit` on; with no room for another one behind it, all up to `end`. */
static void see(struct owner_stretch *s, const struct owners *o, uint64_t unit, uint64_t end,
		bool room, uint32_t *looks)
{
	s->was = look(o, unit, end, looks);
	s->context = owners_context(o, &s->was.owner);
	s->borrowers = owners_borrowers(o, unit << PT_OWNER_SHIFT);
	s->mixed = !*looks || (!room && s->was.end < end);
	if (!room)
		s->was.end = end;
}

void owner_saw(struct owner_told *told, const struct owners *o, const struct pt_transfer *t)
{
	uint32_t looks = LOOKS;

	told->stretches = 0;
	for (uint32_t i = 0; i < t->runs; i++) {
		const struct pt_transfer_run *run = &t->list[i];
		uint64_t unit = run->pa >> PT_OWNER_SHIFT;
		uint64_t end = unit + (run->size >> PT_OWNER_SHIFT);

		while (unit < end) {
			struct owner_stretch *s = &told->stretch[told->stretches++];

			see(s, o, unit, end, told->stretches + t->runs - i - 1 < OWNER_STRETCHES,
			    &looks);
			unit = s->was.end;
		}
	}
}

/* The part of what was that is now one thing, too. */
static struct owner_event event_at(const struct owner_stretch *s, const struct owners *o,
				   uint64_t unit, bool room, uint32_t *looks)
{
	struct owner_event e = {.before = s->was,
				.before_context = s->context,
				.before_borrowers = s->borrowers,
				.mixed = s->mixed};

	e.after = look(o, unit, s->was.end, looks);
	e.mixed |= !*looks || (!room && e.after.end < s->was.end);
	if (!room)
		e.after.end = s->was.end;
	e.after_context = owners_context(o, &e.after.owner);
	e.after_borrowers = owners_borrowers(o, unit << PT_OWNER_SHIFT);
	if (e.before.owner.kind == PT_OWNER_GUEST)
		e.before.owner.gfn += unit - e.before.start;
	e.before.start = unit;
	e.before.end = e.after.end;
	return e;
}

void owner_tell(const struct owner_told *told, struct machine *m, uint32_t kind)
{
	uint32_t count = 0, looks = LOOKS;

	for (uint32_t i = 0; i < told->stretches; i++) {
		const struct owner_stretch *s = &told->stretch[i];
		uint64_t unit = s->was.start;

		while (unit < s->was.end) {
			bool room = ++count + told->stretches - i - 1 < OWNER_STRETCHES;
			struct owner_event e = event_at(s, m->owners, unit, room, &looks);

			e.kind = kind;
			owner_note(&m->domain->owner_watchers, &m->owners->events, &e);
			unit = e.after.end;
		}
	}
}
