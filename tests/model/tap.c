/* SPDX-License-Identifier: BSD-2-Clause */
/* Seeds by the number, or lists, as TAP; what fails is shrunk, printed and saved. */
#ifndef HUNT_PLAY
#define HUNT_PLAY "play.h"
#endif
#include HUNT_PLAY

#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BATCH 20 /* seeds that a process plays */

uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

bool ask(struct asked *a, struct verdict *v, const char *count, int argc, char **argv)
{
	const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{count, required_argument, NULL, 'n'},
		{"replay", no_argument, NULL, 'r'},
		{"least", required_argument, NULL, 'l'},
		{"plant", required_argument, NULL, 'p'},
		{"no-shrink", no_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 's': a->seed = strtoull(optarg, NULL, 0); break;
		case 'n': a->count = strtoull(optarg, NULL, 0); break;
		case 'l': a->least = strtoull(optarg, NULL, 0); break;
		case 'p': v->plant = (enum plant)strtoul(optarg, NULL, 0); break;
		case 'x': a->as_is = true; break;
		case 'r': a->replay = true; break;
		default: return false;
		}
	}
	return true;
}

static unsigned number, failed;

void result(bool good, const char *format, ...)
{
	va_list args;

	failed += !good;
	printf("%sok %u - ", good ? "" : "not ", ++number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int tap_end(void)
{
	return failed != 0;
}

static void run_list(struct verdict *v, const char *path)
{
	if (script_load(path, v))
		try_list(v);
	else
		snprintf(v->failure, sizeof(v->failure), "list: cannot be read");
	if (v->failure[0])
		printf("# %s\n", v->failure);
	result(!v->failure[0], "%s", path);
}

int run_lists(struct verdict *v, int lists, char **path)
{
	printf("1..%d\n", lists);
	for (int i = 0; i < lists; i++)
		run_list(v, path[i]);
	return tap_end();
}

static void report(struct verdict *v, const struct asked *a)
{
	const char *path = getenv("PTD_REPLAY_OUT");
	uint32_t before = v->steps, plays = 0;
	char line[STEP_TEXT];

	printf("# seed %" PRIu64 " fails: %s\n", v->seed, v->failure);
	/* What it says on stderr would be the same again, play for play. */
	if (!a->as_is && freopen("/dev/null", "w", stderr))
		plays = shrink(v, 3000);
	printf("# %u steps, %u after %u plays: %s\n", before, v->steps, plays, v->failure);
	snprintf(line, sizeof(line), "%s.replay", a->name);
	path = path ? path : line;
	if (script_save(path, v))
		printf("# saved: %s --replay %s\n", a->name, path);
	for (uint32_t i = 0; i < v->steps && v->steps <= 60; i++) {
		script_line(line, sizeof(line), &v->step[i]);
		printf("#   %s\n", line);
	}
}

static bool run_seeds(struct verdict *v, const struct asked *a, uint64_t seeds)
{
	for (uint64_t at = 0; at < seeds; at += BATCH) {
		uint64_t from = a->seed + at, n = seeds - at < BATCH ? seeds - at : BATCH;

		try_seeds(from, n, v);
		if (v->failure[0])
			report(v, a);
		result(!v->failure[0], "seeds %" PRIu64 " to %" PRIu64, from, from + n - 1);
		if (v->failure[0])
			return false;
	}
	return true;
}

bool run_plays(struct verdict *v, const struct asked *a, const char *folder, uint64_t seeds,
	       unsigned more)
{
	char pattern[512];
	glob_t lists = {0};

	snprintf(pattern, sizeof(pattern), "%s/*.replay", folder ? folder : "");
	if (folder && glob(pattern, 0, NULL, &lists) != 0)
		lists.gl_pathc = 0;
	printf("1..%" PRIu64 "\n",
	       (folder != NULL) + lists.gl_pathc + (seeds + BATCH - 1) / BATCH + more);
	if (folder)
		result(lists.gl_pathc != 0, "%s has lists: %zu", folder, lists.gl_pathc);
	for (size_t i = 0; i < lists.gl_pathc; i++)
		run_list(v, lists.gl_pathv[i]);
	globfree(&lists);
	v->counts = (struct counts){0};
	return run_seeds(v, a, seeds);
}

unsigned print_row(const char *name, const uint64_t *cell, const uint8_t *reachable, uint64_t least)
{
	unsigned thin = 0;

	printf("# %s:", name);
	for (unsigned o = 0; o < RESULTS; o++)
		if (cell[o])
			printf(" %s %" PRIu64, outcome_name(o), cell[o]);
	printf("\n");
	for (; *reachable != RESULTS; reachable++) {
		if (cell[*reachable] >= least)
			continue;
		thin++;
		printf("# too few: %s with %s\n", name, outcome_name(*reachable));
	}
	return thin;
}

double played_seconds(void)
{
	struct rusage used;

	getrusage(RUSAGE_CHILDREN, &used);
	return (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
	       (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
}
