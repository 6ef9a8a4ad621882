/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ContextService: the tree of a context as rows, and its digest.
 *
 * `stable` holds a shared claim on what is read: range operations wait for it, and it waits for the
 * sections that began before. Then the walk runs in bounded steps, and the claim is released.
 */
#include "handlers.h"

#include "context.h"
#include "domain_fail.h"
#include "registry.h"

#include <pt/walk.h>

#include <string.h>

/* A shared claim across steps. */
struct hold {
	struct call *call;
	struct pt_claim claim;
	struct pt_grace grace;
	enum { HOLD_NONE, HOLD_QUEUED, HOLD_DRAINING, HOLD_HELD, HOLD_LAST_WAKE } state;
};

static void wake_hold(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct hold, claim.waiter)->call);
}

/* CALL_DONE: held, or the call has failed. */
static enum call_result hold(struct call *call, struct hold *h, struct context *c, uint64_t lo,
			     uint64_t hi)
{
	struct pt_machine *machine;
	enum pt_outcome o;

	if (h->state == HOLD_NONE) {
		h->call = call;
		o = pt_claim_acquire(&h->claim, &c->pt, lo, hi, PT_CLAIM_SHARED, false, wake_hold);
		if (pt_is_error(o))
			return call_fail(call, o, "context: it is being deleted");
		h->state = HOLD_QUEUED;
		if (o == PT_PARKED)
			return CALL_PARKED;
	}
	machine = h->claim.ctx->machine;
	if (h->state == HOLD_QUEUED) {
		pt_grace_begin(&h->grace, machine, call_agent(call));
		h->state = HOLD_DRAINING;
	}
	if (h->state == HOLD_DRAINING && !pt_grace_done(&h->grace, machine))
		return CALL_MORE;
	h->state = HOLD_HELD;
	return CALL_DONE;
}

static void let_go(struct hold *h)
{
	if (h->state != HOLD_NONE)
		pt_claim_release(&h->claim);
	h->state = HOLD_NONE;
}

/* For an abandoned call. Lib wakes inside a section of the agent that releases: once all that are
 * open now have ended, no wake can name this memory. */
static enum call_result abandon_hold(struct call *call, struct hold *h)
{
	const struct pt_machine any = {.world = &call->domain->tables.world};

	if (h->state == HOLD_QUEUED) {
		struct pt_machine *machine = h->claim.ctx->machine;

		if (pt_claim_cancel(&h->claim)) {
			h->state = HOLD_NONE;
			return CALL_DONE;
		}
		pt_grace_begin(&h->grace, machine, call_agent(call));
		pt_claim_release(&h->claim);
		h->state = HOLD_LAST_WAKE;
	}
	if (h->state == HOLD_LAST_WAKE)
		return pt_grace_done(&h->grace, &any) ? CALL_DONE : CALL_MORE;
	let_go(h);
	return CALL_DONE;
}

/* A claim keeps nobody from a shadow's entries: faults, TLBIs and canonical changes wait for none.
 */
static bool is_held_still(struct call *call, const struct context *c, bool stable)
{
	if (!stable || !context_is_shadow(c))
		return true;
	call_fail(call, PT_WRONG_STATE, "stable: a shadow changes with its context at any time");
	return false;
}

struct dump {
	struct hold hold;
	struct pt_walker walker;
	Ptd__V1__DumpContextResponse *r;
	const struct pt_geometry *geo;
	struct call *call;
	uint32_t limit, room; /* rows a page may have, and rows that the columns have room for */
	uint64_t first;	      /* tables that begin before it are not of this page */
	uint64_t run_next;    /* the entry that would go on with the last row */
	bool holes, full;
};

/* Does this entry continue the last row? Then its descriptor is that of the row, moved along. */
static bool continues(const struct dump *d, const struct pt_walk_entry *e)
{
	const Ptd__V1__DumpContextResponse *r = d->r;
	size_t last = r->n_ipa - 1;
	uint64_t step, n, expected;

	if (!r->n_ipa || e->visit != PT_VISIT_LEAF || e->level != r->level[last] ||
	    e->ipa != d->run_next)
		return false;
	n = r->count[last];
	expected = r->descriptor[last];
	if (pt_pte_valid(expected)) {
		step = pt_level_size(d->geo, e->level);
		expected = (expected & ~pt_oa_mask(d->geo)) |
			   pt_oa_to_pte(d->geo, pt_pa(pt_pte_to_oa(d->geo, expected).v + n * step));
	}
	return e->entry == expected;
}

#define FIRST_ROWS 256

static bool grow(struct call *call, void *column, size_t size, uint32_t from, uint32_t to)
{
	void *more = call_alloc(call, to * size), *had;

	if (!more)
		return false;
	memcpy(&had, column, sizeof(had));
	if (from)
		memcpy(more, had, from * size);
	memcpy(column, &more, sizeof(more));
	return true;
}

