/* SPDX-License-Identifier: BSD-2-Clause */
/* Rights are taken from what shadows have of a stretch of canonical pages, or their access flags
 * are asked for, a table at a time. */
#include "bulk.h"
#include "kill.h"
#include "links.h"

/*
 * A guest maps most of its memory in order: behind the leaf that a page's list leads to stand those
 * of the pages behind it. So its table is gone through from there on, each entry with its link, as
 * if the lists had led to it; nobody is kept out, and what others change meanwhile is theirs to see
 * to, as ever.
 *
 * What is left to find out is which pages need no look of their own: those all of whose links have
 * been met. How many a page has is read before. None is entered after that, since fills keep out of
 * what is claimed; so each that is met was one of these, and as many are all of them. Those that
 * leave their list meanwhile are missed, and their page is looked at.
 */
#define PAGES (2 * PT__HEADS_A_PIECE)
#define RUN   (1u << PT__STRIPE_BITS)
#define NEVER UINT8_MAX /* more than any list has */
#define WORTH 8		/* entries that may be looked at for a leaf */

/* Canonical pages [first, first + pages), whose heads stand in two pieces. */
struct strip {
	struct pt_nested *nested;
	struct pt__kills *kills;
	struct pt__ages *ages; /* instead of kills */
	const struct pt_shadow_search *s;
	const pt__word *heads[2]; /* NULL: none there says anything */
	uint64_t first;
	uint32_t pages;
	uint32_t windows, looked, taken;
	struct window {
		const struct pt_shadow *shadow;
		uint64_t lo, hi; /* nested IPAs, inclusive */
	} window[PT_SHADOW_LINKS];
	uint8_t links[PAGES], left[PAGES]; /* of each page: there were, and have not been met */
};

/* ---- pages ---- */

static void bound(struct strip *b, uint64_t most)
{
	const struct pt_shadow_search *s = b->s;
	uint64_t end = (s->at | (PAGES - 1)) + 1, last = s->hi >> 12;

	if (most < RUN)
		most = RUN;
	if (end > last + 1)
		end = last + 1;
	b->first = s->at;
	b->pages = (uint32_t)(end - s->at < most ? end - s->at : most);
}

/* The pages from `from` on that are under one lock: up to which. */
static uint32_t run_end(const struct strip *b, uint32_t from)
{
	uint64_t end = ((b->first + from) | (RUN - 1)) + 1 - b->first;

	return end < b->pages ? (uint32_t)end : b->pages;
}

/* Of page `i`: in the upper half of its word if its number is odd. */
static uint64_t head_of(const struct strip *b, uint32_t i)
{
	uint64_t at = b->first % PAGES + i;
	const pt__word *heads = b->heads[at / PT__HEADS_A_PIECE];

	at %= PT__HEADS_A_PIECE;
	return heads ? pt__head_in(pt__get(heads + at / 2), at % 2 * PT__HEAD_BITS) : 0;
}

static void find_heads(struct strip *b)
{
	uint64_t at = b->first & ~(uint64_t)(PAGES - 1);

	for (unsigned i = 0; i < 2; i++, at += PT__HEADS_A_PIECE)
		b->heads[i] = pt__place_word(b->nested, pt__head_place(b->nested, 0, at << 12));
}

/* With the lock. */
static uint8_t links_of(const struct strip *b, uint64_t head)
{
	return pt__head_inexact(head) ? NEVER : (uint8_t)pt__list_count(b->nested, head);
}

/* Pages [from, end) of a run. One whose link is about to leave is counted with it, or it has left:
 * hence the lock. */
static void count(struct strip *b, uint32_t from, uint32_t end)
{
	struct pt_port_lock *lock = &pt__stripe_of(b->nested, 0, (b->first + from) << 12)->lock;
	uint64_t any = 0;

	for (uint32_t i = from; i < end; i++)
		any |= head_of(b, i);
	__builtin_memset(b->links + from, 0, end - from);
	__builtin_memset(b->left + from, 0, end - from);
	if (!any)
		return;
	pt_port_lock(lock);
	for (uint32_t i = from; i < end; i++)
		b->links[i] = b->left[i] = links_of(b, head_of(b, i));
	pt_port_unlock(lock);
}

static void count_all(struct strip *b)
{
	for (uint32_t i = 0, end; i < b->pages; i = end) {
		end = run_end(b, i);
		count(b, i, end);
	}
}

/* ---- entries ---- */

static void meet(struct strip *b, uint64_t word)
{
	uint64_t page = (pt__link_canonical(word) >> 12) - b->first;

	if (page < b->pages && !(word & PT__LINK_NO_LIST))
		b->left[page]--;
}

/* Is memory that a leaf has, from `canonical` on, all concerned? An access flag that is cleared has
 * to be told of, so those of pages that are not gone through now stay. */
static bool is_concerned(const struct strip *b, uint64_t canonical, unsigned shift)
{
	if (b->ages)
		return (canonical >> 12) - b->first < b->pages;
	return canonical >= b->s->lo && canonical + ((UINT64_C(1) << shift) - 1) <= b->s->hi;
}

/* True: there is something to flush. */
static bool take_one(struct strip *b, struct pt__spot spot, pt_pte *slot, pt_pte e,
		     uint64_t canonical)
{
	enum pt__hit hit;

	if (b->ages) {
		if (pt__is_young(slot, e, b->ages->clear))
			b->ages->young[(canonical - b->s->lo) >> b->ages->shift] = 1;
		b->taken++;
		return false;
	}
	hit = pt__hit(b->kills, spot, slot, e, canonical);
	b->taken += hit == PT__HIT_TAKEN;
	return hit >= PT__HIT_OWES;
}

