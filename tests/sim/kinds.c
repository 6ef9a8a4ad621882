/* SPDX-License-Identifier: BSD-2-Clause */
/* The kinds of operations, and ranges much as people use them: mostly pages, some blocks. */
#include "sim.h"

#include <pt/txn.h>

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *path;
	const ProtobufCMessageDescriptor *answer;
	bool reads;
	uint8_t weight;
} kinds[OP_KINDS] = {
#define KIND(service, rpc, type, reads, weight)                                                    \
	{                                                                                          \
#rpc, "/ptd.v1." #service "/" #rpc, &ptd__v1__##type##_response__descriptor,       \
			reads, weight                                                              \
	}
	[OP_CREATE_MACHINE] = KIND(MachineService, CreateMachine, create_machine, false, 2),
	[OP_CREATE_CONTEXT] = KIND(ContextService, CreateContext, create_context, false, 6),
	[OP_DELETE_CONTEXT] = KIND(ContextService, DeleteContext, delete_context, false, 2),
	[OP_DELETE_MACHINE] = KIND(MachineService, DeleteMachine, delete_machine, false, 1),
	[OP_MAP] = KIND(MappingService, Map, map, false, 22),
	[OP_UNMAP] = KIND(MappingService, Unmap, unmap, false, 10),
	[OP_PROTECT] = KIND(MappingService, Protect, protect, false, 9),
	[OP_WRITE_PROTECT] = KIND(MappingService, WriteProtect, write_protect, false, 4),
	[OP_APPLY] = KIND(MappingService, Apply, apply, false, 22),
	[OP_AGE] = KIND(MappingService, Age, age, false, 3),
	[OP_SPLIT] = KIND(MappingService, Split, split, true, 3),
	[OP_COLLAPSE] = KIND(MappingService, Collapse, collapse, true, 3),
	[OP_START_LOG] = KIND(MappingService, StartDirtyLog, start_dirty_log, false, 2),
	[OP_GET_LOG] = KIND(MappingService, GetDirtyLog, get_dirty_log, true, 4),
	[OP_STOP_LOG] = KIND(MappingService, StopDirtyLog, stop_dirty_log, true, 2),
	[OP_TRANSLATE] = KIND(FaultService, Translate, translate, true, 10),
	[OP_GET_MACHINE] = KIND(MachineService, GetMachine, get_machine, true, 2),
	[OP_GET_CONTEXT] = KIND(ContextService, GetContext, get_context, true, 4),
	[OP_LIST_CONTEXTS] = KIND(ContextService, ListContexts, list_contexts, true, 3),
	[OP_GET_DIGEST] = KIND(ContextService, GetDigest, get_digest, true, 3),
	[OP_DUMP] = KIND(ContextService, DumpContext, dump_context, true, 3),
	[OP_WATCH] = KIND(ContextService, WatchContexts, watch_contexts, true, 0),
	[OP_SESSION] = {"Session", "/ptd.v1.MappingService/Session",
			&ptd__v1__session_response__descriptor, true, 4},
	[OP_SET_SLOT] = KIND(ContextService, SetSlot, set_slot, false, 8),
	[OP_ACCESS] = KIND(FaultService, Access, access, true, 50),
	[OP_SERVE] = KIND(PagerService, ServePages, serve_pages, true, 16),
	[OP_ARM] = KIND(FailpointService, ArmFailpoint, arm_failpoint, true, 0),
};

const char *op_path(enum op_kind kind)
{
	return kinds[kind].path;
}

const char *op_name(enum op_kind kind)
{
	return kinds[kind].name;
}

const ProtobufCMessageDescriptor *op_answer(enum op_kind kind)
{
	return kinds[kind].answer;
}

bool op_reads(enum op_kind kind)
{
	return kinds[kind].reads;
}

uint32_t op_weight(enum op_kind kind)
{
	return kinds[kind].weight;
}

static uint64_t draw_size(uint64_t *random, uint32_t block, uint32_t pages)
{
	uint64_t n;

	switch (sim_draw(random, 8)) {
	case 0:
	case 1:
	case 2:
	case 3: n = 1; break;
	case 4:
	case 5: n = 1 + sim_draw(random, 20); break;
	case 6: n = block; break;
	default: n = 1 + sim_draw(random, block + block / 2); break;
	}
	return n < pages ? n : pages;
}

static uint32_t draw_prot(uint64_t *random)
{
	static const uint32_t prots[] = {PT_PROT_R,
					 PT_PROT_RW,
					 PT_PROT_RW,
					 PT_PROT_RWX,
					 PT_PROT_W,
					 PT_PROT_R | PT_PROT_X,
					 PT_PROT(PT_PROT_RW, PT_MEM_DEVICE),
					 PT_PROT(PT_PROT_R, PT_MEM_NC)};

	return prots[sim_draw(random, sizeof(prots) / sizeof(prots[0]))];
}

void item_draw(uint64_t *random, uint32_t shift, uint32_t from, uint32_t to, uint32_t kind,
	       struct item *item)
{
	uint32_t block = model_block(shift), n = (uint32_t)draw_size(random, block, to - from);
	uint32_t at = from + (uint32_t)sim_draw(random, to - from - n + 1);
	uint64_t bias;

	if (sim_draw(random, 2) && (at & ~(block - 1)) >= from)
		at &= ~(block - 1);
	*item = (struct item){.kind = kind};
	item->ipa = model_base(shift) + ((uint64_t)at << shift);
	item->size = (uint64_t)n << shift;
	if (kind == PT_ITEM_ANNOTATE)
		item->pa = (2 + sim_draw(random, 14)) << 60 | sim_draw(random, 8) << 1;
	if (kind != PT_ITEM_MAP && kind != PT_ITEM_PROTECT && kind != PT_ITEM_RELAX)
		return;
	item->prot = draw_prot(random);
	if (kind != PT_ITEM_MAP) {
		item->prot &= PT_PROT_RIGHTS;
		return;
	}
	/* Few biases, so that ranges often meet their own mapping; one of them allows no block. */
	bias = (uint64_t[]){0, 0, 0, 1, block, block}[sim_draw(random, 6)];
	item->pa = item->ipa + (bias << shift);
	item->flags = (uint32_t)((sim_draw(random, 3) ? 0 : PT_MAP_REPLACE) |
				 (sim_draw(random, 4) ? 0 : PT_MAP_FORCE_PAGES));
}
