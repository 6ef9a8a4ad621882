/* SPDX-License-Identifier: BSD-2-Clause */
/* Many point operations at once come to what each comes to alone; a hint comes to nothing. */
#include "core.h"

#define BATCH	64
#define BATCHES CORE_MANY(40, 8)
#define PAGES	24 /* at each end of a table and the next one */

/* As the daemon does it: what is not plain goes one by one. Returns how many were. */
static uint32_t run_batch(struct core *c, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects)
{
	uint32_t at = 0, alone = 0;

	pt_section_begin(&c->agent);
	while ((at += pt_points(&c->agent, item + at, count - at, effects)) < count) {
		struct pt_error err = {0};
		enum pt_outcome o = pt_point(&c->agent, &item[at], effects, &err);

		item[at++].outcome = o;
		alone++;
	}
	pt_section_end(&c->agent);
	return alone;
}

/* A page near the border of two tables; now and then a block, another kind, rights or flag. */
static struct pt_item any_item(struct core *c, uint64_t *random)
{
	static const uint32_t kinds[] = {PT_ITEM_MAP,	PT_ITEM_MAP,	    PT_ITEM_MAP,
					 PT_ITEM_UNMAP, PT_ITEM_UNMAP,	    PT_ITEM_PROTECT,
					 PT_ITEM_RELAX, PT_ITEM_MAKE_YOUNG, PT_ITEM_FLUSH};
	uint64_t page = core_size(c, 3), block = core_size(c, 2), r = core_random(random);
	uint64_t ipa = block - PAGES / 2 * page + r % PAGES * page;
	struct pt_item item =
		core_item(c, kinds[(r >> 8) % 9], ipa, page, ipa + (r >> 16) % 2 * block, 0, 0);

	if (item.kind == PT_ITEM_MAP || item.kind == PT_ITEM_PROTECT)
		item.prot = (r >> 20) % 2 ? PT_PROT_RW : (r >> 24) % 2 ? PT_PROT_R : PT_PROT_RWX;
	if (item.kind == PT_ITEM_RELAX)
		item.prot = PT_PROT_W;
	if (item.kind == PT_ITEM_MAP && (r >> 32) % 4 == 0)
		item.flags = PT_MAP_REPLACE;
	if ((r >> 36) % 40 == 0) {
		item.ipa.v = item.pa.v = (r >> 48) % 3 * block;
		item.size = block;
	}
	return item;
}

static void assert_same(struct core *a, struct core *b, const struct pt_effects *fa,
			const struct pt_effects *fb)
{
	struct pt_digest da = core_digest_of(a), db = core_digest_of(b);

	assert_memory_equal(fa, fb, sizeof(*fa));
	assert_memory_equal(da.state, db.state, sizeof(da.state));
}

static void batches_do_what_their_items_do(void **state)
{
	uint64_t random = core_seed();
	uint32_t alone = 0;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_effects fa = {0}, fb = {0};
		struct core a, b;

		core_open(&a, &shapes[i]);
		core_open(&b, &shapes[i]);
		for (unsigned n = 0; n < BATCHES; n++) {
			struct pt_item item[BATCH], twin[BATCH];
			uint32_t count = 1 + (uint32_t)core_random(&random) % BATCH;

			for (uint32_t k = 0; k < count; k++) {
				item[k] = twin[k] = any_item(&a, &random);
				twin[k].ctx = &b.ctx;
				ASSERT_OUTCOME(PT_OK, pt_item_check(&item[k]));
			}
			alone += run_batch(&a, item, count, &fa);
			for (uint32_t k = 0; k < count; k++) {
				struct pt_error err = {0};

				pt_section_begin(&b.agent);
				twin[k].outcome = pt_point(&b.agent, &twin[k], &fb, &err);
				pt_section_end(&b.agent);
				ASSERT_OUTCOME(twin[k].outcome, item[k].outcome);
			}
			assert_same(&a, &b, &fa, &fb);
		}
		core_close(&a);
		core_close(&b);
	}
	assert_in_range(alone, 100, SHAPES * BATCHES * BATCH - 100);
}

/* What stands between plain items is not begun, and those behind it are not either. */
static void a_batch_ends_where_an_item_is_not_plain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct pt_effects fx = {0};
		struct pt_item item[20];
		uint64_t page;
		struct core c;
		pt_pte entry;
		int level;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		for (unsigned k = 0; k < 20; k++)
			item[k] =
				core_item(&c, PT_ITEM_MAP, k * page, page, k * page, PT_PROT_RW, 0);
		pt_section_begin(&c.agent);
		/* no table */
		assert_int_equal(0, pt_points(&c.agent, item, 20, &fx));
		ASSERT_OUTCOME(PT_MAPPED, pt_point(&c.agent, &item[13], &fx, NULL));
		/* a page that is mapped */
		assert_int_equal(13, pt_points(&c.agent, item, 20, &fx));
		assert_int_equal(14, fx.leaves_written);
		for (unsigned k = 14; k < 20; k++) {
			ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c.ctx, item[k].ipa, &entry, &level));
			assert_int_equal(0, entry);
		}
		/* another kind, another size */
		item[5].kind = PT_ITEM_MAKE_YOUNG;
		for (unsigned k = 0; k < 5; k++)
			item[k].kind = PT_ITEM_UNMAP;
		assert_int_equal(5, pt_points(&c.agent, item, 20, &fx));
		assert_int_equal(5, fx.leaves_removed);
		item[15].size = 2 * page;
		assert_int_equal(1, pt_points(&c.agent, item + 14, 6, &fx));
		assert_int_equal(0, pt_points(&c.agent, item + 16, 0, &fx));
		pt_section_end(&c.agent);
		core_close(&c);
	}
}

