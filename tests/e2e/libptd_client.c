/* SPDX-License-Identifier: BSD-2-Clause */
/* A user of libptd.so: typed calls, pipelines, polling, cancel and a stream against a daemon. */
#include <ptd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS	  20000
#define WINDOW	  256
#define GET_INFO  "/ptd.v1.ServerService/GetInfo"
#define WATCH	  "/ptd.v1.ContextService/WatchContexts"
#define DIRECTORY "m0/g0"

#define CHECK(fact)                                                                                \
	do {                                                                                       \
		if (!(fact)) {                                                                     \
			fprintf(stderr, "line %d: %s\n", __LINE__, #fact);                         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct tally {
	struct ptd_client *client;
	size_t ok, other, restarted;
};

static void count(void *arg, const struct ptd_reply *reply)
{
	struct tally *tally = arg;

	tally->ok += reply->status->state == PTD_STATE_OK && reply->data;
	tally->other += reply->status->state != PTD_STATE_OK;
	/* A callback may start a call. */
	if (tally->restarted && reply->status->state == PTD_STATE_OK) {
		tally->restarted--;
		CHECK(ptd_start(tally->client, GET_INFO, NULL, 0, 0, count, tally));
	}
}

static void typed(struct ptd_client *client, uint64_t context)
{
	struct ptd_effects effects;
	struct ptd_translation where;
	struct ptd_status status;
	uint32_t outcome;
	char data[6] = "";

	CHECK(!ptd_map(client, context, (struct ptd_ipa){1 << 30}, 2 << 20, (struct ptd_pa){0},
		       PTD_PROT_R | PTD_PROT_W, 0, &effects, &status));
	CHECK(effects.outcome == 1 && effects.leaves_written == 1);
	CHECK(!ptd_write(client, context, 0, (struct ptd_ipa){(1 << 30) + 8}, "hello", 5, &outcome,
			 &status));
	CHECK(outcome == 0);
	CHECK(!ptd_read(client, context, 1, (struct ptd_ipa){(1 << 30) + 8}, data, 5, &outcome,
			NULL));
	CHECK(outcome == 0 && !strcmp(data, "hello"));
	CHECK(!ptd_translate(client, context, (struct ptd_ipa){(1 << 30) + 8}, PTD_ACCESS_READ,
			     &where, NULL));
	CHECK(where.outcome == 0 && where.pa.v == 8 && where.level == 2);
	CHECK(!ptd_protect(client, context, (struct ptd_ipa){1 << 30}, 2 << 20, PTD_PROT_R,
			   &effects, NULL));
	CHECK(effects.outcome == 8);
	CHECK(ptd_map(client, context, (struct ptd_ipa){1 << 30}, 2 << 20, (struct ptd_pa){2 << 20},
		      PTD_PROT_R, 0, NULL, &status) == PTD_STATE_FAILED);
	CHECK(status.code == 68 && status.level == 2 && status.ipa == 1 << 30);
	CHECK(!strcmp(status.reason, "OVERLAP") && status.hint[0] && status.message[0]);
	CHECK(!ptd_unmap(client, context, (struct ptd_ipa){1 << 30}, 2 << 20, &effects, NULL));
	CHECK(effects.leaves_removed == 1);
}

#define AT(n) ((struct ptd_ipa){(1 << 30) + (n)})

/* The rest of the kinds, and what keeps tables in shape. */
static void upkeep(struct ptd_client *client, uint64_t context)
{
	struct ptd_effects effects;
	struct ptd_upkeep u;
	uint8_t bitmap[64] = {0};

	CHECK(!ptd_map(client, context, AT(0), 2 << 20, (struct ptd_pa){0}, PTD_PROT_R, 0, NULL,
		       NULL));
	CHECK(!ptd_change(client, context, PTD_ITEM_RELAX, AT(0), 2 << 20, (struct ptd_pa){0},
			  PTD_PROT_R | PTD_PROT_W, 0, &effects, NULL));
	CHECK(effects.outcome == 3 && effects.leaves_written == 1);
	CHECK(!ptd_split(client, context, AT(0), 2 << 20, 3, 0, &u, NULL));
	CHECK(u.next.v == AT(2 << 20).v && !u.stopped && u.effects.blocks_split == 1);
	CHECK(!ptd_age(client, context, AT(0), 2 << 20, true, bitmap, sizeof(bitmap), &u, NULL));
	CHECK(u.young == 512 && u.old == 0 && bitmap[0] == 0xff && bitmap[63] == 0xff);
	CHECK(!ptd_collapse(client, context, AT(0), 2 << 20, &u, NULL));
	CHECK(u.blocks_made == 1 && u.effects.tables_freed == 1);
	CHECK(!ptd_change(client, context, PTD_ITEM_ANNOTATE, AT(0), 2 << 20,
			  (struct ptd_pa){UINT64_C(2) << 60 | 2}, 0, 0, &effects, NULL));
	CHECK(effects.outcome == 13 && effects.annotated == 512);
	CHECK(ptd_change(client, context, 99, AT(0), 2 << 20, (struct ptd_pa){0}, 0, 0, NULL,
			 NULL) == PTD_STATE_FAILED);
	CHECK(!ptd_unmap(client, context, AT(0), 2 << 20, NULL, NULL));
}

/* The log is there, and nothing of it but its name is needed to find it again. */
static void listed(struct ptd_client *client, uint64_t context, uint64_t log)
{
	struct ptd_dirty_log logs[2] = {{0}};
	char name[128] = "";
	uint64_t handle = 0;
	size_t count = 0;

	CHECK(!ptd_dirty_list(client, context, NULL, 0, &count, NULL) && count == 1);
	CHECK(!ptd_dirty_list(client, 0, logs, 2, &count, NULL) && count == 1);
	CHECK(logs[0].log == log && logs[0].context == context && logs[1].log == 0);
	CHECK(logs[0].ipa.v == AT(0).v && logs[0].size == 64 << 10 && logs[0].memory_bytes >= 4);
	memcpy(name, logs[0].context_name, sizeof(name));
	CHECK(!ptd_find_context(client, name, &handle, NULL) && handle == context);
	CHECK(ptd_dirty_list(client, log, logs, 2, &count, NULL) == PTD_STATE_FAILED && count == 1);
}

static void logged(struct ptd_client *client, uint64_t context)
{
	struct ptd_dirty dirty;
	struct ptd_status status;
	uint64_t log, generation, left;
	uint8_t bitmap[2] = {0};
	size_t count = 9;
	uint32_t outcome;

	CHECK(!ptd_map(client, context, AT(0), 64 << 10, (struct ptd_pa){0},
		       PTD_PROT_R | PTD_PROT_W, 0, NULL, NULL));
	CHECK(!ptd_dirty_start(client, context, AT(0), 64 << 10, PTD_DIRTY_EAGER, &log, &generation,
			       NULL));
	CHECK(!ptd_write(client, context, 0, AT(9 << 12), "x", 1, &outcome, NULL) && !outcome);
	CHECK(!ptd_dirty_get(client, log, AT(0), 0, true, &generation, bitmap, sizeof(bitmap),
			     &dirty, NULL));
	CHECK(dirty.done && dirty.dirty == 1 && dirty.next.v == AT(64 << 10).v && bitmap[1] == 2);
	CHECK(!ptd_dirty_get(client, log, AT(0), 0, true, &generation, NULL, 0, &dirty, NULL));
	CHECK(dirty.done && dirty.dirty == 0);
	listed(client, context, log);
	CHECK(!ptd_write(client, context, 0, AT(3 << 12), "x", 1, &outcome, NULL) && !outcome);
	CHECK(!ptd_dirty_stop(client, log, &left, NULL) && left == 1);
	CHECK(ptd_dirty_stop(client, log, &left, &status) == PTD_STATE_FAILED);
	CHECK(!strcmp(status.reason, "NOT_FOUND"));
	CHECK(!ptd_dirty_list(client, context, NULL, 0, &count, NULL) && count == 0);
	CHECK(!ptd_unmap(client, context, AT(0), 64 << 10, NULL, NULL));
}

static void pipelined(struct ptd_client *client)
{
	struct tally tally = {.client = client, .restarted = 5};

	for (size_t i = 0; i < CALLS; i++) {
		CHECK(ptd_start(client, GET_INFO, NULL, 0, i % 2 ? 60000 : 0, count, &tally));
		if (ptd_outstanding(client) >= WINDOW)
			CHECK(ptd_wait(client, WINDOW / 2));
	}
	CHECK(ptd_wait(client, 0));
	CHECK(tally.ok == CALLS + 5 && tally.other == 0);
}

static void polled(struct ptd_client *client)
{
	struct ptd_reply reply;
	int arg;

	CHECK(ptd_start(client, GET_INFO, NULL, 0, 0, NULL, &arg));
	CHECK(ptd_start(client, "/no.such.Service/Method", NULL, 0, 0, NULL, NULL));
	for (int i = 0; i < 2; i++) {
		CHECK(ptd_next(client, &reply, 60000));
		if (reply.arg == &arg)
			CHECK(reply.status->state == PTD_STATE_OK && reply.length > 10);
		else
			CHECK(reply.status->grpc == 12);
	}
	CHECK(!ptd_next(client, &reply, -1));
}

struct watch {
	size_t messages;
	bool over;
	struct ptd_client *client;
	struct ptd_call *call;
};

static bool on_message(void *arg, const uint8_t *data, size_t length)
{
	struct watch *watch = arg;

	CHECK(data && length);
	return ++watch->messages < 2;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct watch *watch = arg;

	CHECK(reply->status->where == PTD_WHERE_CANCEL && !reply->data);
	watch->over = true;
}

static void watched(struct ptd_client *client)
{
	struct watch watch = {.client = client};

	CHECK(ptd_start_stream(client, WATCH, NULL, 0, 0, on_message, on_end, &watch));
	while (!watch.over)
		CHECK(ptd_pump(client, 60000) >= 0);
	CHECK(watch.messages == 2);
	/* Cancelled before anything came. */
	watch = (struct watch){.client = client};
	watch.call = ptd_start_stream(client, WATCH, NULL, 0, 0, on_message, on_end, &watch);
	ptd_cancel(client, watch.call);
	CHECK(watch.over && watch.messages == 0);
	CHECK(ptd_outstanding(client) == 0);
}

/* --- a stream both ways ---------------------------------------------------------------------- */

#define REFLECT	  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define QUESTION  "\x3a\x01*" /* list_services */
#define QUESTIONS 3000u

static bool on_answer(void *arg, const uint8_t *data, size_t length)
{
	struct watch *watch = arg;

	CHECK(data && length > 20);
	watch->messages++;
	return true;
}

static void on_bidi_end(void *arg, const struct ptd_reply *reply)
{
	struct watch *watch = arg;

	CHECK(reply->status->state == PTD_STATE_OK);
	watch->over = true;
}

static void both_ways(struct ptd_client *client)
{
	struct watch watch = {.client = client};
	size_t most = 0;

	watch.call = ptd_start_bidi(client, REFLECT, 0, on_answer, on_bidi_end, &watch);
	CHECK(watch.call);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		CHECK(ptd_send(client, watch.call, QUESTION, 3));
		while (ptd_queued(client, watch.call) > 4096)
			CHECK(ptd_pump(client, -1) >= 0);
		if (ptd_queued(client, watch.call) > most)
			most = ptd_queued(client, watch.call);
	}
	CHECK(most > 4000 && most <= 4096);
	ptd_half_close(client, watch.call);
	CHECK(!ptd_send(client, watch.call, QUESTION, 3));
	while (!watch.over)
		CHECK(ptd_pump(client, 60000) >= 0);
	CHECK(watch.messages == QUESTIONS);
}

static void closed_under_way(const char *endpoint)
{
	struct ptd_client *client = ptd_open(endpoint, NULL, NULL);
	struct tally tally = {.client = client};

	CHECK(client);
	for (int i = 0; i < 10; i++)
		CHECK(ptd_start(client, GET_INFO, NULL, 0, 0, count, &tally));
	ptd_close(client);
	CHECK(tally.other == 10);
}

int main(int argc, char **argv)
{
	struct ptd_options options = {.size = sizeof(options), .timeout_ms = 60000};
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t context = 0, machine = 0;

	CHECK(argc == 2);
	CHECK(!ptd_open("unix:/nowhere/at/all", NULL, &status));
	CHECK(status.where == PTD_WHERE_CONNECT);
	client = ptd_open(argv[1], &options, &status);
	CHECK(client && status.state == PTD_STATE_OK);
	CHECK(!ptd_find_context(client, DIRECTORY, &context, &status) && context);
	CHECK(!ptd_find_machine(client, "m0", &machine, NULL) && machine && machine != context);
	CHECK(ptd_find_context(client, "m0/none", &machine, &status) == PTD_STATE_FAILED);
	CHECK(status.grpc == 5);
	typed(client, context);
	upkeep(client, context);
	logged(client, context);
	pipelined(client);
	polled(client);
	watched(client);
	both_ways(client);
	ptd_close(client);
	ptd_close(NULL);
	closed_under_way(argv[1]);
	puts("done");
	return 0;
}
