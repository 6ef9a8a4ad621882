/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor encodings against constants computed by hand from the Arm ARM's figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pt/desc.h>

#define FWB PT_ATTR_FWB
#define XNX PT_ATTR_XNX
#define NC  PT_PROT(0, PT_MEM_NC)
#define DEV PT_PROT(0, PT_MEM_DEVICE)

static struct pt_geometry geometry(unsigned granule_shift, unsigned bits, bool ds)
{
	struct pt_geometry_args a = {
		.granule_shift = granule_shift, .ipa_bits = bits, .pa_bits = bits, .ds = ds};
	struct pt_geometry g;

	assert_int_equal(pt_geometry_init(&g, &a), PT_OK);
	return g;
}

static void prot_check_refuses_what_a_leaf_cannot_say(void **state)
{
	static const struct {
		uint32_t prot;
		unsigned attrs;
		enum pt_outcome o;
	} rows[] = {
		{PT_PROT_R, 0, PT_OK},
		{PT_PROT_W, 0, PT_OK},
		{PT_PROT_X, 0, PT_OK},
		{PT_PROT_RWX, 0, PT_OK},
		{PT_PROT_RW | NC, 0, PT_OK},
		{PT_PROT_RW | DEV, 0, PT_OK},
		{0, 0, PT_INVALID},
		{NC, 0, PT_INVALID},
		{PT_PROT_RWX | NC, 0, PT_INVALID},
		{PT_PROT_RWX | DEV, XNX, PT_INVALID},
		{PT_PROT_R | PT_PROT_PX | DEV, XNX, PT_INVALID},
		{PT_PROT_R | PT_PROT_PX, 0, PT_UNSUPPORTED},
		{PT_PROT_R | PT_PROT_UX, FWB, PT_UNSUPPORTED},
		{PT_PROT_R | PT_PROT_PX, XNX, PT_OK},
		{PT_PROT_R | PT_PROT_UX, XNX, PT_OK},
		{PT_PROT_R | 0x10, XNX, PT_INVALID},
		{PT_PROT_R | 0x80, XNX, PT_INVALID},
		{PT_PROT_R | 0x300, 0, PT_INVALID},
		{PT_PROT_R | 0xff00, 0, PT_INVALID},
		{PT_PROT_R | 0x10000, 0, PT_OK}, /* a software bit */
		{PT_PROT_R | 0xf0000, 0, PT_OK},
		{0xf0000, 0, PT_INVALID},
		{PT_PROT_R | 0x100000, 0, PT_INVALID},
		{PT_PROT_R | 0x80000000, 0, PT_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pt_prot_check(rows[i].prot, rows[i].attrs), rows[i].o);
}

/* A page at PA 0x1234567000 with each kind of right and memory type. */
static void page_descriptors_have_the_manuals_bits(void **state)
{
	static const struct {
		uint32_t prot;
		unsigned attrs;
		bool ds;
		uint64_t pte;
	} rows[] = {
		/* RWX normal: AF 0x400, SH 0x300, S2AP 0xc0, MemAttr 0xf << 2 = 0x3c, page 3 */
		{PT_PROT_RWX, 0, false, 0x00000012345677ff},
		{PT_PROT_RWX, XNX, false, 0x00000012345677ff},
		{PT_PROT_RWX, FWB, false, 0x00000012345677db},
		{PT_PROT_RW, 0, false, 0x00400012345677ff},
		{PT_PROT_R, 0, false, 0x004000123456777f},
		{PT_PROT_W, 0, false, 0x00400012345677bf},
		{PT_PROT_X, 0, false, 0x000000123456773f},
		{PT_PROT_RW | PT_PROT_UX, XNX, false, 0x00200012345677ff},
		{PT_PROT_RW | PT_PROT_PX, XNX, false, 0x00600012345677ff},
		{PT_PROT_RW | NC, 0, false, 0x00400012345677d7},
		{PT_PROT_RW | NC, FWB, false, 0x00400012345677d7},
		{PT_PROT_RW | DEV, 0, false, 0x00400012345677c7},
		{PT_PROT_RW | DEV, FWB, false, 0x00400012345677c7},
		/* DS: bits 9:8 are OA[51:50], here zero */
		{PT_PROT_RWX, 0, true, 0x00000012345674ff},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(12, 48, rows[i].ds);
		pt_pte attrs = pt_leaf_attrs(&g, rows[i].prot, rows[i].attrs);
		pt_pte e = pt_leaf(&g, pt_pa(0x1234567000), attrs, 3);

		assert_int_equal(e, rows[i].pte);
		assert_int_equal(pt_leaf_prot(&g, e, rows[i].attrs), rows[i].prot);
		assert_int_equal(pt_pte_to_oa(&g, e).v, 0x1234567000);
	}
}

static void permission_bits_are_s2ap_and_xn_alone(void **state)
{
	struct pt_geometry g = geometry(12, 48, false);

	(void)state;
	for (uint32_t rights = 1; rights < 16; rights++) {
		pt_pte perm = pt_perm_attrs(rights, XNX);

		assert_int_equal(perm & ~PT_PTE_PERM, 0);
		assert_int_equal(pt_leaf_attrs(&g, rights, XNX) & PT_PTE_PERM, perm);
		assert_int_equal(pt_leaf_prot(&g, perm, XNX) & PT_PROT_RIGHTS, rights);
	}
	assert_int_equal(pt_perm_attrs(PT_PROT_RWX, 0), 0xc0);
	assert_int_equal(pt_perm_attrs(PT_PROT_R, 0), 0x0040000000000040);
}

/* Without FEAT_XNX bit 53 is RES0: whatever stands there is not read. */
static void without_xnx_bit_53_is_ignored(void **state)
{
	struct pt_geometry g = geometry(12, 48, false);
	pt_pte bit53 = UINT64_C(1) << 53, bit54 = UINT64_C(1) << 54;

	(void)state;
	assert_int_equal(pt_leaf_prot(&g, 0x7ff | bit53, 0), PT_PROT_RWX);
	assert_int_equal(pt_leaf_prot(&g, 0x7ff | bit54 | bit53, 0), PT_PROT_RW);
	assert_int_equal(pt_leaf_prot(&g, 0x7ff | bit53, XNX), PT_PROT_RW | PT_PROT_UX);
	assert_int_equal(pt_leaf_prot(&g, 0x7ff | bit54 | bit53, XNX), PT_PROT_RW | PT_PROT_PX);
}

static void output_addresses_in_the_three_formats(void **state)
{
	static const struct {
		unsigned granule_shift, bits;
		bool ds;
		uint64_t mask, pa, pte;
	} rows[] = {
		{12, 48, false, 0x0000fffffffff000, 0xabcdef012000, 0x0000abcdef012000},
		{14, 48, false, 0x0000ffffffffc000, 0xabcdef014000, 0x0000abcdef014000},
		{16, 48, false, 0x0000ffffffff0000, 0xabcdef010000, 0x0000abcdef010000},
		{12, 52, true, 0x0003fffffffff300, 0xeabcdef012000, 0x0002abcdef012300},
		{12, 52, true, 0x0003fffffffff300, 0x5000000001000, 0x0001000000001100},
		{14, 52, true, 0x0003ffffffffc300, 0x8000000004000, 0x0000000000004200},
		{16, 52, false, 0x0000fffffffff000, 0xdabcdef010000, 0x0000abcdef01d000},
		{12, 48, true, 0x0003fffffffff300, 0xfffffffff000, 0x0000fffffffff000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(rows[i].granule_shift, rows[i].bits, rows[i].ds);

		assert_int_equal(pt_oa_mask(&g), rows[i].mask);
		assert_int_equal(pt_oa_to_pte(&g, pt_pa(rows[i].pa)), rows[i].pte);
		assert_int_equal(pt_pte_to_oa(&g, rows[i].pte).v, rows[i].pa);
		assert_int_equal(pt_table_desc(&g, pt_pa(rows[i].pa)), rows[i].pte | 3);
	}
}

/* Attributes never reach into the address, nor the address into attributes. */
static void address_and_attributes_do_not_overlap(void **state)
{
	static const struct {
		unsigned granule_shift, bits;
		bool ds;
	} rows[] = {{12, 48, false}, {14, 48, false}, {16, 48, false},
		    {12, 52, true},  {14, 52, true},  {16, 52, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_geometry g = geometry(rows[i].granule_shift, rows[i].bits, rows[i].ds);
		uint64_t top = (UINT64_C(1) << rows[i].bits) - (UINT64_C(1) << g.granule_shift);

		for (unsigned attrs = 0; attrs < 4; attrs++)
			for (uint32_t mem = 0; mem < PT_MEM_TYPES; mem++) {
				uint32_t prot = PT_PROT(PT_PROT_RW, mem);
				pt_pte a = pt_leaf_attrs(&g, prot, attrs);
				pt_pte e = pt_leaf(&g, pt_pa(top), a, 2);

				assert_int_equal(a & pt_oa_mask(&g), 0);
				assert_int_equal(pt_pte_to_oa(&g, e).v, top);
				assert_int_equal(pt_leaf_prot(&g, e, attrs), prot);
				assert_true(pt_pte_is_leaf(e, 2));
			}
	}
}

static void foreign_memory_types_decode(void **state)
{
	static const struct {
		unsigned memattr, attrs;
		enum pt_memtype type;
	} rows[] = {
		{0x0, 0, PT_MEM_DEVICE}, {0x3, 0, PT_MEM_DEVICE},   {0x5, 0, PT_MEM_NC},
		{0xa, 0, PT_MEM_NORMAL}, {0xf, 0, PT_MEM_NORMAL},   {0x0, FWB, PT_MEM_DEVICE},
		{0x5, FWB, PT_MEM_NC},	 {0x6, FWB, PT_MEM_NORMAL}, {0x7, FWB, PT_MEM_NORMAL},
	};
	struct pt_geometry g = geometry(12, 48, false);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pt_prot_memtype(pt_leaf_prot(&g, (pt_pte)rows[i].memattr << 2,
							      rows[i].attrs)),
				 rows[i].type);
}

static void entry_kinds_depend_on_the_level(void **state)
{
	static const struct {
		pt_pte e;
		int level;
		bool valid, table, leaf, locked;
	} rows[] = {
		{0, 2, false, false, false, false},
		{1, 2, true, false, true, false},
		{1, 3, true, false, false, false}, /* reserved: the walker faults */
		{3, 3, true, false, true, false},
		{3, 2, true, true, false, false},
		{3, -1, true, true, false, false},
		{2, 3, false, false, false, false},
		{PT_PTE_LOCKED, 3, false, false, false, true},
		{PT_PTE_LOCKED | 0x1ff0, 1, false, false, false, true},
		{PT_PTE_LOCKED | 1, 3, true, false, false, false},
		{UINT64_C(2) << 60, 3, false, false, false, false},
		{UINT64_C(3) << 60, 3, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pt_pte_valid(rows[i].e), rows[i].valid);
		assert_int_equal(pt_pte_is_table(rows[i].e, rows[i].level), rows[i].table);
		assert_int_equal(pt_pte_is_leaf(rows[i].e, rows[i].level), rows[i].leaf);
		assert_int_equal(pt_pte_locked(rows[i].e), rows[i].locked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prot_check_refuses_what_a_leaf_cannot_say),
		cmocka_unit_test(page_descriptors_have_the_manuals_bits),
		cmocka_unit_test(permission_bits_are_s2ap_and_xn_alone),
		cmocka_unit_test(without_xnx_bit_53_is_ignored),
		cmocka_unit_test(output_addresses_in_the_three_formats),
		cmocka_unit_test(address_and_attributes_do_not_overlap),
		cmocka_unit_test(foreign_memory_types_decode),
		cmocka_unit_test(entry_kinds_depend_on_the_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
