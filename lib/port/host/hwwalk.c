/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stage-2 walk of a CPU, from VTCR_EL2 and VTTBR_EL2 alone.
 *
 * Follows the Arm ARM's pseudocode: AArch64.S2Translate (checks of the configuration), S2Walk
 * (levels), DecodeDescriptorType, OAOutOfRange, S2CheckPermissions, and the AF and dirty updates
 * of VTCR_EL2.HA and HD. The implemented PA size is taken to be what VTCR_EL2.PS says. Own masks
 * and own level arithmetic on purpose: nothing here is shared with lib.
 */
#include <pt/host/hwwalk.h>

#include <stddef.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

struct params {
	unsigned granule; /* log2 */
	unsigned stride;
	unsigned iasize, oasize;
	int start;
	bool ds, ha, hd;
	bool base52; /* VTTBR_EL2 bits 5:2 are base bits 51:48 */
	bool oa48;   /* 64K: descriptor bits 15:12 are OA bits 51:48 */
};

static uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
	return (v >> lo) & (BIT(hi - lo + 1) - 1);
}

static unsigned oa_size(unsigned ps, bool wide)
{
	static const unsigned sizes[8] = {32, 36, 40, 42, 44, 48, 52, 52};

	return !wide && sizes[ps] > 48 ? 48 : sizes[ps];
}

/* AArch64.S2StartLevel; 4 for the reserved encodings of S2InvalidSL. */
static int start_level(uint64_t vtcr, const struct params *p)
{
	unsigned sl0 = (unsigned)bits(vtcr, 7, 6);
	bool sl2 = p->ds && vtcr & BIT(33);

	if (p->granule == 12) {
		if (sl2)
			return sl0 == 0 && p->oasize == 52 ? -1 : 4;
		if (sl0 == 2)
			return p->oasize >= 44 ? 0 : 4;
		return sl0 == 3 ? 3 : 2 - (int)sl0;
	}
	if (sl0 == 3)
		return p->granule == 14 && p->ds && p->oasize == 52 ? 0 : 4;
	if (sl0 == 2)
		return p->oasize >= (p->granule == 14 ? 42u : 44u) ? 1 : 4;
	return 3 - (int)sl0;
}

static unsigned level_shift(const struct params *p, int level)
{
	return p->granule + p->stride * (unsigned)(3 - level);
}

/* False: the configuration itself faults (S2InvalidTxSZ, S2InvalidSL, S2InconsistentSL). */
static bool decode_params(uint64_t vtcr, struct params *p)
{
	static const unsigned granules[4] = {12, 16, 14, 0};
	unsigned shift;
	bool wide;

	p->granule = granules[bits(vtcr, 15, 14)];
	if (!p->granule)
		return false;
	p->stride = p->granule - 3;
	p->ds = p->granule != 16 && vtcr & BIT(32);
	wide = p->ds || p->granule == 16;
	p->oasize = oa_size((unsigned)bits(vtcr, 18, 16), wide);
	p->iasize = 64 - (unsigned)bits(vtcr, 5, 0);
	p->oa48 = p->granule == 16 && p->oasize == 52;
	p->base52 = p->ds || p->oa48;
	p->ha = vtcr & BIT(21);
	p->hd = p->ha && vtcr & BIT(22);
	p->start = start_level(vtcr, p);
	if (p->start > 3 || p->iasize > p->oasize || p->iasize < 16)
		return false;
	shift = level_shift(p, p->start);
	return p->iasize >= shift + 1 && p->iasize <= shift + p->stride + 4;
}

/* AArch64.S2TTBaseAddress: aligned to the size of all concatenated tables. */
static uint64_t table_base(uint64_t vttbr, const struct params *p)
{
	unsigned tsize = p->iasize - level_shift(p, p->start) + 3;
	uint64_t base = vttbr & (BIT(48) - 1) & ~BIT(0);

	if (p->base52) {
		base = (base & ~(BIT(6) - 1)) | bits(vttbr, 5, 2) << 48;
		tsize = tsize < 6 ? 6 : tsize;
	}
	return base & ~(BIT(tsize) - 1);
}

/* Output address of a descriptor whose entry spans `shift` bits. */
static uint64_t output_address(uint64_t d, unsigned shift, const struct params *p)
{
	uint64_t low = d & (BIT(p->ds ? 50 : 48) - 1) & ~(BIT(shift) - 1);

	if (p->ds)
		return low | bits(d, 9, 8) << 50;
	return p->oa48 ? low | bits(d, 15, 12) << 48 : low;
}

static bool out_of_range(uint64_t oa, const struct params *p)
{
	return p->oasize < 64 && oa >> p->oasize;
}

/* AArch64.BlockDescSupported */
static bool block_supported(int level, const struct params *p)
{
	if (level == 2)
		return true;
	if (p->granule == 12)
		return level == 1 || (level == 0 && p->ds);
	return level == 1 && (p->granule == 14 ? p->ds : p->oasize == 52);
}

enum kind { INVALID, LEAF, TABLE };

static enum kind descriptor_kind(uint64_t d, int level, const struct params *p)
{
	if (!(d & 1))
		return INVALID;
	if (d & 2)
		return level == 3 ? LEAF : TABLE;
	return level < 3 && block_supported(level, p) ? LEAF : INVALID;
}

/* Entries of a contiguous group; the bit means nothing where the manual defines no group. */
static unsigned group_bits(int level, const struct params *p)
{
	if (p->granule == 12)
		return level >= 1 ? 4 : 0;
	if (level < 2)
		return 0;
	return p->granule == 14 && level == 3 ? 7 : 5;
}

