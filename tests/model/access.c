/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses of vCPUs and faults handed to the handler, judged by the model. */
#include "play.h"

#define PAGES_NEAR 3

/* What an access to an address may see: what the model says, and what was before for those under
 * way there. */
struct sights {
	struct cell cell[1 + SESSIONS_MOST];
	unsigned count;
};

static void sights_of(const struct play *p, unsigned ctx, uint64_t ipa, struct sights *see)
{
	uint64_t last;

	see->count = 1;
	see->cell[0] = space_get(&p->ctx[ctx].model.space, ipa, &last);
	for (unsigned i = 0; i < p->sessions; i++)
		if (is_under_way(&p->session[i], ctx, ipa))
			see->cell[see->count++] = space_get(&p->session[i].before, ipa, &last);
}

static bool may_see(const struct sights *see, const struct pt_host_access *a)
{
	for (unsigned i = 0; i < see->count; i++) {
		const struct cell *c = &see->cell[i];

		/* Rights that were added are not flushed from the TLBs of others. */
		if (c->what == LEAF && c->at == a->pa.v && c->memtype == a->prot >> 8 &&
		    !(a->prot & 0xff & ~c->rights))
			return true;
	}
	return false;
}

static enum pt_access kind_of(const struct pt_host_access *a)
{
	if (a->s1ptw && a->access == PT_ACCESS_EXEC)
		return PT_ACCESS_READ;
	return a->access == PT_ACCESS_AT ? PT_ACCESS_READ : (enum pt_access)a->access;
}

/* ---- what the handler did ---- */

/* Before a call: the entry that the walk meets. */
struct met {
	struct span span;
	int level;
};

static void check_install(struct play *p, struct session *s, uint64_t ipa, const struct met *met)
{
	const struct model *m = &p->ctx[s->ctx].model;
	struct reach busy[SESSIONS_MOST];
	unsigned n = busy_reaches(p, s->ctx, s, busy);
	int level, want = model_install_level(m, ipa, met->level, busy, n);
	struct span span;

	leaf_at(p, s->ctx, ipa, &span, &level);
	if (level != want || span.cell.what != LEAF)
		fail(p, "fault: a leaf of level %d, expected %d", level, want);
}

static void apply_exit(struct play *p, struct session *s, uint64_t ipa, enum pt_access access,
		       enum pt_outcome o, const struct met *met)
{
	struct model *m = &p->ctx[s->ctx].model;
	struct met now = *met;

	if (o == PT_MAPPED) {
		check_install(p, s, ipa, met);
		leaf_at(p, s->ctx, ipa, &now.span, &now.level);
	}
	if (now.span.cell.group) { /* one of them */
		uint64_t mask = (UINT64_C(1) << model_shift(m, now.level)) - 1;

		model_fault_apply(m, ipa, access, o, ipa & ~mask, ipa | mask);
	} else {
		model_fault_apply(m, ipa, access, o, now.span.lo, now.span.hi);
	}
	if (access == PT_ACCESS_WRITE && (o == PT_MAPPED || o == PT_RELAXED) && !(m->ha && m->hd))
		log_add(p, s->ctx, ipa, ipa, PAGE_MUST | PAGE_MAY); /* D1 */
	if (m->ha || m->grouped)
		model_age_unsure(m, now.span.lo, now.span.hi);
	compare(p, s->ctx, now.span.lo, now.span.hi);
}

