/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: what another agent does in small steps, between the operations of the
 * first. */
#include "world.h"

bool claims(const struct play *p)
{
	return p->going.kind == HOSTS_ITEM || p->going.kind == HOSTS_LOG ||
	       p->going.kind == HOSTS_UPKEEP;
}

bool is_going(const struct play *p, uint64_t canonical, uint64_t size)
{
	const struct going *g = &p->going;

	return (g->kind == HOSTS_ITEM || g->kind == HOSTS_LOG) && canonical <= g->hi &&
	       g->lo <= canonical + (size - 1);
}

/* ---- what begins ---- */

void begin_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid)
{
	say_everywhere(p);
	p->going.kind = GUESTS_TLBI;
	p->going.since = p->now;
	p->going.vmid = vmid;
	pt_guest_tlbi_begin(&p->going.tlbi, &p->g.nested, vmid, t);
}

void begin_item(struct play *p, const struct pt_item *item)
{
	p->going.kind = HOSTS_ITEM;
	p->going.item = *item;
	p->going.lo = item->ipa.v;
	p->going.hi = item->ipa.v + (item->size - 1);
	assert_int_equal(PT_OK, pt_item_check(&p->going.item));
	assert_int_equal(PT_OK, pt_txn_init(&p->going.txn, &p->going.item, 1, 0, false, NULL));
}

void begin_log(struct play *p, const struct pt_dirty_args *args, uint64_t lo, uint64_t hi)
{
	note(p, args->kind == PT_DIRTY_START ? NESTED_START_BESIDE
		: args->kind == PT_DIRTY_GET ? NESTED_GET_BESIDE
					     : NESTED_STOP_BESIDE);
	p->going.kind = HOSTS_LOG;
	p->going.lo = lo;
	p->going.hi = hi;
	assert_int_equal(PT_OK, pt_dirty_init(&p->going.dirty, args, NULL));
}

void begin_upkeep(struct play *p, const struct pt_upkeep_args *args)
{
	static const enum nested_kind kinds[] = {[PT_UPKEEP_AGE] = NESTED_AGE_BESIDE,
						 [PT_UPKEEP_SPLIT] = NESTED_SPLIT_BESIDE,
						 [PT_UPKEEP_COLLAPSE] = NESTED_COLLAPSE_BESIDE,
						 [PT_UPKEEP_SWEEP] = NESTED_SWEEP_BESIDE};

	note(p, kinds[args->kind]);
	p->going.kind = HOSTS_UPKEEP;
	if (args->kind == PT_UPKEEP_AGE)
		p->going.least = young_alone(p, args->ipa.v, args->size);
	assert_int_equal(PT_OK, pt_upkeep_init(&p->going.upkeep, args, NULL));
}

void begin_end(struct play *p, unsigned mirror)
{
	note(p, NESTED_END_BESIDE);
	p->going.kind = SHADOWS_END;
	p->going.mirror = mirror;
	p->m[mirror].live = false;
	assert_int_equal(PT_OK, pt_shadow_end_begin(&p->going.end, &p->m[mirror].shadow, NULL));
}

/* ---- steps ---- */

/* Small; but not so that an area is never done. */
static uint32_t budget(struct play *p)
{
	return (uint32_t)((1 + draw(p, 8)) * (1 + p->area / p->host_page / 2048));
}

static enum pt_outcome step_upkeep(struct play *p)
{
	struct pt_upkeep *u = &p->going.upkeep;
	enum pt_outcome outcome = pt_upkeep_step(u, &p->other, budget(p));

	if (outcome == PT_OK && u->args.kind == PT_UPKEEP_AGE && u->young < p->going.least)
		wrong(p, "fewer young pages than the canonical flags say", MIRRORS, u->args.ipa.v);
	return outcome;
}

/* Who has been told of it before finds nothing to fill, to use or to end. */
static enum pt_outcome step_end(struct play *p)
{
	unsigned mirror = p->going.mirror;
	struct pt_shadow *s = &p->m[mirror].shadow;
	struct pt_nested_fault fault =
		guest_access(p->m[mirror].probe[draw(p, p->probes)].ipa, PT_ACCESS_READ);
	struct pt_nested_result r;
	struct pt_shadow_end again;

	if (pt_nested_fault(&p->other, s, &fault, &r) != PT_NOT_FOUND ||
	    pt_shadow_use(s) != PT_NOT_FOUND ||
	    pt_shadow_end_begin(&again, s, NULL) != PT_NOT_FOUND)
		wrong(p, "a shadow that goes is there", mirror, fault.ipa.v);
	return pt_shadow_end_step(&p->going.end, &p->other, (uint32_t)(1 + draw(p, 20)));
}

static enum pt_outcome step(struct play *p)
{
	struct going *g = &p->going;

	switch (g->kind) {
	case GUESTS_TLBI:
		return pt_guest_tlbi_step(&g->tlbi, &p->other, (uint32_t)(1 + draw(p, 40)));
	case HOSTS_ITEM: return pt_txn_step(&g->txn, &p->other, (uint32_t)(1 + draw(p, 8)));
	case HOSTS_LOG: return pt_dirty_step(&g->dirty, &p->other, budget(p));
	case HOSTS_UPKEEP: return step_upkeep(p);
	default: return step_end(p);
	}
}

/* What a step has left alone: of upkeep, all. */
static void compare_step(struct play *p, const struct seen *was)
{
	bool log = p->going.kind == HOSTS_LOG;

	if (log || p->going.kind == HOSTS_ITEM)
		compare_stays(p, was, p->going.lo, p->going.hi, log);
	else if (p->going.kind == HOSTS_UPKEEP)
		compare_stays(p, was, 1, 0, false);
}

static void finish(struct play *p, enum pt_outcome outcome)
{
	struct going *g = &p->going;
	int kind = g->kind;

	g->kind = NOTHING;
	if (kind == GUESTS_TLBI)
		end_tlbi(p, &g->tlbi.tlbi, g->vmid, g->since);
	else if (kind == HOSTS_LOG)
		end_log(p, g->dirty.args.kind);
	if (outcome != PT_OK && kind != HOSTS_ITEM)
		wrong(p, pt_outcome_info(outcome)->name, MIRRORS, 0);
}

void step_beside(struct play *p)
{
	bool looks = !draw(p, 16);
	struct seen was[MIRRORS * PROBES];
	enum pt_outcome outcome;

	if (p->going.kind == NOTHING)
		return;
	note(p, NESTED_STEP);
	if (p->going.kind == HOSTS_LOG) /* faults may have put blocks over its edges */
		round_out(p, true, &p->going.lo, &p->going.hi);
	if (looks)
		see_all(p, was);
	pt_section_begin(&p->other);
	outcome = step(p);
	pt_section_end(&p->other);
	if (looks)
		compare_step(p, was);
	if (outcome != PT_MORE)
		finish(p, outcome);
}

void finish_beside(struct play *p)
{
	while (p->going.kind)
		step_beside(p);
}
