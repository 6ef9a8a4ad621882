/* SPDX-License-Identifier: BSD-2-Clause */
/* Request headers: what is legal gRPC, and the answer to what is not (docs/protocol.md). */
#include "codec.h"
#include "message.h"
#include "wire_limits.h"

#include <string.h>

static bool is(const nghttp2_vec *vec, const char *text, size_t length)
{
	return vec->len == length && !memcmp(vec->base, text, length);
}
#define IS(vec, text) is(&(vec), text, sizeof(text) - 1)

/* "application/grpc", then the end, '+' or ';'. */
static bool is_grpc_type(const nghttp2_vec *value)
{
	static const char type[] = "application/grpc";
	size_t n = sizeof(type) - 1;

	return value->len >= n && !memcmp(value->base, type, n) &&
	       (value->len == n || value->base[n] == '+' || value->base[n] == ';');
}

static void header_timeout(struct stream *stream, const nghttp2_vec *value)
{
	if (stream->has_timeout || !timeout_parse(value->base, value->len, &stream->timeout_ns))
		stream->bad_timeout = true;
	stream->has_timeout = true;
}

static void header_pseudo(struct stream *stream, const nghttp2_vec *name, const nghttp2_vec *value)
{
	if (IS(*name, ":path"))
		stream->route = routes_find(stream->conn->shard->routes, value->base, value->len);
	else if (IS(*name, ":method"))
		stream->is_post = IS(*value, "POST");
}

static void header_regular(struct stream *stream, const nghttp2_vec *name, const nghttp2_vec *value)
{
	switch (name->len) {
	case 2:
		if (IS(*name, "te"))
			stream->has_te = IS(*value, "trailers");
		break;
	case 12:
		if (IS(*name, "content-type")) {
			stream->has_type = true;
			stream->bad_type = stream->bad_type || !is_grpc_type(value);
		} else if (IS(*name, "grpc-timeout")) {
			header_timeout(stream, value);
		}
		break;
	case 13:
		if (IS(*name, "grpc-encoding") && !IS(*value, "identity"))
			stream->bad_encoding = true;
		break;
	default: break;
	}
}

void stream_header(struct stream *stream, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);

	stream->header_bytes += (uint32_t)(n.len + v.len + 32);
	stream->header_count++;
	if (stream->header_bytes > LIMIT_HEADER_LIST_BYTES) {
		if (stream->header_bytes > WIRE_HEADER_ABUSE)
			conn_fail(stream->conn, NGHTTP2_ENHANCE_YOUR_CALM, "header list too large");
		return;
	}
	if (stream->got_headers)
		return; /* request trailers: counted, and of no meaning */
	if (n.len && n.base[0] == ':')
		header_pseudo(stream, &n, &v);
	else
		header_regular(stream, &n, &v);
	if (stream->route && stream->route->method.keeps_metadata)
		stream_keep_metadata(stream, &n, &v);
}

static void refuse(struct stream *stream)
{
	count(&stream->conn->shard->counters->streams_refused, 1);
	stream_reset(stream, NGHTTP2_REFUSED_STREAM);
}

/* Nearly always the connection's own share is enough. */
static bool principal_allows(struct conn *conn)
{
	if (conn->live > conn->share.held[PRINCIPAL_CALLS] && conn->share.account &&
	    !principal_take(&conn->share, PRINCIPAL_CALLS, conn->live))
		return false;
	return !conn->share.held[PRINCIPAL_OUTPUT] ||
	       !principal_is_full(&conn->share, PRINCIPAL_OUTPUT);
}

/* The deadline counts from the arrival of the headers. */
static void start_deadline(struct stream *stream)
{
	struct shard *shard = stream->conn->shard;
	uint64_t left = UINT64_MAX - shard->now_ns;

	if (!stream->has_timeout || stream->timeout_ns > left)
		return;
	stream->call.deadline_ns = shard->now_ns + stream->timeout_ns;
	timer_arm(&shard->timers, &stream->timer, stream->call.deadline_ns);
}

void stream_request(struct stream *stream)
{
	struct conn *conn = stream->conn;

	stream->got_headers = true;
	if (!stream->has_te)
		count(&conn->shard->counters->te_missing, 1);
	if (stream->header_bytes > LIMIT_HEADER_LIST_BYTES ||
	    stream->header_count > WIRE_MAX_HEADERS)
		stream_reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
	else if (!stream->is_post)
		stream_answer_http(stream, "405", NULL);
	else if (!stream->has_type || stream->bad_type)
		stream_answer_http(
			stream, "415",
			"This is a gRPC server: content-type must be application/grpc.\n");
	else if (!stream->route)
		stream_fail(stream, PT_UNSUPPORTED, PT_GRPC_UNIMPLEMENTED, "unknown method");
	else if (stream->bad_timeout)
		stream_fail(stream, PT_INVALID, PT_GRPC_INTERNAL, "malformed grpc-timeout");
	else if (stream->bad_encoding)
		stream_fail(stream, PT_UNSUPPORTED, PT_GRPC_UNIMPLEMENTED,
			    "grpc-encoding is not supported; send identity");
	else if (stream->has_timeout && !stream->timeout_ns)
		stream_fail(stream, PT_DEADLINE, PT_GRPC_DEADLINE_EXCEEDED, NULL);
	else if (conn->live > WIRE_LIVE_CALLS)
		refuse(stream);
	else if (!principal_allows(conn))
		stream_refuse(stream, principal_is_full(&conn->share, PRINCIPAL_OUTPUT)
					      ? "max_principal_output_bytes: answers nobody reads"
					      : "max_principal_calls: too many calls at once");
	else if (stream_admits(stream) && stream->has_timeout)
		start_deadline(stream);
}
