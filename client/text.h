/* SPDX-License-Identifier: BSD-2-Clause */
/* Rights, hexadecimal bytes and addresses as ptctl reads and prints them. */
#ifndef PTCTL_TEXT_H
#define PTCTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_ACCEPTED                                                                            \
	"accepted: 4096, 0x8000_0000, 4K 2M 1G 1T (also KiB MiB GiB TiB), pfn:0x80000"
#define PROT_ACCEPTED                                                                              \
	"accepted: letters r w p u, x for both p and u, '-' for none; then :nc or :device"

/* False: not one. */
bool prot_parse(const char *text, uint32_t *prot);
/* Pairs of digits; '_' and spaces between pairs. `bytes` has room for strlen(text) / 2. */
bool hex_parse(const char *text, uint8_t *bytes, size_t *length);

#define TEXT_MAX 32
/* Each writes at most TEXT_MAX bytes and returns `to`. */
char *address_text(char to[TEXT_MAX], uint64_t address, unsigned bits); /* bits 0: no padding */
char *prot_text(char to[TEXT_MAX], uint32_t prot);			/* rw--, r-pu:nc */

/* Steps from one word to another: insert, delete, replace, swap neighbours. Long words: 99. */
unsigned edit_distance(const char *a, const char *b);

#endif
