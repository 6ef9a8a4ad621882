/* SPDX-License-Identifier: BSD-2-Clause */
/* One play: see play.h. */
#include "play.h"

#include <pt/dirty.h>

#include "../../unit/guest_fixture.h"
#include "../../unit/upkeep.h"

#define MIRRORS	 2u
#define PROBES	 24u
#define VERSIONS 12u
#define AREAS	 4u /* canonical: two plain ones, one read-only, one without memory */
#define OTHER_PA (UINT64_C(1) << 39)
#define SW_SHIFT 55

/* What a guest's leaf says of a byte. */
struct said {
	bool valid, read, write, exec;
	uint64_t out;
	int level;
	uint64_t span;
};

/* A byte that is looked at, and what the guest's tables have said of it since the last TLBI. */
struct probe {
	uint64_t ipa;
	struct said said[VERSIONS];
	unsigned count;
};

struct mirror {
	struct pt_shadow shadow;
	struct pt_shadow_key key;
	uint16_t vmid;
	struct probe probe[PROBES];
};

struct play {
	struct guest g;
	struct mirror m[MIRRORS];
	unsigned probes;
	uint64_t rng, area; /* bytes of an area: a block of both granules */
	uint64_t host_page, guest_page, guest_block;
	uint64_t table; /* of the block that was made a table once: its descriptor */
	struct pt_dirty_log log;
	uint64_t *log_memory;
	bool logging;
	uint8_t written[64]; /* pages of the logged area's beginning, a bit each */
	enum nested_defect defect;
	struct nested_counts *counts;
	char *failure;
};

static uint64_t draw(struct play *p, uint64_t below)
{
	return core_random(&p->rng) % below;
}

static void wrong(struct play *p, const char *what, unsigned mirror, uint64_t ipa)
{
	if (!*p->failure)
		snprintf(p->failure, 256, "%s: shadow %u, %#llx, operation %llu", what, mirror,
			 (unsigned long long)ipa, (unsigned long long)p->counts->operations);
}

/* ---- three walks by the architecture's rules ---- */

/* Access flags count as set, so that the walk says what there is. */
static bool read_tables(void *arg, uint64_t pa, uint64_t *descriptor)
{
	bool there = core_bus_read(arg, pa, descriptor);

	*descriptor |= GUEST_AF;
	return there;
}

static bool read_guest(void *arg, uint64_t ipa, uint64_t *descriptor)
{
	uint64_t *at = guest_word(arg, ipa);

	if (!at)
		return false;
	*descriptor = *at | GUEST_AF;
	if (*descriptor & GUEST_DBM)
		*descriptor |= GUEST_W;
	return true;
}

static bool has_leaf(const struct hw_result *r)
{
	return r->fault == HW_NO_FAULT || r->fault == HW_PERMISSION;
}

static struct hw_result walk_context(struct play *p, const struct pt_ctx *ctx, uint64_t ipa)
{
	const struct hw_regs regs = {
		.vtcr = pt_ctx_vtcr(ctx), .vttbr = pt_ctx_vttbr(ctx), .fwb = true};
	const struct hw_bus bus = {.read = read_tables, .arg = &p->g.c.port};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	return r;
}

static struct hw_result walk_guest(struct play *p, uint64_t ipa)
{
	const struct hw_regs regs = {.vtcr = pt_geometry_vtcr(&p->g.geo, 0), .vttbr = GUEST_MEMORY};
	const struct hw_bus bus = {.read = read_guest, .arg = &p->g};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	return r;
}

static struct said said_now(struct play *p, uint64_t ipa)
{
	struct hw_result r = walk_guest(p, ipa);

	if (!has_leaf(&r))
		return (struct said){.level = r.level};
	return (struct said){true, r.read, r.write, r.exec_el1, r.pa, r.level, r.span};
}

static bool grants(bool r, bool w, bool x, enum pt_access access)
{
	return access == PT_ACCESS_WRITE ? w : access == PT_ACCESS_EXEC ? x : r;
}

/* ---- what is legal ---- */

static bool same_said(const struct said *a, const struct said *b)
{
	return a->valid == b->valid && a->read == b->read && a->write == b->write &&
	       a->exec == b->exec && a->out == b->out && a->level == b->level;
}

static void say(struct probe *probe, struct said now)
{
	for (unsigned i = 0; i < probe->count; i++)
		if (same_said(&probe->said[i], &now))
			return;
	assert_true(probe->count < VERSIONS);
	probe->said[probe->count++] = now;
}

