/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine that carries transitions out. */
#include "transition.h"

/* clang-format off */
/*
 * A transition of one frame that meets nobody is done by point.c, and has no phases. The others:
 *
 * PARTIES  arguments, then the guest that is named: from here on it stays.
 * SCAN     without a claim: which frames, or which guests; more than one step.
 * RUN      the transaction. Under its claims all pages are judged (judge.c), then the books are reserved
 *          (books.c), then tables. What the scan has found may be no longer so: then the transaction ends
 *          without a trace, and all begins with SCAN again. After the commit point the giving side goes,
 *          the books are kept, and the receiving side comes.
 * SETTLE   what was reserved goes back; also after an error. RECLAIM_DYING goes on with SCAN.
 */
/* clang-format on */

#define SETTLE_BUDGET 64 /* enough for a transition of some pages */
#define PAGE_BUDGET   64 /* what one page may take in one go */

enum pt_outcome pt__transfer_init(struct pt_transfer *t, const struct pt_transfer_args *args,
				  const struct pt__row *row, struct pt_lend *lend)
{
	t->args = *args;
	t->base = t->row = row;
	t->lend = lend;
	t->phase = PT_TRANSFER_DONE;
	t->held = t->named = 0;
	t->looked = false;
	t->size = t->done = 0;
	t->effects = (struct pt_effects){0};
	t->error = (struct pt_error){.level = PT_TTL_UNKNOWN};
	if (t->row == &pt__rows[0])
		return pt__at_fault(t, PT_INVALID, 0);
	t->error.code = pt__check_request(t);
	if (t->error.code == PT_OK)
		t->phase = PT_TRANSFER_PARTIES;
	return t->error.code;
}

enum pt_outcome pt_transfer_init(struct pt_transfer *t, const struct pt_transfer_args *args)
{
	return pt__transfer_init(t, args, &pt__rows[args->kind < PT_TRANSFERS ? args->kind : 0],
				 NULL);
}

static void begin_scan(struct pt_transfer *t)
{
	t->row = t->base;
	t->again = t->partly = t->overlap = t->judged = t->wiped = false;
	t->span = t->at = 0;
	t->runs = t->items = t->host_items = 0;
	t->extents = t->kept_item = 0;
	t->kept_at = 0;
	t->phase = PT_TRANSFER_SCAN;
}

/* Hooks of the transaction. */

void pt__tell(const struct pt_transfer *t, bool done)
{
	const struct pt_machine_owners *o = t->args.owners;

	if (o->watch)
		o->watch(o->arg, t, done);
}

static enum pt_outcome check(void *arg, struct pt_agent *agent, int64_t *left, struct pt_error *err)
{
	struct pt_transfer *t = arg;
	enum pt_outcome outcome = PT_OK;

	(void)err;
	if (t->lend)
		outcome = pt__lend_judge(t);
	if (outcome == PT_OK && !t->judged)
		outcome = pt__judge(t, left);
	if (outcome == PT_OK)
		outcome = pt__books_reserve(t, agent, left);
	if (outcome == PT_OK)
		pt__tell(t, false);
	return outcome;
}

static bool between(void *arg, struct pt_agent *agent, uint32_t done, int64_t *left)
{
	struct pt_transfer *t = arg;

	if (done != t->books)
		return true;
	if (!pt__books_keep(t, agent, left))
		return false;
	if (t->lend)
		pt__lend_keep(t);
	pt__tell(t, true);
	return true;
}

/* All pages are judged once more when the claims were not wide enough. */
static void undo(void *arg, struct pt_agent *agent)
{
	struct pt_transfer *t = arg;

	(void)agent;
	t->judged = false;
	t->at = 0;
}

static const struct pt_parties_hooks hooks = {check, between, undo};

/* Ends with this outcome, once all is settled. */
static enum pt_outcome settle_with(struct pt_transfer *t, enum pt_outcome outcome)
{
	if (t->error.code != outcome)
		pt__at_fault(t, outcome, t->done);
	t->turn = 0;
	t->at = 0;
	t->phase = PT_TRANSFER_SETTLE;
	return PT_OK;
}

static enum pt_outcome begin_run(struct pt_transfer *t)
{
	const struct pt_transfer_args *a = &t->args;
	/* Without the host no page was as it has to be: that is judged, or looked at again. */
	uint64_t expected =
		t->host_items || t->row->by == PT__BY_OWNER ? a->expected_generation : 0;
	struct pt_parties_args args = {
		.item = t->item,
		.count = t->items,
		.validate_only = a->validate_only,
		.expected_generation = expected,
		.expected = expected ? a->owners->host : NULL,
		.hooks = &hooks,
		.arg = t,
		.wake = a->wake,
	};

