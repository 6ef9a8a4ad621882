/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every VTCR_EL2 that the fields of a geometry can say, as lib judges it and as the CPU does: the
 * register is loaded over tables of this program, and AT asks. Where the two differ, the
 * architecture has to leave the CPU that choice, or the CPU model is known to be wrong: each such
 * reason has a name and a condition, and a difference without one fails. docs/el2.md explains them.
 */
#include "stage2.h"

#define ROOT_BYTES (UINT64_C(1) << 20) /* sixteen tables of 64K */
#define ROOT_WORDS (ROOT_BYTES / 8)
/* A table descriptor above the last level, and a page there: read, write, access flag, Normal. */
#define ENTRY	   UINT64_C(0x4ff)
#define VMID1	   (UINT64_C(1) << 48)
/* RES1, write-back, inner shareable: the fields that no geometry is made of. */
#define VTCR_REST  UINT64_C(0x80003500)
#define VTCR_DS	   (UINT64_C(1) << 32)
#define VTCR_SL2   (UINT64_C(1) << 33)
#define VTCR_PS	   (UINT64_C(7) << 16)
#define VTCR_TG0   (UINT64_C(3) << 14)

#define PAR_PA	  UINT64_C(0x000ffffffffff000)
#define PAR_FAULT UINT64_C(0x27f) /* S, FST, F */

/* All its entries lead to its first table: each walk of it ends in that page. */
__attribute__((section(".region.memory"), aligned(1 << 20))) static uint64_t everywhere[ROOT_WORDS];
/* No entry, or one. */
__attribute__((section(".region.memory"), aligned(1 << 20))) static uint64_t root[ROOT_WORDS];

/* clang-format off */
/* How the two verdicts on a VTCR_EL2 may stand to each other, but for the last. */
#define RELATIONS(X)                                                                               \
	X(ALIKE,	"alike")                                                                   \
	/* lib refuses, or the CPU has it not, and the architecture lets the CPU go on */          \
	X(GRANULE,	"granule reserved or absent")                                              \
	X(PS_RESERVED,	"PS reserved")                                                             \
	X(PS_ABSENT,	"PS above the CPU's")                                                      \
	X(PS_FORMAT,	"PS above the format's 48 bits")                                           \
	X(WIDE,		"IPA above the CPU's")                                                     \
	X(DS_RES0,	"DS is RES0")                                                              \
	X(SL2_RES0,	"SL2 is RES0")                                                             \
	/* lib's policy */                                                                         \
	X(PS_BELOW,	"PS below the CPU's, which counts")                                        \
	X(SHORT,	"IPA below 32 bits")                                                       \
	/* the CPU model is wrong */                                                               \
	X(QEMU_LEVEL,	"QEMU before 8 refuses the start level")                                   \
	X(UNNAMED,	"without a name")
/* clang-format on */
#define RELATION(name, text) name,
enum relation { RELATIONS(RELATION) };
#define TEXT(name, text) text,
static const char *const texts[] = {RELATIONS(TEXT)};

static const unsigned ps_bits[8] = {32, 36, 40, 42, 44, 48, 52, 52};
static const unsigned granule_of[4] = {12, 16, 14, 0}; /* by TG0 */

static uint64_t counts[UNNAMED + 1], loads;
/* The granules, by TG0, that the CPU may take in place of one that is reserved or absent. */
static unsigned instead;

static unsigned field(uint64_t vtcr, unsigned hi, unsigned lo)
{
	return (unsigned)(vtcr >> lo & ((UINT64_C(2) << (hi - lo)) - 1));
}

static unsigned ipa_bits(uint64_t vtcr)
{
	return 64 - field(vtcr, 5, 0);
}

static void load(uint64_t vtcr, const uint64_t *table)
{
	pt_el2_write_vtcr_el2(vtcr);
	pt_el2_write_vttbr_el2((uintptr_t)table | VMID1);
	pt_el2_isb();
	loads++;
}

static uint64_t at(uint64_t ipa)
{
	__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(ipa) : "memory");
	el2_compared++;
	return pt_el2_read_par_el1();
}

/* Arm ARM, PAR_EL1.FST: translation fault of stage 2. */
static bool is_translation_fault(uint64_t par, int level)
{
	uint64_t fst = level < 0 ? 0x2b : 4 | (uint64_t)level;

	return (par & PAR_FAULT) == (0x201 | fst << 1);
}

static bool leads_to(uint64_t par, uint64_t pa)
{
	return !(par & 1) && (par & PAR_PA) == (pa & PAR_PA);
}

