/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: VTCR_EL2 to a geometry and back, descriptors and registers decoded, any bits in
 * them. */
#include <pt/decode.h>
#include <pt/desc.h>
#include <pt/host/hwwalk.h>

#include <stdlib.h>
#include <string.h>

static void geometry(uint64_t vtcr, uint64_t pte, int level)
{
	struct pt_field row[PT_DECODE_MAX];
	struct pt_geometry g, again;

	if (pt_geometry_from_vtcr(&g, vtcr) != PT_OK)
		return;
	/* What was accepted is written the same way again. */
	if (pt_geometry_from_vtcr(&again, pt_geometry_vtcr(&g, 0)) != PT_OK ||
	    again.granule_shift != g.granule_shift || again.ipa_bits != g.ipa_bits ||
	    again.pa_bits != g.pa_bits || again.start_level != g.start_level || again.ds != g.ds)
		abort();
	if (pt_decode_pte(&g, 0, pte, level, row) > PT_DECODE_MAX)
		abort();
	if (pt_pte_to_oa(&g, pt_oa_to_pte(&g, pt_pte_to_oa(&g, pte))).v != pt_pte_to_oa(&g, pte).v)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct pt_field row[PT_DECODE_MAX];
	struct hw_abort stage2;
	uint64_t word[2];

	if (length < sizeof(word) + 1)
		return 0;
	memcpy(word, data, sizeof(word));
	geometry(word[0], word[1], data[16] % 5 - 1);
	hw_decode_abort(word[0], &stage2);
	if (pt_decode_vtcr(word[0], row) > PT_DECODE_MAX ||
	    pt_decode_esr(word[0], row) > PT_DECODE_MAX ||
	    pt_decode_hpfar(word[0], row) > PT_DECODE_MAX ||
	    pt_decode_par(word[0], row) > PT_DECODE_MAX)
		abort();
	return 0;
}
