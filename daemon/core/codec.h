/* SPDX-License-Identifier: BSD-2-Clause */
/* Small encodings of gRPC: timeouts, percent-encoding, base64, varints. Pure functions. */
#ifndef PTD_CODEC_H
#define PTD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "1 to 8 digits, one of HMSmun" to nanoseconds, saturated. False: malformed. */
bool timeout_parse(const uint8_t *text, size_t length, uint64_t *nanoseconds);

/* Percent-encodes as grpc-message wants it; stops before `capacity` is exceeded, never inside an
 * escape. Returns the length. */
size_t percent_encode(char *out, size_t capacity, const char *text);

/* Unpadded base64; `out` has room for base64_length(). Returns the length. */
size_t base64_length(size_t bytes);
size_t base64_encode(char *out, const uint8_t *data, size_t bytes);

/* Valid UTF-8 (no surrogates, shortest form, up to U+10FFFF). */
bool utf8_valid(const uint8_t *text, size_t length);

/* Reads one varint of at most 10 bytes. Returns its length; 0: truncated or too long. */
size_t varint_read(const uint8_t *data, size_t length, uint64_t *value);

/* A protobuf writer into caller's memory; `overflow` once it did not fit. */
struct writer {
	uint8_t *data;
	size_t length, capacity;
	bool overflow;
};

void put_varint(struct writer *writer, uint64_t value);
void put_uint(struct writer *writer, unsigned field, uint64_t value);
void put_bytes(struct writer *writer, unsigned field, const void *data, size_t length);
void put_string(struct writer *writer, unsigned field, const char *text);

#endif
