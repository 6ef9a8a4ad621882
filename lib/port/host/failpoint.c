/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host port: failpoints. One bit a point says whether it is armed; all else is looked at only then.
 *
 * Whether a hit fails is a function of the plan and of the number of hits before it in scope, so
 * that a single-threaded run repeats exactly. Everything is atomic, since any thread may hit.
 */
#include <assert.h>
#include <time.h>

#include <pt/host/vcpu.h>

struct plan {
	_Atomic uint64_t scope, seed, connection;
	_Atomic uint32_t nth, times, probability_ppm, delay_ms;
	_Atomic uint64_t hits, failures;
};

_Atomic uint32_t pt_host_failpoints_armed;

static struct plan plans[PT_FP_COUNT];
static _Thread_local uint64_t caller;

static_assert(PT_FP_COUNT <= 32, "one bit a point");

/* splitmix64's output function. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

bool pt_host_failpoint_built(enum pt_failpoint point)
{
#ifdef PT_CHECKED
	return point < PT_FP_COUNT;
#else
	return point < PT_FP_CAS_LOSE;
#endif
}

void pt_host_failpoint_arm(enum pt_failpoint point, const struct pt_host_failpoint *how)
{
	struct plan *p = &plans[point];

	pt_host_failpoint_disarm(point);
	p->scope = how->scope;
	p->seed = how->seed;
	p->connection = how->connection;
	p->nth = how->nth;
	p->times = how->times;
	p->probability_ppm = how->probability_ppm;
	p->delay_ms = how->delay_ms;
	p->hits = 0;
	p->failures = 0;
	atomic_fetch_or(&pt_host_failpoints_armed, UINT32_C(1) << point);
}

void pt_host_failpoint_disarm(enum pt_failpoint point)
{
	atomic_fetch_and(&pt_host_failpoints_armed, ~(UINT32_C(1) << point));
}

void pt_host_failpoint_caller(uint64_t connection)
{
	caller = connection;
}

void pt_host_failpoint_counts(enum pt_failpoint point, uint64_t *hits, uint64_t *failures)
{
	*hits = plans[point].hits;
	*failures = plans[point].failures;
}

/* `hit` counts from 1. */
static bool drawn(struct plan *p, uint64_t hit)
{
	if (p->nth)
		return hit >= p->nth && (!p->times || hit - p->nth < p->times);
	return mix(p->seed + hit) % 1000000 < p->probability_ppm;
}

/* By probability, `times` bounds the failures in all: taken one by one, so that threads share it.
 */
static bool take_failure(struct plan *p)
{
	uint64_t done = p->failures;

	do {
		if (!p->nth && p->times && done >= p->times)
			return false;
	} while (!atomic_compare_exchange_weak(&p->failures, &done, done + 1));
	return true;
}

bool pt_host_failpoint_hit(unsigned point, uint64_t scope)
{
	struct plan *p = &plans[point];

	if (p->scope && p->scope != scope)
		return false;
	if (p->connection && p->connection != caller)
		return false;
	return drawn(p, atomic_fetch_add(&p->hits, 1) + 1) && take_failure(p);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void pt_host_failpoint_hold(enum pt_failpoint point)
{
	const struct timespec moment = {.tv_nsec = 100000};
	uint64_t until = now_ns() + plans[point].delay_ms * UINT64_C(1000000);

	while (atomic_load(&pt_host_failpoints_armed) >> point & 1 && now_ns() < until)
		nanosleep(&moment, NULL);
}
