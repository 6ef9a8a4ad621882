/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl own share, unshare, donate, reclaim, pin and unpin: one transition of ownership. */
#include "commands.h"
#include "fields.h"
#include "number.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define HOST PTD__V1__OWNER_KIND__OWNER_KIND_HOST
#define HYP  PTD__V1__OWNER_KIND__OWNER_KIND_HYP

#define MOST_ITEMS 32 /* max_transfer_items */

/* What a verb means, and the parties of those that do not name them. */
static const struct verb {
	const char *verb;
	Ptd__V1__TransferKind kind;
	Ptd__V1__OwnerKind from, to;
} verbs[] = {
	{"share", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_SHARE, HOST, HOST},
	{"unshare", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_UNSHARE, HOST, HOST},
	{"donate", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_DONATE, HOST, HOST},
	{"reclaim", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_FORCE_RECLAIM,
	 PTD__V1__OWNER_KIND__OWNER_KIND_GUEST, HOST},
	{"pin", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_PIN, HOST, HYP},
	{"unpin", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_UNPIN, HOST, HYP},
};

static const struct verb *verb_of(const struct ptctl *ctl)
{
	const struct verb *v = verbs;

	while (strcmp(v->verb, ctl->command->verb))
		v++;
	return v;
}

/* A guest by the name of its context, with or without its machine's. */
static int find_guest(struct ptctl *ctl, const char *name, uint64_t *handle)
{
	const char *machine = ptctl_text(ctl, "machine");
	Ptd__V1__GetContextRequest request = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	const Ptd__V1__GetContextResponse *got;
	ProtobufCMessage *answer;
	char *full;
	int result;

	full = strchr(name, '/') ? text_new("%s", name) : text_new("%s/%s", machine, name);
	request.name = full;
	result = ptctl_call(ctl, "/ptd.v1.ContextService/GetContext", &request.base,
			    &ptd__v1__get_context_response__descriptor, &answer);
	free(full);
	if (result)
		return result;
	got = (const void *)answer;
	*handle = got->context ? got->context->handle : 0;
	protobuf_c_message_free_unpacked(answer, NULL);
	return EXIT_DONE;
}

static int party(struct ptctl *ctl, const char *option, Ptd__V1__Party *to)
{
	const struct value *value = ptctl_find(ctl, option);

	if (!value || !value->given)
		return EXIT_DONE;
	if (!strcmp(value->text, "host")) {
		to->kind = HOST;
	} else if (!strcmp(value->text, "hyp")) {
		to->kind = HYP;
	} else if (!strcmp(value->text, "other")) {
		to->kind = PTD__V1__OWNER_KIND__OWNER_KIND_OTHER;
	} else {
		to->kind = PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
		return find_guest(ctl, value->text, &to->context);
	}
	return EXIT_DONE;
}

/* One number up to the next ':' of *text; none is 0. False: it is none. */
static bool next_number(char **text, uint64_t *value)
{
	char *one = strsep(text, ":");

	*value = 0;
	return one && (!*one || !number_parse(one, strlen(one), value));
}

/* "PA:SIZE" or "PA:IPA:SIZE". */
static bool read_range(char *text, Ptd__V1__TransferItem *item)
{
	if (!next_number(&text, &item->pa) || !next_number(&text, &item->size))
		return false;
	if (!text)
		return true;
	item->ipa = item->size;
	return next_number(&text, &item->size) && !text;
}

/* items[0] and what --more says, which is cut up. */
static int more_items(struct ptctl *ctl, char *text, Ptd__V1__TransferItem *item,
		      Ptd__V1__TransferRequest *request)
{
	for (char *one; (one = strsep(&text, ",")) != NULL;) {
		Ptd__V1__TransferItem *next = &item[request->n_items];

		if (request->n_items == MOST_ITEMS)
			return ptctl_usage(ctl, "--more: more than %d ranges", MOST_ITEMS - 1);
		*next = item[0];
		next->pa = next->ipa = 0;
		if (!read_range(one, next))
			return ptctl_usage(ctl, "--more: a range is PA:SIZE or PA:IPA:SIZE");
		request->items[request->n_items++] = next;
	}
	return EXIT_DONE;
}

static int transfer(struct ptctl *ctl, Ptd__V1__TransferRequest *request,
		    Ptd__V1__TransferItem *item)
{
	char *more = ptctl_given(ctl, "more") ? text_new("%s", ptctl_text(ctl, "more")) : NULL;
	int result = more_items(ctl, more, item, request);

	free(more);
	if (result)
		return result;
	return ptctl_show(ctl, "/ptd.v1.OwnershipService/Transfer", &request->base,
			  &ptd__v1__transfer_response__descriptor);
}

int cmd_own_transfer(struct ptctl *ctl)
{
	const struct verb *verb = verb_of(ctl);
	Ptd__V1__TransferRequest request = PTD__V1__TRANSFER_REQUEST__INIT;
	Ptd__V1__TransferItem item[MOST_ITEMS] = {PTD__V1__TRANSFER_ITEM__INIT};
	Ptd__V1__TransferItem *items[MOST_ITEMS] = {item};
	Ptd__V1__Party from = PTD__V1__PARTY__INIT, to = PTD__V1__PARTY__INIT;
	int result;

	from.kind = verb->from;
	to.kind = verb->to;
	item[0].from = &from;
	item[0].to = &to;
	request.items = items;
	request.n_items = 1;
	result = ptctl_fill(ctl, &request.base);
	if (!result)
		result = ptctl_fill(ctl, &item[0].base);
	if (!result)
		result = party(ctl, "from", &from);
	if (!result)
		result = party(ctl, "to", &to);
	item[0].kind = verb->kind;
	return result ? result : transfer(ctl, &request, item);
}
