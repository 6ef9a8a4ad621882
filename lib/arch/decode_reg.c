/* SPDX-License-Identifier: BSD-2-Clause */
/* VTCR_EL2, VTTBR_EL2, ESR_EL2, HPFAR_EL2 and PAR_EL1 as named fields (Arm ARM D19, register
 * pages). */
#include "arch/rows.h"

#define COUNT(array) (unsigned)(sizeof(array) / sizeof((array)[0]))

static const char *const off_on[] = {"off", "on"};
static const char *const no_yes[] = {"no", "yes"};
static const char *const cacheability[] = {
	"non-cacheable", "write-back, read-allocate, write-allocate",
	"write-through, read-allocate", "write-back, read-allocate"};
static const char *const shareability[] = {"non-shareable", "reserved", "outer shareable",
					   "inner shareable"};
static const char *const ps_texts[] = {"32 bits", "36 bits", "40 bits", "42 bits",
				       "44 bits", "48 bits", "52 bits"};
static const char *const tg0_texts[] = {"4K", "64K", "16K"};
static const char *const vs_texts[] = {"8-bit VMID", "16-bit VMID"};
static const char *const ds_texts[] = {"48-bit descriptors", "52-bit descriptors (FEAT_LPA2)"};
static const char *const res1_texts[] = {"should be 1", "RES1"};

static const struct pt__field_def vtcr_fields[] = {
	{"SL2", 33, 33, 0, NULL},
	{"DS", 32, 32, PT__TEXTS(ds_texts)},
	{"RES1", 31, 31, PT__TEXTS(res1_texts)},
	{"NSA", 30, 30, 0, NULL},
	{"NSW", 29, 29, 0, NULL},
	{"HWU", 28, 25, 0, NULL},
	{"HD", 22, 22, PT__TEXTS(off_on)},
	{"HA", 21, 21, PT__TEXTS(off_on)},
	{"VS", 19, 19, PT__TEXTS(vs_texts)},
	{"PS", 18, 16, PT__TEXTS(ps_texts)},
	{"TG0", 15, 14, PT__TEXTS(tg0_texts)},
	{"SH0", 13, 12, PT__TEXTS(shareability)},
	{"ORGN0", 11, 10, PT__TEXTS(cacheability)},
	{"IRGN0", 9, 8, PT__TEXTS(cacheability)},
	{"SL0", 7, 6, 0, NULL},
	{"T0SZ", 5, 0, 0, NULL},
};

static const char *const levels[] = {"level -1", "level 0", "level 1", "level 2", "level 3"};

unsigned pt_decode_vtcr(uint64_t vtcr, struct pt_field row[PT_DECODE_MAX])
{
	struct pt__rows r = {row, 0};
	struct pt_geometry g;

	pt__row_fields(&r, vtcr_fields, COUNT(vtcr_fields), vtcr);
	if (pt_geometry_from_vtcr(&g, vtcr) != PT_OK) {
		pt__row_derived(&r, "geometry", 0, false, "not legal: every access would fault");
		return r.n;
	}
	pt__row_derived(&r, "IPA bits", g.ipa_bits, false, "");
	pt__row_derived(&r, "start level", (uint64_t)(int64_t)g.start_level, false,
			levels[g.start_level + 1]);
	pt__row_derived(&r, "start entries", g.start_entries, false, "");
	pt__row_derived(&r, "start bytes", g.start_bytes, false, "");
	return r.n;
}

unsigned pt_decode_vttbr(const struct pt_geometry *g, uint64_t vttbr,
			 struct pt_field row[PT_DECODE_MAX])
{
	static const struct pt__field_def vmid = {"VMID", 63, 48, 0, NULL};
	static const struct pt__field_def cnp = {"CnP", 0, 0, PT__TEXTS(no_yes)};
	bool wide = g && (g->ds || g->lpa);
	uint64_t base = vttbr & pt__low_mask(48) & ~UINT64_C(1);
	struct pt__rows r = {row, 0};