/* Entries from `slot` on, and their links, which stand in one piece. True: as above. */
static bool take(struct strip *b, struct pt__spot spot, pt_pte *slot, const pt__word *link,
		 uint32_t entries)
{
	const unsigned stride = PT__LINK_WORDS << (spot.shift - 12);
	bool owes = false;

	for (; entries--; slot++, link += stride) {
		pt_pte e = pt_pte_load(slot);
		uint64_t word, canonical;

		if (!e)
			continue;
		word = pt__get(link + 1); /* a claim without one is of a fill that looks again */
		canonical = pt__link_canonical(word);
		if (!(word & PT__LINK_SET) || !is_concerned(b, canonical, spot.shift))
			continue;
		owes |= take_one(b, spot, slot, e, canonical);
		meet(b, word);
	}
	return owes;
}

static void flush(struct strip *b, struct pt_shadow *shadow, uint64_t lo, uint64_t hi)
{
	struct pt_ledger ledger;

	pt_port_fence_full(); /* the descriptor before the VMID: lib/txn/vmid.c */
	pt_ledger_init(&ledger, &shadow->ctx);
	pt_ledger_add(&ledger, lo, hi, PT_LEVEL_LAST, false);
	b->kills->tlbis += pt_ledger_discharge(&ledger);
}

/* What a piece of links spans. */
#define PIECE_SPAN ((uint64_t)PT__LINKS_A_PIECE << 12)

static void take_window(struct strip *b, struct pt__spot spot, pt_pte *slot, uint64_t last)
{
	uint64_t lo = spot.ipa.v;
	bool owes = false;

	while (spot.ipa.v <= last) {
		uint64_t end = (spot.ipa.v | (PIECE_SPAN - 1)) < last
				       ? spot.ipa.v | (PIECE_SPAN - 1)
				       : last;
		uint32_t entries = (uint32_t)((end + 1 - spot.ipa.v) >> spot.shift);
		const pt__word *link =
			pt__place_word(b->nested, pt__link_place(spot.shadow, 0, spot.ipa.v));

		if (link)
			owes |= take(b, spot, slot, link, entries);
		b->looked += entries;
		slot += entries;
		spot.ipa.v = end + 1;
	}
	if (owes)
		flush(b, spot.shadow, lo, last);
}

/* Has none of it been gone through? An entry is met once, or its page has one too few. */
static bool is_apart(const struct strip *b, const struct window *next)
{
	for (const struct window *w = b->window; w < b->window + b->windows; w++)
		if (w->shadow == next->shadow && w->lo <= next->hi && next->lo <= w->hi)
			return false;
	return true;
}

static void strip_from(struct strip *b, struct pt__spot spot)
{
	const struct pt_ctx *ctx = &spot.shadow->ctx;
	uint64_t table = pt_level_size(&ctx->geo, PT_LEVEL_LAST - 1) - 1;
	uint64_t page = UINT64_C(1) << spot.shift;
	uint64_t most = (((uint64_t)b->pages << 12) + page - 1) & ~(page - 1);
	struct window w = {.shadow = spot.shadow, .lo = spot.ipa.v, .hi = spot.ipa.v | table};
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, spot.ipa.v, PT_LEVEL_LAST, 12, &at),
		       pt__descend(ctx, spot.ipa.v, PT_LEVEL_LAST, 14, &at),
		       pt__descend(ctx, spot.ipa.v, PT_LEVEL_LAST, 16, &at));
	if (at.level != PT_LEVEL_LAST)
		return;
	if (w.hi - w.lo >= most)
		w.hi = w.lo + most - 1;
	if (!is_apart(b, &w))
		return;
	b->window[b->windows++] = w;
	take_window(b, spot, at.slot, w.hi);
}

static bool strip(struct pt_nested *nested, struct pt__kills *kills, struct pt__ages *ages,
		  struct pt_shadow_search *s, int64_t *left)
{
	struct pt__found found[PT_SHADOW_LINKS];
	struct strip b; /* large, and written before it is read */
	uint64_t won, head;
	uint32_t n = pt__links_collect(nested, 0, s->at << 12, found, &head), done = 0;

	if (!n || pt__head_inexact(head))
		return false;
	b.nested = nested;
	b.kills = kills;
	b.ages = ages;
	b.s = s;
	b.windows = b.looked = b.taken = 0;
	bound(&b, *left > 0 ? (uint64_t)*left / n : 0);
	find_heads(&b);
	count_all(&b);
	for (uint32_t i = 0; i < n; i++)
		strip_from(&b, found[i].spot);
	won = b.taken;
	for (; done < b.pages && !b.left[done]; done++)
		won += b.links[done];
	s->at += done;
	if (won * WORTH < b.looked)
		s->whole_at = (b.first + b.pages) << 12;
	if (ages && ages->end < (b.first + b.pages) << 12)
		ages->end = (b.first + b.pages) << 12;
	*left -= b.looked;
	return done;
}

bool pt__strip(struct pt_nested *nested, struct pt__kills *kills, struct pt_shadow_search *s,
	       int64_t *left)
{
	return strip(nested, kills, NULL, s, left);
}

bool pt__strip_ages(struct pt_nested *nested, struct pt__ages *ages, struct pt_shadow_search *s,
		    int64_t *left)
{
	return strip(nested, NULL, ages, s, left);
}
