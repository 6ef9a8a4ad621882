/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets, clock and random bytes: what libptd asks of the operating system. */
#ifndef PTD_SOCKET_H
#define PTD_SOCKET_H

#include "endpoint.h"

#include <sys/socket.h>

#define SOCKET_ADDRESSES 8

struct socket_address {
	socklen_t length;
	struct sockaddr_storage address;
};

/* The addresses of an endpoint, at most SOCKET_ADDRESSES. 0: none, and *why says why; with *wrong
 * because the endpoint can never be right. May wait for a name server. */
unsigned socket_resolve(const struct endpoint *endpoint, struct socket_address *to,
			const char **why, bool *wrong);
/* The same of what has been looked up, and of a unix socket. */
struct addrinfo;
unsigned socket_addresses(const struct addrinfo *found, struct socket_address *to);
unsigned socket_unix(const char *path, struct socket_address *to);
/* Begins to connect: a non-blocking, close-on-exec socket that will be writable, or -1 and errno.
 */
int socket_begin(const struct socket_address *to);
/* Once it is writable: 0, or the errno of the attempt. */
int socket_finish(int fd);

/* Bytes moved; 0: would block; -1: the connection is gone (errno says why; 0: closed by the peer).
 */
long socket_read(int fd, uint8_t *bytes, size_t length);
long socket_write(int fd, const uint8_t *bytes, size_t length);

/* Waits for input, and for output if asked. False: nothing within timeout_ms (-1: no limit), or a
 * signal came. fd -1: waits for the time alone. */
bool socket_wait(int fd, bool output, int timeout_ms);

uint64_t socket_now_ns(void);
/* False: the system has none. */
bool socket_random(void *bytes, size_t length);

#endif
