/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: the guest hypervisor writes its tables, with and without TLBIs. */
#include "world.h"

#define CONTIGUOUS (UINT64_C(1) << 52)
#define MEMATTR	   (UINT64_C(0xf) << 2)
#define CROWD_AT   2u /* its block of the nested space */

/* ---- its memory, and its descriptors by hand ---- */

uint64_t *guest_tables_word(struct play *p, uint64_t ipa)
{
	return ipa - p->tables < GUEST_BYTES ? &p->g.memory[(ipa - p->tables) / sizeof(uint64_t)]
					     : NULL;
}

/* Between the guest's byte order and the host's. */
uint64_t guest_order(const struct play *p, uint64_t descriptor)
{
	return p->big_endian ? __builtin_bswap64(descriptor) : descriptor;
}

enum pt_outcome guest_tables_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	const uint64_t *at = guest_tables_word(arg, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	*word = *at;
	return PT_OK;
}

enum pt_outcome guest_tables_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	struct play *p = arg;
	uint64_t *at = guest_tables_word(p, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	if (*at != *word) {
		*word = *at;
		return PT_RACED;
	}
	*at = to;
	p->swaps++;
	return PT_OK;
}

static uint64_t get(const struct play *p, const uint64_t *e)
{
	return guest_order(p, *e);
}

static void put(const struct play *p, uint64_t *e, uint64_t descriptor)
{
	*e = guest_order(p, descriptor);
}

/* An output address where the format has it. */
static uint64_t placed(const struct play *p, uint64_t out)
{
	if (p->g.geo.ds)
		return (out & ~(UINT64_C(3) << 50)) | (out >> 50 & 3) << 8;
	if (p->g.geo.lpa)
		return (out & ((UINT64_C(1) << 48) - 1)) | (out >> 48 & 15) << 12;
	return out;
}

static uint64_t new_table(struct play *p)
{
	uint64_t bytes = p->guest_page, at = p->tables + p->next;

	assert_true(p->next + bytes <= GUEST_BYTES);
	p->next += bytes;
	return at;
}

/* The descriptor of `level` for `ipa`, with tables down to it. */
static uint64_t *entry(struct play *p, uint64_t ipa, int level)
{
	uint64_t table = p->tables, entries = p->guest_page / sizeof(uint64_t);

	for (int at = p->g.geo.start_level;; at++) {
		uint64_t index = ipa >> guest_level_shift(&p->g, at), next;
		uint64_t *e;

		if (at > p->g.geo.start_level)
			index &= entries - 1;
		e = guest_tables_word(p, table + index * sizeof(uint64_t));
		assert_non_null(e);
		if (at == level)
			return e;
		if ((get(p, e) & 3) != 3) {
			next = new_table(p);
			put(p, e, placed(p, next) | 3);
		}
		for (next = p->tables; placed(p, next) != (get(p, e) & ~UINT64_C(3));
		     next += p->guest_page)
			assert_true(next < p->tables + GUEST_BYTES);
		table = next;
	}
}

static uint64_t leaf(const struct play *p, uint64_t out, int level, uint64_t attrs)
{
	if (p->g.geo.ds)
		attrs &= ~(UINT64_C(3) << 8);
	return placed(p, out) | attrs | (level == 3 ? 2 : 0);
}

static void map(struct play *p, uint64_t ipa, uint64_t out, int level, uint64_t attrs)
{
	put(p, entry(p, ipa, level), leaf(p, out, level, attrs));
}

/* ---- what it writes ---- */

static uint64_t some_rights(struct play *p)
{
	static const uint64_t rights[] = {GUEST_R, GUEST_R | GUEST_W, GUEST_R | GUEST_DBM, GUEST_W};
	uint64_t never = draw(p, 2) ? draw(p, 2) * 2 : draw(p, 4); /* XN[1:0] */
	uint64_t memattr = draw(p, 2) ? GUEST_LEAF & MEMATTR : draw(p, 16) << 2;

	return (GUEST_LEAF & ~MEMATTR) | memattr | (draw(p, 4) ? GUEST_AF : 0) |
	       (draw(p, 3) ? 0 : CONTIGUOUS) | never << 53 | rights[draw(p, 4)];
}

