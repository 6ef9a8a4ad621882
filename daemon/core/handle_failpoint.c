/* SPDX-License-Identifier: BSD-2-Clause */
/* FailpointService: arm, disarm and list, only in a daemon that allows it. */
#include "handlers.h"

#include "domain_fail.h"
#include "registry.h"

#include "ptd/v1/failpoint.pb-c.h"

#define ERROR PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_ERROR
#define DROP  PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DROP
#define DELAY PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY

static bool allowed(struct call *call)
{
	if (call->domain->config.allow_failpoints)
		return true;
	call_fail(call, PT_DENIED_FEATURE,
		  "failpoints: this daemon runs without --allow-failpoints");
	return false;
}

static bool action_fits(enum pt_failpoint point, uint32_t action)
{
	switch (point) {
	case PT_FP_POOL_RESERVE:
	case PT_FP_CAS_LOSE:
	case PT_FP_FREE_DELAY: return action == ERROR;
	case PT_FP_TLBI_DROP: return action == DROP;
	case PT_FP_TLBI_DELAY:
	case PT_FP_SECTION_LONG: return action == DELAY;
	default: return action == ERROR || action == DROP || action == DELAY;
	}
}

static enum call_result check_trigger(struct call *call, const Ptd__V1__Failpoint *q)
{
	if (q->probability_ppm > 1000000)
		return call_fail(call, PT_INVALID, "failpoint.probability_ppm: %u is above 1000000",
				 q->probability_ppm);
	if (!q->nth && !q->probability_ppm)
		return call_fail(call, PT_INVALID, "failpoint.nth: give it or probability_ppm");
	if (q->nth && q->probability_ppm)
		return call_fail(call, PT_INVALID,
				 "failpoint.probability_ppm: give it or nth, not both");
	if (q->time_to_live_ms > LIMIT_FAILPOINT_TTL_MS)
		return call_fail(call, PT_INVALID, "failpoint.time_to_live_ms: %u is above %u",
				 q->time_to_live_ms, LIMIT_FAILPOINT_TTL_MS);
	return CALL_MORE;
}

static enum call_result check_arguments(struct call *call, const Ptd__V1__Failpoint *q,
					enum pt_failpoint point)
{
	uint32_t longest =
		point == PT_FP_RPC_REPLY ? LIMIT_FAILPOINT_DELAY_MS : LIMIT_FAILPOINT_HOLD_MS;

	if (q->action == DELAY && !q->delay_ms)
		return call_fail(call, PT_INVALID, "failpoint.delay_ms: a delay needs it");
	if (q->action != DELAY && q->delay_ms)
		return call_fail(call, PT_INVALID, "failpoint.delay_ms: only for DELAY");
	if (q->delay_ms > longest)
		return call_fail(call, PT_INVALID, "failpoint.delay_ms: %u is above %u",
				 q->delay_ms, longest);
	if (q->grpc_status > PT_GRPC_UNAUTHENTICATED)
		return call_fail(call, PT_INVALID, "failpoint.grpc_status: %u is no gRPC status",
				 q->grpc_status);
	return CALL_MORE;
}

static enum call_result check_point(struct call *call, const Ptd__V1__Failpoint *q,
				    enum pt_failpoint point)
{
	if (point == PT_FP_COUNT)
		return call_fail(call, PT_INVALID,
				 "failpoint.name: not pool.reserve, tlbi.drop, rpc.reply, "
				 "cas.lose, tlbi.delay, free.delay or section.long");
	if (!pt_host_failpoint_built(point))
		return call_fail(call, PT_DENIED_FEATURE, "failpoint.name: only ptd-checked has %s",
				 q->name);
	if (!action_fits(point, q->action))
		return call_fail(call, PT_INVALID, "failpoint.action: %u does not fit %s",
				 (unsigned)q->action, q->name);
	if (point == PT_FP_FREE_DELAY && q->context)
		return call_fail(call, PT_INVALID,
				 "failpoint.context: free.delay knows none, pages of all go back "
				 "together");
	if (point == PT_FP_FREE_DELAY && q->this_connection)
		return call_fail(call, PT_INVALID,
				 "failpoint.this_connection: free.delay is in no call");
	return CALL_MORE;
}

static enum call_result check(struct call *call, const Ptd__V1__Failpoint *q,
			      enum pt_failpoint *point)
{
	if (!q)
		return call_fail(call, PT_INVALID, "failpoint: missing");
	*point = failpoint_by_name(q->name);
	if (check_point(call, q, *point) != CALL_MORE)
		return CALL_DONE;
	if (q->grpc_status && (*point != PT_FP_RPC_REPLY || q->action != ERROR))
		return call_fail(call, PT_INVALID,
				 "failpoint.grpc_status: only for ERROR at rpc.reply");
	if (check_arguments(call, q, *point) != CALL_MORE)
		return CALL_DONE;
	return check_trigger(call, q);
}

