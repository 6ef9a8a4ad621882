/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses of a Session's message: done one after the other, each with its result in a column. An
 * item that fails is data. The message as a whole fails only before its first item.
 */
#include "handle_session.h"

#include <pt/walk.h>

#include "context.h"
#include "domain_fail.h"
#include "faults.h"
#include "handlers.h"
#include "nested.h"
#include "nested_fault.h"
#include "registry.h"

#define AHEAD	    8  /* items; the entry of one that far ahead is asked for */
#define PLAIN_ITEMS 32 /* at most so many faults are handed to lib at once */

struct accesses {
	const Ptd__V1__Accesses *q;
	Ptd__V1__AccessResults *results;
	struct work *work;
	uint64_t context;
	enum session_accesses kind;
	uint32_t n, at, vcpu_step, access_step;
	/* Of the item under way: */
	struct pt_host_access access;
	struct fault_group group;
	struct fault_reclaim reclaim;
	struct nested_fault nested; /* of a shadow */
	struct hw_result walk;	    /* with `group` and `nested`: what the walk before it met */
};

/* What one item came to. */
struct item_result {
	uint32_t outcome, taker;
	uint64_t pa, esr, hpfar, canonical;
};

static bool column(struct call *call, const char *name, size_t have, uint32_t n, uint32_t *step)
{
	*step = have == n && n > 1;
	if (have == n || have == 1)
		return true;
	call_fail(call, PT_INVALID, "%s: %zu entries; %u or 1 are due", name, have, n);
	return false;
}

static bool check_columns(struct call *call, const Ptd__V1__Accesses *q, struct accesses *a)
{
	if (!q->n_ipa)
		return call_fail(call, PT_INVALID, "ipa: there are no items") != CALL_DONE;
	if (q->n_ipa > LIMIT_BATCH_ITEMS)
		return call_fail(call, PT_TOO_LARGE, "ipa: %zu items; max_batch_items is %u",
				 q->n_ipa, LIMIT_BATCH_ITEMS) != CALL_DONE;
	a->n = (uint32_t)q->n_ipa;
	return (!q->n_vcpu || column(call, "vcpu", q->n_vcpu, a->n, &a->vcpu_step)) &&
	       column(call, "access", q->n_access, a->n, &a->access_step);
}

static bool make_results(struct call *call, struct accesses *a)
{
	Ptd__V1__AccessResults *r = new_response(call, &ptd__v1__access_results__descriptor);
	uint64_t *words;

	if (!r)
		return false;
	r->outcome = call_alloc(call, a->n * sizeof(*r->outcome));
	words = call_alloc(call, 3 * sizeof(*words) * a->n);
	if (!r->outcome || !words) {
		fail_arena(call);
		return false;
	}
	r->pa = words;
	r->esr = words + a->n;
	r->hpfar = words + 2 * (size_t)a->n;
	r->n_outcome = r->n_pa = r->n_esr = r->n_hpfar = a->n;
	a->results = r;
	return true;
}

/* What only a shadow has. */
static bool make_takers(struct call *call, struct accesses *a)
{
	Ptd__V1__AccessResults *r = a->results;

	r->taker = call_alloc(call, a->n * sizeof(*r->taker));
	r->canonical_ipa = call_alloc(call, a->n * sizeof(*r->canonical_ipa));
	if (!r->taker || !r->canonical_ipa)
		return fail_arena(call) != CALL_DONE;
	r->n_taker = r->n_canonical_ipa = a->n;
	return true;
}

static uint32_t vcpu_at(const struct accesses *a, uint32_t at)
{
	return a->q->n_vcpu ? a->q->vcpu[at * a->vcpu_step] : 0;
}

static uint32_t access_at(const struct accesses *a, uint32_t at)
{
	return a->q->access[at * a->access_step];
}

static uint32_t vcpu_of(const struct accesses *a)
{
	return vcpu_at(a, a->at);
}

