/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: accesses through shadows, and what becomes of their faults. */
#include "world.h"

/* The abort is what the guest's tables say now. */
static void guest_takes(struct play *p, unsigned mirror, const struct probe *probe, struct use use,
			const struct pt_nested_result *r)
{
	struct hw_result now = walk_guest(p, &p->m[mirror], probe->ipa);
	bool denied = has_leaf(&now) && !grants(rights_of(&now, now.write), use);
	uint8_t class = denied			      ? 0x0c
			: now.fault == HW_TRANSLATION ? 0x04
			: now.fault == HW_ACCESS_FLAG ? 0x08
						      : 0;

	note(p, NESTED_TO_GUEST);
	if (!class || r->fault.fsc != (class | now.level) || r->fault.level != now.level)
		wrong(p, "an abort that the guest's tables do not make", mirror, probe->ipa);
}

/* went: beside it the host has been changing something. */
static void host_takes(struct play *p, unsigned mirror, const struct probe *probe, struct use use,
		       const struct pt_nested_result *r, bool went)
{
	struct said now = said_now(p, &p->m[mirror], probe->ipa);
	struct hw_result host;

	note(p, NESTED_TO_HOST);
	if (!now.valid || !grants(now.rights, use) || r->canonical.v != now.out) {
		wrong(p, "an exit of the host's before the guest's abort", mirror, probe->ipa);
		return;
	}
	host = walk_context(p, &p->g.c.ctx, now.out, NULL);
	if (!went && has_leaf(&host) && grants(rights_of(&host, host.write), use))
		wrong(p, "an exit of the host's, whose tables grant the access", mirror,
		      probe->ipa);
}

/* What a fill that got no page must leave as it was. */
struct kept {
	struct pt_digest digest;
	uint64_t links, tables, own_tables, used; /* links: bytes */
	bool leaf;				  /* of the address */
};

static struct kept keep(struct play *p, unsigned mirror)
{
	struct pt_shadow *s = &p->m[mirror].shadow;
	struct kept k = {.links = atomic_load(&p->g.nested.store.bytes),
			 .tables = atomic_load(&s->ctx.table_pages),
			 .own_tables = atomic_load(&p->g.c.ctx.table_pages),
			 .used = atomic_load(&p->g.c.tables.world.pool.used_bytes)};

	pt_digest_begin(&k.digest, &s->ctx);
	pt_section_begin(&p->g.c.agent);
	while (pt_digest_step(&k.digest, 1000) == PT_MORE)
		continue;
	pt_section_end(&p->g.c.agent);
	return k;
}

/* The canonical context may have got a table for its own leaf; and a leaf of the shadow's that
 * granted less may have made room. */
static void was_refused(struct play *p, unsigned mirror, const struct probe *probe,
			const struct kept *was)
{
	struct hw_result r = walk_context(p, &p->m[mirror].shadow.ctx, probe->ipa, NULL);
	struct kept now = keep(p, mirror);
	bool same = was->digest.state[0] == now.digest.state[0] &&
		    was->digest.state[1] == now.digest.state[1] && was->links == now.links;
	uint64_t links = now.links - was->links, tables = now.own_tables - was->own_tables;

	note(p, NESTED_REFUSED);
	if (!p->scarce || was->tables != now.tables || now.links > was->links ||
	    now.used - was->used != tables * p->host_page + links ||
	    (!same && (!was->leaf || has_leaf(&r))))
		wrong(p, "a fill that got no page has changed something", mirror, probe->ipa);
}

enum pt_outcome fault(struct play *p, unsigned mirror, uint64_t ipa, uint32_t vcpu, struct use use,
		      struct pt_nested_result *r)
{
	struct pt_nested_fault fault = guest_access(ipa, use.access);
	uint64_t swaps = p->swaps;
	enum pt_outcome outcome;

	fault.vcpu = vcpu;
	fault.el0 = use.el0;
	pt_section_begin(&p->g.c.agent);
	outcome = pt_nested_fault(&p->g.c.agent, &p->m[mirror].shadow, &fault, r);
	if (!draw(p, 4))
		step_beside(p);
	pt_section_end(&p->g.c.agent);
	if (p->swaps != swaps) {
		note(p, NESTED_DIRTIED);
		say_everywhere(p);
	}
	return outcome;
}

/* False: somebody takes an abort, or waits. */
static bool resolve(struct play *p, unsigned mirror, const struct probe *probe, uint32_t vcpu,
		    struct use use)
{
	struct pt_nested_result r;
	bool went = claims(p), raced = p->going.kind;
	struct kept was = {.links = 0};
	enum pt_outcome outcome;

