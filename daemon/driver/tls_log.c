/* SPDX-License-Identifier: BSD-2-Clause */
/* One line on stderr for a refused handshake, so many a second and no more. */
#include "tls_state.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* A reader of stderr that has stopped does not stop the loop: its lines are lost. */
static void put(const char *line, int length)
{
	struct pollfd file = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (length > 0 && poll(&file, 1, 0) == 1 && (file.revents & POLLOUT) &&
	    write(STDERR_FILENO, line, (size_t)length) < 0)
		return;
}

static void peer_name(struct link *link, char *name, size_t room)
{
	struct sockaddr_storage address;
	int length = sizeof(address);
	char host[INET6_ADDRSTRLEN];
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address;

	if (uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&address, &length))
		snprintf(name, room, "a peer that has gone");
	else if (address.ss_family == AF_INET6)
		snprintf(name, room, "[%s]:%u",
			 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)) ? host : "",
			 ntohs(v6->sin6_port));
	else
		snprintf(name, room, "%s:%u",
			 inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)) ? host : "",
			 ntohs(v4->sin_port));
}

void tls_log_suppressed(struct tls_loop *tls)
{
	uint64_t second = uv_now(&tls->loop->uv) / 1000;
	char line[80];

	if (second == tls->second)
		return;
	if (tls->suppressed)
		put(line, snprintf(line, sizeof(line), "ptd: tls: %u more suppressed\n",
				   tls->suppressed));
	tls->second = second;
	tls->lines = tls->suppressed = 0;
}

void tls_log_refusal(struct tls_loop *tls, struct link *link, const char *reason)
{
	char name[64], line[256];
	int length;

	tls_log_suppressed(tls);
	if (tls->lines == TLS_LINES_PER_SECOND) {
		tls->suppressed++;
		return;
	}
	tls->lines++;
	peer_name(link, name, sizeof(name));
	length =
		snprintf(line, sizeof(line), "ptd: tls: %s: handshake refused: %s\n", name, reason);
	put(line, length < (int)sizeof(line) ? length : (int)sizeof(line) - 1);
}
