/* SPDX-License-Identifier: BSD-2-Clause */
/* Server reflection, v1 and v1alpha: the same messages in two packages, so one set of C structs
 * serves both. A question that has no answer is an error_response, never a failed call. */
#include "domain.h"
#include "services.h"

#include <grpc/reflection/v1/reflection.pb-c.h>
#include <grpc/reflection/v1alpha/reflection.pb-c.h>
#include <string.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
#define ASKED(name)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

/* Both packages unpack into the v1 structs. */
_Static_assert(sizeof(Request) == sizeof(Grpc__Reflection__V1alpha__ServerReflectionRequest),
	       "v1alpha has the layout of v1");

#define MAX_FILES 64

static enum call_result send_or_fail(struct call *call, Response *response)
{
	return call_send(call, &response->base) ? CALL_STREAM : call_fail(call, PT_TOO_LARGE, NULL);
}

static enum call_result answer_error(struct call *call, Response *response, const char *text)
{
	Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

	error.error_code = PT_GRPC_NOT_FOUND;
	error.error_message = (char *)(uintptr_t)text;
	response->message_response_case = ANSWER(ERROR_RESPONSE);
	response->error_response = &error;
	return send_or_fail(call, response);
}

/* `file` and what it imports, each once. */
static size_t collect(const struct descset *set, uint32_t file, uint32_t *list)
{
	size_t n = 0;

	list[n++] = file;
	for (size_t i = 0; i < n; i++) {
		const struct desc_file *at = &set->file[list[i]];

		for (uint32_t d = 0; d < at->deps; d++) {
			int dep =
				descset_file(set, (const char *)at->dep[d].data, at->dep[d].length);
			size_t k = 0;

			while (dep >= 0 && k < n && list[k] != (uint32_t)dep)
				k++;
			if (dep >= 0 && k == n && n < MAX_FILES)
				list[n++] = (uint32_t)dep;
		}
	}
	return n;
}

static enum call_result answer_file(struct call *call, Response *response, uint32_t file)
{
	Grpc__Reflection__V1__FileDescriptorResponse files =
		GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
	const struct descset *set = routes_descriptors(call_routes(call));
	ProtobufCBinaryData data[MAX_FILES];
	uint32_t list[MAX_FILES];

	files.n_file_descriptor_proto = collect(set, file, list);
	files.file_descriptor_proto = data;
	for (size_t i = 0; i < files.n_file_descriptor_proto; i++) {
		const struct slice *raw = &set->file[list[i]].raw;

		data[i] = (ProtobufCBinaryData){raw->length, (uint8_t *)(uintptr_t)raw->data};
	}
	response->message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
	response->file_descriptor_response = &files;
	return send_or_fail(call, response);
}

static enum call_result answer_services(struct call *call, Response *response)
{
	typedef Grpc__Reflection__V1__ServiceResponse Service;
	Grpc__Reflection__V1__ListServiceResponse services =
		GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
	const char *const *name = routes_services(call_routes(call));
	Service service[MAX_FILES], *pointer[MAX_FILES];
	size_t n = 0;

	for (; name[n] && n < MAX_FILES; n++) {
		service[n] = (Service)GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT;
		service[n].name = (char *)(uintptr_t)name[n];
		pointer[n] = &service[n];
	}
	services.n_service = n;
	services.service = pointer;
	response->message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
	response->list_services_response = &services;
	return send_or_fail(call, response);
}

static enum call_result by_filename(struct call *call, Response *response, const char *name)
{
	int file = descset_file(routes_descriptors(call_routes(call)), name, strlen(name));

	return file < 0 ? answer_error(call, response, "no such file")
			: answer_file(call, response, (uint32_t)file);
}

static enum call_result by_symbol(struct call *call, Response *response, const char *name)
{
	const struct desc_symbol *symbol =
		descset_symbol(routes_descriptors(call_routes(call)), name);

	return symbol ? answer_file(call, response, symbol->file)
		      : answer_error(call, response, "no such symbol");
}

static enum call_result info(struct call *call)
{
	const Request *request = (const Request *)(const void *)call->request;
	Response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

	if (!request)
		return CALL_DONE;
	response.valid_host = request->host;
	response.original_request = (Request *)(uintptr_t)request;
	switch (request->message_request_case) {
	case ASKED(LIST_SERVICES): return answer_services(call, &response);
	case ASKED(FILE_BY_FILENAME):
		return by_filename(call, &response, request->file_by_filename);
	case ASKED(FILE_CONTAINING_SYMBOL):
		return by_symbol(call, &response, request->file_containing_symbol);
	case ASKED(FILE_CONTAINING_EXTENSION):
	case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
		return answer_error(call, &response, "no extensions are defined here");
	default: return answer_error(call, &response, "the request asks for nothing");
	}
}

/* A drain does not wait for a client that may ask once more. */
static enum call_result look(struct call *call)
{
	return domain_draining(call->domain) ? call_fail(call, PT_DRAINING, NULL) : CALL_STREAM;
}

const struct method reflection_methods[] = {
	{.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	 .request = &grpc__reflection__v1__server_reflection_request__descriptor,
	 .run = info,
	 .look = look,
	 .server_streaming = true,
	 .client_streaming = true},
	{.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
	 .request = &grpc__reflection__v1alpha__server_reflection_request__descriptor,
	 .run = info,
	 .look = look,
	 .server_streaming = true,
	 .client_streaming = true},
	{.path = NULL},
};