static enum call_result fail_arm(struct call *call, enum pt_outcome o,
				 const struct failpoint_armed *how)
{
	if (o == PT_WRONG_STATE)
		return call_fail(call, o, "failpoint.name: %s is armed already, with id %llu",
				 failpoint_name(how->point), (unsigned long long)how->id);
	if (o == PT_TOO_LARGE)
		return call_fail(call, o, "failpoint: %u are armed already", LIMIT_FAILPOINTS);
	return call_fail(call, o, NULL);
}

enum call_result failpoint_arm(struct call *call)
{
	const Ptd__V1__ArmFailpointRequest *q = (const void *)call->request;
	const Ptd__V1__Failpoint *f = q->failpoint;
	struct failpoints *fps = &call->domain->failpoints;
	Ptd__V1__ArmFailpointResponse *r;
	struct failpoint_armed how = {0};
	enum pt_outcome o;

	if (!allowed(call) || check(call, f, &how.point) != CALL_MORE)
		return CALL_DONE;
	if (f->context && !find_context(call, f->context, "failpoint.context"))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__arm_failpoint_response__descriptor);
	if (!r)
		return CALL_DONE;
	how.action = f->action;
	how.context = f->context;
	how.connection = f->this_connection ? call->connection : 0;
	how.nth = f->nth;
	how.times = f->times;
	how.probability_ppm = f->probability_ppm;
	how.seed = f->seed;
	how.ttl_ms = f->time_to_live_ms ? f->time_to_live_ms : FAILPOINT_TTL_MS;
	how.delay_ms = f->delay_ms;
	how.grpc_status = f->grpc_status;
	how.expires_ns = call->now_ns + how.ttl_ms * UINT64_C(1000000);
	failpoints_enter(call); /* drops what has expired */
	o = failpoints_arm(fps, &how);
	if (o != PT_OK)
		return fail_arm(call, o, &how);
	r->id = how.id;
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result failpoint_disarm(struct call *call)
{
	const Ptd__V1__DisarmFailpointsRequest *q = (const void *)call->request;
	Ptd__V1__DisarmFailpointsResponse *r;

	if (!allowed(call))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__disarm_failpoints_response__descriptor);
	if (!r)
		return CALL_DONE;
	failpoints_enter(call);
	r->disarmed = failpoints_disarm(&call->domain->failpoints, q->id);
	if (q->id && !r->disarmed)
		return call_fail(call, PT_NOT_FOUND, "id: no failpoint %llu is armed",
				 (unsigned long long)q->id);
	call->response = &r->base;
	return CALL_DONE;
}

static Ptd__V1__Failpoint *message(struct call *call, const struct failpoint_armed *fp)
{
	Ptd__V1__Failpoint *m = new_response(call, &ptd__v1__failpoint__descriptor);

	if (!m)
		return NULL;
	m->name = (char *)(uintptr_t)failpoint_name(fp->point);
	m->action = (Ptd__V1__FailpointAction)fp->action;
	m->context = fp->context;
	m->this_connection = fp->connection && fp->connection == call->connection;
	m->nth = fp->nth;
	m->times = fp->times;
	m->probability_ppm = fp->probability_ppm;
	m->seed = fp->seed;
	m->time_to_live_ms = (uint32_t)((fp->expires_ns - call->now_ns) / 1000000);
	m->delay_ms = fp->delay_ms;
	m->grpc_status = fp->grpc_status;
	m->hits = fp->hits;
	m->failures = fp->failures;
	m->id = fp->id;
	return m;
}

enum call_result failpoint_list(struct call *call)
{
	struct failpoint_armed *armed;
	Ptd__V1__ListFailpointsResponse *r;
	uint32_t n;

	if (!allowed(call))
		return CALL_DONE;
	r = new_response(call, &ptd__v1__list_failpoints_response__descriptor);
	armed = call_alloc(call, LIMIT_FAILPOINTS * sizeof(*armed));
	if (!r || !armed)
		return fail_arena(call);
	n = failpoints_list(&call->domain->failpoints, call->now_ns, armed);
	r->failpoints = call_alloc(call, (n + 1) * sizeof(*r->failpoints));
	if (!r->failpoints)
		return fail_arena(call);
	for (uint32_t i = 0; i < n; i++) {
		r->failpoints[i] = message(call, &armed[i]);
		if (!r->failpoints[i])
			return CALL_DONE;
	}
	r->n_failpoints = n;
	call->response = &r->base;
	return CALL_DONE;
}
