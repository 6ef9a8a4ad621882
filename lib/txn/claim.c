/* SPDX-License-Identifier: BSD-2-Clause */
/* Claims: publication, the queue of those who met one, and waking. */
#include "internal.h"

/*
 * ctx->claims and ctx->claim[] are read by point operations without a lock and written under the
 * machine's lock. A slot that is reused while a point operation compares ranges may give it a
 * mixture of two claims. Too much: it parks, and pt_waiter_park() looks again under the lock. Too
 * little: its section began before the later claim was published, and that claim's owner waits for
 * the section.
 *
 * Each context has one FIFO. Points leave it as soon as no active claim covers them;
 * claims when they meet neither a claim that holds a slot nor anybody earlier in the queue. Points
 * are woken first, and a transaction's claim that leaves the queue only takes its slot: points meet
 * it when its owner has been woken, too, and makes it active. Else they would be woken into the
 * next claim each time, and wait for as long as ranges keep coming.
 *
 * Claims that were asked for at once come into the queues of their contexts, and leave them, in one
 * step under the machine's lock: when none of them has anybody to wait for. So no one of them is
 * held while another waits. Whoever leaves a queue or a slot brings a look at that queue, and so at
 * those that this one was the last to keep waiting.
 *
 * All this is under the lock, so of the claims that wait only the first WINDOW are looked at: those
 * behind wait for them as if they overlapped, and so do those behind BATCH points. Points are
 * looked at in turn, BATCH at a time, from where the last look ended: ctx->unseen of them, those
 * that wait when a claim shrinks or goes, have not been looked at since. The operation whose claim
 * went goes on with them in later steps (pt__claims_go_on()), up to the last that waited then: what
 * shrinks meanwhile brings them all back, and the operation would never end.
 */
#define WINDOW 32
#define BATCH  256

static void note(enum pt_event_kind kind, const struct pt_claim *claim)
{
	pt_port_note(kind, claim->mode == PT_CLAIM_SHARED, claim, claim->ctx, claim->lo, claim->hi);
}

static bool meets(uint64_t lo, uint64_t hi, uint64_t lo2, uint64_t hi2)
{
	return lo <= hi2 && lo2 <= hi;
}

static bool covered(struct pt_ctx *ctx, uint32_t claims, uint64_t lo, uint64_t hi)
{
	for (; claims; claims &= claims - 1) {
		struct pt_claim_range *range = &ctx->claim[__builtin_ctz(claims)];

		if (meets(lo, hi, atomic_load_explicit(&range->lo, memory_order_acquire),
			  atomic_load_explicit(&range->hi, memory_order_relaxed)))
			return true;
	}
	return false;
}

enum pt_outcome pt__admit_slow(struct pt_ctx *ctx, uint32_t claims, uint64_t lo, uint64_t hi)
{
	if (pt__is_dying(ctx))
		return PT_WRONG_STATE;
	return covered(ctx, claims, lo, hi) ? PT_PARKED : PT_OK;
}

static uint32_t active(struct pt_ctx *ctx)
{
	return atomic_load_explicit(&ctx->claims, memory_order_relaxed);
}

/* Does this claim wait for somebody earlier in the queue of its context? */
static bool conflicts(const struct pt_claim *claim, const struct pt_waiter *before)
{
	bool both_shared = before->claim && before->claim->mode == PT_CLAIM_SHARED &&
			   claim->mode == PT_CLAIM_SHARED;

	return !both_shared && meets(claim->lo, claim->hi, before->lo, before->hi);
}

/* No claim can be taken or leave the queue. */
static bool full(const struct pt_ctx *ctx)
{
	return ctx->taken == (1u << PT_CLAIMS_PER_CTX) - 1;
}

/* Must this one stay in the queue, or go into it? `before` ends the part of the queue that counts.
 */
