/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl own show and own map: the ranges of a machine's memory with their owners. */
#include "commands.h"
#include "fields.h"
#include "own_view.h"
#include "pages.h"

#include "ptd/v1/context.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* The ranges, in whichever answers they came, and the contexts of their machine. */
struct own {
	struct pages ranges, contexts;
	struct own_view view;
};

static const char *next_owners(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__ListOwnersRequest *list = (Ptd__V1__ListOwnersRequest *)request;

	list->page_token = ((const Ptd__V1__ListOwnersResponse *)response)->next_page_token;
	return list->page_token;
}

static const char *next_contexts(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__ListContextsRequest *list = (Ptd__V1__ListContextsRequest *)request;

	list->page_token = ((const Ptd__V1__ListContextsResponse *)response)->next_page_token;
	return list->page_token;
}

/* A part of the memory comes in pages, too, that begin where the last one ended. */
static const char *next_part(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__GetOwnerRequest *get = (Ptd__V1__GetOwnerRequest *)request;
	uint64_t next = ((const Ptd__V1__GetOwnerResponse *)response)->next_pa;
	bool more = next > get->pa && next - get->pa < get->size;

	get->size -= more ? next - get->pa : 0;
	get->pa = next;
	return more ? "more" : "";
}

static int fetch_contexts(struct ptctl *ctl, uint64_t machine, struct own *own)
{
	Ptd__V1__ListContextsRequest request = PTD__V1__LIST_CONTEXTS_REQUEST__INIT;

	request.machine = machine;
	return pages_fetch(ctl, "/ptd.v1.ContextService/ListContexts", &request.base,
			   &ptd__v1__list_contexts_response__descriptor, next_contexts,
			   &own->contexts);
}

static int fetch_all(struct ptctl *ctl, uint64_t machine, struct own *own)
{
	Ptd__V1__ListOwnersRequest request = PTD__V1__LIST_OWNERS_REQUEST__INIT;

	request.machine = machine;
	request.page_size = UINT32_MAX;
	return pages_fetch(ctl, "/ptd.v1.OwnershipService/ListOwners", &request.base,
			   &ptd__v1__list_owners_response__descriptor, next_owners, &own->ranges);
}

static int fetch_part(struct ptctl *ctl, uint64_t machine, struct own *own)
{
	Ptd__V1__GetOwnerRequest request = PTD__V1__GET_OWNER_REQUEST__INIT;

	request.machine = machine;
	request.pa = ptctl_number(ctl, "pa");
	request.size = ptctl_number(ctl, "size");
	return pages_fetch(ctl, "/ptd.v1.OwnershipService/GetOwner", &request.base,
			   &ptd__v1__get_owner_response__descriptor, next_part, &own->ranges);
}

/* Both answers have the ranges in a field of this name. */
static size_t ranges_of(const ProtobufCMessage *page, Ptd__V1__OwnedRange *const **ranges)
{
	if (page->descriptor == &ptd__v1__get_owner_response__descriptor) {
		*ranges = ((const Ptd__V1__GetOwnerResponse *)page)->ranges;
		return ((const Ptd__V1__GetOwnerResponse *)page)->n_ranges;
	}
	*ranges = ((const Ptd__V1__ListOwnersResponse *)page)->ranges;
	return ((const Ptd__V1__ListOwnersResponse *)page)->n_ranges;
}

/* The part of "machine/name" behind the slash. */
static char *name_of(void *arg, uint64_t handle)
{
	const struct own *own = arg;

	for (size_t p = 0; handle && p < own->contexts.count; p++) {
		const Ptd__V1__ListContextsResponse *page = (const void *)own->contexts.page[p];

		for (size_t i = 0; i < page->n_contexts; i++) {
			const char *slash = strchr(page->contexts[i]->name, '/');

			if (page->contexts[i]->handle == handle && slash)
				return text_new("%s", slash + 1);
		}
	}
	return NULL;
}

static void add_ranges(struct own *own)
{
	for (size_t p = 0; p < own->ranges.count; p++) {
		Ptd__V1__OwnedRange *const *range;
		size_t n = ranges_of(own->ranges.page[p], &range);

		for (size_t i = 0; i < n; i++)
			own_view_add(&own->view, range[i], name_of, own);
	}
}

