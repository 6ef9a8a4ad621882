/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest hypervisor: tables that it wrote into its memory, its registers, and a shadow of them
 * over a canonical context. The tables are written by hand here, for 48-bit formats.
 */
#ifndef TESTS_UNIT_GUEST_FIXTURE_H
#define TESTS_UNIT_GUEST_FIXTURE_H

#include <pt/nested.h>

#include "core.h"

#define GUEST_MEMORY UINT64_C(0x10000000) /* canonical IPA of what holds its tables */
#define GUEST_BYTES  (UINT64_C(4) << 20)
#define GUEST_BITS   36
#ifndef GUEST_SHADOWS
#define GUEST_SHADOWS 4u
#endif
#define GUEST_SCOPE	 4713		     /* failpoints of links */
#define GUEST_SLOT_PA	 (UINT64_C(1) << 38) /* of canonical IPA 0 */
#define GUEST_SLOT_BYTES (UINT64_C(1) << 36)

/* Leaves of the guest's. */
#define GUEST_LEAF (UINT64_C(1) | UINT64_C(0xf) << 2 | UINT64_C(3) << 8)
#define GUEST_AF   (UINT64_C(1) << 10)
#define GUEST_R	   (UINT64_C(1) << 6)
#define GUEST_W	   (UINT64_C(1) << 7)
#define GUEST_XN   (UINT64_C(2) << 53)
#define GUEST_DBM  (UINT64_C(1) << 51)
#define GUEST_RWX  (GUEST_LEAF | GUEST_AF | GUEST_R | GUEST_W)

struct guest {
	struct core c; /* c.ctx is the canonical context */
	_Alignas(struct pt_slots) unsigned char slots[sizeof(struct pt_slots) +
						      4 * sizeof(struct pt_slot)];
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[8], number[GUEST_SHADOWS];
	struct pt_shadow shadow;
	struct pt_shadow_key key;
	struct pt_guest_regs regs;
	struct pt_geometry geo; /* of its tables */
	uint64_t *memory, next; /* bytes of it that hold tables */
	uint64_t hole;		/* a canonical IPA that cannot be read; 0: none */
	uint64_t used;		/* of the pool, before nested */
};

static inline uint64_t *guest_word(struct guest *g, uint64_t ipa)
{
	if (ipa - GUEST_MEMORY >= GUEST_BYTES || (g->hole && ipa == g->hole))
		return NULL;
	return &g->memory[(ipa - GUEST_MEMORY) / sizeof(uint64_t)];
}

static inline enum pt_outcome guest_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	const uint64_t *at = guest_word(arg, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	*word = __atomic_load_n(at, __ATOMIC_ACQUIRE);
	return PT_OK;
}

static inline enum pt_outcome guest_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	uint64_t *at = guest_word(arg, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	return __atomic_compare_exchange_n(at, word, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
		       ? PT_OK
		       : PT_RACED;
}

static inline uint64_t guest_level_shift(const struct guest *g, int level)
{
	return g->geo.granule_shift + (g->geo.granule_shift - 3u) * (unsigned)(3 - level);
}

/* The descriptor of `level` for `ipa`, with tables down to it. */
static inline uint64_t *guest_entry(struct guest *g, uint64_t ipa, int level)
{
	uint64_t table = GUEST_MEMORY, bytes = UINT64_C(1) << g->geo.granule_shift;

	for (int at = g->geo.start_level;; at++) {
		uint64_t index = ipa >> guest_level_shift(g, at);
		uint64_t *e;

		if (at > g->geo.start_level)
			index &= bytes / sizeof(uint64_t) - 1;
		e = guest_word(g, table + index * sizeof(uint64_t));
		assert_non_null(e);
		if (at == level)
			return e;
		if ((*e & 3) != 3) {
			assert_true(g->next + bytes <= GUEST_BYTES);
			*e = (GUEST_MEMORY + g->next) | 3;
			g->next += bytes;
		}
		table = *e & ((UINT64_C(1) << 48) - 1) & ~(bytes - 1);
	}
}

/* A leaf: attrs as GUEST_*. */
static inline void guest_map(struct guest *g, uint64_t ipa, uint64_t out, int level, uint64_t attrs)
{
	*guest_entry(g, ipa, level) = out | attrs | (level == 3 ? 2 : 0);
}

static inline struct pt_slots *guest_slots(struct guest *g)
{
	return (struct pt_slots *)(void *)g->slots;
}

static inline void guest_slot(struct guest *g, uint64_t ipa, uint64_t size, uint32_t flags,
			      unsigned backing_shift)
{
	struct pt_slots *slots = guest_slots(g);

	slots->slot[slots->count++] = (struct pt_slot){.ipa = ipa,
						       .size = size,
						       .pa = GUEST_SLOT_PA + ipa,
						       .flags = flags,
						       .backing_shift = (uint8_t)backing_shift};
	pt_ctx_set_slots(&g->c.ctx, slots);
}

static inline void guest_registers(struct guest *g, unsigned granule_shift, uint16_t vmid,
				   unsigned flags)
{
	const struct pt_geometry_args args = {
		.granule_shift = granule_shift, .ipa_bits = GUEST_BITS, .pa_bits = 40};

	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&g->geo, &args));
	g->key = (struct pt_shadow_key){.vttbr = GUEST_MEMORY | (uint64_t)vmid << 48,
					.vtcr = pt_geometry_vtcr(&g->geo, flags),
					.enabled = true};
	g->regs = (struct pt_guest_regs){.vttbr = g->key.vttbr, .vtcr = g->key.vtcr, .pa_bits = 40};
	g->next = (g->geo.start_bytes + 0xffff) & ~0xffffu;
}

