/* SPDX-License-Identifier: BSD-2-Clause */
/* ContextService: create, get, list, delete, quota. */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "domain_work.h"
#include "registry.h"
#include "transfer_work.h"

#include <string.h>

#define DEFAULT_GRANULE	 12
#define DEFAULT_IPA_BITS 40

static enum call_result check_options(struct call *call, const Ptd__V1__ContextOptions *o)
{
	if (o->bbm > 2)
		return call_fail(call, PT_INVALID, "options.bbm: %u is not 0, 1 or 2", o->bbm);
	if (o->durable)
		return call_fail(call, PT_UNSUPPORTED, "options.durable: not offered");
	if ((o->max_shadows || o->link_pages) && !o->nested)
		return call_fail(call, PT_INVALID,
				 "options.max_shadows, link_pages: they go with options.nested");
	if (o->max_shadows > LIMIT_SHADOWS)
		return call_fail(call, PT_TOO_LARGE, "options.max_shadows: %u is above %u",
				 o->max_shadows, LIMIT_SHADOWS);
	if (o->software_bits > PT_PROT_SW >> PT_PROT_SW_SHIFT)
		return call_fail(call, PT_INVALID, "options.software_bits: 0x%x; there are four",
				 o->software_bits);
	return CALL_MORE;
}

static enum call_result check_kind(struct call *call, uint32_t kind)
{
	if (kind == PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW)
		return call_fail(call, PT_INVALID, "kind: EnterNested alone makes SHADOW contexts");
	if (kind != PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST &&
	    kind != PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST)
		return call_fail(call, PT_INVALID, "kind: %u is not GUEST or HOST", kind);
	return CALL_MORE;
}

static enum call_result fields_geometry(struct call *call, const struct machine *m,
					const Ptd__V1__Geometry *g, struct pt_geometry *to)
{
	struct pt_geometry_args a = {.granule_shift = DEFAULT_GRANULE,
				     .pa_bits = m->pt.pa_bits,
				     .ipa_bits = DEFAULT_IPA_BITS};

	if (g && g->start_level_plus_2 > 5)
		return call_fail(call, PT_INVALID, "geometry.start_level_plus_2: %u is above 5",
				 g->start_level_plus_2);
	if (g) {
		a.granule_shift = g->granule_shift ? g->granule_shift : DEFAULT_GRANULE;
		a.ipa_bits = g->ipa_bits;
		a.pa_bits = g->pa_bits ? g->pa_bits : m->pt.pa_bits;
		a.ds = g->ds;
		a.start_level_given = g->start_level_plus_2 != 0;
		a.start_level = (int)g->start_level_plus_2 - 2;
	}
	if (!g || !g->ipa_bits)
		a.ipa_bits = a.pa_bits < DEFAULT_IPA_BITS ? a.pa_bits : DEFAULT_IPA_BITS;
	/* Tables stand in the upper half of the machine's PA space: a smaller one cannot reach
	 * them. */
	if (a.pa_bits != m->pt.pa_bits)
		return call_fail(call, PT_INVALID, "geometry.pa_bits: %u, the machine has %u",
				 a.pa_bits, m->pt.pa_bits);
	if (pt_geometry_init(to, &a) != PT_OK)
		return call_fail(
			call, PT_INVALID,
			"geometry: granule 2^%u, %u-bit IPA, %u-bit PA, ds %d, start level "
			"%d: the architecture refuses it",
			a.granule_shift, a.ipa_bits, a.pa_bits, a.ds,
			a.start_level_given ? a.start_level : 127);
	return CALL_MORE;
}

static enum call_result vtcr_geometry(struct call *call, const struct machine *m, uint64_t vtcr,
				      struct context_args *args)
{
	if (pt_geometry_from_vtcr(&args->geometry, vtcr) != PT_OK)
		return call_fail(call, PT_INVALID, "vtcr: 0x%llx: the architecture refuses it",
				 (unsigned long long)vtcr);
	if (args->geometry.pa_bits != m->pt.pa_bits)
		return call_fail(call, PT_INVALID, "vtcr: PS says %u bits, the machine has %u",
				 args->geometry.pa_bits, m->pt.pa_bits);
	args->vtcr_flags = pt_geometry_vtcr_flags(vtcr);
	if (args->vtcr_flags & PT_VTCR_VS && m->vmid_bits == 8)
		return call_fail(call, PT_INVALID, "vtcr: VS is set, the machine has 8-bit VMIDs");
	return CALL_MORE;
}

