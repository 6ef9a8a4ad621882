/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixture of the tests of dirty logs: a context with one slot, a log over a part of it, faults and
 * operations. */
#ifndef TESTS_UNIT_DIRTY_FIXTURE_H
#define TESTS_UNIT_DIRTY_FIXTURE_H

#include <pt/dirty.h>

#include "core.h"

/* A slot of `blocks` blocks from IPA one block on, at the same offset for every page. */
struct logged {
	struct core c;
	struct pt_slots *slots;
	struct pt_dirty_log log;
	void *memory;
	uint64_t page, block, base, size, per_block;
	uint8_t *bitmap;
	struct pt_host_ram ram;
	struct pt_dirty op;
};

#define DIRTY_OFFSET (UINT64_C(1) << 30)

static inline void logged_set_slot(struct logged *l, unsigned backing, uint32_t flags)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(struct pt_slot));

	assert_non_null(slots);
	slots->count = 1;
	slots->slot[0] = (struct pt_slot){.ipa = l->base,
					  .size = l->size,
					  .pa = l->base + DIRTY_OFFSET,
					  .flags = flags,
					  .backing_shift = (uint8_t)backing};
	pt_ctx_set_slots(&l->c.ctx, slots);
	free(l->slots);
	l->slots = slots;
}

static inline void logged_open_on(struct logged *l, const struct shape *shape, unsigned vtcr,
				  uint64_t blocks)
{
	memset(l, 0, sizeof(*l));
	core_open_bytes(&l->c, shape, UINT64_C(64) << 20, true);
	l->c.ctx.vtcr_flags = (uint8_t)vtcr;
	l->c.ctx.plain &= !vtcr;
	core_note_options(&l->c.ctx);
	l->page = core_size(&l->c, 3);
	l->block = core_size(&l->c, 2);
	l->per_block = l->block / l->page;
	l->base = l->block;
	l->size = blocks * l->block;
	logged_set_slot(l, 40, 0);
	l->memory = calloc(1, pt_dirty_bytes(l->c.ctx.geo.granule_shift, l->size));
	l->bitmap = calloc(1, l->size / l->page / 8 + 1);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&l->ram, l->base + DIRTY_OFFSET + l->size));
	assert_non_null(l->memory);
	assert_non_null(l->bitmap);
}

static inline void logged_close(struct logged *l)
{
	struct pt_host_tlb_stats stats;

	pt_host_tlb_stats(&l->c.mmu, &stats);
	assert_int_equal(0, stats.clashes);
	core_close(&l->c);
	pt_host_ram_destroy(&l->ram);
	free(l->slots);
	free(l->memory);
	free(l->bitmap);
}

static inline enum pt_outcome dirty_step(struct logged *l, uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&l->c.agent);
	outcome = pt_dirty_step(&l->op, &l->c.agent, budget);
	pt_section_end(&l->c.agent);
	return outcome;
}

/* To the end, in steps of `budget`; the outcome. */
static inline enum pt_outcome dirty_run(struct logged *l, const struct pt_dirty_args *args,
					uint32_t budget)
{
	enum pt_outcome outcome = pt_dirty_init(&l->op, args, NULL);

	if (outcome != PT_OK)
		return outcome;
	do
		outcome = dirty_step(l, budget);
	while (outcome == PT_MORE);
	return outcome;
}

static inline struct pt_dirty_args start_args(struct logged *l, bool eager, bool set)
{
	memset(l->memory, 0, pt_dirty_bytes(l->c.ctx.geo.granule_shift, l->size));
	return (struct pt_dirty_args){.kind = PT_DIRTY_START,
				      .log = &l->log,
				      .ctx = &l->c.ctx,
				      .ipa = {l->base},
				      .size = l->size,
				      .memory = l->memory,
				      .eager_split = eager,
				      .initially_set = set};
}

static inline void log_start(struct logged *l, bool eager, bool set)
{
	struct pt_dirty_args args = start_args(l, eager, set);

	ASSERT_OUTCOME(PT_OK, dirty_run(l, &args, 100000));
	assert_int_equal(1, l->op.generation);
}

static inline struct pt_dirty_args get_args(struct logged *l, bool clear, uint64_t generation)
{
	memset(l->bitmap, 0, l->size / l->page / 8 + 1);
	return (struct pt_dirty_args){.kind = PT_DIRTY_GET,
				      .log = &l->log,
				      .ipa = {l->base},
				      .size = l->size,
				      .clear = clear,
				      .generation = generation,
				      .bitmap = l->bitmap};
}

/* Reads, or reads and clears, the whole log; how many pages are dirty. */
static inline uint64_t log_get(struct logged *l, bool clear)
{
	struct pt_dirty_args args = get_args(l, clear, l->log.generation);
	uint64_t count = 0;

	ASSERT_OUTCOME(PT_OK, dirty_run(l, &args, 100000));
	for (uint64_t i = 0; i < l->size / l->page; i++)
		count += l->bitmap[i / 8] >> i % 8 & 1;
	assert_int_equal(count, l->op.dirty);
	return count;
}

static inline bool told(const struct logged *l, uint64_t ipa)
{
	uint64_t page = (ipa - l->base) / l->page;

	return l->bitmap[page / 8] >> page % 8 & 1;
}

static inline uint64_t log_stop(struct logged *l)
{
	struct pt_dirty_args args = {.kind = PT_DIRTY_STOP, .log = &l->log};

	ASSERT_OUTCOME(PT_OK, dirty_run(l, &args, 100000));
	assert_null(atomic_load(&l->c.ctx.dirty));
	return l->op.dirty;
}

static inline enum pt_outcome dirty_fault(struct logged *l, uint64_t ipa, enum pt_access access,
					  struct pt_fault_result *result)
{
	struct pt_fault in = {.ipa = {ipa}, .access = (uint8_t)access};
	struct pt_fault_result ignored;
	enum pt_outcome outcome;

	pt_section_begin(&l->c.agent);
	outcome = pt_fault_handle(&l->c.agent, &l->c.ctx, &in, result ? result : &ignored);
	pt_section_end(&l->c.agent);
	return outcome;
}

/* As a vCPU does it: TLB, walk, fault, retry; no bytes are moved. */
static inline enum pt_outcome vcpu_touch(struct logged *l, uint32_t vcpu, uint64_t ipa,
					 enum pt_access access, uint32_t *exits)
{
	struct pt_host_access a = {
		.vcpu = vcpu, .ipa = {ipa}, .access = (uint8_t)access, .handle_faults = true};
	enum pt_outcome outcome;

	pt_section_begin(&l->c.agent);
	outcome = pt_host_access(&l->c.agent, &l->c.ctx, &l->ram, &a);
	pt_section_end(&l->c.agent);
	if (exits)
		*exits = a.exits;
	return outcome;
}

/* Software dirty state, and the hardware's. */
static const unsigned dirty_modes[] = {0, PT_VTCR_HA | PT_VTCR_HD};
#define EACH_SHAPE_AND_MODE(i, m)                                                                  \
	for (unsigned i = 0; i < SHAPES; i++)                                                      \
		for (unsigned m = 0; m < 2; m++)

#endif
