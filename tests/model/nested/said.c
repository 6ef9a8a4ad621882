/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: three walks by the architecture's rules, and what they make legal. */
#include "world.h"

void wrong(struct play *p, const char *what, unsigned mirror, uint64_t ipa)
{
	if (!*p->failure)
		snprintf(p->failure, 256, "%s: shadow %u, %#llx, operation %llu", what, mirror,
			 (unsigned long long)ipa, (unsigned long long)p->counts->operations);
}

/* ---- walks: access flags count as set, so that they say what there is ---- */

struct bus {
	struct play *p;
	uint64_t raw; /* the last descriptor, as it stands */
	bool flags;   /* access flags are hardware's */
};

static bool read_tables(void *arg, uint64_t pa, uint64_t *descriptor)
{
	struct bus *bus = arg;
	bool there = core_bus_read(&bus->p->g.c.port, pa, descriptor);

	bus->raw = *descriptor;
	*descriptor |= GUEST_AF;
	return there;
}

#define CONTIGUOUS (UINT64_C(1) << 52)

/* No group of the guest's is trusted: each descriptor is what it says alone. */
static bool read_guest(void *arg, uint64_t ipa, uint64_t *descriptor)
{
	struct bus *bus = arg;
	uint64_t *at = guest_tables_word(bus->p, ipa);

	if (!at)
		return false;
	bus->raw = *at;
	*descriptor = *at & ~CONTIGUOUS;
	if (bus->flags)
		*descriptor |= GUEST_AF;
	return true;
}

bool has_leaf(const struct hw_result *r)
{
	return r->fault == HW_NO_FAULT || r->fault == HW_PERMISSION;
}

struct hw_result walk_context(struct play *p, const struct pt_ctx *ctx, uint64_t ipa, bool *young)
{
	const struct hw_regs regs = {
		.vtcr = pt_ctx_vtcr(ctx), .vttbr = pt_ctx_vttbr(ctx), .fwb = true};
	struct bus state = {.p = p};
	const struct hw_bus bus = {.read = read_tables, .arg = &state};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	if (young)
		*young = state.raw & GUEST_AF;
	return r;
}

/* Is the page dirty already? */
bool is_dirty(const struct hw_result *host)
{
	return host->descriptor & GUEST_W;
}

static struct hw_result walk_tables(struct play *p, const struct mirror *m, uint64_t ipa,
				    uint64_t *raw)
{
	const struct hw_regs regs = {.vtcr = m->key.vtcr, .vttbr = m->key.vttbr};
	struct bus state = {.p = p, .flags = m->flags & PT_VTCR_HA};
	const struct hw_bus bus = {.read = read_guest, .arg = &state};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	*raw = state.raw;
	return r;
}

struct hw_result walk_guest(struct play *p, const struct mirror *m, uint64_t ipa)
{
	uint64_t raw;

	return walk_tables(p, m, ipa, &raw);
}

struct said said_now(struct play *p, const struct mirror *m, uint64_t ipa)
{
	uint64_t raw;
	struct hw_result r = walk_tables(p, m, ipa, &raw);

	if (!has_leaf(&r))
		return (struct said){.level = r.level};
	return (struct said){.valid = true,
			     .read = r.read,
			     .write = r.write,
			     .exec = r.exec_el1,
			     .dirty = raw & GUEST_W,
			     .young = raw & GUEST_AF,
			     .out = r.pa,
			     .level = r.level,
			     .span = r.span};
}

bool grants(bool r, bool w, bool x, enum pt_access access)
{
	return access == PT_ACCESS_WRITE ? w : access == PT_ACCESS_EXEC ? x : r;
}

/* ---- what the guest has said ---- */

static bool same_said(const struct said *a, const struct said *b)
{
	return a->valid == b->valid && a->read == b->read && a->write == b->write &&
	       a->exec == b->exec && a->out == b->out && a->level == b->level;
}

static void say(struct play *p, struct probe *probe, struct said now)
{
	now.last = p->now;
	for (unsigned i = 0; i < probe->count; i++)
		if (same_said(&probe->said[i], &now)) {
			probe->said[i].dirty |= now.dirty;
			probe->said[i].young |= now.young;
			probe->said[i].last = p->now;
			return;
		}
	assert_true(probe->count < VERSIONS);
	probe->said[probe->count++] = now;
}

void say_all(struct play *p, struct mirror *m)
{
	for (unsigned i = 0; m->live && i < p->probes; i++)
		say(p, &m->probe[i], said_now(p, m, m->probe[i].ipa));
}

void say_everywhere(struct play *p)
{
	p->now++;
	for (unsigned i = 0; i < MIRRORS; i++)
		say_all(p, &p->m[i]);
}

/* ---- what is legal ---- */

uint64_t canonical_of(const struct play *p, uint64_t pa)
{
	return pa - p->pa[pa - p->pa[1] < AREAS * p->area] + p->base;
}

bool is_going(const struct play *p, uint64_t canonical, uint64_t size)
{
	const struct pt_item *item = &p->going.item;

	return p->going.kind == HOSTS_ITEM && canonical <= item->ipa.v + (item->size - 1) &&
	       item->ipa.v <= canonical + (size - 1);
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

static bool leaf_is_legal(struct play *p, const struct probe *probe, const struct hw_result *leaf)
{
	int level = (int)(leaf->descriptor >> SW_SHIFT & 3);

	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, leaf->pa, &host) && s->young && level == s->level &&
		    leaf->read <= (s->read && host.read) &&
		    leaf->write <= (s->dirty && is_dirty(&host)) &&
		    leaf->exec_el1 <= (s->exec && host.exec_el1) && whole_comes_to(p, s, leaf)) {
			p->counts->of[NESTED_STALE] += i + 1 < probe->count;
			return true;
		}
	}
	return false;
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
			note(p, NESTED_LEAF);
			if (!leaf_is_legal(p, probe, &leaf))
				wrong(p, "a leaf that neither old nor new tables of the guest make",
				      i, probe->ipa);
		}
}

bool answer_is_legal(struct play *p, const struct probe *probe, uint64_t pa, enum pt_access access)
{
	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, pa, &host) && s->young &&
		    grants(s->read, s->dirty, s->exec, access) &&
		    grants(host.read, is_dirty(&host), host.exec_el1, access))
			return true;
	}
	return is_going(p, canonical_of(p, pa), 1);
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
