/* SPDX-License-Identifier: BSD-2-Clause */
/* One play: see play.h. */
#include "world.h"

#include <inttypes.h>

#define OWNED_PART 8 /* of the steps: in a machine with owners */

#define HCR_VM	 UINT64_C(1)
#define HCR_FWB	 (UINT64_C(1) << 46)
#define SCTLR_EE (UINT64_C(1) << 25)

/* What 52 bits of address are needed for. */
static const struct shape wide_shapes[] = {
	{"4K LPA2", {.granule_shift = 12, .ipa_bits = 52, .pa_bits = 52, .ds = true}},
	{"16K LPA2", {.granule_shift = 14, .ipa_bits = 52, .pa_bits = 52, .ds = true}},
	{"64K LPA", {.granule_shift = 16, .ipa_bits = 52, .pa_bits = 52}},
};

static void add_probe(struct play *p, uint64_t page)
{
	uint64_t out = p->base + p->probes / 6 % AREAS * p->area + p->probes % 6 * p->guest_page;

	for (unsigned i = 0; i < MIRRORS; i++) {
		uint64_t at = i == OFF ? out : page;

		p->m[i].probe[p->probes].ipa = at;
		if (p->guest_page > 0x1000)
			p->m[i].probe[p->probes + 1].ipa = at + p->guest_page - 8;
	}
	p->probes += p->guest_page > 0x1000 ? 2 : 1;
}

static void add_probes(struct play *p)
{
	uint64_t block = p->nested + p->guest_block;

	for (uint64_t i = 0; i<8; i += p->guest_page> 0x1000 ? 2 : 1)
		add_probe(p, p->nested + i * p->guest_page);
	add_probe(p, block);
	add_probe(p, block + p->guest_page);
	add_probe(p, block + 7 * p->guest_page);
	add_probe(p, block + p->guest_block - p->guest_page);
	assert_true(p->probes <= PROBES);
}

/* Sizes: areas are a block of both granules; where there are 52 bits of address, all of them are
 * used. */
static void lay_out(struct play *p, unsigned host_shift, unsigned guest_shift)
{
	unsigned bits = host_shift > guest_shift ? host_shift : guest_shift;

	p->area = UINT64_C(1) << (2 * bits - 3);
	p->host_page = UINT64_C(1) << host_shift;
	p->guest_page = UINT64_C(1) << guest_shift;
	p->guest_block = UINT64_C(1) << (2 * guest_shift - 3);
	p->base = p->wide_guest ? UINT64_C(0xd) << 48 : 0;
	p->nested = p->wide_guest ? UINT64_C(0xb) << 48 : 0;
	p->tables = GUEST_MEMORY | (p->wide_guest ? UINT64_C(0x9) << 48 : 0);
	p->pa[0] = UINT64_C(1) << 38 | (p->wide_host ? UINT64_C(0xa) << 48 : 0);
	p->pa[1] = UINT64_C(1) << 39 | (p->wide_host ? UINT64_C(0x7) << 48 : 0);
}

/* The last ones have the VMIDs of others. They manage flags in another way, read memory types in
 * another way (where the host has FWB), or have stage 2 off. */
static void open_key(struct play *p, unsigned i, unsigned flags, bool fwb)
{
	struct mirror *m = &p->m[i];
	bool other = i == MIRRORS - 1 && p->g.c.ctx.attrs & PT_ATTR_FWB;

	m->vmid = (uint16_t)(5 + i % 4);
	m->flags = i < 4 || other ? flags : flags ^ (PT_VTCR_HA | PT_VTCR_HD);
	m->flags &= m->flags & PT_VTCR_HA ? ~0u : ~(unsigned)PT_VTCR_HD;
	m->regs = p->g.regs;
	m->regs.vtcr = pt_geometry_vtcr(&p->g.geo, m->flags);
	m->regs.vttbr = (p->tables & ((UINT64_C(1) << 48) - 1)) | p->tables >> 48 << 2 |
			(uint64_t)m->vmid << 48;
	m->regs.hcr = (i != OFF ? HCR_VM : 0) | (fwb != other ? HCR_FWB : 0);
	m->key = pt_shadow_key_of(&m->regs);
}

