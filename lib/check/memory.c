/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a table page: pool, private, linked, unlinked, flushed, grace period, pool (S1, A1,
 * A2, A4, W2, L3). */
#include "state.h"

static struct ck_memory *memory_of(struct pt_check *c, uint64_t at)
{
	for (unsigned i = 0; i < c->memories; i++)
		if (at - c->memory[i].base < c->memory[i].bytes)
			return &c->memory[i];
	return NULL;
}

bool pt__ck_in_memory(const struct pt_check *c, uint64_t at)
{
	for (unsigned i = 0; i < c->memories; i++)
		if (at - c->memory[i].base < c->memory[i].bytes)
			return true;
	return false;
}

bool pt__ck_meets_pool(struct pt_check *c, const struct ck_ctx *ctx, uint64_t pa, uint64_t size)
{
	const struct ck_memory *own = memory_of(c, ctx->facts.root_va);
	uint64_t at = pa - ctx->facts.root + ctx->facts.root_va;

	for (unsigned i = 0; own && i < c->memories; i++)
		if (c->memory[i].pool == own->pool &&
		    pt__ck_meet(at, at + size - 1, c->memory[i].base,
				c->memory[i].base + c->memory[i].bytes - 1))
			return true;
	return false;
}

static struct ck_table **recent(struct pt_check *c, uint64_t page)
{
	return &c->recent[page & (CK_RECENT - 1)];
}

/* What is not among the recent ones. Pieces are aligned to their size in their memory. */
struct ck_table *pt__ck_search(struct pt_check *c, uint64_t slot)
{
	const struct ck_memory *m = memory_of(c, slot);

	for (uint32_t shifts = m ? c->shifts : 0; shifts; shifts &= shifts - 1) {
		uint64_t size = UINT64_C(1) << __builtin_ctz(shifts);
		uint64_t base = m->base + ((slot - m->base) & ~(size - 1));
		struct ck_table *t = pt__ck_find(c, CK_TABLE, base);

		if (t && slot - base < t->bytes) {
			*recent(c, slot >> 12) = t;
			return t;
		}
	}
	return NULL;
}

static void forget_recent(struct pt_check *c, const struct ck_table *t)
{
	uint64_t last = (t->node.key + t->bytes - 1) >> 12;

	for (uint64_t page = t->node.key >> 12; page <= last; page++)
		if (*recent(c, page) == t)
			*recent(c, page) = NULL;
}

static void drop(struct pt_check *c, struct ck_table *t)
{
	unsigned shift = pt__ck_log2(t->bytes);
	struct ck_memory *m = memory_of(c, t->node.key);

	if (m)
		m->out -= t->bytes;
	if (--c->of_shift[shift] == 0)
		c->shifts &= ~(1u << shift);
	forget_recent(c, t);
	pt__ck_put(c, t->value, t->bytes);
	pt__ck_put(c, t->cached, t->bytes / 64);
	pt__ck_del(c, &t->node, sizeof(*t));
}

static struct ck_table *track(struct pt_check *c, uint64_t at, uint64_t bytes)
{
	struct ck_table *t = pt__ck_add(c, CK_TABLE, at, sizeof(*t));
	unsigned shift = pt__ck_log2(bytes);

	if (!t)
		return NULL;
	t->bytes = bytes;
	t->entries = (uint32_t)(bytes / sizeof(pt_pte));
	t->state = CK_PRIVATE;
	t->op = c->op->serial;
	c->of_shift[shift]++;
	c->shifts |= 1u << shift;
	memory_of(c, at)->out += bytes;
	return t;
}

/* A page that nobody has written since it was zero needs no copy. */
bool pt__ck_copy(struct pt_check *c, struct ck_table *t)
{
	if (t->value)
		return true;
	t->value = pt__ck_get(c, t->bytes, true);
	t->cached = pt__ck_get(c, t->bytes / 64, true);
	if (t->value && t->cached)
		return true;
	drop(c, t);
	return false;
}

static void drop_in(struct pt_check *c, struct ck_node *n, uint64_t base)
{
	struct ck_table *t = (struct ck_table *)n;

	if (t->root && t->ctx && t->ctx->state != CK_CTX_GONE && memory_of(c, n->key) &&
	    memory_of(c, n->key)->base == base)
		pt__ck_drop_ctx(c, t->ctx);
}

static void drop_pages(struct pt_check *c, struct ck_node *n, uint64_t base)
{
	struct ck_memory *m = memory_of(c, n->key);

	if (m && m->base == base)
		drop(c, (struct ck_table *)n);
}

static void forget(struct pt_check *c, uint64_t base, uint64_t bytes)
{
	for (unsigned i = 0; i < c->memories;) {
		struct ck_memory *m = &c->memory[i];

		if (base >= m->base + m->bytes || m->base >= base + bytes) {
			i++;
			continue;
		}
		pt__ck_each(c, CK_TABLE, drop_in, m->base);
		pt__ck_each(c, CK_TABLE, drop_pages, m->base);
		*m = c->memory[--c->memories];
	}
}

