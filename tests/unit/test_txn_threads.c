/* SPDX-License-Identifier: BSD-2-Clause */
/* Four agents on one context: faults, accesses, point operations, ranges and upkeep at random; for
 * TSan and ASan too. */
#include <pthread.h>
#include <sched.h>

#include <pt/upkeep.h>

#include "at_rest.h"
#include "stepping.h"
#include "table_ages.h"

#define THREADS 4
#define ROUNDS	4000

/* Everything maps with one offset, so that any order of operations leaves leaves that can be
 * checked. */
#define OFFSET (UINT64_C(1) << 33)

struct worker {
	struct core *c;
	struct pt_host_ram *ram;
	struct pt_agent agent;
	uint64_t seed, base, blocks, page, block;
	uint32_t vcpu;
	struct pt_waiter waiter;
	_Atomic unsigned woken;
	unsigned wanted;
	struct pt_txn txn;
	struct pt_upkeep upkeep;
	struct pt_effects effects;
	uint64_t installed, parked;
	pthread_t thread;
};

static struct worker workers[THREADS];

static void wake(struct pt_waiter *waiter)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (waiter == &workers[i].waiter || waiter == &workers[i].txn.claim.waiter ||
		    waiter == &workers[i].upkeep.claim.waiter)
			atomic_fetch_add(&workers[i].woken, 1);
}

static void await_wake(struct worker *w)
{
	w->wanted++;
	w->parked++;
	while (atomic_load(&w->woken) != w->wanted)
		sched_yield();
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return core_random(&w->seed) % n;
}

static void park(struct worker *w, uint64_t ipa, uint64_t size)
{
	if (pt_waiter_park(&w->waiter, &w->c->ctx, ipa, ipa + size - 1, wake))
		await_wake(w);
}

static uint64_t random_page(struct worker *w)
{
	/* Half of them in few places, so that agents meet. */
	uint64_t pages = w->blocks * w->block / w->page;

	return w->base + (below(w, 2) ? below(w, 8) : below(w, pages)) * w->page;
}

static void do_fault(struct worker *w)
{
	struct pt_fault fault = {
		.ipa = {random_page(w)}, .vcpu = w->vcpu, .access = 1 + (uint8_t)below(w, 3)};
	struct pt_fault_result result;
	enum pt_outcome outcome;

	for (;;) {
		pt_section_begin(&w->agent);
		outcome = pt_fault_handle(&w->agent, &w->c->ctx, &fault, &result);
		pt_section_end(&w->agent);
		if (outcome == PT_MAPPED) {
			w->installed++;
			w->effects.tables_added += result.tables_added;
		}
		if (outcome == PT_PARKED)
			park(w, fault.ipa.v, w->page);
		else if (outcome != PT_RACED)
			break;
	}
	assert_false(pt_is_error(outcome));
	assert_int_equal(fault.ipa.v + OFFSET, result.pa.v);
}

static void do_access(struct worker *w)
{
	struct pt_host_access a = {
		.vcpu = w->vcpu, .ipa = {random_page(w)}, .access = PT_ACCESS_AT};
	enum pt_outcome outcome;

	pt_section_begin(&w->agent);
	outcome = pt_host_access(&w->agent, &w->c->ctx, w->ram, &a);
	pt_section_end(&w->agent);
	if (outcome == PT_OK)
		assert_int_equal(a.ipa.v + OFFSET, a.pa.v);
}

/* Any kind but ANNOTATE, after which a fault is an error. */
static uint32_t random_kind(struct worker *w)
{
	static const uint32_t kinds[] = {PT_ITEM_MAP,	 PT_ITEM_UNMAP,		PT_ITEM_PROTECT,
					 PT_ITEM_RELAX,	 PT_ITEM_WRITE_PROTECT, PT_ITEM_MAKE_YOUNG,
					 PT_ITEM_FLUSH,	 PT_ITEM_MAP,		PT_ITEM_UNMAP,
					 PT_ITEM_PROTECT};

	return kinds[below(w, sizeof(kinds) / sizeof(kinds[0]))];
}

static uint32_t random_prot(struct worker *w, uint32_t kind)
{
	if (kind != PT_ITEM_MAP && kind != PT_ITEM_PROTECT && kind != PT_ITEM_RELAX)
		return 0;
	return below(w, 2) ? PT_PROT_R : PT_PROT_RW;
}

static void do_point(struct worker *w)
{
	struct pt_item item = {.ctx = &w->c->ctx, .kind = random_kind(w)};
	struct pt_grace grace;
	enum pt_outcome outcome;

	item.ipa.v = random_page(w);
	item.size = w->page;
	item.pa.v = item.ipa.v + OFFSET;
	item.prot = random_prot(w, item.kind);
	if (!below(w, 4)) {
		item.ipa.v &= ~(w->block - 1);
		item.pa.v = item.ipa.v + OFFSET;
		item.size = w->block;
	}
	do {
		pt_section_begin(&w->agent);
		outcome = pt_point(&w->agent, &item, &w->effects, NULL);
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			park(w, item.ipa.v, item.size);
	} while (outcome == PT_PARKED || outcome == PT_RACED);
	assert_false(pt_is_error(outcome));
	pt_grace_begin(&grace, &w->c->machine, &w->agent);
	while (!pt_grace_done(&grace, &w->c->machine))
		sched_yield();
}

