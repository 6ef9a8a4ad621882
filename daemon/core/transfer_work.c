/* SPDX-License-Identifier: BSD-2-Clause */
/* Stepping through transfers, and giving them up. */
#include "transfer_work.h"

#include "registry.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

void transfer_watch(struct transfer_work *w, struct machine *m, bool done)
{
	if (done)
		owner_tell(&w->told, m, w->kind);
	else
		owner_saw(&w->told, m->owners, transfer_of(w));
}

static void wake(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct transfer_work, t.parties.leg[0].claim.waiter)->call);
}

enum pt_outcome transfer_begin(struct call *call, struct transfer_work *w,
			       struct pt_transfer_args *args)
{
	args->wake = wake;
	w->call = call;
	w->holds = TRANSFER_RUNS;
	w->lends = false;
	return pt_transfer_init(&w->t, args);
}

static void wake_lend(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct transfer_work, lend.t.parties.leg[0].claim.waiter)
			  ->call);
}

enum pt_outcome transfer_lend_begin(struct call *call, struct transfer_work *w,
				    struct pt_lend_args *args)
{
	args->wake = wake_lend;
	w->call = call;
	w->holds = TRANSFER_RUNS;
	w->lends = true;
	return pt_lend_init(&w->lend, args);
}

static enum pt_outcome step(struct transfer_work *w)
{
	struct pt_agent *agent = call_agent(w->call);

	return w->lends ? pt_lend_step(&w->lend, agent, STEP_VISITS)
			: pt_transfer_step(&w->t, agent, STEP_VISITS);
}

enum call_result transfer_step(struct transfer_work *w, enum pt_outcome *outcome)
{
	/* Other calls may have run on this thread since the last step. */
	if (unlikely(
		    atomic_load_explicit(&w->call->domain->failpoints.armed, memory_order_relaxed)))
		failpoints_enter(w->call);
	w->holds = TRANSFER_RUNS;
	*outcome = step(w);
	if (*outcome == PT_MORE)
		return CALL_MORE;
	if (*outcome != PT_PARKED)
		return CALL_DONE;
	w->holds = TRANSFER_PARKED;
	return CALL_PARKED;
}

/* From any agent of the world: domain_work.c says why. */
static enum call_result await_last_wake(struct transfer_work *w)
{
	struct pt_machine any = {.world = &w->call->domain->tables.world, .agents = UINT64_MAX};

	if (w->holds != TRANSFER_LAST_WAKE)
		pt_grace_begin(&w->grace, &any, call_agent(w->call));
	w->holds = TRANSFER_LAST_WAKE;
	return pt_grace_done(&w->grace, &any) ? CALL_DONE : CALL_MORE;
}

/* It parks no more. */
static enum call_result give_up(struct transfer_work *w)
{
	w->holds = TRANSFER_GIVES_UP;
	if (step(w) == PT_MORE)
		return CALL_MORE;
	return w->wake_due ? await_last_wake(w) : CALL_DONE;
}

enum call_result transfer_abandon(struct transfer_work *w, bool *committed)
{
	enum call_result result;
	enum pt_outcome outcome;

	*committed = false;
	if (w->holds == TRANSFER_LAST_WAKE)
		return await_last_wake(w);
	if (w->holds == TRANSFER_GIVES_UP)
		return give_up(w);
	w->wake_due = w->holds == TRANSFER_PARKED;
	if (w->lends ? pt_lend_abort(&w->lend, call_agent(w->call))
		     : pt_transfer_abort(&w->t, call_agent(w->call)))
		return give_up(w);
	result = transfer_step(w, &outcome);
	*committed = result == CALL_DONE && outcome == PT_OK;
	return result;
}

static void tidy_later(struct call *call, const struct context *c, const struct pt_transfer *t,
		       uint64_t ipa, uint64_t size)
{
	refold_later(call, c, ipa, size);
	if (t->effects.leaves_removed)
		sweep_later(call, c, ipa, size);
}

/* Owners are the same side by side again, perhaps. */
static void tidy_runs(struct call *call, const struct pt_transfer *t)
{
	const struct pt_machine_owners *pt = t->args.owners;
	const struct owners *o = container_of(pt, struct owners, pt);

	for (uint32_t i = 0; i < t->runs; i++) {
		const struct pt_transfer_run *run = &t->list[i];
		struct pt_owner guest = {.kind = PT_OWNER_GUEST, .handle = (uint16_t)run->guest};
		const struct context *c = NULL;

		if (run->guest != PT_NO_GUEST)
			c = peek_context(call, owners_context(o, &guest));
		tidy_later(call, container_of(pt->host, struct context, pt), t, run->pa, run->size);
		if (c)
			tidy_later(call, c, t, run->ipa, run->size);
	}
}