static void say_all(struct play *p, struct mirror *m)
{
	for (unsigned i = 0; i < p->probes; i++)
		say(&m->probe[i], said_now(p, m->probe[i].ipa));
}

/* Does what the guest said then, with the canonical tables as they are, come to this? */
static bool comes_to(struct play *p, const struct said *s, uint64_t pa, struct hw_result *host)
{
	if (!s->valid || s->out >> p->g.c.ctx.geo.ipa_bits)
		return false;
	*host = walk_context(p, &p->g.c.ctx, s->out);
	return has_leaf(host) && host->pa == pa;
}

static bool leaf_is_legal(struct play *p, const struct probe *probe, const struct hw_result *leaf)
{
	int level = (int)(leaf->descriptor >> SW_SHIFT & 3);

	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, leaf->pa, &host) && level == s->level && leaf->span <= s->span &&
		    leaf->read <= (s->read && host.read) &&
		    leaf->write <= (s->write && host.write) &&
		    leaf->exec_el1 <= (s->exec && host.exec_el1)) {
			p->counts->stale += i + 1 < probe->count;
			return true;
		}
	}
	return false;
}

static void look_at_all(struct play *p)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes; n++) {
			const struct probe *probe = &p->m[i].probe[n];
			struct hw_result leaf = walk_context(p, &p->m[i].shadow.ctx, probe->ipa);

			if (!has_leaf(&leaf))
				continue;
			p->counts->leaves++;
			if (!leaf_is_legal(p, probe, &leaf))
				wrong(p, "a leaf that neither old nor new tables of the guest make",
				      i, probe->ipa);
		}
}

static bool answer_is_legal(struct play *p, const struct probe *probe, uint64_t pa,
			    enum pt_access access)
{
	for (unsigned i = 0; i < probe->count; i++) {
		const struct said *s = &probe->said[i];
		struct hw_result host;

		if (comes_to(p, s, pa, &host) && grants(s->read, s->write, s->exec, access) &&
		    grants(host.read, host.write, host.exec_el1, access))
			return true;
	}
	return false;
}

/* ---- accesses ---- */

static void note_write(struct play *p, uint64_t pa)
{
	uint64_t page = (pa - GUEST_SLOT_PA) / p->host_page;

	if (p->logging && pa - GUEST_SLOT_PA < p->area && page < 8 * sizeof(p->written))
		p->written[page / 8] |= (uint8_t)(1 << page % 8);
}

/* The abort is what the guest's tables say now. */
static void guest_takes(struct play *p, unsigned mirror, const struct probe *probe,
			enum pt_access access, const struct pt_nested_result *r)
{
	struct hw_result now = walk_guest(p, probe->ipa);
	bool denied = has_leaf(&now) && !grants(now.read, now.write, now.exec_el1, access);
	uint8_t class = denied ? 0x0c : now.fault == HW_TRANSLATION ? 0x04 : 0;

	p->counts->to_guest++;
	if (!class || r->fault.fsc != (class | now.level) || r->fault.level != now.level)
		wrong(p, "an abort that the guest's tables do not make", mirror, probe->ipa);
}

static void host_takes(struct play *p, unsigned mirror, const struct probe *probe,
		       enum pt_access access, const struct pt_nested_result *r)
{
	struct said now = said_now(p, probe->ipa);
	struct hw_result host;

	p->counts->to_host++;
	if (!now.valid || !grants(now.read, now.write, now.exec, access) ||
	    r->canonical.v != now.out) {
		wrong(p, "an exit of the host's before the guest's abort", mirror, probe->ipa);
		return;
	}
	host = walk_context(p, &p->g.c.ctx, now.out);
	if (has_leaf(&host) && grants(host.read, host.write, host.exec_el1, access))
		wrong(p, "an exit of the host's, whose tables grant the access", mirror,
		      probe->ipa);
}

/* False: somebody takes an abort. */
static bool resolve(struct play *p, unsigned mirror, const struct probe *probe, uint32_t vcpu,
		    enum pt_access access)
{
	struct pt_nested_fault fault = guest_access(probe->ipa, access);
	struct pt_nested_result r;
	enum pt_outcome outcome;

