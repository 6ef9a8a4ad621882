/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failpoints. Those of lib's edges and of its seam are handed to the host port, one plan a point;
 * rpc.reply is decided here. What has expired is dropped whenever somebody looks.
 */
#include "domain_types.h"

#include <stdlib.h>
#include <string.h>

#include "ptd/v1/failpoint.pb-c.h"

static const char *const names[PT_FP_COUNT] = {
	[PT_FP_POOL_RESERVE] = "pool.reserve", [PT_FP_TLBI_DROP] = "tlbi.drop",
	[PT_FP_RPC_REPLY] = "rpc.reply",       [PT_FP_CAS_LOSE] = "cas.lose",
	[PT_FP_TLBI_DELAY] = "tlbi.delay",     [PT_FP_FREE_DELAY] = "free.delay",
	[PT_FP_SECTION_LONG] = "section.long",
};

const char *failpoint_name(enum pt_failpoint point)
{
	return names[point];
}

enum pt_failpoint failpoint_by_name(const char *name)
{
	int i = 0;

	while (i < PT_FP_COUNT && strcmp(names[i], name))
		i++;
	return (enum pt_failpoint)i;
}

static bool is_libs(const struct failpoint_armed *fp)
{
	return fp->point != PT_FP_RPC_REPLY;
}

static void drop(struct failpoints *fps, struct failpoint_armed *fp)
{
	if (is_libs(fp))
		pt_host_failpoint_disarm(fp->point);
	fp->id = 0;
	atomic_fetch_sub(&fps->armed, 1);
}

static void expire(struct failpoints *fps, uint64_t now_ns)
{
	for (uint32_t i = 0; fps->entry && i < LIMIT_FAILPOINTS; i++)
		if (fps->entry[i].id && fps->entry[i].expires_ns <= now_ns)
			drop(fps, &fps->entry[i]);
}

static struct failpoint_armed *free_entry(struct failpoints *fps)
{
	for (uint32_t i = 0; i < LIMIT_FAILPOINTS; i++)
		if (!fps->entry[i].id)
			return &fps->entry[i];
	return NULL;
}

/* Lib keeps one plan a point. */
static bool taken(const struct failpoints *fps, struct failpoint_armed *how)
{
	for (uint32_t i = 0; is_libs(how) && i < LIMIT_FAILPOINTS; i++) {
		if (!fps->entry[i].id || fps->entry[i].point != how->point)
			continue;
		how->id = fps->entry[i].id;
		return true;
	}
	return false;
}

static void arm_lib(const struct failpoint_armed *how)
{
	struct pt_host_failpoint plan = {
		.scope = how->context,
		.connection = how->connection,
		.nth = how->nth,
		.times = how->times,
		.probability_ppm = how->probability_ppm,
		.seed = how->seed,
		.delay_ms = how->delay_ms,
	};

	if (is_libs(how))
		pt_host_failpoint_arm(how->point, &plan);
}

static enum pt_outcome arm(struct failpoints *fps, struct failpoint_armed *how)
{
	struct failpoint_armed *fp;

	if (!fps->entry)
		fps->entry = calloc(LIMIT_FAILPOINTS, sizeof(*fps->entry));
	if (!fps->entry)
		return PT_NO_MEMORY;
	if (taken(fps, how))
		return PT_WRONG_STATE;
	fp = free_entry(fps);
	if (!fp)
		return PT_TOO_LARGE;
	how->id = ++fps->last_id;
	*fp = *how;
	atomic_fetch_add(&fps->armed, 1);
	arm_lib(how);
	return PT_OK;
}

enum pt_outcome failpoints_arm(struct failpoints *fps, struct failpoint_armed *how)
{
	enum pt_outcome o;

	pt_port_lock(&fps->lock);
	o = arm(fps, how);
	pt_port_unlock(&fps->lock);
	return o;
}

uint32_t failpoints_disarm(struct failpoints *fps, uint64_t id)
{
	uint32_t n = 0;

	pt_port_lock(&fps->lock);
	for (uint32_t i = 0; fps->entry && i < LIMIT_FAILPOINTS; i++) {
		if (!fps->entry[i].id || (id && fps->entry[i].id != id))
			continue;
		drop(fps, &fps->entry[i]);
		n++;
	}
	pt_port_unlock(&fps->lock);
	return n;
}