/* One answer of the handler. */
static void judge_exit(struct play *p, struct session *s, uint64_t ipa, enum pt_access access,
		       uint32_t exec, enum pt_outcome got, const struct met *met)
{
	enum pt_outcome want = model_fault(&p->ctx[s->ctx].model, ipa, access, exec);
	uint64_t lo = met->span.lo, hi = met->span.hi;

	if (is_covered(p, s->ctx, ipa, ipa, s))
		fail(p, "claims: a fault at %#llx passed a claim", (unsigned long long)ipa);
	if (got == PT_RACED) { /* a block that reaches into a claim keeps its rights */
		if (met->span.cell.what != LEAF || !is_covered(p, s->ctx, lo, hi, s) ||
		    (want != PT_RELAXED && want != PT_MADE_YOUNG))
			fail(p, "fault: raced at %#llx, and nobody else is there",
			     (unsigned long long)ipa);
		return;
	}
	if (got == PT_NO_MEMORY || got == PT_QUOTA) {
		if (want == PT_RELAXED)
			model_relaxed(&p->ctx[s->ctx].model, ipa, access, &lo, &hi);
		if (want != PT_MAPPED && lo == met->span.lo && hi == met->span.hi)
			fail(p, "memory: refused where no table is needed");
		refusal_has_reason(p, s, got, ipa, ipa);
		return;
	}
	/* What a group lacks is not added to one of it. */
	if (met->span.cell.group && want == PT_RELAXED && got == PT_DENIED)
		return;
	if (met->span.cell.group && (want == PT_MADE_YOUNG || want == PT_ALREADY_MAPPED) &&
	    (got == PT_MADE_YOUNG || got == PT_ALREADY_MAPPED)) {
		apply_exit(p, s, ipa, access, got, met);
		return;
	}
	/* The hardware has set the flag on its way to the fault. */
	if (p->ctx[s->ctx].model.ha && want == PT_MADE_YOUNG && got == PT_ALREADY_MAPPED)
		return;
	if (got != want)
		fail(p, "fault: %s at %#llx, expected %s", outcome_name(got),
		     (unsigned long long)ipa, outcome_name(want));
	if (got == PT_MAPPED || got == PT_RELAXED || got == PT_MADE_YOUNG)
		apply_exit(p, s, ipa, access, got, met);
}

/* ---- accesses ---- */

void begin_access(struct play *p, struct session *s, const struct step *step)
{
	s->doing = ACCESS;
	s->ctx = step->ctx % CONTEXTS;
	s->data = step->arg | 1;
	s->access = (struct pt_host_access){
		.vcpu = step->vcpu % VCPUS,
		.ipa = {step->item[0].ipa},
		.access = (uint8_t)step->item[0].kind,
		.s1ptw = step->flags & STEP_S1PTW,
		.el0 = step->flags & STEP_EL0,
		.handle_faults = true,
		.length = 8,
		.data = &s->data,
		.outcome = PT_OK,
	};
	(void)p;
}

static void check_data(struct play *p, const struct session *s)
{
	const struct pt_host_access *a = &s->access;

	if (a->access == PT_ACCESS_WRITE)
		content_set(p->content, a->pa.v, s->data);
	else if (a->access != PT_ACCESS_AT && s->data != content_get(p->content, a->pa.v))
		fail(p, "data: %#llx holds %#llx, expected %#llx", (unsigned long long)a->pa.v,
		     (unsigned long long)s->data,
		     (unsigned long long)content_get(p->content, a->pa.v));
}

/* Of a contiguous group the hardware may take one member's access flag, or its translation, for
 * all.
 */
static bool may_be_young(struct play *p, unsigned ctx, uint64_t ipa)
{
	const struct space *space = &p->ctx[ctx].model.space;
	struct span span;
	uint64_t last;
	int level;

	leaf_at(p, ctx, ipa, &span, &level);
	if (!span.cell.group)
		span.lo = span.hi = ipa;
	for (uint64_t at = span.lo; at <= span.hi; at = last + 1)
		if (space_get(space, at, &last).young)
			return true;
	return false;
}

