/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules W2, W3 and W9 of one write by itself, for who knows no more than that. */
#include <pt/check.h>

/* Bits 11:2 are ignored in a table descriptor and lib leaves them 0, while every leaf it makes has
 * some set. */
static bool is_table_link(pt_pte entry)
{
	return (entry & 0xfff) == (PT_PTE_VALID | PT_PTE_TYPE);
}

static bool keeps_w2(const struct pt_write *write)
{
	if (!is_table_link(write->entry) || write->old == write->entry)
		return true;
	return write->how != PT_WRITE_STORE;
}

static bool keeps_w3(const struct pt_write *write)
{
	const pt_pte may_differ = PT_PTE_PERM | PT_PTE_AF | PT_PTE_DBM | PT_PTE_SW;

	if (!pt_pte_valid(write->old) || !pt_pte_valid(write->entry))
		return true;
	return ((write->old ^ write->entry) & ~may_differ) == 0;
}

/* A mark of a shadow's (docs/nested.md) has a kind, and may be exchanged: whose turn it is, only
 * those know who have seen it come. */
static bool is_mark(pt_pte entry)
{
	return entry & UINT64_C(3) << 1;
}

static bool keeps_w9(const struct pt_write *write)
{
	return !(pt_pte_locked(write->old) && !is_mark(write->old) && write->how == PT_WRITE_CAS);
}

bool pt_check_write(const struct pt_write *write, struct pt_finding *finding)
{
	static const struct {
		bool (*keeps)(const struct pt_write *);
		struct pt_finding finding;
	} rule[] = {
		{keeps_w2, {.rule = PT_RULE_W2, .text = "a table was linked by a plain store"}},
		{keeps_w3,
		 {.rule = PT_RULE_W3,
		  .text = "a valid entry became another one without break-before-make"}},
		{keeps_w9,
		 {.rule = PT_RULE_W9, .text = "a locked entry was changed by a compare-and-swap"}},
	};

	for (size_t i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		if (rule[i].keeps(write))
			continue;
		*finding = rule[i].finding;
		return false;
	}
	return true;
}
