/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl context and ptctl slot. */
#include "commands.h"
#include "number.h"
#include "pages.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* "m0/g0", "0x10001/g0": the machine's handle, and what follows the '/'. */
static int split_name(struct ptctl *ctl, Ptd__V1__CreateContextRequest *request)
{
	const char *name = ptctl_text(ctl, "name");
	const char *slash = strchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;
	char *machine;
	int result = EXIT_DONE;

	if (!length || !slash[1])
		return ptctl_usage(ctl, "NAME: '%s' is not MACHINE/NAME\n  hint: accepted: m0/g0",
				   name);
	ctl->about = name;
	request->name = (char *)(uintptr_t)(slash + 1);
	if (length > 2 && !memcmp(name, "0x", 2) && !number_parse(name, length, &request->machine))
		return EXIT_DONE;
	machine = ptctl_alloc(length + 1);
	memcpy(machine, name, length);
	machine[length] = '\0';
	result = ptctl_find_machine(ctl, machine, &request->machine);
	free(machine);
	return result;
}

/* Without any wish: 4K pages and 40 bits, KVM's default. */
static int fill_geometry(struct ptctl *ctl, Ptd__V1__Geometry *geometry)
{
	static const uint32_t shifts[] = {12, 12, 14, 16};

	geometry->granule_shift = shifts[ptctl_number(ctl, "granule")];
	geometry->ipa_bits = 40;
	return ptctl_fill(ctl, &geometry->base);
}

static int check_vtcr(const struct ptctl *ctl)
{
	static const char *const others[] = {"granule", "ipa-bits", "pa-bits", "ds", "start-level"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (ptctl_given(ctl, "vtcr") && ptctl_given(ctl, others[i]))
			return ptctl_usage(ctl, "--vtcr says the whole geometry; --%s is too much",
					   others[i]);
	return EXIT_DONE;
}

int cmd_context_create(struct ptctl *ctl)
{
	Ptd__V1__CreateContextRequest request = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__Geometry geometry = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	int result = check_vtcr(ctl);

	request.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	if (!result)
		result = ptctl_fill(ctl, &request.base);
	if (!result)
		result = fill_geometry(ctl, &geometry);
	if (!result)
		result = ptctl_fill(ctl, &options.base);
	if (!result)
		result = split_name(ctl, &request);
	if (result)
		return result;
	request.options = &options;
	if (!ptctl_given(ctl, "vtcr"))
		request.geometry = &geometry;
	return ptctl_show(ctl, "/ptd.v1.ContextService/CreateContext", &request.base,
			  &ptd__v1__create_context_response__descriptor);
}

static const char *next_page(ProtobufCMessage *request, const ProtobufCMessage *response)
{
	Ptd__V1__ListContextsRequest *list = (Ptd__V1__ListContextsRequest *)request;

	list->page_token = ((const Ptd__V1__ListContextsResponse *)response)->next_page_token;
	return list->page_token;
}

int cmd_context_list(struct ptctl *ctl)
{
	Ptd__V1__ListContextsRequest request = PTD__V1__LIST_CONTEXTS_REQUEST__INIT;
	int result = ptctl_fill(ctl, &request.base);

	return result ? result
		      : pages_show(ctl, "/ptd.v1.ContextService/ListContexts", &request.base,
				   &ptd__v1__list_contexts_response__descriptor, next_page);
}

/* GetContext by what the user gave, a name or a handle. */
static int get_context(struct ptctl *ctl, Ptd__V1__GetContextResponse **got)
{
	const struct value *context = ptctl_value(ctl, "context");
	int result;

	ctl->about = context->text;
	result = ptctl_get_context(ctl, context->number ? NULL : context->text, context->number,
				   got);
	if (result == EXIT_DONE && (*got)->context->geometry)
		ctl->out.ipa_bits = (*got)->context->geometry->ipa_bits;
	return result;
}

int cmd_context_show(struct ptctl *ctl)
{
	Ptd__V1__GetContextResponse *got;
	int result = get_context(ctl, &got);

	if (result)
		return result;
	output_message(&ctl->out, &got->base, &ctl->command->view);
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return EXIT_DONE;
}

int cmd_context_delete(struct ptctl *ctl)
{
	Ptd__V1__DeleteContextRequest request = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.ContextService/DeleteContext", &request.base,
			 &ptd__v1__delete_context_response__descriptor);
}

int cmd_context_teardown(struct ptctl *ctl)
{
	Ptd__V1__TeardownGuestRequest request = PTD__V1__TEARDOWN_GUEST_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.OwnershipService/TeardownGuest", &request.base,
			 &ptd__v1__teardown_guest_response__descriptor);
}

int cmd_context_finalize(struct ptctl *ctl)
{
	Ptd__V1__FinalizeGuestRequest request = PTD__V1__FINALIZE_GUEST_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.OwnershipService/FinalizeGuest", &request.base,
			 &ptd__v1__finalize_guest_response__descriptor);
}

int cmd_context_quota(struct ptctl *ctl)
{
	Ptd__V1__SetQuotaRequest request = PTD__V1__SET_QUOTA_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.ContextService/SetQuota", &request.base,
			 &ptd__v1__set_quota_response__descriptor);
}

int cmd_context_digest(struct ptctl *ctl)
{
	Ptd__V1__GetDigestRequest request = PTD__V1__GET_DIGEST_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.ContextService/GetDigest", &request.base,
			 &ptd__v1__get_digest_response__descriptor);
}

int cmd_slot_list(struct ptctl *ctl)
{
	Ptd__V1__GetContextResponse *got;
	int result = get_context(ctl, &got);

	if (result)
		return result;
	output_message(&ctl->out, &got->context->base, &ctl->command->view);
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return EXIT_DONE;
}

int cmd_slot_set(struct ptctl *ctl)
{
	Ptd__V1__SetSlotRequest request = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot slot = PTD__V1__SLOT__INIT;
	int result = ptctl_fill(ctl, &slot.base);

	if (result)
		return result;
	slot.flags = (ptctl_given(ctl, "read-only") ? 1u : 0) |
		     (ptctl_given(ctl, "log-dirty") ? 2u : 0) |
		     (ptctl_given(ctl, "no-exec") ? 4u : 0);
	request.slot = &slot;
	return ptctl_ask(ctl, "/ptd.v1.ContextService/SetSlot", &request.base,
			 &ptd__v1__set_slot_response__descriptor);
}

int cmd_slot_delete(struct ptctl *ctl)
{
	Ptd__V1__DeleteSlotRequest request = PTD__V1__DELETE_SLOT_REQUEST__INIT;

	return ptctl_ask(ctl, "/ptd.v1.ContextService/DeleteSlot", &request.base,
			 &ptd__v1__delete_slot_response__descriptor);
}