static bool blocked(const struct pt_waiter *who, const struct pt_waiter *before)
{
	struct pt_ctx *ctx = who->ctx;
	uint32_t claims = ctx->taken;
	unsigned met = 0, points = 0;

	if (!who->claim)
		return !pt__is_dying(ctx) && covered(ctx, active(ctx), who->lo, who->hi);
	if (full(ctx))
		return true;
	if (who->claim->mode == PT_CLAIM_SHARED)
		claims &= ~ctx->shared;
	if (covered(ctx, claims, who->lo, who->hi))
		return true;
	for (const struct pt_waiter *w = ctx->first; w && w != before; w = w->next)
		if (conflicts(who->claim, w) || (w->claim ? ++met == WINDOW : ++points == BATCH))
			return true;
	return false;
}

static void enqueue(struct pt_ctx *ctx, struct pt_waiter *waiter)
{
	waiter->next = NULL;
	waiter->prev = ctx->last;
	if (ctx->last)
		ctx->last->next = waiter;
	else
		ctx->first = waiter;
	ctx->last = waiter;
	ctx->waiting++;
	if (ctx->unseen) { /* it stands between those and the end of the round */
		ctx->unseen++;
		ctx->looked--;
	}
	waiter->queued = true;
}

static void dequeue(struct pt_ctx *ctx, struct pt_waiter *waiter)
{
	if (ctx->look == waiter)
		ctx->look = waiter->next;
	ctx->waiting--;
	if (waiter->prev)
		waiter->prev->next = waiter->next;
	else
		ctx->first = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	else
		ctx->last = waiter->prev;
	waiter->queued = false;
}

/* Under the lock, with a free slot: keeps other claims out. */
static void take_slot(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;
	unsigned slot = (unsigned)__builtin_ctz(~ctx->taken);

	atomic_store_explicit(&ctx->claim[slot].lo, claim->lo, memory_order_relaxed);
	atomic_store_explicit(&ctx->claim[slot].hi, claim->hi, memory_order_relaxed);
	if (claim->mode == PT_CLAIM_SHARED)
		ctx->shared |= 1u << slot;
	else
		ctx->shared &= ~(1u << slot);
	claim->slot = (int8_t)slot;
	ctx->taken |= 1u << slot;
}

/* Under the lock: keeps points out, too. The caller then takes a pt_grace snapshot (a full fence).
 */
static void activate(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;

	atomic_store_explicit(&ctx->claims, active(ctx) | 1u << claim->slot, memory_order_release);
	note(PT_EVENT_CLAIM, claim);
}

static void publish(struct pt_claim *claim)
{
	take_slot(claim);
	activate(claim);
}

/* Under the lock: must one of those that were asked for at once wait? */
static bool waits(const struct pt_claim *first)
{
	for (const struct pt_claim *c = first; c; c = c->with)
		if (blocked(&c->waiter, &c->waiter))
			return true;
	return false;
}

/* Out of the queue and to the end of a list, linked by next. Returns the list's new end. */
static struct pt_waiter **move(struct pt_waiter *waiter, struct pt_waiter **end)
{
	dequeue(waiter->ctx, waiter);
	waiter->next = NULL;
	*end = waiter;
	return &waiter->next;
}

/* The same of all that were asked for at once, which take their slots; in the list stands who is
 * told. */
static struct pt_waiter **let_in(struct pt_claim *first, struct pt_waiter **end)
{
	for (struct pt_claim *c = first; c; c = c->with) {
		if (c->told)
			end = move(&c->waiter, end);
		else
			dequeue(c->ctx, &c->waiter);
		if (c->lazy)
			take_slot(c);
		else
			publish(c);
	}
	return end;
}

/* Under the lock: the claim no longer covers what it did. */
static void look_again(struct pt_ctx *ctx, struct pt_claim *claim)
{
	if (!ctx->unseen)
		ctx->look = ctx->first;
	ctx->unseen = ctx->waiting;
	claim->until = ctx->looked + ctx->waiting;
}

