/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of frame records against an array; its pages come and go. */
#include "owner_fixture.h"

#define PAGE_FRAMES 512u

static struct pt_frame_record get(struct ledger *l, const struct pt_frames *f, uint64_t pa)
{
	struct pt_frame_record r;

	pt_section_begin(&l->c.agent);
	r = pt_frames_get(f, pa);
	pt_section_end(&l->c.agent);
	return r;
}

static void expect(struct ledger *l, const struct pt_frames *f, uint64_t pa,
		   struct pt_frame_record want)
{
	assert_int_equal(pt_frame_word(want), pt_frame_word(get(l, f, pa)));
}

static enum pt_outcome reserve(struct ledger *l, struct pt_frames *f, uint64_t pa, uint64_t size)
{
	enum pt_outcome outcome;

	pt_section_begin(&l->c.agent);
	outcome = pt_frames_reserve(f, &l->c.agent, pa, size);
	pt_section_end(&l->c.agent);
	return outcome;
}

static void set_and_release(struct ledger *l, struct pt_frames *f, uint64_t pa, uint64_t size,
			    struct pt_frame_record r)
{
	pt_section_begin(&l->c.agent);
	pt_frames_set(f, pa, size, r);
	pt_frames_release(f, &l->c.agent, pa, size);
	pt_section_end(&l->c.agent);
}

static void set(struct ledger *l, struct pt_frames *f, uint64_t pa, uint64_t size,
		struct pt_frame_record r)
{
	ASSERT_OUTCOME(PT_OK, reserve(l, f, pa, size));
	set_and_release(l, f, pa, size, r);
}

static const struct pt_frame_record hosts = {PT_PAGE_OWNED, PT_PAGE_NOPAGE, 0, 0, false};
static const struct pt_frame_record hyps = {PT_PAGE_NOPAGE, PT_PAGE_OWNED, 0, 0, false};
static const struct pt_frame_record shared = {PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, 3, false};

static void what_is_not_there_is_the_hosts(void **state)
{
	struct pt_frames f;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	ASSERT_OUTCOME(PT_INVALID, pt_frames_init(&f, &l.store, 13, 44));
	ASSERT_OUTCOME(PT_INVALID, pt_frames_init(&f, &l.store, 12, 12));
	ASSERT_OUTCOME(PT_INVALID, pt_frames_init(&f, &l.store, 12, 53));
	for (unsigned shift = 12; shift <= 16; shift += 2)
		for (unsigned bits = shift + 1; bits <= 52; bits++) {
			uint64_t end = UINT64_C(1) << bits, one = UINT64_C(1) << shift;

			ASSERT_OUTCOME(PT_OK, pt_frames_init(&f, &l.store, shift, bits));
			expect(&l, &f, end - 1, hosts);
			ASSERT_OUTCOME(PT_INVALID, reserve(&l, &f, 0, 0));
			ASSERT_OUTCOME(PT_MISALIGNED, reserve(&l, &f, one / 2, one));
			ASSERT_OUTCOME(PT_MISALIGNED, reserve(&l, &f, 0, one + 8));
			ASSERT_OUTCOME(PT_OUT_OF_RANGE, reserve(&l, &f, end, one));
			ASSERT_OUTCOME(PT_OUT_OF_RANGE, reserve(&l, &f, end - one, 2 * one));
			ASSERT_OUTCOME(PT_OUT_OF_RANGE, reserve(&l, &f, one, -one));
			/* The last frame and the first: a branch of the tree for each, which is as
			 * high as they need and as the last does alone. */
			set(&l, &f, end - one, one, hyps);
			set(&l, &f, 0, one, shared);
			expect(&l, &f, end - 1, hyps);
			expect(&l, &f, 0, shared);
			if (bits - shift > 1)
				expect(&l, &f, one, hosts);
			set(&l, &f, end - one, one, hosts);
			assert_int_equal(bits - shift > 18 ? (bits - shift + 8) / 9 : 2,
					 pt_store_pages(&l.store));
			set(&l, &f, 0, one, hosts);
			assert_int_equal(0, pt_store_pages(&l.store));
		}
	ledger_close(&l);
}

