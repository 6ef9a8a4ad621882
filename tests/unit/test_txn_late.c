/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes to stand over the edge of a claim while its owner waits for it: the claim is taken
 * again, and the end is that of the two operations one after the other. */
#include "upkeep.h"

#define NOTE (UINT64_C(5) << 60)

/* The last one is so small that a claim for the largest group would leave the space. */
static const struct shape places[] = {
	{"4K", {.granule_shift = 12, .ipa_bits = 40, .pa_bits = 44}},
	{"16K", {.granule_shift = 14, .ipa_bits = 40, .pa_bits = 44}},
	{"64K", {.granule_shift = 16, .ipa_bits = 42, .pa_bits = 44}},
	{"4K small",
	 {.granule_shift = 12,
	  .ipa_bits = 32,
	  .pa_bits = 44,
	  .start_level_given = true,
	  .start_level = 1}},
};
#define PLACES CORE_MANY(sizeof(places) / sizeof(places[0]), 1)

/* What comes late: two groups of pages, two blocks, two groups of blocks. */
enum late { PAGE_GROUP, BLOCK, BLOCK_GROUP, LATES };

/* Where an edge is cut: twice inside the first, at the beginning, at the end, inside the second
 * alone. */
enum cut { INSIDE, UPPER, LOWER, SECOND, CUTS };

/* What waits meanwhile. */
static const struct {
	enum pt_item_kind kind; /* 0: upkeep */
	uint32_t prot, flags;
	bool moves; /* MAP: to other outputs */
	enum pt_upkeep_kind upkeep;
} waits[] = {
	{PT_ITEM_UNMAP, 0, 0, false, 0},
	{PT_ITEM_PROTECT, PT_PROT_R, 0, false, 0},
	{PT_ITEM_PROTECT, PT_PROT_RWX, 0, false, 0},
	{PT_ITEM_WRITE_PROTECT, 0, 0, false, 0},
	{PT_ITEM_RELAX, PT_PROT_X, 0, false, 0},
	{PT_ITEM_MAKE_YOUNG, 0, 0, false, 0},
	{PT_ITEM_ANNOTATE, 0, 0, false, 0},
	{PT_ITEM_MAP, PT_PROT_RW, PT_MAP_REPLACE, true, 0},
	{PT_ITEM_MAP, PT_PROT_R, PT_MAP_REPLACE, false, 0},
	{PT_ITEM_MAP, PT_PROT_RW, 0, false, 0},
	{PT_ITEM_MAP, PT_PROT_RW, 0, true, 0},
	{PT_ITEM_FLUSH, 0, 0, false, 0},
	{0, 0, 0, false, PT_UPKEEP_AGE},
	{0, 0, 0, false, PT_UPKEEP_SPLIT},
};
#define WAITS (sizeof(waits) / sizeof(waits[0]))

struct rig {
	struct core c;
	struct pt_item late, item;
	struct pt_upkeep_args args;
	struct pt_txn first, txn;
	struct pt_upkeep upkeep;
};

/* What an operation came to. */
struct end {
	struct pt_digest digest;
	struct pt_effects effects;
	enum pt_outcome outcome, item;
	bool wide;
	uint64_t table_pages;
};

static void wake(struct pt_waiter *waiter)
{
	(void)waiter;
}

static void open_rig(struct rig *rig, const struct shape *shape, enum late late, enum cut cut,
		     unsigned k)
{
	uint64_t page, block, group, unit, span, base, lo, hi;
	unsigned level = late == PAGE_GROUP ? 3 : 2;
	struct core *c = &rig->c;

	memset(rig, 0, sizeof(*rig));
	core_open(c, shape);
	page = core_size(c, 3);
	block = core_size(c, 2);
	if (shape->args.granule_shift == 14)
		group = late == PAGE_GROUP ? 128 : 32;
	else
		group = shape->args.granule_shift == 12 ? 16 : 32;
	unit = (late == BLOCK ? 1 : group) * core_size(c, (int)level);
	span = 2 * unit;
	base = late == BLOCK_GROUP ? unit : block;
	if (base + span + block > UINT64_C(1) << c->ctx.geo.ipa_bits)
		base = 0; /* no room above a group of blocks */
	rig->late = core_item(c, PT_ITEM_MAP, base, span, base, PT_PROT_RW,
			      late == BLOCK ? 0 : PT_MAP_CONTIGUOUS);
	lo = cut == LOWER ? base + span - 2 * page : base + 2 * page;
	hi = cut == LOWER ? base + span + 2 * page : cut == UPPER ? base + 4 * page : lo + page;
	if (cut == UPPER && base)
		lo = base - 2 * page;
	if (cut == SECOND) {
		lo = base;
		hi = base + unit + 2 * page;
	}
	rig->item = core_item(c, waits[k].kind, lo, hi - lo,
			      waits[k].kind == PT_ITEM_ANNOTATE ? NOTE
			      : waits[k].moves			? lo + page
								: lo,
			      waits[k].prot, waits[k].flags);
	rig->args = upkeep_args(c, waits[k].upkeep, lo, hi - lo);
	rig->args.clear = waits[k].upkeep == PT_UPKEEP_AGE;
}

