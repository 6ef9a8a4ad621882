/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl context watch: a server stream, printed as it comes. */
#include "commands.h"

#include "ptd/v1/context.pb-c.h"

#include <stdlib.h>

struct watch {
	struct ptctl *ctl;
	uint64_t left; /* events to print; UINT64_MAX: no end */
	bool until_synced;
	bool over, enough;
	int result;
};

static bool on_event(void *arg, const uint8_t *data, size_t length)
{
	struct watch *watch = arg;
	Ptd__V1__WatchContextsResponse *event =
		ptd__v1__watch_contexts_response__unpack(NULL, length, data);
	bool synced;

	if (!event)
		return false;
	output_event(&watch->ctl->out, &event->base, &watch->ctl->command->view);
	synced = event->kind == PTD__V1__WATCH_KIND__WATCH_KIND_SYNCED;
	ptd__v1__watch_contexts_response__free_unpacked(event, NULL);
	watch->left -= watch->left != UINT64_MAX;
	watch->enough = !watch->left || (synced && watch->until_synced);
	return !watch->enough;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct watch *watch = arg;

	watch->over = true;
	if (!watch->enough && reply->status->state != PTD_STATE_OK)
		watch->result = ptctl_failed(watch->ctl, reply->status);
}

int cmd_context_watch(struct ptctl *ctl)
{
	Ptd__V1__WatchContextsRequest request = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	struct watch watch = {.ctl = ctl,
			      .left = ptctl_given(ctl, "count") ? ptctl_number(ctl, "count")
								: UINT64_MAX,
			      .until_synced = ptctl_given(ctl, "until-synced")};
	uint8_t bytes[32];
	int result = ptctl_fill(ctl, &request.base);

	if (!result)
		result = ptctl_connect(ctl);
	if (result)
		return result;
	if (!watch.left)
		return EXIT_DONE;
	ptd__v1__watch_contexts_request__pack(&request, bytes);
	if (!ptd_start_stream(ctl->client, "/ptd.v1.ContextService/WatchContexts", bytes,
			      ptd__v1__watch_contexts_request__get_packed_size(&request), 0,
			      on_event, on_end, &watch))
		return ptctl_failed(ctl, ptd_connection(ctl->client));
	while (!watch.over && ptd_pump(ctl->client, -1) >= 0)
		;
	return watch.result;
}