	fault.vcpu = vcpu;
	pt_section_begin(&p->g.c.agent);
	outcome = pt_nested_fault(&p->g.c.agent, &p->m[mirror].shadow, &fault, &r);
	pt_section_end(&p->g.c.agent);
	if (r.who == PT_NESTED_GUEST)
		guest_takes(p, mirror, probe, access, &r);
	else if (r.who == PT_NESTED_HOST)
		host_takes(p, mirror, probe, access, &r);
	else if (outcome == PT_MAPPED || outcome == PT_RELAXED || outcome == PT_MADE_YOUNG ||
		 outcome == PT_ALREADY_MAPPED)
		return true;
	else
		wrong(p, pt_outcome_info(outcome)->name, mirror, probe->ipa);
	return false;
}

static void do_access(struct play *p)
{
	static struct pt_host_ram bounds = {.bytes = UINT64_C(1) << 43}; /* no byte is moved */
	unsigned mirror = (unsigned)draw(p, MIRRORS);
	const struct probe *probe = &p->m[mirror].probe[draw(p, p->probes)];
	struct pt_host_access a = {.vcpu = (uint32_t)draw(p, 2),
				   .ipa = {probe->ipa},
				   .access = (uint8_t)(PT_ACCESS_READ + draw(p, 3))};

	p->counts->accesses++;
	for (unsigned tries = 0; tries < 16 && !*p->failure; tries++) {
		enum pt_outcome outcome;

		pt_section_begin(&p->g.c.agent);
		outcome = pt_host_access(&p->g.c.agent, &p->m[mirror].shadow.ctx, &bounds, &a);
		pt_section_end(&p->g.c.agent);
		if (outcome == PT_OK) {
			if (!answer_is_legal(p, probe, a.pa.v, (enum pt_access)a.access))
				wrong(p,
				      a.tlb_hit ? "a TLB's answer from before an invalidation"
						: "an answer that nobody has given",
				      mirror, probe->ipa);
			if (a.access == PT_ACCESS_WRITE)
				note_write(p, a.pa.v);
			return;
		}
		if (outcome != PT_MORE &&
		    !resolve(p, mirror, probe, a.vcpu, (enum pt_access)a.access))
			return;
	}
	wrong(p, "an access makes no progress", mirror, probe->ipa);
}

/* ---- the guest writes its tables ---- */

static uint64_t some_rights(struct play *p)
{
	static const uint64_t rights[] = {GUEST_R,
					  GUEST_R | GUEST_W,
					  GUEST_R | GUEST_XN,
					  GUEST_R | GUEST_W | GUEST_XN,
					  GUEST_R | GUEST_DBM,
					  GUEST_W | GUEST_XN,
					  GUEST_XN | GUEST_R | GUEST_DBM};

	return GUEST_LEAF | (draw(p, 2) ? GUEST_AF : 0) | rights[draw(p, 7)];
}

/* Mostly one of the two that may be written. */
static uint64_t some_area(struct play *p)
{
	return (draw(p, 8) ? draw(p, 2) : draw(p, AREAS)) * p->area;
}

/* The second block of the guest's space becomes a table again, with nothing in it. */
static void open_block(struct play *p)
{
	uint64_t *block = guest_entry(&p->g, p->guest_block, 2);

	if ((*block & 3) == 3 || !p->table)
		return;
	memset(guest_word(&p->g, p->table & ~UINT64_C(0xfff)), 0, p->guest_page);
	*block = p->table;
}

static void do_guest_page(struct play *p)
{
	static const unsigned page[] = {0, 1, 7};
	bool second = draw(p, 2);
	uint64_t index = second ? page[draw(p, 3)] : draw(p, 8);
	uint64_t ipa = second * p->guest_block + index * p->guest_page;
	uint64_t out = some_area(p) + draw(p, 8) * p->guest_page;

	if (second)
		open_block(p);
	if (draw(p, 4))
		guest_map(&p->g, ipa, out, 3, some_rights(p));
	else
		*guest_entry(&p->g, ipa, 3) = 0;
	if (second)
		p->table = *guest_entry(&p->g, p->guest_block, 2);
}

static void do_guest_block(struct play *p)
{
	uint64_t *block = guest_entry(&p->g, p->guest_block, 2);

	if ((*block & 3) == 3)
		p->table = *block;
	*block = draw(p, 4) ? some_area(p) | some_rights(p) : 0;
}

