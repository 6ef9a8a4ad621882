/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets under the load generator: unix, TCP, TLS. */
#ifndef LOAD_WIRE_SOCKET_H
#define LOAD_WIRE_SOCKET_H

#include "wire.h"

#include <sys/types.h>

/* 0: nothing now, or `over`. */
ssize_t socket_read(struct wire *wire, void *bytes, size_t room);
ssize_t socket_write(struct wire *wire, const void *bytes, size_t length);
/* The client's TLS: `ca` is trusted, `cert` and `key` are shown. NULL: *error says why. */
SSL_CTX *socket_tls(const char *ca, const char *cert, const char *key, const char **error);

#endif
