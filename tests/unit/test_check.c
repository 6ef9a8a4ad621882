/* SPDX-License-Identifier: BSD-2-Clause */
/* The checker's write rules: for each a good write, a bad write and the report that is expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <pt/check.h>

#define LEAF(oa, bits) ((oa) | (bits) | PT_PTE_AF | PT_PTE_SH | PT_PTE_S2AP_R | 3)
#define BLOCK(oa)      ((oa) | PT_PTE_AF | PT_PTE_SH | PT_PTE_S2AP_R | 1)
#define TABLE(pa)      ((pa) | 3)

static const struct {
	const char *name;
	pt_pte old, entry;
	enum pt_write_how how;
	const char *rule; /* NULL: good */
} row[] = {
	{"map", 0, LEAF(0x1000, 0), PT_WRITE_STORE, NULL},
	{"unmap", LEAF(0x1000, 0), 0, PT_WRITE_STORE, NULL},
	{"link by release", 0, TABLE(0x5000), PT_WRITE_STORE_RELEASE, NULL},
	{"link by cas", 0, TABLE(0x5000), PT_WRITE_CAS, NULL},
	{"link by plain store", 0, TABLE(0x5000), PT_WRITE_STORE, "W2"},
	{"relax", LEAF(0x1000, 0), LEAF(0x1000, PT_PTE_S2AP_W), PT_WRITE_CAS, NULL},
	{"tighten execute", LEAF(0x1000, 0), LEAF(0x1000, PT_PTE_XN), PT_WRITE_STORE, NULL},
	{"age", LEAF(0x1000, 0), LEAF(0x1000, 0) & ~PT_PTE_AF, PT_WRITE_CAS, NULL},
	{"other output, B1", LEAF(0x1000, 0), LEAF(0x2000, 0), PT_WRITE_CAS, "W3"},
	{"other memory type", LEAF(0x1000, 0), LEAF(0x1000, 4), PT_WRITE_STORE, "W3"},
	{"block to table", BLOCK(0x200000), TABLE(0x5000), PT_WRITE_STORE_RELEASE, "W3"},
	{"table to block", TABLE(0x5000), BLOCK(0x200000), PT_WRITE_STORE, "W3"},
	{"break", LEAF(0x1000, 0), PT_PTE_LOCKED, PT_WRITE_CAS, NULL},
	{"make after break", PT_PTE_LOCKED, LEAF(0x2000, 0), PT_WRITE_STORE_RELEASE, NULL},
	{"stolen lock", PT_PTE_LOCKED, LEAF(0x2000, 0), PT_WRITE_CAS, "W9"},
};

static void each_rule_reports_its_bad_write_and_no_good_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct pt_write write = {NULL, row[i].old, row[i].entry, row[i].how};
		struct pt_finding finding = {0};
		bool good = pt_check_write(&write, &finding);

		if (good != (row[i].rule == NULL) ||
		    (!good && strcmp(pt_rule_name(finding.rule), row[i].rule) != 0))
			fail_msg("%s: reported %s, expected %s", row[i].name,
				 good ? "nothing" : pt_rule_name(finding.rule),
				 row[i].rule ? row[i].rule : "nothing");
	}
}

static bool tell(struct pt_check *check, struct pt_event e, struct pt_finding *finding)
{
	e.thread = 1;
	return pt_check_event(check, &e, finding);
}

/* Table pages that an operation takes and keeps: A4, unless the checker had no memory for what was
 * linked, and the children of that. */
static void what_is_not_known_is_not_judged(void **state)
{
	static _Alignas(4096) char arena[1 << 18];
	const struct pt_check_config config = {0};

	(void)state;
	for (unsigned pages = 1; pages <= 4096; pages += 4095) {
		struct pt_check *check = pt_check_init(arena, sizeof(arena), &config);
		struct pt_finding finding = {0};
		bool kept;

		assert_non_null(check);
		assert_true(tell(check,
				 (struct pt_event){.kind = PT_EVENT_MEMORY,
						   .at = 0x1000000,
						   .lo = 0x1000000,
						   .ctx = 1},
				 &finding));
		assert_true(tell(
			check,
			(struct pt_event){.kind = PT_EVENT_OP_BEGIN, .arg = PT_OP_TXN, .at = 0x100},
			&finding));
		for (unsigned i = 0; i < pages; i++)
			assert_true(tell(check,
					 (struct pt_event){.kind = PT_EVENT_PAGE_GET,
							   .arg = 1,
							   .op = 0x100,
							   .at = 0x1000000 + i * 0x1000,
							   .lo = 0x1000},
					 &finding));
		kept = tell(check,
			    (struct pt_event){.kind = PT_EVENT_OP_END,
					      .arg = PT_OP_TXN,
					      .op = 0x100,
					      .at = 0x100},
			    &finding);
		assert_int_equal(pages == 4096, pt_check_untracked(check) != 0);
		assert_int_equal(pages == 4096, kept);
		if (!kept)
			assert_string_equal("A4", pt_rule_name(finding.rule));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_reports_its_bad_write_and_no_good_one),
		cmocka_unit_test(what_is_not_known_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
