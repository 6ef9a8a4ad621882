/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stage-1 walk of the EL1&0 regime, for AT instructions: data accesses, and nothing updated.
 *
 * Pseudocode of the Arm ARM: AArch64.S1Translate, S1DisabledOutput, S1Walk, S1TTBaseAddress,
 * S1DirectBasePermissions.
 */
#include "at.h"

#include "registers.h"

#define BIT(n) (UINT64_C(1) << (n))

#define SCTLR_M	   BIT(0)
#define SCTLR_C	   BIT(2)
#define SCTLR_EE   BIT(25)
#define SCTLR_EPAN BIT(57)

#define HCR_PTW BIT(2)
#define HCR_DC	BIT(12)
#define HCR_TGE BIT(27)

#define TCR_HA BIT(39)
#define TCR_HD BIT(40)
#define TCR_DS BIT(59)

/* Descriptors: what has another meaning than in stage 2. */
#define DESC_AP_EL0	 BIT(6)
#define DESC_AP_RO	 BIT(7)
#define DESC_UXN	 BIT(54)
#define DESC_APTABLE_NO0 BIT(61) /* not EL0 */
#define DESC_APTABLE_RO	 BIT(62)
#define DESC_UXNTABLE	 BIT(60)

/* One half of TCR_EL1: its fields, by number of the half. */
struct half {
	bool upper;
	unsigned txsz;
	struct pt_geometry geo; /* ipa_bits: of VAs */
	unsigned pa_bits;	/* the output size */
	bool tbi, epd, hpd, e0pd;
	uint8_t sh;
};

static bool tcr_bit(uint64_t tcr, bool upper, unsigned lower_bit, unsigned upper_bit)
{
	return tcr >> (upper ? upper_bit : lower_bit) & 1;
}

/* TG0 and TG1 number the granules differently; what both reserve is 64K here (as KVM has it). */
static unsigned granule_of(uint64_t tcr, bool upper)
{
	static const uint8_t granules[2][4] = {{12, 16, 14, 16}, {16, 14, 12, 16}};

	return granules[upper][upper ? pt__field(tcr, 31, 30) : pt__field(tcr, 15, 14)];
}

/* The smallest level number of a block, and the level that resolves what is left of the VA. */
static void set_levels(struct pt_geometry *g)
{
	unsigned bits = g->ipa_bits - g->granule_shift;
	bool wide = g->ds || g->lpa;

	g->start_level = (int8_t)(PT_LEVEL_LAST + 1 - (int)((bits + g->stride - 1) / g->stride));
	g->min_block_level = (int8_t)((g->granule_shift == 12 ? 1 : 2) - wide);
	g->start_entries = UINT32_C(1) << (g->ipa_bits - pt_level_shift(g, g->start_level));
	g->start_bytes = g->start_entries * (uint32_t)sizeof(pt_pte);
}

static bool size_legal(const struct half *h)
{
	bool large = h->geo.granule_shift == 16;

	return h->txsz >= (h->geo.ds || h->geo.lpa ? 12u : 16u) && h->txsz <= (large ? 47u : 48u);
}

/* False: sizes that fault (AArch64.S1HasTxSZFault). */
static bool decode_half(const struct pt__at *at, struct half *h)
{
	uint64_t tcr = at->regs->tcr;
	bool up = at->va >> 55 & 1;
	unsigned granule = granule_of(tcr, up);
	bool large = granule == 16;

	*h = (struct half){
		.upper = up,
		.txsz = (unsigned)(up ? pt__field(tcr, 21, 16) : pt__field(tcr, 5, 0)),
		.geo = {.granule_shift = (uint8_t)granule,
			.stride = (uint8_t)(granule - 3),
			.ds = !large && tcr & TCR_DS,
			.lpa = large && at->regs->pa_bits == 52},
		.tbi = tcr_bit(tcr, up, 37, 38),
		.epd = tcr_bit(tcr, up, 7, 23),
		.hpd = tcr_bit(tcr, up, 41, 42),
		.e0pd = tcr_bit(tcr, up, 55, 56),
		.sh = (uint8_t)(up ? pt__field(tcr, 29, 28) : pt__field(tcr, 13, 12)),
	};
	h->pa_bits = pt__output_bits(pt__field(tcr, 34, 32), at->regs->pa_bits, large || h->geo.ds);
	if (!size_legal(h))
		return false;
	h->geo.ipa_bits = (uint8_t)(64 - h->txsz);
	set_levels(&h->geo);
	return true;
}

/* The bits above the VA's size are those of its half, up to the tag that TBI ignores. */
static bool canonical(const struct half *h, uint64_t va)
{
	return !pt__field(h->upper ? ~va : va, h->tbi ? 55 : 63, h->geo.ipa_bits);
}

static bool stage2_fault(struct pt__at *at, uint8_t fsc)
{
	at->fsc = fsc;
	at->stage2 = true;
	at->walk = true;
	return false;
}

