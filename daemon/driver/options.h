/* SPDX-License-Identifier: BSD-2-Clause */
/* What ptd is told: command line and configuration file, the same keys in both. */
#ifndef PTD_OPTIONS_H
#define PTD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_LISTEN	 8
#define OPTIONS_LOOPS	 64u
#define OPTIONS_ENDPOINT 160

struct options {
	char listen[OPTIONS_LISTEN][OPTIONS_ENDPOINT]; /* "unix:/path" or "tcp:host:port" */
	uint32_t listens;
	uint32_t loops;
	uint32_t max_connections;
	uint64_t table_bytes; /* 0: the domain's default */
	bool allow_clear_tcp, allow_failpoints, no_reflection, checked;
};

/* Returns -1 to go on, or the exit code: 0 after --help, --version, --check-config; 2 for bad usage
 * (reported on stderr). */
int options_read(struct options *options, int argc, char **argv);

#endif
