/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the daemon alive? What every loop shows of itself, and whether it has got on. */
#ifndef PTD_PULSE_H
#define PTD_PULSE_H

#include <stdbool.h>
#include <stdint.h>

/* One loop at one moment. */
struct pulse {
	uint64_t turns;	 /* of its event loop */
	uint64_t graces; /* grace periods that ended for the pages it retired */
	bool waits;	 /* some of them wait still */
};

/*
 * Every loop has turned since `last`, and whose retired pages waited then and now has seen a grace
 * period end in between. Then `last` becomes `now`; else it stays, so that loops need not turn in
 * the same interval.
 */
bool pulse_beats(struct pulse *last, const struct pulse *now, uint32_t loops);

#endif
