/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLB invalidation by instruction.
 *
 * Sources: Arm ARM D8.14 (TLB maintenance), C5.5; for the order of the two halves checker rule T1
 * and KVM's __kvm_tlb_flush_vmid_ipa().
 */
#include <pt/platform.h>

#include <pt/el2/feature.h>
#include <pt/el2/sysreg.h>

/* Without range instructions: from so many on, the VMID as a whole. */
#define MAX_SINGLES 64
#define MAX_EL2	    512

#define VTCR_T0SZ     UINT64_C(0x3f)
#define VTCR_SL0      (UINT64_C(3) << 6)
#define VTCR_SL0_NEXT (UINT64_C(1) << 6)
#define VTCR_SL2      (UINT64_C(1) << 33)

#define TLBI(fn, text)                                                                             \
	static void fn(void)                                                                       \
	{                                                                                          \
		__asm__ volatile(text ::: "memory");                                               \
	}
#define TLBI_OF(fn, text)                                                                          \
	static void fn(uint64_t operand)                                                           \
	{                                                                                          \
		__asm__ volatile(text ", %0" ::"r"(operand) : "memory");                           \
	}

TLBI(alle1is, "tlbi alle1is")
TLBI(alle2is, "tlbi alle2is")
TLBI(vmalls12e1is, "tlbi vmalls12e1is")
TLBI(vmalle1is, "tlbi vmalle1is")
TLBI(vmalle1, "tlbi vmalle1")
TLBI_OF(ipas2e1is, "tlbi ipas2e1is")
TLBI_OF(ipas2le1is, "tlbi ipas2le1is")
TLBI_OF(ipas2e1, "tlbi ipas2e1")
TLBI_OF(ipas2le1, "tlbi ipas2le1")
TLBI_OF(ripas2e1is, "sys #4, c8, c0, #2") /* no name in armv8-a's assembler */
TLBI_OF(ripas2le1is, "sys #4, c8, c0, #6")
TLBI_OF(vae2is, "tlbi vae2is")
TLBI_OF(vale2is, "tlbi vale2is")

/* In a checked build the checker sees each instruction, in front of it. */
static void show(enum pt_event_kind kind, uint32_t arg, uint64_t lo, const struct pt_tlbi *tlbi)
{
#ifdef PT_CHECKED
	pt_checked_event(
		&(struct pt_event){.kind = (uint8_t)kind, .arg = arg, .lo = lo, .tlbi = tlbi});
#else
	(void)kind, (void)arg, (void)lo, (void)tlbi;
#endif
}

/* arg of PT_EVENT_DSB */
enum { DSB_ISH, DSB_ISHST, DSB_NSH, DSB_NSHST };

static void dsb_ish(void)
{
	show(PT_EVENT_DSB, DSB_ISH, 0, NULL);
	pt_el2_dsb_ish();
}

static void dsb_ishst(void)
{
	show(PT_EVENT_DSB, DSB_ISHST, 0, NULL);
	__asm__ volatile("dsb ishst" ::: "memory");
}

static void dsb_nsh(void)
{
	show(PT_EVENT_DSB, DSB_NSH, 0, NULL);
	__asm__ volatile("dsb nsh" ::: "memory");
}

static void dsb_nshst(void)
{
	show(PT_EVENT_DSB, DSB_NSHST, 0, NULL);
	__asm__ volatile("dsb nshst" ::: "memory");
}

/*
 * Where VTTBR_EL2 points while it names another VMID: a walk made meanwhile finds nothing, and
 * nothing is what no TLB keeps. 1 KiB is what a 32-bit IPA space takes of any granule (16K).
 */
static const _Alignas(1024) uint64_t nothing[128];

struct saved {
	uint64_t vtcr, vttbr;
	bool other;
};

/*
 * Instructions act on the VMID in VTTBR_EL2, and those on ranges have the operand that VTCR_EL2.DS
 * and TG0 say. Both are those of `vmid` already when it is the one that is loaded. SL0 1 is the
 * level that resolves 32 bits with one table, whatever the granule.
 */
static struct saved enter(uint16_t vmid, const struct pt_geometry *geo)
{
	struct saved s = {.vttbr = pt_el2_read_vttbr_el2()};
	uint64_t vtcr;

	s.other = s.vttbr >> 48 != vmid;
	if (!s.other)
		return s;
	s.vtcr = pt_el2_read_vtcr_el2();
	vtcr = geo ? pt_geometry_vtcr(geo, pt_el2_vtcr_flags()) : s.vtcr;
	pt_el2_write_vtcr_el2((vtcr & ~(VTCR_T0SZ | VTCR_SL0 | VTCR_SL2)) | VTCR_SL0_NEXT | 32);
	pt_el2_write_vttbr_el2((uint64_t)vmid << 48 | (uintptr_t)nothing);
	pt_el2_isb();
	return s;
}

