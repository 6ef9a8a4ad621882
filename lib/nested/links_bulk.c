/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map: links of whole leaf tables are looked at and dropped, a piece of them at a time.
 */
#include "bulk.h"
#include "links.h"

#include "../walk/inline.h"

/*
 * The lists of canonical pages that go are not taken apart: links of the tables at hand are counted
 * for each piece, and where that is all that its head counts the head is cleared. What is left is
 * taken out link by link: pages that others have a leaf of, too, or have begun to make one of
 * meanwhile.
 *
 * That is done for 2 MiB of the tables at a time, and for the 2 MiB of canonical pages that the
 * first link there names: two pieces of heads. Most often a guest maps such spans as they are.
 */
#define PART_SHIFT 21
#define HEADS	   512u
#define RUN	   (1u << PT__STRIPE_BITS)

struct part {
	struct pt_nested *nested;
	struct pt_agent *agent;
	uint64_t heads;	   /* number of the first head */
	uint64_t kept;	   /* heads that kept their pieces, and are 0 now */
	uint8_t of[HEADS]; /* links of the tables in the list of each */
};

/* ---- looked at ---- */

/* What a piece of links spans. */
#define PIECE_SPAN ((uint64_t)PT__LINKS_A_PIECE << 12)

static unsigned granule_of(const struct pt__aside *t)
{
	return t->shadow->ctx.geo.granule_shift;
}

/* From one link to the next, in pages of 4 KiB: every granule has one. */
static unsigned step_of(const struct pt__aside *t)
{
	return 1u << (granule_of(t) - 12);
}

static pt__word *piece_of(const struct pt__aside *t, uint64_t ipa)
{
	return pt__place_word(t->shadow->nested, pt__link_place(t->shadow, 0, ipa));
}

/* Does a piece say that pages of the guest's are canonical ones in their order, all in lists? Most
 * do, and the links need not be looked at one by one. */
PT__INLINE bool is_run_of(const pt__word *piece, unsigned step)
{
	const unsigned stride = PT__LINK_WORDS * step;
	uint64_t expected = pt__peek(piece + 1);
	uint64_t differ = (expected ^ PT__LINK_SET) & (PT__LINK_SET | PT__LINK_NO_LIST);

	for (unsigned i = 1; i < PT__LINK_RUN; i += 4 * stride, expected += 4 * step) {
		differ |= pt__peek(piece + i) ^ expected;
		differ |= pt__peek(piece + i + stride) ^ (expected + step);
		differ |= pt__peek(piece + i + 2 * stride) ^ (expected + 2 * step);
		differ |= pt__peek(piece + i + 3 * stride) ^ (expected + 3 * step);
	}
	return !(differ & ~PT__LINK_COUNT);
}

static bool is_run(const struct pt__aside *t, const pt__word *piece)
{
	return granule_of(t) == 12   ? is_run_of(piece, 1)
	       : granule_of(t) == 14 ? is_run_of(piece, 4)
				     : is_run_of(piece, 16);
}

static bool is_within(uint64_t word, uint64_t lo, uint64_t hi)
{
	uint64_t canonical = pt__link_canonical(word);

	return !(word & PT__LINK_SET) ||
	       (canonical >= lo && canonical + ((UINT64_C(1) << pt__link_shift(word)) - 1) <= hi);
}

/* The bit of t->runs for the piece of links for `ipa`; none of the 65th and those behind. */
static uint64_t run_bit(const struct pt__aside *t, uint64_t ipa)
{
	uint64_t n = (ipa - t->ipa) / PIECE_SPAN;

	return n < 64 ? UINT64_C(1) << n : 0;
}

static bool piece_is_within(struct pt__aside *t, uint64_t ipa, const pt__word *piece, uint64_t lo,
			    uint64_t hi)
{
	const unsigned stride = PT__LINK_WORDS * step_of(t);

	if (is_run(t, piece)) {
		t->runs |= run_bit(t, ipa);
		return is_within(pt__peek(piece + 1), lo, hi) &&
		       is_within(pt__peek(piece + PT__LINK_RUN - stride + 1), lo, hi);
	}
	for (unsigned i = 1; i < PT__LINK_RUN; i += stride)
		if (!is_within(pt__peek(piece + i), lo, hi))
			return false;
	return true;
}

