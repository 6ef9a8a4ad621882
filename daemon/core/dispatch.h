/* SPDX-License-Identifier: BSD-2-Clause */
/* From a path to a method: all services of this daemon in one hashed table. */
#ifndef PTD_DISPATCH_H
#define PTD_DISPATCH_H

#include "call.h"

struct routes;

/*
 * A method of the protocol's own services beside those of the domain. For a client-streaming method
 * the handler runs once for each message (`call->request`) and once at the end with request NULL;
 * it answers with call_send() and returns CALL_STREAM, or CALL_DONE at the end. CALL_MORE and
 * CALL_PARKED: it runs again with the same request, whose bytes are there in the first run only.
 */
struct route {
	struct method method;
	uint32_t path_length;
	bool domain; /* of ptd.v1: the rpc.reply failpoint applies */
};

struct routes_config {
	const struct method *domain_methods; /* terminated by path NULL */
	const struct method *more_methods;   /* likewise; NULL: none */
	bool reflection;
};

/*
 * Builds the table and compares it with the descriptor set: each method must be there with the same
 * streaming flags and request type. NULL: no memory, or they differ; `*error` says what.
 */
struct routes *routes_create(const struct routes_config *config, const char **error);
void routes_destroy(struct routes *routes);

const struct route *routes_find(const struct routes *routes, const uint8_t *path, size_t length);

/* Full names of all services, NULL-terminated, in the order of first registration. */
const char *const *routes_services(const struct routes *routes);

#endif
