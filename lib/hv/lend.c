/* SPDX-License-Identifier: BSD-2-Clause */
/* Lendings as hypercalls, of the host and of guests. */
#include "internal.h"

/* Who calls, as lib knows it, and the context that the operation is booked on. */
static struct pt_hv_ctx *party(struct pt_hv *hv, struct pt_agent *agent, enum pt_hv_caller caller,
			       uint32_t *who)
{
	struct pt_hv_ctx *c = caller == PT_HV_GUEST ? hv->running[agent->id] : &hv->host;

	*who = caller == PT_HV_GUEST ? (uint32_t)(c - hv->guest) : PT_NO_GUEST;
	return c;
}

/* A handle that nobody has is no guest's number, and not another such handle's. False: one behind
 * the end of the list. */
static bool borrowers_of(struct pt_hv *hv, const uint64_t *arg, struct pt_lend_list *list)
{
	for (uint32_t i = 0; i < PT_LEND_BORROWERS; i++) {
		const struct pt_hv_ctx *c = pt__hv_guest(hv, arg[i]);

		if (!arg[i])
			continue;
		if (list->borrowers != i)
			return false;
		list->borrower[list->borrowers++] =
			c ? (uint32_t)(c - hv->guest) : PT_HV_CONTEXTS + i;
	}
	return true;
}

/* Are they still the guests of these handles? */
static bool are_borrowers(struct pt_hv *hv, const uint64_t *arg, const struct pt_lend_list *list)
{
	for (uint32_t i = 0; i < list->borrowers; i++)
		if (!pt__hv_guest(hv, arg[i]))
			return false;
	return true;
}

struct pt__hv_answer pt__hv_lend_open(struct pt_hv *hv, struct pt_agent *agent,
				      enum pt_hv_caller caller, const uint64_t *arg)
{
	struct pt__hv_answer answer = pt__hv_answer(PT_INVALID);
	struct pt_lend_list list = {.size = arg[0] & ~(uint64_t)PT_HVC_WIPE,
				    .wipe = arg[0] & PT_HVC_WIPE};

	(void)party(hv, agent, caller, &list.lender);
	if (!borrowers_of(hv, arg + 1, &list))
		return answer;
	pt__hv_begin(hv, agent);
	answer.outcome = pt_lend_open(&hv->owners->machine, &list, &answer.x[0]);
	/* Since it was looked for, a guest's place may have become another's. Of who ends later
	 * lib knows. */
	if (answer.outcome == PT_OK && !are_borrowers(hv, arg + 1, &list)) {
		(void)pt_lend_expire(&hv->owners->machine, answer.x[0]);
		answer.outcome = PT_NOT_FOUND;
	}
	pt_section_end(agent);
	if (answer.outcome != PT_OK)
		answer.x[0] = 0;
	return answer;
}

struct pt__hv_answer pt__hv_lend_drop(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg)
{
	enum pt_outcome outcome;

	pt__hv_begin(hv, agent);
	outcome = pt_lend_expire(&hv->owners->machine, arg[0]);
	pt_section_end(agent);
	return pt__hv_answer(outcome);
}

struct pt__hv_answer pt__hv_lend(struct pt_hv *hv, struct pt_agent *agent, enum pt_hv_caller caller,
				 enum pt_hvc kind, const uint64_t *arg)
{
	struct pt_lend_args args = {.handle = arg[0], .kind = PT_LEND_RECLAIM};
	struct pt_hv_ctx *c = party(hv, agent, caller, &args.who);
	struct pt_hv_op *op;
	enum pt_outcome outcome;

	if (kind == PT_HVC_LEND_PIECE) {
		args.kind = PT_LEND_PIECE;
		args.at = arg[1];
		args.size = arg[2];
	} else if (kind == PT_HVC_RETRIEVE) {
		args.kind = PT_LEND_RETRIEVE;
		args.at = arg[1];
	} else if (kind == PT_HVC_RELINQUISH) {
		args.kind = PT_LEND_RELINQUISH;
	}
	outcome = pt__hv_lend_begin(hv, c, kind, &args, &op);
	if (outcome != PT_OK)
		return pt__hv_answer(outcome);
	op->caller = caller == PT_HV_GUEST ? args.who + 1 : 0;
	return pt__hv_op_go(hv, agent, op);
}
