/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads what a shard sends as a strict client would: frames, header blocks, gRPC messages, one end
 * for each stream. Aborts at the first thing that is wrong. */
#ifndef TESTS_FUZZ_TRANSCRIPT_H
#define TESTS_FUZZ_TRANSCRIPT_H

#include <nghttp2/nghttp2.h>

#define TRANSCRIPT_STREAMS 256

struct transcript {
	nghttp2_hd_inflater *inflater;
	uint8_t head[9];
	unsigned have; /* bytes of the head */
	uint32_t left; /* bytes of the body still to come */
	size_t room;   /* of `body` */
	uint8_t *body; /* of a frame that is cut */
	size_t length; /* of it so far */
	struct {
		unsigned headers : 1, ended : 1, reset : 1, plain : 1;
		uint8_t have; /* bytes of a message's prefix */
		uint8_t prefix[5];
		uint32_t left; /* of the message */
	} stream[TRANSCRIPT_STREAMS];
	unsigned settings; /* frames that were no acknowledgement */
};

void transcript_begin(struct transcript *transcript);
void transcript_read(struct transcript *transcript, const uint8_t *data, size_t length);
void transcript_end(struct transcript *transcript);

#endif
