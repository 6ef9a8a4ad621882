/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners beside its model: the same transitions in both, and what tables, records,
 * index and memory say compared with it. */
#ifndef TESTS_UNIT_TRANSFER_FIXTURE_H
#define TESTS_UNIT_TRANSFER_FIXTURE_H

#include <sched.h>

#include <pt/lending.h>
#include <pt/owner_audit.h>

#include "../model/owner.h"
#include "core.h"

#define RIG_GUESTS 3u /* the first is plain, the others are protected */
#define RIG_STORE  77 /* scope of failpoints of the ledger; that of context i is i + 1 */
#define RIG_MAX	   2048u

struct transfer_rig {
	struct core c; /* its context is the host's */
	struct pt_ctx ctx[RIG_GUESTS];
	struct pt_store store;
	struct pt_machine_owners owners;
	struct pt_guest guest[OWN_GUESTS];
	struct pt_lending lending[PT_LENDINGS];
	struct pt_region region;
	struct own model;
	unsigned shift;		/* log2 of the unit */
	uint64_t pa, ipa;	/* where memory begins; and the guests' addresses */
	uint64_t held[RIG_MAX]; /* what a unit of memory holds */
	bool reached[RIG_MAX];	/* by hyp */
	uint64_t empty_pages, used;
	struct pt_transfer t;
};

static inline void rig_wipe(void *arg, uint64_t pa, uint64_t size)
{
	struct transfer_rig *rig = arg;

	assert_true(size && size <= PT_WIPE_BYTES);
	for (uint64_t at = pa; at < pa + size; at += UINT64_C(1) << rig->owners.frames.frame_shift)
		rig->held[(at - rig->pa) >> rig->shift] = 0;
}

static inline void rig_reach(void *arg, uint64_t pa, uint64_t size, bool reaches)
{
	struct transfer_rig *rig = arg;

	for (uint64_t at = pa; at < pa + size; at += UINT64_C(1) << rig->owners.frames.frame_shift)
		rig->reached[(at - rig->pa) >> rig->shift] = reaches;
}

static inline struct pt_ctx *rig_ctx(struct transfer_rig *rig, unsigned i)
{
	return i ? &rig->ctx[i - 1] : &rig->c.ctx;
}

/* The smallest granule, of which frames are; the largest is the unit of all transitions. */
static inline unsigned rig_shifts(const struct shape *host, const struct shape *const *guest,
				  unsigned *largest)
{
	unsigned least = host->args.granule_shift;

	*largest = least;
	for (unsigned i = 0; i < RIG_GUESTS; i++) {
		unsigned shift = guest[i]->args.granule_shift;

		least = shift < least ? shift : least;
		*largest = shift > *largest ? shift : *largest;
	}
	return least;
}

/* `units` of memory from `pa` on, and a shape for each guest; with TLBs that keep what they may, if
 * asked for. */
static inline void rig_open_shapes(struct transfer_rig *rig, const struct shape *host,
				   const struct shape *const *guest, uint64_t units, uint64_t pa,
				   uint64_t ipa, bool mmu)
{
	struct pt_geometry geo;
	uint32_t handle;
	unsigned g, shift, unit_shift;

	memset(rig, 0, sizeof(*rig));
	shift = rig_shifts(host, guest, &unit_shift);
	assert_true(units <= RIG_MAX);
	core_open_bytes(&rig->c, host, UINT64_C(64) << 20, mmu);
	rig->c.ctx.scope = 1;
	ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&rig->c.ctx, PT_CTX_IDENTITY, NULL, NULL));
	pt_store_init(&rig->store, &rig->c.machine, UINT64_MAX, RIG_STORE);
	ASSERT_OUTCOME(PT_OK,
		       pt_machine_owners_init(&rig->owners, &rig->store, &rig->c.ctx, shift));
	rig->shift = unit_shift;
	rig->pa = pa;
	rig->ipa = ipa;
	rig->region = (struct pt_region){pa, units << rig->shift};
	rig->owners.region = &rig->region;
	rig->owners.regions = 1;
	rig->owners.guest = rig->guest;
	rig->owners.guests = OWN_GUESTS;
	rig->owners.lending = rig->lending;
	rig->owners.lendings = PT_LENDINGS;
	rig->owners.wipe = rig_wipe;
	rig->owners.hyp_reach = rig_reach;
	rig->owners.arg = rig;
	own_open(&rig->model, units, units);
	pt_section_begin(&rig->c.agent);
	for (unsigned i = 0; i < RIG_GUESTS; i++) {
		ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &guest[i]->args));
		ASSERT_OUTCOME(PT_OK, pt_ctx_init(&rig->ctx[i], &rig->c.agent, &rig->c.machine,
						  &geo, PT_ATTR_FWB, 0, UINT64_MAX));
		ASSERT_OUTCOME(PT_OK, pt_vmid_get(&rig->ctx[i], &rig->c.agent));
		rig->ctx[i].scope = i + 2;
		ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig->owners, &handle));
		assert_int_equal(i, handle);
		ASSERT_OUTCOME(PT_OK, pt_guest_create(&rig->owners, i, &rig->ctx[i], i != 0));
		ASSERT_OUTCOME(PT_OK, own_reserve(&rig->model, &g));
		ASSERT_OUTCOME(PT_OK, own_create(&rig->model, g, i != 0));
	}
	pt_section_end(&rig->c.agent);
	for (uint64_t i = 0; i < units; i++)
		rig->held[i] = rig->model.frame[i].content = i + 1;
	rig->used = atomic_load(&rig->c.tables.world.pool.used_bytes);
}

