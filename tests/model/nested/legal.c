/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: what the guest's tables and the canonical ones make legal together. */
#include "world.h"

#include "../../unit/memory_types.h"

/* ---- where a leaf leads ---- */

uint64_t canonical_of(const struct play *p, uint64_t pa)
{
	return pa - p->pa[pa - p->pa[1] < AREAS * p->area] + p->base;
}

/* Does what the guest said then, with the canonical tables as they are, come to this? */
static bool comes_to(struct play *p, const struct said *s, uint64_t pa, struct hw_result *host)
{
	if (!s->valid || s->out >> p->g.c.ctx.geo.ipa_bits)
		return false;
	*host = walk_context(p, &p->g.c.ctx, s->out, NULL);
	return has_leaf(host) && host->pa == pa;
}

/* So do both ends of a leaf, whose guest's leaf is larger or as large. */
static bool whole_comes_to(struct play *p, const struct said *s, const struct hw_result *leaf)
{
	uint64_t before = leaf->pa & (leaf->span - 1), behind = leaf->span - 1 - before;
	struct said first = *s, last = *s;
	struct hw_result host;

	first.out -= before;
	last.out += behind;
	return leaf->span <= s->span && comes_to(p, &first, leaf->pa - before, &host) &&
	       comes_to(p, &last, leaf->pa + behind, &host);
}

/* What the shadow's leaf may grant: what both do, and writes where both are dirty already. */
static struct rights of_both(const struct said *s, const struct hw_result *host)
{
	return (struct rights){
		s->rights.read && host->read,
		s->dirty && is_dirty(host),
		{s->rights.exec[0] && host->exec_el1, s->rights.exec[1] && host->exec_el0}};
}

static bool is_within(struct rights a, struct rights b)
{
	return a.read <= b.read && a.write <= b.write && a.exec[0] <= b.exec[0] &&
	       a.exec[1] <= b.exec[1];
}

/* ---- memory types ---- */

static bool host_fwb(const struct play *p)
{
	return p->g.c.ctx.attrs & PT_ATTR_FWB;
}

/* A reserved value of the guest's is any type, but none that is reserved. */
static bool type_is_legal(const struct play *p, const struct mirror *m, const struct said *s,
			  const struct hw_result *host, uint8_t memattr)
{
	return is_reserved(s->memattr, m->key.fwb)
		       ? !is_reserved(memattr, host_fwb(p))
		       : is_type_of_both(memattr, s->memattr, m->key.fwb, host->memattr,
					 host_fwb(p));
}

/* As far as a TLB's answer says it: what both make of write-back, and nothing less strict. */
static bool answers_type(const struct play *p, const struct mirror *m, const struct said *s,
			 const struct hw_result *host, uint32_t prot)
{
	const struct type write_back = {false, 0, 3, 3};
	struct type want =
		apply(apply(write_back, s->memattr, m->key.fwb), host->memattr, host_fwb(p));

	if (is_reserved(s->memattr, m->key.fwb))
		return true;
	if (want.device)
		return pt_prot_memtype(prot) == PT_MEM_DEVICE;
	return pt_prot_memtype(prot) != PT_MEM_NORMAL || want.outer > 1 || want.inner > 1;
}

/* ---- leaves and answers ---- */

static bool leaf_is_legal(struct play *p, const struct mirror *m, const struct probe *probe,
			  const struct hw_result *leaf)
{
	int level = (int)(leaf->descriptor >> SW_SHIFT & 3);

	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, leaf->pa, &host) && s->young &&
		    (level == s->level || !m->key.enabled) &&
		    is_within(rights_of(leaf, leaf->write), of_both(s, &host)) &&
		    type_is_legal(p, m, s, &host, leaf->memattr) && whole_comes_to(p, s, leaf)) {
			p->counts->of[NESTED_STALE] += i + 1 < probe->count;
			return true;
		}
	}
	return false;
}

static void note_leaf(struct play *p, const struct mirror *m, const struct hw_result *leaf)
{
	unsigned cached = host_fwb(p) ? 6 : 0xf;

	note(p, NESTED_LEAF);
	p->counts->of[NESTED_IDENTITY] += !m->key.enabled;
	p->counts->of[NESTED_APART] += leaf->exec_el1 != leaf->exec_el0;
	p->counts->of[NESTED_PLAIN_HOST] += !host_fwb(p);
	p->counts->of[NESTED_PLAIN_GUEST] += host_fwb(p) && !m->key.fwb;
	p->counts->of[NESTED_TYPE] += leaf->memattr != cached;
	p->counts->of[NESTED_BIG_ENDIAN] += p->big_endian && m->key.enabled;
}

void look_at_all(struct play *p)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; p->m[i].live && n < p->probes; n++) {
			const struct probe *probe = &p->m[i].probe[n];
			struct hw_result leaf =
				walk_context(p, &p->m[i].shadow.ctx, probe->ipa, NULL);
			uint64_t at = canonical_of(p, leaf.pa);

			if (!has_leaf(&leaf) || is_going(p, at & ~(leaf.span - 1), leaf.span))
				continue;
			note_leaf(p, &p->m[i], &leaf);
			if (!leaf_is_legal(p, &p->m[i], probe, &leaf))
				wrong(p, "a leaf that neither old nor new tables of the guest make",
				      i, probe->ipa);
		}
}

bool answer_is_legal(struct play *p, unsigned mirror, const struct probe *probe,
		     const struct pt_host_access *a)
{
	const struct use use = {(enum pt_access)a->access, a->el0};

	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, a->pa.v, &host) && s->young && grants(of_both(s, &host), use) &&
		    answers_type(p, &p->m[mirror], s, &host, a->prot))
			return true;
	}
	return is_going(p, canonical_of(p, a->pa.v), 1);
}

/* ---- all leaves ---- */

static bool is_first(const struct seen *of, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (of[i].there && of[i].ipa == of[n].ipa)
			return false;
	return true;
}

void see_all(struct play *p, struct seen *seen)
{
	memset(seen, 0, sizeof(*seen) * MIRRORS * PROBES);
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; p->m[i].live && n < p->probes; n++) {
			uint64_t ipa = p->m[i].probe[n].ipa;
			struct seen *s = &seen[i * PROBES + n];
			struct hw_result r = walk_context(p, &p->m[i].shadow.ctx, ipa, &s->young);

			if (!has_leaf(&r))
				continue;
			s->ipa = ipa & ~(r.span - 1);
			s->pa = r.pa & ~(r.span - 1);
			s->span = r.span;
			s->write = r.write;
			s->level = (int)(r.descriptor >> SW_SHIFT & 3);
			s->there = is_first(&seen[i * PROBES], n);
		}
}
