/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixture of the core's tests: a table memory, a machine, agents and a context; and reads by the
 * other walker. */
#ifndef TESTS_UNIT_CORE_H
#define TESTS_UNIT_CORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/fault.h>
#include <pt/host/hwwalk.h>
#include <pt/host/memory.h>
#include <pt/host/vcpu.h>
#include <pt/txn.h>
#include <pt/walk.h>

/* How many: on the host, and at EL2, where the CPU is emulated. The same tests, with fewer rounds.
 */
#if __STDC_HOSTED__
#define CORE_MANY(host, el2) (host)
#else
#define CORE_MANY(host, el2) (el2)
#endif

#define ASSERT_OUTCOME(expected, actual) assert_outcome((expected), (actual), __FILE__, __LINE__)

static inline void assert_outcome(enum pt_outcome expected, enum pt_outcome actual,
				  const char *file, int line)
{
	if (expected == actual)
		return;
	print_error("%s:%d: expected %s, got %s\n", file, line, pt_outcome_info(expected)->name,
		    pt_outcome_info(actual) ? pt_outcome_info(actual)->name : "?");
	_fail(file, line);
}

struct shape {
	const char *name;
	struct pt_geometry_args args;
};

/* All descriptor formats; the concatenated start tables of 4K at 40 bits and 64K at 42 among them.
 */
static const struct shape shapes[] = {
	{"4K", {.granule_shift = 12, .ipa_bits = 40, .pa_bits = 44}},
	{"16K", {.granule_shift = 14, .ipa_bits = 40, .pa_bits = 44}},
	{"64K", {.granule_shift = 16, .ipa_bits = 42, .pa_bits = 44}},
	{"4K LPA2", {.granule_shift = 12, .ipa_bits = 52, .pa_bits = 52, .ds = true}},
	{"16K LPA2", {.granule_shift = 14, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
	{"64K LPA", {.granule_shift = 16, .ipa_bits = 48, .pa_bits = 52}},
};
/* The last one's tables are those of 64K, and take an emulated CPU most of its time. */
#define SHAPES CORE_MANY(sizeof(shapes) / sizeof(shapes[0]), 5u)

struct core {
	struct pt_host_tables tables;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_machine machine;
	struct pt_agent agent;
	struct pt_ctx ctx;
	uint64_t empty_bytes; /* of the pool, before the context */
};

static inline void core_open_machine(struct core *c, uint64_t table_bytes, unsigned pa_bits,
				     bool mmu)
{
	memset(c, 0, sizeof(*c));
	ASSERT_OUTCOME(PT_OK, pt_host_tables_create(&c->tables, table_bytes));
	pt_host_port_init(&c->port, &c->tables, pa_bits);
	if (mmu)
		ASSERT_OUTCOME(PT_OK, pt_host_mmu_init(&c->mmu, 4, PT_HOST_TLB_ADVERSARIAL, 1));
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&c->tables.world, &c->agent));
	pt_machine_init(&c->machine, &c->tables.world, &c->port, mmu ? &c->mmu : NULL, pa_bits);
}

static inline void core_open_context(struct core *c, const struct shape *shape)
{
	struct pt_geometry geo;

	c->empty_bytes = atomic_load(&c->tables.world.pool.used_bytes);
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shape->args));
	pt_section_begin(&c->agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&c->ctx, &c->agent, &c->machine, &geo, PT_ATTR_FWB, 0,
					  UINT64_MAX));
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&c->ctx, &c->agent)); /* as if a vCPU had run it */
	pt_section_end(&c->agent);
}

static inline void core_open_bytes(struct core *c, const struct shape *shape, uint64_t bytes,
				   bool mmu)
{
	core_open_machine(c, bytes, shape->args.pa_bits, mmu);
	core_open_context(c, shape);
}

static inline void core_open(struct core *c, const struct shape *shape)
{
	core_open_bytes(c, shape, UINT64_C(64) << 20, false);
}

static inline enum pt_outcome core_run(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget)
{
	enum pt_outcome outcome;

	do {
		pt_section_begin(agent);
		outcome = pt_txn_step(txn, agent, budget);
		pt_section_end(agent);
	} while (outcome == PT_MORE);
	return outcome;
}

/* Tears the context down and checks that every byte is back. */
static inline void core_close(struct core *c)
{
	struct pt_txn txn;

	if (c->ctx.machine) {
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c->ctx, NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &c->agent, 1000));
		while (pt_reclaim(&c->agent))
			continue;
		assert_int_equal(0, atomic_load(&c->ctx.table_pages));
		assert_int_equal(c->empty_bytes, atomic_load(&c->tables.world.pool.used_bytes));
	}
	pt_agent_leave(&c->agent);
	if (c->machine.mmu)
		pt_host_mmu_destroy(&c->mmu);
	pt_host_tables_destroy(&c->tables);
}