/* What an invalidation has to remove: leaves by guest leaves that it names. */
static bool is_named(const struct pt_guest_tlbi *t, const struct said *s, uint64_t ipa)
{
	uint64_t lo, hi;

	if (t->scope == PT_GUEST_TLBI_ALL || t->scope == PT_GUEST_TLBI_VMID)
		return true;
	if (t->scope == PT_GUEST_TLBI_STAGE1)
		return false;
	lo = ipa & ~(s->span - 1);
	hi = lo + (s->span - 1);
	if (t->scope == PT_GUEST_TLBI_RANGE)
		return t->ipa.v <= hi && lo <= t->ipa.v + (t->size - 1);
	return t->ipa.v >= lo && t->ipa.v <= hi && (!t->ttl_given || t->level == s->level);
}

static void forget(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid)
{
	for (unsigned i = 0; i < MIRRORS; i++) {
		struct mirror *m = &p->m[i];

		if (t->scope != PT_GUEST_TLBI_ALL && m->vmid != vmid)
			continue;
		for (unsigned n = 0; n < p->probes; n++) {
			struct probe *probe = &m->probe[n];
			unsigned kept = 0;

			for (unsigned v = 0; v < probe->count; v++)
				if (probe->said[v].valid &&
				    !is_named(t, &probe->said[v], probe->ipa))
					probe->said[kept++] = probe->said[v];
			probe->count = kept;
		}
		say_all(p, m);
	}
}

static void run_tlbi(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid)
{
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome = PT_OK;

	p->counts->tlbis++;
	pt_guest_tlbi_begin(&op, &p->g.nested, vmid, t);
	if (p->defect != NESTED_LOSE_TLBI || draw(p, 8))
		do {
			pt_section_begin(&p->g.c.agent);
			outcome =
				pt_guest_tlbi_step(&op, &p->g.c.agent, (uint32_t)(1 + draw(p, 40)));
			pt_section_end(&p->g.c.agent);
		} while (outcome == PT_MORE);
	assert_int_equal(PT_OK, outcome);
	forget(p, t, vmid);
}

static void do_tlbi(struct play *p)
{
	const struct probe *probe = &p->m[0].probe[draw(p, p->probes)];
	struct pt_guest_tlbi t = {.scope = (enum pt_guest_tlbi_scope)draw(p, 5),
				  .leaf_only = draw(p, 2),
				  .ipa = {probe->ipa & ~UINT64_C(0xfff)},
				  .size = 1 + draw(p, 3)};

	t.size *= p->guest_page;
	if (t.scope == PT_GUEST_TLBI_IPA && draw(p, 2)) {
		t.ttl_given = true;
		t.level = (int8_t)(2 + draw(p, 2));
		t.ttl_shift = p->g.geo.granule_shift;
	}
	if (t.scope == PT_GUEST_TLBI_RANGE)
		t.ipa.v &= ~(p->guest_page - 1);
	run_tlbi(p, &t, p->m[draw(p, MIRRORS)].vmid);
}

/* Before the tables change: there is room to remember what they say then. */
static void make_room(struct play *p)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes; n++)
			if (p->m[i].probe[n].count == VERSIONS)
				run_tlbi(p, &(struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_ALL}, 0);
}

static void do_guest(struct play *p)
{
	uint64_t what = draw(p, 6);

	p->counts->guest++;
	if (what > 3) {
		do_tlbi(p);
		return;
	}
	make_room(p);
	if (what == 3)
		do_guest_block(p);
	else
		do_guest_page(p);
	for (unsigned i = 0; i < MIRRORS; i++)
		say_all(p, &p->m[i]);
}

/* ---- the host changes its map ---- */

static uint64_t some_range(struct play *p, uint64_t *size)
{
	uint64_t base = draw(p, 2) * p->area;
	uint64_t pages = p->guest_page > p->host_page ? 8 * p->guest_page / p->host_page : 8;

	*size = p->host_page * (1 + draw(p, 3));
	if (!draw(p, 6)) {
		*size = p->area;
		return base;
	}
	return base + draw(p, pages < 61 ? pages : 61) * p->host_page;
}

static void do_item(struct play *p, enum pt_item_kind kind)
{
	static const uint32_t rights[] = {PT_PROT_R, PT_PROT_RW, PT_PROT_RWX,
					  PT_PROT_R | PT_PROT_X};
	uint64_t size, ipa = some_range(p, &size);
	struct pt_item item = core_item(&p->g.c, kind, ipa, size, 0, 0, 0);

	if (kind == PT_ITEM_MAP) {
		item.pa.v = (draw(p, 2) ? OTHER_PA : GUEST_SLOT_PA) + ipa;
		item.flags = PT_MAP_REPLACE;
	}
	if (kind == PT_ITEM_MAP || kind == PT_ITEM_PROTECT || kind == PT_ITEM_RELAX)
		item.prot = rights[draw(p, 4)];
	if (size == p->host_page && draw(p, 2) && core_point(&p->g.c, item, NULL, NULL) != PT_MORE)
		return;
	core_range(&p->g.c, item, NULL);
}

