/* SPDX-License-Identifier: BSD-2-Clause */
/* Of stdlib what unit tests use. */
#ifndef EL2_STDLIB_H
#define EL2_STDLIB_H

#include <stddef.h>

/* From one region that is never given back but at the end of a test program. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *at);
_Noreturn void abort(void);

/* NAME=value among the semihosting arguments. */
char *getenv(const char *name);
unsigned long long strtoull(const char *text, char **end, int base);

#endif