static void nothing_is_plain_under_a_claim(void **state)
{
	struct pt_effects fx = {0};
	struct pt_claim claim;
	struct pt_item item;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 4096, 0, PT_PROT_RW, 0));
	item = core_item(&c, PT_ITEM_UNMAP, 0, 4096, 0, 0, 0);
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_OK,
		       pt_claim_acquire(&claim, &c.ctx, 0, 4095, PT_CLAIM_EXCLUSIVE, false, NULL));
	assert_int_equal(0, pt_points(&c.agent, &item, 1, &fx));
	pt_claim_release(&claim);
	assert_int_equal(1, pt_points(&c.agent, &item, 1, &fx));
	pt_section_end(&c.agent);
	ASSERT_OUTCOME(PT_UNMAPPED, (enum pt_outcome)item.outcome);
	core_close(&c);
}

/* Contexts of one machine may differ in granule; and a page may come twice. */
static void items_of_several_contexts_take_turns(void **state)
{
	struct pt_effects fx = {0};
	struct pt_ctx other;
	struct pt_geometry geo;
	struct pt_item item[32];
	struct pt_txn txn;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shapes[1].args));
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_OK,
		       pt_ctx_init(&other, &c.agent, &c.machine, &geo, PT_ATTR_FWB, 0, UINT64_MAX));
	for (unsigned k = 0; k < 32; k++) {
		uint64_t page = k % 2 ? 16384 : 4096;

		item[k] = core_item(&c, k / 2 % 2 ? PT_ITEM_UNMAP : PT_ITEM_MAP, UINT64_C(1) << 30,
				    page, k * page, 0, 0);
		item[k].prot = item[k].kind == PT_ITEM_MAP ? PT_PROT_RW : 0;
		if (k % 2)
			item[k].ctx = &other;
	}
	for (unsigned k = 0; k < 4; k++) /* the tables */
		assert_true(pt_point(&c.agent, &item[k], &fx, NULL) < PT_MORE);
	/* a run of one granule ends where the other's begins */
	assert_int_equal(1, pt_points(&c.agent, item, 32, &fx));
	assert_int_equal(15, run_batch(&c, item + 1, 31, &fx));
	for (unsigned k = 0; k < 32; k++)
		ASSERT_OUTCOME(k / 2 % 2 ? PT_UNMAPPED : PT_MAPPED,
			       (enum pt_outcome)item[k].outcome);
	/* what is a page in one is none in the other */
	item[1].kind = PT_ITEM_MAP;
	item[2] = core_item(&c, PT_ITEM_MAP, 0, 16384, 0, PT_PROT_RW, 0);
	assert_int_equal(1, pt_points(&c.agent, item + 1, 2, &fx));
	item[1].kind = PT_ITEM_UNMAP;
	assert_int_equal(1, pt_points(&c.agent, item + 1, 1, &fx));
	pt_section_end(&c.agent);
	assert_int_equal(19, fx.leaves_written);
	assert_int_equal(19, fx.leaves_removed);
	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &other, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &c.agent, 1000));
	core_close(&c);
}

static void a_hint_changes_nothing(void **state)
{
	uint64_t random = core_seed();

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_digest before, after;
		uint64_t block;
		struct core c;

		core_open(&c, &shapes[i]);
		block = core_size(&c, 2);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, block, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, block, block / 4, 0, PT_PROT_RW, 0));
		before = core_digest_of(&c);
		pt_section_begin(&c.agent);
		for (unsigned n = 0; n < 1000; n++) {
			uint64_t ipa = core_random(&random);

			pt_prefetch(&c.ctx, pt_ipa(n % 2 ? ipa : ipa % (3 * block)));
		}
		pt_prefetch(&c.ctx, pt_ipa(UINT64_MAX));
		pt_prefetch(&c.ctx, pt_ipa(UINT64_C(1) << c.ctx.geo.ipa_bits));
		pt_section_end(&c.agent);
		after = core_digest_of(&c);
		assert_memory_equal(before.state, after.state, sizeof(before.state));
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_do_what_their_items_do),
		cmocka_unit_test(a_batch_ends_where_an_item_is_not_plain),
		cmocka_unit_test(nothing_is_plain_under_a_claim),
		cmocka_unit_test(items_of_several_contexts_take_turns),
		cmocka_unit_test(a_hint_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
