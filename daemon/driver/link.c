/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection on libuv: reads into the loop's buffer, tries to write at once, lingers at the
 * end so that a GOAWAY is not lost to a reset. */
#include "loop.h"
#include "tls.h"

#include <pt/platform.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_TIMEOUT_MS 30000

static void on_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;
	struct event event = {.kind = EVENT_CLOSED, .peer = &link->peer};

	if (link->accepted)
		loop_step(link->loop, &event);
	if (link->admitted)
		atomic_fetch_sub_explicit(&link->loop->server->connections, 1,
					  memory_order_relaxed);
	if (!link->tls || tls_closed(link))
		free(link);
}

static void forget_writable(struct link *link)
{
	struct link **at = &link->loop->writable;

	while (*at && *at != link)
		at = &(*at)->next_writable;
	if (*at)
		*at = link->next_writable;
	link->writable = false;
}

static void forget_linger(struct link *link)
{
	struct link **at = &link->loop->lingering;

	while (*at && *at != link)
		at = &(*at)->next_linger;
	if (*at)
		*at = link->next_linger;
	link->lingering = false;
}

void link_abort(struct link *link)
{
	link->closing = true;
	if (link->writable)
		forget_writable(link);
	if (link->lingering)
		forget_linger(link);
	if (link->tls)
		tls_leave(link);
	fair_forget(link);
	if (!uv_is_closing(&link->handle))
		uv_close(&link->handle, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
	struct link *link = handle->data;

	(void)wanted;
	*buffer = uv_buf_init(link->loop->buffer,
			      tls_in_handshake(link) ? TLS_HELLO_BYTES : link->room);
}

static void take(struct link *link, const uint8_t *data, size_t length)
{
	struct event event = {
		.kind = EVENT_BYTES, .peer = &link->peer, .data = data, .length = length};

	if (tls_in_handshake(link)) {
		tls_handshake_bytes(link, data, length);
		return;
	}
	if (link->tls) {
		event.now_ns = uv_hrtime();
		fair_step(link->loop, event.now_ns);
		tls_bytes(link, data, length);
	} else {
		loop_step(link->loop, &event);
	}
	if (!link->closing)
		fair_read(link, event.now_ns, length);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct link *link = stream->data;

	if (length < 0)
		link_abort(link);
	else if (length > 0 && !link->closing)
		take(link, (const uint8_t *)buffer->base, (size_t)length);
}

/* A peer that vanished with bytes under way is noticed before TCP's own quarter of an hour. */
static void set_tcp(struct link *link, int fd)
{
	unsigned timeout_ms = USER_TIMEOUT_MS;

	uv_tcp_nodelay(&link->tcp, 1);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static int attach(struct link *link, const struct arrival *arrival)
{
	uv_loop_t *uv = &link->loop->uv;
	int result;

	if (arrival->tcp) {
		uv_tcp_init(uv, &link->tcp);
		result = uv_tcp_open(&link->tcp, arrival->fd);
		set_tcp(link, arrival->fd);
	} else {
		uv_pipe_init(uv, &link->pipe, 0);
		result = uv_pipe_open(&link->pipe, arrival->fd);
	}
	link->handle.data = link;
	if (result)
		close(arrival->fd);
	return result;
}

bool link_admit(struct link *link)
{
	struct server *server = link->loop->server;

	link->admitted = true;
	return atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed) <
	       server->options.max_connections;
}

void link_accept(struct link *link, const struct principal *principal)
{
	struct event event = {.kind = EVENT_ACCEPTED,
			      .principal = principal,
			      .peer = &link->peer,
			      .local = link->handle.type == UV_NAMED_PIPE};

	if (getrandom(&event.random, sizeof(event.random), GRND_NONBLOCK) < 0)
		event.random = 0;
	link->accepted = true;
	loop_step(link->loop, &event);
	if (!link->closing)
		link_resume(link);
}

void link_open(struct loop *loop, const struct arrival *arrival)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link) {
		close(arrival->fd);
		return;
	}
	link->loop = loop;
	fair_begin(link);
	if (attach(link, arrival))
		link_abort(link);
	else if (!arrival->tls && link_admit(link))
		link_accept(link, &arrival->principal);
	else if (arrival->tls && !domain_draining(loop->server->domain) && tls_begin(link))
		link_resume(link);
	else
		link_abort(link);
}

static void on_written(uv_write_t *request, int status)
{
	struct link *link = request->data;
	struct event event = {.kind = EVENT_WRITABLE, .peer = &link->peer};

	if (status < 0)
		link_abort(link);
	else if (!uv_is_closing(&link->handle))
		loop_step(link->loop, &event);
}

void link_written(struct link *link, struct action *action)
{
	action->done = !action->report;
	if (action->report && !link->writable) {
		link->writable = true;
		link->next_writable = link->loop->writable;
		link->loop->writable = link;
	}
}

/* All at once nearly always; the rest goes through the loop. */
static void write_clear(struct link *link, struct action *action)
{
	uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)action->data, (unsigned)action->length);
	int n = uv_try_write(&link->stream, &buffer, 1);

	if (n < 0 && n != UV_EAGAIN) {
		link_abort(link);
		return;
	}
	if (n == (int)action->length) {
		link_written(link, action);
		return;
	}
	if (n > 0) {
		buffer.base += n;
		buffer.len -= (size_t)n;
	}
	link->write.data = link;
	if (uv_write(&link->write, &link->stream, &buffer, 1, on_written))
		link_abort(link);
}

void link_write(struct link *link, struct action *action)
{
	pt_port_note(PT_EVENT_TRANSPORT, 0, NULL, NULL, 0, 0);
	if (link->tls)
		tls_write(link, action);
	else
		write_clear(link, action);
}

void link_pause(struct link *link)
{
	link->paused = true;
	uv_read_stop(&link->stream);
}

void link_resume(struct link *link)
{
	link->paused = false;
	if (!link->resting && !uv_is_closing(&link->handle))
		uv_read_start(&link->stream, give_buffer, on_read);
}

/* Our end is shut: at once, or when the peer's is, or after a second or two, the link goes. */
static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct link *link = request->data;
	struct loop *loop = link->loop;

	if (status < 0 || !link->linger) {
		link_abort(link);
		return;
	}
	if (uv_is_closing(&link->handle))
		return;
	link->lingering = true;
	link->next_linger = loop->lingering;
	loop->lingering = link;
	if (!uv_is_active((uv_handle_t *)&loop->linger))
		uv_timer_again(&loop->linger);
}

void link_close(struct link *link, bool linger)
{
	link->closing = true;
	link->linger = linger;
	link->shutdown.data = link;
	if (link->tls)
		tls_say_end(link);
	fair_forget(link);
	link_resume(link);
	if (uv_shutdown(&link->shutdown, &link->stream, on_shutdown))
		link_abort(link);
}

void links_sweep(struct loop *loop)
{
	struct link *link = loop->lingering, *next;

	for (; link; link = next) {
		next = link->next_linger;
		if (link->linger_over)
			link_abort(link);
		link->linger_over = true;
	}
	if (!loop->lingering)
		uv_timer_stop(&loop->linger);
}
