/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests: the message of each kind of operation, with ranges drawn. */
#include "sim.h"

#include <pt/txn.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void pack(struct op *op, const void *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);

	op->length = n + 5;
	op->body = calloc(1, op->length);
	if (!op->body)
		abort();
	op->body[3] = (uint8_t)(n >> 8); /* requests are below 64 KiB */
	op->body[4] = (uint8_t)n;
	protobuf_c_message_pack(message, op->body + 5);
}

static ProtobufCBinaryData id_of(struct op *op)
{
	return (ProtobufCBinaryData){op->has_id ? sizeof(op->id) : 0, op->id};
}

static void script_single(struct sim *sim, struct op *op, uint64_t *random)
{
	Ptd__V1__MapRequest map = PTD__V1__MAP_REQUEST__INIT;
	Ptd__V1__UnmapRequest unmap = PTD__V1__UNMAP_REQUEST__INIT;
	Ptd__V1__ProtectRequest protect = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__WriteProtectRequest write_protect = PTD__V1__WRITE_PROTECT_REQUEST__INIT;
	uint32_t shift = sim->swarm.granule_shift;
	struct item *item = &op->item[0];

	op->items = 1;
	item_draw(random, shift, 0, model_pages(shift), op->kind - OP_MAP + PT_ITEM_MAP, item);
#define COMMON(q)                                                                                  \
	((q).context = op->handle, (q).ipa = item->ipa, (q).size = item->size,                     \
	 (q).request_id = id_of(op), (q).expected_generation = op->expected,                       \
	 (q).validate_only = op->validate_only)
	COMMON(map);
	COMMON(unmap);
	COMMON(protect);
	COMMON(write_protect);
#undef COMMON
	map.pa = item->pa;
	map.flags = item->flags;
	map.prot = protect.prot = item->prot;
	pack(op, op->kind == OP_MAP	  ? (void *)&map
		 : op->kind == OP_UNMAP	  ? (void *)&unmap
		 : op->kind == OP_PROTECT ? (void *)&protect
					  : (void *)&write_protect);
}

/* Ascending items for ATOMIC; any for the other modes. */
static void draw_items(struct sim *sim, struct op *op, uint64_t *random)
{
	uint32_t shift = sim->swarm.granule_shift, pages = model_pages(shift), from = 0;
	uint32_t want = 1 + (uint32_t)sim_draw(random, sim->swarm.items);
	static const uint8_t kinds[] = {PT_ITEM_MAP,	       PT_ITEM_MAP,   PT_ITEM_MAP,
					PT_ITEM_UNMAP,	       PT_ITEM_UNMAP, PT_ITEM_PROTECT,
					PT_ITEM_WRITE_PROTECT, PT_ITEM_RELAX, PT_ITEM_ANNOTATE,
					PT_ITEM_MAKE_YOUNG,    PT_ITEM_FLUSH};

	op->mode = 1 + (uint32_t)sim_draw(random, 3);
	op->items = 0;
	while (op->items < want && from < pages) {
		struct item *item = &op->item[op->items++];

		item_draw(random, shift, from, pages, kinds[sim_draw(random, sizeof(kinds))], item);
		if (op->mode == PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC)
			from = (uint32_t)((item->ipa + item->size - model_base(shift)) >> shift);
	}
}

void script_columns(struct sim *sim, struct op *op, uint64_t *random, struct columns_room *room)
{
	Ptd__V1__Ops *ops = &room->ops;

	draw_items(sim, op, random);
	for (uint32_t i = 0; i < op->items; i++) {
		room->ipa[i] = op->item[i].ipa;
		room->size[i] = op->item[i].size;
		room->pa[i] = op->item[i].pa;
		room->kind[i] = op->item[i].kind;
		room->prot[i] = op->item[i].prot;
		room->flags[i] = op->item[i].flags;
	}
	ptd__v1__ops__init(ops);
	ops->n_ipa = ops->n_size = ops->n_pa = ops->n_kind = ops->n_prot = ops->n_flags = op->items;
	ops->ipa = room->ipa;
	ops->size = room->size;
	ops->pa = room->pa;
	ops->kind = room->kind;
	ops->prot = room->prot;
	ops->flags = room->flags;
	ptd__v1__apply_request__init(&room->request);
	room->request.context = op->handle;
	room->request.mode = (Ptd__V1__BatchMode)op->mode;
	room->request.ops = ops;
	room->request.want_outcomes = op->want_outcomes;
}

