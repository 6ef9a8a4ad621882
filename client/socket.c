/* SPDX-License-Identifier: BSD-2-Clause */
/* Non-blocking sockets for the blocking layer. */
#include "socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t socket_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool socket_random(void *bytes, size_t length)
{
	return getrandom(bytes, length, 0) == (ssize_t)length;
}

unsigned socket_unix(const char *path, struct socket_address *to)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path) + 1);
	memcpy(&to->address, &address, sizeof(address));
	to->length = sizeof(address);
	return 1;
}

unsigned socket_addresses(const struct addrinfo *found, struct socket_address *to)
{
	unsigned count = 0;

	for (; found && count < SOCKET_ADDRESSES; found = found->ai_next) {
		memcpy(&to[count].address, found->ai_addr, found->ai_addrlen);
		to[count++].length = found->ai_addrlen;
	}
	return count;
}

unsigned socket_resolve(const struct endpoint *endpoint, struct socket_address *to,
			const char **why, bool *wrong)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	unsigned count;
	int error;

	if (endpoint->path)
		return socket_unix(endpoint->path, to);
	error = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
	*wrong = error == EAI_SERVICE || error == EAI_NONAME;
	if (error) {
		*why = gai_strerror(error);
		return 0;
	}
	count = socket_addresses(found, to);
	freeaddrinfo(found);
	*why = "no address";
	return count;
}

int socket_begin(const struct socket_address *to)
{
	int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, error;

	if (fd < 0)
		return -1;
	if (to->address.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* EAGAIN: the unix listener's backlog is full; poll does not wait for that. */
	if (!connect(fd, (const struct sockaddr *)&to->address, to->length) || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int socket_finish(int fd)
{
	socklen_t length = sizeof(int);
	int error = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) ? errno : error;
}

static long result(ssize_t moved)
{
	if (moved >= 0)
		return (long)moved;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

long socket_read(int fd, uint8_t *bytes, size_t length)
{
	ssize_t moved = recv(fd, bytes, length, 0);

	if (moved == 0) {
		errno = 0;
		return -1;
	}
	return result(moved);
}

long socket_write(int fd, const uint8_t *bytes, size_t length)
{
	return result(send(fd, bytes, length, MSG_NOSIGNAL));
}

bool socket_wait(int fd, bool output, int timeout_ms)
{
	struct pollfd wait = {.fd = fd, .events = (short)(POLLIN | (output ? POLLOUT : 0))};

	return poll(&wait, 1, timeout_ms) > 0;
}
