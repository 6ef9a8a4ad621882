/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: the guest hypervisor writes its tables, with and without TLBIs. */
#include "world.h"

#define CONTIGUOUS (UINT64_C(1) << 52)
#define CROWD_AT   2u /* its block of the nested space */

/* ---- its memory, and its descriptors by hand ---- */

uint64_t *guest_tables_word(struct play *p, uint64_t ipa)
{
	return ipa - p->tables < GUEST_BYTES ? &p->g.memory[(ipa - p->tables) / sizeof(uint64_t)]
					     : NULL;
}

enum pt_outcome guest_tables_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	const uint64_t *at = guest_tables_word(arg, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	*word = *at;
	return PT_OK;
}

enum pt_outcome guest_tables_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	struct play *p = arg;
	uint64_t *at = guest_tables_word(p, ipa.v);

	if (!at)
		return PT_NO_SLOT;
	if (*at != *word) {
		*word = *at;
		return PT_RACED;
	}
	*at = to;
	p->swaps++;
	return PT_OK;
}

/* An output address where the format has it. */
static uint64_t placed(const struct play *p, uint64_t out)
{
	if (p->g.geo.ds)
		return (out & ~(UINT64_C(3) << 50)) | (out >> 50 & 3) << 8;
	if (p->g.geo.lpa)
		return (out & ((UINT64_C(1) << 48) - 1)) | (out >> 48 & 15) << 12;
	return out;
}

static uint64_t new_table(struct play *p)
{
	uint64_t bytes = p->guest_page, at = p->tables + p->next;

	assert_true(p->next + bytes <= GUEST_BYTES);
	p->next += bytes;
	return at;
}

/* The descriptor of `level` for `ipa`, with tables down to it. */
static uint64_t *entry(struct play *p, uint64_t ipa, int level)
{
	uint64_t table = p->tables, entries = p->guest_page / sizeof(uint64_t);

	for (int at = p->g.geo.start_level;; at++) {
		uint64_t index = ipa >> guest_level_shift(&p->g, at), next;
		uint64_t *e;

		if (at > p->g.geo.start_level)
			index &= entries - 1;
		e = guest_tables_word(p, table + index * sizeof(uint64_t));
		assert_non_null(e);
		if (at == level)
			return e;
		if ((*e & 3) != 3) {
			next = new_table(p);
			*e = placed(p, next) | 3;
		}
		for (next = p->tables; placed(p, next) != (*e & ~UINT64_C(3));
		     next += p->guest_page)
			assert_true(next < p->tables + GUEST_BYTES);
		table = next;
	}
}

static uint64_t leaf(const struct play *p, uint64_t out, int level, uint64_t attrs)
{
	if (p->g.geo.ds)
		attrs &= ~(UINT64_C(3) << 8);
	return placed(p, out) | attrs | (level == 3 ? 2 : 0);
}

static void map(struct play *p, uint64_t ipa, uint64_t out, int level, uint64_t attrs)
{
	*entry(p, ipa, level) = leaf(p, out, level, attrs);
}

/* ---- what it writes ---- */

static uint64_t some_rights(struct play *p)
{
	static const uint64_t rights[] = {GUEST_R,
					  GUEST_R | GUEST_W,
					  GUEST_R | GUEST_XN,
					  GUEST_R | GUEST_W | GUEST_XN,
					  GUEST_R | GUEST_DBM,
					  GUEST_W | GUEST_XN,
					  GUEST_XN | GUEST_R | GUEST_DBM};

	return GUEST_LEAF | (draw(p, 4) ? GUEST_AF : 0) | (draw(p, 3) ? 0 : CONTIGUOUS) |
	       rights[draw(p, 7)];
}

/* Mostly one of the two that may be written. */
uint64_t some_area(struct play *p)
{
	return p->base + (draw(p, 8) ? draw(p, 2) : draw(p, AREAS)) * p->area;
}

/* The second block of the guest's space becomes a table again, with nothing in it. */
static void open_block(struct play *p)
{
	uint64_t *block = entry(p, p->nested + p->guest_block, 2);

	if ((*block & 3) == 3 || !p->table)
		return;
	*block = p->table;
	memset(entry(p, p->nested + p->guest_block, 3), 0, p->guest_page);
}

uint64_t do_guest_page(struct play *p)
{
	static const unsigned page[] = {0, 1, 7};
	bool second = draw(p, 2);
	uint64_t index = second ? page[draw(p, 3)] : draw(p, 8);
	uint64_t ipa = p->nested + second * p->guest_block + index * p->guest_page;
	uint64_t out = some_area(p) + draw(p, 8) * p->guest_page;

	note(p, NESTED_GUEST_PAGE);
	if (second)
		open_block(p);
	if (draw(p, 4))
		map(p, ipa, out, 3, some_rights(p));
	else
		*entry(p, ipa, 3) = 0;
	if (second)
		p->table = *entry(p, p->nested + p->guest_block, 2);
	return ipa;
}

