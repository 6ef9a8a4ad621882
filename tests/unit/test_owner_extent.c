/* SPDX-License-Identifier: BSD-2-Clause */
/* The extent index against an array with a cell for each unit. */
#include "../../lib/owner/internal.h"
#include "owner_fixture.h"

#define UNITS (UINT64_C(1) << 14)
#define MANY  100000u

/* What one unit says. */
struct cell {
	uint8_t kind, state;
	uint16_t handle;
	uint64_t gfn, meta, id;
};

static struct cell cell[MANY];

static bool goes_on(const struct cell *a, const struct cell *b)
{
	uint64_t gfn = a->gfn + (a->kind == PT_OWNER_GUEST);

	return a->kind == b->kind && a->state == b->state && a->handle == b->handle &&
	       gfn == b->gfn && a->meta == b->meta && a->id == b->id;
}

static void cells_set(const struct pt_extent *e)
{
	for (uint64_t i = e->start; i < e->end; i++)
		cell[i] = (struct cell){
			e->owner.kind,
			e->state,
			e->owner.handle,
			e->owner.kind == PT_OWNER_GUEST ? e->owner.gfn + i - e->start : 0,
			e->meta,
			e->id};
}

static struct pt_extent cells_find(uint64_t start, uint64_t units)
{
	const struct cell *c = &cell[start];
	struct pt_extent e = {.start = start,
			      .end = start + 1,
			      .owner = {c->kind, c->handle, c->gfn},
			      .state = c->state,
			      .meta = c->meta,
			      .id = c->id};

	while (e.end < units && goes_on(&cell[e.end - 1], &cell[e.end]))
		e.end++;
	return e;
}

/* Every extent, from first to last, is what the cells say, at its full size; returns how many. */
static uint64_t compare(struct ledger *l, const struct pt_extents *x, uint64_t units)
{
	uint64_t count = 0;

	for (uint64_t at = 0; at < units; count++) {
		struct pt_extent want = cells_find(at, units), got = extent_at(l, x, at);

		extent_same(&want, &got);
		got = extent_at(l, x, want.start + (want.end - want.start) / 2);
		extent_same(&want, &got);
		got = extent_at(l, x, want.end - 1);
		extent_same(&want, &got);
		at = want.end;
	}
	return count;
}

static void close_index(struct ledger *l, struct pt_extents *x)
{
	pt_section_begin(&l->c.agent);
	while (pt_extents_close(x, &l->c.agent, 7) == PT_MORE)
		continue;
	pt_section_end(&l->c.agent);
}

/*
 * No pool has the nodes for a tree that is as high as it may be; so the index is told that its is.
 * What is promised then is what its root has room for: two entries each, of 240.
 */
static void a_full_root_promises_no_more(void **state)
{
	const uint32_t most = (240 - 3) / 2;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(16) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	extent_set(&l, &x, guest_extent(5, 6, 1, 9, 7)); /* three entries */
	x.levels += PT_EXTENT_LEVELS - 1;
	pt_section_begin(&l.c.agent);
	for (uint32_t i = 0; i < most; i++)
		ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
	ASSERT_OUTCOME(PT_NO_MEMORY, pt_extents_reserve(&x, &l.c.agent, 1));
	x.levels -= 1;
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1)); /* it may become higher */
	x.levels -= PT_EXTENT_LEVELS - 2;
	for (uint32_t i = 0; i <= most; i++)
		pt_extents_release(&x, &l.c.agent, 1);
	pt_section_end(&l.c.agent);
	assert_int_equal(0, x.promised);
	close_index(&l, &x);
	ledger_close(&l);
}

static void nothing_set_is_the_hosts(void **state)
{
	struct pt_extent want = host_extent(0, UNITS), got;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	got = extent_at(&l, &x, UNITS - 1);
	extent_same(&want, &got);
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, pt_extents_find(&x, UNITS, &got));
	/* To set what it says already, all of it or a part, adds nothing. */
	extent_set(&l, &x, host_extent(0, UNITS));
	extent_set(&l, &x, host_extent(5, 6));
	assert_int_equal(0, pt_store_pages(&l.store));
	ledger_close(&l);
}

