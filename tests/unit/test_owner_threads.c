/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger with two writers and two readers. Each writer has units and frames of its own, as if
 * it held their claims, side by side with the other's in the same nodes and pages. A reader never
 * sees what a unit or frame is neither before nor after a change.
 */
#include "owner_fixture.h"

#include <pthread.h>
#include <sched.h>

#define UNITS  4096u
#define STRIPE 8u   /* units of one owner, at rest */
#define REGION 256u /* units of one writer; then the other's */
#ifdef PT_PORT_TSAN
#define ROUNDS 300u /* it sees a race whatever comes of it */
#else
#define ROUNDS 1500u /* a reader that does not look again is noticed in nine runs of ten */
#endif
#define TAKER	77u
#define FRAMES	1024u /* two pages of records */
#define WRITERS 2u
#define READERS 2u

static struct ledger l;
static struct pt_extents extents;
static struct pt_frames frames;
static _Atomic uint32_t writing;
static _Atomic uint64_t reads, taken, wrong;

struct worker {
	struct pt_agent agent;
	pthread_t thread;
	unsigned number;
	uint64_t seed;
};

/* At rest: every fourth stripe is the host's, the others are of guests, no two of which go on. */
static struct pt_extent at_rest(uint64_t unit)
{
	uint64_t start = unit / STRIPE * STRIPE;
	uint16_t handle = (uint16_t)(unit / STRIPE % 4);

	return handle ? guest_extent(start, start + STRIPE, handle, start * 3, 0)
		      : host_extent(start, start + STRIPE);
}

static void check(bool right)
{
	if (!right)
		atomic_fetch_add(&wrong, 1);
}

/* Either as at rest, and no further than its stripe; or taken, from one end to the other. */
static void check_extent(const struct pt_extent *e, uint64_t unit)
{
	struct pt_extent rest = at_rest(unit);

	check(e->start <= unit && unit < e->end && e->end <= UNITS);
	if (e->owner.handle == TAKER) {
		atomic_fetch_add(&taken, 1);
		check(e->owner.gfn == 5 * (uint64_t)UNITS + e->start);
		check(e->start / REGION == unit / REGION && (e->end - 1) / REGION == unit / REGION);
		return;
	}
	check(e->owner.kind == rest.owner.kind && e->owner.handle == rest.owner.handle);
	check(e->start >= rest.start && e->end <= rest.end);
	if (e->owner.kind == PT_OWNER_GUEST)
		check(e->owner.gfn == rest.owner.gfn + (e->start - rest.start));
}

static void check_frame(uint64_t frame)
{
	struct pt_frame_record r = pt_frames_get(&frames, frame << PT_OWNER_SHIFT);

	check(!pt_frame_word(r) || (r.host == PT_PAGE_SHARED_OWNED && r.shares == frame + 1));
}

static void *read_all(void *arg)
{
	struct worker *w = arg;

	while (atomic_load(&writing)) {
		pt_section_begin(&w->agent);
		for (unsigned i = 0; i < 16; i++) {
			uint64_t unit = core_random(&w->seed) % UNITS;
			struct pt_extent e;

			check(pt_extents_find(&extents, unit, &e) == PT_OK);
			check_extent(&e, unit);
			check_frame(core_random(&w->seed) % FRAMES);
		}
		pt_section_end(&w->agent);
		atomic_fetch_add(&reads, 16);
	}
	return NULL;
}

/* Pages that went come back when everybody whose section may have seen them has gone on: as long as
 * somebody does not run, there may be none. */
static bool again(struct worker *w, enum pt_outcome outcome)
{
	if (outcome != PT_NO_MEMORY) {
		check(outcome == PT_OK);
		return false;
	}
	pt_section_end(&w->agent);
	while (pt_reclaim(&w->agent))
		sched_yield();
	pt_section_begin(&w->agent);
	return true;
}

static void set(struct worker *w, const struct pt_extent *e)
{
	while (again(w, pt_extents_reserve(&extents, &w->agent, 1)))
		continue;
	pt_extents_set(&extents, &w->agent, e);
	pt_extents_release(&extents, &w->agent, 1);
}

