/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners, and the life of its guests. */
#include "transition.h"

enum pt_outcome pt_machine_owners_init(struct pt_machine_owners *o, struct pt_store *store,
				       struct pt_ctx *host, unsigned frame_shift)
{
	unsigned pa_bits = host->machine->pa_bits;
	enum pt_outcome outcome;

	*o = (struct pt_machine_owners){.host = host};
	if (frame_shift > host->geo.granule_shift || !(host->policy & PT_CTX_IDENTITY))
		return PT_INVALID;
	pt_extents_init(&o->extents, store, UINT64_C(1) << (pa_bits - PT_OWNER_SHIFT));
	pt_port_note(PT_EVENT_OWNERS, 0, host->machine, host, 0, 0);
	outcome = pt_frames_init(&o->frames, store, frame_shift, pa_bits);
	if (outcome == PT_OK)
		pt__rule_host(o);
	return outcome;
}

static struct pt_guest *guest_of(struct pt_machine_owners *o, uint32_t guest)
{
	return guest < o->guests ? &o->guest[guest] : NULL;
}

/* CHANGING is nobody yet, or any more. */
static enum pt_outcome life_of(const struct pt_guest *g, uint32_t *life)
{
	*life = g ? atomic_load(&g->life) : (uint32_t)PT_GUEST_NONE;
	return *life == PT_GUEST_NONE || *life == PT_GUEST_CHANGING ? PT_NOT_FOUND : PT_OK;
}

/* Counted first: either finalize sees the count, or this sees that the guest is gone. */
static enum pt_outcome enter(struct pt_machine_owners *o, uint32_t guest, bool reserved)
{
	struct pt_guest *g = guest_of(o, guest);
	enum pt_outcome outcome;
	uint32_t life;

	if (!g)
		return PT_NOT_FOUND;
	atomic_fetch_add(&g->users, 1);
	outcome = life_of(g, &life);
	if (outcome == PT_OK && life == PT_GUEST_RESERVED && !reserved)
		outcome = PT_WRONG_STATE;
	if (outcome != PT_OK)
		pt__guest_leave(o, guest);
	return outcome;
}

enum pt_outcome pt__guest_enter(struct pt_machine_owners *o, uint32_t guest)
{
	return enter(o, guest, false);
}

enum pt_outcome pt__guest_enter_account(struct pt_machine_owners *o, uint32_t guest)
{
	return enter(o, guest, true);
}

struct pt_ctx *pt__guest_ctx(const struct pt_guest *guest)
{
	uint32_t life = atomic_load(&guest->life);

	return life == PT_GUEST_LIVE || life == PT_GUEST_DYING ? guest->ctx : NULL;
}

void pt__guest_leave(struct pt_machine_owners *o, uint32_t guest)
{
	atomic_fetch_sub(&o->guest[guest].users, 1);
}

/* From one state to another, if it is still the first. */
static bool turn(struct pt_guest *g, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&g->life, &from, to);
}

enum pt_outcome pt_guest_reserve(struct pt_machine_owners *o, uint32_t *guest)
{
	for (uint32_t i = 0; i < o->guests && i <= UINT16_MAX; i++)
		if (turn(&o->guest[i], PT_GUEST_NONE, PT_GUEST_RESERVED)) {
			*guest = i;
			return PT_OK;
		}
	return PT_BUSY;
}

enum pt_outcome pt_guest_create(struct pt_machine_owners *o, uint32_t guest, struct pt_ctx *ctx,
				bool protected)
{
	struct pt_guest *g = guest_of(o, guest);
	enum pt_outcome outcome;
	uint32_t life;

	if (ctx->machine != o->host->machine || ctx->geo.granule_shift < o->frames.frame_shift)
		return PT_INVALID;
	outcome = life_of(g, &life);
	if (outcome != PT_OK)
		return outcome;
	if (!turn(g, PT_GUEST_RESERVED, PT_GUEST_CHANGING))
		return PT_WRONG_STATE;
	outcome =
		atomic_load(&g->users) ? PT_BUSY : pt_ctx_sw_own(ctx, PT_OWNER_SW, PT_SW_OWNERSHIP);
	if (outcome == PT_OK) {
		pt_port_note(PT_EVENT_GUEST, guest, ctx->machine, ctx, 0, 0);
		g->ctx = ctx;
		g->protected = protected;
		atomic_store_explicit(&ctx->topped_up, &g->tables, memory_order_relaxed);
		pt__rule_guest(o, ctx);
	}
	atomic_store(&g->life, outcome == PT_OK ? PT_GUEST_LIVE : PT_GUEST_RESERVED);
	return outcome;
}

