/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: who may call what, and answers as registers. */
#include "internal.h"

#define ANYBODY		     (1u << PT_HV_HOST | 1u << PT_HV_GUEST)
#define HOST		     (1u << PT_HV_HOST)
#define GUEST		     (1u << PT_HV_GUEST)
/* In a machine with owners besides. */
#define OWNING		     2
#define OWNING_HOST	     (HOST << OWNING)
#define OWNING_GUEST	     (GUEST << OWNING)
#define OWNING_HOST_OR_GUEST (OWNING_HOST | OWNING_GUEST)
/* Of guests that may have shadows. */
#define NESTING_GUEST	     (1u << 4)
#define HOST_OR_ABLE_GUEST   (HOST | OWNING_GUEST | NESTING_GUEST)

static const uint8_t may_call[PT_HVC_COUNT] = {
#define PT_X(name, number, who, what) [PT_HVC_##name] = who,
	PT_HVC_TABLE(PT_X)
#undef PT_X
};

static uint64_t feature_word(const struct pt_hv_features *f)
{
	return f->granules | (uint64_t)f->lpa2 << 8 | (uint64_t)f->pa_bits << 16 |
	       (uint64_t)f->vtcr << 24 | (uint64_t)f->attrs << 32;
}

/* EL2's own map. */
static struct pt__hv_answer own_map(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				    const uint64_t *arg)
{
	struct pt__hv_answer answer = {PT_INVALID, {0}};

	/* What hyp has of the host's there it shares, or owns: lib/owner knows. */
	if (hv->owners && kind != PT_HVC_HYP_DEVICE)
		return pt__hv_answer(PT_UNSUPPORTED);
	pt__hv_begin(hv, agent);
	if (kind == PT_HVC_HYP_UNMAP)
		answer.outcome = pt_hyp_call_unmap(hv->space, agent, pt_pa(arg[0]), arg[1]);
	else if (arg[2] >> 32)
		answer.outcome = PT_INVALID;
	else if (kind == PT_HVC_HYP_MAP)
		answer.outcome =
			pt_hyp_call_map(hv->space, agent, pt_pa(arg[0]), arg[1], (uint32_t)arg[2]);
	else
		answer.outcome = pt_hyp_call_private(hv->space, agent, pt_pa(arg[0]), arg[1],
						     (uint32_t)arg[2], &answer.x[0]);
	pt_section_end(agent);
	if (pt_is_error(answer.outcome))
		answer.x[0] = arg[0], answer.x[1] = PT_TTL_UNKNOWN;
	return answer;
}

static struct pt__hv_answer answer_to(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				      const uint64_t *arg)
{
	switch (kind) {
	case PT_HVC_VERSION:
		return (struct pt__hv_answer){PT_OK, {PT_HVC_ABI, feature_word(&hv->features), 0}};
	case PT_HVC_CREATE:
		return hv->owners ? pt__hv_answer(PT_UNSUPPORTED) : pt__hv_create(hv, agent, arg);
	case PT_HVC_DESTROY:
		return hv->owners ? pt__hv_answer(PT_UNSUPPORTED) : pt__hv_destroy(hv, agent, arg);
	case PT_HVC_SET_SLOT: return pt__hv_set_slot(hv, agent, arg);
	case PT_HVC_DELETE_SLOT: return pt__hv_delete_slot(hv, agent, arg);
	case PT_HVC_MAP:
	case PT_HVC_UNMAP:
	case PT_HVC_PROTECT: return pt__hv_range(hv, agent, kind, arg);
	case PT_HVC_FAULT: return pt__hv_fault(hv, agent, arg);
	case PT_HVC_LEAF: return pt__hv_leaf(hv, agent, arg);
	case PT_HVC_CONTINUE: return pt__hv_continue(hv, agent, 0, arg);
	default: return own_map(hv, agent, kind, arg);
	}
}

