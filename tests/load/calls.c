/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unary calls: callers that wait for answers (a number of streams on each connection) and for the
 * time of a push-back, or arrivals at a rate, where a call's time counts from when it was meant to
 * leave.
 */
#include "load.h"

#include <math.h>
#include <string.h>

#define OUT_MOST  (4u << 20)
#define LATE_MOST SECOND_NS /* an arrival that finds no room for so long is given up */

/* The heap of callers that wait, earliest first. */
static void push_retry(struct load *load, struct conn *conn, uint64_t due_ns)
{
	uint32_t at = load->heap_count++;

	for (; at && load->heap[(at - 1) / 2].due_ns > due_ns; at = (at - 1) / 2)
		load->heap[at] = load->heap[(at - 1) / 2];
	load->heap[at] = (struct retry){due_ns, conn};
	conn->waiting++;
}

static struct conn *pop_retry(struct load *load)
{
	struct conn *conn = load->heap[0].conn;
	struct retry last = load->heap[--load->heap_count];
	uint32_t at = 0, child;

	for (; (child = 2 * at + 1) < load->heap_count; at = child) {
		if (child + 1 < load->heap_count &&
		    load->heap[child + 1].due_ns < load->heap[child].due_ns)
			child++;
		if (load->heap[child].due_ns >= last.due_ns)
			break;
		load->heap[at] = load->heap[child];
	}
	load->heap[at] = last;
	conn->waiting--;
	return conn;
}

static struct slot *slot_of(struct conn *conn, int32_t id)
{
	return &conn->slot[((uint32_t)id >> 1) & (conn->load->slots - 1)];
}

/* The slot of the next stream; numbers whose slot a longer call still has are left out. */
static struct slot *next_slot(struct conn *conn)
{
	while (slot_of(conn, conn->wire.next_id)->id)
		conn->wire.next_id += 2;
	return slot_of(conn, conn->wire.next_id);
}

static void put_body(struct wire *wire, const struct body *body, int32_t id)
{
	const uint8_t *at = body->data;
	size_t left = body->length;

	while (left) {
		size_t part = left < FRAME_LARGEST ? left : FRAME_LARGEST;

		memcpy(wire_frame(wire, NGHTTP2_DATA, part == left ? NGHTTP2_FLAG_END_STREAM : 0,
				  id, (uint32_t)part),
		       at, part);
		at += part;
		left -= part;
	}
	wire->window -= (int64_t)body->length;
}

/* False: no room for another call. */
static bool start_call(struct conn *conn, uint64_t since_ns)
{
	struct load *load = conn->load;
	struct wire *wire = &conn->wire;
	struct slot *slot;

	if (!conn->ready || wire->over || wire->goaway ||
	    conn->under_way >= load->options.streams || conn->under_way >= wire->streams ||
	    wire->window < (int64_t)load->body.length ||
	    wire->out_length - wire->out_sent > OUT_MOST)
		return false;
	if (load->body.items)
		body_vary(&load->body, load->serial++);
	slot = next_slot(conn);
	*slot = (struct slot){.id = wire_request(wire, false), .since_ns = since_ns};
	slot->answer.grpc = -1;
	put_body(wire, &load->body, slot->id);
	conn->under_way++;
	load->counts.sent++;
	conn_dirty(conn);
	return true;
}

/* Calls of the other method, one after the other on each of their streams. */
static void start_beside(struct conn *conn)
{
	struct load *load = conn->load;
	struct wire *wire = &conn->wire;

	while (conn->ready && wire->first_sent && !load->stopping && !wire->goaway &&
	       conn->beside < load->options.beside_streams) {
		struct slot *slot = next_slot(conn);

		*slot = (struct slot){.id = wire_request_to(wire, load->options.beside),
				      .beside = true};
		put_body(wire, &load->beside, slot->id);
		conn->beside++;
		conn_dirty(conn);
	}
}

static bool may_start(const struct load *load)
{
	return !load->stopping && (!load->options.calls || load->counts.sent < load->options.calls);
}

/* Callers that wait for answers: each that has none under way begins. */
static void start_calls(struct conn *conn)
{
	struct load *load = conn->load;

	if (load->options.rate > 0)
		return;
	while (may_start(load) && conn->under_way + conn->waiting < load->options.streams &&
	       start_call(conn, load->now_ns))
		;
}

