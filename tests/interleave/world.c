/* SPDX-License-Identifier: BSD-2-Clause */
/* The world that is explored: its first state, what it is put back to before each run, and what has
 * to be true of it at rest. */
#include "world.h"
#include "shadow.h"

#include <stdio.h>
#include <string.h>

#define GRANULE (UINT64_C(1) << 12)

struct iv_world iv_w IV_RUN;
_Alignas(4096) unsigned char iv_tables[IV_PAGES << PT_POOL_UNIT_SHIFT];

static struct iv_world saved_world;
static unsigned char saved_tables[sizeof(iv_tables)];
static bool touched[IV_PAGES] IV_RUN;
static uint64_t saved_shadow; /* pages of the shadow and of links at first */

void iv_world_touch(const volatile void *at, size_t bytes)
{
	size_t off = (size_t)((const volatile unsigned char *)at - iv_tables);

	for (size_t p = off >> 12; p <= (off + bytes - 1) >> 12; p++)
		touched[p] = true;
}

bool iv_world_touched(unsigned page)
{
	return touched[page];
}

void iv_world_reset(void)
{
	memcpy(&iv_w, &saved_world, sizeof(iv_w));
	for (unsigned p = 0; p < IV_PAGES; p++)
		if (touched[p]) {
			memcpy(iv_tables + p * GRANULE, saved_tables + p * GRANULE, GRANULE);
			touched[p] = false;
		}
}

static void check(bool good, const char *what)
{
	if (!good)
		iv_fail("at rest: %s", what);
}

/* Each agent has a full magazine, so that the pool's lock is met by ranges only. */
static void open_agent(struct pt_agent *agent)
{
	struct pt_page page;

	if (pt_agent_join(&iv_w.world, agent) != PT_OK || pt_pool_get(agent, 12, &page) != PT_OK)
		__builtin_abort();
	pt_pool_put(agent, 12, page);
}

void iv_world_build(const struct iv_case *c)
{
	struct pt_geometry_args args = {.granule_shift = 12,
					.ipa_bits = 32,
					.pa_bits = IV_PA_BITS,
					.start_level_given = c->start_level != 0,
					.start_level = c->start_level};
	struct pt_agent *self = &iv_w.agent[IV_NOBODY];
	struct pt_geometry geo;

	memset(&iv_w, 0, sizeof(iv_w));
	memset(iv_tables, 0, sizeof(iv_tables));
	iv_watch_build();
	iv_w.port = (struct pt_port){.table_va = iv_tables, .table_bytes = sizeof(iv_tables)};
	iv_w.machine_port = iv_w.port;
	iv_w.machine_port.table_pa = IV_TABLE_PA;
	pt_world_init(&iv_w.world);
	pt_pool_init(&iv_w.world.pool, &iv_w.port, iv_w.unit, IV_PAGES);
	/* Any address: TLB maintenance is ours (tlb.c). */
	pt_machine_init(&iv_w.machine, &iv_w.world, &iv_w.machine_port,
			(struct pt_port_mmu *)(void *)&iv_w.machine, IV_PA_BITS);
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		open_agent(&iv_w.agent[i]);
	if (pt_geometry_init(&geo, &args) != PT_OK)
		__builtin_abort();
	pt_section_begin(self);
	if (pt_ctx_init(&iv_w.ctx, self, &iv_w.machine, &geo, PT_ATTR_FWB | c->attrs, c->vtcr_flags,
			UINT64_MAX) != PT_OK ||
	    pt_vmid_get(&iv_w.ctx, self) != PT_OK)
		__builtin_abort();
	if (c->rollover && pt_ctx_init(&iv_w.other, self, &iv_w.machine, &geo, PT_ATTR_FWB, 0,
				       UINT64_MAX) != PT_OK)
		__builtin_abort();
	iv_w.machine.vmids.narrow = c->rollover ? 255 : iv_w.machine.vmids.narrow;
	pt_section_end(self);
	if (c->prepare)
		c->prepare();
	memset(iv_w.freed, 0, sizeof(iv_w.freed));
	/* All agents have used the machine, but for the test's own. */
	for (unsigned i = 0; i < IV_FIBRES && !c->strangers; i++)
		pt_machine_use(&iv_w.machine, &iv_w.agent[i]);
	iv_w.machine.agents &= c->strangers ? 0 : (UINT64_C(1) << IV_FIBRES) - 1;
	saved_shadow = 0;
	if (iv_w.nested.canonical)
		iv_shadow_rest((bool[IV_PAGES]){false}, &saved_shadow);
	memcpy(&saved_world, &iv_w, sizeof(iv_w));
	memcpy(saved_tables, iv_tables, sizeof(iv_tables));
	memset(touched, 0, sizeof(touched));
	iv_watch_save();
}

