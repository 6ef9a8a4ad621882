/* SPDX-License-Identifier: BSD-2-Clause */
/* A scripted client on nghttp2's client session. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define NV(n, v)                                                                                   \
	{                                                                                          \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v),        \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

void pipe_put(struct pipe *pipe, const void *data, size_t length)
{
	if (pipe->length + length > pipe->room) {
		pipe->room = (pipe->length + length) * 2;
		pipe->data = realloc(pipe->data, pipe->room);
		if (!pipe->data)
			abort();
	}
	if (length)
		memcpy(pipe->data + pipe->length, data, length);
	pipe->length += length;
}

void pipe_drop(struct pipe *pipe, size_t length)
{
	pipe->length -= length;
	if (pipe->length)
		memmove(pipe->data, pipe->data + length, pipe->length);
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct sim_client *client = user;
	size_t *at = source->ptr, n = client->body_length - *at;

	(void)session, (void)id;
	n = n > room ? room : n;
	memcpy(out, client->body + *at, n);
	*at += n;
	if (*at == client->body_length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
		     void *user)
{
	struct sim_client *client = user;

	(void)session, (void)frame, (void)flags;
	if (name_length == 11 && !memcmp(name, "grpc-status", 11)) {
		if (value_length == 1 && *value == '0')
			client->ok++;
		else
			client->failed++;
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t length, void *user)
{
	struct sim_client *client = user;

	(void)session, (void)flags, (void)id, (void)data;
	client->answer_bytes += length;
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct sim_client *client = user;

	(void)session, (void)id, (void)code;
	client->running--;
	return 0;
}

void client_open(struct sim_client *client)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks))
		abort();
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (nghttp2_session_client_new(&client->session, callbacks, client))
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(client->session, 0, NULL, 0);
}

static void start_call(struct sim_client *client)
{
	nghttp2_nv nv[] = {NV(":method", "POST"),
			   NV(":scheme", "http"),
			   NV(":path", client->path),
			   NV(":authority", "localhost"),
			   NV("content-type", "application/grpc"),
			   NV("te", "trailers")};
	size_t *at = &client->sent[client->started];
	nghttp2_data_provider body = {{.ptr = at}, give_body};
	int32_t id;

	id = nghttp2_submit_request(client->session, NULL, nv, 6, &body, NULL);
	if (id < 0) {
		client->calls = client->started;
		return;
	}
	client->started++;
	client->running++;
	if (client->cancel_every && client->started % client->cancel_every == 0)
		nghttp2_submit_rst_stream(client->session, 0, id, NGHTTP2_CANCEL);
}

void client_turn(struct sim_client *client)
{
	const uint8_t *data;
	ssize_t n;

	if (client->raw)
		return;
	while (client->started < client->calls && client->running < client->depth)
		start_call(client);
	while ((n = nghttp2_session_mem_send(client->session, &data)) > 0)
		pipe_put(&client->to_server, data, (size_t)n);
}

void client_receive(struct sim_client *client, const uint8_t *data, size_t length)
{
	if (!client->raw &&
	    nghttp2_session_mem_recv(client->session, data, length) != (ssize_t)length)
		abort(); /* the server has sent what HTTP/2 does not allow */
}

bool client_is_done(const struct sim_client *client)
{
	return client->told || (client->raw && (client->closing || !client->to_server.length)) ||
	       (!client->raw && client->started == client->calls && !client->running &&
		!client->to_server.length);
}