static inline enum pt_outcome guest_shadow(struct guest *g, struct pt_shadow *shadow)
{
	enum pt_outcome outcome;

	pt_section_begin(&g->c.agent);
	outcome = pt_shadow_init(shadow, &g->nested, &g->c.agent, &g->key, &g->regs, UINT64_MAX);
	if (outcome == PT_OK)
		ASSERT_OUTCOME(PT_OK, pt_vmid_get(&shadow->ctx, &g->c.agent));
	pt_section_end(&g->c.agent);
	return outcome;
}

/* Without slots, and without a shadow. */
static inline void guest_open_bare(struct guest *g, const struct shape *shape,
				   unsigned granule_shift, bool mmu)
{
	memset(g, 0, sizeof(*g));
	core_open_bytes(&g->c, shape, UINT64_C(64) << 20, mmu);
	g->used = atomic_load(&g->c.tables.world.pool.used_bytes);
	g->memory = calloc(1, GUEST_BYTES);
	assert_non_null(g->memory);
	ASSERT_OUTCOME(PT_OK, pt_nested_init(&g->nested, &g->c.ctx,
					     &(struct pt_guest_memory){guest_load, guest_swap, g},
					     g->bucket, 8, g->number, GUEST_SHADOWS, UINT64_MAX,
					     GUEST_SCOPE));
	guest_registers(g, granule_shift, 5, 0);
}

static inline void guest_open(struct guest *g, const struct shape *shape, unsigned granule_shift,
			      bool mmu)
{
	guest_open_bare(g, shape, granule_shift, mmu);
	guest_slot(g, 0, GUEST_SLOT_BYTES, 0, 30);
	ASSERT_OUTCOME(PT_OK, guest_shadow(g, &g->shadow));
}

/* The shadow's end, with so many entries or pages a step; how many steps that took. */
static inline unsigned guest_end(struct guest *g, struct pt_shadow *shadow, uint32_t budget)
{
	struct pt_shadow_end end;
	enum pt_outcome outcome;
	unsigned steps = 0;

	ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, shadow, NULL));
	do {
		pt_section_begin(&g->c.agent);
		outcome = pt_shadow_end_step(&end, &g->c.agent, budget);
		pt_section_end(&g->c.agent);
		steps++;
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return steps;
}

/* No shadow is left. */
static inline void guest_close(struct guest *g)
{
	enum pt_outcome outcome;

	do {
		pt_section_begin(&g->c.agent);
		outcome = pt_nested_close(&g->nested, &g->c.agent, 10);
		pt_section_end(&g->c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_int_equal(0, atomic_load(&g->nested.store.bytes));
	core_close(&g->c);
	free(g->memory);
}

/* ---- faults ---- */

static inline struct pt_nested_fault guest_access(uint64_t ipa, enum pt_access access)
{
	return (struct pt_nested_fault){.ipa = {ipa}, .access = (uint8_t)access};
}

static inline enum pt_outcome guest_fault_as(struct guest *g, struct pt_nested_fault fault,
					     struct pt_nested_result *result)
{
	enum pt_outcome outcome;

	pt_section_begin(&g->c.agent);
	outcome = pt_nested_fault(&g->c.agent, &g->shadow, &fault, result);
	pt_section_end(&g->c.agent);
	return outcome;
}

static inline enum pt_outcome guest_fault(struct guest *g, uint64_t ipa, enum pt_access access)
{
	struct pt_nested_result result;

	return guest_fault_as(g, guest_access(ipa, access), &result);
}

/* What a CPU finds in the shadow's tables. */
static inline struct hw_result guest_walk(struct guest *g, uint64_t ipa, enum hw_access access)
{
	const struct pt_ctx *ctx = &g->shadow.ctx;
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(ctx),
			       .vttbr = pt_ctx_vttbr(ctx),
			       .fwb = ctx->attrs & PT_ATTR_FWB};
	struct hw_bus bus = {.read = core_bus_read, .arg = &g->c.port};
	struct hw_result result;

	hw_walk(&regs, &bus, ipa, access, false, &result);
	return result;
}

#endif
