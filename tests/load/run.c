/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads a gRPC server and prints what came of it as JSON lines: connections and the main loop. */
#include "load.h"
#include "options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS	   256
#define DRAIN_TIME (2 * SECOND_NS)
#define AGAIN_TIME (SECOND_NS / 20)
#define TURN_TIME  1000000u

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t draw(struct load *load)
{
	load->random ^= load->random << 13;
	load->random ^= load->random >> 7;
	load->random ^= load->random << 17;
	return load->random;
}

void conn_dirty(struct conn *conn)
{
	if (conn->dirty)
		return;
	conn->dirty = true;
	conn->next_dirty = conn->load->dirty;
	conn->load->dirty = conn;
}

bool load_is_over(const struct load *load)
{
	return load->stopping;
}

void load_count(struct load *load, const struct answer *answer, uint64_t since_ns)
{
	struct counts *counts = &load->counts;
	uint64_t took = load->now_ns - since_ns;
	bool measured = load->now_ns >= load->measure_ns;

	counts->status[answer->grpc >= 0 && answer->grpc < 17 ? answer->grpc : 17]++;
	if (answer->grpc == 0) {
		counts->ok++;
		if (measured)
			histogram_add(&load->latency, took);
		histogram_add(&load->interval, took);
	} else if (answer->grpc == 8) {
		counts->refused++;
		counts->bare += !answer->pushback_ms;
		if (measured)
			histogram_add(&load->refusal, took);
	} else {
		counts->failed++;
	}
}

static void poll_for(struct conn *conn, int how)
{
	bool write = conn->wire.connecting || conn->wire.wants_write;
	const struct client *client = conn->load->client;
	struct epoll_event event = {.events = (client->deaf ? 0 : EPOLLIN) | (write ? EPOLLOUT : 0),
				    .data.ptr = conn};

	if (how == EPOLL_CTL_MOD && write == conn->polls_write)
		return;
	conn->polls_write = write;
	epoll_ctl(conn->load->epoll, how, conn->wire.fd, &event);
}

static void drop_conn(struct conn *conn)
{
	struct load *load = conn->load;

	load->client->end(conn);
	load->counts.goaways += conn->wire.goaway;
	wire_close(&conn->wire);
	conn->ready = false;
	conn->again_ns = load->now_ns + (load->client == &call_client ? AGAIN_TIME : 0);
}

static void open_conn(struct conn *conn)
{
	struct load *load = conn->load;

	conn->again_ns = NEVER;
	if (!wire_open(&conn->wire, &load->options.endpoint, load->options.method)) {
		conn->again_ns = load->now_ns + AGAIN_TIME;
		return;
	}
	conn->wire.user = conn;
	poll_for(conn, EPOLL_CTL_ADD);
	if (!conn->wire.connecting && !conn->wire.shaking)
		load->client->begin(conn);
	conn_dirty(conn);
}

static void look_at(struct conn *conn)
{
	const struct client *client = conn->load->client;
	struct wire *wire = &conn->wire;

	if (conn->again_ns != NEVER)
		return;
	if (wire->connecting || wire->shaking) {
		if (wire_ready(wire))
			client->begin(conn);
	} else if (!client->deaf) {
		wire_take(wire, &client->events);
	}
	if (client->turn && !wire->over && !wire->connecting && !wire->shaking)
		client->turn(conn);
	conn_dirty(conn);
}

static void flush_dirty(struct load *load)
{
	while (load->dirty) {
		struct conn *conn = load->dirty;

		load->dirty = conn->next_dirty;
		conn->dirty = false;
		if (conn->again_ns != NEVER)
			continue;
		if (!conn->wire.connecting && !conn->wire.shaking)
			wire_flush(&conn->wire);
		if (conn->wire.over)
			drop_conn(conn);
		else
			poll_for(conn, EPOLL_CTL_MOD);
	}
}

