/* SPDX-License-Identifier: BSD-2-Clause */
/* Accepting: unix sockets go round the loops, TCP stays where the kernel put it. */
#include "loop.h"
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BURST	   64
#define ACCEPT_BUSY	   1 /* while links are active: who comes and goes costs them little */
#define DESCRIPTOR_WAIT_MS 100

static void on_readable(uv_poll_t *poll, int status, int events);

static void reserve(struct loop *loop)
{
	if (loop->spare_fd < 0)
		loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_descriptors(uv_timer_t *timer)
{
	struct loop *loop = timer->data;

	reserve(loop);
	for (uint32_t i = 0; i < OPTIONS_LISTEN; i++)
		if (loop->acceptor[i].open)
			uv_poll_start(&loop->acceptor[i].poll, UV_READABLE, on_readable);
}

/* No descriptor is left: an unfinished handshake gives up its own, or the spare one takes the
 * connection and closes it, else the loop would spin on a readable listener. When another loop was
 * faster to take what was given up, the listener waits. False: accept no more in this turn. */
static bool make_room(struct acceptor *acceptor)
{
	struct loop *loop = acceptor->loop;

	if (tls_evict(loop))
		return true;
	if (loop->spare_fd >= 0) {
		int fd;

		close(loop->spare_fd);
		loop->spare_fd = -1;
		fd = accept(acceptor->fd, NULL, NULL);
		if (fd >= 0)
			close(fd);
		reserve(loop);
	}
	if (loop->spare_fd < 0) {
		uv_poll_stop(&acceptor->poll);
		uv_timer_start(&loop->descriptors, on_descriptors, DESCRIPTOR_WAIT_MS, 0);
	}
	return false;
}

static void hand_out(struct acceptor *acceptor, int fd)
{
	struct loop *loop = acceptor->loop;
	struct server *server = loop->server;
	const struct listener *listener = acceptor->listener;
	struct arrival arrival = {.fd = fd, .tcp = listener->tcp, .tls = listener->tls};
	uint32_t index;

	if (!peer_principal(fd, listener->tcp, &arrival.principal)) {
		close(fd);
		return;
	}
	if (listener->tcp) {
		link_open(loop, &arrival);
		return;
	}
	index = atomic_fetch_add_explicit(&server->next_loop, 1, memory_order_relaxed) %
		server->loops;
	loop_give(server->loop[index], &arrival);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *acceptor = poll->data;
	int most = fair_is_busy(acceptor->loop) ? ACCEPT_BUSY : ACCEPT_BURST;

	(void)events;
	for (int i = 0; status == 0 && acceptor->open && i < most; i++) {
		int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			hand_out(acceptor, fd);
		else if (errno == EMFILE || errno == ENFILE) {
			if (!make_room(acceptor))
				return;
		} else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

void acceptors_open(struct loop *loop)
{
	struct server *server = loop->server;

	uv_timer_init(&loop->uv, &loop->descriptors);
	loop->descriptors.data = loop;
	for (uint32_t i = 0; i < server->listeners; i++) {
		const struct listener *listener = &server->listener[i];
		struct acceptor *acceptor = &loop->acceptor[i];

		if (loop->index >= listener->fds)
			continue;
		acceptor->loop = loop;
		acceptor->listener = listener;
		acceptor->fd = listener->fd[loop->index];
		acceptor->open = !uv_poll_init(&loop->uv, &acceptor->poll, acceptor->fd);
		acceptor->poll.data = acceptor;
		if (acceptor->open)
			uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
	}
}

void acceptors_close(struct loop *loop)
{
	for (uint32_t i = 0; i < OPTIONS_LISTEN; i++) {
		if (!loop->acceptor[i].open)
			continue;
		loop->acceptor[i].open = false;
		uv_close((uv_handle_t *)&loop->acceptor[i].poll, NULL);
	}
}
