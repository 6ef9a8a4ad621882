/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No step is long, whatever the range: at most BUDGET descriptor visits and a table more, and 200
 * us of a thread's CPU time. Built with PT_CHECKED it counts the visits at the seam, otherwise it
 * takes the time: the longest step of each operation. The machine is shared, and each round has a
 * step that others disturb; but a step does the same in every round, so the least of its times is
 * what it takes.
 */
#include "core.h"

#include <pt/dirty.h>
#include <pt/upkeep.h>

#include <time.h>

#define BUDGET	11000u /* as the daemon's STEP_VISITS */
#define MOST	20000u
#define STEP_US 200.0
#ifdef PT_CHECKED
#define CHECKED true
#define ROUNDS	1
#else
#define CHECKED false
#define ROUNDS	20
#endif
#define ENOUGH	    3
#define TABLE_BYTES (UINT64_C(96) << 20)
#define GIB	    (UINT64_C(1) << 30)

#define STEPS_MOST 4096

struct step {
	unsigned row;
	double cpu, wall; /* us */
	uint64_t visits;
};

/* The steps of a round in their order, of all rounds so far the least times and the most visits. */
static struct {
	struct step step[STEPS_MOST];
	unsigned row;	/* that is run; ROWS: the freeing of what was retired */
	unsigned count; /* of this round */
	unsigned total; /* of each; 0 in the first */
} steps;

static void keep(const struct step *now)
{
	struct step *best = &steps.step[steps.count++];

	assert_true(steps.count <= STEPS_MOST);
	if (!steps.total)
		*best = *now;
	assert_int_equal(best->row, now->row);
	best->cpu = now->cpu < best->cpu ? now->cpu : best->cpu;
	best->wall = now->wall < best->wall ? now->wall : best->wall;
	best->visits = now->visits > best->visits ? now->visits : best->visits;
}

static double now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

#ifdef PT_CHECKED
/* Descriptors visited in this step: each once, however often it is read, and stored to. */
static uint64_t visits;
static uint32_t turn, seen_in[TABLE_BYTES / sizeof(pt_pte)];
static uint64_t first_slot;

static void count(const struct pt_event *event)
{
	uint64_t slot = event->at / sizeof(pt_pte) - first_slot;

	if (event->kind != PT_EVENT_LOAD && event->kind != PT_EVENT_PRIVATE &&
	    event->kind != PT_EVENT_INIT)
		return;
	assert_true(slot < TABLE_BYTES / sizeof(pt_pte));
	visits += seen_in[slot] != turn;
	seen_in[slot] = turn;
}

static void begin_count(const struct core *c)
{
	visits = 0;
	turn++;
	first_slot = (uintptr_t)c->port.table_va / sizeof(pt_pte);
	pt_host_event_hook = count;
}

static uint64_t end_count(void)
{
	pt_host_event_hook = NULL;
	return visits;
}
#else
static void begin_count(const struct core *c)
{
	(void)c;
}

static uint64_t end_count(void)
{
	return 0;
}
#endif

/* What is stepped: one of them, or neither for the freeing of what was retired. */
struct job {
	struct pt_txn *txn;
	struct pt_upkeep *upkeep;
	struct pt_dirty *dirty;
	struct pt_digest *digest;
};

static enum pt_outcome step(struct core *c, const struct job *job)
{
	if (job->txn)
		return pt_txn_step(job->txn, &c->agent, BUDGET);
	if (job->upkeep)
		return pt_upkeep_step(job->upkeep, &c->agent, BUDGET);
	if (job->dirty)
		return pt_dirty_step(job->dirty, &c->agent, BUDGET);
	if (job->digest)
		return pt_digest_step(job->digest, BUDGET);
	return pt_reclaim(&c->agent) ? PT_MORE : PT_OK;
}

