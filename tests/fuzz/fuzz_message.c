/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: the look over a request's wire form, then unpacking it into a capped arena. */
#include "arena.h"
#include "scan.h"
#include "slab.h"

#include <stdlib.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

static const ProtobufCMessageDescriptor *const requests[] = {
	&ptd__v1__apply_request__descriptor,
	&ptd__v1__map_request__descriptor,
	&ptd__v1__create_context_request__descriptor,
	&ptd__v1__arm_failpoint_request__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static struct slab slab;
	static uint8_t first[512];
	struct arena arena = {.cap = 1 << 20};
	const ProtobufCMessageDescriptor *d;

	if (!length)
		return 0;
	d = requests[data[0] % (sizeof(requests) / sizeof(requests[0]))];
	if (wire_scan(d, data + 1, length - 1) != SCAN_OK)
		return 0;
	arena_init(&arena, &slab, first, sizeof(first));
	/* Wire types are protobuf-c's business: what it refuses is answered as not protobuf. */
	protobuf_c_message_unpack(d, &arena.allocator, length - 1, data + 1);
	if (arena.used > arena.cap)
		abort();
	arena_fini(&arena);
	return 0;
}
