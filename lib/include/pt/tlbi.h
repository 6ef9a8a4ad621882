/* SPDX-License-Identifier: BSD-2-Clause */
/* Operands of stage-2 TLB invalidations, and the exact cover of a range by them. Pure functions. */
#ifndef PT_TLBI_H
#define PT_TLBI_H

#include <pt/geometry.h>

/* What a TLB invalidation names. `level` is the TTL hint: the level of the leaf that was there, or
 * PT_TTL_UNKNOWN. */
enum pt_tlbi_kind {
	PT_TLBI_IPA,	/* IPAS2E1IS for [ipa, ipa + size), one leaf, then VMALLE1IS */
	PT_TLBI_RANGE,	/* RIPAS2E1IS over [ipa, ipa + size), then VMALLE1IS */
	PT_TLBI_VMID,	/* VMALLS12E1IS */
	PT_TLBI_ALL,	/* ALLE1IS */
	PT_TLBI_LOCAL,	/* the faulting vCPU's own entries for [ipa, ipa + size), non-shareable
			   (KVM's _ipa_nsh) */
	PT_TLBI_EL2,	/* EL2's own stage 1: VAE2IS, or with last_level VALE2IS, over the addresses
			   [ipa, ipa + size) */
	PT_TLBI_STAGE1, /* VMALLE1IS: what stage 1 gave, alone and with stage 2. No entry of stage 2
			   by itself need go */
};

struct pt_tlbi {
	enum pt_tlbi_kind kind;
	uint16_t vmid;
	int8_t level;	 /* TTL hint, or PT_TTL_UNKNOWN when a table was removed */
	bool last_level; /* IPAS2LE1: only leaves changed */
	uint32_t vcpu;	 /* PT_TLBI_LOCAL: whose */
	struct pt_ipa ipa;
	uint64_t size; /* bytes */
};

/* One instruction: IPAS2E1 / IPAS2LE1 (an address), or RIPAS2E1 / RIPAS2LE1 (a range). */
struct pt_tlbi_op {
	bool range;
	uint8_t granule_shift; /* log2 of the granule; 0: the operand names none */
	struct pt_ipa ipa;
	uint64_t size;	/* bytes that it covers: a granule, or (NUM + 1) << (5 * SCALE + 1) granules
			 */
	uint64_t value; /* of the register operand */
};

/*
 * Operand of IPAS2E1: IPA[51:12] in 39:0, TTL in 47:44, NS 0. `level` is the level of the leaf that
 * was there, or PT_TTL_UNKNOWN; a level that TTL cannot say for this granule gives no hint.
 */
uint64_t pt_tlbi_ipa_operand(const struct pt_geometry *g, struct pt_ipa ipa, int level);

/*
 * Operand of RIPAS2E1: BaseADDR in 36:0 (in granules; in 64 KiB with DS), TTL in 38:37, NUM in
 * 43:39, SCALE in 45:44, TG in 47:46. `ipa` is aligned to the granule, with DS to 64 KiB.
 */
uint64_t pt_tlbi_range_operand(const struct pt_geometry *g, struct pt_ipa ipa, unsigned num,
			       unsigned scale, int level);

/*
 * What an operand names, read back, whoever's tables it is meant for: the granule, and with `ds`
 * (VTCR_EL2.DS) the unit of BaseADDR, are the instruction's. *level: TTL, or PT_TTL_UNKNOWN where
 * it says nothing or a level that has no leaf in that granule (Arm ARM C5.5: treated as no hint).
 * An address without a hint names no granule; its size is then 4 KiB, the unit of the field. Fields
 * that are RES0 and NS are ignored. False: a range with a reserved TG; *op untouched.
 */
bool pt_tlbi_decode(bool ds, uint64_t value, bool range, struct pt_tlbi_op *op, int *level);

/* The longest range that one cover call should be asked for; beyond it, invalidate the VMID. */
#define PT_TLBI_MAX_GRANULES (UINT64_C(1) << 21)

/*
 * Takes the next operation off [*ipa, *ipa + *size) and advances both; false when nothing is left.
 * The operations together cover the range exactly: no overshoot, no gap, no overlap (checker rule
 * T4). At most 5 for PT_TLBI_MAX_GRANULES and a base aligned to 64 KiB; with DS, up to 15 more
 * single ones before that alignment is reached. Both are multiples of the granule.
 */
bool pt_tlbi_cover_next(const struct pt_geometry *g, struct pt_ipa *ipa, uint64_t *size, int level,
			struct pt_tlbi_op *op);

#endif
