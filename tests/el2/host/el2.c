/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor: EL2 boots onto its own map and lets a host go. */
#include "../own_map.h"
#include "lib_calls.h"
#include "shape.h"

#include <pt/el2/cpu.h>
#include <pt/el2/host.h>
#include <pt/el2/sysreg.h>
#include <pt/hv.h>

#include <stdlib.h>
#include <string.h>

static struct pt_hv hv;
static struct pt_hv_owners owners;
static struct pt_hv_nests nests;
static struct pt_hyp_region regions[3];

static uint64_t free_contexts(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < PT_HV_CONTEXTS; i++)
		n += atomic_load(&hv.guest[i].state) == PT_HV_FREE;
	return n;
}

/* Cycles at EL2 alone: PMCCFILTR_EL0.{P,U,NSH}. With QEMU's -icount shift=0 an instruction is one.
 */
uint64_t el2_count(bool anew)
{
	uint64_t cycles;

	if (anew)
		__asm__ volatile("msr pmccfiltr_el0, %0\n\tmsr pmcntenset_el0, %1\n\t"
				 "msr pmcr_el0, %2\n\tisb" ::"r"(UINT64_C(0xc8000000)),
				 "r"(UINT64_C(0x80000000)), "r"(UINT64_C(0x45)));
	__asm__ volatile("isb\n\tmrs %0, pmccntr_el0" : "=r"(cycles));
	return cycles;
}

enum regime { EL2_S1, EL1_S12 };

/* PAR_EL1, which is EL1's otherwise. */
static uint64_t translate(enum regime regime, bool write, uint64_t at)
{
	if (regime == EL2_S1 && write)
		__asm__ volatile("at s1e2w, %0\n\tisb" ::"r"(at) : "memory");
	else if (regime == EL2_S1)
		__asm__ volatile("at s1e2r, %0\n\tisb" ::"r"(at) : "memory");
	else if (write)
		__asm__ volatile("at s12e1w, %0\n\tisb" ::"r"(at) : "memory");
	else
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(at) : "memory");
	return pt_el2_read_par_el1();
}

static void translate_pages(enum regime regime, uint64_t at, uint64_t pages, uint64_t x[3])
{
	uint64_t par = pt_el2_read_par_el1();

	x[0] = x[1] = x[2] = 0;
	for (uint64_t i = 0; i < pages; i++, at += 0x1000) {
		uint64_t read = translate(regime, false, at), write = translate(regime, true, at);

		x[0] |= (~read & 1) << i;
		x[1] |= (~write & 1) << i;
		if (~read & 1)
			x[2] += (i + 1) * (read & UINT64_C(0xfffffffff000));
	}
	pt_el2_write_par_el1(par);
}

static void load(uint64_t vtcr, uint64_t vttbr, uint64_t sctlr_el1)
{
	pt_el2_write_sctlr_el1(sctlr_el1);
	pt_el2_write_vtcr_el2(vtcr);
	pt_el2_write_vttbr_el2(vttbr);
	pt_el2_isb();
}

/* A guest's tables are loaded for so long, with stage 1 off, and leave no TLB entry. */
static void with_tables(uint64_t party, void (*ask)(uint64_t x[4]), uint64_t x[4])
{
	uint64_t vtcr = pt_el2_read_vtcr_el2(), vttbr = pt_el2_read_vttbr_el2(),
		 sctlr = pt_el2_read_sctlr_el1();
	struct pt_hv_ctx *guest = &hv.guest[party % PT_HV_CONTEXTS];
	struct pt_ctx *ctx = &guest->ctx;

	if (party & LOOK_SHADOW)
		ctx = &guest->nest->shadow[party >> 16].ctx;
	load(pt_ctx_vtcr(ctx), pt_ctx_vttbr(ctx), PT_SCTLR_EL1_RES1);
	ask(x);
	__asm__ volatile("tlbi vmalls12e1\n\tdsb nsh" ::: "memory");
	load(vtcr, vttbr, sctlr);
}

static void look_at_pages(uint64_t x[4])
{
	translate_pages(EL1_S12, x[1], x[2], x);
}

/* What the CPU says of a party's tables. The host's are loaded, and its stage 1 is an identity. */
static void look(uint64_t x[4])
{
	uint64_t party = x[0];

	if (party == LOOK_HOST || party == LOOK_HYP)
		translate_pages(party == LOOK_HYP ? EL2_S1 : EL1_S12, x[1], x[2], x);
	else
		with_tables(party, look_at_pages, x);
}

/* Stage 1 is off: Device-nGnRnE, or with DC Normal write-back. */
static void look_at_type(uint64_t x[4])
{
	uint64_t par = pt_el2_read_par_el1(), hcr = pt_el2_read_hcr_el2();

	x[0] = translate(EL1_S12, false, x[1]);
	__asm__ volatile("tlbi vmalls12e1\n\tdsb nsh" ::: "memory");
	pt_el2_write_hcr_el2(hcr | PT_HCR_DC);
	pt_el2_isb();
	x[1] = translate(EL1_S12, false, x[1]);
	pt_el2_write_hcr_el2(hcr);
	pt_el2_isb();
	pt_el2_write_par_el1(par);
}

