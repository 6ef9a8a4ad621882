/* SPDX-License-Identifier: BSD-2-Clause */
/* Folding and sweeping in idle time. */
#include "domain_fold.h"

#include "domain_types.h"

#define FOLD_VISITS (STEP_VISITS / 4)

static bool covers(const struct fold_range *r, const struct fold_range *n)
{
	return r->context == n->context && r->kind == n->kind && r->ipa <= n->ipa &&
	       r->last >= n->last;
}

/* When the list is full, ranges of one context become one. */
static bool merge(struct fold *f, const struct fold_range *n)
{
	for (uint32_t i = 0; i < f->ranges; i++) {
		struct fold_range *r = &f->range[i];

		if (r->context != n->context || r->kind != n->kind)
			continue;
		r->ipa = r->ipa < n->ipa ? r->ipa : n->ipa;
		r->last = r->last > n->last ? r->last : n->last;
		r->due_ns = n->due_ns;
		return true;
	}
	return false;
}

static void note(struct fold *f, const struct fold_range *n)
{
	for (uint32_t i = 0; i < f->ranges; i++)
		if (covers(&f->range[i], n)) {
			f->range[i].due_ns = n->due_ns;
			return;
		}
	if (f->ranges == FOLD_RANGES && !merge(f, n))
		return;
	if (!f->ranges || n->due_ns < f->due_ns)
		f->due_ns = n->due_ns;
	if (f->ranges < FOLD_RANGES)
		f->range[f->ranges++] = *n;
}

void fold_later(struct call *call, uint64_t context, uint64_t ipa, uint64_t size)
{
	note(&call->loop->fold,
	     &(struct fold_range){context, ipa, ipa + (size - 1), 0, PT_UPKEEP_COLLAPSE});
}

/* Out to the spans of the lowest table that covers more than the range: empty tables at its edges,
 * and one that the range may have left without tables. */
static void widen(const struct pt_geometry *g, struct fold_range *r)
{
	uint64_t top = (UINT64_C(1) << g->ipa_bits) - 1, mask;
	int level = PT_LEVEL_LAST - 1;

	while (level > g->start_level && pt_level_size(g, level) - 1 <= r->last - r->ipa)
		level--;
	mask = pt_level_size(g, level) - 1;
	r->ipa &= ~mask;
	r->last = (r->last | mask) & top;
}

void refold_later(struct call *call, const struct context *c, uint64_t ipa, uint64_t size)
{
	struct fold_range r = {c->handle, ipa, ipa + (size - 1), 0, PT_UPKEEP_COLLAPSE};

	widen(&c->pt.geo, &r);
	note(&call->loop->fold, &r);
}

void sweep_later(struct call *call, const struct context *c, uint64_t ipa, uint64_t size)
{
	struct fold_range r = {c->handle, ipa, ipa + (size - 1), call->now_ns + SWEEP_REST_NS,
			       PT_UPKEEP_SWEEP};

	widen(&c->pt.geo, &r);
	note(&call->loop->fold, &r);
}

/* Takes a range that is due; f->due_ns: when the next one is. */
static void begin(struct fold *f, uint64_t now_ns)
{
	uint32_t found = f->ranges;

	f->due_ns = UINT64_MAX;
	for (uint32_t i = 0; i < f->ranges; i++) {
		if (found == f->ranges && f->range[i].due_ns <= now_ns)
			found = i;
		else if (f->range[i].due_ns < f->due_ns)
			f->due_ns = f->range[i].due_ns;
	}
	if (found == f->ranges)
		return;
	f->now = f->range[found];
	f->range[found] = f->range[--f->ranges];
	f->at = f->now.ipa;
	f->climbs = false;
	f->state = FOLD_LOOKS;
}

static struct context *find_context_of(const struct domain_loop *loop, uint64_t handle)
{
	struct pt_rcu_node *node = pt_rcu_table_find(loop->domain->contexts, handle);

	return node ? container_of(node, struct context, node) : NULL;
}

/* Nobody waits here: a range that is claimed is left alone. */
static void no_wake(struct pt_waiter *waiter)
{
	(void)waiter;
}

static void unpin(struct fold *f)
{
	atomic_fetch_sub_explicit(&f->pinned->pins, 1, memory_order_release);
	f->pinned = NULL;
}

static void start(struct fold *f, struct context *c, const struct pt_upkeep_find *found)
{
	struct pt_upkeep_args args = {
		.ctx = &c->pt, .kind = found->kind, .ipa = found->ipa, .size = found->size};

	f->climbs = false;
	if (pt_upkeep_init(&f->upkeep, &args, no_wake) != PT_OK)
		return;
	f->below = found->ipa.v;
	atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
	f->pinned = c;
	f->state = FOLD_RUNS;
}

