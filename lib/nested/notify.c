/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes of the canonical context: what shadows have of a range is found and removed. */
#include "bulk.h"

#include <pt/walk.h>

/*
 * A leaf is listed at the page where its memory begins. So those that hold a range begin in it, or,
 * for each size that there is, at the address below it that is aligned to that size: heads "before"
 * it. Each class is searched in turn, first these and then the heads of the range itself.
 */
struct search {
	struct pt_nested *nested;
	struct pt_shadow_search *s;
	struct pt__kills kills;
	int64_t *left;
	/* Of a question about access flags: nothing is removed. */
	bool asks, clear, young;
};

static bool concerns(const struct pt_shadow_search *s, uint64_t canonical, unsigned shift)
{
	return canonical <= s->hi && canonical + ((UINT64_C(1) << shift) - 1) >= s->lo;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- an inexact page: every leaf of every shadow ---- */

static void sweep_leaf(struct search *q, struct pt__spot spot)
{
	struct pt__linked l = pt__link_get(spot);

	--*q->left;
	if (!pt__kill(&q->kills, spot, UINT64_MAX))
		return;
	if (concerns(q->s, l.canonical, l.shift))
		count(&q->nested->counts.killed);
	else
		count(&q->nested->counts.over);
}

/* False: not to the end. */
static bool sweep_shadow(struct search *q, struct pt_shadow *shadow)
{
	struct pt_shadow_search *s = q->s;
	uint64_t last = (UINT64_C(1) << shadow->ctx.geo.ipa_bits) - 1;
	struct pt__spot spot;

	for (; s->sweep_class < PT_SHADOW_CLASSES; s->sweep_class++, s->sweep_at = 0) {
		while (s->sweep_at <= last &&
		       pt__link_next(shadow, s->sweep_class, &s->sweep_at, last, q->left, &spot)) {
			sweep_leaf(q, spot);
			if (q->kills.again) {
				s->sweep_at = spot.ipa.v;
				return false;
			}
		}
		if (s->sweep_at <= last)
			return false;
	}
	return true;
}

/* What the head said before is in s->head. Whatever is entered since then is of a fill that looks
 * at the canonical leaf again, after it was written. */
static bool sweep(struct search *q, unsigned class, uint64_t canonical)
{
	struct pt_shadow_search *s = q->s;

	q->kills.lost = 0; /* all go, or the page would not be exact again */
	for (; s->shadow < q->nested->shadows; s->shadow++, s->sweep_class = 0, s->sweep_at = 0) {
		struct pt_shadow *shadow =
			atomic_load_explicit(&q->nested->shadow[s->shadow], memory_order_acquire);

		if (*q->left <= 0)
			return false;
		if (!shadow)
			--*q->left;
		else if (!sweep_shadow(q, shadow))
			return false;
	}
	pt__kills_finish(&q->kills);
	pt__links_exact(q->nested, q->kills.agent, class, canonical, s->head);
	q->kills.lost = s->lost;
	s->sweeps = false;
	return true;
}

static bool begin_sweep(struct search *q, unsigned class, uint64_t canonical)
{
	q->s->sweeps = true;
	q->s->shadow = 0;
	q->s->sweep_class = 0;
	q->s->sweep_at = 0;
	return sweep(q, class, canonical);
}

/* ---- lists ---- */

/* False: the answer is known. */
static bool ask(struct search *q, const struct pt__found *found, uint32_t n)
{
	q->young |= pt__head_inexact(q->s->head);
	*q->left -= n + 1;
	for (uint32_t i = 0; i < n; i++)
		if (concerns(q->s, found[i].canonical, found[i].spot.shift))
			q->young |= pt__shadow_young(found[i].spot, found[i].canonical, q->clear);
	return q->clear || !q->young;
}

/* The leaves that begin at the head for `canonical`. False: not all are gone. */
static bool look(struct search *q, unsigned class, uint64_t canonical)
{
	struct pt__found found[PT_SHADOW_LINKS];
	struct pt_shadow_search *s = q->s;
	uint32_t n;

	if (s->sweeps)
		return sweep(q, class, canonical);
	n = pt__links_collect(q->nested, class, canonical, found, &s->head);
	if (q->asks)
		return ask(q, found, n);
	if (pt__head_inexact(s->head))
		return !s->point && begin_sweep(q, class, canonical);
	for (uint32_t i = 0; n > 1 && i < n; i++) /* each in a tree of its own */
		pt_prefetch(&found[i].spot.shadow->ctx, found[i].spot.ipa);
	for (uint32_t i = 0; i < n; i++)
		if (concerns(s, found[i].canonical, found[i].spot.shift) &&
		    pt__kill(&q->kills, found[i].spot, found[i].canonical))
			count(&q->nested->counts.killed);
	*q->left -= n + 1;
	return !q->kills.again;
}

/* Sizes of a class, by their log2: those that have more pages than one of the class. */
static bool look_before(struct search *q, unsigned class, uint64_t sizes)
{
	struct pt_shadow_search *s = q->s;
	unsigned cs = pt__class_shift(class);

	for (; s->shift < 64 && sizes >> s->shift; s->shift++) {
		uint64_t from = s->lo >> s->shift << s->shift;

		if (!(sizes >> s->shift & 1) || from >> cs == s->lo >> cs)
			continue;
		if (!look(q, class, from))
			return false;
		if (*q->left <= 0) {
			s->shift++;
			return false;
		}
	}
	s->shift = 64;
	return true;
}

/* Is the range large enough for whole leaf tables to go, or for rights to be taken from many leaves
 * of a table in a row? */
static bool is_bulk(const struct search *q, unsigned class)
{
	const struct pt_shadow_search *s = q->s;
	uint64_t least = s->lost ? PT__STRIP_BYTES : PT__BULK_BYTES;

	return !class && !s->point && !s->sweeps && !q->asks && s->hi - s->lo >= least - 1 &&
	       s->at << pt__class_shift(class) >= s->whole_at;
}

/* From s->at on. True: it has gone on, past pages that need no look. */
static bool in_bulk(struct search *q)
{
	if (q->s->lost)
		return pt__strip(q->nested, &q->kills, q->s, q->left);
	pt__bulk(q->nested, &q->kills, q->s, q->s->at << pt__class_shift(0), q->left);
	return false;
}

static bool look_within(struct search *q, unsigned class)
{
	struct pt_shadow_search *s = q->s;
	unsigned cs = pt__class_shift(class);
	uint64_t end = (s->hi >> cs) + 1;

	if (end - s->at == 1) { /* most often: it is not looked for first */
		if (!look(q, class, s->at << cs))
			return false;
		s->at = end;
	}
	while (s->at < end) {
		if (!s->sweeps && !pt__head_next(q->nested, class, &s->at, end, q->left))
			break;
		if (is_bulk(q, class) && in_bulk(q))
			continue;
		if (!look(q, class, s->at << cs))
			return false;
		s->at++;
	}
	return s->at >= end;
}

static void begin_class(struct pt_shadow_search *s, unsigned class)
{
	s->begun = true;
	s->class = (uint8_t) class;
	s->shift = (uint8_t)(pt__class_shift(class) + 1); /* smaller ones begin in the range */
	s->at = s->lo >> pt__class_shift(class);
}

static bool search(struct search *q)
{
	uint64_t all = atomic_load_explicit(&q->nested->shifts, memory_order_relaxed);
	struct pt_shadow_search *s = q->s;

	if (!s->begun)
		begin_class(s, 0);
	while (s->class < PT_SHADOW_CLASSES) {
		unsigned cs = pt__class_shift(s->class);
		uint64_t sizes = all >> cs << cs;

		if (s->class < PT_SHADOW_CLASSES - 1)
			sizes &= (UINT64_C(1) << pt__class_shift(s->class + 1)) - 1;
		if (sizes && (!look_before(q, s->class, sizes) || !look_within(q, s->class)))
			return false;
		begin_class(s, s->class + 1);
	}
	return true;
}

static __attribute__((noinline)) bool take(struct pt_nested *nested, struct pt_agent *agent,
					   struct pt_shadow_search *s, int64_t *left)
{
	struct search q; /* the batch is large, and written before it is read */
	bool all;

	q.nested = nested;
	q.s = s;
	q.left = left;
	q.asks = false;
	__builtin_memset(&q.kills, 0, offsetof(struct pt__kills, kill));
	q.kills.agent = agent;
	q.kills.lost = s->lost;
	q.kills.lo = s->lo;
	q.kills.hi = s->hi;
	all = search(&q);
	pt__kills_finish(&q.kills);
	if (q.kills.again) /* by an agent that may be waiting for its CPU */
		*left = 0;
	s->tlbis += q.kills.tlbis;
	return all;
}

static bool taken(void *arg, struct pt_agent *agent, struct pt_shadow_search *s, int64_t *left)
{
	if (s->point) /* which has asked */
		return take(arg, agent, s, left);
	pt_port_fence_full(); /* the descriptor before the lists: docs/nested.md */
	return (!s->begun && !pt__links_hold(arg, s->lo, s->hi)) || take(arg, agent, s, left);
}

/* What shadows have of a large block is without bound: so much is looked at. */
#define ASK_MOST 8192

static bool ask_all(struct pt_nested *nested, uint64_t lo, uint64_t hi, bool clear, int64_t *budget)
{
	struct pt_shadow_search s = {.lo = lo, .hi = hi};
	int64_t left = ASK_MOST;
	bool all;
	struct search q; /* as above */

	q.nested = nested;
	q.s = &s;
	q.left = &left;
	q.asks = true;
	q.clear = clear;
	q.young = false;
	all = search(&q);
	*budget -= ASK_MOST - left;
	return !all || q.young;
}

/* Leaves from s->lo on, as far as they can be asked for in a row: how many. Those of which no
 * shadow has anything are passed. All leaves of shadows are as large as these, or smaller. */
static uint32_t ask_in_a_row(struct pt_nested *nested, struct pt__ages *ages,
			     struct pt_shadow_search *s, uint32_t leaves, int64_t *left)
{
	s->at = s->lo >> 12;
	while (*left > 0 && pt__head_next(nested, 0, &s->at, (s->hi >> 12) + 1, left))
		if (s->at << 12 < s->whole_at || !pt__strip_ages(nested, ages, s, left))
			break;
	return s->at > s->hi >> 12 ? leaves : (uint32_t)((s->at << 12) - s->lo) >> ages->shift;
}

static __attribute__((noinline)) uint32_t young(void *arg, uint64_t ipa, unsigned shift,
						uint32_t leaves, bool clear, uint8_t *young,
						int64_t *left)
{
	const struct pt_nested *nested = arg;
	uint64_t sizes = atomic_load_explicit(&nested->shifts, memory_order_relaxed), whole_at = 0;
	bool alike = shift < pt__class_shift(1) && sizes >> shift <= 1;
	uint64_t end = 0;
	uint32_t n = 0;

	__builtin_memset(young, 0, leaves);
	if (!sizes)
		return leaves;
	while (n < leaves && (!n || *left > 0 || ipa + ((uint64_t)n << shift) < end)) {
		uint64_t lo = ipa + ((uint64_t)n << shift);
		struct pt_shadow_search s = {.lo = lo,
					     .hi = ipa + ((uint64_t)leaves << shift) - 1,
					     .whole_at = whole_at};
		struct pt__ages ages = {clear, shift, young + n, end};
		uint32_t row = alike ? ask_in_a_row(arg, &ages, &s, leaves - n, left) : 0;

		whole_at = s.whole_at;
		end = ages.end;
		n += row;
		if (row)
			continue;
		s.hi = lo + (UINT64_C(1) << shift) - 1;
		young[n] |= pt__links_hold(arg, lo, s.hi) && ask_all(arg, lo, s.hi, clear, left);
		n++;
	}
	return n;
}

const struct pt_shadow_rules pt__shadow_rules = {
	.holds = pt__links_hold, .taken = taken, .young = young};