/* ---- raw reads of the tree, which share nothing with lib's walkers ---- */

static uint64_t *table_at(uint64_t pa)
{
	return (uint64_t *)(void *)(iv_tables + (pa - IV_TABLE_PA));
}

static uint64_t output(uint64_t entry)
{
	return entry & UINT64_C(0x0000fffffffff000);
}

static bool is_table(uint64_t entry, int level)
{
	return level < 3 && (entry & 3) == 3;
}

static unsigned shift_of(int level)
{
	return 12 + 9 * (unsigned)(3 - level);
}

struct iv_leaf iv_world_leaf(uint64_t ipa)
{
	int level = iv_w.ctx.geo.start_level;
	uint64_t *slot = table_at(iv_w.ctx.root.v) + (ipa >> shift_of(level)), size;

	while (is_table(*slot, level)) {
		level++;
		slot = table_at(output(*slot)) + ((ipa >> shift_of(level)) & 511);
	}
	if (!(*slot & 1))
		return (struct iv_leaf){.base = ipa & ~(GRANULE - 1)};
	size = UINT64_C(1) << shift_of(level);
	return (struct iv_leaf){ipa & ~(size - 1), output(*slot) & ~(size - 1),
				*slot & ~UINT64_C(0x0000fffffffff003), level, slot};
}

uint64_t iv_world_table(uint64_t ipa, int at)
{
	int level = iv_w.ctx.geo.start_level;
	uint64_t e = table_at(iv_w.ctx.root.v)[ipa >> shift_of(level)];

	for (; level < at && is_table(e, level); level++)
		e = table_at(output(e))[(ipa >> shift_of(level + 1)) & 511];
	return level == at && is_table(e, level) ? output(e) : 0;
}

/* ---- what a run came to ---- */

struct survey {
	uint64_t exact, equivalent;
	uint64_t tables;
	uint64_t shadow; /* bytes of a shadow's tables and of links */
	bool reached[IV_PAGES];
	uint64_t next_ipa, next_pa, attrs; /* the run of translations that goes on */
};

/* Translations as maximal runs, so that a block and its pages are the same. */
static void survey_leaf(struct survey *s, uint64_t ipa, uint64_t entry, int level)
{
	uint64_t size = UINT64_C(1) << shift_of(level);
	uint64_t attrs = entry & ~UINT64_C(0x0000fffffffff003), pa = output(entry) & ~(size - 1);

	if (ipa != s->next_ipa || pa != s->next_pa || attrs != s->attrs) {
		s->equivalent = iv_mix(s->equivalent, s->next_ipa); /* where the last one ended */
		s->equivalent = iv_mix(iv_mix(iv_mix(s->equivalent, ipa), pa), attrs);
	}
	s->next_ipa = ipa + size;
	s->next_pa = pa + size;
	s->attrs = attrs;
}

static void survey_table(struct survey *s, uint64_t pa, int level, uint64_t ipa, unsigned entries)
{
	const uint64_t *table = table_at(pa);

	for (unsigned i = 0; i < entries; i++, ipa += UINT64_C(1) << shift_of(level)) {
		uint64_t e = table[i];

		if (!e)
			continue;
		if (is_table(e, level)) {
			unsigned page = (unsigned)((output(e) - IV_TABLE_PA) >> 12);

			check(page < IV_PAGES && !s->reached[page], "a table is linked twice");
			s->reached[page] = true;
			s->exact = iv_mix(s->exact ^ i, ++s->tables);
			survey_table(s, output(e), level + 1, ipa, 512);
			continue;
		}
		s->exact = iv_mix(iv_mix(s->exact, ipa + (uint64_t)level), e);
		check((e & 1) || (e >> 60) != (PT_PTE_LOCKED >> 60), "an entry is LOCKED");
		if (e & 1)
			survey_leaf(s, ipa, e, level);
		else
			s->equivalent = iv_mix(iv_mix(s->equivalent, ipa), e);
	}
}

/* A2: what is not linked is zero. Pages that no run wrote to are as they were at first. */
static void check_pages(struct survey *s)
{
	unsigned root = (unsigned)((iv_w.ctx.root.v - IV_TABLE_PA) >> 12);
	unsigned roots = (iv_w.ctx.geo.start_bytes + 4095) >> 12;

	for (unsigned i = 0; i < roots; i++)
		s->reached[root + i] = true;
	for (unsigned p = 0; p < IV_PAGES; p++) {
		const uint64_t *word = (const uint64_t *)(const void *)(iv_tables + p * GRANULE);

		for (unsigned i = 0; touched[p] && !s->reached[p] && i < 512; i++)
			check(!word[i], "a page that no table links is not zero (A2)");
	}
}

