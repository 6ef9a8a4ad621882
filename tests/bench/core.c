/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times the core on the workload that peers/kvm times KVM's own page-table code on: 1 GiB of IPA, a
 * 40-bit space, 4K granule from level 1, one thread; then the 16K and 64K twins.
 *
 * Rows ending in _8vcpu invalidate the modelled TLBs of eight idle vCPUs.
 *
 * Prints "name nanoseconds" a line, the best of five rounds: a PTE for ranges, a call for single
 * pages in random order. Every phase checks what it did and the program fails if a number differs.
 * A range is timed from the call until the freed tables are back in the pool, zeroed. Single-page
 * calls share a section of 64, as the calls of one step of a loop do; the row ending in _section
 * opens one for each call.
 */
#include <pt/fault.h>
#include <pt/host/memory.h>
#include <pt/host/vcpu.h>
#include <pt/txn.h>
#include <pt/walk.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GIB	      (UINT64_C(1) << 30)
#define ROUNDS	      5
#define TABLE_BYTES   (UINT64_C(64) << 20)
#define STEP_BUDGET   65536 /* descriptor visits a step: one section holds a few ranges of a call */
#define SECTION_CALLS 64
#define BLOCKS	      256
#define BLOCK_ROUNDS  100

enum row {
	MAP_RANGE,
	WRPROTECT,
	GET_LEAF,
	RELAX,
	UNMAP_RANGE,
	FAULT_MAP,
	FAULT_MAP_SECTION,
	UNMAP_PAGE,
	BLOCK,
	ROWS
};

static const char *const row_name[ROWS] = {
	[MAP_RANGE] = "map_range",
	[WRPROTECT] = "wrprotect_range",
	[GET_LEAF] = "get_leaf_random",
	[RELAX] = "relax_random",
	[UNMAP_RANGE] = "unmap_range",
	[FAULT_MAP] = "fault_map_random",
	[FAULT_MAP_SECTION] = "fault_map_random_section",
	[UNMAP_PAGE] = "unmap_random",
	[BLOCK] = "map_unmap_1g_block",
};

/* One context over one pool, with everything that a phase needs. */
struct bench {
	struct pt_host_tables tables;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_agent agent;
	struct pt_machine machine;
	struct pt_ctx ctx;
	struct pt_slots *slots;
	uint32_t *order; /* the pages in random order */
	uint64_t pages, page;
	double best[ROWS];
};

static void check(bool ok, const char *what, uint64_t got, uint64_t want)
{
	if (ok)
		return;
	fprintf(stderr, "bench: %s: got %llu, expected %llu\n", what, (unsigned long long)got,
		(unsigned long long)want);
	exit(1);
}

static void check_eq(const char *what, uint64_t got, uint64_t want)
{
	check(got == want, what, got, want);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void note(struct bench *b, enum row row, double since, uint64_t per)
{
	double ns = (now_ns() - since) / (double)per;

	if (b->best[row] == 0 || ns < b->best[row])
		b->best[row] = ns;
}

/* The same generator and shuffle as the peer's, so that both see one permutation. */
static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

static uint32_t *shuffled(uint64_t count)
{
	uint64_t seed = UINT64_C(88172645463325252);
	uint32_t *order = malloc(count * sizeof(*order));

	check(order != NULL, "memory for the order of pages", 0, count);
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint64_t i = count - 1; i; i--) {
		uint64_t j = random_next(&seed) % (i + 1);
		uint32_t x = order[i];

		order[i] = order[j];
		order[j] = x;
	}
	return order;
}

static void unexpected_wake(struct pt_waiter *waiter)
{
	(void)waiter;
	check(false, "claims met with one agent", 1, 0);
}

static void section_begin(struct bench *b)
{
	pt_section_begin(&b->agent);
	pt_machine_use(&b->machine, &b->agent);
}

/* Closes the section and opens the next one after each SECTION_CALLS calls. */
static inline void section_turn(struct bench *b, uint64_t i)
{
	if (i % SECTION_CALLS == SECTION_CALLS - 1) {
		pt_section_end(&b->agent);
		section_begin(b);
	}
}