/* A VTCR_EL2 that the CPU does not take is a translation fault at level 0 of each address. */
static bool cpu_takes(uint64_t vtcr)
{
	uint64_t par;

	load(vtcr, everywhere);
	par = at(0);
	if (leads_to(par, (uintptr_t)everywhere))
		return true;
	if (!is_translation_fault(par, 0))
		print_error("VTCR_EL2 0x%lx: PAR_EL1 0x%lx\n", (unsigned long)vtcr,
			    (unsigned long)par);
	assert_true(is_translation_fault(par, 0));
	return false;
}

static bool lib_takes(uint64_t vtcr)
{
	struct pt_geometry geo;

	return pt_geometry_from_vtcr(&geo, vtcr) == PT_OK;
}

/* By TG0; what there is not is none. */
static bool has_granule(unsigned tg0)
{
	return tg0 < 3 && pt_el2_features.granule[(granule_of[tg0] - 12) / 2];
}

static bool has_ds(unsigned tg0)
{
	return granule_of[tg0] < 16 && pt_el2_features.lpa2[(granule_of[tg0] - 12) / 2];
}

/* PS of the CPU's PARange. */
static unsigned cpu_ps(void)
{
	unsigned ps = 0;

	while (ps_bits[ps] < pt_el2_features.pa_bits)
		ps++;
	return ps;
}

static uint64_t with_ps(uint64_t vtcr, unsigned ps)
{
	return (vtcr & ~VTCR_PS) | (uint64_t)ps << 16;
}

/*
 * The register as a CPU of these features reads it, whose granule is there (Arm ARM, VTCR_EL2: PS,
 * DS, SL2; D8.1.7, output address size). *why becomes the last thing that it reads otherwise.
 */
static uint64_t as_read(uint64_t vtcr, enum relation *why)
{
	unsigned tg0 = field(vtcr, 15, 14), ps = field(vtcr, 18, 16);
	uint64_t read = vtcr;

	if (read & VTCR_DS && !has_ds(tg0)) {
		read &= ~VTCR_DS;
		*why = DS_RES0;
	}
	if (read & VTCR_SL2 && !(read & VTCR_DS && granule_of[tg0] == 12)) {
		read &= ~VTCR_SL2;
		*why = SL2_RES0;
	}
	if (ps == 7) {
		ps = 6;
		*why = PS_RESERVED;
	}
	if (ps > cpu_ps()) {
		ps = cpu_ps();
		*why = PS_ABSENT;
	}
	if (ps_bits[ps] > 48 && granule_of[tg0] < 16 && !(read & VTCR_DS)) {
		ps = 5;
		*why = PS_FORMAT;
	}
	return with_ps(read, ps);
}

/* The CPU takes what lib refuses even as the CPU reads it: `read` is that. */
static enum relation lib_is_stricter(uint64_t read)
{
	enum relation ignored;

	if (ipa_bits(read) < 32)
		return SHORT;
	if (ipa_bits(read) > pt_el2_features.pa_bits)
		return WIDE;
	/* The architecture compares with PAMax, which PS does not lower. */
	return lib_takes(as_read(with_ps(read, cpu_ps()), &ignored)) ? PS_BELOW : UNNAMED;
}

/* Level 0 of 16K, and level -1 of 4K for fewer than 52 bits: LPA2 has both. */
static enum relation cpu_is_stricter(uint64_t read)
{
	bool level0 = granule_of[field(read, 15, 14)] == 14 && field(read, 7, 6) == 3;
	bool level_minus_1 = read & VTCR_SL2 && ipa_bits(read) < 52;

	return s2_qemu() < 8 && (level0 || level_minus_1) ? QEMU_LEVEL : UNNAMED;
}

/* The CPU is said to have this granule. */
static enum relation compare_read(uint64_t vtcr, bool lib, bool cpu)
{
	enum relation why = UNNAMED;
	uint64_t read = as_read(vtcr, &why);

	if (cpu == lib_takes(read))
		return cpu == lib ? ALIKE : why;
	return cpu ? lib_is_stricter(read) : cpu_is_stricter(read);
}

/* Any granule that it has may stand for it, but always the same one. */
static enum relation compare_instead(uint64_t vtcr, bool cpu)
{
	for (unsigned tg0 = 0; tg0 < 3; tg0++) {
		uint64_t other = (vtcr & ~VTCR_TG0) | (uint64_t)tg0 << 14;

		if (!has_granule(tg0) || compare_read(other, cpu, cpu) == UNNAMED)
			instead &= ~(1u << tg0);
	}
	return instead ? GRANULE : UNNAMED;
}