static void run(struct core *c, const struct job *job)
{
	enum pt_outcome outcome;

	do {
		double cpu = now_us(CLOCK_THREAD_CPUTIME_ID), wall = now_us(CLOCK_MONOTONIC);
		struct step now = {.row = steps.row};

		begin_count(c);
		pt_section_begin(&c->agent);
		outcome = step(c, job);
		pt_section_end(&c->agent);
		now.visits = end_count();
		now.cpu = now_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
		now.wall = now_us(CLOCK_MONOTONIC) - wall;
		keep(&now);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
}

enum what { ITEM, UPKEEP, DIRTY, DIGEST, TEARDOWN };

/* clang-format off */
#define ITEM_ROW(text, k, at, bytes, ...) \
	{.name = (text), .what = ITEM, .kind = PT_ITEM_##k, .ipa = (at), .size = (bytes), __VA_ARGS__}
#define UPKEEP_ROW(text, k, bytes, ...) \
	{.name = (text), .what = UPKEEP, .kind = PT_UPKEEP_##k, .size = (bytes), __VA_ARGS__}
#define DIRTY_ROW(text, k, ...) \
	{.name = (text), .what = DIRTY, .kind = PT_DIRTY_##k, .size = LOGGED, __VA_ARGS__}
#define LOGGED	(64 * GIB)
#define TIB	(UINT64_C(1) << 40) /* at 64K, where it takes pages, 64 GiB */
#define PAGES	.prot = PT_PROT_RW, .flags = PT_MAP_FORCE_PAGES

static const struct row {
	const char *name;
	enum what what;
	uint32_t kind;
	uint64_t ipa, size, pa;
	uint32_t prot, flags;
	bool validate_only, clear;
	int8_t level;
} rows[] = {
	ITEM_ROW("map 1 GiB of pages", MAP, 0, GIB, PAGES),
	ITEM_ROW("the same again", MAP, 0, GIB, PAGES),
	ITEM_ROW("protect", PROTECT, 0, GIB, .prot = PT_PROT_R),
	ITEM_ROW("relax", RELAX, 0, GIB, .prot = PT_PROT_W),
	ITEM_ROW("write-protect", WRITE_PROTECT, 0, GIB, .prot = 0),
	UPKEEP_ROW("age, test", AGE, GIB, .clear = false),
	UPKEEP_ROW("age, test and clear", AGE, GIB, .clear = true),
	ITEM_ROW("make young", MAKE_YOUNG, 0, GIB, .prot = 0),
	ITEM_ROW("validate an unmap", UNMAP, 0, GIB, .validate_only = true),
	ITEM_ROW("validate a block over pages", MAP, 0, GIB, .prot = PT_PROT_RW, .flags = PT_MAP_REPLACE,
		 .validate_only = true),
	ITEM_ROW("replace by other pages", MAP, 0, GIB, .pa = GIB, .prot = PT_PROT_RW,
		 .flags = PT_MAP_REPLACE | PT_MAP_FORCE_PAGES),
	{.name = "digest", .what = DIGEST},
	UPKEEP_ROW("collapse", COLLAPSE, GIB, .clear = false),
	UPKEEP_ROW("split", SPLIT, GIB, .level = PT_LEVEL_LAST),
	ITEM_ROW("replace by blocks", MAP, 0, GIB, .prot = PT_PROT_RW, .flags = PT_MAP_REPLACE),
	UPKEEP_ROW("split again", SPLIT, GIB, .level = PT_LEVEL_LAST),
	ITEM_ROW("unmap", UNMAP, 0, GIB, .prot = 0),
	ITEM_ROW("validate an annotation", ANNOTATE, 0, GIB, .pa = UINT64_C(2) << 60, .validate_only = true),
	ITEM_ROW("annotate", ANNOTATE, 0, GIB, .pa = UINT64_C(2) << 60),
	ITEM_ROW("annotate again", ANNOTATE, 0, GIB, .pa = UINT64_C(2) << 60 | 2),
	ITEM_ROW("unmap annotations", UNMAP, 0, GIB, .prot = 0),
	ITEM_ROW("map 1 TiB as 2 MiB blocks", MAP, 0, TIB - PT_SZ_2M, .pa = PT_SZ_2M, .prot = PT_PROT_RW),
	ITEM_ROW("protect it", PROTECT, 0, TIB - PT_SZ_2M, .prot = PT_PROT_R),
	ITEM_ROW("unmap all but its ends", UNMAP, PT_SZ_64K, TIB - PT_SZ_2M - 2 * PT_SZ_64K, .prot = 0),
	UPKEEP_ROW("sweep the space", SWEEP, TIB, .clear = false),
	DIRTY_ROW("log 64 GiB dirty", START, .clear = true),
	ITEM_ROW("map them as the largest blocks", MAP, 0, LOGGED, .prot = PT_PROT_RW,
		 .flags = PT_MAP_REPLACE),
	DIRTY_ROW("get and clear it", GET, .clear = true),
	DIRTY_ROW("get nothing", GET, .clear = true),
	ITEM_ROW("replace them", MAP, 0, LOGGED, .pa = LOGGED, .prot = PT_PROT_RW, .flags = PT_MAP_REPLACE),
	ITEM_ROW("protect them", PROTECT, 0, LOGGED, .prot = PT_PROT_R),
	ITEM_ROW("relax them", RELAX, 0, LOGGED, .prot = PT_PROT_W),
	ITEM_ROW("unmap them", UNMAP, 0, LOGGED, .prot = 0),
	DIRTY_ROW("stop the log", STOP, .clear = false),
	ITEM_ROW("map 1 GiB of pages once more", MAP, GIB, GIB, PAGES),
	{.name = "tear down", .what = TEARDOWN},
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint64_t size_of(const struct core *c, const struct row *row)
{
	bool large = c->ctx.geo.granule_shift == 16 && row->size > TIB / 2;

	return large ? row->size - TIB + 64 * GIB : row->size;
}

static void run_item(struct core *c, const struct row *row)
{
	struct pt_item item = {.ctx = &c->ctx,
			       .ipa = {row->ipa},
			       .size = size_of(c, row),
			       .pa = {row->pa},
			       .prot = row->prot,
			       .flags = row->flags,
			       .kind = row->kind};
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_item_check(&item));
	ASSERT_OUTCOME(PT_OK, pt_txn_init(&txn, &item, 1, 0, row->validate_only, NULL));
	run(c, &(struct job){.txn = &txn});
}

static struct pt_dirty_log dirty_log;
static uint8_t bitmap[LOGGED / PT_SZ_4K / 8];
static uint64_t log_words[LOGGED / PT_SZ_4K / 64 * 2];

/* The memory has been touched before: the kernel's zeroing of it is no part of a step. */
static void run_dirty(struct core *c, const struct row *row)
{
	struct pt_dirty_args args = {.kind = row->kind,
				     .log = &dirty_log,
				     .ctx = &c->ctx,
				     .size = row->size,
				     .memory = log_words,
				     .clear = row->clear,
				     .generation = dirty_log.generation,
				     .bitmap = bitmap};
	struct pt_dirty dirty;

	memset(bitmap, 0, sizeof(bitmap));
	if (row->kind == PT_DIRTY_START)
		memset(log_words, 0, sizeof(log_words));
	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&dirty, &args, NULL));
	run(c, &(struct job){.dirty = &dirty});
}

static void run_row(struct core *c, const struct row *row)
{
	struct pt_upkeep_args args = {.ctx = &c->ctx,
				      .kind = row->kind,
				      .ipa = {row->ipa},
				      .size = size_of(c, row),
				      .clear = row->clear,
				      .level = row->level};
	struct pt_upkeep upkeep;
	struct pt_digest digest;
	struct pt_txn txn;

	switch (row->what) {
	case ITEM: run_item(c, row); break;
	case UPKEEP:
		ASSERT_OUTCOME(PT_OK, pt_upkeep_init(&upkeep, &args, NULL));
		run(c, &(struct job){.upkeep = &upkeep});
		ASSERT_OUTCOME(PT_OK, upkeep.stopped);
		break;
	case DIRTY: run_dirty(c, row); break;
	case DIGEST:
		pt_digest_begin(&digest, &c->ctx);
		run(c, &(struct job){.digest = &digest});
		break;
	case TEARDOWN:
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &c->ctx, NULL));
		run(c, &(struct job){.txn = &txn});
		c->ctx.machine = NULL;
		break;
	}
}