/* Becomes nobody's again. */
static void part(struct pt_guest *g)
{
	if (g->ctx)
		atomic_store_explicit(&g->ctx->topped_up, NULL, memory_order_relaxed);
	g->ctx = NULL;
	g->protected = false;
}

void pt_guest_create_undo(struct pt_machine_owners *o, uint32_t guest)
{
	struct pt_guest *g = guest_of(o, guest);

	atomic_store(&g->life, PT_GUEST_CHANGING);
	part(g);
	atomic_store(&g->life, PT_GUEST_RESERVED);
}

enum pt_outcome pt_guest_teardown(struct pt_machine_owners *o, uint32_t guest)
{
	struct pt_guest *g = guest_of(o, guest);
	uint32_t life;
	enum pt_outcome outcome = life_of(g, &life);

	if (outcome != PT_OK)
		return outcome;
	if (!turn(g, PT_GUEST_LIVE, PT_GUEST_DYING))
		return PT_WRONG_STATE;
	pt__lend_drop_lists(o, guest);
	return PT_OK;
}

void pt_guest_finalize_init(struct pt_guest_final *f, struct pt_machine_owners *owners,
			    uint32_t guest)
{
	*f = (struct pt_guest_final){.owners = owners, .guest = guest};
}

enum pt_outcome pt__guest_look(struct pt_ctx *ctx, uint64_t *at, int64_t *left)
{
	uint64_t end = UINT64_C(1) << ctx->geo.ipa_bits;

	for (; *at < end; --*left) {
		uint64_t pa, last = *at;

		if (*left <= 0)
			return PT_MORE;
		if (pt__page_at(ctx, *at, &pa, &last) != PT_PAGE_NOPAGE)
			return PT_WRONG_STATE;
		*at = last + 1;
	}
	return PT_OK;
}

/* Nobody uses it, nobody can begin to any more, and it has no table memory. */
static enum pt_outcome end(struct pt_machine_owners *o, uint32_t guest, uint32_t life)
{
	struct pt_guest *g = &o->guest[guest];
	enum pt_outcome outcome = PT_OK;

	if (!turn(g, life, PT_GUEST_CHANGING))
		return PT_WRONG_STATE;
	if (atomic_load(&g->users))
		outcome = PT_BUSY;
	else if (atomic_load(&g->tables))
		outcome = PT_WRONG_STATE;
	if (outcome == PT_OK) {
		pt__lend_forget(o, guest); /* before its context goes: pt_lend_open() */
		part(g);
		life = PT_GUEST_NONE;
	}
	atomic_store(&g->life, life);
	return outcome;
}

enum pt_outcome pt_guest_finalize_step(struct pt_guest_final *f, struct pt_agent *agent,
				       uint32_t budget)
{
	struct pt_guest *g = guest_of(f->owners, f->guest);
	int64_t left = budget ? budget : 1;
	uint32_t life;
	enum pt_outcome outcome = life_of(g, &life);

	pt_machine_use(f->owners->host->machine, agent);
	if (outcome != PT_OK)
		return outcome;
	if (life == PT_GUEST_RESERVED)
		return end(f->owners, f->guest, life);
	if (life != PT_GUEST_DYING)
		return PT_WRONG_STATE;
	if (!f->begun)
		pt_grace_begin(&f->grace, f->owners->host->machine, agent);
	f->begun = true;
	if (!pt_grace_done(&f->grace, f->owners->host->machine)) /* point.c counts nobody */
		return PT_MORE;
	if (atomic_load(&g->users)) /* what it does may be behind the address looked at */
		return PT_BUSY;
	if (pt__lends(f->owners, f->guest))
		return PT_BUSY;
	outcome = pt__guest_look(g->ctx, &f->at, &left);
	return outcome == PT_OK ? end(f->owners, f->guest, life) : outcome;
}
