/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fuzz targets share: an input that is read to its end and then gives zeros, messages made
 * from it, and a check that names what is broken. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #what);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct source {
	const uint8_t *at, *end;
};

static inline struct source source_of(const uint8_t *data, size_t length)
{
	return (struct source){data, data + length};
}

static inline bool more(const struct source *in)
{
	return in->at < in->end;
}

static inline uint8_t take(struct source *in)
{
	return more(in) ? *in->at++ : 0;
}

/* `bytes` of them, little-endian. */
static inline uint64_t take_number(struct source *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)take(in) << (8 * i);
	return value;
}

/* Up to `most` bytes that stay where they are; *length of them. */
static inline const uint8_t *take_bytes(struct source *in, size_t most, size_t *length)
{
	const uint8_t *at = in->at;
	size_t left = (size_t)(in->end - in->at);

	*length = most < left ? most : left;
	in->at += *length;
	return at;
}

/* The number by which inputs know a method: a new one takes nothing from the others. */
static inline uint16_t method_number(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 16777619u;
	return (uint16_t)(h ^ h >> 16);
}

/* What generated messages speak of. */
struct vocabulary {
	uint64_t handle[16];
	unsigned handles;
	const char *const *word; /* strings, NULL-terminated */
};

/*
 * A message of `type` in its wire form: the input decides which fields are there and picks values
 * that mean something, such as a handle, an aligned address or a name. Returns its length, at most
 * `room`.
 */
size_t generate(struct source *in, const ProtobufCMessageDescriptor *type,
		const struct vocabulary *words, uint8_t *out, size_t room);

#endif
