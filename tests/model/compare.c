/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables against the model. */
#include "play.h"

#include <string.h>

/* A piece of an address space that one entry and one part of the model speak about. */
static void differ(struct play *p, unsigned ctx, uint64_t ipa, const struct cell *model,
		   const struct cell *table)
{
	char a[80], b[80];

	cell_print(a, sizeof(a), model);
	cell_print(b, sizeof(b), table);
	fail(p, "tables: context %u at %#llx: the model says %s, the tables %s", ctx,
	     (unsigned long long)ipa, a, b);
}

/* [lo, hi] lies in one entry, which says `cell` at lo. `i` is a hint where the model goes on. */
static void compare_piece(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi, struct cell cell,
			  size_t *i)
{
	struct space *space = &p->ctx[ctx].model.space;

	while (lo <= hi) {
		struct cell model = {0};
		uint64_t last = hi;

		while (*i < space->count && space->span[*i].hi < lo)
			++*i;
		if (*i < space->count && space->span[*i].lo <= lo) {
			const struct span *span = &space->span[*i];

			model = cell_after(span->cell, lo - span->lo);
			last = span->hi < hi ? span->hi : hi;
		} else if (*i < space->count && space->span[*i].lo <= hi) {
			last = space->span[*i].lo - 1;
		}
		if (!cell_equal(&model, &cell))
			differ(p, ctx, lo, &model, &cell);
		if ((model.any_young && model.young != cell.young) ||
		    (model.any_dirty && (model.dbm != cell.dbm || model.dirty != cell.dirty))) {
			struct cell now = cell;

			now.group = false;
			now.any_young = model.any_young;
			now.any_dirty = model.any_dirty;
			space_put(space, lo, last, now);
			*i = space_find(space, lo);
		}
		if (last == UINT64_MAX)
			return;
		cell = cell_after(cell, last + 1 - lo);
		lo = last + 1;
	}
}

/* How many entries from the k-th on, which holds `lo`, neither tables nor model say anything of. */
static unsigned nothing_run(const struct space *space, size_t i, uint64_t lo, uint64_t hi,
			    const struct stretch *s, unsigned k)
{
	uint64_t base = s->ipa + ((uint64_t)k << s->shift), most;
	unsigned n = 0;

	while (i < space->count && space->span[i].hi < lo)
		i++;
	if (i < space->count && space->span[i].lo <= hi) {
		if (space->span[i].lo <= lo)
			return 0;
		hi = space->span[i].lo - 1;
	}
	most = hi - base == UINT64_MAX ? UINT64_MAX : (hi - base + 1) >> s->shift;
	while (k + n < s->count && n < most && !s->entry[k + n])
		n++;
	return n;
}

/* How many entries behind the k-th, which was compared and ends at `lo`, go on as it does, and in
 * the same part of the model. */
static unsigned same_run(const struct space *space, size_t i, uint64_t lo, uint64_t hi,
			 const struct reader *r, const struct stretch *s, unsigned k)
{
	uint64_t most;

	if (lo > hi || i >= space->count || space->span[i].lo >= lo || space->span[i].hi <= lo ||
	    space->span[i].cell.any_young || space->span[i].cell.any_dirty)
		return 0;
	hi = hi < space->span[i].hi ? hi : space->span[i].hi;
	most = hi - lo == UINT64_MAX ? UINT64_MAX : (hi - lo + 1) >> s->shift;
	most = most < s->count - k - 1 ? most : s->count - k - 1;
	return reader_run(r, s, k, (unsigned)most);
}

/* What was read is sure again. */
static void make_sure(struct space *space, uint64_t lo, uint64_t hi)
{
	uint64_t last;

	for (; lo <= hi; lo = last + 1) {
		struct cell c = space_get(space, lo, &last);

		last = last < hi ? last : hi;
		if (!c.any_young && !c.any_dirty)
			continue;
		c.any_young = c.any_dirty = false;
		space_put(space, lo, last, c);
	}
}

/* The entry at lo, the k-th of its stretch, up to hi at most: the address behind it. */
static uint64_t compare_entry(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi,
			      const struct stretch *s, unsigned k, size_t *i)
{
	struct reader *r = &p->ctx[ctx].reader;
	uint64_t base = s->ipa + ((uint64_t)k << s->shift);
	uint64_t end = base + ((UINT64_C(1) << s->shift) - 1);
	struct cell cell;
	const char *wrong = reader_decode(r, s->entry[k], s->level, &cell);

	if (wrong)
		fail(p, "shape: context %u at %#llx: %s", ctx, (unsigned long long)base, wrong);
	if (end > hi)
		end = hi;
	compare_piece(p, ctx, lo, end, cell_after(cell, lo - base), i);
	return end + 1;
}

