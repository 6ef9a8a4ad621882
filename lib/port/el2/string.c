/* SPDX-License-Identifier: BSD-2-Clause */
/* What compilers call by themselves. Built so that none of these loops becomes a call of itself. */
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int value, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* Words may alias anything here. */
typedef uint64_t __attribute__((may_alias)) word;

static int unaligned(const void *a, const void *b)
{
	return (((uintptr_t)a | (uintptr_t)b) & 7) != 0;
}

void *memset(void *to, int value, size_t n)
{
	unsigned char *byte = to;
	uint64_t all = UINT64_C(0x0101010101010101) * (unsigned char)value;

	for (; n && unaligned(byte, NULL); n--)
		*byte++ = (unsigned char)value;
	for (; n >= 32; n -= 32, byte += 32) {
		word *at = (word *)(void *)byte;

		at[0] = at[1] = at[2] = at[3] = all;
	}
	for (; n >= 8; n -= 8, byte += 8)
		*(word *)(void *)byte = all;
	while (n--)
		*byte++ = (unsigned char)value;
	return to;
}

/* Pairs of registers: all loads come before the stores. */
static inline void copy_32(word *to, const word *from)
{
	word a = from[0], b = from[1], c = from[2], d = from[3];

	to[0] = a;
	to[1] = b;
	to[2] = c;
	to[3] = d;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (!unaligned(t, f)) {
		for (; n >= 32; n -= 32, t += 32, f += 32)
			copy_32((word *)(void *)t, (const word *)(const void *)f);
		for (; n >= 8; n -= 8, t += 8, f += 8)
			*(word *)(void *)t = *(const word *)(const void *)f;
	}
	while (n--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if ((uintptr_t)t - (uintptr_t)f >= n)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
