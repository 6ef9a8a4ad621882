/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shadow's leaf made of two. The oracle applies stage 2 to what stage 1 says as the Arm ARM's
 * pseudocode does, once for each origin, and compares with the shadow's one application.
 */
#include "core.h"
#include "memory_types.h"

#include "../../lib/nested/internal.h"

static void memory_types_are_those_of_two_stages(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 3; mode++) {
		bool guest_fwb = mode == 2, host_fwb = mode >= 1;

		for (unsigned g = 0; g < 16; g++)
			for (unsigned h = 0; h < 16; h++)
				if (!is_reserved(h, host_fwb) && !is_reserved(g, guest_fwb))
					assert_true(is_type_of_both(
						pt__both_memattr(g, guest_fwb, h, host_fwb), g,
						guest_fwb, h, host_fwb));
	}
}

static void reserved_types_of_a_guest_are_not_passed_on(void **state)
{
	(void)state;
	for (unsigned g = 0; g < 16; g++)
		for (unsigned h = 0; h < 16; h++) {
			assert_false(is_reserved(pt__both_memattr(g, false, h, false), false));
			assert_false(is_reserved(pt__both_memattr(g, false, h, true), true));
			assert_false(is_reserved(pt__both_memattr(g, true, h, true), true));
		}
}

/* ---- the whole leaf ---- */

static struct pt_shadow shadow;
static struct pt_ctx canonical;

static void contexts(unsigned guest_shift, unsigned host_shift, unsigned attrs)
{
	const struct pt_geometry_args host = {
		.granule_shift = host_shift, .ipa_bits = 40, .pa_bits = 48};
	struct pt_geometry_args mine = host;

	mine.granule_shift = guest_shift < host_shift ? guest_shift : host_shift;
	memset(&shadow, 0, sizeof(shadow));
	memset(&canonical, 0, sizeof(canonical));
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&canonical.geo, &host));
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&shadow.ctx.geo, &mine));
	shadow.ctx.attrs = canonical.attrs = (uint8_t)attrs;
}

static struct pt_guest_leaf guest_leaf(uint32_t prot, unsigned shift)
{
	return (struct pt_guest_leaf){.entry = prot & PT_PROT_W ? PT_PTE_S2AP_W : 0,
				      .prot = prot,
				      .memattr = 0xf,
				      .sh = 3,
				      .shift = (uint8_t)shift};
}

static struct pt__both both_of(struct pt_guest_leaf guest, uint32_t host_prot, unsigned host_shift)
{
	pt_pte entry = pt_leaf_attrs(&canonical.geo, host_prot, canonical.attrs);
	struct pt__both both;

	pt__combine(&shadow, &guest, &canonical, entry, host_shift, &both);
	return both;
}

/* Each origin writes MemAttr in its own encoding. */
static void types_are_read_as_their_origins_write_them(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 3; mode++) {
		bool guest_fwb = mode == 2, host_fwb = mode >= 1;

		contexts(12, 12, host_fwb ? PT_ATTR_FWB : 0);
		shadow.s2.attrs = guest_fwb ? PT_ATTR_FWB : 0;
		for (unsigned i = 0; i < 256; i++) {
			struct pt_guest_leaf guest = guest_leaf(PT_PROT_RW, 12);
			pt_pte entry = pt_leaf_attrs(&canonical.geo, PT_PROT_RW, canonical.attrs);
			unsigned g = i % 16, h = i / 16;
			struct pt__both both;

			guest.memattr = (uint8_t)g;
			entry = (entry & ~PT_PTE_MEMATTR) | (pt_pte)h << 2;
			pt__combine(&shadow, &guest, &canonical, entry, 12, &both);
			assert_int_equal(pt__both_memattr(g, guest_fwb, h, host_fwb),
					 (both.attrs & PT_PTE_MEMATTR) >> 2);
		}
	}
}

