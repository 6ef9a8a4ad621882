/* SPDX-License-Identifier: BSD-2-Clause */
/* Items at the edges of their arguments: every bit of every word, the ends of both spaces, each set
 * of flags; transactions and point operations say the same. */
#include "core.h"

#define KINDS 8

/* An item of each kind that is right, on the second page. */
static struct pt_item good(struct core *c, unsigned kind)
{
	uint64_t page = core_size(c, 3);
	uint32_t prot = kind == PT_ITEM_MAP || kind == PT_ITEM_PROTECT || kind == PT_ITEM_RELAX
				? PT_PROT_R
				: 0;

	return core_item(c, kind, page, page, kind == PT_ITEM_ANNOTATE ? UINT64_C(2) << 60 : 0,
			 prot, 0);
}

/* Refused by the check, which writes nothing. */
static void refused(const struct pt_item *item, enum pt_outcome want)
{
	struct pt_item before = *item;

	ASSERT_OUTCOME(want, pt_item_check(item));
	assert_memory_equal(&before, item, sizeof(before));
}

static void each_bit_of_kind_and_flags(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;

		core_open(&c, &shapes[s]);
		for (unsigned kind = 1; kind <= KINDS; kind++) {
			struct pt_item item = good(&c, kind);

			ASSERT_OUTCOME(PT_OK, pt_item_check(&item));
			for (unsigned bit = 0; bit < 32; bit++) {
				item = good(&c, kind);
				item.flags = UINT32_C(1) << bit;
				if (kind == PT_ITEM_MAP && item.flags & PT_MAP_FLAGS)
					ASSERT_OUTCOME(PT_OK, pt_item_check(&item));
				else
					refused(&item, PT_INVALID);
				if (bit < 4)
					continue;
				item = good(&c, kind);
				item.kind |= UINT32_C(1) << bit;
				refused(&item, PT_INVALID);
			}
		}
		for (unsigned k = 0; k < 2; k++) {
			struct pt_item item = good(&c, PT_ITEM_MAP);

			item.kind = k ? KINDS + 1 : 0;
			refused(&item, PT_INVALID);
		}
		core_close(&c);
	}
}

/* What each kind takes in prot; nobody owns a software bit here. */
static void each_bit_of_prot(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * SHAPES; s++) {
		bool xnx = s & 1;
		struct core c;

		core_open(&c, &shapes[s / 2]);
		c.ctx.attrs |= xnx ? PT_ATTR_XNX : 0;
		for (unsigned kind = 1; kind <= KINDS; kind++) {
			bool rights = kind == PT_ITEM_MAP || kind == PT_ITEM_PROTECT ||
				      kind == PT_ITEM_RELAX;

			for (unsigned bit = 0; bit < 32; bit++) {
				uint32_t one = UINT32_C(1) << bit;
				struct pt_item item = good(&c, kind);
				enum pt_outcome want = PT_INVALID;

				item.prot |= one;
				if (rights && one & PT_PROT_RW)
					want = PT_OK;
				else if (rights && one & PT_PROT_X)
					want = xnx ? PT_OK : PT_UNSUPPORTED;
				else if (kind == PT_ITEM_MAP && (one >> PT_PROT_MEM_SHIFT) - 1 < 2)
					want = PT_OK; /* NC, Device */
				if (want == PT_OK)
					ASSERT_OUTCOME(PT_OK, pt_item_check(&item));
				else
					refused(&item, want);
			}
			if (rights) {
				struct pt_item item = good(&c, kind);

				item.prot = 0;
				refused(&item, PT_INVALID);
			}
		}
		core_close(&c);
	}
}

