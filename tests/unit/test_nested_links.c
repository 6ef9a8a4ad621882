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

/* What comes with the first link, or head, that is asked for. */
#define LINKS 2048
#define HEADS 1024

static uint64_t store_bytes(void)
{
	return atomic_load(&n.nested.store.bytes);
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
	assert_int_equal(0, store_bytes());
	nest_close(&n);
}

static void leaf_at(struct pt_shadow *s, uint64_t ipa)
{
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, ipa, ipa, PT_LEVEL_LAST, PT_PROT_RWX));
}

/* 16 bytes a leaf, and 4 for each page of a canonical leaf table; above them trees that are as high
 * as they have to be. Never a page for each table that has few. */
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
	assert_int_equal(leaves * 16 + leaves * 4, store_bytes()); /* all near */
	leaf_at(s, 50 * BLOCK);
	before = store_bytes();
	assert_int_equal(leaves * 20 + LINKS + HEADS + 2 * PAGE, before); /* trees of two pages */
	/* Sparse: one leaf in 2 MiB, one beside it, and one at the end of the same. */
	leaf_at(s, 100 * BLOCK);
	assert_int_equal(before + LINKS + HEADS, store_bytes());
	assert_true(LINKS + HEADS + 2 * sizeof(uint64_t) < 16 + PAGE);
	leaf_at(s, 100 * BLOCK + PAGE);
	assert_int_equal(before + LINKS + HEADS, store_bytes());
	leaf_at(s, 101 * BLOCK - PAGE);
	assert_int_equal(before + 2 * (LINKS + HEADS), store_bytes());
	/* Pieces of heads stay until none of both says anything, and those of links that are beside
	 * each other likewise. */
	assert_true(kill_at(s, 100 * BLOCK, 100 * BLOCK));
	assert_true(kill_at(s, 100 * BLOCK + PAGE, 100 * BLOCK + PAGE));
	assert_int_equal(before + LINKS + 2 * HEADS, store_bytes());
	leaf_at(s, 101 * BLOCK - 200 * PAGE);
	assert_int_equal(before + 2 * LINKS + 2 * HEADS, store_bytes());
	assert_true(kill_at(s, 101 * BLOCK - PAGE, 101 * BLOCK - PAGE));
	assert_int_equal(before + 2 * LINKS + 2 * HEADS, store_bytes());
	assert_true(kill_at(s, 101 * BLOCK - 200 * PAGE, 101 * BLOCK - 200 * PAGE));
	assert_int_equal(before, store_bytes());
	nest_close(&n);
	assert_int_equal(0, store_bytes());
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
	assert_int_equal(0, store_bytes());
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
	assert_int_equal(0, store_bytes());
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

/* Each page and piece refused in turn: nothing is left, and the leaf comes when nothing is refused.
 * How many there are. */
static uint32_t refuse_each(struct pt_shadow *s, uint64_t ipa, uint64_t kept)
{
	uint64_t used = atomic_load(&n.c.tables.world.pool.used_bytes);

	for (uint32_t nth = 1;; nth++) {
		struct pt_host_failpoint how = {.scope = NESTED_SCOPE, .nth = nth, .times = 1};
		enum pt_outcome outcome;

		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
		outcome = nest_fill(&n, s, ipa, ipa, PT_LEVEL_LAST, PT_PROT_RWX);
		pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		if (outcome == PT_MAPPED)
			return nth - 1;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		while (pt_reclaim(&n.c.agent))
			continue;
		assert_int_equal(kept, store_bytes());
		assert_int_equal(used, atomic_load(&n.c.tables.world.pool.used_bytes));
	}
}

static uint32_t refused_in_turn(struct pt_shadow *s, uint64_t ipa)
{
	atomic_store(&n.nested.store.quota_pages, UINT64_MAX);
	leaf_at(s, ipa); /* with the shadow's tables, which stay */
	assert_true(kill_at(s, ipa, ipa));
	return refuse_each(s, ipa, 0);
}

/* And the quota at each size. */
static void refused_by_quota(struct pt_shadow *s, uint64_t ipa, uint64_t enough)
{
	assert_true(kill_at(s, ipa, ipa));
	for (uint64_t quota = 0; quota < enough; quota++) {
		atomic_store(&n.nested.store.quota_pages, quota);
		ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, ipa, ipa, PT_LEVEL_LAST, PT_PROT_RWX));
		assert_int_equal(0, store_bytes());
	}
	atomic_store(&n.nested.store.quota_pages, enough);
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, ipa, ipa, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_true(kill_at(s, ipa, ipa));
}