static inline void rig_open_mmu(struct transfer_rig *rig, const struct shape *host,
				const struct shape *guests, uint64_t units, uint64_t pa,
				uint64_t ipa, bool mmu)
{
	const struct shape *const guest[RIG_GUESTS] = {guests, guests, guests};

	rig_open_shapes(rig, host, guest, units, pa, ipa, mmu);
}

static inline void rig_open(struct transfer_rig *rig, const struct shape *host,
			    const struct shape *guests, uint64_t units, uint64_t pa, uint64_t ipa)
{
	rig_open_mmu(rig, host, guests, units, pa, ipa, false);
}

static inline void rig_close(struct transfer_rig *rig)
{
	for (unsigned i = 0; i < RIG_GUESTS; i++) {
		struct pt_txn txn;

		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &rig->ctx[i], NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig->c.agent, 1000));
	}
	pt_section_begin(&rig->c.agent);
	while (pt_frames_close(&rig->owners.frames, &rig->c.agent, 1000) == PT_MORE)
		continue;
	while (pt_extents_close(&rig->owners.extents, &rig->c.agent, 1000) == PT_MORE)
		continue;
	pt_section_end(&rig->c.agent);
	while (pt_reclaim(&rig->c.agent))
		continue;
	assert_int_equal(0, pt_store_pages(&rig->store));
	own_close(&rig->model);
	core_close(&rig->c);
}

/* A request in units. */
struct rig_op {
	uint32_t kind;
	unsigned guest;
	uint64_t frame, gfn, n;
	uint32_t prot;
	bool wipe;
};

static inline bool rig_by_pa(uint32_t kind)
{
	return kind <= PT_SHARE_GUEST || kind == PT_DONATE_GUEST || kind == PT_FORCE_RECLAIM ||
	       kind == PT_TOP_UP;
}

static inline bool rig_by_ipa(uint32_t kind)
{
	return kind >= PT_SHARE_GUEST && kind <= PT_RECLAIM_DYING && kind != PT_FORCE_RECLAIM;
}

static inline bool rig_by_guest(uint32_t kind)
{
	return rig_by_ipa(kind) || kind == PT_TOP_UP || kind == PT_RECLAIM_TABLES;
}

static inline struct pt_transfer_args rig_args(struct transfer_rig *rig, const struct rig_op *op)
{
	return (struct pt_transfer_args){
		.owners = &rig->owners,
		.kind = op->kind,
		.guest = rig_by_guest(op->kind) ? op->guest : 0,
		.pa = rig_by_pa(op->kind) ? rig->pa + (op->frame << rig->shift) : 0,
		.ipa = {rig_by_ipa(op->kind) ? rig->ipa + (op->gfn << rig->shift) : 0},
		.size = op->kind == PT_RECLAIM_TABLES ? 0 : op->n << rig->shift,
		.prot = op->kind == PT_SHARE_GUEST ? op->prot : 0,
		.wipe = op->wipe,
		.id = 5};
}

static inline enum pt_outcome rig_step(struct transfer_rig *rig, uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_transfer_step(&rig->t, &rig->c.agent, budget);
	pt_section_end(&rig->c.agent);
	return outcome;
}

