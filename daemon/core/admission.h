/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Admission control: how many calls a shard works on at a time, and who is sent away beyond that.
 *
 * What counts is the work that a call which arrives now has before it: calls that are begun or
 * queued, and calls done since the shard last waited for events, because their bytes came in the
 * same moment and were read before. Times would need a guess of what a call costs; with a number
 * alone the time of an admitted call is so many calls at most, whatever one costs: that number, and
 * up to as many again in the shares of those connections of a turn that are read last.
 *
 * Long calls, which take more than one step, run a part at a time after the short ones, so they
 * delay each other alone: of them there is a smaller number, and only a connection that has some is
 * sent away for them. A call that waits for another client (a page that its pager is to supply) is
 * no work meanwhile.
 *
 * What it costs to send somebody away is mostly reading and writing for one call. So a connection
 * that is sent away for its long calls is not read for the least time of a push-back: what it sends
 * all the same is then read, and refused, at once.
 *
 * A connection that has less than its share is always admitted, so nobody is sent away for the
 * calls of another; one that is alone may have as many calls as SETTINGS let it begin, of which it
 * delays nobody but itself. The others get RESOURCE_EXHAUSTED before their message is looked at,
 * with a push-back that grows until those who wait come back no faster than can be afforded.
 */
#ifndef PTD_ADMISSION_H
#define PTD_ADMISSION_H

#include "timer.h"

struct stream;

/* Of a shard. */
struct admission {
	uint32_t load; /* calls begun or queued, and those done in this turn */
	uint32_t room; /* the limit; 0 while there are too many long calls */
	uint32_t under_way, long_ones;
	uint32_t turn;
	uint32_t active, active_before; /* connections with calls, in this turn and the last */
	uint64_t turn_ns;
	uint32_t refused; /* in this window */
	uint32_t pushback_ms;
	uint64_t window_ns;
	uint64_t random;
	struct refusal *refusal; /* what all have in common; made with the first */
};

/* Of a connection; `load` is of turn `turn`. */
struct admission_share {
	uint32_t load, under_way, turn, long_ones;
	struct timer unheard; /* armed: it is not read for a while */
};

void admission_begin(struct admission *admission, uint64_t random);
void admission_end(struct admission *admission);
/* The shard waits for events: what it has done delays nobody any more. */
void admission_turn(struct admission *admission);

static inline bool admission_has_room(const struct admission *admission)
{
	return admission->load < admission->room;
}

/* There is no room. True: the call may go on all the same; else it has been refused. */
bool admission_judge(struct stream *stream);
/* It was admitted and is about to begin; those before it may have turned out to be long since. */
bool admission_judge_again(struct stream *stream);

/* It is queued to run. */
void admission_enter(struct stream *stream);
/* It needs no more work now: done, or a stream between messages. */
void admission_leave(struct stream *stream);
/* It has run and is not done, though it may have to wait for others. */
void admission_lasts(struct stream *stream);

#endif
