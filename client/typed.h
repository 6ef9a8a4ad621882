/* SPDX-License-Identifier: BSD-2-Clause */
/* From messages of ptd.v1 to structs of ptd.h. */
#ifndef PTD_CLIENT_TYPED_H
#define PTD_CLIENT_TYPED_H

#include <ptd.h>

#include "ptd/v1/mapping.pb-c.h"

/*
 * A call with messages. `request_id`, of a change, or NULL: gets an id of its own if the client
 * makes lost connections again. `repeat`: may be sent again after a loss even without one. `read`
 * takes what the caller wants from the answer, a message of `type`; without an answer it is not
 * called. `status` may be NULL.
 */
enum ptd_state typed_call(struct ptd_client *client, const char *method,
			  const ProtobufCMessage *request, ProtobufCBinaryData *request_id,
			  bool repeat, const ProtobufCMessageDescriptor *type,
			  void (*read)(void *into, const void *answer), void *into,
			  struct ptd_status *status);

/* Both pointers may be NULL: nothing to fill, nothing to tell. */
void effects_read(struct ptd_effects *to, const Ptd__V1__Effects *from, uint64_t generation,
		  uint32_t outcome);

#endif