static enum pt_outcome step(struct rig *rig, uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = rig->item.kind ? pt_txn_step(&rig->txn, &rig->c.agent, budget)
				 : pt_upkeep_step(&rig->upkeep, &rig->c.agent, budget);
	pt_section_end(&rig->c.agent);
	return outcome;
}

static void begin(struct rig *rig, bool validate)
{
	ASSERT_OUTCOME(PT_OK, rig->item.kind
				      ? pt_txn_init(&rig->txn, &rig->item, 1, 0, validate, wake)
				      : pt_upkeep_init(&rig->upkeep, &rig->args, wake));
}

static struct end finish(struct rig *rig)
{
	struct end end = {0};

	do
		end.outcome = step(rig, 50);
	while (end.outcome == PT_MORE);
	end.effects = rig->item.kind ? rig->txn.effects : rig->upkeep.effects;
	end.wide = rig->item.kind ? rig->txn.wide : rig->upkeep.wide;
	end.item = rig->item.kind ? (enum pt_outcome)rig->item.outcome : rig->upkeep.stopped;
	end.digest = core_digest_of(&rig->c);
	end.table_pages = atomic_load(&rig->c.ctx.table_pages);
	assert_int_equal(0, atomic_load(&rig->c.ctx.claims));
	core_close(&rig->c);
	return end;
}

static struct end one_after_the_other(const struct shape *shape, enum late late, enum cut cut,
				      unsigned k)
{
	struct rig rig;

	open_rig(&rig, shape, late, cut, k);
	ASSERT_OUTCOME(PT_MAPPED, core_range(&rig.c, rig.late, NULL));
	begin(&rig, false);
	return finish(&rig);
}

/* The second asks while the first has its claim and nothing is mapped yet. */
static struct end one_behind_the_other(const struct shape *shape, enum late late, enum cut cut,
				       unsigned k, bool validate)
{
	struct rig rig;

	open_rig(&rig, shape, late, cut, k);
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&rig.first, &rig.late, 1, 0, false, NULL));
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_MORE, pt_txn_step(&rig.first, &rig.c.agent, 1));
	pt_section_end(&rig.c.agent);
	begin(&rig, validate);
	for (unsigned i = 0; i < 3; i++) /* also when it is asked too soon */
		ASSERT_OUTCOME(PT_PARKED, step(&rig, 50));
	ASSERT_OUTCOME(PT_OK, core_run(&rig.first, &rig.c.agent, 50));
	return finish(&rig);
}

static void same_end(const struct end *a, struct end *b)
{
	ASSERT_OUTCOME(a->outcome, b->outcome);
	if (a->outcome == PT_OK)
		ASSERT_OUTCOME(a->item, b->item);
	b->effects.tlbis = a->effects.tlbis;
	assert_memory_equal(&a->effects, &b->effects, sizeof(a->effects));
}

static void the_claim_is_taken_again(void **state)
{
	unsigned wide = 0;

	(void)state;
	for (unsigned p = 0; p < PLACES; p++)
		for (unsigned late = 0; late < LATES; late++)
			for (unsigned cut = 0; cut < CUTS; cut++)
				for (unsigned k = 0; k < WAITS; k++) {
					struct end want =
						one_after_the_other(&places[p], late, cut, k);
					struct end got = one_behind_the_other(&places[p], late, cut,
									      k, false);

					same_end(&want, &got);
					assert_int_equal(want.digest.state[0], got.digest.state[0]);
					assert_int_equal(want.digest.state[1], got.digest.state[1]);
					assert_int_equal(want.table_pages, got.table_pages);
					assert_false(want.wide); /* it saw what it rounds out to */
					wide += got.wide;
				}
	/* All but FLUSH, MAPs that change nothing, and the access flag of a group. */
	assert_true(wide > PLACES * LATES * CUTS * (WAITS - 5));
}

/* validate_only foretells the same. */
static void prepare_alone_takes_it_again_too(void **state)
{
	(void)state;
	for (unsigned late = 0; late < LATES; late++)
		for (unsigned cut = 0; cut < CUTS; cut++)
			for (unsigned k = 0; waits[k].kind; k++) {
				struct end want = one_after_the_other(&places[0], late, cut, k);
				struct end got =
					one_behind_the_other(&places[0], late, cut, k, true);

				same_end(&want, &got);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_claim_is_taken_again),
		cmocka_unit_test(prepare_alone_takes_it_again_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
