/* SPDX-License-Identifier: BSD-2-Clause */
/* Dump as a strip: the IPA space in one line of letters, by the level that maps it. */
#include "dump.h"

#include "number.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>

static const char letters[PT_LEVELS] = {'P', 'T', 'G', 'M', 'K'}; /* levels -1 to 3 */

/* Bytes mapped in one letter's part of the space, by level + 1. */
struct cell {
	uint64_t bytes[PT_LEVELS];
};

struct strip {
	uint64_t from, cell_size;
	unsigned cells;
	struct cell *cell;
	uint64_t leaves[PT_LEVELS];
};

static uint64_t row_end(const struct dump *dump, const struct dump_row *r)
{
	return r->ipa + r->count * dump_span(dump, r);
}

/* From the first to behind the last mapping. False: nothing is mapped. */
static bool extent(const struct dump *dump, uint64_t *from, uint64_t *end)
{
	bool any = false;

	for (size_t i = 0; i < dump->count; i++) {
		const struct dump_row *r = &dump->rows[i];

		if (dump_class(r) != DUMP_LEAF)
			continue;
		if (!any)
			*from = r->ipa;
		*end = row_end(dump, r);
		any = true;
	}
	return any;
}

/* The smallest power of two that fits [from, end) into `width` parts, all aligned to it. */
static void choose_cell(struct strip *s, const struct dump *dump, uint64_t from, uint64_t end,
			unsigned width)
{
	unsigned shift = dump->geo.granule_shift;

	while (((end - 1) >> shift) - (from >> shift) >= width)
		shift++;
	s->cell_size = UINT64_C(1) << shift;
	s->from = from >> shift << shift;
	s->cells = (unsigned)(((end - 1) >> shift) - (from >> shift) + 1);
}

static void add_leaf(struct strip *s, const struct dump *dump, const struct dump_row *r)
{
	uint64_t at = r->ipa > s->from ? r->ipa : s->from;
	uint64_t end = row_end(dump, r), last = s->from + s->cells * s->cell_size;

	if (end > last)
		end = last;
	if (at >= end)
		return;
	s->leaves[r->level + 1] += r->count;
	while (at < end) {
		uint64_t i = (at - s->from) / s->cell_size;
		uint64_t stop = s->from + (i + 1) * s->cell_size;

		if (stop > end)
			stop = end;
		s->cell[i].bytes[r->level + 1] += stop - at;
		at = stop;
	}
}

static char letter(const struct strip *s, const struct cell *cell)
{
	uint64_t all = 0;
	unsigned most = 0;

	for (unsigned i = 0; i < PT_LEVELS; i++) {
		all += cell->bytes[i];
		if (cell->bytes[i] > cell->bytes[most])
			most = i;
	}
	if (!all)
		return '.';
	return (char)(all == s->cell_size ? letters[most] : letters[most] | 0x20);
}

static void legend(const struct strip *s, const struct dump *dump, FILE *to)
{
	bool part = false;
	char size[24];

	for (unsigned i = 0; i < PT_LEVELS; i++)
		if (s->leaves[i])
			fprintf(to, "  %c  %" PRIu64 " x %s %s, level %d\n", letters[i],
				s->leaves[i],
				number_size(pt_level_size(&dump->geo, (int)i - 1), size),
				i == PT_LEVELS - 1 ? "page" : "block", (int)i - 1);
	for (unsigned i = 0; i < s->cells; i++)
		part |= letter(s, &s->cell[i]) & 0x20 && letter(s, &s->cell[i]) != '.';
	fputs("  .  hole\n", to);
	if (part)
		fputs("  small letter: partly mapped\n", to);
}

static void draw(const struct strip *s, const struct dump *dump, FILE *to)
{
	char from[TEXT_MAX], end[TEXT_MAX], size[24];

	fprintf(to, "IPA %s to %s, a letter is %s\n",
		address_text(from, s->from, dump->geo.ipa_bits),
		address_text(end, s->from + s->cells * s->cell_size, dump->geo.ipa_bits),
		number_size(s->cell_size, size));
	fputs("  [", to);
	for (unsigned i = 0; i < s->cells; i++)
		fputc(letter(s, &s->cell[i]), to);
	fputs("]\n", to);
	legend(s, dump, to);
}

void dump_strip(const struct dump *dump, uint64_t ipa, uint64_t size, unsigned width, FILE *to)
{
	uint64_t from = ipa, end = ipa + size;
	struct strip s = {0};

	if (!size && !extent(dump, &from, &end)) {
		fprintf(to, "nothing is mapped in %u bits of IPA space\n", dump->geo.ipa_bits);
		return;
	}
	choose_cell(&s, dump, from, end, width);
	s.cell = calloc(s.cells, sizeof(*s.cell));
	if (!s.cell)
		return;
	for (size_t i = 0; i < dump->count; i++)
		if (dump_class(&dump->rows[i]) == DUMP_LEAF)
			add_leaf(&s, dump, &dump->rows[i]);
	draw(&s, dump, to);
	free(s.cell);
}