/* Each entry is compared, and those that go on as the one before with no more than that one. */
static void compare_span(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi)
{
	struct reader *r = &p->ctx[ctx].reader;
	struct space *space = &p->ctx[ctx].model.space;
	size_t i = space_find(space, lo);
	struct stretch s;

	while (lo <= hi) {
		const char *wrong = reader_at(r, lo, &s);

		if (wrong)
			fail(p, "shape: %s", wrong);
		for (unsigned k = 0, n; k < s.count && lo <= hi; k += n) {
			if (reader_is_table(s.entry[k], s.level))
				break;
			n = nothing_run(space, i, lo, hi, &s, k);
			if (n) {
				lo = s.ipa + ((uint64_t)(k + n) << s.shift);
			} else {
				lo = compare_entry(p, ctx, lo, hi, &s, k, &i);
				n = same_run(space, i, lo, hi, r, &s, k);
				lo += (uint64_t)n++ << s.shift;
			}
			p->v->counts.compared += n;
		}
	}
}

void compare(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi)
{
	uint64_t most = (UINT64_C(1) << p->ctx[ctx].model.ipa_bits) - 1;

	hi = hi < most ? hi : most;
	while (lo <= hi) {
		uint64_t stop = hi, next = hi + 1;

		for (unsigned i = 0; i < p->sessions; i++) {
			const struct session *s = &p->session[i];
			const struct pt_claim *claim = &s->txn.claim;

			if (is_under_way(s, ctx, lo)) {
				stop = lo - 1;
				next = claim->hi + 1;
				break;
			}
			if (s->doing == RANGE && is_under_way(s, ctx, claim->lo) &&
			    claim->lo > lo && claim->lo <= stop) {
				stop = claim->lo - 1;
				next = claim->lo;
			}
		}
		if (stop != lo - 1) {
			compare_span(p, ctx, lo, stop);
			make_sure(&p->ctx[ctx].model.space, lo, stop);
		}
		lo = next;
	}
}

void compare_all(struct play *p)
{
	for (unsigned i = 0; i < CONTEXTS; i++)
		compare(p, i, 0, UINT64_MAX);
}

void compare_settled(struct play *p)
{
	uint64_t bytes = p->empty_bytes;

	compare_all(p);
	memset(p->seen, 0, p->port.table_bytes >> 12);
	for (unsigned i = 0; i < CONTEXTS; i++) {
		struct context *c = &p->ctx[i];
		struct census census;
		const char *wrong = reader_census(&c->reader, p->seen, &census);
		uint64_t pages = atomic_load(&c->pt.table_pages);
		uint64_t root = c->pt.geo.start_bytes;

		if (wrong)
			fail(p, "shape: context %u: %s", i, wrong);
		if (census.tables != pages)
			fail(p, "pages: context %u has %llu tables, and says %llu", i,
			     (unsigned long long)census.tables, (unsigned long long)pages);
		if (pages > c->model.quota && c->model.quota == UINT64_MAX)
			fail(p, "quota: exceeded");
		if (atomic_load(&c->pt.generation) != c->model.generation)
			fail(p, "generation: context %u", i);
		bytes += (root < 64 ? 64 : root) + (pages << c->model.granule);
	}
	if (bytes != atomic_load(&p->tables.world.pool.used_bytes))
		fail(p, "pages: %llu bytes of tables, and the pool says %llu",
		     (unsigned long long)bytes,
		     (unsigned long long)atomic_load(&p->tables.world.pool.used_bytes));
}

uint64_t count_leaves(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi)
{
	struct reader *r = &p->ctx[ctx].reader;
	uint64_t leaves = 0;
	struct stretch s;

	while (lo <= hi) {
		if (reader_at(r, lo, &s))
			fail(p, "shape: a walk does not end");
		for (unsigned k = 0; k < s.count && lo <= hi; k++) {
			if (reader_is_table(s.entry[k], s.level))
				break;
			leaves += s.entry[k] & 1;
			lo = s.ipa + ((uint64_t)(k + 1) << s.shift);
		}
	}
	return leaves;
}

void leaf_at(struct play *p, unsigned ctx, uint64_t ipa, struct span *span, int *level)
{
	const char *wrong = reader_leaf(&p->ctx[ctx].reader, ipa, span, level);

	if (wrong)
		fail(p, "shape: context %u at %#llx: %s", ctx, (unsigned long long)ipa, wrong);
	if (span->cell.group) { /* one flag for all of it */
		uint64_t size =
			(span->hi - span->lo + 1) * reader_group(&p->ctx[ctx].reader, *level);

		span->lo &= ~(size - 1);
		span->hi = span->lo + (size - 1);
	}
}
