/* SPDX-License-Identifier: BSD-2-Clause */
/* The reverse map by itself: lists, pages that come and go, refusals, leaves that are killed. */
#include "nested_fixture.h"

#include "../../lib/nested/links.h"

#define PAGE  UINT64_C(4096)
#define BLOCK (UINT64_C(2) << 20)
#define GIB   (UINT64_C(1) << 30)

static struct nest n;

static uint32_t collect(unsigned class, uint64_t canonical, uint64_t *head)
{
	struct pt__found found[PT_SHADOW_LINKS];
	uint32_t count;

	pt_section_begin(&n.c.agent);
	count = pt__links_collect(&n.nested, class, canonical, found, head);
	pt_section_end(&n.c.agent);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(canonical, found[i].canonical);
	return count;
}

static uint64_t store_pages(void)
{
	return atomic_load(&n.nested.store.pages);
}

static bool kill_at(struct pt_shadow *s, uint64_t ipa, uint64_t canonical)
{
	struct pt__kills kills = {.agent = &n.c.agent};
	bool killed;

	pt_section_begin(&n.c.agent);
	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_POINT, &kills, &s->ctx, (uintptr_t)&n.c.agent, 0);
	killed = pt__kill(&kills, nest_spot(s, ipa, PT_LEVEL_LAST), canonical);
	pt__kills_finish(&kills);
	pt_port_note(PT_EVENT_OP_END, PT_OP_POINT, &kills, &s->ctx, PT_UNMAPPED, 0);
	pt_section_end(&n.c.agent);
	return killed;
}

static void a_page_has_its_links(void **state)
{
	struct pt_shadow *s[3];
	uint64_t head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, 2 * BLOCK, GIB, PT_PROT_RWX, 0));
	for (unsigned i = 0; i < 3; i++) {
		s[i] = nest_shadow(&n, &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s[i], (7 + i) * PAGE, 5 * PAGE,
						    PT_LEVEL_LAST, PT_PROT_RWX));
	}
	assert_int_equal(3, collect(0, 5 * PAGE, &head));
	assert_int_equal(0, collect(0, 6 * PAGE, &head));
	assert_int_equal(0, collect(1, 0, &head));
	assert_int_equal(3, nest_leaves(&n));
	/* Of the list's middle, first and last. */
	assert_false(kill_at(s[1], 8 * PAGE, 6 * PAGE)); /* its link names another page */
	assert_true(kill_at(s[1], 8 * PAGE, 5 * PAGE));
	assert_false(kill_at(s[1], 8 * PAGE, 5 * PAGE));
	assert_int_equal(2, collect(0, 5 * PAGE, &head));
	assert_true(kill_at(s[2], 9 * PAGE, UINT64_MAX));
	assert_true(kill_at(s[0], 7 * PAGE, 5 * PAGE));
	assert_int_equal(0, collect(0, 5 * PAGE, &head));
	assert_int_equal(0, head);
	assert_int_equal(0, store_pages());
	nest_close(&n);
}

/* 16 bytes a leaf, and half a page of heads for each canonical leaf table; above them trees that
 * are as high as they have to be. */