/* `give_up`: after so many steps, if it is not over; 0: never. */
static inline enum pt_outcome rig_run_args(struct transfer_rig *rig,
					   const struct pt_transfer_args *args, uint32_t budget,
					   uint32_t give_up)
{
	enum pt_outcome outcome = pt_transfer_init(&rig->t, args);

	if (outcome != PT_OK)
		return outcome;
	for (uint32_t steps = 1; (outcome = rig_step(rig, budget)) == PT_MORE; steps++) {
		assert_true(steps < 1000000);
		if (steps % 1024 == 0) /* another thread's section may be what it waits for */
			sched_yield();
		if (steps == give_up) {
			pt_section_begin(&rig->c.agent);
			pt_transfer_abort(&rig->t, &rig->c.agent);
			pt_section_end(&rig->c.agent);
		}
	}
	return outcome;
}

static inline enum pt_outcome rig_run(struct transfer_rig *rig, const struct rig_op *op,
				      uint32_t budget, uint32_t give_up)
{
	struct pt_transfer_args args = rig_args(rig, op);

	return rig_run_args(rig, &args, budget, give_up);
}

/* Several ranges of one kind, all or none. `range`: room for them, until the end. */
static inline struct pt_transfer_args rig_args_of(struct transfer_rig *rig, const struct rig_op *op,
						  uint32_t ranges, struct pt_transfer_range *range)
{
	struct pt_transfer_args all = {.owners = &rig->owners,
				       .kind = op->kind,
				       .wipe = op->wipe,
				       .range = range,
				       .ranges = ranges,
				       .id = 5};

	for (uint32_t i = 0; i < ranges; i++) {
		struct pt_transfer_args a = rig_args(rig, &op[i]);

		range[i] = (struct pt_transfer_range){a.pa, a.ipa, a.size, a.guest, a.prot};
	}
	return all;
}

static inline enum pt_outcome rig_model(struct own *o, const struct rig_op *op)
{
	uint64_t f = op->frame, n = op->n, a = op->gfn;
	unsigned g = op->guest;

	switch (op->kind) {
	case PT_SHARE_HYP: return own_share_hyp(o, f, n);
	case PT_UNSHARE_HYP: return own_unshare_hyp(o, f, n);
	case PT_PIN: return own_pin(o, f, n);
	case PT_UNPIN: return own_unpin(o, f, n);
	case PT_DONATE_HYP: return own_donate_hyp(o, f, n, op->wipe);
	case PT_RETURN_HYP: return own_return_hyp(o, f, n);
	case PT_SHARE_THIRD: return own_share_third(o, f, n);
	case PT_UNSHARE_THIRD: return own_unshare_third(o, f, n);
	case PT_SHARE_GUEST: return own_share_guest(o, f, g, a, n, (uint8_t)(op->prot & 0xf));
	case PT_UNSHARE_GUEST: return own_unshare_guest(o, g, a, n);
	case PT_DONATE_GUEST: return own_donate_guest(o, f, g, a, n, op->wipe);
	case PT_SHARE_BACK: return own_share_back(o, g, a, n);
	case PT_UNSHARE_BACK: return own_unshare_back(o, g, a, n);
	case PT_BALLOON: return own_balloon(o, g, a, n);
	case PT_FORCE_RECLAIM: return own_force_reclaim(o, f, n);
	case PT_TOP_UP: return own_top_up(o, g, f, n);
	case PT_RECLAIM_TABLES: return own_reclaim_tables(o, g);
	default: return own_reclaim_dying(o, g, a, n);
	}
}

/* What stands at an address, in the words of the model. */
static inline pt_pte rig_entry(struct pt_ctx *ctx, uint64_t at)
{
	pt_pte e = 0;
	int level;

	ASSERT_OUTCOME(PT_OK, pt_get_leaf(ctx, pt_ipa(at), &e, &level));
	return e;
}

/* Where the leaf at an address leads to. */
static inline uint64_t rig_output(struct pt_ctx *ctx, uint64_t at)
{
	pt_pte e;
	int level;

	ASSERT_OUTCOME(PT_OK, pt_get_leaf(ctx, pt_ipa(at), &e, &level));
	assert_true(pt_pte_valid(e));
	return pt_pte_to_oa(&ctx->geo, e).v + (at & (pt_level_size(&ctx->geo, level) - 1));
}

/* LENT, with this handle. */
static inline void is_lent(pt_pte e, uint64_t lending)
{
	struct pt_note note;

	ASSERT_OUTCOME(PT_OK, pt_note_decode(e, &note));
	assert_int_equal(PT_NOTE_LENT, note.type);
	assert_int_equal(lending, note.lending);
}

