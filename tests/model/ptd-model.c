/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-model: seeds by the number as TAP with the matrix of operations and results; or a list. */
#include "play.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const row_names[] = {
#define X(name, text) text,
	ROWS(X)
#undef X
};

/* Results that each row can have. */
#define CELL(row, ...) [ROW_##row] = {__VA_ARGS__, RESULTS}
static const uint8_t reachable[ROW_COUNT][CELLS_MOST] = {
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

/* Returns how many reachable cells have less than `least`. */
static unsigned print_matrix(const struct counts *c, uint64_t least)
{
	unsigned thin = 0;

	for (unsigned row = 0; row < ROW_COUNT; row++)
		thin += print_row(row_names[row], c->cell[row], reachable[row], least);
	return thin;
}

static void print_counts(const struct counts *c)
{
	double seconds = played_seconds();

	printf("# %" PRIu64 " operations in %.1f s of processor time, %.0f a minute; %" PRIu64
	       " plays, %" PRIu64 " steps, %" PRIu64 " of them of operations under way; %" PRIu64
	       " descriptors compared\n",
	       c->requests, seconds, 60 * (double)c->requests / seconds, c->plays, c->steps,
	       c->in_flight, c->compared);
	printf("# TLBs: %" PRIu64 " translations kept, %" PRIu64 " served, %" PRIu64
	       " of them stale, %" PRIu64 " invalidated\n",
	       c->kept, c->served, c->stale, c->invalidated);
}

static int run_all(struct verdict *v, const struct asked *a)
{
	printf("PTD_SEED=%" PRIu64 " PTD_SEEDS=%" PRIu64 "\n", a->seed, a->count);
	if (!run_plays(v, a, getenv("PTD_CORPUS"), a->count, 2 * (a->least != 0)))
		return 1;
	print_counts(&v->counts);
	if (a->least)
		result(v->counts.kept && v->counts.served && v->counts.stale &&
			       v->counts.invalidated,
		       "TLBs kept translations, served stale ones, and lost them to invalidations");
	if (a->least)
		result(print_matrix(&v->counts, a->least) == 0,
		       "each operation had each result that it can have, %" PRIu64 " times or more",
		       a->least);
	else
		print_matrix(&v->counts, 0);
	return tap_end();
}

int main(int argc, char **argv)
{
	struct asked a = {.name = "ptd-model",
			  .seed = setting("PTD_SEED", 1),
			  .count = setting("PTD_SEEDS", 240),
			  .least = setting("PTD_LEAST", 0)};
	struct verdict *v = verdict_new();

	if (!ask(&a, v, "seeds", argc, argv))
		return 2;
	return a.replay ? run_lists(v, argc - optind, argv + optind) : run_all(v, &a);
}
