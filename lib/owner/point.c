/* SPDX-License-Identifier: BSD-2-Clause */
/* A transition of one frame, all in one section. */
#include "transition.h"

#include "../txn/compare.h"
#include "../txn/page_leg.h"

/*
 * It is the transition that transfer.c would run, with the same claims, rows, books and order
 * (docs/ownership.md, "The order of events"), where that waits for nobody: no claim is in the way,
 * no other agent is in a section, no table is missing and nothing has to be split. Whatever is not
 * so, or not right, is seen before anything has changed, and is transfer.c's to deal with, or to
 * refuse: nothing here says what is wrong.
 *
 * What will be read lies far apart, and each would be waited for by itself: so it is all found
 * first, and is on its way from memory while the claims are taken. Under them it is read.
 *
 * Claims are needed. Exchanges of single entries beside everything else, as in lib/txn/point.c,
 * would not do: a map asks whose the frame is and then writes (lib/txn/policy.c), in a section that
 * a transition has to wait for, or keep off by a claim. See docs/concurrency.md.
 */
struct one {
	struct pt_transfer *t;
	const struct pt__row *row;
	/* The guest's ctx: NULL: none takes part. slot: NULL: the entry stays. */
	struct pt__single host, guest;
	struct pt__book book;
};

/* Is a page of the context a frame, and does nobody have a claim there? One that comes later waits
 * for this section: the tables that are found stay linked. */
static bool suits(const struct pt_machine_owners *o, const struct pt_ctx *ctx)
{
	return ctx->geo.granule_shift == o->frames.frame_shift && !ctx->wide &&
	       !atomic_load_explicit(&ctx->claims, memory_order_acquire);
}

/* By the request alone. Lendings, guests' table pages, and frames whose guest the index names, have
 * more books. */
static bool fits(const struct pt_transfer *t)
{
	const struct pt_transfer_args *a = &t->args;
	const struct pt_machine_owners *o = a->owners;

	return a->size == pt__frame_bytes(o) && a->kind < PT_RECLAIM_DYING && !a->range &&
	       !((a->pa | a->ipa.v) & (a->size - 1)) && t->row->by != PT__BY_OWNER && !t->lend &&
	       !a->validate_only && !a->expected_generation && suits(o, o->host);
}

/*
 * The guest that is named. It is not counted as one that uses it: the end of a guest waits for
 * sections that began before it died (guest.c).
 */
static bool meet_guest(struct one *p)
{
	const struct pt_transfer_args *a = &p->t->args;
	const struct pt_machine_owners *o = a->owners;
	const struct pt_guest *g;

	if (a->guest >= o->guests)
		return false;
	g = &o->guest[a->guest];
	if (atomic_load_explicit(&g->life, memory_order_acquire) != PT_GUEST_LIVE ||
	    !(p->row->life >> PT_GUEST_LIVE & 1) ||
	    (p->row->guests != PT__ANY_GUEST &&
	     g->protected != (p->row->guests == PT__PROTECTED_GUEST)))
		return false;
	p->guest.ctx = g->ctx;
	p->guest.ipa = a->ipa.v;
	return suits(o, g->ctx) && !(a->ipa.v >> g->ctx->geo.ipa_bits);
}

/* The entry of the last level, on its way from memory; NULL: its table is missing. */
static pt_pte *slot_of(const struct pt__single *side)
{
	const struct pt_ctx *ctx = side->ctx;
	pt_pte *slot = PT__BY_GRANULE(&ctx->geo, pt__last_slot(ctx, side->ipa, 12, false),
				      pt__last_slot(ctx, side->ipa, 14, false),
				      pt__last_slot(ctx, side->ipa, 16, false));

	if (slot)
		pt_port_prefetch(slot);
	return slot;
}

static uint64_t frame_of(const struct pt__single *guest)
{
	return pt_pte_to_oa(&guest->ctx->geo, guest->old).v;
}

/* Where a guest's address names the frame, that; else it is memory, and the guest can reach it. */
static bool find_frame(struct one *p)
{
	const struct pt_transfer_args *a = &p->t->args;

	p->book.pa = a->pa;
	if (p->row->by == PT__BY_GUEST) {
		p->guest.slot = slot_of(&p->guest);
		if (!p->guest.slot)
			return false;
		p->guest.old = pt_pte_load(p->guest.slot);
		p->book.pa = frame_of(&p->guest);
		return pt_pte_valid(p->guest.old);
	}
	return pt__in_region(a->owners, a->pa, a->size) &&
	       !(a->pa >> a->owners->host->geo.ipa_bits) &&
	       (!p->guest.ctx || !(a->pa >> p->guest.ctx->geo.pa_bits));
}

