/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-own: random transitions of ownership beside the model, as TAP with the matrix of transitions
 * and answers; or lists. */
#include <getopt.h>
#include <inttypes.h>

#include "own/play.h"

#define PLAY_STEPS 4000

/* Answers that each step can have. */
#define CELL(verb, ...) [V_##verb] = {__VA_ARGS__, RESULTS}
#define BY_FRAME                                                                                   \
	PT_OK, PT_WRONG_OWNER, PT_WRONG_STATE, PT_CANCELLED, PT_INVALID, PT_MISALIGNED,            \
		PT_OUT_OF_RANGE
#define BY_GUEST                                                                                   \
	PT_OK, PT_NOT_FOUND, PT_NOT_MAPPED, PT_WRONG_OWNER, PT_WRONG_STATE, PT_NO_MEMORY,          \
		PT_CANCELLED, PT_INVALID, PT_MISALIGNED, PT_POISONED
static const uint8_t reachable[VERB_COUNT][CELLS_MOST] = {
	CELL(SHARE_HYP, BY_FRAME, PT_BUSY, PT_NO_MEMORY),
	CELL(UNSHARE_HYP, BY_FRAME, PT_BUSY),
	CELL(PIN, BY_FRAME),
	CELL(UNPIN, BY_FRAME),
	CELL(DONATE_HYP, BY_FRAME, PT_BUSY, PT_NO_MEMORY),
	CELL(RETURN_HYP, PT_OK, PT_WRONG_OWNER, PT_CANCELLED, PT_INVALID, PT_MISALIGNED,
	     PT_OUT_OF_RANGE),
	CELL(SHARE_THIRD, BY_FRAME, PT_BUSY, PT_NO_MEMORY),
	CELL(UNSHARE_THIRD, BY_FRAME),
	CELL(SHARE_GUEST, BY_FRAME, PT_BUSY, PT_NOT_FOUND, PT_NO_MEMORY, PT_QUOTA),
	CELL(UNSHARE_GUEST, BY_GUEST, PT_QUOTA),
	CELL(DONATE_GUEST, BY_FRAME, PT_BUSY, PT_NOT_FOUND, PT_POISONED, PT_NO_MEMORY, PT_QUOTA),
	CELL(SHARE_BACK, BY_GUEST, PT_BUSY, PT_TOO_LARGE),
	CELL(UNSHARE_BACK, BY_GUEST),
	CELL(BALLOON, BY_GUEST, PT_BUSY),
	CELL(FORCE_RECLAIM, BY_FRAME, PT_BUSY),
	CELL(RECLAIM_DYING, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE, PT_NO_MEMORY, PT_QUOTA,
	     PT_CANCELLED),
	CELL(TOP_UP, BY_FRAME, PT_BUSY, PT_NOT_FOUND),
	CELL(RECLAIM_TABLES, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(RESERVE, PT_OK, PT_BUSY),
	CELL(CREATE, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(TEARDOWN, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(FINALIZE, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(LEND, PT_OK, PT_INVALID, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(PIECE, PT_OK, PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_STATE, PT_INVALID, PT_CANCELLED),
	CELL(EXPIRE, PT_OK, PT_NOT_FOUND, PT_WRONG_STATE),
	CELL(RETRIEVE, PT_OK, PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_STATE, PT_CANCELLED),
	CELL(RELINQUISH, PT_OK, PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_STATE, PT_CANCELLED),
	CELL(TAKE_BACK, PT_OK, PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_STATE, PT_BUSY, PT_CANCELLED),
	CELL(MAP, PT_MAPPED, PT_ALREADY_MAPPED, PT_WRONG_OWNER),
	CELL(UNMAP, PT_UNMAPPED, PT_HOLE, PT_WRONG_OWNER),
	CELL(LOG, PT_OK),
	CELL(QUOTA, PT_OK),
};

/* Returns how many reachable cells have less than `least`. */
static unsigned print_matrix(const struct counts *c, uint64_t least)
{
	unsigned thin = 0;

	for (unsigned verb = V_NONE + 1; verb < VERB_COUNT; verb++)
		thin += print_row(verb_names[verb], c->cell[verb], reachable[verb], least);
	return thin;
}

static void print_counts(const struct counts *c)
{
	double seconds = played_seconds();

	printf("# %" PRIu64 " transitions in %.1f s of processor time, %.0f a second; %" PRIu64
	       " steps, %" PRIu64 " plays, %" PRIu64 " of mixed granules; %" PRIu64
	       " pages compared\n",
	       c->transitions, seconds, (double)c->transitions / seconds, c->requests, c->plays,
	       c->mixed, c->pages);
	printf("# %" PRIu64 " guests died during a transition, %" PRIu64
	       " times memory was short, %" PRIu64 " of several ranges passed, %" PRIu64
	       " were in too many pieces\n",
	       c->deaths, c->room, c->several, c->in_pieces);
	for (unsigned i = 0; i < PT_RULES; i++)
		if (c->judged[i])
			printf("# %-2s %10" PRIu64 "  %s\n", pt_rule_name(i), c->judged[i],
			       pt_rule_text(i));
}

static int run_all(struct verdict *v, const struct asked *a)
{
	bool rules = setting("PTD_OWN_RULES", 0); /* over the checked lib */
	const struct counts *c = &v->counts;

	printf("PTD_SEED=%" PRIu64 " PTD_OPERATIONS=%" PRIu64 "\n", a->seed, a->count);
	v->wanted = PLAY_STEPS;
	if (!run_plays(v, a, getenv("PTD_OWN_CORPUS"), (a->count + PLAY_STEPS - 1) / PLAY_STEPS,
		       2 * (a->least != 0) + rules))
		return 1;
	print_counts(c);
	if (rules)
		result(c->judged[PT_RULE_O1] && c->judged[PT_RULE_O2] && c->judged[PT_RULE_O3] &&
			       c->judged[PT_RULE_O4],
		       "the checker judged the rules of owners");
	if (a->least)
		result(c->deaths >= a->least && c->room >= a->least && c->several >= a->least &&
			       c->mixed >= 1 && c->in_pieces >= 1,
		       "guests died, memory was short, granules were mixed, ranges were several and in pieces");
	if (a->least)
		result(print_matrix(c, a->least) == 0,
		       "each transition had each answer that it can have, %" PRIu64
		       " times or more",
		       a->least);
	else
		print_matrix(c, 0);
	return tap_end();
}

int main(int argc, char **argv)
{
	struct asked a = {.name = "ptd-own",
			  .seed = setting("PTD_SEED", 1),
			  .count = setting("PTD_OPERATIONS", 200000),
			  .least = setting("PTD_OWN_LEAST", 0)};
	struct verdict *v = verdict_new();

	setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion that fails says so, and is a crash */
	if (!ask(&a, v, "operations", argc, argv))
		return 2;
	return a.replay ? run_lists(v, argc - optind, argv + optind) : run_all(v, &a);
}