/* Takes points out of the queue that may go, in order, of the next BATCH that wait. */
static struct pt_waiter *take_points(struct pt_ctx *ctx)
{
	struct pt_machine *machine = ctx->machine;
	struct pt_waiter *ready = NULL, **end = &ready;

	pt_port_lock(&machine->lock);
	for (unsigned left = BATCH; left && ctx->unseen; left--) {
		struct pt_waiter *w = ctx->look ? ctx->look : ctx->first;

		ctx->unseen = w ? ctx->unseen - 1 : 0;
		ctx->looked++;
		if (!w)
			break;
		ctx->look = w->next;
		if (!w->claim && !blocked(w, w))
			end = move(w, end);
	}
	pt_port_unlock(&machine->lock);
	return ready;
}

/* The same for claims, of the first that wait. */
static struct pt_waiter *take_claims(struct pt_ctx *ctx)
{
	struct pt_machine *machine = ctx->machine;
	struct pt_waiter *ready = NULL, **end = &ready, *next;
	unsigned claims = WINDOW, points = BATCH;

	pt_port_lock(&machine->lock);
	for (struct pt_waiter *w = ctx->first; w && !full(ctx) && claims && points; w = next) {
		next = w->next;
		if (!w->claim) {
			points--;
			continue;
		}
		claims--;
		if (!waits(w->claim->first))
			end = let_in(w->claim->first, end);
	}
	pt_port_unlock(&machine->lock);
	return ready;
}

static void wake(struct pt_waiter *ready)
{
	while (ready) {
		struct pt_waiter *next = ready->next; /* its memory is gone once it was woken */

		pt_port_note(PT_EVENT_WAKE, 0, ready, ready->ctx, ready->lo, ready->hi);
		if (ready->wake)
			ready->wake(ready);
		ready = next;
	}
}

static void advance(struct pt_ctx *ctx)
{
	wake(take_points(ctx));
	wake(take_claims(ctx));
}

bool pt__claims_go_on(struct pt_ctx *ctx, const struct pt_claim *claim)
{
	struct pt_machine *machine = ctx->machine;
	bool more;

	pt_port_lock(&machine->lock);
	more = ctx->unseen && claim->until > ctx->looked;
	pt_port_unlock(&machine->lock);
	if (more)
		advance(ctx);
	return more;
}

void pt__claims_wake(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;
	struct pt_machine *machine = ctx->machine;

	pt_port_lock(&machine->lock);
	look_again(ctx, claim);
	pt_port_unlock(&machine->lock);
	advance(ctx);
}

/* Under the lock: all of them, or none. */
static enum pt_outcome admit(struct pt_claim *first, bool teardown)
{
	bool wait = false;

	for (struct pt_claim *c = first; c; c = c->with) {
		if (pt__is_dying(c->ctx) && !teardown)
			return PT_WRONG_STATE;
		wait |= blocked(&c->waiter, &c->waiter);
	}
	for (struct pt_claim *c = first; c; c = c->with) {
		if (wait)
			enqueue(c->ctx, &c->waiter);
		else
			publish(c);
	}
	return wait ? PT_PARKED : PT_OK;
}

enum pt_outcome pt__claim_ask(struct pt_claim *first, bool teardown,
			      void (*wake_fn)(struct pt_waiter *))
{
	struct pt_machine *machine = first->ctx->machine;
	enum pt_outcome outcome;

	for (struct pt_claim *c = first; c; c = c->with) {
		c->first = first;
		c->waiter = (struct pt_waiter){
			.ctx = c->ctx, .lo = c->lo, .hi = c->hi, .claim = c, .wake = wake_fn};
		pt_port_note(PT_EVENT_CLAIM_ASK,
			     (c->mode == PT_CLAIM_SHARED) | (uint32_t)(c != first) << 1, c, c->ctx,
			     c->lo, c->hi);
	}
	pt_port_lock(&machine->lock);
	outcome = admit(first, teardown);
	pt_port_unlock(&machine->lock);
	for (struct pt_claim *c = first; outcome == PT_WRONG_STATE && c; c = c->with)
		note(PT_EVENT_CLAIM_CANCEL, c);
	return outcome;
}