static void end_call(struct conn *conn, struct slot *slot)
{
	struct load *load = conn->load;
	struct answer answer = slot->answer;

	if (slot->beside) {
		slot->id = 0;
		conn->beside--;
		load->counts.beside += answer.grpc == 0;
		start_beside(conn);
		return;
	}
	load_count(load, &answer, slot->since_ns);
	slot->id = 0;
	conn->under_way--;
	if (answer.grpc == 8 && answer.pushback_ms && !load->options.rude &&
	    load->options.rate <= 0)
		push_retry(load, conn, load->now_ns + answer.pushback_ms * UINT64_C(1000000));
	start_calls(conn);
}

static void on_headers(struct wire *wire, int32_t id, const struct answer *answer, bool end)
{
	struct slot *slot = slot_of(wire->user, id);

	if (slot->id != id)
		return;
	if (answer->grpc >= 0) {
		slot->answer.grpc = answer->grpc;
		slot->answer.pushback_ms = answer->pushback_ms;
	}
	if (end)
		end_call(wire->user, slot);
}

static void on_data(struct wire *wire, int32_t id, const uint8_t *data, size_t length, bool end)
{
	struct conn *conn = wire->user;
	struct slot *slot = slot_of(conn, id);

	(void)data;
	conn->load->counts.bytes += length;
	if (end && slot->id == id)
		end_call(conn, slot);
}

static void on_reset(struct wire *wire, int32_t id, uint32_t code)
{
	struct conn *conn = wire->user;
	struct slot *slot = slot_of(conn, id);

	if (code == NGHTTP2_NO_ERROR || slot->id != id)
		return;
	conn->load->counts.resets++;
	slot->answer.grpc = -1;
	end_call(conn, slot);
}

static void on_window(struct wire *wire, int32_t id, int64_t more)
{
	struct conn *conn = wire->user;

	(void)more;
	if (!id) {
		conn->ready = true;
		start_calls(conn);
		start_beside(conn);
	}
}

static void begin_calls(struct conn *conn)
{
	wire_hello(&conn->wire, WIRE_WINDOW);
	conn_dirty(conn);
}

/* The calls that were under way have failed. */
static void end_calls(struct conn *conn)
{
	for (uint32_t i = 0; i < conn->load->slots; i++) {
		if (!conn->slot[i].id)
			continue;
		conn->slot[i].id = 0;
		if (conn->slot[i].beside) {
			conn->beside--;
			continue;
		}
		conn->under_way--;
		conn->load->counts.failed++;
		conn->load->counts.status[17]++;
	}
}

const struct client call_client = {
	.name = "calls",
	.begin = begin_calls,
	.events = {on_headers, on_data, on_reset, on_window},
	.end = end_calls,
};

/* Callers whose push-back is over. */
static void retry_calls(struct load *load)
{
	while (load->heap_count && load->heap[0].due_ns <= load->now_ns)
		start_calls(pop_retry(load));
}

static uint64_t next_interval(struct load *load)
{
	double share;

	if (!load->options.poisson)
		return load->interval_ns;
	share = ((double)(draw(load) >> 11) + 1) / 9007199254740993.0;
	return (uint64_t)(-log(share) * (double)load->interval_ns);
}

static bool start_somewhere(struct load *load)
{
	for (uint32_t i = 0; i < load->options.connections; i++) {
		struct conn *conn = &load->conn[load->turn++ % load->options.connections];

		if (start_call(conn, load->next_arrival_ns))
			return true;
	}
	return false;
}

uint64_t calls_due(struct load *load)
{
	uint64_t next = NEVER;

	retry_calls(load);
	if (load->options.rate > 0 && may_start(load)) {
		while (load->next_arrival_ns <= load->now_ns) {
			if (!start_somewhere(load)) {
				if (load->now_ns - load->next_arrival_ns < LATE_MOST)
					break;
				load->counts.unsent++;
			}
			load->next_arrival_ns += next_interval(load);
		}
		next = load->next_arrival_ns;
	}
	if (load->heap_count && load->heap[0].due_ns < next)
		next = load->heap[0].due_ns;
	return next;
}