static enum call_result geometry(struct call *call, const struct machine *m,
				 const Ptd__V1__CreateContextRequest *q, struct context_args *args)
{
	if (q->vtcr && q->geometry)
		return call_fail(call, PT_INVALID, "vtcr: give it or geometry, not both");
	if (q->vtcr)
		return vtcr_geometry(call, m, q->vtcr, args);
	args->vtcr_flags = m->vmid_bits == 16 ? PT_VTCR_VS : 0;
	return fields_geometry(call, m, q->geometry, &args->geometry);
}

static enum call_result options(struct call *call, const Ptd__V1__ContextOptions *o,
				struct context_args *args)
{
	if (o && check_options(call, o) != CALL_MORE)
		return CALL_DONE;
	if (o) {
		args->attrs = (o->fwb ? PT_ATTR_FWB : 0) | (o->xnx ? PT_ATTR_XNX : 0) |
			      PT_ATTR_BBM(o->bbm);
		args->policy = o->identity ? PT_CTX_IDENTITY : 0;
		args->is_protected = o->protected_;
		args->is_topped_up = o->topped_up;
		args->software_bits = o->software_bits << PT_PROT_SW_SHIFT;
		if (o->nested)
			args->max_shadows = o->max_shadows ? o->max_shadows : DEFAULT_SHADOWS;
		args->link_pages = o->link_pages;
		args->vtcr_flags |= (o->ha ? PT_VTCR_HA : 0) | (o->hd ? PT_VTCR_HD : 0);
	}
	if (args->vtcr_flags & PT_VTCR_HD && !(args->vtcr_flags & PT_VTCR_HA))
		return call_fail(call, PT_INVALID, "options.hd: it needs options.ha");
	return CALL_MORE;
}

/* As a party of a machine with owners. */
static enum call_result check_party(struct call *call, const struct machine *m,
				    const struct context_args *args)
{
	bool host = args->kind == PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST;
	bool there = m->owners && atomic_load(&m->owners->host);

	if (args->max_shadows && host)
		return call_fail(call, PT_INVALID, "options.nested: for contexts of kind GUEST");
	if (args->is_protected && (!m->owners || host))
		return call_fail(call, PT_INVALID,
				 "options.protected: for guests of a machine with owners");
	if (args->is_topped_up && (!m->owners || host))
		return call_fail(call, PT_INVALID,
				 "options.topped_up: for guests of a machine with owners");
	if (args->is_topped_up && args->quota_pages)
		return call_fail(call, PT_INVALID,
				 "quota_pages: %llu; options.topped_up says that there are none",
				 (unsigned long long)args->quota_pages);
	if (args->reserved && (!m->owners || host))
		return call_fail(call, PT_INVALID, "guest: for guests of a machine with owners");
	if (!m->owners)
		return CALL_MORE;
	if (args->software_bits & PT_OWNER_SW)
		return call_fail(call, PT_INVALID,
				 "options.software_bits: 0x%x; 0x%x say the owner in this machine",
				 args->software_bits >> PT_PROT_SW_SHIFT,
				 PT_OWNER_SW >> PT_PROT_SW_SHIFT);
	if (host && !(args->policy & PT_CTX_IDENTITY))
		return call_fail(call, PT_INVALID,
				 "options.identity: the host of a machine with owners needs it");
	if (host && there)
		return call_fail(call, PT_ALREADY_EXISTS, "kind: the machine has its HOST");
	if (!host && !there)
		return call_fail(call, PT_WRONG_STATE, "kind: the machine's HOST comes first");
	return CALL_MORE;
}

static enum call_result fail_create(struct call *call, enum pt_outcome o)
{
	switch (o) {
	case PT_ALREADY_EXISTS:
		return call_fail(call, o, "name: a context of this name exists in the machine");
	case PT_TOO_LARGE:
		return call_fail(call, o,
				 "max_contexts contexts exist, or the machine has max_guests");
	case PT_WRONG_STATE: return call_fail(call, o, "machine: it is being deleted");
	case PT_NOT_FOUND: return call_fail(call, o, "guest: no place was reserved under it");
	case PT_BUSY: return call_fail(call, o, "guest: it is being topped up");
	case PT_UNSUPPORTED:
		return call_fail(call, o, "options.nested: table memory is larger than 64 GiB");
	default: return call_fail(call, o, "no memory for the start tables");
	}
}

static enum call_result create(struct call *call)
{
	const Ptd__V1__CreateContextRequest *q = (const void *)call->request;
	struct context_args args = {.name = q->name,
				    .kind = q->kind,
				    .quota_pages = q->quota_pages,
				    .reserved = q->guest};
	Ptd__V1__CreateContextResponse *r;
	struct context *c = NULL;
	struct machine *m;
	enum pt_outcome o;
	void *room;

