/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: accesses through shadows, and what becomes of their faults. */
#include "world.h"

/* The abort is what the guest's tables say now. */
static void guest_takes(struct play *p, unsigned mirror, const struct probe *probe,
			enum pt_access access, const struct pt_nested_result *r)
{
	struct hw_result now = walk_guest(p, &p->m[mirror], probe->ipa);
	bool denied = has_leaf(&now) && !grants(now.read, now.write, now.exec_el1, access);
	uint8_t class = denied			      ? 0x0c
			: now.fault == HW_TRANSLATION ? 0x04
			: now.fault == HW_ACCESS_FLAG ? 0x08
						      : 0;

	note(p, NESTED_TO_GUEST);
	if (!class || r->fault.fsc != (class | now.level) || r->fault.level != now.level)
		wrong(p, "an abort that the guest's tables do not make", mirror, probe->ipa);
}

/* went: beside it the host has been changing something. */
static void host_takes(struct play *p, unsigned mirror, const struct probe *probe,
		       enum pt_access access, const struct pt_nested_result *r, bool went)
{
	struct said now = said_now(p, &p->m[mirror], probe->ipa);
	struct hw_result host;

	note(p, NESTED_TO_HOST);
	if (!now.valid || !grants(now.read, now.write, now.exec, access) ||
	    r->canonical.v != now.out) {
		wrong(p, "an exit of the host's before the guest's abort", mirror, probe->ipa);
		return;
	}
	host = walk_context(p, &p->g.c.ctx, now.out, NULL);
	if (!went && has_leaf(&host) && grants(host.read, host.write, host.exec_el1, access))
		wrong(p, "an exit of the host's, whose tables grant the access", mirror,
		      probe->ipa);
}

/* What a fill that got no page must leave as it was. */
struct kept {
	struct pt_digest digest;
	uint64_t pages, tables, own_tables, used;
	bool leaf; /* of the address */
};

static struct kept keep(struct play *p, unsigned mirror)
{
	struct pt_shadow *s = &p->m[mirror].shadow;
	struct kept k = {.pages = atomic_load(&p->g.nested.store.pages),
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
		    was->digest.state[1] == now.digest.state[1] && was->pages == now.pages;
	uint64_t pages = now.pages - was->pages, tables = now.own_tables - was->own_tables;

	note(p, NESTED_REFUSED);
	if (!p->scarce || was->tables != now.tables || now.pages > was->pages ||
	    now.used - was->used != tables * p->host_page + pages * 4096 ||
	    (!same && (!was->leaf || has_leaf(&r))))
		wrong(p, "a fill that got no page has changed something", mirror, probe->ipa);
}

static enum pt_outcome fault(struct play *p, unsigned mirror, uint64_t ipa, uint32_t vcpu,
			     enum pt_access access, struct pt_nested_result *r)
{
	struct pt_nested_fault fault = guest_access(ipa, access);
	uint64_t swaps = p->swaps;
	enum pt_outcome outcome;

	fault.vcpu = vcpu;
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
		    enum pt_access access)
{
	struct pt_nested_result r;
	bool went = p->going.kind == HOSTS_ITEM, raced = p->going.kind;
	struct kept was = {.pages = 0};
	enum pt_outcome outcome;

	if (p->scarce) {
		struct hw_result old = walk_context(p, &p->m[mirror].shadow.ctx, probe->ipa, NULL);

		was = keep(p, mirror);
		was.leaf = has_leaf(&old);
	}
	outcome = fault(p, mirror, probe->ipa, vcpu, access, &r);
	if (r.who == PT_NESTED_GUEST)
		guest_takes(p, mirror, probe, access, &r);
	else if (outcome == PT_NO_MEMORY || outcome == PT_QUOTA)
		was_refused(p, mirror, probe, &was);
	else if (r.who == PT_NESTED_HOST)
		host_takes(p, mirror, probe, access, &r, went);
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
	if (!answer_is_legal(p, probe, a->pa.v, (enum pt_access)a->access))
		wrong(p,
		      a->tlb_hit ? "a TLB's answer from before an invalidation"
				 : "an answer that nobody has given",
		      mirror, probe->ipa);
	if (a->access == PT_ACCESS_WRITE)
		note_write(p, a->pa.v);
}

bool touch(struct play *p, unsigned mirror, const struct probe *probe, enum pt_access access)
{
	struct pt_host_access a = {
		.vcpu = (uint32_t)draw(p, 2), .ipa = {probe->ipa}, .access = (uint8_t)access};
	bool went = p->going.kind;

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
		if (outcome != PT_MORE && !resolve(p, mirror, probe, a.vcpu, access))
			return false;
	}
	if (!p->going.kind && !went)
		wrong(p, "an access makes no progress", mirror, probe->ipa);
	return false;
}

/* Some leaves of shadows are used. */
void touch_some(struct play *p, unsigned draws)
{
	for (unsigned i = 0; i < draws && !*p->failure; i++) {
		unsigned mirror = (unsigned)draw(p, MIRRORS);
		const struct probe *probe = &p->m[mirror].probe[draw(p, p->probes)];
		struct hw_result r;

		if (!p->m[mirror].live)
			continue;
		r = walk_context(p, &p->m[mirror].shadow.ctx, probe->ipa, NULL);
		if (has_leaf(&r))
			touch(p, mirror, probe, PT_ACCESS_READ);
	}
}

