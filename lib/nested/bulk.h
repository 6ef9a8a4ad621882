/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaf tables of shadows that go as a whole, and leaves that lose rights in a row; private to
 * lib/nested. See docs/nested.md. */
#ifndef NESTED_BULK_H
#define NESTED_BULK_H

#include "internal.h"

/* Ranges from here on are searched for whole tables: what the smallest leaf table spans. */
#define PT__BULK_BYTES (UINT64_C(1) << 21)

/* A leaf table of a shadow, at [ipa, last]. While `slot` says PT__ASIDE only who set that gets to
 * it. */
struct pt__aside {
	struct pt_shadow *shadow;
	uint64_t ipa, last;
	pt_pte *slot, entry; /* where it is linked, and by what */
	uint64_t runs;	     /* bit n: page n of its links is a run (links_bulk.c) */
};

/*
 * bulk.c: takes the leaf tables out that the list of `canonical` leads to and all of whose leaves
 * are of memory in [s->lo, s->hi], flushed, with all links. Only if no other agent is in a section
 * of the machine: else, and of tables that have other leaves, nothing. In the operation's section;
 * the kills of it are finished. *left: less the leaves that went, and the entries of tables with
 * other leaves, for which s->whole_at is where to try again.
 */
void pt__bulk(struct pt_nested *nested, struct pt__kills *kills, struct pt_shadow_search *s,
	      uint64_t canonical, int64_t *left);

/* Ranges that lost rights are searched for stretches of leaves from here on: more than any page. */
#define PT__STRIP_BYTES (UINT64_C(1) << 17)

/*
 * strip.c: takes s->lost from the leaves that the list of the page s->at leads to and from those
 * behind them in the same tables, as far as they are of memory in [s->lo, s->hi], and flushes.
 * Pages all of whose leaves these were need no look of their own any more: s->at goes on to the
 * first other one. True: there were any. In the operation's section, under the drained claim of the
 * range. *left: less the entries that
 * were looked at; where that was more than was won, s->whole_at is where to try again.
 */
bool pt__strip(struct pt_nested *nested, struct pt__kills *kills, struct pt_shadow_search *s,
	       int64_t *left);

/* The same, for access flags that are asked for and, with `clear`, cleared: what is found young is
 * said of its page of 1 << shift bytes, counted from s->lo on. Some of them may be cleared already
 * of the pages from s->at on and below `end`, which never goes back. Nothing is claimed: who makes
 * a leaf meanwhile makes a young one, which is met or not. */
struct pt__ages {
	bool clear;
	unsigned shift;
	uint8_t *young;
	uint64_t end;
};
bool pt__strip_ages(struct pt_nested *nested, struct pt__ages *ages, struct pt_shadow_search *s,
		    int64_t *left);

/* links_bulk.c: does no link of the table name memory outside of [lo, hi]? A guess, by the first
 * and the last; and all of them, of a table that is set aside. What the one reads, and most of
 * what the other does, may be fetched before. */
void pt__links_fetch_ends(const struct pt__aside *table);
void pt__links_fetch(const struct pt__aside *table);
bool pt__links_seem_within(const struct pt__aside *table, uint64_t lo, uint64_t hi);
bool pt__links_are_within(struct pt__aside *table, uint64_t lo, uint64_t hi);

/* The links of tables that are set aside and flushed: out of their lists, and their pages back. */
void pt__links_drop(struct pt_nested *nested, struct pt_agent *agent,
		    const struct pt__aside table[], uint32_t tables);

#endif
