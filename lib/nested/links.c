/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map: from canonical pages to the shadows' leaves. */
#include "internal.h"

#include "../walk/inline.h"

#define LINK_WORDS 2
#define ID_SHIFT   4 /* log2 of a link's bytes */

#define PAGE_BITS    40
#define SHIFT_SHIFT  40
#define LINK_NO_LIST (UINT64_C(1) << 62)
#define LINK_SET     (UINT64_C(1) << 63)

#define HEAD_FIRST   (UINT64_C(0xffffffff))
#define HEAD_ONE     (UINT64_C(1) << 32)
#define HEAD_INEXACT (UINT64_C(1) << 39)
#define HEAD_FRESH   (UINT64_C(1) << 40)

/* Tags: what a page of links is. */
#define TAG_SET		 (UINT64_C(1) << 63)
#define TAG_CLASS_SHIFT	 40
#define TAG_NUMBER_SHIFT 42
#define TAG_PAGE	 ((UINT64_C(1) << TAG_CLASS_SHIFT) - 1)

static uint64_t first_of(uint64_t head)
{
	return head & HEAD_FIRST;
}

static uint32_t count_of(uint64_t head)
{
	return head >> 32 & 127;
}

static uint64_t canonical_of(uint64_t word)
{
	return (word & ((UINT64_C(1) << PAGE_BITS) - 1)) << 12;
}

static uint8_t shift_of(uint64_t word)
{
	return word >> SHIFT_SHIFT & 63;
}

static int level_of(const struct pt_shadow *shadow, unsigned shift)
{
	unsigned gs = shadow->ctx.geo.granule_shift;

	return PT_LEVEL_LAST - (int)((shift - gs) / (gs - 3));
}

/* Where a link and a head stand. */
struct place {
	struct pt_sparse *tree;
	uint64_t n; /* of the word */
};

static struct place link_place(struct pt_shadow *shadow, unsigned class, uint64_t ipa)
{
	return (struct place){&shadow->directory[class],
			      LINK_WORDS * (ipa >> pt__class_shift(class))};
}

static struct place head_place(struct pt_nested *nested, unsigned class, uint64_t canonical)
{
	return (struct place){&nested->heads[class], canonical >> pt__class_shift(class)};
}

static pt__word *word_at(const struct pt_nested *nested, struct place at)
{
	return pt__sparse_word(at.tree, &nested->store, at.n);
}

static pt__word *link_at(struct pt__spot spot)
{
	return word_at(spot.shadow->nested,
		       link_place(spot.shadow, pt__class_of(spot.shift), spot.ipa.v));
}

static uint64_t tag_of(const struct pt_shadow *shadow, unsigned class, struct place at)
{
	return TAG_SET | (uint64_t)shadow->number << TAG_NUMBER_SHIFT |
	       (uint64_t) class << TAG_CLASS_SHIFT | at.n / PT__PAGE_WORDS;
}

/* ---- names ---- */

static pt__word *link_of_id(const struct pt_nested *nested, uint64_t id)
{
	return pt__words(&nested->store, id << ID_SHIFT & ~UINT64_C(0xfff)) +
	       (id << ID_SHIFT & 0xfff) / sizeof(pt__word);
}

static uint64_t id_of(const struct pt_nested *nested, const pt__word *link)
{
	return (uint64_t)((const char *)link - (const char *)pt__words(&nested->store, 0)) >>
	       ID_SHIFT;
}

/* The leaf whose link this is. Its list's lock is held, or it is its owner who asks. */
static struct pt__spot spot_of_id(const struct pt_nested *nested, uint64_t id, uint64_t word)
{
	struct pt_page page = {id << ID_SHIFT & ~UINT64_C(0xfff)};
	uint64_t tag = pt_pool_tag(&nested->store.machine->world->pool, page);
	uint64_t n = (tag & TAG_PAGE) * (PT__PAGE_WORDS / LINK_WORDS) + id % 256;
	struct pt_shadow *shadow = atomic_load_explicit(
		&nested->shadow[(tag & ~TAG_SET) >> TAG_NUMBER_SHIFT], memory_order_acquire);
	uint8_t shift = shift_of(word);

