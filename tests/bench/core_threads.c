/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads on one context: pages mapped and unmapped as point operations, in 2 MiB of their own,
 * or the one the even pages of 2 MiB, the other the odd ones. Beside it one thread alone, and the
 * bare sequence on the same entries: CAS, CAS, store.
 *
 * Nanoseconds are those of the slower thread's processor time, over the operations of all. Threads
 * meet only while both run, so a round counts only when they ran side by side from begin to end;
 * the median of these is told, since the best is the one in which they met least.
 */
#include "core.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGES	512 /* of 2 MiB */
#define LAPS	100
#define ROUNDS	101
#define THREADS 2

struct side {
	struct bench *b;
	struct pt_agent *agent;
	_Atomic uint32_t *absent;    /* who is not running yet */
	uint64_t count, first, step; /* of its pages */
	pt_pte *bare;		     /* the table: its entries are changed without lib */
	struct pt_item item[2][PAGES];
	double took, begin, end; /* processor time; the clock's */
};

static void prepare(struct side *s)
{
	for (uint64_t i = 0; i < s->count; i++) {
		struct pt_item item = {.ctx = &s->b->ctx,
				       .ipa = pt_ipa(BASE + (s->first + i * s->step) * s->b->page),
				       .size = s->b->page,
				       .kind = PT_ITEM_UNMAP};

		s->item[1][i] = item;
		item.kind = PT_ITEM_MAP;
		item.prot = PT_PROT_RW;
		item.pa = pt_pa(BASE_PA);
		s->item[0][i] = item;
	}
}

static void turn(struct side *s, struct pt_item *item)
{
	struct pt_effects effects = {0};
	uint64_t done = 0;

	pt_section_begin(s->agent);
	pt_machine_use(&s->b->machine, s->agent);
	for (uint64_t i = 0; i < s->count; i += SECTION_CALLS)
		done += points(s->agent, item + i, &effects);
	pt_section_end(s->agent);
	check_eq("threads: pages done", done, s->count);
}

static void turn_bare(struct side *s, bool map)
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < s->count; i++) {
		pt_pte *slot = s->bare + s->first + i * s->step, old = map ? 0 : BASE_PA | 3;

		done += __atomic_compare_exchange_n(slot, &old, map ? BASE_PA | 3 : PT_PTE_LOCKED,
						    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (!map)
			__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	}
	check_eq("threads: bare words done", done, s->count);
}

static void *work(void *arg)
{
	struct side *s = arg;

	prepare(s);
	atomic_fetch_sub(s->absent, 1);
	while (atomic_load_explicit(s->absent, memory_order_acquire))
		; /* a sleeper would come late */
	s->begin = now_ns();
	s->took = cpu_ns();
	for (unsigned lap = 0; lap < LAPS; lap++) {
		if (s->bare) {
			turn_bare(s, true);
			turn_bare(s, false);
		} else {
			turn(s, s->item[0]);
			turn(s, s->item[1]);
		}
	}
	s->took = cpu_ns() - s->took;
	s->end = now_ns();
	return NULL;
}

struct shape {
	const char *name;
	unsigned threads;
	uint64_t count, first, step; /* pages of thread k: k * first + i * step */
	bool bare;
};

/* Did all run from the first's begin to the last's end, and all that time? */
static bool ran_together(const struct side *side, unsigned threads)
{
	double begin = side->begin, end = side->end;

	for (unsigned k = 1; k < threads; k++) {
		begin = side[k].begin < begin ? side[k].begin : begin;
		end = side[k].end > end ? side[k].end : end;
	}
	for (unsigned k = 0; k < threads; k++)
		if (side[k].took < 0.9 * (end - begin))
			return false;
	return true;
}

/* Nanoseconds an operation over all threads; *met: they ran together. */
static double once(struct bench *b, struct pt_agent *agent, const struct shape *shape,
		   pt_pte *table, bool *met)
{
	static struct side side[THREADS];
	pthread_t thread[THREADS];
	_Atomic uint32_t absent = shape->threads;
	double slower = 0;

	for (unsigned k = 0; k < shape->threads; k++) {
		side[k] = (struct side){.b = b,
					.agent = &agent[k],
					.absent = &absent,
					.count = shape->count,
					.first = k * shape->first,
					.step = shape->step,
					.bare = shape->bare ? table : NULL};
		check_eq("pthread_create", pthread_create(&thread[k], NULL, work, &side[k]), 0);
	}
	for (unsigned k = 0; k < shape->threads; k++) {
		pthread_join(thread[k], NULL);
		slower = side[k].took > slower ? side[k].took : slower;
	}
	*met = ran_together(side, shape->threads);
	return slower / (2.0 * (double)shape->count * LAPS * shape->threads);
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The rounds that count, or all if none does. */
struct series {
	double met[ROUNDS], any[ROUNDS];
	size_t mets, anys;
};

static double median(struct series *s)
{
	double *of = s->mets ? s->met : s->any;
	size_t n = s->mets ? s->mets : s->anys;

	qsort(of, n, sizeof(*of), ascending);
	return of[n / 2];
}

/* The table of the first 2 MiB: a page came and went. */
static pt_pte *first_table(struct bench *b)
{
	struct pt_item item = {
		.ctx = &b->ctx, .ipa = pt_ipa(BASE), .size = b->page, .kind = PT_ITEM_UNMAP};
	struct pt_effects effects = {0};
	struct pt_walk_step step[PT_LEVELS];
	unsigned steps;

	map(b, BASE, b->page, BASE_PA, PT_MAP_FORCE_PAGES);
	section_begin(b);
	check_eq("threads: a page goes", pt_point(&b->agent, &item, &effects, NULL), PT_UNMAPPED);
	steps = pt_walk_explain(&b->ctx, pt_ipa(BASE), step);
	pt_section_end(&b->agent);
	check_eq("threads: level of the table", (uint64_t)step[steps - 1].level, PT_LEVEL_LAST);
	return pt_port_table(&b->port, step[steps - 1].table);
}

static const struct shape shapes[] = {
	{"threads_one", 1, PAGES, 0, 1, false},
	{"threads_apart", 2, PAGES, PAGES, 1, false},
	{"threads_interleaved", 2, PAGES / 2, 1, 2, false},
	{"threads_interleaved_bare", 2, PAGES / 2, 1, 2, true},
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void measure(struct bench *b, struct pt_agent *agent)
{
	static struct series series[SHAPES];
	pt_pte *table = first_table(b);

	for (unsigned round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < SHAPES; i++) {
			struct series *s = &series[i];
			bool met;
			double ns = once(b, agent, &shapes[i], table, &met);

			s->any[s->anys++] = ns;
			if (met)
				s->met[s->mets++] = ns;
		}
	for (size_t i = 0; i < SHAPES; i++)
		printf("%s %.2f\n", shapes[i].name, median(&series[i]));
}

void bench_threads(void)
{
	static struct bench b;
	static struct pt_agent agent[THREADS];

	bench_open(&b, &(struct bench_args){
			       .granule_shift = 12, .size = GIB, .table_bytes = UINT64_C(4) << 20});
	for (unsigned k = 0; k < THREADS; k++)
		check_eq("pt_agent_join", pt_agent_join(&b.tables.world, &agent[k]), PT_OK);
	measure(&b, agent);
	unmap(&b, BASE, GIB);
	check_eq("threads: table pages left", b.ctx.table_pages, 0);
	for (unsigned k = 0; k < THREADS; k++)
		pt_agent_leave(&agent[k]);
	bench_close(&b);
}
