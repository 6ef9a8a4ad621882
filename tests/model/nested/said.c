/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: walks by the architecture's rules, and what the guest has said. */
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
	bus->raw = guest_order(bus->p, *at);
	*descriptor = bus->raw & ~CONTIGUOUS;
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
	const struct hw_regs regs = {.vtcr = pt_ctx_vtcr(ctx),
				     .vttbr = pt_ctx_vttbr(ctx),
				     .fwb = ctx->attrs & PT_ATTR_FWB,
				     .xnx = ctx->attrs & PT_ATTR_XNX};
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
	const struct hw_regs regs = {.vtcr = m->key.vtcr,
				     .vttbr = m->key.vttbr,
				     .fwb = m->key.fwb,
				     .xnx = m->regs.attrs & PT_ATTR_XNX};
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

/* With stage 2 off each address is itself, everything is allowed, and stage 1 alone says the type.
 */
static struct said identity(const struct mirror *m, uint64_t ipa)
{
	return (struct said){.valid = true,
			     .rights = {true, true, {true, true}},
			     .memattr = m->key.fwb ? 7 : 0xf,
			     .dirty = true,
			     .young = true,
			     .out = ipa,
			     .span = UINT64_MAX};
}

struct said said_now(struct play *p, const struct mirror *m, uint64_t ipa)
{
	uint64_t raw;
	struct hw_result r;

	if (!m->key.enabled)
		return identity(m, ipa);
	r = walk_tables(p, m, ipa, &raw);
	if (!has_leaf(&r))
		return (struct said){.level = r.level};
	return (struct said){.valid = true,
			     .rights = rights_of(&r, r.write),
			     .memattr = r.memattr,
			     .dirty = raw & GUEST_W,
			     .young = raw & GUEST_AF,
			     .out = r.pa,
			     .level = r.level,
			     .span = r.span};
}

struct rights rights_of(const struct hw_result *r, bool write)
{
	return (struct rights){r->read, write, {r->exec_el1, r->exec_el0}};
}

bool grants(struct rights of, struct use use)
{
	return use.access == PT_ACCESS_WRITE  ? of.write
	       : use.access == PT_ACCESS_EXEC ? of.exec[use.el0]
					      : of.read;
}

/* ---- what the guest has said ---- */

static bool same_said(const struct said *a, const struct said *b)
{
	return a->valid == b->valid && !memcmp(&a->rights, &b->rights, sizeof(a->rights)) &&
	       a->memattr == b->memattr && a->out == b->out && a->level == b->level;
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
