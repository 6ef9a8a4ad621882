/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair reading. A link that always has more waiting than one read takes is read once a turn while
 * others are active, and so little at a time that a read costs no more than QUANTUM_NS; what each
 * read cost is known when the next step begins, or the turn ends. Whoever sends most has no more of
 * the loop than that; alone he has all of it.
 */
#include "loop.h"

#define QUANTUM_NS 60000u
#define LEAST_READ (1u << 10)

void fair_begin(struct link *link)
{
	link->room = READ_FIRST;
}

bool fair_is_busy(const struct loop *loop)
{
	return loop->active || loop->active_before;
}

static bool others_are_active(const struct loop *loop)
{
	return loop->active > 1 || loop->active_before > 1;
}

static void rest(struct loop *loop, struct link *link)
{
	link->resting = true;
	link->next_resting = loop->resting;
	loop->resting = link;
	uv_read_stop(&link->stream);
}

void fair_read(struct link *link, uint64_t since_ns, size_t length)
{
	struct loop *loop = link->loop;

	if (link->turn != loop->turn) {
		link->turn = loop->turn;
		loop->active++;
	}
	if (length < link->room)
		return;
	loop->reader = link;
	loop->read_ns = since_ns;
	if (others_are_active(loop) && !link->paused)
		rest(loop, link);
}

void fair_step(struct loop *loop, uint64_t now_ns)
{
	struct link *link = loop->reader;
	uint64_t took_ns = now_ns - loop->read_ns;

	if (!link)
		return;
	loop->reader = NULL;
	if (took_ns > QUANTUM_NS && link->room > LEAST_READ && others_are_active(loop))
		link->room /= 2;
	else if (took_ns < QUANTUM_NS / 2 || !others_are_active(loop))
		link->room = 2 * link->room < READ_BUFFER ? 2 * link->room : READ_BUFFER;
}

void fair_forget(struct link *link)
{
	struct link **at = &link->loop->resting;

	if (link->loop->reader == link)
		link->loop->reader = NULL;
	while (*at && *at != link)
		at = &(*at)->next_resting;
	if (*at)
		*at = link->next_resting;
	link->resting = false;
}

void fair_turn(struct loop *loop)
{
	if (loop->reader)
		fair_step(loop, uv_hrtime());
	while (loop->resting) {
		struct link *link = loop->resting;

		loop->resting = link->next_resting;
		link->resting = false;
		if (!link->paused)
			link_resume(link);
	}
	loop->active_before = loop->active;
	loop->active = 0;
	loop->turn++;
}
