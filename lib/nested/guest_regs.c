/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers of a guest hypervisor's stage 2, decoded. */
#include <pt/guest_walk.h>

#include "registers.h"

/* VTCR_EL2 */
#define VTCR_DS	   (UINT64_C(1) << 32)
#define VTCR_SL2   (UINT64_C(1) << 33)
#define VTCR_S2PIE (UINT64_C(1) << 36)
#define VTCR_S2POE (UINT64_C(1) << 37)
#define VTCR_D128  (UINT64_C(1) << 38)

#define TG0_4K	     0u
#define TG0_64K	     1u
#define TG0_RESERVED 3u

#define HCR_FWB	 (UINT64_C(1) << 46)
#define SCTLR_EE (UINT64_C(1) << 25)

/*
 * VTCR_EL2 with what hardware ignores cleared, and the CPU's PA size for PS: that is what sizes and
 * start levels are checked against, and what decides between the formats of 64K.
 */
static uint64_t effective_vtcr(uint64_t vtcr, unsigned pa_bits)
{
	uint64_t tg0 = pt__field(vtcr, 15, 14);

	if (tg0 == TG0_RESERVED)
		tg0 = TG0_64K;
	if (tg0 == TG0_64K)
		vtcr &= ~VTCR_DS;
	if (tg0 != TG0_4K || !(vtcr & VTCR_DS))
		vtcr &= ~VTCR_SL2;
	if (tg0 != TG0_64K && !(vtcr & VTCR_DS))
		pa_bits = pt__least(pa_bits, 48);
	vtcr &= ~(pt__place(3, 15, 14) | pt__place(7, 18, 16));
	return vtcr | pt__place(tg0, 15, 14) | pt__place(pt__ps_of(pa_bits), 18, 16);
}

static void decode_tables(struct pt_guest_s2 *s2, const struct pt_guest_regs *regs)
{
	s2->broken = pt_geometry_from_vtcr(&s2->geo, effective_vtcr(regs->vtcr, regs->pa_bits));
	if (s2->broken)
		return;
	s2->pa_bits = pt__output_bits(pt__field(regs->vtcr, 18, 16), regs->pa_bits,
				      s2->geo.ds || s2->geo.granule_shift == 16);
	s2->base = pt_ipa(pt__start_base(&s2->geo, s2->pa_bits, regs->vttbr));
	s2->base_out = s2->base.v >> s2->pa_bits;
}

enum pt_outcome pt_guest_s2_decode(struct pt_guest_s2 *s2, const struct pt_guest_regs *regs)
{
	uint64_t t0sz = pt__field(regs->vtcr, 5, 0);
	unsigned flags = pt_geometry_vtcr_flags(regs->vtcr);

	if (!pt__is_pa_size(regs->pa_bits))
		return PT_INVALID;
	if (regs->vtcr & (VTCR_S2PIE | VTCR_S2POE | VTCR_D128) || (t0sz > 32 && t0sz <= 48))
		return PT_UNSUPPORTED;
	*s2 = (struct pt_guest_s2){
		.vmid = (uint16_t)pt__field(regs->vttbr, flags & PT_VTCR_VS ? 63 : 55, 48),
		.big_endian = regs->sctlr & SCTLR_EE,
		.flags = (uint8_t)(flags & PT_VTCR_HA ? flags & (PT_VTCR_HA | PT_VTCR_HD) : 0),
		.sh0 = (uint8_t)pt__field(regs->vtcr, 13, 12),
		.attrs = regs->attrs & (PT_ATTR_XNX | (regs->hcr & HCR_FWB ? PT_ATTR_FWB : 0)),
	};
	decode_tables(s2, regs);
	return PT_OK;
}
