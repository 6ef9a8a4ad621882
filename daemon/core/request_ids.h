/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request ids: the promise that a retry of a finished call gets the stored answer. Kept per
 * principal, across connections and loops; a principal beyond its part loses its own oldest.
 */
#ifndef PTD_REQUEST_IDS_H
#define PTD_REQUEST_IDS_H

#include "call.h"

#include <pt/platform.h>

struct request_id_entry;
struct request_id_owner;

#define REQUEST_ID_OWNERS 64u

struct request_ids {
	struct pt_port_lock lock;
	struct request_id_entry **bucket; /* from the first id on */
	uint32_t count;
	uint64_t bytes;				  /* of finished entries */
	struct request_id_entry *oldest, *newest; /* finished ones, in order of finishing */
	struct request_id_owner *owner[REQUEST_ID_OWNERS]; /* principals, by name */
};

void request_ids_free(struct request_ids *ids);

/*
 * Runs `body` as a handler whose request has the id `id`: at most once for all calls of the
 * principal that bring the same id. Empty: just `body`. The body's `state` is its own.
 */
enum call_result call_once(struct call *call, const ProtobufCBinaryData *id, call_handler *body);
/* The matching abandon; `abandon` may be NULL. */
enum call_result call_once_abandon(struct call *call, const ProtobufCBinaryData *id,
				   call_handler *abandon);
/* The abandon of a method whose body always ends in its first step: only its wait can be left. */
call_handler call_once_leave;

#endif
