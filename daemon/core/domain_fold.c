/* SPDX-License-Identifier: BSD-2-Clause */
/* Folding in idle time. */
#include "domain_fold.h"

#include "domain_types.h"

#define FOLD_VISITS (STEP_VISITS / 4)

static bool covers(const struct fold_range *r, uint64_t context, uint64_t ipa, uint64_t size)
{
	return r->context == context && ipa >= r->ipa && size <= r->size &&
	       ipa - r->ipa <= r->size - size;
}

void fold_later(struct call *call, uint64_t context, uint64_t ipa, uint64_t size)
{
	struct fold *f = &call->loop->fold;

	for (uint32_t i = 0; i < f->ranges; i++)
		if (covers(&f->range[i], context, ipa, size))
			return;
	if (f->ranges < FOLD_RANGES)
		f->range[f->ranges++] = (struct fold_range){context, ipa, size};
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

static void begin(struct domain_loop *loop)
{
	struct fold *f = &loop->fold;
	struct fold_range r = f->range[--f->ranges];
	struct pt_rcu_node *node = pt_rcu_table_find(loop->domain->contexts, r.context);
	struct context *c = node ? container_of(node, struct context, node) : NULL;
	struct pt_upkeep_args args = {
		.kind = PT_UPKEEP_COLLAPSE, .ipa = pt_ipa(r.ipa), .size = r.size};

	if (!c)
		return;
	args.ctx = &c->pt;
	if (pt_upkeep_init(&f->upkeep, &args, no_wake) != PT_OK)
		return;
	atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
	f->pinned = c;
	f->state = FOLD_RUNS;
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

	if (o == PT_MORE || (parked && !pt_upkeep_stop(&f->upkeep, &loop->agent)))
		return;
	count_add(&loop->counters.blocks_folded, f->upkeep.blocks_made);
	unpin(f);
	f->state = FOLD_NOTHING;
	if (parked)
		await_last_wake(loop);
}

bool fold_step(struct domain_loop *loop, bool idle)
{
	const struct pt_machine any = {.world = &loop->domain->tables.world};
	struct fold *f = &loop->fold;

	if (likely(f->state == FOLD_NOTHING && !f->ranges))
		return false;
	if (f->state == FOLD_LAST_WAKE && pt_grace_done(&f->grace, &any))
		f->state = FOLD_NOTHING;
	if (f->state == FOLD_NOTHING && f->ranges && idle)
		begin(loop);
	if (f->state == FOLD_RUNS)
		run(loop);
	return f->state != FOLD_NOTHING || f->ranges;
}

void fold_end(struct domain_loop *loop)
{
	struct fold *f = &loop->fold;

	f->ranges = 0;
	if (f->state != FOLD_RUNS)
		return;
	pt_upkeep_stop(&f->upkeep, &loop->agent);
	unpin(f);
	f->state = FOLD_NOTHING;
}
