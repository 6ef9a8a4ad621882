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

/* What came, unpacked, or NULL and why. */
static void *answer_of(struct ptd_client *client, const struct ptd_request *what,
		       const ProtobufCMessageDescriptor *type, struct ptd_status *status)
{
	struct ptd_reply reply;
	void *answer;

	if (ptd_unary_request(client, what, &reply) != PTD_STATE_OK) {
		*status = *reply.status;
		return NULL;
	}
	answer = protobuf_c_message_unpack(type, NULL, reply.length, reply.data);
	if (answer)
		*status = status_ok;
	else
		status_local(status, PTD_STATE_UNKNOWN, PTD_WHERE_ARGUMENT, 13,
			     "the answer is not a %s", type->name);
	return answer;
}

enum ptd_state typed_call(struct ptd_client *client, const char *method,
			  const ProtobufCMessage *request, ProtobufCBinaryData *request_id,
			  bool repeat, const ProtobufCMessageDescriptor *type,
			  void (*read)(void *into, const void *answer), void *into,
			  struct ptd_status *status)
{
	struct ptd_request what = {.size = sizeof(what), .method = method};
	uint8_t room[REQUEST_ROOM], id[16], *bytes;
	struct ptd_status unused;
	void *answer;

	status = status ? status : &unused;
	if (request_id && client_reconnects(client) && ptd_draw_request_id(id)) {
		*request_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
		repeat = true;
	}
	what.flags = repeat ? PTD_CALL_REPLAY : 0;
	what.length = protobuf_c_message_get_packed_size(request);
	bytes = what.length <= sizeof(room) ? room : malloc(what.length);
	if (!bytes) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return PTD_STATE_FAILED;
	}
	protobuf_c_message_pack(request, bytes);
	what.data = bytes;
	answer = answer_of(client, &what, type, status);
	if (bytes != room)
		free(bytes);
	if (answer)
		read(into, answer);
	protobuf_c_message_free_unpacked(answer, NULL);
	return (enum ptd_state)status->state;
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

static void read_machine(void *into, const void *answer)
{
	const Ptd__V1__GetMachineResponse *got = answer;

	if (got->machine)
		*(uint64_t *)into = got->machine->handle;
}

enum ptd_state ptd_find_machine(struct ptd_client *client, const char *name, uint64_t *handle,
				struct ptd_status *status)
{
	Ptd__V1__GetMachineRequest request = PTD__V1__GET_MACHINE_REQUEST__INIT;

	request.name = (char *)(uintptr_t)name;
	return typed_call(client, "/ptd.v1.MachineService/GetMachine", &request.base, NULL, true,
			  &ptd__v1__get_machine_response__descriptor, read_machine, handle, status);
}

static void read_context(void *into, const void *answer)
{
	const Ptd__V1__GetContextResponse *got = answer;

	if (got->context)
		*(uint64_t *)into = got->context->handle;
}

enum ptd_state ptd_find_context(struct ptd_client *client, const char *name, uint64_t *handle,
				struct ptd_status *status)
{
	Ptd__V1__GetContextRequest request = PTD__V1__GET_CONTEXT_REQUEST__INIT;

	request.name = (char *)(uintptr_t)name;
	return typed_call(client, "/ptd.v1.ContextService/GetContext", &request.base, NULL, true,
			  &ptd__v1__get_context_response__descriptor, read_context, handle, status);
}

static void read_change(void *into, const void *answer)
{
	const Ptd__V1__MapResponse *changed = answer;

	effects_read(into, changed->effects, changed->generation, changed->outcome);
}

/* Map, Unmap and Protect are answered in the same fields. */
static enum ptd_state change(struct ptd_client *client, const char *method,
			     const ProtobufCMessage *request, ProtobufCBinaryData *request_id,
			     struct ptd_effects *effects, struct ptd_status *status)
{
	return typed_call(client, method, request, request_id, false,
			  &ptd__v1__map_response__descriptor, read_change, effects, status);
}

enum ptd_state ptd_map(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
		       uint64_t size, struct ptd_pa pa, uint32_t prot, uint32_t flags,
		       struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__MapRequest request = PTD__V1__MAP_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.pa = pa.v;
	request.prot = prot;
	request.flags = flags;
	return change(client, "/ptd.v1.MappingService/Map", &request.base, &request.request_id,
		      effects, status);
}

enum ptd_state ptd_unmap(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			 uint64_t size, struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__UnmapRequest request = PTD__V1__UNMAP_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	return change(client, "/ptd.v1.MappingService/Unmap", &request.base, &request.request_id,
		      effects, status);
}

enum ptd_state ptd_protect(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			   uint64_t size, uint32_t prot, struct ptd_effects *effects,
			   struct ptd_status *status)
{
	Ptd__V1__ProtectRequest request = PTD__V1__PROTECT_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.prot = prot;
	return change(client, "/ptd.v1.MappingService/Protect", &request.base, &request.request_id,
		      effects, status);
}

static void read_translation(void *into, const void *answer)
{
	const Ptd__V1__TranslateResponse *got = answer;

	*(struct ptd_translation *)into = (struct ptd_translation){.outcome = got->outcome,
								   .prot = got->prot,
								   .level = got->level,
								   .pa = {got->pa},
								   .par = got->par,
								   .descriptor = got->descriptor,
								   .span = got->span};
}

enum ptd_state ptd_translate(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			     uint32_t access, struct ptd_translation *translation,
			     struct ptd_status *status)
{
	Ptd__V1__TranslateRequest request = PTD__V1__TRANSLATE_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.access = (Ptd__V1__AccessKind)access;
	return typed_call(client, "/ptd.v1.FaultService/Translate", &request.base, NULL, true,
			  &ptd__v1__translate_response__descriptor, read_translation, translation,
			  status);
}

struct accessed {
	void *data; /* of a read: room for `length` bytes */
	uint32_t length;
	uint32_t *outcome;
};

static void read_access(void *into, const void *answer)
{
	const Ptd__V1__AccessResponse *got = answer;
	const struct accessed *to = into;

	if (to->data && got->data.len)
		memcpy(to->data, got->data.data,
		       got->data.len < to->length ? got->data.len : to->length);
	*to->outcome = got->outcome;
}

/* A read may be done twice. */
static enum ptd_state access_memory(struct ptd_client *client,
				    const Ptd__V1__AccessRequest *request, struct accessed *to,
				    struct ptd_status *status)
{
	return typed_call(client, "/ptd.v1.FaultService/Access", &request->base, NULL,
			  to->data != NULL, &ptd__v1__access_response__descriptor, read_access, to,
			  status);
}

enum ptd_state ptd_read(struct ptd_client *client, uint64_t context, uint32_t vcpu,
			struct ptd_ipa ipa, void *data, uint32_t length, uint32_t *outcome,
			struct ptd_status *status)
{
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;
	struct accessed to = {data, length, outcome};

	request.context = context;
	request.vcpu = vcpu;
	request.ipa = ipa.v;
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	request.length = length;
	return access_memory(client, &request, &to, status);
}

enum ptd_state ptd_write(struct ptd_client *client, uint64_t context, uint32_t vcpu,
			 struct ptd_ipa ipa, const void *data, uint32_t length, uint32_t *outcome,
			 struct ptd_status *status)
{
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;
	struct accessed to = {NULL, 0, outcome};

	request.context = context;
	request.vcpu = vcpu;
	request.ipa = ipa.v;
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	request.data.data = (uint8_t *)(uintptr_t)data;
	request.data.len = length;
	return access_memory(client, &request, &to, status);
}
