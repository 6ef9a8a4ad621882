/* SPDX-License-Identifier: BSD-2-Clause */
/* ID registers, decoded once. Field values: Arm ARM D19.2, ID_AA64MMFR0_EL1 to MMFR2, MMFR4, ISAR0;
 * CTR_EL0. */
#include <pt/el2/feature.h>

#include <pt/desc.h>
#include <pt/el2/sysreg.h>

struct pt_el2_features pt_el2_features;

static unsigned field(uint64_t reg, unsigned lo)
{
	return (unsigned)(reg >> lo & 0xf);
}

/* Stage 2's own field, or stage 1's where that says "as stage 1". 0: none, 1: yes, 2: with LPA2. */
static unsigned stage2_granule(unsigned own, unsigned as_stage1)
{
	return own ? own - 1 : as_stage1;
}

/* TGran4 and TGran64 are signed: 0xf none, 0 yes, 1 with LPA2. */
static unsigned signed_granule(unsigned v)
{
	return v == 0xf ? 0 : v + 1;
}

static void granules_of(struct pt_el2_features *f, uint64_t mmfr0)
{
	unsigned s4 = stage2_granule(field(mmfr0, 40), signed_granule(field(mmfr0, 28)));
	unsigned s16 = stage2_granule(field(mmfr0, 32), field(mmfr0, 20));
	unsigned s64 = stage2_granule(field(mmfr0, 36), signed_granule(field(mmfr0, 24)));

	f->granule[0] = s4;
	f->granule[1] = s16;
	f->granule[2] = s64;
	f->lpa2[0] = s4 == 2;
	f->lpa2[1] = s16 == 2;
}

static void caches_of(struct pt_el2_features *f, uint64_t ctr, uint64_t dczid)
{
	f->dline = (uint16_t)(4u << field(ctr, 16));
	f->iline = (uint16_t)(4u << field(ctr, 0));
	f->ipipt = (ctr >> 14 & 3) == 3;
	f->idc = ctr >> 28 & 1;
	f->dic = ctr >> 29 & 1;
	f->zva = dczid & 0x10 ? 0 : (uint16_t)(4u << field(dczid, 0));
}

void pt_el2_features_of(struct pt_el2_features *f, const struct pt_el2_id *id)
{
	static const uint8_t pa_bits[] = {32, 36, 40, 42, 44, 48, 52};
	unsigned range = field(id->mmfr0, 0);

	*f = (struct pt_el2_features){
		.pa_bits = pa_bits[range < sizeof(pa_bits) ? range : sizeof(pa_bits) - 1],
		.vmid_bits = field(id->mmfr1, 4) == 2 ? 16 : 8,
		.hw_af = field(id->mmfr1, 0) >= 1,
		.hw_dirty = field(id->mmfr1, 0) >= 2,
		.vhe = field(id->mmfr1, 8),
		.xnx = field(id->mmfr1, 28),
		.fwb = field(id->mmfr2, 40),
		.ttl = field(id->mmfr2, 48),
		.bbm = (uint8_t)field(id->mmfr2, 52),
		.tlbi_range = field(id->isar0, 56) >= 2,
		.nv2 = field(id->mmfr2, 24) >= 2 || field(id->mmfr4, 20) == 1,
	};
	granules_of(f, id->mmfr0);
	caches_of(f, id->ctr, id->dczid);
}

void pt_el2_id_read(struct pt_el2_id *id)
{
	*id = (struct pt_el2_id){
		.isar0 = pt_el2_read_id_aa64isar0_el1(),
		.mmfr0 = pt_el2_read_id_aa64mmfr0_el1(),
		.mmfr1 = pt_el2_read_id_aa64mmfr1_el1(),
		.mmfr2 = pt_el2_read_id_aa64mmfr2_el1(),
		.mmfr4 = pt_el2_read_id_aa64mmfr4_el1(),
		.ctr = pt_el2_read_ctr_el0(),
		.dczid = pt_el2_read_dczid_el0(),
	};
}

enum pt_outcome pt_el2_geometry_args(struct pt_geometry_args *a, unsigned granule_shift, bool ds)
{
	const struct pt_el2_features *f = &pt_el2_features;
	unsigned index = (granule_shift - 12) / 2;
	unsigned bits = f->pa_bits;

	if (granule_shift < 12 || granule_shift > 16 || granule_shift % 2 || !f->granule[index] ||
	    (ds && (index > 1 || !f->lpa2[index])))
		return PT_UNSUPPORTED;
	if (bits > 48 && !ds && granule_shift != 16)
		bits = 48;
	*a = (struct pt_geometry_args){
		.granule_shift = granule_shift, .ipa_bits = bits, .pa_bits = bits, .ds = ds};
	return PT_OK;
}

unsigned pt_el2_attrs(void)
{
	const struct pt_el2_features *f = &pt_el2_features;

	return (f->fwb ? PT_ATTR_FWB : 0) | (f->xnx ? PT_ATTR_XNX : 0) | PT_ATTR_BBM(f->bbm);
}

unsigned pt_el2_vtcr_flags(void)
{
	return pt_el2_features.vmid_bits == 16 ? PT_VTCR_VS : 0;
}
