/* SPDX-License-Identifier: BSD-2-Clause */
/* The little of a C library that test programs use at EL2. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pt/el2/console.h>

struct out {
	char *to;
	size_t size, length;
};

static void put(struct out *out, char c)
{
	if (out->length + 1 < out->size)
		out->to[out->length] = c;
	out->length++;
}

static void pad(struct out *out, char with, int count)
{
	for (; count > 0; count--)
		put(out, with);
}

struct conversion {
	bool left, zero;
	int width, longs;
};

static void put_text(struct out *out, const struct conversion *c, const char *text)
{
	int room = c->width - (int)strlen(text);

	if (!c->left)
		pad(out, ' ', room);
	for (; *text; text++)
		put(out, *text);
	if (c->left)
		pad(out, ' ', room);
}

static void put_number(struct out *out, const struct conversion *c, uint64_t value, unsigned base,
		       bool negative)
{
	char text[24];
	int at = sizeof(text) - 1;

	text[at] = 0;
	do
		text[--at] = "0123456789abcdef"[value % base];
	while (value /= base);
	if (c->zero && !c->left)
		while (at > 1 && (int)sizeof(text) - 1 - at < c->width - negative)
			text[--at] = '0';
	if (negative)
		text[--at] = '-';
	put_text(out, c, text + at);
}

static uint64_t unsigned_of(va_list *args, int longs)
{
	return longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);
}

static void convert(struct out *out, const struct conversion *c, char what, va_list *args)
{
	int64_t number;

	switch (what) {
	case 'c': put(out, (char)va_arg(*args, int)); break;
	case 's': put_text(out, c, va_arg(*args, const char *)); break;
	case 'd':
	case 'i':
		number = c->longs ? va_arg(*args, long) : va_arg(*args, int);
		put_number(out, c, number < 0 ? -(uint64_t)number : (uint64_t)number, 10,
			   number < 0);
		break;
	case 'u': put_number(out, c, unsigned_of(args, c->longs), 10, false); break;
	case 'x':
	case 'X': put_number(out, c, unsigned_of(args, c->longs), 16, false); break;
	case 'p':
		put_text(out, c, "0x");
		put_number(out, c, (uintptr_t)va_arg(*args, void *), 16, false);
		break;
	default: put(out, what);
	}
}

static const char *parse(const char *format, struct conversion *c)
{
	for (;; format++)
		if (*format == '-')
			c->left = true;
		else if (*format == '0' && !c->width)
			c->zero = true;
		else if (*format >= '0' && *format <= '9')
			c->width = c->width * 10 + (*format - '0');
		else if (*format == 'l' || *format == 'z' || *format == 'j')
			c->longs++;
		else if (*format != 'h' && *format != '#' && *format != '+')
			return format;
}

int vsnprintf(char *to, size_t size, const char *format, va_list given)
{
	struct out out = {to, size, 0};
	va_list args;

	va_copy(args, given);
	for (; *format; format++) {
		struct conversion c = {0};

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		format = parse(format + 1, &c);
		if (!*format)
			break;
		convert(&out, &c, *format, &args);
	}
	va_end(args);
	if (size)
		to[out.length < size ? out.length : size - 1] = 0;
	return (int)out.length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(to, size, format, args);
	va_end(args);
	return length;
}

static int print(const char *format, va_list args)
{
	char text[1024];
	int length = vsnprintf(text, sizeof(text), format, args);

	pt_el2_print(text);
	return length;
}

int printf(const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = print(format, args);
	va_end(args);
	return length;
}

int fprintf(FILE *to, const char *format, ...)
{
	va_list args;
	int length;

	(void)to;
	va_start(args, format);
	length = print(format, args);
	va_end(args);
	return length;
}

int fputs(const char *text, FILE *to)
{
	(void)to;
	pt_el2_print(text);
	return 0;
}

int fputc(int c, FILE *to)
{
	const char text[2] = {(char)c, 0};

	fputs(text, to);
	return c;
}

size_t strlen(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--)
		a++, b++;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *text, int c)
{
	for (; *text != (char)c; text++)
		if (!*text)
			return NULL;
	return (char *)(uintptr_t)text;
}

char *strstr(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text || !n; text++)
		if (!strncmp(text, word, n))
			return (char *)(uintptr_t)text;
	return NULL;
}

void abort(void)
{
	pt_el2_print("\nBail out! abort\n");
	pt_el2_exit(4);
}

char *getenv(const char *name)
{
	static char line[512];
	size_t n = strlen(name);

	if (!line[0])
		pt_el2_cmdline(line, sizeof(line));
	for (char *word = strstr(line, name); word; word = strstr(word + 1, name)) {
		static char value[64];
		size_t i = 0;

		if ((word != line && word[-1] != ' ') || word[n] != '=')
			continue;
		for (word += n + 1; word[i] && word[i] != ' ' && i < sizeof(value) - 1; i++)
			value[i] = word[i];
		value[i] = 0;
		return value;
	}
	return NULL;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

unsigned long long strtoull(const char *text, char **end, int base)
{
	unsigned long long value = 0;

	if ((base == 0 || base == 16) && text[0] == '0' && (text[1] | 32) == 'x') {
		text += 2;
		base = 16;
	}
	base = base ? base : 10;
	for (; digit(*text) < base; text++)
		value = value * (unsigned)base + (unsigned)digit(*text);
	if (end)
		*end = (char *)(uintptr_t)text;
	return value;
}

/* What compilers call for __builtin_popcount(): there is no instruction on general registers. */
int __popcountdi2(uint64_t value);

int __popcountdi2(uint64_t value)
{
	int bits = 0;

	for (; value; value &= value - 1)
		bits++;
	return bits;
}
