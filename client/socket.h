/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints and sockets: the only part of libptd that touches the operating system. */
#ifndef PTD_SOCKET_H
#define PTD_SOCKET_H

#include <ptd.h>

/* A connected, non-blocking, close-on-exec socket, or -1 and *status. */
int socket_open(const char *endpoint, uint32_t timeout_ms, struct ptd_status *status);

/* Bytes moved; 0: would block; -1: the connection is gone (errno says why; 0: closed by the peer).
 */
long socket_read(int fd, uint8_t *bytes, size_t length);
long socket_write(int fd, const uint8_t *bytes, size_t length);

/* Waits for input, and for output if asked. False: nothing within timeout_ms (-1: no limit), or a
 * signal came. */
bool socket_wait(int fd, bool output, int timeout_ms);

uint64_t socket_now_ns(void);

#endif
