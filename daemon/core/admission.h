/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Admission control: how many calls a shard works on at a time, and who is sent away beyond that.
 *
 * What counts is the work that a call which arrives now has before it: calls that are begun or
 * queued, and calls done since the shard last waited for events, because their bytes came in the
 * same moment and were read before. Times would need a guess of what a call costs; with a number
 * alone the time of an admitted call is that many calls at most, whatever one costs.
 *
 * A connection that has less than its share of them is always admitted, so nobody is sent away for
 * the calls of another. The others get RESOURCE_EXHAUSTED before their message is looked at, with
 * a push-back that grows until those who wait come back no faster than can be afforded.
 */
#ifndef PTD_ADMISSION_H
#define PTD_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct shard;
struct stream;

/* Of a shard. */
struct admission {
	uint32_t limit;
	uint32_t under_way; /* calls begun or queued */
	uint32_t done;	    /* calls done in this turn */
	uint32_t turn;
	uint64_t turn_ns;
	uint32_t active, active_before; /* connections with calls, in this turn and the last */
	uint32_t refused;		/* in this window */
	uint64_t window_ns;
	uint32_t pushback_ms;
	uint64_t random;
};

/* Of a connection; `done` is of turn `turn`. */
struct admission_share {
	uint32_t under_way, done, turn;
};

void admission_begin(struct admission *admission, uint64_t random);
/* The shard waits for events: what it has done delays nobody any more. */
void admission_turn(struct admission *admission);
/* The call may go on; else it has been refused. */
bool admission_admits(struct stream *stream);
/* It is queued to run. */
void admission_enter(struct stream *stream);
/* It needs no more work now: done, parked, or a stream between messages. */
void admission_leave(struct stream *stream);

#endif