static void one_round(const struct shape *shape)
{
	struct core c;

	steps.count = 0;
	core_open_bytes(&c, shape, TABLE_BYTES, false);
	for (unsigned i = 0; i < ROWS; i++) {
		steps.row = i;
		run_row(&c, &rows[i]);
		steps.row = ROWS;
		run(&c, &(struct job){0});
	}
	core_close(&c);
	assert_true(!steps.total || steps.total == steps.count);
	steps.total = steps.count;
}

static bool any_too_long(void)
{
	for (unsigned i = 0; i < steps.total; i++)
		if (CHECKED ? steps.step[i].visits > MOST : steps.step[i].cpu > STEP_US)
			return true;
	return false;
}

/* The longest step of a row, by each measure. */
static void tell(unsigned row)
{
	struct step most = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < steps.total; i++) {
		const struct step *s = &steps.step[i];

		if (s->row != row)
			continue;
		n++;
		most.cpu = s->cpu > most.cpu ? s->cpu : most.cpu;
		most.wall = s->wall > most.wall ? s->wall : most.wall;
		most.visits = s->visits > most.visits ? s->visits : most.visits;
	}
	print_message("%-32s %3u steps, longest %6.1f us of CPU, %6.1f us of wall, %llu visits\n",
		      row < ROWS ? rows[row].name : "free what was retired", n, most.cpu, most.wall,
		      (unsigned long long)most.visits);
}

static void measure(const struct shape *shape)
{
	unsigned round = 0;

	steps.total = 0;
	do
		one_round(shape);
	while (++round < ROUNDS && (round < ENOUGH || any_too_long()));
	print_message("%s, %u rounds\n", shape->name, round);
	for (unsigned i = 0; i <= ROWS; i++)
		tell(i);
	assert_false(any_too_long());
}

static void no_step_is_long(void **state)
{
	(void)state;
	measure(&shapes[0]);
	measure(&shapes[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_step_is_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