static int fetch(struct ptctl *ctl, bool part, struct own *own)
{
	uint64_t machine;
	int result = ptctl_handle(ctl, "machine", &machine);

	*own = (struct own){.view.machine = ptctl_text(ctl, "machine")};
	if (!result)
		result = part ? fetch_part(ctl, machine, own) : fetch_all(ctl, machine, own);
	if (!result)
		result = fetch_contexts(ctl, machine, own);
	if (!result)
		add_ranges(own);
	return result;
}

static void own_free(struct own *own)
{
	own_view_free(&own->view);
	pages_free(&own->ranges);
	pages_free(&own->contexts);
}

static void row(struct rows *rows, const struct own_view *v, const struct own_range *r,
		const Ptd__V1__OwnedRange *range)
{
	const struct own_class *c = &v->class[r->class];
	char request[2 * 16 + 1] = "";

	rows_add(rows);
	rows_number(rows, 0, r->pa);
	rows_number(rows, 1, r->size);
	rows_text(rows, 2, v->party[c->party].name);
	rows_text(rows, 3, own_state_name(c->state));
	rows_number(rows, 4, range->borrowers);
	if (v->party[c->party].kind == PTD__V1__OWNER_KIND__OWNER_KIND_GUEST)
		rows_number(rows, 5, range->ipa);
	if (range->lend_handle)
		rows_number(rows, 6, range->lend_handle);
	for (size_t i = 0; i < range->request_id.len && i < 16; i++)
		snprintf(request + 2 * i, 3, "%02x", range->request_id.data[i]);
	rows_text(rows, 7, request);
}

static void show_list(struct ptctl *ctl, const struct own *own)
{
	static const struct column columns[] = {
		{"pa", CELL_ADDRESS},	   {"size", CELL_SIZE},	       {"owner", CELL_TEXT},
		{"state", CELL_TEXT},	   {"borrowers", CELL_NUMBER}, {"ipa", CELL_ADDRESS},
		{"lending", CELL_ADDRESS}, {"request_id", CELL_TEXT},
	};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));
	size_t at = 0;

	for (size_t p = 0; p < own->ranges.count; p++) {
		Ptd__V1__OwnedRange *const *range;
		size_t n = ranges_of(own->ranges.page[p], &range);

		for (size_t i = 0; i < n; i++)
			row(rows, &own->view, &own->view.range[at++], range[i]);
	}
	output_rows(&ctl->out, "ranges", rows, false);
	rows_free(rows);
}

static uint64_t bytes_of(const struct own_view *v, size_t party, Ptd__V1__PageState state)
{
	for (size_t i = 0; i < v->classes; i++)
		if (v->class[i].party == party && v->class[i].state == state)
			return v->class[i].bytes;
	return 0;
}

static void show_matrix(struct ptctl *ctl, const struct own_view *v)
{
	static const struct column columns[] = {
		{"owner", CELL_TEXT}, {"owned", CELL_SIZE}, {"shared", CELL_SIZE},
		{"lent", CELL_SIZE},  {"all", CELL_SIZE},
	};
	static const Ptd__V1__PageState state[] = {PTD__V1__PAGE_STATE__PAGE_STATE_OWNED,
						   PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED,
						   PTD__V1__PAGE_STATE__PAGE_STATE_LENT};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t p = 0; p < v->parties; p++) {
		uint64_t all = 0;

		rows_add(rows);
		rows_text(rows, 0, v->party[p].name);
		for (size_t i = 0; i < 3; i++) {
			uint64_t bytes = bytes_of(v, p, state[i]);

			rows_number(rows, 1 + i, bytes);
			all += bytes;
		}
		rows_number(rows, 4, all);
	}
	output_rows(&ctl->out, "owners", rows, false);
	rows_free(rows);
}

static void show(struct ptctl *ctl, const struct own *own)
{
	if (ptctl_given(ctl, "matrix"))
		show_matrix(ctl, &own->view);
	else if (ctl->out.format == FORMAT_JSON)
		output_pages(&ctl->out, own->ranges.page, own->ranges.count, &ctl->command->view);
	else
		show_list(ctl, own);
}