/* Two transitions in one page of records, and one that changes nothing. */
static void a_page_stays_while_it_is_reserved(void **state)
{
	struct pt_frames f;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	ASSERT_OUTCOME(PT_OK, pt_frames_init(&f, &l.store, 12, 40));
	ASSERT_OUTCOME(PT_OK, reserve(&l, &f, 0x1000, 0x1000));
	ASSERT_OUTCOME(PT_OK, reserve(&l, &f, 0x2000, 0x1000));
	assert_int_equal(2, pt_store_pages(&l.store));
	set_and_release(&l, &f, 0x1000, 0x1000, hosts);
	assert_int_equal(2, pt_store_pages(&l.store));
	atomic_store(&l.store.quota_pages, 0); /* what is reserved needs no more */
	set_and_release(&l, &f, 0x2000, 0x1000, hyps);
	assert_int_equal(2, pt_store_pages(&l.store));
	set(&l, &f, 0x2000, 0x1000, hyps);
	set(&l, &f, 0x2000, 0x1000, hosts);
	assert_int_equal(0, pt_store_pages(&l.store));
	ledger_close(&l);
}

/* Each page that a reservation over several takes is refused in turn; then the quota is. */
static void a_reservation_is_all_or_nothing(void **state)
{
	uint64_t size = UINT64_C(3) << 21, pa = (UINT64_C(1) << 30) - (UINT64_C(3) << 20);
	struct pt_frames f;
	struct ledger l;
	unsigned failed = 0, nth = 1;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	ASSERT_OUTCOME(PT_OK, pt_frames_init(&f, &l.store, 12, 40));
	set(&l, &f, pa, 0x1000, hyps); /* the first of four pages is there already */
	for (;; nth++) {
		enum pt_outcome outcome;

		ledger_arm(nth);
		outcome = reserve(&l, &f, pa, size);
		if (!sweep_disarm())
			break;
		failed++;
		ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
		assert_int_equal(2, pt_store_pages(&l.store));
	}
	assert_int_equal(5, failed); /* three pages of records, two of links: one for a second, and
					one above both */
	set_and_release(&l, &f, pa, size, hosts);
	assert_int_equal(0, pt_store_pages(&l.store));
	for (uint64_t quota = 0; quota < 7; quota++) {
		atomic_store(&l.store.quota_pages, quota);
		ASSERT_OUTCOME(PT_QUOTA, reserve(&l, &f, pa, size));
		assert_int_equal(0, pt_store_pages(&l.store));
	}
	atomic_store(&l.store.quota_pages, 7);
	ASSERT_OUTCOME(PT_OK, reserve(&l, &f, pa, size));
	set_and_release(&l, &f, pa, size, hosts);
	ledger_close(&l);
}

#define FRAMES (8 * PAGE_FRAMES)

static struct pt_frame_record record[FRAMES];

/* Frames from `first` on with the same record, as far as its page and `end` go. */
static unsigned alike(unsigned first, unsigned end)
{
	unsigned i = first + 1;

	while (i < end && i % PAGE_FRAMES &&
	       pt_frame_word(record[i]) == pt_frame_word(record[first]))
		i++;
	return i - first;
}

static void compare_runs(struct ledger *l, const struct pt_frames *f)
{
	pt_section_begin(&l->c.agent);
	for (unsigned i = 0, end; i < FRAMES; i = i * 5 / 4 + 1)
		for (end = i + 1; end <= FRAMES; end = end * 2 - i) {
			struct pt_frame_record r;

			assert_int_equal((uint64_t)alike(i, end) << f->frame_shift,
					 pt_frames_alike(f, (uint64_t)i << f->frame_shift,
							 (uint64_t)end << f->frame_shift, &r));
			assert_int_equal(pt_frame_word(record[i]), pt_frame_word(r));
		}
	pt_section_end(&l->c.agent);
}

