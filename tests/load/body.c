/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of the load generator. */
#include "body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	   UINT64_C(4096)
#define FIRST_IPA  (UINT64_C(1) << 30)
#define FIRST_PA   (UINT64_C(2) << 30)
#define IPA_SPACE  (UINT64_C(512) << 30)
#define MAP	   1
#define UNMAP	   2
#define PAGES_ONLY 2
#define READ_WRITE 3
#define STOP	   2

uint8_t *put_varint(uint8_t *out, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*out++ = (uint8_t)(value | 128);
	*out++ = (uint8_t)value;
	return out;
}

uint8_t *put_fixed64(uint8_t *out, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		*out++ = (uint8_t)(value >> (8 * i));
	return out;
}

uint8_t *put_prefix(uint8_t *out, uint32_t length)
{
	*out++ = 0;
	for (int i = 3; i >= 0; i--)
		*out++ = (uint8_t)(length >> (8 * i));
	return out;
}

static size_t varint_length(uint64_t value)
{
	uint8_t space[10];

	return (size_t)(put_varint(space, value) - space);
}

/* Field `number`, packed: its key and length. */
static uint8_t *put_column(uint8_t *out, uint32_t number, size_t bytes)
{
	*out++ = (uint8_t)(number << 3 | 2);
	return put_varint(out, bytes);
}

static uint8_t *put_uints(uint8_t *out, uint32_t number, uint32_t pages, uint8_t first,
			  uint8_t second)
{
	out = put_column(out, number, 2 * pages);
	memset(out, first, pages);
	memset(out + pages, second, pages);
	return out + 2 * pages;
}

/* The columns of an Apply; those of ipa come first. */
static uint8_t *put_ops(uint8_t *out, struct body *body, uint32_t pages, const uint8_t *start)
{
	out = put_column(out, 1, 16 * pages);
	body->first_ipa = (size_t)(out - start);
	out += 16 * pages;
	out = put_fixed64(put_column(out, 2, 8), body->size);
	out = put_column(out, 3, 16 * pages);
	for (uint32_t i = 0; i < 2 * pages; i++)
		out = put_fixed64(out, i < pages ? FIRST_PA + i * body->size : 0);
	out = put_uints(out, 4, pages, MAP, UNMAP);
	*out++ = 5 << 3 | 2;
	*out++ = 1;
	*out++ = READ_WRITE;
	if (body->size > PAGE)
		out = put_uints(out, 6, pages, PAGES_ONLY, 0);
	return out;
}

static bool make_apply(struct body *body, uint64_t context, uint32_t pages)
{
	uint8_t *space = malloc(64 + (size_t)pages * 40);
	uint8_t *start, *at;
	size_t ops;

	body->data = malloc(128 + (size_t)pages * 40);
	if (!space || !body->data)
		return false;
	ops = (size_t)(put_ops(space, body, pages, space) - space);
	body->length = 11 + 1 + varint_length(ops) + ops;
	start = at = put_prefix(body->data, (uint32_t)body->length);
	*at++ = 1 << 3 | 1;
	at = put_fixed64(at, context);
	*at++ = 2 << 3;
	*at++ = STOP;
	at = put_column(at, 3, ops);
	body->first_ipa += (size_t)(at - start) + BODY_PREFIX;
	memcpy(at, space, ops);
	body->length += BODY_PREFIX;
	body->items = pages;
	body->ways = IPA_SPACE / (pages * body->size);
	free(space);
	return true;
}

static bool parse_apply(struct body *body, const char *text, const char **error)
{
	unsigned long long context, pages, size = PAGE;
	char unit = 0;
	int n = sscanf(text, "apply:%llx:%llu:%llu%c", &context, &pages, &size, &unit);

	if (unit == 'K')
		size <<= 10;
	else if (unit == 'M')
		size <<= 20;
	*error = "not apply:CONTEXT:PAGES[:SIZE]";
	if (n < 2 || !pages || pages > 32768 || size % PAGE || !size || pages * size > IPA_SPACE)
		return false;
	body->size = size;
	*error = "no memory";
	if (!make_apply(body, context, (uint32_t)pages))
		return false;
	body_vary(body, 0);
	return true;
}

static bool read_body(struct body *body, const char *path, const char **error)
{
	FILE *file = fopen(path, "rb");
	size_t room = 5u << 20;

	*error = "the body cannot be read";
	body->data = malloc(room);
	if (!file || !body->data)
		return false;
	body->length = fread(body->data, 1, room, file);
	fclose(file);
	return body->length >= BODY_PREFIX;
}

bool body_make(struct body *body, const char *text, const char **error)
{
	*body = (struct body){.ways = 1};
	if (!strncmp(text, "apply:", 6))
		return parse_apply(body, text, error);
	if (*text && strcmp(text, "empty") != 0)
		return read_body(body, text, error);
	*error = "no memory";
	body->data = calloc(1, BODY_PREFIX);
	body->length = BODY_PREFIX;
	return body->data != NULL;
}

void body_vary(struct body *body, uint64_t serial)
{
	uint64_t ipa = FIRST_IPA + serial % body->ways * body->items * body->size;
	uint8_t *map = body->data + body->first_ipa, *unmap = map + 8 * body->items;

	for (uint32_t i = 0; i < body->items; i++, ipa += body->size) {
		map = put_fixed64(map, ipa);
		unmap = put_fixed64(unmap, ipa);
	}
}
