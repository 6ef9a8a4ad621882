/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's other CPUs: EL2 is on them already, and lets them go when they are asked for. */
#include "host_internal.h"

/* Return codes: PSCI 1.1, 5.2.2. */
#define NOT_SUPPORTED	   (-1)
#define INVALID_PARAMETERS (-2)
#define ALREADY_ON	   (-4)
#define VERSION_1_1	   0x10001

static void go(void *arg)
{
	struct pt__el2_world *w = arg;

	pt_el2_host_enter(w->host, w->entry, w->context);
}

static int64_t cpu_on(struct pt__el2_world *world, uint64_t mpidr, uint64_t entry, uint64_t context)
{
	const struct pt_el2_host *host = world->host;
	struct pt__el2_world *w;

	if (mpidr >= host->cpus)
		return INVALID_PARAMETERS;
	w = pt__el2_world((uint32_t)mpidr);
	if (atomic_exchange(&w->taken, true))
		return ALREADY_ON;
	w->host = host;
	w->entry = entry;
	w->context = context;
	pt_el2_cpu_run((uint32_t)mpidr, go, w);
	return 0;
}

void pt__el2_psci(struct pt__el2_world *world, uint64_t x[4])
{
	int64_t answer = NOT_SUPPORTED;

	if ((uint32_t)x[0] == PT_EL2_PSCI_VERSION)
		answer = VERSION_1_1;
	else if ((uint32_t)x[0] == PT_EL2_PSCI_CPU_ON)
		answer = cpu_on(world, x[1], x[2], x[3]);
	x[0] = (uint64_t)answer;
}
