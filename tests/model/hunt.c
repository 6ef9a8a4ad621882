/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays in processes of their own, so that a crash is a failure like others; and shrinks lists. */
#ifndef HUNT_PLAY /* or another header with these names: what is hunted is a seed, or a list of    \
		     steps */
#define HUNT_PLAY "play.h"
#endif
#include HUNT_PLAY

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 120 /* for a process, and far more than any needs */

struct verdict *verdict_new(void)
{
	struct verdict *v =
		mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (v == MAP_FAILED)
		abort();
	return v;
}

/* In the child: `count` seeds, or the list. */
static void child(struct verdict *v, uint64_t count)
{
	alarm(SECONDS);
	for (uint64_t i = 0; i < count; i++) {
		v->seed += i != 0;
		v->steps = 0;
		play(v);
	}
	if (!count)
		play(v);
#ifdef PT_COVERAGE
	exit(0); /* which writes the counts */
#else
	_exit(0);
#endif
}

static void run(struct verdict *v, uint64_t count)
{
	int status = 0;
	pid_t pid;

	v->failure[0] = '\0';
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(v, count);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		snprintf(v->failure, sizeof(v->failure), "crash: %s", strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) && !v->failure[0])
		snprintf(v->failure, sizeof(v->failure), "exit: status %d", WEXITSTATUS(status));
}

void try_seeds(uint64_t seed, uint64_t count, struct verdict *v)
{
	v->seed = seed;
	v->steps = 0;
	run(v, count);
}

void try_list(struct verdict *v)
{
	run(v, 0);
}

/* ---- shrinking ---- */

struct hunt {
	struct verdict *best, *probe;
	char kind[40];
	uint32_t plays, most;
};

/* The list without `n` steps from `at` on. True: it fails in the same way, and is the best now. */
static bool without(struct hunt *h, uint32_t at, uint32_t n)
{
	struct verdict *best = h->best, *probe = h->probe;

	if (h->plays >= h->most || n >= best->steps)
		return false;
	probe->seed = best->seed;
	probe->steps = best->steps - n;
	memcpy(probe->step, best->step, at * sizeof(struct step));
	memcpy(probe->step + at, best->step + at + n, (best->steps - at - n) * sizeof(struct step));
	h->plays++;
	try_list(probe);
	if (strncmp(probe->failure, h->kind, strlen(h->kind)) != 0)
		return false;
	memcpy(best->failure, probe->failure, sizeof(best->failure));
	memcpy(best->step, probe->step, probe->steps * sizeof(struct step));
	best->steps = probe->steps;
	return true;
}

static bool pass(struct hunt *h, uint32_t piece)
{
	bool some = false;

	for (uint32_t end = h->best->steps; end;) {
		uint32_t n = piece < end ? piece : end;

		some |= without(h, end - n, n);
		end -= n;
	}
	return some;
}

/* The step of the failure is the last that matters. */
static void cut_tail(struct hunt *h)
{
	const char *at = strstr(h->best->failure, "(step ");
	uint32_t last = at ? (uint32_t)strtoul(at + 6, NULL, 10) + 1 : h->best->steps;

	if (last < h->best->steps)
		without(h, last, h->best->steps - last);
}

uint32_t shrink(struct verdict *v, uint32_t most)
{
	struct hunt h = {.best = v, .probe = verdict_new(), .most = most};

	h.probe->plant = v->plant;
	snprintf(h.kind, sizeof(h.kind), "%.*s", (int)(strcspn(v->failure, ":") + 1), v->failure);
	cut_tail(&h);
	for (uint32_t piece = v->steps / 2; piece > 1; piece /= 2)
		pass(&h, piece);
	while (pass(&h, 1) && h.plays < most)
		continue;
	munmap(h.probe, sizeof(*h.probe));
	return h.plays;
}
