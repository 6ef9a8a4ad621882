/* SPDX-License-Identifier: BSD-2-Clause */
/* The gRPC deframer. */
#include "frame.h"

#include <string.h>

static enum frame_event feed_prefix(struct frame *frame, const uint8_t **data, size_t *left)
{
	size_t want = FRAME_PREFIX - frame->have;
	size_t n = *left < want ? *left : want;

	memcpy(frame->prefix + frame->have, *data, n);
	frame->have = (uint8_t)(frame->have + n);
	*data += n;
	*left -= n;
	if (frame->have < FRAME_PREFIX)
		return FRAME_MORE;
	frame->length = (uint32_t)frame->prefix[1] << 24 | (uint32_t)frame->prefix[2] << 16 |
			(uint32_t)frame->prefix[3] << 8 | frame->prefix[4];
	frame->got = 0;
	frame->body = NULL;
	return FRAME_BEGIN;
}

enum frame_event frame_feed(struct frame *frame, size_t room, const uint8_t **data, size_t *left)
{
	size_t n;

	if (frame->have < FRAME_PREFIX)
		return *left ? feed_prefix(frame, data, left) : FRAME_MORE;
	if (frame->got == frame->length)
		return FRAME_MESSAGE;
	if (!*left)
		return FRAME_MORE;
	if (frame->got == room)
		return FRAME_ROOM;
	n = frame->length - frame->got;
	if (n > room - frame->got)
		n = room - frame->got;
	if (n > *left)
		n = *left;
	memcpy(frame->body + frame->got, *data, n);
	frame->got += (uint32_t)n;
	*data += n;
	*left -= n;
	return frame->got == frame->length ? FRAME_MESSAGE : FRAME_MORE;
}

void frame_next(struct frame *frame)
{
	frame->have = 0;
	frame->length = frame->got = 0;
	frame->body = NULL;
}