/* Runs one range to its end, freed tables included. */
static struct pt_effects run_range(struct bench *b, struct pt_item *item)
{
	struct pt_txn txn;
	enum pt_outcome o = pt_item_check(item);

	check_eq("pt_item_check", o, PT_OK);
	o = pt_txn_init(&txn, item, 1, 0, false, unexpected_wake);
	check_eq("pt_txn_init", o, PT_OK);
	do {
		section_begin(b);
		o = pt_txn_step(&txn, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
	} while (o == PT_MORE);
	check_eq("pt_txn_step", o, PT_OK);
	while (pt_reclaim(&b->agent))
		;
	return txn.effects;
}

static struct pt_effects map(struct bench *b, uint64_t ipa, uint64_t size, uint64_t pa,
			     uint32_t flags)
{
	struct pt_item item = {.ctx = &b->ctx,
			       .ipa = pt_ipa(ipa),
			       .size = size,
			       .pa = pt_pa(pa),
			       .prot = PT_PROT_RW,
			       .flags = flags,
			       .kind = PT_ITEM_MAP};

	return run_range(b, &item);
}

static struct pt_effects unmap(struct bench *b, uint64_t ipa, uint64_t size)
{
	struct pt_item item = {
		.ctx = &b->ctx, .ipa = pt_ipa(ipa), .size = size, .kind = PT_ITEM_UNMAP};

	return run_range(b, &item);
}

static struct pt_effects protect(struct bench *b, uint64_t ipa, uint64_t size, uint32_t prot)
{
	struct pt_item item = {.ctx = &b->ctx,
			       .ipa = pt_ipa(ipa),
			       .size = size,
			       .prot = prot,
			       .kind = PT_ITEM_PROTECT};

	return run_range(b, &item);
}

/* The tree holds exactly `pages` leaves of level 3 and none elsewhere. */
static void check_leaves(struct bench *b, const char *after, uint64_t pages)
{
	struct pt_digest digest;
	uint64_t others = 0;
	enum pt_outcome o;

	section_begin(b);
	pt_digest_begin(&digest, &b->ctx);
	do
		o = pt_digest_step(&digest, UINT32_MAX);
	while (o == PT_MORE);
	pt_section_end(&b->agent);
	check_eq(after, o, PT_OK);
	for (int i = 0; i < PT_LEVEL_LAST - PT_LEVEL_FIRST; i++)
		others += digest.leaves[i];
	check_eq(after, others, 0);
	check_eq(after, digest.leaves[PT_LEVEL_LAST - PT_LEVEL_FIRST], pages);
	check_eq(after, digest.invalid_nonzero, 0);
}

static void time_map_range(struct bench *b)
{
	double t = now_ns();
	struct pt_effects done = map(b, GIB, GIB, 4 * GIB, PT_MAP_FORCE_PAGES);

	note(b, MAP_RANGE, t, b->pages);
	check_eq("map_range: leaves written", done.leaves_written, b->pages);
	check_eq("map_range: table pages", done.tables_added, b->ctx.table_pages);
	if (b->ctx.geo.granule_shift == 12)
		check_eq("map_range: tables at 4K", done.tables_added, 513);
	check_leaves(b, "leaves after map_range", b->pages);
}

static void time_wrprotect(struct bench *b)
{
	double t = now_ns();
	struct pt_effects done = protect(b, GIB, GIB, PT_PROT_R);

	note(b, WRPROTECT, t, b->pages);
	check_eq("wrprotect_range: leaves written", done.leaves_written, b->pages);
	check_leaves(b, "leaves after wrprotect_range", b->pages);
}

static void time_get_leaf(struct bench *b)
{
	pt_pte same = pt_leaf(&b->ctx.geo, pt_pa(0), pt_leaf_attrs(&b->ctx.geo, PT_PROT_R, 0), 3);
	uint64_t sum = 0, want = 0, levels = 0;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		pt_pte entry = 0;
		int level = -1;

		pt_get_leaf(&b->ctx, pt_ipa(GIB + b->order[i] * b->page), &entry, &level);
		sum += entry;
		levels += level == PT_LEVEL_LAST;
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	note(b, GET_LEAF, t, b->pages);
	for (uint64_t i = 0; i < b->pages; i++)
		want += same + 4 * GIB + i * b->page;
	check_eq("get_leaf_random: sum of the entries", sum, want);
	check_eq("get_leaf_random: level 3", levels, b->pages);
}

/* A fault on each page, in random order; all must end as `want`. */
static void fault_all(struct bench *b, enum row row, enum pt_fault_type type, enum pt_outcome want,
		      uint64_t calls_a_section)
{
	uint64_t as_wanted = 0, pas = 0, pas_wanted = 0;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		struct pt_fault fault = {.ipa = pt_ipa(GIB + b->order[i] * b->page),
					 .access = PT_ACCESS_WRITE,
					 .type = (uint8_t)type,
					 .level = PT_LEVEL_LAST};
		struct pt_fault_result result;

		as_wanted += pt_fault_handle(&b->agent, &b->ctx, &fault, &result) == want;
		pas += result.pa.v;
		if (calls_a_section == 1)
			section_turn(b, SECTION_CALLS - 1);
		else
			section_turn(b, i);
	}
	pt_section_end(&b->agent);
	note(b, row, t, b->pages);
	for (uint64_t i = 0; i < b->pages; i++)
		pas_wanted += 4 * GIB + i * b->page;
	check_eq(row_name[row], as_wanted, b->pages);
	check_eq(row_name[row], pas, pas_wanted);
	check_leaves(b, row_name[row], b->pages);
}