static inline void same_host_entry(struct transfer_rig *rig, uint64_t i, uint64_t pa)
{
	const struct own_frame *f = &rig->model.frame[i];
	pt_pte e = rig_entry(&rig->c.ctx, pa);
	struct pt_note note;

	if (f->host == OWN_LENT) {
		is_lent(e, f->lending);
		return;
	}
	if (f->host != OWN_NOPAGE) {
		if (pt_pte_valid(e))
			assert_int_equal(pa, rig_output(&rig->c.ctx, pa));
		else
			assert_int_equal(0, e);
		assert_true(f->host != OWN_SHARED_BORROWED || pt_pte_valid(e));
		return;
	}
	ASSERT_OUTCOME(PT_OK, pt_note_decode(e, &note));
	assert_int_equal(PT_NOTE_DONATION, note.type);
	assert_int_equal(f->owner, note.owner.kind);
	if (f->owner != OWN_GUEST)
		return;
	assert_int_equal(f->guest, note.owner.handle);
	assert_int_equal((rig->ipa + (f->gfn << rig->shift)) >> PT_OWNER_SHIFT,
			 note.owner.gfn - ((pa - rig->pa - (i << rig->shift)) >> PT_OWNER_SHIFT));
}

/* Whose table memory it is, or which lending's. */
static inline uint64_t meta_of(const struct transfer_rig *rig, const struct own_frame *f)
{
	const struct own_cell *c = &rig->model.guest[f->guest].map[f->gfn];

	if (f->kind == OWN_TABLE && f->hyp == OWN_OWNED)
		return f->guest + UINT64_C(1);
	if (f->owner == OWN_GUEST && c->state == OWN_LENT)
		return c->lending;
	return f->owner == OWN_HOST && f->host == OWN_LENT ? f->lending : 0;
}

static inline void same_frame(struct transfer_rig *rig, uint64_t i)
{
	const struct own_frame *f = &rig->model.frame[i];
	uint64_t step = UINT64_C(1) << rig->owners.frames.frame_shift;

	for (uint64_t in = 0; in < UINT64_C(1) << rig->shift; in += step) {
		uint64_t pa = rig->pa + (i << rig->shift) + in;
		struct pt_frame_record r = pt_frames_get(&rig->owners.frames, pa);
		struct pt_extent e;

		assert_int_equal(f->host, r.host);
		assert_int_equal(f->hyp, r.hyp);
		assert_int_equal(f->pins, r.pins);
		assert_int_equal(f->shares, r.shares);
		assert_int_equal(f->kind == OWN_TABLE && f->hyp == OWN_OWNED, r.table);
		assert_true(pt_frame_sound(r));
		if (!(pa & (pt_level_size(&rig->c.ctx.geo, PT_LEVEL_LAST) - 1)))
			same_host_entry(rig, i, pa);
		ASSERT_OUTCOME(PT_OK,
			       pt_extents_find(&rig->owners.extents, pa >> PT_OWNER_SHIFT, &e));
		assert_int_equal(f->owner, e.owner.kind);
		if (f->owner == OWN_GUEST) {
			assert_int_equal(f->guest, e.owner.handle);
			assert_int_equal((rig->ipa + (f->gfn << rig->shift) + in) >> PT_OWNER_SHIFT,
					 e.owner.gfn + (pa >> PT_OWNER_SHIFT) - e.start);
			assert_int_equal(rig->model.guest[f->guest].map[f->gfn].state, e.state);
		} else if (f->owner == OWN_HOST) {
			assert_int_equal(f->host, e.state);
		}
		assert_int_equal(meta_of(rig, f), e.meta);
		assert_int_equal(f->owner == OWN_HOST && !f->host ? 0 : 5, e.id);
	}
	assert_int_equal(f->content, rig->held[i]);
	assert_int_equal(own_reaches(&rig->model, OWN_GUESTS + 1, i), rig->reached[i]);
}

static inline void same_page(const struct own_cell *c, struct pt_ctx *ctx, uint64_t ipa,
			     uint64_t pa)
{
	enum pt_page_state state;
	pt_pte e = rig_entry(ctx, ipa);

	ASSERT_OUTCOME(PT_OK, pt_page_state_of_entry(e, &state));
	assert_int_equal(c->state, state);
	if (state == PT_PAGE_LENT)
		is_lent(e, c->lending);
	if (state > PT_PAGE_LENT_BORROWED)
		return;
	assert_int_equal(pa, rig_output(ctx, ipa));
	assert_int_equal(c->prot, pt_leaf_prot(&ctx->geo, e, ctx->attrs) & PT_PROT_RIGHTS);
}

