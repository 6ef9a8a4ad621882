/* SPDX-License-Identifier: BSD-2-Clause */
/* The decision behind the watchdog: counters in, yes or no out. */
#include "pulse.h"

#include <string.h>

static bool got_on(const struct pulse *last, const struct pulse *now)
{
	if (now->turns == last->turns)
		return false;
	return !last->waits || !now->waits || now->graces != last->graces;
}

bool pulse_beats(struct pulse *last, const struct pulse *now, uint32_t loops)
{
	for (uint32_t i = 0; i < loops; i++)
		if (!got_on(&last[i], &now[i]))
			return false;
	memcpy(last, now, loops * sizeof(*last));
	return true;
}
