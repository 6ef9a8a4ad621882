/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl context watch and own watch: server streams, printed as they come. */
#include "commands.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

#include <stdlib.h>

struct watch {
	struct ptctl *ctl;
	const ProtobufCMessageDescriptor *type; /* of an event */
	bool (*is_last)(const struct ptctl *ctl, const ProtobufCMessage *event);
	uint64_t left; /* events to print; UINT64_MAX: no end */
	bool over, enough;
	int result;
};

static bool on_event(void *arg, const uint8_t *data, size_t length)
{
	struct watch *watch = arg;
	ProtobufCMessage *event = protobuf_c_message_unpack(watch->type, NULL, length, data);

	if (!event)
		return false;
	output_event(&watch->ctl->out, event, &watch->ctl->command->view);
	watch->left -= watch->left != UINT64_MAX;
	watch->enough = !watch->left || watch->is_last(watch->ctl, event);
	protobuf_c_message_free_unpacked(event, NULL);
	return !watch->enough;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct watch *watch = arg;

	watch->over = true;
	if (!watch->enough && reply->status->state != PTD_STATE_OK)
		watch->result = ptctl_failed(watch->ctl, reply->status);
}

/* Sends the request, filled from the command line, and prints what comes. */
static int run(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	       struct watch *watch)
{
	int result = ptctl_fill(ctl, request);
	uint8_t bytes[32];

	watch->ctl = ctl;
	watch->left = ptctl_given(ctl, "count") ? ptctl_number(ctl, "count") : UINT64_MAX;
	if (!result)
		result = ptctl_connect(ctl);
	if (result)
		return result;
	if (!watch->left)
		return EXIT_DONE;
	protobuf_c_message_pack(request, bytes);
	if (!ptd_start_stream(ctl->client, method, bytes,
			      protobuf_c_message_get_packed_size(request), 0, on_event, on_end,
			      watch))
		return ptctl_failed(ctl, ptd_connection(ctl->client));
	while (!watch->over && ptd_pump(ctl->client, -1) >= 0)
		;
	return watch->result;
}

static bool synced(const struct ptctl *ctl, const ProtobufCMessage *event)
{
	const Ptd__V1__WatchContextsResponse *r = (const void *)event;

	return r->kind == PTD__V1__WATCH_KIND__WATCH_KIND_SYNCED &&
	       ptctl_given(ctl, "until-synced");
}

int cmd_context_watch(struct ptctl *ctl)
{
	Ptd__V1__WatchContextsRequest request = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	struct watch watch = {.type = &ptd__v1__watch_contexts_response__descriptor,
			      .is_last = synced};

	return run(ctl, "/ptd.v1.ContextService/WatchContexts", &request.base, &watch);
}

static bool never(const struct ptctl *ctl, const ProtobufCMessage *event)
{
	(void)ctl, (void)event;
	return false;
}

int cmd_own_watch(struct ptctl *ctl)
{
	Ptd__V1__WatchOwnersRequest request = PTD__V1__WATCH_OWNERS_REQUEST__INIT;
	struct watch watch = {.type = &ptd__v1__watch_owners_response__descriptor,
			      .is_last = never};

	return run(ctl, "/ptd.v1.OwnershipService/WatchOwners", &request.base, &watch);
}