/* Some of a region is taken, over many owners; then each stripe of it is as at rest again. */
static void change_extents(struct worker *w)
{
	uint64_t region = core_random(&w->seed) % (UNITS / REGION / WRITERS) * WRITERS + w->number;
	uint64_t start = region * REGION + core_random(&w->seed) % REGION;
	uint64_t end = start + 1 + core_random(&w->seed) % (region * REGION + REGION - start);
	struct pt_extent e = guest_extent(start, end, TAKER, 5 * (uint64_t)UNITS + start, 0);

	set(w, &e);
	if (core_random(&w->seed) % 16 == 0)
		sched_yield(); /* with one processor, too, readers come by in between */
	for (uint64_t at = start; at < end; at = e.end) {
		e = at_rest(at);
		e.owner.gfn += e.owner.kind == PT_OWNER_GUEST ? at - e.start : 0;
		e.start = at;
		e.end = e.end < end ? e.end : end;
		set(w, &e);
	}
}

static void change_frames(struct worker *w)
{
	uint64_t frame = core_random(&w->seed) % (FRAMES / WRITERS) * WRITERS + w->number;
	uint64_t pa = frame << PT_OWNER_SHIFT;
	struct pt_frame_record r = pt_frame_record(0);

	for (unsigned i = 0; i < 2; i++) {
		while (again(w, pt_frames_reserve(&frames, &w->agent, pa, PT_SZ_4K)))
			continue;
		if (!i)
			r = (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0,
						     (uint32_t)frame + 1, false};
		else
			r = pt_frame_record(0);
		pt_frames_set(&frames, pa, PT_SZ_4K, r);
		pt_frames_release(&frames, &w->agent, pa, PT_SZ_4K);
	}
}

static void *write_all(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		pt_section_begin(&w->agent);
		change_extents(w);
		change_frames(w);
		pt_section_end(&w->agent);
	}
	/* Who comes last finds pages of the others to be waited for. */
	while (pt_reclaim(&w->agent))
		sched_yield();
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static void readers_see_before_or_after(void **state)
{
	static struct worker w[WRITERS + READERS];
	uint64_t seed = core_seed();

	(void)state;
	ledger_open(&l, UINT64_C(16) << 20);
	pt_extents_init(&extents, &l.store, UNITS);
	ASSERT_OUTCOME(PT_OK, pt_frames_init(&frames, &l.store, PT_OWNER_SHIFT, 40));
	for (uint64_t at = 0; at < UNITS; at += STRIPE)
		extent_set(&l, &extents, at_rest(at));
	atomic_store(&writing, WRITERS);
	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		w[i].number = i;
		w[i].seed = seed + i + 1;
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&l.c.tables.world, &w[i].agent));
		assert_int_equal(0, pthread_create(&w[i].thread, NULL,
						   i < WRITERS ? write_all : read_all, &w[i]));
	}
	for (unsigned i = 0; i < WRITERS + READERS; i++)
		assert_int_equal(0, pthread_join(w[i].thread, NULL));
	for (unsigned i = 0; i < WRITERS + READERS;
	     i++) { /* nobody else does anything while one leaves */
		while (pt_reclaim(&w[i].agent))
			continue;
		pt_agent_leave(&w[i].agent);
	}
	print_message("%llu reads, %llu of them in a change\n",
		      (unsigned long long)atomic_load(&reads),
		      (unsigned long long)atomic_load(&taken));
	assert_int_equal(0, atomic_load(&wrong));
	assert_true(atomic_load(&taken) > 0);
	for (uint64_t at = 0; at < UNITS; at += STRIPE) {
		struct pt_extent want = at_rest(at), got = extent_at(&l, &extents, at);

		extent_same(&want, &got);
	}
	extent_set(&l, &extents, host_extent(0, UNITS));
	assert_int_equal(0, atomic_load(&frames.tree.root));
	ledger_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_before_or_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