void do_access(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);

	while (!p->m[mirror].live && draw(p, 8)) /* mostly one that is there */
		mirror = (unsigned)draw(p, MIRRORS);
	note(p, NESTED_ACCESS);
	if (open_mirror(p, mirror))
		touch(p, mirror, &p->m[mirror].probe[draw(p, p->probes)],
		      (enum pt_access)(PT_ACCESS_READ + draw(p, 3)));
}

/* The guest hypervisor's own, of the memory that its guests have too. */
void do_own_access(struct play *p)
{
	struct pt_host_access a = {.vcpu = (uint32_t)draw(p, 2),
				   .ipa = {some_area(p) + draw(p, 8) * p->guest_page},
				   .access = (uint8_t)(PT_ACCESS_READ + draw(p, 3)),
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
	if (!is_going(p, a.ipa.v, 1) &&
	    (!has_leaf(&host) || host.pa != a.pa.v ||
	     !grants(host.read, is_dirty(&host), host.exec_el1, (enum pt_access)a.access)))
		wrong(p, "an answer that the host's tables do not give", MIRRORS, a.ipa.v);
	if (a.access == PT_ACCESS_WRITE)
		note_write(p, a.pa.v);
}

/* ---- no page is left ---- */

void do_scarce(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);
	struct pt_shadow *s = &p->m[mirror].shadow;
	struct pt_host_failpoint how = {.nth = 1 + (uint32_t)draw(p, 4), .times = 0};
	bool links = draw(p, 2), tables = draw(p, 2);

	if (!open_mirror(p, mirror))
		return;
	finish_beside(p);
	note(p, NESTED_SCARCE);
	p->scarce = true;
	if (links)
		atomic_store(&p->g.nested.store.quota_pages, atomic_load(&p->g.nested.store.pages));
	if (tables)
		atomic_store(&s->ctx.quota_pages, atomic_load(&s->ctx.table_pages));
	if (!links && !tables)
		pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
	for (unsigned i = 0; i < 4; i++)
		touch(p, mirror, &p->m[mirror].probe[draw(p, p->probes)],
		      (enum pt_access)(PT_ACCESS_READ + draw(p, 3)));
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	atomic_store(&p->g.nested.store.quota_pages, UINT64_MAX);
	atomic_store(&s->ctx.quota_pages, UINT64_MAX);
	p->scarce = false;
}

/* ---- more aliases of a page than it has links ---- */

static bool crowd_has_leaf(struct play *p, unsigned mirror)
{
	for (unsigned n = 0; n < CROWD; n++) {
		struct hw_result r =
			walk_context(p, &p->m[mirror].shadow.ctx, crowd_ipa(p, n), NULL);

		if (has_leaf(&r))
			return true;
	}
	return false;
}

static uint64_t read_count(const _Atomic uint64_t *of)
{
	return atomic_load(of);
}

/* All of a shadow's that lead to one page go with it, listed or not, and what goes besides is
 * counted. */
void do_crowd(struct play *p)
{
	unsigned mirror = (unsigned)draw(p, MIRRORS);
	const struct pt_nested_counts *c = &p->g.nested.counts;
	uint64_t page = p->base + draw(p, 2) * p->area + draw(p, 8) * p->host_page;
	uint64_t inexact = read_count(&c->inexact), over;
	struct pt_item item = core_item(&p->g.c, PT_ITEM_UNMAP, page, p->host_page, 0, 0, 0);
	unsigned filled = 0;

	if (!open_mirror(p, mirror))
		return;
	finish_beside(p);
	note(p, NESTED_CROWD);
	crowd_map(p, page & ~(p->guest_page - 1));
	for (unsigned n = 0; n < CROWD && !*p->failure; n++) {
		struct pt_nested_result r;

		filled += fault(p, mirror, crowd_ipa(p, n) + (page & (p->guest_page - 1)), 0,
				PT_ACCESS_READ, &r) == PT_MAPPED;
	}
	if (filled != CROWD || read_count(&c->inexact) == inexact)
		wrong(p, "a crowd without an inexact page", mirror, page);
	over = read_count(&c->over);
	if (draw(p, 2)) { /* other memory instead */
		struct hw_result r = walk_context(p, &p->g.c.ctx, page, NULL);

		item.kind = PT_ITEM_MAP;
		item.flags = PT_MAP_REPLACE;
		item.prot = PT_PROT_RW;
		item.pa.v = p->pa[r.pa == p->pa[0] + (page - p->base)] + (page - p->base);
	}
	core_range(&p->g.c, item, NULL);
	if (crowd_has_leaf(p, mirror))
		wrong(p, "a leaf of an inexact page stays", mirror, page);
	p->counts->of[NESTED_INEXACT] += read_count(&c->inexact) - inexact;
	p->counts->of[NESTED_OVER] += read_count(&c->over) - over;
	crowd_unmap(p);
	run_tlbi(p, &(struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_ALL}, 0);
}