#define LINE_WORDS 8

void pt__links_fetch(const struct pt__aside *t)
{
	uint64_t end = t->ipa + (UINT64_C(1) << PART_SHIFT);

	for (uint64_t ipa = t->ipa; ipa < end; ipa += PIECE_SPAN) {
		const pt__word *piece = piece_of(t, ipa);

		for (unsigned i = 0; piece && i < PT__LINK_RUN; i += LINE_WORDS)
			pt__fetch(piece + i);
	}
}

void pt__links_fetch_ends(const struct pt__aside *t)
{
	const pt__word *first = piece_of(t, t->ipa), *last = piece_of(t, t->last);

	if (first)
		pt__fetch(first);
	if (last)
		pt__fetch(last + PT__LINK_RUN - PT__LINK_WORDS * step_of(t));
}

bool pt__links_seem_within(const struct pt__aside *t, uint64_t lo, uint64_t hi)
{
	uint64_t page = UINT64_C(1) << granule_of(t);
	const uint64_t at[] = {t->ipa, t->last + 1 - page};

	for (unsigned i = 0; i < 2; i++) {
		const pt__word *link = piece_of(t, at[i]);

		if (link && !is_within(pt__get(link + 1), lo, hi))
			return false;
	}
	return true;
}

bool pt__links_are_within(struct pt__aside *t, uint64_t lo, uint64_t hi)
{
	t->runs = 0;
	for (uint64_t ipa = t->ipa; ipa <= t->last; ipa += PIECE_SPAN) {
		const pt__word *piece = piece_of(t, ipa);

		if (piece && !piece_is_within(t, ipa, piece, lo, hi))
			return false;
	}
	return true;
}

/* ---- dropped ---- */

static bool is_listed(uint64_t word)
{
	return (word & (PT__LINK_SET | PT__LINK_NO_LIST)) == PT__LINK_SET;
}

static void take_out(const struct part *p, pt__word *link)
{
	uint64_t canonical = pt__link_canonical(pt__peek(link + 1));
	struct pt__place head = pt__head_place(p->nested, 0, canonical);
	struct pt_port_lock *lock = &pt__stripe_of(p->nested, 0, canonical)->lock;
	pt__word *word = pt__place_word(p->nested, head);
	bool last;

	pt_port_lock(lock);
	last = pt__list_take_out(p->nested, link, word, head.half);
	pt_port_unlock(lock);
	if (last)
		pt__sparse_let_go(head.tree, head.ends, &p->nested->store, p->agent, head.n);
}

static uint64_t head_of(const pt__word *link)
{
	return pt__link_canonical(pt__peek(link + 1)) >> 12;
}

/* A whole piece of links at once. False: one by one. */
static bool count_run(struct part *p, const struct pt__aside *t, uint64_t ipa,
		      const pt__word *piece)
{
	uint64_t from = head_of(piece) - p->heads;
	uint8_t *of;

	if (from > HEADS - PT__LINKS_A_PIECE || !(t->runs & run_bit(t, ipa)))
		return false;
	of = p->of + from;
	if (granule_of(t) == 12)
		for (unsigned i = 0; i < PT__LINKS_A_PIECE; i++)
			of[i]++;
	else
		for (unsigned i = 0; i < PT__LINKS_A_PIECE; i += step_of(t))
			of[i]++;
	return true;
}

/* A link is counted; those that are listed elsewhere are taken out. */
static void count(struct part *p, const struct pt__aside *t, uint64_t ipa, pt__word *piece)
{
	const unsigned stride = PT__LINK_WORDS * step_of(t);

	if (p->heads != UINT64_MAX && count_run(p, t, ipa, piece))
		return;
	for (unsigned i = 0; i < PT__LINK_RUN; i += stride) {
		uint64_t head = head_of(piece + i);

		if (!is_listed(pt__peek(piece + i + 1)))
			continue;
		if (p->heads == UINT64_MAX)
			p->heads = head & ~(uint64_t)(HEADS - 1);
		if (head - p->heads < HEADS)
			p->of[head - p->heads]++;
		else
			take_out(p, piece + i);
	}
}