/* The tables above f->below. An empty one goes wherever it ends; blocks stay within the range. */
static bool climb(struct fold *f, struct context *c)
{
	const struct pt_geometry *g = &c->pt.geo;

	for (int level = PT_LEVEL_LAST - 2; level >= g->start_level; level--) {
		uint64_t mask = pt_level_size(g, level) - 1;
		struct pt_upkeep_find find = {
			.ctx = &c->pt, .at = f->below & ~mask, .last = f->below | mask};

		if (f->now.kind == PT_UPKEEP_COLLAPSE &&
		    (find.at < f->now.ipa || find.last > f->now.last))
			break;
		if (pt_upkeep_find(&find, 1) == PT_OK && find.kind == f->now.kind) {
			start(f, c, &find);
			return true;
		}
	}
	f->climbs = false;
	return false;
}

/* What goes with one claim stands below one table, and the next search begins behind it. */
static void cut(struct fold *f, const struct pt_geometry *g, struct pt_upkeep_find *find)
{
	uint64_t mask = pt_level_size(g, PT_LEVEL_LAST - 2) - 1;

	if (find->size - 1 <= mask - (find->ipa.v & mask))
		return;
	find->size = mask + 1 - (find->ipa.v & mask);
	f->at = find->ipa.v + find->size;
}

/* The next table that can go. */
static void look(struct domain_loop *loop)
{
	struct fold *f = &loop->fold;
	struct context *c = find_context_of(loop, f->now.context);
	struct pt_upkeep_find find = {.at = f->at, .last = f->now.last};
	enum pt_outcome o;

	if (!c) {
		f->state = FOLD_NOTHING;
		return;
	}
	if (f->climbs && climb(f, c))
		return;
	find.ctx = &c->pt;
	o = pt_upkeep_find(&find, FOLD_VISITS);
	f->at = find.at;
	if (o == PT_OK && find.kind == f->now.kind) {
		cut(f, &c->pt.geo, &find);
		start(f, c, &find);
	} else if (o != PT_OK && o != PT_MORE) {
		f->state = FOLD_NOTHING;
	}
}

/* The wake of a claim that was waited for may be on its way. */
static void await_last_wake(struct domain_loop *loop)
{
	struct pt_machine any = {.world = &loop->domain->tables.world, .agents = UINT64_MAX};

	pt_grace_begin(&loop->fold.grace, &any, &loop->agent);
	loop->fold.state = FOLD_LAST_WAKE;
}

static void run(struct domain_loop *loop)
{
	struct fold *f = &loop->fold;
	enum pt_outcome o = pt_upkeep_step(&f->upkeep, &loop->agent, FOLD_VISITS);
	bool parked = o == PT_PARKED;
	uint64_t swept;

	if (o == PT_MORE || (parked && !pt_upkeep_stop(&f->upkeep, &loop->agent)))
		return;
	swept = f->now.kind == PT_UPKEEP_SWEEP ? f->upkeep.effects.tables_freed : 0;
	count_add(&loop->counters.blocks_folded, f->upkeep.blocks_made);
	count_add(&loop->counters.tables_swept, swept);
	f->climbs = swept || f->upkeep.blocks_made;
	unpin(f);
	f->state = FOLD_LOOKS;
	if (parked)
		await_last_wake(loop);
}

uint64_t fold_step(struct domain_loop *loop, bool idle, uint64_t now_ns)
{
	const struct pt_machine any = {.world = &loop->domain->tables.world};
	struct fold *f = &loop->fold;

	if (likely(f->state == FOLD_NOTHING && !f->ranges))
		return UINT64_MAX;
	if (f->state == FOLD_NOTHING && now_ns < f->due_ns)
		return f->due_ns;
	if (f->state == FOLD_LAST_WAKE && pt_grace_done(&f->grace, &any))
		f->state = FOLD_LOOKS;
	if (f->state == FOLD_NOTHING && idle)
		begin(f, now_ns);
	if (f->state == FOLD_LOOKS && idle)
		look(loop);
	if (f->state == FOLD_RUNS)
		run(loop);
	if (f->state != FOLD_NOTHING)
		return 0;
	return f->ranges ? f->due_ns : UINT64_MAX;
}

void fold_end(struct domain_loop *loop)
{
	struct fold *f = &loop->fold;

	f->ranges = 0;
	if (f->state == FOLD_RUNS) {
		pt_upkeep_stop(&f->upkeep, &loop->agent);
		unpin(f);
	}
	f->state = FOLD_NOTHING;
}
