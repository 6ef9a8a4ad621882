/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds systemd's watchdog, if it wants to be fed, for as long as loops and grace periods get on.
 */
#ifndef PTD_WATCHDOG_H
#define PTD_WATCHDOG_H

#include "pulse.h"

#include <pt/host/rcu.h>
#include <stdatomic.h>
#include <uv.h>

struct server;

struct watchdog {
	struct server *server;
	uv_timer_t timer; /* on loop 0 */
	struct pulse last[64];
	struct pt_rcu_head probe; /* comes back when a grace period of liburcu has ended */
	atomic_bool probe_back;
};

/* On loop 0's thread. Nothing happens when nobody watches. */
void watchdog_start(struct watchdog *watchdog, struct server *server, uv_loop_t *uv);

#endif
