/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs: D1 to D3. What is to be marked is judged when its operation ends. */
#include "state.h"

static unsigned granule(const struct ck_ctx *ctx)
{
	return ctx->facts.geo.granule_shift;
}

static uint64_t bytes_of(const struct ck_ctx *ctx, uint64_t lo, uint64_t hi)
{
	return ((hi - lo) >> granule(ctx)) / 8 + 1;
}

static bool marked(const struct ck_log *log, uint64_t ipa)
{
	uint64_t at = (ipa - log->lo) >> granule(log->ctx);

	return log->marked[at / 8] >> at % 8 & 1;
}

static void set(const struct ck_log *log, uint64_t lo, uint64_t hi, bool value)
{
	uint64_t at, last;

	if (!pt__ck_meet(lo, hi, log->lo, log->hi))
		return;
	at = ((lo > log->lo ? lo : log->lo) - log->lo) >> granule(log->ctx);
	last = ((hi < log->hi ? hi : log->hi) - log->lo) >> granule(log->ctx);
	for (; at <= last; at++) {
		if (value)
			log->marked[at / 8] |= (uint8_t)(1u << at % 8);
		else
			log->marked[at / 8] &= (uint8_t) ~(1u << at % 8);
	}
}

/* A write goes through without anybody's notice. */
static bool silent(const struct ck_ctx *ctx, pt_pte e)
{
	bool dbm = ctx->facts.vtcr_flags & PT_VTCR_HD && e & PT_PTE_DBM;

	return pt_pte_valid(e) && e & PT_PTE_S2AP_W && !dbm;
}

/* The hardware has noted a write in the entry. */
static bool dirty(const struct ck_ctx *ctx, pt_pte e)
{
	return pt_pte_valid(e) && ctx->facts.vtcr_flags & PT_VTCR_HD && e & PT_PTE_DBM &&
	       e & PT_PTE_S2AP_W;
}

/* Is each page of the range that `bad` says of marked? */
static bool all_marked(struct pt_check *c, const struct ck_log *log, uint64_t lo, uint64_t hi,
		       bool (*bad)(const struct ck_ctx *, pt_pte))
{
	uint64_t size = UINT64_C(1) << granule(log->ctx), last;

	for (uint64_t ipa = lo; ipa <= hi && ipa >= lo; ipa = last + 1) {
		pt_pte e = pt__ck_look_up(c, log->ctx, ipa, &last);

		last |= ipa;
		if (last > hi)
			last = hi;
		for (uint64_t page = ipa; bad(log->ctx, e) && page <= last; page += size)
			if (!marked(log, page))
				return false;
		if (last == UINT64_MAX)
			break;
	}
	return true;
}

static void remember(struct pt_check *c, struct ck_mark **list, struct ck_log *log, uint64_t lo,
		     uint64_t hi, enum pt_rule why)
{
	struct ck_mark *m = *list;

	lo = lo > log->lo ? lo : log->lo;
	hi = hi < log->hi ? hi : log->hi;
	if (m && m->log == log && m->why == why && m->hi + 1 == lo) {
		m->hi = hi;
		return;
	}
	m = pt__ck_get(c, sizeof(*m), false);
	if (!m)
		return;
	*m = (struct ck_mark){.next = *list, .log = log, .lo = lo, .hi = hi, .why = why};
	*list = m;
}

void pt__ck_drop_marks(struct pt_check *c, struct ck_mark **list)
{
	while (*list) {
		struct ck_mark *m = *list;

		*list = m->next;
		pt__ck_put(c, m, sizeof(*m));
	}
}

/* What was to be marked is, or a part of it at one end. */
static void note_marked(struct pt_check *c, struct ck_mark **list, const struct ck_log *log,
			uint64_t lo, uint64_t hi)
{
	while (*list) {
		struct ck_mark *m = *list;

		if (m->log == log && lo <= m->lo && m->hi <= hi) {
			c->judged[m->why]++;
			*list = m->next;
			pt__ck_put(c, m, sizeof(*m));
			continue;
		}
		if (m->log == log && lo <= m->lo && m->lo <= hi)
			m->lo = hi + 1;
		else if (m->log == log && lo <= m->hi && m->hi <= hi)
			m->hi = lo - 1;
		list = &m->next;
	}
}

/* Is all of a range that was dirty marked, or dirty still? */
static bool kept(struct pt_check *c, const struct ck_mark *m)
{
	uint64_t size = UINT64_C(1) << granule(m->log->ctx), last;

	for (uint64_t ipa = m->lo; ipa <= m->hi; ipa += size)
		if (!marked(m->log, ipa) &&
		    !dirty(m->log->ctx, pt__ck_look_up(c, m->log->ctx, ipa, &last)))
			return false;
	return true;
}

