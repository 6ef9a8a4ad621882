/* SPDX-License-Identifier: BSD-2-Clause */
/* How a thread of a test steps a progressive operation. Its file has struct worker and
 * await_wake(). */
#ifndef PTD_TEST_STEPPING_H
#define PTD_TEST_STEPPING_H

#include <sched.h>

/* `step` in a section of its own, again and again, until it says neither MORE nor PARKED. Whom it
 * waits for may have no CPU. */
#define STEP_TO_END(w, outcome, step)                                                              \
	do {                                                                                       \
		pt_section_begin(&(w)->agent);                                                     \
		(outcome) = (step);                                                                \
		pt_section_end(&(w)->agent);                                                       \
		if ((outcome) == PT_PARKED)                                                        \
			await_wake(w);                                                             \
		else if ((outcome) == PT_MORE)                                                     \
			sched_yield();                                                             \
	} while ((outcome) == PT_MORE || (outcome) == PT_PARKED)

#endif
