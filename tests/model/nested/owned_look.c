/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows in a machine with owners: after a transition no shadow has a leaf of what its party has
 * lost, and each has the leaves that it had of the rest. */
#include "owned.h"

void owned_wrong(struct owned *o, const char *what, unsigned party, uint64_t ipa)
{
	if (!*o->failure)
		snprintf(o->failure, 256, "%s: party %u, %#llx, operation %llu", what, party,
			 (unsigned long long)ipa, (unsigned long long)o->counts->operations);
}

/* ---- what the model says ---- */

static struct has has_now(const struct owned *o, unsigned party, uint64_t unit)
{
	const struct own *m = &o->rig.model;
	const struct own_cell *c;

	if (!party)
		return (struct has){own_reaches(m, OWN_GUESTS, unit), PT_PROT_RWX,
				    m->frame[unit].owner, m->frame[unit].guest, unit};
	c = &m->guest[party - 1].map[unit];
	if (!m->guest[party - 1].life || c->state > OWN_LENT_BORROWED)
		return (struct has){0};
	return (struct has){true, c->prot, m->frame[c->frame].owner, m->frame[c->frame].guest,
			    c->frame};
}

static void note_all(const struct owned *o, struct has to[PARTIES][RIG_MAX])
{
	for (unsigned i = 0; i < PARTIES; i++)
		for (uint64_t unit = 0; unit < o->units; unit++)
			to[i][unit] = has_now(o, i, unit);
}

static bool has_changed(const struct owned *o, unsigned party, uint64_t unit)
{
	const struct has *a = &o->before[party][unit], *b = &o->now[party][unit];

	return a->there != b->there || (a->there && (a->frame != b->frame || a->prot != b->prot ||
						     a->owner != b->owner || a->guest != b->guest));
}

/* ---- leaves ---- */

static uint64_t base_of(const struct owned *o, unsigned party)
{
	return party ? o->rig.ipa : o->rig.pa;
}

static struct hw_result walk(struct owned *o, unsigned party, unsigned key, uint64_t ipa)
{
	const struct pt_ctx *ctx = &o->party[party].shadow[key].ctx;
	const struct hw_regs regs = {
		.vtcr = pt_ctx_vtcr(ctx), .vttbr = pt_ctx_vttbr(ctx), .fwb = true};
	const struct hw_bus bus = {.read = core_bus_read, .arg = &o->rig.c.port};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	return r;
}

static bool has_leaf(const struct hw_result *r)
{
	return r->fault != HW_TRANSLATION;
}

/* The first, or the last, page of a unit. */
static uint64_t probe_of(const struct owned *o, unsigned party, unsigned n)
{
	uint64_t page =
		pt_level_size(&rig_ctx((struct transfer_rig *)&o->rig, party)->geo, PT_LEVEL_LAST);
	uint64_t at = base_of(o, party) + (owned_unit(o, n / 2) << o->rig.shift);

	return n % 2 ? at + (UINT64_C(1) << o->rig.shift) - page : at;
}

/* All of the leaf is what the party has, with no right that it has not. */
static bool leaf_is_had(struct owned *o, unsigned party, uint64_t ipa, const struct hw_result *r)
{
	uint64_t lo = (ipa & ~(r->span - 1)) - base_of(o, party), hi = lo + (r->span - 1);
	uint64_t pa = (r->pa & ~(r->span - 1)) - o->rig.pa - lo; /* of address 0 */

	for (uint64_t unit = lo >> o->rig.shift; unit <= hi >> o->rig.shift; unit++) {
		const struct has *h = &o->now[party][unit];

		if (!h->there || pa + (unit << o->rig.shift) != h->frame << o->rig.shift ||
		    (r->read && !(h->prot & PT_PROT_R)) || (r->write && !(h->prot & PT_PROT_W)) ||
		    ((r->exec_el1 || r->exec_el0) && !(h->prot & PT_PROT_X)))
			return false;
	}
	return true;
}

static bool lost_a_part(const struct owned *o, unsigned party, const struct stood *s)
{
	uint64_t lo = s->ipa - base_of(o, party), hi = lo + (s->span - 1);

	for (uint64_t unit = lo >> o->rig.shift; unit <= hi >> o->rig.shift; unit++)
		if (has_changed(o, party, unit))
			return true;
	return false;
}

static void look(struct owned *o, unsigned party, unsigned key, unsigned n, struct stood *s,
		 struct stood *last)
{
	uint64_t ipa = probe_of(o, party, n);
	struct hw_result r = walk(o, party, key, ipa);

	*s = (struct stood){.there = false};
	if (!has_leaf(&r))
		return;
	if (!leaf_is_had(o, party, ipa, &r))
		owned_wrong(o, "a leaf of what the party has not", party, ipa);
	*s = (struct stood){true, ipa & ~(r.span - 1), r.span};
	if (last->there && last->ipa == s->ipa)
		s->there = false;
	else
		*last = *s;
}

/* Every shadow's leaf of each probe, and that it is right. */
static void look_at_all(struct owned *o, struct stood *stood)
{
	struct stood *s = stood;

	for (unsigned party = 0; party < PARTIES; party++)
		for (unsigned key = 0; key < OWNED_KEYS; key++) {
			struct stood last = {.there = false};

			for (unsigned n = 0; n < 2 * OWNED_UNITS; n++, s++)
				if (o->party[party].shadow[key].nested)
					look(o, party, key, n, s, &last);
				else
					s->there = false;
		}
}

