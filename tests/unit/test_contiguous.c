/* SPDX-License-Identifier: BSD-2-Clause */
/* Contiguous groups: where MAP makes them, and what each operation does to a whole one and to a
 * part. */
#include "core.h"

#define NOTE (UINT64_C(3) << 60)

/* A level of a shape that has groups; `n` entries each. */
struct place {
	unsigned shape;
	int level;
	unsigned n;
};

/* Arm ARM D8.7.1: 4K 16; 16K 128 at level 3, 32 at level 2; 64K 32. */
static const struct place places[] = {
	{0, 3, 16}, {0, 2, 16}, {0, 1, 16}, {1, 3, 128}, {1, 2, 32}, {2, 3, 32}, {2, 2, 32},
	{3, 3, 16}, {3, 2, 16}, {3, 1, 16}, {4, 3, 128}, {4, 2, 32}, {5, 3, 32}, {5, 2, 32},
};
#define PLACES (sizeof(places) / sizeof(places[0]))

struct rig {
	struct core c;
	struct pt_host_ram ram;
	uint64_t page, size, group, at; /* a leaf, a group, where the tests map */
	const struct place *place;
	uint32_t flags;
};

static void open_rig(struct rig *rig, const struct place *place, unsigned bbm)
{
	memset(rig, 0, sizeof(*rig));
	core_open_bytes(&rig->c, &shapes[place->shape], UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&rig->ram, UINT64_C(1) << 40));
	core_set_bbm(&rig->c, bbm);
	rig->place = place;
	rig->page = core_size(&rig->c, 3);
	rig->size = core_size(&rig->c, place->level);
	rig->group = rig->size * place->n;
	rig->at = 4 * rig->group;
	rig->flags = PT_MAP_CONTIGUOUS | (place->level == 3 ? PT_MAP_FORCE_PAGES : 0);
}

static void close_rig(struct rig *rig)
{
	core_close(&rig->c);
	pt_host_ram_destroy(&rig->ram);
}

static pt_pte *slot_of(struct core *c, uint64_t ipa)
{
	struct pt_walk_step step[PT_LEVELS];
	unsigned steps = pt_walk_explain(&c->ctx, pt_ipa(ipa), step);

	return pt_port_table(&c->port, step[steps - 1].table) + step[steps - 1].index;
}

static pt_pte entry(struct rig *rig, uint64_t ipa)
{
	return *slot_of(&rig->c, ipa);
}

static uint32_t rights_at(struct rig *rig, uint64_t ipa)
{
	return pt_leaf_prot(&rig->c.ctx.geo, entry(rig, ipa), rig->c.ctx.attrs) & PT_PROT_RIGHTS;
}

/* Every leaf of [from, from + n) with or without the hint. */
static void assert_hints(struct rig *rig, uint64_t from, unsigned n, bool hint)
{
	for (unsigned i = 0; i < n; i++) {
		pt_pte e = entry(rig, from + i * rig->size);

		assert_true(pt_pte_valid(e));
		assert_int_equal(hint ? PT_PTE_CONTIGUOUS : 0, e & PT_PTE_CONTIGUOUS);
	}
}

static void assert_pa(struct rig *rig, uint64_t ipa, uint64_t pa)
{
	struct hw_result r = core_walk(&rig->c, ipa, HW_AT);

	assert_int_equal(HW_NO_FAULT, r.fault);
	assert_int_equal(pa, r.pa);
}

/* Groups * group at `at`, output = IPA - at + out. */
static void map_groups(struct rig *rig, unsigned groups, uint64_t out, uint32_t prot)
{
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&rig->c, rig->at, groups * rig->group, out, prot, rig->flags));
}

static bool touch(struct rig *rig, uint32_t vcpu, uint64_t ipa, enum pt_access kind)
{
	uint64_t word = 0;
	struct pt_host_access a = {
		.vcpu = vcpu, .ipa = {ipa}, .access = (uint8_t)kind, .length = 8, .data = &word};
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_host_access(&rig->c.agent, &rig->c.ctx, &rig->ram, &a);
	pt_section_end(&rig->c.agent);
	return outcome == PT_OK;
}

