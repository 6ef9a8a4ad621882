/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: dirty logs. */
#include "scenario_rpc.h"

#include "ptd/v1/mapping.pb-c.h"

static void start(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_log_body *b = &r->body.log;
	Ptd__V1__StartDirtyLogRequest m = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	const Ptd__V1__StartDirtyLogResponse *got;
	ProtobufCMessage *answer;

	m.context = rpc->context[r->object];
	m.ipa = b->ipa;
	m.size = b->size;
	m.eager_split = b->flags & SCN_LOG_EAGER;
	m.initially_set = (b->flags & SCN_LOG_ALL) != 0;
	if (!scn_rpc_call(rpc, "/ptd.v1.MappingService/StartDirtyLog", &m.base,
			  &ptd__v1__start_dirty_log_response__descriptor, &answer, reply))
		return;
	got = (const void *)answer;
	rpc->log[b->index] = (struct scn_log){got->log, got->log_generation};
	scn_take_effects(got->effects, reply);
	protobuf_c_message_free_unpacked(answer, NULL);
}

/* One reply holds a part of a large log: asks until all has been told. */
static void get(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_log_body *b = &r->body.log;
	Ptd__V1__GetDirtyLogRequest m = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	struct scn_log *log = &rpc->log[b->index];
	uint64_t dirty = 0;
	bool done;

	m.log = log->handle;
	m.ipa = b->ipa;
	m.size = b->size;
	m.clear = (b->flags & SCN_LOG_CLEAR) != 0;
	do {
		const Ptd__V1__GetDirtyLogResponse *got;
		ProtobufCMessage *answer;

		m.log_generation = log->generation;
		if (!scn_rpc_call(rpc, "/ptd.v1.MappingService/GetDirtyLog", &m.base,
				  &ptd__v1__get_dirty_log_response__descriptor, &answer, reply))
			return;
		got = (const void *)answer;
		log->generation = got->log_generation;
		dirty += got->dirty;
		scn_set_fact(reply, SCN_FACT_next_ipa, got->next_ipa);
		done = got->done || got->next_ipa <= got->ipa;
		if (m.size)
			m.size -= got->next_ipa - got->ipa;
		m.ipa = got->next_ipa;
		protobuf_c_message_free_unpacked(answer, NULL);
	} while (!done);
	scn_set_fact(reply, SCN_FACT_dirty, dirty);
}

static void stop(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__StopDirtyLogRequest m = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;
	ProtobufCMessage *answer;

	m.log = rpc->log[r->body.log.index].handle;
	if (!scn_rpc_call(rpc, "/ptd.v1.MappingService/StopDirtyLog", &m.base,
			  &ptd__v1__stop_dirty_log_response__descriptor, &answer, reply))
		return;
	scn_set_fact(reply, SCN_FACT_dirty,
		     ((const Ptd__V1__StopDirtyLogResponse *)(const void *)answer)->dirty);
	protobuf_c_message_free_unpacked(answer, NULL);
}

void scn_rpc_log(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	switch (r->op) {
	case SCN_LOG_START: start(rpc, r, reply); break;
	case SCN_LOG_GET: get(rpc, r, reply); break;
	default: stop(rpc, r, reply); break;
	}
}
