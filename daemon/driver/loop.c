/* SPDX-License-Identifier: BSD-2-Clause */
/* One loop: turns what libuv says into events, and actions into what libuv does. */
#include "loop.h"

#include "systemd.h"
#include "tls.h"

#include <pt/platform.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINGER_MS 1000

static void arm(struct loop *loop, uint64_t at_ns);

static void carry_out(struct loop *loop)
{
	size_t n;
	struct action *action = shard_actions(loop->shard, &n);

	for (size_t i = 0; i < n; i++) {
		struct action *a = &action[i];
		struct link *link = (struct link *)(void *)a->peer;

		switch (a->kind) {
		case ACTION_WRITE: link_write(link, a); break;
		case ACTION_PAUSE: link_pause(link); break;
		case ACTION_RESUME: link_resume(link); break;
		case ACTION_CLOSE: link_close(link, a->linger); break;
		case ACTION_ABORT: link_abort(link); break;
		case ACTION_ARM: arm(loop, a->at_ns); break;
		case ACTION_MAIL: loop->mail = true; break;
		case ACTION_RECLAIM: loop->reclaim = true; break;
		case ACTION_NOTIFY: loop_wake(loop->server->loop[a->shard]); break;
		case ACTION_APPEND: break; /* no log yet: nothing asks for it */
		case ACTION_DRAINED: loop->drained = true; break;
		}
	}
}

static void keep_going(uv_idle_t *idle)
{
	(void)idle; /* an active idle handle makes the poll return at once */
}

static void one_step(struct loop *loop, struct event *event)
{
	event->now_ns = uv_hrtime();
	fair_step(loop, event->now_ns);
	shard_step(loop->shard, event);
	carry_out(loop);
}

/* All loops are through: each of them ends. */
static void note_drained(struct loop *loop)
{
	struct server *server = loop->server;

	loop->drained = false;
	if (atomic_fetch_add(&server->drained, 1) + 1 < server->loops)
		return;
	for (uint32_t i = 0; i < server->loops; i++)
		loop_wake(server->loop[i]);
}

void loop_step(struct loop *loop, struct event *event)
{
	one_step(loop, event);
	while (loop->writable) {
		struct link *link = loop->writable;
		struct event written = {.kind = EVENT_WRITABLE, .peer = &link->peer};

		loop->writable = link->next_writable;
		link->writable = false;
		one_step(loop, &written);
	}
	if (loop->mail || loop->reclaim)
		uv_idle_start(&loop->again, keep_going);
	if (loop->drained)
		note_drained(loop);
}

static void on_timer(uv_timer_t *timer)
{
	struct event event = {.kind = EVENT_TIMER};

	loop_step(timer->data, &event);
}

static void arm(struct loop *loop, uint64_t at_ns)
{
	uint64_t now_ns = uv_hrtime();
	uint64_t wait_ms = at_ns > now_ns ? (at_ns - now_ns + 999999) / 1000000 : 0;

	uv_update_time(&loop->uv);
	uv_timer_start(&loop->timer, on_timer, wait_ms, 0);
}

static void on_linger(uv_timer_t *timer)
{
	links_sweep(timer->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;

	shard_idle(loop->shard);
	pt_port_note(PT_EVENT_WAIT, 0, NULL, NULL, 0, 0);
}

static void begin_drain(struct loop *loop)
{
	acceptors_close(loop);
	tls_drain(loop);
	if (loop->index == 0 && !loop->stopping) {
		loop->stopping = true;
		systemd_stopping();
	}
}

static void turn(struct loop *loop)
{
	uint64_t turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);

	atomic_store_explicit(&loop->turns, turns + 1, memory_order_relaxed);
}

static void on_check(uv_check_t *check)
{
	struct loop *loop = check->data;
	struct event event = {.kind = loop->reclaim ? EVENT_RECLAIMED : EVENT_MAIL};

	shard_busy(loop->shard);
	uv_idle_stop(&loop->again);
	fair_turn(loop);
	if (loop->mail || loop->reclaim) {
		loop->mail = loop->reclaim = false;
		loop_step(loop, &event);
	}
	if (domain_draining(loop->server->domain))
		begin_drain(loop);
	turn(loop);
}

static void take_arrivals(struct loop *loop)
{
	struct arrival *list, *next;

	uv_mutex_lock(&loop->lock);
	list = loop->arrivals;
	loop->arrivals = NULL;
	uv_mutex_unlock(&loop->lock);
	for (; list; list = next) {
		next = list->next;
		link_open(loop, list);
		free(list);
	}
}

