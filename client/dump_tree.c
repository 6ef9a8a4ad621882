/* SPDX-License-Identifier: BSD-2-Clause */
/* Dump as a tree: each table with its PA, below it what it maps. */
#include "dump.h"

#include "number.h"
#include "text.h"

#include <inttypes.h>

enum dump_class dump_class(const struct dump_row *row)
{
	if (!row->descriptor)
		return DUMP_HOLE;
	if (pt_pte_is_table(row->descriptor, row->level))
		return DUMP_TABLE;
	return pt_pte_is_leaf(row->descriptor, row->level) ? DUMP_LEAF : DUMP_INVALID;
}

uint64_t dump_span(const struct dump *dump, const struct dump_row *row)
{
	return pt_level_size(&dump->geo, row->level);
}

static void indent(const struct dump *dump, int level, FILE *to)
{
	fprintf(to, "%*s", 2 * (level - dump->geo.start_level + 1), "");
}

static void range(const struct dump *dump, const struct dump_row *r, FILE *to)
{
	uint64_t size = r->count * dump_span(dump, r);
	char from[TEXT_MAX], last[TEXT_MAX];

	indent(dump, r->level, to);
	fprintf(to, "%s-%s", address_text(from, r->ipa, dump->geo.ipa_bits),
		address_text(last, r->ipa + size - 1, dump->geo.ipa_bits));
}

static void leaf(const struct dump *dump, const struct dump_row *r, FILE *to)
{
	uint64_t pa = pt_pte_to_oa(&dump->geo, r->descriptor).v;
	const char *what = r->level == PT_LEVEL_LAST ? "page" : "block";
	char size[24], prot[TEXT_MAX];

	range(dump, r, to);
	fprintf(to, " -> 0x%" PRIx64 "  %" PRIu64 " %s%s of %s  %s%s%s\n", pa, r->count, what,
		r->count == 1 ? "" : "s", number_size(dump_span(dump, r), size),
		prot_text(prot, pt_leaf_prot(&dump->geo, r->descriptor, dump->attrs)),
		r->descriptor & PT_PTE_AF ? " AF" : "",
		r->descriptor & PT_PTE_CONTIGUOUS ? " contiguous" : "");
}

static void other(const struct dump *dump, const struct dump_row *r, FILE *to)
{
	range(dump, r, to);
	if (pt_pte_locked(r->descriptor))
		fputs("  between break and make\n", to);
	else
		fprintf(to, "  invalid, kept value 0x%016" PRIx64 "\n", r->descriptor);
}

static void table(const struct dump *dump, const struct dump_row *r, FILE *to)
{
	char at[TEXT_MAX];

	indent(dump, r->level, to);
	fprintf(to, "table 0x%" PRIx64 "  level %d  IPA %s\n",
		pt_pte_to_oa(&dump->geo, r->descriptor).v, r->level + 1,
		address_text(at, r->ipa, dump->geo.ipa_bits));
}

void dump_tree(const struct dump *dump, FILE *to)
{
	char granule[24], bytes[24];

	fprintf(to, "root 0x%" PRIx64 "  level %d  %s granule, %u-bit IPA, %s of start tables\n",
		dump->root, dump->geo.start_level,
		number_size(UINT64_C(1) << dump->geo.granule_shift, granule), dump->geo.ipa_bits,
		number_size(dump->geo.start_bytes, bytes));
	for (size_t i = 0; i < dump->count; i++) {
		const struct dump_row *r = &dump->rows[i];

		switch (dump_class(r)) {
		case DUMP_TABLE: table(dump, r, to); break;
		case DUMP_LEAF: leaf(dump, r, to); break;
		case DUMP_INVALID: other(dump, r, to); break;
		case DUMP_HOLE: break;
		}
	}
}
