/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads on one context: pages mapped and unmapped as point operations, in 2 MiB of their own,
 * or the one the even pages of 2 MiB, the other the odd ones. Beside it one thread alone, and the
 * bare sequence on the same words: CAS, CAS, store. Nanoseconds are those of the slower thread's
 * processor time, over the operations of all: what else runs on the machine does not count.
 */
#include "core.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define PAGES	512
#define LAPS	200
#define ROUNDS	7
#define THREADS 2

struct side {
	struct bench *b;
	struct pt_agent *agent;
	pthread_barrier_t *start;
	uint64_t first, step; /* of its pages */
	bool bare;
	pt_pte *table;
	double took;
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void turn(struct side *s, uint32_t kind)
{
	struct pt_effects effects = {0};
	uint64_t done = 0, count = 0;

	pt_section_begin(s->agent);
	pt_machine_use(&s->b->machine, s->agent);
	for (uint64_t i = s->first; count < PAGES; i += s->step, count++) {
		struct pt_item item = {.ctx = &s->b->ctx,
				       .ipa = pt_ipa(BASE + i * s->b->page),
				       .size = s->b->page,
				       .pa = pt_pa(kind == PT_ITEM_MAP ? BASE_PA : 0),
				       .prot = kind == PT_ITEM_MAP ? PT_PROT_RW : 0,
				       .kind = kind};
		enum pt_outcome o = pt_point(s->agent, &item, &effects, NULL);

		done += o == (kind == PT_ITEM_MAP ? PT_MAPPED : PT_UNMAPPED);
	}
	pt_section_end(s->agent);
	check_eq("threads: pages done", done, PAGES);
}

static void turn_bare(struct side *s, bool map)
{
	uint64_t count = 0, done = 0;

	for (uint64_t i = s->first; count < PAGES; i += s->step, count++) {
		pt_pte *slot = s->table + i, old = map ? 0 : BASE_PA | 3;

		done += __atomic_compare_exchange_n(slot, &old, map ? BASE_PA | 3 : PT_PTE_LOCKED,
						    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (!map)
			__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	}
	check_eq("threads: bare words done", done, PAGES);
}

static void *work(void *arg)
{
	struct side *s = arg;

	pthread_barrier_wait(s->start);
	s->took = cpu_ns();
	for (unsigned lap = 0; lap < LAPS; lap++) {
		if (s->bare) {
			turn_bare(s, true);
			turn_bare(s, false);
		} else {
			turn(s, PT_ITEM_MAP);
			turn(s, PT_ITEM_UNMAP);
		}
	}
	s->took = cpu_ns() - s->took;
	return NULL;
}

/* Nanoseconds an operation over all threads; pages of thread k: k * first + i * step. */
static double once(struct bench *b, struct pt_agent *agent, unsigned threads, uint64_t first,
		   uint64_t step, pt_pte *bare)
{
	struct side side[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t start;
	double slower = 0;

	check_eq("pthread_barrier_init", pthread_barrier_init(&start, NULL, threads), 0);
	for (unsigned k = 0; k < threads; k++) {
		side[k] =
			(struct side){b, &agent[k], &start, k * first, step, bare != NULL, bare, 0};
		check_eq("pthread_create", pthread_create(&thread[k], NULL, work, &side[k]), 0);
	}
	for (unsigned k = 0; k < threads; k++)
		pthread_join(thread[k], NULL);
	pthread_barrier_destroy(&start);
	for (unsigned k = 0; k < threads; k++)
		slower = side[k].took > slower ? side[k].took : slower;
	return slower / (2.0 * PAGES * LAPS * threads);
}

void bench_threads(void)
{
	static const struct {
		const char *name;
		unsigned threads;
		uint64_t first, step;
		bool bare;
	} rows[] = {
		{"threads_one", 1, 0, 1, false},
		{"threads_apart", 2, PAGES, 1, false},
		{"threads_interleaved", 2, 1, 2, false},
		{"threads_interleaved_bare", 2, 1, 2, true},
	};
	static struct bench b;
	static struct pt_agent agent[THREADS];
	static pt_pte words[THREADS * PAGES] __attribute__((aligned(4096)));
	double best[sizeof(rows) / sizeof(rows[0])] = {0};

	bench_open(&b, &(struct bench_args){
			       .granule_shift = 12, .size = GIB, .table_bytes = UINT64_C(4) << 20});
	for (unsigned k = 0; k < THREADS; k++)
		check_eq("pt_agent_join", pt_agent_join(&b.tables.world, &agent[k]), PT_OK);
	for (unsigned round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			double ns = once(&b, agent, rows[i].threads, rows[i].first, rows[i].step,
					 rows[i].bare ? words : NULL);

			best[i] = !best[i] || ns < best[i] ? ns : best[i];
		}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("%s %.2f\n", rows[i].name, best[i]);
	unmap(&b, BASE, GIB);
	check_eq("threads: table pages left", b.ctx.table_pages, 0);
	for (unsigned k = 0; k < THREADS; k++)
		pt_agent_leave(&agent[k]);
	bench_close(&b);
}
