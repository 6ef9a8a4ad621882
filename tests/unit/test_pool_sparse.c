/* SPDX-License-Identifier: BSD-2-Clause */
/* Words by number against an array that says what is there, what a search finds and what it takes:
 * trees of every kind of ends, drawn from a seed. */
#include "core.h"

#include "../../lib/pool/sparse.h"

#define PAGE	UINT64_C(4096)
#define SCOPE	4712
#define ENTRIES 40
#define BITS	41 /* of numbers: links to pages of 52 bits are the most */
#define NEAR	16
#define PLAYS	60 /* of each kind */
#define STEPS	400

static const struct kind {
	const char *name;
	struct pt_sparse_ends ends;
	unsigned near;
} kinds[] = {
	{"pages", {9, false}, 0},
	{"links", {9, true}, NEAR},
	{"heads", {8, true}, NEAR / 2},
	{"links, none near", {9, true}, 0},
	{"pages, some near", {9, false}, 2},
};

/* A number that is kept, by so many, and its word. */
struct entry {
	uint64_t n, value;
	unsigned kept;
};

/* What came with a number, in whichever half: nothing, what only who asked first has asked for, or
 * others too. */
enum { NONE, SOLE, ASKED };

struct end {
	uint64_t number; /* of its first word, in ends */
	uint8_t half[2];
};

static struct {
	struct core c;
	struct pt_store store;
	struct pt_sparse tree;
	pt__word near[NEAR];
	const struct kind *kind;
	uint64_t random, centre, first; /* first: what all are compared with, once `begun` */
	bool begun;
	struct entry entry[ENTRIES]; /* by number */
	struct end end[ENTRIES];
	unsigned entries, ends;
} p;

static uint64_t below(uint64_t limit)
{
	return core_random(&p.random) % limit;
}

/* ---- what the array says ---- */

static unsigned at_or_behind(uint64_t n)
{
	unsigned i = 0;

	while (i < p.entries && p.entry[i].n < n)
		i++;
	return i;
}

static struct entry *entry_of(uint64_t n)
{
	unsigned i = at_or_behind(n);

	return i < p.entries && p.entry[i].n == n ? &p.entry[i] : NULL;
}

static struct end *end_of(uint64_t n)
{
	for (unsigned i = 0; i < p.ends; i++)
		if (p.end[i].number == n >> p.kind->ends.bits)
			return &p.end[i];
	return NULL;
}

static unsigned half_of(uint64_t n)
{
	return p.kind->ends.halves ? n >> (p.kind->ends.bits - 1) & 1 : 0;
}

static void forget(struct end *end)
{
	*end = p.end[--p.ends];
}

static bool is_kept(const struct end *end)
{
	for (unsigned i = 0; i < p.entries; i++)
		if (p.entry[i].n >> p.kind->ends.bits == end->number)
			return true;
	return false;
}

/* Above the ends of the tree, `up` levels of 512 links. */
static uint64_t above(const struct end *end, unsigned up)
{
	return end->number >> 9 * up;
}

static bool is_far(const struct end *end)
{
	return !p.kind->near || (end->number ^ p.first >> p.kind->ends.bits) / p.kind->near;
}

/* Those that have a link in a page of their own at a level. */
static unsigned pages_at(unsigned up)
{
	unsigned pages = 0;

	for (unsigned i = 0; i < p.ends; i++) {
		unsigned j = 0;

		while (j < i &&
		       !(is_far(&p.end[j]) && above(&p.end[j], up) == above(&p.end[i], up)))
			j++;
		pages += is_far(&p.end[i]) && j == i;
	}
	return pages;
}

/* Does a tree of so many levels have all that is far? */
static bool reaches(unsigned levels)
{
	for (unsigned i = 0; i < p.ends; i++)
		if (is_far(&p.end[i]) &&
		    above(&p.end[i], levels) != p.first >> p.kind->ends.bits >> 9 * levels)
			return false;
	return true;
}

static unsigned things(unsigned *pieces)
{
	unsigned pages = 0, levels = 1;

	*pieces = 0;
	for (unsigned i = 0; i < p.ends; i++)
		*pieces += (p.end[i].half[0] != NONE) + (p.end[i].half[1] != NONE);
	while (!reaches(levels))
		levels++;
	for (unsigned up = 1; up <= levels; up++)
		pages += pages_at(up);
	return pages;
}