static uint32_t access_of(const struct accesses *a)
{
	return access_at(a, a->at);
}

static void begin_access(struct accesses *a, bool handle_faults)
{
	a->access = (struct pt_host_access){.vcpu = vcpu_of(a),
					    .ipa = pt_ipa(a->q->ipa[a->at]),
					    .access = (uint8_t)access_of(a),
					    .handle_faults = handle_faults};
}

static void tell_access(struct call *call, struct accesses *a, enum pt_outcome o,
			struct item_result *r)
{
	struct pt_host_access *access = &a->access;
	const struct pt_host_exit *exit;

	access->outcome = PT_OK;
	fault_count_exits(call, access);
	r->outcome = o;
	r->pa = o == PT_OK ? access->pa.v : 0;
	if (access->exits) {
		exit = &access->exit[(access->exits - 1) % PT_HOST_MAX_EXITS];
		r->esr = exit->esr;
		r->hpfar = exit->hpfar_known ? exit->hpfar : 0;
	}
}

static void tell_taker(const struct accesses *a, struct item_result *r)
{
	Ptd__V1__NestedFault m;

	nested_fault_fill(&m, &a->nested);
	r->taker = m.taker;
	r->canonical = m.canonical_ipa;
	if (m.taker == PTD__V1__FAULT_TAKER__FAULT_TAKER_GUEST_HYPERVISOR) {
		r->esr = m.esr;
		r->hpfar = m.hpfar;
	}
}

static enum call_result access_shadow(struct call *call, struct accesses *a, struct context *c,
				      struct item_result *r)
{
	enum pt_outcome o = PT_OK;
	enum call_result step;

	if (!a->nested.running && a->access.outcome != PT_PARKED)
		begin_access(a, false);
	step = nested_access_step(call, &a->work, c, &a->access, &a->nested, &o);
	if (step != CALL_DONE || call->status.code != PT_OK)
		return step;
	tell_access(call, a, o, r);
	if (a->access.exits)
		tell_taker(a, r);
	return CALL_DONE;
}

/* CALL_DONE: the item has its result. */
static enum call_result do_access(struct call *call, struct accesses *a, struct context *c,
				  struct item_result *r)
{
	struct pt_host_access *access = &a->access;
	enum call_result step = fault_group_access(call, a->work, &a->group, access);
	enum pt_outcome o;

	if (step != CALL_DONE)
		return step;
	if (access->outcome != PT_PARKED)
		begin_access(a, true);
	o = pt_host_access(call_agent(call), &c->pt, &c->machine->ram, access);
	if (o == PT_PARKED)
		return fault_park(call, &a->work, c, access->ipa.v);
	if (o == PT_MORE || o == PT_RACED ||
	    (o == PT_DENIED && fault_group_begin(call, &a->work, c, &access->todo, &a->group)))
		return CALL_MORE;
	if (unlikely(o == PT_WRONG_OWNER) &&
	    fault_reclaim_begin(call, c, &access->todo, &a->reclaim)) {
		access->outcome = PT_PARKED; /* go on */
		access->todo.kind = PT_TODO_NONE;
		return CALL_MORE;
	}
	if (unlikely(o == PT_ABSENT)) {
		step = fault_absent(call, &a->work, c, access, &o);
		if (step != CALL_DONE || call->status.code != PT_OK)
			return step;
	}
	fault_note_todo(call, c, &access->todo);
	tell_access(call, a, o, r);
	return CALL_DONE;
}

static void tell_fault(const struct hw_result *walk, uint64_t ipa, uint32_t access,
		       struct item_result *r)
{
	struct hw_syndrome syndrome = {0};

	if (walk->fault == HW_NO_FAULT)
		return;
	hw_syndrome(walk, ipa, (enum hw_access)access, false, 0, &syndrome);
	r->esr = syndrome.esr;
	r->hpfar = syndrome.hpfar_known ? syndrome.hpfar : 0;
}