static void wait_for_events(struct load *load, uint64_t until_ns)
{
	struct epoll_event event[EVENTS];
	uint64_t now_ns = clock_ns();
	uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec wait = {.tv_nsec = wait_ns < TURN_TIME ? (long)wait_ns : TURN_TIME};
	int n = epoll_pwait2(load->epoll, event, EVENTS, &wait, NULL);

	load->now_ns = clock_ns();
	for (int i = 0; i < n; i++) {
		struct conn *conn = event[i].data.ptr;

		if (load->client->deaf && event[i].events & (EPOLLHUP | EPOLLERR))
			conn->wire.over = true;
		look_at(conn);
	}
}

/* What time alone brings about. */
static void look_at_clock(struct load *load)
{
	if (load->now_ns - load->looked_ns < TURN_TIME)
		return;
	load->looked_ns = load->now_ns;
	for (uint32_t i = 0; i < load->options.connections; i++) {
		struct conn *conn = &load->conn[i];

		if (conn->again_ns <= load->now_ns && !load->stopping) {
			load->counts.reconnects++;
			open_conn(conn);
		} else if (load->client->turn && conn->again_ns == NEVER) {
			look_at(conn);
		}
	}
}

static bool is_over(struct load *load)
{
	const struct options *o = &load->options;
	uint64_t ended = load->counts.ok + load->counts.refused + load->counts.failed;

	if (o->calls && load->client != &call_client)
		return load->counts.sent >= o->calls;
	if (o->calls)
		return ended >= o->calls && load->counts.sent >= o->calls;
	load->stopping = load->now_ns >= load->end_ns;
	return load->stopping && (load->client != &call_client || ended >= load->counts.sent ||
				  load->now_ns >= load->end_ns + DRAIN_TIME);
}

static void run(struct load *load)
{
	while (!is_over(load)) {
		uint64_t next = load->client == &call_client ? calls_due(load) : NEVER;

		flush_dirty(load);
		wait_for_events(load, next);
		look_at_clock(load);
		flush_dirty(load);
		if (load->now_ns >= load->report_ns)
			report_interval(load);
		if (load->now_ns >= load->measure_ns && !load->at_measure.at_ns)
			mark(load, &load->at_measure);
		if (load->now_ns >= load->end_ns && !load->at_end.at_ns)
			mark(load, &load->at_end);
	}
	if (!load->at_end.at_ns)
		mark(load, &load->at_end);
}

static void start_clock(struct load *load)
{
	const struct options *o = &load->options;

	load->start_ns = load->now_ns = load->next_arrival_ns = clock_ns();
	load->random = load->start_ns | 1;
	load->measure_ns = load->start_ns + (uint64_t)(o->warmup * 1e9);
	load->end_ns = o->calls ? NEVER : load->measure_ns + (uint64_t)(o->seconds * 1e9);
	load->report_ns = o->every > 0 ? load->start_ns + (uint64_t)(o->every * 1e9) : NEVER;
	load->interval_ns = o->rate > 0 ? (uint64_t)(1e9 / o->rate) : 0;
	mark(load, &load->at_report);
}

static void make_conns(struct load *load)
{
	uint32_t n = load->options.connections;

	load->slots = 4;
	while (load->slots < 4 * (load->options.streams + load->options.beside_streams))
		load->slots *= 2;
	load->conn = calloc(n, sizeof(*load->conn));
	load->heap = calloc((size_t)n * load->options.streams, sizeof(*load->heap));
	if (!load->conn || !load->heap)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		struct conn *conn = &load->conn[i];

		conn->load = load;
		conn->wire.fd = -1;
		conn->slot = calloc(load->slots, sizeof(*conn->slot));
		if (!conn->slot)
			abort();
		open_conn(conn);
	}
}

int main(int argc, char **argv)
{
	static struct load load;
	const char *error;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	load.client = &call_client;
	if (!options_parse(&load, argc, argv, &error)) {
		fprintf(stderr, "load: %s\n", error);
		return 2;
	}
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	start_clock(&load);
	make_conns(&load);
	run(&load);
	report_all(&load);
	return load.counts.sent && !load.counts.ok && load.client == &call_client;
}