static void run_txn(struct worker *w, struct pt_item *items, unsigned n)
{
	uint32_t budget = (uint32_t[]){5, 300, 100000}[below(w, 3)];
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_txn_init(&w->txn, items, n, 0, false, wake));
	if (!below(w, 16)) { /* sometimes a client that goes away */
		pt_section_begin(&w->agent);
		outcome = pt_txn_step(&w->txn, &w->agent, 1);
		pt_section_end(&w->agent);
		if (outcome == PT_PARKED)
			await_wake(w);
		if (outcome != PT_OK && pt_txn_abort(&w->txn, &w->agent))
			return;
	}
	STEP_TO_END(w, outcome, pt_txn_step(&w->txn, &w->agent, budget));
	ASSERT_OUTCOME(PT_OK, outcome);
	w->effects.leaves_written += w->txn.effects.leaves_written;
	w->effects.leaves_removed += w->txn.effects.leaves_removed;
	w->effects.tables_added += w->txn.effects.tables_added;
	w->effects.tables_freed += w->txn.effects.tables_freed;
}

static void do_range(struct worker *w)
{
	struct pt_item items[2];
	uint64_t pages = w->blocks * w->block / w->page, from = 0;
	unsigned n = 0;

	while (n < 1 + below(w, 2) && from < pages) {
		uint64_t at = from + below(w, pages - from), size = 1 + below(w, pages - at);
		uint32_t kind = random_kind(w);

		items[n++] =
			(struct pt_item){.ctx = &w->c->ctx,
					 .ipa = {w->base + at * w->page},
					 .size = size * w->page,
					 .pa = {w->base + at * w->page + OFFSET},
					 .prot = random_prot(w, kind),
					 .kind = kind,
					 .flags = kind == PT_ITEM_MAP ? (uint32_t)below(w, 4) : 0};
		from = at + size;
	}
	run_txn(w, items, n);
}

static void do_upkeep(struct worker *w)
{
	uint64_t pages = w->blocks * w->block / w->page, at = below(w, pages);
	struct pt_upkeep_args args = {.ctx = &w->c->ctx,
				      .kind = PT_UPKEEP_AGE + (uint32_t)below(w, 4),
				      .ipa = {w->base + at * w->page},
				      .size = (1 + below(w, pages - at)) * w->page};
	enum pt_outcome outcome;

	args.clear = args.kind == PT_UPKEEP_AGE && below(w, 2);
	args.level = args.kind == PT_UPKEEP_SPLIT ? PT_LEVEL_LAST : 0;
	ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&w->upkeep, &args, wake));
	STEP_TO_END(w, outcome,
		    pt_upkeep_step(&w->upkeep, &w->agent, 100 + (uint32_t)below(w, 3000)));
	ASSERT_OUTCOME(PT_OK, outcome);
	w->effects.tables_added += w->upkeep.effects.tables_added;
	w->effects.tables_freed += w->upkeep.effects.tables_freed;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		switch (below(w, 9)) {
		case 0:
		case 1:
		case 2: do_fault(w); break;
		case 3: do_access(w); break;
		case 4:
		case 5:
		case 6: do_point(w); break;
		case 7: do_upkeep(w); break;
		default: do_range(w); break;
		}
		pt_reclaim(&w->agent);
	}
	return NULL;
}

static void check_end(struct core *c)
{
	struct pt_digest digest = check_at_rest(c, OFFSET, NULL);
	uint64_t added = 0, freed = 0, installed = 0, parked = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		added += workers[i].effects.tables_added;
		freed += workers[i].effects.tables_freed;
		installed += workers[i].installed;
		parked += workers[i].parked;
	}
	assert_int_equal(digest.tables, added - freed);
	print_message("installed %llu, parked %llu, tables added %llu\n",
		      (unsigned long long)installed, (unsigned long long)parked,
		      (unsigned long long)added);
}

static void four_agents(const struct shape *shape, uint64_t seed)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(slots->slot[0]));
	struct pt_host_ram ram;
	struct core c;

	assert_non_null(slots);
	core_open_bytes(&c, shape, UINT64_C(256) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&ram, UINT64_C(1) << 37));
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		w->c = &c;
		w->ram = &ram;
		w->seed = seed + i * 7919;
		w->vcpu = i;
		w->page = core_size(&c, 3);
		w->block = core_size(&c, 2);
		w->blocks = 3;
		w->base = core_size(&c, 1) - w->block;
		if (c.ctx.geo.start_level > 1)
			w->base = 0;
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&c.tables.world, &w->agent));
	}
	slots->count = 1;
	slots->slot[0] = (struct pt_slot){.ipa = workers[0].base,
					  .size = 3 * workers[0].block,
					  .pa = workers[0].base + OFFSET,
					  .backing_shift = 40};
	pt_ctx_set_slots(&c.ctx, slots);
	ages_begin(&c);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		while (pt_reclaim(&workers[i].agent))
			continue;
		pt_agent_leave(&workers[i].agent);
	}
	ages_end();
	check_end(&c);
	core_close(&c);
	pt_host_ram_destroy(&ram);
	free(slots);
}

static void four_agents_leave_a_consistent_tree(void **state)
{
	uint64_t seed = core_seed();

	(void)state;
	four_agents(&shapes[0], seed);
	four_agents(&shapes[4], seed + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_agents_leave_a_consistent_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
