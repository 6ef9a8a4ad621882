/* SPDX-License-Identifier: BSD-2-Clause */
/* What the registers of both stages say in the same way; private to lib. */
#ifndef PT_NESTED_REGISTERS_H
#define PT_NESTED_REGISTERS_H

#include <pt/geometry.h>

#include "base/bits.h"

#define PT__PS_52 6u

/* How VTCR_EL2.PS and TCR_EL1.IPS write a size; what is none gets some other. */
static inline unsigned pt__ps_of(unsigned bits)
{
	unsigned ps = 0;

	while (ps < PT__PS_52 && pt_geometry_ps_bits(ps) != bits)
		ps++;
	return ps;
}

static inline bool pt__is_pa_size(unsigned bits)
{
	return pt_geometry_ps_bits(pt__ps_of(bits)) == bits;
}

static inline unsigned pt__least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* AArch64.PhysicalAddressSize: what PS says (0b111: 52), at most what the CPU has, and the format:
 * `wide` with 64K and with DS. */
static inline unsigned pt__output_bits(uint64_t ps, unsigned cpu_bits, bool wide)
{
	unsigned bits = pt_geometry_ps_bits(ps < PT__PS_52 ? ps : PT__PS_52);

	return pt__least(bits, wide ? cpu_bits : pt__least(cpu_bits, 48));
}

/* AArch64.S1TTBaseAddress, S2TTBaseAddress: aligned down to the start tables; bits 5:2 are base
 * bits 51:48 with DS, and with 64K where the output size is 52 bits. */
static inline uint64_t pt__start_base(const struct pt_geometry *g, unsigned output_bits,
				      uint64_t ttbr)
{
	uint64_t base = pt__field(ttbr, 47, 1) << 1, align = g->start_bytes;

	if (g->ds || (g->lpa && output_bits == 52)) {
		base = (base & ~pt__low_mask(6)) | pt__field(ttbr, 5, 2) << 48;
		align = align < 64 ? 64 : align;
	}
	return base & ~(align - 1);
}

#endif