/* All of the guest's pages that a unit has. */
static inline void same_cell(struct transfer_rig *rig, unsigned g, uint64_t i)
{
	const struct own_cell *c = &rig->model.guest[g].map[i];
	struct pt_ctx *ctx = &rig->ctx[g];
	uint64_t step = pt_level_size(&ctx->geo, PT_LEVEL_LAST);

	for (uint64_t in = 0; in < UINT64_C(1) << rig->shift; in += step)
		same_page(c, ctx, rig->ipa + (i << rig->shift) + in,
			  rig->pa + (c->frame << rig->shift) + in);
}

static inline void rig_same_guests(struct transfer_rig *rig)
{
	pt_section_begin(&rig->c.agent);
	for (unsigned g = 0; g < RIG_GUESTS; g++)
		for (uint64_t i = 0; i < rig->model.gfns; i++)
			same_cell(rig, g, i);
	pt_section_end(&rig->c.agent);
}

static inline void same_lending(struct transfer_rig *rig, const struct own_lending *m)
{
	struct pt_lending l;

	ASSERT_OUTCOME(PT_OK, pt_lending_get(&rig->owners, m->handle, &l));
	assert_int_equal(m->open ? PT_LENDING_OPEN : PT_LENDING_LENT, l.state);
	assert_int_equal(m->zero, l.wipe);
	assert_int_equal(m->lender == OWN_GUESTS ? PT_NO_GUEST : m->lender, l.lender);
	assert_int_equal(m->pages << rig->shift, l.size);
	assert_int_equal(m->named << rig->shift, l.named);
	assert_int_equal(m->borrowers, l.borrowers);
	for (uint32_t i = 0; i < l.borrowers; i++) {
		uint8_t g = m->borrower[i].guest;

		assert_int_equal(g == UINT8_MAX ? PT_NO_GUEST : g, l.borrower[i].guest);
		assert_int_equal(m->borrower[i].has, l.borrower[i].has);
		if (l.borrower[i].has)
			assert_int_equal(rig->ipa + (m->borrower[i].gfn << rig->shift),
					 l.borrower[i].ipa);
	}
}

static inline void rig_same_lendings(struct transfer_rig *rig)
{
	for (uint32_t i = 0; i < PT_LENDINGS; i++) {
		if (rig->model.lending[i].handle)
			same_lending(rig, &rig->model.lending[i]);
		assert_int_equal(rig->model.lending[i].handle, rig->lending[i].handle);
	}
	assert_int_equal(rig->model.handles, rig->owners.lend_handles);
}

/* All of it. */
static inline void rig_same(struct transfer_rig *rig)
{
	pt_section_begin(&rig->c.agent);
	for (uint64_t i = 0; i < rig->model.frames; i++)
		same_frame(rig, i);
	pt_section_end(&rig->c.agent);
	rig_same_guests(rig);
	rig_same_lendings(rig);
	for (unsigned i = 0; i <= RIG_GUESTS; i++) {
		assert_int_equal(0, atomic_load(&rig_ctx(rig, i)->claims));
		assert_int_equal(0, rig_ctx(rig, i)->taken);
		assert_null(rig_ctx(rig, i)->first);
	}
	for (unsigned i = 0; i < OWN_GUESTS; i++) {
		assert_int_equal(0, atomic_load(&rig->guest[i].users));
		assert_int_equal((uint64_t)rig->model.guest[i].tables << rig->shift,
				 atomic_load(&rig->guest[i].tables));
	}
	assert_int_equal(0, rig->owners.extents.promised);
}

/* Tables, records and index among themselves. */
static inline void rig_audit(struct transfer_rig *rig)
{
	struct pt_owner_guest guests[OWN_GUESTS];
	struct pt_owner_audit audit;
	enum pt_outcome outcome;

	for (unsigned i = 0; i < OWN_GUESTS; i++)
		guests[i] =
			(struct pt_owner_guest){i < RIG_GUESTS ? &rig->ctx[i] : NULL, (uint16_t)i,
						atomic_load(&rig->guest[i].tables)};
	pt_owner_audit_begin(&audit, &rig->c.ctx, guests, OWN_GUESTS, &rig->owners.frames,
			     &rig->owners.extents);
	pt_section_begin(&rig->c.agent);
	while ((outcome = pt_owner_audit_step(&audit, 100000)) == PT_MORE)
		continue;
	pt_section_end(&rig->c.agent);
	ASSERT_OUTCOME(PT_OK, outcome);
}