static void decode_rights(const struct hw_regs *regs, const struct params *p, uint64_t d,
			  struct hw_result *r)
{
	unsigned xn = (unsigned)bits(d, 54, 53);

	if (!regs->xnx)
		xn &= 2; /* bit 53 is RES0 */
	r->read = d & BIT(6);
	/* A writable-clean leaf (DBM) permits a write under HD; the walk then makes it dirty. */
	r->write = d & BIT(7) || (p->hd && d & BIT(51));
	r->exec_el1 = xn == 0 || xn == 3;
	r->exec_el0 = xn == 0 || xn == 1;
	r->memattr = (uint8_t)bits(d, 5, 2);
}

static bool permitted(const struct hw_result *r, enum hw_access access, bool el0)
{
	switch (access) {
	case HW_WRITE: return r->write;
	case HW_EXEC: return el0 ? r->exec_el0 : r->exec_el1;
	default: return r->read;
	}
}

static void set_fault(struct hw_result *r, enum hw_fault fault, int level)
{
	r->fault = fault;
	r->level = (int8_t)level;
}

/* What the descriptor becomes by this access. An AT instruction need not update, and does not. */
static uint64_t updated(uint64_t d, enum hw_access access, const struct params *p)
{
	if (access == HW_AT)
		return d;
	if (p->ha)
		d |= BIT(10);
	if (p->hd && access == HW_WRITE && d & BIT(51))
		d |= BIT(7);
	return d;
}

/* Writes AF and dirty state back. False: the descriptor has changed, and the walk starts over. */
static bool update_in_memory(const struct hw_bus *bus, enum hw_access access,
			     const struct params *p, struct hw_result *r)
{
	uint64_t old = r->descriptor, want = updated(old, access, p);

	if (want == old || !bus->cas)
		return true;
	if (!bus->cas(bus->arg, r->step[r->steps - 1].entry, old, want))
		return false;
	r->af_set = !(old & BIT(10));
	r->descriptor = want;
	return true;
}

/* The leaf: address size, then access flag, then permission, as S2Translate orders them. */
static bool finish_leaf(const struct hw_regs *regs, const struct hw_bus *bus,
			const struct params *p, uint64_t ipa, enum hw_access access, bool el0,
			struct hw_result *r)
{
	unsigned shift = level_shift(p, r->level);
	uint64_t oa = output_address(r->descriptor, shift, p);

	if (out_of_range(oa, p)) {
		set_fault(r, HW_ADDRESS_SIZE, r->level);
		return true;
	}
	r->pa = oa | (ipa & (BIT(shift) - 1));
	r->span = BIT(shift + (r->descriptor & BIT(52) ? group_bits(r->level, p) : 0));
	decode_rights(regs, p, r->descriptor, r);
	if (!(r->descriptor & BIT(10)) && !p->ha)
		set_fault(r, HW_ACCESS_FLAG, r->level);
	else if (!permitted(r, access, el0))
		set_fault(r, HW_PERMISSION, r->level);
	else
		return update_in_memory(bus, access, p, r);
	return true;
}

/* Reads one descriptor and notes the step. */
static bool fetch(const struct hw_bus *bus, uint64_t table, uint64_t index, int level,
		  struct hw_result *r)
{
	struct hw_step *step = &r->step[r->steps];

	*step = (struct hw_step){
		.table = table,
		.entry = table + index * 8,
		.index = (uint32_t)index,
		.level = (int8_t)level,
	};
	if (!bus->read(bus->arg, step->entry, &step->descriptor))
		return false;
	r->steps++;
	r->descriptor = step->descriptor;
	r->level = (int8_t)level;
	return true;
}

/* AArch64.S2Walk. LEAF when r->descriptor is one; else the fault is set. */
static enum kind walk_levels(const struct hw_bus *bus, const struct params *p, uint64_t base,
			     uint64_t ipa, struct hw_result *r)
{
	uint64_t index = ipa >> level_shift(p, p->start);

	for (int level = p->start;; level++) {
		enum kind kind;

		if (!fetch(bus, base, index, level, r)) {
			set_fault(r, HW_EXTERNAL, level);
			return INVALID;
		}
		kind = descriptor_kind(r->descriptor, level, p);
		if (kind == LEAF)
			return LEAF;
		if (kind == INVALID) {
			set_fault(r, HW_TRANSLATION, level);
			return INVALID;
		}
		base = output_address(r->descriptor, p->granule, p);
		if (out_of_range(base, p)) {
			set_fault(r, HW_ADDRESS_SIZE, level);
			return INVALID;
		}
		index = bits(ipa, level_shift(p, level) - 1, level_shift(p, level + 1));
	}
}

void hw_walk(const struct hw_regs *regs, const struct hw_bus *bus, uint64_t ipa,
	     enum hw_access access, bool el0, struct hw_result *r)
{
	struct params p;
	uint64_t base;

	/* A failed update means that another agent has changed the entry: the system moved on. */
	do {
		memset(r, 0, offsetof(struct hw_result, step));
		if (!decode_params(regs->vtcr, &p) || ipa >> p.iasize) {
			set_fault(r, HW_TRANSLATION, 0);
			return;
		}
		base = table_base(regs->vttbr, &p);
		if (out_of_range(base, &p)) {
			set_fault(r, HW_ADDRESS_SIZE, 0);
			return;
		}
		if (walk_levels(bus, &p, base, ipa, r) != LEAF)
			return;
	} while (!finish_leaf(regs, bus, &p, ipa, access, el0, r));
}
