/* SPDX-License-Identifier: BSD-2-Clause */
/* One call as handlers make it: connect once, pack, call, unpack, print. */
#include "commands.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/machine.pb-c.h"

#include <stdlib.h>
#include <string.h>

const struct value *ptctl_find(const struct ptctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->value_count; i++)
		if (!strcmp(ctl->values[i].param->name, name))
			return ctl->values + i;
	return NULL;
}

const struct value *ptctl_value(const struct ptctl *ctl, const char *name)
{
	const struct value *value = ptctl_find(ctl, name);

	if (!value)
		abort(); /* handler and table disagree */
	return value;
}

bool ptctl_given(const struct ptctl *ctl, const char *name)
{
	return ptctl_value(ctl, name)->given;
}

uint64_t ptctl_number(const struct ptctl *ctl, const char *name)
{
	return ptctl_value(ctl, name)->number;
}

const char *ptctl_text(const struct ptctl *ctl, const char *name)
{
	return ptctl_value(ctl, name)->text;
}

int ptctl_connect(struct ptctl *ctl)
{
	struct ptd_status status;

	if (ctl->client)
		return EXIT_DONE;
	ctl->client = ptd_open(ctl->endpoint, &ctl->connection, &status);
	if (ctl->client)
		return EXIT_DONE;
	/* Who refuses a certificate is there. */
	if (!status.hint[0] && status.where == PTD_WHERE_CONNECT &&
	    !strstr(status.message, "TLS: "))
		snprintf(status.hint, sizeof(status.hint),
			 "is ptd running there? --endpoint or PTD_ENDPOINT say where");
	return ptctl_failed(ctl, &status);
}

int ptctl_call(struct ptctl *ctl, const char *method, const ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type, ProtobufCMessage **response)
{
	size_t length = protobuf_c_message_get_packed_size(request);
	struct ptd_status broken = {.state = PTD_STATE_UNKNOWN,
				    .grpc = 13,
				    .level = PTD_LEVEL_UNKNOWN,
				    .message = "the daemon's answer cannot be read"};
	struct ptd_reply reply;
	uint8_t *bytes;
	int result = ptctl_connect(ctl);

	if (result)
		return result;
	bytes = ptctl_alloc(length);
	protobuf_c_message_pack(request, bytes);
	ptd_unary(ctl->client, method, bytes, length, 0, &reply);
	free(bytes);
	if (reply.status->state != PTD_STATE_OK)
		return ptctl_failed(ctl, reply.status);
	*response = protobuf_c_message_unpack(type, NULL, reply.length, reply.data);
	return *response ? EXIT_DONE : ptctl_failed(ctl, &broken);
}

int ptctl_show(struct ptctl *ctl, const char *method, const ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *response;
	int result = ptctl_call(ctl, method, request, type, &response);

	if (result)
		return result;
	output_message(&ctl->out, response, &ctl->command->view);
	protobuf_c_message_free_unpacked(response, NULL);
	return EXIT_DONE;
}

int ptctl_find_machine(struct ptctl *ctl, const char *name, uint64_t *handle)
{
	Ptd__V1__GetMachineRequest request = PTD__V1__GET_MACHINE_REQUEST__INIT;
	ProtobufCMessage *message;
	Ptd__V1__GetMachineResponse *response;
	int result;

	request.name = (char *)(uintptr_t)name;
	result = ptctl_call(ctl, "/ptd.v1.MachineService/GetMachine", &request.base,
			    &ptd__v1__get_machine_response__descriptor, &message);
	if (result)
		return result;
	response = (Ptd__V1__GetMachineResponse *)message;
	*handle = response->machine ? response->machine->handle : 0;
	protobuf_c_message_free_unpacked(message, NULL);
	return EXIT_DONE;
}

int ptctl_get_context(struct ptctl *ctl, const char *name, uint64_t handle,
		      Ptd__V1__GetContextResponse **got)
{
	Ptd__V1__GetContextRequest request = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	ProtobufCMessage *message;
	int result;

	request.handle = handle;
	if (name)
		request.name = (char *)(uintptr_t)name;
	result = ptctl_call(ctl, "/ptd.v1.ContextService/GetContext", &request.base,
			    &ptd__v1__get_context_response__descriptor, &message);
	if (result)
		return result;
	*got = (Ptd__V1__GetContextResponse *)message;
	if ((*got)->context)
		return EXIT_DONE;
	fprintf(stderr, "error: the daemon's answer has no context\n");
	protobuf_c_message_free_unpacked(message, NULL);
	return EXIT_REFUSED;
}

static int find_context(struct ptctl *ctl, const char *name, uint64_t *handle)
{
	Ptd__V1__GetContextResponse *got;
	int result = ptctl_get_context(ctl, name, 0, &got);

	if (result)
		return result;
	*handle = got->context->handle;
	if (got->context->geometry)
		ctl->out.ipa_bits = got->context->geometry->ipa_bits;
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return EXIT_DONE;
}

int ptctl_handle(struct ptctl *ctl, const char *name, uint64_t *handle)
{
	const struct value *value = ptctl_value(ctl, name);

	*handle = value->number;
	if (!value->given)
		return EXIT_DONE;
	ctl->about = value->text;
	if (value->number)
		return EXIT_DONE;
	return value->param->type == VALUE_MACHINE ? ptctl_find_machine(ctl, value->text, handle)
						   : find_context(ctl, value->text, handle);
}
