/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: operations that make, change and delete objects, and failpoints. */
#include "scenario_rpc.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/machine.pb-c.h"

bool scn_delete_machine(struct scn_rpc *rpc, uint32_t index, struct scn_reply *reply)
{
	Ptd__V1__DeleteMachineRequest m = PTD__V1__DELETE_MACHINE_REQUEST__INIT;

	m.handle = rpc->machine[index];
	m.force = true;
	return scn_rpc_call(rpc, "/ptd.v1.MachineService/DeleteMachine", &m.base,
			    &ptd__v1__delete_machine_response__descriptor, NULL, reply);
}

static void create_machine(struct scn_rpc *rpc, const struct scenario *s,
			   const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__CreateMachineRequest m = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	ProtobufCMessage *answer;
	const Ptd__V1__CreateMachineResponse *made;

	m.name = (char *)scenario_string(s, r->name);
	m.memory_bytes = r->body.machine.memory_bytes;
	m.vcpus = r->body.machine.vcpus;
	m.pa_bits = r->body.machine.pa_bits;
	m.vmid_bits = r->body.machine.vmid_bits;
	m.owners = r->body.machine.flags & SCN_MACHINE_OWNERS;
	if (!scn_rpc_call(rpc, "/ptd.v1.MachineService/CreateMachine", &m.base,
			  &ptd__v1__create_machine_response__descriptor, &answer, reply))
		return;
	made = (const void *)answer;
	rpc->machine[r->object] = made->machine ? made->machine->handle : 0;
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void create_context(struct scn_rpc *rpc, const struct scenario *s,
			   const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_context_body *b = &r->body.context;
	Ptd__V1__CreateContextRequest m = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__Geometry geometry = PTD__V1__GEOMETRY__INIT;
	ProtobufCMessage *answer;
	const Ptd__V1__CreateContextResponse *made;

	geometry.granule_shift = b->granule_shift;
	geometry.ipa_bits = b->ipa_bits;
	geometry.pa_bits = b->pa_bits;
	geometry.ds = (b->flags & SCN_CTX_DS) != 0;
	geometry.start_level_plus_2 = b->start_plus_2;
	options.fwb = (b->flags & SCN_CTX_FWB) != 0;
	options.xnx = (b->flags & SCN_CTX_XNX) != 0;
	options.ha = (b->flags & SCN_CTX_HA) != 0;
	options.hd = (b->flags & SCN_CTX_HD) != 0;
	options.identity = (b->flags & SCN_CTX_IDENTITY) != 0;
	options.nested = (b->flags & SCN_CTX_NESTED) != 0;
	options.max_shadows = b->shadows;
	options.protected_ = (b->flags & SCN_CTX_PROTECTED) != 0;
	m.machine = rpc->machine[b->machine];
	m.name = (char *)scenario_string(s, r->name);
	m.kind = (Ptd__V1__ContextKind)b->kind;
	m.geometry = b->vtcr ? NULL : &geometry;
	m.vtcr = b->vtcr;
	m.options = &options;
	options.bbm = b->bbm;
	options.software_bits = b->software;
	m.quota_pages = b->quota_pages;
	if (!scn_rpc_call(rpc, "/ptd.v1.ContextService/CreateContext", &m.base,
			  &ptd__v1__create_context_response__descriptor, &answer, reply))
		return;
	made = (const void *)answer;
	rpc->context[r->object] = made->context ? made->context->handle : 0;
	rpc->nested[r->object] = b->flags & SCN_CTX_NESTED ? rpc->context[r->object] : 0;
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void set_slot(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_slot_body *b = &r->body.slot;
	Ptd__V1__SetSlotRequest m = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;
	ProtobufCMessage *answer;

	slot.id = b->id;
	slot.ipa = b->ipa;
	slot.size = b->size;
	slot.pa = b->pa;
	slot.flags = b->flags;
	slot.backing = b->backing;
	m.context = rpc->context[r->object];
	m.slot = &slot;
	if (!scn_rpc_call(rpc, "/ptd.v1.ContextService/SetSlot", &m.base,
			  &ptd__v1__set_slot_response__descriptor, &answer, reply))
		return;
	scn_take_effects(((const Ptd__V1__SetSlotResponse *)(const void *)answer)->effects, reply);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void delete_slot(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__DeleteSlotRequest m = PTD__V1__DELETE_SLOT_REQUEST__INIT;
	ProtobufCMessage *answer;

	m.context = rpc->context[r->object];
	m.id = r->body.slot.id;
	if (!scn_rpc_call(rpc, "/ptd.v1.ContextService/DeleteSlot", &m.base,
			  &ptd__v1__delete_slot_response__descriptor, &answer, reply))
		return;
	scn_take_effects(((const Ptd__V1__DeleteSlotResponse *)(const void *)answer)->effects,
			 reply);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void set_quota(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__SetQuotaRequest m = PTD__V1__SET_QUOTA_REQUEST__INIT;

	m.context = rpc->context[r->object];
	m.quota_pages = r->body.quota.pages;
	scn_rpc_call(rpc, "/ptd.v1.ContextService/SetQuota", &m.base,
		     &ptd__v1__set_quota_response__descriptor, NULL, reply);
}

static void delete_context(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__DeleteContextRequest m = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	ProtobufCMessage *answer;

	m.handle = rpc->context[r->object];
	if (!scn_rpc_call(rpc, "/ptd.v1.ContextService/DeleteContext", &m.base,
			  &ptd__v1__delete_context_response__descriptor, &answer, reply))
		return;
	scn_take_effects(((const Ptd__V1__DeleteContextResponse *)(const void *)answer)->effects,
			 reply);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void arm(struct scn_rpc *rpc, const struct scenario *s, const struct scn_record *r,
		struct scn_reply *reply)
{
	const struct scn_failpoint_body *b = &r->body.failpoint;
	Ptd__V1__ArmFailpointRequest m = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;
	Ptd__V1__Failpoint f = PTD__V1__FAILPOINT__INIT;

	f.name = (char *)scenario_string(s, r->name);
	f.action = (Ptd__V1__FailpointAction)b->action;
	f.context = b->scoped ? rpc->context[r->object] : 0;
	f.nth = b->nth;
	f.times = b->times;
	f.probability_ppm = b->probability_ppm;
	f.seed = b->seed;
	f.time_to_live_ms = b->ttl_ms;
	f.delay_ms = b->delay_ms;
	f.grpc_status = b->grpc_status;
	m.failpoint = &f;
	scn_rpc_call(rpc, "/ptd.v1.FailpointService/ArmFailpoint", &m.base,
		     &ptd__v1__arm_failpoint_response__descriptor, NULL, reply);
}

static void disarm(struct scn_rpc *rpc, struct scn_reply *reply)
{
	Ptd__V1__DisarmFailpointsRequest m = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;

	scn_rpc_call(rpc, "/ptd.v1.FailpointService/DisarmFailpoints", &m.base,
		     &ptd__v1__disarm_failpoints_response__descriptor, NULL, reply);
}

void scn_rpc_object(struct scn_rpc *rpc, const struct scenario *s, const struct scn_record *r,
		    struct scn_reply *reply)
{
	switch (r->op) {
	case SCN_MACHINE: create_machine(rpc, s, r, reply); break;
	case SCN_CONTEXT: create_context(rpc, s, r, reply); break;
	case SCN_SLOT: set_slot(rpc, r, reply); break;
	case SCN_DELETE_SLOT: delete_slot(rpc, r, reply); break;
	case SCN_QUOTA: set_quota(rpc, r, reply); break;
	case SCN_FAILPOINT: arm(rpc, s, r, reply); break;
	case SCN_DISARM: disarm(rpc, reply); break;
	case SCN_DELETE_CONTEXT: delete_context(rpc, r, reply); break;
	default:
		if (scn_delete_machine(rpc, r->object, reply))
			rpc->machine[r->object] = 0;
	}
}
