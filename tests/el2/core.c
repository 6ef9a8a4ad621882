/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests/unit/core.h opens, at EL2: table memory of the image, failures to take pages and to
 * invalidate, and the TLBs of vCPUs.
 *
 * Neither QEMU's TLB nor hardware's says what it holds, and a test's tables have no page for code.
 * So its vCPUs are the host port's model, over what pt_el2_tlbi() is asked for, which executes the
 * instructions, too. The CPU itself is asked by AT: for each walk that a test makes, wherever it
 * has the geometry.
 *
 * Images of unit tests are linked with --wrap for the functions that begin with __wrap_.
 */
#include "stage2.h"

#include <pt/host/memory.h>
#include <pt/host/vcpu.h>
#include <pt/hyp.h>

#define MEMORY_BYTES (UINT64_C(160) << 20)
#define UNIT_BYTES   (UINT64_C(1) << PT_POOL_UNIT_SHIFT)

/* Zero when QEMU starts, and again whenever nobody has them. */
__attribute__((section(".region.core"),
	       aligned(1 << 21))) static unsigned char memory[MEMORY_BYTES];
__attribute__((section(".region.units"),
	       aligned(4096))) static struct pt_pool_unit unit[MEMORY_BYTES / UNIT_BYTES];
static uint64_t given; /* bytes from the start of memory; all back when the last one is closed */
static unsigned opened;

static struct {
	bool armed;
	uint32_t nth, times;
	uint64_t hits, failures;
} plans[PT_FP_COUNT];

static struct pt_port_mmu *models[4]; /* that are open, in any order */
#define MODELS (sizeof(models) / sizeof(models[0]))

enum pt_outcome pt_host_tables_create(struct pt_host_tables *tables, uint64_t bytes)
{
	uint64_t units = bytes >> PT_POOL_UNIT_SHIFT;

	if (!bytes || bytes % PT_SZ_2M)
		return PT_INVALID;
	if (bytes > MEMORY_BYTES - given)
		return PT_NO_MEMORY;
	*tables = (struct pt_host_tables){.unit = unit + given / UNIT_BYTES, .fd = -1};
	tables->port = (struct pt_port){.table_va = memory + given,
					.table_pa = (uintptr_t)memory + given,
					.table_bytes = bytes};
	given += bytes;
	opened++;
	pt_world_init(&tables->world);
	pt_pool_init(&tables->world.pool, &tables->port, tables->unit, (uint32_t)units);
	return PT_OK;
}

static void ask_no_more(void)
{
	pt_el2_write_hcr_el2(PT_HCR_RW);
	pt_el2_write_vttbr_el2(0);
	pt_el2_isb();
}

void pt_host_tables_destroy(struct pt_host_tables *tables)
{
	const struct pt_pool *pool = &tables->world.pool;

	ask_no_more();
	/* What is back in the pool is zero. */
	if (atomic_load(&pool->used_bytes))
		pt_port_zero(tables->port.table_va, (uint64_t)pool->untouched * UNIT_BYTES);
	memset(tables->unit, 0, pool->untouched * sizeof(*unit));
	if (!--opened)
		given = 0;
	tables->unit = NULL;
}

/* A test that failed has closed nothing. */
void el2_abandon(void)
{
	ask_no_more();
	pt_port_zero(memory, given);
	memset(unit, 0, given / UNIT_BYTES * sizeof(*unit));
	given = opened = 0;
	memset(plans, 0, sizeof(plans));
	memset(models, 0, sizeof(models));
}

/* CPUs walk them, so their PA is what it is. */
void pt_host_port_init(struct pt_port *port, const struct pt_host_tables *tables, unsigned pa_bits)
{
	(void)pa_bits;
	*port = tables->port;
}

/* ---- failures ---- */

/* Whose context it is nobody knows here, nor is anything drawn. */
void pt_host_failpoint_arm(enum pt_failpoint point, const struct pt_host_failpoint *how)
{
	assert_true(point == PT_FP_POOL_RESERVE || point == PT_FP_TLBI_DROP);
	assert_true(how->nth);
	plans[point].armed = true;
	plans[point].nth = how->nth;
	plans[point].times = how->times;
	plans[point].hits = plans[point].failures = 0;
}

