/* SPDX-License-Identifier: BSD-2-Clause */
/* The context that the core's programs work on, and the operations on it that check themselves. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void check(bool ok, const char *what, uint64_t got, uint64_t want)
{
	if (ok)
		return;
	fprintf(stderr, "bench: %s: got %llu, expected %llu\n", what, (unsigned long long)got,
		(unsigned long long)want);
	exit(1);
}

void check_eq(const char *what, uint64_t got, uint64_t want)
{
	check(got == want, what, got, want);
}

double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void note(struct bench *b, enum row row, double since, uint64_t per)
{
	double ns = (now_ns() - since) / (double)per;

	if (b->best[row] == 0 || ns < b->best[row])
		b->best[row] = ns;
}

uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

uint32_t *shuffled(uint64_t count)
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

void section_begin(struct bench *b)
{
	pt_section_begin(&b->agent);
	pt_machine_use(&b->machine, &b->agent);
}

struct pt_effects run_range(struct bench *b, struct pt_item *item)
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

struct pt_effects map(struct bench *b, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t flags)
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

struct pt_effects unmap(struct bench *b, uint64_t ipa, uint64_t size)
{
	struct pt_item item = {
		.ctx = &b->ctx, .ipa = pt_ipa(ipa), .size = size, .kind = PT_ITEM_UNMAP};

	return run_range(b, &item);
}

struct pt_effects write_protect(struct bench *b, uint64_t ipa, uint64_t size)
{
	struct pt_item item = {
		.ctx = &b->ctx, .ipa = pt_ipa(ipa), .size = size, .kind = PT_ITEM_WRITE_PROTECT};

	return run_range(b, &item);
}

struct pt_effects annotate(struct bench *b, uint64_t ipa, uint64_t size, pt_pte note_pte)
{
	struct pt_item item = {.ctx = &b->ctx,
			       .ipa = pt_ipa(ipa),
			       .size = size,
			       .pa = pt_pa(note_pte),
			       .kind = PT_ITEM_ANNOTATE};

	return run_range(b, &item);
}

uint64_t points(struct pt_agent *agent, struct pt_item *item, struct pt_effects *effects)
{
	uint64_t before = effects->leaves_written + effects->leaves_removed;
	uint32_t at = 0;

	while ((at += pt_points(agent, item + at, SECTION_CALLS - at, effects)) < SECTION_CALLS)
		pt_point(agent, &item[at++], effects, NULL);
	return effects->leaves_written + effects->leaves_removed - before;
}

void faults(struct bench *b, const struct pt_fault *fault, struct pt_fault_page *page)
{
	uint32_t at = 0;

	while ((at += pt_faults(&b->agent, &b->ctx, fault + at, SECTION_CALLS - at, page + at)) <
	       SECTION_CALLS) {
		page[at] = fault_one(b, &fault[at]);
		at++;
	}
}

uint64_t age(struct bench *b, uint64_t ipa, uint64_t size)
{
	struct pt_upkeep_args args = {.ctx = &b->ctx,
				      .kind = PT_UPKEEP_AGE,
				      .ipa = pt_ipa(ipa),
				      .size = size,
				      .clear = true};
	struct pt_upkeep upkeep;
	enum pt_outcome o = pt_upkeep_init(&upkeep, &args, unexpected_wake);

	check_eq("pt_upkeep_init", o, PT_OK);
	do {
		section_begin(b);
		o = pt_upkeep_step(&upkeep, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
	} while (o == PT_MORE);
	check_eq("pt_upkeep_step", o, PT_OK);
	check_eq("age: how far", upkeep.next, ipa + size);
	return upkeep.young;
}

void check_leaves(struct bench *b, const char *after, uint64_t pages)
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

void bench_open(struct bench *b, const struct bench_args *how)
{
	struct pt_geometry_args args = {.granule_shift = how->granule_shift,
					.ipa_bits = how->ipa_bits ? how->ipa_bits : 40,
					.pa_bits = 48,
					.start_level_given =
						how->granule_shift == 12 && !how->ipa_bits,
					.start_level = 1};
	struct pt_geometry geo;

	memset(b, 0, sizeof(*b));
	b->page = UINT64_C(1) << how->granule_shift;
	b->size = how->size;
	b->pages = b->size / b->page;
	b->order = shuffled(b->pages);
	check_eq("pt_geometry_init", pt_geometry_init(&geo, &args), PT_OK);
	check_eq("pt_host_tables_create", pt_host_tables_create(&b->tables, how->table_bytes),
		 PT_OK);
	if (!how->untouched) /* touched before, as the peer's memory */
		memset(b->tables.port.table_va, 0, how->table_bytes);
	check_eq("pt_host_mmu_init", pt_host_mmu_init(&b->mmu, how->vcpus, PT_HOST_TLB_CACHE, 0),
		 PT_OK);
	check_eq("pt_agent_join", pt_agent_join(&b->tables.world, &b->agent), PT_OK);
	pt_host_port_init(&b->port, &b->tables, args.pa_bits);
	/* Without vCPUs no TLBs: an invalidation costs nothing, as with the peer. */
	pt_machine_init(&b->machine, &b->tables.world, &b->port, how->vcpus ? &b->mmu : NULL,
			args.pa_bits);
	check_eq("pt_ctx_init",
		 pt_ctx_init(&b->ctx, &b->agent, &b->machine, &geo, 0, how->vtcr_flags, UINT64_MAX),
		 PT_OK);
	section_begin(b);
	check_eq("pt_vmid_get", pt_vmid_get(&b->ctx, &b->agent), PT_OK);
	pt_section_end(&b->agent);
	b->slots = calloc(1, sizeof(*b->slots) + sizeof(b->slots->slot[0]));
	check(b->slots != NULL, "memory for a slot", 0, 1);
	b->slots->count = 1;
	b->slots->slot[0] = (struct pt_slot){.ipa = BASE,
					     .size = b->size,
					     .pa = BASE_PA,
					     .backing_shift = (uint8_t)how->granule_shift};
	pt_ctx_set_slots(&b->ctx, b->slots);
}

void bench_close(struct bench *b)
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