	pt__row_field(&r, &vmid, vttbr);
	if (wide) {
		base = (base & ~pt__low_mask(6)) | pt__field(vttbr, 5, 2) << 48;
		pt__row_address(&r, "BADDR[47:6]", 47, 6, base & pt__low_mask(48));
		pt__row_address(&r, "BADDR[51:48]", 5, 2, base & ~pt__low_mask(48));
	} else {
		pt__row_address(&r, "BADDR", 47, 1, base);
	}
	pt__row_field(&r, &cnp, vttbr);
	pt__row_derived(&r, "table base", base, true, "");
	return r.n;
}

static const struct {
	uint8_t ec;
	const char *text;
} classes[] = {
	{0x00, "unknown reason"},
	{0x01, "trapped WFI, WFE or similar"},
	{0x07, "trapped SVE, SIMD or floating point"},
	{0x0e, "illegal execution state"},
	{0x12, "HVC from AArch32"},
	{0x15, "SVC from AArch64"},
	{0x16, "HVC from AArch64"},
	{0x17, "SMC from AArch64"},
	{0x18, "trapped MSR, MRS or system instruction"},
	{0x20, "instruction abort from a lower exception level"},
	{0x21, "instruction abort from the same exception level"},
	{0x22, "PC alignment fault"},
	{0x24, "data abort from a lower exception level"},
	{0x25, "data abort from the same exception level"},
	{0x26, "SP alignment fault"},
	{0x2f, "SError interrupt"},
	{0x3c, "BRK instruction"},
};

static const char *class_text(unsigned ec)
{
	for (unsigned i = 0; i < COUNT(classes); i++)
		if (classes[i].ec == ec)
			return classes[i].text;
	return "another exception class";
}

static const char *const il_texts[] = {"16-bit instruction", "32-bit instruction"};
static const char *const isv_texts[] = {"no syndrome of the instruction",
					"SAS to AR describe the instruction"};
static const char *const sas_texts[] = {"byte", "halfword", "word", "doubleword"};
static const char *const sse_texts[] = {"no sign extension", "sign-extended"};
static const char *const sf_texts[] = {"32-bit register", "64-bit register"};
static const char *const ar_texts[] = {"no acquire or release", "acquire or release"};
static const char *const fnv_texts[] = {"FAR_EL2 is valid", "FAR_EL2 is not valid"};
static const char *const cm_texts[] = {"no", "cache maintenance or address translation"};
static const char *const s1ptw_texts[] = {"not on a stage-1 walk", "on a stage-1 table walk"};
static const char *const wnr_texts[] = {"read", "write"};

static const struct pt__field_def isv_field = {"ISV", 24, 24, PT__TEXTS(isv_texts)};

/* Meaningful only with ISV. */
static const struct pt__field_def instruction_fields[] = {
	{"SAS", 23, 22, PT__TEXTS(sas_texts)},
	{"SSE", 21, 21, PT__TEXTS(sse_texts)},
	{"SRT", 20, 16, 0, NULL},
	{"SF", 15, 15, PT__TEXTS(sf_texts)},
	{"AR", 14, 14, PT__TEXTS(ar_texts)},
};

static const struct pt__field_def abort_fields[] = {
	{"SET", 12, 11, 0, NULL},
	{"FnV", 10, 10, PT__TEXTS(fnv_texts)},
	{"EA", 9, 9, 0, NULL},
};

static const struct pt__field_def cm_field = {"CM", 8, 8, PT__TEXTS(cm_texts)};
static const struct pt__field_def s1ptw_field = {"S1PTW", 7, 7, PT__TEXTS(s1ptw_texts)};
static const struct pt__field_def wnr_field = {"WnR", 6, 6, PT__TEXTS(wnr_texts)};

static void decode_abort(struct pt__rows *r, uint64_t esr, bool data)
{
	unsigned fsc = (unsigned)pt__field(esr, 5, 0);

	if (data)
		pt__row_field(r, &isv_field, esr);
	if (data && pt__field(esr, 24, 24))
		pt__row_fields(r, instruction_fields, COUNT(instruction_fields), esr);
	pt__row_fields(r, abort_fields, COUNT(abort_fields), esr);
	if (data)
		pt__row_field(r, &cm_field, esr);
	pt__row_field(r, &s1ptw_field, esr);
	if (data)
		pt__row_field(r, &wnr_field, esr);
	pt__row(r, (struct pt_field){.name = data ? "DFSC" : "IFSC",
				     .hi = 5,
				     .value = fsc,
				     .text = pt__fault_status_text(fsc)});
}

