/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a call keeps of a progressive operation of lib (upkeep, dirty log) across its steps: the
 * operation, a pin on its context, and after an abandoned wait the last wake that may be on its
 * way.
 */
#ifndef PTD_DOMAIN_PROGRESS_H
#define PTD_DOMAIN_PROGRESS_H

#include "domain_types.h"

#include <pt/dirty.h>
#include <pt/upkeep.h>

enum progress_state { PROGRESS_OVER, PROGRESS_RUNS, PROGRESS_PARKED, PROGRESS_LAST_WAKE };
enum progress_kind { PROGRESS_UPKEEP, PROGRESS_DIRTY };

/* In the call's arena, zeroed at first. */
struct progress {
	struct call *call;
	struct context *pinned;
	enum progress_state state;
	enum progress_kind kind;
	enum pt_outcome outcome; /* how the operation ended */
	bool late_wake;		 /* it was given up while it was parked */
	struct pt_grace grace;
	union {
		struct pt_upkeep upkeep;
		struct pt_dirty dirty;
	};
};

/* pt_upkeep_init() or pt_dirty_init(), and a pin on the context. In the section that found it. */
enum pt_outcome progress_upkeep(struct call *call, struct progress *progress,
				struct context *context, const struct pt_upkeep_args *args);
enum pt_outcome progress_dirty(struct call *call, struct progress *progress,
			       struct context *context, const struct pt_dirty_args *args);

/* One step. CALL_DONE: it is over, progress->outcome says how. The pin is held until
 * progress_end(): what the operation leaves to its caller is dealt with before the context may go.
 */
enum call_result progress_step(struct progress *progress);

/*
 * The call was abandoned: gives the operation up where it stands (one that can be: not the end of a
 * dirty log). CALL_DONE: it is over;
 * progress->outcome is PT_CANCELLED if it was given up. CALL_MORE, CALL_PARKED: call again.
 */
enum call_result progress_abandon(struct progress *progress);

/* After the last CALL_DONE. */
void progress_end(struct progress *progress);

#endif