/* Under the lock. */
static bool is_idle(const struct pt_ctx *ctx)
{
	return !ctx->taken && !ctx->first && !pt__is_dying(ctx);
}

/* Under the lock, where nobody has a slot. */
static void publish_first(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;

	atomic_store_explicit(&ctx->claim[0].lo, claim->lo, memory_order_relaxed);
	atomic_store_explicit(&ctx->claim[0].hi, claim->hi, memory_order_relaxed);
	claim->slot = 0;
	ctx->shared = 0;
	ctx->taken = 1;
	atomic_store_explicit(&ctx->claims, 1, memory_order_release);
	note(PT_EVENT_CLAIM, claim);
}

bool pt__claims_try(struct pt_claim *a, struct pt_claim *b)
{
	struct pt_machine *machine = a->ctx->machine;
	bool idle;

	pt_port_note(PT_EVENT_CLAIM_ASK, 0, a, a->ctx, a->lo, a->hi);
	if (b)
		pt_port_note(PT_EVENT_CLAIM_ASK, 2, b, b->ctx, b->lo, b->hi);
	pt_port_lock(&machine->lock);
	idle = is_idle(a->ctx) && (!b || is_idle(b->ctx));
	if (idle) {
		publish_first(a);
		if (b)
			publish_first(b);
	}
	pt_port_unlock(&machine->lock);
	if (!idle) {
		note(PT_EVENT_CLAIM_CANCEL, a);
		if (b)
			note(PT_EVENT_CLAIM_CANCEL, b);
	}
	return idle;
}

enum pt_outcome pt_claim_acquire(struct pt_claim *claim, struct pt_ctx *ctx, uint64_t lo,
				 uint64_t hi, enum pt_claim_mode mode, bool teardown,
				 void (*wake_fn)(struct pt_waiter *))
{
	*claim = (struct pt_claim){
		.ctx = ctx, .lo = lo, .hi = hi, .mode = mode, .slot = -1, .told = true};
	return pt__claim_ask(claim, teardown, wake_fn);
}

enum pt_outcome pt__claim_acquire_lazy(struct pt_claim *claim, struct pt_ctx *ctx, uint64_t lo,
				       uint64_t hi, bool teardown,
				       void (*wake_fn)(struct pt_waiter *))
{
	*claim = (struct pt_claim){.ctx = ctx,
				   .lo = lo,
				   .hi = hi,
				   .mode = PT_CLAIM_EXCLUSIVE,
				   .slot = -1,
				   .lazy = true,
				   .told = true};
	return pt__claim_ask(claim, teardown, wake_fn);
}

bool pt__claim_activate(struct pt_claim *claim)
{
	struct pt_machine *machine = claim->ctx->machine;
	bool has_slot;

	pt_port_lock(&machine->lock);
	has_slot = claim->slot >= 0;
	if (has_slot && claim->lazy) /* another is active since it left the queue */
		for (struct pt_claim *c = claim->first; c; c = c->with)
			activate(c);
	pt_port_unlock(&machine->lock);
	return has_slot;
}

/* A release store under the lock, and then whoever may go. */
void pt_claim_shrink(struct pt_claim *claim, uint64_t lo)
{
	struct pt_ctx *ctx = claim->ctx;
	struct pt_machine *machine = ctx->machine;
	bool waiting;

	if (lo <= claim->lo || lo > claim->hi)
		return;
	pt_port_lock(&machine->lock);
	claim->lo = lo;
	note(PT_EVENT_CLAIM_SHRINK, claim);
	atomic_store_explicit(&ctx->claim[claim->slot].lo, lo, memory_order_release);
	waiting = ctx->first != NULL;
	look_again(ctx, claim);
	pt_port_unlock(&machine->lock);
	if (waiting)
		advance(ctx);
}

