/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection on libuv: reads into the loop's buffer, tries to write at once, lingers at the
 * end so that a GOAWAY is not lost to a reset. */
#include "loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void on_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;
	struct event event = {.kind = EVENT_CLOSED, .peer = &link->peer};

	loop_step(link->loop, &event);
	atomic_fetch_sub_explicit(&link->loop->server->connections, 1, memory_order_relaxed);
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
	if (!uv_is_closing(&link->handle))
		uv_close(&link->handle, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
	struct link *link = handle->data;

	(void)wanted;
	*buffer = uv_buf_init(link->loop->buffer, READ_BUFFER);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct link *link = stream->data;
	struct event event = {.kind = EVENT_BYTES,
			      .peer = &link->peer,
			      .data = (const uint8_t *)buffer->base,
			      .length = length > 0 ? (size_t)length : 0};

	if (length < 0)
		link_abort(link);
	else if (length > 0 && !link->closing)
		loop_step(link->loop, &event);
}

static int attach(struct link *link, const struct arrival *arrival)
{
	uv_loop_t *uv = &link->loop->uv;
	int result;

	if (arrival->tcp) {
		uv_tcp_init(uv, &link->tcp);
		result = uv_tcp_open(&link->tcp, arrival->fd);
		uv_tcp_nodelay(&link->tcp, 1);
	} else {
		uv_pipe_init(uv, &link->pipe, 0);
		result = uv_pipe_open(&link->pipe, arrival->fd);
	}
	link->handle.data = link;
	if (result)
		close(arrival->fd);
	return result;
}

void link_open(struct loop *loop, const struct arrival *arrival)
{
	struct link *link = calloc(1, sizeof(*link));
	struct event event = {.kind = EVENT_ACCEPTED, .principal = &arrival->principal};

	if (!link) {
		close(arrival->fd);
		atomic_fetch_sub_explicit(&loop->server->connections, 1, memory_order_relaxed);
		return;
	}
	link->loop = loop;
	event.peer = &link->peer;
	if (attach(link, arrival)) {
		link_abort(link);
		return;
	}
	if (getrandom(&event.random, sizeof(event.random), GRND_NONBLOCK) < 0)
		event.random = 0;
	loop_step(loop, &event);
	if (!link->closing)
		uv_read_start(&link->stream, give_buffer, on_read);
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

/* All at once nearly always; the rest goes through the loop. */
void link_write(struct link *link, struct action *action)
{
	uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)action->data, (unsigned)action->length);
	int n = uv_try_write(&link->stream, &buffer, 1);

	if (n < 0 && n != UV_EAGAIN) {
		link_abort(link);
		return;
	}
	if (n == (int)action->length) {
		action->done = !action->report;
		if (action->report && !link->writable) {
			link->writable = true;
			link->next_writable = link->loop->writable;
			link->loop->writable = link;
		}
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

void link_pause(struct link *link)
{
	uv_read_stop(&link->stream);
}

void link_resume(struct link *link)
{
	if (!uv_is_closing(&link->handle))
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
