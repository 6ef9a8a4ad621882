/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions by which a guest hypervisor invalidates, by the manual's table of encodings, and
 * every other word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pt/nested.h>

#define DS	(UINT64_C(1) << 32)
#define NOTHING 0xee

enum domain { HERE, IS, OS };

/* Arm ARM C5.5, one line each; op0 is 1, CRn 8. */
static const struct instruction {
	const char *name;
	unsigned op1, crm, op2;
	enum pt_guest_tlbi_scope scope;
	enum domain domain;
	bool leaf_only;
} table[] = {
	{"ALLE1", 4, 7, 4, PT_GUEST_TLBI_ALL, HERE, false},
	{"ALLE1IS", 4, 3, 4, PT_GUEST_TLBI_ALL, IS, false},
	{"ALLE1OS", 4, 1, 4, PT_GUEST_TLBI_ALL, OS, false},
	{"VMALLS12E1", 4, 7, 6, PT_GUEST_TLBI_VMID, HERE, false},
	{"VMALLS12E1IS", 4, 3, 6, PT_GUEST_TLBI_VMID, IS, false},
	{"VMALLS12E1OS", 4, 1, 6, PT_GUEST_TLBI_VMID, OS, false},
	{"IPAS2E1", 4, 4, 1, PT_GUEST_TLBI_IPA, HERE, false},
	{"IPAS2E1IS", 4, 0, 1, PT_GUEST_TLBI_IPA, IS, false},
	{"IPAS2E1OS", 4, 4, 0, PT_GUEST_TLBI_IPA, OS, false},
	{"IPAS2LE1", 4, 4, 5, PT_GUEST_TLBI_IPA, HERE, true},
	{"IPAS2LE1IS", 4, 0, 5, PT_GUEST_TLBI_IPA, IS, true},
	{"IPAS2LE1OS", 4, 4, 4, PT_GUEST_TLBI_IPA, OS, true},
	{"RIPAS2E1", 4, 4, 2, PT_GUEST_TLBI_RANGE, HERE, false},
	{"RIPAS2E1IS", 4, 0, 2, PT_GUEST_TLBI_RANGE, IS, false},
	{"RIPAS2E1OS", 4, 4, 3, PT_GUEST_TLBI_RANGE, OS, false},
	{"RIPAS2LE1", 4, 4, 6, PT_GUEST_TLBI_RANGE, HERE, true},
	{"RIPAS2LE1IS", 4, 0, 6, PT_GUEST_TLBI_RANGE, IS, true},
	{"RIPAS2LE1OS", 4, 4, 7, PT_GUEST_TLBI_RANGE, OS, true},
	{"VMALLE1", 0, 7, 0, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VMALLE1IS", 0, 3, 0, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VMALLE1OS", 0, 1, 0, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VAE1", 0, 7, 1, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VAE1IS", 0, 3, 1, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VAE1OS", 0, 1, 1, PT_GUEST_TLBI_STAGE1, OS, false},
	{"ASIDE1", 0, 7, 2, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"ASIDE1IS", 0, 3, 2, PT_GUEST_TLBI_STAGE1, IS, false},
	{"ASIDE1OS", 0, 1, 2, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VAAE1", 0, 7, 3, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"VAAE1IS", 0, 3, 3, PT_GUEST_TLBI_STAGE1, IS, false},
	{"VAAE1OS", 0, 1, 3, PT_GUEST_TLBI_STAGE1, OS, false},
	{"VALE1", 0, 7, 5, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"VALE1IS", 0, 3, 5, PT_GUEST_TLBI_STAGE1, IS, true},
	{"VALE1OS", 0, 1, 5, PT_GUEST_TLBI_STAGE1, OS, true},
	{"VAALE1", 0, 7, 7, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"VAALE1IS", 0, 3, 7, PT_GUEST_TLBI_STAGE1, IS, true},
	{"VAALE1OS", 0, 1, 7, PT_GUEST_TLBI_STAGE1, OS, true},
	{"RVAE1", 0, 6, 1, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"RVAE1IS", 0, 2, 1, PT_GUEST_TLBI_STAGE1, IS, false},
	{"RVAE1OS", 0, 5, 1, PT_GUEST_TLBI_STAGE1, OS, false},
	{"RVAAE1", 0, 6, 3, PT_GUEST_TLBI_STAGE1, HERE, false},
	{"RVAAE1IS", 0, 2, 3, PT_GUEST_TLBI_STAGE1, IS, false},
	{"RVAAE1OS", 0, 5, 3, PT_GUEST_TLBI_STAGE1, OS, false},
	{"RVALE1", 0, 6, 5, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"RVALE1IS", 0, 2, 5, PT_GUEST_TLBI_STAGE1, IS, true},
	{"RVALE1OS", 0, 5, 5, PT_GUEST_TLBI_STAGE1, OS, true},
	{"RVAALE1", 0, 6, 7, PT_GUEST_TLBI_STAGE1, HERE, true},
	{"RVAALE1IS", 0, 2, 7, PT_GUEST_TLBI_STAGE1, IS, true},
	{"RVAALE1OS", 0, 5, 7, PT_GUEST_TLBI_STAGE1, OS, true},
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static uint32_t sys_of(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2)
{
	return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 31 << 5 | crm << 1;
}

static const struct instruction *row_of(unsigned op0, unsigned op1, unsigned crn, unsigned crm,
					unsigned op2)
{
	for (size_t i = 0; i < ROWS; i++)
		if (op0 == 1 && (crn == 8 || crn == 9) && table[i].op1 == op1 &&
		    table[i].crm == crm && table[i].op2 == op2)
			return &table[i];
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
	assert_int_equal(known, 2 * ROWS);
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