static void check_translation(struct play *p, struct session *s)
{
	const struct pt_host_access *a = &s->access;
	struct sights see;
	char text[80];

	sights_of(p, s->ctx, a->ipa.v, &see);
	if (!may_see(&see, a)) {
		cell_print(text, sizeof(text), &see.cell[0]);
		fail(p, "access: context %u at %#llx goes to %#llx with rights %#x%s: %s is there",
		     s->ctx, (unsigned long long)a->ipa.v, (unsigned long long)a->pa.v, a->prot,
		     a->tlb_hit ? " by the TLB" : "", text);
	}
	if (!(a->prot & model_needs(kind_of(a), a->el0)))
		fail(p, "access: granted by rights %#x", a->prot);
	if (see.count == 1 && !p->ctx[s->ctx].model.ha && a->access != PT_ACCESS_AT &&
	    !may_be_young(p, s->ctx, a->ipa.v))
		fail(p, "age: context %u at %#llx is old after an access%s", s->ctx,
		     (unsigned long long)a->ipa.v, a->tlb_hit ? " by the TLB" : "");
}

/* Where the hardware sets flags: those of the leaf may have changed, and have to after a walk for
 * an access, or a write to what was clean. */
static void hardware(struct play *p, struct session *s, enum pt_outcome got)
{
	const struct pt_host_access *a = &s->access;
	struct context *c = &p->ctx[s->ctx];
	bool under_way = false;
	struct span span;
	int level;

	if (!c->model.ha || a->ipa.v >> c->model.ipa_bits)
		return;
	leaf_at(p, s->ctx, a->ipa.v, &span, &level);
	for (unsigned i = 0; i < p->sessions; i++) {
		struct session *other = &p->session[i];

		if (other != s && other->ctx == s->ctx && other->committed) {
			other->touched = true;
			under_way |= is_under_way(other, s->ctx, a->ipa.v);
		}
	}
	model_age_unsure(&c->model, span.lo, span.hi);
	compare(p, s->ctx, span.lo, span.hi);
	if (got != PT_OK || under_way || a->access == PT_ACCESS_AT)
		return;
	if (!a->tlb_hit && !span.cell.young)
		fail(p, "hardware: a walk left the access flag at %#llx",
		     (unsigned long long)a->ipa.v);
	if (a->access == PT_ACCESS_WRITE && span.cell.dbm && !span.cell.dirty)
		fail(p, "hardware: a write to %#llx left no trace%s", (unsigned long long)a->ipa.v,
		     a->tlb_hit ? ", by the TLB" : "");
}

/* A write is told; and with it what shared its leaf, where the hardware notes it there. */
static void log_write(struct play *p, struct session *s, const struct span *before,
		      enum pt_outcome got)
{
	const struct pt_host_access *a = &s->access;
	struct span span;
	int level;

	if (a->access != PT_ACCESS_WRITE || a->ipa.v >> p->ctx[s->ctx].model.ipa_bits)
		return;
	if (got == PT_OK)
		log_add(p, s->ctx, a->ipa.v, a->ipa.v, PAGE_MUST | PAGE_MAY);
	if (!p->ctx[s->ctx].model.hd)
		return;
	leaf_at(p, s->ctx, a->ipa.v, &span, &level);
	log_add(p, s->ctx, span.lo, span.hi, PAGE_MAY);
	log_add(p, s->ctx, before->lo, before->hi, PAGE_MAY);
}

static enum row row_of(const struct pt_host_access *a)
{
	return ROW_READ + (a->access - PT_ACCESS_READ);
}

static void judge_end(struct play *p, struct session *s, enum pt_outcome got)
{
	struct pt_host_access *a = &s->access;
	bool beyond = a->pa.v + a->length > p->ram.bytes;

	if (got == PT_OUT_OF_RANGE && a->pa.v && beyond && a->access != PT_ACCESS_AT) {
		check_translation(p, s);
		return;
	}
	if (got == PT_OK) {
		check_translation(p, s);
		check_data(p, s);
	} else if (got == PT_MORE) {
		if (a->exits != PT_HOST_MAX_EXITS || a->exit[a->exits - 1].outcome != PT_RACED)
			fail(p, "access: again, without a race");
	} else if (!a->exits || a->exit[a->exits - 1].outcome != got) {
		fail(p, "access: %s without an exit", outcome_name(got));
	}
}