/* The context is gone, and its start tables, too. */
static void check_gone(void)
{
	const struct pt_ctx *before = &saved_world.ctx;
	uint64_t roots = (before->geo.start_bytes + GRANULE - 1) & ~(GRANULE - 1);

	check(!iv_w.ctx.table_pages && !iv_w.ctx.first, "the context that went leaves something");
	/* A start table of level 1 is a part of a page. */
	check(before->geo.start_bytes < GRANULE ||
		      saved_world.world.pool.used_bytes - iv_w.world.pool.used_bytes ==
			      roots + before->table_pages * GRANULE,
	      "pages of the context that went are lost or given back twice");
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		check(!(iv_w.agent[i].section & 1), "a section is left open");
}

static void check_rest(const struct survey *s)
{
	const struct pt_ctx *ctx = &iv_w.ctx;

	check(!ctx->claims && !ctx->taken, "a claim is left");
	check(!ctx->first && !ctx->last, "somebody waits");
	check(ctx->state == PT_CTX_LIVE, "the state has changed");
	check(iv_w.other.machine || ctx->vmid == saved_world.ctx.vmid, "the VMID has changed");
	check(!iv_w.other.machine || !pt_ctx_vmid(ctx) || !pt_ctx_vmid(&iv_w.other) ||
		      pt_ctx_vmid(ctx) != pt_ctx_vmid(&iv_w.other),
	      "two contexts have one VMID (V1)");
	check(ctx->table_pages == s->tables, "the quota is charged for other than the tables");
	check(iv_w.world.pool.used_bytes - saved_world.world.pool.used_bytes ==
		      (s->tables - saved_world.ctx.table_pages) * GRANULE + s->shadow -
			      saved_shadow,
	      "pages of the pool are lost or given back twice");
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		check(!(iv_w.agent[i].section & 1), "a section is left open");
}

/*
 * VMIDs up to their names: numbers count up in the order in which they are asked for, which is not
 * the order of the operations. What remains: which contexts have one of this generation, an older
 * one, or none yet, and how many are out.
 */
static uint64_t hash_vmids(void)
{
	const struct pt_ctx *ctx[] = {&iv_w.ctx, &iv_w.other};
	const struct pt_vmids *vmids = &iv_w.machine.vmids;
	uint64_t hash = iv_mix(vmids->narrow, vmids->wide);

	check(!vmids->flushing && !vmids->draining, "a rollover has not ended");
	for (unsigned i = 0; i < 2 && ctx[i]->machine; i++) {
		uint16_t number = pt_ctx_vmid(ctx[i]);

		check(number <= vmids->narrow, "a VMID of this generation was never given");
		hash = iv_mix(hash, number ? 2 : ctx[i]->vmid != 0);
	}
	return iv_mix(hash, vmids->rollovers);
}

/* What is not in the tables. Claims, waiters, and what an operation owes are all gone by now. */
static uint64_t hash_software(void)
{
	const struct pt_ctx *ctx = &iv_w.ctx;
	unsigned slots = (void *)ctx->slots == (void *)&iv_w.slots[0]	? 1
			 : (void *)ctx->slots == (void *)&iv_w.slots[1] ? 2
									: 0;

	return iv_mix(iv_mix(ctx->generation, slots), hash_vmids());
}

static uint64_t hash_counts(void)
{
	uint64_t hash = iv_mix(iv_w.ctx.table_pages, iv_w.ctx.quota_pages);

	return iv_mix(hash, iv_w.world.pool.used_bytes);
}