/* Every descriptor as it stands in memory, and where its table is: read past lib, since this is
 * what such tests do most of the time. */
static inline uint64_t rig_tables_at(const struct pt_port *port, const struct pt_geometry *geo,
				     uint64_t pa, uint32_t entries, int level, uint64_t sum)
{
	const uint64_t *table = (const void *)(port->table_va + (pa - port->table_pa));

	for (uint32_t i = 0; i < entries; i++) {
		const uint64_t *t = &table[i];
		pt_pte e = *t;

		if (i + 8 <= entries && !(e | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7])) {
			i += 7; /* most say nothing */
			continue;
		}
		sum = (sum ^ e ^ (uint64_t)i << 52) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
		if (pt_pte_is_table(e, level))
			sum = rig_tables_at(port, geo, pt_pte_to_oa(geo, e).v,
					    pt_table_entries(geo), level + 1, sum);
	}
	return sum;
}

static inline uint64_t rig_tables(struct transfer_rig *rig, unsigned i)
{
	const struct pt_ctx *ctx = rig_ctx(rig, i);

	return rig_tables_at(&rig->c.port, &ctx->geo, ctx->root.v, ctx->geo.start_entries,
			     ctx->geo.start_level, 1);
}

/* What a refusal must leave as it was, beside what rig_same() sees. */
struct rig_state {
	uint64_t digest[RIG_GUESTS + 1], generation[RIG_GUESTS + 1], tables[RIG_GUESTS + 1];
	uint64_t store, used;
};

/* Without the tables themselves, so that it costs little. */
static inline void rig_counts_of(struct transfer_rig *rig, struct rig_state *s)
{
	memset(s, 0, sizeof(*s));
	while (pt_reclaim(&rig->c.agent))
		continue;
	for (unsigned i = 0; i <= RIG_GUESTS; i++) {
		s->generation[i] = atomic_load(&rig_ctx(rig, i)->generation);
		s->tables[i] = atomic_load(&rig_ctx(rig, i)->table_pages);
	}
	/* But for what the index keeps in stock for the next. */
	s->store = pt_store_pages(&rig->store) - rig->owners.extents.stock.count;
	s->used = atomic_load(&rig->c.tables.world.pool.used_bytes) -
		  (uint64_t)rig->owners.extents.stock.count * PT_SZ_4K;
}

static inline void rig_state_of(struct transfer_rig *rig, struct rig_state *s)
{
	rig_counts_of(rig, s);
	for (unsigned i = 0; i <= RIG_GUESTS; i++)
		s->digest[i] = rig_tables(rig, i);
}

static inline void rig_unchanged(struct transfer_rig *rig, const struct rig_state *before)
{
	struct rig_state now;

	rig_state_of(rig, &now);
	assert_memory_equal(before, &now, sizeof(now));
}

/* In both; the outcome of both. */
static inline enum pt_outcome rig_do(struct transfer_rig *rig, const struct rig_op *op,
				     uint32_t budget)
{
	enum pt_outcome expected = rig_model(&rig->model, op),
			outcome = rig_run(rig, op, budget, 0);

	if (outcome != expected)
		print_error("kind %u guest %u frame %llu gfn %llu n %llu\n", op->kind, op->guest,
			    (unsigned long long)op->frame, (unsigned long long)op->gfn,
			    (unsigned long long)op->n);
	ASSERT_OUTCOME(expected, outcome);
	return outcome;
}

/* The guest's end alone, whatever it was topped up with. */
static inline enum pt_outcome rig_finalize_alone(struct transfer_rig *rig, uint32_t guest,
						 uint32_t budget)
{
	struct pt_guest_final final;
	enum pt_outcome outcome;

	pt_guest_finalize_init(&final, &rig->owners, guest);
	do {
		pt_section_begin(&rig->c.agent);
		outcome = pt_guest_finalize_step(&final, &rig->c.agent, budget);
		pt_section_end(&rig->c.agent);
	} while (outcome == PT_MORE);
	return outcome;
}

/* Table memory, and then the guest. */
static inline enum pt_outcome rig_finalize(struct transfer_rig *rig, uint32_t guest,
					   uint32_t budget)
{
	struct rig_op op = {.kind = PT_RECLAIM_TABLES, .guest = guest};
	enum pt_outcome outcome = rig_run(rig, &op, budget, 0);

	return outcome == PT_OK ? rig_finalize_alone(rig, guest, budget) : outcome;
}

#endif
