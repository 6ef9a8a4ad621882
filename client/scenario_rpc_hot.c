/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: requests and answers of the operations that come in numbers. */
#include "scenario_rpc.h"

#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <string.h>

static size_t packed(const void *message, uint8_t *bytes)
{
	const ProtobufCMessage *m = message;

	return protobuf_c_message_get_packed_size(m) <= SCN_REQUEST_MAX
		       ? protobuf_c_message_pack(m, bytes)
		       : 0;
}

static size_t pack_access(const struct scn_lane *lane, const struct scn_record *r, uint64_t context,
			  uint64_t ipa, uint8_t *bytes)
{
	const struct scn_access_body *b = &r->body.access;
	Ptd__V1__AccessRequest m = PTD__V1__ACCESS_REQUEST__INIT;
	uint64_t data = b->data; /* little-endian, as the format is */

	m.context = context;
	m.vcpu = lane->par ? lane->index : b->vcpu;
	m.ipa = ipa;
	m.access = (Ptd__V1__AccessKind)b->kind;
	m.length = b->length;
	if (b->kind == PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE)
		m.data = (ProtobufCBinaryData){b->length, (uint8_t *)&data};
	m.s1ptw = b->flags & SCN_ACCESS_S1PTW;
	m.el0 = (b->flags & SCN_ACCESS_EL0) != 0;
	return packed(&m, bytes);
}

static size_t pack_fault(const struct scn_lane *lane, const struct scn_record *r, uint64_t context,
			 uint8_t *bytes)
{
	const struct scn_fault_body *b = &r->body.fault;
	Ptd__V1__HandleFaultRequest m = PTD__V1__HANDLE_FAULT_REQUEST__INIT;

	m.context = context;
	m.vcpu = lane->par ? lane->index : b->vcpu;
	m.ipa = b->ipa;
	m.esr = b->esr;
	m.far = b->far;
	m.hpfar = b->hpfar;
	m.access = (Ptd__V1__AccessKind)b->kind;
	m.el0 = (b->flags & SCN_ACCESS_EL0) != 0;
	return packed(&m, bytes);
}

static size_t pack_translate(const struct scn_record *r, uint64_t context, uint8_t *bytes)
{
	const struct scn_fault_body *b = &r->body.fault;
	Ptd__V1__TranslateRequest m = PTD__V1__TRANSLATE_REQUEST__INIT;

	m.context = context;
	m.ipa = b->ipa;
	m.access = (Ptd__V1__AccessKind)b->kind;
	m.vcpu = b->vcpu;
	m.el0 = (b->flags & SCN_ACCESS_EL0) != 0;
	return packed(&m, bytes);
}

/* What all four requests have. */
#define RANGE(m)                                                                                   \
	((m).context = context, (m).ipa = ipa, (m).size = b->size,                                 \
	 (m).validate_only = (b->flags & SCN_MAP_VALIDATE) != 0)

static size_t pack_map(const struct scn_map_body *b, uint64_t context, uint64_t ipa, uint64_t pa,
		       uint8_t *bytes)
{
	Ptd__V1__MapRequest m = PTD__V1__MAP_REQUEST__INIT;

	RANGE(m);
	m.pa = pa;
	m.prot = b->prot;
	m.flags = b->flags & ~SCN_MAP_VALIDATE;
	return packed(&m, bytes);
}

static size_t pack_unmap(const struct scn_map_body *b, uint64_t context, uint64_t ipa,
			 uint8_t *bytes)
{
	Ptd__V1__UnmapRequest m = PTD__V1__UNMAP_REQUEST__INIT;

	RANGE(m);
	return packed(&m, bytes);
}

static size_t pack_protect(const struct scn_map_body *b, uint64_t context, uint64_t ipa,
			   uint8_t *bytes)
{
	Ptd__V1__ProtectRequest m = PTD__V1__PROTECT_REQUEST__INIT;

	RANGE(m);
	m.prot = b->prot;
	return packed(&m, bytes);
}

