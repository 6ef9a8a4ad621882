/* SPDX-License-Identifier: BSD-2-Clause */
/* OwnershipService: whose the frames of a machine are. The index answers; no table is walked. */
#include "handlers.h"

#include "domain_fail.h"
#include "owner_message.h"
#include "registry.h"

/* Who has retrieved it, where it is lent. */
static uint32_t borrowers(struct owners *o, const struct pt_extent *e)
{
	struct pt_lending l;
	uint32_t n = 0;

	if (e->state != PT_PAGE_LENT)
		return owners_borrowers(o, e->start << PT_OWNER_SHIFT);
	if (pt_lending_get(&o->pt, e->meta, &l) != PT_OK)
		return 0;
	for (uint32_t i = 0; i < l.borrowers; i++)
		n += l.borrower[i].has;
	return n;
}

/* [start, end) of an extent, in its units. */
static Ptd__V1__OwnedRange *message(struct call *call, struct owners *o, struct pt_extent e,
				    uint64_t start, uint64_t end)
{
	struct owner_range *r = call_alloc(call, sizeof(*r));

	if (e.owner.kind == PT_OWNER_GUEST)
		e.owner.gfn += start - e.start;
	e.start = start;
	e.end = end;
	return r ? owner_message(r, o, &e, owners_context(o, &e.owner), borrowers(o, &e)) : NULL;
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
		to[*count] = message(call, o, e, *at, stop);
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

/* Tokens of a machine's contexts are none of its owners', and the other way round. */
static uint64_t filter_of(const Ptd__V1__ListOwnersRequest *q)
{
	return ~q->machine;
}

enum call_result owner_list(struct call *call)
{
	const Ptd__V1__ListOwnersRequest *q = (const void *)call->request;
	struct machine *m = owners_find(call, q->machine);
	Ptd__V1__ListOwnersResponse *r;
	uint64_t at, end;

	if (!m || !page_token_read(call, filter_of(q), q->page_token, &at))
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
		page_token_make(call, filter_of(q), at, r->next_page_token);
	call->response = &r->base;
	return CALL_DONE;
}
