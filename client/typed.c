/* SPDX-License-Identifier: BSD-2-Clause */
/* The typed calls of ptd.h: C structs on the outside, ptd.v1 messages on the wire. */
#include "typed.h"
#include "core.h"
#include "status.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* Requests here are small but for the data of a write. */
#define REQUEST_ROOM 256

void typed_take_id(struct ptd_client *client, ProtobufCBinaryData *field, uint8_t id[16])
{
	if (client_reconnects(client) && ptd_draw_request_id(id))
		*field = (ProtobufCBinaryData){.len = 16, .data = id};
}

void *typed_call(struct ptd_client *client, const char *method, const ProtobufCMessage *request,
		 enum typed_repeat repeat, const ProtobufCMessageDescriptor *type,
		 struct ptd_status *status)
{
	struct ptd_request what = {.size = sizeof(what), .method = method};
	size_t length = protobuf_c_message_get_packed_size(request);
	uint8_t room[REQUEST_ROOM];
	uint8_t *bytes = length <= sizeof(room) ? room : malloc(length);
	struct ptd_reply reply;
	void *response = NULL;

	if (!bytes) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return NULL;
	}
	protobuf_c_message_pack(request, bytes);
	what.flags = repeat == REPEAT_NOT ? 0 : PTD_CALL_REPLAY;
	what.data = bytes;
	what.length = length;
	if (ptd_unary_request(client, &what, &reply) == PTD_STATE_OK) {
		response = protobuf_c_message_unpack(type, NULL, reply.length, reply.data);
		if (!response)
			status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_ARGUMENT, 13,
				     "the answer is not a %s", type->name);
		else
			*status = status_ok;
	} else {
		*status = *reply.status;
	}
	if (bytes != room)
		free(bytes);
	return response;
}

void effects_read(struct ptd_effects *to, const Ptd__V1__Effects *from, uint64_t generation,
		  uint32_t outcome)
{
	if (!to)
		return;
	memset(to, 0, sizeof(*to));
	to->generation = generation;
	to->outcome = outcome;
	if (!from)
		return;
	to->leaves_written = from->leaves_written;
	to->leaves_removed = from->leaves_removed;
	to->already = from->already;
	to->holes = from->holes;
	to->blocks_split = from->blocks_split;
	to->tables_added = from->tables_added;
	to->tables_freed = from->tables_freed;
	to->tlbis = from->tlbis;
	to->annotated = from->annotated < UINT32_MAX ? (uint32_t)from->annotated : UINT32_MAX;
}

