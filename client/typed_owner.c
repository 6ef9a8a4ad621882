/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed calls of ptd.h: owners of frames. */
#include "status.h"
#include "typed.h"

#include "ptd/v1/ownership.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* An item with what it points to. */
struct packed {
	Ptd__V1__TransferItem item;
	Ptd__V1__Party from, to, party[PTD_LEND_BORROWERS], *borrowers[PTD_LEND_BORROWERS];
};

/* NULL where there is none. */
static Ptd__V1__Party *party(Ptd__V1__Party *message, const struct ptd_party *party)
{
	*message = (Ptd__V1__Party)PTD__V1__PARTY__INIT;
	message->kind = (Ptd__V1__OwnerKind)party->kind;
	message->context = party->context;
	return party->kind ? message : NULL;
}

static Ptd__V1__TransferItem *pack(struct packed *to, const struct ptd_transfer_item *item)
{
	to->item = (Ptd__V1__TransferItem)PTD__V1__TRANSFER_ITEM__INIT;
	to->item.kind = (Ptd__V1__TransferKind)item->kind;
	to->item.from = party(&to->from, &item->from);
	to->item.to = party(&to->to, &item->to);
	to->item.pa = item->pa.v;
	to->item.ipa = item->ipa.v;
	to->item.size = item->size;
	to->item.prot = item->prot;
	to->item.zero = item->zero;
	to->item.lend_handle = item->lend_handle;
	to->item.lend_size = item->lend_size;
	to->item.lend_timeout_ms = item->lend_timeout_ms;
	to->item.borrowers = to->borrowers;
	to->item.n_borrowers = item->borrower_count;
	for (size_t i = 0; i < item->borrower_count; i++)
		to->borrowers[i] = party(&to->party[i], &item->borrowers[i]);
	return &to->item;
}

struct transferred {
	struct ptd_effects *effects;
	struct ptd_lent *lent;
};

static void read_transfer(void *into, const void *answer)
{
	const Ptd__V1__TransferResponse *got = answer;
	const struct transferred *to = into;

	effects_read(to->effects, got->effects, got->generation, 0);
	if (to->lent)
		*to->lent = (struct ptd_lent){got->n_lend_handle ? got->lend_handle[0] : 0,
					      got->lend_missing};
}

/* NULL: no memory, or more borrowers than there can be, at *bad. */
static struct packed *pack_all(const struct ptd_transfer_item *items, size_t count,
			       Ptd__V1__TransferItem **list, bool *bad)
{
	struct packed *packed = calloc(count + 1, sizeof(*packed));

	*bad = false;
	for (size_t i = 0; i < count; i++)
		*bad |= items[i].borrower_count > PTD_LEND_BORROWERS;
	for (size_t i = 0; packed && list && !*bad && i < count; i++)
		list[i] = pack(&packed[i], &items[i]);
	return packed;
}

enum ptd_state ptd_transfer(struct ptd_client *client, uint64_t machine,
			    const struct ptd_transfer_item *items, size_t count,
			    struct ptd_effects *effects, struct ptd_lent *lent,
			    struct ptd_status *status)
{
	Ptd__V1__TransferRequest request = PTD__V1__TRANSFER_REQUEST__INIT;
	Ptd__V1__TransferItem **list = calloc(count + 1, sizeof(*list));
	struct transferred to = {effects, lent};
	struct ptd_status unused;
	enum ptd_state state = PTD_STATE_FAILED;
	bool bad;
	struct packed *packed = pack_all(items, count, list, &bad);

	request.machine = machine;
	request.items = list;
	request.n_items = count;
	if (list && packed && !bad)
		state = typed_call(client, "/ptd.v1.OwnershipService/Transfer", &request.base,
				   &request.request_id, false,
				   &ptd__v1__transfer_response__descriptor, read_transfer, &to,
				   status);
	else
		status_local(status ? status : &unused, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT,
			     bad ? 3 : 8, bad ? "more than %d borrowers" : "no memory (%d)",
			     PTD_LEND_BORROWERS);
	free(list);
	free(packed);
	return state;
}

