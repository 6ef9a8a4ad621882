/* SPDX-License-Identifier: BSD-2-Clause */
/* OwnershipService: whose the frames of a machine are. The index answers; no table is walked. */
#include "handlers.h"

#include "domain_fail.h"
#include "owners.h"
#include "registry.h"

#include "ptd/v1/ownership.pb-c.h"

struct range {
	Ptd__V1__OwnedRange range;
	Ptd__V1__Party owner;
	uint8_t request_id[REQUEST_ID];
};

static Ptd__V1__PageState state_name(enum pt_page_state state)
{
	static const Ptd__V1__PageState name[PT_PAGE_STATES] = {
		[PT_PAGE_OWNED] = PTD__V1__PAGE_STATE__PAGE_STATE_OWNED,
		[PT_PAGE_SHARED_OWNED] = PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED,
		[PT_PAGE_LENT] = PTD__V1__PAGE_STATE__PAGE_STATE_LENT,
	};

	return name[state];
}

static void fill_party(Ptd__V1__Party *to, const struct owners *o, const struct pt_owner *owner)
{
	static const Ptd__V1__OwnerKind kind[] = {
		[PT_OWNER_HOST] = PTD__V1__OWNER_KIND__OWNER_KIND_HOST,
		[PT_OWNER_HYP] = PTD__V1__OWNER_KIND__OWNER_KIND_HYP,
		[PT_OWNER_GUEST] = PTD__V1__OWNER_KIND__OWNER_KIND_GUEST,
	};

	ptd__v1__party__init(to);
	to->kind = kind[owner->kind];
	if (owner->kind == PT_OWNER_HOST)
		to->context = atomic_load_explicit(&o->host, memory_order_relaxed);
	if (owner->kind == PT_OWNER_GUEST)
		to->context = atomic_load_explicit(&o->guest[owner->handle], memory_order_relaxed);
}

/* Guests' leaves; or hyp, or the host, of which there is one each. */
static uint32_t borrowers(const struct owners *o, uint64_t pa)
{
	struct pt_frame_record r = pt_frames_get(&o->pt.frames, pa);

	return r.shares + (r.hyp == PT_PAGE_SHARED_BORROWED) + (r.host == PT_PAGE_SHARED_BORROWED);
}

/* [start, end) of an extent, in its units. */
static Ptd__V1__OwnedRange *message(struct call *call, struct owners *o, const struct pt_extent *e,
				    uint64_t start, uint64_t end)
{
	struct range *r = call_alloc(call, sizeof(*r));
	Ptd__V1__OwnedRange *to = r ? &r->range : NULL;

	if (!r)
		return NULL;
	ptd__v1__owned_range__init(to);
	fill_party(&r->owner, o, &e->owner);
	to->pa = start << PT_OWNER_SHIFT;
	to->size = (end - start) << PT_OWNER_SHIFT;
	to->owner = &r->owner;
	to->state = state_name(e->state);
	to->borrowers = borrowers(o, to->pa);
	if (e->owner.kind == PT_OWNER_GUEST)
		to->ipa = (e->owner.gfn + (start - e->start)) << PT_OWNER_SHIFT;
	if (e->state == PT_PAGE_LENT)
		to->lend_handle = e->meta;
	if (owners_request(o, e->id, r->request_id))
		to->request_id = (ProtobufCBinaryData){REQUEST_ID, r->request_id};
	return to;
}

/* What [*at, end), in units, says, at most `limit` ranges; *at: what is left. False: no memory. */
static bool collect(struct call *call, struct owners *o, uint64_t *at, uint64_t end, uint32_t limit,
		    Ptd__V1__OwnedRange ***ranges, size_t *count)
{
	Ptd__V1__OwnedRange **to = call_alloc(call, limit * sizeof(*to));

	*ranges = to;
	while (to && *at < end && *count < limit) {
		struct pt_extent e;
		uint64_t stop;

		pt_extents_find(&o->pt.extents, *at, &e); /* below its end: it finds one */
		stop = e.end < end ? e.end : end;
		to[*count] = message(call, o, &e, *at, stop);
		if (!to[*count])
			return false;
		++*count;
		*at = stop;
	}
	return to != NULL;
}

/* The range asked for, in units. */
static enum call_result check_range(struct call *call, const struct machine *m,
				    const Ptd__V1__GetOwnerRequest *q, uint64_t *at, uint64_t *end)
{
	uint64_t bytes = m->ram.bytes;
	struct pt_extent e;

	if (q->pa % OWNER_PAGE)
		return fail_aligned(call, "pa", q->pa, OWNER_PAGE);
	if (q->size % OWNER_PAGE)
		return fail_aligned(call, "size", q->size, OWNER_PAGE);
	if (q->pa >= bytes || q->size > bytes - q->pa)
		return call_fail(call, PT_OUT_OF_RANGE,
				 "pa: the range leaves the machine's memory (0x%llx bytes)",
				 (unsigned long long)bytes);
	*at = q->pa >> PT_OWNER_SHIFT;
	*end = *at + (q->size >> PT_OWNER_SHIFT);
	if (!q->size) {
		pt_extents_find(&m->owners->pt.extents, *at, &e);
		*at = e.start;
		*end = e.end < bytes >> PT_OWNER_SHIFT ? e.end : bytes >> PT_OWNER_SHIFT;
	}
	return CALL_MORE;
}

enum call_result owner_get(struct call *call)
{
	const Ptd__V1__GetOwnerRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__GetOwnerResponse *r;
	uint64_t at = 0, end = 0;

	if (!m || check_range(call, m, q, &at, &end) != CALL_MORE)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__get_owner_response__descriptor);
	if (!r)
		return CALL_DONE;
	if (!collect(call, m->owners, &at, end, LIMIT_PAGE_SIZE, &r->ranges, &r->n_ranges))
		return fail_arena(call);
	r->next_pa = at < end ? at << PT_OWNER_SHIFT : 0;
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result owner_list(struct call *call)
{
	const Ptd__V1__ListOwnersRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__ListOwnersResponse *r;
	uint64_t at, end;

	if (!m || !page_token_read(call, q->machine, q->page_token, &at))
		return CALL_DONE;
	end = m->ram.bytes >> PT_OWNER_SHIFT;
	r = new_response(call, &ptd__v1__list_owners_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->next_page_token = call_alloc(call, PAGE_TOKEN_BYTES);
	if (!r->next_page_token ||
	    !collect(call, m->owners, &at, end, page_limit(q->page_size), &r->ranges, &r->n_ranges))
		return fail_arena(call);
	if (at < end)
		page_token_make(call, q->machine, at, r->next_page_token);
	call->response = &r->base;
	return CALL_DONE;
}
