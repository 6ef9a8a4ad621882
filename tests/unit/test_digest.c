/* SPDX-License-Identifier: BSD-2-Clause */
/* The digest: equal trees are equal wherever their tables stand, and every other difference shows.
 */
#include "core.h"

static void build(struct core *c)
{
	uint64_t page = core_size(c, 3), block = core_size(c, 2);

	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 0, 3 * page, page, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, 4 * block, 2 * block, 0, PT_PROT_RW, 0));
}

static bool same(struct core *a, struct core *b)
{
	struct pt_digest x = core_digest_of(a), y = core_digest_of(b);

	return x.state[0] == y.state[0] && x.state[1] == y.state[1];
}

static void table_addresses_do_not_count(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_page skipped[5];
		struct pt_digest digest;
		struct core a, b;

		core_open(&a, &shapes[i]);
		core_open(&b, &shapes[i]);
		for (unsigned k = 0; k < 5; k++)
			ASSERT_OUTCOME(PT_OK,
				       pt_pool_get(&b.agent, a.ctx.geo.granule_shift, &skipped[k]));
		build(&a);
		build(&b);
		assert_true(same(&a, &b));
		digest = core_digest_of(&a);
		assert_int_equal(3, digest.leaves[4]);
		assert_int_equal(2, digest.leaves[3]);
		assert_int_equal(3 - a.ctx.geo.start_level, digest.tables);
		for (unsigned k = 0; k < 5; k++)
			pt_pool_put(&b.agent, a.ctx.geo.granule_shift, skipped[k]);
		core_close(&a);
		core_close(&b);
	}
}

static void every_other_difference_counts(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 6; kind++) {
		struct core a, b;
		pt_pte *root;

		core_open(&a, &shapes[0]);
		core_open(&b, &shapes[0]);
		build(&a);
		build(&b);
		root = pt_port_table(&b.port, b.ctx.root);
		switch (kind) {
		case 0: core_map(&b, 0x5000, 0x1000, 0, PT_PROT_R, 0); break;
		case 1: core_unmap(&b, 0, 0x1000); break;
		case 2: core_protect(&b, 0x1000, 0x1000, PT_PROT_RW); break;
		case 3: core_map(&b, 0, 0x1000, 0, PT_PROT_R, PT_MAP_REPLACE); break;
		case 4: core_map(&b, PT_SZ_1G, 0x1000, 0, PT_PROT_R, 0); break;
		case 5: core_poke(root + 7, UINT64_C(2) << 60); break;
		}
		assert_false(same(&a, &b));
		if (kind == 5)
			assert_int_equal(1, core_digest_of(&b).invalid_nonzero);
		root[7] = 0;
		core_close(&a);
		core_close(&b);
	}
}

static void steps_of_any_size_agree(void **state)
{
	struct pt_digest whole;
	struct core c;

	(void)state;
	core_open(&c, &shapes[1]);
	build(&c);
	whole = core_digest_of(&c);
	for (uint32_t budget = 1; budget < 3000; budget = budget * 5 + 2) {
		struct pt_digest digest, moved;

		pt_digest_begin(&digest, &c.ctx);
		while (pt_digest_step(&digest, budget) == PT_MORE) {
			moved = digest; /* its memory is the caller's to move */
			memset(&digest, 0, sizeof(digest));
			digest = moved;
		}
		assert_int_equal(whole.state[0], digest.state[0]);
		assert_int_equal(whole.state[1], digest.state[1]);
	}
	core_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_addresses_do_not_count),
		cmocka_unit_test(every_other_difference_counts),
		cmocka_unit_test(steps_of_any_size_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