struct iv_verdict iv_world_end(const struct iv_case *c)
{
	struct survey s = {.next_ipa = 1};

	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i <= IV_FIBRES; i++)
			pt_reclaim(&iv_w.agent[i]);
	for (unsigned i = 0; i <= IV_FIBRES; i++)
		check(!pt_reclaim(&iv_w.agent[i]), "a page waits for ever");
	for (unsigned f = 0; f < IV_FIBRES; f++)
		for (unsigned i = 0; i < IV_OPS && c->script[f][i].kind; i++)
			s.equivalent = s.exact =
				iv_mix(iv_mix(s.exact, iv_w.outcome[f][i]), iv_w.told[f][i]);
	for (unsigned i = 0; i < 2; i++)
		s.equivalent = s.exact = iv_mix(s.exact, iv_w.log_memory[i]);
	check(!iv_w.log.busy, "a dirty log is in use");
	s.equivalent = s.exact = iv_mix(s.exact, iv_w.ctx.dirty != NULL);
	if (iv_w.ctx.state != PT_CTX_LIVE) {
		check(iv_w.gone, "a context dies by itself");
		check_gone();
		return (struct iv_verdict){s.exact, s.equivalent};
	}
	if (iv_w.nested.canonical)
		s.equivalent = s.exact = iv_mix(s.exact, iv_shadow_rest(s.reached, &s.shadow));
	survey_table(&s, iv_w.ctx.root.v, iv_w.ctx.geo.start_level, 0, iv_w.ctx.geo.start_entries);
	check_pages(&s);
	check_rest(&s);
	s.exact = iv_mix(iv_mix(s.exact, hash_counts()), hash_software());
	s.equivalent = iv_mix(iv_mix(s.equivalent, s.next_ipa), hash_software());
	return (struct iv_verdict){s.exact, s.equivalent};
}

/* What is neither memory nor the TLB, and yet decides about failures to come. */
uint64_t iv_world_hash(void)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < sizeof(iv_w.freed) / sizeof(iv_w.freed[0]); i++)
		hash = iv_mix(hash, iv_w.freed[i]);
	return hash;
}

void iv_world_story(const struct iv_case *c, char *text, size_t room)
{
	size_t used = 0;

	text[0] = 0;
	for (unsigned f = 0; f < IV_FIBRES; f++)
		for (unsigned i = 0; i < IV_OPS && c->script[f][i].kind && used < room; i++) {
			char op[64];

			iv_ops_name(&c->script[f][i], op, sizeof(op));
			used += (size_t)snprintf(
				text + used, room - used, "%s%s = %s/%x/%llx", used ? ", " : "", op,
				pt_outcome_info((enum pt_outcome)(iv_w.outcome[f][i] & 0xff))->name,
				iv_w.outcome[f][i] >> 8, (unsigned long long)iv_w.told[f][i]);
		}
}

static void name_entry(const volatile void *at, char *text, size_t room)
{
	uint64_t pa = IV_TABLE_PA + (uint64_t)((const volatile unsigned char *)at - iv_tables);
	uint64_t root = iv_w.ctx.root.v;

	if (pa - root < iv_w.ctx.geo.start_bytes)
		snprintf(text, room, "root[%u]", (unsigned)(pa - root) / 8);
	else
		snprintf(text, room, "table %u[%u]", (unsigned)((pa - IV_TABLE_PA) >> 12),
			 (unsigned)(pa & 4095) / 8);
}

#define NAMED(field)                                                                               \
	{                                                                                          \
		offsetof(struct iv_world, field), sizeof(iv_w.field), #field                       \
	}

void iv_world_name(const volatile void *at, char *text, size_t room)
{
	static const struct {
		size_t off, size;
		const char *name;
	} field[] = {
		NAMED(ctx.claims),
		NAMED(ctx.state),
		NAMED(ctx.slots),
		NAMED(ctx.generation),
		NAMED(ctx.table_pages),
		NAMED(ctx.quota_pages),
		NAMED(ctx.claim),
		NAMED(agent[0].section),
		NAMED(agent[1].section),
		NAMED(agent[2].section),
		NAMED(machine.lock),
		NAMED(machine.agents),
		NAMED(world.pool.lock),
		NAMED(world.pool.used_bytes),
		NAMED(world.agents),
		NAMED(world.agent),
		NAMED(log),
		NAMED(log_memory),
		NAMED(ctx.dirty),
		NAMED(ctx.vmid),
		NAMED(woken),
		NAMED(guest),
		NAMED(shadow[0].invalidations),
		NAMED(shadow[0].state),
		NAMED(shadow[0]),
		NAMED(nested.stripe),
		NAMED(nested.store),
		NAMED(nested),
		NAMED(shadow),
		NAMED(slots_gone),
		NAMED(agent),
		NAMED(ctx),
		NAMED(machine),
		NAMED(world),
	};
	size_t off = (size_t)((const volatile char *)at - (const volatile char *)&iv_w);

	if (iv_in_tables(at)) {
		name_entry(at, text, room);
		return;
	}
	snprintf(text, room, "%p", (const void *)(uintptr_t)at);
	for (size_t i = 0; iv_in_world(at) && i < sizeof(field) / sizeof(field[0]); i++)
		if (off - field[i].off < field[i].size) {
			snprintf(text, room, "%s+%zu", field[i].name, off - field[i].off);
			return;
		}
}