static void leave(const struct saved *s)
{
	if (s->other) {
		pt_el2_write_vtcr_el2(s->vtcr);
		pt_el2_write_vttbr_el2(s->vttbr);
	}
	pt_el2_isb();
}

/* A level hint is RES0 without FEAT_TTL. */
static uint64_t operand(const struct pt_geometry *geo, uint64_t ipa, int level)
{
	return pt_tlbi_ipa_operand(geo, pt_ipa(ipa), pt_el2_features.ttl ? level : PT_TTL_UNKNOWN);
}

/* One a leaf; one a granule where no level is known. */
static uint64_t step_of(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	return pt_level_size(geo, tlbi->level == PT_TTL_UNKNOWN ? PT_LEVEL_LAST : tlbi->level);
}

static void singles(const struct pt_geometry *geo, const struct pt_tlbi *tlbi,
		    void (*all)(uint64_t), void (*last)(uint64_t))
{
	uint64_t step = step_of(geo, tlbi);

	for (uint64_t at = 0; at < tlbi->size; at += step) {
		uint64_t ipa = tlbi->ipa.v + at;

#ifdef PT_CHECKED /* others have no use for it, and pay for it */
		show(PT_EVENT_TLBI_OPERAND, 0, pt_tlbi_ipa_operand(geo, pt_ipa(ipa), tlbi->level),
		     tlbi);
#endif
		(tlbi->last_level ? last : all)(operand(geo, ipa, tlbi->level));
	}
}

static void ranges(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	struct pt_ipa ipa = tlbi->ipa;
	uint64_t size = tlbi->size;
	struct pt_tlbi_op op;

	while (pt_tlbi_cover_next(geo, &ipa, &size, tlbi->level, &op)) {
		show(PT_EVENT_TLBI_OPERAND, op.range, op.value, tlbi);
		if (!op.range)
			(tlbi->last_level ? ipas2le1is
					  : ipas2e1is)(operand(geo, op.ipa.v, tlbi->level));
		else
			(tlbi->last_level ? ripas2le1is : ripas2e1is)(op.value);
	}
}

static bool too_long(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	if (pt_el2_features.tlbi_range)
		return tlbi->size >> geo->granule_shift > PT_TLBI_MAX_GRANULES;
	return tlbi->size / step_of(geo, tlbi) > MAX_SINGLES;
}

/* Stage 2, and only when that is complete what stages 1 and 2 gave together. */
static void flush_vmid(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	struct saved s = enter(tlbi->vmid, geo);

	if (tlbi->kind == PT_TLBI_STAGE1) {
		show(PT_EVENT_TLBI_S1, 0, 0, tlbi);
		vmalle1is();
	} else if (tlbi->kind == PT_TLBI_VMID || too_long(geo, tlbi)) {
		show(PT_EVENT_TLBI_S12, 0, 0, tlbi);
		vmalls12e1is();
	} else {
		show(PT_EVENT_TLBI_S2, 0, 0, tlbi);
		if (tlbi->kind == PT_TLBI_RANGE && pt_el2_features.tlbi_range)
			ranges(geo, tlbi);
		else
			singles(geo, tlbi, ipas2e1is, ipas2le1is);
		dsb_ish();
		show(PT_EVENT_TLBI_S1, 0, 0, tlbi);
		vmalle1is();
	}
	dsb_ish();
	leave(&s);
}

static void flush_local(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	struct saved s = enter(tlbi->vmid, geo);

	show(PT_EVENT_TLBI_S2, 0, 0, tlbi);
	singles(geo, tlbi, ipas2e1, ipas2le1);
	dsb_nsh();
	show(PT_EVENT_TLBI_S1, 0, 0, tlbi);
	vmalle1();
	dsb_nsh();
	leave(&s);
}

static void flush_el2(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	show(PT_EVENT_TLBI_S12, 0, 0, tlbi);
	if (tlbi->size / step_of(geo, tlbi) > MAX_EL2)
		alle2is();
	else
		singles(geo, tlbi, vae2is, vale2is);
	dsb_ish();
	pt_el2_isb();
}

void pt_el2_tlbi(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	if (tlbi->kind == PT_TLBI_LOCAL) {
		dsb_nshst();
		flush_local(geo, tlbi);
		return;
	}
	dsb_ishst();
	if (tlbi->kind == PT_TLBI_EL2) {
		flush_el2(geo, tlbi);
	} else if (tlbi->kind == PT_TLBI_ALL) {
		show(PT_EVENT_TLBI_S12, 0, 0, tlbi);
		alle1is();
		dsb_ish();
		pt_el2_isb();
	} else {
		flush_vmid(geo, tlbi);
	}
}