void pt_host_failpoint_disarm(enum pt_failpoint point)
{
	plans[point].armed = false;
}

void pt_host_failpoint_counts(enum pt_failpoint point, uint64_t *hits, uint64_t *failures)
{
	*hits = plans[point].hits;
	*failures = plans[point].failures;
}

static bool fails(enum pt_failpoint point)
{
	uint64_t hit;

	if (!plans[point].armed)
		return false;
	hit = ++plans[point].hits;
	if (hit < plans[point].nth ||
	    (plans[point].times && hit - plans[point].nth >= plans[point].times))
		return false;
	plans[point].failures++;
	return true;
}

enum pt_outcome __real_pt_pool_get(struct pt_agent *agent, unsigned granule_shift,
				   struct pt_page *page);
enum pt_outcome __wrap_pt_pool_get(struct pt_agent *agent, unsigned granule_shift,
				   struct pt_page *page);
enum pt_outcome __real_pt_pool_take(struct pt_agent *agent, unsigned granule_shift, uint32_t count,
				    struct pt_pages *list);
enum pt_outcome __wrap_pt_pool_take(struct pt_agent *agent, unsigned granule_shift, uint32_t count,
				    struct pt_pages *list);

enum pt_outcome __wrap_pt_pool_get(struct pt_agent *agent, unsigned granule_shift,
				   struct pt_page *page)
{
	if (fails(PT_FP_POOL_RESERVE))
		return PT_NO_MEMORY;
	return __real_pt_pool_get(agent, granule_shift, page);
}

enum pt_outcome __wrap_pt_pool_take(struct pt_agent *agent, unsigned granule_shift, uint32_t count,
				    struct pt_pages *list)
{
	for (uint32_t i = 0; i < count; i++)
		if (fails(PT_FP_POOL_RESERVE))
			return PT_NO_MEMORY;
	return __real_pt_pool_take(agent, granule_shift, count, list);
}

/* ---- TLBs ---- */

enum pt_outcome __real_pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
					enum pt_host_tlb_mode mode, uint64_t seed);
enum pt_outcome __wrap_pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
					enum pt_host_tlb_mode mode, uint64_t seed);
void __real_pt_host_mmu_destroy(struct pt_port_mmu *mmu);
void __wrap_pt_host_mmu_destroy(struct pt_port_mmu *mmu);
void __real_pt_el2_tlbi(const struct pt_geometry *geo, const struct pt_tlbi *tlbi);
void __wrap_pt_el2_tlbi(const struct pt_geometry *geo, const struct pt_tlbi *tlbi);

enum pt_outcome __wrap_pt_host_mmu_init(struct pt_port_mmu *mmu, uint32_t vcpus,
					enum pt_host_tlb_mode mode, uint64_t seed)
{
	unsigned i = 0;

	while (i < MODELS && models[i])
		i++;
	assert_true(i < MODELS);
	models[i] = mmu;
	return __real_pt_host_mmu_init(mmu, vcpus, mode, seed);
}

void __wrap_pt_host_mmu_destroy(struct pt_port_mmu *mmu)
{
	for (unsigned i = 0; i < MODELS; i++)
		if (models[i] == mmu)
			models[i] = NULL;
	__real_pt_host_mmu_destroy(mmu);
}

/* The port is not told whose TLBs they are, since a CPU has but one; here each machine has its own.
 * The geometry that it is given stands in the context, or in EL2's map. NULL: all machines'. */
static const struct pt_port_mmu *model_of(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	uintptr_t at = (uintptr_t)geo;

	if (tlbi->kind == PT_TLBI_ALL)
		return NULL;
	if (tlbi->kind == PT_TLBI_EL2)
		return ((const struct pt_hyp *)(at - offsetof(struct pt_hyp, geo)))->mmu;
	return ((const struct pt_ctx *)(at - offsetof(struct pt_ctx, geo)))->machine->mmu;
}