static void neighbours_are_one_when_they_go_on(void **state)
{
	struct pt_extent want, got;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	extent_set(&l, &x, guest_extent(10, 20, 1, 100, 7));
	extent_set(&l, &x, guest_extent(30, 40, 1, 120, 7));
	extent_set(&l, &x, guest_extent(20, 30, 1, 110, 7));
	want = guest_extent(10, 40, 1, 100, 7);
	got = extent_at(&l, &x, 25);
	extent_same(&want, &got);
	/* Another request, another frame number, another guest, another state: apart. */
	extent_set(&l, &x, guest_extent(40, 50, 1, 130, 8));
	extent_set(&l, &x, guest_extent(50, 60, 1, 141, 8));
	extent_set(&l, &x, guest_extent(60, 70, 2, 151, 8));
	got = extent_at(&l, &x, 39);
	extent_same(&want, &got);
	for (uint64_t at = 40; at < 70; at += 10) {
		got = extent_at(&l, &x, at);
		assert_int_equal(at, got.start);
		assert_int_equal(at + 10, got.end);
	}
	/* A part in the middle goes back, and then the rest: no page is left. */
	extent_set(&l, &x, host_extent(15, 65));
	want = guest_extent(10, 15, 1, 100, 7);
	got = extent_at(&l, &x, 12);
	extent_same(&want, &got);
	want = guest_extent(65, 70, 2, 156, 8);
	got = extent_at(&l, &x, 69);
	extent_same(&want, &got);
	extent_set(&l, &x, host_extent(0, UNITS));
	ledger_close(&l);
}

static struct pt_extent draw(uint64_t *seed, uint64_t units, uint64_t longest)
{
	uint64_t start = core_random(seed) % units, size = 1 + core_random(seed) % longest;
	uint64_t end = start + size < units ? start + size : units;
	struct pt_extent e = host_extent(start, end);

	switch (core_random(seed) % 4) {
	case 0: break;
	case 1: e.state = PT_PAGE_SHARED_OWNED; break;
	case 2:
		e.state = PT_PAGE_LENT;
		e.meta = core_random(seed) % 2;
		break;
	default: e = guest_extent(start, end, (uint16_t)(core_random(seed) % 2), start, 0); break;
	}
	e.id = e.state || e.owner.kind ? core_random(seed) % 2 : 0;
	return e;
}

static void random_changes_are_those_of_an_array(void **state)
{
	uint64_t seed = core_seed(), most = 0;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	memset(cell, 0, sizeof(cell));
	for (unsigned i = 0; i < 30000; i++) {
		/* Small ones fill the index; then large ones thin it out. */
		uint64_t longest = i % 10000 < 7000 ? 4 : i % 10000 < 9900 ? 200 : 4000;
		struct pt_extent e = draw(&seed, UNITS, longest), want, got;

		extent_set(&l, &x, e);
		cells_set(&e);
		want = cells_find(e.end - 1, UNITS);
		got = extent_at(&l, &x, e.end - 1);
		assert_true(got.start <= e.end - 1);
		assert_int_equal(want.end, got.end);
		if (i % 1000 == 999) {
			uint64_t count = compare(&l, &x, UNITS);

			most = count > most ? count : most;
		}
	}
	assert_true(most > 3000);
	extent_set(&l, &x, host_extent(0, UNITS));
	ledger_close(&l);
}

/* Each unit apart, in an order that goes back and forth: three levels; and away again in another.
 */
static void a_large_index_grows_and_shrinks(void **state)
{
	uint64_t full, at;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(32) << 20);
	pt_extents_init(&x, &l.store, MANY);
	memset(cell, 0, sizeof(cell));
	for (uint32_t i = 0; i < MANY; i++) {
		at = (uint64_t)i * 77773 % MANY;
		extent_set(&l, &x, guest_extent(at, at + 1, 9, at * 2, at));
	}
	assert_int_equal(3, x.levels);
	for (at = 0; at < MANY; at++) {
		struct pt_extent want = guest_extent(at, at + 1, 9, at * 2, at);
		struct pt_extent got = extent_at(&l, &x, at);

		extent_same(&want, &got);
	}
	full = pt_store_pages(&l.store);
	assert_true(full < MANY / 63 * 11 / 10); /* leaves are half full at least */
	for (uint32_t i = 0; i < MANY; i++) {
		at = (uint64_t)i * 50021 % MANY;
		extent_set(&l, &x, host_extent(at, at + 1));
		if (i == MANY / 10 * 9)
			assert_true(pt_store_pages(&l.store) < full / 2);
	}
	assert_int_equal(0, pt_store_pages(&l.store));
	ledger_close(&l);
}

/* By a cursor if that does, else with a reservation. True: it did. */
static bool set_at_cursor(struct ledger *l, struct pt_extents *x, const struct pt_extent *e)
{
	struct pt__cursor cursor;
	bool done;

	pt_section_begin(&l->c.agent);
	pt__extents_look(x, e->start, &cursor);
	pt__extents_fetch(&cursor, e->start);
	done = pt__extents_try(x, &cursor, e);
	pt_section_end(&l->c.agent);
	if (!done)
		extent_set(l, x, *e);
	cells_set(e);
	return done;
}

