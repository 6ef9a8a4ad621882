/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's core under the simulation: some seeds agree with the model, and damaged bytes hurt
 * nobody else. The many seeds are ptd-sim's, planted bugs tests/sim/test_plants.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "play.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS  16
#define ROUNDS 12

static uint64_t seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t value = text ? strtoull(text, NULL, 0) : 4711;

	print_message("PTD_SEED=%llu\n", (unsigned long long)value);
	return value;
}

static void assert_holds(const struct verdict *v)
{
	if (v->failure[0])
		fail_msg("seed %llu: %s", (unsigned long long)v->seed, v->failure);
}

static void seeds_agree_with_the_model(void **unused)
{
	struct verdict *v = verdict_new();

	(void)unused;
	try_seeds(seed(), SEEDS, PLANT_NONE, v);
	assert_holds(v);
	assert_true(v->stats.answers > 0 && v->stats.retries > 0 && v->stats.items > 0);
	for (unsigned i = 1; i < SIM_ITEM_KINDS; i++)
		assert_true(v->stats.item_kind[i] > 0);
	for (unsigned i = OP_MAP; i <= OP_TRANSLATE; i++)
		assert_true(v->stats.call_kind[i] > 0);
	for (unsigned i = OP_SET_SLOT; i <= OP_SERVE; i++)
		assert_true(v->stats.call_kind[i] > 0);
	assert_true(v->stats.paged[PAGED_WAITS] > 0 && v->stats.paged[PAGED_GOT] > 0);
	assert_true(v->stats.paged[PAGED_RESUMED] > 0 && v->stats.paged[PAGED_GOT_NO_PAGER] > 0);
}

static void a_seed_has_one_digest_and_another_seed_another(void **unused)
{
	struct verdict *v = verdict_new();
	uint64_t from = seed(), digest;

	(void)unused;
	try_seeds(from, 1, PLANT_NONE, v);
	assert_holds(v);
	digest = v->digest;
	try_seeds(from, 1, PLANT_NONE, v);
	assert_holds(v);
	assert_int_equal(digest, v->digest);
	try_seeds(from + 1, 1, PLANT_NONE, v);
	assert_holds(v);
	assert_int_not_equal(digest, v->digest);
}

/* ---- damage ---- */

/* What a client sends for its first calls, which only read: done by somebody else they would
 * change nothing. */
static size_t record_calls(struct sim *sim, struct client *client, uint8_t *out, size_t room)
{
	static const enum op_kind kinds[] = {OP_LIST_CONTEXTS, OP_GET_MACHINE, OP_GET_CONTEXT,
					     OP_WATCH};
	const struct pipe *up;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		client_ask(sim, client, kinds[i], 0, 0);
		client_turn(sim, client, 0);
	}
	up = &client->link->up;
	assert_true(up->length > 100);
	room = up->length < room ? up->length : room;
	memcpy(out, up->data, room);
	return room;
}

static void damage(uint64_t *random, uint8_t *data, size_t length)
{
	for (uint64_t i = 1 + sim_draw(random, 6); i; i--) {
		size_t at = 24 + sim_draw(random, length - 24); /* behind the preface */

		data[at] = sim_draw(random, 2) ? (uint8_t)(data[at] ^ 1u << sim_draw(random, 8))
					       : (uint8_t)sim_draw(random, 256);
	}
}

/* Half of the clients send nonsense; the oracle watches over what the others get. */
static void play_damaged(struct sim *sim, uint64_t from)
{
	static struct ev record[SIM_EVENTS];
	uint8_t good[2048], bad[2048];
	size_t length, recorded;

	sim_open(sim, from, NULL);
	sim->swarm.failpoints = 0;
	length = record_calls(sim, &sim->client[0], good, sizeof(good));
	sim->client[0].limit = sim->swarm.ops;
	for (uint32_t i = SIM_CLIENTS / 2; i < SIM_CLIENTS; i++) {
		struct client *client = &sim->client[i];

		memcpy(bad, good, length);
		damage(&sim->random, bad, length);
		client->raw = true;
		client->limit = 0;
		link_open(sim, client, i);
		pipe_put(&client->link->up, bad, length);
	}
	sim_draw_events(sim, record, &recorded);
	for (uint32_t i = SIM_CLIENTS / 2; i < SIM_CLIENTS; i++)
		if (sim->client[i].link)
			link_leave(sim->client[i].link, true);
	sim_end(sim);
}

static void damaged_bytes_end_or_are_answered_and_others_are_served(void **unused)
{
	uint64_t from = seed();
	struct sim *sim = calloc(1, sizeof(*sim));

	(void)unused;
	assert_non_null(sim);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		play_damaged(sim, from + round);
		if (sim_failed(sim))
			fail_msg("seed %llu: %s", (unsigned long long)(from + round), sim->failure);
		assert_true(sim->stats.answers > 0);
	}
	free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_agree_with_the_model),
		cmocka_unit_test(a_seed_has_one_digest_and_another_seed_another),
		/* Last: it plays in this process, which must not fork any more. */
		cmocka_unit_test(damaged_bytes_end_or_are_answered_and_others_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