/* The largest size of the shadow's granule that is in both, from a list written by hand. */
static void sizes_are_the_smaller_of_both(void **state)
{
	static const struct {
		unsigned guest_granule, host_granule, guest, host;
		int level;
	} row[] = {
		{12, 12, 12, 12, 3}, {12, 12, 21, 12, 3}, {12, 12, 21, 30, 2}, {12, 12, 30, 30, 1},
		{12, 12, 39, 30, 1}, {12, 14, 12, 14, 3}, {12, 14, 30, 25, 2}, {14, 12, 25, 21, 2},
		{14, 12, 25, 30, 2}, {14, 14, 14, 25, 3}, {14, 14, 25, 25, 2}, {16, 12, 29, 30, 2},
		{16, 12, 16, 21, 3}, {16, 14, 29, 25, 2}, {16, 14, 29, 14, 3}, {16, 16, 29, 29, 2},
		{16, 16, 16, 29, 3}, {12, 16, 21, 29, 2}, {12, 16, 30, 29, 2}, {14, 16, 25, 29, 2},
		{14, 16, 14, 16, 3},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		contexts(row[i].guest_granule, row[i].host_granule, 0);
		assert_int_equal(row[i].level, both_of(guest_leaf(PT_PROT_RWX, row[i].guest),
						       PT_PROT_RWX, row[i].host)
						       .level);
	}
}

static void rights_are_those_of_both(void **state)
{
	(void)state;
	for (unsigned xnx = 0; xnx < 2; xnx++)
		for (uint32_t g = 0; g < 16; g++)
			for (uint32_t h = 0; h < 16; h++) {
				unsigned attrs = xnx ? PT_ATTR_XNX : 0;
				uint32_t want = g & h, is;

				contexts(12, 12, attrs);
				is = pt_leaf_prot(&shadow.ctx.geo,
						  both_of(guest_leaf(g, 12), h, 12).attrs, attrs);
				if (!xnx && ((h & PT_PROT_X) == PT_PROT_PX ||
					     (h & PT_PROT_X) == PT_PROT_UX))
					continue; /* nothing that such a host has */
				if (!xnx && (want & PT_PROT_X) != PT_PROT_X)
					want &= ~PT_PROT_X;
				assert_int_equal(want, is & PT_PROT_RIGHTS);
			}
}

/* A leaf that hardware would first have to make dirty gives no write: neither the guest's nor the
 * canonical one. */
static void clean_leaves_give_no_write(void **state)
{
	struct pt_guest_leaf guest = guest_leaf(PT_PROT_RW, 12);
	struct pt__both both;
	pt_pte clean;

	(void)state;
	contexts(12, 12, 0);
	clean = (pt_leaf_attrs(&canonical.geo, PT_PROT_RW, 0) | PT_PTE_DBM) & ~PT_PTE_S2AP_W;
	pt__combine(&shadow, &guest, &canonical, clean, 12, &both);
	assert_int_equal(PT_PTE_S2AP_R, both.attrs & (PT_PTE_PERM | PT_PTE_DBM) & ~PT_PTE_XN);
	guest.entry = PT_PTE_DBM;
	assert_int_equal(PT_PTE_S2AP_R, both_of(guest, PT_PROT_RW, 12).attrs &
						(PT_PTE_PERM | PT_PTE_DBM) & ~PT_PTE_XN);
}

static void shareability_is_the_wider(void **state)
{
	static const unsigned wider[4][4] = {/* by guest, host */
					     {0, 3, 2, 3},
					     {3, 3, 2, 3},
					     {2, 2, 2, 2},
					     {3, 3, 2, 3}};

	(void)state;
	contexts(12, 12, 0);
	for (unsigned g = 0; g < 4; g++)
		for (unsigned h = 0; h < 4; h++) {
			struct pt_guest_leaf guest = guest_leaf(PT_PROT_R, 12);
			pt_pte entry = pt_leaf_attrs(&canonical.geo, PT_PROT_R, 0) & ~PT_PTE_SH;
			struct pt__both both;

			guest.sh = (uint8_t)g;
			pt__combine(&shadow, &guest, &canonical, entry | (pt_pte)h << 8, 12, &both);
			assert_int_equal(wider[g][h], (both.attrs & PT_PTE_SH) >> 8);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_types_are_those_of_two_stages),
		cmocka_unit_test(reserved_types_of_a_guest_are_not_passed_on),
		cmocka_unit_test(types_are_read_as_their_origins_write_them),
		cmocka_unit_test(sizes_are_the_smaller_of_both),
		cmocka_unit_test(rights_are_those_of_both),
		cmocka_unit_test(clean_leaves_give_no_write),
		cmocka_unit_test(shareability_is_the_wider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
