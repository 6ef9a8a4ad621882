/* SPDX-License-Identifier: BSD-2-Clause */
/* The gRPC deframer: 5-byte prefixes and messages out of DATA that may be cut anywhere. */
#ifndef PTD_FRAME_H
#define PTD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PREFIX 5

/* Zeroed at the start. `body` is the owner's memory, given after FRAME_BEGIN. */
struct frame {
	uint8_t prefix[FRAME_PREFIX];
	uint8_t have; /* bytes of the prefix */
	uint32_t length, got;
	uint8_t *body;
};

enum frame_event {
	FRAME_MORE,    /* all input used, nothing complete */
	FRAME_BEGIN,   /* a prefix is complete: check `length` and the flag, give memory */
	FRAME_MESSAGE, /* a message is complete; call frame_next() */
	FRAME_ROOM,    /* `room` is used up: give more memory */
};

/* Takes bytes from `*data`, at most until the next event. `room`: bytes of memory behind `body`. */
enum frame_event frame_feed(struct frame *frame, size_t room, const uint8_t **data, size_t *left);
/* After FRAME_MESSAGE: ready for the next prefix. */
void frame_next(struct frame *frame);
/* True between messages: only there may a stream end. */
static inline bool frame_idle(const struct frame *frame)
{
	return frame->have == 0;
}

#endif