static int by_id(const void *a, const void *b)
{
	const struct failpoint_armed *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

uint32_t failpoints_list(struct failpoints *fps, uint64_t now_ns, struct failpoint_armed *out)
{
	uint32_t n = 0;

	pt_port_lock(&fps->lock);
	expire(fps, now_ns);
	for (uint32_t i = 0; fps->entry && i < LIMIT_FAILPOINTS; i++) {
		if (!fps->entry[i].id)
			continue;
		out[n] = fps->entry[i];
		if (is_libs(&out[n]))
			pt_host_failpoint_counts(out[n].point, &out[n].hits, &out[n].failures);
		n++;
	}
	pt_port_unlock(&fps->lock);
	qsort(out, n, sizeof(*out), by_id);
	return n;
}

void failpoints_enter(struct call *call)
{
	struct failpoints *fps = &call->domain->failpoints;

	pt_port_lock(&fps->lock);
	expire(fps, call->now_ns);
	pt_port_unlock(&fps->lock);
	pt_host_failpoint_caller(call->connection);
}

void failpoints_free(struct failpoints *fps)
{
	failpoints_disarm(fps, 0);
	free(fps->entry);
	fps->entry = NULL;
}

/* splitmix64's output function: the n-th draw of a seed, whatever was drawn before. */
static uint64_t draw(uint64_t seed, uint64_t n)
{
	uint64_t x = seed + n * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* One hit: does it fail? */
static bool fires(struct failpoint_armed *fp)
{
	uint64_t hit = ++fp->hits;
	bool now;

	if (fp->nth)
		now = hit >= fp->nth && (!fp->times || hit - fp->nth < fp->times);
	else
		now = (!fp->times || fp->failures < fp->times) &&
		      draw(fp->seed, hit) % 1000000 < fp->probability_ppm;
	fp->failures += now;
	return now;
}

/* The object that the request names: a field called context, or else handle. */
static uint64_t named_context(const ProtobufCMessage *request)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "context");
	uint64_t handle;

	if (!f)
		f = protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "handle");
	if (!f || f->type != PROTOBUF_C_TYPE_FIXED64)
		return 0;
	memcpy(&handle, (const char *)request + f->offset, sizeof(handle));
	return handle;
}

static bool in_scope(const struct failpoint_armed *fp, const struct call *call)
{
	if (!fp->id || is_libs(fp))
		return false;
	if (fp->connection && fp->connection != call->connection)
		return false;
	return !fp->context || (call->request && fp->context == named_context(call->request));
}

/* The calls that arm and disarm are beyond the reach of what they arm. */
static bool exempt(const struct call *call)
{
	const ProtobufCMessageDescriptor *d = call->request ? call->request->descriptor : NULL;

	return d == &ptd__v1__arm_failpoint_request__descriptor ||
	       d == &ptd__v1__disarm_failpoints_request__descriptor ||
	       d == &ptd__v1__list_failpoints_request__descriptor;
}

static struct reply_failure fate_of(const struct failpoint_armed *fp)
{
	switch (fp->action) {
	case PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DROP:
		return (struct reply_failure){.fate = REPLY_DROP};
	case PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY:
		return (struct reply_failure){.fate = REPLY_DELAY, .delay_ms = fp->delay_ms};
	default:
		return (struct reply_failure){.fate = REPLY_ERROR,
					      .grpc_status = fp->grpc_status ? fp->grpc_status
									     : PT_GRPC_UNAVAILABLE};
	}
}

static struct reply_failure decide(struct failpoints *fps, struct call *call)
{
	struct reply_failure failure = {.fate = REPLY_SEND};

	pt_port_lock(&fps->lock);
	expire(fps, call->now_ns);
	for (uint32_t i = 0; fps->entry && i < LIMIT_FAILPOINTS; i++) {
		struct failpoint_armed *fp = &fps->entry[i];

		if (in_scope(fp, call) && fires(fp) && failure.fate == REPLY_SEND)
			failure = fate_of(fp);
	}
	pt_port_unlock(&fps->lock);
	return failure;
}

struct reply_failure domain_reply_fate(struct call *call)
{
	struct failpoints *fps = &call->domain->failpoints;

	if (likely(!atomic_load_explicit(&fps->armed, memory_order_relaxed)) || exempt(call))
		return (struct reply_failure){.fate = REPLY_SEND};
	return decide(fps, call);
}