static void script_apply(struct sim *sim, struct op *op, uint64_t *random)
{
	struct columns_room room;

	script_columns(sim, op, random, &room);
	room.request.request_id = id_of(op);
	room.request.expected_generation = op->expected;
	room.request.validate_only = op->validate_only;
	pack(op, &room.request);
}

size_t script_addresses(const struct sim *sim, uint64_t *random, uint64_t ipa[4])
{
	uint32_t shift = sim->swarm.granule_shift;
	size_t n = 1 + sim_draw(random, 4);

	for (size_t i = 0; i < n; i++)
		ipa[i] = model_base(shift) + (sim_draw(random, model_pages(shift)) << shift);
	return n;
}

static void script_create_machine(const struct sim *sim, struct op *op)
{
	Ptd__V1__CreateMachineRequest q = PTD__V1__CREATE_MACHINE_REQUEST__INIT;
	char name[8];

	snprintf(name, sizeof(name), "m%u", op->machine);
	q.name = name;
	q.memory_bytes = paged_memory(sim->swarm.granule_shift);
	q.vcpus = 1;
	q.request_id = id_of(op);
	pack(op, &q);
}

static void script_create_context(struct sim *sim, struct op *op)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__Geometry geometry = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	char name[8];

	snprintf(name, sizeof(name), "c%u", op->context);
	geometry.granule_shift = sim->swarm.granule_shift;
	geometry.ipa_bits = sim->swarm.granule_shift == 16 ? 42 : 40;
	options.fwb = true;
	q.machine = op->handle;
	q.name = name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	q.geometry = &geometry;
	q.options = &options;
	q.quota_pages = sim->swarm.quota_pages;
	q.request_id = id_of(op);
	pack(op, &q);
}

static void script_upkeep(struct sim *sim, struct op *op, uint64_t *random)
{
	Ptd__V1__AgeRequest age = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__SplitRequest split = PTD__V1__SPLIT_REQUEST__INIT;
	Ptd__V1__CollapseRequest collapse = PTD__V1__COLLAPSE_REQUEST__INIT;
	Ptd__V1__StartDirtyLogRequest start = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	uint32_t shift = sim->swarm.granule_shift;
	struct item *item = &op->item[0];

	item_draw(random, shift, 0, model_pages(shift), PT_ITEM_UNMAP, item);
	age.context = split.context = collapse.context = start.context = op->handle;
	age.ipa = split.ipa = collapse.ipa = start.ipa = item->ipa;
	age.size = split.size = collapse.size = start.size = item->size;
	age.request_id = start.request_id = id_of(op);
	age.clear = sim_draw(random, 2) != 0;
	age.want_bitmap = sim_draw(random, 2) != 0;
	split.page_budget = sim_draw(random, 4);
	start.eager_split = sim_draw(random, 2) != 0;
	start.initially_set = sim_draw(random, 2) != 0;
	pack(op, op->kind == OP_AGE	   ? (void *)&age
		 : op->kind == OP_SPLIT	   ? (void *)&split
		 : op->kind == OP_COLLAPSE ? (void *)&collapse
					   : (void *)&start);
}

static void script_log(struct op *op, uint64_t *random)
{
	Ptd__V1__GetDirtyLogRequest get = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StopDirtyLogRequest stop = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

	get.log = stop.log = op->log;
	get.log_generation = op->log_generation;
	get.clear = sim_draw(random, 2) != 0;
	pack(op, op->kind == OP_GET_LOG ? (void *)&get : (void *)&stop);
}

static void script_translate(struct sim *sim, struct op *op, uint64_t *random)
{
	Ptd__V1__TranslateRequest q = PTD__V1__TRANSLATE_REQUEST__INIT;
	uint32_t shift = sim->swarm.granule_shift;

	op->item[0].ipa = model_base(shift) + (sim_draw(random, model_pages(shift)) << shift);
	q.context = op->handle;
	q.ipa = op->item[0].ipa;
	q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_AT;
	pack(op, &q);
}

static void script_arm(struct op *op, uint64_t *random)
{
	Ptd__V1__ArmFailpointRequest q = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;
	Ptd__V1__Failpoint f = PTD__V1__FAILPOINT__INIT;

	f.name = (char *)(uintptr_t) "rpc.reply";
	f.action = (Ptd__V1__FailpointAction)(1 + sim_draw(random, 3));
	f.this_connection = sim_draw(random, 2) != 0;
	f.nth = 1 + (uint32_t)sim_draw(random, 4);
	f.times = 1 + (uint32_t)sim_draw(random, 3);
	if (f.action == PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_DELAY)
		f.delay_ms = 1 + (uint32_t)sim_draw(random, 400);
	f.time_to_live_ms = 1000;
	f.grpc_status = f.action == PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_ERROR ? 14 : 0;
	q.failpoint = &f;
	pack(op, &q);
}

