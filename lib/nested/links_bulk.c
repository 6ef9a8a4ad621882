/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map: links of whole leaf tables are looked at and dropped, a page of them at a time.
 */
#include "bulk.h"
#include "links.h"

/*
 * The lists of canonical pages that go are not taken apart: links of the tables at hand are counted
 * for each page, and where that is all that its head counts the head is cleared. What is left is
 * taken out link by link: pages that others have a leaf of, too, or have begun to make one of
 * meanwhile.
 *
 * That is done for 2 MiB of the tables at a time, and for the 2 MiB of canonical pages that the
 * first link there names: a page of heads. Most often a guest maps such spans as they are.
 */
#define PART_SHIFT 21
#define HEADS	   PT__PAGE_WORDS
#define RUN	   (1u << (PT__STRIPE_SHIFT - 12))
#define COUNT_MASK (UINT64_C(127) * PT__HEAD_ONE)

struct part {
	struct pt_nested *nested;
	struct pt_agent *agent;
	uint64_t heads;	   /* number of the first head */
	uint64_t kept;	   /* links that kept the page of heads, and are in no list any more */
	uint8_t of[HEADS]; /* links of the tables in the list of each */
};

/* ---- looked at ---- */

/* From one link to the next: every granule has one. */
static unsigned stride(const struct pt_shadow *shadow)
{
	return PT__LINK_WORDS << (shadow->ctx.geo.granule_shift - 12);
}

static pt__word *page_of(const struct pt__aside *t, uint64_t ipa)
{
	return pt__place_word(t->shadow->nested, pt__link_place(t->shadow, 0, ipa));
}

/* What a page of links spans. */
#define PAGE_SPAN ((uint64_t)(PT__PAGE_WORDS / PT__LINK_WORDS) << 12)

static bool is_within(uint64_t word, uint64_t lo, uint64_t hi)
{
	uint64_t canonical = pt__link_canonical(word);

	return !(word & PT__LINK_SET) ||
	       (canonical >= lo && canonical + ((UINT64_C(1) << pt__link_shift(word)) - 1) <= hi);
}

bool pt__links_seem_within(const struct pt__aside *t, uint64_t lo, uint64_t hi)
{
	uint64_t page = UINT64_C(1) << t->shadow->ctx.geo.granule_shift;
	const uint64_t at[] = {t->ipa, t->ipa + (t->last - t->ipa + 1) / 2, t->last + 1 - page};

	for (unsigned i = 0; i < 3; i++) {
		const pt__word *link = page_of(t, at[i]);

		if (link && !is_within(pt__get(link + 1), lo, hi))
			return false;
	}
	return true;
}

bool pt__links_are_within(const struct pt__aside *t, uint64_t lo, uint64_t hi)
{
	for (uint64_t ipa = t->ipa; ipa <= t->last; ipa += PAGE_SPAN) {
		const pt__word *page = page_of(t, ipa);

		for (unsigned i = 1; page && i < PT__PAGE_WORDS; i += stride(t->shadow))
			if (!is_within(pt__peek(page + i), lo, hi))
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
	struct pt_port_lock *lock = &pt__stripe_of(p->nested, canonical)->lock;
	pt__word *word = pt__place_word(p->nested, head);

	pt_port_lock(lock);
	pt__list_take_out(p->nested, link, word);
	pt_port_unlock(lock);
	pt__sparse_let_go(head.tree, &p->nested->store, p->agent, head.n);
}

/* A link of the tables: counted, or taken out. */
typedef void (*visit_fn)(struct part *p, pt__word *link, uint64_t head);

static void count(struct part *p, pt__word *link, uint64_t head)
{
	if (p->heads == UINT64_MAX)
		p->heads = head & ~(uint64_t)(HEADS - 1);
	if (head - p->heads < HEADS)
		p->of[head - p->heads]++;
	else
		take_out(p, link);
}

static void finish(struct part *p, pt__word *link, uint64_t head)
{
	if (head - p->heads < HEADS && p->of[head - p->heads])
		take_out(p, link);
}

static void visit(struct part *p, const struct pt__aside *t, uint64_t at, visit_fn fn)
{
	uint64_t end = t->ipa + at + (UINT64_C(1) << PART_SHIFT);

	if (at > t->last - t->ipa)
		return;
	for (uint64_t ipa = t->ipa + at; ipa < end; ipa += PAGE_SPAN) {
		pt__word *page = page_of(t, ipa);

		for (unsigned i = 0; page && i < PT__PAGE_WORDS; i += stride(t->shadow)) {
			uint64_t word = pt__peek(page + i + 1);

			if (is_listed(word))
				fn(p, page + i, pt__link_canonical(word) >> 12);
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
static bool clear_run(struct part *p, pt__word *head, unsigned from)
{
	struct pt_port_lock *lock = &pt__stripe_of(p->nested, (p->heads + from) << 12)->lock;
	bool rest = false;

	pt_port_lock(lock);
	for (unsigned i = from; i < from + RUN; i++) {
		uint64_t word = pt__peek(head + i);

		if (!p->of[i])
			continue;
		if (pt__head_count(word) != p->of[i]) {
			rest = true;
			continue;
		}
		pt__set(head + i, word & ~(COUNT_MASK | PT__HEAD_FIRST));
		p->kept += p->of[i];
		p->of[i] = 0;
	}
	pt_port_unlock(lock);
	return rest;
}

/* The part of each table from `at` on. */
static void drop_part(struct part *p, const struct pt__aside table[], uint32_t tables, uint64_t at)
{
	struct pt_sparse *tree = &p->nested->heads[0];
	bool rest = false;
	pt__word *head;

	p->heads = UINT64_MAX;
	p->kept = 0;
	__builtin_memset(p->of, 0, sizeof(p->of));
	for (uint32_t i = 0; i < tables; i++)
		visit(p, &table[i], at, count);
	if (p->heads == UINT64_MAX)
		return;
	head = pt__sparse_word(tree, &p->nested->store, p->heads);
	for (unsigned i = 0; i < HEADS; i += RUN)
		rest |= any_of(p, i) && clear_run(p, head, i);
	for (uint32_t i = 0; rest && i < tables; i++)
		visit(p, &table[i], at, finish);
	if (p->kept)
		pt__sparse_let_go_of(tree, &p->nested->store, p->agent, p->heads, p->kept);
}

void pt__links_drop(struct pt_nested *nested, struct pt_agent *agent,
		    const struct pt__aside table[], uint32_t tables)
{
	struct part p = {.nested = nested, .agent = agent};
	uint64_t most = 0;

	for (uint32_t i = 0; i < tables; i++)
		if (most < table[i].last - table[i].ipa)
			most = table[i].last - table[i].ipa;
	for (uint64_t at = 0; tables && at <= most; at += UINT64_C(1) << PART_SHIFT)
		drop_part(&p, table, tables, at);
	for (uint32_t i = 0; i < tables; i++)
		for (uint64_t ipa = table[i].ipa; ipa <= table[i].last; ipa += PAGE_SPAN) {
			struct pt__place at = pt__link_place(table[i].shadow, 0, ipa);

			pt__sparse_drop(at.tree, &nested->store, agent, at.n);
		}
}
