/* SPDX-License-Identifier: BSD-2-Clause */
/* A play: the machine of a seed, and one step after the other. */
#include <pt/host/checked.h>

#include "play.h"

#include <stdarg.h>
#include <unistd.h>

#define LOOK 256 /* steps from one full comparison to the next */

void differ(struct play *p, const char *format, ...)
{
	size_t room = sizeof(p->v->failure);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(p->v->failure, room, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < room)
		snprintf(p->v->failure + n, room - (size_t)n, " (step %u)", p->now);
	_exit(1);
}

const char *outcome_name(unsigned outcome)
{
	const struct pt_outcome_info *info = pt_outcome_info((enum pt_outcome)outcome);

	return info ? info->name : "?";
}

/* Granules, how much memory there is, and how it lies to where blocks begin. Blocks need frames and
 * addresses at the same distance from one. */
static void open_machine(struct play *p)
{
	static const uint32_t sizes[] = {40, 150, 600, 1100};
	const struct shape *guest[RIG_GUESTS], *host;
	uint64_t draw = p->v->seed * UINT64_C(0x9e3779b97f4a7c15) >> 20, pa, ipa;
	bool mixed = draw % 4 == 0;

	host = &shapes[mixed ? draw / 4 % 3 : 0];
	for (unsigned i = 0; i < RIG_GUESTS; i++) {
		guest[i] = &shapes[mixed ? (draw / 16 >> 2 * i) % 3 : 0];
		p->v->counts.mixed += mixed && i == 0;
	}
	p->units = sizes[draw / 1024 % 4];
	pa = 5 * PT_SZ_1G - (draw / 4096 % 2 ? 0x50000 : 0);
	ipa = PT_SZ_1G - (draw / 8192 % 2 ? 0x50000 : 0);
	rig_open_shapes(&p->rig, host, guest, p->units, pa, ipa, draw / 16384 % 2);
	if (draw / 32768 % 2) /* what the host has touched */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&p->rig.c, pa, (uint64_t)(p->units * 2 / 3) << p->rig.shift,
					pa, PT_PROT_RWX, 0));
}

static void look(struct play *p)
{
	const char *why = own_unsound(&p->rig.model);

	if (why)
		differ(p, "unsound: %s", why);
	rig_same(&p->rig);
	p->v->counts.pages += (1 + RIG_GUESTS) * p->units;
}

static void do_step(struct play *p, const struct step *s)
{
	struct step here = *s;

	if (p->v->plant == PLANT_CRASH && p->now == 77)
		abort();
	/* A list that was written for a larger machine. */
	if (s->verb >= V_MAP) {
		here.frame %= p->units;
		here.n = here.n < p->units - here.frame ? here.n : p->units - here.frame;
	}
	p->v->counts.requests++;
	if (s->verb < V_RESERVE)
		do_transfer(p, &here);
	else if (s->verb >= V_LEND && s->verb <= V_TAKE_BACK)
		do_lend(p, &here);
	else
		do_around(p, &here);
}

/* What the checker has judged in this process so far. */
static void count_rules(struct verdict *v)
{
	static uint64_t seen[PT_RULES];
	uint64_t judged[PT_RULES];

	pt_host_check_counts(judged);
	for (unsigned i = 0; i < PT_RULES; i++) {
		v->counts.judged[i] += judged[i] - seen[i];
		seen[i] = judged[i];
	}
}

void play(struct verdict *v)
{
	static struct play p;
	bool drawn = !v->steps;
	uint32_t steps = drawn ? v->wanted : v->steps;

	p = (struct play){.v = v, .rng = v->seed * UINT64_C(0x2545f4914f6cdd1d) | 1};
	v->counts.plays++;
	open_machine(&p);
	for (p.now = 0; p.now < steps; p.now++) {
		if (drawn)
			draw_step(&p, &v->step[p.now]);
		if (drawn)
			v->steps = p.now + 1;
		do_step(&p, &v->step[p.now]);
		if (p.now % LOOK == LOOK - 1)
			look(&p);
	}
	look(&p);
	rig_audit(&p.rig);
	for (unsigned i = 0; i <= RIG_GUESTS; i++)
		log_stop(&p, i);
	rig_close(&p.rig);
	count_rules(v);
}
