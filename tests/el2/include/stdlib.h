/* SPDX-License-Identifier: BSD-2-Clause */
/* Of stdlib what unit tests use. */
#ifndef EL2_STDLIB_H
#define EL2_STDLIB_H

#include <stddef.h>

/* heap.c. Only the first CPU's. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *at, size_t size);
void *aligned_alloc(size_t alignment, size_t size); /* 64 at most, else NULL */
void free(void *at);
_Noreturn void abort(void);

/* NAME=value among the semihosting arguments. */
char *getenv(const char *name);
unsigned long long strtoull(const char *text, char **end, int base);

#endif
