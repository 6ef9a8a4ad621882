/* SPDX-License-Identifier: BSD-2-Clause */
/* Table memory that nobody needs goes back to the system in idle time, a while after it was freed.
 */
#ifndef PTD_DOMAIN_TRIM_H
#define PTD_DOMAIN_TRIM_H

#include "call.h"

/* One bounded step, in a section, only when the loop is `idle`. Returns when to call again: 0 is
 * soon, UINT64_MAX never. */
uint64_t trim_step(struct domain_loop *loop, bool idle, uint64_t now_ns);
/* The loop leaves: nothing is held any more. */
void trim_end(struct domain_loop *loop);

#endif