/* Of a machine with owners, or of guests with shadows, alone. */
static struct pt__hv_answer able_answer(struct pt_hv *hv, struct pt_agent *agent,
					enum pt_hv_caller caller, enum pt_hvc kind,
					const uint64_t *arg)
{
	switch (kind) {
	case PT_HVC_CONTINUE: /* a guest's */
		return pt__hv_continue(hv, agent,
				       (uint32_t)(hv->running[agent->id] - hv->guest) + 1, arg);
	case PT_HVC_NEST_TLBI: return pt__hv_nest_tlbi(hv, agent, arg);
	case PT_HVC_RESERVE: return pt__hv_reserve(hv, agent);
	case PT_HVC_CREATE_GUEST: return pt__hv_create_guest(hv, agent, arg);
	case PT_HVC_TEARDOWN: return pt__hv_teardown(hv, agent, arg);
	case PT_HVC_FINALIZE: return pt__hv_finalize(hv, agent, arg);
	case PT_HVC_OWNER: return pt__hv_owner(hv, agent, arg);
	case PT_HVC_LEND: return pt__hv_lend_open(hv, agent, caller, arg);
	case PT_HVC_LEND_DROP: return pt__hv_lend_drop(hv, agent, arg);
	case PT_HVC_LEND_PIECE:
	case PT_HVC_RETRIEVE:
	case PT_HVC_RELINQUISH:
	case PT_HVC_TAKE_BACK: return pt__hv_lend(hv, agent, caller, kind, arg);
	default: return pt__hv_transfer(hv, agent, kind, arg);
	}
}

static void reply(struct pt_hv *hv, struct pt_agent *agent, struct pt__hv_answer answer,
		  uint64_t x[6])
{
	if (answer.outcome == PT_BUSY) /* so that trying again comes to an end */
		pt__hv_help(hv, agent, NULL);
	pt_hv_settle(agent);
	x[0] = pt_is_error(answer.outcome) ? -(uint64_t)answer.outcome : (uint64_t)answer.outcome;
	for (unsigned i = 0; i < 3; i++)
		x[i + 1] = answer.x[i];
}

/* What not everybody has: by the machine, and by what the guest is that the CPU runs. */
static bool is_able(const struct pt_hv *hv, const struct pt_agent *agent, enum pt_hv_caller caller,
		    uint64_t kind)
{
	const struct pt_hv_ctx *guest = caller == PT_HV_GUEST ? hv->running[agent->id] : NULL;

	if (kind >= PT_HVC_COUNT || (caller == PT_HV_GUEST && !guest))
		return false;
	if (hv->owners && may_call[kind] >> (caller + OWNING) & 1)
		return true;
	return guest && guest->nest && may_call[kind] & NESTING_GUEST;
}

static __attribute__((noinline)) enum pt_hv_next call_of_able(struct pt_hv *hv,
							      struct pt_agent *agent,
							      enum pt_hv_caller caller,
							      uint64_t kind, uint64_t x[6])
{
	if (!is_able(hv, agent, caller, kind)) {
		x[0] = (uint64_t)(int64_t)PT_HVC_NO_FUNCTION;
		return PT_HV_ANSWERED;
	}
	if (kind == PT_HVC_NEST_RUN)
		return PT_HV_NEST;
	reply(hv, agent, able_answer(hv, agent, caller, (enum pt_hvc)kind, x + 1), x);
	return PT_HV_ANSWERED;
}

enum pt_hv_next pt_hv_call(struct pt_hv *hv, struct pt_agent *agent, enum pt_hv_caller caller,
			   uint64_t x[6])
{
	uint64_t kind = x[0] - PT_HVC(0);

	if (kind >= PT_HVC_COUNT || !(may_call[kind] >> caller & 1))
		return call_of_able(hv, agent, caller, kind, x);
	if (kind == PT_HVC_RUN)
		return PT_HV_RUN;
	if (kind == PT_HVC_EXIT)
		return PT_HV_EXIT;
	reply(hv, agent, answer_to(hv, agent, (enum pt_hvc)kind, x + 1), x);
	return PT_HV_ANSWERED;
}
