/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map: a link enters the list of its canonical page, and leaves it. */
#include "links.h"

#include "../walk/inline.h"

static uint64_t tag_of(const struct pt_shadow *shadow, unsigned class, struct pt__place at)
{
	return PT__TAG_SET | (uint64_t)shadow->number << PT__TAG_NUMBER_SHIFT |
	       (uint64_t) class << PT__TAG_CLASS_SHIFT | at.n / PT__LINK_RUN;
}

static uint64_t id_of(const struct pt_nested *nested, const pt__word *link)
{
	return (uint64_t)((const char *)link - (const char *)pt__words(&nested->store, 0)) >>
	       PT__LINK_ID_SHIFT;
}

/* ---- pages ---- */

/* What links the page of a word, which is on its way from memory; NULL: there is none. */
PT__INLINE pt__word *expect(const struct pt_nested *nested, struct pt__place at)
{
	struct pt__branch branch = pt__sparse_descend(at.tree, at.ends, &nested->store, at.n);

	if (PT__UNLIKELY(branch.above))
		return NULL;
	pt__fetch(pt__sparse_entry(&nested->store, at.ends, pt__peek(branch.link), at.n));
	return branch.link;
}

void pt__link_expect(struct pt__entering *e, struct pt_shadow *shadow, struct pt_ipa ipa)
{
	e->link_page = expect(shadow->nested, pt__link_place(shadow, 0, ipa.v));
}

void pt__head_expect(struct pt__entering *e, struct pt_nested *nested, struct pt_ipa canonical)
{
	e->head_page = expect(nested, pt__head_place(nested, 0, canonical.v));
}

static __attribute__((noinline)) enum pt_outcome make(struct pt_store *store,
						      struct pt_agent *agent, struct pt__place at,
						      uint64_t tag, pt__word **word)
{
	enum pt_outcome outcome = pt__sparse_keep(at.tree, store, agent, at.n, tag);

	if (outcome == PT_OK)
		*word = pt__sparse_word(at.tree, at.ends, store, at.n);
	return outcome;
}

/* As pt__sparse_keep(); *word is the one at the place, *page what was found to link it: NULL, if
 * that is not so. */
PT__INLINE enum pt_outcome keep(struct pt_store *store, struct pt_agent *agent, struct pt__place at,
				pt__word **page, uint64_t tag, pt__word **word)
{
	uint64_t off;

	if (PT__UNLIKELY(!*page || !pt__sparse_join(*page, at.ends, at.n, &off))) {
		*page = NULL;
		return make(store, agent, at, tag, word);
	}
	*word = pt__end_word(pt__words(store, 0), at.ends, off, at.n);
	return PT_OK;
}

enum pt_outcome pt__link_reserve(struct pt__entering *e, struct pt_agent *agent)
{
	struct pt_shadow *shadow = e->spot.shadow;
	struct pt_nested *nested = shadow->nested;
	unsigned class = pt__class_of(e->spot.shift);
	struct pt__place link = pt__link_place(shadow, class, e->spot.ipa.v);
	struct pt__place head = pt__head_place(nested, class, e->canonical.v);
	enum pt_outcome outcome;

	if (class) { /* what was found is for pages */
		e->link_page = NULL;
		e->head_page = NULL;
	}
	outcome = keep(&nested->store, agent, link, &e->link_page, tag_of(shadow, class, link),
		       &e->link);
	if (outcome != PT_OK)
		return outcome;
	outcome = keep(&nested->store, agent, head, &e->head_page, 0, &e->head);
	if (outcome != PT_OK)
		pt__sparse_unkeep(link.tree, &nested->store, agent, link.n);
	return outcome;
}

void pt__link_unreserve(const struct pt__entering *e, struct pt_agent *agent)
{
	struct pt_nested *nested = e->spot.shadow->nested;
	unsigned class = pt__class_of(e->spot.shift);
	struct pt__place link = pt__link_place(e->spot.shadow, class, e->spot.ipa.v);
	struct pt__place head = pt__head_place(nested, class, e->canonical.v);

	pt__sparse_unkeep(head.tree, &nested->store, agent, head.n);
	pt__sparse_unkeep(link.tree, &nested->store, agent, link.n);
}

/* ---- lists ---- */

static void set_next(pt__word *link, uint64_t id)
{
	pt__poke(link, (pt__peek(link) & ~PT__HEAD_FIRST) | id);
}

static void set_before(pt__word *link, uint64_t id)
{
	pt__poke(link, (pt__peek(link) & PT__HEAD_FIRST) | id << 32);
}

static void add_to_count(const struct pt_nested *nested, uint64_t id, uint64_t by)
{
	pt__word *word = pt__link_of_id(nested, id) + 1;

	pt__poke(word, pt__peek(word) + by * PT__LINK_ONE);
}

/* In front of the list; the head after that. With the lock. */
static uint64_t put_first(const struct pt_nested *nested, pt__word *link, uint64_t head,
			  uint64_t count)
{
	uint64_t first = pt__list_first(head), id = id_of(nested, link);

	pt__poke(link, first);
	if (first) {
		set_before(pt__link_of_id(nested, first), id);
		add_to_count(nested, first, -count);
	}
	return (head & PT__HEAD_INEXACT) | id;
}

