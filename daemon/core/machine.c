/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a machine: made whole, registered, retired through a grace period. */
#include "machine.h"

#include "owners.h"
#include "registry.h"

#include <stdlib.h>
#include <string.h>

static struct machine *build(struct domain *domain, const struct machine_args *args)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->domain = domain;
	m->vcpus = args->vcpus;
	m->vmid_bits = args->vmid_bits;
	strncpy(m->by_name.name, args->name, NAME_BYTES);
	m->runs = calloc(m->vcpus, sizeof(*m->runs));
	if (!m->runs)
		goto err_after_machine;
	if (pt_host_mmu_init(&m->mmu, m->vcpus, PT_HOST_TLB_CACHE, 0) != PT_OK)
		goto err_after_runs;
	if (pt_host_ram_create(&m->ram, args->memory_bytes) != PT_OK)
		goto err_after_mmu;
	pt_host_port_init(&m->port, &domain->tables, args->pa_bits);
	pt_machine_init(&m->pt, &domain->tables.world, &m->port, &m->mmu, args->pa_bits);
	if (args->owners && owners_create(m, args->owner_quota_pages, args->force_reclaim) != PT_OK)
		goto err_after_ram;
	return m;

err_after_ram:
	pt_host_ram_destroy(&m->ram);
err_after_mmu:
	pt_host_mmu_destroy(&m->mmu);
err_after_runs:
	free(m->runs);
err_after_machine:
	free(m);
	return NULL;
}

void machine_destroy(struct machine *m)
{
	owners_free(m->owners);
	pt_host_ram_destroy(&m->ram);
	pt_host_mmu_destroy(&m->mmu);
	ordered_free(&m->contexts);
	free(m->runs);
	free(m);
}

enum pt_outcome machine_create(struct domain *domain, const struct machine_args *args,
			       struct machine **made)
{
	struct machine *m = build(domain, args);
	enum pt_outcome o;

	if (!m)
		return PT_NO_MEMORY;
	o = registry_add_machine(domain, m);
	if (o != PT_OK)
		machine_destroy(m);
	else
		*made = m;
	return o;
}

static void free_machine(struct pt_rcu_head *head)
{
	machine_destroy(container_of(head, struct machine, rcu));
}

void machine_retire(struct machine *m)
{
	registry_remove_machine(m->domain, m);
	pt_rcu_call(&m->rcu, free_machine);
}