/* Links of lists that have others, too. */
static void finish(struct part *p, const struct pt__aside *t, uint64_t ipa, pt__word *piece)
{
	const unsigned stride = PT__LINK_WORDS * step_of(t);

	(void)ipa;
	for (unsigned i = 0; i < PT__LINK_RUN; i += stride) {
		uint64_t head = head_of(piece + i) - p->heads;

		if (is_listed(pt__peek(piece + i + 1)) && head < HEADS && p->of[head])
			take_out(p, piece + i);
	}
}

typedef void (*piece_fn)(struct part *p, const struct pt__aside *t, uint64_t ipa, pt__word *piece);

/* Each piece of the part of each table. */
static void each_piece(struct part *p, const struct pt__aside table[], uint32_t tables, uint64_t at,
		       piece_fn fn)
{
	for (const struct pt__aside *t = table; t < table + tables; t++) {
		uint64_t end = t->ipa + at + (UINT64_C(1) << PART_SHIFT);

		for (uint64_t ipa = t->ipa + at; ipa < end && ipa <= t->last; ipa += PIECE_SPAN) {
			pt__word *piece = piece_of(t, ipa);

			if (piece)
				fn(p, t, ipa, piece);
		}
	}
}

static bool any_of(const struct part *p, unsigned from)
{
	unsigned sum = 0;

	for (unsigned i = from; i < from + RUN; i++)
		sum |= p->of[i];
	return sum;
}

/* The heads of a run whose lists are these links and no others. True: there are others. */
static bool clear_run(struct part *p, unsigned from)
{
	pt__word *heads =
		pt__place_word(p->nested, pt__head_place(p->nested, 0, (p->heads + from) << 12));
	struct pt_port_lock *lock = &pt__stripe_of(p->nested, 0, (p->heads + from) << 12)->lock;
	uint8_t *of = p->of + from;
	bool rest = false;

	pt_port_lock(lock);
	for (unsigned i = 0; i < RUN; i++) {
		unsigned half = i % 2 * PT__HEAD_BITS;
		uint64_t head = pt__head_in(pt__peek(heads + i / 2), half);

		if (!of[i])
			continue;
		if (pt__list_count(p->nested, head) != of[i]) {
			rest = true;
			continue;
		}
		pt__head_set(heads + i / 2, half, head & PT__HEAD_INEXACT);
		p->kept += !(head & PT__HEAD_INEXACT);
		of[i] = 0;
	}
	pt_port_unlock(lock);
	return rest;
}

/* The part of each table from `at` on. */
static void drop_part(struct part *p, const struct pt__aside table[], uint32_t tables, uint64_t at)
{
	struct pt_sparse *tree = &p->nested->heads[0];
	bool rest = false;

	p->heads = UINT64_MAX;
	p->kept = 0;
	__builtin_memset(p->of, 0, sizeof(p->of));
	each_piece(p, table, tables, at, count);
	if (p->heads == UINT64_MAX)
		return;
	for (unsigned i = 0; i < HEADS; i += RUN)
		rest |= any_of(p, i) && clear_run(p, i);
	if (rest)
		each_piece(p, table, tables, at, finish);
	if (p->kept)
		pt__sparse_let_go_of(tree, PT__HEAD_ENDS, &p->nested->store, p->agent, p->heads / 2,
				     p->kept);
}

void pt__links_drop(struct pt_nested *nested, struct pt_agent *agent,
		    const struct pt__aside table[], uint32_t tables)
{
	struct part p = {.nested = nested, .agent = agent};
	struct pt__gone gone = {{0, 0}, {0, 0}};
	uint64_t most = 0;

	for (uint32_t i = 0; i < tables; i++)
		if (most < table[i].last - table[i].ipa)
			most = table[i].last - table[i].ipa;
	for (uint64_t at = 0; tables && at <= most; at += UINT64_C(1) << PART_SHIFT)
		drop_part(&p, table, tables, at);
	for (uint32_t i = 0; i < tables; i++) {
		const struct pt__aside *t = &table[i];

		pt__sparse_drop(&t->shadow->directory[0], &nested->store,
				pt__link_place(t->shadow, 0, t->ipa).n,
				pt__link_place(t->shadow, 0, t->last + 1).n, &gone);
	}
	pt__sparse_retire(PT__LINK_ENDS, &nested->store, agent, &gone);
}
