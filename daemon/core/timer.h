/* SPDX-License-Identifier: BSD-2-Clause */
/* A shard's timers: a binary heap of intrusive entries, earliest first. */
#ifndef PTD_TIMER_H
#define PTD_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
	uint64_t at_ns;
	uint64_t order; /* ties go in the order of arming: the simulation repeats */
	uint32_t slot;	/* index + 1 in the heap; 0: not armed */
	void (*fire)(struct timer *timer, uint64_t now_ns);
};

struct timers {
	struct timer **heap;
	uint32_t count, room;
	uint32_t claims; /* owners that may have a timer each */
	uint64_t armed_ever;
};

void timers_fini(struct timers *timers);
/* Room for one more owner's timer from now on: then arming it never fails. False: no memory. */
bool timers_claim(struct timers *timers);
void timers_release(struct timers *timers);
/* Arms or moves. False: no room was claimed, and no memory; the timer is as before. */
bool timer_arm(struct timers *timers, struct timer *timer, uint64_t at_ns);
void timer_stop(struct timers *timers, struct timer *timer);
/* Takes the earliest that is due, or NULL. */
struct timer *timers_due(struct timers *timers, uint64_t now_ns);
/* UINT64_MAX: none. */
static inline uint64_t timers_next(const struct timers *timers)
{
	return timers->count ? timers->heap[0]->at_ns : UINT64_MAX;
}

#endif
