/* SPDX-License-Identifier: BSD-2-Clause */
/* From messages of ptd.v1 to structs of ptd.h. */
#ifndef PTD_CLIENT_TYPED_H
#define PTD_CLIENT_TYPED_H

#include <ptd.h>

#include "ptd/v1/mapping.pb-c.h"

/* What may be sent again after a loss. */
enum typed_repeat {
	REPEAT_NOT,
	REPEAT_FREELY, /* it has a request id, or may be done twice */
};

/* A request id of its own for a change, if the client makes lost connections again. */
void typed_take_id(struct ptd_client *client, ProtobufCBinaryData *field, uint8_t id[16]);
static inline enum typed_repeat typed_with_id(const ProtobufCBinaryData *field)
{
	return field->len ? REPEAT_FREELY : REPEAT_NOT;
}

/* One call with messages; NULL unless the state is OK. The caller frees the message. */
void *typed_call(struct ptd_client *client, const char *method, const ProtobufCMessage *request,
		 enum typed_repeat repeat, const ProtobufCMessageDescriptor *type,
		 struct ptd_status *status);

/* Both pointers may be NULL: nothing to fill, nothing to tell. */
void effects_read(struct ptd_effects *to, const Ptd__V1__Effects *from, uint64_t generation,
		  uint32_t outcome);

#endif