void step_access(struct play *p, struct session *s)
{
	struct pt_host_access *a = &s->access;
	uint32_t exits = a->outcome == PT_PARKED ? a->exits : 0;
	bool covered = is_covered(p, s->ctx, a->ipa.v, a->ipa.v, s);
	uint64_t page = a->ipa.v >> p->ctx[s->ctx].model.granule << p->ctx[s->ctx].model.granule;
	struct met met;
	struct span before;
	enum pt_outcome got;

	leaf_at(p, s->ctx, a->ipa.v, &met.span, &met.level);
	before = met.span;
	got = pt_host_access(&s->agent, &p->ctx[s->ctx].pt, &p->ram, a);
	for (; exits < a->exits; exits++) {
		judge_exit(p, s, a->ipa.v, kind_of(a), model_needs(PT_ACCESS_EXEC, a->el0),
			   (enum pt_outcome)a->exit[exits].outcome, &met);
		count(p, ROW_EXIT, a->exit[exits].outcome);
		leaf_at(p, s->ctx, a->ipa.v, &met.span, &met.level);
	}
	log_write(p, s, &before, got);
	hardware(p, s, got);
	if (got == PT_PARKED) {
		if (!covered)
			fail(p, "claims: an access parked without a claim");
		session_park(p, s, page,
			     page + ((UINT64_C(1) << p->ctx[s->ctx].model.granule) - 1));
		return;
	}
	judge_end(p, s, got);
	count(p, row_of(a), got);
	session_idle(p, s);
}

/* ---- faults as a client hands them in ---- */

/* Who hands it in may not know whose fetch it was. */
static uint8_t exec_of(const struct step *step)
{
	return step->arg & 8 ? 0 : model_needs(PT_ACCESS_EXEC, step->flags & STEP_EL0);
}

void begin_fault(struct play *p, struct session *s, const struct step *step)
{
	(void)p;
	s->doing = FAULT;
	s->ctx = step->ctx % CONTEXTS;
	s->fault = (struct pt_fault){.ipa = {step->item[0].ipa},
				     .vcpu = step->vcpu % VCPUS,
				     .access = (uint8_t)step->item[0].kind,
				     .type = (uint8_t)(step->arg % 3),
				     .exec = exec_of(step),
				     .level = 3};
}

void step_fault(struct play *p, struct session *s)
{
	uint64_t ipa = s->fault.ipa.v;
	const struct model *m = &p->ctx[s->ctx].model;
	uint64_t page = ipa >> m->granule << m->granule, last;
	struct pt_fault_result r;
	struct met met = {0};
	enum pt_outcome got;
	struct cell c;

	if (!(ipa >> m->ipa_bits))
		leaf_at(p, s->ctx, ipa, &met.span, &met.level);
	got = pt_fault_handle(&s->agent, &p->ctx[s->ctx].pt, &s->fault, &r);
	if (got == PT_PARKED) {
		if (!is_covered(p, s->ctx, page, page, s))
			fail(p, "claims: a fault parked without a claim");
		session_park(p, s, page, page + ((UINT64_C(1) << m->granule) - 1));
		return;
	}
	judge_exit(p, s, ipa, (enum pt_access)s->fault.access, s->fault.exec, got, &met);
	c = space_get(&m->space, ipa, &last);
	if ((got == PT_MAPPED || got == PT_RELAXED || got == PT_ALREADY_MAPPED ||
	     got == PT_MADE_YOUNG) &&
	    (r.pa.v != c.at || r.prot != (c.rights | (uint32_t)c.memtype << 8)))
		fail(p, "fault: says %#llx with %#x", (unsigned long long)r.pa.v, r.prot);
	count(p, ROW_FAULT, got);
	session_idle(p, s);
}
