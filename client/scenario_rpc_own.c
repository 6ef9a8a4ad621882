/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: ownership. */
#include "scenario_rpc.h"

#include "ptd/v1/ownership.pb-c.h"

static void set_party(const struct scn_rpc *rpc, uint16_t who, Ptd__V1__Party *party)
{
	if (who < SCN_MAX_CONTEXTS) {
		party->kind = PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
		party->context = rpc->context[who];
	} else {
		party->kind = (Ptd__V1__OwnerKind)(who & 0xff);
	}
}

/* As set_party() takes it. */
static uint64_t party_of(const struct scn_rpc *rpc, const Ptd__V1__Party *party)
{
	if (!party)
		return 0;
	for (uint32_t i = 0; i < SCN_MAX_CONTEXTS; i++)
		if (party->kind == PTD__V1__OWNER_KIND__OWNER_KIND_GUEST &&
		    rpc->context[i] == party->context)
			return i;
	return 0xff00u | (uint8_t)party->kind;
}

static void transfer(struct scn_rpc *rpc, const struct scn_own_body *b, struct scn_reply *reply)
{
	Ptd__V1__TransferRequest m = PTD__V1__TRANSFER_REQUEST__INIT;
	Ptd__V1__TransferItem item = PTD__V1__TRANSFER_ITEM__INIT, *items[] = {&item};
	Ptd__V1__Party from = PTD__V1__PARTY__INIT, to = PTD__V1__PARTY__INIT;
	ProtobufCMessage *answer;

	set_party(rpc, b->from, &from);
	set_party(rpc, b->to, &to);
	item.kind = (Ptd__V1__TransferKind)b->kind;
	item.from = &from;
	item.to = &to;
	item.pa = b->pa;
	item.ipa = b->ipa;
	item.size = b->size;
	item.prot = b->prot;
	item.zero = b->flags & SCN_OWN_ZERO;
	m.machine = rpc->machine[b->machine];
	m.items = items;
	m.n_items = 1;
	m.validate_only = (b->flags & SCN_OWN_VALIDATE) != 0;
	if (!scn_rpc_call(rpc, "/ptd.v1.OwnershipService/Transfer", &m.base,
			  &ptd__v1__transfer_response__descriptor, &answer, reply))
		return;
	scn_take_effects(((const Ptd__V1__TransferResponse *)(const void *)answer)->effects, reply);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void show(struct scn_rpc *rpc, const struct scn_own_body *b, struct scn_reply *reply)
{
	Ptd__V1__GetOwnerRequest m = PTD__V1__GET_OWNER_REQUEST__INIT;
	const Ptd__V1__GetOwnerResponse *got;
	ProtobufCMessage *answer;

	m.machine = rpc->machine[b->machine];
	m.pa = b->pa;
	m.size = 4096;
	if (!scn_rpc_call(rpc, "/ptd.v1.OwnershipService/GetOwner", &m.base,
			  &ptd__v1__get_owner_response__descriptor, &answer, reply))
		return;
	got = (const void *)answer;
	if (got->n_ranges) {
		scn_set_fact(reply, SCN_FACT_owner, party_of(rpc, got->ranges[0]->owner));
		scn_set_fact(reply, SCN_FACT_state, got->ranges[0]->state);
		scn_set_fact(reply, SCN_FACT_borrowers, got->ranges[0]->borrowers);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
}

void scn_rpc_own(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply)
{
	if (r->body.own.kind == SCN_OWN_SHOW)
		show(rpc, &r->body.own, reply);
	else
		transfer(rpc, &r->body.own, reply);
}