/* Pages that go and come back: first in order, each behind the one before, then anywhere. */
static void pages_change_at_a_cursor(void **state)
{
	uint64_t seed = core_seed(), most = 0;
	uint32_t done = 0, turns = 0;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	memset(cell, 0, sizeof(cell));
	for (uint64_t at = 1; at < UNITS / 2; at += 2, turns++) {
		struct pt_extent e = guest_extent(at, at + 1, 1, at, 1);

		done += set_at_cursor(&l, &x, &e);
	}
	for (unsigned i = 0; i < 20000; i++, turns++) {
		uint64_t at = core_random(&seed) % UNITS;
		struct pt_extent e = guest_extent(at, at + 1, 2, at, i);

		if (cell[at].kind)
			e = host_extent(at, at + 1);
		done += set_at_cursor(&l, &x, &e);
		if (i % 2000 == 1999) {
			uint64_t count = compare(&l, &x, UNITS);

			most = count > most ? count : most;
		}
	}
	assert_true(most > UNITS / 4);
	assert_true(done > turns / 2);
	extent_set(&l, &x, host_extent(0, UNITS));
	ledger_close(&l);
}

/* The leaf that was looked for is another unit's when it has been halved: the node above says so.
 */
static void a_cursor_holds_as_long_as_its_leaf(void **state)
{
	const struct pt_extent e = guest_extent(4001, 4002, 2, 0, 2);
	struct pt__cursor cursor;
	struct pt_extent got;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	for (uint64_t at = 0; at < 8000; at += 40)
		extent_set(&l, &x, guest_extent(at, at + 1, 1, at, 1));
	pt_section_begin(&l.c.agent);
	assert_true(pt__extents_look(&x, e.start, &cursor));
	for (uint64_t at = 3600; at < 4400; at += 4)
		if (at % 40) {
			struct pt_extent other = guest_extent(at, at + 1, 1, at, 1);

			ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
			pt_extents_set(&x, &l.c.agent, &other);
			pt_extents_release(&x, &l.c.agent, 1);
		}
	assert_false(pt__extents_try(&x, &cursor, &e));
	assert_true(pt__extents_look(&x, e.start, &cursor));
	assert_true(pt__extents_try(&x, &cursor, &e));
	pt_section_end(&l.c.agent);
	got = extent_at(&l, &x, e.start);
	extent_same(&e, &got);
	extent_set(&l, &x, host_extent(0, UNITS));
	ledger_close(&l);
}

/* A transition in steps adds what its first step adds: no other one takes a page. */
static void steps_of_one_transition_need_one_reservation(void **state)
{
	uint64_t seed = core_seed();
	struct pt_extents x;
	struct ledger l;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		uint64_t step = 1 + core_random(&seed) % 300, at, last;
		uint32_t stock = 0;

		ledger_open(&l, UINT64_C(8) << 20);
		pt_extents_init(&x, &l.store, UNITS);
		memset(cell, 0, sizeof(cell));
		for (unsigned i = 0; i < 4000; i++) {
			struct pt_extent e = draw(&seed, UNITS, 3);

			extent_set(&l, &x, e);
			cells_set(&e);
		}
		at = core_random(&seed) % (UNITS / 2);
		last = at + core_random(&seed) % (UNITS / 2) + 1;
		pt_section_begin(&l.c.agent);
		ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
		for (bool first = true; at < last; first = false) {
			uint64_t end = at + step < last ? at + step : last;
			struct pt_extent e = guest_extent(at, end, 5, at, 99);

			pt_extents_set(&x, &l.c.agent, &e);
			cells_set(&e);
			if (!first)
				assert_int_equal(stock, x.stock.count);
			stock = x.stock.count;
			at = end;
		}
		pt_extents_release(&x, &l.c.agent, 1);
		pt_section_end(&l.c.agent);
		compare(&l, &x, UNITS);
		close_index(&l, &x);
		ledger_close(&l);
	}
}

/* Reservations do not share pages; what one of them cannot have leaves the others what they have.
 */
