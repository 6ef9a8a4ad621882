/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners at EL2: what hyp is there, whose a frame is, and frames of the host that
 * EL2 uses. */
#include "internal.h"

static bool is_own(void *arg, uint64_t pa, uint64_t size)
{
	const struct pt_hv *hv = arg;

	for (uint32_t i = 0; i < hv->owns; i++)
		if (pt_hyp_region_meets(&hv->own[i], pa, size))
			return true;
	return false;
}

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	const struct pt_hv *hv = arg;

	hv->owners->args.wipe(hv->owners->args.arg, pa, size);
}

static void reach(void *arg, uint64_t pa, uint64_t size, bool reaches)
{
	const struct pt_hv *hv = arg;

	pt_hyp_reach(hv->space, pt_pa(pa), size, reaches);
}

static enum pt_outcome set_up(struct pt_hv *hv, struct pt_hv_owners *o)
{
	const struct pt_hyp_memory *memory = &hv->space->memory;
	struct pt_machine_owners *m = &o->machine;
	enum pt_outcome outcome;

	if (memory->regions > PT_HV_HOST_SLOTS)
		return PT_INVALID;
	if (hv->space->map.geo.granule_shift != PT_FRAME_SHIFT)
		return PT_UNSUPPORTED;
	pt_store_init(&o->store, &hv->machine, UINT64_MAX, 0);
	outcome = pt_machine_owners_init(m, &o->store, &hv->host.ctx, PT_FRAME_SHIFT);
	if (outcome != PT_OK)
		return outcome;
	for (uint32_t i = 0; i < memory->regions; i++)
		o->region[i] = (struct pt_region){memory->region[i].pa, memory->region[i].size};
	m->region = o->region;
	m->regions = memory->regions;
	m->guest = o->guest;
	m->guests = PT_HV_CONTEXTS;
	m->lending = o->lending;
	m->lendings = PT_LENDINGS;
	m->is_table = is_own;
	m->wipe = wipe;
	m->hyp_reach = reach;
	m->arg = hv;
	return PT_OK;
}

enum pt_outcome pt_hv_own(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_owners *owners,
			  const struct pt_hv_owner_args *args)
{
	enum pt_outcome outcome;

	owners->args = *args;
	pt__hv_begin(hv, agent);
	outcome = set_up(hv, owners);
	for (uint32_t i = 0; i < owners->machine.regions && outcome == PT_OK; i++)
		outcome = pt_hyp_reach_prepare(hv->space, agent, pt_pa(owners->region[i].pa),
					       owners->region[i].size);
	pt_section_end(agent);
	if (outcome != PT_OK)
		return outcome;
	hv->owners = owners;
	hv->features.granules |= PT_HV_OWNING;
	return PT_OK;
}

/* As if the host wrote to it now: a transition that claims the page later waits for this section.
 */
static enum pt_outcome write_to(struct pt_hv *hv, struct pt_agent *agent, uint64_t pa)
{
	const struct pt_fault fault = {.ipa = {pa},
				       .access = PT_ACCESS_WRITE,
				       .type = PT_FAULT_TRANSLATION,
				       .level = PT_LEVEL_LAST};
	struct pt_fault_result result;
	enum pt_outcome outcome;

	pt_machine_use(&hv->machine, agent);
	outcome = pt_fault_handle(agent, &hv->host.ctx, &fault, &result);
	switch (outcome) {
	case PT_MAPPED:
	case PT_RELAXED:
	case PT_MADE_YOUNG:
	case PT_ALREADY_MAPPED: return PT_OK;
	case PT_PARKED: return PT_RACED;
	default: return outcome;
	}
}

enum pt_outcome pt_hv_use(struct pt_hv *hv, struct pt_agent *agent, uint64_t pa)
{
	return hv->owners ? write_to(hv, agent, pa) : PT_OK;
}

static struct pt__hv_answer owner_of(const struct pt_machine_owners *m, uint64_t pa)
{
	struct pt__hv_answer answer = {PT_OK, {pa, (uint64_t)PT_TTL_UNKNOWN, 0}};
	struct pt_frame_record r;
	struct pt_extent e;

	answer.outcome = pt_extents_find(&m->extents, pa >> PT_OWNER_SHIFT, &e);
	if (answer.outcome != PT_OK)
		return answer;
	r = pt_frames_get(&m->frames, pa);
	answer.x[0] = e.owner.kind | (uint64_t)r.host << 4 | (uint64_t)r.hyp << 8 |
		      (uint64_t)r.pins << 16 | (uint64_t)r.shares << 32;
	answer.x[1] = 0;
	if (e.owner.kind == PT_OWNER_GUEST) {
		answer.x[1] = e.owner.handle;
		answer.x[2] = (e.owner.gfn + (pa >> PT_OWNER_SHIFT) - e.start) << PT_OWNER_SHIFT |
			      (pa & ((UINT64_C(1) << PT_OWNER_SHIFT) - 1));
	}
	return answer;
}

struct pt__hv_answer pt__hv_owner(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt__hv_answer answer = {PT_OUT_OF_RANGE, {arg[0], (uint64_t)PT_TTL_UNKNOWN, 0}};

	if (!pt_hyp_region_of(&hv->space->memory, arg[0], 1))
		return answer;
	if (is_own(hv, arg[0], 1))
		return (struct pt__hv_answer){
			PT_OK, {PT_OWNER_HYP | PT_PAGE_NOPAGE << 4 | PT_PAGE_OWNED << 8, 0, 0}};
	pt__hv_begin(hv, agent);
	answer = owner_of(&hv->owners->machine, arg[0]);
	pt_section_end(agent);
	/* The guest's own name is its context's. */
	if (answer.outcome == PT_OK && (answer.x[0] & 0xf) == PT_OWNER_GUEST)
		answer.x[1] = atomic_load(&hv->guest[answer.x[1]].handle);
	return answer;
}