	if (p->scarce) {
		struct hw_result old = walk_context(p, &p->m[mirror].shadow.ctx, probe->ipa, NULL);

		was = keep(p, mirror);
		was.leaf = has_leaf(&old);
	}
	outcome = fault(p, mirror, probe->ipa, vcpu, use, &r);
	if (r.who == PT_NESTED_GUEST)
		guest_takes(p, mirror, probe, use, &r);
	else if (outcome == PT_NO_MEMORY || outcome == PT_QUOTA)
		was_refused(p, mirror, probe, &was);
	else if (r.who == PT_NESTED_HOST)
		host_takes(p, mirror, probe, use, &r, went);
	else if (outcome == PT_MAPPED || outcome == PT_RELAXED || outcome == PT_MADE_YOUNG ||
		 outcome == PT_ALREADY_MAPPED)
		return true;
	else if (outcome == PT_PARKED && went)
		note(p, NESTED_PARKED);
	else if (outcome == PT_RACED && raced)
		return true;
	else
		wrong(p, pt_outcome_info(outcome)->name, mirror, probe->ipa);
	return false;
}

static struct pt_host_ram bounds = {.bytes = UINT64_C(1) << 52}; /* no byte is moved */

static void came_to(struct play *p, unsigned mirror, const struct probe *probe,
		    const struct pt_host_access *a)
{
	if (!answer_is_legal(p, mirror, probe, a))
		wrong(p,
		      a->tlb_hit ? "a TLB's answer from before an invalidation"
				 : "an answer that nobody has given",
		      mirror, probe->ipa);
	if (a->access == PT_ACCESS_WRITE)
		note_write(p, a->pa.v);
}

bool touch(struct play *p, unsigned mirror, const struct probe *probe, struct use use)
{
	struct pt_host_access a = {.vcpu = (uint32_t)draw(p, 2),
				   .ipa = {probe->ipa},
				   .access = (uint8_t)use.access,
				   .el0 = use.el0};
	bool went = p->going.kind;

	p->counts->of[NESTED_EL0] += use.el0;
	for (unsigned tries = 0; tries < 16 && !*p->failure; tries++) {
		enum pt_outcome outcome;

		pt_section_begin(&p->g.c.agent);
		outcome = pt_host_access(&p->g.c.agent, &p->m[mirror].shadow.ctx, &bounds, &a);
		if (outcome == PT_OK)
			came_to(p, mirror, probe, &a);
		if (!draw(p, 4))
			step_beside(p);
		pt_section_end(&p->g.c.agent);
		if (outcome == PT_OK)
			return true;
		if (outcome != PT_MORE && !resolve(p, mirror, probe, a.vcpu, use))
			return false;
	}
	if (!p->going.kind && !went)
		wrong(p, "an access makes no progress", mirror, probe->ipa);
	return false;
}

struct use some_use(struct play *p)
{
	return (struct use){(enum pt_access)(PT_ACCESS_READ + draw(p, 3)), draw(p, 2)};
}

/* Some leaves of shadows are used that lead into [ipa, ipa + size). */
void touch_some(struct play *p, uint64_t ipa, uint64_t size)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; p->m[i].live && n < p->probes && !*p->failure; n++) {
			const struct probe *probe = &p->m[i].probe[n];
			struct hw_result r = walk_context(p, &p->m[i].shadow.ctx, probe->ipa, NULL);

			if (has_leaf(&r) && canonical_of(p, r.pa) - ipa < size && draw(p, 2))
				touch(p, i, probe, (struct use){PT_ACCESS_READ, false});
		}
}

void do_access(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);

	while (!p->m[mirror].live && draw(p, 8)) /* mostly one that is there */
		mirror = (unsigned)draw(p, MIRRORS);
	note(p, NESTED_ACCESS);
	if (open_mirror(p, mirror))
		touch(p, mirror, &p->m[mirror].probe[draw(p, p->probes)], some_use(p));
}

/* The guest hypervisor's own, of the memory that its guests have too. */
void do_own_access(struct play *p)
{
	struct use use = some_use(p);
	struct pt_host_access a = {.vcpu = (uint32_t)draw(p, 2),
				   .ipa = {some_area(p) + draw(p, 8) * p->guest_page},
				   .access = (uint8_t)use.access,
				   .el0 = use.el0,
				   .handle_faults = true};
	struct hw_result host;
	enum pt_outcome outcome;

	note(p, NESTED_OWN_ACCESS);
	pt_section_begin(&p->g.c.agent);
	outcome = pt_host_access(&p->g.c.agent, &p->g.c.ctx, &bounds, &a);
	pt_section_end(&p->g.c.agent);
	if (outcome != PT_OK)
		return;
	host = walk_context(p, &p->g.c.ctx, a.ipa.v, NULL);
	if (!is_going(p, a.ipa.v, 1) && (!has_leaf(&host) || host.pa != a.pa.v ||
					 !grants(rights_of(&host, is_dirty(&host)), use)))
		wrong(p, "an answer that the host's tables do not give", MIRRORS, a.ipa.v);
	if (a.access == PT_ACCESS_WRITE)
		note_write(p, a.pa.v);
}