static void on_async(uv_async_t *async)
{
	struct loop *loop = async->data;
	struct event event = {.kind = EVENT_MAIL};

	take_arrivals(loop);
	loop_step(loop, &event);
	if (atomic_load(&loop->server->drained) == loop->server->loops)
		uv_stop(&loop->uv);
}

void loop_wake(struct loop *loop)
{
	uv_async_send(&loop->async);
}

void loop_give(struct loop *loop, const struct arrival *arrived)
{
	struct arrival *arrival = malloc(sizeof(*arrival));

	if (!arrival) {
		close(arrived->fd);
		return;
	}
	*arrival = *arrived;
	uv_mutex_lock(&loop->lock);
	arrival->next = loop->arrivals;
	loop->arrivals = arrival;
	uv_mutex_unlock(&loop->lock);
	loop_wake(loop);
}

/* The first signal drains, the second ends the process where it stands. */
static void on_signal(uv_signal_t *handle, int number)
{
	struct loop *loop = handle->data;
	struct server *server = loop->server;

	(void)number;
	if (domain_draining(server->domain)) {
		for (uint32_t i = 0; i < server->listeners; i++)
			if (server->listener[i].path[0])
				unlink(server->listener[i].path);
		_exit(1);
	}
	domain_drain(server->domain);
	for (uint32_t i = 0; i < server->loops; i++)
		loop_wake(server->loop[i]);
}

struct loop *loop_create(struct server *server, uint32_t index)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->server = server;
	loop->index = index;
	loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (uv_loop_init(&loop->uv) || uv_mutex_init(&loop->lock) ||
	    uv_async_init(&loop->uv, &loop->async, on_async) ||
	    (server->tls[index] && !tls_open(loop, server->tls[index]))) {
		free(loop);
		return NULL;
	}
	loop->async.data = loop;
	return loop;
}

static void start_handles(struct loop *loop)
{
	uv_timer_init(&loop->uv, &loop->timer);
	uv_timer_init(&loop->uv, &loop->linger);
	uv_prepare_init(&loop->uv, &loop->prepare);
	uv_check_init(&loop->uv, &loop->check);
	uv_idle_init(&loop->uv, &loop->again);
	loop->timer.data = loop->linger.data = loop->prepare.data = loop->check.data = loop;
	uv_timer_start(&loop->linger, on_linger, LINGER_MS, LINGER_MS);
	uv_timer_stop(&loop->linger);
	uv_prepare_start(&loop->prepare, on_prepare);
	uv_check_start(&loop->check, on_check);
	if (loop->index == 0) {
		uv_signal_init(&loop->uv, &loop->term);
		uv_signal_init(&loop->uv, &loop->interrupt);
		loop->term.data = loop->interrupt.data = loop;
		uv_signal_start(&loop->term, on_signal, SIGTERM);
		uv_signal_start(&loop->interrupt, on_signal, SIGINT);
	}
	acceptors_open(loop);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Once on stdout, once to the service manager. */
static void say_ready(const struct server *server)
{
	char names[OPTIONS_LISTEN * (OPTIONS_ENDPOINT + 1) + 1] = "";
	size_t length = 0;

	for (uint32_t i = 0; i < server->listeners; i++)
		length += (size_t)snprintf(names + length, sizeof(names) - length, " %s",
					   server->listener[i].name);
	printf("ptd ready%s\n", names);
	fflush(stdout);
	systemd_ready(names + (length > 0));
}

/* The shard enters the domain on its own thread; no loop steps before all are there. */
static bool enter(struct loop *loop)
{
	struct server *server = loop->server;
	struct shard_config config = {.domain = server->domain,
				      .routes = server->routes,
				      .index = loop->index,
				      .shards = server->loops};

	loop->shard = server->shard[loop->index] = shard_create(&config);
	if (!loop->shard)
		atomic_store(&server->failed, true);
	uv_barrier_wait(&server->start);
	if (!atomic_load(&server->failed))
		return true;
	if (loop->shard)
		shard_destroy(loop->shard);
	return false;
}

void loop_run(struct loop *loop)
{
	if (!enter(loop))
		return;
	shard_meet(loop->shard, loop->server->shard);
	start_handles(loop);
	if (loop->index == 0) {
		watchdog_start(&loop->server->watchdog, loop->server, &loop->uv);
		say_ready(loop->server);
	}
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_walk(&loop->uv, close_handle, NULL);
	uv_prepare_stop(&loop->prepare);
	uv_check_stop(&loop->check);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	shard_destroy(loop->shard);
}

void loop_destroy(struct loop *loop)
{
	uv_loop_close(&loop->uv);
	uv_mutex_destroy(&loop->lock);
	tls_free(loop);
	if (loop->spare_fd >= 0)
		close(loop->spare_fd);
	free(loop);
}
