/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets of both kinds. */
#include "listener.h"

#include <errno.h>
#include <libgen.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 511

static bool fail(const char *endpoint, const char *what)
{
	fprintf(stderr, "ptd: %s: %s: %s\n", endpoint, what, strerror(errno));
	return false;
}

/* Nobody answers at the address: the file is left from a daemon that died. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *any = (const struct sockaddr *)address;

	if (!bind(fd, any, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (!is_stale(address)) {
		errno = EADDRINUSE;
		return -1;
	}
	unlink(address->sun_path);
	return bind(fd, any, sizeof(*address));
}

static void make_directory(const char *path)
{
	char copy[OPTIONS_ENDPOINT];

	snprintf(copy, sizeof(copy), "%s", path);
	mkdir(dirname(copy), 0750); /* there already: bind says what else is wrong */
}

static bool open_unix(struct listener *listener, const char *endpoint)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = endpoint + 5;
	mode_t mask;
	int fd, bound;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return fail(endpoint, "path");
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(endpoint, "socket");
	make_directory(path);
	mask = umask(0117); /* 0660: owner and group */
	bound = bind_unix(fd, &address);
	umask(mask);
	if (bound < 0 || listen(fd, BACKLOG) < 0) {
		fail(endpoint, "cannot listen");
		close(fd);
		return false;
	}
	listener->fd[listener->fds++] = fd;
	snprintf(listener->path, sizeof(listener->path), "%s", path);
	return true;
}

/* "tcp:host:port" or "tls:[host]:port". */
static bool split(const char *endpoint, char *host, size_t room, const char **port)
{
	const char *start = endpoint + 4, *colon = strrchr(start, ':');
	size_t length;

	if (!colon)
		return false;
	length = (size_t)(colon - start);
	if (length >= 2 && start[0] == '[' && start[length - 1] == ']') {
		start++;
		length -= 2;
	}
	if (!length || length >= room)
		return false;
	memcpy(host, start, length);
	host[length] = 0;
	*port = colon + 1;
	return **port != 0;
}

static int listen_tcp(const struct sockaddr *address, socklen_t length)
{
	int one = 1;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    bind(fd, address, length) < 0 || listen(fd, BACKLOG) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static bool open_tcp(struct listener *listener, const char *endpoint, uint32_t loops)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct sockaddr_storage address;
	struct addrinfo *found;
	char host[OPTIONS_ENDPOINT], number[16];
	const char *port;
	socklen_t length;

	if (!split(endpoint, host, sizeof(host), &port) ||
	    getaddrinfo(host, port, &hints, &found)) {
		errno = EINVAL;
		return fail(endpoint, "address");
	}
	length = found->ai_addrlen;
	memcpy(&address, found->ai_addr, length);
	freeaddrinfo(found);
	while (listener->fds < loops) {
		int fd = listen_tcp((struct sockaddr *)&address, length);

		if (fd < 0)
			return fail(endpoint, "cannot listen");
		listener->fd[listener->fds++] = fd;
		getsockname(fd, (struct sockaddr *)&address, &length); /* port 0: the one given */
	}
	if (!getnameinfo((struct sockaddr *)&address, length, NULL, 0, number, sizeof(number),
			 NI_NUMERICSERV))
		snprintf(listener->name, sizeof(listener->name), "%.*s%s", (int)(port - endpoint),
			 endpoint, number);
	return true;
}

bool listener_open(struct listener *listener, const char *endpoint, uint32_t loops)
{
	bool ok;

	memset(listener, 0, sizeof(*listener));
	snprintf(listener->name, sizeof(listener->name), "%s", endpoint);
	listener->tls = !strncmp(endpoint, "tls:", 4);
	listener->tcp = listener->tls || !strncmp(endpoint, "tcp:", 4);
	ok = listener->tcp ? open_tcp(listener, endpoint, loops) : open_unix(listener, endpoint);
	if (!ok)
		listener_close(listener);
	return ok;
}

void listener_close(struct listener *listener)
{
	for (uint32_t i = 0; i < listener->fds; i++)
		if (listener->fd[i] >= 0)
			close(listener->fd[i]);
	listener->fds = 0;
	if (listener->path[0])
		unlink(listener->path);
	listener->path[0] = 0;
}

bool peer_principal(int fd, bool tcp, struct principal *principal)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	memset(principal, 0, sizeof(*principal));
	if (tcp) {
		snprintf(principal->name, sizeof(principal->name), "loopback");
		return true;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	snprintf(principal->name, sizeof(principal->name), "uid:%u", (unsigned)peer.uid);
	principal->admin = peer.uid == 0 || peer.uid == geteuid();
	return true;
}
