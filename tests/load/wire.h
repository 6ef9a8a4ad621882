/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's end of one HTTP/2 connection, made for load: requests cost a copy, answers a look.
 * Non-blocking; the caller polls. What is sent gathers in `out` until wire_flush().
 */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD    9u
#define FRAME_LARGEST 16384u
#define WIRE_WINDOW   0x7fffffff
#define WIRE_ANSWERS  32u
#define WIRE_IN_BYTES (256u << 10)

struct endpoint {
	const char *name; /* "unix:PATH", "tcp:HOST:PORT" */
	SSL_CTX *tls;	  /* NULL: in clear */
	const char *server_name;
};

/* What a header block of an answer says. */
struct answer {
	int http;	      /* 0: not there */
	int grpc;	      /* -1: not there */
	uint32_t pushback_ms; /* 0: not there */
};

/* A block that consists of indexes alone, and what it said: the same bytes say the same until a
 * block changes the table. */
struct known_answer {
	uint8_t bytes[8];
	uint32_t length;
	struct answer answer;
};

struct wire {
	int fd;
	SSL *ssl;
	bool connecting, shaking; /* TCP or TLS is not through */
	bool wants_write;	  /* the socket is full, or SSL waits for it */
	bool over;		  /* no more can come */
	bool goaway;
	uint32_t error_code; /* of GOAWAY */
	nghttp2_hd_inflater *inflater;
	struct known_answer known[WIRE_ANSWERS];
	uint32_t known_count;

	const char *path, *authority;
	bool first_sent; /* the request's fields are in the peer's table */
	int32_t next_id;
	int64_t window;	  /* for sending, of the connection */
	int32_t initial;  /* window of a new stream */
	uint32_t streams; /* the peer allows */
	uint64_t received, credited;

	uint8_t *in, *out;
	size_t in_length, out_length, out_sent, out_room;
	void *user;
};

/* What comes in. NULL: not wanted. */
struct wire_events {
	void (*headers)(struct wire *wire, int32_t id, const struct answer *answer, bool end);
	void (*data)(struct wire *wire, int32_t id, const uint8_t *data, size_t length, bool end);
	void (*reset)(struct wire *wire, int32_t id, uint32_t code);
	/* id 0: the connection's, or new settings. */
	void (*window)(struct wire *wire, int32_t id, int64_t more);
};

/* Begins to connect. False: errno says why. */
bool wire_open(struct wire *wire, const struct endpoint *endpoint, const char *path);
void wire_close(struct wire *wire);
/* Goes on with the handshakes. True: they are through. */
bool wire_ready(struct wire *wire);
/* Preface, SETTINGS with `window` for each stream, and a wide-open connection. */
void wire_hello(struct wire *wire, uint32_t window);
/* The frame's head and room for its body, which the caller fills. */
uint8_t *wire_frame(struct wire *wire, uint8_t type, uint8_t flags, int32_t id, uint32_t length);
/* HEADERS of a request on the next stream; returns its id. */
int32_t wire_request(struct wire *wire, bool end);
/* Likewise for another method, spelt out each time; not the first. */
int32_t wire_request_to(struct wire *wire, const char *path);
/* Bytes without a frame. */
void wire_raw(struct wire *wire, const void *bytes, size_t length);
/* Writes what it can. False: the connection is over. */
bool wire_flush(struct wire *wire);
/* Reads once, or until nothing is left, and tells of what came. False: the connection is over. */
bool wire_take(struct wire *wire, const struct wire_events *events);

#endif