static void memory_is_sixteen_bytes_a_leaf(void **state)
{
	struct pt_shadow *s;
	uint64_t leaves = 4 * (BLOCK / PAGE), before;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, GIB, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	for (uint64_t i = 0; i < leaves; i++)
		ASSERT_OUTCOME(PT_MAPPED,
			       nest_fill(&n, s, i * PAGE, i * PAGE, PT_LEVEL_LAST, PT_PROT_RWX));
	/* Links: 2 pages for 2 MiB; heads: a half; above: a page each. */
	assert_int_equal(leaves * 16 / PAGE + 2 + 1 + 1, store_pages());
	before = store_pages();
	/* Sparse: one leaf in 2 MiB costs a page of links and a page of heads. */
	ASSERT_OUTCOME(PT_MAPPED,
		       nest_fill(&n, s, 100 * BLOCK, 100 * BLOCK, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(before + 2, store_pages());
	nest_close(&n);
	assert_int_equal(0, store_pages());
}

/* Is the page exact, if so many links were entered in no list since the head was read? */
static bool is_exact_after(uint64_t head, uint64_t links)
{
	for (unsigned i = 0; i < PT_SHADOW_STRIPES; i++)
		atomic_fetch_add(&n.nested.stripe[i].nowhere, links);
	pt_section_begin(&n.c.agent);
	pt__links_exact(&n.nested, &n.c.agent, 0, PAGE, head);
	pt_section_end(&n.c.agent);
	collect(0, PAGE, &head);
	return !pt__head_inexact(head);
}

static void beyond_64_a_page_is_inexact(void **state)
{
	struct pt_shadow *s;
	struct pt_shadow_link link;
	uint64_t head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, BLOCK, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	for (uint64_t i = 0; i < 70; i++)
		ASSERT_OUTCOME(PT_MAPPED,
			       nest_fill(&n, s, i * PAGE, PAGE, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(64, collect(0, PAGE, &head));
	assert_true(pt__head_inexact(head));
	assert_int_equal(1, atomic_load(&n.nested.counts.inexact));
	for (uint64_t i = 0; i < 70; i++) {
		ASSERT_OUTCOME(PT_OK, pt_shadow_link(s, pt_ipa(i * PAGE + 8), &link));
		assert_int_equal(PAGE, link.canonical.v);
		assert_int_equal(3, link.guest_level);
		assert_int_equal(i >= 64, link.inexact);
	}
	ASSERT_OUTCOME(PT_NOT_MAPPED, pt_shadow_link(s, pt_ipa(70 * PAGE), &link));
	/* Exact only if none came since the head was read. */
	for (uint64_t i = 0; i < 70; i++)
		assert_true(kill_at(s, i * PAGE, PAGE));
	assert_int_equal(0, collect(0, PAGE, &head));
	assert_true(pt__head_inexact(head));
	assert_false(is_exact_after(head, 1));
	collect(0, PAGE, &head);
	assert_false(is_exact_after(head, UINT64_C(1) << 24)); /* of a sweep that takes long */
	collect(0, PAGE, &head);
	assert_true(is_exact_after(head, 0));
	assert_int_equal(0, collect(0, PAGE, &head));
	assert_int_equal(0, head);
	nest_close(&n);
	assert_int_equal(0, store_pages());
}

/* The first of a list says how many it has, and goes: by turns from the front, so that each but the
 * last has been the first. */
static void a_list_knows_how_many_it_has(void **state)
{
	struct pt_shadow_link link;
	struct pt_shadow *s;
	uint64_t head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, BLOCK, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	for (uint64_t i = 0; i < PT_SHADOW_LINKS; i++)
		ASSERT_OUTCOME(PT_MAPPED,
			       nest_fill(&n, s, i * PAGE, PAGE, PT_LEVEL_LAST, PT_PROT_RWX));
	/* The neighbour of its word has a list of its own. */
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, BLOCK, 0, PT_LEVEL_LAST, PT_PROT_RWX));
	for (uint64_t i = PT_SHADOW_LINKS; i-- > 1;) {
		assert_true(kill_at(s, i * PAGE, PAGE));
		assert_int_equal(i, collect(0, PAGE, &head));
	}
	for (uint64_t i = 1; i <= PT_SHADOW_LINKS; i++) {
		ASSERT_OUTCOME(PT_MAPPED,
			       nest_fill(&n, s, i * PAGE, PAGE, PT_LEVEL_LAST, PT_PROT_RWX));
		ASSERT_OUTCOME(PT_OK, pt_shadow_link(s, pt_ipa(i * PAGE), &link));
		assert_int_equal(i == PT_SHADOW_LINKS, link.inexact);
	}
	assert_int_equal(PT_SHADOW_LINKS, collect(0, PAGE, &head));
	assert_true(pt__head_inexact(head));
	assert_int_equal(1, collect(0, 0, &head));
	assert_false(pt__head_inexact(head));
	nest_close(&n);
	assert_int_equal(0, store_pages());
}

/* Two heads are changed as one word: of every size. */
static void heads_of_a_word_have_one_lock(void **state)
{
	(void)state;
	for (unsigned class = 0; class < PT_SHADOW_CLASSES; class ++)
		for (uint64_t i = 0; i < 4096; i += 2) {
			uint64_t lower = i << pt__class_shift(class),
				 upper = (i + 1) << pt__class_shift(class);

			assert_int_equal(pt__head_place(&n.nested, class, lower).n,
					 pt__head_place(&n.nested, class, upper).n);
			assert_ptr_equal(pt__stripe_of(&n.nested, class, lower),
					 pt__stripe_of(&n.nested, class, upper));
		}
}

/* Each page refused in turn, and the quota at each size: nothing is left, and the leaf comes when
 * nothing is refused. */
static void a_refused_link_leaves_nothing(void **state)
{
	uint64_t used;
	struct pt_shadow *s;
	uint32_t nth = 1;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, BLOCK, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	used = atomic_load(&n.c.tables.world.pool.used_bytes);
	for (;; nth++) {
		struct pt_host_failpoint how = {.scope = NESTED_SCOPE, .nth = nth, .times = 1};
		enum pt_outcome outcome;

		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
		outcome = nest_fill(&n, s, 0, 0, PT_LEVEL_LAST, PT_PROT_RWX);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		if (outcome == PT_MAPPED)
			break;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		while (pt_reclaim(&n.c.agent))
			continue;
		assert_int_equal(0, store_pages());
		assert_int_equal(used, atomic_load(&n.c.tables.world.pool.used_bytes));
	}
	assert_int_equal(1 + 2 + 2, nth); /* one for each page of both trees */
	assert_true(kill_at(s, 0, 0));
	for (uint64_t quota = 0; quota < 4; quota++) {
		atomic_store(&n.nested.store.quota_pages, quota);
		ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, 0, 0, PT_LEVEL_LAST, PT_PROT_RWX));
		assert_int_equal(0, store_pages());
	}
	atomic_store(&n.nested.store.quota_pages, 4);
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, 0, 0, PT_LEVEL_LAST, PT_PROT_RWX));
	nest_close(&n);
}