/* Columns grow with what the context holds: many small dumps may wait beside each other. */
static bool make_room(struct dump *d)
{
	Ptd__V1__DumpContextResponse *r = d->r;
	uint32_t from = d->room, to = from ? 2 * from : FIRST_ROWS;

	if (from == d->limit)
		return false;
	if (to > d->limit)
		to = d->limit;
	if (!grow(d->call, &r->ipa, sizeof(*r->ipa), from, to) ||
	    !grow(d->call, &r->level, sizeof(*r->level), from, to) ||
	    !grow(d->call, &r->descriptor, sizeof(*r->descriptor), from, to) ||
	    !grow(d->call, &r->count, sizeof(*r->count), from, to) ||
	    !grow(d->call, &r->table, sizeof(*r->table), from, to))
		return false;
	d->room = to;
	return true;
}

static void add_row(struct dump *d, const struct pt_walk_entry *e)
{
	Ptd__V1__DumpContextResponse *r = d->r;
	size_t n = r->n_ipa;

	r->ipa[n] = e->ipa;
	r->level[n] = e->level;
	r->descriptor[n] = e->entry;
	r->count[n] = 1;
	r->table[n] = e->table.v;
	r->n_ipa = r->n_level = r->n_descriptor = r->n_count = r->n_table = n + 1;
}

static bool is_table_row(const struct dump *d, size_t row)
{
	return pt_pte_is_table(d->r->descriptor[row], d->r->level[row]);
}

/* The page ends before this entry; tables that begin here are told on the next one. */
static void end_page(struct dump *d, uint64_t ipa)
{
	Ptd__V1__DumpContextResponse *r = d->r;
	size_t n = r->n_ipa;

	while (n > 1 && is_table_row(d, n - 1) && r->ipa[n - 1] == ipa)
		n--;
	r->n_ipa = r->n_level = r->n_descriptor = r->n_count = r->n_table = n;
	r->next_ipa = ipa;
	d->full = true;
}

static enum pt_walk_next visit(const struct pt_walk_entry *e, void *arg)
{
	struct dump *d = arg;

	if (e->visit == PT_VISIT_TABLE_PRE && e->ipa < d->first)
		return PT_WALK_ON;
	if (e->visit == PT_VISIT_LEAF && !e->entry && !d->holes)
		return PT_WALK_ON;
	if (continues(d, e)) {
		d->r->count[d->r->n_ipa - 1]++;
	} else if (d->r->n_ipa == d->room && !make_room(d)) {
		end_page(d, e->ipa);
		return PT_WALK_STOP;
	} else {
		add_row(d, e);
	}
	if (e->visit == PT_VISIT_LEAF)
		d->run_next = e->ipa + pt_level_size(d->geo, e->level);
	return PT_WALK_ON;
}

/* Fewer rows than levels could leave a page without room to go on. */
static uint32_t row_limit(uint32_t asked)
{
	if (!asked)
		return DEFAULT_DUMP_ROWS;
	if (asked < 2 * PT_LEVELS)
		return 2 * PT_LEVELS;
	return asked < LIMIT_DUMP_ROWS ? asked : LIMIT_DUMP_ROWS;
}

static enum call_result check_dump(struct call *call, const struct context *c,
				   const Ptd__V1__DumpContextRequest *q, uint64_t *last)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;

	*last = (UINT64_C(1) << c->pt.geo.ipa_bits) - 1;
	if (q->ipa % granule)
		return fail_aligned(call, "ipa", q->ipa, granule);
	if (q->size % granule)
		return fail_aligned(call, "size", q->size, granule);
	if (q->size && q->ipa + q->size - 1 < q->ipa)
		return call_fail(call, PT_INVALID, "size: ipa + size wraps");
	if (q->ipa > *last || (q->size && q->ipa + q->size - 1 > *last))
		return call_fail(call, PT_OUT_OF_RANGE,
				 "ipa: the range leaves the %u-bit IPA space", c->pt.geo.ipa_bits);
	if (q->size)
		*last = q->ipa + q->size - 1;
	return CALL_MORE;
}

static enum call_result begin_dump(struct call *call, struct context *c)
{
	const Ptd__V1__DumpContextRequest *q = (const void *)call->request;
	struct dump *d;
	uint64_t last;

