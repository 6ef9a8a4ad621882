/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners, and the life of its guests. */
#include "transition.h"

enum pt_outcome pt_machine_owners_init(struct pt_machine_owners *o, struct pt_owner_store *store,
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
enum pt_outcome pt__guest_enter(struct pt_machine_owners *o, uint32_t guest)
{
	struct pt_guest *g = guest_of(o, guest);
	enum pt_outcome outcome;
	uint32_t life;

	if (!g)
		return PT_NOT_FOUND;
	atomic_fetch_add(&g->users, 1);
	outcome = life_of(g, &life);
	if (outcome == PT_OK && life != PT_GUEST_LIVE && life != PT_GUEST_DYING)
		outcome = PT_WRONG_STATE;
	if (outcome != PT_OK)
		pt__guest_leave(o, guest);
	return outcome;
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
	outcome = pt_ctx_sw_own(ctx, PT_OWNER_SW, PT_SW_OWNERSHIP);
	if (outcome == PT_OK) {
		pt_port_note(PT_EVENT_GUEST, guest, ctx->machine, ctx, 0, 0);
		g->ctx = ctx;
		g->protected = protected;
		pt__rule_guest(o, ctx);
	}
	atomic_store(&g->life, outcome == PT_OK ? PT_GUEST_LIVE : PT_GUEST_RESERVED);
	return outcome;
}

enum pt_outcome pt_guest_teardown(struct pt_machine_owners *o, uint32_t guest)
{
	struct pt_guest *g = guest_of(o, guest);
	uint32_t life;
	enum pt_outcome outcome = life_of(g, &life);

	if (outcome != PT_OK)
		return outcome;
	return turn(g, PT_GUEST_LIVE, PT_GUEST_DYING) ? PT_OK : PT_WRONG_STATE;
}

void pt_guest_finalize_init(struct pt_guest_final *f, struct pt_machine_owners *owners,
			    uint32_t guest)
{
	*f = (struct pt_guest_final){.owners = owners, .guest = guest};
}

/* Has it anything? */
static enum pt_outcome look(struct pt_guest_final *f, struct pt_ctx *ctx, uint32_t budget)
{
	uint64_t end = UINT64_C(1) << ctx->geo.ipa_bits;

	for (; f->at < end; budget--) {
		uint64_t pa, last = f->at;

		if (!budget)
			return PT_MORE;
		if (pt__page_at(ctx, f->at, &pa, &last) != PT_PAGE_NOPAGE)
			return PT_WRONG_STATE;
		f->at = last + 1;
	}
	return PT_OK;
}

/* Nobody uses it, and nobody can begin to any more. */
static enum pt_outcome end(struct pt_guest *g)
{
	if (!turn(g, PT_GUEST_DYING, PT_GUEST_CHANGING))
		return PT_WRONG_STATE;
	if (atomic_load(&g->users)) {
		atomic_store(&g->life, PT_GUEST_DYING);
		return PT_BUSY;
	}
	g->ctx = NULL;
	g->protected = false;
	atomic_store(&g->life, PT_GUEST_NONE);
	return PT_OK;
}

enum pt_outcome pt_guest_finalize_step(struct pt_guest_final *f, struct pt_agent *agent,
				       uint32_t budget)
{
	struct pt_guest *g = guest_of(f->owners, f->guest);
	uint32_t life;
	enum pt_outcome outcome = life_of(g, &life);

	pt_machine_use(f->owners->host->machine, agent);
	if (outcome != PT_OK)
		return outcome;
	if (life != PT_GUEST_DYING)
		return turn(g, PT_GUEST_RESERVED, PT_GUEST_NONE) ? PT_OK : PT_WRONG_STATE;
	if (atomic_load(&g->users)) /* what it does may be behind the address looked at */
		return PT_BUSY;
	outcome = look(f, g->ctx, budget ? budget : 1);
	return outcome == PT_OK ? end(g) : outcome;
}
