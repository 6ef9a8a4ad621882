/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules W2, W3 and W9: what a write to a live descriptor may change, and how. */
#include <pt/check.h>

/* Bits 11:2 are ignored in a table descriptor and lib leaves them 0, while every leaf it makes has
 * some set. */
static bool is_table_link(pt_pte entry)
{
	return (entry & 0xfff) == (PT_PTE_VALID | PT_PTE_TYPE);
}

bool pt_check_w2(const struct pt_write *write)
{
	if (!is_table_link(write->entry) || write->old == write->entry)
		return true;
	return write->how != PT_WRITE_STORE;
}

bool pt_check_w3(const struct pt_write *write)
{
	const pt_pte may_differ = PT_PTE_PERM | PT_PTE_AF | PT_PTE_DBM | PT_PTE_SW;

	if (!pt_pte_valid(write->old) || !pt_pte_valid(write->entry))
		return true;
	return ((write->old ^ write->entry) & ~may_differ) == 0;
}

bool pt_check_w9(const struct pt_write *write)
{
	return !(pt_pte_locked(write->old) && write->how == PT_WRITE_CAS);
}

bool pt_check_write(const struct pt_write *write, struct pt_finding *finding)
{
	static const struct {
		bool (*keeps)(const struct pt_write *);
		struct pt_finding finding;
	} rule[] = {
		{pt_check_w2, {"W2", "a table was linked by a plain store"}},
		{pt_check_w3, {"W3", "a valid entry became another one without break-before-make"}},
		{pt_check_w9, {"W9", "a locked entry was changed by a compare-and-swap"}},
	};

	for (size_t i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		if (rule[i].keeps(write))
			continue;
		*finding = rule[i].finding;
		return false;
	}
	return true;
}
