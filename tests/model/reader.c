/* SPDX-License-Identifier: BSD-2-Clause */
/* The independent table reader: Arm ARM D8.2 and D8.3, read once more from the start. */
#include "reader.h"

static uint64_t bits(uint64_t value, unsigned high, unsigned low)
{
	return value >> low & (((uint64_t)2 << (high - low)) - 1);
}

static bool start_level(struct reader *r, uint64_t vtcr)
{
	int sl0 = (int)bits(vtcr, 7, 6), sl2 = (int)bits(vtcr, 33, 33);

	if (r->granule == 12) {
		static const int by_sl0[] = {2, 1, 0, 3};

		r->start = sl2 ? -1 : by_sl0[sl0];
		return !sl2 || (r->ds && sl0 == 0);
	}
	r->start = 3 - sl0;
	return !sl2 && (r->granule == 14 || sl0 != 3);
}

/* OA[51:50] in 9:8 with LPA2, OA[51:48] in 15:12 with 64K and 52 bits. */
static void place_output(struct reader *r)
{
	uint64_t low = ((uint64_t)1 << r->granule) - 1;

	r->in_place = (r->ds ? 0x0003ffffffffffff : 0x0000ffffffffffff) & ~low;
	r->moved = r->ds ? 0x300 : r->lpa ? 0xf000 : 0;
	r->by = r->ds ? 42 : 36;
}

bool reader_open(struct reader *r, uint64_t vtcr, uint64_t vttbr)
{
	static const unsigned granules[] = {12, 16, 14, 0};
	static const unsigned sizes[] = {32, 36, 40, 42, 44, 48, 52, 0};

	r->granule = granules[bits(vtcr, 15, 14)];
	r->pa_bits = sizes[bits(vtcr, 18, 16)];
	r->ipa_bits = 64 - (unsigned)bits(vtcr, 5, 0);
	r->ds = bits(vtcr, 32, 32);
	r->ha = bits(vtcr, 21, 21);
	r->hd = bits(vtcr, 22, 22);
	r->lpa = r->granule == 16 && r->pa_bits == 52;
	r->root = vttbr & 0x0000ffffffffffc0;
	if (r->ds || r->lpa)
		r->root = (vttbr & 0x0000ffffffffffc0) | bits(vttbr, 5, 2) << 48;
	if (!r->granule || !r->pa_bits || !start_level(r, vtcr))
		return false;
	r->top = r->granule == 12 ? 1 : 2;
	if (r->ds || r->lpa)
		r->top--;
	if (r->top < r->start)
		r->top = r->start;
	r->attrs = UINT64_MAX;
	place_output(r);
	return true;
}

static const uint64_t *table_at(const struct reader *r, uint64_t pa, uint64_t bytes)
{
	uint64_t off = pa - r->memory_pa;

	if (pa < r->memory_pa || off >= r->memory_bytes || r->memory_bytes - off < bytes)
		return NULL;
	return (const uint64_t *)(const void *)(r->memory + off);
}

static uint64_t output_of(const struct reader *r, uint64_t e)
{
	return (e & r->in_place) | (e & r->moved) << r->by;
}

static uint64_t output_mask(const struct reader *r)
{
	return r->in_place | r->moved;
}

/* Only the bits that a table descriptor has may be set. */
static const uint64_t *child_of(const struct reader *r, uint64_t e)
{
	if (e & ~(output_mask(r) | 3))
		return NULL;
	return table_at(r, output_of(r, e), (uint64_t)1 << r->granule);
}

const char *reader_at(const struct reader *r, uint64_t ipa, struct stretch *s)
{
	unsigned stride = r->granule - 3, shift = reader_shift(r, r->start);
	uint64_t entries = (uint64_t)1 << (r->ipa_bits - shift), index = ipa >> shift;
	const uint64_t *table = table_at(r, r->root, entries * 8);
	int level = r->start;

	if (!table)
		return "the start tables lie outside the table memory";
	while (reader_is_table(__atomic_load_n(&table[index], __ATOMIC_RELAXED), level)) {
		table = child_of(r, table[index]);
		if (!table)
			return "a table lies outside the table memory, or its descriptor has other "
			       "bits set";
		level++;
		shift -= stride;
		entries = (uint64_t)1 << stride;
		index = ipa >> shift & (entries - 1);
	}
	*s = (struct stretch){.entry = table + index,
			      .ipa = ipa >> shift << shift,
			      .count = (unsigned)(entries - index),
			      .shift = shift,
			      .level = level};
	return NULL;
}

static const char *decode_attrs(struct reader *r, uint64_t e, struct cell *c)
{
	unsigned memattr = (unsigned)bits(e, 5, 2), xn = (unsigned)bits(e, 54, 53);
	unsigned normal = r->fwb ? 6 : 15;

	*c = (struct cell){.what = LEAF, .young = bits(e, 10, 10), .sw = (uint8_t)bits(e, 58, 55)};
	if (memattr != normal && memattr != 5 && memattr != 1)
		return "a memory type that nobody asks for";
	c->memtype = memattr == normal ? 0 : memattr == 5 ? 1 : 2;
	if (!r->ds && bits(e, 9, 8) != 3)
		return "a leaf is not inner shareable";
	if (bits(e, 63, 59) || bits(e, 11, 11) || (!r->ds && bits(e, 50, 48)))
		return "a reserved bit of a leaf is set";
	if (!r->xnx && (xn & 1))
		return "XN[0] is set without FEAT_XNX";
	c->group = bits(e, 52, 52);
	c->rights = (uint8_t)(bits(e, 6, 6) | bits(e, 7, 7) << 1);
	if (xn == 0 || xn == 3)
		c->rights |= 4;
	if (xn == 0 || xn == 1)
		c->rights |= 8;
	if (bits(e, 51, 51)) {
		c->dbm = true;
		c->dirty = bits(e, 7, 7);
		c->rights |= 2;
	}
	return NULL;
}