static void open_registers(struct play *p, unsigned guest_shift, unsigned flags)
{
	struct guest *g = &p->g;
	const struct pt_geometry_args args = {.granule_shift = guest_shift,
					      .ipa_bits = p->wide_guest ? 52 : GUEST_BITS,
					      .pa_bits = p->wide_guest ? 52 : 40,
					      .ds = p->wide_guest && guest_shift < 16};
	bool fwb = draw(p, 2);

	assert_int_equal(PT_OK, pt_geometry_init(&g->geo, &args));
	p->big_endian = draw(p, 3) == 0;
	g->regs =
		(struct pt_guest_regs){.pa_bits = args.pa_bits,
				       .sctlr = p->big_endian ? SCTLR_EE : 0,
				       .attrs = g->c.ctx.attrs & (draw(p, 3) ? ~0u : PT_ATTR_FWB)};
	p->next = (g->geo.start_bytes + p->guest_page - 1) & ~(p->guest_page - 1);
	for (unsigned i = 0; i < MIRRORS; i++)
		open_key(p, i, flags, fwb);
}

static void add_slot(struct play *p, uint64_t area, uint64_t areas, uint32_t flags,
		     unsigned backing)
{
	struct pt_slots *slots = guest_slots(&p->g);

	slots->slot[slots->count++] = (struct pt_slot){.ipa = p->base + area * p->area,
						       .size = areas * p->area,
						       .pa = p->pa[0] + area * p->area,
						       .flags = flags,
						       .backing_shift = (uint8_t)backing};
	pt_ctx_set_slots(&p->g.c.ctx, slots);
}

/* As guest_open_bare(), with what the host's hardware has and manages. */
static void open_host(struct play *p, const struct shape *shape, unsigned attrs, unsigned flags)
{
	const struct pt_guest_memory memory = {guest_tables_load, guest_tables_swap, p};
	struct guest *g = &p->g;
	struct pt_geometry geo;

	core_open_machine(&g->c, UINT64_C(64) << 20, shape->args.pa_bits, true);
	g->c.empty_bytes = atomic_load(&g->c.tables.world.pool.used_bytes);
	assert_int_equal(PT_OK, pt_geometry_init(&geo, &shape->args));
	pt_section_begin(&g->c.agent);
	assert_int_equal(PT_OK, pt_ctx_init(&g->c.ctx, &g->c.agent, &g->c.machine, &geo, attrs,
					    flags, UINT64_MAX));
	assert_int_equal(PT_OK, pt_vmid_get(&g->c.ctx, &g->c.agent));
	pt_section_end(&g->c.agent);
	assert_int_equal(PT_OK, pt_agent_join(&g->c.tables.world, &p->other));
	g->memory = calloc(1, GUEST_BYTES);
	assert_non_null(g->memory);
	assert_int_equal(PT_OK, pt_nested_init(&g->nested, &g->c.ctx, &memory, g->bucket, 8,
					       g->number, GUEST_SHADOWS, UINT64_MAX, GUEST_SCOPE));
}

static const unsigned guest_flags[] = {PT_VTCR_HA | PT_VTCR_HD, PT_VTCR_HA, 0};

