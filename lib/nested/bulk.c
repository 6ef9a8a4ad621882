/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole leaf tables of shadows go at once, for a canonical change that takes all that is in them.
 */
#include "bulk.h"

#include "../txn/internal.h"

/*
 * A table is set aside by PT__ASIDE in the place of its link, which nobody but who did it changes.
 * Who comes to it from then on cannot get into the table, and can do nothing about it but come
 * again: fills are told RACED, removers stop their step. Who is in it already has begun a section
 * before, so if no other section is running then nobody is: its entries and links stand still, and
 * are read and dropped without a lock or an exchange for each. That ends within the section. If a
 * section is running, all is put back.
 *
 * What goes before what: aside; nobody else inside; flush; links out of their lists; entry 0; table
 * retired.
 */
struct bulk {
	struct pt_nested *nested;
	struct pt__kills *kills;
	struct pt_shadow_search *s;
	int64_t *left;
	uint32_t count;
	struct pt__aside table[PT_SHADOW_LINKS];
};

/* At most so many entries are dropped in one go, but for one table. */
#define ENTRIES_MOST 32768
#define LINE_ENTRIES 8

/* The table that a leaf is in; false: there is none any more, or it is the start table. */
static bool table_of(struct pt__spot spot, struct pt__aside *t)
{
	struct pt_ctx *ctx = &spot.shadow->ctx;
	const int level = PT_LEVEL_LAST - 1;
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, spot.ipa.v, level, 12, &at),
		       pt__descend(ctx, spot.ipa.v, level, 14, &at),
		       pt__descend(ctx, spot.ipa.v, level, 16, &at));
	if (at.level != level || !pt_pte_is_table(at.entry, level))
		return false;
	t->shadow = spot.shadow;
	t->ipa = spot.ipa.v >> at.shift << at.shift;
	t->last = t->ipa + ((UINT64_C(1) << at.shift) - 1);
	t->slot = at.slot;
	t->entry = at.entry;
	return true;
}

static __attribute__((noinline)) void gather(struct bulk *b, uint64_t canonical)
{
	struct pt__found found[PT_SHADOW_LINKS];
	uint64_t head;
	uint32_t n = pt__links_collect(b->nested, 0, canonical, found, &head), entries = 0;

	b->count = 0;
	for (uint32_t i = 0; i < n && entries < ENTRIES_MOST; i++) {
		struct pt__aside *t = &b->table[b->count];

		if (!table_of(found[i].spot, t))
			continue;
		pt__links_fetch_ends(t);
		entries += pt_table_entries(&t->shadow->ctx.geo);
		b->count++;
	}
}

/* Those that seem to have leaves of other memory are left where they are. */
static void sift(struct bulk *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->count; i++)
		if (pt__links_seem_within(&b->table[i], b->s->lo, b->s->hi))
			b->table[n++] = b->table[i];
	b->count = n;
}

/* Of those with two links in the list the second is not there any more. */
static void set_aside(struct bulk *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		pt_pte e = b->table[i].entry;

		if (pt_pte_cas(b->table[i].slot, &e, PT__ASIDE))
			b->table[n++] = b->table[i];
	}
	b->count = n;
}

/* Is no other agent in a section of the machine? After a full fence: none that begins later finds
 * what was taken out before. */
static __attribute__((noinline)) bool alone(const struct bulk *b)
{
	struct pt_grace grace;

	pt_grace_begin(&grace, b->nested->canonical->machine, b->kills->agent);
	return !grace.mask;
}

static void flush(struct bulk *b, uint32_t tables)
{
	for (uint32_t i = 0; i < tables; i++) {
		const struct pt__aside *t = &b->table[i];
		struct pt_ledger ledger;

		pt_ledger_init(&ledger, &t->shadow->ctx);
		pt_ledger_add(&ledger, t->ipa, t->last, PT_LEVEL_LAST - 1, true);
		b->kills->tlbis += pt_ledger_discharge(&ledger);
	}
}

/* Those behind the first `tables`. Without a flush: each says what it said, so no TLB holds
 * anything else of it. */
static void put_back(const struct bulk *b, uint32_t tables)
{
	for (uint32_t i = tables; i < b->count; i++)
		pt_pte_store_release(b->table[i].slot, b->table[i].entry);
}

/* The pages after `canonical` lead to a table that stays again: not before they have left what it
 * spans. That it was looked at counts. */
static void put_off(struct bulk *b, const struct pt__aside *t, uint64_t canonical)
{
	uint64_t at = canonical + (t->last - t->ipa) + 1;

	if (b->s->whole_at < at)
		b->s->whole_at = at;
	*b->left -= pt_table_entries(&t->shadow->ctx.geo);
}

