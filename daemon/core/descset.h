/* SPDX-License-Identifier: BSD-2-Clause */
/* The embedded descriptor set, indexed at start-up without descriptor.proto. */
#ifndef PTD_DESCSET_H
#define PTD_DESCSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const uint8_t *data;
	size_t length;
};

#define DESC_MAX_DEPS 16

struct desc_file {
	struct slice raw; /* a FileDescriptorProto, as protoc wrote it */
	struct slice name, package;
	struct slice dep[DESC_MAX_DEPS];
	uint32_t deps;
};

struct desc_symbol {
	const char *name; /* full, NUL-terminated */
	uint32_t file;
	bool is_method;
	struct slice input; /* methods: type name with its leading dot */
	bool client_streaming, server_streaming;
};

struct descset {
	struct desc_file *file;
	uint32_t files;
	struct desc_symbol *symbol; /* sorted by name */
	uint32_t symbols;
	char *names;
};

/* Reads a FileDescriptorSet; the bytes must outlive the index. False: malformed, or no memory. */
bool descset_read(struct descset *set, const uint8_t *data, size_t length);
void descset_free(struct descset *set);

/* Index of a file, or -1. */
int descset_file(const struct descset *set, const char *name, size_t length);
const struct desc_symbol *descset_symbol(const struct descset *set, const char *name);

/* Build-time data: the descriptor set of proto/, as protoc wrote it. */
extern const unsigned char ptd__v1__descriptor_set[];
extern const size_t ptd__v1__descriptor_set_length;

#endif
