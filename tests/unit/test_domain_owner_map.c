/* SPDX-License-Identifier: BSD-2-Clause */
/* Mapping and faults in machines with owners: what docs/ownership.md says of maps, as the answers
 * of the RPCs have it, each error with its item and address. */
#include "domain_owner.h"

#define BLOCK  (2 * MIB)
#define READ   PTD__V1__ACCESS_KIND__ACCESS_KIND_READ
#define WRITE  PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE
#define SHARED (4 * BLOCK) /* PA: shared with the plain guest */
#define GIVEN  (6 * BLOCK) /* PA: the protected guest's */
#define POISON (GIVEN + 8 * PAGE)
#define OF_HYP (8 * BLOCK)
#define PAGES  4u

static void donate(const struct world *w, uint64_t pa, uint64_t ipa, uint64_t size)
{
	struct ask a;

	donation(&a, w, pa, ipa);
	a.item.size = size;
	OK(w->fx, "Transfer", &a.q);
}

static void transfer(const struct world *w, Ptd__V1__TransferKind kind, Ptd__V1__OwnerKind from,
		     Ptd__V1__OwnerKind to, uint64_t guest, uint64_t pa, uint64_t ipa,
		     uint64_t size)
{
	struct ask a;

	ask(&a, w, kind, from, to, guest);
	a.item.pa = pa;
	a.item.ipa = ipa;
	a.item.size = size;
	a.item.prot = kind == KIND(SHARE) && to == OF(GUEST) ? PT_PROT_RW : 0;
	OK(w->fx, "Transfer", &a.q);
}

/* Some pages of each kind: guests have theirs at IPA, poisoned ones at IPA + 8 pages. */
static struct world states(void **state)
{
	struct world w = world(state);

	transfer(&w, KIND(SHARE), OF(HOST), OF(GUEST), w.plain, SHARED, IPA, PAGES * PAGE);
	donate(&w, GIVEN, IPA, PAGES * PAGE);
	donate(&w, POISON, IPA + 8 * PAGE, PAGE);
	transfer(&w, KIND(FORCE_RECLAIM), OF(GUEST), OF(HOST), 0, POISON, 0, PAGE);
	transfer(&w, KIND(DONATE), OF(HOST), OF(HYP), 0, OF_HYP, 0, PAGE);
	return w;
}

static uint64_t generation(const struct world *w, uint64_t context)
{
	return get_context(w->fx, context)->generation;
}

/* Refused at `at`, and nothing has changed. */
#define UNTOUCHED(w, rpc, q, code, at)                                                             \
	do {                                                                                       \
		Ptd__V1__GetDigestResponse was = get_digest((w)->fx, (q)->context), is;            \
		uint64_t before = generation(w, (q)->context);                                     \
		struct call_status *status = REFUSED((w)->fx, rpc, q, code, "");                   \
                                                                                                   \
		assert_int_equal(status->ipa, at);                                                 \
		is = get_digest((w)->fx, (q)->context);                                            \
		assert_int_equal(is.digest_low, was.digest_low);                                   \
		assert_int_equal(is.digest_high, was.digest_high);                                 \
		assert_int_equal(generation(w, (q)->context), before);                             \
	} while (0)

static void the_host_maps_what_it_has(void **state)
{
	struct world w = states(state);
	Ptd__V1__MapRequest q =
		map_request(w.host, SHARED - BLOCK, 2 * BLOCK, SHARED - BLOCK, PT_PROT_RWX);
	Ptd__V1__UnmapRequest u = unmap_request(w.host, GIVEN - BLOCK, 2 * BLOCK);
	Ptd__V1__MapResponse *r = OK(w.fx, "Map", &q);

	assert_int_equal(r->outcome, PT_MAPPED);
	assert_int_equal(translate(w.fx, w.host, SHARED + PAGE, READ)->pa, SHARED + PAGE);
	q = map_request(w.host, GIVEN - 2 * PAGE, 4 * PAGE, GIVEN - 2 * PAGE, PT_PROT_RWX);
	UNTOUCHED(&w, "Map", &q, PT_WRONG_OWNER, GIVEN);
	q.validate_only = true;
	UNTOUCHED(&w, "Map", &q, PT_WRONG_OWNER, GIVEN);
	q = map_request(w.host, OF_HYP, PAGE, OF_HYP, PT_PROT_RWX);
	UNTOUCHED(&w, "Map", &q, PT_WRONG_OWNER, OF_HYP);
	UNTOUCHED(&w, "Unmap", &u, PT_WRONG_OWNER, GIVEN);
	q = map_request(w.host, POISON, PAGE, POISON, PT_PROT_RWX); /* the host's again */
	assert_int_equal(((Ptd__V1__MapResponse *)OK(w.fx, "Map", &q))->outcome, PT_MAPPED);
	u = unmap_request(w.host, SHARED - BLOCK, 2 * BLOCK);
	assert_int_equal(((Ptd__V1__UnmapResponse *)OK(w.fx, "Unmap", &u))->outcome, PT_UNMAPPED);
}

