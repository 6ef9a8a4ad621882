/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocking-style connection set-up over non-blocking sockets. */
#include "socket.h"
#include "status.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t socket_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int refuse(struct ptd_status *status, const char *endpoint, const char *why)
{
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_CONNECT, 14, "%.120s: %s", endpoint, why);
	return -1;
}

static int bad_endpoint(struct ptd_status *status, const char *endpoint, const char *why)
{
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 3, "endpoint %.100s: %s",
		     endpoint, why);
	snprintf(status->hint, sizeof(status->hint), "give unix:PATH or tcp:HOST:PORT");
	return -1;
}

/* 0, or an errno. */
static int finish_connect(int fd, uint32_t timeout_ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0;
	int ready;

	do
		ready = poll(&wait, 1, (int)timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready ? errno : ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return error;
}

static int connect_to(int family, const struct sockaddr *address, socklen_t length,
		      uint32_t timeout_ms, int *error)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		*error = errno;
		return -1;
	}
	*error = connect(fd, address, length) ? errno : 0;
	/* EAGAIN: the unix listener's backlog is full; poll does not wait for that. */
	if (*error == EINPROGRESS)
		*error = finish_connect(fd, timeout_ms);
	if (*error) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_unix(const char *endpoint, const char *path, uint32_t timeout_ms,
		     struct ptd_status *status)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error, fd;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return bad_endpoint(status, endpoint, *path ? "the path is too long" : "no path");
	strcpy(address.sun_path, path);
	fd = connect_to(AF_UNIX, (struct sockaddr *)&address, sizeof(address), timeout_ms, &error);
	return fd < 0 ? refuse(status, endpoint, strerror(error)) : fd;
}

/* "HOST:PORT" or "[HOST]:PORT" to its parts. */
static bool split(const char *text, char *host, size_t host_room, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t length;

	if (!colon || !colon[1])
		return false;
	length = (size_t)(colon - text);
	if (*text == '[') {
		if (length < 3 || text[length - 1] != ']')
			return false;
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return false;
	}
	if (!length || length >= host_room)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	*port = colon + 1;
	return true;
}

static int open_tcp(const char *endpoint, const char *where, uint32_t timeout_ms,
		    struct ptd_status *status)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	const char *port;
	char host[256];
	int error, fd = -1, one = 1;

	if (!split(where, host, sizeof(host), &port))
		return bad_endpoint(status, endpoint, "not HOST:PORT");
	error = getaddrinfo(host, port, &hints, &found);
	if (error == EAI_SERVICE || error == EAI_NONAME)
		return bad_endpoint(status, endpoint, gai_strerror(error));
	if (error)
		return refuse(status, endpoint, gai_strerror(error));
	for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
		fd = connect_to(at->ai_family, at->ai_addr, at->ai_addrlen, timeout_ms, &error);
	freeaddrinfo(found);
	if (fd < 0)
		return refuse(status, endpoint, strerror(error));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int socket_open(const char *endpoint, uint32_t timeout_ms, struct ptd_status *status)
{
	if (!strncmp(endpoint, "unix:", 5))
		return open_unix(endpoint, endpoint + 5, timeout_ms, status);
	if (!strncmp(endpoint, "tcp:", 4))
		return open_tcp(endpoint, endpoint + 4, timeout_ms, status);
	return bad_endpoint(status, endpoint, "neither unix: nor tcp:");
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