void __wrap_pt_el2_tlbi(const struct pt_geometry *geo, const struct pt_tlbi *tlbi)
{
	const struct pt_port_mmu *model = model_of(geo, tlbi);

	if (fails(PT_FP_TLBI_DROP))
		return;
	__real_pt_el2_tlbi(geo, tlbi);
	for (unsigned i = 0; i < MODELS; i++)
		if (models[i] && (tlbi->kind == PT_TLBI_ALL || models[i] == model))
			pt_host_tlbi(models[i], tlbi);
}

/* ---- the CPU's own walks ---- */

#define VTCR_T0SZ      UINT64_C(0x3f)
#define VTCR_TG0_SHIFT 14
#define VTCR_PS_SHIFT  16
#define VTCR_PS	       (UINT64_C(7) << VTCR_PS_SHIFT)
#define VTCR_HA_HD     (UINT64_C(3) << 21)
#define VTCR_DS	       (UINT64_C(1) << 32)
#define VTTBR_BADDR    UINT64_C(0x0000ffffffffffc0)

/* 4K, 64K and 16K by TG0, as features have them. */
static const uint8_t granule_of[4] = {0, 2, 1, 3};

static bool has_geometry(uint64_t vtcr)
{
	unsigned granule = granule_of[vtcr >> VTCR_TG0_SHIFT & 3];

	if (granule > 2 || !pt_el2_features.granule[granule] ||
	    (vtcr & VTCR_DS && (granule == 2 || !pt_el2_features.lpa2[granule])))
		return false;
	return 64 - (vtcr & VTCR_T0SZ) <= pt_el2_features.pa_bits;
}

/* Its stage 1 is off, and passes only what is in the PA space. */
static bool can_ask(const struct hw_regs *regs, uint64_t ipa)
{
	uint64_t root = (regs->vttbr & VTTBR_BADDR) - (uintptr_t)memory;

	return root < given && !(ipa >> pt_el2_features.pa_bits) && has_geometry(regs->vtcr) &&
	       !(regs->vtcr & VTCR_HA_HD);
}

/* A CPU with a smaller PA space than PS says takes its own (Arm ARM D19.2.161). */
static uint64_t effective(uint64_t vtcr)
{
	static const uint8_t bits[] = {32, 36, 40, 42, 44, 48, 52};
	uint64_t ps = vtcr >> VTCR_PS_SHIFT & 7;

	while (ps && bits[ps] > pt_el2_features.pa_bits)
		ps--;
	return (vtcr & ~VTCR_PS) | ps << VTCR_PS_SHIFT;
}

/* Stays on until the tables go: a change makes QEMU forget all translations, EL2's own, too. Code
 * at EL1 there is none. */
static uint64_t ask(const struct hw_regs *regs, uint64_t ipa, bool write)
{
	if (pt_el2_read_vttbr_el2() != regs->vttbr || pt_el2_read_vtcr_el2() != regs->vtcr) {
		pt_el2_write_vtcr_el2(regs->vtcr);
		pt_el2_write_vttbr_el2(regs->vttbr);
		pt_el2_write_hcr_el2(PT_HCR_RW | PT_HCR_VM |
				     (regs->fwb && pt_el2_features.fwb ? PT_HCR_FWB : 0));
		pt_el2_isb();
	}
	return s2_at(ipa, write);
}

void __real_hw_walk(const struct hw_regs *regs, const struct hw_bus *bus, uint64_t ipa,
		    enum hw_access access, bool el0, struct hw_result *result);
void __wrap_hw_walk(const struct hw_regs *regs, const struct hw_bus *bus, uint64_t ipa,
		    enum hw_access access, bool el0, struct hw_result *result);

void __wrap_hw_walk(const struct hw_regs *regs, const struct hw_bus *bus, uint64_t ipa,
		    enum hw_access access, bool el0, struct hw_result *result)
{
	bool write = access == HW_WRITE;

	if (can_ask(regs, ipa)) {
		struct hw_regs cpu = {
			.vtcr = effective(regs->vtcr), .vttbr = regs->vttbr, .fwb = regs->fwb};
		struct hw_result r;

		__real_hw_walk(&cpu, bus, ipa, write ? HW_WRITE : HW_READ, false, &r);
		s2_expect_par(ipa, write, ask(&cpu, ipa, write), &r);
	}
	__real_hw_walk(regs, bus, ipa, access, el0, result);
}