static size_t pack_write_protect(const struct scn_map_body *b, uint64_t context, uint64_t ipa,
				 uint8_t *bytes)
{
	Ptd__V1__WriteProtectRequest m = PTD__V1__WRITE_PROTECT_REQUEST__INIT;

	RANGE(m);
	return packed(&m, bytes);
}

/* Those that have no rpc of their own. */
static size_t pack_item(const struct scn_record *r, uint64_t context, uint64_t ipa, uint8_t *bytes)
{
	const struct scn_map_body *b = &r->body.map;
	Ptd__V1__ApplyRequest m = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	uint32_t kind = scn_item_kind(r->op), prot = b->prot;
	uint64_t size = b->size, pa = b->pa;

	ops.n_ipa = ops.n_size = ops.n_pa = ops.n_kind = ops.n_prot = 1;
	ops.ipa = &ipa;
	ops.size = &size;
	ops.pa = &pa;
	ops.kind = &kind;
	ops.prot = &prot;
	m.context = context;
	m.mode = PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC;
	m.ops = &ops;
	m.want_outcomes = true;
	m.validate_only = (b->flags & SCN_MAP_VALIDATE) != 0;
	return packed(&m, bytes);
}

static size_t pack_upkeep(const struct scn_record *r, uint64_t context, uint64_t ipa,
			  uint8_t *bytes, const char **method)
{
	const struct scn_map_body *b = &r->body.map;
	Ptd__V1__AgeRequest age = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__SplitRequest split = PTD__V1__SPLIT_REQUEST__INIT;
	Ptd__V1__CollapseRequest collapse = PTD__V1__COLLAPSE_REQUEST__INIT;

	age.context = split.context = collapse.context = context;
	age.ipa = split.ipa = collapse.ipa = ipa;
	age.size = split.size = collapse.size = b->size;
	if (r->op == SCN_AGE) {
		*method = "/ptd.v1.MappingService/Age";
		age.clear = b->flags & SCN_AGE_CLEAR;
		return packed(&age, bytes);
	}
	if (r->op == SCN_COLLAPSE) {
		*method = "/ptd.v1.MappingService/Collapse";
		return packed(&collapse, bytes);
	}
	*method = "/ptd.v1.MappingService/Split";
	split.level_plus_2 = b->prot;
	split.page_budget = b->pa;
	return packed(&split, bytes);
}

size_t scn_pack(const struct scn_lane *lane, const struct scn_record *r, uint64_t ipa, uint64_t i,
		uint8_t *bytes, const char **method)
{
	const struct scn_map_body *b = &r->body.map;
	uint64_t context = lane->rpc->context[r->object];

	switch (r->op) {
	case SCN_ACCESS:
		*method = "/ptd.v1.FaultService/Access";
		return pack_access(lane, r, context, ipa, bytes);
	case SCN_FAULT:
		*method = "/ptd.v1.FaultService/HandleFault";
		return pack_fault(lane, r, context, bytes);
	case SCN_TRANSLATE:
		*method = "/ptd.v1.FaultService/Translate";
		return pack_translate(r, context, bytes);
	case SCN_MAP:
		*method = "/ptd.v1.MappingService/Map";
		return pack_map(b, context, ipa, b->pa + i * b->stride + lane->index * b->lane_step,
				bytes);
	case SCN_UNMAP:
		*method = "/ptd.v1.MappingService/Unmap";
		return pack_unmap(b, context, ipa, bytes);
	case SCN_PROTECT:
		*method = "/ptd.v1.MappingService/Protect";
		return pack_protect(b, context, ipa, bytes);
	case SCN_WRPROTECT:
		*method = "/ptd.v1.MappingService/WriteProtect";
		return pack_write_protect(b, context, ipa, bytes);
	case SCN_AGE:
	case SCN_SPLIT:
	case SCN_COLLAPSE: return pack_upkeep(r, context, ipa, bytes, method);
	default: *method = "/ptd.v1.MappingService/Apply"; return pack_item(r, context, ipa, bytes);
	}
}

