/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold when everything has ended: tables, generations and lists equal the model, watchers
 * know it, deletes give every page back, and drained daemons have no connection. */
#include "sim.h"

#include "domain_types.h"
#include "shard_state.h"

#include <pt/host/hwwalk.h>

#include <stdio.h>

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct pt_port *port = arg;

	if (pa < port->table_pa || pa - port->table_pa >= port->table_bytes)
		return false;
	*descriptor = *(const uint64_t *)(const void *)(port->table_va + (pa - port->table_pa));
	return true;
}

static uint32_t prot_of(const struct hw_result *hw)
{
	static const uint8_t type[16] = {[6] = PT_MEM_NORMAL, [5] = PT_MEM_NC, [1] = PT_MEM_DEVICE};

	return PT_PROT((hw->read ? PT_PROT_R : 0) | (hw->write ? PT_PROT_W : 0) |
			       (hw->exec_el1 ? PT_PROT_PX : 0) | (hw->exec_el0 ? PT_PROT_UX : 0),
		       type[hw->memattr & 15]);
}

/* Each page by the architectural walker, which shares nothing with lib. */
static void walk_pages(struct sim *sim, const struct model_context *c)
{
	const struct pt_ctx *ctx = c->ctx;
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(ctx), .vttbr = pt_ctx_vttbr(ctx), .fwb = true};
	struct hw_bus bus = {.read = bus_read, .arg = (void *)(uintptr_t)ctx->machine->port};
	struct hw_result hw;

	for (uint32_t i = 0; i < c->pages && !sim_failed(sim); i++) {
		const struct page *page = &c->page[i];
		uint64_t ipa = c->base + ((uint64_t)i << c->granule_shift);
		bool mapped;

		hw_walk(&regs, &bus, ipa, HW_AT, false, &hw);
		mapped = hw.fault == HW_NO_FAULT || hw.fault == HW_PERMISSION ||
			 (c->aged && hw.fault == HW_ACCESS_FLAG);
		if (mapped != page->mapped ||
		    (mapped && (hw.pa != page->pa || !model_grants(c, page, prot_of(&hw)))) ||
		    (!mapped && hw.descriptor != page->note && page->note))
			sim_fail(sim, "tables",
				 "context %llx at %llx: %s %llx prot %x, the model: %s %llx "
				 "prot %x",
				 (unsigned long long)c->handle, (unsigned long long)ipa,
				 mapped ? "mapped to" : "unmapped", (unsigned long long)hw.pa,
				 prot_of(&hw), page->mapped ? "mapped to" : "unmapped",
				 (unsigned long long)page->pa, page->prot);
	}
}

static void each_context(struct sim *sim, void (*check)(struct sim *, const struct model_context *))
{
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		for (uint32_t m = 0; m < SIM_MACHINES; m++)
			for (uint32_t c = 0; c < SIM_CONTEXTS; c++)
				if (sim->daemon[i].model.context[m][c].live)
					check(sim, &sim->daemon[i].model.context[m][c]);
}

static void check_context(struct sim *sim, const struct model_context *c)
{
	if (c->ctx)
		walk_pages(sim, c);
	if (c->highest != c->changes + 1)
		sim_fail(sim, "generation", "context %llx: %llu changes, the highest was %llu",
			 (unsigned long long)c->handle, (unsigned long long)c->changes,
			 (unsigned long long)c->highest);
}

static void check_view(struct sim *sim, const struct client *client)
{
	const struct view *view = &client->view;
	const struct model *model = &sim->daemon[client->daemon].model;
	uint32_t live = 0, known = 0;

	for (uint32_t i = 0; i < SIM_MACHINES * SIM_CONTEXTS; i++) {
		const struct model_context *c = &model->context[i / SIM_CONTEXTS][i % SIM_CONTEXTS];

		live += c->live;
		for (uint32_t k = 0; k < SIM_MACHINES * SIM_CONTEXTS; k++)
			known += c->live && view->context[k].handle == c->handle &&
				 view->context[k].generation == c->highest;
	}
	if (live != known)
		sim_fail(sim, "watch",
			 "client %u: it knows %u of %u contexts as they are, and missed the rest",
			 client->number, known, live);
}

static void check_views(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		const struct client *client = &sim->client[i];

		if (client->watching && client->watching->state == OP_SENT && !client->view.lost)
			check_view(sim, client);
	}
}

static void check_pool(struct sim *sim, const struct daemon *d)
{
	uint64_t used = atomic_load(&d->domain->tables.world.pool.used_bytes);

	if (used != d->pool_at_start)
		sim_fail(sim, "pool",
			 "daemon %u: %llu bytes of tables are in use after all deletes", d->number,
			 (unsigned long long)(used - d->pool_at_start));
}

static void check_bounds(struct sim *sim, const struct daemon *d)
{
	if (d->domain->request_ids.count > knobs.request_ids ||
	    d->domain->request_ids.count > SIM_PRINCIPALS * knobs.principal_request_ids)
		sim_fail(sim, "bounds", "daemon %u keeps %u request ids", d->number,
			 d->domain->request_ids.count);
}

static void check_drained(struct sim *sim, const struct daemon *d)
{
	for (uint32_t i = 0; i < d->shards; i++)
		if (d->shard[i]->conns_count)
			sim_fail(sim, "drain", "daemon %u shard %u: drained with %u connections",
				 d->number, i, d->shard[i]->conns_count);
}

/* Asks of everything by name, over the wire. */
static void ask_all(struct sim *sim, struct client *client)
{
	for (uint8_t m = 0; m < SIM_MACHINES; m++) {
		client_ask(sim, client, OP_GET_MACHINE, m, 0);
		for (uint8_t c = 0; c < SIM_CONTEXTS; c++)
			client_ask(sim, client, OP_GET_CONTEXT, m, c);
	}
	client_ask(sim, client, OP_LIST_CONTEXTS, 0, 0);
}

static void delete_all(struct sim *sim, struct client *client)
{
	for (uint8_t m = 0; m < SIM_MACHINES; m++)
		if (sim->daemon[client->daemon].model.machine[m].live)
			client_ask(sim, client, OP_DELETE_MACHINE, m, 0);
}

void finish_all(struct sim *sim)
{
	sim->settled = true;
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		ask_all(sim, &sim->client[i]);
	sim_settle(sim);
	each_context(sim, check_context);
	check_views(sim);
	sim->settled = false;
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		delete_all(sim, &sim->client[i]);
	sim_settle(sim);
	check_views(sim);
	for (uint32_t i = 0; i < SIM_DAEMONS && !sim_failed(sim); i++)
		check_pool(sim, &sim->daemon[i]);
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		check_bounds(sim, &sim->daemon[i]);
	sim->ending = true;
	for (uint32_t i = 0; i < SIM_DAEMONS; i++)
		daemon_drain(sim, &sim->daemon[i]);
	sim_settle(sim);
	for (uint32_t i = 0; i < SIM_DAEMONS && !sim_failed(sim); i++)
		check_drained(sim, &sim->daemon[i]);
}