static void do_upkeep(struct play *p, enum pt_upkeep_kind kind)
{
	struct pt_upkeep u;
	struct pt_upkeep_args args = upkeep_args(&p->g.c, kind, draw(p, 2) * p->area, p->area);

	args.clear = kind == PT_UPKEEP_AGE;
	if (kind == PT_UPKEEP_AGE)
		args.ipa.v = some_range(p, &args.size);
	assert_int_equal(PT_OK, upkeep_run(&p->g.c, &u, args, 1000));
}

static void run_dirty(struct play *p, const struct pt_dirty_args *args)
{
	struct pt_dirty op;
	enum pt_outcome outcome;

	assert_int_equal(PT_OK, pt_dirty_init(&op, args, NULL));
	do {
		pt_section_begin(&p->g.c.agent);
		outcome = pt_dirty_step(&op, &p->g.c.agent, 1000);
		pt_section_end(&p->g.c.agent);
	} while (outcome == PT_MORE);
	assert_int_equal(PT_OK, outcome);
}

static void start_log(struct play *p)
{
	uint64_t bytes = pt_dirty_bytes(p->g.c.ctx.geo.granule_shift, p->area);

	free(p->log_memory);
	p->log_memory = calloc(1, bytes);
	memset(p->written, 0, sizeof(p->written));
	run_dirty(p, &(struct pt_dirty_args){.kind = PT_DIRTY_START,
					     .log = &p->log,
					     .ctx = &p->g.c.ctx,
					     .size = p->area,
					     .memory = p->log_memory,
					     .eager_split = draw(p, 2)});
	p->logging = true;
}

/* Every page that was written since the last look is told. */
static void get_log(struct play *p)
{
	uint8_t *told = calloc(1, p->area / p->host_page / 8 + 1);

	run_dirty(p, &(struct pt_dirty_args){.kind = PT_DIRTY_GET,
					     .log = &p->log,
					     .size = p->area,
					     .clear = true,
					     .bitmap = told,
					     .generation = p->log.generation});
	for (unsigned i = 0; i < sizeof(p->written) && i < p->area / p->host_page / 8; i++)
		if (p->written[i] & ~told[i])
			wrong(p, "a page that was written is not told", 0, i * 8 * p->host_page);
	memset(p->written, 0, sizeof(p->written));
	free(told);
}

static void do_log(struct play *p)
{
	if (!p->logging) {
		start_log(p);
	} else if (draw(p, 4)) {
		get_log(p);
	} else {
		run_dirty(p, &(struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &p->log});
		p->logging = false;
	}
}

/* The read-only slot goes, with what it mapped, or comes again. */
static void do_slot(struct play *p)
{
	static union {
		struct pt_slots head;
		unsigned char room[sizeof(struct pt_slots) + 2 * sizeof(struct pt_slot)];
	} without;
	struct pt_item item = core_item(&p->g.c, PT_ITEM_UNMAP, 2 * p->area, p->area, 0, 0, 0);
	struct pt_txn txn;

	if (pt_ctx_slots(&p->g.c.ctx) == &without.head) {
		pt_ctx_set_slots(&p->g.c.ctx, guest_slots(&p->g));
		return;
	}
	without.head.count = 1;
	without.head.slot[0] = guest_slots(&p->g)->slot[0];
	assert_int_equal(PT_OK, pt_txn_init(&txn, &item, 1, 0, false, NULL));
	txn.publish = &without.head;
	assert_int_equal(PT_OK, core_run(&txn, &p->g.c.agent, 1000));
}