static enum call_result do_handle(struct call *call, struct accesses *a, struct context *c,
				  struct item_result *r)
{
	struct pt_fault_result result = {.level = PT_TTL_UNKNOWN};
	struct pt_fault fault = {.vcpu = vcpu_of(a)};
	enum call_result step = fault_group_step(call, a->work, &a->group);
	uint64_t ipa = a->q->ipa[a->at];
	struct hw_result walk;
	enum pt_outcome o;

	if (step != CALL_DONE)
		return step;
	fault_of_walk(c, ipa, access_of(a), false, &fault, &walk);
	o = pt_fault_handle(call_agent(call), &c->pt, &fault, &result);
	if (o == PT_PARKED)
		return fault_park(call, &a->work, c, ipa);
	if (o == PT_MORE || (unlikely(o == PT_WRONG_OWNER) &&
			     fault_reclaim_begin(call, c, &result.todo, &a->reclaim)))
		return CALL_MORE;
	if (o == PT_DENIED && fault_group_begin(call, &a->work, c, &result.todo, &a->group)) {
		a->walk = walk;
		return CALL_MORE;
	}
	if (unlikely(o == PT_ABSENT)) {
		const struct page_access why = {ipa, fault.vcpu, fault.access, false};

		step = work_await_page(call, &a->work, c, &why, &o);
		if (step != CALL_DONE || call->status.code != PT_OK)
			return step;
	}
	if (o == PT_ALREADY_MAPPED && a->group.outcome == PT_RELAXED) {
		o = PT_RELAXED;
		walk = a->walk;
	}
	fault_count(call, o);
	fault_note_todo(call, c, &result.todo);
	r->outcome = o;
	r->pa = pt_is_error(o) ? 0 : result.pa.v;
	tell_fault(&walk, ipa, access_of(a), r);
	return CALL_DONE;
}

static void begin_fault(struct accesses *a, struct context *c)
{
	struct pt_fault fault = {.vcpu = vcpu_of(a)};

	fault_of_walk(c, a->q->ipa[a->at], access_of(a), false, &fault, &a->walk);
	a->nested.fault = (struct pt_nested_fault){.ipa = fault.ipa,
						   .vcpu = fault.vcpu,
						   .access = fault.access,
						   .type = fault.type,
						   .level = fault.level};
	a->nested.esr = fault_esr(&fault);
}

static enum call_result handle_shadow(struct call *call, struct accesses *a, struct context *c,
				      struct item_result *r)
{
	const struct nested_fault *f = &a->nested;
	enum call_result step;

	if (!f->running)
		begin_fault(a, c);
	step = nested_fault_step(call, &a->work, c, &a->nested);
	if (step != CALL_DONE || call->status.code != PT_OK)
		return step;
	fault_count(call, f->outcome);
	r->outcome = f->outcome;
	r->pa = f->result.pa.v;
	tell_fault(&a->walk, a->q->ipa[a->at], access_of(a), r);
	tell_taker(a, r);
	return CALL_DONE;
}

static enum call_result do_translate(struct accesses *a, struct context *c, struct item_result *r)
{
	uint64_t ipa = a->q->ipa[a->at];
	uint32_t access = access_of(a);
	struct hw_result walk;

	if (pt_host_translate(&c->pt, pt_ipa(ipa), (enum pt_access)access, false, &walk) ==
	    PT_RACED)
		return CALL_MORE;
	r->outcome = fault_walk_outcome(&walk);
	r->pa = walk.fault == HW_NO_FAULT ? walk.pa : 0;
	tell_fault(&walk, ipa, access, r);
	return CALL_DONE;
}

/* Can item `at` be asked so? PT_OK, or its outcome. */
static enum pt_outcome legal_at(const struct accesses *a, const struct context *c, uint32_t at)
{
	uint32_t last = a->kind == SESSION_HANDLE_FAULT ? PT_ACCESS_EXEC : PT_ACCESS_AT;
	uint32_t access = access_at(a, at);