/* Where the descriptor at `at->fetch` is: by the guest's stage 2, as a read. */
static bool fetch_address(struct pt__at *at, uint64_t *canonical_ipa)
{
	struct pt_guest_leaf leaf;
	struct pt_guest_fault fault;

	*canonical_ipa = at->fetch;
	if (!at->s2)
		return true;
	if (pt_guest_walk(at->memory, at->s2, pt_ipa(at->fetch), PT_ACCESS_AT, at->el0, &leaf,
			  &fault) != PT_OK)
		return stage2_fault(at, fault.fsc);
	*canonical_ipa = leaf.out.v;
	/* HCR_EL2.PTW: tables are not walked in what stage 2 makes Device. */
	if (at->regs->hcr & HCR_PTW && pt_prot_memtype(leaf.prot) == PT_MEM_DEVICE)
		return stage2_fault(at, pt__fsc(PT__FSC_PERMISSION, leaf.level));
	return true;
}

static bool fetch(struct pt__at *at, const struct half *h, uint64_t table, int level, pt_pte *e)
{
	struct pt_ipa va = pt_ipa(at->va & pt__low_mask(h->geo.ipa_bits));
	uint64_t ipa, word;

	at->fetch = table + pt_level_index(&h->geo, va, level) * sizeof(*e);
	if (!fetch_address(at, &ipa))
		return false;
	if (at->memory->load(at->memory->arg, pt_ipa(ipa), &word) != PT_OK)
		return pt__at_fault(at, PT__FSC_EXTERNAL_WALK, level);
	*e = at->regs->sctlr & SCTLR_EE ? pt__swap_bytes(word) : word;
	return true;
}

/* AP, with what the tables on the way take away (`tables`: their high bits, 0 with HPD). */
static bool permitted(const struct pt__at *at, pt_pte e, pt_pte tables)
{
	uint64_t tcr = at->regs->tcr;
	bool dirty = tcr & TCR_HA && tcr & TCR_HD && e & PT_PTE_DBM;
	bool write = (!(e & DESC_AP_RO) || dirty) && !(tables & DESC_APTABLE_RO);
	bool user = e & DESC_AP_EL0 && !(tables & DESC_APTABLE_NO0);
	bool user_executes = !(e & DESC_UXN) && !(tables & DESC_UXNTABLE);

	if (at->el0)
		return user && (write || !at->write);
	if (at->pan && (user || (at->regs->sctlr & SCTLR_EPAN && user_executes)))
		return false;
	return write || !at->write;
}

static bool finish(struct pt__at *at, const struct half *h, pt_pte e, pt_pte tables, int level)
{
	const struct pt_geometry *g = &h->geo;
	uint64_t offset = pt__low_mask(pt_level_shift(g, level));
	unsigned index = (unsigned)pt__field(e, 4, 2);
	uint64_t oa = pt_pte_to_oa(g, e).v & ~offset;

	if (oa >> h->pa_bits)
		return pt__at_fault(at, PT__FSC_ADDRESS_SIZE, level);
	if (!(e & PT_PTE_AF) && !(at->regs->tcr & TCR_HA))
		return pt__at_fault(at, PT__FSC_ACCESS_FLAG, level);
	if (!permitted(at, e, tables))
		return pt__at_fault(at, PT__FSC_PERMISSION, level);
	at->out = oa | (at->va & offset);
	at->attrs = pt__memory_of_mair((uint8_t)(at->regs->mair >> (8 * index)),
				       g->ds ? h->sh : (uint8_t)pt__field(e, 9, 8));
	if (!(at->regs->sctlr & SCTLR_C))
		at->attrs = pt__memory_uncached(at->attrs);
	return true;
}

static bool walk(struct pt__at *at, const struct half *h)
{
	uint64_t table = pt__start_base(&h->geo, h->pa_bits, at->regs->ttbr[h->upper]);
	pt_pte tables = 0, e;

	if (table >> h->pa_bits)
		return pt__at_fault(at, PT__FSC_ADDRESS_SIZE, 0);
	for (int level = h->geo.start_level;; level++) {
		if (!fetch(at, h, table, level, &e))
			return false;
		if (pt_pte_is_leaf(e, level) && pt_level_has_leaf(&h->geo, level))
			return finish(at, h, e, tables, level);
		if (!pt_pte_is_table(e, level))
			return pt__at_fault(at, PT__FSC_TRANSLATION, level);
		table = pt_pte_to_oa(&h->geo, e).v;
		if (table >> h->pa_bits)
			return pt__at_fault(at, PT__FSC_ADDRESS_SIZE, level);
		tables |= h->hpd ? 0 : e;
	}
}

/* AArch64.S1DisabledOutput: the VA itself, but for a tag; Device, or with DC write-back. */
static bool flat(struct pt__at *at, bool tbi)
{
	uint64_t address = pt__field(at->va, tbi ? 55 : 63, 0);

	if (address >> at->regs->pa_bits)
		return pt__at_fault(at, PT__FSC_ADDRESS_SIZE, 0);
	at->out = address;
	at->attrs = pt__memory_of_mair(at->regs->hcr & HCR_DC ? 0xff : 0x00, 0);
	return true;
}

/* AArch64.S1Enabled */
static bool is_off(const struct pt_guest_at_regs *r)
{
	return !(r->sctlr & SCTLR_M) || r->hcr & (HCR_DC | HCR_TGE);
}

bool pt__at_stage1(struct pt__at *at)
{
	struct half h;
	bool legal = decode_half(at, &h);

	if (is_off(at->regs))
		return flat(at, h.tbi);
	if (!legal || !canonical(&h, at->va) || h.epd || (h.e0pd && at->el0))
		return pt__at_fault(at, PT__FSC_TRANSLATION, 0);
	return walk(at, &h);
}