static void script_context(struct op *op)
{
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__ListContextsRequest list = PTD__V1__LIST_CONTEXTS_REQUEST__INIT;
	Ptd__V1__WatchContextsRequest watch = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	Ptd__V1__GetDigestRequest digest = PTD__V1__GET_DIGEST_REQUEST__INIT;
	Ptd__V1__DumpContextRequest dump = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	Ptd__V1__DeleteContextRequest delete = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__DeleteMachineRequest remove = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	Ptd__V1__GetMachineRequest machine = PTD__V1__GET_MACHINE_REQUEST__INIT;
	char name[16], machine_name[8];

	snprintf(name, sizeof(name), "m%u/c%u", op->machine, op->context);
	snprintf(machine_name, sizeof(machine_name), "m%u", op->machine);
	machine.name = machine_name;
	if (op->by_name)
		get.name = name;
	else
		get.handle = op->handle;
	delete.handle = remove.handle = digest.context = dump.context = op->handle;
	delete.request_id = remove.request_id = id_of(op);
	remove.force = op->force;
	digest.stable = dump.stable = op->stable;
	switch (op->kind) {
	case OP_GET_MACHINE: pack(op, &machine); break;
	case OP_GET_CONTEXT: pack(op, &get); break;
	case OP_LIST_CONTEXTS: pack(op, &list); break;
	case OP_WATCH: pack(op, &watch); break;
	case OP_GET_DIGEST: pack(op, &digest); break;
	case OP_DUMP: pack(op, &dump); break;
	case OP_DELETE_CONTEXT: pack(op, &delete); break;
	default: pack(op, &remove); break;
	}
}

static void script_slot(const struct sim *sim, struct op *op, uint64_t *random)
{
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;

	op->place = sim_percent(random, 30);
	slot.ipa = PAGED_IPA;
	slot.size = (uint64_t)PAGED_PAGES << sim->swarm.granule_shift;
	slot.pa = paged_pa(sim, op->context, op->place, 0);
	q.context = op->handle;
	q.slot = &slot;
	q.request_id = id_of(op);
	q.expected_generation = op->expected;
	pack(op, &q);
}

static void script_access(const struct sim *sim, struct op *op, uint64_t *random)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	op->page = (uint32_t)sim_draw(random, PAGED_PAGES);
	op->word_at = (uint32_t)sim_draw(random, PAGED_WORDS);
	op->write = sim_draw(random, 3) == 0;
	op->word = sim_draw(random, UINT64_MAX);
	q.context = op->handle;
	q.ipa = paged_address(sim, op->page) + paged_offset(sim, op->word_at);
	q.access = op->write ? PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE
			     : PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	if (op->write)
		q.data = (ProtobufCBinaryData){sizeof(op->word), (uint8_t *)&op->word};
	else
		q.length = sizeof(op->word);
	pack(op, &q);
}

void script_pack(struct sim *sim, struct op *op, uint64_t *random)
{
	switch (op->kind) {
	case OP_CREATE_MACHINE: script_create_machine(sim, op); break;
	case OP_CREATE_CONTEXT: script_create_context(sim, op); break;
	case OP_MAP:
	case OP_UNMAP:
	case OP_PROTECT:
	case OP_WRITE_PROTECT: script_single(sim, op, random); break;
	case OP_AGE:
	case OP_SPLIT:
	case OP_COLLAPSE:
	case OP_START_LOG: script_upkeep(sim, op, random); break;
	case OP_GET_LOG:
	case OP_STOP_LOG: script_log(op, random); break;
	case OP_APPLY: script_apply(sim, op, random); break;
	case OP_TRANSLATE: script_translate(sim, op, random); break;
	case OP_ARM: script_arm(op, random); break;
	case OP_SESSION: session_set_up(op, random); break;
	case OP_SET_SLOT: script_slot(sim, op, random); break;
	case OP_ACCESS: script_access(sim, op, random); break;
	case OP_SERVE: pager_set_up(op, random); break;
	default: script_context(op); break;
	}
}