static void a_guest_maps_what_it_has_where_it_has_it(void **state)
{
	struct world w = states(state);
	Ptd__V1__MapRequest q = map_request(w.plain, IPA, PAGES * PAGE, SHARED, PT_PROT_RW);
	Ptd__V1__UnmapRequest u = unmap_request(w.plain, IPA - PAGE, 2 * PAGE);

	assert_int_equal(((Ptd__V1__MapResponse *)OK(w.fx, "Map", &q))->outcome, PT_ALREADY_MAPPED);
	q.flags = PT_MAP_REPLACE;
	q.prot = PT_PROT_R;
	OK(w.fx, "Map", &q);
	assert_int_equal(translate(w.fx, w.plain, IPA, WRITE)->outcome, PT_DENIED);
	q = map_request(w.plain, IPA, PAGE, SHARED + PAGE, PT_PROT_R);
	UNTOUCHED(&w, "Map", &q, PT_WRONG_OWNER, IPA);
	q = map_request(w.guarded, IPA + 2 * PAGE, 4 * PAGE, GIVEN + 2 * PAGE, PT_PROT_RW);
	UNTOUCHED(&w, "Map", &q, PT_WRONG_OWNER, IPA + 4 * PAGE);
	q = map_request(w.guarded, IPA + 8 * PAGE, PAGE, POISON, PT_PROT_RW);
	UNTOUCHED(&w, "Map", &q, PT_POISONED, IPA + 8 * PAGE);
	UNTOUCHED(&w, "Unmap", &u, PT_WRONG_OWNER, IPA);
	u = unmap_request(w.plain, IPA - PAGE, PAGE);
	assert_int_equal(((Ptd__V1__UnmapResponse *)OK(w.fx, "Unmap", &u))->outcome, PT_HOLE);
	u = unmap_request(w.guarded, IPA + 7 * PAGE, 2 * PAGE);
	UNTOUCHED(&w, "Unmap", &u, PT_POISONED, IPA + 8 * PAGE);
}

/* The row "relax, write-protect, age". */
static void rights_change_where_the_host_shares(void **state)
{
	struct world w = states(state);
	Ptd__V1__ProtectRequest p = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__WriteProtectRequest q = PTD__V1__WRITE_PROTECT_REQUEST__INIT;

	p.context = q.context = w.plain;
	p.ipa = q.ipa = IPA;
	p.size = q.size = PAGES * PAGE;
	OK(w.fx, "WriteProtect", &q);
	assert_int_equal(translate(w.fx, w.plain, IPA, WRITE)->outcome, PT_DENIED);
	p.prot = PT_PROT_RW;
	OK(w.fx, "Protect", &p);
	assert_int_equal(translate(w.fx, w.plain, IPA, WRITE)->outcome, PT_OK);
	p.size = q.size = (PAGES + 1) * PAGE;
	UNTOUCHED(&w, "Protect", &p, PT_NOT_MAPPED, IPA + PAGES * PAGE);
	UNTOUCHED(&w, "WriteProtect", &q, PT_NOT_MAPPED, IPA + PAGES * PAGE);
	p.context = q.context = w.guarded;
	p.prot = PT_PROT_R;
	UNTOUCHED(&w, "Protect", &p, PT_WRONG_OWNER, IPA);
	UNTOUCHED(&w, "WriteProtect", &q, PT_WRONG_OWNER, IPA);
	p.size = q.size = PAGE;
	p.ipa = q.ipa = IPA + 8 * PAGE;
	UNTOUCHED(&w, "Protect", &p, PT_POISONED, p.ipa);
	UNTOUCHED(&w, "WriteProtect", &q, PT_POISONED, q.ipa);
}