static void a_map_hints_whole_groups_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		struct rig rig;
		uint64_t n = places[i].n;

		open_rig(&rig, &places[i], 0);
		/* From the last leaf of one group to the first of another, two whole ones between.
		 */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, rig.at - rig.size, 2 * rig.group + 2 * rig.size,
					rig.group - rig.size, PT_PROT_RW, rig.flags));
		assert_hints(&rig, rig.at - rig.size, 1, false);
		assert_hints(&rig, rig.at, 2 * (unsigned)n, true);
		assert_hints(&rig, rig.at + 2 * rig.group, 1, false);
		assert_pa(&rig, rig.at + rig.group + rig.size, 2 * rig.group + rig.size);
		/* Found as asked: ALREADY_MAPPED, with the flag or without. */
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_map(&rig.c, rig.at, rig.group, rig.group,
							   PT_PROT_RW, rig.flags));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_map(&rig.c, rig.at + rig.size, rig.size,
							   rig.group + rig.size, PT_PROT_RW, 0));
		assert_hints(&rig, rig.at, (unsigned)n, true);
		close_rig(&rig);
	}
}

static void no_hint_without_flag_alignment_or_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		struct rig rig;
		uint32_t pages;
		unsigned n = places[i].n;

		open_rig(&rig, &places[i], 0);
		pages = rig.flags & PT_MAP_FORCE_PAGES;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, rig.at, rig.group, 0, PT_PROT_R, pages));
		assert_hints(&rig, rig.at, n, false);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, rig.at, rig.group));
		/* The output is off by one leaf; or the range is short of one. */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, rig.at, rig.group, rig.size, PT_PROT_R, rig.flags));
		assert_hints(&rig, rig.at, n, false);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, rig.at, rig.group));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, rig.at, rig.group - rig.size, 0,
						   PT_PROT_R, rig.flags));
		assert_hints(&rig, rig.at, n - 1, false);
		/* What was there already stays as it is, and spoils its group. */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, rig.at, 2 * rig.group, 0, PT_PROT_R, rig.flags));
		assert_hints(&rig, rig.at, n, false);
		assert_hints(&rig, rig.at + rig.group, n, true);
		close_rig(&rig);
	}
}

/* 4K level 0, 16K level 1 and 64K level 1 have none, nor a start table smaller than a group. */
static void levels_without_groups_get_no_hint(void **state)
{
	static const struct {
		struct shape shape;
		int level;
		uint64_t size;
	} none[] = {
		{{"4K LPA2", {.granule_shift = 12, .ipa_bits = 52, .pa_bits = 52, .ds = true}},
		 0,
		 UINT64_C(16) << 39},
		{{"16K LPA2", {.granule_shift = 14, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
		 1,
		 UINT64_C(128) << 36},
		{{"64K LPA", {.granule_shift = 16, .ipa_bits = 48, .pa_bits = 52}},
		 1,
		 UINT64_C(32) << 42},
		{{"4K",
		  {.granule_shift = 12,
		   .ipa_bits = 32,
		   .pa_bits = 32,
		   .start_level_given = true,
		   .start_level = 1}},
		 1,
		 UINT64_C(4) << 30},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct core c;
		pt_pte e = 0;
		int level = 0;

		core_open(&c, &none[i].shape);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0, none[i].size, 0, PT_PROT_R, PT_MAP_CONTIGUOUS));
		pt_section_begin(&c.agent);
		ASSERT_OUTCOME(PT_OK, pt_get_leaf(&c.ctx, pt_ipa(none[i].size / 2), &e, &level));
		pt_section_end(&c.agent);
		assert_int_equal(none[i].level, level);
		assert_false(e & PT_PTE_CONTIGUOUS);
		core_close(&c);
	}
}

