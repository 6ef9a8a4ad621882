/* SPDX-License-Identifier: BSD-2-Clause */
/* An established TLS link: records straight from the loop's read buffer, all clear bytes of one
 * read in one event, all records of one write in one system call. */
#include "tls_state.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* Ciphertext that did not leave at once. */
struct tls_write {
	uv_write_t request;
	bool report;
	uint8_t data[];
};

/* --- the BIO --------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *data, int length)
{
	struct tls *tls = BIO_get_data(bio);
	size_t n = length > 0 ? (size_t)length : 0;

	BIO_clear_retry_flags(bio);
	if (n > tls->in_length)
		n = tls->in_length;
	if (!n || tls->broken) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, tls->in, n);
	tls->in += n;
	tls->in_length -= n;
	return (int)n;
}

static bool make_room(struct tls_buffer *buffer, size_t bytes)
{
	size_t room = buffer->room ? buffer->room : 4096;
	uint8_t *data;

	while (room - buffer->length < bytes)
		room *= 2;
	if (room == buffer->room)
		return true;
	data = realloc(buffer->data, room);
	if (!data)
		return false;
	buffer->data = data;
	buffer->room = room;
	return true;
}

static int bio_write(BIO *bio, const char *data, int length)
{
	struct tls *tls = BIO_get_data(bio);
	struct tls_buffer *out = tls->out;

	BIO_clear_retry_flags(bio);
	if (length <= 0 || !make_room(out, (size_t)length))
		return -1;
	memcpy(out->data + out->length, data, (size_t)length);
	out->length += (size_t)length;
	return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/* Made once, for all loops: the first attach may come from any worker. */
static BIO_METHOD *method;
static uv_once_t method_once = UV_ONCE_INIT;

static void free_method(void)
{
	BIO_meth_free(method);
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loop");
	if (!method)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_control);
	atexit(free_method);
}

bool tls_attach(struct tls *tls, SSL_CTX *context)
{
	BIO *bio;

	uv_once(&method_once, make_method);
	bio = method ? BIO_new(method) : NULL;
	tls->ssl = bio ? SSL_new(context) : NULL;
	if (!tls->ssl) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	SSL_set_accept_state(tls->ssl);
	return true;
}

/* --- out ------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
	struct tls_write *write = (struct tls_write *)(void *)request;
	struct link *link = request->handle->data;
	struct event event = {.kind = EVENT_WRITABLE, .peer = &link->peer};

	if (status < 0)
		link_abort(link);
	else if (write->report && !uv_is_closing(&link->handle))
		loop_step(link->loop, &event);
	free(write);
}

static bool send_later(struct link *link, const uint8_t *data, size_t length, bool report)
{
	struct tls_write *write = malloc(sizeof(*write) + length);
	uv_buf_t buffer;

	if (!write)
		return false;
	memcpy(write->data, data, length);
	write->report = report;
	buffer = uv_buf_init((char *)write->data, (unsigned)length);
	if (!uv_write(&write->request, &link->stream, &buffer, 1, on_written))
		return true;
	free(write);
	return false;
}

int tls_send(struct link *link, struct tls_buffer *out, bool report)
{
	uv_buf_t buffer = uv_buf_init((char *)out->data, (unsigned)out->length);
	int n = out->length ? uv_try_write(&link->stream, &buffer, 1) : 0;
	size_t length = out->length, sent = n > 0 ? (size_t)n : 0;

	out->length = 0;
	if (sent == length)
		return 1;
	if ((n < 0 && n != UV_EAGAIN) ||
	    !send_later(link, out->data + sent, length - sent, report)) {
		link_abort(link);
		return -1;
	}
	return 0;
}

static bool encrypt(SSL *ssl, const uint8_t *data, size_t length)
{
	ERR_clear_error();
	while (length) {
		size_t n;

		if (SSL_write_ex(ssl, data, length, &n) <= 0) {
			ERR_clear_error();
			return false;
		}
		data += n;
		length -= n;
	}
	return true;
}

void tls_write(struct link *link, struct action *action)
{
	struct tls *tls = link->tls;

	if (tls->broken)
		return; /* EVENT_CLOSED is on its way */
	if (!encrypt(tls->ssl, action->data, action->length)) {
		tls->broken = true;
		tls->out->length = 0; /* the buffer is all links' */
		link_abort(link);
		return;
	}
	if (tls_send(link, tls->out, true) > 0)
		link_written(link, action);
}

void tls_say_end(struct link *link)
{
	struct tls *tls = link->tls;

	if (tls->handshake || tls->broken)
		return;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
	tls->broken = true;
	tls_send(link, tls->out, false);
}

/* --- in -------------------------------------------------------------------------------------- */

enum end { END_NONE, END_NOTIFIED, END_FAILED };

static void deliver(struct link *link, size_t length)
{
	struct event event = {.kind = EVENT_BYTES,
			      .peer = &link->peer,
			      .data = link->loop->tls->clear,
			      .length = length};

	if (length && !link->closing)
		loop_step(link->loop, &event);
}

/* Decrypts until nothing is left or the buffer is full, which the next call goes on from. */
static enum end decrypt(struct tls *tls, uint8_t *clear, size_t *length)
{
	size_t n;

	*length = 0;
	ERR_clear_error(); /* what succeeds, or wants more, adds none */
	while (*length < TLS_CLEAR_BYTES) {
		if (SSL_read_ex(tls->ssl, clear + *length, TLS_CLEAR_BYTES - *length, &n) > 0) {
			*length += n;
			if (!tls->in_length && !SSL_has_pending(tls->ssl))
				break; /* nearly always: spares the question that gets no answer */
			continue;
		}
		switch (SSL_get_error(tls->ssl, 0)) {
		case SSL_ERROR_WANT_READ: return tls->broken ? END_FAILED : END_NONE;
		case SSL_ERROR_ZERO_RETURN: return END_NOTIFIED;
		default:
			ERR_clear_error();
			tls->broken = true;
			return END_FAILED;
		}
	}
	return tls->broken ? END_FAILED : END_NONE;
}

void tls_bytes(struct link *link, const uint8_t *data, size_t length)
{
	struct tls *tls = link->tls;
	enum end end;
	size_t clear;

	tls->in = data;
	tls->in_length = length;
	do {
		end = decrypt(tls, link->loop->tls->clear, &clear);
		if (tls->out->length) /* an alert */
			tls_send(link, tls->out, false);
		deliver(link, clear);
	} while (end == END_NONE && clear == TLS_CLEAR_BYTES && !link->closing);
	tls->in = NULL;
	tls->in_length = 0;
	if (end == END_NOTIFIED && !link->closing)
		tls_say_end(link);
	if (end != END_NONE)
		link_abort(link);
}
