/* SPDX-License-Identifier: BSD-2-Clause */
/* Dump in the layout of Linux's stage2_page_tables, so that the two can be compared with diff. */
#include "dump.h"

#include <inttypes.h>

/* Equal bits here, at one level: one line, whatever the output address. */
#define SHOWN (PT_PTE_VALID | PT_PTE_TYPE | PT_PTE_S2AP_R | PT_PTE_S2AP_W | PT_PTE_AF | PT_PTE_XN)

struct run {
	uint64_t start;
	pt_pte bits;
	int level;
	bool open;
};

static const char *execute(pt_pte bits)
{
	static const char *const name[] = {"px ux ", "PXNux ", "PXNUXN", "px UXN"};

	return name[(bits & PT_PTE_XN) >> 53];
}

static void line(const struct run *run, uint64_t end, FILE *to)
{
	static const char units[] = "KMGTPE";
	uint64_t size = (end - run->start) >> 10;
	const char *unit = units;
	pt_pte b = run->bits;

	for (; size && !(size & 1023) && unit[1]; unit++)
		size >>= 10;
	fprintf(to, "0x%016" PRIx64 "-0x%016" PRIx64 "   %9" PRIu64 "%c %d", run->start, end, size,
		*unit, run->level);
	if (b)
		fprintf(to, " %s %s %s %s %s %s", b & PT_PTE_VALID ? " " : "F",
			b & PT_PTE_S2AP_R ? "R" : " ", b & PT_PTE_S2AP_W ? "W" : " ", execute(b),
			b & PT_PTE_AF ? "AF" : "  ", (b & 3) == 1 ? "BLK" : "   ");
	fputc('\n', to);
}

void dump_kernel(const struct dump *dump, FILE *to)
{
	struct run run = {0};
	uint64_t end = 0;

	fputs("---[ Guest IPA ]---\n", to);
	for (size_t i = 0; i < dump->count; i++) {
		const struct dump_row *r = &dump->rows[i];
		pt_pte bits = r->descriptor & SHOWN;

		if (dump_class(r) == DUMP_TABLE)
			continue;
		if (run.open && (run.bits != bits || run.level != r->level || end != r->ipa)) {
			line(&run, end, to);
			run.open = false;
		}
		if (!run.open)
			run = (struct run){r->ipa, bits, r->level, true};
		end = r->ipa + r->count * dump_span(dump, r);
	}
	if (run.open && run.bits)
		line(&run, end, to);
}