static void ranges_at_the_ends_of_the_space(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;
		uint64_t page, top, end;

		core_open(&c, &shapes[s]);
		page = core_size(&c, 3);
		top = UINT64_C(1) << c.ctx.geo.ipa_bits;
		end = UINT64_C(1) << c.ctx.geo.pa_bits;
		const struct {
			uint64_t ipa, size, pa;
			enum pt_outcome map, other;
		} rows[] = {
			{0, page, 0, PT_OK, PT_OK},
			{0, top, 0, PT_OK, PT_OK},
			{top - page, page, end - page, PT_OK, PT_OK},
			{0, 0, 0, PT_INVALID, PT_INVALID},
			{UINT64_MAX, 0, 0, PT_INVALID, PT_INVALID},
			{0 - page, page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{0 - page, 2 * page, 0, PT_INVALID, PT_INVALID},
			{page, 0 - page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{0, 0 - page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{1, page, 0, PT_MISALIGNED, PT_MISALIGNED},
			{page - 1, page, 0, PT_MISALIGNED, PT_MISALIGNED},
			{page / 2, page, 0, PT_MISALIGNED, PT_MISALIGNED},
			{0, 1, 0, PT_MISALIGNED, PT_MISALIGNED},
			{0, page + page / 2, 0, PT_MISALIGNED, PT_MISALIGNED},
			{top, page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{top - page, 2 * page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{page, top, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{UINT64_C(1) << 63, page, 0, PT_OUT_OF_RANGE, PT_OUT_OF_RANGE},
			{0, page, 1, PT_MISALIGNED, PT_OK},
			{0, page, page / 2, PT_MISALIGNED, PT_OK},
			{0, page, end, PT_OUT_OF_RANGE, PT_OK},
			{0, 2 * page, end - page, PT_OUT_OF_RANGE, PT_OK},
			{0, 2 * page, 0 - page, PT_INVALID, PT_OK},
			{0, page, UINT64_C(1) << 63, PT_OUT_OF_RANGE, PT_OK},
		};

		for (unsigned kind = 1; kind <= KINDS; kind++) {
			for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
				struct pt_item item = good(&c, kind);

				item.ipa.v = rows[i].ipa;
				item.size = rows[i].size;
				if (kind != PT_ITEM_ANNOTATE)
					item.pa.v = rows[i].pa;
				ASSERT_OUTCOME(kind == PT_ITEM_MAP ? rows[i].map : rows[i].other,
					       pt_item_check(&item));
			}
		}
		core_close(&c);
	}
}

/* Maps one leaf of `size` at the very ends; then again, with other rights, and elsewhere. */
static void check_map(struct core *c, uint64_t size, uint32_t flags, bool as_point)
{
	uint64_t ipa = (UINT64_C(1) << c->ctx.geo.ipa_bits) - size;
	uint64_t pa = (UINT64_C(1) << c->ctx.geo.pa_bits) - size;
	struct pt_item item = core_item(c, PT_ITEM_MAP, ipa, size, pa, PT_PROT_R, flags);
	struct pt_error err = {0};
	enum pt_outcome outcome;
	struct hw_result r;

	for (unsigned k = 0; k < 4; k++) {
		const enum pt_outcome plain[] = {PT_MAPPED, PT_ALREADY_MAPPED, PT_PERMISSION_ONLY,
						 PT_OVERLAP};
		enum pt_outcome want = k > 1 && flags & PT_MAP_REPLACE ? PT_MAPPED : plain[k];

		item.prot = k == 2 ? PT_PROT_RW : PT_PROT_R;
		item.pa.v = k == 3 ? pa - size : pa;
		outcome = as_point ? core_point(c, item, NULL, &err) : PT_MORE;
		if (outcome == PT_MORE)
			outcome = core_range(c, item, NULL);
		else if (want == PT_OVERLAP)
			assert_int_equal(ipa, err.ipa.v);
		ASSERT_OUTCOME(want, outcome);
	}
	r = core_walk(c, ipa + size - 1, HW_AT);
	assert_int_equal(HW_NO_FAULT, r.fault);
	assert_int_equal(pa + size - 1 - (flags & PT_MAP_REPLACE ? size : 0), r.pa);
	if (flags & PT_MAP_FORCE_PAGES)
		assert_int_equal(3, r.level);
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(c, ipa, size));
}

static void every_set_of_flags_at_the_top_of_both_spaces(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SHAPES; s++) {
		struct core c;

		core_open(&c, &shapes[s]);
		for (uint32_t flags = 0; flags <= PT_MAP_FLAGS; flags++) {
			for (unsigned how = 0; how < 4; how++)
				check_map(&c, core_size(&c, how & 1 ? 2 : 3), flags, how & 2);
		}
		core_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bit_of_kind_and_flags),
		cmocka_unit_test(each_bit_of_prot),
		cmocka_unit_test(ranges_at_the_ends_of_the_space),
		cmocka_unit_test(every_set_of_flags_at_the_top_of_both_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
