/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slot is deleted and made again while vCPUs write and fault, ranges change and a dirty log is
 * read: the migration of migration.h, whose memory lies half in that slot and half in one that
 * stays. For TSan and ASan, too.
 *
 * Once a delete was answered nothing is mapped where the slot was, and no write arrives there until
 * it is back; what was written before is in the log. Slot tables are freed a grace period after
 * they were replaced.
 */
#include "at_rest.h"
#include "migration.h"

#define DELETES 40
#define GOES	(PAGES * 3 / 4) /* pages in the slot that goes: of two tables */

static struct {
	uint64_t size; /* of the one that goes: with all of its first block, or with half of it */
	uint64_t deleted, refused, left, late;
	bool keep; /* how it ends: with the slot, or without */
} slots;

/* The slot that goes ends where the one that stays begins. */
static struct pt_slots *make_slots(const struct logged *l, bool both)
{
	struct pt_slots *s = calloc(1, sizeof(*s) + 2 * sizeof(s->slot[0]));
	uint64_t stays = page_ipa(l, GOES);

	assert_non_null(s);
	if (both)
		s->slot[s->count++] = (struct pt_slot){.ipa = stays - slots.size,
						       .size = slots.size,
						       .pa = stays - slots.size + DIRTY_OFFSET,
						       .id = 1,
						       .backing_shift = 40};
	s->slot[s->count++] = (struct pt_slot){
		.ipa = stays, .size = l->block, .pa = stays + DIRTY_OFFSET, .backing_shift = 40};
	return s;
}

/* Sections may still read them. */
static void retire(struct worker *w, const struct pt_slots *old, struct pt_slots *now)
{
	struct logged *l = w->l;
	struct pt_grace grace;

	assert_ptr_equal(l->slots, old);
	pt_grace_begin(&grace, &l->c.machine, &w->agent);
	while (!pt_grace_done(&grace, &l->c.machine))
		sched_yield();
	free(l->slots);
	l->slots = now;
}

static uint64_t contents(const struct logged *l)
{
	uint64_t word, sum = 0;

	for (uint64_t n = 0; n < GOES; n++)
		for (unsigned k = 0; k < WORDS; k++) {
			pt_host_ram_read(&l->ram, page_ipa(l, n) + DIRTY_OFFSET + 8 * k, &word, 8);
			sum = sum * UINT64_C(0x9e3779b97f4a7c15) + word;
		}
	return sum;
}

/* Nothing is mapped, and nothing arrives. */
static void look_at_the_gap(struct worker *w)
{
	struct logged *l = w->l;
	uint64_t before = contents(l);
	int level;

	for (uint64_t n = 0; n < GOES; n++) {
		pt_pte e = 0;

		pt_section_begin(&w->agent);
		pt_get_leaf(&l->c.ctx, pt_ipa(page_ipa(l, n)), &e, &level);
		pt_section_end(&w->agent);
		slots.left += e != 0;
		if (n % 8 == 0)
			sched_yield();
	}
	slots.late += contents(l) != before;
}

/* False: it was refused, as some are on purpose, and the slot has to be as it was. */
static bool delete_slot(struct worker *w)
{
	struct logged *l = w->l;
	struct pt_item item = {.ctx = &l->c.ctx,
			       .kind = PT_ITEM_UNMAP,
			       .ipa = {page_ipa(l, GOES) - slots.size},
			       .size = slots.size};
	struct pt_slots *one = make_slots(l, false);
	/* Often in small steps: behind each the claim shrinks, and faults come in. */
	uint32_t budget = 1 + (uint32_t)below(w, below(w, 4) ? l->per_block / 64 : 300);
	bool refuse = !below(w, 6);
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&w->txn, &item, 1, refuse ? UINT64_MAX : 0, false, wake));
	w->txn.publish = one;
	STEP_TO_END(w, outcome, pt_txn_step(&w->txn, &w->agent, budget));
	if (refuse) {
		ASSERT_OUTCOME(PT_GENERATION_MISMATCH, outcome);
		assert_ptr_equal(l->slots, pt_ctx_slots(&l->c.ctx));
		free(one);
		slots.refused++;
		return false;
	}
	ASSERT_OUTCOME(PT_OK, outcome);
	retire(w, w->txn.replaced, one);
	slots.deleted++;
	return true;
}

static void make_slot(struct worker *w)
{
	struct pt_slots *both = make_slots(w->l, true);

	retire(w, pt_ctx_set_slots(&w->l->c.ctx, both), both);
}

static void *slotter(void *arg)
{
	struct worker *w = arg;
	bool there = true;

	while (atomic_load(&writing)) {
		if (there) {
			there = !delete_slot(w);
			w->done += !there;
		} else {
			look_at_the_gap(w);
			make_slot(w);
			there = true;
		}
		pt_reclaim(&w->agent);
		sched_yield();
	}
	while (there && !slots.keep)
		there = !delete_slot(w);
	if (!there && slots.keep)
		make_slot(w);
	return NULL;
}

static void migrate_under_deletes(unsigned shape, unsigned mode, bool part, bool keep,
				  uint64_t seed)
{
	struct pt_slots *both;
	struct logged l;

	memset(&slots, 0, sizeof(slots));
	slots.keep = keep;
	logged_open_on(&l, &shapes[shape], dirty_modes[mode], 2);
	slots.size = page_ipa(&l, GOES) - l.base - (part ? l.block / 2 : 0);
	core_set_bbm(&l.c, seed % 3);
	both = make_slots(&l, true);
	pt_ctx_set_slots(&l.c.ctx, both);
	free(l.slots);
	l.slots = both;
	log_start(&l, seed & 1, false);
	migrate(&l, seed);
	log_stop(&l);
	while (pt_reclaim(&l.c.agent))
		continue;
	assert_int_equal(0, slots.left);
	assert_int_equal(0, slots.late);
	assert_int_equal(keep ? 2 : 1, l.slots->count);
	assert_ptr_equal(l.slots, pt_ctx_slots(&l.c.ctx));
	check_at_rest(&l.c, DIRTY_OFFSET, l.slots);
	print_message("deleted %llu, refused %llu\n", (unsigned long long)slots.deleted,
		      (unsigned long long)slots.refused);
	logged_close(&l);
}

static void a_slot_goes_and_comes_under_everybody(void **state)
{
	static const unsigned which[] = {0, 2, 3, 0}; /* 4K, 64K, 4K LPA2 */
	uint64_t seed = core_seed(), refused = 0;

	(void)state;
	fifth = slotter;
	fifth_rounds = DELETES;
	settled_from = GOES;
	for (unsigned i = 0; i < 4; i++) {
		migrate_under_deletes(which[i], i & 1, i < 2, i % 3 == 0, seed + i);
		refused += slots.refused;
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_goes_and_comes_under_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
