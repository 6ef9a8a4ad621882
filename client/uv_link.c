/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transport of the libuv layer: name lookup, connect, read, write.
 *
 * A link belongs to its client until it is dropped; then it lives until libuv has let go of it, and
 * its callbacks find no client.
 */
#include "uv_private.h"

#include <stdlib.h>
#include <string.h>

struct link {
	struct ptd_uv *uv; /* whose it is, also after it was dropped: for uv_let_go() */
	bool dropped;	   /* the client does not know it any more */
	bool handle;	   /* `stream` is open */
	bool looking;	   /* uv_getaddrinfo() is under way */
	bool up;	   /* connected */
	bool writing;	   /* `write` is under way */
	struct addrinfo *found, *next;
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	uv_getaddrinfo_t lookup;
	uv_connect_t connect;
	uv_write_t write;
	char *rest; /* what try_write left */
};

static void try_next(struct link *link, int error);

static void free_if_done(struct link *link)
{
	struct ptd_uv *uv = link->uv;

	if (!link->dropped || link->handle || link->looking)
		return;
	uv_freeaddrinfo(link->found);
	free(link->rest);
	free(link);
	uv_let_go(uv);
}

static void on_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;

	link->handle = false;
	/* Closed to try another address, or for good. */
	if (!link->dropped)
		try_next(link, 0);
	else
		free_if_done(link);
}

void uv_link_drop(struct ptd_uv *uv)
{
	struct link *link = uv->link;

	uv->link = NULL;
	if (!link)
		return;
	link->dropped = true;
	if (link->handle && !uv_is_closing((uv_handle_t *)&link->stream))
		uv_close((uv_handle_t *)&link->stream, on_closed);
	if (link->looking)
		uv_cancel((uv_req_t *)&link->lookup);
	free_if_done(link);
}

void uv_link_lost(struct ptd_uv *uv, const char *why)
{
	uv_link_drop(uv);
	ptd_core_lost(uv->core, uv_hrtime(), why);
}

static void lose(struct link *link, const char *why)
{
	struct ptd_uv *uv = link->uv;

	uv_link_lost(uv, why);
	uv_service(uv);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *to)
{
	const struct link *link = handle->data;

	(void)wanted;
	*to = uv_buf_init(link->uv->input, UV_INPUT_BATCH);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *from)
{
	struct link *link = stream->data;
	struct ptd_uv *uv = link->uv;

	if (link->dropped || !length)
		return;
	if (length < 0) {
		lose(link, length == UV_EOF ? "closed by the daemon" : uv_strerror((int)length));
		return;
	}
	uv->busy = true;
	ptd_core_input(uv->core, from->base, (size_t)length, uv_hrtime());
	uv->busy = false;
	uv_service(uv);
}

static void on_written(uv_write_t *write, int error)
{
	struct link *link = write->data;

	link->writing = false;
	free(link->rest);
	link->rest = NULL;
	if (link->dropped)
		return;
	if (error)
		lose(link, uv_strerror(error));
	else
		uv_service(link->uv);
}

/* The core counts these as written although they are not: they may leave at any time from here on,
 * and what may have left counts as having left. */
static bool queue_rest(struct link *link, const uint8_t *bytes, size_t length)
{
	uv_buf_t buffer;

	link->rest = malloc(length);
	if (!link->rest)
		return false;
	memcpy(link->rest, bytes, length);
	buffer = uv_buf_init(link->rest, (unsigned)length);
	link->write.data = link;
	link->writing = !uv_write(&link->write, &link->stream, &buffer, 1, on_written);
	return link->writing;
}

void uv_link_flush(struct ptd_uv *uv)
{
	const uint8_t *bytes;
	size_t length;

	while (uv->link && uv->link->up && !uv->link->writing &&
	       (length = ptd_core_output(uv->core, &bytes))) {
		uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)length);
		int moved = uv_try_write(&uv->link->stream, &buffer, 1);
		size_t gone = moved > 0 ? (size_t)moved : 0;

		if (moved < 0 && moved != UV_EAGAIN)
			uv_link_lost(uv, uv_strerror(moved));
		else if (gone < length && !queue_rest(uv->link, bytes + gone, length - gone))
			uv_link_lost(uv, "no memory");
		else
			ptd_core_wrote(uv->core, length);
	}
}

/* --- connecting ------------------------------------------------------------------------------ */

static void on_connected(uv_connect_t *connect, int error)
{
	struct link *link = connect->data;

	if (link->dropped)
		return;
	if (error) {
		try_next(link, error);
		return;
	}
	link->up = true;
	uv_read_start(&link->stream, give_room, on_read);
	ptd_core_connected(link->uv->core, uv_hrtime());
	uv_service(link->uv);
}

static int begin_tcp(struct link *link, uv_loop_t *loop, const struct sockaddr *address)
{
	int error = uv_tcp_init(loop, &link->tcp);

	if (error)
		return error;
	link->handle = true;
	link->tcp.data = link;
	uv_tcp_nodelay(&link->tcp, 1);
	return uv_tcp_connect(&link->connect, &link->tcp, address, on_connected);
}

/* The next address, after the handle of the last one is closed; lost when there is none. */
static void try_next(struct link *link, int error)
{
	struct addrinfo *at = link->next;

	if (!at) {
		lose(link, error ? uv_strerror(error) : "no address answers");
		return;
	}
	if (link->handle) {
		uv_close((uv_handle_t *)&link->stream, on_closed);
		return;
	}
	link->next = at->ai_next;
	error = begin_tcp(link, link->uv->timer.loop, at->ai_addr);
	if (error)
		try_next(link, error);
}

static void on_found(uv_getaddrinfo_t *lookup, int error, struct addrinfo *found)
{
	struct link *link = lookup->data;

	link->looking = false;
	link->found = link->next = found;
	if (link->dropped)
		free_if_done(link);
	else
		try_next(link, error);
}

static int begin(struct link *link, const struct endpoint *endpoint)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	uv_loop_t *loop = link->uv->timer.loop;
	int error;

	if (!endpoint->path) {
		error = uv_getaddrinfo(loop, &link->lookup, on_found, endpoint->host,
				       endpoint->port, &hints);
		link->looking = !error;
		return error;
	}
	error = uv_pipe_init(loop, &link->pipe, 0);
	if (error)
		return error;
	link->handle = true;
	link->pipe.data = link;
	uv_pipe_connect(&link->connect, &link->pipe, endpoint->path, on_connected);
	return 0;
}

void uv_link_open(struct ptd_uv *uv)
{
	struct link *link = calloc(1, sizeof(*link));
	int error;

	if (!link) {
		ptd_core_lost(uv->core, uv_hrtime(), "no memory");
		return;
	}
	link->uv = uv;
	link->connect.data = link->lookup.data = link;
	uv->link = link;
	uv->handles++;
	error = begin(link, &uv->endpoint);
	if (error)
		uv_link_lost(uv, uv_strerror(error));
}
