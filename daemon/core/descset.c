/* SPDX-License-Identifier: BSD-2-Clause */
/* A hand parser of FileDescriptorSet: file, package, dependency, message, enum, service. Two
 * passes: the first counts, the second fills. */
#include "descset.h"

#include "codec.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAME  512
#define MAX_DEPTH 16

struct field {
	unsigned number, wire;
	uint64_t value; /* varints */
	struct slice bytes;
};

/* Takes one field off `at`. False: the end, or malformed (then at->data is NULL). */
static bool next_field(struct slice *at, struct field *field)
{
	uint64_t tag, length;
	size_t n;

	if (!at->length)
		return false;
	n = varint_read(at->data, at->length, &tag);
	*at = (struct slice){at->data + n, at->length - n};
	field->number = (unsigned)(tag >> 3);
	field->wire = tag & 7;
	if (!n || (field->wire != 0 && field->wire != 2))
		goto bad;
	n = varint_read(at->data, at->length, &length);
	if (!n)
		goto bad;
	field->value = length;
	field->bytes = (struct slice){at->data, 0}; /* of a number, where bytes were expected */
	*at = (struct slice){at->data + n, at->length - n};
	if (field->wire == 0)
		return true;
	if (length > at->length)
		goto bad;
	field->bytes = (struct slice){at->data, (size_t)length};
	*at = (struct slice){at->data + length, at->length - (size_t)length};
	return true;
bad:
	*at = (struct slice){NULL, 0};
	return false;
}

struct reader {
	struct descset *set;
	bool fill;
	uint32_t files, symbols;
	size_t names;
};

/* "scope.name" into the pool. */
static struct desc_symbol *add_symbol(struct reader *reader, const char *scope, struct slice name,
				      char *full)
{
	size_t scope_length = strlen(scope), length = scope_length + (scope_length != 0);
	struct desc_symbol *symbol = NULL;

	if (length + name.length >= MAX_NAME)
		return NULL;
	memcpy(full, scope, scope_length);
	if (scope_length)
		full[scope_length] = '.';
	memcpy(full + length, name.data, name.length);
	length += name.length;
	full[length] = 0;
	if (reader->fill) {
		char *copy = reader->set->names + reader->names;

		memcpy(copy, full, length + 1);
		symbol = &reader->set->symbol[reader->symbols];
		symbol->name = copy;
		symbol->file = reader->files;
	}
	reader->symbols++;
	reader->names += length + 1;
	return symbol;
}

static struct slice find_name(struct slice at, unsigned number)
{
	struct field field;

	while (next_field(&at, &field))
		if (field.number == number && field.wire == 2)
			return field.bytes;
	return (struct slice){(const uint8_t *)"", 0};
}

/* Enum values are siblings of their enum, as in C++. */
static void read_enum(struct reader *reader, const char *scope, struct slice at)
{
	char full[MAX_NAME];
	struct slice rest = at;
	struct field field;

	add_symbol(reader, scope, find_name(at, 1), full);
	while (next_field(&rest, &field))
		if (field.number == 2)
			add_symbol(reader, scope, find_name(field.bytes, 1), full);
}

static void read_message(struct reader *reader, const char *scope, struct slice at, unsigned depth)
{
	char full[MAX_NAME], inner[MAX_NAME];
	struct slice rest = at;
	struct field field;

	full[0] = 0;
	add_symbol(reader, scope, find_name(at, 1), full);
	while (depth < MAX_DEPTH && next_field(&rest, &field)) {
		if (field.number == 2 || field.number == 8) /* fields and oneofs */
			add_symbol(reader, full, find_name(field.bytes, 1), inner);
		else if (field.number == 3)
			read_message(reader, full, field.bytes, depth + 1);
		else if (field.number == 4)
			read_enum(reader, full, field.bytes);
	}
}

static void read_method(struct reader *reader, const char *scope, struct slice at)
{
	char full[MAX_NAME];
	struct desc_symbol *symbol = add_symbol(reader, scope, find_name(at, 1), full);
	struct field field;

	if (!symbol)
		return;
	symbol->is_method = true;
	symbol->input = find_name(at, 2);
	while (next_field(&at, &field)) {
		if (field.number == 5)
			symbol->client_streaming = field.value;
		else if (field.number == 6)
			symbol->server_streaming = field.value;
	}
}

static void read_service(struct reader *reader, const char *scope, struct slice at)
{
	char full[MAX_NAME];
	struct slice rest = at;
	struct field field;

	full[0] = 0;
	add_symbol(reader, scope, find_name(at, 1), full);
	while (next_field(&rest, &field))
		if (field.number == 2)
			read_method(reader, full, field.bytes);
}

static bool read_file(struct reader *reader, struct slice at)
{
	struct desc_file file = {.raw = at, .name = find_name(at, 1), .package = find_name(at, 2)};
	char package[MAX_NAME];
	struct field field;

	if (file.package.length >= MAX_NAME)
		return false;
	memcpy(package, file.package.data, file.package.length);
	package[file.package.length] = 0;
	while (next_field(&at, &field)) {
		switch (field.number) {
		case 3:
			if (file.deps == DESC_MAX_DEPS)
				return false;
			file.dep[file.deps++] = field.bytes;
			break;
		case 4: read_message(reader, package, field.bytes, 0); break;
		case 5: read_enum(reader, package, field.bytes); break;
		case 6: read_service(reader, package, field.bytes); break;
		default: break;
		}
	}
	if (reader->fill)
		reader->set->file[reader->files] = file;
	reader->files++;
	return at.data != NULL;
}

static bool read_set(struct reader *reader, struct slice at)
{
	struct field field;

	while (next_field(&at, &field))
		if (field.number == 1 && field.wire == 2 && !read_file(reader, field.bytes))
			return false;
	return at.data != NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct desc_symbol *x = a, *y = b;

	return strcmp(x->name, y->name);
}

bool descset_read(struct descset *set, const uint8_t *data, size_t length)
{
	struct reader reader = {.set = set};

	memset(set, 0, sizeof(*set));
	if (!read_set(&reader, (struct slice){data, length}))
		return false;
	set->file = calloc(reader.files + 1, sizeof(*set->file));
	set->symbol = calloc(reader.symbols + 1, sizeof(*set->symbol));
	set->names = malloc(reader.names + 1);
	if (!set->file || !set->symbol || !set->names) {
		descset_free(set);
		return false;
	}
	set->files = reader.files;
	set->symbols = reader.symbols;
	reader = (struct reader){.set = set, .fill = true};
	read_set(&reader, (struct slice){data, length});
	qsort(set->symbol, set->symbols, sizeof(*set->symbol), by_name);
	return true;
}

void descset_free(struct descset *set)
{
	free(set->file);
	free(set->symbol);
	free(set->names);
	memset(set, 0, sizeof(*set));
}

int descset_file(const struct descset *set, const char *name, size_t length)
{
	for (uint32_t i = 0; i < set->files; i++)
		if (set->file[i].name.length == length &&
		    !memcmp(set->file[i].name.data, name, length))
			return (int)i;
	return -1;
}

const struct desc_symbol *descset_symbol(const struct descset *set, const char *name)
{
	struct desc_symbol key = {.name = name};

	return bsearch(&key, set->symbol, set->symbols, sizeof(key), by_name);
}
