/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers, sizes, rights and hexadecimal bytes as ptctl reads and prints them. */
#ifndef PTCTL_NUMBER_H
#define PTCTL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a number may look like, for hints. */
#define NUMBER_ACCEPTED "decimal, 0x… (with _ between digits), or with K M G T or KiB MiB GiB TiB"
#define PROT_ACCEPTED	"letters r w p u (x: p and u), '-' for none, then :nc or :device"

/* True and *number, or false: not one, or beyond 64 bits. */
bool number_parse(const char *text, uint64_t *number);
bool prot_parse(const char *text, uint32_t *prot);
/* Pairs of digits, _ and spaces between them allowed. *length bytes into `bytes` of capacity
 * strlen(text) / 2. */
bool hex_parse(const char *text, uint8_t *bytes, size_t *length);

#define NUMBER_MAX 32
/* Each writes at most NUMBER_MAX bytes and returns `text`. */
char *size_format(char text[NUMBER_MAX], uint64_t bytes);		      /* 2M, 1G, 4097 */
char *address_format(char text[NUMBER_MAX], uint64_t address, unsigned bits); /* bits 0: as it is */
char *prot_format(char text[NUMBER_MAX], uint32_t prot);		      /* rw--, r-pu:nc */

#endif
