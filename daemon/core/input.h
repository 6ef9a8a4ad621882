/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer sends, on its way into nghttp2: frames that would needlessly end it are left out. */
#ifndef PTD_INPUT_H
#define PTD_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD 9u

struct conn;

/* Where in a frame the input stands. */
struct input {
	uint32_t left; /* bytes of the body, or of the preface, still to come */
	uint8_t head[FRAME_HEAD];
	uint8_t have;  /* bytes of a head that is cut */
	bool dropping; /* this frame is left out */
};

/* False: the connection takes no more. */
typedef bool input_feed(struct conn *conn, const uint8_t *data, size_t length);

void input_begin(struct input *input);
/* Hands on all but what is left out, in as few pieces as can be. */
bool input_take(struct conn *conn, const uint8_t *data, size_t length, input_feed *feed);

#endif