	if (access < PT_ACCESS_READ || access > last || vcpu_at(a, at) >= c->machine->vcpus)
		return PT_INVALID;
	return a->q->ipa[at] >> c->pt.geo.ipa_bits ? PT_OUT_OF_RANGE : PT_OK;
}

/* Pages of the faults that are handled together. */
struct pages_seen {
	uint64_t bit[16];
};

/* Notes the page. True: it was noted before, or one that looks like it. */
static bool see_page(struct pages_seen *seen, uint64_t page)
{
	uint64_t hash = page * UINT64_C(0x9e3779b97f4a7c15) >> 54, bit = UINT64_C(1) << hash % 64;
	bool before = seen->bit[hash / 64] & bit;

	seen->bit[hash / 64] |= bit;
	return before;
}

/* Results of faults from a->at on that lib has handled together. */
static void tell_pages(struct call *call, struct accesses *a, const struct pt_fault_page *page,
		       uint32_t n)
{
	uint64_t leaves = 0;

	for (uint32_t i = 0; i < n; i++) {
		leaves += page[i].outcome == PT_MAPPED || page[i].outcome == PT_RELAXED;
		a->results->outcome[a->at + i] = page[i].outcome;
		a->results->pa[a->at + i] = page[i].pa.v;
	}
	count_add(&call->loop->counters.faults, n);
	count_add(&call->loop->counters.leaves_written, leaves);
	a->at += n;
}

/*
 * Faults from a->at on, at most so many, as long as they are plain and their pages differ: what a
 * walk says of a page is to be what it says after those before it. Returns how many are done;
 * *most is how many were tried.
 */
static uint32_t plain_faults(struct call *call, struct accesses *a, struct context *c,
			     uint32_t *most)
{
	struct pt_fault_page page[PLAIN_ITEMS];
	struct pt_fault fault[PLAIN_ITEMS];
	struct pages_seen seen = {0};
	uint32_t n = a->n - a->at, done;

	n = n < *most ? n : *most;
	n = n < PLAIN_ITEMS ? n : PLAIN_ITEMS;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = a->at + i, access = access_at(a, at);
		struct item_result r = {0};
		struct hw_result walk;

		if (legal_at(a, c, at) != PT_OK ||
		    see_page(&seen, a->q->ipa[at] >> c->pt.geo.granule_shift)) {
			n = i;
			break;
		}
		fault[i] = (struct pt_fault){.vcpu = vcpu_at(a, at)};
		fault_of_walk(c, a->q->ipa[at], access, false, &fault[i], &walk);
		tell_fault(&walk, a->q->ipa[at], access, &r);
		a->results->esr[at] = r.esr;
		a->results->hpfar[at] = r.hpfar;
	}
	done = pt_faults(call_agent(call), &c->pt, fault, n, page);
	tell_pages(call, a, page, done);
	*most = n;
	return done;
}

static enum call_result do_item(struct call *call, struct accesses *a, struct context *c)
{
	struct item_result r = {.outcome = legal_at(a, c, a->at)};
	enum call_result result = CALL_DONE;
	bool shadow = context_is_shadow(c);

	if (a->at + AHEAD < a->n)
		pt_prefetch(&c->pt, pt_ipa(a->q->ipa[a->at + AHEAD]));
	if (r.outcome == PT_OK)
		switch (a->kind) {
		case SESSION_ACCESS:
			result = (shadow ? access_shadow : do_access)(call, a, c, &r);
			break;
		case SESSION_HANDLE_FAULT:
			result = (shadow ? handle_shadow : do_handle)(call, a, c, &r);
			break;
		case SESSION_TRANSLATE: result = do_translate(a, c, &r); break;
		}
	if (result != CALL_DONE || call->status.code != PT_OK)
		return result;
	a->results->outcome[a->at] = r.outcome;
	a->results->pa[a->at] = r.pa;
	a->results->esr[a->at] = r.esr;
	a->results->hpfar[a->at] = r.hpfar;
	if (a->results->n_taker) {
		a->results->taker[a->at] = r.taker;
		a->results->canonical_ipa[a->at] = r.canonical;
	}
	a->nested = (struct nested_fault){0};
	a->group = (struct fault_group){0};
	a->reclaim = (struct fault_reclaim){.work = a->reclaim.work};
	a->at++;
	return CALL_DONE;
}