/* The kinds that change leaves, on the second leaf of the first of two groups. */
static const struct {
	enum pt_item_kind kind;
	uint32_t prot, flags;
	uint64_t pa;
	enum pt_outcome outcome;
} parts[] = {
	{PT_ITEM_UNMAP, 0, 0, 0, PT_UNMAPPED},
	{PT_ITEM_PROTECT, PT_PROT_R, 0, 0, PT_PROTECTED},
	{PT_ITEM_PROTECT, PT_PROT_RWX, 0, 0, PT_RELAXED},
	{PT_ITEM_WRITE_PROTECT, 0, 0, 0, PT_PROTECTED},
	{PT_ITEM_RELAX, PT_PROT_X, 0, 0, PT_RELAXED},
	{PT_ITEM_ANNOTATE, 0, 0, NOTE, PT_ANNOTATED},
	{PT_ITEM_MAP, PT_PROT_RW, PT_MAP_REPLACE, 0, PT_MAPPED}, /* another address */
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void check_part(struct rig *rig, unsigned k, uint64_t offset, uint64_t bytes)
{
	unsigned n = rig->place->n;
	uint64_t ipa = rig->at + offset;
	struct pt_item item = core_item(&rig->c, parts[k].kind, ipa, bytes, parts[k].pa,
					parts[k].prot, parts[k].flags);
	struct pt_effects fx;

	map_groups(rig, 2, rig->group, PT_PROT_RW);
	for (unsigned i = 0; i < 2 * n; i += n / 2) /* every TLB has each group as one entry */
		for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
			assert_true(touch(rig, vcpu, rig->at + i * rig->size, PT_ACCESS_WRITE));
	if (bytes == rig->size)
		ASSERT_OUTCOME(PT_MORE, core_point(&rig->c, item, NULL, NULL));
	ASSERT_OUTCOME(parts[k].outcome, core_range(&rig->c, item, &fx));
	assert_true(fx.tlbis > 0);
	/* The group is unfolded and forgotten by the TLBs; its other leaves say what they said. */
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = rig->at + i * rig->size;

		if (i * rig->size >= offset && i * rig->size < offset + bytes)
			continue;
		assert_false(entry(rig, at) & PT_PTE_CONTIGUOUS);
		assert_pa(rig, at, rig->group + i * rig->size);
		assert_int_equal(PT_PROT_RW, rights_at(rig, at));
	}
	for (uint32_t vcpu = 0; vcpu < 4; vcpu++)
		assert_int_equal(1, pt_host_tlb_count(&rig->c.mmu, vcpu)); /* the other group */
	assert_hints(rig, rig->at + rig->group, n, true);
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig->c, rig->at, 2 * rig->group));
}

static void a_part_unfolds_its_group(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		for (unsigned k = 0; k < PARTS; k++) {
			struct rig rig;

			open_rig(&rig, &places[i], k & 1 ? 2 : 0);
			check_part(&rig, k, rig.size, rig.size);
			check_part(&rig, k, 0, rig.size);
			check_part(&rig, k, rig.group - rig.size, rig.size);
			check_part(&rig, k, rig.size, rig.group - 2 * rig.size);
			close_rig(&rig);
		}
	}
}

/* Pages of a group of blocks: the group is unfolded, then the one block split. */
static void a_page_of_a_group_of_blocks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		struct rig rig;
		struct pt_effects fx;
		uint64_t ipa;

		if (places[i].level == 3)
			continue;
		open_rig(&rig, &places[i], 0);
		map_groups(&rig, 1, 0, PT_PROT_RW);
		ipa = rig.at + rig.size + rig.page;
		ASSERT_OUTCOME(PT_PROTECTED, core_range(&rig.c,
							core_item(&rig.c, PT_ITEM_WRITE_PROTECT,
								  ipa, rig.page, 0, 0, 0),
							&fx));
		assert_int_equal(3 - places[i].level, fx.blocks_split);
		assert_hints(&rig, rig.at, 1, false);
		assert_int_equal(PT_PROT_R, rights_at(&rig, ipa));
		assert_false(entry(&rig, ipa) & PT_PTE_CONTIGUOUS);
		assert_int_equal(PT_PROT_RW, rights_at(&rig, ipa + rig.page));
		assert_int_equal(PT_PROT_RW, rights_at(&rig, rig.at + 2 * rig.size));
		close_rig(&rig);
	}
}