static inline struct pt_item core_item(struct core *c, enum pt_item_kind kind, uint64_t ipa,
				       uint64_t size, uint64_t pa, uint32_t prot, uint32_t flags)
{
	return (struct pt_item){.ctx = &c->ctx,
				.ipa = {ipa},
				.size = size,
				.pa = {pa},
				.prot = prot,
				.flags = flags,
				.kind = kind,
				.outcome = 0xdead};
}

/* One range as a transaction; the item's outcome, or the error. */
static inline enum pt_outcome core_range(struct core *c, struct pt_item item,
					 struct pt_effects *effects)
{
	struct pt_txn txn;
	enum pt_outcome outcome = pt_item_check(&item);

	if (outcome != PT_OK)
		return outcome;
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	outcome = core_run(&txn, &c->agent, 100000);
	if (effects)
		*effects = txn.effects;
	return outcome == PT_OK ? (enum pt_outcome)item.outcome : outcome;
}

static inline enum pt_outcome core_map(struct core *c, uint64_t ipa, uint64_t size, uint64_t pa,
				       uint32_t prot, uint32_t flags)
{
	return core_range(c, core_item(c, PT_ITEM_MAP, ipa, size, pa, prot, flags), NULL);
}

static inline enum pt_outcome core_unmap(struct core *c, uint64_t ipa, uint64_t size)
{
	return core_range(c, core_item(c, PT_ITEM_UNMAP, ipa, size, 0, 0, 0), NULL);
}

static inline enum pt_outcome core_protect(struct core *c, uint64_t ipa, uint64_t size,
					   uint32_t prot)
{
	return core_range(c, core_item(c, PT_ITEM_PROTECT, ipa, size, 0, prot, 0), NULL);
}

static inline enum pt_outcome core_point(struct core *c, struct pt_item item,
					 struct pt_effects *effects, struct pt_error *err)
{
	struct pt_effects fx = {0};
	struct pt_error error = {0};
	enum pt_outcome outcome = pt_item_check(&item);

	if (outcome != PT_OK)
		return outcome;
	pt_section_begin(&c->agent);
	outcome = pt_point(&c->agent, &item, &fx, &error);
	pt_section_end(&c->agent);
	if (effects)
		*effects = fx;
	if (err)
		*err = error;
	return outcome;
}

static inline struct pt_digest core_digest_of(struct core *c)
{
	struct pt_digest digest;

	pt_digest_begin(&digest, &c->ctx);
	pt_section_begin(&c->agent);
	while (pt_digest_step(&digest, 1000) == PT_MORE)
		continue;
	pt_section_end(&c->agent);
	return digest;
}

static inline uint64_t core_leaves(const struct pt_digest *digest)
{
	uint64_t leaves = 0;

	for (unsigned i = 0; i < PT_LEVELS; i++)
		leaves += digest->leaves[i];
	return leaves;
}

/* Reads through the architectural walker, which shares nothing with lib. */
static inline bool core_bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct pt_port *port = arg;

	if (pa < port->table_pa || pa - port->table_pa >= port->table_bytes)
		return false;
	*descriptor = __atomic_load_n(
		(const uint64_t *)(const void *)(port->table_va + (pa - port->table_pa)),
		__ATOMIC_ACQUIRE);
	return true;
}

static inline struct hw_result core_walk(struct core *c, uint64_t ipa, enum hw_access access)
{
	struct hw_regs regs = {
		.vtcr = pt_ctx_vtcr(&c->ctx), .vttbr = pt_ctx_vttbr(&c->ctx), .fwb = true};
	struct hw_bus bus = {.read = core_bus_read, .arg = &c->port};
	struct hw_result result;

	hw_walk(&regs, &bus, ipa, access, false, &result);
	return result;
}

static inline uint64_t core_size(const struct core *c, int level)
{
	return pt_level_size(&c->ctx.geo, level);
}

static inline uint64_t core_seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20240607;

	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

static inline uint64_t core_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Writes a descriptor past the seam, as nothing but a test does; a checked build is told. */
static inline void core_poke(pt_pte *slot, pt_pte entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELAXED);
	pt_port_note(PT_EVENT_POKE, 0, slot, NULL, 0, entry);
}

/* After a test has changed options of the context by hand. */
static inline void core_note_options(const struct pt_ctx *ctx)
{
	pt_port_note(PT_EVENT_CTX_OPTIONS,
		     ctx->attrs | (uint32_t)ctx->vtcr_flags << 8 | (uint32_t)ctx->bbm << 16, NULL,
		     ctx, 0, 0);
}

static inline void core_set_bbm(struct core *c, unsigned bbm)
{
	c->ctx.bbm = (uint8_t)bbm;
	core_note_options(&c->ctx);
}

#endif
