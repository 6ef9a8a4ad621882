/* SPDX-License-Identifier: BSD-2-Clause */
/* A host's fault on a page of a guest's, in a machine that lets the host take it by force. */
#include "faults.h"

#include "owners.h"
#include "registry.h"
#include "transfer_work.h"

#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

/* The unit of the transition: of the host's granule and that of the guest that has the page. */
static uint64_t unit_at(struct call *call, const struct owners *o, uint64_t pa)
{
	unsigned shift = o->pt.host->geo.granule_shift;
	const struct context *guest = NULL;
	struct pt_extent e;

	if (pt_extents_find(&o->pt.extents, pa >> PT_OWNER_SHIFT, &e) == PT_OK &&
	    e.owner.kind == PT_OWNER_GUEST)
		guest = peek_context(call, owners_context(o, &e.owner));
	if (guest && guest->pt.geo.granule_shift > shift)
		shift = guest->pt.geo.granule_shift;
	return UINT64_C(1) << shift;
}

static bool begin(struct call *call, struct machine *m, uint64_t pa, struct fault_reclaim *r)
{
	uint64_t unit = unit_at(call, m->owners, pa);
	struct pt_transfer_args args = {.owners = &m->owners->pt,
					.kind = PT_FORCE_RECLAIM,
					.pa = pa & ~(unit - 1),
					.size = unit};

	if (!r->work)
		r->work = call_alloc(call, sizeof(*r->work));
	if (!r->work || transfer_begin(call, r->work, &args) != PT_OK ||
	    !owners_begin(call->domain, m))
		return false;
	r->work->kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_FORCE_RECLAIM;
	r->machine = m;
	return true;
}

bool fault_reclaim_begin(struct call *call, struct context *c, const struct pt_fault_todo *todo,
			 struct fault_reclaim *r)
{
	struct machine *m = c->machine;

	if (todo->kind != PT_TODO_RECLAIM || r->tried || !m->owners || !m->owners->force_reclaim)
		return false;
	r->tried = true;
	r->running = begin(call, m, todo->ipa.v, r);
	return r->running;
}

static void end(struct call *call, struct fault_reclaim *r, bool done)
{
	r->running = false;
	r->done = done;
	if (done)
		transfer_settle(call, &r->work->t);
	owners_end(r->machine);
}

enum call_result fault_reclaim_step(struct call *call, struct fault_reclaim *r)
{
	enum call_result result;
	enum pt_outcome o;

	if (likely(!r->running))
		return CALL_DONE;
	result = transfer_step(r->work, &o);
	if (result == CALL_DONE)
		end(call, r, o == PT_OK);
	return result;
}

enum call_result fault_reclaim_abandon(struct call *call, struct fault_reclaim *r)
{
	enum call_result result;
	bool committed;

	if (!r->running)
		return CALL_DONE;
	result = transfer_abandon(r->work, &committed);
	if (result == CALL_DONE)
		end(call, r, committed);
	return result;
}

uint32_t fault_foreign(const struct context *c, const struct fault_reclaim *r, enum pt_outcome o)
{
	if (likely(!c->machine->owners))
		return PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_UNSPECIFIED;
	if (o == PT_WRONG_OWNER)
		return PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_ABORT;
	return r->done ? PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_FORCE_RECLAIM
		       : PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_UNSPECIFIED;
}