static void time_unmap_range(struct bench *b)
{
	uint64_t tables = b->ctx.table_pages;
	double t = now_ns();
	struct pt_effects done = unmap(b, GIB, GIB);

	note(b, UNMAP_RANGE, t, b->pages);
	check_eq("unmap_range: leaves removed", done.leaves_removed, b->pages);
	check_eq("unmap_range: tables freed", done.tables_freed, tables);
	check_eq("unmap_range: table pages left", b->ctx.table_pages, 0);
	check_leaves(b, "leaves after unmap_range", 0);
}

static void time_unmap_page(struct bench *b)
{
	struct pt_effects effects = {0};
	uint64_t unmapped = 0;
	double t = now_ns();

	section_begin(b);
	for (uint64_t i = 0; i < b->pages; i++) {
		struct pt_item item = {.ctx = &b->ctx,
				       .ipa = pt_ipa(GIB + b->order[i] * b->page),
				       .size = b->page,
				       .kind = PT_ITEM_UNMAP};
		struct pt_error err;

		unmapped += pt_point(&b->agent, &item, &effects, &err) == PT_UNMAPPED;
		section_turn(b, i);
	}
	pt_section_end(&b->agent);
	note(b, UNMAP_PAGE, t, b->pages);
	check_eq("unmap_random: outcomes", unmapped, b->pages);
	check_eq("unmap_random: leaves removed", effects.leaves_removed, b->pages);
	check_leaves(b, "leaves after unmap_random", 0);
	unmap(b, GIB, GIB); /* the tables, which single pages leave in place */
	check_eq("unmap_random: table pages left", b->ctx.table_pages, 0);
}

static void time_blocks(struct bench *b)
{
	struct pt_effects up = {0}, down = {0};
	double t = now_ns();

	for (unsigned i = 0; i < BLOCK_ROUNDS; i++) {
		up = map(b, 0, BLOCKS * GIB, 0, 0);
		down = unmap(b, 0, BLOCKS * GIB);
	}
	note(b, BLOCK, t, BLOCK_ROUNDS * BLOCKS);
	check_eq("map_unmap_1g_block: blocks written", up.leaves_written, BLOCKS);
	check_eq("map_unmap_1g_block: blocks removed", down.leaves_removed, BLOCKS);
	check_eq("map_unmap_1g_block: table pages", b->ctx.table_pages, 0);
}