static uint64_t bytes(void)
{
	unsigned pieces, pages = things(&pieces);
	uint64_t words = UINT64_C(1) << (p.kind->ends.bits - p.kind->ends.halves);

	return pages * PAGE + pieces * words * 8;
}

static void check_bytes(void)
{
	assert_int_equal(bytes(), atomic_load(&p.store.bytes));
	while (pt_reclaim(&p.c.agent))
		continue;
	assert_int_equal(bytes(), atomic_load(&p.c.tables.world.pool.used_bytes));
}

/* ---- what is done ---- */

static uint64_t draw_number(void)
{
	uint64_t from = p.entries && below(4) ? p.entry[below(p.entries)].n : p.centre;

	return from ^ (core_random(&p.random) & ((UINT64_C(1) << below(BITS + 1)) - 1));
}

static void insert(uint64_t n)
{
	unsigned i = at_or_behind(n);

	if (i == p.entries || p.entry[i].n != n) {
		memmove(&p.entry[i + 1], &p.entry[i], (p.entries - i) * sizeof(p.entry[0]));
		p.entry[i] = (struct entry){.n = n};
		p.entries++;
	}
	p.entry[i].kept++;
}

static void ask_for(uint64_t n)
{
	struct end *end = end_of(n);

	if (!end) {
		end = &p.end[p.ends++];
		*end = (struct end){.number = n >> p.kind->ends.bits};
	}
	end->half[half_of(n)] = end->half[half_of(n)] == NONE ? SOLE : ASKED;
}

static void take_back(uint64_t n, struct end was)
{
	struct end *end = end_of(n);

	if (was.half[0] == NONE && was.half[1] == NONE)
		forget(end);
	else
		*end = was;
}

static enum pt_outcome expected(unsigned more, uint32_t nth)
{
	if (nth && nth <= more)
		return PT_NO_MEMORY;
	return (bytes() + PAGE - 1) / PAGE > atomic_load(&p.store.quota_pages) ? PT_QUOTA : PT_OK;
}

/* With little quota, or a page or piece that is refused, at times. */
static void do_keep(void)
{
	struct pt_host_failpoint how = {.scope = SCOPE, .times = 1};
	uint64_t n = draw_number();
	const struct end *end = end_of(n);
	struct end was = end ? *end : (struct end){.half = {NONE, NONE}};
	unsigned pieces, pages, more;
	enum pt_outcome outcome;

	if (p.entries == ENTRIES)
		return;
	if (!p.begun)
		p.first = n;
	p.begun = true;
	pages = things(&pieces);
	more = pages + pieces;
	if (!below(4))
		atomic_store(&p.store.quota_pages, pt_store_pages(&p.store) + below(4));
	else if (!below(4))
		how.nth = 1 + (uint32_t)below(4);
	if (how.nth)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
	outcome = pt__sparse_keep(&p.tree, &p.store, &p.c.agent, n, 0);
	if (how.nth)
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	ask_for(n);
	pages = things(&pieces);
	ASSERT_OUTCOME(expected(pages + pieces - more, how.nth), outcome);
	atomic_store(&p.store.quota_pages, UINT64_MAX);
	if (outcome == PT_OK)
		insert(n);
	else
		take_back(n, was);
}

static pt__word *word(uint64_t n)
{
	return pt__sparse_word(&p.tree, p.kind->ends, &p.store, n);
}

static void do_write(void)
{
	struct entry *e = &p.entry[below(p.entries + !p.entries)];

	if (!p.entries)
		return;
	assert_non_null(word(e->n));
	e->value = below(4) ? core_random(&p.random) : 0;
	pt__set(word(e->n), e->value);
}

static void do_read(void)
{
	uint64_t n = p.entries && below(2) ? p.entry[below(p.entries)].n : draw_number();
	const struct entry *e = entry_of(n);

	assert_int_equal(e ? e->value : 0, pt__sparse_get(&p.tree, p.kind->ends, &p.store, n));
}

static void remove_entry(struct entry *e)
{
	p.entries--;
	memmove(e, e + 1, (size_t)(&p.entry[p.entries] - e) * sizeof(*e));
}

