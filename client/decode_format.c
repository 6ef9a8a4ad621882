/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl decode: the geometry that its options describe, and how bits are written. */
#include "decode_format.h"

#include <stdio.h>

static bool geometry_of(const struct decode_options *o, struct pt_geometry *g)
{
	unsigned pa_bits = o->pa_bits ? o->pa_bits : o->ds ? 52 : 48;
	struct pt_geometry_args args = {
		.granule_shift = o->granule_shift,
		.ipa_bits = pa_bits,
		.pa_bits = pa_bits,
		.ds = o->ds,
	};

	return pt_geometry_init(g, &args) == PT_OK;
}

bool decode_value(enum decode_what what, const struct decode_options *options, uint64_t value,
		  struct pt_field row[PT_DECODE_MAX], unsigned *count)
{
	unsigned attrs = (options->fwb ? PT_ATTR_FWB : 0) | (options->xnx ? PT_ATTR_XNX : 0);
	struct pt_geometry g;

	if (!geometry_of(options, &g))
		return false;
	switch (what) {
	case DECODE_PTE: *count = pt_decode_pte(&g, attrs, value, options->level, row); break;
	case DECODE_VTCR: *count = pt_decode_vtcr(value, row); break;
	case DECODE_VTTBR: *count = pt_decode_vttbr(&g, value, row); break;
	case DECODE_ESR: *count = pt_decode_esr(value, row); break;
	case DECODE_HPFAR: *count = pt_decode_hpfar(value, row); break;
	default: *count = pt_decode_par(value, row); break;
	}
	return true;
}

char *decode_bits(const struct pt_field *field, char to[DECODE_BITS_MAX])
{
	if (field->hi == PT_FIELD_DERIVED)
		to[0] = 0;
	else if (field->hi == field->lo)
		snprintf(to, DECODE_BITS_MAX, "%u", field->hi);
	else
		snprintf(to, DECODE_BITS_MAX, "%u:%u", field->hi, field->lo);
	return to;
}