struct owners {
	struct ptd_owned *owned;
	size_t room;
	size_t *count;
	struct ptd_pa *next;
	uint64_t end;
};

static struct ptd_party party_of(const Ptd__V1__Party *m)
{
	return (struct ptd_party){.kind = m ? (uint32_t)m->kind : 0, .context = m ? m->context : 0};
}

static struct ptd_owned owned_of(const Ptd__V1__OwnedRange *m)
{
	struct ptd_owned to = {.pa = {m->pa},
			       .size = m->size,
			       .state = m->state,
			       .borrowers = m->borrowers,
			       .ipa = {m->ipa},
			       .lend_handle = m->lend_handle};

	to.owner = party_of(m->owner);
	if (m->request_id.len == sizeof(to.request_id))
		memcpy(to.request_id, m->request_id.data, sizeof(to.request_id));
	return to;
}

static void read_owners(void *into, const void *answer)
{
	const Ptd__V1__GetOwnerResponse *got = answer;
	const struct owners *to = into;
	size_t n = got->n_ranges < to->room ? got->n_ranges : to->room;

	for (size_t i = 0; i < n; i++)
		to->owned[i] = owned_of(got->ranges[i]);
	*to->count = n;
	if (n < got->n_ranges)
		to->next->v = got->ranges[n]->pa;
	else
		to->next->v = got->next_pa ? got->next_pa : to->end;
}

enum ptd_state ptd_owners(struct ptd_client *client, uint64_t machine, struct ptd_pa pa,
			  uint64_t size, struct ptd_owned *owned, size_t room, size_t *count,
			  struct ptd_pa *next, struct ptd_status *status)
{
	Ptd__V1__GetOwnerRequest request = PTD__V1__GET_OWNER_REQUEST__INIT;
	struct owners to = {owned, room, count, next, pa.v + size};

	request.machine = machine;
	request.pa = pa.v;
	request.size = size;
	return typed_call(client, "/ptd.v1.OwnershipService/GetOwner", &request.base, NULL, true,
			  &ptd__v1__get_owner_response__descriptor, read_owners, &to, status);
}

struct lendings {
	struct ptd_lending *lendings;
	size_t room;
	size_t *count;
};

static struct ptd_lending lending_of(const Ptd__V1__Lending *m)
{
	struct ptd_lending to = {.handle = m->handle,
				 .lender = party_of(m->lender),
				 .open = m->state == PTD__V1__LENDING_STATE__LENDING_STATE_OPEN,
				 .zero = m->zero,
				 .size = m->size,
				 .named = m->named,
				 .expires_in_ms = m->expires_in_ms};

	for (size_t i = 0; i < m->n_borrowers && i < PTD_LEND_BORROWERS; i++)
		to.borrower[to.borrowers++] =
			(struct ptd_borrower){.party = party_of(m->borrowers[i]->party),
					      .has = m->borrowers[i]->has,
					      .ipa = {m->borrowers[i]->ipa}};
	return to;
}

static void read_lendings(void *into, const void *answer)
{
	const Ptd__V1__ListLendingsResponse *got = answer;
	const struct lendings *to = into;

	*to->count = got->n_lendings < to->room ? got->n_lendings : to->room;
	for (size_t i = 0; i < *to->count; i++)
		to->lendings[i] = lending_of(got->lendings[i]);
}

enum ptd_state ptd_lendings(struct ptd_client *client, uint64_t machine,
			    struct ptd_lending *lendings, size_t room, size_t *count,
			    struct ptd_status *status)
{
	Ptd__V1__ListLendingsRequest request = PTD__V1__LIST_LENDINGS_REQUEST__INIT;
	struct lendings to = {lendings, room, count};

	request.machine = machine;
	return typed_call(client, "/ptd.v1.OwnershipService/ListLendings", &request.base, NULL,
			  true, &ptd__v1__list_lendings_response__descriptor, read_lendings, &to,
			  status);
}