/* Three items of a batch: the host's page, a run that reaches into the guest's, the host's. */
struct batch {
	Ptd__V1__ApplyRequest q;
	Ptd__V1__Ops ops;
	uint64_t ipa[3], size[3];
	uint32_t kind[1], prot[1];
};

static Ptd__V1__ApplyRequest *batch(struct batch *b, uint64_t context, Ptd__V1__BatchMode mode)
{
	*b = (struct batch){.q = PTD__V1__APPLY_REQUEST__INIT,
			    .ops = PTD__V1__OPS__INIT,
			    .ipa = {0, GIVEN - PAGE, PAGE},
			    .size = {PAGE, 3 * PAGE, PAGE},
			    .kind = {PT_ITEM_MAP},
			    .prot = {PT_PROT_RWX}};
	b->ops.ipa = b->ops.pa = b->ipa;
	b->ops.size = b->size;
	b->ops.kind = b->kind;
	b->ops.prot = b->prot;
	b->ops.n_ipa = b->ops.n_pa = b->ops.n_size = 3;
	b->ops.n_kind = b->ops.n_prot = 1;
	b->q.ops = &b->ops;
	b->q.context = context;
	b->q.mode = mode;
	b->q.want_outcomes = true;
	return &b->q;
}

static void items_of_a_batch_are_refused_with_their_address(void **state)
{
	struct world w = states(state);
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	batch(&b, w.host, PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC);
	UNTOUCHED(&w, "Apply", &b.q, PT_WRONG_OWNER, GIVEN);
	assert_int_equal(REFUSED(w.fx, "Apply", &b.q, PT_WRONG_OWNER, "")->index, 1);
	for (unsigned i = 0; i < 4; i++) {
		bool stops = i & 1;

		batch(&b, w.host,
		      stops ? PTD__V1__BATCH_MODE__BATCH_MODE_STOP_ON_ERROR
			    : PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT);
		b.q.validate_only = i < 2;
		r = OK(w.fx, "Apply", &b.q);
		assert_int_equal(r->applied, stops ? 1 : 2);
		assert_int_equal(r->errors_total, 1);
		assert_int_equal(r->errors[0]->index, 1);
		assert_int_equal(r->errors[0]->code, PT_WRONG_OWNER);
		assert_int_equal(r->errors[0]->ipa, GIVEN);
		assert_int_equal(r->outcome[1], PT_WRONG_OWNER);
		/* What was validated is not there. */
		assert_int_equal(translate(w.fx, w.host, 0, READ)->outcome,
				 i < 2 ? PT_NOT_MAPPED : PT_OK);
		assert_int_equal(translate(w.fx, w.host, GIVEN - PAGE, READ)->outcome,
				 PT_NOT_MAPPED);
	}
}

static uint32_t fault(const struct world *w, uint64_t context, uint64_t ipa)
{
	Ptd__V1__HandleFaultRequest q = PTD__V1__HANDLE_FAULT_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.access = WRITE;
	return ((Ptd__V1__HandleFaultResponse *)OK(w->fx, "HandleFault", &q))->outcome;
}

