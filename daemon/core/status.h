/* SPDX-License-Identifier: BSD-2-Clause */
/* How a call's status looks on the wire: grpc-status, grpc-message, grpc-status-details-bin, and
 * the push-back of a refusal (gRFC A6). */
#ifndef PTD_STATUS_H
#define PTD_STATUS_H

#include "call.h"

#include <nghttp2/nghttp2.h>

#define STATUS_FIELDS 4
#define STATUS_BYTES  6144

/* The fields point into `text` and into constants. */
struct status_wire {
	nghttp2_nv field[STATUS_FIELDS];
	size_t fields;
	char text[STATUS_BYTES];
};

/* The gRPC status that `status` stands for. */
enum pt_grpc status_grpc(const struct call_status *status);
void status_encode(struct status_wire *wire, const struct call_status *status);

/* A header of constant strings, not copied by nghttp2. */
#define STATIC_NV(name, value)                                                                     \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,     \
			sizeof(value) - 1,                                                         \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE               \
	}

#endif