void scn_take_effects(const struct Ptd__V1__Effects *e, struct scn_reply *reply)
{
	if (!e)
		return;
	scn_set_fact(reply, SCN_FACT_leaves_written, e->leaves_written);
	scn_set_fact(reply, SCN_FACT_leaves_removed, e->leaves_removed);
	scn_set_fact(reply, SCN_FACT_already, e->already);
	scn_set_fact(reply, SCN_FACT_holes, e->holes);
	scn_set_fact(reply, SCN_FACT_blocks_split, e->blocks_split);
	scn_set_fact(reply, SCN_FACT_tables_added, e->tables_added);
	scn_set_fact(reply, SCN_FACT_tables_freed, e->tables_freed);
	scn_set_fact(reply, SCN_FACT_tlbis, e->tlbis);
	scn_set_fact(reply, SCN_FACT_annotated, e->annotated);
}

void scn_count_effects(const struct scn_reply *reply, struct scn_sums *sums)
{
	scn_count(sums, SCN_FACT_written, reply->fact[SCN_FACT_leaves_written]);
	scn_count(sums, SCN_FACT_removed, reply->fact[SCN_FACT_leaves_removed]);
}

static uint64_t little_endian(const ProtobufCBinaryData *data)
{
	uint64_t v = 0;

	memcpy(&v, data->data, data->len < sizeof(v) ? data->len : sizeof(v));
	return v;
}

static void take_access(const Ptd__V1__AccessResponse *m, struct scn_reply *reply,
			struct scn_sums *sums)
{
	uint64_t *most = &sums->fact[SCN_FACT_max_exits - SCN_STAGE_FIRST];

	scn_set_fact(reply, SCN_FACT_outcome, m->outcome);
	scn_set_fact(reply, SCN_FACT_pa, m->pa);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)m->level);
	scn_set_fact(reply, SCN_FACT_prot, m->prot & 0xff);
	scn_set_fact(reply, SCN_FACT_exits, m->n_exits);
	scn_set_fact(reply, SCN_FACT_tables_added, m->tables_added);
	if (m->data.data)
		scn_set_fact(reply, SCN_FACT_data, little_endian(&m->data));
	scn_count(sums, SCN_FACT_accesses, 1);
	for (size_t i = 0; i < m->n_exits; i++)
		scn_count_exit(sums, m->exits[i]->outcome);
	if (m->n_exits)
		scn_set_fact(reply, SCN_FACT_fault, m->exits[m->n_exits - 1]->fault);
	scn_take_nested(m->nested, reply);
	if (m->n_exits > *most)
		*most = m->n_exits;
}

static void take_fault(const Ptd__V1__HandleFaultResponse *m, struct scn_reply *reply,
		       struct scn_sums *sums)
{
	scn_set_fact(reply, SCN_FACT_outcome, m->outcome);
	scn_set_fact(reply, SCN_FACT_pa, m->pa);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)m->level);
	scn_set_fact(reply, SCN_FACT_prot, m->prot & 0xff);
	scn_set_fact(reply, SCN_FACT_tables_added, m->tables_added);
	scn_take_nested(m->nested, reply);
	scn_count_exit(sums, m->outcome);
}

static void take_translation(const Ptd__V1__TranslateResponse *m, struct scn_reply *reply)
{
	scn_set_fact(reply, SCN_FACT_outcome, m->outcome);
	scn_set_fact(reply, SCN_FACT_pa, m->pa);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)m->level);
	scn_set_fact(reply, SCN_FACT_prot, m->prot & 0xff);
	scn_set_fact(reply, SCN_FACT_par, m->par);
	scn_set_fact(reply, SCN_FACT_fault, m->fault);
	scn_set_fact(reply, SCN_FACT_span, m->span);
}

