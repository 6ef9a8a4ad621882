/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd-own: random transitions of ownership beside the model, as TAP with the matrix of transitions
 * and answers; or lists. */
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/resource.h>

#include "own/play.h"

#define BATCH	   20
#define PLAY_STEPS 4000

/* Answers that each step can have. */
#define CELL(verb, ...) [V_##verb] = {__VA_ARGS__, RESULTS}
#define BY_FRAME                                                                                   \
	PT_OK, PT_WRONG_OWNER, PT_WRONG_STATE, PT_CANCELLED, PT_INVALID, PT_MISALIGNED,            \
		PT_OUT_OF_RANGE
#define BY_GUEST                                                                                   \
	PT_OK, PT_NOT_FOUND, PT_NOT_MAPPED, PT_WRONG_OWNER, PT_WRONG_STATE, PT_NO_MEMORY,          \
		PT_CANCELLED, PT_INVALID, PT_MISALIGNED, PT_POISONED
static const uint8_t reachable[VERB_COUNT][16] = {
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

/* Prints the matrix; returns how many reachable cells have less than `least`. */
static unsigned print_matrix(const struct counts *c, uint64_t least)
{
	unsigned thin = 0;

	for (unsigned verb = V_NONE + 1; verb < VERB_COUNT; verb++) {
		printf("# %s:", verb_names[verb]);
		for (unsigned o = 0; o < RESULTS; o++)
			if (c->cell[verb][o])
				printf(" %s %" PRIu64, outcome_name(o), c->cell[verb][o]);
		printf("\n");
		for (unsigned i = 0; reachable[verb][i] != RESULTS; i++) {
			if (c->cell[verb][reachable[verb][i]] >= least)
				continue;
			thin++;
			printf("# too few: %s with %s\n", verb_names[verb],
			       outcome_name(reachable[verb][i]));
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

static void report(struct verdict *v, bool small)
{
	const char *path = getenv("PTD_REPLAY_OUT");
	uint32_t before = v->steps, plays = 0;
	char line[400];

	printf("# seed %" PRIu64 " fails: %s\n", v->seed, v->failure);
	if (small && freopen("/dev/null", "w", stderr)) /* its assertions are the same again */
		plays = shrink(v, 3000);
	printf("# %u steps, %u after %u plays: %s\n", before, v->steps, plays, v->failure);
	path = path ? path : "ptd-own.replay";
	if (script_save(path, v))
		printf("# saved: ptd-own --replay %s\n", path);
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
		if (!v->failure[0])
			continue;
		report(v, small);
		result(false, "seed %" PRIu64, v->seed);
		return false;
	}
	result(true, "seeds %" PRIu64 " to %" PRIu64, seed, seed + count - 1);
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

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static int run_all(struct verdict *v, uint64_t seed, uint64_t operations, uint64_t least,
		   bool small)
{
	const char *folder = getenv("PTD_OWN_CORPUS");
	bool rules = setting("PTD_OWN_RULES", 0); /* over the checked lib */
	uint64_t plays = (operations + PLAY_STEPS - 1) / PLAY_STEPS;
	char pattern[512];
	glob_t lists = {0};

	snprintf(pattern, sizeof(pattern), "%s/*.replay", folder ? folder : "");
	if (folder && glob(pattern, 0, NULL, &lists) != 0)
		lists.gl_pathc = 0;
	printf("PTD_SEED=%" PRIu64 " PTD_OPERATIONS=%" PRIu64 "\n1..%zu\n", seed, operations,
	       1 + lists.gl_pathc + (folder != NULL) + 2 * (least != 0) + rules);
	if (folder)
		result(lists.gl_pathc != 0, "%s has lists: %zu", folder, lists.gl_pathc);
	for (size_t i = 0; i < lists.gl_pathc; i++)
		run_list(v, lists.gl_pathv[i]);
	v->counts = (struct counts){0};
	v->wanted = PLAY_STEPS;
	if (!run_seeds(v, seed, plays, small))
		return 1;
	print_counts(&v->counts);
	if (rules)
		result(v->counts.judged[PT_RULE_O1] && v->counts.judged[PT_RULE_O2] &&
			       v->counts.judged[PT_RULE_O3] && v->counts.judged[PT_RULE_O4],
		       "the checker judged the rules of owners");
	if (least)
		result(v->counts.deaths >= least && v->counts.room >= least &&
			       v->counts.several >= least && v->counts.mixed >= 1 &&
			       v->counts.in_pieces >= 1,
		       "guests died, memory was short, granules were mixed, ranges were several and in pieces");
	if (least)
		result(print_matrix(&v->counts, least) == 0,
		       "each transition had each answer that it can have, %" PRIu64
		       " times or more",
		       least);
	else
		print_matrix(&v->counts, 0);
	return failed != 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"operations", required_argument, NULL, 'n'},
		{"replay", no_argument, NULL, 'r'},
		{"least", required_argument, NULL, 'l'},
		{"plant", required_argument, NULL, 'p'},
		{"no-shrink", no_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seed = setting("PTD_SEED", 1), operations = setting("PTD_OPERATIONS", 200000);
	uint64_t least = setting("PTD_OWN_LEAST", 0);
	struct verdict *v = verdict_new();
	bool replay = false, small = true;

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': operations = strtoull(optarg, NULL, 0); break;
		case 'l': least = strtoull(optarg, NULL, 0); break;
		case 'p': v->plant = (enum plant)strtoul(optarg, NULL, 0); break;
		case 'x': small = false; break;
		case 'r': replay = true; break;
		default: return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion that fails says so, and is a crash */
	if (!replay)
		return run_all(v, seed, operations, least, small);
	printf("1..%d\n", argc - optind);
	for (int i = optind; i < argc; i++)
		run_list(v, argv[i]);
	return failed != 0;
}