static void bench_round(struct bench *b)
{
	time_map_range(b);
	time_wrprotect(b);
	time_get_leaf(b);
	fault_all(b, RELAX, PT_FAULT_PERMISSION, PT_RELAXED, SECTION_CALLS);
	time_unmap_range(b);
	fault_all(b, FAULT_MAP, PT_FAULT_TRANSLATION, PT_MAPPED, SECTION_CALLS);
	time_unmap_page(b);
	fault_all(b, FAULT_MAP_SECTION, PT_FAULT_TRANSLATION, PT_MAPPED, 1);
	unmap(b, GIB, GIB);
	if (b->ctx.geo.granule_shift == 12)
		time_blocks(b);
}

static void bench_open(struct bench *b, unsigned granule_shift, uint32_t vcpus)
{
	struct pt_geometry_args args = {.granule_shift = granule_shift,
					.ipa_bits = 40,
					.pa_bits = 48,
					.start_level_given = granule_shift == 12,
					.start_level = 1};
	struct pt_geometry geo;

	memset(b, 0, sizeof(*b));
	b->page = UINT64_C(1) << granule_shift;
	b->pages = GIB / b->page;
	b->order = shuffled(b->pages);
	check_eq("pt_geometry_init", pt_geometry_init(&geo, &args), PT_OK);
	check_eq("pt_host_tables_create", pt_host_tables_create(&b->tables, TABLE_BYTES), PT_OK);
	memset(b->tables.port.table_va, 0, TABLE_BYTES); /* touched before, as the peer's memory */
	check_eq("pt_host_mmu_init", pt_host_mmu_init(&b->mmu, vcpus, PT_HOST_TLB_CACHE, 0), PT_OK);
	check_eq("pt_agent_join", pt_agent_join(&b->tables.world, &b->agent), PT_OK);
	pt_host_port_init(&b->port, &b->tables, args.pa_bits);
	/* Without vCPUs no TLBs: an invalidation costs nothing, as with the peer. */
	pt_machine_init(&b->machine, &b->tables.world, &b->port, vcpus ? &b->mmu : NULL,
			args.pa_bits);
	check_eq("pt_ctx_init",
		 pt_ctx_init(&b->ctx, &b->agent, &b->machine, &geo, 0, 0, 1, UINT64_MAX), PT_OK);
	b->slots = calloc(1, sizeof(*b->slots) + sizeof(b->slots->slot[0]));
	check(b->slots != NULL, "memory for a slot", 0, 1);
	b->slots->count = 1;
	b->slots->slot[0] = (struct pt_slot){
		.ipa = GIB, .size = GIB, .pa = 4 * GIB, .backing_shift = (uint8_t)granule_shift};
	pt_ctx_set_slots(&b->ctx, b->slots);
}

static void bench_close(struct bench *b)
{
	struct pt_txn txn;
	enum pt_outcome o = pt_ctx_destroy_begin(&txn, &b->ctx, unexpected_wake);

	while (o == PT_OK || o == PT_MORE) {
		section_begin(b);
		o = pt_txn_step(&txn, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
		if (o == PT_OK)
			break;
	}
	check_eq("teardown", o, PT_OK);
	while (pt_reclaim(&b->agent))
		;
	pt_agent_leave(&b->agent);
	check_eq("bytes of the pool in use at the end", b->tables.world.pool.used_bytes, 0);
	pt_host_mmu_destroy(&b->mmu);
	pt_host_tables_destroy(&b->tables);
	free(b->slots);
	free(b->order);
}

static void bench_flavour(unsigned granule_shift, uint32_t vcpus, const char *suffix)
{
	static struct bench b;

	bench_open(&b, granule_shift, vcpus);
	for (unsigned round = 0; round < ROUNDS; round++)
		bench_round(&b);
	for (unsigned row = 0; row < ROWS; row++)
		if (b.best[row] > 0)
			printf("%s%s %.2f\n", row_name[row], suffix, b.best[row]);
	bench_close(&b);
}

int main(void)
{
	bench_flavour(12, 0, "");
	bench_flavour(12, 8, "_8vcpu");
	bench_flavour(14, 0, "_16k");
	bench_flavour(16, 0, "_64k");
	return 0;
}
