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

/* An item with its parties. */
struct parts {
	Ptd__V1__TransferItem item, *items[1];
	Ptd__V1__Party from, to, also, *borrowers[2];
};

/* A lending's calls name one party, the LEND that begins it its borrowers. */
static void set_lending(const struct scn_rpc *rpc, const struct scn_own_body *b, struct parts *p)
{
	bool lend = b->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_LEND;
	bool gives = lend || b->kind == PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RELINQUISH;
	bool begins = lend && !(b->flags & SCN_OWN_PIECE);

	p->item.from = gives ? &p->from : NULL;
	p->item.to = gives ? NULL : &p->to;
	p->item.lend_handle = begins ? 0 : rpc->lending[b->lending];
	if (!begins)
		return;
	p->borrowers[0] = &p->to;
	p->borrowers[1] = &p->also;
	p->item.borrowers = p->borrowers;
	p->item.n_borrowers = b->also == SCN_NONE ? 1 : 2;
	p->item.lend_size = b->total;
}

static void set_parts(const struct scn_rpc *rpc, const struct scn_own_body *b, struct parts *p)
{
	*p = (struct parts){.item = PTD__V1__TRANSFER_ITEM__INIT,
			    .from = PTD__V1__PARTY__INIT,
			    .to = PTD__V1__PARTY__INIT,
			    .also = PTD__V1__PARTY__INIT};
	set_party(rpc, b->from, &p->from);
	set_party(rpc, b->to, &p->to);
	if (b->also != SCN_NONE)
		set_party(rpc, b->also, &p->also);
	p->items[0] = &p->item;
	p->item.kind = (Ptd__V1__TransferKind)b->kind;
	p->item.from = &p->from;
	p->item.to = &p->to;
	p->item.pa = b->pa;
	p->item.ipa = b->ipa;
	p->item.size = b->size;
	p->item.prot = b->prot;
	p->item.zero = b->flags & SCN_OWN_ZERO;
	if (b->kind >= PTD__V1__TRANSFER_KIND__TRANSFER_KIND_LEND &&
	    b->kind <= PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM)
		set_lending(rpc, b, p);
}

static void transfer(struct scn_rpc *rpc, const struct scn_own_body *b, struct scn_reply *reply)
{
	Ptd__V1__TransferRequest m = PTD__V1__TRANSFER_REQUEST__INIT;
	const Ptd__V1__TransferResponse *got;
	ProtobufCMessage *answer;
	struct parts parts;

	set_parts(rpc, b, &parts);
	m.machine = rpc->machine[b->machine];
	m.items = parts.items;
	m.n_items = 1;
	m.validate_only = (b->flags & SCN_OWN_VALIDATE) != 0;
	if (!scn_rpc_call(rpc, "/ptd.v1.OwnershipService/Transfer", &m.base,
			  &ptd__v1__transfer_response__descriptor, &answer, reply))
		return;
	got = (const void *)answer;
	if (got->n_lend_handle)
		rpc->lending[b->lending] = got->lend_handle[0];
	scn_take_effects(got->effects, reply);
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
