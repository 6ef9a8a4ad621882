/* SPDX-License-Identifier: BSD-2-Clause */
/* Accepting: unix sockets go round the loops, TCP stays where the kernel put it. */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BURST 64

/* No descriptor is left: use the spare one to take the connection and close it, else the loop would
 * spin on a readable listener. */
static void refuse_one(struct loop *loop, int listener)
{
	close(loop->spare_fd);
	close(accept(listener, NULL, NULL));
	loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void hand_out(struct acceptor *acceptor, int fd)
{
	struct loop *loop = acceptor->loop;
	struct server *server = loop->server;
	struct principal principal;
	uint32_t index = loop->index;

	if (atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed) >=
		    server->options.max_connections ||
	    !peer_principal(fd, acceptor->tcp, &principal)) {
		atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
		close(fd);
		return;
	}
	if (!acceptor->tcp)
		index = atomic_fetch_add_explicit(&server->next_loop, 1, memory_order_relaxed) %
			server->loops;
	loop_give(server->loop[index], fd, acceptor->tcp, &principal);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *acceptor = poll->data;

	(void)events;
	for (int i = 0; status == 0 && acceptor->open && i < ACCEPT_BURST; i++) {
		int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			hand_out(acceptor, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			refuse_one(acceptor->loop, acceptor->fd);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

void acceptors_open(struct loop *loop)
{
	struct server *server = loop->server;

	for (uint32_t i = 0; i < server->listeners; i++) {
		const struct listener *listener = &server->listener[i];
		struct acceptor *acceptor = &loop->acceptor[i];

		if (loop->index >= listener->fds)
			continue;
		acceptor->loop = loop;
		acceptor->tcp = listener->tcp;
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