bool pt__list_take_out(const struct pt_nested *nested, pt__word *link, pt__word *word,
		       unsigned half)
{
	uint64_t next = pt__list_first(pt__peek(link)), before = pt__peek(link) >> 32;
	uint64_t head = pt__head_in(pt__peek(word), half), count = pt__list_count(nested, head);

	if (next)
		set_before(pt__link_of_id(nested, next), before);
	if (before) {
		set_next(pt__link_of_id(nested, before), next);
		add_to_count(nested, pt__list_first(head), -UINT64_C(1));
		return false;
	}
	head = (head & PT__HEAD_INEXACT) | next;
	pt__head_set(word, half, head);
	if (next)
		add_to_count(nested, next, count - 1);
	return !head;
}

/* A bit that is never cleared, set before the fence of the fill: who changes a canonical leaf sees
 * it if it has to find the link. */
static void note_size(struct pt_nested *nested, unsigned shift)
{
	uint64_t bit = UINT64_C(1) << shift;

	if (!(pt__peek(&nested->shifts) & bit))
		atomic_fetch_or_explicit(&nested->shifts, bit, memory_order_relaxed);
}

/* One that is in no list; the head after that. With the lock. */
static uint64_t put_nowhere(struct pt_nested *nested, uint64_t head)
{
	if (!(head & PT__HEAD_INEXACT))
		atomic_fetch_add_explicit(&nested->counts.inexact, 1, memory_order_relaxed);
	return head | PT__HEAD_INEXACT;
}

/* Of a head that says something already, and so keeps its piece by itself: the reservation is not
 * the last. */
static void give_back(const struct pt_nested *nested, const struct pt__entering *e,
		      struct pt__place at)
{
	pt__word *page = e->head_page;
	uint64_t now;

	if (!page)
		page = pt__sparse_descend(at.tree, at.ends, &nested->store, at.n).link;
	pt__sparse_count(page, -pt__end_one(at.ends), &now);
}

static void count_one(pt__word *counter)
{
	pt__poke(counter, pt__peek(counter) + 1);
}

bool pt__link_enter(const struct pt__entering *e)
{
	struct pt_nested *nested = e->spot.shadow->nested;
	unsigned class = pt__class_of(e->spot.shift);
	struct pt__place at = pt__head_place(nested, class, e->canonical.v);
	struct pt_shadow_stripe *stripe = pt__stripe_of(nested, class, e->canonical.v);
	uint64_t word =
		PT__LINK_SET | (uint64_t)e->spot.shift << PT__LINK_SHIFT | e->canonical.v >> 12;
	uint64_t was, head, count;
	bool listed;

	note_size(nested, e->spot.shift);
	pt_port_lock(&stripe->lock);
	was = pt__head_in(pt__peek(e->head), at.half);
	count = pt__list_count(nested, was);
	listed = count < PT_SHADOW_LINKS;
	if (PT__LIKELY(listed)) {
		head = put_first(nested, e->link, was, count);
		pt__set(e->link + 1, word + (count + 1) * PT__LINK_ONE);
	} else {
		head = put_nowhere(nested, was);
		pt__set(e->link + 1, word | PT__LINK_NO_LIST);
		count_one(&stripe->nowhere);
	}
	pt__head_set(e->head, at.half, head);
	if (was)
		give_back(nested, e, at);
	count_one(&stripe->entered);
	pt_port_unlock(&stripe->lock);
	return listed;
}

/* A word and what links its page, found once. It is kept. */
struct spoken_for {
	struct pt__place at;
	pt__word *page, *word;
};

static struct spoken_for find(const struct pt_nested *nested, struct pt__place at)
{
	pt__word *page = pt__sparse_descend(at.tree, at.ends, &nested->store, at.n).link;

	return (struct spoken_for){at, page,
				   pt__sparse_entry(&nested->store, at.ends, pt__get(page), at.n)};
}

/* As pt__sparse_let_go(). */
static void let_go(struct pt_nested *nested, struct pt_agent *agent, const struct spoken_for *s)
{
	const uint64_t one = pt__end_one(s->at.ends);
	uint64_t now;

	if (pt__sparse_count(s->page, -one, &now) && now < one)
		pt__sparse_prune(s->at.tree, &nested->store, agent, s->at.n);
}

void pt__link_leave(struct pt__spot spot, struct pt_agent *agent)
{
	struct pt_nested *nested = spot.shadow->nested;
	unsigned class = pt__class_of(spot.shift);
	struct spoken_for link = find(nested, pt__link_place(spot.shadow, class, spot.ipa.v)), head;
	uint64_t word = pt__get(link.word + 1), canonical = pt__link_canonical(word);
	struct pt_port_lock *lock = &pt__stripe_of(nested, class, canonical)->lock;
	bool listed = !(word & PT__LINK_NO_LIST), last = false;

	if (listed)
		head = find(nested, pt__head_place(nested, class, canonical));
	pt_port_lock(lock);
	if (listed)
		last = pt__list_take_out(nested, link.word, head.word, head.at.half);
	pt__set(link.word, 0);
	pt__set(link.word + 1, 0);
	pt_port_unlock(lock);
	if (last)
		let_go(nested, agent, &head);
	let_go(nested, agent, &link);
}
