/* SPDX-License-Identifier: BSD-2-Clause */
/* Of stdio what unit tests use: formatting into a string and to the console. */
#ifndef EL2_STDIO_H
#define EL2_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/* %c %s %d %i %u %x %X %p %%, with 0, -, width, and h, l, ll, z, j. */
int vsnprintf(char *to, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
int snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* To the console, a thousand characters at most. */
int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The console is the only stream. */
typedef struct el2_stream FILE;
#define stderr ((FILE *)0)
int fprintf(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fputs(const char *text, FILE *to);
int fputc(int c, FILE *to);

#endif