static void do_host(struct play *p)
{
	p->counts->host++;
	switch (draw(p, 12)) {
	case 0:
	case 1: do_item(p, PT_ITEM_UNMAP); break;
	case 2:
	case 3: do_item(p, PT_ITEM_MAP); break;
	case 4: do_item(p, PT_ITEM_PROTECT); break;
	case 5: do_item(p, PT_ITEM_WRITE_PROTECT); break;
	case 6: do_item(p, PT_ITEM_RELAX); break;
	case 7: do_upkeep(p, PT_UPKEEP_AGE); break;
	case 8: do_upkeep(p, PT_UPKEEP_SPLIT); break;
	case 9: do_upkeep(p, PT_UPKEEP_COLLAPSE); break;
	case 10: do_slot(p); break;
	default: do_log(p); break;
	}
}

/* ---- a play ---- */

static void open_mirror(struct play *p, unsigned i)
{
	struct mirror *m = &p->m[i];

	m->vmid = (uint16_t)(5 + i);
	p->g.key.vttbr = p->g.regs.vttbr = GUEST_MEMORY | (uint64_t)m->vmid << 48;
	m->key = p->g.key;
	memset(&m->shadow, 0, sizeof(m->shadow));
	ASSERT_OUTCOME(PT_OK, guest_shadow(&p->g, &m->shadow));
	for (unsigned n = 0; n < p->probes; n++)
		m->probe[n].count = 0;
	say_all(p, m);
}

static void do_end(struct play *p)
{
	unsigned i = (unsigned)draw(p, MIRRORS);

	p->counts->ends++;
	guest_end(&p->g, &p->m[i].shadow, (uint32_t)(1 + draw(p, 2000)));
	open_mirror(p, i);
}

static void add_probe(struct play *p, uint64_t page)
{
	for (unsigned i = 0; i < MIRRORS; i++) {
		p->m[i].probe[p->probes].ipa = page;
		if (p->guest_page > 0x1000)
			p->m[i].probe[p->probes + 1].ipa = page + p->guest_page - 8;
	}
	p->probes += p->guest_page > 0x1000 ? 2 : 1;
}

static void open_play(struct play *p, uint64_t seed)
{
	static const unsigned shift[] = {12, 14, 16};
	const struct shape *shape = &shapes[seed % 3];
	unsigned guest_shift = shift[seed / 3 % 3];
	unsigned bits =
		shape->args.granule_shift > guest_shift ? shape->args.granule_shift : guest_shift;

	p->rng = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	p->area = UINT64_C(1) << (2 * bits - 3);
	p->host_page = UINT64_C(1) << shape->args.granule_shift;
	p->guest_page = UINT64_C(1) << guest_shift;
	p->guest_block = UINT64_C(1) << (2 * guest_shift - 3);
	guest_open_bare(&p->g, shape, guest_shift, true);
	guest_registers(&p->g, guest_shift, 5, PT_VTCR_HA | PT_VTCR_HD);
	guest_slot(&p->g, 0, 2 * p->area, 0, draw(p, 2) ? 12 : 30);
	guest_slot(&p->g, 2 * p->area, p->area, PT_SLOT_READ_ONLY, 30);
	for (uint64_t i = 0; i<8; i += p->guest_page> 0x1000 ? 2 : 1)
		add_probe(p, i * p->guest_page);
	add_probe(p, p->guest_block);
	add_probe(p, p->guest_block + p->guest_page);
	add_probe(p, p->guest_block + 7 * p->guest_page);
	add_probe(p, 2 * p->guest_block - p->guest_page);
	assert_true(p->probes <= PROBES);
	for (unsigned i = 0; i < 12; i++)
		do_guest_page(p);
	for (unsigned i = 0; i < MIRRORS; i++)
		open_mirror(p, i);
}

static void close_play(struct play *p)
{
	struct nested_counts *c = p->counts;

	c->fills += pt_nested_fills(&p->g.nested);
	c->killed += atomic_load(&p->g.nested.counts.killed);
	c->invalidated += atomic_load(&p->g.nested.counts.invalidated);
	if (p->logging)
		run_dirty(p, &(struct pt_dirty_args){.kind = PT_DIRTY_STOP, .log = &p->log});
	for (unsigned i = 0; i < MIRRORS; i++)
		guest_end(&p->g, &p->m[i].shadow, 1000);
	guest_close(&p->g);
	free(p->log_memory);
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
	for (uint32_t i = 0; i < steps && !*failure; i++) {
		uint64_t what = draw(p, 32);

		counts->operations++;
		if (what < 20)
			do_access(p);
		else if (what < 26)
			do_guest(p);
		else if (what < 31 || draw(p, 4))
			do_host(p);
		else
			do_end(p);
		look_at_all(p);
	}
	close_play(p);
	free(p);
	return !*failure;
}
