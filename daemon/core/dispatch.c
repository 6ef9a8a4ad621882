/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of methods, open addressing over a hash of the path's ends. */
#include "services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS	     512u /* at most a quarter full */
#define MAX_ROUTES   (SLOTS / 4)
#define MAX_SERVICES 32u

struct routes {
	struct route slot[SLOTS];
	uint32_t count, services;
	const char *service[MAX_SERVICES + 1];
	char service_names[MAX_SERVICES][96];
	struct descset set;
};

/* The last 16 bytes tell all our paths apart nearly always; the length helps. */
static uint32_t hash(const uint8_t *path, size_t length)
{
	uint64_t a = 0, b = 0;

	if (length >= 16) {
		memcpy(&a, path + length - 16, 8);
		memcpy(&b, path + length - 8, 8);
	} else {
		memcpy(&b, path, length < 8 ? length : 8);
	}
	a = (a ^ length) * UINT64_C(0x9e3779b97f4a7c15) + b;
	a *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(a >> 40);
}

static struct route *find_slot(struct route *slot, const uint8_t *path, size_t length)
{
	uint32_t at = hash(path, length) % SLOTS;

	while (slot[at].method.path &&
	       (slot[at].path_length != length || memcmp(slot[at].method.path, path, length) != 0))
		at = (at + 1) % SLOTS;
	return &slot[at];
}

const struct route *routes_find(const struct routes *routes, const uint8_t *path, size_t length)
{
	struct route *route = find_slot((struct route *)(uintptr_t)routes->slot, path, length);

	return route->method.path ? route : NULL;
}

static bool add_service(struct routes *routes, const char *name, size_t length)
{
	for (uint32_t i = 0; i < routes->services; i++)
		if (strlen(routes->service[i]) == length &&
		    !memcmp(routes->service[i], name, length))
			return true;
	if (routes->services == MAX_SERVICES || length >= sizeof(routes->service_names[0]))
		return false;
	memcpy(routes->service_names[routes->services], name, length);
	routes->service[routes->services] = routes->service_names[routes->services];
	routes->services++;
	return true;
}

/* The descriptor set knows the method, with the same request type and streaming. */
static bool agrees(const struct routes *routes, const struct method *method)
{
	const struct desc_symbol *symbol;
	char name[256];
	char *slash;
	size_t length;

	if (snprintf(name, sizeof(name), "%s", method->path + 1) >= (int)sizeof(name))
		return false;
	slash = strchr(name, '/');
	if (!slash)
		return false;
	*slash = '.';
	symbol = descset_symbol(&routes->set, name);
	if (!symbol || !symbol->is_method)
		return false;
	length = strlen(method->request->name);
	return symbol->client_streaming == method->client_streaming &&
	       symbol->server_streaming == method->server_streaming &&
	       symbol->input.length == length + 1 && symbol->input.data[0] == '.' &&
	       !memcmp(symbol->input.data + 1, method->request->name, length);
}

static bool add_methods(struct routes *routes, const struct method *method, bool domain)
{
	for (; method->path; method++) {
		size_t length = strlen(method->path);
		const char *slash = strrchr(method->path, '/');
		struct route *route =
			find_slot(routes->slot, (const uint8_t *)method->path, length);

		if (route->method.path || routes->count++ == MAX_ROUTES ||
		    !agrees(routes, method) ||
		    !add_service(routes, method->path + 1, (size_t)(slash - method->path - 1)))
			return false;
		*route = (struct route){*method, (uint32_t)length, domain};
	}
	return true;
}

struct routes *routes_create(const struct routes_config *config, const char **error)
{
	struct routes *routes = calloc(1, sizeof(*routes));

	*error = "no memory";
	if (!routes)
		return NULL;
	*error = "the embedded descriptor set is damaged";
	if (!descset_read(&routes->set, ptd__v1__descriptor_set, ptd__v1__descriptor_set_length))
		goto fail;
	*error = "the table of methods and the descriptor set differ";
	if (!add_methods(routes, config->domain_methods, true) ||
	    !add_methods(routes, health_methods, false))
		goto fail;
	if (config->more_methods && !add_methods(routes, config->more_methods, false))
		goto fail;
	if (config->reflection && !add_methods(routes, reflection_methods, false))
		goto fail;
	*error = NULL;
	return routes;
fail:
	routes_destroy(routes);
	return NULL;
}

void routes_destroy(struct routes *routes)
{
	if (!routes)
		return;
	descset_free(&routes->set);
	free(routes);
}

const char *const *routes_services(const struct routes *routes)
{
	return routes->service;
}

const struct descset *routes_descriptors(const struct routes *routes)
{
	return &routes->set;
}
