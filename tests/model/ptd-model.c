/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-model: seeds by the number as TAP with the matrix of operations and results; or a list. */
#include "play.h"

#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BATCH 20

static const char *const row_names[] = {
#define X(name, text) text,
	ROWS(X)
#undef X
};

/* Results that each row can have. */
#define CELL(row, ...) [ROW_##row] = {__VA_ARGS__, RESULTS}
static const uint8_t reachable[ROW_COUNT][20] = {
	CELL(POINT_MAP, PT_MAPPED, PT_ALREADY_MAPPED, PT_PERMISSION_ONLY, PT_NO_MEMORY, PT_QUOTA,
	     PT_MISALIGNED, PT_OVERLAP, PT_UNSUPPORTED, PT_INVALID),
	CELL(POINT_UNMAP, PT_UNMAPPED, PT_HOLE),
	CELL(POINT_PROTECT, PT_ALREADY_MAPPED, PT_RELAXED, PT_HOLE, PT_PROTECTED, PT_UNSUPPORTED,
	     PT_INVALID),
	CELL(MAP, PT_MAPPED, PT_ALREADY_MAPPED, PT_PERMISSION_ONLY, PT_NO_MEMORY, PT_QUOTA,
	     PT_OVERLAP, PT_UNSUPPORTED, PT_INVALID, PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(UNMAP, PT_UNMAPPED, PT_HOLE, PT_NO_MEMORY, PT_QUOTA, PT_GENERATION_MISMATCH,
	     PT_CANCELLED),
	CELL(PROTECT, PT_ALREADY_MAPPED, PT_RELAXED, PT_HOLE, PT_PROTECTED, PT_NO_MEMORY, PT_QUOTA,
	     PT_UNSUPPORTED, PT_INVALID, PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(POINT_WRITE_PROTECT, PT_ALREADY_MAPPED, PT_HOLE, PT_PROTECTED),
	CELL(POINT_RELAX, PT_ALREADY_MAPPED, PT_RELAXED, PT_HOLE, PT_UNSUPPORTED, PT_INVALID),
	CELL(POINT_MAKE_YOUNG, PT_ALREADY_MAPPED, PT_HOLE, PT_MADE_YOUNG),
	CELL(POINT_ANNOTATE, PT_ANNOTATED),
	CELL(POINT_FLUSH, PT_HOLE, PT_FLUSHED),
	CELL(ANNOTATE, PT_ANNOTATED, PT_NO_MEMORY, PT_QUOTA, PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(FLUSH, PT_HOLE, PT_FLUSHED, PT_GENERATION_MISMATCH),
	CELL(WRITE_PROTECT, PT_ALREADY_MAPPED, PT_HOLE, PT_PROTECTED, PT_GENERATION_MISMATCH),
	CELL(RELAX, PT_ALREADY_MAPPED, PT_RELAXED, PT_HOLE, PT_UNSUPPORTED, PT_INVALID,
	     PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(MAKE_YOUNG, PT_ALREADY_MAPPED, PT_HOLE, PT_MADE_YOUNG, PT_GENERATION_MISMATCH),
	CELL(AGE, PT_OK, PT_HOLE, PT_CANCELLED),
	CELL(SPLIT, PT_OK, PT_HOLE, PT_NO_MEMORY, PT_QUOTA, PT_INVALID, PT_CANCELLED),
	CELL(COLLAPSE, PT_OK, PT_HOLE, PT_MISALIGNED, PT_CANCELLED),
	CELL(SWEEP, PT_OK, PT_HOLE, PT_CANCELLED),
	CELL(LOG_START, PT_OK, PT_QUOTA, PT_MISALIGNED, PT_CANCELLED),
	CELL(LOG_READ, PT_OK, PT_HOLE, PT_BUSY, PT_MISALIGNED, PT_OUT_OF_RANGE,
	     PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(LOG_CLEAR, PT_OK, PT_HOLE, PT_BUSY, PT_MISALIGNED, PT_OUT_OF_RANGE,
	     PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(LOG_STOP, PT_OK, PT_HOLE, PT_BUSY),
	CELL(BATCH, PT_MAPPED, PT_ALREADY_MAPPED, PT_RELAXED, PT_UNMAPPED, PT_HOLE,
	     PT_PERMISSION_ONLY, PT_PROTECTED, PT_MADE_YOUNG, PT_ANNOTATED, PT_FLUSHED,
	     PT_NO_MEMORY, PT_QUOTA, PT_OUT_OF_RANGE, PT_MISALIGNED, PT_OVERLAP, PT_UNSUPPORTED,
	     PT_INVALID, PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(VALIDATE, PT_MAPPED, PT_ALREADY_MAPPED, PT_RELAXED, PT_UNMAPPED, PT_HOLE,
	     PT_PERMISSION_ONLY, PT_PROTECTED, PT_ANNOTATED, PT_FLUSHED, PT_NO_MEMORY, PT_QUOTA,
	     PT_OVERLAP, PT_UNSUPPORTED, PT_INVALID, PT_GENERATION_MISMATCH, PT_CANCELLED),
	CELL(CHANGE_SLOT, PT_OK, PT_UNMAPPED, PT_HOLE),
	CELL(READ, PT_OK, PT_NO_SLOT, PT_DENIED, PT_NO_MEMORY, PT_QUOTA, PT_OUT_OF_RANGE,
	     PT_WRONG_OWNER),
	CELL(WRITE, PT_OK, PT_NO_SLOT, PT_READ_ONLY, PT_DENIED, PT_NO_MEMORY, PT_QUOTA,
	     PT_OUT_OF_RANGE, PT_WRONG_OWNER),
	CELL(EXEC, PT_OK, PT_NO_SLOT, PT_DENIED, PT_NO_MEMORY, PT_QUOTA, PT_OUT_OF_RANGE,
	     PT_WRONG_OWNER),
	CELL(AT, PT_OK, PT_NO_SLOT, PT_DENIED, PT_NO_MEMORY, PT_QUOTA, PT_WRONG_OWNER),
	CELL(EXIT, PT_MAPPED, PT_ALREADY_MAPPED, PT_RELAXED, PT_MADE_YOUNG, PT_NO_SLOT,
	     PT_READ_ONLY, PT_DENIED, PT_NO_MEMORY, PT_QUOTA, PT_WRONG_OWNER),
	CELL(FAULT, PT_MAPPED, PT_ALREADY_MAPPED, PT_RELAXED, PT_MADE_YOUNG, PT_NO_SLOT,
	     PT_READ_ONLY, PT_DENIED, PT_QUOTA, PT_OUT_OF_RANGE, PT_WRONG_OWNER),
};

/* Prints the matrix; returns how many reachable cells have less than `least`. */
static unsigned print_matrix(const struct counts *c, uint64_t least)
{
	unsigned thin = 0;

	for (unsigned row = 0; row < ROW_COUNT; row++) {
		printf("# %s:", row_names[row]);
		for (unsigned o = 0; o < RESULTS; o++)
			if (c->cell[row][o])
				printf(" %s %" PRIu64, outcome_name(o), c->cell[row][o]);
		printf("\n");
		for (unsigned i = 0; reachable[row][i] != RESULTS; i++) {
			if (c->cell[row][reachable[row][i]] >= least)
				continue;
			thin++;
			printf("# too few: %s with %s\n", row_names[row],
			       outcome_name(reachable[row][i]));
		}
	}
	return thin;
}

/* Processor time of the plays, since others may use the machine. */
static void print_counts(const struct counts *c)
{
	struct rusage used;
	double seconds;

	getrusage(RUSAGE_CHILDREN, &used);
	seconds = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
		  (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
	printf("# %" PRIu64 " operations in %.1f s of processor time, %.0f a minute; %" PRIu64
	       " plays, %" PRIu64 " steps, %" PRIu64 " of them of operations under way; %" PRIu64
	       " descriptors compared\n",
	       c->requests, seconds, 60 * (double)c->requests / seconds, c->plays, c->steps,
	       c->in_flight, c->compared);
	printf("# TLBs: %" PRIu64 " translations kept, %" PRIu64 " served, %" PRIu64
	       " of them stale, %" PRIu64 " invalidated\n",
	       c->kept, c->served, c->stale, c->invalidated);
}

static void report(struct verdict *v, bool small)
{
	const char *path = getenv("PTD_REPLAY_OUT");
	uint32_t before = v->steps, plays = 0;
	char line[1024];

	printf("# seed %" PRIu64 " fails: %s\n", v->seed, v->failure);
	if (small)
		plays = shrink(v, 3000);
	printf("# %u steps, %u after %u plays: %s\n", before, v->steps, plays, v->failure);
	path = path ? path : "ptd-model.replay";
	if (script_save(path, v))
		printf("# saved: ptd-model --replay %s\n", path);
	for (uint32_t i = 0; i < v->steps && v->steps <= 60; i++) {
		script_line(line, sizeof(line), &v->step[i]);
		printf("#   %s\n", line);
	}
}

/* ---- TAP ---- */

static unsigned number, failed;

static void result(bool good, const char *format, ...)
{
	va_list args;

	failed += !good;
	printf("%sok %u - ", good ? "" : "not ", ++number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static bool run_seeds(struct verdict *v, uint64_t seed, uint64_t count, bool small)
{
	for (uint64_t from = 0; from < count; from += BATCH) {
		uint64_t n = count - from < BATCH ? count - from : BATCH;

		try_seeds(seed + from, n, v);
		if (v->failure[0])
			report(v, small);
		result(!v->failure[0], "seeds %" PRIu64 " to %" PRIu64, seed + from,
		       seed + from + n - 1);
		if (v->failure[0])
			return false;
	}
	return true;
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

/* Every list of the folder, in the order of their names. */
static unsigned corpus_of(const char *folder, glob_t *lists)
{
	char pattern[512];

	snprintf(pattern, sizeof(pattern), "%s/*.replay", folder);
	return glob(pattern, 0, NULL, lists) == 0 ? (unsigned)lists->gl_pathc : 0;
}

static int run_all(uint64_t seed, uint64_t seeds, uint64_t least, bool small)
{
	const char *folder = getenv("PTD_CORPUS");
	struct verdict *v = verdict_new();
	uint64_t batches = (seeds + BATCH - 1) / BATCH;
	glob_t lists = {0};
	unsigned corpus = folder ? corpus_of(folder, &lists) : 0;

	printf("PTD_SEED=%" PRIu64 " PTD_SEEDS=%" PRIu64 "\n1..%" PRIu64 "\n", seed, seeds,
	       batches + corpus + (folder != NULL) + 2 * (least != 0));
	if (folder)
		result(corpus != 0, "%s has lists: %u", folder, corpus);
	for (unsigned i = 0; i < corpus; i++)
		run_list(v, lists.gl_pathv[i]);
	v->counts = (struct counts){0};
	if (!run_seeds(v, seed, seeds, small))
		return 1;
	print_counts(&v->counts);
	if (least)
		result(v->counts.kept && v->counts.served && v->counts.stale &&
			       v->counts.invalidated,
		       "TLBs kept translations, served stale ones, and lost them to invalidations");
	if (least)
		result(print_matrix(&v->counts, least) == 0,
		       "each operation had each result that it can have, %" PRIu64 " times or more",
		       least);
	else
		print_matrix(&v->counts, 0);
	return failed != 0;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'}, {"seeds", required_argument, NULL, 'n'},
		{"replay", no_argument, NULL, 'r'},	{"least", required_argument, NULL, 'l'},
		{"no-shrink", no_argument, NULL, 'x'},	{NULL, 0, NULL, 0},
	};
	uint64_t seed = setting("PTD_SEED", 1), seeds = setting("PTD_SEEDS", 240);
	uint64_t least = setting("PTD_LEAST", 0);
	bool replay = false, small = true;

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': seeds = strtoull(optarg, NULL, 0); break;
		case 'l': least = strtoull(optarg, NULL, 0); break;
		case 'x': small = false; break;
		case 'r': replay = true; break;
		default: return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!replay)
		return run_all(seed, seeds, least, small);
	printf("1..%d\n", argc - optind);
	for (int i = optind; i < argc; i++)
		run_list(verdict_new(), argv[i]);
	return failed != 0;
}
