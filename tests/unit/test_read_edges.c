/* SPDX-License-Identifier: BSD-2-Clause */
/* What looks one address up, at the edges of the space and of memslots: get-leaf, explain, the
 * architectural walk, and faults. Nothing but a fault that maps changes anything. */
#include "sweep.h"

struct rig {
	struct core c;
	struct pt_slots *slots;
	uint64_t page, top;
};

/* Slots over the first two pages, a read-only one over the third, and the last page. */
static void open_rig(struct rig *rig, const struct shape *shape)
{
	uint8_t gs;

	core_open(&rig->c, shape);
	rig->slots = calloc(1, sizeof(*rig->slots) + 3 * sizeof(struct pt_slot));
	assert_non_null(rig->slots);
	rig->page = core_size(&rig->c, 3);
	rig->top = UINT64_C(1) << rig->c.ctx.geo.ipa_bits;
	gs = rig->c.ctx.geo.granule_shift;
	rig->slots->count = 3;
	rig->slots->slot[0] = (struct pt_slot){.size = 2 * rig->page, .backing_shift = gs};
	rig->slots->slot[1] = (struct pt_slot){.ipa = 2 * rig->page,
					       .size = rig->page,
					       .pa = 2 * rig->page,
					       .flags = PT_SLOT_READ_ONLY | PT_SLOT_NO_EXEC,
					       .backing_shift = gs};
	rig->slots->slot[2] =
		(struct pt_slot){.ipa = rig->top - rig->page,
				 .size = rig->page,
				 .pa = (UINT64_C(1) << rig->c.ctx.geo.pa_bits) - rig->page,
				 .backing_shift = gs};
	pt_ctx_set_slots(&rig->c.ctx, rig->slots);
}

static void close_rig(struct rig *rig)
{
	core_close(&rig->c);
	free(rig->slots);
}

static enum pt_outcome fault(struct rig *rig, uint64_t ipa, enum pt_access access,
			     struct pt_fault_result *r)
{
	struct pt_fault in = {.ipa = {ipa}, .access = (uint8_t)access};
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_fault_handle(&rig->c.agent, &rig->c.ctx, &in, r);
	pt_section_end(&rig->c.agent);
	return outcome;
}

static void faults(void **state)
{
	static const enum pt_access accesses[] = {PT_ACCESS_READ, PT_ACCESS_WRITE, PT_ACCESS_EXEC};

	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct rig rig;

		open_rig(&rig, &shapes[s]);
		const uint64_t page = rig.page, top = rig.top;
		/* Outcomes by access; mapped again at once, then there already. */
		const struct {
			uint64_t ipa;
			enum pt_outcome want[3];
		} rows[] = {
			{0, {PT_MAPPED, PT_MAPPED, PT_MAPPED}},
			{page - 1, {PT_MAPPED, PT_MAPPED, PT_MAPPED}},
			{2 * page - 1, {PT_MAPPED, PT_MAPPED, PT_MAPPED}},
			{2 * page, {PT_MAPPED, PT_READ_ONLY, PT_DENIED}},
			{3 * page - 1, {PT_MAPPED, PT_READ_ONLY, PT_DENIED}},
			{3 * page, {PT_NO_SLOT, PT_NO_SLOT, PT_NO_SLOT}},
			{top / 2, {PT_NO_SLOT, PT_NO_SLOT, PT_NO_SLOT}},
			{top - page - 1, {PT_NO_SLOT, PT_NO_SLOT, PT_NO_SLOT}},
			{top - page, {PT_MAPPED, PT_MAPPED, PT_MAPPED}},
			{top - 1, {PT_MAPPED, PT_MAPPED, PT_MAPPED}},
			{top, {PT_OUT_OF_RANGE, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE}},
			{top + page, {PT_OUT_OF_RANGE, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE}},
			{UINT64_C(1) << 63, {PT_OUT_OF_RANGE, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE}},
			{UINT64_MAX, {PT_OUT_OF_RANGE, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE}},
		};

		for (unsigned i = 0; i < 3 * sizeof(rows) / sizeof(rows[0]); i++) {
			uint64_t ipa = rows[i / 3].ipa;
			enum pt_outcome want = rows[i / 3].want[i % 3];
			struct sweep_state before = sweep_state_of(&rig.c);
			struct pt_fault_result r;
			struct pt_digest digest;
			struct hw_result w;

			ASSERT_OUTCOME(want, fault(&rig, ipa, accesses[i % 3], &r));
			if (want != PT_MAPPED) {
				sweep_unchanged(&rig.c, &before);
				assert_int_equal(0, r.tables_added);
				assert_int_equal(0, r.prot);
				continue;
			}
			w = core_walk(&rig.c, ipa, HW_AT);
			assert_int_equal(HW_NO_FAULT, w.fault);
			assert_int_equal(w.pa, r.pa.v);
			assert_int_equal(w.level, r.level);
			assert_int_equal(w.write, !!(r.prot & PT_PROT_W));
			assert_int_equal(w.exec_el1, i % 3 == 2);
			assert_int_equal(!!(r.prot & PT_PROT_PX), i % 3 == 2);
			ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&rig, ipa, accesses[i % 3], &r));
			/* Beside it nothing came. */
			ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&rig.c, ipa & ~(page - 1), page));
			digest = core_digest_of(&rig.c);
			assert_int_equal(0, core_leaves(&digest));
			ASSERT_OUTCOME(PT_HOLE, core_unmap(&rig.c, 0, top));
		}
		close_rig(&rig);
	}
}

static void reads(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct sweep_state before;
		struct rig rig;

		open_rig(&rig, &shapes[s]);
		const uint64_t page = rig.page, top = rig.top;
		const struct {
			uint64_t ipa;
			bool in, mapped;
		} rows[] = {
			{0, true, true},
			{page - 1, true, true},
			{page, true, false},
			{top / 2, true, false},
			{top - page - 1, true, false},
			{top - page, true, true},
			{top - 1, true, true},
			{top, false, false},
			{top + 1, false, false},
			{2 * top, false, false},
			{UINT64_C(1) << 63, false, false},
			{UINT64_MAX, false, false},
		};

		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, page, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, top - page, page, page, PT_PROT_R, 0));
		before = sweep_state_of(&rig.c);
		for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct pt_walk_step step[PT_LEVELS];
			struct hw_result w = core_walk(&rig.c, rows[i].ipa, HW_READ);
			pt_pte e = 0xdead;
			int level = -99;
			unsigned steps;

			pt_section_begin(&rig.c.agent);
			ASSERT_OUTCOME(rows[i].in ? PT_OK : PT_OUT_OF_RANGE,
				       pt_get_leaf(&rig.c.ctx, pt_ipa(rows[i].ipa), &e, &level));
			steps = pt_walk_explain(&rig.c.ctx, pt_ipa(rows[i].ipa), step);
			pt_section_end(&rig.c.agent);
			assert_int_equal(rows[i].mapped, w.fault == HW_NO_FAULT);
			if (!rows[i].in) { /* and nothing was written */
				assert_int_equal(0, steps);
				assert_int_equal(0xdead, e);
				assert_int_equal(-99, level);
				continue;
			}
			assert_int_equal(rows[i].mapped, pt_pte_valid(e));
			assert_int_equal(w.level, level);
			assert_int_equal(w.descriptor, e);
			assert_int_equal(w.steps, steps);
			assert_int_equal(e, step[steps - 1].entry);
		}
		sweep_unchanged(&rig.c, &before);
		close_rig(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
