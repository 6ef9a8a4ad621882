/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operator decides about connections; docs/protocol.md has the reasons. */
#ifndef PTD_WIRE_CONFIG_H
#define PTD_WIRE_CONFIG_H

#include <stdint.h>

/* Times in nanoseconds; 0 switches a rule off (drain_grace_ns: the default). */
struct wire_config {
	uint64_t keepalive_ns;	       /* silence before the daemon sends a PING */
	uint64_t keepalive_timeout_ns; /* wait for its answer */
	uint64_t permit_ping_ns;       /* a client's PINGs may come so often */
	uint64_t idle_ns;	       /* a connection without calls ends: GOAWAY "max_idle" */
	uint64_t age_ns;	       /* give or take 10 %: GOAWAY "max_age" */
	uint64_t age_grace_ns;	       /* for the calls of a connection that is too old */
	uint64_t drain_grace_ns;
	uint32_t principal_connections; /* at once, of one principal */
};

#define WIRE_CONFIG_DEFAULT                                                                        \
	{                                                                                          \
		.keepalive_ns = UINT64_C(10000000000),                                             \
		.keepalive_timeout_ns = UINT64_C(5000000000),                                      \
		.permit_ping_ns = UINT64_C(10000000000), .age_grace_ns = UINT64_C(30000000000),    \
		.drain_grace_ns = UINT64_C(30000000000), .principal_connections = 768,             \
	}

#endif