static void slots_and_faults_of_each_party(void **state)
{
	struct world w = states(state);
	Ptd__V1__DeleteSlotRequest d = PTD__V1__DELETE_SLOT_REQUEST__INIT;

	set_slot(w.fx, w.host, 1, 0, 64 * MIB, 0, 0, BLOCK);
	set_slot(w.fx, w.plain, 1, IPA, BLOCK, SHARED, 0, 0);
	set_slot(w.fx, w.guarded, 1, IPA, BLOCK, GIVEN, 0, 0);
	assert_int_equal(fault(&w, w.host, SHARED), PT_MAPPED);
	assert_int_equal(translate(w.fx, w.host, SHARED - BLOCK, READ)->outcome, PT_NOT_MAPPED);
	assert_int_equal(fault(&w, w.host, SHARED - BLOCK + PAGE), PT_MAPPED);
	assert_int_equal(translate(w.fx, w.host, SHARED - BLOCK, READ)->level, 2);
	assert_int_equal(fault(&w, w.host, GIVEN), PT_WRONG_OWNER);
	assert_int_equal(fault(&w, w.host, GIVEN + PAGES * PAGE), PT_MAPPED);
	assert_int_equal(translate(w.fx, w.host, GIVEN + PAGES * PAGE, READ)->level, 3);
	assert_int_equal(fault(&w, w.host, OF_HYP), PT_WRONG_OWNER);
	assert_int_equal(fault(&w, w.host, POISON), PT_MAPPED);
	assert_int_equal(fault(&w, w.plain, IPA), PT_ALREADY_MAPPED);
	assert_int_equal(fault(&w, w.plain, IPA + PAGES * PAGE), PT_WRONG_OWNER);
	assert_int_equal(fault(&w, w.guarded, IPA + PAGES * PAGE), PT_WRONG_OWNER);
	d.context = w.plain;
	d.id = 1;
	UNTOUCHED(&w, "DeleteSlot", &d, PT_WRONG_OWNER, IPA);
	transfer(&w, KIND(UNSHARE), OF(HOST), OF(GUEST), w.plain, 0, IPA, PAGES * PAGE);
	OK(w.fx, "DeleteSlot", &d);
	d.context = w.host;
	UNTOUCHED(&w, "DeleteSlot", &d, PT_WRONG_OWNER, GIVEN);
}

static void upkeep_of_each_party(void **state)
{
	struct world w = states(state);
	Ptd__V1__MapRequest m = map_request(w.host, SHARED, BLOCK, SHARED, PT_PROT_RWX);
	Ptd__V1__SplitRequest s = PTD__V1__SPLIT_REQUEST__INIT;
	Ptd__V1__CollapseRequest c = PTD__V1__COLLAPSE_REQUEST__INIT;
	Ptd__V1__AgeRequest a = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__StartDirtyLogRequest l = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StopDirtyLogRequest stop = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;
	struct ask t;

	m.ipa = m.pa = OF_HYP + BLOCK;
	OK(w.fx, "Map", &m);
	s.context = c.context = a.context = l.context = w.host;
	s.ipa = c.ipa = l.ipa = OF_HYP + BLOCK;
	s.size = c.size = l.size = BLOCK;
	assert_int_equal(((Ptd__V1__SplitResponse *)OK(w.fx, "Split", &s))->effects->blocks_split,
			 1);
	/* A page of the table is shared: no block crosses what its owner does with it. */
	transfer(&w, KIND(SHARE), OF(HOST), OF(HYP), 0, OF_HYP + BLOCK, 0, PAGE);
	assert_int_equal(((Ptd__V1__CollapseResponse *)OK(w.fx, "Collapse", &c))->blocks_made, 0);
	transfer(&w, KIND(UNSHARE), OF(HOST), OF(HYP), 0, OF_HYP + BLOCK, 0, PAGE);
	assert_int_equal(((Ptd__V1__CollapseResponse *)OK(w.fx, "Collapse", &c))->blocks_made, 1);
	a.context = w.plain;
	a.ipa = IPA;
	a.size = PAGES * PAGE;
	assert_int_equal(((Ptd__V1__AgeResponse *)OK(w.fx, "Age", &a))->young, PAGES);
	a.context = w.guarded;
	assert_int_equal(REFUSED(w.fx, "Age", &a, PT_WRONG_OWNER, "")->ipa, IPA);
	/* What is logged stays where it is. */
	stop.log = ((Ptd__V1__StartDirtyLogResponse *)OK(w.fx, "StartDirtyLog", &l))->log;
	donation(&t, &w, OF_HYP + BLOCK, IPA + 64 * PAGE);
	REFUSED(w.fx, "Transfer", &t.q, PT_BUSY, "");
	OK(w.fx, "StopDirtyLog", &stop);
	OK(w.fx, "Transfer", &t.q);
}

