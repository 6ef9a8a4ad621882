/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers as people write them. */
#include "number.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Digits from text[*at] on, '_' only between two digits. */
static const char *digits(const char *text, size_t length, size_t *at, unsigned base,
			  uint64_t *value)
{
	uint64_t v = 0;
	bool last_digit = false;

	for (; *at < length; (*at)++) {
		char c = text[*at];
		unsigned d = (unsigned)hex_digit(c);

		if (c == '_' && last_digit) {
			last_digit = false;
			continue;
		}
		if (d >= base)
			break;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)d, &v))
			return "is larger than 64 bits";
		last_digit = true;
	}
	if (!last_digit)
		return base == 16 ? "is not a hexadecimal number" : "is not a number";
	*value = v;
	return NULL;
}

/* Units are binary and upper case: 2m might mean milli. */
static const char *unit(const char *text, size_t length, uint64_t *value)
{
	static const char units[] = "KMGTP";
	const char *u = length ? memchr(units, text[0], sizeof(units) - 1) : NULL;
	unsigned shift;

	if (!length)
		return NULL;
	if (!u && memchr("kmgtp", text[0], 5))
		return "has a lower-case unit: write K, M, G, T or P";
	if (!u || !(length == 1 || (length == 3 && !memcmp(text + 1, "iB", 2))))
		return "is not a number; units are K, M, G, T and P, hexadecimal starts with 0x";
	shift = 10 * (unsigned)(u - units + 1);
	if (*value >> (64 - shift))
		return "is larger than 64 bits";
	*value <<= shift;
	return NULL;
}

const char *number_parse(const char *text, size_t length, uint64_t *value)
{
	bool frames = length > 4 && !memcmp(text, "pfn:", 4);
	size_t at = frames ? 4 : 0;
	bool hex =
		length - at > 2 && text[at] == '0' && (text[at + 1] == 'x' || text[at + 1] == 'X');
	const char *why;
	uint64_t v = 0;

	at += hex ? 2 : 0;
	why = digits(text, length, &at, hex ? 16 : 10, &v);
	if (!why && hex && at < length)
		why = "is not a hexadecimal number";
	if (!why && !hex)
		why = unit(text + at, length - at, &v);
	if (!why && frames && v >> 52)
		why = "is larger than 64 bits";
	if (why)
		return why;
	*value = frames ? v << 12 : v;
	return NULL;
}

char *number_size(uint64_t value, char to[24])
{
	static const char units[] = "\0KMGTP";
	unsigned u = 0;

	while (value && !(value & 1023) && u < 5) {
		value >>= 10;
		u++;
	}
	snprintf(to, 24, "%" PRIu64 "%.1s", value, units + u);
	return to;
}