static const ProtobufCMessageDescriptor *answer_type(unsigned op)
{
	switch (op) {
	case SCN_ACCESS: return &ptd__v1__access_response__descriptor;
	case SCN_FAULT: return &ptd__v1__handle_fault_response__descriptor;
	case SCN_TRANSLATE: return &ptd__v1__translate_response__descriptor;
	case SCN_MAP: return &ptd__v1__map_response__descriptor;
	case SCN_UNMAP: return &ptd__v1__unmap_response__descriptor;
	case SCN_PROTECT: return &ptd__v1__protect_response__descriptor;
	case SCN_WRPROTECT: return &ptd__v1__write_protect_response__descriptor;
	case SCN_AGE: return &ptd__v1__age_response__descriptor;
	case SCN_SPLIT: return &ptd__v1__split_response__descriptor;
	case SCN_COLLAPSE: return &ptd__v1__collapse_response__descriptor;
	default: return &ptd__v1__apply_response__descriptor;
	}
}

static void take_result(uint32_t outcome, const struct Ptd__V1__Effects *effects,
			struct scn_reply *reply)
{
	scn_set_fact(reply, SCN_FACT_outcome, outcome);
	scn_take_effects(effects, reply);
}

static void take_age(const Ptd__V1__AgeResponse *m, struct scn_reply *reply)
{
	scn_set_fact(reply, SCN_FACT_young, m->young);
	scn_set_fact(reply, SCN_FACT_old, m->old);
	scn_set_fact(reply, SCN_FACT_next_ipa, m->next_ipa);
}

static void take_split(const Ptd__V1__SplitResponse *m, struct scn_reply *reply)
{
	scn_take_effects(m->effects, reply);
	scn_set_fact(reply, SCN_FACT_next_ipa, m->next_ipa);
}

static void take_collapse(const Ptd__V1__CollapseResponse *m, struct scn_reply *reply)
{
	scn_take_effects(m->effects, reply);
	scn_set_fact(reply, SCN_FACT_blocks_made, m->blocks_made);
	scn_set_fact(reply, SCN_FACT_next_ipa, m->next_ipa);
}

/* The answers of changes, in types of their own. */
static void take_change(unsigned op, const ProtobufCMessage *message, struct scn_reply *reply,
			struct scn_sums *sums)
{
	const void *m = message;
	const Ptd__V1__MapResponse *map = m;
	const Ptd__V1__UnmapResponse *unmap = m;
	const Ptd__V1__ProtectResponse *protect = m;
	const Ptd__V1__WriteProtectResponse *write_protect = m;
	const Ptd__V1__ApplyResponse *item = m;

	switch (op) {
	case SCN_MAP: take_result(map->outcome, map->effects, reply); break;
	case SCN_UNMAP: take_result(unmap->outcome, unmap->effects, reply); break;
	case SCN_PROTECT: take_result(protect->outcome, protect->effects, reply); break;
	case SCN_WRPROTECT:
		take_result(write_protect->outcome, write_protect->effects, reply);
		break;
	case SCN_AGE: take_age(m, reply); break;
	case SCN_SPLIT: take_split(m, reply); break;
	case SCN_COLLAPSE: take_collapse(m, reply); break;
	default: take_result(item->n_outcome ? item->outcome[0] : 0, item->effects, reply); break;
	}
	scn_count_effects(reply, sums);
}

bool scn_unpack(const struct scn_record *r, const struct ptd_reply *answer,
		ProtobufCAllocator *allocator, struct scn_reply *reply, struct scn_sums *sums)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(answer_type(r->op), allocator,
							answer->length, answer->data);
	const void *typed = m;

	if (!m)
		return false;
	if (r->op == SCN_ACCESS)
		take_access(typed, reply, sums);
	else if (r->op == SCN_FAULT)
		take_fault(typed, reply, sums);
	else if (r->op == SCN_TRANSLATE)
		take_translation(typed, reply);
	else
		take_change(r->op, m, reply, sums);
	protobuf_c_message_free_unpacked(m, allocator);
	return true;
}
