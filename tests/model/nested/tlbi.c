/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: the guest hypervisor's TLBIs, at once and in steps beside others. */
#include "world.h"

/* What an invalidation has to remove: leaves by guest leaves that it names. With stage 2 off there
 * are none. */
static bool names(const struct mirror *m, const struct pt_guest_tlbi *t, int level, uint64_t span,
		  uint64_t ipa)
{
	uint64_t lo = ipa & ~(span - 1), hi = lo + (span - 1);

	if (t->scope == PT_GUEST_TLBI_ALL || t->scope == PT_GUEST_TLBI_VMID)
		return true;
	if (t->scope == PT_GUEST_TLBI_STAGE1 || !m->key.enabled)
		return false;
	if (t->scope == PT_GUEST_TLBI_RANGE)
		return t->ipa.v <= hi && lo <= t->ipa.v + (t->size - 1);
	return t->ipa.v >= lo && t->ipa.v <= hi && (!t->ttl_given || t->level == level);
}

static bool concerns(const struct play *p, unsigned mirror, const struct pt_guest_tlbi *t,
		     uint16_t vmid)
{
	return t->scope == PT_GUEST_TLBI_ALL || p->m[mirror].vmid == vmid;
}

/* What was said before `since`, and not since then, is gone. */
void end_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid, uint64_t since)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes && concerns(p, i, t, vmid); n++) {
			struct probe *probe = &p->m[i].probe[n];
			unsigned kept = 0;

			for (unsigned v = 0; v < probe->count; v++) {
				const struct said *s = &probe->said[v];
				bool named = !s->valid ||
					     names(&p->m[i], t, s->level, s->span, probe->ipa);

				if (!named || s->last >= since)
					probe->said[kept++] = *s;
			}
			probe->count = kept;
		}
	say_everywhere(p);
}

static enum pt_outcome step_tlbi(struct play *p, struct pt_guest_tlbi_op *op,
				 struct pt_agent *agent)
{
	enum pt_outcome outcome;

	pt_section_begin(agent);
	outcome = pt_guest_tlbi_step(op, agent, (uint32_t)(1 + draw(p, 40)));
	pt_section_end(agent);
	return outcome;
}

/* Leaves that it does not name are there as before. */
static void compare_rest(struct play *p, const struct seen *was, const struct pt_guest_tlbi *t,
			 uint16_t vmid)
{
	struct seen now[MIRRORS * PROBES];

	see_all(p, now);
	for (unsigned i = 0; i < MIRRORS * PROBES; i++) {
		const struct seen *s = &was[i];
		uint64_t span;

		if (!s->there)
			continue;
		span = UINT64_C(1) << guest_level_shift(&p->g, s->level);
		if (concerns(p, i / PROBES, t, vmid) &&
		    names(&p->m[i / PROBES], t, s->level, span, s->ipa))
			continue;
		note(p, NESTED_KEPT);
		if (!now[i].there || now[i].pa != s->pa)
			wrong(p, "a leaf that a TLBI does not name is gone", i / PROBES, s->ipa);
	}
}

void run_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid)
{
	struct seen was[MIRRORS * PROBES];
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome = PT_OK;

	note(p, NESTED_TLBI);
	see_all(p, was);
	pt_guest_tlbi_begin(&op, &p->g.nested, vmid, t);
	if (p->defect != NESTED_LOSE_TLBI || draw(p, 8))
		while ((outcome = step_tlbi(p, &op, &p->g.c.agent)) == PT_MORE)
			continue;
	assert_int_equal(PT_OK, outcome);
	end_tlbi(p, t, vmid, UINT64_MAX);
	compare_rest(p, was, t, vmid);
}

void do_tlbi(struct play *p)
{
	const struct probe *probe = &p->m[0].probe[draw(p, p->probes)];
	uint16_t vmid = p->m[draw(p, MIRRORS)].vmid;
	struct pt_guest_tlbi t = {.scope = (enum pt_guest_tlbi_scope)draw(p, 5),
				  .leaf_only = draw(p, 2),
				  .ipa = {probe->ipa & ~UINT64_C(0xfff)}};

	if (t.scope == PT_GUEST_TLBI_IPA && draw(p, 2)) {
		t.ttl_given = true;
		t.level = (int8_t)(2 + draw(p, 2));
		t.ttl_shift = p->g.geo.granule_shift;
	}
	if (t.scope == PT_GUEST_TLBI_RANGE) {
		t.ipa.v &= ~(p->guest_page - 1);
		t.size = (1 + draw(p, 3)) * p->guest_page;
	}
	if (p->going.kind || draw(p, 3)) {
		run_tlbi(p, &t, vmid);
		return;
	}
	note(p, NESTED_TLBI);
	begin_tlbi(p, &t, vmid);
}

void invalidate(struct play *p, uint64_t page)
{
	struct pt_guest_tlbi t = {.scope = PT_GUEST_TLBI_IPA,
				  .leaf_only = true,
				  .ipa = {page + draw(p, p->guest_page / 4096) * 4096}};

	for (unsigned i = 0; i < 4; i++) /* each VMID that uses the tables */
		run_tlbi(p, &t, p->m[i].vmid);
}

void make_room(struct play *p)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes; n++)
			if (p->m[i].probe[n].count >= VERSIONS - 1) {
				run_tlbi(p, &(struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_ALL}, 0);
				return;
			}
}
