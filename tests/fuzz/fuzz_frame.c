/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: the deframer gives the same messages, however the bytes are cut. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

#define ROOM 4096

/* Messages and bytes of them that come out when the input is fed in pieces of `step`. */
static uint64_t feed(const uint8_t *data, size_t length, size_t step)
{
	static uint8_t body[ROOM];
	struct frame frame = {0};
	uint64_t sum = 0;

	while (length) {
		size_t piece = length < step ? length : step, left = piece;
		const uint8_t *at = data;

		while (left) {
			size_t before = left;
			enum frame_event e = frame_feed(&frame, ROOM, &at, &left);

			if (e == FRAME_BEGIN) {
				if (frame.length > ROOM)
					return sum;
				frame.body = body;
			} else if (e == FRAME_MESSAGE) {
				for (uint32_t i = 0; i < frame.length; i++)
					sum = sum * 31 + body[i];
				sum = sum * 31 + frame.length + 1;
				frame_next(&frame);
			} else if (left && left == before) {
				abort(); /* no progress */
			}
		}
		data += piece;
		length -= piece;
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	uint64_t whole = feed(data, length, length ? length : 1);

	if (feed(data, length, 1) != whole || feed(data, length, 7) != whole)
		abort();
	return 0;
}
