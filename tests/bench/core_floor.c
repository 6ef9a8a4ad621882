/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any transition of one page has to do, and nothing else: find an entry in each of two trees
 * of tables and exchange it, write a word for the frame, and part one of 100 000 extents in three
 * in an index. Nothing is checked, nobody is kept off, nothing can fail, and nothing is said.
 *
 * The tables are those of the rows beside it, where each entry is exchanged for itself. The index
 * is one of two:
 * - sorted: an array of leaves of 32 entries and an array of their first keys; no leaf is ever full
 *   here;
 * - by bits: a bit for each page, set where an extent begins, and what the extent says in a place
 *   of the page's own. Nothing is searched, nothing moves, and the bits of all pages stay in the
 *   caches; but each page has room for an extent.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define PAGE	 UINT64_C(4096)
#define ROOM	 32u
#define FILL	 16u /* entries of a leaf at the beginning */
#define PER_LINE 4u  /* entries in a cache line */

struct entry {
	uint64_t from, says;
};

struct leaf {
	struct entry entry[ROOM];
};

struct says {
	uint64_t who, meta, id, unused;
};

struct bench_floor {
	struct leaf *leaf;
	uint64_t *first;   /* of each leaf */
	uint32_t *count;   /* of its entries */
	uint64_t *record;  /* of each page */
	uint64_t *begins;  /* a bit of each page */
	struct says *says; /* of each page */
	uint32_t leaves;
};

static void *memory(uint64_t bytes)
{
	void *at = aligned_alloc(PAGE, (bytes + PAGE - 1) & -PAGE);

	check(at != NULL, "memory for the bench", 0, bytes);
	memset(at, 0, bytes); /* it is there */
	return at;
}

static void begin_extent(struct bench_floor *f, uint64_t page)
{
	f->begins[page / 64] |= UINT64_C(1) << page % 64;
}

/* `extents` of one page each, `apart` pages from one to the next. */
struct bench_floor *bench_floor_open(uint64_t extents, uint64_t apart)
{
	uint64_t pages = extents * apart, entries = 2 * extents;
	struct bench_floor *f = calloc(1, sizeof(*f));

	check(f != NULL, "memory for the bench", 0, 1);
	f->leaves = (uint32_t)((entries + FILL - 1) / FILL);
	f->leaf = memory(f->leaves * sizeof(*f->leaf));
	f->first = memory(f->leaves * sizeof(*f->first));
	f->count = memory(f->leaves * sizeof(*f->count));
	f->record = memory(pages * sizeof(*f->record));
	f->begins = memory(pages / 8 + 8);
	f->says = memory(pages * sizeof(*f->says));
	for (uint64_t i = 0; i < entries; i++) {
		struct entry e = {i / 2 * apart + i % 2, i};

		f->leaf[i / FILL].entry[f->count[i / FILL]++] = e;
		begin_extent(f, e.from);
		f->says[e.from].who = i;
		if (i % FILL == 0)
			f->first[i / FILL] = e.from;
	}
	return f;
}

void bench_floor_close(struct bench_floor *f)
{
	free(f->leaf);
	free(f->first);
	free(f->count);
	free(f->record);
	free(f->begins);
	free(f->says);
	free(f);
}

static inline uint32_t leaf_of(const struct bench_floor *f, uint64_t page)
{
	const uint64_t *at = f->first;
	uint32_t left = f->leaves;

	while (left > 1) {
		uint32_t half = left / 2;

		at = at[half] <= page ? at + half : at;
		left -= half;
	}
	return (uint32_t)(at - f->first);
}

static inline uint32_t place_of(const struct leaf *leaf, uint32_t count, uint64_t page)
{
	uint32_t i = 0;

	while (i < count && leaf->entry[i].from <= page)
		i++;
	return i;
}

static inline pt_pte exchange(pt_pte *slot)
{
	return __atomic_exchange_n(slot, __atomic_load_n(slot, __ATOMIC_ACQUIRE), __ATOMIC_ACQ_REL);
}

void bench_floor_part_sorted(struct bench_floor *f, const struct pt_ctx *host, uint64_t pa,
			     const struct pt_ctx *guest, uint64_t ipa, const struct pt_port *port,
			     uint64_t page)
{
	pt_pte *gives = bench_slot_of(host, port, pa), *receives = bench_slot_of(guest, port, ipa);
	uint32_t at = leaf_of(f, page), count = f->count[at], i;
	struct leaf *leaf = &f->leaf[at];

	pt_port_prefetch(gives);
	pt_port_prefetch(receives);
	pt_port_prefetch(&f->record[page]);
	for (i = 0; i < ROOM; i += PER_LINE)
		pt_port_prefetch(&leaf->entry[i].from);
	exchange(gives);
	f->record[page]++;
	i = place_of(leaf, count, page);
	memmove(&leaf->entry[i + 2], &leaf->entry[i], (count - i) * sizeof(leaf->entry[0]));
	leaf->entry[i] = (struct entry){page, ipa};
	leaf->entry[i + 1] = (struct entry){page + 1, leaf->entry[i - 1].says};
	f->count[at] = count + 2;
	exchange(receives);
}

void bench_floor_join_sorted(struct bench_floor *f, uint64_t page)
{
	uint32_t at = leaf_of(f, page), count = f->count[at], i;
	struct leaf *leaf = &f->leaf[at];

	i = place_of(leaf, count, page);
	check_eq("floor: what was parted", leaf->entry[i - 1].from, page);
	memmove(&leaf->entry[i - 1], &leaf->entry[i + 1], (count - i - 1) * sizeof(leaf->entry[0]));
	f->count[at] = count - 2;
}

/* Where the extent of a page begins; here in its word or the one before. */
static inline uint64_t begin_of(const struct bench_floor *f, uint64_t page)
{
	uint64_t at = page / 64, bits = f->begins[at] & -1ULL >> (63 - page % 64);

	if (!bits)
		bits = f->begins[--at];
	return at * 64 + 63 - (uint64_t)__builtin_clzll(bits);
}

pt_pte bench_floor_part_bits(struct bench_floor *f, const struct pt_ctx *host, uint64_t pa,
			     const struct pt_ctx *guest, uint64_t ipa, const struct pt_port *port,
			     uint64_t page)
{
	pt_pte *gives = bench_slot_of(host, port, pa), *receives = bench_slot_of(guest, port, ipa);
	uint64_t begin;

	pt_port_prefetch(gives);
	pt_port_prefetch(receives);
	pt_port_prefetch(&f->record[page]);
	pt_port_prefetch(&f->says[page].who);
	pt_port_prefetch(&f->says[page + 1].who);
	begin = begin_of(f, page);
	pt_port_prefetch(&f->says[begin].who);
	exchange(gives);
	f->record[page]++;
	f->says[page] = (struct says){.who = ipa};
	f->says[page + 1] = f->says[begin];
	f->says[page + 1].who += page + 1 - begin;
	begin_extent(f, page);
	begin_extent(f, page + 1);
	return exchange(receives);
}

void bench_floor_join_bits(struct bench_floor *f, uint64_t page)
{
	check_eq("floor: what was parted", begin_of(f, page), page);
	f->begins[page / 64] &= ~(UINT64_C(1) << page % 64);
	page++;
	f->begins[page / 64] &= ~(UINT64_C(1) << page % 64);
}