/* Of the test that runs at EL1, which knows what it asks for. */
static void call(unsigned n, uint32_t cpu, uint64_t x[4])
{
	const struct pt_hyp_region *r = &regions[x[0] % 3];
	const struct pt_ctx *ctx = &hv.guest[x[0] % PT_HV_CONTEXTS].ctx;

	switch (n) {
	case CALL_ABORTS:
		x[0] = pt_el2_host_aborts(cpu);
		x[1] = pt_el2_guest_aborts(cpu);
		x[2] = pt_el2_lost_aborts(cpu);
		break;
	case CALL_OWN:
		x[1] = x[0] < 3 ? r->size : 0;
		x[0] = r->pa;
		break;
	case CALL_WORD: x[0] = *(const volatile uint64_t *)(uintptr_t)x[0]; break;
	case CALL_VMID:
		x[0] = pt_ctx_vmid(ctx);
		x[1] = atomic_load(&ctx->table_pages);
		break;
	case CALL_USED:
		x[0] = atomic_load(&own.world.pool.used_bytes);
		x[1] = free_contexts();
		break;
	case CALL_COUNT: x[0] = el2_count(x[0]); break;
	case CALL_LOOK: look(x); break;
	case CALL_TYPE: with_tables(x[0], look_at_type, x); break;
	case CALL_NEST:
		x[0] = atomic_load(
			&hv.guest[x[0] % PT_HV_CONTEXTS].nest->nested.counts.invalidated);
		break;
	case CALL_FORCE: owners.args.force = x[0]; break;
	case CALL_LIB: lib_call_count(&hv, &own.agent[cpu], x); break;
	default: x[0] = UINT64_MAX;
	}
}

static struct pt_el2_host host = {
	.hv = &hv, .agent = own.agent, .cpu = own.cpu, .cpus = 1, .call = call};

static void onto_own_map(void *arg)
{
	(void)arg;
	pt_el2_switch(NULL, &own.space.map);
}

/* They start on the loader's table, which is the host's afterwards. */
static enum pt_outcome boot(void)
{
	enum pt_outcome outcome;

	while (host.cpus < OWN_CPUS && pt_el2_cpu_start(host.cpus))
		host.cpus++;
	outcome = own_boot();
	for (uint32_t i = 1; i < host.cpus && outcome == PT_OK; i++) {
		pt_el2_cpu_run(i, onto_own_map, NULL);
		pt_el2_cpu_wait(i);
		outcome = pt_agent_join(&own.world, &own.agent[i]);
	}
	return outcome;
}

static struct pt_hv_features features(void)
{
	const struct pt_el2_features *f = &pt_el2_features;

	return (struct pt_hv_features){
		.granules = (uint8_t)(f->granule[0] | f->granule[1] << 1 | f->granule[2] << 2),
		.lpa2 = (uint8_t)(f->lpa2[0] | f->lpa2[1] << 1 | (f->pa_bits == 52) << 2),
		.pa_bits = f->pa_bits,
		.vtcr = (uint8_t)(pt_el2_vtcr_flags() | (f->hw_af ? PT_VTCR_HA : 0) |
				  (f->hw_dirty ? PT_VTCR_HD : 0)),
		.attrs = (uint8_t)pt_el2_attrs(),
		.host_bits = f->pa_bits < 48 ? f->pa_bits : 48};
}

/* The tests that need owners, and no others. */
static bool has_owners(void)
{
	const char *group = getenv("GROUP"), *only;

	if (group && strstr(group, "owner"))
		return true;
	only = getenv("PTD_ONLY");
	return only && !strncmp(only, "owners_", 7);
}

int pt_el2_main(void)
{
	const struct pt_hv_owner_args args = {.wipe = pt_el2_host_wipe};
	const struct pt_hv_nest_args memory = {.load = pt_el2_host_load, .swap = pt_el2_host_swap};
	struct pt_hv_features f = features();
	enum pt_outcome outcome = boot();

	/* The loader's table stands between the code and the data. */
	regions[0] = (struct pt_hyp_region){own.image[0].pa,
					    (uintptr_t)pt_el2_loader_table - own.image[0].pa};
	regions[1] =
		(struct pt_hyp_region){own.image[1].pa, (uintptr_t)pt_el2_end - own.image[1].pa};
	regions[2] = (struct pt_hyp_region){OWN_POOL, OWN_POOL_BYTES};
	if (outcome == PT_OK)
		outcome =
			pt_hv_init(&hv, &own.agent[0], &own.space, &own.port, NULL, &f, regions, 3);
	if (outcome == PT_OK && has_owners())
		outcome = pt_hv_own(&hv, &own.agent[0], &owners, &args);
	pt_hv_nest(&hv, &nests, &memory);
	if (outcome == PT_OK)
		pt_el2_host_enter(&host, HOST_BASE, 0);
	pt_el2_print("Bail out! EL2 did not boot: ");
	pt_el2_print(pt_outcome_info(outcome)->name);
	pt_el2_print("\n");
	return 1;
}