void pt__ck_dirty_write(struct pt_check *c, const struct ck_write *w)
{
	if (w->how == PT_EVENT_HW_CAS || pt__ck_is_table(w->t, w->old))
		return;
	for (struct ck_log *log = w->ctx->logs; log; log = log->next) {
		if (!pt__ck_meet(log->lo, log->hi, w->lo, w->hi))
			continue;
		if (silent(w->ctx, w->entry) && !silent(w->ctx, w->old))
			remember(c, &c->op->marks, log, w->lo, w->hi, PT_RULE_D1);
		if (dirty(w->ctx, w->old) && !dirty(w->ctx, w->entry) &&
		    log->starter != c->op->serial)
			remember(c, &c->op->marks, log, w->lo, w->hi, PT_RULE_D3);
	}
}

/* D2, while the claim is held still: below `below`. */
void pt__ck_dirty_settled(struct pt_check *c, struct ck_op *op, uint64_t below)
{
	for (struct ck_mark *m = op->cleared; m; m = m->next) {
		uint64_t hi = m->hi < below ? m->hi : below - 1;

		if (m->lo > hi)
			continue;
		pt__ck_judge(c, m->why, all_marked(c, m->log, m->lo, hi, silent),
			     m->why == PT_RULE_D1
				     ? "a log began while a page is writable unmarked"
				     : "a page whose mark was taken is still writable");
		m->lo = hi + 1;
	}
	if (below == UINT64_MAX)
		pt__ck_drop_marks(c, &op->cleared);
}

void pt__ck_dirty_end(struct pt_check *c, struct ck_op *op)
{
	pt__ck_dirty_settled(c, op, UINT64_MAX);
	for (const struct ck_mark *m = op->marks; m; m = m->next) {
		if (m->why == PT_RULE_D1)
			pt__ck_judge(c, PT_RULE_D1, all_marked(c, m->log, m->lo, m->hi, silent),
				     "a page became writable and was not marked");
		else
			pt__ck_judge(c, PT_RULE_D3, kept(c, m), "a dirty page went unmarked");
	}
}

static void drop_log(struct pt_check *c, struct ck_log *log)
{
	struct ck_log **at = &log->ctx->logs;

	while (*at && *at != log)
		at = &(*at)->next;
	if (*at)
		*at = log->next;
	pt__ck_put(c, log->marked, log->bytes);
	pt__ck_del(c, &log->node, sizeof(*log));
}

void pt__ck_drop_logs(struct pt_check *c, struct ck_ctx *ctx)
{
	while (ctx->logs)
		drop_log(c, ctx->logs);
}

static void start(struct pt_check *c, const struct pt_event *e)
{
	struct ck_ctx *ctx = pt__ck_find(c, CK_CTX, e->ctx);
	struct ck_log *log = pt__ck_find(c, CK_LOG, e->at);

	if (log)
		drop_log(c, log);
	log = ctx ? pt__ck_add(c, CK_LOG, e->at, sizeof(*log)) : NULL;
	if (!log)
		return;
	log->bytes = bytes_of(ctx, e->lo, e->hi);
	log->marked = pt__ck_get(c, log->bytes, true);
	if (!log->marked) {
		pt__ck_del(c, &log->node, sizeof(*log));
		return;
	}
	log->ctx = ctx;
	log->lo = e->lo;
	log->hi = e->hi;
	log->next = ctx->logs;
	ctx->logs = log;
	log->starter = c->op->serial;
	remember(c, &c->op->cleared, log, log->lo, log->hi, PT_RULE_D1);
}

/* Others may still hold ranges of it that they are to mark: theirs end with it. */
static void forget_marks(struct pt_check *c, struct ck_node *n, uint64_t log)
{
	struct ck_op *op = (struct ck_op *)n;

	for (struct ck_mark **at = &op->marks; *at;) {
		struct ck_mark *m = *at;

		if ((uintptr_t)m->log == log) {
			*at = m->next;
			pt__ck_put(c, m, sizeof(*m));
		} else {
			at = &m->next;
		}
	}
}

void pt__ck_dirty_event(struct pt_check *c, const struct pt_event *e)
{
	struct ck_log *log = pt__ck_find(c, CK_LOG, e->at);

	if (e->kind == PT_EVENT_DIRTY_START)
		start(c, e);
	if (!log)
		return;
	switch (e->kind) {

	case PT_EVENT_DIRTY_MARK:
		set(log, e->lo, e->hi, true);
		note_marked(c, &c->op->marks, log, e->lo, e->hi);
		break;
	case PT_EVENT_DIRTY_CLEAR:
		set(log, e->lo, e->hi, false);
		remember(c, &c->op->cleared, log, e->lo, e->hi, PT_RULE_D2);
		break;
	case PT_EVENT_DIRTY_STOP:
		pt__ck_each(c, CK_OP, forget_marks, (uintptr_t)log);
		pt__ck_drop_marks(c, &c->none.marks);
		pt__ck_drop_marks(c, &c->op->cleared);
		drop_log(c, log);
		break;
	default: break;
	}
}
