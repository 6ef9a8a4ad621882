/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map is looked at: a link, those of a shadow, those of a canonical page. */
#include "links.h"

#include "../walk/inline.h"

/* The leaf whose link this is. Its list's lock is held, or it is its owner who asks. */
static struct pt__spot spot_of_id(const struct pt_nested *nested, uint64_t id, uint64_t word)
{
	struct pt_page piece = {id << PT__LINK_ID_SHIFT};
	uint64_t tag = pt_pool_tag(&nested->store.machine->world->pool, piece);
	uint64_t n = (tag & PT__TAG_PIECE) * PT__LINKS_A_PIECE + id % PT__LINKS_A_PIECE;
	struct pt_shadow *shadow =
		atomic_load_explicit(&nested->shadow[(tag & ~PT__TAG_SET) >> PT__TAG_NUMBER_SHIFT],
				     memory_order_acquire);
	uint8_t shift = pt__link_shift(word);

	return (struct pt__spot){
		.shadow = shadow,
		.ipa = pt_ipa(n << pt__class_shift(tag >> PT__TAG_CLASS_SHIFT & 3)),
		.shift = shift,
		.level = (int8_t)pt__link_level(shadow, shift)};
}

static pt__word *link_at(struct pt__spot spot)
{
	return pt__place_word(spot.shadow->nested,
			      pt__link_place(spot.shadow, pt__class_of(spot.shift), spot.ipa.v));
}

static struct pt__linked linked(uint64_t word)
{
	return (struct pt__linked){.set = word & PT__LINK_SET,
				   .listed = !(word & PT__LINK_NO_LIST),
				   .canonical = pt__link_canonical(word),
				   .shift = pt__link_shift(word)};
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
	uint64_t n = PT__LINK_WORDS * (*ipa >> cs) + 1,
		 end = PT__LINK_WORDS * (last >> cs) + PT__LINK_WORDS;
	const pt__word *word;

	/* The second word of a link says whether it is one; the first may stand alone in passing.
	 */
	while ((word = pt__sparse_next(&shadow->directory[class], &nested->store, &n, end, left))) {
		struct pt__linked l = linked(pt__get(word));

		if (!(n++ % PT__LINK_WORDS) || !l.set)
			continue;
		*spot = (struct pt__spot){.shadow = shadow,
					  .ipa = pt_ipa((n - 1) / PT__LINK_WORDS << cs),
					  .shift = l.shift,
					  .level = (int8_t)pt__link_level(shadow, l.shift)};
		*ipa = n / PT__LINK_WORDS << cs;
		return true;
	}
	*ipa = n / PT__LINK_WORDS << cs;
	return false;
}

PT__INLINE uint64_t head_of_leaf(const struct pt_nested *nested, unsigned class, unsigned shift,
				 uint64_t ipa)
{
	uint64_t n = ipa >> shift << (shift - pt__class_shift(class));

	return pt__head_in(
		pt__sparse_get(&nested->heads[class], PT__HEAD_ENDS, &nested->store, n / 2),
		n % 2 * PT__HEAD_BITS);
}

static __attribute__((noinline)) bool hold_of(const struct pt_nested *nested, uint64_t sizes,
					      uint64_t lo, uint64_t hi)
{
	for (; sizes; sizes &= sizes - 1) {
		unsigned shift = (unsigned)__builtin_ctzll(sizes);

		if (lo >> shift != hi >> shift) /* some may begin in between */
			return true;
		if (head_of_leaf(nested, pt__class_of(shift), shift, lo))
			return true;
	}
	return false;
}

#define PAGES_ALONE (UINT64_C(1) << 12)

/*
 * A leaf that holds part of a page begins where the page does, or at the address below it that is
 * aligned to the leaf's size: the head there says whether there is one. Of a page of 4 KiB it is
 * its own, which is asked for more than all others.
 */
bool pt__links_hold(void *arg, uint64_t lo, uint64_t hi)
{
	const struct pt_nested *nested = arg;
	uint64_t sizes = pt__peek(&nested->shifts);

	if (PT__UNLIKELY(sizes != PAGES_ALONE))
		return sizes && hold_of(nested, sizes, lo, hi);
	return lo >> 12 != hi >> 12 || head_of_leaf(nested, 0, 12, lo);
}

/* What pt__links_collect() says of a head. With the lock. */
static uint64_t said(const struct pt_shadow_stripe *stripe, uint64_t head)
{
	return head & PT__HEAD_INEXACT ? head | pt__peek(&stripe->nowhere) << PT__HEAD_NOWHERE
				       : head;
}

uint32_t pt__links_collect(struct pt_nested *nested, unsigned class, uint64_t canonical,
			   struct pt__found found[PT_SHADOW_LINKS], uint64_t *head)
{
	struct pt__place at = pt__head_place(nested, class, canonical);
	const pt__word *word = pt__place_word(nested, at);
	struct pt_shadow_stripe *stripe = pt__stripe_of(nested, class, canonical);
	uint32_t count = 0;

	*head = word ? pt__head_in(pt__get(word), at.half) : 0;
	if (!*head)
		return 0;
	pt_port_lock(&stripe->lock);
	*head = said(stripe, pt__head_in(pt__peek(word), at.half));
	for (uint64_t id = pt__list_first(*head); id; count++) {
		const pt__word *link = pt__link_of_id(nested, id);
		uint64_t of = pt__peek(link + 1);

		found[count] =
			(struct pt__found){spot_of_id(nested, id, of), pt__link_canonical(of)};
		id = pt__list_first(pt__peek(link));
	}
	pt_port_unlock(&stripe->lock);
	return count;
}

bool pt__head_next(const struct pt_nested *nested, unsigned class, uint64_t *n, uint64_t end,
		   int64_t *left)
{
	for (uint64_t word = *n / 2;; word++) {
		const pt__word *at = pt__sparse_next(&nested->heads[class], &nested->store, &word,
						     (end + 1) / 2, left);
		uint64_t heads = at ? pt__get(at) : 0;

		if (2 * word > *n)
			*n = 2 * word < end ? 2 * word : end;
		if (!at)
			return false;
		if (!(*n % 2) && !pt__head_in(heads, 0))
			++*n;
		if (*n >= end)
			return false;
		if (pt__head_in(heads, *n % 2 * PT__HEAD_BITS))
			return true;
	}
}

void pt__links_exact(struct pt_nested *nested, struct pt_agent *agent, unsigned class,
		     uint64_t canonical, uint64_t head)
{
	struct pt__place at = pt__head_place(nested, class, canonical);
	struct pt_shadow_stripe *stripe = pt__stripe_of(nested, class, canonical);
	pt__word *word = pt__place_word(nested, at);
	bool cleared = false;
	uint64_t now;

	if (!word)
		return;
	pt_port_lock(&stripe->lock);
	now = said(stripe, pt__head_in(pt__peek(word), at.half));
	cleared = now & PT__HEAD_INEXACT && now >> PT__HEAD_NOWHERE == head >> PT__HEAD_NOWHERE;
	if (cleared)
		pt__head_set(word, at.half, now & PT__HEAD_FIRST);
	pt_port_unlock(&stripe->lock);
	if (cleared && !pt__list_first(now))
		pt__sparse_let_go(at.tree, at.ends, &nested->store, agent, at.n);
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