#define ABORT PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_ABORT
#define FORCE PTD__V1__FOREIGN_ACCESS__FOREIGN_ACCESS_FORCE_RECLAIM

static Ptd__V1__AccessResponse *host_reads(const struct world *w, uint64_t ipa)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = w->host;
	q.ipa = ipa;
	q.access = READ;
	q.length = 1;
	return OK(w->fx, "Access", &q);
}

static Ptd__V1__HandleFaultResponse *host_faults(const struct world *w, uint64_t ipa)
{
	Ptd__V1__HandleFaultRequest q = PTD__V1__HANDLE_FAULT_REQUEST__INIT;

	q.context = w->host;
	q.ipa = ipa;
	q.access = READ;
	return OK(w->fx, "HandleFault", &q);
}

/* Two pages of a guest's, and one of hyp's; the host has a slot over all. */
static struct world foreign(void **state, Ptd__V1__ForeignAccess access)
{
	struct world w = world_with(state, access);

	donate(&w, GIVEN, IPA, PAGES * PAGE);
	transfer(&w, KIND(DONATE), OF(HOST), OF(HYP), 0, OF_HYP, 0, PAGE);
	set_slot(w.fx, w.host, 1, 0, 64 * MIB, 0, 0, BLOCK);
	return w;
}

static void a_foreign_page_is_an_abort_if_nothing_else_is_said(void **state)
{
	struct world w = foreign(state, 0);
	Ptd__V1__AccessResponse *a = host_reads(&w, GIVEN);
	Ptd__V1__HandleFaultResponse *h = host_faults(&w, GIVEN);

	assert_int_equal(get_machine(w.fx, w.machine)->foreign_access, ABORT);
	assert_int_equal(a->outcome, PT_WRONG_OWNER);
	assert_int_equal(a->foreign, ABORT);
	assert_int_equal(h->outcome, PT_WRONG_OWNER);
	assert_int_equal(h->foreign, ABORT);
	a = host_reads(&w, 0);
	assert_int_equal(a->outcome, PT_OK);
	assert_int_equal(a->foreign, 0);
	assert_int_equal(get(w.fx, w.machine, GIVEN, PAGE)->ranges[0]->owner->kind, OF(GUEST));
}

static void a_foreign_page_is_taken_by_force(void **state)
{
	struct world w = foreign(state, FORCE);
	uint64_t before = generation(&w, w.host);
	Ptd__V1__AccessResponse *a = host_reads(&w, GIVEN + PAGE + 5);
	Ptd__V1__HandleFaultResponse *h;

	assert_int_equal(get_machine(w.fx, w.machine)->foreign_access, FORCE);
	assert_int_equal(a->outcome, PT_OK);
	assert_int_equal(a->foreign, FORCE);
	assert_int_equal(a->pa, GIVEN + PAGE + 5);
	assert_int_equal(a->n_exits, 2);
	assert_int_equal(a->exits[0]->outcome, PT_WRONG_OWNER);
	assert_int_equal(a->exits[1]->outcome, PT_MAPPED);
	assert_int_equal(get(w.fx, w.machine, GIVEN + PAGE, PAGE)->ranges[0]->owner->kind, OF_HOST);
	assert_int_equal(get(w.fx, w.machine, GIVEN, PAGE)->ranges[0]->owner->kind, OF(GUEST));
	assert_int_equal(translate(w.fx, w.guarded, IPA + PAGE, READ)->outcome, PT_NOT_MAPPED);
	assert_int_equal(generation(&w, w.host), before + 1); /* a transfer, and a fill */
	h = host_faults(&w, GIVEN);
	assert_int_equal(h->outcome, PT_MAPPED);
	assert_int_equal(h->foreign, FORCE);
	/* Hyp's is not to be had; what is the host's is its own. */
	assert_int_equal(host_reads(&w, OF_HYP)->foreign, ABORT);
	assert_int_equal(host_faults(&w, OF_HYP)->foreign, ABORT);
	assert_int_equal(host_reads(&w, GIVEN)->foreign, 0);
}

