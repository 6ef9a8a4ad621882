/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU has of the things that stage 2 depends on: ID registers as one struct. */
#ifndef PT_EL2_FEATURE_H
#define PT_EL2_FEATURE_H

#include <pt/geometry.h>

/* The registers that are read (Arm ARM D19.2). */
struct pt_el2_id {
	uint64_t isar0, mmfr0, mmfr1, mmfr2, mmfr4, ctr, dczid;
};

struct pt_el2_features {
	bool granule[3];       /* stage 2: 4K, 16K, 64K */
	bool lpa2[2];	       /* stage 2: VTCR_EL2.DS with 4K, 16K */
	uint8_t pa_bits;       /* PARange: 32 to 52; an IPA has as many at most */
	uint8_t vmid_bits;     /* 8 or 16 */
	uint8_t bbm;	       /* FEAT_BBM level */
	bool vhe, fwb, xnx;    /* HCR_EL2.E2H, FEAT_S2FWB, FEAT_XNX */
	bool ttl, tlbi_range;  /* level hints, range invalidations */
	bool hw_af, hw_dirty;  /* VTCR_EL2.HA, HD */
	bool nv2;	       /* FEAT_NV2: EL1 can be a guest's EL2 */
	bool idc, dic;	       /* CTR_EL0: no clean to PoU, no instruction-cache invalidation */
	bool ipipt;	       /* the instruction cache is physically tagged and indexed */
	uint16_t dline, iline; /* smallest line of a cache, bytes */
	uint16_t zva;	       /* block of DC ZVA, bytes; 0: it is prohibited */
};

/* Pure. */
void pt_el2_features_of(struct pt_el2_features *f, const struct pt_el2_id *id);

/* Those of this image's CPUs, which are all alike: read once at boot, constant from then on. */
extern struct pt_el2_features pt_el2_features;

void pt_el2_id_read(struct pt_el2_id *id);

/*
 * The widest geometry of a granule that this CPU has: IPA and PA of its PARange, but 48 bits where
 * more needs LPA2 and the CPU or `ds` has it not. PT_OK; PT_UNSUPPORTED: not this granule, or DS
 * not with it. Pure but for `pt_el2_features`.
 */
enum pt_outcome pt_el2_geometry_args(struct pt_geometry_args *a, unsigned granule_shift, bool ds);

/* PT_ATTR_* and PT_VTCR_VS as the CPU has them: for pt_ctx_init(). Hardware access flag and dirty
 * state are the caller's choice. */
unsigned pt_el2_attrs(void);
unsigned pt_el2_vtcr_flags(void);

#endif
