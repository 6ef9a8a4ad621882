/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays in processes of their own, and delta debugging over a failing list of events. */
#include "play.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 60
#define FEW	     80 /* events: now pieces are tried at every place */

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

/* ---- delta debugging ---- */

struct hunt {
	struct verdict *best, *probe;
	char check[32]; /* the kind of failure to keep to */
	uint32_t plays, most;
};

/* The probe is to be tried: it is the new best if it fails in the same way. */
static bool fails_alike(struct hunt *h)
{
	if (h->plays >= h->most)
		return false;
	h->plays++;
	try_list(h->probe, NULL);
	if (strncmp(h->probe->failure, h->check, strlen(h->check)) != 0)
		return false;
	memcpy(h->best, h->probe, offsetof(struct verdict, record));
	memcpy(h->best->record, h->probe->record, h->probe->recorded * sizeof(struct ev));
	return true;
}

/* The best without `n` events from `at` on. */
static void probe_without(struct hunt *h, size_t at, size_t n)
{
	const struct verdict *best = h->best;
	size_t rest = best->recorded - at - n;

	memcpy(h->probe, best, offsetof(struct verdict, record));
	memcpy(h->probe->record, best->record, at * sizeof(struct ev));
	memcpy(h->probe->record + at, best->record + at + n, rest * sizeof(struct ev));
	h->probe->recorded = at + rest;
}

/* One pass from the end: leaves out pieces of `piece` events. True: some could go. */
static bool pass(struct hunt *h, size_t piece)
{
	bool some = false;
	size_t end = h->best->recorded;

	while (end) {
		size_t n = piece < end ? piece : end;

		probe_without(h, end - n, n);
		some |= fails_alike(h);
		end -= n;
	}
	return some;
}

static void events(struct hunt *h)
{
	for (size_t piece = (h->best->recorded + 1) / 2; piece; piece /= 2)
		pass(h, piece);
}

/* Operations [at, at + n) of a client are not asked. */
static void without_ops(struct hunt *h, uint32_t client, uint32_t at, uint32_t n)
{
	struct scripts *scripts = &h->probe->scripts;

	probe_without(h, 0, 0);
	for (uint32_t k = at; k < at + n && k < SIM_OPS; k++)
		scripts->left_out[client][k / 64] |= UINT64_C(1) << k % 64;
	if (memcmp(scripts, &h->best->scripts, sizeof(*scripts)) != 0)
		fails_alike(h);
}

static void operations(struct hunt *h, uint32_t least)
{
	for (uint32_t piece = SIM_OPS; piece >= least; piece /= 2)
		for (uint32_t i = 0; i < SIM_CLIENTS; i++)
			for (uint32_t at = 0; at < SIM_OPS; at += piece)
				without_ops(h, i, at, piece);
}

/* Few events: pieces of each length at each place, and an operation together with a piece. */
static void slide(struct hunt *h)
{
	for (size_t n = 8; n; n--)
		for (size_t at = 0; at + n <= h->best->recorded;) {
			probe_without(h, at, n);
			if (!fails_alike(h))
				at++;
		}
}

static bool is_asked(const struct verdict *v, uint32_t client, uint32_t op)
{
	return !(v->scripts.left_out[client][op / 64] >> op % 64 & 1);
}

static void slide_with_op(struct hunt *h, uint32_t client, uint32_t op)
{
	for (size_t n = 6; n > 1; n--)
		for (size_t at = 0; at + n <= h->best->recorded; at++) {
			if (!is_asked(h->best, client, op))
				return;
			probe_without(h, at, n);
			h->probe->scripts.left_out[client][op / 64] |= UINT64_C(1) << op % 64;
			fails_alike(h);
		}
}

static void slide_with_ops(struct hunt *h)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		for (uint32_t k = 0; k < SIM_OPS; k++)
			if (is_asked(h->best, i, k))
				slide_with_op(h, i, k);
}

/* Whole transfers read better. */
static void simplify(struct hunt *h)
{
	for (size_t i = 0; i < h->best->recorded; i++) {
		if (!h->best->record[i].n || h->best->record[i].kind == EV_TIME)
			continue;
		probe_without(h, 0, 0);
		h->probe->record[i].n = 0;
		fails_alike(h);
	}
}

uint32_t shrink(struct verdict *v, uint32_t most)
{
	struct hunt h = {.best = v, .probe = verdict_new(), .most = most};

	snprintf(h.check, sizeof(h.check), "%.*s", (int)strcspn(v->failure, ":") + 1, v->failure);
	operations(&h, 16); /* whole scripts first: then a play is short */
	events(&h);
	operations(&h, 1);
	simplify(&h);
	events(&h);
	while (pass(&h, 1) && h.plays < most)
		continue;
	if (h.best->recorded <= FEW) {
		slide(&h);
		slide_with_ops(&h);
		slide(&h);
		operations(&h, 1);
	}
	munmap(h.probe, sizeof(*h.probe));
	return h.plays;
}