/* Tables of which all leaves go come first: how many that are. */
static uint32_t whole(struct bulk *b, uint64_t canonical)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		struct pt__aside t = b->table[i];

		if (i + 1 < b->count)
			pt__links_fetch(&b->table[i + 1]);
		if (!pt__links_are_within(&t, b->s->lo, b->s->hi)) {
			put_off(b, &t, canonical);
			continue;
		}
		b->table[i] = b->table[n];
		b->table[n++] = t;
	}
	return n;
}

/* How many leaves a table has of each of the guest's levels, 16 bits for each: no table has more
 * entries. Most often it is full, of one level. */
static uint64_t leaves_by_level(const pt_pte *slot, unsigned entries)
{
	pt_pte all = ~(pt_pte)0, any = 0;
	uint64_t sum = 0;

	for (unsigned i = 0; i < entries; i++) {
		pt_pte e = pt_pte_load(slot + i);

		all &= e;
		any |= e;
	}
	if (all & PT_PTE_VALID && pt__guest_level(all) == pt__guest_level(any))
		return (uint64_t)entries << 16 * pt__guest_level(all);
	for (unsigned i = 0; i < entries; i++) {
		pt_pte e = pt_pte_load(slot + i);

		sum += (e & PT_PTE_VALID) << 16 * pt__guest_level(e);
	}
	return sum;
}

static const pt_pte *entries_of(const struct pt__aside *t)
{
	const struct pt_ctx *ctx = &t->shadow->ctx;

	return pt__table(ctx, pt_pte_to_oa(&ctx->geo, t->entry).v);
}

static uint64_t count_out(const struct pt__aside *t)
{
	uint64_t sum = leaves_by_level(entries_of(t), pt_table_entries(&t->shadow->ctx.geo));
	uint64_t all = 0;

	for (unsigned level = 0; level < 4; level++, sum >>= 16) {
		all += sum & 0xffff;
		if (sum & 0xffff)
			atomic_fetch_sub_explicit(&t->shadow->leaves[level + 1], sum & 0xffff,
						  memory_order_release);
	}
	return all;
}

/* On their way from memory while others are read. */
static void fetch_entries(const struct pt__aside *t)
{
	const pt_pte *slot = entries_of(t);

	for (unsigned i = 0; i < pt_table_entries(&t->shadow->ctx.geo); i += LINE_ENTRIES)
		pt_port_prefetch(slot + i);
}

/* Leaves are counted out once nothing of the table is found any more, by release: a guest's TLBI
 * looks for it as long as there are some. */
static uint64_t unlink_table(const struct pt__aside *t)
{
	struct pt_ctx *ctx = &t->shadow->ctx;

	pt_pte_store_release(t->slot, 0);
	pt_port_note(PT_EVENT_REFUND, 0, NULL, ctx, 1, 0);
	atomic_fetch_sub_explicit(&ctx->table_pages, 1, memory_order_relaxed);
	return count_out(t);
}

/* Pages of each granule. */
static void retire(const struct bulk *b, uint32_t tables)
{
	struct pt_agent *agent = b->kills->agent;
	struct pt_pages gone[3] = {{0, 0}};

	for (uint32_t i = 0; i < tables; i++) {
		const struct pt_ctx *ctx = &b->table[i].shadow->ctx;

		pt_pages_push(
			&agent->world->pool, &gone[(ctx->geo.granule_shift - 12) / 2],
			pt_pa_page(ctx->machine->port, pt_pte_to_oa(&ctx->geo, b->table[i].entry)));
	}
	for (unsigned i = 0; i < 3; i++)
		if (gone[i].count)
			pt_retire(agent, 12 + 2 * i, &gone[i]);
}

static uint64_t drop(const struct bulk *b, uint32_t tables)
{
	uint64_t leaves = 0;

	pt__links_drop(b->nested, b->kills->agent, b->table, tables);
	for (uint32_t i = 0; i < tables; i++) {
		if (i + 1 < tables)
			fetch_entries(&b->table[i + 1]);
		leaves += unlink_table(&b->table[i]);
	}
	retire(b, tables);
	return leaves;
}

void pt__bulk(struct pt_nested *nested, struct pt__kills *kills, struct pt_shadow_search *s,
	      uint64_t canonical, int64_t *left)
{
	struct bulk b; /* large, and written before it is read */
	uint64_t leaves;
	uint32_t n;

	b.nested = nested;
	b.kills = kills;
	b.s = s;
	b.left = left;
	if (!alone(&b)) /* most likely not in a moment either */
		return;
	gather(&b, canonical);
	sift(&b);
	if (!b.count)
		return;
	pt__kills_finish(kills); /* so that no entry in there is ours */
	set_aside(&b);
	n = alone(&b) ? whole(&b, canonical) : 0;
	put_back(&b, n);
	flush(&b, n);
	leaves = drop(&b, n);
	kills->removed += leaves;
	*left -= (int64_t)leaves;
	atomic_fetch_add_explicit(&nested->counts.killed, leaves, memory_order_relaxed);
}
