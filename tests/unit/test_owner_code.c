/* SPDX-License-Identifier: BSD-2-Clause */
/* Annotations, page states and frame records, bit by bit (kvm-stage2.md 2.11). */
#include "owner_fixture.h"

#define GFN_MAX	 (UINT64_C(0xffffffffff))
#define LEND_MAX (UINT64_C(0xffffffffffffff))

static void encodes(struct pt_note note, pt_pte want)
{
	struct pt_note back = {0};
	pt_pte entry = 0;

	ASSERT_OUTCOME(PT_OK, pt_note_encode(&note, &entry));
	assert_int_equal(want, entry);
	assert_true(pt_pte_is_annotation(entry));
	ASSERT_OUTCOME(PT_OK, pt_note_decode(entry, &back));
	assert_int_equal(note.type, back.type);
	assert_int_equal(note.owner.kind, back.owner.kind);
	assert_int_equal(note.owner.handle, back.owner.handle);
	assert_int_equal(note.owner.gfn, back.owner.gfn);
	assert_int_equal(note.lending, back.lending);
}

/* Each field at each of its bits: type 63:60, gfn 59:20, handle 19:4, owner 3:1; lending 59:4. */
static void fields_stand_where_they_should(void **state)
{
	(void)state;
	encodes((struct pt_note){.type = 2, .owner = {.kind = 1}}, UINT64_C(0x2000000000000002));
	encodes((struct pt_note){.type = 2, .owner = {.kind = 2}}, UINT64_C(0x2000000000000004));
	encodes((struct pt_note){.type = 2, .owner = {2, 0xffff, GFN_MAX}},
		UINT64_C(0x2ffffffffffffff4));
	encodes((struct pt_note){.type = 3}, UINT64_C(0x3000000000000000));
	encodes((struct pt_note){.type = 4}, UINT64_C(0x4000000000000000));
	encodes((struct pt_note){.type = 4, .lending = LEND_MAX}, UINT64_C(0x4ffffffffffffff0));
	for (unsigned bit = 0; bit < 16; bit++)
		encodes((struct pt_note){.type = 2, .owner = {2, (uint16_t)(1u << bit), 0}},
			UINT64_C(0x2000000000000004) | UINT64_C(1) << (4 + bit));
	for (unsigned bit = 0; bit < 40; bit++)
		encodes((struct pt_note){.type = 2, .owner = {2, 0, UINT64_C(1) << bit}},
			UINT64_C(0x2000000000000004) | UINT64_C(1) << (20 + bit));
	for (unsigned bit = 0; bit < 56; bit++)
		encodes((struct pt_note){.type = 4, .lending = UINT64_C(1) << bit},
			UINT64_C(0x4000000000000000) | UINT64_C(1) << (4 + bit));
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		enum pt_outcome want;
		struct pt_note note;
	} bad[] = {
		{PT_INVALID, {.type = 0}},
		{PT_INVALID, {.type = 1}},
		{PT_INVALID, {.type = 5}},
		{PT_INVALID, {.type = 2, .owner = {PT_OWNER_HOST, 0, 0}}},
		{PT_INVALID, {.type = 2, .owner = {3, 0, 0}}},
		{PT_INVALID, {.type = 2, .owner = {PT_OWNER_HYP, 1, 0}}},
		{PT_INVALID, {.type = 2, .owner = {PT_OWNER_HYP, 0, 1}}},
		{PT_INVALID, {.type = 2, .owner = {PT_OWNER_GUEST, 0, 0}, .lending = 1}},
		{PT_OUT_OF_RANGE, {.type = 2, .owner = {PT_OWNER_GUEST, 0, GFN_MAX + 1}}},
		{PT_INVALID, {.type = 3, .owner = {PT_OWNER_GUEST, 0, 0}}},
		{PT_INVALID, {.type = 3, .lending = 1}},
		{PT_INVALID, {.type = 4, .owner = {PT_OWNER_HYP, 0, 0}}},
		{PT_OUT_OF_RANGE, {.type = 4, .lending = LEND_MAX + 1}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pt_pte entry = 4711;

		ASSERT_OUTCOME(bad[i].want, pt_note_encode(&bad[i].note, &entry));
		assert_int_equal(4711, entry);
	}
}

/* An entry is decoded, if at all, to what encodes to it. */
static void nothing_else_decodes(void **state)
{
	static const struct {
		pt_pte entry;
		enum pt_outcome want;
	} bad[] = {
		{0, PT_NOT_MAPPED},
		{PT_PTE_LOCKED, PT_RACED},
		{PT_PTE_VALID, PT_WRONG_STATE},
		{UINT64_C(0x2000000000000005), PT_WRONG_STATE},
		{2, PT_INVALID},			    /* bits without a type */
		{UINT64_C(0x2000000000000000), PT_INVALID}, /* donated to the host */
		{UINT64_C(0x2000000000000006), PT_INVALID}, /* an owner that there is not */
		{UINT64_C(0x2000000000000012), PT_INVALID}, /* hyp has no handle */
		{UINT64_C(0x3000000000000010), PT_INVALID},
		{UINT64_C(0x3000000000000002), PT_INVALID},
		{UINT64_C(0x4000000000000002), PT_INVALID},
		{UINT64_C(0x5000000000000000), PT_INVALID},
		{UINT64_C(0xf000000000000000), PT_INVALID},
	};
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pt_note note = {.type = 77};

		ASSERT_OUTCOME(bad[i].want, pt_note_decode(bad[i].entry, &note));
		assert_int_equal(77, note.type);
	}
	for (unsigned i = 0; i < 100000; i++) {
		pt_pte entry = core_random(&seed) & ~PT_PTE_VALID, again;
		struct pt_note note;

		if (pt_note_decode(entry, &note) != PT_OK)
			continue;
		ASSERT_OUTCOME(PT_OK, pt_note_encode(&note, &again));
		assert_int_equal(entry, again);
	}
}

