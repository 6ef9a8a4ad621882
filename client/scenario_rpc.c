/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: the target, blocking calls, and a context's state. */
#include "scenario_rpc.h"

#include "ptd/v1/context.pb-c.h"

#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>

/* An answer without a number of the outcome table: what comes nearest. */
static unsigned code_of(const struct ptd_status *status)
{
	if (status->code)
		return status->code;
	if (status->where == PTD_WHERE_DEADLINE || status->grpc == PT_GRPC_DEADLINE_EXCEEDED)
		return PT_DEADLINE;
	if (status->grpc == PT_GRPC_CANCELLED)
		return PT_CANCELLED;
	return status->grpc == PT_GRPC_UNIMPLEMENTED ? PT_UNSUPPORTED : PT_INTERNAL;
}

void scn_fail_reply(struct scn_reply *reply, const struct ptd_status *status)
{
	unsigned code = code_of(status);
	const struct pt_outcome_info *info = pt_outcome_info(code);

	scn_set_fact(reply, SCN_FACT_outcome, code);
	scn_set_fact(reply, SCN_FACT_errors, 1);
	scn_set_fact(reply, SCN_FACT_error_index, status->index);
	scn_set_fact(reply, SCN_FACT_error_ipa, status->ipa);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)status->level);
	scn_set_fact(reply, SCN_FACT_nearest_below, status->nearest_below);
	scn_set_fact(reply, SCN_FACT_nearest_above, status->nearest_above);
	snprintf(reply->text, sizeof(reply->text), "%s: %s", info ? info->name : "error",
		 status->message);
}

bool scn_rpc_call(struct scn_rpc *rpc, const char *method, const ProtobufCMessage *request,
		  const ProtobufCMessageDescriptor *type, ProtobufCMessage **response,
		  struct scn_reply *reply)
{
	size_t length = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = malloc(length + !length);
	ProtobufCMessage *message = NULL;
	struct ptd_reply answer;

	if (!bytes)
		return false;
	protobuf_c_message_pack(request, bytes);
	if (ptd_unary(rpc->control, method, bytes, length, 0, &answer) == PTD_STATE_OK)
		message = protobuf_c_message_unpack(type, NULL, answer.length, answer.data);
	else
		scn_fail_reply(reply, answer.status);
	free(bytes);
	if (!message && answer.status->state == PTD_STATE_OK) {
		scn_set_fact(reply, SCN_FACT_outcome, PT_INTERNAL);
		snprintf(reply->text, sizeof(reply->text), "the daemon's answer cannot be read");
	}
	if (response)
		*response = message;
	else
		protobuf_c_message_free_unpacked(message, NULL);
	return message;
}

bool scn_rpc_open(struct scn_rpc *rpc, const char *endpoint, const struct ptd_options *connection,
		  struct ptd_status *status)
{
	struct ptd_options options;

	memset(rpc, 0, sizeof(*rpc));
	rpc->endpoint = endpoint;
	/* Nobody answers the PINGs of a connection that waits while others are at work: the daemon
	 * may end it then. */
	rpc->connection = *connection;
	rpc->connection.reconnects = 2;
	/* BUSY is an outcome here: what makes it pass is a later line. */
	options = rpc->connection;
	options.retries = 1;
	rpc->control = ptd_open(endpoint, &options, status);
	return rpc->control;
}

void scn_rpc_close(struct scn_rpc *rpc, bool keep)
{
	struct scn_reply ignored;

	for (uint32_t i = 0; i < SCN_MAX_MACHINES && !keep; i++)
		if (rpc->machine[i])
			scn_delete_machine(rpc, i, &ignored);
	ptd_close(rpc->control);
	rpc->control = NULL;
}

static bool connected(const struct scn_rpc *rpc, struct scn_reply *reply)
{
	const struct ptd_status *status = ptd_connection(rpc->control);

	if (status->state == PTD_STATE_OK ||
	    !scn_is_failure((unsigned)reply->fact[SCN_FACT_outcome]))
		return true;
	snprintf(reply->text, sizeof(reply->text), "%s", status->message);
	return false;
}

/* Operations that come in numbers, on the control connection. */
static bool run_hot(struct scn_rpc *rpc, const struct scenario *s, uint32_t record,
		    struct scn_reply *reply, struct scn_sums *sums)
{
	struct scn_lane *lane = malloc(sizeof(*lane));