/* How many links the shadow's directory has, in the order of their addresses. */
static unsigned count_links(struct pt_shadow *s)
{
	int64_t left = 16 * 512; /* of a few pages: what is empty is passed by its link */
	uint64_t ipa = 0, last = 0;
	struct pt__spot spot;
	unsigned count = 0;

	pt_section_begin(&n.c.agent);
	while (pt__link_next(s, 0, &ipa, (UINT64_C(1) << 40) - 1, &left, &spot)) {
		assert_true(!count++ || spot.ipa.v > last);
		last = spot.ipa.v;
	}
	pt_section_end(&n.c.agent);
	assert_true(left > 0);
	return count;
}

/* The first leaf at 0, another so far away that both trees have to be higher. */
#define FAR	   (UINT64_C(1) << 39)
#define LOW_TREES  4
#define HIGH_LINKS 5 /* pages: two above the old root, three below */
#define HIGH_HEADS 3
#define HIGH_TREES (LOW_TREES + HIGH_LINKS + HIGH_HEADS)

static void trees_are_as_high_as_they_must_be(void **state)
{
	struct pt_shadow *s;
	uint64_t head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, PAGE, GIB, PT_PROT_RWX, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, FAR, PAGE, 2 * GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, 0, 0, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(LOW_TREES, store_pages());
	for (uint64_t quota = LOW_TREES; quota < HIGH_TREES; quota++) {
		atomic_store(&n.nested.store.quota_pages, quota);
		ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, FAR, FAR, PT_LEVEL_LAST, PT_PROT_RWX));
		assert_int_equal(LOW_TREES, store_pages());
	}
	atomic_store(&n.nested.store.quota_pages, HIGH_TREES);
	assert_int_equal(0, collect(0, FAR, &head));
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, FAR, FAR, PT_LEVEL_LAST, PT_PROT_RWX));
		assert_int_equal(HIGH_TREES, store_pages());
		assert_int_equal(1, collect(0, 0, &head));
		assert_int_equal(1, collect(0, FAR, &head));
		assert_int_equal(2, count_links(s));
		assert_true(kill_at(s, FAR, FAR));
		assert_int_equal(LOW_TREES, store_pages());
		assert_int_equal(1, collect(0, 0, &head));
		assert_int_equal(1, count_links(s));
	}
	/* The near one goes first: what is far keeps the trees high. */
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, FAR, FAR, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_true(kill_at(s, 0, 0));
	assert_int_equal(1, collect(0, FAR, &head));
	assert_int_equal(0, collect(0, 0, &head));
	assert_int_equal(1, count_links(s));
	assert_int_equal(4 + 3, store_pages()); /* what the far one takes alone */
	assert_true(kill_at(s, FAR, FAR));
	assert_int_equal(0, store_pages());
	assert_int_equal(0, count_links(s));
	nest_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_has_its_links),
		cmocka_unit_test(memory_is_sixteen_bytes_a_leaf),
		cmocka_unit_test(beyond_64_a_page_is_inexact),
		cmocka_unit_test(a_list_knows_how_many_it_has),
		cmocka_unit_test(heads_of_a_word_have_one_lock),
		cmocka_unit_test(a_refused_link_leaves_nothing),
		cmocka_unit_test(trees_are_as_high_as_they_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
