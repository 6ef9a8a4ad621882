/* SPDX-License-Identifier: BSD-2-Clause */
/* Decodes what a failed call carries in its trailers. */
#include "status.h"
#include "number.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Trailers are capped near 6 KiB by the daemon; more than this is not ours. */
#define DETAILS_MAX 8192

const struct ptd_status status_ok = {
	.level = PTD_LEVEL_UNKNOWN, .retry_after_ms = PTD_RETRY_UNSAID, .message = "done"};

void status_clear(struct ptd_status *status)
{
	memset(status, 0, sizeof(*status));
	status->level = PTD_LEVEL_UNKNOWN;
	status->retry_after_ms = PTD_RETRY_UNSAID;
}

void status_local(struct ptd_status *status, enum ptd_state state, enum ptd_where where, int grpc,
		  const char *text, ...)
{
	va_list args;

	status_clear(status);
	status->state = (int32_t)state;
	status->where = (int32_t)where;
	status->grpc = grpc;
	va_start(args, text);
	vsnprintf(status->message, sizeof(status->message), text, args);
	va_end(args);
}

void status_message(struct ptd_status *status, const uint8_t *value, size_t length)
{
	size_t out = 0;

	for (size_t i = 0; i < length && out + 1 < sizeof(status->message); i++) {
		uint8_t c = value[i];

		if (c == '%' && i + 2 < length && hex_digit((char)value[i + 1]) >= 0 &&
		    hex_digit((char)value[i + 2]) >= 0) {
			c = (uint8_t)(hex_digit((char)value[i + 1]) << 4 |
				      hex_digit((char)value[i + 2]));
			i += 2;
		}
		/* Control characters would write to the reader's terminal. */
		status->message[out++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	status->message[out] = '\0';
}

int status_number(const uint8_t *value, size_t length)
{
	int number = 0;

	if (length < 1 || length > 2)
		return 2;
	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			return 2;
		number = number * 10 + (value[i] - '0');
	}
	return number <= 16 ? number : 2;
}

int64_t status_pushback(const uint8_t *value, size_t length)
{
	int64_t ms = 0;

	if (length < 1 || length > 9)
		return PTD_RETRY_NEVER;
	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			return PTD_RETRY_NEVER;
		ms = ms * 10 + (value[i] - '0');
	}
	return ms;
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_decode(const uint8_t *text, size_t length, uint8_t *bytes, size_t room)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t out = 0;

	while (length && text[length - 1] == '=')
		length--;
	for (size_t i = 0; i < length; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (out == room)
			return -1;
		bytes[out++] = (uint8_t)(bits >> have);
	}
	return (long)out;
}

/* The four kinds of protobuf field that the details use; google.rpc has no C package here. */
struct field {
	uint32_t number;
	uint64_t value;	     /* varint and fixed */
	const uint8_t *data; /* length-delimited */
	size_t length;
};

struct reader {
	const uint8_t *at, *end;
};

static bool read_varint(struct reader *reader, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
		uint8_t byte = *reader->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool read_fixed(struct reader *reader, unsigned bytes, uint64_t *value)
{
	if ((size_t)(reader->end - reader->at) < bytes)
		return false;
	*value = 0;
	for (unsigned i = 0; i < bytes; i++)
		*value |= (uint64_t)*reader->at++ << (8 * i);
	return true;
}

static bool read_field(struct reader *reader, struct field *field)
{
	uint64_t tag, length;

	*field = (struct field){0};
	if (reader->at == reader->end || !read_varint(reader, &tag))
		return false;
	field->number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case 0: return read_varint(reader, &field->value);
	case 1: return read_fixed(reader, 8, &field->value);
	case 5: return read_fixed(reader, 4, &field->value);
	case 2:
		if (!read_varint(reader, &length) || length > (size_t)(reader->end - reader->at))
			return false;
		field->data = reader->at;
		field->length = (size_t)length;
		reader->at += length;
		return true;
	default: return false;
	}
}

static void copy_text(char *to, size_t room, const struct field *field)
{
	size_t length = field->length < room - 1 ? field->length : room - 1;

	for (size_t i = 0; i < length; i++)
		to[i] = (char)(field->data[i] < 0x20 || field->data[i] == 0x7f ? '?'
									       : field->data[i]);
	to[length] = '\0';
}

/* google.rpc.ErrorInfo: reason 1, domain 2, metadata 3. */
static void read_error_info(struct ptd_status *status, struct reader reader)
{
	struct field field;

	while (read_field(&reader, &field))
		if (field.number == 1 && field.data)
			copy_text(status->reason, sizeof(status->reason), &field);
}

/* ptd.v1.ErrorDetail of common.proto. */
static void read_error_detail(struct ptd_status *status, struct reader reader)
{
	struct field field;

	status->level = 0; /* proto3: an absent level is 0 */
	while (read_field(&reader, &field)) {
		uint32_t low = (uint32_t)field.value;

		switch (field.number) {
		case 1: status->code = low; break;
		case 2: status->index = low; break;
		case 3: status->ipa = field.value; break;
		case 4: status->level = (int32_t)(low >> 1) ^ -(int32_t)(low & 1); break;
		case 5: status->nearest_below = field.value; break;
		case 6: status->nearest_above = field.value; break;
		case 7:
			if (field.data)
				copy_text(status->hint, sizeof(status->hint), &field);
			break;
		default: break;
		}
	}
}

static bool type_is(const struct field *url, const char *type)
{
	size_t length = strlen(type);

	return url->length > length && url->data[url->length - length - 1] == '/' &&
	       !memcmp(url->data + url->length - length, type, length);
}

/* google.protobuf.Any: type_url 1, value 2. */
static void read_any(struct ptd_status *status, struct reader reader)
{
	struct field field, url = {0}, value = {0};
	struct reader inner;

	while (read_field(&reader, &field)) {
		if (field.number == 1 && field.data)
			url = field;
		if (field.number == 2 && field.data)
			value = field;
	}
	if (!url.data || !value.data)
		return;
	inner = (struct reader){value.data, value.data + value.length};
	if (type_is(&url, "google.rpc.ErrorInfo"))
		read_error_info(status, inner);
	else if (type_is(&url, "ptd.v1.ErrorDetail"))
		read_error_detail(status, inner);
}

void status_details(struct ptd_status *status, const uint8_t *value, size_t length)
{
	uint8_t bytes[DETAILS_MAX];
	long size = base64_decode(value, length, bytes, sizeof(bytes));
	struct reader reader = {bytes, bytes + (size < 0 ? 0 : size)};
	struct field field;

	while (read_field(&reader, &field))
		if (field.number == 3 && field.data)
			read_any(status, (struct reader){field.data, field.data + field.length});
}
