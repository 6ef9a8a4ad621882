/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's core under the simulation: a run is a function of its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define MOST 3000000

static const uint8_t empty[5];
static const uint8_t garbage[] = {0, 0, 0, 0, 3, 0xff, 0xff, 0xff};
/* CreateMachine { name "m", memory 1 MiB, vcpus 1 } */
static const uint8_t machine[] = {0, 0, 0, 0, 9, 0x0a, 1, 'm', 0x10, 0x80, 0x80, 0x40, 0x18, 1};

static uint64_t seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t value = text ? strtoull(text, NULL, 0) : 4711;

	print_message("PTD_SEED=%llu\n", (unsigned long long)value);
	return value;
}

static struct sim_client *script(struct sim *sim, uint32_t shard, const char *path,
				 const void *body, size_t length, uint32_t calls)
{
	struct sim_client *client = sim_connect(sim, shard);

	client->path = path;
	client->body = body;
	client->body_length = length;
	client->calls = calls;
	client->depth = 1 + (uint32_t)sim_draw(sim, 8);
	return client;
}

/* Eight clients on `shards` shards: good, bad, cancelling and vanishing ones. */
static void load(struct sim *sim)
{
	for (uint32_t i = 0; i < 2; i++) {
		script(sim, i, "/ptd.v1.ServerService/GetInfo", empty, sizeof(empty), 60);
		script(sim, i + 1, "/grpc.health.v1.Health/List", empty, sizeof(empty), 40)
			->cancel_every = 3;
		script(sim, i + 2, "/ptd.v1.MachineService/CreateMachine", machine, sizeof(machine),
		       10);
		script(sim, i + 3, "/ptd.v1.MappingService/Apply", garbage, sizeof(garbage), 30);
	}
	script(sim, 0, "/grpc.health.v1.Health/Check", empty, sizeof(empty), 1000)->vanish_after =
		20;
}

struct result {
	uint64_t digest;
	uint32_t ok[9], failed[9];
};

static struct result play(uint64_t from, uint32_t shards)
{
	static struct sim sim;
	struct result result = {0};

	sim_init(&sim, from, shards);
	load(&sim);
	assert_true(sim_run(&sim, MOST));
	for (uint32_t i = 0; i < sim.clients; i++) {
		result.ok[i] = sim.client[i].ok;
		result.failed[i] = sim.client[i].failed;
	}
	assert_true(sim_drain(&sim, MOST));
	result.digest = sim_digest(&sim);
	sim_fini(&sim);
	return result;
}

static void one_seed_twice_gives_the_same_trace(void **unused)
{
	uint64_t from = seed();

	(void)unused;
	for (uint32_t shards = 1; shards <= SIM_SHARDS; shards++) {
		struct result first = play(from + shards, shards),
			      second = play(from + shards, shards);

		assert_int_equal(first.digest, second.digest);
		assert_memory_equal(first.ok, second.ok, sizeof(first.ok));
	}
}

static void another_seed_gives_another_trace_and_the_same_answers(void **unused)
{
	uint64_t from = seed();
	struct result first = play(from, 2), second = play(from + 1, 2);

	(void)unused;
	assert_int_not_equal(first.digest, second.digest);
	for (int i = 0; i < 8; i += 4) {
		assert_int_equal(first.ok[i], 60);
		assert_int_equal(second.ok[i], 60);
		assert_int_equal(first.failed[i + 3], 30);
		assert_int_equal(second.failed[i + 3], 30);
	}
	/* One of all the calls creates the machine; the others find the name taken. */
	assert_int_equal(first.ok[2] + first.ok[6], 1);
	assert_int_equal(first.failed[2] + first.failed[6], 19);
	assert_in_range(first.ok[8], 20, 40);
}

static void many_seeds_end(void **unused)
{
	uint64_t from = seed();

	(void)unused;
	for (uint64_t i = 0; i < 12; i++)
		play(from * 1000 + i, 1 + (uint32_t)(i % SIM_SHARDS));
}

/* What a client sends for a few calls, to be damaged. */
static size_t record_calls(uint8_t *out, size_t room)
{
	static const char *const paths[] = {
		"/ptd.v1.ServerService/GetInfo", "/grpc.health.v1.Health/Watch",
		"/ptd.v1.MachineService/CreateMachine", "/ptd.v1.Nobody/Nothing"};
	static struct sim_client client;
	size_t length;

	memset(&client, 0, sizeof(client));
	client_open(&client);
	client.body = machine;
	client.body_length = sizeof(machine);
	client.depth = 4;
	for (client.calls = 1; client.calls <= 4; client.calls++) {
		client.path = paths[client.calls - 1];
		client_turn(&client);
	}
	length = client.to_server.length < room ? client.to_server.length : room;
	memcpy(out, client.to_server.data, length);
	nghttp2_session_del(client.session);
	free(client.to_server.data);
	return length;
}

static void damage(struct sim *sim, uint8_t *data, size_t length)
{
	for (uint64_t i = 1 + sim_draw(sim, 6); i; i--) {
		size_t at = 24 + sim_draw(sim, length - 24); /* behind the preface */

		data[at] = sim_draw(sim, 2) ? (uint8_t)(data[at] ^ 1u << sim_draw(sim, 8))
					    : (uint8_t)sim_draw(sim, 256);
	}
}

static void damaged_bytes_end_or_are_answered_and_others_are_served(void **unused)
{
	static struct sim sim;
	uint64_t from = seed();
	uint8_t good[2048], bad[2048];
	size_t length = record_calls(good, sizeof(good));

	(void)unused;
	for (uint64_t round = 0; round < 60; round++) {
		struct sim_client *witness;

		sim_init(&sim, from + round, 2);
		for (uint32_t i = 0; i < 8; i++) {
			struct sim_client *client = sim_connect(&sim, i);

			memcpy(bad, good, length);
			damage(&sim, bad, length);
			client->raw = true;
			pipe_put(&client->to_server, bad, length);
		}
		witness = script(&sim, 0, "/grpc.health.v1.Health/Check", empty, sizeof(empty), 20);
		assert_true(sim_run(&sim, MOST));
		assert_int_equal(witness->ok, 20);
		assert_true(sim_drain(&sim, MOST));
		sim_fini(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_seed_twice_gives_the_same_trace),
		cmocka_unit_test(another_seed_gives_another_trace_and_the_same_answers),
		cmocka_unit_test(many_seeds_end),
		cmocka_unit_test(damaged_bytes_end_or_are_answered_and_others_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