/* Mostly one of the two that may be written. */
uint64_t some_area(struct play *p)
{
	return p->base + (draw(p, 8) ? draw(p, 2) : draw(p, AREAS)) * p->area;
}

/* The second block of the guest's space becomes a table again, with nothing in it. */
static void open_block(struct play *p)
{
	uint64_t *block = entry(p, p->nested + p->guest_block, 2);

	if ((get(p, block) & 3) == 3 || !p->table)
		return;
	put(p, block, p->table);
	memset(entry(p, p->nested + p->guest_block, 3), 0, p->guest_page);
}

uint64_t do_guest_page(struct play *p)
{
	static const unsigned page[] = {0, 1, 7};
	bool second = draw(p, 2);
	uint64_t index = second ? page[draw(p, 3)] : draw(p, 8);
	uint64_t ipa = p->nested + second * p->guest_block + index * p->guest_page;
	uint64_t out = some_area(p) + draw(p, 8) * p->guest_page;

	note(p, NESTED_GUEST_PAGE);
	if (second)
		open_block(p);
	if (draw(p, 4))
		map(p, ipa, out, 3, some_rights(p));
	else
		*entry(p, ipa, 3) = 0;
	if (second)
		p->table = get(p, entry(p, p->nested + p->guest_block, 2));
	return ipa;
}

static void do_guest_block(struct play *p)
{
	uint64_t *block = entry(p, p->nested + p->guest_block, 2);

	note(p, NESTED_GUEST_BLOCK);
	if ((get(p, block) & 3) == 3)
		p->table = get(p, block);
	put(p, block, draw(p, 4) ? leaf(p, some_area(p), 2, some_rights(p)) : 0);
}

/* The first pages are a group, or said to be one: memory side by side and rights alike, or not. */
static void do_guest_hint(struct play *p)
{
	uint64_t out = some_area(p), attrs = some_rights(p) | CONTIGUOUS;
	bool sound = draw(p, 2);

	note(p, NESTED_GUEST_HINT);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t *e = entry(p, p->nested + i * p->guest_page, 3);

		if (!sound && !draw(p, 3))
			put(p, e, get(p, e) | CONTIGUOUS);
		else
			put(p, e, leaf(p, out + i * p->guest_page, 3, attrs));
	}
}

/* It looks for what its guest has written and used, and begins anew. */
static void do_guest_clean(struct play *p)
{
	uint64_t bits = draw(p, 2) ? GUEST_AF : 0;

	note(p, NESTED_GUEST_CLEAN);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t *e = entry(p, p->nested + i * p->guest_page, 3);

		put(p, e, get(p, e) & ~(bits | (get(p, e) & GUEST_DBM ? GUEST_W : 0)));
	}
}

/* ---- aliases of one page ---- */

uint64_t crowd_ipa(const struct play *p, unsigned n)
{
	return p->nested + CROWD_AT * p->guest_block + n * p->guest_page;
}

void crowd_map(struct play *p, uint64_t out)
{
	for (unsigned n = 0; n < CROWD; n++)
		map(p, crowd_ipa(p, n), out, 3, GUEST_RWX);
}

void crowd_unmap(struct play *p)
{
	for (unsigned n = 0; n < CROWD; n++)
		*entry(p, crowd_ipa(p, n), 3) = 0;
}

void do_guest(struct play *p)
{
	uint64_t what = draw(p, 9), page = 0;

	if (what > 5) {
		do_tlbi(p);
		return;
	}
	make_room(p);
	if (what == 5)
		do_guest_hint(p);
	else if (what == 4)
		do_guest_clean(p);
	else if (what == 3)
		do_guest_block(p);
	else
		page = do_guest_page(p);
	say_everywhere(p);
	if (what < 3 && draw(p, 2)) /* as the architecture asks for */
		invalidate(p, page);
}