const char *reader_decode(struct reader *r, uint64_t e, int level, struct cell *cell)
{
	uint64_t attrs = e & ~(output_mask(r) | 3), at;
	const char *wrong;

	if (!(e & 1)) {
		*cell = (struct cell){.what = e ? NOTE : HOLE, .at = e};
		return e && bits(e, 63, 60) <= 1 ? "an entry between break and make was left behind"
						 : NULL;
	}
	if ((e & 3) != (level == 3 ? 3u : 1u))
		return "a leaf of the wrong type";
	if (level < r->top)
		return "a block where the format has none";
	if (attrs != r->attrs) {
		wrong = decode_attrs(r, attrs, &r->decoded);
		if (wrong)
			return wrong;
		r->attrs = attrs;
	}
	at = output_of(r, e);
	if (at >> r->pa_bits)
		return "an output address beyond the PA size";
	if (at & (((uint64_t)1 << reader_shift(r, level)) - 1))
		return "an output address that is not aligned to its block";
	*cell = r->decoded;
	cell->at = at;
	return NULL;
}

/* The output address stands at its place in the entry, but for its top bits, which a step below
 * them does not change: a carry out of the field shows as other attributes. */
unsigned reader_run(const struct reader *r, const struct stretch *s, unsigned k, unsigned most)
{
	uint64_t e = s->entry[k], step = e & 1 ? (uint64_t)1 << s->shift : 0, left;
	unsigned n = 0;

	if (step) {
		left = (((uint64_t)1 << r->pa_bits) - output_of(r, e)) >> s->shift;
		if (most >= left)
			most = left ? (unsigned)left - 1 : 0;
	}
	while (n < most && s->entry[k + 1 + n] == e + step && !((e ^ (e + step)) & ~output_mask(r)))
		e += step, n++;
	return n;
}

const char *reader_leaf(struct reader *r, uint64_t ipa, struct span *span, int *level)
{
	struct stretch s;
	const char *wrong = reader_at(r, ipa, &s);

	if (wrong)
		return wrong;
	span->lo = s.ipa;
	span->hi = s.ipa + (((uint64_t)1 << s.shift) - 1);
	*level = s.level;
	return reader_decode(r, s.entry[0], s.level, &span->cell);
}

/* ---- a whole tree ---- */

/* Entries of a contiguous group, or 0 where the format has none (Arm ARM D8.7.1). */
unsigned reader_group(const struct reader *r, int level)
{
	if (r->granule == 12)
		return level >= 1 ? 16 : 0;
	if (r->granule == 14)
		return level == 3 ? 128 : level == 2 ? 32 : 0;
	return level >= 2 ? 32 : 0;
}

/* Each entry invalid or contiguous; those with equal attributes, and consecutive outputs. */
static const char *check_group(const struct reader *r, const uint64_t *entry, unsigned index,
			       int level)
{
	const uint64_t mark = (uint64_t)1 << 52, may_differ = (uint64_t)1 << 10 | (uint64_t)1 << 7;
	unsigned n = reader_group(r, level), first = n ? index & ~(n - 1) : 0;
	uint64_t e = entry[index], size = (uint64_t)1 << reader_shift(r, level);

	if (!n)
		return "the contiguous bit where the format has no groups";
	for (unsigned i = first; i < first + n; i++) {
		uint64_t other = entry[i], want = output_of(r, e) - (index - first) * size;

		if (!(other & 1))
			continue;
		if (!(other & mark))
			return "S5: a contiguous group has a member without the bit";
		if ((other ^ e) & ~(output_mask(r) | (e >> 51 & 1 ? may_differ : 1u << 10)))
			return "S5: members of a contiguous group differ in attributes";
		if (output_of(r, other) != want + (i - first) * size || want & (n * size - 1))
			return "S5: outputs of a contiguous group are not consecutive and aligned";
	}
	return NULL;
}

static const char *census_of(struct reader *r, const uint64_t *entry, uint64_t entries, int level,
			     unsigned char *seen, struct census *c)
{
	uint64_t used = 0;

	for (uint64_t i = 0; i < entries; i++) {
		uint64_t e = entry[i];
		const char *wrong = NULL;
		struct cell cell;

		if (!e)
			continue;
		used++;
		if (reader_is_table(e, level)) {
			const uint64_t *child = child_of(r, e);
			uint64_t page = (output_of(r, e) - r->memory_pa) >> r->granule;

			if (!child)
				return "a table lies outside the table memory";
			if (seen[page << (r->granule - 12)]++)
				return "S1: a table page is linked twice";
			c->tables++;
			wrong = census_of(r, child, (uint64_t)1 << (r->granule - 3), level + 1,
					  seen, c);
		} else {
			wrong = reader_decode(r, e, level, &cell);
			c->notes += cell.what == NOTE;
			c->leaves[level + 1] += cell.what == LEAF;
			if (!wrong && e >> 52 & 1 && cell.what == LEAF) {
				c->contiguous++;
				wrong = check_group(r, entry, (unsigned)i, level);
			}
		}
		if (wrong)
			return wrong;
	}
	c->empty += !used && level > r->start;
	return NULL;
}

const char *reader_census(struct reader *r, unsigned char *seen, struct census *census)
{
	uint64_t entries = (uint64_t)1 << (r->ipa_bits - reader_shift(r, r->start));
	const uint64_t *table = table_at(r, r->root, entries * 8);

	*census = (struct census){0};
	if (!table)
		return "the start tables lie outside the table memory";
	return census_of(r, table, entries, r->start, seen, census);
}
