/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients learn from answers: handles, generations, and what watchers are told. */
#include "sim.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Never 0. */
uint64_t message_hash(const ProtobufCMessage *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(n + 1);
	uint64_t hash;

	if (!packed)
		abort();
	protobuf_c_message_pack(message, packed);
	hash = XXH3_64bits(packed, n);
	free(packed);
	return hash ? hash : 1;
}

static void learn(struct client *client, const struct op *op, const ProtobufCMessage *message)
{
	uint64_t *context = &client->context[op->machine][op->context];
	uint64_t *generation = &client->generation[op->machine][op->context];
	uint64_t *log_generation = &client->log_generation[op->machine][op->context];

	switch (op->kind) {
	case OP_CREATE_MACHINE:
		client->machine[op->machine] =
			((const Ptd__V1__CreateMachineResponse *)message)->machine->handle;
		break;
	case OP_GET_MACHINE:
		client->machine[op->machine] =
			((const Ptd__V1__GetMachineResponse *)message)->machine->handle;
		break;
	case OP_CREATE_CONTEXT:
	case OP_GET_CONTEXT: /* the same layout */
		*context = ((const Ptd__V1__GetContextResponse *)message)->context->handle;
		*generation = ((const Ptd__V1__GetContextResponse *)message)->context->generation;
		break;
	case OP_MAP:
	case OP_UNMAP:
	case OP_PROTECT:
	case OP_WRITE_PROTECT: /* the same layout */
		*generation = ((const Ptd__V1__MapResponse *)message)->generation;
		break;
	case OP_APPLY: *generation = ((const Ptd__V1__ApplyResponse *)message)->generation; break;
	case OP_START_LOG:
		client->log[op->machine][op->context] =
			((const Ptd__V1__StartDirtyLogResponse *)message)->log;
		*log_generation = ((const Ptd__V1__StartDirtyLogResponse *)message)->log_generation;
		break;
	case OP_GET_LOG:
		*log_generation = ((const Ptd__V1__GetDirtyLogResponse *)message)->log_generation;
		break;
	case OP_STOP_LOG: client->log[op->machine][op->context] = 0; break;
	case OP_DELETE_CONTEXT: *context = 0; break;
	case OP_DELETE_MACHINE:
		client->machine[op->machine] = 0;
		memset(client->context[op->machine], 0, sizeof(client->context[op->machine]));
		break;
	default: break;
	}
}

size_t message_length(const struct pipe *in)
{
	size_t n;

	if (in->length < 5)
		return SIZE_MAX;
	n = (size_t)in->data[1] << 24 | (size_t)in->data[2] << 16 | (size_t)in->data[3] << 8 |
	    in->data[4];
	return in->length - 5 < n ? SIZE_MAX : n;
}

void message_put(struct pipe *out, const ProtobufCMessage *message)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *framed = calloc(1, n + 5);

	if (!framed)
		abort();
	framed[2] = (uint8_t)(n >> 16);
	framed[3] = (uint8_t)(n >> 8);
	framed[4] = (uint8_t)n;
	protobuf_c_message_pack(message, framed + 5);
	pipe_put(out, framed, n + 5);
	free(framed);
}

void answer_ok(struct sim *sim, struct client *client, struct op *op, const struct pipe *in)
{
	uint64_t decided = client->link->answer[op->stream / 2], hash;
	ProtobufCMessage *message = NULL;

	if (message_length(in) == in->length - 5)
		message = protobuf_c_message_unpack(op_answer(op->kind), NULL, in->length - 5,
						    in->data + 5);
	if (!message) {
		sim_fail(sim, "answer", "client %u op %u %s: OK with %zu bytes that are no answer",
			 op->client, op->number, op_name(op->kind), in->length);
		return;
	}
	hash = message_hash(message);
	sim->digest = sim_mix(sim->digest, hash);
	if (hash != decided)
		sim_fail(sim, "answer",
			 "client %u op %u %s: the answer received is not the one decided",
			 op->client, op->number, op_name(op->kind));
	learn(client, op, message);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* A handle that names nothing is of no use any more. */
void answer_failed(struct client *client, struct op *op)
{
	if (op->status != 5)
		return;
	if (op->kind == OP_CREATE_CONTEXT || op->kind == OP_DELETE_MACHINE)
		client->machine[op->machine] = 0;
	else if (op->kind == OP_GET_LOG || op->kind == OP_STOP_LOG)
		client->log[op->machine][op->context] = 0;
	else
		client->context[op->machine][op->context] = 0;
}

/* ---- watchers ---- */

void client_forget_view(struct client *client)
{
	memset(&client->view, 0, sizeof(client->view));
}

static void view_set(struct view *view, uint64_t handle, uint64_t generation)
{
	size_t n = sizeof(view->context) / sizeof(view->context[0]), free_at = n;

	for (size_t i = 0; i < n; i++) {
		if (view->context[i].handle == handle) {
			view->context[i].generation = generation;
			view->context[i].handle = generation ? handle : 0;
			return;
		}
		if (!view->context[i].handle)
			free_at = i;
	}
	if (generation && free_at < n) {
		view->context[free_at].handle = handle;
		view->context[free_at].generation = generation;
	}
}

static void watch_event(struct sim *sim, struct client *client,
			const Ptd__V1__WatchContextsResponse *r)
{
	struct view *view = &client->view;

	if (r->seq != view->seq + 1)
		sim_fail(sim, "watch", "client %u: event %llu after event %llu", client->number,
			 (unsigned long long)r->seq, (unsigned long long)view->seq);
	view->seq = r->seq;
	switch (r->kind) {
	case PTD__V1__WATCH_KIND__WATCH_KIND_SYNCED: view->synced = true; break;
	case PTD__V1__WATCH_KIND__WATCH_KIND_OVERFLOW: view->lost = true; break;
	case PTD__V1__WATCH_KIND__WATCH_KIND_DELETED: view_set(view, r->context->handle, 0); break;
	default:
		/* An event of a context that has gone since carries no generation. */
		if (r->context->generation)
			view_set(view, r->context->handle, r->context->generation);
		break;
	}
}

void answer_stream(struct sim *sim, struct client *client, struct op *op)
{
	struct pipe *in = &op->received;
	size_t n;

	while ((n = message_length(in)) != SIZE_MAX) {
		Ptd__V1__WatchContextsResponse *r =
			ptd__v1__watch_contexts_response__unpack(NULL, n, in->data + 5);

		if (r)
			watch_event(sim, client, r);
		else
			sim_fail(sim, "watch", "client %u: a malformed event", client->number);
		ptd__v1__watch_contexts_response__free_unpacked(r, NULL);
		pipe_drop(in, 5 + n);
	}
}
