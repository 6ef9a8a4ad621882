/* SPDX-License-Identifier: BSD-2-Clause */
/* Progressive operations of lib in a call's steps. */
#include "domain_progress.h"

#include "registry.h"

static void wake_upkeep(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct progress, upkeep.claim.waiter)->call);
}

static void wake_dirty(struct pt_waiter *waiter)
{
	call_wake(container_of(waiter, struct progress, dirty.claim.waiter)->call);
}

static void pin(struct call *call, struct progress *p, struct context *c)
{
	atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
	p->pinned = c;
	p->call = call;
	p->state = PROGRESS_RUNS;
}

void progress_end(struct progress *p)
{
	if (p->pinned)
		atomic_fetch_sub_explicit(&p->pinned->pins, 1, memory_order_release);
	p->pinned = NULL;
}

enum pt_outcome progress_upkeep(struct call *call, struct progress *p, struct context *c,
				const struct pt_upkeep_args *args)
{
	enum pt_outcome o = pt_upkeep_init(&p->upkeep, args, wake_upkeep);

	p->kind = PROGRESS_UPKEEP;
	if (o == PT_OK)
		pin(call, p, c);
	return o;
}

enum pt_outcome progress_dirty(struct call *call, struct progress *p, struct context *c,
			       const struct pt_dirty_args *args)
{
	enum pt_outcome o = pt_dirty_init(&p->dirty, args, wake_dirty);

	p->kind = PROGRESS_DIRTY;
	if (o == PT_OK)
		pin(call, p, c);
	return o;
}

static enum call_result over(struct progress *p, enum pt_outcome outcome)
{
	p->outcome = outcome;
	p->state = PROGRESS_OVER;
	return CALL_DONE;
}

enum call_result progress_step(struct progress *p)
{
	struct pt_agent *agent = call_agent(p->call);
	enum pt_outcome o;

	/* Other calls may have run on this thread since the last step. */
	if (unlikely(
		    atomic_load_explicit(&p->call->domain->failpoints.armed, memory_order_relaxed)))
		failpoints_enter(p->call);
	o = p->kind == PROGRESS_UPKEEP ? pt_upkeep_step(&p->upkeep, agent, STEP_VISITS)
				       : pt_dirty_step(&p->dirty, agent, STEP_VISITS);
	p->state = o == PT_PARKED ? PROGRESS_PARKED : PROGRESS_RUNS;
	if (o == PT_PARKED)
		return CALL_PARKED;
	return o == PT_MORE ? CALL_MORE : over(p, o);
}

/* Lib wakes inside a section of the agent that releases: once all that are open now have ended, no
 * wake can name this memory. */
static enum call_result last_wake(struct progress *p)
{
	struct pt_machine any = {.world = &p->call->domain->tables.world, .agents = UINT64_MAX};

	if (p->state != PROGRESS_LAST_WAKE)
		pt_grace_begin(&p->grace, &any, call_agent(p->call));
	p->state = PROGRESS_LAST_WAKE;
	return pt_grace_done(&p->grace, &any) ? over(p, p->outcome) : CALL_MORE;
}

static bool give_up(struct progress *p)
{
	struct pt_agent *agent = call_agent(p->call);

	return p->kind == PROGRESS_UPKEEP ? pt_upkeep_stop(&p->upkeep, agent)
					  : pt_dirty_abort(&p->dirty, agent);
}

enum call_result progress_abandon(struct progress *p)
{
	enum call_result result = CALL_DONE;

	if (p->state == PROGRESS_OVER)
		return CALL_DONE;
	if (p->state == PROGRESS_LAST_WAKE)
		return last_wake(p);
	p->late_wake |= p->state == PROGRESS_PARKED;
	if (give_up(p))
		over(p, PT_CANCELLED);
	else /* it stands in no queue any more, but accesses in flight have to end */
		result = progress_step(p);
	return result == CALL_DONE && p->late_wake ? last_wake(p) : result;
}
