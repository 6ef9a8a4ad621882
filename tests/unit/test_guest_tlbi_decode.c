/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions by which a guest hypervisor invalidates, by the manual's table of encodings, and
 * every other word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guest_tlbi.h"

#define DS	(UINT64_C(1) << 32)
#define NOTHING 0xee

static const struct instruction *row_of(unsigned op0, unsigned op1, unsigned crn, unsigned crm,
					unsigned op2)
{
	for (size_t i = 0; i < GUEST_TLBIS; i++)
		if (op0 == 1 && (crn == 8 || crn == 9) && guest_tlbis[i].op1 == op1 &&
		    guest_tlbis[i].crm == crm && guest_tlbis[i].op2 == op2)
			return &guest_tlbis[i];
	return NULL;
}

static void check(const struct instruction *row, uint32_t sys, bool nxs)
{
	struct pt_guest_tlbi t = {.level = NOTHING >> 1};
	/* A range of 4K granules is one with every operand of 1 << 46. */
	enum pt_outcome outcome = pt_guest_tlbi_decode(sys, UINT64_C(1) << 46, 0, &t);

	if (!row) {
		assert_int_equal(outcome, PT_UNSUPPORTED);
		assert_int_equal(t.level, NOTHING >> 1);
		return;
	}
	assert_int_equal(outcome, PT_OK);
	assert_int_equal(t.scope, row->scope);
	assert_int_equal(t.leaf_only, row->leaf_only);
	assert_int_equal(t.inner, row->domain == IS);
	assert_int_equal(t.outer, row->domain == OS);
	assert_int_equal(t.nxs, nxs);
}

/* Every word that an exception can report: 4 * 8 * 16 * 16 * 8 of them. */
static void each_encoding_is_what_the_manual_says(void **state)
{
	unsigned known = 0, unknown = 0;

	(void)state;
	for (unsigned op0 = 0; op0 < 4; op0++)
		for (unsigned op1 = 0; op1 < 8; op1++)
			for (unsigned crn = 0; crn < 16; crn++)
				for (unsigned crm = 0; crm < 16; crm++)
					for (unsigned op2 = 0; op2 < 8; op2++) {
						const struct instruction *row =
							row_of(op0, op1, crn, crm, op2);

						check(row, sys_of(op0, op1, crn, crm, op2),
						      crn == 9);
						row ? known++ : unknown++;
					}
	print_message("%u instructions, %u other encodings\n", known, unknown);
	assert_int_equal(known, 2 * GUEST_TLBIS);
}

/* MRS-like reads, and bits that no ISS of this class has. */
static void a_word_of_another_kind_is_none(void **state)
{
	struct pt_guest_tlbi t;
	uint32_t sys = sys_of(1, 4, 8, 7, 4);

	(void)state;
	assert_int_equal(pt_guest_tlbi_decode(sys, 0, 0, &t), PT_OK);
	assert_int_equal(pt_guest_tlbi_decode(sys | 1, 0, 0, &t), PT_UNSUPPORTED);
	assert_int_equal(pt_guest_tlbi_decode(sys | 1u << 22, 0, 0, &t), PT_UNSUPPORTED);
	assert_int_equal(pt_guest_tlbi_decode(sys & ~(31u << 5), 0, 0, &t), PT_OK);
}

static void operands_give_address_level_and_length(void **state)
{
	static const struct {
		bool range;
		uint64_t vtcr, operand;
		enum pt_outcome outcome;
		bool ttl_given;
		int level;
		unsigned ttl_shift;
		uint64_t ipa, size;
	} rows[] = {
		{false, 0, 0x123456789, PT_OK, false, PT_TTL_UNKNOWN, 0, 0x123456789000, 0},
		{false, 0, 0x0000600000000200, PT_OK, true, 2, 12, 0x200000, 0},
		{false, 0, 0x0000b00000000004, PT_OK, true, 3, 14, 0x4000, 0},
		{false, 0, 0x0000900000000004, PT_OK, false, PT_TTL_UNKNOWN, 0, 0x4000, 0},
		{false, DS, 0x0000900000000004, PT_OK, true, 1, 14, 0x4000, 0},
		{false, DS, 0x000040ff00000000, PT_OK, true, 0, 12, 0xff00000000000, 0},
		{true, 0, 0x0000400000000003, PT_OK, false, PT_TTL_UNKNOWN, 12, 0x3000, 0x2000},
		{true, 0, 0x0000c12000000005, PT_OK, true, 1, 16, 0x50000, 0x60000},
		{true, 0, 0x0000802000000002, PT_OK, false, PT_TTL_UNKNOWN, 14, 0x8000, 0x8000},
		{true, DS, 0x0000802000000002, PT_OK, true, 1, 14, 0x20000, 0x8000},
		{true, DS, 0x000052c000000003, PT_OK, true, 2, 12, 0x30000, 0x180000},
		{true, 0, 0x0000002000000003, PT_INVALID, false, 0, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t sys = sys_of(1, 4, 8, 0, rows[i].range ? 2 : 1);
		struct pt_guest_tlbi t = {.nxs = true};

		assert_int_equal(pt_guest_tlbi_decode(sys, rows[i].operand, rows[i].vtcr, &t),
				 rows[i].outcome);
		if (rows[i].outcome != PT_OK) {
			assert_true(t.nxs); /* untouched */
			continue;
		}
		assert_int_equal(t.ttl_given, rows[i].ttl_given);
		assert_int_equal(t.level, rows[i].level);
		assert_int_equal(t.ttl_shift, rows[i].ttl_shift);
		assert_int_equal(t.ipa.v, rows[i].ipa);
		assert_int_equal(t.size, rows[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_encoding_is_what_the_manual_says),
		cmocka_unit_test(a_word_of_another_kind_is_none),
		cmocka_unit_test(operands_give_address_level_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
