/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: bytes on their way in both directions, and the ways in which they are lost. */
#include "sim.h"

#include "domain_types.h"

#include <stdlib.h>
#include <string.h>

void pipe_put(struct pipe *pipe, const void *data, size_t length)
{
	if (pipe->length + length > pipe->room) {
		pipe->room = (pipe->length + length) * 2;
		pipe->data = realloc(pipe->data, pipe->room);
		if (!pipe->data)
			abort();
	}
	if (length)
		memcpy(pipe->data + pipe->length, data, length);
	pipe->length += length;
}

void pipe_drop(struct pipe *pipe, size_t length)
{
	pipe->length -= length;
	if (pipe->length)
		memmove(pipe->data, pipe->data + length, pipe->length);
}

void pipe_free(struct pipe *pipe)
{
	free(pipe->data);
	*pipe = (struct pipe){0};
}

static struct daemon *home(const struct link *link)
{
	return &link->sim->daemon[link->daemon];
}

static void link_free(struct link *link)
{
	nghttp2_session_del(link->session);
	pipe_free(&link->up);
	pipe_free(&link->down);
	free(link);
}

struct link *link_open(struct sim *sim, struct client *client, uint32_t shard)
{
	struct daemon *d = &sim->daemon[client->daemon];
	struct link *link = calloc(1, sizeof(*link));
	struct event event = {.kind = EVENT_ACCEPTED, .principal = &client->principal};

	if (!link)
		abort();
	link->sim = sim;
	link->client = client->number;
	link->daemon = d->number;
	link->shard = (uint8_t)(shard % d->shards);
	event.peer = &link->peer;
	event.random = sim_mix(sim->seed, (uint64_t)client->number << 32 | client->connects);
	client->link = link;
	daemon_step(sim, d, link->shard, &event);
	return link;
}

void link_tell(struct link *link)
{
	struct event event = {.kind = EVENT_CLOSED, .peer = &link->peer};

	if (link->told)
		return;
	link->told = link->aborted = true;
	link->pending_write = false;
	daemon_step(link->sim, home(link), link->shard, &event);
	if (link->sim->plant == PLANT_FORGET_IDS && !oracle_busy())
		request_ids_free(&home(link)->domain->request_ids);
}

/* Into a copy of exactly that length: an address sanitizer sees a read beyond it. */
void link_up(struct link *link, size_t n)
{
	struct event event = {.kind = EVENT_BYTES, .peer = &link->peer};
	uint8_t *copy;

	if (link->closing || link->aborted) {
		pipe_drop(&link->up, link->up.length);
		return;
	}
	if (!link->up.length || link->paused)
		return;
	if (!n || n > link->up.length)
		n = link->up.length;
	else if (n < link->up.length)
		link->sim->stats.fault[FAULT_PARTIAL_READ]++;
	copy = malloc(n);
	if (!copy)
		abort();
	memcpy(copy, link->up.data, n);
	pipe_drop(&link->up, n);
	event.data = copy;
	event.length = n;
	daemon_step(link->sim, home(link), link->shard, &event);
	free(copy);
}

void link_sent(struct link *link)
{
	struct event event = {.kind = EVENT_WRITABLE, .peer = &link->peer};
	struct action *write = &link->pending;

	if (!link->pending_write || link->aborted)
		return;
	link->pending_write = false;
	pipe_put(&link->down, write->data + link->pending_sent, write->length - link->pending_sent);
	daemon_step(link->sim, home(link), link->shard, &event);
}

void link_down(struct link *link, size_t n)
{
	uint8_t *copy;

	if (!n || n > link->down.length)
		n = link->down.length;
	if (n) {
		copy = malloc(n);
		if (!copy)
			abort();
		memcpy(copy, link->down.data, n);
		pipe_drop(&link->down, n);
		client_receive(link, copy, n);
		free(copy);
	} else if (link->aborted || (link->closing && !link->pending_write)) {
		link_leave(link, false);
	}
}

/* The oldest of those that were left has to end to make room. */
static void keep_old(struct client *client, struct link *link)
{
	if (client->old[SIM_OLD - 1]) {
		link_tell(client->old[0]);
		link_free(client->old[0]);
		memmove(client->old, client->old + 1, (SIM_OLD - 1) * sizeof(client->old[0]));
		client->old[SIM_OLD - 1] = NULL;
	}
	for (uint32_t i = 0; i < SIM_OLD; i++) {
		if (client->old[i])
			continue;
		client->old[i] = link;
		return;
	}
}

void link_leave(struct link *link, bool deliver)
{
	struct client *client = &link->sim->client[link->client];

	client->link = NULL;
	client_lost(link);
	pipe_drop(&link->down, link->down.length);
	if (!deliver)
		pipe_drop(&link->up, link->up.length);
	keep_old(client, link);
}

void link_old(struct sim *sim, struct client *client, uint32_t i, size_t n)
{
	struct link *link = i < SIM_OLD ? client->old[i] : NULL;

	(void)sim;
	if (!link)
		return;
	if (link->up.length && !link->paused && !link->closing && !link->aborted) {
		link_up(link, n);
		return;
	}
	link_tell(link);
	link_free(link);
	memmove(client->old + i, client->old + i + 1, (SIM_OLD - 1 - i) * sizeof(link));
	client->old[SIM_OLD - 1] = NULL;
}

void link_cut(struct sim *sim, struct client *client, enum cut how)
{
	struct link *link = client->link;

	if (!link)
		return;
	switch (how) {
	case CUT_DAEMON_LATE:
		sim->stats.fault[FAULT_DAEMON_LATE]++;
		link_leave(link, true);
		break;
	case CUT_CLIENT_LATE:
		sim->stats.fault[FAULT_CLIENT_LATE]++;
		pipe_drop(&link->up, link->up.length);
		link_tell(link);
		break;
	default:
		sim->stats.fault[FAULT_CUT_BOTH]++;
		link_leave(link, false);
		break;
	}
}
