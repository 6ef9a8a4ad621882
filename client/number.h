/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers as people write them: 4096, 0x8000_0000, 4K, 2MiB, pfn:0x80000. */
#ifndef CLIENT_NUMBER_H
#define CLIENT_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Of a hexadecimal digit; -1: it is none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Reads all `length` bytes of `text`: decimal, 0x and hexadecimal digits ('_' may separate digits
 * of both), a decimal number with a binary unit (K M G T P, each also with iB), or pfn: and a
 * number of 4 KiB frames. NULL: done; else why not, for a person, and *value is untouched.
 */
const char *number_parse(const char *text, size_t length, uint64_t *value);

/* `value` in the largest unit that divides it: "2M", "4097". `to` holds 24 bytes; returns it. */
char *number_size(uint64_t value, char to[24]);

#endif
