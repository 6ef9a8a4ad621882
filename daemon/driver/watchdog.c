/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each quarter of the watchdog's time loop 0 looks whether every loop has turned and every kind of
 * grace period has ended since it last said WATCHDOG=1, says it if so, and pokes them all, idle
 * ones too. A loop that hangs, a section that never ends, a thread that liburcu waits for in vain:
 * each of them silences it, and systemd ends the process.
 */
#include "watchdog.h"

#include "loop.h"
#include "systemd.h"

#include <stdio.h>

#define LOOKS 4 /* in the time that systemd waits: one look may miss */

static void probe_done(struct pt_rcu_head *probe)
{
	struct watchdog *watchdog =
		(struct watchdog *)(void *)((char *)probe - offsetof(struct watchdog, probe));

	atomic_store(&watchdog->probe_back, true);
}

static void send_probe(struct watchdog *watchdog)
{
	atomic_store(&watchdog->probe_back, false);
	pt_rcu_call(&watchdog->probe, probe_done);
}

static void take_pulse(const struct server *server, struct pulse *pulse)
{
	for (uint32_t i = 0; i < server->loops; i++) {
		struct domain_graces graces = shard_graces(server->shard[i]);

		pulse[i] = (struct pulse){
			.turns =
				atomic_load_explicit(&server->loop[i]->turns, memory_order_relaxed),
			.graces = graces.ended,
			.waits = graces.waits,
		};
	}
}

static void feed(const struct server *server)
{
	char status[96];

	snprintf(status, sizeof(status), "%s; %u connections, %u loops",
		 domain_draining(server->domain) ? "draining" : "serving",
		 atomic_load_explicit(&server->connections, memory_order_relaxed), server->loops);
	systemd_alive(status);
}

static void on_look(uv_timer_t *timer)
{
	struct watchdog *watchdog = timer->data;
	struct server *server = watchdog->server;
	struct pulse now[OPTIONS_LOOPS];

	take_pulse(server, now);
	if (atomic_load(&watchdog->probe_back) && pulse_beats(watchdog->last, now, server->loops)) {
		feed(server);
		send_probe(watchdog);
	}
	for (uint32_t i = 0; i < server->loops; i++)
		loop_wake(server->loop[i]);
}

void watchdog_start(struct watchdog *watchdog, struct server *server, uv_loop_t *uv)
{
	uint64_t look_ms = systemd_watchdog_us() / 1000 / LOOKS;

	if (!look_ms)
		return;
	_Static_assert(sizeof(watchdog->last) / sizeof(watchdog->last[0]) == OPTIONS_LOOPS,
		       "a pulse for each loop");
	watchdog->server = server;
	watchdog->timer.data = watchdog;
	send_probe(watchdog);
	uv_timer_init(uv, &watchdog->timer);
	uv_timer_start(&watchdog->timer, on_look, look_ms, look_ms);
}
