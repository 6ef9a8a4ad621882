/* SPDX-License-Identifier: BSD-2-Clause */
/* One daemon's core on one thread and one strict client of it; memory fails on the daemon's side
 * only. */
#ifndef TESTS_ALLOC_WIRE_H
#define TESTS_ALLOC_WIRE_H

#include "hook.h"

#include "dispatch.h"
#include "shard.h"

#include <nghttp2/nghttp2.h>

enum end {
	END_OK,	    /* grpc-status 0 */
	END_FAILED, /* another one */
	END_LOST,   /* the connection, or the stream, ended without a status */
	END_NEVER,  /* nothing more happens */
};

/* A call: one request, or several messages of a stream. */
struct scripted {
	const char *path;
	const ProtobufCMessage *message[5]; /* NULL-terminated */
	uint32_t answers;		    /* cancelled after so many; 0: it ends by itself */
	bool twice;			    /* done before, it fails */
	bool changes;			    /* something, in part, when it fails */
};

struct bytes {
	uint8_t *data;
	size_t length, room;
};

struct wire {
	struct routes *routes;
	struct domain *domain;
	struct shard *shard;
	uint64_t now_ns, timer_at;
	bool mail, reclaim;

	struct peer peer;
	bool connected, refused;
	nghttp2_session *client;
	int32_t id;
	bool over, broken; /* the call; the daemon broke HTTP/2 */
	int grpc;	   /* -1: none */
	uint32_t messages;
	struct bytes request, response;
	size_t sent;
	char text[200]; /* of the status */
};

/* False: there was no memory; everything is as before. */
bool wire_open(struct wire *wire, bool armed);
void wire_close(struct wire *wire);
/* Connects when it has to. */
enum end wire_call(struct wire *wire, const struct scripted *call, bool armed);

#endif