unsigned pt_decode_esr(uint64_t esr, struct pt_field row[PT_DECODE_MAX])
{
	static const struct pt__field_def il = {"IL", 25, 25, PT__TEXTS(il_texts)};
	static const struct pt__field_def iss = {"ISS", 24, 0, 0, NULL};
	unsigned ec = (unsigned)pt__field(esr, 31, 26);
	struct pt__rows r = {row, 0};

	pt__row(&r, (struct pt_field){
			    .name = "EC", .hi = 31, .lo = 26, .value = ec, .text = class_text(ec)});
	pt__row_field(&r, &il, esr);
	if ((ec & ~1u) == 0x20 || (ec & ~1u) == 0x24)
		decode_abort(&r, esr, ec & 4);
	else
		pt__row_field(&r, &iss, esr);
	return r.n;
}

unsigned pt_decode_hpfar(uint64_t hpfar, struct pt_field row[PT_DECODE_MAX])
{
	static const char *const ns_texts[] = {"secure IPA space", "non-secure IPA space"};
	static const struct pt__field_def ns = {"NS", 63, 63, PT__TEXTS(ns_texts)};
	static const struct pt__field_def fipa = {"FIPA", 47, 4, 0, NULL};
	struct pt__rows r = {row, 0};

	pt__row_field(&r, &ns, hpfar);
	pt__row_field(&r, &fipa, hpfar);
	pt__row_derived(&r, "faulting IPA", pt__field(hpfar, 47, 4) << 12, true,
			"the page; the offset is in FAR_EL2");
	return r.n;
}

static const char *const f_texts[] = {"translated", "aborted"};
static const struct pt__field_def f_field = {"F", 0, 0, PT__TEXTS(f_texts)};

/* MAIR encodings; the few that stage 2 can give get a text. */
static const char *attr_text(unsigned attr)
{
	switch (attr) {
	case 0x00: return "Device-nGnRnE";
	case 0x04: return "Device-nGnRE";
	case 0x08: return "Device-nGRE";
	case 0x0c: return "Device-GRE";
	case 0x44: return "Normal, non-cacheable";
	case 0xbb: return "Normal, write-through";
	case 0xff: return "Normal, write-back";
	case 0xf0: return "Normal, tagged";
	default: return "as MAIR_ELx encodes it";
	}
}

static void par_success(struct pt__rows *r, uint64_t par)
{
	static const struct pt__field_def low[] = {
		{"NSE", 11, 11, 0, NULL},
		{"NS", 9, 9, 0, NULL},
		{"SH", 8, 7, PT__TEXTS(shareability)},
	};
	unsigned attr = (unsigned)pt__field(par, 63, 56);

	pt__row(r, (struct pt_field){.name = "ATTR",
				     .hi = 63,
				     .lo = 56,
				     .value = attr,
				     .text = attr_text(attr)});
	pt__row_address(r, "PA", 51, 12, par & pt__low_mask(52) & ~pt__low_mask(12));
	pt__row_fields(r, low, COUNT(low), par);
}

static void par_fault(struct pt__rows *r, uint64_t par)
{
	static const char *const s_texts[] = {"stage 1", "stage 2"};
	static const struct pt__field_def high[] = {
		{"S", 9, 9, PT__TEXTS(s_texts)},
		{"PTW", 8, 8, PT__TEXTS(s1ptw_texts)},
	};
	unsigned fst = (unsigned)pt__field(par, 6, 1);

	pt__row_fields(r, high, COUNT(high), par);
	pt__row(r, (struct pt_field){.name = "FST",
				     .hi = 6,
				     .lo = 1,
				     .value = fst,
				     .text = pt__fault_status_text(fst)});
}

unsigned pt_decode_par(uint64_t par, struct pt_field row[PT_DECODE_MAX])
{
	struct pt__rows r = {row, 0};

	if (par & 1)
		par_fault(&r, par);
	else
		par_success(&r, par);
	pt__row_field(&r, &f_field, par);
	return r.n;
}