static void a_guests_entry_says_its_state(void **state)
{
	static const struct {
		pt_pte entry;
		enum pt_outcome outcome;
		enum pt_page_state want;
	} row[] = {
		{0, PT_OK, PT_PAGE_NOPAGE},
		{UINT64_C(0x3000000000000000), PT_OK, PT_PAGE_POISONED},
		{UINT64_C(0x4000000000000070), PT_OK, PT_PAGE_LENT},
		{UINT64_C(0x0000000000000003), PT_OK, PT_PAGE_OWNED},
		{UINT64_C(0x0080000000000003), PT_OK, PT_PAGE_SHARED_OWNED},
		{UINT64_C(0x0100000000000003), PT_OK, PT_PAGE_SHARED_BORROWED},
		{UINT64_C(0x0180000000000003), PT_OK, PT_PAGE_LENT_BORROWED},
		{UINT64_C(0x0600000000000003), PT_OK, PT_PAGE_OWNED}, /* bits of somebody else */
		{PT_PTE_LOCKED, PT_RACED, PT_PAGE_STATES},
		{UINT64_C(0x2000000000000004), PT_INVALID, PT_PAGE_STATES},
		{UINT64_C(0x5000000000000000), PT_INVALID, PT_PAGE_STATES},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		enum pt_page_state got = PT_PAGE_STATES;

		ASSERT_OUTCOME(row[i].outcome, pt_page_state_of_entry(row[i].entry, &got));
		assert_int_equal(row[i].want, got);
	}
	for (unsigned s = PT_PAGE_OWNED; s <= PT_PAGE_LENT_BORROWED; s++) {
		uint32_t prot = pt_page_state_prot((enum pt_page_state)s);

		assert_int_equal(0, prot & ~PT_OWNER_SW);
		assert_int_equal(s, pt_page_state_of_leaf(pt_sw_to_pte(prot) | 3));
	}
}

static void a_record_is_eight_bytes(void **state)
{
	struct pt_frame_record r = pt_frame_record(0);

	(void)state;
	assert_int_equal(PT_PAGE_OWNED, r.host);
	assert_int_equal(PT_PAGE_NOPAGE, r.hyp);
	assert_int_equal(0, r.pins);
	assert_int_equal(0, r.shares);
	r = (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_SHARED_BORROWED, 0xfedc,
				     0x89abcdef, false};
	assert_int_equal(UINT64_C(0x89abcdeffedc0061), pt_frame_word(r));
	r = (struct pt_frame_record){PT_PAGE_NOPAGE, PT_PAGE_OWNED, 0, 0, true};
	assert_int_equal(0x144, pt_frame_word(r));
	for (unsigned host = 0; host < PT_PAGE_STATES; host++)
		for (unsigned hyp = 0; hyp < PT_PAGE_STATES; hyp++) {
			struct pt_frame_record one = {(uint8_t)host, (uint8_t)hyp, 1, 2, host > 3};
			struct pt_frame_record back = pt_frame_record(pt_frame_word(one));

			assert_int_equal(host, back.host);
			assert_int_equal(hyp, back.hyp);
			assert_int_equal(1, back.pins);
			assert_int_equal(2, back.shares);
			assert_int_equal(host > 3, back.table);
		}
}

/* All pairs of states with and without counts: those that can be are listed. */
static void some_records_cannot_be(void **state)
{
	static const struct pt_frame_record sound[] = {
		{PT_PAGE_OWNED, PT_PAGE_NOPAGE, 0, 0, false},
		{PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, 0, false}, /* with a third component */
		{PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, 1, false},
		{PT_PAGE_SHARED_OWNED, PT_PAGE_SHARED_BORROWED, 0, 0, false},
		{PT_PAGE_SHARED_OWNED, PT_PAGE_SHARED_BORROWED, 1, 0, false},
		{PT_PAGE_SHARED_BORROWED, PT_PAGE_NOPAGE, 0, 0, false},
		{PT_PAGE_NOPAGE, PT_PAGE_NOPAGE, 0, 0, false},
		{PT_PAGE_NOPAGE, PT_PAGE_OWNED, 0, 0, false},
		{PT_PAGE_NOPAGE, PT_PAGE_OWNED, 0, 0, true}, /* of a guest's tables */
		{PT_PAGE_LENT, PT_PAGE_NOPAGE, 0, 0, false},
	};
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
		assert_true(pt_frame_sound(sound[i]));
	for (unsigned i = 0; i < 16 * 16 * 8; i++)
		count += pt_frame_sound((struct pt_frame_record){
			i & 0xf, i >> 4 & 0xf, (uint16_t)(i >> 8 & 1), i >> 9 & 1, i >> 10 != 0});
	assert_int_equal(sizeof(sound) / sizeof(sound[0]), count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_stand_where_they_should),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(nothing_else_decodes),
		cmocka_unit_test(a_guests_entry_says_its_state),
		cmocka_unit_test(a_record_is_eight_bytes),
		cmocka_unit_test(some_records_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