	return pt_parties_init(&t->parties, &args);
}

static void leave(struct pt_transfer *t)
{
	while (t->held)
		pt__guest_leave(t->args.owners, t->holds[--t->held]);
	t->phase = PT_TRANSFER_DONE;
}

static enum pt_outcome scan(struct pt_transfer *t, int64_t *left)
{
	enum pt_outcome outcome = pt__scan(t, left);

	if (outcome == PT_MORE)
		return outcome;
	if (outcome == PT_OK && t->done == t->size)
		return settle_with(t, PT_OK);
	if (outcome == PT_OK)
		outcome = pt__make_items(t);
	if (outcome == PT_OK)
		outcome = begin_run(t);
	t->at = 0;
	t->phase = PT_TRANSFER_RUN;
	/* Addresses that meet each other were not read in one moment. */
	t->again = outcome == PT_INVALID;
	return outcome == PT_OK ? PT_OK : settle_with(t, outcome);
}

static enum pt_outcome run(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	uint32_t budget = *left > UINT32_MAX ? UINT32_MAX : (uint32_t)*left;
	enum pt_outcome outcome = pt_parties_step(&t->parties, agent, budget);

	if (pt_is_control(outcome))
		return outcome;
	*left = SETTLE_BUDGET; /* it does not say what it has used */
	if (outcome == PT_OK)
		pt_effects_add(&t->effects, &t->parties.effects);
	return settle_with(t, outcome);
}

/* Guests that frames were found to be of may be others next time. */
static void look_again(struct pt_transfer *t)
{
	while (t->held > t->named)
		pt__guest_leave(t->args.owners, t->holds[--t->held]);
	t->error.code = PT_OK;
	begin_scan(t);
}

/* One transaction a section: whatever begins with SCAN again does so in the next. */
static enum pt_outcome settle(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	if (!pt__books_settle(t, agent, left))
		return PT_MORE;
	if (t->again && t->error.code != PT_CANCELLED) {
		look_again(t);
		return PT_MORE;
	}
	t->done += t->error.code == PT_OK ? t->span : 0;
	if (t->error.code == PT_OK && t->done < t->size) {
		begin_scan(t);
		return PT_MORE;
	}
	leave(t);
	return PT_OK;
}

static enum pt_outcome phase(struct pt_transfer *t, struct pt_agent *agent, int64_t *left)
{
	enum pt_outcome outcome;

	switch (t->phase) {
	case PT_TRANSFER_PARTIES:
		outcome = pt__check_parties(t);
		begin_scan(t);
		return outcome == PT_OK ? PT_OK : settle_with(t, outcome);
	case PT_TRANSFER_SCAN: return scan(t, left);
	case PT_TRANSFER_RUN: return run(t, agent, left);
	case PT_TRANSFER_SETTLE: return settle(t, agent, left);
	default: return PT_OK;
	}
}

enum pt_outcome pt_transfer_step(struct pt_transfer *t, struct pt_agent *agent, uint32_t budget)
{
	int64_t left = budget ? budget : 1;

	if (t->phase != PT_TRANSFER_DONE)
		pt_machine_use(t->args.owners->host->machine, agent);
	if (t->phase == PT_TRANSFER_PARTIES && left >= PAGE_BUDGET && pt__transfer_page(t, agent)) {
		t->phase = PT_TRANSFER_DONE;
		return PT_OK;
	}
	while (t->phase != PT_TRANSFER_DONE) {
		enum pt_outcome outcome = phase(t, agent, &left);

		if (outcome != PT_OK)
			return outcome;
		if (left <= 0 && t->phase != PT_TRANSFER_DONE)
			return PT_MORE;
	}
	return t->error.code;
}

bool pt_transfer_abort(struct pt_transfer *t, struct pt_agent *agent)
{
	if (t->phase == PT_TRANSFER_SETTLE || t->phase == PT_TRANSFER_DONE)
		return false;
	if (t->phase == PT_TRANSFER_RUN && !pt_parties_abort(&t->parties, agent))
		return false;
	if (t->phase == PT_TRANSFER_PARTIES)
		begin_scan(t);
	settle_with(t, PT_CANCELLED);
	return true;
}
