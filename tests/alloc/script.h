/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of the sweep: each object made, used and deleted, each kind of stream once. There are
 * two scripts, since the time of a sweep is that of all calls times that of all allocations.
 */
#ifndef TESTS_ALLOC_SCRIPT_H
#define TESTS_ALLOC_SCRIPT_H

#include "wire.h"

struct script {
	const char *name;
	const struct scripted *calls; /* ends at path NULL */
	/* What has to be the same where nothing has changed. Ends at path NULL. */
	const struct scripted *state;
	/* Puts the state right after a session of which a message was refused. NULL: there is none.
	 */
	const struct scripted *repair;
};

extern const struct script script_mappings, script_owners;

/* Handles are known before: the epoch is fixed and they count up. */
#define HANDLE(n) (UINT64_C(0x1234) << 48 | (n))
#define TEXT(s)	  ((char *)(uintptr_t)(s))
#define KIB(n)	  (UINT64_C(n) << 10)
#define MIB(n)	  (UINT64_C(n) << 20)

/* An id of 16 bytes, as a client that retries gives it. */
#define ID(text)                                                                                   \
	{                                                                                          \
		16, (uint8_t *)(uintptr_t)("id of this " text)                                     \
	}
#define M(Type, type, ...)                                                                         \
	(&(Ptd__V1__##Type##Request){                                                              \
		.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__##type##_request__descriptor),           \
		__VA_ARGS__}                                                                       \
		  .base)
#define CALL(service, rpc, ...)                                                                    \
	.path = "/ptd.v1." service "Service/" rpc, .message = {__VA_ARGS__, NULL}

#endif
