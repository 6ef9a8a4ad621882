/* SPDX-License-Identifier: BSD-2-Clause */
/* Of string what unit tests use. */
#ifndef EL2_STRING_H
#define EL2_STRING_H

#include <stddef.h>

void *memset(void *to, int value, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *text, int c);
char *strstr(const char *text, const char *word);

#endif
