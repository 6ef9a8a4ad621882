/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-2 aborts, and what is read of a context. */
#include "internal.h"

#include <pt/walk.h>

void pt_hv_settle(struct pt_agent *agent)
{
	while (pt_reclaim(agent))
		pt_port_relax();
}

static enum pt_outcome once(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
			    const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome;

	pt__hv_begin(hv, agent);
	outcome = pt_fault_handle(agent, ctx, fault, result);
	pt_section_end(agent);
	return outcome;
}

/* The host has what it touches, by force. If that is refused somebody else may have done it. */
static enum pt_outcome force(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
			     const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome;

	if (result->todo.kind != PT_TODO_RECLAIM)
		return PT_WRONG_OWNER;
	if (pt__hv_force(hv, agent, result->todo.ipa.v) == PT_RACED)
		return PT_RACED;
	outcome = once(hv, agent, ctx, fault, result);
	return outcome == PT_PARKED ? PT_RACED : outcome;
}

enum pt_outcome pt_hv_fault(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
			    const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome = once(hv, agent, ctx, fault, result);

	if (outcome == PT_NO_MEMORY) {
		pt_hv_settle(agent);
		outcome = once(hv, agent, ctx, fault, result);
	}
	if (outcome == PT_NO_MEMORY && ctx == &hv->host.ctx)
		return pt__hv_recycle(hv, agent, true);
	if (outcome == PT_WRONG_OWNER && hv->owners && hv->owners->args.force)
		return force(hv, agent, ctx, fault, result);
	if (outcome != PT_PARKED)
		return outcome;
	if (ctx == &hv->host.ctx)
		(void)pt__hv_recycle(hv, agent, false);
	if (ctx != &hv->host.ctx || hv->owners)
		pt__hv_help(hv, agent, ctx);
	return PT_RACED;
}

/* Pinned, or NULL. */
static struct pt_hv_ctx *pinned(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle)
{
	struct pt_hv_ctx *c;

	pt__hv_begin(hv, agent);
	c = pt__hv_context(hv, agent, handle);
	if (c && !pt__hv_pin(c))
		c = NULL;
	pt_section_end(agent);
	return c;
}

struct pt__hv_answer pt__hv_fault(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	uint64_t access = arg[2] & ~(uint64_t)PT_HVC_EL0;
	struct pt_fault fault = {.ipa = {arg[1]},
				 .access = (uint8_t)access,
				 .exec = arg[2] & PT_HVC_EL0 ? PT_PROT_UX : PT_PROT_PX,
				 .level = PT_TTL_UNKNOWN};
	struct pt__hv_answer answer = pt__hv_answer(PT_NOT_FOUND);
	struct pt_fault_result r = {.level = PT_TTL_UNKNOWN};
	struct pt_hv_ctx *c;

	if (access < PT_ACCESS_READ || access > PT_ACCESS_EXEC)
		return pt__hv_answer(PT_INVALID);
	c = pinned(hv, agent, arg[0]);
	if (!c)
		return answer;
	answer.outcome = pt_hv_fault(hv, agent, &c->ctx, &fault, &r);
	pt__hv_unpin(c);
	if (pt_is_error(answer.outcome))
		answer.x[0] = arg[1];
	else
		answer.x[0] = r.pa.v, answer.x[2] = r.prot;
	answer.x[1] = (uint64_t)(int64_t)r.level;
	return answer;
}

struct pt__hv_answer pt__hv_leaf(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	struct pt__hv_answer answer = pt__hv_answer(PT_NOT_FOUND);
	struct pt_hv_ctx *c;
	pt_pte entry = 0;
	int level = PT_TTL_UNKNOWN;

	pt__hv_begin(hv, agent);
	c = pt__hv_context(hv, agent, arg[0]);
	if (c)
		answer.outcome = pt_get_leaf(&c->ctx, pt_ipa(arg[1]), &entry, &level);
	pt_section_end(agent);
	if (c && answer.outcome == PT_OK) {
		answer.x[0] = entry;
		answer.x[1] = (uint64_t)(int64_t)level;
	}
	return answer;
}
