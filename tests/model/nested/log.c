/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: dirty logs of the first area. What was written is told. */
#include "world.h"

static void set(uint8_t *bits, uint64_t page)
{
	if (page < 8 * LOGGED_BYTES)
		bits[page / 8] |= (uint8_t)(1 << page % 8);
}

/* While a look goes on, a page whose bit it has taken is for the next one; another one for either.
 */
void note_write(struct play *p, uint64_t pa)
{
	uint64_t at = canonical_of(p, pa), page = (at - p->base) / p->host_page;
	const struct going *g = &p->going;

	if (!p->logging || at - p->base >= p->area)
		return;
	if (g->kind == HOSTS_LOG && at >= g->dirty.from)
		set(p->beside, page);
	else
		set(p->written, page);
}

/* What a shadow may write is dirty already (D1). */
static void note_writable(struct play *p)
{
	struct seen seen[MIRRORS * PROBES];

	see_all(p, seen);
	for (unsigned i = 0; i < MIRRORS * PROBES; i++) {
		uint64_t at = canonical_of(p, seen[i].pa) - p->base;

		for (uint64_t in = 0;
		     seen[i].there && seen[i].write && in < seen[i].span && at + in < p->area &&
		     (at + in) / p->host_page < 8 * LOGGED_BYTES;
		     in += p->host_page)
			set(p->written, (at + in) / p->host_page);
	}
}

/* Every page that was written since the last look is told. */
static void compare_told(struct play *p)
{
	for (unsigned i = 0; i < LOGGED_BYTES && i < p->area / p->host_page / 8; i++) {
		if (p->due[i] & ~p->told[i])
			wrong(p, "a page that was written is not told", 0, i * 8 * p->host_page);
		p->written[i] |= p->beside[i] & (uint8_t)~p->told[i];
	}
}

void end_log(struct play *p, uint32_t kind)
{
	if (kind == PT_DIRTY_GET)
		compare_told(p);
	if (kind == PT_DIRTY_START)
		p->logging = true;
}

/* Now, or beside others. */
static void run_log(struct play *p, struct pt_dirty_args args, bool beside)
{
	uint64_t lo = p->base, hi = p->base + (p->area - 1);
	struct seen was[MIRRORS * PROBES];
	struct pt_dirty op;
	enum pt_outcome outcome;

	args.log = &p->log;
	round_out(p, true, &lo, &hi);
	if (beside) {
		begin_log(p, &args, lo, hi);
		return;
	}
	see_all(p, was);
	assert_int_equal(PT_OK, pt_dirty_init(&op, &args, NULL));
	do {
		pt_section_begin(&p->g.c.agent);
		outcome = pt_dirty_step(&op, &p->g.c.agent, 1000);
		pt_section_end(&p->g.c.agent);
	} while (outcome == PT_MORE);
	assert_int_equal(PT_OK, outcome);
	compare_stays(p, was, lo, hi, true);
	end_log(p, args.kind);
}

static void start_log(struct play *p, bool beside)
{
	note(p, NESTED_LOG_START);
	free(p->log_memory);
	p->log_memory = calloc(1, pt_dirty_bytes(p->g.c.ctx.geo.granule_shift, p->area));
	memset(p->written, 0, LOGGED_BYTES);
	run_log(p,
		(struct pt_dirty_args){.kind = PT_DIRTY_START,
				       .ctx = &p->g.c.ctx,
				       .ipa = {p->base},
				       .size = p->area,
				       .memory = p->log_memory,
				       .eager_split = draw(p, 2)},
		beside);
}

static void get_log(struct play *p, bool beside)
{
	note(p, NESTED_LOG_GET);
	free(p->told);
	p->told = calloc(1, p->area / p->host_page / 8 + 1);
	note_writable(p);
	memcpy(p->due, p->written, LOGGED_BYTES);
	memset(p->written, 0, LOGGED_BYTES);
	memset(p->beside, 0, LOGGED_BYTES);
	run_log(p,
		(struct pt_dirty_args){.kind = PT_DIRTY_GET,
				       .ipa = {p->base},
				       .size = p->area,
				       .clear = true,
				       .bitmap = p->told,
				       .generation = p->log.generation},
		beside);
}

void stop_log(struct play *p, bool beside)
{
	if (p->logging)
		run_log(p, (struct pt_dirty_args){.kind = PT_DIRTY_STOP}, beside);
	p->logging = false;
}

void do_log(struct play *p)
{
	bool beside = p->going.kind == NOTHING && draw(p, 2);

	if (!p->logging)
		start_log(p, beside);
	else if (draw(p, 4))
		get_log(p, beside);
	else
		stop_log(p, beside);
}
