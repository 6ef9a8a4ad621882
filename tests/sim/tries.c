/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays in processes of their own: a crash and a hang are verdicts, too. */
#include "play.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 60

struct verdict *verdict_new(void)
{
	void *at = mmap(NULL, sizeof(struct verdict), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static void add_stats(struct stats *to, const struct stats *from)
{
	uint64_t *a = (uint64_t *)(void *)to;
	const uint64_t *b = (const uint64_t *)(const void *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*a); i++)
		a[i] += b[i];
}

/* Drawn, then played again from what was recorded: to the same digest. */
static void play_seed(struct sim *sim, uint64_t seed, enum plant plant, struct verdict *v)
{
	struct play first = {
		.seed = seed, .record = v->record, .recorded = &v->recorded, .plant = plant};
	struct play again = {.seed = seed, .list = v->record, .plant = plant};
	uint64_t digest;

	v->seed = seed;
	v->recorded = 0;
	sim_play(sim, &first);
	memcpy(v->failure, sim->failure, sizeof(v->failure));
	if (sim_failed(sim))
		return;
	add_stats(&v->stats, &sim->stats);
	digest = sim->digest;
	again.listed = v->recorded;
	sim_play(sim, &again);
	if (!sim_failed(sim) && sim->digest != digest)
		sim_fail(sim, "replay", "another digest: %llx, %llx", (unsigned long long)digest,
			 (unsigned long long)sim->digest);
	memcpy(v->failure, sim->failure, sizeof(v->failure));
	v->digest = sim_mix(v->digest, digest);
}

static void wait_for(pid_t child, struct verdict *v)
{
	int status;

	if (waitpid(child, &status, 0) != child || (v->done && WIFEXITED(status)))
		return;
	if (!v->failure[0])
		snprintf(v->failure, sizeof(v->failure), "crash: the process ended with %s %d",
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static struct sim *new_sim(void)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		abort();
	alarm(HANG_SECONDS);
	return sim;
}

void try_seeds(uint64_t seed, uint64_t count, enum plant plant, struct verdict *v)
{
	pid_t child;

	memset(v, 0, offsetof(struct verdict, record));
	v->plant = plant;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct sim *sim = new_sim();

		for (uint64_t i = 0; i < count && !v->failure[0]; i++) {
			play_seed(sim, seed + i, plant, v);
			alarm(HANG_SECONDS);
		}
		v->done = true;
		_exit(0);
	}
	wait_for(child, v);
}

void try_list(struct verdict *v, FILE *tell)
{
	pid_t child;

	v->failure[0] = 0;
	v->done = false;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct sim *sim = new_sim();
		struct play play = {.seed = v->seed,
				    .list = v->record,
				    .listed = v->recorded,
				    .scripts = &v->scripts,
				    .plant = v->plant,
				    .tell = tell};

		sim_play(sim, &play);
		memcpy(v->failure, sim->failure, sizeof(v->failure));
		v->digest = sim->digest;
		v->done = true;
		fflush(NULL);
		_exit(0);
	}
	wait_for(child, v);
}