void owned_before(struct owned *o)
{
	note_all(o, o->now);
	memcpy(o->before, o->now, sizeof(o->before));
	look_at_all(o, o->stood);
}

void owned_begins(struct owned *o)
{
	note_all(o, o->now);
	o->under_way = true;
}

void owned_after(struct owned *o)
{
	static struct stood now[OWNED_LEAFS];

	o->under_way = false;
	look_at_all(o, now);
	for (unsigned i = 0; i < OWNED_LEAFS; i++) {
		const struct stood *s = &o->stood[i];
		unsigned party = i / (OWNED_LEAFS / PARTIES);

		if (!s->there)
			continue;
		if (lost_a_part(o, party, s)) {
			o->counts->of[NESTED_OWNED_GONE]++;
			o->counts->of[NESTED_OWNED_BLOCK] += s->span >> o->rig.shift > 1;
			continue;
		}
		o->counts->of[NESTED_OWNED_KEPT]++;
		if (!now[i].there || now[i].ipa != s->ipa || now[i].span != s->span)
			owned_wrong(o, "a leaf that no transition concerns is gone", party, s->ipa);
	}
}

/* ---- accesses ---- */

static bool grants(const struct has *h, enum pt_access access)
{
	return h->there && h->prot & (access == PT_ACCESS_WRITE	 ? PT_PROT_W
				      : access == PT_ACCESS_EXEC ? PT_PROT_X
								 : PT_PROT_R);
}

static bool leads_to(const struct owned *o, const struct has *h, const struct pt_host_access *a)
{
	uint64_t off = a->ipa.v & ((UINT64_C(1) << o->rig.shift) - 1);

	return grants(h, (enum pt_access)a->access) &&
	       a->pa.v == o->rig.pa + (h->frame << o->rig.shift) + off;
}

/* False: it is not to be had, or not now. */
static bool resolve(struct owned *o, unsigned party, unsigned key, uint64_t unit,
		    const struct pt_host_access *a)
{
	const struct pt_nested_fault fault = {.ipa = a->ipa, .vcpu = a->vcpu, .access = a->access};
	struct pt_nested_result r;
	enum pt_outcome outcome =
		pt_nested_fault(&o->other, &o->party[party].shadow[key], &fault, &r);
	bool granted = grants(&o->now[party][unit], (enum pt_access)a->access);

	if (o->under_way)
		granted &= grants(&o->before[party][unit], (enum pt_access)a->access) &&
			   !has_changed(o, party, unit);
	if (outcome == PT_MAPPED || outcome == PT_RELAXED || outcome == PT_MADE_YOUNG ||
	    outcome == PT_ALREADY_MAPPED || (outcome == PT_RACED && o->under_way))
		return true;
	o->counts->of[NESTED_OWNED_EXIT] += r.who == PT_NESTED_HOST;
	o->counts->of[NESTED_OWNED_PARKED] += outcome == PT_PARKED;
	if (outcome == PT_PARKED ? !o->under_way : r.who != PT_NESTED_HOST || granted)
		owned_wrong(o, pt_outcome_info(outcome)->name, party, a->ipa.v);
	return false;
}

static void came_to(struct owned *o, unsigned party, uint64_t unit, const struct pt_host_access *a)
{
	if (!leads_to(o, &o->now[party][unit], a) &&
	    !(o->under_way && leads_to(o, &o->before[party][unit], a)))
		owned_wrong(o,
			    a->tlb_hit ? "a TLB's answer from before a transition"
				       : "an answer that nobody may have",
			    party, a->ipa.v);
}

static struct pt_host_ram bounds = {.bytes = UINT64_C(1) << 52}; /* no byte is moved */

/* Mostly what the party has. */
static unsigned some_probe(struct owned *o, unsigned party)
{
	unsigned n = (unsigned)owned_draw(o, 2 * OWNED_UNITS);

	while (!o->now[party][owned_unit(o, n / 2)].there && owned_draw(o, 16))
		n = (unsigned)owned_draw(o, 2 * OWNED_UNITS);
	return n;
}

void owned_access(struct owned *o)
{
	unsigned party = (unsigned)owned_draw(o, PARTIES),
		 key = (unsigned)owned_draw(o, OWNED_KEYS);
	unsigned n = some_probe(o, party);
	uint64_t unit = owned_unit(o, n / 2);
	struct pt_host_access a = {.vcpu = (uint32_t)owned_draw(o, 2),
				   .ipa = {probe_of(o, party, n)},
				   .access = (uint8_t)(PT_ACCESS_READ + owned_draw(o, 3))};
	enum pt_outcome outcome = PT_MORE;
	bool again = true;

	if (!is_live(o, party))
		return;
	o->counts->of[NESTED_OWNED_ACCESS]++;
	pt_section_begin(&o->other);
	for (unsigned tries = 0; tries < 16 && again && outcome != PT_OK; tries++) {
		outcome = pt_host_access(&o->other, &o->party[party].shadow[key].ctx, &bounds, &a);
		if (outcome == PT_OK)
			came_to(o, party, unit, &a);
		else if (outcome != PT_MORE)
			again = resolve(o, party, key, unit, &a);
	}
	pt_section_end(&o->other);
	if (again && outcome != PT_OK && !o->under_way)
		owned_wrong(o, "an access makes no progress", party, a.ipa.v);
}