/* One who keeps a word does not any more; if nothing came of it, what was made for that goes. */
static void do_let_go(void)
{
	struct entry *e = &p.entry[below(p.entries + !p.entries)];
	bool in_vain = below(2);
	struct end *end;
	uint64_t n = e->n;

	if (!p.entries)
		return;
	end = end_of(n);
	if (e->kept == 1)
		pt__set(word(n), 0);
	if (in_vain)
		pt__sparse_unkeep(&p.tree, &p.store, &p.c.agent, n);
	else
		pt__sparse_let_go(&p.tree, p.kind->ends, &p.store, &p.c.agent, n);
	if (!--e->kept)
		remove_entry(e);
	if (in_vain && end->half[half_of(n)] == SOLE && p.kind->ends.halves)
		end->half[half_of(n)] = NONE;
	if (!is_kept(end))
		forget(end);
}

/* Some ends in a row, whoever keeps them. */
static void do_drop(void)
{
	struct pt__gone gone = {{0, 0}, {0, 0}};
	uint64_t size = UINT64_C(1) << p.kind->ends.bits, from, end;

	if (!p.entries || below(16))
		return;
	from = p.entry[below(p.entries)].n / size * size;
	end = from + size * (1 + below(64));
	pt__sparse_drop(&p.tree, &p.store, from, end, &gone);
	pt__sparse_retire(p.kind->ends, &p.store, &p.c.agent, &gone);
	for (unsigned i = at_or_behind(from); i < p.entries && p.entry[i].n < end;)
		remove_entry(&p.entry[i]);
	for (unsigned i = 0; i < p.ends;)
		if (is_kept(&p.end[i]))
			i++;
		else
			forget(&p.end[i]);
}

/* All words in a range, a few entries at a time, or many. */
static void do_search(void)
{
	uint64_t n = below(4) ? draw_number() : 0;
	uint64_t end = below(4) ? n + (UINT64_C(1) << below(BITS)) : UINT64_C(1) << BITS;
	uint64_t most = below(2) ? 1 + below(8) : 1 << 12;

	for (unsigned i = at_or_behind(n); n < end;) {
		int64_t left = (int64_t)most;
		uint64_t before = n;
		const pt__word *at =
			pt__sparse_next(&p.tree, &p.store, &n, end < n ? n : end, &left);

		assert_true(left >= 0 && n >= before && n <= end);
		while (i < p.entries && !p.entry[i].value)
			i++;
		if (!at) {
			assert_true(n == end || (!left && n > before));
			assert_true(i == p.entries || p.entry[i].n >= n);
			continue;
		}
		assert_int_equal(p.entry[i].n, n++);
		assert_int_equal(p.entry[i++].value, pt__get(at));
	}
}

/* ---- plays ---- */

static void close_tree(void)
{
	uint32_t most = 1 + (uint32_t)below(8), budget;
	bool all;

	do {
		uint64_t had = pt_store_pages(&p.store);

		budget = most;
		all = pt__sparse_close(&p.tree, &p.store, &p.c.agent, &budget);
		assert_true(all || (!budget && had >= pt_store_pages(&p.store)));
		assert_true(had - pt_store_pages(&p.store) <= most);
	} while (!all);
	p.entries = p.ends = 0;
	check_bytes();
	for (unsigned i = 0; i < NEAR; i++)
		assert_int_equal(0, atomic_load(&p.near[i]));
}

static void play(const struct kind *kind)
{
	static void (*const what[])(void) = {do_keep,	do_keep, do_keep, do_write, do_write,
					     do_let_go, do_read, do_drop, do_search};
	const unsigned whats = sizeof(what) / sizeof(what[0]);

	p.kind = kind;
	p.centre = core_random(&p.random) & ((UINT64_C(1) << BITS) - 1);
	p.begun = false;
	pt__sparse_init(&p.tree, kind->ends, kind->near ? p.near : NULL, kind->near);
	for (unsigned i = 0; i < STEPS; i++) {
		/* Few are there at times, so that what went has to come again. */
		bool less = i / 64 % 2 && below(2);

		pt_section_begin(&p.c.agent);
		(less ? do_let_go : what[below(whats)])();
		pt_section_end(&p.c.agent);
		check_bytes();
	}
	pt_section_begin(&p.c.agent);
	close_tree();
	pt_section_end(&p.c.agent);
}

static void words_are_those_of_an_array(void **state)
{
	(void)state;
	p.random = core_seed();
	core_open_machine(&p.c, UINT64_C(16) << 20, 44, false);
	pt_store_init(&p.store, &p.c.machine, UINT64_MAX, SCOPE);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (unsigned plays = 0; plays < PLAYS; plays++)
			play(&kinds[i]);
	core_close(&p.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_those_of_an_array)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
