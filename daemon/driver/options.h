/* SPDX-License-Identifier: BSD-2-Clause */
/* What ptd is told: command line and configuration file, the same keys in both. */
#ifndef PTD_OPTIONS_H
#define PTD_OPTIONS_H

#include "wire_config.h"

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_LISTEN	 8
#define OPTIONS_LOOPS	 64u
#define OPTIONS_ENDPOINT 160
#define OPTIONS_PATH	 1024

struct options {
	/* "unix:/path", "tls:host:port", or "tcp:host:port" (clear) */
	char listen[OPTIONS_LISTEN][OPTIONS_ENDPOINT];
	uint32_t listens;
	bool default_listen; /* nobody asked for an endpoint */
	uint32_t loops;
	uint32_t max_connections;
	uint64_t table_bytes; /* 0: the domain's default */
	char tls_certificate[OPTIONS_PATH], tls_key[OPTIONS_PATH], tls_ca[OPTIONS_PATH]; /* PEM */
	struct wire_config wire;
	bool allow_clear_tcp, allow_failpoints, no_reflection, checked;
};

/* Returns -1 to go on, or the exit code: 0 after --help, --version, --check-config; 2 for bad usage
 * (reported on stderr). */
int options_read(struct options *options, int argc, char **argv);

#endif