	if (!lane)
		return false;
	scn_lane_init(lane, rpc, s, rpc->control);
	scn_lane_run(lane, record);
	*reply = lane->reply;
	reply->mismatch.record = UINT32_MAX;
	scn_add_sums(sums, &lane->sums);
	free(lane);
	return true;
}

static bool is_hot(unsigned op)
{
	return scn_is_series(op) || op == SCN_ACCESS || op == SCN_FAULT || op == SCN_TRANSLATE;
}

static bool run(void *self, const struct scenario *s, uint32_t record, struct scn_reply *reply,
		struct scn_sums *sums)
{
	struct scn_rpc *rpc = self;
	const struct scn_record *r = &s->records[record];
	uint64_t t = scn_now_ns();

	if (r->op == SCN_PAR)
		return scn_rpc_par(rpc, s, record, reply, sums);
	if (is_hot(r->op)) {
		run_hot(rpc, s, record, reply, sums);
	} else {
		scn_count(sums, SCN_FACT_calls, 1);
		if (r->op == SCN_BATCH)
			scn_rpc_batch(rpc, s, record, reply, sums);
		else if (r->op >= SCN_LOG_START && r->op <= SCN_LOG_STOP)
			scn_rpc_log(rpc, r, reply);
		else if (r->op == SCN_OWN)
			scn_rpc_own(rpc, r, reply);
		else if (r->op >= SCN_TABLES && r->op <= SCN_GUEST_AT)
			scn_rpc_nested(rpc, r, reply);
		else
			scn_rpc_object(rpc, s, r, reply);
		if (scn_is_failure((unsigned)reply->fact[SCN_FACT_outcome]))
			scn_count(sums, SCN_FACT_failed, 1);
	}
	reply->ns = scn_now_ns() - t;
	return connected(rpc, reply);
}

static bool digest(struct scn_rpc *rpc, uint64_t context, bool stable, struct scn_state *state,
		   struct scn_reply *reply)
{
	Ptd__V1__GetDigestRequest m = PTD__V1__GET_DIGEST_REQUEST__INIT;
	const Ptd__V1__GetDigestResponse *got;
	ProtobufCMessage *answer;
	uint64_t all = 0;

	m.context = context;
	m.stable = stable;
	if (!scn_rpc_call(rpc, "/ptd.v1.ContextService/GetDigest", &m.base,
			  &ptd__v1__get_digest_response__descriptor, &answer, reply))
		return false;
	got = (const void *)answer;
	state->digest[0] = got->digest_low;
	state->digest[1] = got->digest_high;
	scn_set_state(state, SCN_FACT_tables, got->tables);
	scn_set_state(state, SCN_FACT_generation, got->generation);
	for (size_t i = 0; i < got->n_leaves && i < 5; i++) {
		scn_set_state(state, (enum scn_fact)(SCN_FACT_leaves_minus1 + i), got->leaves[i]);
		all += got->leaves[i];
	}
	scn_set_state(state, SCN_FACT_leaves, all);
	protobuf_c_message_free_unpacked(answer, NULL);
	return true;
}

static bool get_state(void *self, const struct scenario *s, uint32_t context,
		      struct scn_state *state)
{
	struct scn_rpc *rpc = self;
	Ptd__V1__GetContextRequest m = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	const Ptd__V1__GetContextResponse *got;
	ProtobufCMessage *answer;
	uint64_t nested = rpc->nested[context];
	struct scn_reply reply = {0};

	(void)s;
	m.handle = rpc->context[context];
	/* Nobody holds a shadow still. */
	if (!digest(rpc, m.handle, !nested || nested == m.handle, state, &reply) ||
	    (nested && !scn_rpc_shadows(rpc, nested, state, &reply)) ||
	    !scn_rpc_call(rpc, "/ptd.v1.ContextService/GetContext", &m.base,
			  &ptd__v1__get_context_response__descriptor, &answer, &reply)) {
		snprintf(state->text, sizeof(state->text), "the context's state: %s", reply.text);
		return false;
	}
	got = (const void *)answer;
	if (got->context)
		scn_set_state(state, SCN_FACT_table_pages, got->context->table_pages);
	protobuf_c_message_free_unpacked(answer, NULL);
	return true;
}

struct scn_target scn_rpc_target(struct scn_rpc *rpc)
{
	return (struct scn_target){rpc, run, get_state};
}