/* A guest's page that is logged stays, and a guest's own fault takes nothing. */
static void what_cannot_be_taken_is_an_abort(void **state)
{
	struct world w = foreign(state, FORCE);
	Ptd__V1__StartDirtyLogRequest l = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__AccessResponse *a;

	l.context = w.guarded;
	l.ipa = IPA;
	l.size = BLOCK;
	OK(w.fx, "StartDirtyLog", &l);
	a = host_reads(&w, GIVEN);
	assert_int_equal(a->outcome, PT_WRONG_OWNER);
	assert_int_equal(a->foreign, ABORT);
	assert_int_equal(host_faults(&w, GIVEN)->foreign, ABORT);
	assert_int_equal(get(w.fx, w.machine, GIVEN, PAGE)->ranges[0]->owner->kind, OF(GUEST));
	set_slot(w.fx, w.plain, 1, IPA, BLOCK, GIVEN, 0, 0);
	assert_int_equal(fault(&w, w.plain, IPA), PT_WRONG_OWNER);
	assert_int_equal(get(w.fx, w.machine, GIVEN, PAGE)->ranges[0]->owner->kind, OF(GUEST));
}

/* Granules differ: the transition's unit is the guest's, and so is what is taken. */
static void the_unit_of_the_guest_is_taken(void **state)
{
	struct world w = world_with(state, FORCE);
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c = context_request(w.machine, "large", GUEST, &o);
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;
	uint64_t unit = UINT64_C(1) << 16;

	g.granule_shift = 16;
	g.ipa_bits = 40;
	c.geometry = &g;
	o.protected_ = true;
	w.guarded =
		((Ptd__V1__CreateContextResponse *)OK(w.fx, "CreateContext", &c))->context->handle;
	donate(&w, GIVEN, IPA, 2 * unit);
	set_slot(w.fx, w.host, 1, 0, 64 * MIB, 0, 0, BLOCK);
	assert_int_equal(host_reads(&w, GIVEN + unit - PAGE)->foreign, FORCE);
	assert_int_equal(get(w.fx, w.machine, GIVEN, 0)->ranges[0]->size, GIVEN + unit);
	assert_int_equal(host_reads(&w, GIVEN)->foreign, 0);
	assert_int_equal(get(w.fx, w.machine, GIVEN + unit, 0)->ranges[0]->size, unit);
}

/* While another's claim is in the way the call waits; given up, it leaves nothing. */
static void who_gives_up_takes_nothing(void **state)
{
	struct world w = foreign(state, FORCE);
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	struct owners *o = owners_of(w.fx, w.machine);
	struct pt_item hold = {.ctx = o->pt.host, .size = 64 * MIB, .kind = PT_ITEM_WRITE_PROTECT};
	struct pt_agent *agent = &w.fx->loop[1]->agent;
	enum pt_outcome outcome;
	struct pt_txn txn;
	struct fake *f;

	q.context = w.host;
	q.ipa = GIVEN;
	q.access = READ;
	q.length = 1;
	f = fake_call(w.fx, 0, "Access", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE); /* it has met the guest's page */
	pt_txn_init(&txn, &hold, 1, 0, false, NULL);
	domain_section_begin(w.fx->loop[1]);
	pt_txn_step(&txn, agent, 1);
	domain_section_end(w.fx->loop[1]);
	assert_int_equal(fake_step(f, f->method->run), CALL_PARKED);
	assert_int_equal(atomic_load(&o->active), 1);
	fake_abandon(f);
	fake_end(f);
	assert_int_equal(atomic_load(&o->active), 0);
	do {
		domain_section_begin(w.fx->loop[1]);
		outcome = pt_txn_step(&txn, agent, 1000);
		domain_section_end(w.fx->loop[1]);
	} while (outcome == PT_MORE);
	assert_int_equal(outcome, PT_OK);
	assert_int_equal(get(w.fx, w.machine, GIVEN, PAGE)->ranges[0]->owner->kind, OF(GUEST));
}

/* The loop has nothing else to do, now and a while later. */
static void rest(const struct world *w, uint64_t later_ns)
{
	unsigned steps = 0;
	uint64_t next;

	w->fx->now_ns += later_ns;
	do {
		domain_section_begin(w->fx->loop[0]);
		next = domain_idle_work(w->fx->loop[0], true, w->fx->now_ns);
		domain_section_end(w->fx->loop[0]);
		assert_true(++steps < 1000);
	} while (next <= w->fx->now_ns);
}

