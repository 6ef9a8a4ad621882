/* SPDX-License-Identifier: BSD-2-Clause */
/* Drawings of tables, compared letter by letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dump.h"

#include <stdlib.h>
#include <string.h>

#define SZ_16M (UINT64_C(16) << 20)

static struct dump_row rows[16];
static struct dump dump;

static void begin(unsigned granule_shift, unsigned ipa_bits, bool ds)
{
	const struct pt_geometry_args args = {.granule_shift = granule_shift,
					      .ipa_bits = ipa_bits,
					      .pa_bits = ds ? 52 : 48,
					      .ds = ds};

	dump = (struct dump){.rows = rows, .root = 0x800000000000, .attrs = PT_ATTR_XNX};
	assert_int_equal(pt_geometry_init(&dump.geo, &args), PT_OK);
}

static void add(uint64_t ipa, int level, uint64_t count, uint64_t descriptor)
{
	rows[dump.count++] = (struct dump_row){
		.ipa = ipa, .level = level, .count = count, .descriptor = descriptor};
}

static pt_pte leaf(uint64_t pa, uint32_t prot, int level)
{
	return pt_leaf(&dump.geo, pt_pa(pa), pt_leaf_attrs(&dump.geo, prot, dump.attrs), level);
}

static pt_pte table(uint64_t pa)
{
	return pt_table_desc(&dump.geo, pt_pa(pa));
}

static void drawn(void (*draw)(FILE *), const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	draw(to);
	fclose(to);
	if (strcmp(text, expected))
		fail_msg("expected:\n%sgot:\n%s", expected, text);
	free(text);
}

static void kernel(FILE *to)
{
	dump_kernel(&dump, to);
}

static void tree(FILE *to)
{
	dump_tree(&dump, to);
}

static void strip(FILE *to)
{
	dump_strip(&dump, 0, 0, 64, to);
}

/* 40 bits of 4K: a hole, two 1G blocks, a table of 2M blocks and a table of pages. */
static void some_tables(void)
{
	begin(12, 40, false);
	add(0, 1, 1, 0);
	add(PT_SZ_1G, 1, 2, leaf(PT_SZ_1G, PT_PROT_RWX, 1));
	add(3 * PT_SZ_1G, 1, 1, table(0x800000001000));
	add(3 * PT_SZ_1G, 2, 8, leaf(0x40000000, PT_PROT_RW, 2));
	add(3 * PT_SZ_1G + SZ_16M, 2, 1, table(0x800000002000));
	add(3 * PT_SZ_1G + SZ_16M, 3, 3, leaf(0x5000, PT_PROT_R | PT_PROT_PX, 3));
	add(3 * PT_SZ_1G + SZ_16M + 0x3000, 3, 509, 0);
	add(3 * PT_SZ_1G + SZ_16M + PT_SZ_2M, 2, 503, 0);
	add(4 * PT_SZ_1G, 1, 1020, 0);
}

static void the_kernel_layout_is_linuxs(void **state)
{
	(void)state;
	some_tables();
	drawn(kernel, "---[ Guest IPA ]---\n"
		      "0x0000000000000000-0x0000000040000000           1G 1\n"
		      "0x0000000040000000-0x00000000c0000000           2G 1   R W px ux  AF BLK\n"
		      "0x00000000c0000000-0x00000000c1000000          16M 2   R W PXNUXN AF BLK\n"
		      "0x00000000c1000000-0x00000000c1003000          12K 3   R   px UXN AF    \n"
		      "0x00000000c1003000-0x00000000c1200000        2036K 3\n"
		      "0x00000000c1200000-0x0000000100000000        1006M 2\n");
}

static void the_kernel_layout_joins_equal_attributes_only(void **state)
{
	(void)state;
	begin(12, 32, false);
	/* Another output address, the same attributes: one line. */
	add(0, 3, 1, leaf(0x9000, PT_PROT_R | PT_PROT_UX, 3));
	add(0x1000, 3, 1, leaf(0x1000, PT_PROT_R | PT_PROT_UX, 3));
	/* No access flag; no rights to read; an invalid entry that keeps bits. */
	add(0x2000, 3, 1, leaf(0x2000, PT_PROT_RW, 3) & ~PT_PTE_AF);
	add(0x3000, 3, 1, leaf(0x3000, PT_PROT_W, 3));
	add(0x4000, 3, 1, PT_PTE_S2AP_R | PT_PTE_AF);
	drawn(kernel, "---[ Guest IPA ]---\n"
		      "0x0000000000000000-0x0000000000002000           8K 3   R   PXNux  AF    \n"
		      "0x0000000000002000-0x0000000000003000           4K 3   R W PXNUXN       \n"
		      "0x0000000000003000-0x0000000000004000           4K 3     W PXNUXN AF    \n"
		      "0x0000000000004000-0x0000000000005000           4K 3 F R   px ux  AF    \n");
}