	return (struct pt__spot){.shadow = shadow,
				 .ipa = pt_ipa(n << pt__class_shift(tag >> TAG_CLASS_SHIFT & 3)),
				 .shift = shift,
				 .level = (int8_t)level_of(shadow, shift)};
}

/* ---- pages ---- */

enum pt_outcome pt__links_init(struct pt_nested *nested, uint64_t quota_pages, uint64_t scope)
{
	const struct pt_ctx *ctx = nested->canonical;

	if ((uint64_t)ctx->machine->world->pool.units << PT_POOL_UNIT_SHIFT >> ID_SHIFT >> 32)
		return PT_UNSUPPORTED;
	pt_store_init(&nested->store, ctx->machine, quota_pages, scope);
	for (unsigned i = 0; i < PT_SHADOW_STRIPES; i++)
		pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, &nested->stripe[i], NULL, 0, 0);
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++) {
		unsigned shift = pt__class_shift(class), bits = ctx->geo.ipa_bits;

		nested->heads[class] = (struct pt_sparse){
			.levels = pt__sparse_levels(bits > shift ? bits - shift : 0)};
	}
	pt_ctx_set_shadow_rules(nested->canonical, &pt__shadow_rules, nested);
	return PT_OK;
}

bool pt__links_close(struct pt_nested *nested, struct pt_agent *agent, uint32_t *budget)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		if (!pt__sparse_close(&nested->heads[class], &nested->store, agent, budget))
			return false;
	return true;
}

void pt__directory_init(struct pt_shadow *shadow)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++) {
		unsigned shift = pt__class_shift(class), bits = shadow->ctx.geo.ipa_bits;

		shadow->directory[class] = (struct pt_sparse){
			.levels = pt__sparse_levels(1 + (bits > shift ? bits - shift : 0))};
	}
}

bool pt__directory_close(struct pt_shadow *shadow, struct pt_agent *agent, uint32_t *budget)
{
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		if (!pt__sparse_close(&shadow->directory[class], &shadow->nested->store, agent,
				      budget))
			return false;
	return true;
}

/* As pt__sparse_keep(); *word is the one at the place. */
static enum pt_outcome keep(struct pt_store *store, struct pt_agent *agent, struct place at,
			    uint64_t tag, pt__word **word)
{
	enum pt_outcome outcome;

	*word = pt__sparse_join(at.tree, store, at.n);
	if (PT__LIKELY(*word))
		return PT_OK;
	outcome = pt__sparse_keep(at.tree, store, agent, at.n, tag);
	if (outcome == PT_OK)
		*word = pt__sparse_word(at.tree, store, at.n);
	return outcome;
}

enum pt_outcome pt__link_reserve(struct pt__spot spot, struct pt_ipa canonical,
				 struct pt_agent *agent, struct pt__link_words *words)
{
	struct pt_nested *nested = spot.shadow->nested;
	unsigned class = pt__class_of(spot.shift);
	struct place link = link_place(spot.shadow, class, spot.ipa.v);
	struct place head = head_place(nested, class, canonical.v);
	enum pt_outcome outcome =
		keep(&nested->store, agent, link, tag_of(spot.shadow, class, link), &words->link);

	if (outcome != PT_OK)
		return outcome;
	outcome = keep(&nested->store, agent, head, 0, &words->head);
	if (outcome != PT_OK)
		pt__sparse_let_go(link.tree, &nested->store, agent, link.n);
	return outcome;
}

void pt__link_unreserve(struct pt__spot spot, struct pt_ipa canonical, struct pt_agent *agent)
{
	struct pt_nested *nested = spot.shadow->nested;
	unsigned class = pt__class_of(spot.shift);
	struct place link = link_place(spot.shadow, class, spot.ipa.v);
	struct place head = head_place(nested, class, canonical.v);

	pt__sparse_let_go(head.tree, &nested->store, agent, head.n);
	pt__sparse_let_go(link.tree, &nested->store, agent, link.n);
}

/* ---- lists ---- */

static struct pt_port_lock *stripe_of(struct pt_nested *nested, uint64_t canonical)
{
	uint64_t page = canonical >> 12;

	return &nested->stripe[(page ^ page >> 9 ^ page >> 18) % PT_SHADOW_STRIPES];
}