/* First what is waited for longest: of the index' leaf first one thing is read and then another. */
static bool find(struct one *p)
{
	struct pt_machine_owners *o = p->t->args.owners;

	if ((p->row->by != PT__BY_FRAME && !meet_guest(p)) || !find_frame(p))
		return false;
	if (!p->row->pins_by) /* else the index says the same afterwards */
		pt__extents_look(&o->extents, p->book.pa >> PT_OWNER_SHIFT, &p->book.cursor);
	if (p->row->by == PT__BY_BOTH) {
		p->guest.slot = slot_of(&p->guest);
		if (!p->guest.slot)
			return false;
	}
	p->host.ctx = o->host;
	p->host.ipa = p->book.pa;
	if (p->row->host_entry != PT__ENTRY_STAYS) {
		p->host.slot = slot_of(&p->host);
		if (!p->host.slot)
			return false;
	}
	return pt__record_find(&o->frames, p->book.pa, &p->book.record);
}

/* For who is told, and who reads what it came to: the one run, and its parties. */
static void set_up(struct one *p)
{
	struct pt_transfer *t = p->t;
	struct pt_parties *parties = &t->parties;
	uint64_t size = t->args.size;

	t->list[0] =
		(struct pt_transfer_run){p->book.pa, p->guest.ipa, size,
					 p->guest.ctx ? t->args.guest : PT_NO_GUEST, t->args.prot};
	t->runs = 1;
	t->run_of[0] = 0;
	t->turn = 0;
	parties->args.hooks = NULL;
	parties->legs = 1 + (p->guest.ctx != NULL);
	for (uint32_t i = 0; i < parties->legs; i++) {
		const struct pt__single *side = i ? &p->guest : &p->host;

		t->item[i].ctx = side->ctx;
		parties->leg[i].item = &t->item[i];
		parties->leg[i].claim.lo = side->ipa;
		parties->leg[i].claim.hi = side->ipa + size - 1;
	}
}

/* The states that the guest's entry has to say. */
static bool judge_guest(const struct one *p)
{
	pt_pte e = p->guest.old;
	enum pt_page_state is = pt_page_state_of_leaf(e);

	if (p->row->page == PT__PAGE_VACANT)
		return !e;
	if (!pt_pte_valid(e) || frame_of(&p->guest) != p->book.pa)
		return false;
	switch (p->row->page) {
	case PT__PAGE_OWNED: return is == PT_PAGE_OWNED;
	case PT__PAGE_SHARED: return is == PT_PAGE_SHARED_OWNED;
	case PT__PAGE_BORROWED: return is == PT_PAGE_SHARED_BORROWED;
	default: return false;
	}
}

static pt_pte leaf(const struct pt_ctx *ctx, uint64_t pa, uint32_t prot)
{
	return pt_leaf_attrs(&ctx->geo, prot, ctx->attrs) | pa | PT_PTE_TYPE;
}

/* DONATION cannot fail to be encoded: the address is one of a guest's. */
static pt_pte donated(const struct one *p)
{
	struct pt_note note = {.type = PT_NOTE_DONATION, .owner.kind = PT_OWNER_HYP};
	pt_pte entry = 0;

	if (p->row->hyp_to != PT_PAGE_OWNED) {
		note.owner.kind = PT_OWNER_GUEST;
		note.owner.handle = (uint16_t)p->t->args.guest;
		note.owner.gfn = p->guest.ipa >> PT_OWNER_SHIFT;
	}
	pt_note_encode(&note, &entry);
	return entry;
}

/* What becomes of the entries; false: that is not for here. */
static bool plan_host(struct one *p)
{
	struct pt__single *s = &p->host;

	switch (p->row->host_entry) {
	case PT__ENTRY_EMPTY: s->kind = PT_ITEM_UNMAP; return true;
	case PT__ENTRY_NOTED:
		s->kind = PT_ITEM_ANNOTATE;
		s->new = donated(p);
		return true;
	case PT__ENTRY_MAPPED:
		s->kind = PT_ITEM_MAP;
		s->prot = PT_PROT_RWX;
		s->new = leaf(s->ctx, p->book.pa, s->prot);
		return !pt_pte_valid(s->old);
	default: return true;
	}
}