int cmd_own_show(struct ptctl *ctl)
{
	struct own own;
	int result;

	if (ptctl_given(ctl, "size") && !ptctl_number(ctl, "size"))
		return ptctl_usage(ctl, "SIZE: the range is empty");
	result = fetch(ctl, ptctl_given(ctl, "pa"), &own);
	if (!result)
		show(ctl, &own);
	own_free(&own);
	return result;
}

/* "host", or the name of a guest's context. */
static char *party_text(struct own *own, const Ptd__V1__Party *party)
{
	char *name = party ? name_of(own, party->context) : NULL;

	if (party && party->kind == PTD__V1__OWNER_KIND__OWNER_KIND_HOST) {
		free(name);
		return text_new("host");
	}
	return name ? name : text_new("?");
}

/* "g0,g1 at 0x40000000": who may have it, and where it has it who does. */
static char *borrowers_text(struct own *own, const Ptd__V1__Lending *l)
{
	char *all = text_new("%s", "");

	for (size_t i = 0; i < l->n_borrowers; i++) {
		const Ptd__V1__Borrower *b = l->borrowers[i];
		char *name = party_text(own, b->party), *was = all;

		all = b->has ? text_new("%s%s%s at 0x%llx", was, i ? "," : "", name,
					(unsigned long long)b->ipa)
			     : text_new("%s%s%s", was, i ? "," : "", name);
		free(was);
		free(name);
	}
	return all;
}

static void lending_row(struct rows *rows, struct own *own, const Ptd__V1__Lending *l)
{
	bool open = l->state == PTD__V1__LENDING_STATE__LENDING_STATE_OPEN;
	char *lender = party_text(own, l->lender), *borrowers = borrowers_text(own, l);

	rows_add(rows);
	rows_number(rows, 0, l->handle);
	rows_text(rows, 1, lender);
	rows_text(rows, 2, open ? "open" : "lent");
	rows_number(rows, 3, l->size);
	if (open) {
		rows_number(rows, 4, l->named);
		rows_number(rows, 5, l->expires_in_ms);
	}
	rows_text(rows, 6, l->zero ? "yes" : "no");
	rows_text(rows, 7, borrowers);
	free(lender);
	free(borrowers);
}

static void show_lendings(struct ptctl *ctl, struct own *own,
			  const Ptd__V1__ListLendingsResponse *list)
{
	static const struct column columns[] = {
		{"handle", CELL_ADDRESS}, {"lender", CELL_TEXT},    {"state", CELL_TEXT},
		{"size", CELL_SIZE},	  {"named", CELL_SIZE},	    {"expires_in_ms", CELL_NUMBER},
		{"zero", CELL_TEXT},	  {"borrowers", CELL_TEXT},
	};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < list->n_lendings; i++)
		lending_row(rows, own, list->lendings[i]);
	output_rows(&ctl->out, "lendings", rows, false);
	rows_free(rows);
}

int cmd_own_lendings(struct ptctl *ctl)
{
	static const char method[] = "/ptd.v1.OwnershipService/ListLendings";
	Ptd__V1__ListLendingsRequest request = PTD__V1__LIST_LENDINGS_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct own own = {0};
	int result;

	if (ctl->out.format == FORMAT_JSON)
		return ptctl_ask(ctl, method, &request.base,
				 &ptd__v1__list_lendings_response__descriptor);
	result = ptctl_handle(ctl, "machine", &request.machine);
	if (!result)
		result = ptctl_call(ctl, method, &request.base,
				    &ptd__v1__list_lendings_response__descriptor, &answer);
	if (!result)
		result = fetch_contexts(ctl, request.machine, &own);
	if (!result)
		show_lendings(ctl, &own, (const void *)answer);
	if (answer)
		protobuf_c_message_free_unpacked(answer, NULL);
	pages_free(&own.contexts);
	return result;
}

int cmd_own_map(struct ptctl *ctl)
{
	struct own own;
	int result = fetch(ctl, false, &own);

	if (!result && !ctl->out.quiet) {
		if (ctl->out.format == FORMAT_OTHER)
			own_svg(&own.view, ctl->out.file);
		else if (ctl->out.format == FORMAT_TABLE)
			own_strip(&own.view, ctl->out.file);
		else if (ctl->out.format == FORMAT_JSON)
			output_pages(&ctl->out, own.ranges.page, own.ranges.count,
				     &ctl->command->view);
		else
			show_list(ctl, &own);
	}
	own_free(&own);
	return result;
}