	m = find_machine(call, q->machine, "machine");
	if (!m)
		return CALL_DONE;
	if (!name_is_legal(q->name))
		return call_fail(call, PT_INVALID,
				 "name: 1 to %u of letters, digits, '.', '_', '-'",
				 LIMIT_NAME_BYTES);
	if (check_kind(call, q->kind) != CALL_MORE || geometry(call, m, q, &args) != CALL_MORE ||
	    options(call, q->options, &args) != CALL_MORE ||
	    check_party(call, m, &args) != CALL_MORE)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__create_context_response__descriptor);
	if (!r)
		return CALL_DONE;
	room = context_message_room(call);
	if (!room)
		return fail_arena(call);
	o = context_create(call, m, &args, &c);
	if (o != PT_OK)
		return fail_create(call, o);
	r->context = context_message_at(room, call, c);
	if (!r->context)
		return fail_arena(call);
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result context_create_call(struct call *call)
{
	const Ptd__V1__CreateContextRequest *q = (const void *)call->request;

	return call_once(call, &q->request_id, create);
}

enum call_result context_get(struct call *call)
{
	const Ptd__V1__GetContextRequest *q = (const void *)call->request;
	Ptd__V1__GetContextResponse *r;
	struct context *c;

	if (q->handle && q->name[0])
		return call_fail(call, PT_INVALID, "name: give it or handle, not both");
	c = !q->handle && q->name[0] ? find_context_named(call, q->name)
				     : find_context(call, q->handle, "handle");
	if (!c)
		return CALL_DONE;
	r = new_response(call, &ptd__v1__get_context_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->context = context_message_in_call(call, c);
	if (!r->context)
		return fail_arena(call);
	call->response = &r->base;
	return CALL_DONE;
}

/* Fills a page: at most `limit` contexts and about LIMIT_PAGE_BYTES. Returns the last handle. */
static uint64_t fill_page(struct call *call, struct machine *m, uint64_t after, uint32_t limit,
			  Ptd__V1__ListContextsResponse *r)
{
	size_t bytes = 0;
	struct context *c;

	while (r->n_contexts < limit && bytes < LIMIT_PAGE_BYTES &&
	       (c = registry_next_context(call->domain, m, after))) {
		Ptd__V1__Context *to = context_message_in_call(call, c);

		if (!to)
			break;
		bytes += protobuf_c_message_get_packed_size(&to->base);
		r->contexts[r->n_contexts++] = to;
		after = c->handle;
	}
	return after;
}

enum call_result context_list(struct call *call)
{
	const Ptd__V1__ListContextsRequest *q = (const void *)call->request;
	struct machine *m = q->machine ? find_machine(call, q->machine, "machine") : NULL;
	uint32_t limit = page_limit(q->page_size);
	Ptd__V1__ListContextsResponse *r;
	uint64_t after;

	if (q->machine && !m)
		return CALL_DONE;
	if (!page_token_read(call, q->machine, q->page_token, &after))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__list_contexts_response__descriptor);
	if (!r)
		return CALL_DONE;
	r->contexts = call_alloc(call, limit * sizeof(*r->contexts));
	r->next_page_token = call_alloc(call, PAGE_TOKEN_BYTES);
	if (!r->contexts || !r->next_page_token)
		return fail_arena(call);
	after = fill_page(call, m, after, limit, r);
	if (registry_next_context(call->domain, m, after)) {
		if (!r->n_contexts)
			return fail_arena(call);
		page_token_make(call, q->machine, after, r->next_page_token);
	}
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result context_set_quota(struct call *call)
{
	const Ptd__V1__SetQuotaRequest *q = (const void *)call->request;
	struct context *c = find_context(call, q->context, "context");
	Ptd__V1__SetQuotaResponse *r;

	if (!c)
		return CALL_DONE;
	if (c->is_topped_up)
		return call_fail(call, PT_WRONG_STATE,
				 "context: its tables come out of what it is topped up with");
	r = new_response(call, &ptd__v1__set_quota_response__descriptor);
	if (!r)
		return CALL_DONE;
	atomic_store_explicit(&c->pt.quota_pages, q->quota_pages ? q->quota_pages : UINT64_MAX,
			      memory_order_relaxed);
	r->quota_pages = q->quota_pages;
	r->table_pages = atomic_load_explicit(&c->pt.table_pages, memory_order_relaxed);
	watch_note(call->domain, c, PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
	call->response = &r->base;
	return CALL_DONE;
}