static void compare(struct ledger *l, const struct pt_frames *f)
{
	uint64_t pages = 0, at = 0;

	compare_runs(l, f);

	for (unsigned i = 0; i < FRAMES; i++)
		expect(l, f, (uint64_t)i << f->frame_shift, record[i]);
	for (unsigned page = 0; page < FRAMES / PAGE_FRAMES; page++)
		for (unsigned i = 0; i < PAGE_FRAMES; i++)
			if (pt_frame_word(record[page * PAGE_FRAMES + i])) {
				pages++;
				break;
			}
	/* A page of links above, or none. */
	assert_int_equal(pages ? pages + 1 : 0, pt_store_pages(&l->store));
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t end = (uint64_t)FRAMES << f->frame_shift;

		if (!pt_frame_word(record[i]))
			continue;
		pt_section_begin(&l->c.agent);
		while (!pt_frames_next(f, &at, end, 3))
			assert_true(at < end);
		pt_section_end(&l->c.agent);
		assert_int_equal((uint64_t)i << f->frame_shift, at);
		at += UINT64_C(1) << f->frame_shift;
	}
}

static void random_changes_are_those_of_an_array(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	for (unsigned shift = 12; shift <= 16; shift += 2) {
		struct pt_frames f;
		struct ledger l;

		ledger_open(&l, UINT64_C(8) << 20);
		ASSERT_OUTCOME(PT_OK, pt_frames_init(&f, &l.store, shift, 44));
		for (unsigned i = 0; i < FRAMES; i++)
			record[i] = hosts;
		for (unsigned i = 0; i < 2000; i++) {
			uint64_t first = core_random(&seed) % FRAMES;
			uint64_t longest = core_random(&seed) % 4 ? 20 : 3000;
			uint64_t n = 1 + core_random(&seed) % longest;
			struct pt_frame_record r = core_random(&seed) % 5 < 3 ? hosts : shared;

			n = first + n < FRAMES ? n : FRAMES - first;
			r.shares *= (uint32_t)core_random(&seed);
			set(&l, &f, first << shift, n << shift, r);
			for (uint64_t k = first; k < first + n; k++)
				record[k] = r;
			if (i % 100 == 99)
				compare(&l, &f);
		}
		pt_section_begin(&l.c.agent);
		while (pt_frames_close(&f, &l.c.agent, 2) == PT_MORE)
			continue;
		pt_section_end(&l.c.agent);
		ledger_close(&l);
	}
}

static void a_look_is_bounded(void **state)
{
	uint64_t pa = 0, end = UINT64_C(1) << 40;
	struct pt_frames f;
	struct ledger l;

	(void)state;
	ledger_open(&l, UINT64_C(8) << 20);
	ASSERT_OUTCOME(PT_OK, pt_frames_init(&f, &l.store, 12, 40));
	pt_section_begin(&l.c.agent);
	assert_false(pt_frames_next(&f, &pa, end, 1));
	assert_int_equal(end, pa);
	ASSERT_OUTCOME(PT_OK, pt_frames_reserve(&f, &l.c.agent, 0x5000, 0x1000));
	pt_frames_set(&f, 0x5000, 0x1000, hyps);
	pt_frames_release(&f, &l.c.agent, 0x5000, 0x1000);
	pa = 0;
	assert_false(pt_frames_next(&f, &pa, end, 5));
	assert_int_equal(0x5000, pa);
	assert_true(pt_frames_next(&f, &pa, end, 1));
	assert_int_equal(0x5000, pa);
	ASSERT_OUTCOME(PT_OK, pt_frames_reserve(&f, &l.c.agent, 0x5000, 0x1000));
	pt_frames_set(&f, 0x5000, 0x1000, hosts);
	pt_frames_release(&f, &l.c.agent, 0x5000, 0x1000);
	pt_section_end(&l.c.agent);
	ledger_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_is_the_hosts),
		cmocka_unit_test(a_page_stays_while_it_is_reserved),
		cmocka_unit_test(a_reservation_is_all_or_nothing),
		cmocka_unit_test(random_changes_are_those_of_an_array),
		cmocka_unit_test(a_look_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