/* A whole group keeps its hint through a change of rights, and is flushed whatever changes. */
static void a_whole_group_changes_rights_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		for (unsigned k = 1; k <= 4; k++) {
			struct rig rig;
			struct pt_effects fx;
			struct pt_item item;
			unsigned n = places[i].n;

			open_rig(&rig, &places[i], 0);
			map_groups(&rig, 2, 0, PT_PROT_RW);
			assert_true(touch(&rig, 0, rig.at, PT_ACCESS_WRITE));
			item = core_item(&rig.c, parts[k].kind, rig.at, 2 * rig.group, 0,
					 parts[k].prot, 0);
			ASSERT_OUTCOME(parts[k].outcome, core_range(&rig.c, item, &fx));
			assert_int_equal(2 * n, fx.leaves_written);
			assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, 0));
			assert_hints(&rig, rig.at, 2 * n, true);
			ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_range(&rig.c, item, &fx));
			assert_int_equal(2 * n, fx.already);
			/* A part that is as asked leaves the group alone. */
			item.size = rig.size;
			ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_range(&rig.c, item, &fx));
			ASSERT_OUTCOME(PT_ALREADY_MAPPED, core_point(&rig.c, item, &fx, NULL));
			assert_hints(&rig, rig.at, 2 * n, true);
			close_rig(&rig);
		}
	}
}

static void replacing_whole_groups_makes_new_ones(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		struct rig rig;
		unsigned n = places[i].n;

		open_rig(&rig, &places[i], 0);
		map_groups(&rig, 2, 0, PT_PROT_RW);
		assert_true(touch(&rig, 0, rig.at, PT_ACCESS_WRITE));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, rig.at, 2 * rig.group, 2 * rig.group,
						   PT_PROT_RW, rig.flags | PT_MAP_REPLACE));
		assert_hints(&rig, rig.at, 2 * n, true);
		assert_pa(&rig, rig.at + rig.size, 2 * rig.group + rig.size);
		assert_int_equal(0, pt_host_tlb_count(&rig.c.mmu, 0));
		/* Only rights differ; then without the flag, elsewhere: the hint goes. */
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, rig.at, 2 * rig.group, 2 * rig.group,
						   PT_PROT_R, rig.flags | PT_MAP_REPLACE));
		assert_hints(&rig, rig.at, 2 * n, true);
		assert_int_equal(PT_PROT_R, rights_at(&rig, rig.at + rig.group));
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&rig.c, rig.at, rig.group, rig.group, PT_PROT_R,
					(rig.flags & PT_MAP_FORCE_PAGES) | PT_MAP_REPLACE));
		assert_hints(&rig, rig.at, n, false);
		assert_hints(&rig, rig.at + rig.group, n, true);
		close_rig(&rig);
	}
}

