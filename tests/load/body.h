/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of the load generator: made once, then only their addresses change. */
#ifndef LOAD_BODY_H
#define LOAD_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_PREFIX 5u

/* A framed message. */
struct body {
	uint8_t *data;
	size_t length;
	uint32_t items;	  /* columns whose addresses change with the serial number; 0: it stays */
	size_t first_ipa; /* offsets of the columns */
	uint64_t size, ways;
};

/*
 * `text`: "apply:CONTEXT:PAGES[:SIZE[K|M]]", an Apply (STOP_ON_ERROR) that maps PAGES ranges of
 * SIZE (4K) in pages of 4K and then unmaps them; "FILE", framed already; "" or "empty", an empty
 * message. False: *error says why.
 */
bool body_make(struct body *body, const char *text, const char **error);
/* Gives the request its own addresses. */
void body_vary(struct body *body, uint64_t serial);

/* Protobuf, as far as it is needed here; `out` has room. Each returns the end. */
uint8_t *put_varint(uint8_t *out, uint64_t value);
uint8_t *put_fixed64(uint8_t *out, uint64_t value);
uint8_t *put_prefix(uint8_t *out, uint32_t length);

#endif
