/* SPDX-License-Identifier: BSD-2-Clause */
/* Extents as messages. */
#include "owner_message.h"

static Ptd__V1__PageState state_name(enum pt_page_state state)
{
	static const Ptd__V1__PageState name[PT_PAGE_STATES] = {
		[PT_PAGE_OWNED] = PTD__V1__PAGE_STATE__PAGE_STATE_OWNED,
		[PT_PAGE_SHARED_OWNED] = PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED,
		[PT_PAGE_LENT] = PTD__V1__PAGE_STATE__PAGE_STATE_LENT,
	};

	return name[state];
}

static Ptd__V1__OwnerKind kind_name(uint8_t kind)
{
	static const Ptd__V1__OwnerKind name[] = {
		[PT_OWNER_HOST] = PTD__V1__OWNER_KIND__OWNER_KIND_HOST,
		[PT_OWNER_HYP] = PTD__V1__OWNER_KIND__OWNER_KIND_HYP,
		[PT_OWNER_GUEST] = PTD__V1__OWNER_KIND__OWNER_KIND_GUEST,
	};

	return name[kind];
}

Ptd__V1__OwnedRange *owner_message(struct owner_range *r, struct owners *o,
				   const struct pt_extent *e, uint64_t context, uint32_t borrowers)
{
	Ptd__V1__OwnedRange *to = &r->range;

	ptd__v1__owned_range__init(to);
	ptd__v1__party__init(&r->owner);
	r->owner.kind = kind_name(e->owner.kind);
	r->owner.context = context;
	to->owner = &r->owner;
	to->pa = e->start << PT_OWNER_SHIFT;
	to->size = (e->end - e->start) << PT_OWNER_SHIFT;
	to->state = state_name(e->state);
	to->borrowers = borrowers;
	if (e->owner.kind == PT_OWNER_GUEST)
		to->ipa = e->owner.gfn << PT_OWNER_SHIFT;
	if (e->state == PT_PAGE_LENT)
		to->lend_handle = e->meta;
	if (e->owner.kind == PT_OWNER_HYP && e->meta)
		to->tables_of = atomic_load(&o->guest[e->meta - 1]);
	if (owners_request(o, e->id, r->request_id))
		to->request_id = (ProtobufCBinaryData){REQUEST_ID, r->request_id};
	return to;
}
