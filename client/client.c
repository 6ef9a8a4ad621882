/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocking layer: opens and closes, waits, and hands over the ends of calls. */
#include "client_private.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

static struct ptd_client *create(const struct ptd_options *given, const char *endpoint,
				 struct ptd_status *status)
{
	struct ptd_options options = options_of(given);
	struct ptd_client *client = calloc(1, sizeof(*client));

	if (!client) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return NULL;
	}
	if (!options.seed)
		socket_random(&options.seed, sizeof(options.seed));
	client->fd = -1;
	if (endpoint_parse(&client->endpoint, endpoint, status))
		client->core = ptd_core_create(
			&options, client->endpoint.tls ? client->endpoint.host : NULL, status);
	if (client->core)
		return client;
	free(client);
	return NULL;
}

/* A name that cannot exist is told apart from one that is not there now. */
static bool resolve_first(struct ptd_client *client, struct ptd_status *status)
{
	bool wrong = false;
	const char *why;

	client->address_count = socket_resolve(&client->endpoint, client->addresses, &why, &wrong);
	if (!client->address_count)
		status_local(status, PTD_STATE_FAILED,
			     wrong ? PTD_WHERE_ARGUMENT : PTD_WHERE_CONNECT, wrong ? 3 : 14,
			     "endpoint %.100s: %s", client->endpoint.text, why);
	return client->address_count;
}

static bool connect_first(struct ptd_client *client, struct ptd_status *status)
{
	const struct ptd_status *connection = ptd_core_connection(client->core);

	ptd_core_wish_connection(client->core);
	client_settle(client);
	while (!ptd_core_is_up(client->core) && connection->state == PTD_STATE_OK) {
		client_flush(client);
		if (!ptd_core_is_up(client->core) && connection->state == PTD_STATE_OK)
			client_wait_socket(client, -1);
	}
	if (connection->state == PTD_STATE_OK)
		return true;
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_CONNECT, 14, "%.120s: %s",
		     client->endpoint.text, connection->message);
	return false;
}

struct ptd_client *ptd_open(const char *endpoint, const struct ptd_options *options,
			    struct ptd_status *status)
{
	struct ptd_status unused;
	struct ptd_client *client;

	status = status ? status : &unused;
	client = create(options, endpoint, status);
	if (!client)
		return NULL;
	if (!resolve_first(client, status) || !connect_first(client, status)) {
		ptd_close(client);
		return NULL;
	}
	*status = status_ok;
	return client;
}

void client_release(struct ptd_client *client)
{
	if (client->held)
		core_recycle(core_of(client->core), client->held);
	client->held = NULL;
}

int client_deliver(struct ptd_client *client)
{
	struct core *core = core_of(client->core);
	struct ptd_call *call;
	int delivered = 0;

	if (client->delivering)
		return 0;
	client->delivering = true;
	while ((call = core_ended(core))) {
		struct ptd_reply reply;

		delivered++;
		if (call->solo) {
			call->over = true;
		} else if (!call->done) {
			call_list_append(&client->ready, call);
		} else {
			core_fill_reply(&reply, call);
			call->done(call->arg, &reply);
			core_recycle(core, call);
		}
	}
	client->delivering = false;
	return delivered;
}

void ptd_close(struct ptd_client *client)
{
	if (!client)
		return;
	client_release(client);
	core_abandon(core_of(client->core), "the client was closed");
	client_deliver(client);
	while (client->ready.first) {
		struct ptd_call *call = client->ready.first;

		call_list_remove(&client->ready, call);
		core_recycle(core_of(client->core), call);
	}
	client_drop_socket(client);
	ptd_core_destroy(client->core);
	free(client);
}

/* --- rounds ---------------------------------------------------------------------------------- */

int client_pump(struct ptd_client *client, int timeout_ms)
{
	int ended;

	if (client->delivering)
		return 0;
	client_flush(client);
	ended = client_deliver(client);
	if (client->gone)
		return ended ? ended : -1;
	/* With one call under way the answer cannot be there yet: go to sleep at once. */
	if (!ended && !(ptd_core_outstanding(client->core) > 1 && client->fd >= 0 &&
			!client->connecting && client_take_input(client)))
		client_wait_socket(client, timeout_ms);
	client_settle(client);
	ended += client_deliver(client);
	client_flush(client);
	return ended + client_deliver(client);
}

int ptd_pump(struct ptd_client *client, int timeout_ms)
{
	if (!client->delivering)
		client_release(client);
	return client_pump(client, timeout_ms);
}

bool ptd_wait(struct ptd_client *client, size_t limit)
{
	if (client->delivering)
		return false;
	client_release(client);
	while (ptd_core_outstanding(client->core) > limit)
		if (client_pump(client, -1) < 0)
			return false;
	return !client->gone;
}

bool ptd_next(struct ptd_client *client, struct ptd_reply *reply, int timeout_ms)
{
	uint64_t until = socket_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;
	struct ptd_call *call;

	if (client->delivering)
		return false;
	client_release(client);
	while (!client->ready.first) {
		uint64_t now = socket_now_ns();
		int left = timeout_ms < 0 ? -1 : now < until ? client_wait_ms(until, now, -1) : 0;

		/* With no call under way none can end. */
		if (!ptd_core_outstanding(client->core) || client_pump(client, left) < 0 ||
		    (!left && !client->ready.first))
			return false;
	}
	call = client->ready.first;
	call_list_remove(&client->ready, call);
	client->held = call;
	core_fill_reply(reply, call);
	return true;
}