static void memory(struct pt_check *c, const struct pt_event *e)
{
	struct ck_memory *m = memory_of(c, e->at);

	if (m && m->base == e->at && m->bytes == e->lo && !m->pool) {
		m->pool = e->ctx;
		return;
	}
	forget(c, e->at, e->lo);
	if (c->memories == CK_MEMORIES)
		c->untracked++;
	else
		c->memory[c->memories++] = (struct ck_memory){e->at, e->lo, e->ctx, 0};
}

static void page_get(struct pt_check *c, const struct pt_event *e)
{
	struct ck_table *t = pt__ck_find(c, CK_TABLE, e->at);

	pt__ck_judge(c, PT_RULE_A2, e->arg, "a page out of the pool is not zero");
	pt__ck_judge(c, PT_RULE_A4, !c->op->committed, "a page was taken after the commit point");
	if (!pt__ck_judge(c, PT_RULE_A1, !t, "the pool handed out a page that is in use"))
		drop(c, t);
	if (!memory_of(c, e->at))
		return;
	t = track(c, e->at, e->lo);
	if (t && c->op->serial)
		c->op->pages++;
}

/*
 * May an unlinked page be used for something else: its translations are flushed, and whoever may
 * have read it before it was unlinked has ended its section?
 */
static void judge_safe(struct pt_check *c, const struct ck_table *t)
{
	const struct ck_memory *m = memory_of(c, t->node.key);
	uint64_t last = t->ipa + t->entries * pt__ck_span(t) - 1, agents = UINT64_MAX;

	pt__ck_judge(c, PT_RULE_A1, !pt__ck_owed(t->ctx, t->ipa, last, t->unlinked),
		     "a page goes back before its translations are flushed");
	if (t->root && !t->ctx->facts.el2) {
		struct ck_machine *machine = pt__ck_machine(c, t->ctx->facts.machine);

		agents = machine ? machine->agents : 0;
	}
	pt__ck_judge(c, PT_RULE_A1, pt__ck_sections_over(c, m->pool, agents, t->unlinked),
		     "a page goes back before its grace period is over");
}

static void page_put(struct pt_check *c, const struct pt_event *e)
{
	struct ck_table *t = pt__ck_find(c, CK_TABLE, e->at);

	pt__ck_judge(c, PT_RULE_A2, e->arg, "a page goes back to the pool and is not zero");
	if (!t) {
		if (memory_of(c, e->at) && !c->untracked)
			pt__ck_judge(c, PT_RULE_A1, false, "a page goes back that was not out");
		return;
	}
	if (pt__ck_judge(c, PT_RULE_A1, t->state != CK_LIVE, "a page goes back out of a tree") &&
	    t->state == CK_UNLINKED)
		judge_safe(c, t);
	if (t->state == CK_PRIVATE && t->op) {
		struct ck_op *op = pt__ck_op_by_serial(c, t->op);

		if (op)
			op->pages--;
	}
	drop(c, t);
}

/* It may outlive the operation that has taken it. */
static void page_book(struct pt_check *c, const struct pt_event *e)
{
	struct ck_table *t = pt__ck_find(c, CK_TABLE, e->at);

	if (!t || t->state != CK_PRIVATE || !t->op)
		return;
	if (t->op == c->op->serial)
		c->op->pages--;
	t->op = 0;
}

static void zero(struct pt_check *c, const struct pt_event *e)
{
	struct ck_table *t = pt__ck_table_of(c, e->at);
	uint64_t first = t ? (e->at - t->node.key) / sizeof(pt_pte) : 0;

	if (!t)
		return;
	pt__ck_judge(c, PT_RULE_W1, t->state != CK_LIVE, "a live table is zeroed");
	if (t->state == CK_UNLINKED) {
		judge_safe(c, t);
		t->state = CK_PRIVATE;
		t->op = 0;
	}
	t->filled = c->serial;
	for (uint64_t i = 0; t->value && i < e->lo / sizeof(pt_pte) && first + i < t->entries; i++)
		t->value[first + i] = 0;
}

void pt__ck_page_event(struct pt_check *c, const struct pt_event *e)
{
	switch (e->kind) {
	case PT_EVENT_MEMORY: memory(c, e); break;
	case PT_EVENT_MEMORY_GONE: forget(c, e->at, e->lo); break;
	case PT_EVENT_PAGE_GET: page_get(c, e); break;
	case PT_EVENT_PAGE_PUT: page_put(c, e); break;
	case PT_EVENT_PAGE_BOOK: page_book(c, e); break;
	case PT_EVENT_ZERO: zero(c, e); break;
	default: break;
	}
}
