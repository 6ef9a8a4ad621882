/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shadows (N1 to N4). What a leaf of a shadow was made from is announced by its fill; what
 * canonical leaves say stands in the copy of their tables. Guests' tables are not seen.
 */
#include "state.h"

#define RIGHTS	  PT_PROT_RWX
#define SW_LEVEL  (UINT64_C(3) << PT_PTE_SW_SHIFT)
#define ANY_LEVEL 7u

/* A leaf of a shadow. */
struct leaf {
	struct ck_node node; /* key: its slot */
	struct ck_ctx *ctx;
	uint64_t lo, hi, canonical;
	uint64_t begun; /* serial of its fill */
	uint32_t guest; /* rights, level and size of the guest's leaf: PT_EVENT_FILL_LEAF */
	pt_pte entry;
};

/* A guest's TLBI, at work on one shadow. */
struct tlbi {
	struct ck_node node; /* key: the operation's id */
	struct ck_ctx *ctx;
	uint64_t lo, hi, begun;
	unsigned level;
	bool all;
};

static unsigned guest_level(const struct leaf *l)
{
	return l->guest >> 8 & 0xff;
}

static uint64_t guest_size(const struct leaf *l)
{
	return UINT64_C(1) << (l->guest >> 16 & 63);
}

static uint32_t rights_of(const struct ck_ctx *ctx, pt_pte e)
{
	uint32_t prot = pt_leaf_prot(&ctx->facts.geo, e, ctx->facts.attrs) & RIGHTS;

	return e & PT_PTE_S2AP_W ? prot : prot & ~PT_PROT_W;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- N1 and N2: a leaf and the canonical ones ---- */

/* Do the canonical leaves grant what this one does, of the same memory? *size: of the first. */
static bool is_granted(struct pt_check *c, const struct leaf *l, uint64_t *size)
{
	const struct ck_ctx *ctx = l->ctx->canonical;
	uint64_t out = pt_pte_to_oa(&l->ctx->facts.geo, l->entry).v & ~(l->hi - l->lo), mask;

	for (uint64_t at = 0; at <= l->hi - l->lo; at += least(mask, l->hi - l->lo) + 1) {
		uint64_t from = l->canonical + at;
		pt_pte host = pt__ck_look_up(c, ctx, from, &mask);

		if (!at)
			*size = mask + 1;
		if (!pt_pte_valid(host) ||
		    (pt_pte_to_oa(&ctx->facts.geo, host).v & ~mask) + (from & mask) != out + at ||
		    rights_of(l->ctx, l->entry) & ~rights_of(ctx, host))
			return false;
	}
	return true;
}

static void judge_leaf(struct pt_check *c, const struct leaf *l)
{
	uint64_t bytes = l->hi - l->lo + 1, size = 0;

	pt__ck_judge(c, PT_RULE_N1,
		     !(rights_of(l->ctx, l->entry) & ~l->guest) && bytes <= guest_size(l) &&
			     (l->entry & SW_LEVEL) >> PT_PTE_SW_SHIFT == guest_level(l),
		     "a shadow's leaf grants more than the guest's, or does not say its level");
	/* What has changed since the fill looked is for who changed it to find. */
	if (l->ctx->canonical && l->ctx->canonical->changed < c->op->serial)
		pt__ck_judge(c, PT_RULE_N1, is_granted(c, l, &size) && bytes <= size,
			     "a shadow's leaf is not what the canonical one grants");
}

/* Is another operation at work on canonical leaves that this one was made from? */
static bool is_excused(const struct pt_check *c, const struct ck_op *op, const struct leaf *l)
{
	const struct ck_node *n = c->all[CK_OP];

	for (; n; n = n->after) {
		const struct ck_op *o = (const struct ck_op *)n;

		if (o != op && o->shook == l->ctx->canonical &&
		    pt__ck_meet(o->shook_lo, o->shook_hi, l->canonical,
				l->canonical + (l->hi - l->lo)))
			return true;
	}
	return false;
}

void pt__ck_shadow_end(struct pt_check *c, struct ck_op *op)
{
	if (!op->shook)
		return;
	for (struct ck_node *n = c->all[CK_SHADOW_LEAF]; n; n = n->after) {
		const struct leaf *l = (const struct leaf *)n;
		uint64_t size;

		if (l->ctx->canonical == op->shook &&
		    pt__ck_meet(op->shook_lo, op->shook_hi, l->canonical,
				l->canonical + (l->hi - l->lo)) &&
		    !is_excused(c, op, l))
			pt__ck_judge(c, PT_RULE_N2, is_granted(c, l, &size),
				     "a shadow has a leaf of what a canonical change took");
	}
	c->judged[PT_RULE_N2]++;
}

/* A canonical leaf goes, changes, or loses a right. */
static void shaken(struct pt_check *c, const struct ck_write *w)
{
	struct ck_op *op = c->op;

	w->ctx->changed = c->serial;
	if (!w->ctx->shadows || op == &c->none || !pt_pte_valid(w->old) || w->old == w->entry)
		return;
	if (op->shook != w->ctx) {
		op->shook = w->ctx;
		op->shook_lo = w->lo;
		op->shook_hi = w->hi;
	}
	if (w->lo < op->shook_lo)
		op->shook_lo = w->lo;
	if (w->hi > op->shook_hi)
		op->shook_hi = w->hi;
}

/* ---- leaves come and go ---- */

static void came(struct pt_check *c, const struct ck_write *w, struct leaf *l)
{
	const struct ck_fill *fill = c->self ? &c->self->fill : NULL;
	bool grows =
		!pt_pte_valid(w->old) || rights_of(w->ctx, w->entry) & ~rights_of(w->ctx, w->old);

	if (l && !grows) {
		l->entry = w->entry;
		return;
	}
	if (!pt__ck_judge(c, PT_RULE_N1, fill && fill->ctx == w->ctx && fill->lo == w->lo,
			  "a shadow's leaf of which no fill says what it was made from"))
		return;
	if (!l)
		l = pt__ck_add(c, CK_SHADOW_LEAF, w->t->node.key + w->index * sizeof(pt_pte),
			       sizeof(*l));
	if (!l)
		return;
	l->ctx = w->ctx;
	l->lo = w->lo;
	l->hi = w->hi;
	l->canonical = fill->canonical;
	l->begun = fill->begun;
	l->guest = fill->guest;
	l->entry = w->entry;
	judge_leaf(c, l);
}

/* N3: is it made from a guest leaf that the instruction names? */
static bool names(const struct tlbi *t, const struct leaf *l)
{
	uint64_t lo = l->lo & ~(guest_size(l) - 1);

	if (t->all)
		return true;
	return t->lo <= t->hi && pt__ck_meet(lo, lo + guest_size(l) - 1, t->lo, t->hi) &&
	       (t->level == ANY_LEVEL || t->level == guest_level(l));
}

static void went(struct pt_check *c, struct leaf *l)
{
	const struct tlbi *t = pt__ck_find(c, CK_GUEST_TLBI, c->op->node.key);

	if (t && t->ctx == l->ctx && c->op->kind == PT_OP_POINT)
		pt__ck_judge(c, PT_RULE_N3, names(t, l),
			     "a guest's TLBI removed a leaf that it does not name");
	pt__ck_del(c, &l->node, sizeof(*l));
}

void pt__ck_shadow_write(struct pt_check *c, const struct ck_write *w)
{
	struct leaf *l;

	if (!w->ctx->shadow) {
		shaken(c, w);
		return;
	}
	l = pt__ck_find(c, CK_SHADOW_LEAF, w->t->node.key + w->index * sizeof(pt_pte));
	if (pt_pte_valid(w->entry) && !pt__ck_is_table(w->t, w->entry))
		came(c, w, l);
	else if (l)
		went(c, l);
}

void pt__ck_shadow_table_goes(struct pt_check *c, const struct ck_table *t)
{
	for (uint32_t i = 0; i < t->entries; i++) {
		struct leaf *l = pt__ck_find(c, CK_SHADOW_LEAF, t->node.key + i * sizeof(pt_pte));

		if (l)
			went(c, l);
	}
}

/* ---- a guest's TLBI ---- */

static void tlbi_begins(struct pt_check *c, const struct pt_event *e, struct ck_ctx *ctx)
{
	struct tlbi *t = pt__ck_find(c, CK_GUEST_TLBI, e->at);

	if (!t)
		t = pt__ck_add(c, CK_GUEST_TLBI, e->at, sizeof(*t));
	if (!t)
		return;
	t->ctx = ctx;
	t->lo = e->lo;
	t->hi = e->hi;
	t->level = e->arg & 7;
	t->all = e->arg >> 3 & 1;
	t->begun = c->serial;
}

static void tlbi_done(struct pt_check *c, struct tlbi *t)
{
	for (struct ck_node *n = c->all[CK_SHADOW_LEAF]; n; n = n->after) {
		const struct leaf *l = (const struct leaf *)n;

		if (l->ctx == t->ctx)
			pt__ck_judge(c, PT_RULE_N3, l->begun > t->begun || !names(t, l),
				     "a guest's TLBI left a leaf that it names");
	}
	c->judged[PT_RULE_N3]++;
	pt__ck_del(c, &t->node, sizeof(*t));
}

/* ---- shadows ---- */

static bool has_leaves(const struct pt_check *c, const struct ck_ctx *ctx)
{
	const struct ck_node *n = c->all[CK_SHADOW_LEAF];

	while (n && ((const struct leaf *)n)->ctx != ctx)
		n = n->after;
	return n;
}

/* N4: is there a shadow that is found by the same key? */
static bool is_taken(const struct pt_check *c, const struct ck_ctx *ctx, const struct pt_event *e)
{
	for (const struct ck_node *n = c->all[CK_CTX]; n; n = n->after) {
		const struct ck_ctx *other = (const struct ck_ctx *)n;

		if (other != ctx && other->keyed == e->arg && other->canonical == ctx->canonical &&
		    other->key[0] == e->lo && other->key[1] == e->hi)
			return true;
	}
	return false;
}

static void key(struct pt_check *c, const struct pt_event *e, struct ck_ctx *ctx)
{
	ctx->keyed = (uint8_t)e->arg;
	if (!e->arg)
		return;
	pt__ck_judge(c, PT_RULE_N4, !is_taken(c, ctx, e), "a key finds two shadows");
	pt__ck_judge(c, PT_RULE_N4, !has_leaves(c, ctx), "a key finds a shadow with old leaves");
	ctx->key[0] = e->lo;
	ctx->key[1] = e->hi;
}

void pt__ck_shadow_dying(struct pt_check *c, const struct ck_ctx *ctx)
{
	if (ctx->shadow)
		pt__ck_judge(c, PT_RULE_N4, !ctx->keyed && !has_leaves(c, ctx),
			     "a shadow's tables go while it is found, or has leaves");
}

static void drop_leaf(struct pt_check *c, struct ck_node *n, uint64_t ctx)
{
	if (((struct leaf *)n)->ctx == (struct ck_ctx *)(uintptr_t)ctx)
		pt__ck_del(c, n, sizeof(struct leaf));
}

static void drop_tlbi(struct pt_check *c, struct ck_node *n, uint64_t ctx)
{
	if (((struct tlbi *)n)->ctx == (struct ck_ctx *)(uintptr_t)ctx)
		pt__ck_del(c, n, sizeof(struct tlbi));
}

static void unshake(struct pt_check *c, struct ck_node *n, uint64_t ctx)
{
	struct ck_op *op = (struct ck_op *)n;

	(void)c;
	if (op->shook == (struct ck_ctx *)(uintptr_t)ctx)
		op->shook = NULL;
}

static void orphan(struct pt_check *c, struct ck_node *n, uint64_t ctx)
{
	struct ck_ctx *shadow = (struct ck_ctx *)n;

	(void)c;
	if (shadow->canonical == (struct ck_ctx *)(uintptr_t)ctx)
		shadow->canonical = NULL;
}

static void forgive(struct pt_check *c, struct ck_node *op, uint64_t ctx)
{
	pt__ck_drop_apart(c, (struct ck_op *)op, (const struct ck_ctx *)(uintptr_t)ctx);
}

void pt__ck_drop_shadow(struct pt_check *c, struct ck_ctx *ctx)
{
	uint64_t id = (uintptr_t)ctx;

	if (ctx->shadow) {
		pt__ck_each(c, CK_SHADOW_LEAF, drop_leaf, id);
		pt__ck_each(c, CK_GUEST_TLBI, drop_tlbi, id);
		pt__ck_drop_asides(c, ctx);
		pt__ck_each(c, CK_OP, forgive, id);
		if (ctx->canonical)
			ctx->canonical->shadows--;
	} else if (ctx->shadows) {
		pt__ck_each(c, CK_OP, unshake, id);
		pt__ck_each(c, CK_CTX, orphan, id);
	}
	for (unsigned i = 0; i < c->agents; i++)
		if (c->agent[i].fill.ctx == ctx)
			c->agent[i].fill = (struct ck_fill){0};
}

static void shadow(struct pt_check *c, const struct pt_event *e, struct ck_ctx *ctx)
{
	ctx->shadow = true;
	ctx->canonical = pt__ck_find(c, CK_CTX, e->at);
	if (ctx->canonical)
		ctx->canonical->shadows++;
}

void pt__ck_shadow_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct tlbi *t;

	if (!ctx)
		return;
	switch (e->kind) {
	case PT_EVENT_SHADOW: shadow(c, e, ctx); break;
	case PT_EVENT_SHADOW_KEY: key(c, e, ctx); break;
	case PT_EVENT_FILL:
		if (c->self)
			c->self->fill = (struct ck_fill){.begun = c->serial};
		break;
	case PT_EVENT_FILL_LEAF:
		if (!c->self)
			break;
		c->self->fill.ctx = ctx;
		c->self->fill.lo = e->lo;
		c->self->fill.canonical = e->hi;
		c->self->fill.guest = e->arg;
		break;
	case PT_EVENT_GUEST_TLBI: tlbi_begins(c, e, ctx); break;
	default:
		t = pt__ck_find(c, CK_GUEST_TLBI, e->at);
		if (t && t->ctx == ctx)
			tlbi_done(c, t);
	}
}
