/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage-2 descriptors as named fields: tables, leaves, and the annotations of invalid entries. */
#include "arch/rows.h"

#define COUNT(array) (unsigned)(sizeof(array) / sizeof((array)[0]))

static const char *const no_yes[] = {"no", "yes"};
static const char *const valid_texts[] = {"invalid", "valid"};
static const char *const s2ap_texts[] = {"no access", "read", "write", "read and write"};
static const char *const af_texts[] = {"not accessed", "accessed"};
static const char *const sh_texts[] = {"non-shareable", "reserved", "outer shareable",
				       "inner shareable"};
static const char *const xnx_texts[] = {"execute at EL1 and EL0", "execute at EL0 only",
					"execute never", "execute at EL1 only"};
static const char *const xn_texts[] = {"execute", "execute never"};
static const char *const memattr_texts[] = {"Device-nGnRnE",
					    "Device-nGnRE",
					    "Device-nGRE",
					    "Device-GRE",
					    "reserved",
					    "Normal, inner and outer non-cacheable",
					    "Normal, outer non-cacheable, inner write-through",
					    "Normal, outer non-cacheable, inner write-back",
					    "reserved",
					    "Normal, outer write-through, inner non-cacheable",
					    "Normal, inner and outer write-through",
					    "Normal, outer write-through, inner write-back",
					    "reserved",
					    "Normal, outer write-back, inner non-cacheable",
					    "Normal, outer write-back, inner write-through",
					    "Normal, inner and outer write-back"};
static const char *const memattr_fwb_texts[] = {
	"Device-nGnRnE", "Device-nGnRE",	  "Device-nGRE",	"Device-GRE",
	"reserved",	 "Normal, non-cacheable", "Normal, write-back", "as stage 1 says"};
/* Types of invalid entries: <pt/desc.h>; the numbers are KVM's. */
static const char *const invalid_texts[] = {"empty, or an annotation of type 0",
					    "locked: between break and make", "donated",
					    "poisoned"};

static const struct pt__field_def valid_field = {"V", 0, 0, PT__TEXTS(valid_texts)};
static const struct pt__field_def memattr_plain = {"MemAttr", 5, 2, PT__TEXTS(memattr_texts)};
static const struct pt__field_def memattr_fwb = {"MemAttr", 5, 2, PT__TEXTS(memattr_fwb_texts)};

static const struct pt__field_def invalid_fields[] = {
	{"type", 63, 60, PT__TEXTS(invalid_texts)},
	{"payload", 59, 1, 0, NULL},
};

static const struct pt__field_def leaf_high[] = {
	{"PBHA", 62, 59, 0, NULL},
	{"SW", 58, 55, 0, NULL},
};

static const struct pt__field_def leaf_middle[] = {
	{"Contiguous", 52, 52, PT__TEXTS(no_yes)},
	{"DBM", 51, 51, PT__TEXTS(no_yes)},
};

static const struct pt__field_def leaf_low[] = {
	{"FnXS", 11, 11, 0, NULL},
	{"AF", 10, 10, PT__TEXTS(af_texts)},
};

static const struct pt__field_def sh_field = {"SH", 9, 8, PT__TEXTS(sh_texts)};
static const struct pt__field_def s2ap_field = {"S2AP", 7, 6, PT__TEXTS(s2ap_texts)};
static const struct pt__field_def xnx_field = {"XN", 54, 53, PT__TEXTS(xnx_texts)};
static const struct pt__field_def xn_field = {"XN", 54, 54, PT__TEXTS(xn_texts)};
static const struct pt__field_def nt_field = {"nT", 16, 16, PT__TEXTS(no_yes)};

/* The address bits in their own places, from `lo` up; the two other formats have more elsewhere. */
static void address_row(struct pt__rows *r, const struct pt_geometry *g, pt_pte e, unsigned lo)
{
	unsigned top = g->ds ? 49 : 47;

	pt__row_address(r, "OA", top, lo, e & pt__low_mask(top + 1) & ~pt__low_mask(lo));
}

static void extra_address_row(struct pt__rows *r, const struct pt_geometry *g, pt_pte e)
{
	if (g->ds)
		pt__row_address(r, "OA[51:50]", 9, 8, pt__field(e, 9, 8) << 50);
	if (g->lpa)
		pt__row_address(r, "OA[51:48]", 15, 12, pt__field(e, 15, 12) << 48);
}

static void type_row(struct pt__rows *r, pt_pte e, const char *text)
{
	pt__row(r, (struct pt_field){
			   .name = "TYPE", .hi = 1, .lo = 1, .value = e >> 1 & 1, .text = text});
}

static void decode_leaf(struct pt__rows *r, const struct pt_geometry *g, unsigned attrs, pt_pte e,
			int level)
{
	unsigned shift = pt_level_shift(g, level);
	bool page = level == PT_LEVEL_LAST;

	pt__row_fields(r, leaf_high, COUNT(leaf_high), e);
	pt__row_field(r, attrs & PT_ATTR_XNX ? &xnx_field : &xn_field, e);
	pt__row_fields(r, leaf_middle, COUNT(leaf_middle), e);
	address_row(r, g, e, shift);
	if (!page)
		pt__row_field(r, &nt_field, e);
	if (g->lpa)
		extra_address_row(r, g, e);
	pt__row_fields(r, leaf_low, COUNT(leaf_low), e);
	if (g->ds)
		extra_address_row(r, g, e);
	else
		pt__row_field(r, &sh_field, e);
	pt__row_field(r, &s2ap_field, e);
	pt__row_field(r, attrs & PT_ATTR_FWB ? &memattr_fwb : &memattr_plain, e);
	type_row(r, e, page ? "page" : "block");
	pt__row_field(r, &valid_field, e);
	pt__row_derived(r, "output", pt_pte_to_oa(g, e).v & ~pt__low_mask(shift), true,
			page ? "page" : "block");
	pt__row_derived(r, "bytes", UINT64_C(1) << shift, false, "");
}

static void decode_table(struct pt__rows *r, const struct pt_geometry *g, pt_pte e)
{
	address_row(r, g, e, g->granule_shift);
	extra_address_row(r, g, e);
	type_row(r, e, "table");
	pt__row_field(r, &valid_field, e);
	pt__row_derived(r, "next table", pt_pte_to_oa(g, e).v, true, "");
}

unsigned pt_decode_pte(const struct pt_geometry *g, unsigned attrs, pt_pte e, int level,
		       struct pt_field row[PT_DECODE_MAX])
{
	struct pt__rows r = {row, 0};

	if (!pt_pte_valid(e)) {
		pt__row_fields(&r, invalid_fields, COUNT(invalid_fields), e);
		pt__row_field(&r, &valid_field, e);
	} else if (pt_pte_is_table(e, level)) {
		decode_table(&r, g, e);
	} else if (pt_pte_is_leaf(e, level) && pt_level_has_leaf(g, level)) {
		decode_leaf(&r, g, attrs, e, level);
	} else {
		type_row(&r, e, "reserved at this level: the walk faults");
		pt__row_field(&r, &valid_field, e);
	}
	return r.n;
}