	if (check_dump(call, c, q, &last) != CALL_MORE || !is_held_still(call, c, q->stable))
		return CALL_DONE;
	d = call_alloc(call, sizeof(*d));
	if (!d)
		return fail_arena(call);
	d->limit = row_limit(q->max_entries);
	d->first = q->ipa;
	d->holes = q->holes;
	d->r = new_response(call, &ptd__v1__dump_context_response__descriptor);
	if (!d->r)
		return CALL_DONE;
	d->call = call;
	if (!make_room(d))
		return fail_arena(call);
	d->walker = (struct pt_walker){
		.start = q->ipa,
		.last = last,
		.at = q->ipa,
		.visits = PT_VISIT_LEAF | (q->tables ? PT_VISIT_TABLE_PRE : 0),
		.mode = PT_WALK_READ,
		.skip_above = PT_LEVEL_FIRST,
		.visit = visit,
		.arg = d,
	};
	call->state = d;
	return CALL_MORE;
}

static enum call_result walk_dump(struct call *call, struct dump *d, struct context *c)
{
	enum pt_outcome o;

	d->walker.ctx = &c->pt;
	d->geo = &c->pt.geo;
	o = pt_walk(&d->walker, STEP_VISITS);
	if (o == PT_MORE && !d->full)
		return CALL_MORE;
	d->r->done = !d->full;
	d->r->root = c->pt.root.v;
	call->response = &d->r->base;
	let_go(&d->hold);
	return CALL_DONE;
}

enum call_result context_dump(struct call *call)
{
	const Ptd__V1__DumpContextRequest *q = (const void *)call->request;
	struct dump *d = call->state;
	enum call_result result;
	struct context *c;

	/* A claim keeps the context; without one it is found again in each step. */
	if (d && d->hold.state != HOLD_NONE)
		c = container_of(d->hold.claim.ctx, struct context, pt);
	else
		c = find_context(call, q->context, "context");
	if (!c || (!d && begin_dump(call, c) != CALL_MORE))
		return CALL_DONE;
	d = call->state;
	if (q->stable) {
		result = hold(call, &d->hold, c, d->walker.start, d->walker.last);
		if (result != CALL_DONE || call->status.code != PT_OK)
			return result;
	}
	return walk_dump(call, d, c);
}

enum call_result context_dump_abandon(struct call *call)
{
	struct dump *d = call->state;

	return d ? abandon_hold(call, &d->hold) : CALL_DONE;
}

struct digest {
	struct hold hold;
	struct pt_digest digest;
	Ptd__V1__GetDigestResponse *r;
};

static enum call_result begin_digest(struct call *call, struct context *c)
{
	const Ptd__V1__GetDigestRequest *q = (const void *)call->request;
	struct digest *d = call_alloc(call, sizeof(*d));

	if (!d)
		return fail_arena(call);
	if (!is_held_still(call, c, q->stable))
		return CALL_DONE;
	d->r = new_response(call, &ptd__v1__get_digest_response__descriptor);
	if (!d->r)
		return CALL_DONE;
	d->r->leaves = call_alloc(call, PT_LEVELS * sizeof(*d->r->leaves));
	if (!d->r->leaves)
		return fail_arena(call);
	pt_digest_begin(&d->digest, &c->pt);
	call->state = d;
	return CALL_MORE;
}

/* Start tables count as one page each granule they fill. */
static uint64_t start_tables(const struct pt_geometry *g)
{
	uint64_t granule = UINT64_C(1) << g->granule_shift;

	return (g->start_bytes + granule - 1) / granule;
}

static enum call_result walk_digest(struct call *call, struct digest *d, struct context *c)
{
	d->digest.walker.ctx = &c->pt;
	if (pt_digest_step(&d->digest, STEP_VISITS) == PT_MORE)
		return CALL_MORE;
	d->r->digest_low = d->digest.state[0];
	d->r->digest_high = d->digest.state[1];
	d->r->tables = d->digest.tables + start_tables(&c->pt.geo);
	d->r->n_leaves = PT_LEVELS;
	for (unsigned i = 0; i < PT_LEVELS; i++)
		d->r->leaves[i] = d->digest.leaves[i];
	d->r->generation = atomic_load_explicit(&c->pt.generation, memory_order_acquire);
	call->response = &d->r->base;
	let_go(&d->hold);
	return CALL_DONE;
}

enum call_result context_digest(struct call *call)
{
	const Ptd__V1__GetDigestRequest *q = (const void *)call->request;
	struct digest *d = call->state;
	enum call_result result;
	struct context *c;

	if (d && d->hold.state != HOLD_NONE)
		c = container_of(d->hold.claim.ctx, struct context, pt);
	else
		c = find_context(call, q->context, "context");
	if (!c || (!d && begin_digest(call, c) != CALL_MORE))
		return CALL_DONE;
	d = call->state;
	if (q->stable) {
		result = hold(call, &d->hold, c, 0, (UINT64_C(1) << c->pt.geo.ipa_bits) - 1);
		if (result != CALL_DONE || call->status.code != PT_OK)
			return result;
	}
	return walk_digest(call, d, c);
}

enum call_result context_digest_abandon(struct call *call)
{
	struct digest *d = call->state;

	return d ? abandon_hold(call, &d->hold) : CALL_DONE;
}