static void a_block_comes_back_when_all_of_it_is_the_hosts_again(void **state)
{
	struct world w = world(state);

	set_slot(w.fx, w.host, 1, 0, 64 * MIB, 0, 0, BLOCK);
	assert_int_equal(fault(&w, w.host, GIVEN), PT_MAPPED);
	assert_int_equal(translate(w.fx, w.host, GIVEN, READ)->level, 2);
	donate(&w, GIVEN + 3 * PAGE, IPA, PAGE);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.host, GIVEN, READ)->level, 3);
	assert_int_equal(fault(&w, w.host, GIVEN + 3 * PAGE), PT_WRONG_OWNER);
	transfer(&w, KIND(DONATE), OF(GUEST), OF(HOST), w.guarded, 0, IPA, PAGE);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.host, GIVEN, READ)->level, 3); /* one page is empty */
	assert_int_equal(fault(&w, w.host, GIVEN + 3 * PAGE), PT_MAPPED);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.host, GIVEN, READ)->level, 2);
}

static void a_guests_block_comes_back(void **state)
{
	struct world w = world(state);

	donate(&w, GIVEN, IPA, BLOCK);
	assert_int_equal(translate(w.fx, w.guarded, IPA, READ)->level, 2);
	transfer(&w, KIND(SHARE), OF(GUEST), OF(HOST), w.guarded, 0, IPA + 5 * PAGE, PAGE);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.guarded, IPA, READ)->level, 3);
	transfer(&w, KIND(UNSHARE), OF(GUEST), OF(HOST), w.guarded, 0, IPA + 5 * PAGE, PAGE);
	assert_int_equal(translate(w.fx, w.guarded, IPA, READ)->level, 3);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.guarded, IPA, READ)->level, 2);
	/* Piece by piece. */
	donate(&w, OF_HYP, IPA + BLOCK, MIB);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.guarded, IPA + BLOCK, READ)->level, 3);
	donate(&w, OF_HYP + MIB, IPA + BLOCK + MIB, MIB);
	rest(&w, 0);
	assert_int_equal(translate(w.fx, w.guarded, IPA + BLOCK, READ)->level, 2);
}

/* What held annotations alone, or a guest's pages that are gone, is no table for long. */
static void empty_tables_go_after_transfers(void **state)
{
	struct world w = world(state);
	uint64_t host = get_context(w.fx, w.host)->table_pages;
	uint64_t guest = get_context(w.fx, w.guarded)->table_pages;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	for (unsigned i = 0; i < 2; i++) {
		donate(&w, GIVEN, IPA, PAGE);
		assert_true(get_context(w.fx, w.host)->table_pages > host);
		assert_true(i || get_context(w.fx, w.guarded)->table_pages > guest);
		d.handle = w.guarded;
		if (i) /* the guest goes with it */
			OK(w.fx, "DeleteContext", &d);
		else
			transfer(&w, KIND(DONATE), OF(GUEST), OF(HOST), w.guarded, 0, IPA, PAGE);
		rest(&w, 0);
		assert_true(get_context(w.fx, w.host)->table_pages > host);
		rest(&w, SWEEP_REST_NS);
		assert_int_equal(get_context(w.fx, w.host)->table_pages, host);
		if (!i)
			assert_int_equal(get_context(w.fx, w.guarded)->table_pages, guest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_host_maps_what_it_has),
		TEST(a_guest_maps_what_it_has_where_it_has_it),
		TEST(rights_change_where_the_host_shares),
		TEST(items_of_a_batch_are_refused_with_their_address),
		TEST(slots_and_faults_of_each_party),
		TEST(upkeep_of_each_party),
		TEST(a_foreign_page_is_an_abort_if_nothing_else_is_said),
		TEST(a_foreign_page_is_taken_by_force),
		TEST(what_cannot_be_taken_is_an_abort),
		TEST(the_unit_of_the_guest_is_taken),
		TEST(who_gives_up_takes_nothing),
		TEST(a_block_comes_back_when_all_of_it_is_the_hosts_again),
		TEST(a_guests_block_comes_back),
		TEST(empty_tables_go_after_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