/* Lib and the CPU's features together, which is what makes a context: pt_hv's CREATE. */
static bool both_have(uint64_t vtcr)
{
	unsigned tg0 = field(vtcr, 15, 14);

	return lib_takes(vtcr) && has_granule(tg0) && field(vtcr, 18, 16) <= cpu_ps() &&
	       (!(vtcr & VTCR_DS) || has_ds(tg0));
}

static enum relation compare(uint64_t vtcr, bool cpu)
{
	bool lib = both_have(vtcr);
	enum relation relation = has_granule(field(vtcr, 15, 14)) ? compare_read(vtcr, lib, cpu)
								  : compare_instead(vtcr, cpu);

	return cpu == lib && relation != UNNAMED ? ALIKE : relation;
}

/*
 * What lib makes of a VTCR_EL2 that both take: where the walk begins, how many entries are there,
 * and where the space ends.
 */
static void compare_start(uint64_t vtcr)
{
	uint64_t last, first, page = (uintptr_t)everywhere;
	struct pt_geometry geo;

	ASSERT_OUTCOME(PT_OK, pt_geometry_from_vtcr(&geo, vtcr));
	assert_in_range(geo.start_entries, 2, ROOT_WORDS);
	last = (UINT64_C(1) << geo.ipa_bits) - 1;
	first = last + 1 - pt_level_size(&geo, geo.start_level);
	root[geo.start_entries - 1] = page | ENTRY;
	load(vtcr, root);
	assert_true(leads_to(at(first), page));
	assert_true(leads_to(at(last), page | (last & ((UINT64_C(1) << geo.granule_shift) - 1))));
	assert_true(is_translation_fault(at(first - 1), geo.start_level));
	assert_true(is_translation_fault(at(0), geo.start_level));
	/* Beyond PARange the address is none that stage 1, which is off, could hand on: an address
	 * size fault of stage 1. */
	if (geo.ipa_bits == pt_el2_features.pa_bits)
		assert_int_equal(at(last + 1) & PAR_FAULT, 1);
	else
		assert_true(is_translation_fault(at(last + 1), 0));
	root[geo.start_entries - 1] = 0;
}

static void one(uint64_t vtcr)
{
	bool cpu = cpu_takes(vtcr);
	enum relation relation = compare(vtcr, cpu);

	counts[relation]++;
	if (relation == UNNAMED)
		print_error("VTCR_EL2 0x%lx: lib %s it, the CPU %s it\n", (unsigned long)vtcr,
			    both_have(vtcr) ? "takes" : "refuses", cpu ? "takes" : "refuses");
	if (cpu && both_have(vtcr))
		compare_start(vtcr);
}

/* IPA sizes from one below what lib takes to one above what there is; all of the other fields. */
static void each_vtcr(void)
{
	for (uint64_t t0sz = 64 - 53; t0sz <= 64 - 31; t0sz++)
		for (uint64_t tg0 = 0; tg0 < 4; tg0++)
			for (uint64_t sl = 0; sl < 8; sl++)
				for (uint64_t ps = 0; ps < 8; ps++)
					for (uint64_t ds = 0; ds < 2; ds++)
						one(VTCR_REST | t0sz | (sl & 3) << 6 | tg0 << 14 |
						    ps << 16 | ds << 32 | (sl >> 2) << 33);
}

static void fill(void)
{
	memset(root, 0, sizeof(root));
	for (uint64_t i = 0; i < ROOT_WORDS; i++)
		everywhere[i] = (uintptr_t)everywhere | ENTRY;
	memset(counts, 0, sizeof(counts));
	instead = 7;
	pt_el2_dsb_ish();
}

static void every_geometry_is_judged_as_the_cpu_does(void **state)
{
	uint64_t sum = 0;

	(void)state;
	fill();
	pt_el2_write_hcr_el2(PT_HCR_RW | PT_HCR_DC | PT_HCR_VM);
	each_vtcr();
	pt_el2_write_hcr_el2(PT_HCR_RW);
	pt_el2_write_vttbr_el2(0);
	pt_el2_isb();
	for (unsigned i = 0; i <= UNNAMED; i++)
		sum += counts[i];
	printf("# %lu values of VTCR_EL2", (unsigned long)sum);
	for (unsigned i = 0; i <= UNNAMED; i++)
		if (counts[i])
			printf("%s %lu %s", i ? "," : ":", (unsigned long)counts[i], texts[i]);
	printf("\n");
	assert_int_equal(counts[UNNAMED], 0);
	assert_int_equal(sum, 23 * 4 * 8 * 8 * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_geometry_is_judged_as_the_cpu_does),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
