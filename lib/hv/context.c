/* SPDX-License-Identifier: BSD-2-Clause */
/* Contexts of guests: handles, creation, end. */
#include "internal.h"

/* What a VTCR_EL2 of a caller may name; the rest is as pt_geometry_vtcr() has it, or zero. */
#define VTCR_NAMED                                                                                 \
	(UINT64_C(0x3f) | UINT64_C(3) << 6 | UINT64_C(3) << 14 | UINT64_C(7) << 16 |               \
	 UINT64_C(1) << 19 | UINT64_C(3) << 21 | UINT64_C(3) << 32)

struct pt_hv_ctx *pt__hv_context(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle)
{
	uint32_t place = pt__hv_place(handle);
	struct pt_hv_ctx *c;

	if (place >= PT_HV_CONTEXTS)
		return NULL;
	c = &hv->guest[place];
	pt_machine_use(&hv->machine, agent);
	if (atomic_load(&c->handle) != handle || atomic_load(&c->state) != PT_HV_LIVE)
		return NULL;
	return c;
}

/* Granule and format as the CPUs have them, and table memory within reach. */
static bool can_have(const struct pt_hv *hv, const struct pt_geometry *geo)
{
	const struct pt_hv_features *f = &hv->features;
	const struct pt_port *port = hv->machine.port;
	unsigned bit = 1u << (geo->granule_shift - 12) / 2;
	uint64_t tables_end = port->table_pa + hv->machine.world->pool.total_bytes;

	if (!(f->granules & bit) || geo->pa_bits > f->pa_bits)
		return false;
	if ((geo->ds || geo->lpa) && !(f->lpa2 & bit))
		return false;
	return tables_end <= UINT64_C(1) << geo->pa_bits;
}

enum pt_outcome pt__hv_geometry(const struct pt_hv *hv, uint64_t vtcr, struct pt_geometry *geo)
{
	unsigned flags = pt_geometry_vtcr_flags(vtcr);

	if (pt_geometry_from_vtcr(geo, vtcr) != PT_OK)
		return PT_INVALID;
	if (vtcr & ~VTCR_NAMED & ~pt_geometry_vtcr(geo, flags))
		return PT_INVALID;
	if (flags & PT_VTCR_HD && !(flags & PT_VTCR_HA))
		return PT_INVALID;
	return can_have(hv, geo) && !(flags & ~hv->features.vtcr) ? PT_OK : PT_UNSUPPORTED;
}

static struct pt_hv_ctx *take_place(struct pt_hv *hv)
{
	for (uint32_t i = 0; i < PT_HV_CONTEXTS; i++) {
		uint32_t free = PT_HV_FREE;

		if (atomic_compare_exchange_strong(&hv->guest[i].state, &free, PT_HV_MAKING))
			return &hv->guest[i];
	}
	return NULL;
}

bool pt__hv_pin(struct pt_hv_ctx *c)
{
	atomic_fetch_add(&c->running, 1);
	if (atomic_load(&c->state) == PT_HV_LIVE)
		return true;
	pt__hv_unpin(c);
	return false;
}

void pt__hv_unpin(struct pt_hv_ctx *c)
{
	atomic_fetch_sub(&c->running, 1);
}

enum pt_outcome pt__hv_context_make(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c,
				    const struct pt_geometry *geo, unsigned flags, uint64_t quota,
				    uint64_t shadows)
{
	enum pt_outcome outcome =
		pt_ctx_init(&c->ctx, agent, &hv->machine, geo, hv->features.attrs, flags, quota);

	if (outcome != PT_OK)
		return outcome;
	pt_hv_table(&c->slots[0])->count = pt_hv_table(&c->slots[1])->count = 0;
	c->in_use = 0;
	(void)pt_ctx_set_slots(&c->ctx, pt_hv_table(&c->slots[0]));
	if (shadows)
		outcome = pt__hv_nest_make(hv, c, shadows);
	if (outcome != PT_OK)
		pt_ctx_undo(&c->ctx, agent);
	return outcome;
}

