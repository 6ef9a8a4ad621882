/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MappingService.Apply, ATOMIC: items in ascending order without overlap, then one transaction.
 *
 * Order: fill and check all items; sort by address if they do not come so (a merge sort, one pass a
 * step for large batches); look for overlaps; run.
 */
#include "mapping.h"

#include "context.h"
#include "domain_fail.h"

#include <stdio.h>

#define PASS_ITEMS 4096u /* sorted in one step, all passes together */

static uint32_t original(const struct apply *a, uint32_t k)
{
	return a->order ? a->order[k] : k;
}

static enum call_result fill(struct call *call, struct apply *a, struct context *c)
{
	uint32_t n = a->columns.n;
	char prefix[24];

	a->item = call_alloc(call, n * sizeof(*a->item));
	if (!a->item)
		return fail_arena(call);
	a->sorted = true;
	for (uint32_t i = 0; i < n; i++) {
		struct pt_item *item = &a->item[i];
		enum pt_outcome o;

		item->ctx = &c->pt;
		columns_item(&a->columns, i, item);
		o = pt_item_check(item);
		if (unlikely(o != PT_OK)) {
			snprintf(prefix, sizeof(prefix), "ops[%u].", i);
			return fail_item(call, item, o, prefix, i);
		}
		if (i && item->ipa.v < item[-1].ipa.v)
			a->sorted = false;
	}
	return CALL_MORE;
}

static enum call_result start_sort(struct call *call, struct apply *a)
{
	uint32_t n = a->columns.n;

	a->order = call_alloc(call, n * sizeof(*a->order));
	a->scratch = call_alloc(call, n * sizeof(*a->scratch));
	if (!a->order || !a->scratch)
		return fail_arena(call);
	for (uint32_t i = 0; i < n; i++)
		a->order[i] = i;
	a->width = 1;
	return CALL_MORE;
}

/* Stable: of equal addresses the earlier item comes first. */
static void merge(const struct apply *a, uint32_t from, uint32_t mid, uint32_t to)
{
	uint32_t left = from, right = mid;

	for (uint32_t k = from; k < to; k++) {
		bool take_left = right == to ||
				 (left < mid &&
				  a->item[a->order[left]].ipa.v <= a->item[a->order[right]].ipa.v);

		a->scratch[k] = a->order[take_left ? left++ : right++];
	}
}

static void pass(struct apply *a)
{
	uint32_t n = a->columns.n, *swap = a->order;

	for (uint32_t from = 0; from < n; from += 2 * a->width) {
		uint32_t mid = from + a->width < n ? from + a->width : n;
		uint32_t to = mid + a->width < n ? mid + a->width : n;

		merge(a, from, mid, to);
	}
	a->order = a->scratch;
	a->scratch = swap;
	a->width *= 2;
}

/* The items themselves into the order found: the transaction wants them side by side. */
static enum call_result place(struct call *call, struct apply *a)
{
	uint32_t n = a->columns.n;
	struct pt_item *placed = call_alloc(call, n * sizeof(*placed));

	if (!placed)
		return fail_arena(call);
	for (uint32_t k = 0; k < n; k++)
		placed[k] = a->item[a->order[k]];
	a->item = placed;
	a->sorted = true;
	return CALL_MORE;
}

/* CALL_DONE: the call has failed; CALL_MORE: next step; CALL_STREAM: sorted. */
static enum call_result sort(struct call *call, struct apply *a)
{
	if (!a->order && start_sort(call, a) != CALL_MORE)
		return CALL_DONE;
	while (a->width < a->columns.n) {
		pass(a);
		if (a->columns.n > PASS_ITEMS)
			return CALL_MORE;
	}
	return place(call, a) == CALL_MORE ? CALL_STREAM : CALL_DONE;
}

static enum call_result check_overlaps(struct call *call, const struct apply *a)
{
	for (uint32_t k = 1; k < a->columns.n; k++) {
		const struct pt_item *before = &a->item[k - 1], *item = &a->item[k];
		uint32_t i = original(a, k - 1), j = original(a, k);

		if (likely(item->ipa.v - before->ipa.v >= before->size))
			continue;
		call_fail(call, PT_INVALID, "ops: items %u and %u overlap", i < j ? i : j,
			  i < j ? j : i);
		call->status.index = i < j ? j : i;
		call->status.ipa = item->ipa.v;
		return CALL_DONE;
	}
	return CALL_MORE;
}

static enum call_result start(struct call *call, struct apply *a, struct context *c)
{
	struct work *w = work_get(call, &a->work);

	if (!w)
		return fail_arena(call);
	if (check_overlaps(call, a) != CALL_MORE)
		return CALL_DONE;
	work_begin(w, c, a->item, a->columns.n, a->expected, a->validate_only);
	w->txn.quiet = !a->expected;
	return CALL_MORE;
}

static enum call_result answer(struct call *call, struct apply *a)
{
	struct context *c = container_of(a->item[0].ctx, struct context, pt);

	a->effects = a->work->txn.effects;
	a->response.applied = a->columns.n;
	for (uint32_t k = 0; a->want_outcomes && k < a->columns.n; k++)
		a->response.outcome[original(a, k)] = a->item[k].outcome;
	a->response.n_outcome = a->want_outcomes ? a->columns.n : 0;
	a->counted = a->expected && !a->validate_only;
	a->response.generation = a->work->txn.generation;
	apply_settle(call, a, c);
	return apply_answer(call, a);
}

static enum call_result run(struct call *call, struct apply *a)
{
	enum call_result result;
	enum pt_outcome o;

	result = work_step(a->work, STEP_VISITS, &o);
	if (result != CALL_DONE)
		return result;
	if (o == PT_OK)
		return answer(call, a);
	fail_error(call, &a->work->txn.error);
	call->status.index = original(a, a->work->txn.error.index);
	return CALL_DONE;
}

enum call_result atomic_step(struct call *call, struct apply *a, struct context *c)
{
	enum call_result result;

	if (a->work && a->work->holds != WORK_NOTHING)
		return run(call, a);
	if (!a->item && fill(call, a, c) != CALL_MORE)
		return CALL_DONE;
	if (!a->sorted) {
		result = sort(call, a);
		if (result != CALL_STREAM)
			return result;
	}
	/* The context was found in this step; items filled in an earlier one point to the same. */
	if (start(call, a, c) != CALL_MORE)
		return CALL_DONE;
	return run(call, a);
}

enum call_result atomic_abandon(struct call *call, struct apply *a)
{
	enum call_result result;
	bool committed;

	result = work_abandon(a->work, &committed);
	if (result != CALL_DONE || !committed)
		return result;
	return answer(call, a);
}