/* Access flag and dirty state are the OR of the group; one entry may be made young. */
static void flags_are_the_or_of_the_group(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		for (unsigned bbm = 0; bbm < 3; bbm++) {
			struct rig rig;
			struct pt_effects fx;
			unsigned n = places[i].n;
			uint64_t last;

			open_rig(&rig, &places[i], bbm);
			map_groups(&rig, 1, 0, PT_PROT_RW);
			last = rig.at + rig.group - rig.size;
			for (unsigned k = 0; k < n; k++)
				core_poke(slot_of(&rig.c, rig.at + k * rig.size),
					  entry(&rig, rig.at + k * rig.size) & ~PT_PTE_AF);
			ASSERT_OUTCOME(PT_MADE_YOUNG,
				       core_point(&rig.c,
						  core_item(&rig.c, PT_ITEM_MAKE_YOUNG,
							    rig.at + rig.size, rig.size, 0, 0, 0),
						  &fx, NULL));
			assert_int_equal(0, fx.tlbis);
			assert_false(entry(&rig, rig.at) & PT_PTE_AF);
			assert_hints(&rig, rig.at, n, true);
			/* Dirty in one: so is each after the unfolding. */
			for (unsigned k = 0; k < n; k++) {
				pt_pte *slot = slot_of(&rig.c, rig.at + k * rig.size);

				core_poke(slot, (*slot | PT_PTE_DBM) &
							(k == 2 ? ~UINT64_C(0) : ~PT_PTE_S2AP_W));
			}
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, last, rig.size));
			for (unsigned k = 0; k + 1 < n; k++) {
				pt_pte e = entry(&rig, rig.at + k * rig.size);

				assert_true(e & PT_PTE_AF);
				assert_true(e & PT_PTE_S2AP_W);
				assert_true(e & PT_PTE_DBM);
				assert_false(e & PT_PTE_CONTIGUOUS);
			}
			close_rig(&rig);
		}
	}
}

/* A group over the edge of a claim, made after the edge was read: the claim widens to all of it. */
static void a_claim_covers_the_group_at_its_edge(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		struct rig rig;
		struct pt_item item;
		struct pt_txn txn;

		open_rig(&rig, &places[i], 0);
		map_groups(&rig, 2, 0, PT_PROT_RW);
		item = core_item(&rig.c, PT_ITEM_UNMAP, rig.at + rig.size, rig.group, 0, 0, 0);
		ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_MORE, pt_txn_step(&txn, &rig.c.agent, 1));
		pt_section_end(&rig.c.agent);
		assert_int_equal(rig.at, txn.claim.lo);
		assert_int_equal(rig.at + 2 * rig.group - 1, txn.claim.hi);
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 1));
		assert_int_equal(places[i].n, txn.effects.leaves_removed);
		assert_hints(&rig, rig.at, 1, false);
		assert_hints(&rig, rig.at + rig.group + rig.size, 1, false);
		close_rig(&rig);
	}
}

/* What prepare foretells holds with groups, too. */
static void prepare_counts_what_commit_does(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++) {
		for (unsigned k = 0; k < PARTS; k++) {
			struct rig rig;
			struct pt_item item;
			struct pt_effects fx;
			struct pt_txn txn;

			open_rig(&rig, &places[i], 0);
			map_groups(&rig, 2, rig.group, PT_PROT_RW);
			item = core_item(&rig.c, parts[k].kind, rig.at + rig.page, rig.group,
					 parts[k].pa +
						 (parts[k].kind == PT_ITEM_MAP ? rig.page : 0),
					 parts[k].prot, parts[k].flags);
			ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, true, NULL));
			ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 11));
			ASSERT_OUTCOME(parts[k].outcome, (enum pt_outcome)item.outcome);
			ASSERT_OUTCOME(parts[k].outcome, core_range(&rig.c, item, &fx));
			txn.effects.tlbis = fx.tlbis;
			assert_memory_equal(&txn.effects, &fx, sizeof(fx));
			close_rig(&rig);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_hints_whole_groups_and_nothing_else),
		cmocka_unit_test(no_hint_without_flag_alignment_or_room),
		cmocka_unit_test(levels_without_groups_get_no_hint),
		cmocka_unit_test(a_part_unfolds_its_group),
		cmocka_unit_test(a_page_of_a_group_of_blocks),
		cmocka_unit_test(a_whole_group_changes_rights_together),
		cmocka_unit_test(replacing_whole_groups_makes_new_ones),
		cmocka_unit_test(flags_are_the_or_of_the_group),
		cmocka_unit_test(a_claim_covers_the_group_at_its_edge),
		cmocka_unit_test(prepare_counts_what_commit_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