#define LOW (64 * UINT64_C(1048576)) /* further from 0 than what needs no tree */

static void a_refused_link_leaves_nothing(void **state)
{
	struct pt_shadow *s;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, LOW + PAGE, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	assert_int_equal(2, refused_in_turn(s, 0)); /* a piece of links, one of heads */
	refused_by_quota(s, 0, 1);
	assert_int_equal(2 + 2, refused_in_turn(s, LOW)); /* and the trees of both */
	refused_by_quota(s, LOW, 3);
	nest_close(&n);
}

/* What was made beside pieces that stay does not stay with them, whichever step gets no page. */
static void a_refused_link_leaves_no_half(void **state)
{
	const uint64_t half = LINKS / 16 * PAGE;
	struct pt_shadow *s;
	uint64_t kept, head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, BLOCK, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, 0, BLOCK / 2, PT_LEVEL_LAST, PT_PROT_RWX));
	kept = store_bytes();
	assert_int_equal(LINKS + HEADS, kept);
	assert_int_equal(2, refuse_each(s, half, kept)); /* beside both pieces */
	assert_int_equal(2 * kept, store_bytes());
	atomic_store(&s->ctx.quota_pages, atomic_load(&s->ctx.table_pages));
	ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, GIB, half + PAGE, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(1, collect(0, half, &head)); /* whoever made it, it is used */
	assert_int_equal(2 * kept, store_bytes());
	assert_true(kill_at(s, half, half));
	assert_true(kill_at(s, 0, BLOCK / 2));
	ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, 0, BLOCK / 2, PT_LEVEL_LAST, PT_PROT_RWX));
	ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, GIB, half, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(kept, store_bytes());
	/* Nor does the last that leaves keep what was made for it. */
	assert_true(kill_at(s, 0, BLOCK / 2));
	assert_int_equal(0, store_bytes());
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

/* So far away that both trees have to be higher. */
#define FAR	   (UINT64_C(1) << 39)
#define LOW_TREES  (2 * PAGE + LINKS + HEADS)
#define HIGH_LINKS (4 * PAGE + LINKS) /* two pages above the old root, two below */
#define HIGH_HEADS (4 * PAGE + HEADS)
#define HIGH_TREES (LOW_TREES + HIGH_LINKS + HIGH_HEADS)
#define FAR_ALONE  (6 * PAGE + LINKS + HEADS)

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

static void trees_are_as_high_as_they_must_be(void **state)
{
	struct pt_shadow *s;
	uint64_t head;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, LOW + PAGE, GIB, PT_PROT_RWX, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, FAR, PAGE, 2 * GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	leaf_at(s, 0); /* what is near this needs none */
	assert_int_equal(LINKS + HEADS, store_bytes());
	assert_true(kill_at(s, 0, 0));
	assert_int_equal(0, store_bytes());
	leaf_at(s, LOW);
	assert_int_equal(LOW_TREES, store_bytes());
	for (uint64_t quota = pages_of(LOW_TREES); quota < pages_of(HIGH_TREES); quota++) {
		atomic_store(&n.nested.store.quota_pages, quota);
		ASSERT_OUTCOME(PT_QUOTA, nest_fill(&n, s, FAR, FAR, PT_LEVEL_LAST, PT_PROT_RWX));
		assert_int_equal(LOW_TREES, store_bytes());
	}
	atomic_store(&n.nested.store.quota_pages, pages_of(HIGH_TREES));
	assert_int_equal(0, collect(0, FAR, &head));
	for (unsigned i = 0; i < 2; i++) {
		leaf_at(s, FAR);
		assert_int_equal(HIGH_TREES, store_bytes());
		assert_int_equal(1, collect(0, LOW, &head));
		assert_int_equal(1, collect(0, FAR, &head));
		assert_int_equal(2, count_links(s));
		assert_true(kill_at(s, FAR, FAR));
		assert_int_equal(LOW_TREES, store_bytes());
		assert_int_equal(1, collect(0, LOW, &head));
		assert_int_equal(1, count_links(s));
	}
	/* The lower one goes first: what is far keeps the trees high. */
	leaf_at(s, FAR);
	assert_true(kill_at(s, LOW, LOW));
	assert_int_equal(1, collect(0, FAR, &head));
	assert_int_equal(0, collect(0, LOW, &head));
	assert_int_equal(1, count_links(s));
	assert_int_equal(FAR_ALONE, store_bytes());
	assert_true(kill_at(s, FAR, FAR));
	assert_int_equal(0, store_bytes());
	assert_int_equal(0, count_links(s));
	nest_close(&n);
}