/* Under the lock; does anybody wait there? */
static bool leave_slot(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;

	note(PT_EVENT_CLAIM_RELEASE, claim);
	atomic_store_explicit(&ctx->claims, active(ctx) & ~(1u << claim->slot),
			      memory_order_release);
	ctx->taken &= ~(1u << claim->slot);
	claim->slot = -1;
	if (ctx->first) {
		look_again(ctx, claim);
		return true;
	}
	ctx->unseen = 0;
	claim->until = ctx->looked;
	return false;
}

uint32_t pt__claims_let_go(struct pt_claim *const claim[], uint32_t count)
{
	struct pt_machine *machine = claim[0]->ctx->machine;
	uint32_t waited = 0;

	pt_port_lock(&machine->lock);
	for (uint32_t i = 0; i < count; i++)
		waited |= (uint32_t)leave_slot(claim[i]) << i;
	pt_port_unlock(&machine->lock);
	for (uint32_t i = 0; i < count; i++)
		if (waited >> i & 1)
			advance(claim[i]->ctx);
	return waited;
}

static void wake_waiting(const struct pt_claim *claim)
{
	advance(claim->ctx);
	while (pt__claims_go_on(claim->ctx, claim))
		continue;
}

void pt__claims_untry(struct pt_claim *a, struct pt_claim *b)
{
	struct pt_machine *machine = a->ctx->machine;
	bool waited, waited_b = false;

	pt_port_lock(&machine->lock);
	waited = leave_slot(a);
	if (b)
		waited_b = leave_slot(b);
	pt_port_unlock(&machine->lock);
	/* Nobody waited when the claims were taken: these have come since, in this section. */
	if (waited)
		wake_waiting(a);
	if (waited_b)
		wake_waiting(b);
}

void pt__claim_let_go(struct pt_claim *claim)
{
	pt__claims_let_go(&claim, 1);
}

void pt_claim_release(struct pt_claim *claim)
{
	struct pt_ctx *ctx = claim->ctx;

	pt__claim_let_go(claim);
	while (pt__claims_go_on(ctx, claim))
		continue;
}

bool pt_claim_cancel(struct pt_claim *claim)
{
	struct pt_machine *machine = claim->ctx->machine;
	struct pt_claim *first = NULL;

	pt_port_lock(&machine->lock);
	if (claim->waiter.queued)
		first = claim->first;
	for (struct pt_claim *c = first; c; c = c->with) {
		dequeue(c->ctx, &c->waiter);
		note(PT_EVENT_CLAIM_CANCEL, c);
	}
	pt_port_unlock(&machine->lock);
	for (struct pt_claim *c = first; c; c = c->with)
		advance(c->ctx); /* others may have waited only for their turn */
	return first != NULL;
}

bool pt_waiter_park(struct pt_waiter *waiter, struct pt_ctx *ctx, uint64_t lo, uint64_t hi,
		    void (*wake_fn)(struct pt_waiter *))
{
	struct pt_machine *machine = ctx->machine;
	bool park;

	*waiter = (struct pt_waiter){.ctx = ctx, .lo = lo, .hi = hi, .wake = wake_fn};
	pt_port_lock(&machine->lock);
	park = blocked(waiter, NULL);
	if (park)
		enqueue(ctx, waiter);
	pt_port_unlock(&machine->lock);
	return park;
}

bool pt_waiter_cancel(struct pt_waiter *waiter, struct pt_machine *machine)
{
	bool was;

	pt_port_lock(&machine->lock);
	was = waiter->queued;
	if (was)
		dequeue(waiter->ctx, waiter);
	pt_port_unlock(&machine->lock);
	if (was)
		advance(waiter->ctx);
	return was;
}