static void reservations_hold(void **state)
{
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	pt_section_begin(&l.c.agent);
	for (uint32_t nth = 1; nth <= PT_EXTENT_RESERVE; nth++) {
		ledger_arm(nth);
		ASSERT_OUTCOME(PT_NO_MEMORY, pt_extents_reserve(&x, &l.c.agent, 1));
		assert_int_equal(1, sweep_disarm());
		assert_int_equal(0, pt_store_pages(&l.store));
	}
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
	assert_int_equal(PT_EXTENT_RESERVE, pt_store_pages(&l.store));
	atomic_store(&l.store.quota_pages, 2 * PT_EXTENT_RESERVE - 1);
	ASSERT_OUTCOME(PT_QUOTA, pt_extents_reserve(&x, &l.c.agent, 1));
	assert_int_equal(PT_EXTENT_RESERVE, pt_store_pages(&l.store));
	atomic_store(&l.store.quota_pages, 2 * PT_EXTENT_RESERVE);
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
	/* Both are used while nothing more is to be had. */
	atomic_store(&l.store.quota_pages, 0);
	pt_extents_set(&x, &l.c.agent, &(struct pt_extent){.start = 1, .end = 2, .id = 1});
	pt_extents_set(&x, &l.c.agent, &(struct pt_extent){.start = 8, .end = 9, .id = 2});
	pt_extents_release(&x, &l.c.agent, 1);
	pt_extents_release(&x, &l.c.agent, 1);
	/* The node, and what the next one would reserve. */
	assert_int_equal(1 + PT_EXTENT_RESERVE, pt_store_pages(&l.store));
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, 1));
	pt_extents_release(&x, &l.c.agent, 1);
	pt_section_end(&l.c.agent);
	assert_int_equal(2, extent_at(&l, &x, 8).id);
	close_index(&l, &x);
	ledger_close(&l);
}

/* All or nothing, each as if it were by itself, and given back in other parts than reserved. */
static void several_are_reserved_at_once(void **state)
{
	const uint32_t pages = PT_EXTENT_SETS * PT_EXTENT_RESERVE;
	struct pt_extents x;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	pt_extents_init(&x, &l.store, UNITS);
	pt_section_begin(&l.c.agent);
	atomic_store(&l.store.quota_pages, pages - 1);
	ASSERT_OUTCOME(PT_QUOTA, pt_extents_reserve(&x, &l.c.agent, PT_EXTENT_SETS));
	assert_int_equal(0, pt_store_pages(&l.store));
	atomic_store(&l.store.quota_pages, pages);
	ASSERT_OUTCOME(PT_OK, pt_extents_reserve(&x, &l.c.agent, PT_EXTENT_SETS));
	assert_int_equal(pages, pt_store_pages(&l.store));
	ASSERT_OUTCOME(PT_QUOTA, pt_extents_reserve(&x, &l.c.agent, 1));
	pt_extents_release(&x, &l.c.agent, 1);
	assert_int_equal(pages, pt_store_pages(&l.store)); /* one is kept for the next */
	pt_extents_release(&x, &l.c.agent, PT_EXTENT_SETS - 3);
	assert_int_equal(3 * PT_EXTENT_RESERVE, pt_store_pages(&l.store));
	pt_extents_release(&x, &l.c.agent, 2);
	assert_int_equal(0, pt_store_pages(&l.store));
	pt_section_end(&l.c.agent);
	ledger_close(&l);
}

/* A node that left the tree stays as long as somebody may read it, and leads nobody astray. */
static void nodes_go_after_a_grace_period(void **state)
{
	struct pt_agent reader = {0};
	struct pt_extents x;
	struct ledger l;
	uint64_t used;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&l.c.tables.world, &reader));
	pt_extents_init(&x, &l.store, UNITS);
	for (uint64_t at = 0; at < 1000; at++)
		extent_set(&l, &x, guest_extent(at, at + 1, 1, 2 * at, 0));
	used = atomic_load(&l.c.tables.world.pool.used_bytes);
	pt_section_begin(&reader);
	extent_set(&l, &x, host_extent(0, UNITS));
	/* The nodes; what was in stock went back at once. */
	assert_int_equal(used - PT_EXTENT_RESERVE * PT_SZ_4K,
			 atomic_load(&l.c.tables.world.pool.used_bytes));
	pt_section_end(&reader);
	while (pt_reclaim(&l.c.agent))
		continue;
	pt_agent_leave(&reader);
	ledger_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_root_promises_no_more),
		cmocka_unit_test(nothing_set_is_the_hosts),
		cmocka_unit_test(neighbours_are_one_when_they_go_on),
		cmocka_unit_test(random_changes_are_those_of_an_array),
		cmocka_unit_test(a_large_index_grows_and_shrinks),
		cmocka_unit_test(pages_change_at_a_cursor),
		cmocka_unit_test(a_cursor_holds_as_long_as_its_leaf),
		cmocka_unit_test(steps_of_one_transition_need_one_reservation),
		cmocka_unit_test(reservations_hold),
		cmocka_unit_test(several_are_reserved_at_once),
		cmocka_unit_test(nodes_go_after_a_grace_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
