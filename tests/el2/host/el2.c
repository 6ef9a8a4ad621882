/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor: EL2 boots onto its own map and lets a host go. */
#include "../own_map.h"
#include "lib_calls.h"
#include "shape.h"

#include <pt/el2/cpu.h>
#include <pt/el2/host.h>
#include <pt/el2/sysreg.h>
#include <pt/hv.h>

static struct pt_hv hv;
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

int pt_el2_main(void)
{
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
	if (outcome == PT_OK)
		pt_el2_host_enter(&host, HOST_BASE, 0);
	pt_el2_print("Bail out! EL2 did not boot: ");
	pt_el2_print(pt_outcome_info(outcome)->name);
	pt_el2_print("\n");
	return 1;
}
