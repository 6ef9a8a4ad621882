/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs with TLBs over hand-made tables, and a scripted fault handler in the place of lib's. */
#ifndef TESTS_UNIT_TLB_FIXTURE_H
#define TESTS_UNIT_TLB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/host/vcpu.h>

#define PAGE	 UINT64_C(0x1000)
#define TABLE_PA UINT64_C(0x8000000000)
#define L2	 0x4000 /* offsets in table memory; the two start tables are at 0 */
#define L3	 0x5000
#define RAM	 (UINT64_C(64) << 20)
#define BLOCK	 (UINT64_C(2) << 20) /* IPA and PA of a 2M block; pages lie below it */

struct fixture {
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_machine machine;
	struct pt_world world;
	struct pt_agent agent;
	struct pt_host_ram ram;
	struct pt_ctx ctx, other; /* the same tables under two VMIDs */
	_Alignas(8192) unsigned char tables[0x8000];
};

/* A scripted handler in lib/s2's place: what it was told, and what it answers. */
static struct {
	enum pt_outcome answer[16];
	unsigned calls;
	struct pt_fault last;
	void (*fix)(struct fixture *f);
	struct fixture *f;
} script;

enum pt_outcome pt_fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				const struct pt_fault *fault, struct pt_fault_result *result)
{
	(void)agent, (void)ctx;
	script.last = *fault;
	result->tables_added = 1;
	if (script.fix)
		script.fix(script.f);
	return script.answer[script.calls++];
}

uint64_t pt_ctx_vtcr(const struct pt_ctx *ctx)
{
	return pt_geometry_vtcr(&ctx->geo, ctx->vtcr_flags);
}

uint64_t pt_ctx_vttbr(const struct pt_ctx *ctx)
{
	return pt_geometry_vttbr(&ctx->geo, ctx->root, ctx->vmid);
}

static inline pt_pte *slot(struct fixture *f, uint64_t off)
{
	return (pt_pte *)(void *)(f->tables + off);
}

static inline void set_page(struct fixture *f, uint64_t ipa, uint64_t pa, uint32_t rights)
{
	pt_pte attrs = pt_leaf_attrs(&f->ctx.geo, rights, f->ctx.attrs);

	/* A bare write: the stale entry that this makes is what the test wants, rule W3 or not. */
	pt_pte_init(slot(f, L3 + ipa / PAGE * 8), pt_leaf(&f->ctx.geo, pt_pa(pa), attrs, 3));
}

static inline void make_contexts(struct fixture *f)
{
	struct pt_geometry_args a = {.granule_shift = 12, .ipa_bits = 40, .pa_bits = 40};

	assert_int_equal(pt_geometry_init(&f->ctx.geo, &a), PT_OK);
	f->ctx.machine = &f->machine;
	f->ctx.root = pt_pa(TABLE_PA);
	f->ctx.vmid = 5;
	f->ctx.attrs = PT_ATTR_XNX;
	f->other.geo = f->ctx.geo;
	f->other.machine = f->ctx.machine;
	f->other.root = f->ctx.root;
	f->other.attrs = f->ctx.attrs;
	f->other.vmid = 6;
}

static inline struct fixture *set_up(enum pt_host_tlb_mode mode, uint32_t vcpus)
{
	struct fixture *f = aligned_alloc(_Alignof(struct fixture), sizeof(*f));
	const char *env = getenv("PTD_SEED");
	uint64_t page;

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	memset(&script, 0, sizeof(script));
	script.f = f;
	f->port = (struct pt_port){
		.table_va = f->tables, .table_pa = TABLE_PA, .table_bytes = sizeof(f->tables)};
	assert_int_equal(pt_host_mmu_init(&f->mmu, vcpus, mode, env ? strtoull(env, NULL, 0) : 9),
			 PT_OK);
	f->machine.port = &f->port;
	f->machine.mmu = &f->mmu;
	f->agent.world = &f->world;
	assert_int_equal(pt_host_ram_create(&f->ram, RAM), PT_OK);
	make_contexts(f);
	*slot(f, 0) = (TABLE_PA + L2) | 3;
	*slot(f, L2) = (TABLE_PA + L3) | 3;
	*slot(f, L2 + 8) = BLOCK | 0x7fd;
	/* each page of memory holds its own number */
	for (page = 0; page < 1024; page++)
		assert_int_equal(pt_host_ram_write(&f->ram, page * PAGE, &page, 8), PT_OK);
	for (page = 0; page < 512; page++)
		set_page(f, page * PAGE, page * PAGE, PT_PROT_RWX);
	return f;
}

static inline void tear_down(struct fixture *f)
{
	pt_host_mmu_destroy(&f->mmu);
	pt_host_ram_destroy(&f->ram);
	free(f);
}

static inline struct pt_host_access read_access(uint64_t ipa, uint64_t *data)
{
	return (struct pt_host_access){.ipa = pt_ipa(ipa),
				       .access = PT_ACCESS_READ,
				       .handle_faults = true,
				       .length = 8,
				       .data = data};
}

/* Reads the number of the page behind an address. */
static inline uint64_t page_behind(struct fixture *f, struct pt_ctx *ctx, uint32_t vcpu,
				   uint64_t ipa, bool *hit)
{
	uint64_t data = UINT64_MAX;
	struct pt_host_access a = read_access(ipa, &data);

	a.vcpu = vcpu;
	assert_int_equal(pt_host_access(&f->agent, ctx, &f->ram, &a), PT_OK);
	if (hit)
		*hit = a.tlb_hit;
	return data;
}

static inline void flush(struct fixture *f, enum pt_tlbi_kind kind, uint16_t vmid, uint64_t ipa,
			 uint64_t size, int level)
{
	pt_port_tlbi(&f->mmu, &f->ctx.geo,
		     &(struct pt_tlbi){.kind = kind,
				       .vmid = vmid,
				       .ipa = pt_ipa(ipa),
				       .size = size,
				       .level = (int8_t)level,
				       .last_level = true});
}

#endif
