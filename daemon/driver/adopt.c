/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets that the service manager opened. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void name_unix(struct listener *listener, const struct sockaddr_un *address)
{
	snprintf(listener->name, sizeof(listener->name), "unix:%.107s", address->sun_path);
}

static void name_tls(struct listener *listener, const struct sockaddr *address, socklen_t length)
{
	char host[100] = "?", port[16] = "?";
	const char *format = address->sa_family == AF_INET6 ? "tls:[%s]:%s" : "tls:%s:%s";

	getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(listener->name, sizeof(listener->name), format, host, port);
}

static void find_name(struct listener *listener, int fd, bool tls)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} address = {.any.sa_family = AF_UNSPEC};
	socklen_t length = sizeof(address);

	getsockname(fd, &address.any, &length);
	if (tls)
		name_tls(listener, &address.any, length);
	else
		name_unix(listener, &address.un);
}

/* One descriptor for each loop that polls; they share one queue. */
bool listener_adopt(struct listener *listener, int fd, bool tls, uint32_t loops)
{
	int flags = fcntl(fd, F_GETFL);

	memset(listener, 0, sizeof(*listener));
	listener->tcp = listener->tls = tls;
	listener->fd[listener->fds++] = fd;
	find_name(listener, fd, tls);
	while (tls && listener->fds < loops) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		if (copy < 0)
			break;
		listener->fd[listener->fds++] = copy;
	}
	if ((tls && listener->fds < loops) || flags < 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		fprintf(stderr, "ptd: %s: from systemd: %s\n", listener->name, strerror(errno));
		listener_close(listener);
		return false;
	}
	return true;
}
