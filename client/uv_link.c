/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transport of the libuv layer: name lookup, connect, read, write.
 *
 * The socket is our own and libuv polls it: libuv's streams write without MSG_NOSIGNAL, and they
 * would not tell how much of a write had left when the connection is lost.
 *
 * A link belongs to its client until it is dropped; then it lives until libuv has let go of it, and
 * its callbacks find no client.
 */
#include "socket.h"
#include "uv_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads before others get their turn. */
#define READS_PER_ROUND 4

struct link {
	struct ptd_uv *uv; /* whose it is, also after it was dropped: for uv_let_go() */
	bool dropped;	   /* the client does not know it any more */
	bool polling;	   /* `poll` is open, and closes `fd` with it */
	bool looking;	   /* uv_getaddrinfo() is under way */
	bool connecting;
	int fd, events;
	unsigned next, count;
	uv_poll_t poll;
	uv_getaddrinfo_t lookup;
	struct socket_address addresses[SOCKET_ADDRESSES];
};

static void try_next(struct link *link, int error);

static void free_if_done(struct link *link)
{
	struct ptd_uv *uv = link->uv;

	if (!link->dropped || link->polling || link->looking)
		return;
	free(link);
	uv_let_go(uv);
}

static void on_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;

	close(link->fd);
	link->polling = false;
	/* Closed to try another address, or for good. */
	if (link->dropped)
		free_if_done(link);
	else
		try_next(link, 0);
}

void uv_link_drop(struct ptd_uv *uv)
{
	struct link *link = uv->link;

	uv->link = NULL;
	if (!link)
		return;
	link->dropped = true;
	if (link->polling && !uv_is_closing((uv_handle_t *)&link->poll))
		uv_close((uv_handle_t *)&link->poll, on_closed);
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

static const char *why_lost(void)
{
	return errno ? strerror(errno) : "closed by the daemon";
}

/* True: there may be more. */
static bool read_some(struct ptd_uv *uv)
{
	for (int i = 0; i < READS_PER_ROUND && uv->link; i++) {
		long length = socket_read(uv->link->fd, uv->input, UV_INPUT_BATCH);

		if (length < 0)
			uv_link_lost(uv, why_lost());
		if (length <= 0)
			return false;
		uv->busy = true;
		ptd_core_input(uv->core, uv->input, (size_t)length, uv_hrtime());
		uv->busy = false;
		if (length < (long)UV_INPUT_BATCH)
			break;
	}
	return uv->link;
}

/* Nothing can be written any more; answers may have come before that. */
static void lose_after_input(struct ptd_uv *uv)
{
	const char *why = why_lost();

	while (read_some(uv))
		;
	if (uv->link)
		uv_link_lost(uv, why);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct link *link, int events)
{
	if (link->events != events)
		uv_poll_start(&link->poll, events, on_poll);
	link->events = events;
}

void uv_link_flush(struct ptd_uv *uv)
{
	const uint8_t *bytes;
	size_t length = 0;

	while (uv->link && !uv->link->connecting && uv->link->polling &&
	       (length = ptd_core_output(uv->core, &bytes))) {
		long moved = socket_write(uv->link->fd, bytes, length);

		if (moved < 0)
			lose_after_input(uv);
		if (moved <= 0)
			break;
		ptd_core_wrote(uv->core, (size_t)moved);
	}
	if (uv->link && !uv->link->connecting && uv->link->polling)
		watch(uv->link, UV_READABLE | (length ? UV_WRITABLE : 0));
}

/* --- connecting ------------------------------------------------------------------------------ */

static void finish_connection(struct link *link)
{
	int error = socket_finish(link->fd);

	if (error) {
		try_next(link, error);
		return;
	}
	link->connecting = false;
	ptd_core_connected(link->uv->core, uv_hrtime());
	uv_service(link->uv);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;
	struct ptd_uv *uv = link->uv;

	(void)events;
	if (link->dropped)
		return;
	if (link->connecting) {
		finish_connection(link);
		return;
	}
	if (status < 0)
		uv_link_lost(uv, uv_strerror(status));
	else
		read_some(uv);
	uv_service(uv);
}

/* 0, or an errno. */
static int begin(struct link *link, const struct socket_address *to)
{
	link->fd = socket_begin(to);
	if (link->fd < 0)
		return errno;
	if (uv_poll_init(link->uv->timer.loop, &link->poll, link->fd)) {
		close(link->fd);
		return ENOMEM;
	}
	link->poll.data = link;
	link->polling = link->connecting = true;
	link->events = 0;
	watch(link, UV_READABLE | UV_WRITABLE);
	return 0;
}

/* The next address, after the socket of the last one is closed; lost when there is none. */
static void try_next(struct link *link, int error)
{
	if (link->next < link->count && link->polling) {
		uv_close((uv_handle_t *)&link->poll, on_closed);
		return;
	}
	while (link->next < link->count) {
		error = begin(link, &link->addresses[link->next++]);
		if (!error)
			return;
	}
	lose(link, error ? strerror(error) : "no address answers");
}

static void on_found(uv_getaddrinfo_t *lookup, int error, struct addrinfo *found)
{
	struct link *link = lookup->data;

	link->looking = false;
	link->count = socket_addresses(found, link->addresses);
	uv_freeaddrinfo(found);
	if (link->dropped)
		free_if_done(link);
	else if (error)
		lose(link, uv_strerror(error));
	else
		try_next(link, 0);
}

void uv_link_open(struct ptd_uv *uv)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct link *link = calloc(1, sizeof(*link));
	int error = 0;

	if (!link) {
		ptd_core_lost(uv->core, uv_hrtime(), "no memory");
		return;
	}
	link->uv = uv;
	link->lookup.data = link;
	uv->link = link;
	uv->handles++;
	if (uv->endpoint.path) {
		link->count = socket_unix(uv->endpoint.path, link->addresses);
		error = begin(link, &link->addresses[link->next++]);
		if (error)
			uv_link_lost(uv, strerror(error));
		return;
	}
	error = uv_getaddrinfo(uv->timer.loop, &link->lookup, on_found, uv->endpoint.host,
			       uv->endpoint.port, &hints);
	link->looking = !error;
	if (error)
		uv_link_lost(uv, uv_strerror(error));
}
