/* SPDX-License-Identifier: BSD-2-Clause */
/* Small encodings of gRPC: timeouts, percent-encoding, base64, varints. */
#include "codec.h"

#include <string.h>

static uint64_t unit_ns(uint8_t unit)
{
	switch (unit) {
	case 'H': return UINT64_C(3600000000000);
	case 'M': return UINT64_C(60000000000);
	case 'S': return UINT64_C(1000000000);
	case 'm': return UINT64_C(1000000);
	case 'u': return UINT64_C(1000);
	case 'n': return 1;
	default: return 0;
	}
}

bool timeout_parse(const uint8_t *text, size_t length, uint64_t *nanoseconds)
{
	uint64_t value = 0, unit;

	if (length < 2 || length > 9)
		return false;
	for (size_t i = 0; i + 1 < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	unit = unit_ns(text[length - 1]);
	if (!unit)
		return false;
	*nanoseconds = value > UINT64_MAX / unit ? UINT64_MAX : value * unit;
	return true;
}

size_t percent_encode(char *out, size_t capacity, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c <= 0x7e && c != '%';

		if (n + (plain ? 1 : 3) > capacity)
			break;
		if (plain) {
			out[n++] = (char)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	return n;
}

size_t base64_length(size_t bytes)
{
	return bytes / 3 * 4 + (bytes % 3 ? bytes % 3 + 1 : 0);
}

size_t base64_encode(char *out, const uint8_t *data, size_t bytes)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (size_t i = 0; i < bytes; i += 3) {
		size_t left = bytes - i;
		uint32_t group = (uint32_t)data[i] << 16;

		if (left > 1)
			group |= (uint32_t)data[i + 1] << 8;
		if (left > 2)
			group |= data[i + 2];
		out[n++] = digit[group >> 18];
		out[n++] = digit[group >> 12 & 63];
		if (left > 1)
			out[n++] = digit[group >> 6 & 63];
		if (left > 2)
			out[n++] = digit[group & 63];
	}
	return n;
}

/* Length of the sequence at `text`, 0 when it is not one. */
static size_t utf8_sequence(const uint8_t *text, size_t left)
{
	uint8_t c = text[0], low = 0x80, high = 0xbf;
	size_t length;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (left < length)
		return 0;
	/* The second byte keeps out overlong forms, surrogates and what is above U+10FFFF. */
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

bool utf8_valid(const uint8_t *text, size_t length)
{
	size_t at = 0;

	while (at < length) {
		size_t n = utf8_sequence(text + at, length - at);

		if (!n)
			return false;
		at += n;
	}
	return true;
}

size_t varint_read(const uint8_t *data, size_t length, uint64_t *value)
{
	uint64_t result = 0;

	for (size_t i = 0; i < length && i < 10; i++) {
		result |= (uint64_t)(data[i] & 0x7f) << (7 * i);
		if (!(data[i] & 0x80)) {
			*value = result;
			return i + 1;
		}
	}
	return 0;
}

static void put(struct writer *writer, const void *data, size_t length)
{
	if (length > writer->capacity - writer->length) {
		writer->overflow = true;
		return;
	}
	if (length)
		memcpy(writer->data + writer->length, data, length);
	writer->length += length;
}

void put_varint(struct writer *writer, uint64_t value)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		out[n] |= value ? 0x80 : 0;
		n++;
	} while (value);
	put(writer, out, n);
}

void put_uint(struct writer *writer, unsigned field, uint64_t value)
{
	put_varint(writer, (uint64_t)field << 3);
	put_varint(writer, value);
}

void put_bytes(struct writer *writer, unsigned field, const void *data, size_t length)
{
	put_varint(writer, (uint64_t)field << 3 | 2);
	put_varint(writer, length);
	put(writer, data, length);
}

void put_string(struct writer *writer, unsigned field, const char *text)
{
	put_bytes(writer, field, text, strlen(text));
}
