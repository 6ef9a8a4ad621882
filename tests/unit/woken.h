/* SPDX-License-Identifier: BSD-2-Clause */
/* Who was woken, in order: waiters by the numbers that a test gives them. */
#ifndef PTD_TEST_WOKEN_H
#define PTD_TEST_WOKEN_H

#include "core.h"

static char woken[64];
static struct pt_waiter *who[8];

static void wake(struct pt_waiter *waiter)
{
	size_t used = strlen(woken);

	for (unsigned i = 0; i < 8; i++)
		if (who[i] == waiter)
			snprintf(woken + used, sizeof(woken) - used, "%u", i);
}

static inline void nobody_woken(void)
{
	memset(woken, 0, sizeof(woken));
	memset(who, 0, sizeof(who));
}

#endif
