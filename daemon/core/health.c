/* SPDX-License-Identifier: BSD-2-Clause */
/* grpc.health.v1: the whole server and each service are in one state, serving until the drain. */
#include "domain.h"
#include "services.h"

#include <grpc/health/v1/health.pb-c.h>
#include <string.h>

typedef Grpc__Health__V1__HealthCheckResponse Response;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static bool is_known(const struct call *call, const char *service)
{
	const char *const *name = routes_services(call_routes(call));

	if (!*service)
		return true;
	for (; *name; name++)
		if (!strcmp(*name, service))
			return true;
	return false;
}

static int state_of(const struct call *call, const char *service)
{
	if (!is_known(call, service))
		return STATUS(SERVICE_UNKNOWN);
	return domain_draining(call->domain) ? STATUS(NOT_SERVING) : STATUS(SERVING);
}

static const char *service_of(const struct call *call)
{
	return ((const Grpc__Health__V1__HealthCheckRequest *)(const void *)call->request)->service;
}

static enum call_result check(struct call *call)
{
	Response *response = call_alloc(call, sizeof(*response));

	if (!is_known(call, service_of(call)))
		return call_fail(call, PT_NOT_FOUND, "no such service");
	if (!response)
		return call_fail(call, PT_TOO_LARGE, NULL);
	grpc__health__v1__health_check_response__init(response);
	response->status = state_of(call, service_of(call));
	call->response = &response->base;
	return CALL_DONE;
}

/* gRFC A90: all services that Check knows. */
static enum call_result list(struct call *call)
{
	typedef Grpc__Health__V1__HealthListResponse__StatusesEntry Entry;
	Grpc__Health__V1__HealthListResponse *response = call_alloc(call, sizeof(*response));
	const char *const *name = routes_services(call_routes(call));
	size_t n = 1;

	while (name[n - 1])
		n++;
	if (n > 100 || !response)
		return call_fail(call, PT_TOO_LARGE, "more than 100 services");
	grpc__health__v1__health_list_response__init(response);
	response->statuses = call_alloc(call, n * sizeof(*response->statuses));
	for (size_t i = 0; response->statuses && i < n; i++) {
		Entry *entry = call_alloc(call, sizeof(*entry));
		Response *state = call_alloc(call, sizeof(*state));

		if (!entry || !state)
			return call_fail(call, PT_TOO_LARGE, NULL);
		grpc__health__v1__health_list_response__statuses_entry__init(entry);
		grpc__health__v1__health_check_response__init(state);
		entry->key = (char *)(uintptr_t)(i ? name[i - 1] : "");
		state->status = state_of(call, entry->key);
		entry->value = state;
		response->statuses[response->n_statuses++] = entry;
	}
	call->response = &response->base;
	return CALL_DONE;
}

/* Sends the state at once and then each change; it runs again when the drain begins, which is the
 * last of them. */
static enum call_result watch(struct call *call)
{
	Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	int *last = call->state;

	if (!last) {
		last = call->state = call_alloc(call, sizeof(*last));
		if (!last)
			return call_fail(call, PT_TOO_LARGE, NULL);
		*last = -1;
	}
	response.status = state_of(call, service_of(call));
	if ((int)response.status != *last && call_send(call, &response.base))
		*last = response.status;
	if (domain_draining(call->domain) && *last == (int)response.status)
		return call_fail(call, PT_DRAINING, NULL);
	return CALL_STREAM;
}

#define HEALTH "/grpc.health.v1.Health/"

const struct method health_methods[] = {
	{.path = HEALTH "Check",
	 .request = &grpc__health__v1__health_check_request__descriptor,
	 .run = check},
	{.path = HEALTH "List",
	 .request = &grpc__health__v1__health_list_request__descriptor,
	 .run = list},
	{.path = HEALTH "Watch",
	 .request = &grpc__health__v1__health_check_request__descriptor,
	 .run = watch,
	 .server_streaming = true},
	{.path = NULL},
};