static void an_empty_context_is_its_marker(void **state)
{
	(void)state;
	begin(12, 40, false);
	add(0, 1, 1024, 0);
	drawn(kernel, "---[ Guest IPA ]---\n");
	drawn(strip, "nothing is mapped in 40 bits of IPA space\n");
}

static void the_tree_shows_tables_and_runs(void **state)
{
	(void)state;
	some_tables();
	drawn(tree, "root 0x800000000000  level 1  4K granule, 40-bit IPA, 8K of start tables\n"
		    "  0x0040000000-0x00bfffffff -> 0x40000000  2 blocks of 1G  rwpu AF\n"
		    "  table 0x800000001000  level 2  IPA 0x00c0000000\n"
		    "    0x00c0000000-0x00c0ffffff -> 0x40000000  8 blocks of 2M  rw-- AF\n"
		    "    table 0x800000002000  level 3  IPA 0x00c1000000\n"
		    "      0x00c1000000-0x00c1002fff -> 0x5000  3 pages of 4K  r-p- AF\n");
}

static void the_tree_names_entries_that_map_nothing(void **state)
{
	(void)state;
	begin(16, 42, false);
	add(0, 2, 1, PT_PTE_LOCKED);
	add(UINT64_C(1) << 29, 2, 2, 0x10);
	add(UINT64_C(3) << 29, 2, 1, leaf(UINT64_C(1) << 29, PT_PROT_RW, 2));
	drawn(tree, "root 0x800000000000  level 2  64K granule, 42-bit IPA, 64K of start tables\n"
		    "  0x00000000000-0x0001fffffff  between break and make\n"
		    "  0x00020000000-0x0005fffffff  invalid, kept value 0x0000000000000010\n"
		    "  0x00060000000-0x0007fffffff -> 0x20000000  1 block of 512M  rw-- AF\n");
}

static void the_strip_draws_letters_by_level(void **state)
{
	(void)state;
	some_tables();
	drawn(strip, "IPA 0x0040000000 to 0x00c4000000, a letter is 64M\n"
		     "  [GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGm]\n"
		     "  G  2 x 1G block, level 1\n"
		     "  M  8 x 2M block, level 2\n"
		     "  K  3 x 4K page, level 3\n"
		     "  .  hole\n"
		     "  small letter: partly mapped\n");
}

static void zoom(FILE *to)
{
	dump_strip(&dump, 3 * PT_SZ_1G + SZ_16M - PT_SZ_2M, 2 * PT_SZ_2M, 8, to);
}

static void zoom_pages(FILE *to)
{
	dump_strip(&dump, 3 * PT_SZ_1G + SZ_16M, 0x8000, 8, to);
}

static void the_strip_zooms(void **state)
{
	(void)state;
	some_tables();
	drawn(zoom, "IPA 0x00c0e00000 to 0x00c1200000, a letter is 512K\n"
		    "  [MMMMk...]\n"
		    "  M  8 x 2M block, level 2\n"
		    "  K  3 x 4K page, level 3\n"
		    "  .  hole\n"
		    "  small letter: partly mapped\n");
	drawn(zoom_pages, "IPA 0x00c1000000 to 0x00c1008000, a letter is 4K\n"
			  "  [KKK.....]\n"
			  "  K  3 x 4K page, level 3\n"
			  "  .  hole\n");
}

static void the_strip_knows_the_other_granules(void **state)
{
	(void)state;
	begin(14, 47, false);
	add(0, 2, 2, leaf(0, PT_PROT_RW, 2));
	add(UINT64_C(1) << 26, 3, 2048, leaf(0, PT_PROT_RW, 3));
	drawn(strip, "IPA 0x000000000000 to 0x000006000000, a letter is 2M\n"
		     "  [MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMKKKKKKKKKKKKKKKK]\n"
		     "  M  2 x 32M block, level 2\n"
		     "  K  2048 x 16K page, level 3\n"
		     "  .  hole\n");
	begin(12, 52, true);
	add(0, 0, 1, leaf(0, PT_PROT_RW, 0));
	drawn(strip, "IPA 0x0000000000000 to 0x0008000000000, a letter is 8G\n"
		     "  [TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT]\n"
		     "  T  1 x 512G block, level 0\n"
		     "  .  hole\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_layout_is_linuxs),
		cmocka_unit_test(the_kernel_layout_joins_equal_attributes_only),
		cmocka_unit_test(an_empty_context_is_its_marker),
		cmocka_unit_test(the_tree_shows_tables_and_runs),
		cmocka_unit_test(the_tree_names_entries_that_map_nothing),
		cmocka_unit_test(the_strip_draws_letters_by_level),
		cmocka_unit_test(the_strip_zooms),
		cmocka_unit_test(the_strip_knows_the_other_granules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