static void do_guest_block(struct play *p)
{
	uint64_t *block = entry(p, p->nested + p->guest_block, 2);

	note(p, NESTED_GUEST_BLOCK);
	if ((*block & 3) == 3)
		p->table = *block;
	*block = draw(p, 4) ? leaf(p, some_area(p), 2, some_rights(p)) : 0;
}

/* The first pages are a group, or said to be one: memory side by side and rights alike, or not. */
static void do_guest_hint(struct play *p)
{
	uint64_t out = some_area(p), attrs = some_rights(p) | CONTIGUOUS;
	bool sound = draw(p, 2);

	note(p, NESTED_GUEST_HINT);
	for (uint64_t i = 0; i < 8; i++) {
		if (!sound && !draw(p, 3))
			*entry(p, p->nested + i * p->guest_page, 3) |= CONTIGUOUS;
		else
			map(p, p->nested + i * p->guest_page, out + i * p->guest_page, 3, attrs);
	}
}

/* It looks for what its guest has written and used, and begins anew. */
static void do_guest_clean(struct play *p)
{
	uint64_t bits = draw(p, 2) ? GUEST_AF : 0;

	note(p, NESTED_GUEST_CLEAN);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t *e = entry(p, p->nested + i * p->guest_page, 3);

		*e &= ~(bits | (*e & GUEST_DBM ? GUEST_W : 0));
	}
}

/* ---- aliases of one page ---- */

uint64_t crowd_ipa(const struct play *p, unsigned n)
{
	return p->nested + CROWD_AT * p->guest_block + n * p->guest_page;
}

void crowd_map(struct play *p, uint64_t out)
{
	for (unsigned n = 0; n < CROWD; n++)
		map(p, crowd_ipa(p, n), out, 3, GUEST_RWX);
}

void crowd_unmap(struct play *p)
{
	for (unsigned n = 0; n < CROWD; n++)
		*entry(p, crowd_ipa(p, n), 3) = 0;
}

/* ---- invalidations ---- */

/* What an invalidation has to remove: leaves by guest leaves that it names. */
static bool names(const struct pt_guest_tlbi *t, int level, uint64_t span, uint64_t ipa)
{
	uint64_t lo = ipa & ~(span - 1), hi = lo + (span - 1);

	if (t->scope == PT_GUEST_TLBI_ALL || t->scope == PT_GUEST_TLBI_VMID)
		return true;
	if (t->scope == PT_GUEST_TLBI_STAGE1)
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
static void forget(struct play *p, const struct pt_guest_tlbi *t, uint16_t vmid, uint64_t since)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes && concerns(p, i, t, vmid); n++) {
			struct probe *probe = &p->m[i].probe[n];
			unsigned kept = 0;

			for (unsigned v = 0; v < probe->count; v++) {
				const struct said *s = &probe->said[v];
				bool named = !s->valid || names(t, s->level, s->span, probe->ipa);

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
		if (concerns(p, i / PROBES, t, vmid) && names(t, s->level, span, s->ipa))
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
	forget(p, t, vmid, UINT64_MAX);
	compare_rest(p, was, t, vmid);
}

/* One that goes on while its guests run. */
void end_tlbi(struct play *p)
{
	struct going *g = &p->going;
	enum pt_outcome outcome = step_tlbi(p, &g->tlbi, &p->other);

	if (outcome == PT_MORE)
		return;
	assert_int_equal(PT_OK, outcome);
	g->kind = NOTHING;
	forget(p, &g->tlbi.tlbi, g->vmid, g->since);
}

static void do_tlbi(struct play *p)
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
	say_everywhere(p);
	p->going.kind = GUESTS_TLBI;
	p->going.since = p->now;
	p->going.vmid = vmid;
	pt_guest_tlbi_begin(&p->going.tlbi, &p->g.nested, vmid, &t);
}

/* By any address of the page. */
static void invalidate(struct play *p, uint64_t page)
{
	struct pt_guest_tlbi t = {.scope = PT_GUEST_TLBI_IPA,
				  .leaf_only = true,
				  .ipa = {page + draw(p, p->guest_page / 4096) * 4096}};

	for (unsigned i = 0; i < 4; i++) /* each VMID that uses the tables */
		run_tlbi(p, &t, p->m[i].vmid);
}

/* Before the tables change: there is room to remember what they say then. */
static void make_room(struct play *p)
{
	for (unsigned i = 0; i < MIRRORS; i++)
		for (unsigned n = 0; n < p->probes; n++)
			if (p->m[i].probe[n].count >= VERSIONS - 1) {
				run_tlbi(p, &(struct pt_guest_tlbi){.scope = PT_GUEST_TLBI_ALL}, 0);
				return;
			}
}

void do_guest(struct play *p)
{
	uint64_t what = draw(p, 9), page = 0;

	if (what > 5) {
		do_tlbi(p);
		return;
	}
	make_room(p);
	if (what == 5)
		do_guest_hint(p);
	else if (what == 4)
		do_guest_clean(p);
	else if (what == 3)
		do_guest_block(p);
	else
		page = do_guest_page(p);
	say_everywhere(p);
	if (what < 3 && draw(p, 2)) /* as the architecture asks for */
		invalidate(p, page);
}