/* Where the first leaf was, few need no tree: searches pass from the tree to them and back,
 * wherever they begin. */
static void a_search_finds_what_is_near(void **state)
{
	/* The first is the one that others are near of; the last but one alone needs a high tree.
	 */
	static const uint64_t at[] = {40 * BLOCK, 47 * BLOCK,  0,   20 * BLOCK,
				      48 * BLOCK, 100 * BLOCK, FAR, FAR + PAGE};
	const unsigned all = sizeof(at) / sizeof(at[0]);
	struct pt_shadow *s;

	(void)state;
	nest_open(&n, &shapes[0], false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, GIB, GIB, PT_PROT_RWX, 0));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, FAR, 2 * PAGE, 2 * GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	leaf_at(s, at[0]);
	assert_true(kill_at(s, at[0], at[0]));
	for (unsigned set = 1; set < 1u << all; set++) {
		unsigned leaves = 0;

		for (unsigned i = 0; i < all; i++)
			if (set >> i & 1) {
				leaf_at(s, at[i]);
				leaves++;
			}
		assert_int_equal(leaves, count_links(s));
		for (unsigned i = 0; i < all; i++)
			if (set >> i & 1)
				assert_true(kill_at(s, at[i], at[i]));
		assert_int_equal(0, store_bytes());
	}
	nest_close(&n);
}

#define POOL_MOST (32 * GIB)

/* The last piece of links that a pool has is the next; the others are held. */
static void hold_all_but_the_last(struct pt_pieces *held)
{
	struct pt_pool *pool = &n.c.tables.world.pool;
	struct pt_page piece, quarter;

	ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&n.c.agent, HEADS, &quarter));
	while (pt_pool_get_root(&n.c.agent, LINKS, &piece) == PT_OK)
		pt_pieces_push(pool, held, piece);
	pt_pool_put_root(&n.c.agent, HEADS, quarter);
	piece = pt_pieces_pop(pool, held);
	assert_int_equal(POOL_MOST - LINKS, piece.off);
	pt_pool_put_root(&n.c.agent, LINKS, piece);
}

/* A link is named by its place in a pool of 32 GiB, to the last one; a larger one is refused. */
static void links_have_names_to_the_last(void **state)
{
	const uint64_t at[] = {0, LINKS / 16 * PAGE - PAGE};
	struct pt_pieces held = {0, 0};
	struct pt_nested other;
	struct pt_shadow *s;
	struct pt_pool *pool = &n.c.tables.world.pool;
	uint64_t head;

	(void)state;
	nest_open_bytes(&n, &shapes[0], POOL_MOST, false);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&n.c, 0, PAGE, GIB, PT_PROT_RWX, 0));
	s = nest_shadow(&n, &shapes[0]);
	leaf_at(s, 0); /* with the shadow's tables */
	assert_true(kill_at(s, 0, 0));
	pool->untouched = pool->units - 64; /* as if all before had been handed out */
	hold_all_but_the_last(&held);
	for (unsigned i = 0; i < 2; i++)
		ASSERT_OUTCOME(PT_MAPPED, nest_fill(&n, s, at[i], 0, PT_LEVEL_LAST, PT_PROT_RWX));
	assert_int_equal(2, collect(0, 0, &head));
	assert_int_equal(PT__HEAD_FIRST, head);
	for (unsigned i = 0; i < 2; i++)
		assert_true(kill_at(s, at[i], 0));
	assert_int_equal(0, collect(0, 0, &head));
	pt_pool_give_pieces(&n.c.agent, &held);
	other = n.nested;
	pool->units++;
	ASSERT_OUTCOME(PT_UNSUPPORTED, pt__links_init(&other, 1, NESTED_SCOPE));
	pool->units--;
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
		cmocka_unit_test(a_refused_link_leaves_no_half),
		cmocka_unit_test(trees_are_as_high_as_they_must_be),
		cmocka_unit_test(a_search_finds_what_is_near),
		cmocka_unit_test(links_have_names_to_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