enum ptd_state ptd_find_machine(struct ptd_client *client, const char *name, uint64_t *handle,
				struct ptd_status *status)
{
	Ptd__V1__GetMachineRequest request = PTD__V1__GET_MACHINE_REQUEST__INIT;
	Ptd__V1__GetMachineResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.name = (char *)(uintptr_t)name;
	response = typed_call(client, "/ptd.v1.MachineService/GetMachine", &request.base,
			      REPEAT_FREELY, &ptd__v1__get_machine_response__descriptor, status);
	if (response && response->machine)
		*handle = response->machine->handle;
	ptd__v1__get_machine_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_find_context(struct ptd_client *client, const char *name, uint64_t *handle,
				struct ptd_status *status)
{
	Ptd__V1__GetContextRequest request = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__GetContextResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.name = (char *)(uintptr_t)name;
	response = typed_call(client, "/ptd.v1.ContextService/GetContext", &request.base,
			      REPEAT_FREELY, &ptd__v1__get_context_response__descriptor, status);
	if (response && response->context)
		*handle = response->context->handle;
	ptd__v1__get_context_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_map(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
		       uint64_t size, struct ptd_pa pa, uint32_t prot, uint32_t flags,
		       struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__MapRequest request = PTD__V1__MAP_REQUEST__INIT;
	Ptd__V1__MapResponse *response;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	typed_take_id(client, &request.request_id, id);
	request.pa = pa.v;
	request.prot = prot;
	request.flags = flags;
	response = typed_call(client, "/ptd.v1.MappingService/Map", &request.base,
			      typed_with_id(&request.request_id),
			      &ptd__v1__map_response__descriptor, status);
	if (response)
		effects_read(effects, response->effects, response->generation, response->outcome);
	ptd__v1__map_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_unmap(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			 uint64_t size, struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__UnmapRequest request = PTD__V1__UNMAP_REQUEST__INIT;
	Ptd__V1__UnmapResponse *response;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	typed_take_id(client, &request.request_id, id);
	response = typed_call(client, "/ptd.v1.MappingService/Unmap", &request.base,
			      typed_with_id(&request.request_id),
			      &ptd__v1__unmap_response__descriptor, status);
	if (response)
		effects_read(effects, response->effects, response->generation, response->outcome);
	ptd__v1__unmap_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_protect(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			   uint64_t size, uint32_t prot, struct ptd_effects *effects,
			   struct ptd_status *status)
{
	Ptd__V1__ProtectRequest request = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__ProtectResponse *response;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	typed_take_id(client, &request.request_id, id);
	request.prot = prot;
	response = typed_call(client, "/ptd.v1.MappingService/Protect", &request.base,
			      typed_with_id(&request.request_id),
			      &ptd__v1__protect_response__descriptor, status);
	if (response)
		effects_read(effects, response->effects, response->generation, response->outcome);
	ptd__v1__protect_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_translate(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			     uint32_t access, struct ptd_translation *translation,
			     struct ptd_status *status)
{
	Ptd__V1__TranslateRequest request = PTD__V1__TRANSLATE_REQUEST__INIT;
	Ptd__V1__TranslateResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.access = (Ptd__V1__AccessKind)access;
	response = typed_call(client, "/ptd.v1.FaultService/Translate", &request.base,
			      REPEAT_FREELY, &ptd__v1__translate_response__descriptor, status);
	if (response)
		*translation = (struct ptd_translation){.outcome = response->outcome,
							.prot = response->prot,
							.level = response->level,
							.pa = {response->pa},
							.par = response->par,
							.descriptor = response->descriptor,
							.span = response->span};
	ptd__v1__translate_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

/* `into` gets what a read brought. */
static enum ptd_state access_memory(struct ptd_client *client,
				    const Ptd__V1__AccessRequest *request, void *into,
				    uint32_t *outcome, struct ptd_status *status)
{
	struct ptd_status unused;
	Ptd__V1__AccessResponse *response;

	status = status ? status : &unused;
	response = typed_call(client, "/ptd.v1.FaultService/Access", &request->base,
			      into ? REPEAT_FREELY : REPEAT_NOT,
			      &ptd__v1__access_response__descriptor, status);
	if (response && into && response->data.len)
		memcpy(into, response->data.data,
		       response->data.len < request->length ? response->data.len : request->length);
	if (response)
		*outcome = response->outcome;
	ptd__v1__access_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_read(struct ptd_client *client, uint64_t context, uint32_t vcpu,
			struct ptd_ipa ipa, void *data, uint32_t length, uint32_t *outcome,
			struct ptd_status *status)
{
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;

	request.context = context;
	request.vcpu = vcpu;
	request.ipa = ipa.v;
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	request.length = length;
	return access_memory(client, &request, data, outcome, status);
}

enum ptd_state ptd_write(struct ptd_client *client, uint64_t context, uint32_t vcpu,
			 struct ptd_ipa ipa, const void *data, uint32_t length, uint32_t *outcome,
			 struct ptd_status *status)
{
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;

	request.context = context;
	request.vcpu = vcpu;
	request.ipa = ipa.v;
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	request.data.data = (uint8_t *)(uintptr_t)data;
	request.data.len = length;
	return access_memory(client, &request, NULL, outcome, status);
}
