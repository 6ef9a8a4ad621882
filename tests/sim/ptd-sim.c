/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-sim: seeds by the number as TAP, one seed, a replay, a shrink. */
#include "play.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH	    25
#define MOST_PLAYS  3000
#define MANY	    100 /* seeds in which everything comes up */
#define REPLAY_FILE "ptd-sim.replay"

static const char *const faults[FAULT_KINDS] = {
	[FAULT_CUT_BOTH] = "cuts at both ends",
	[FAULT_DAEMON_LATE] = "cuts seen late by the daemon",
	[FAULT_CLIENT_LATE] = "cuts seen late by the client",
	[FAULT_RESTART_KEEP] = "client restarts that keep ids",
	[FAULT_RESTART_FORGET] = "client restarts that forget",
	[FAULT_CANCEL] = "cancels",
	[FAULT_DRAIN] = "drains under load",
	[FAULT_CRASH] = "daemon restarts",
	[FAULT_JUMP] = "jumps of time",
	[FAULT_PARTIAL_READ] = "partial reads",
	[FAULT_PARTIAL_WRITE] = "partial writes",
	[FAULT_LATE_TIMER] = "timers late by 1 ms or more",
	[FAULT_REPLY_DROP] = "replies dropped",
	[FAULT_REPLY_DELAY] = "replies delayed",
	[FAULT_REPLY_ERROR] = "replies made errors",
};

static void print_stats(const struct stats *s, uint64_t seeds)
{
	printf("# per seed: %" PRIu64 " shard steps, %" PRIu64 " events, %" PRIu64
	       " operations, %" PRIu64 " calls, %" PRIu64 " items\n",
	       s->steps / seeds, s->events / seeds, s->ops / seeds, s->calls / seeds,
	       s->items / seeds);
	printf("# in all: %" PRIu64 " answers, %" PRIu64 " retries, %" PRIu64
	       " stored answers given, %" PRIu64 " steps that parked, %" PRIu64
	       " that had to go on\n# %" PRIu64 " messages of sessions answered, %" PRIu64
	       " sessions resumed, %" PRIu64 " messages under way when their stream ended\n",
	       s->answers, s->retries, s->replays, s->parked, s->more, s->messages, s->resumed,
	       s->undone);
	for (int i = 0; i < FAULT_KINDS; i++)
		printf("# %s: %" PRIu64 "\n", faults[i], s->fault[i]);
	printf("# answered well:");
	for (int i = 0; i < OP_KINDS; i++)
		printf(" %s %" PRIu64, op_name((enum op_kind)i), s->call_kind[i]);
	printf("\n# items by kind, 1 to 8:");
	for (unsigned i = 1; i < SIM_ITEM_KINDS; i++)
		printf(" %" PRIu64, s->item_kind[i]);
	printf("\n# pagers:");
	for (int i = 0; i < PAGED_EVENTS; i++)
		printf("%s %s %" PRIu64, i ? "," : "", paged_event_name((enum pager_event)i),
		       s->paged[i]);
	printf("\n");
}

/* What never happened was not tested. */
static bool all_came_up(const struct stats *s, uint64_t number)
{
	const char *missing = NULL;

	for (int i = 0; i < PAGED_EVENTS && !missing; i++)
		missing = s->paged[i] ? NULL : paged_event_name((enum pager_event)i);
	for (int i = 0; i < FAULT_KINDS && !missing; i++)
		missing = s->fault[i] ? NULL : faults[i];
	printf("%sok %" PRIu64
	       " - each fault, and each end of a wait and of a pager, came up%s%s\n",
	       missing ? "not " : "", number, missing ? "; but not: " : "", missing ? missing : "");
	return !missing;
}

/* The short list, told as it plays, and in a file. */
static void report(struct verdict *v, bool small)
{
	const char *path = getenv("PTD_REPLAY_OUT");
	size_t before = v->recorded;
	uint32_t plays = 0;

	printf("# seed %" PRIu64 " fails: %s\n", v->seed, v->failure);
	if (small)
		plays = shrink(v, MOST_PLAYS);
	printf("# %zu events, %zu after %u plays: %s\n", before, v->recorded, plays, v->failure);
	path = path ? path : REPLAY_FILE;
	if (trace_save(path, v))
		printf("# saved: ptd-sim --replay %s\n", path);
	trace_scripts(stdout, &v->scripts, SIM_OPS);
	if (v->recorded <= 200)
		try_list(v, stdout);
}

static int run_seeds(uint64_t seed, uint64_t count, enum plant plant, bool small)
{
	struct verdict *v = verdict_new();
	struct stats all = {0};
	uint64_t digest = 0, number = 0, *a = (uint64_t *)(void *)&all, *b = (void *)&v->stats;
	bool good;

	printf("PTD_SEED=%" PRIu64 " PTD_SEEDS=%" PRIu64 "\n1..%" PRIu64 "\n", seed, count,
	       (count + BATCH - 1) / BATCH + (count >= MANY));
	for (uint64_t from = 0; from < count; from += BATCH) {
		uint64_t n = count - from < BATCH ? count - from : BATCH;

		try_seeds(seed + from, n, plant, v);
		number++;
		if (v->failure[0]) {
			printf("not ok %" PRIu64 " - seeds %" PRIu64 " to %" PRIu64 "\n", number,
			       seed + from, seed + from + n - 1);
			report(v, small);
			return 1;
		}
		printf("ok %" PRIu64 " - seeds %" PRIu64 " to %" PRIu64
		       ", each played twice: digest %016" PRIx64 "\n",
		       number, seed + from, seed + from + n - 1, v->digest);
		digest = sim_mix(digest, v->digest);
		for (size_t i = 0; i < sizeof(all) / sizeof(*a); i++)
			a[i] += b[i];
	}
	print_stats(&all, count);
	good = count < MANY || all_came_up(&all, number + 1);
	printf("# digest of seeds %" PRIu64 " to %" PRIu64 ": %016" PRIx64 "\n", seed,
	       seed + count - 1, digest);
	return !good;
}

static int replay(const char *path)
{
	struct verdict *v = verdict_new();

	if (!trace_load(path, v)) {
		fprintf(stderr, "ptd-sim: %s is no list of events\n", path);
		return 2;
	}
	try_list(v, stdout);
	printf("# %s\n# digest %016" PRIx64 "\n", v->failure[0] ? v->failure : "it holds",
	       v->digest);
	return v->failure[0] != 0;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static int usage(void)
{
	fputs("usage: ptd-sim [--seed N] [--seeds N] [--no-shrink] [--plant BUG] | --replay FILE\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},	  {"seeds", required_argument, NULL, 'n'},
		{"replay", required_argument, NULL, 'r'}, {"plant", required_argument, NULL, 'p'},
		{"no-shrink", no_argument, NULL, 'x'},	  {0}};
	uint64_t seed = from_environment("PTD_SEED", 1), seeds = from_environment("PTD_SEEDS", 200);
	const char *path = getenv("PTD_REPLAY");
	enum plant plant = PLANT_NONE;
	bool small = true;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': seeds = strtoull(optarg, NULL, 0); break;
		case 'r': path = optarg; break;
		case 'p': plant = trace_plant(optarg); break;
		case 'x': small = false; break;
		default: return usage();
		}
	}
	if (optind != argc || !seeds || plant == PLANT_KINDS)
		return usage();
	return path ? replay(path) : run_seeds(seed, seeds, plant, small);
}