/* Items one by one, and faults together while they are plain. CALL_DONE: all have their results. */
static enum call_result do_items(struct call *call, struct accesses *a, struct context *c)
{
	uint32_t budget = STEP_ITEMS, alone = a->group.tried;
	enum call_result result = CALL_DONE;

	if (a->kind != SESSION_HANDLE_FAULT || context_is_shadow(c))
		alone = STEP_ITEMS;
	while (result == CALL_DONE && a->at < a->n && call->status.code == PT_OK) {
		if (!budget)
			return CALL_MORE;
		if (!alone) {
			uint32_t tried = budget, done = plain_faults(call, a, c, &tried);

			budget -= done;
			/* What was looked at in vain is not looked at a third time. */
			alone = done ? tried - done : PLAIN_ITEMS;
			continue;
		}
		alone--;
		budget--;
		result = do_item(call, a, c);
	}
	return result;
}

/* The context has gone in mid-batch: what is left fails, what was done stays told. */
static enum call_result lost_context(struct call *call, struct accesses *a)
{
	uint32_t code = call->status.code;

	if (!a->at)
		return CALL_DONE;
	call->status = (struct call_status){.level = PT_TTL_UNKNOWN};
	while (a->at < a->n)
		a->results->outcome[a->at++] = code;
	return CALL_DONE;
}

static enum call_result run(struct call *call, struct accesses *a, Ptd__V1__AccessResults **results)
{
	enum call_result result = fault_reclaim_step(call, &a->reclaim);
	struct context *c;

	if (result == CALL_DONE)
		result = fault_group_step(call, a->work, &a->nested.group);
	if (result != CALL_DONE)
		return result;
	c = a->group.running ? container_of(a->group.item.ctx, struct context, pt)
			     : find_context(call, a->context, "context");

	work_resume(a->work);
	if (c && !a->group.running && a->kind != SESSION_TRANSLATE &&
	    !context_runs(call, context_is_shadow(c) ? nested_canonical(c) : c))
		c = NULL;
	if (c)
		result = do_items(call, a, c);
	if (result == CALL_DONE && call->status.code != PT_OK)
		lost_context(call, a);
	if (result == CALL_DONE && call->status.code == PT_OK)
		*results = a->results;
	return result;
}

enum call_result accesses_begin(struct call *call, const Ptd__V1__Accesses *q, uint64_t context,
				enum session_accesses kind, Ptd__V1__AccessResults **results)
{
	struct accesses *a = call_alloc(call, sizeof(*a));
	const struct context *c = peek_context(call, context);

	if (!a)
		return fail_arena(call);
	if (!check_columns(call, q, a) || !make_results(call, a) ||
	    (c && context_is_shadow(c) && !make_takers(call, a)))
		return CALL_DONE;
	a->q = q;
	a->context = context;
	a->kind = kind;
	call->state = a;
	return run(call, a, results);
}

enum call_result accesses_go_on(struct call *call, Ptd__V1__AccessResults **results)
{
	return run(call, call->state, results);
}

/* A fill is an effect: after the first item the message runs to its end. */
enum call_result accesses_undo(struct call *call, Ptd__V1__AccessResults **results)
{
	struct accesses *a = call->state;
	bool committed;

	if (!a)
		return CALL_DONE;
	if (fault_reclaim_abandon(call, &a->reclaim) != CALL_DONE)
		return CALL_MORE;
	if (!a->at || a->kind == SESSION_TRANSLATE)
		return work_abandon(a->work, &committed);
	return work_leaves_queue(a->work) ? CALL_MORE : run(call, a, results);
}
