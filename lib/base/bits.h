/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit fields and checked address arithmetic, for lib only. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

/* A mask of the low `n` bits; n from 1 to 64. */
static inline uint64_t pt__low_mask(unsigned n)
{
	return UINT64_MAX >> (64 - n);
}

/* Bits [hi:lo] of `v`, as the Arm ARM counts them. */
static inline uint64_t pt__field(uint64_t v, unsigned hi, unsigned lo)
{
	return v >> lo & pt__low_mask(hi - lo + 1);
}

/* `v` placed at [hi:lo]; what does not fit is cut off. */
static inline uint64_t pt__place(uint64_t v, unsigned hi, unsigned lo)
{
	return (v & pt__low_mask(hi - lo + 1)) << lo;
}

static inline bool pt__aligned(uint64_t v, unsigned shift)
{
	return !(v & pt__low_mask(shift));
}

/* Does [start, start + size) leave the space of `bits` bits? Nothing may wrap (B23). */
static inline bool pt__beyond(uint64_t start, uint64_t size, unsigned bits)
{
	uint64_t limit = UINT64_C(1) << bits;

	return start >= limit || size > limit - start;
}

/* Bits set. The compiler's own may be a call into its library. */
static inline unsigned pt__count_bits(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(v * UINT64_C(0x0101010101010101) >> 56);
}

/* Bytes in the other order, each step over half as many of them. */
static inline uint64_t pt__swap_bytes(uint64_t v)
{
	v = (v & UINT64_C(0x00000000ffffffff)) << 32 | v >> 32;
	v = (v & UINT64_C(0x0000ffff0000ffff)) << 16 | (v >> 16 & UINT64_C(0x0000ffff0000ffff));
	return (v & UINT64_C(0x00ff00ff00ff00ff)) << 8 | (v >> 8 & UINT64_C(0x00ff00ff00ff00ff));
}

#endif