void transfer_settle(struct call *call, const struct pt_transfer *t)
{
	tidy_runs(call, t);
	count_effects(call, &t->effects);
	for (uint32_t i = 0; i < t->parties.legs; i++)
		watch_note(call->domain,
			   container_of(t->parties.leg[i].item->ctx, struct context, pt),
			   PTD__V1__WATCH_KIND__WATCH_KIND_CHANGED);
}

void leave_begin(struct call *call, struct transfer_work *w, struct machine *m, uint32_t guest)
{
	struct pt_lend_args args = {.owners = &m->owners->pt, .kind = PT_LEND_LEAVE, .who = guest};

	w->kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RELINQUISH;
	transfer_lend_begin(call, w, &args);
}

enum call_result leave_step(struct call *call, struct transfer_work *w, enum pt_outcome *outcome)
{
	struct pt_lend_args args = w->lend.args;
	enum call_result result = transfer_step(w, outcome);

	if (result != CALL_DONE)
		return result;
	if (*outcome == PT_BUSY) { /* what had begun before it died is not over yet */
		transfer_lend_begin(call, w, &args);
		return CALL_MORE;
	}
	if (*outcome == PT_WRONG_STATE || *outcome == PT_NOT_FOUND)
		*outcome = PT_OK;
	count_effects(call, &w->lend.effects);
	return CALL_DONE;
}

static void begin_transfer(struct call *call, struct guest_end *end, enum guest_end_phase phase)
{
	struct pt_transfer_args args = {.owners = &end->machine->owners->pt,
					.kind = phase == END_PAGES ? PT_RECLAIM_DYING
								   : PT_RECLAIM_TABLES,
					.guest = end->guest,
					.size = phase == END_PAGES ? end->span : 0};

	if (end->hidden)
		owners_give_back(end->machine->owners, end->handle, end->guest);
	end->hidden = false;
	end->phase = phase;
	end->work.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM;
	transfer_begin(call, &end->work, &args);
}

void guest_end_begin(struct call *call, struct guest_end *end, struct machine *m, uint32_t guest,
		     uint64_t handle, uint64_t span)
{
	end->machine = m;
	end->guest = guest;
	end->handle = handle;
	end->hidden = false;
	end->span = span;
	end->phase = END_LENDINGS;
	leave_begin(call, &end->work, m, guest);
}

/* Transfers that had begun before the teardown may still have brought pages. */
static enum call_result end_number(struct call *call, struct guest_end *end,
				   enum pt_outcome *outcome)
{
	*outcome = pt_guest_finalize_step(&end->final, call_agent(call), STEP_VISITS);
	if (*outcome == PT_BUSY)
		pt_guest_finalize_init(&end->final, &end->machine->owners->pt, end->guest);
	if (*outcome == PT_WRONG_STATE)
		begin_transfer(call, end, end->span ? END_PAGES : END_TABLES);
	return *outcome == PT_OK ? CALL_DONE : CALL_MORE;
}

enum call_result guest_end_step(struct call *call, struct guest_end *end, enum pt_outcome *outcome)
{
	struct pt_ctx *host = end->machine->owners->pt.host;
	enum call_result result;

	if (end->phase == END_NUMBER)
		return end_number(call, end, outcome);
	if (end->phase == END_LENDINGS) {
		result = leave_step(call, &end->work, outcome);
		if (result != CALL_DONE || *outcome != PT_OK)
			return result;
		begin_transfer(call, end, end->span ? END_PAGES : END_TABLES);
		return CALL_MORE;
	}
	result = transfer_step(&end->work, outcome);
	if (result != CALL_DONE)
		return result;
	/* Pages that have come since the last look go before the table memory. */
	if (*outcome == PT_WRONG_STATE && end->phase == END_TABLES && end->span) {
		begin_transfer(call, end, END_PAGES);
		return CALL_MORE;
	}
	if (*outcome != PT_OK)
		return CALL_DONE;
	count_effects(call, &end->work.t.effects);
	if (end->phase == END_PAGES) {
		begin_transfer(call, end, END_TABLES);
		return CALL_MORE;
	}
	sweep_later(call, container_of(host, struct context, pt), 0, end->machine->ram.bytes);
	/* When it is free another guest may be given it at once. */
	end->hidden = owners_take(end->machine->owners, end->handle, end->guest);
	pt_guest_finalize_init(&end->final, &end->machine->owners->pt, end->guest);
	end->phase = END_NUMBER;
	return end_number(call, end, outcome);
}
