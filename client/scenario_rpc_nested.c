/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: what a guest hypervisor does, and its shadows. */
#include "scenario_rpc.h"

#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/nested.pb-c.h"

#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

void scn_take_nested(const struct Ptd__V1__NestedFault *f, struct scn_reply *reply)
{
	if (!f)
		return;
	scn_set_fact(reply, SCN_FACT_taker, f->taker);
	scn_set_fact(reply, SCN_FACT_canonical, f->canonical_ipa);
	if (f->taker != PTD__V1__FAULT_TAKER__FAULT_TAKER_GUEST_HYPERVISOR)
		return;
	scn_set_fact(reply, SCN_FACT_fault, f->fault);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)f->level);
}

/* ---- tables ---- */

/* As the guest hypervisor writes them: accesses of its vCPU, a page of 4 KiB each. */
static bool write_page(struct scn_rpc *rpc, const struct scn_record *r, uint64_t ipa, uint8_t *page,
		       struct scn_reply *reply)
{
	Ptd__V1__AccessRequest m = PTD__V1__ACCESS_REQUEST__INIT;
	ProtobufCMessage *answer;
	uint32_t outcome;

	m.context = rpc->context[r->object];
	m.vcpu = r->body.tables.vcpu;
	m.ipa = ipa;
	m.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	m.data = (ProtobufCBinaryData){PAGE, page};
	if (!scn_rpc_call(rpc, "/ptd.v1.FaultService/Access", &m.base,
			  &ptd__v1__access_response__descriptor, &answer, reply))
		return false;
	outcome = ((const Ptd__V1__AccessResponse *)(const void *)answer)->outcome;
	scn_set_fact(reply, SCN_FACT_outcome, outcome);
	protobuf_c_message_free_unpacked(answer, NULL);
	if (outcome != PT_OK)
		snprintf(reply->text, sizeof(reply->text), "they cannot be written at 0x%llx",
			 (unsigned long long)ipa);
	return outcome == PT_OK;
}

static void write_tables(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	struct ptd_guest_tables t;
	uint8_t *memory = scn_tables_build(r, &t);

	if (!memory)
		scn_set_fact(reply, SCN_FACT_outcome, PT_INVALID);
	for (size_t at = 0; memory && at < t.bytes; at += PAGE)
		if (!write_page(rpc, r, t.base.v + at, memory + at, reply))
			break;
	free(memory);
}

/* ---- NestedService ---- */

static void enter(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_enter_body *b = &r->body.enter;
	Ptd__V1__EnterNestedRequest m = PTD__V1__ENTER_NESTED_REQUEST__INIT;
	const Ptd__V1__EnterNestedResponse *got;
	ProtobufCMessage *answer;

	m.context = rpc->context[b->canonical];
	m.vcpu = b->vcpu;
	m.vttbr = b->vttbr;
	m.vtcr = b->vtcr;
	m.hcr = b->hcr;
	if (!scn_rpc_call(rpc, "/ptd.v1.NestedService/EnterNested", &m.base,
			  &ptd__v1__enter_nested_response__descriptor, &answer, reply))
		return;
	got = (const void *)answer;
	rpc->context[r->object] = got->shadow;
	rpc->nested[r->object] = m.context;
	scn_set_fact(reply, SCN_FACT_created, got->created);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void leave(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	Ptd__V1__ExitNestedRequest m = PTD__V1__EXIT_NESTED_REQUEST__INIT;

	m.context = rpc->context[r->object];
	m.vcpu = r->body.instruction.vcpu;
	scn_rpc_call(rpc, "/ptd.v1.NestedService/ExitNested", &m.base,
		     &ptd__v1__exit_nested_response__descriptor, NULL, reply);
}

static void invalidate(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_instruction_body *b = &r->body.instruction;
	Ptd__V1__InvalidateRequest m = PTD__V1__INVALIDATE_REQUEST__INIT;
	ProtobufCMessage *answer;

	m.context = rpc->context[r->object];
	m.vcpu = b->vcpu;
	m.sys = b->sys;
	m.operand = b->operand;
	m.vttbr = b->vttbr;
	m.vtcr = b->vtcr;
	if (!scn_rpc_call(rpc, "/ptd.v1.NestedService/Invalidate", &m.base,
			  &ptd__v1__invalidate_response__descriptor, &answer, reply))
		return;
	scn_set_fact(reply, SCN_FACT_leaves_removed,
		     ((const Ptd__V1__InvalidateResponse *)(const void *)answer)->leaves_removed);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void translate(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	const struct scn_instruction_body *b = &r->body.instruction;
	Ptd__V1__AddressTranslateRequest m = PTD__V1__ADDRESS_TRANSLATE_REQUEST__INIT;
	const Ptd__V1__AddressTranslateResponse *got;
	ProtobufCMessage *answer;

	m.context = rpc->context[r->object];
	m.vcpu = b->vcpu;
	m.sys = b->sys;
	m.address = b->operand;
	m.hcr = b->hcr;
	m.vttbr = b->vttbr;
	m.vtcr = b->vtcr;
	if (!scn_rpc_call(rpc, "/ptd.v1.NestedService/AddressTranslate", &m.base,
			  &ptd__v1__address_translate_response__descriptor, &answer, reply))
		return;
	got = (const void *)answer;
	scn_set_fact(reply, SCN_FACT_outcome, got->outcome);
	scn_set_fact(reply, SCN_FACT_par, got->par);
	protobuf_c_message_free_unpacked(answer, NULL);
}

void scn_rpc_nested(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	switch (r->op) {
	case SCN_TABLES: write_tables(rpc, r, reply); break;
	case SCN_ENTER: enter(rpc, r, reply); break;
	case SCN_EXIT: leave(rpc, r, reply); break;
	case SCN_TLBI: invalidate(rpc, r, reply); break;
	default: translate(rpc, r, reply);
	}
}

bool scn_rpc_shadows(struct scn_rpc *rpc, uint64_t nested, struct scn_state *state,
		     struct scn_reply *reply)
{
	Ptd__V1__ListShadowsRequest m = PTD__V1__LIST_SHADOWS_REQUEST__INIT;
	char token[80] = "";
	uint64_t shadows = 0;

	m.context = nested;
	m.page_token = token;
	do {
		const Ptd__V1__ListShadowsResponse *got;
		ProtobufCMessage *answer;

		if (!scn_rpc_call(rpc, "/ptd.v1.NestedService/ListShadows", &m.base,
				  &ptd__v1__list_shadows_response__descriptor, &answer, reply))
			return false;
		got = (const void *)answer;
		shadows += got->n_shadows;
		snprintf(token, sizeof(token), "%s", got->next_page_token);
		scn_set_state(state, SCN_FACT_fills, got->counts ? got->counts->fills : 0);
		scn_set_state(state, SCN_FACT_killed, got->counts ? got->counts->killed : 0);
		scn_set_state(state, SCN_FACT_invalidated,
			      got->counts ? got->counts->invalidated : 0);
		scn_set_state(state, SCN_FACT_recycled, got->counts ? got->counts->recycled : 0);
		protobuf_c_message_free_unpacked(answer, NULL);
	} while (token[0]);
	scn_set_state(state, SCN_FACT_shadows, shadows);
	return true;
}
