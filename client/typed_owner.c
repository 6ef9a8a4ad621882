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
	Ptd__V1__Party from, to;
};

static void party(Ptd__V1__Party *message, const struct ptd_party *party)
{
	*message = (Ptd__V1__Party)PTD__V1__PARTY__INIT;
	message->kind = (Ptd__V1__OwnerKind)party->kind;
	message->context = party->context;
}

static Ptd__V1__TransferItem *pack(struct packed *to, const struct ptd_transfer_item *item)
{
	to->item = (Ptd__V1__TransferItem)PTD__V1__TRANSFER_ITEM__INIT;
	party(&to->from, &item->from);
	party(&to->to, &item->to);
	to->item.kind = (Ptd__V1__TransferKind)item->kind;
	to->item.from = &to->from;
	to->item.to = &to->to;
	to->item.pa = item->pa.v;
	to->item.ipa = item->ipa.v;
	to->item.size = item->size;
	to->item.prot = item->prot;
	to->item.zero = item->zero;
	return &to->item;
}

static void read_transfer(void *into, const void *answer)
{
	const Ptd__V1__TransferResponse *got = answer;

	effects_read(into, got->effects, got->generation, 0);
}

enum ptd_state ptd_transfer(struct ptd_client *client, uint64_t machine,
			    const struct ptd_transfer_item *items, size_t count,
			    struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__TransferRequest request = PTD__V1__TRANSFER_REQUEST__INIT;
	Ptd__V1__TransferItem **list = calloc(count + 1, sizeof(*list));
	struct packed *packed = calloc(count + 1, sizeof(*packed));
	struct ptd_status unused;
	enum ptd_state state = PTD_STATE_FAILED;

	for (size_t i = 0; list && packed && i < count; i++)
		list[i] = pack(&packed[i], &items[i]);
	request.machine = machine;
	request.items = list;
	request.n_items = count;
	if (list && packed)
		state = typed_call(client, "/ptd.v1.OwnershipService/Transfer", &request.base,
				   &request.request_id, false,
				   &ptd__v1__transfer_response__descriptor, read_transfer, effects,
				   status);
	else
		status_local(status ? status : &unused, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8,
			     "no memory");
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

static struct ptd_owned owned_of(const Ptd__V1__OwnedRange *m)
{
	struct ptd_owned to = {.pa = {m->pa},
			       .size = m->size,
			       .state = m->state,
			       .borrowers = m->borrowers,
			       .ipa = {m->ipa}};

	if (m->owner)
		to.owner = (struct ptd_party){.kind = m->owner->kind, .context = m->owner->context};
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