static uint64_t get(const pt__word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(pt__word *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static void set_next(pt__word *link, uint64_t id)
{
	set(link, (get(link) & ~HEAD_FIRST) | id);
}

static void set_before(pt__word *link, uint64_t id)
{
	set(link, (get(link) & HEAD_FIRST) | id << 32);
}

/* In front of the list; *head is what follows. With the lock. */
static void put_first(const struct pt_nested *nested, pt__word *link, uint64_t *head)
{
	uint64_t first = first_of(*head), id = id_of(nested, link);

	set(link, first);
	if (first)
		set_before(link_of_id(nested, first), id);
	*head = (*head & ~HEAD_FIRST) + HEAD_ONE + id;
}

static void take_out(const struct pt_nested *nested, pt__word *link, pt__word *head)
{
	uint64_t next = first_of(get(link)), before = get(link) >> 32;

	if (next)
		set_before(link_of_id(nested, next), before);
	if (before)
		set_next(link_of_id(nested, before), next);
	else
		set_next(head, next);
	set(head, get(head) - HEAD_ONE);
}

/* A bit that is never cleared, set before the fence of the fill: who changes a canonical leaf sees
 * it if it has to find the link. */
static void note_size(struct pt_nested *nested, unsigned shift)
{
	uint64_t bit = UINT64_C(1) << shift;

	if (!(get(&nested->shifts) & bit))
		atomic_fetch_or_explicit(&nested->shifts, bit, memory_order_relaxed);
}

/*
 * One that is in no list. The first such keeps the page of heads by its reservation, for the bit
 * stays in its head; the others give theirs back, which therefore is not the last.
 */
static void put_nowhere(struct pt_nested *nested, struct place at, uint64_t *head)
{
	uint64_t now;

	if (*head & HEAD_INEXACT) {
		pt__sparse_count(pt__sparse_descend(at.tree, &nested->store, at.n).link,
				 -PT__SPARSE_ONE, &now);
	} else {
		atomic_fetch_add_explicit(&nested->counts.inexact, 1, memory_order_relaxed);
		*head |= HEAD_INEXACT;
	}
	*head += HEAD_FRESH;
}

bool pt__link_enter(struct pt__spot spot, struct pt_ipa canonical, struct pt__link_words words)
{
	struct pt_nested *nested = spot.shadow->nested;
	struct pt_port_lock *lock = stripe_of(nested, canonical.v);
	pt__word *link = words.link, *head = words.head;
	uint64_t word = LINK_SET | (uint64_t)spot.shift << SHIFT_SHIFT | canonical.v >> 12, now;
	bool listed;

	note_size(nested, spot.shift);
	pt_port_lock(lock);
	now = get(head);
	listed = count_of(now) < PT_SHADOW_LINKS;
	if (listed)
		put_first(nested, link, &now);
	else
		put_nowhere(nested, head_place(nested, pt__class_of(spot.shift), canonical.v),
			    &now);
	pt__set(link + 1, listed ? word : word | LINK_NO_LIST);
	pt__set(head, now);
	pt_port_unlock(lock);
	return listed;
}

void pt__link_leave(struct pt__spot spot, struct pt_agent *agent)
{
	struct pt_nested *nested = spot.shadow->nested;
	unsigned class = pt__class_of(spot.shift);
	struct place at = link_place(spot.shadow, class, spot.ipa.v);
	pt__word *link = word_at(nested, at);
	uint64_t word = pt__get(link + 1), canonical = canonical_of(word);
	struct place head = head_place(nested, class, canonical);
	struct pt_port_lock *lock = stripe_of(nested, canonical);

	pt_port_lock(lock);
	if (!(word & LINK_NO_LIST))
		take_out(nested, link, word_at(nested, head));
	pt__set(link, 0);
	pt__set(link + 1, 0);
	pt_port_unlock(lock);
	if (!(word & LINK_NO_LIST))
		pt__sparse_let_go(head.tree, &nested->store, agent, head.n);
	pt__sparse_let_go(at.tree, &nested->store, agent, at.n);
}

/* ---- looked at ---- */

static struct pt__linked linked(uint64_t word)
{
	return (struct pt__linked){.set = word & LINK_SET,
				   .listed = !(word & LINK_NO_LIST),
				   .canonical = canonical_of(word),
				   .shift = shift_of(word)};
}

struct pt__linked pt__link_get(struct pt__spot spot)
{
	const pt__word *link = link_at(spot);

	return linked(link ? pt__get(link + 1) : 0);
}

bool pt__link_next(struct pt_shadow *shadow, unsigned class, uint64_t *ipa, uint64_t last,
		   int64_t *left, struct pt__spot *spot)
{
	const struct pt_nested *nested = shadow->nested;
	unsigned cs = pt__class_shift(class);
	uint64_t n = LINK_WORDS * (*ipa >> cs) + 1, end = LINK_WORDS * (last >> cs) + LINK_WORDS;
	const pt__word *word;

	/* The second word of a link says whether it is one; the first may stand alone in passing.
	 */
	while ((word = pt__sparse_next(&shadow->directory[class], &nested->store, &n, end, left))) {
		struct pt__linked l = linked(pt__get(word));

		if (!(n++ % LINK_WORDS) || !l.set)
			continue;
		*spot = (struct pt__spot){.shadow = shadow,
					  .ipa = pt_ipa((n - 1) / LINK_WORDS << cs),
					  .shift = l.shift,
					  .level = (int8_t)level_of(shadow, l.shift)};
		*ipa = n / LINK_WORDS << cs;
		return true;
	}
	*ipa = n / LINK_WORDS << cs;
	return false;
}

uint32_t pt__links_collect(struct pt_nested *nested, unsigned class, uint64_t canonical,
			   struct pt__found found[PT_SHADOW_LINKS], uint64_t *head)
{
	const pt__word *at = word_at(nested, head_place(nested, class, canonical));
	struct pt_port_lock *lock = stripe_of(nested, canonical);
	uint32_t count = 0;

	*head = at ? pt__get(at) : 0;
	if (!*head)
		return 0;
	pt_port_lock(lock);
	*head = get(at);
	for (uint64_t id = first_of(*head); id; count++) {
		const pt__word *link = link_of_id(nested, id);
		uint64_t word = get(link + 1);

		found[count] = (struct pt__found){spot_of_id(nested, id, word), canonical_of(word)};
		id = first_of(get(link));
	}
	pt_port_unlock(lock);
	return count;
}

void pt__links_exact(struct pt_nested *nested, struct pt_agent *agent, unsigned class,
		     uint64_t canonical, uint64_t head)
{
	struct place at = head_place(nested, class, canonical);
	struct pt_port_lock *lock = stripe_of(nested, canonical);
	pt__word *word = word_at(nested, at);
	bool cleared = false;
	uint64_t now;

	if (!word)
		return;
	pt_port_lock(lock);
	now = get(word);
	cleared = now & HEAD_INEXACT && (now ^ head) < HEAD_FRESH;
	if (cleared)
		pt__set(word, now & (HEAD_INEXACT - 1));
	pt_port_unlock(lock);
	if (cleared)
		pt__sparse_let_go(at.tree, &nested->store, agent, at.n);
}

enum pt_outcome pt_shadow_link(struct pt_shadow *shadow, struct pt_ipa ipa,
			       struct pt_shadow_link *link)
{
	const struct pt_ctx *ctx = &shadow->ctx;
	struct pt__at at;
	struct pt__linked l;

	if (ipa.v >> ctx->geo.ipa_bits)
		return PT_NOT_MAPPED;
	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, ipa.v, PT_LEVEL_LAST, 12, &at),
		       pt__descend(ctx, ipa.v, PT_LEVEL_LAST, 14, &at),
		       pt__descend(ctx, ipa.v, PT_LEVEL_LAST, 16, &at));
	if (!pt_pte_valid(at.entry))
		return PT_NOT_MAPPED;
	l = pt__link_get((struct pt__spot){shadow, pt_ipa(ipa.v >> at.shift << at.shift),
					   (uint8_t)at.shift, (int8_t)at.level});
	if (!l.set)
		return PT_NOT_MAPPED; /* it has gone meanwhile */
	*link = (struct pt_shadow_link){.canonical = pt_ipa(l.canonical),
					.guest_level = (int8_t)pt__guest_level(at.entry),
					.inexact = !l.listed};
	return PT_OK;
}