static bool plan_guest(struct one *p)
{
	uint32_t state = pt_page_state_prot((enum pt_page_state)p->row->page_to);
	const struct pt_transfer_args *a = &p->t->args;
	struct pt__single *s = &p->guest;

	switch (p->row->guest_entry) {
	case PT__ENTRY_EMPTY: s->kind = PT_ITEM_UNMAP; return true;
	case PT__ENTRY_MAPPED:
		s->kind = PT_ITEM_MAP;
		s->prot = PT_PROT_RWX | state;
		if (a->kind == PT_SHARE_GUEST) {
			s->prot = a->prot | state;
			if (pt_prot_check(a->prot, s->ctx->attrs) != PT_OK)
				return false;
		}
		s->new = leaf(s->ctx, p->book.pa, s->prot);
		return true;
	case PT__ENTRY_MARKED:
		s->kind = PT_ITEM_SET_SW;
		s->new = pt__next(s->kind, s->old, pt_sw_to_pte(state), pt_sw_to_pte(PT_OWNER_SW));
		return true;
	default: return false;
	}
}

static bool takes(const struct pt__single *s)
{
	return pt_pte_valid(s->old) && !pt_pte_valid(s->new);
}

/* Under the claims. Where a leaf goes, some access of another agent's in flight may use it. */
static bool judge(struct one *p, const struct pt_agent *agent)
{
	struct pt__book *b = &p->book;

	if (!p->row->pins_by)
		pt__extents_fetch(&b->cursor, b->pa >> PT_OWNER_SHIFT);
	if (p->host.slot)
		p->host.old = pt_pte_load(p->host.slot);
	if (p->guest.slot)
		p->guest.old = pt_pte_load(p->guest.slot);
	b->record.was = pt__get(b->record.word);
	if (!pt__has_plain_pages(p->host.ctx) ||
	    (p->guest.ctx && !pt__has_plain_pages(p->guest.ctx)) ||
	    !pt__judge_one(p->t, b->pa, pt_frame_record(b->record.was)) || !plan_host(p) ||
	    (p->guest.slot && (!judge_guest(p) || !plan_guest(p))))
		return false;
	return !(takes(&p->host) || takes(&p->guest)) ||
	       !pt_item_needs_grace(p->host.ctx->machine, agent);
}

static void write_side(struct one *p, const struct pt__single *side)
{
	if (side->slot)
		pt__single_write(side, &p->t->effects);
}

/* From here on it completes: what gives, the books, what receives. hyp's side is in the books. */
static void carry_out(struct one *p, struct pt_agent *agent)
{
	const struct pt__single *gives = &p->host, *receives = &p->guest;

	if (p->row->guest_gives || p->row->books_before) {
		gives = &p->guest;
		receives = &p->host;
	}
	write_side(p, gives);
	pt__book_keep(p->t, agent, &p->book);
	pt__tell(p->t, true);
	write_side(p, receives);
}

/* Under the claims. */
static bool run(struct one *p, struct pt_agent *agent)
{
	if (!judge(p, agent))
		return false;
	pt__tell(p->t, false);
	if (!pt__book_reserve(p->t, agent, &p->book))
		return false;
	pt__at_once_commit(&p->t->parties);
	carry_out(p, agent);
	return true;
}

bool pt__transfer_page(struct pt_transfer *t, struct pt_agent *agent)
{
	struct one p;
	bool done;

	p.t = t; /* not as a whole: to clear it takes as long as fifty instructions */
	p.row = t->row;
	p.host.slot = p.guest.slot = NULL;
	p.guest.ctx = NULL;
	p.guest.ipa = 0;
	p.host.old = p.host.new = p.guest.old = p.guest.new = 0;
	if (!fits(t) || !find(&p))
		return false;
	set_up(&p);
	if (!pt__at_once_begin(&t->parties, agent))
		return false;
	done = run(&p, agent);
	pt__at_once_end(&t->parties, done);
	if (done)
		t->done = t->span = t->size;
	return done;
}