static void open_play(struct play *p, uint64_t seed)
{
	static const unsigned shift[] = {12, 14, 16};
	unsigned guest_shift = shift[seed / 3 % 3];
	const struct shape *shape;
	unsigned attrs;

	p->rng = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	draw(p, 2);
	p->wide_host = draw(p, 2);
	p->wide_guest = p->wide_host && draw(p, 2);
	shape = p->wide_host ? &wide_shapes[seed % 3] : &shapes[seed % 3];
	lay_out(p, shape->args.granule_shift, guest_shift);
	attrs = (draw(p, 4) ? PT_ATTR_FWB : 0) | (draw(p, 3) ? PT_ATTR_XNX : 0);
	open_host(p, shape, attrs, draw(p, 2) ? 0 : PT_VTCR_HA | PT_VTCR_HD);
	open_registers(p, guest_shift, guest_flags[draw(p, 3)]);
	p->without = calloc(1, sizeof(*p->without) + sizeof(p->without->slot[0]));
	add_slot(p, 0, 2, 0, draw(p, 2) ? 12 : 30);
	add_slot(p, 2, 1, PT_SLOT_READ_ONLY, 30);
	add_probes(p);
	for (unsigned i = 0; i < 12; i++)
		do_guest_page(p);
	for (unsigned i = 0; i < GUEST_SHADOWS; i++)
		open_mirror(p, i);
}

static void close_play(struct play *p)
{
	const struct pt_nested_counts *c = &p->g.nested.counts;

	finish_beside(p);
	p->counts->of[NESTED_FILL] += pt_nested_fills(&p->g.nested);
	p->counts->of[NESTED_KILLED] += atomic_load(&c->killed);
	p->counts->of[NESTED_INVALIDATED] += atomic_load(&c->invalidated);
	stop_log(p, false);
	for (unsigned i = 0; i < MIRRORS; i++) {
		if (p->m[i].users)
			pt_shadow_unuse(&p->m[i].shadow);
		if (p->m[i].live)
			close_mirror(p, i, 1000);
	}
	while (pt_reclaim(&p->other))
		continue;
	pt_agent_leave(&p->other);
	guest_close(&p->g);
	free(p->log_memory);
	free(p->told);
	free(p->without);
}

static void do_step(struct play *p)
{
	uint64_t what = draw(p, 64);

	p->counts->operations++;
	p->counts->of[NESTED_WIDE_HOST] += p->wide_host;
	p->counts->of[NESTED_WIDE_GUEST] += p->wide_guest;
	p->counts->of[NESTED_DIRTY_HOST] += p->g.c.ctx.vtcr_flags != 0;
	if (what < 32)
		do_access(p);
	else if (what < 36)
		do_own_access(p);
	else if (what < 47)
		do_guest(p);
	else if (what < 57)
		do_host(p);
	else if (what < 59)
		do_scarce(p);
	else if (what < 62)
		do_use(p);
	else if (what < 63 || draw(p, 2))
		do_recycle(p);
	else
		do_crowd(p);
	if (!draw(p, 2))
		step_beside(p);
}

bool nested_play(uint64_t seed, uint32_t steps, enum nested_defect defect,
		 struct nested_counts *counts, char failure[256])
{
	struct play *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	*failure = 0;
	p->defect = defect;
	p->counts = counts;
	p->failure = failure;
	open_play(p, seed);
	for (uint32_t i = 0; i < steps - steps / OWNED_PART && !*failure; i++) {
		do_step(p);
		look_at_all(p);
	}
	close_play(p);
	free(p);
	return !*failure && owned_play(seed, steps / OWNED_PART, counts, failure);
}

static const char *const names[] = {
#define NESTED_TEXT(name, text) text,
	NESTED_KINDS(NESTED_TEXT)
#undef NESTED_TEXT
};

const char *nested_lacks(const struct nested_counts *counts, uint64_t least)
{
	for (unsigned i = 0; i < NESTED_KIND_COUNT; i++)
		if (counts->of[i] < least)
			return names[i];
	return NULL;
}

void nested_print(const struct nested_counts *counts)
{
	for (unsigned i = 0; i < NESTED_KIND_COUNT; i++)
		printf("%s%" PRIu64 " %s",
		       i % 5 ? ", "
		       : i   ? "\n# "
			     : "# ",
		       counts->of[i], names[i]);
	printf("\n");
}