void pt__hv_context_undo(struct pt_hv_ctx *c, struct pt_agent *agent)
{
	pt_ctx_undo(&c->ctx, agent);
	if (c->nest)
		pt__hv_nest_drop(c);
}

struct pt__hv_answer pt__hv_create(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt__hv_answer answer = {PT_OK, {0}};
	struct pt_geometry geo;
	struct pt_hv_ctx *c;
	uint64_t handle;

	answer.outcome = pt__hv_geometry(hv, arg[0], &geo);
	if (answer.outcome != PT_OK)
		return answer;
	c = take_place(hv);
	if (!c)
		return pt__hv_answer(PT_TOO_LARGE);
	pt__hv_begin(hv, agent);
	answer.outcome = pt__hv_context_make(hv, agent, c, &geo, pt_geometry_vtcr_flags(arg[0]),
					     arg[1], arg[2]);
	pt_section_end(agent);
	if (answer.outcome != PT_OK) {
		atomic_store(&c->state, PT_HV_FREE);
		return answer;
	}
	handle = pt__hv_next_handle(atomic_load(&c->handle), PT__HV_CONTEXT,
				    (uint32_t)(c - hv->guest));
	atomic_store(&c->handle, handle);
	atomic_store(&c->state, PT_HV_LIVE);
	answer.x[0] = handle;
	return answer;
}

/* The end begins. A CPU that runs the context would walk tables that are gone: not while one does
 * (KVM: __pkvm_start_teardown_vm). */
enum pt_outcome pt__hv_begin_end(struct pt_hv_ctx *c)
{
	uint32_t live = PT_HV_LIVE;

	if (!atomic_compare_exchange_strong(&c->state, &live, PT_HV_DYING))
		return PT_NOT_FOUND;
	if (!atomic_load(&c->running))
		return PT_OK;
	atomic_store(&c->state, PT_HV_LIVE);
	return PT_BUSY;
}

struct pt__hv_answer pt__hv_destroy(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt_hv_op *op = NULL;
	struct pt_hv_ctx *c;
	enum pt_outcome outcome = PT_NOT_FOUND;

	pt__hv_begin(hv, agent);
	c = pt__hv_context(hv, agent, arg[0]);
	if (c) {
		op = pt__hv_op_take(hv, c, PT_HVC_DESTROY);
		outcome = op ? pt__hv_begin_end(c) : PT_BUSY;
	}
	if (outcome == PT_OK)
		pt__hv_op_end(op);
	else if (op)
		pt__hv_op_drop(op);
	pt_section_end(agent);
	return outcome == PT_OK ? pt__hv_op_go(hv, agent, op) : pt__hv_answer(outcome);
}

void pt__hv_context_gone(struct pt_hv_ctx *c)
{
	atomic_store(&c->state, PT_HV_FREE);
}

enum pt_outcome pt_hv_enter(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle,
			    struct pt_ctx **ctx)
{
	struct pt_hv_ctx *c;
	enum pt_outcome outcome = PT_NOT_FOUND;

	pt__hv_begin(hv, agent);
	c = pt__hv_context(hv, agent, handle);
	if (c) {
		outcome = PT_BUSY;
		if (pt__hv_pin(c))
			outcome = pt_vmid_run(&c->ctx, agent);
		if (outcome == PT_MORE)
			pt__hv_unpin(c);
		if (outcome == PT_OK)
			hv->running[agent->id] = c;
		*ctx = &c->ctx;
	}
	pt_section_end(agent);
	return outcome == PT_MORE ? PT_RACED : outcome;
}

void pt_hv_leave(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx)
{
	pt_vmid_stop(&hv->machine, agent);
	hv->running[agent->id] = NULL;
	pt__hv_unpin(PT__HV_OF(ctx, struct pt_hv_ctx, ctx));
}
