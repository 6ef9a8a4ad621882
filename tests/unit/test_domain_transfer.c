/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfer as a call: which request is which transition, promises of the request, and what gives up
 * or ends meanwhile. What a transition does is test_transfer_model's business. */
#include "domain_owner.h"

#include <pt/host/vcpu.h>

static Ptd__V1__OwnedRange *owner_at(const struct world *w, uint64_t pa)
{
	return get(w->fx, w->machine, pa, PAGE)->ranges[0];
}

static void each_kind_with_its_parties(void **state)
{
	struct world w = world(state);
	const struct {
		Ptd__V1__TransferKind kind;
		Ptd__V1__OwnerKind from, to;
		uint64_t guest, pa, ipa;
		uint32_t prot;
		Ptd__V1__OwnerKind owner; /* of the page at 0 afterwards */
		Ptd__V1__PageState state;
		uint32_t borrowers;
	} row[] = {
#define STATE(name) PTD__V1__PAGE_STATE__PAGE_STATE_##name
		{KIND(SHARE), OF(HOST), OF(HYP), 0, 0, 0, 0, OF(HOST), STATE(SHARED_OWNED), 1},
		{KIND(PIN), OF(HOST), OF(HYP), 0, 0, 0, 0, OF(HOST), STATE(SHARED_OWNED), 1},
		{KIND(UNPIN), OF(HOST), OF(HYP), 0, 0, 0, 0, OF(HOST), STATE(SHARED_OWNED), 1},
		{KIND(UNSHARE), OF(HOST), OF(HYP), 0, 0, 0, 0, OF(HOST), STATE(OWNED), 0},
		{KIND(SHARE), OF(HOST), OF(OTHER), 0, 0, 0, 0, OF(HOST), STATE(SHARED_OWNED), 0},
		{KIND(UNSHARE), OF(HOST), OF(OTHER), 0, 0, 0, 0, OF(HOST), STATE(OWNED), 0},
		{KIND(SHARE), OF(HOST), OF(GUEST), w.plain, 0, IPA, 3, OF(HOST),
		 STATE(SHARED_OWNED), 1},
		{KIND(SHARE), OF(HOST), OF(GUEST), w.plain, 0, IPA + PAGE, 1, OF(HOST),
		 STATE(SHARED_OWNED), 2},
		{KIND(UNSHARE), OF(HOST), OF(GUEST), w.plain, 0, IPA, 0, OF(HOST),
		 STATE(SHARED_OWNED), 1},
		{KIND(UNSHARE), OF(HOST), OF(GUEST), w.plain, 0, IPA + PAGE, 0, OF(HOST),
		 STATE(OWNED), 0},
		{KIND(DONATE), OF(HOST), OF(HYP), 0, 0, 0, 0, OF(HYP), STATE(OWNED), 0},
		{KIND(DONATE), OF(HYP), OF(HOST), 0, 0, 0, 0, OF(HOST), STATE(OWNED), 0},
		{KIND(DONATE), OF(HOST), OF(GUEST), w.guarded, 0, IPA, 0, OF(GUEST), STATE(OWNED),
		 0},
		{KIND(SHARE), OF(GUEST), OF(HOST), w.guarded, 0, IPA, 0, OF(GUEST),
		 STATE(SHARED_OWNED), 1},
		{KIND(UNSHARE), OF(GUEST), OF(HOST), w.guarded, 0, IPA, 0, OF(GUEST), STATE(OWNED),
		 0},
		{KIND(DONATE), OF(GUEST), OF(HOST), w.guarded, 0, IPA, 0, OF(HOST), STATE(OWNED),
		 0},
		{KIND(DONATE), OF(HOST), OF(GUEST), w.guarded, 0, IPA, 0, OF(GUEST), STATE(OWNED),
		 0},
		{KIND(FORCE_RECLAIM), OF(GUEST), OF(HOST), 0, 0, 0, 0, OF(HOST), STATE(OWNED), 0},
	};
	uint64_t generation = 1;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		Ptd__V1__TransferResponse *r;
		Ptd__V1__OwnedRange *o;
		struct ask a;

		ask(&a, &w, row[i].kind, row[i].from, row[i].to, row[i].guest);
		a.item.pa = row[i].pa;
		a.item.ipa = row[i].ipa;
		a.item.prot = row[i].prot;
		a.q.expected_generation = generation;
		r = OK(w.fx, "Transfer", &a.q);
		assert_int_equal(r->generation, ++generation);
		o = owner_at(&w, 0);
		assert_int_equal(o->owner->kind, row[i].owner);
		assert_int_equal(o->state, row[i].state);
		assert_int_equal(o->borrowers, row[i].borrowers);
		if (o->owner->kind == OF(GUEST))
			assert_int_equal(o->owner->context, w.guarded);
	}
	assert_int_equal(get_context(w.fx, w.host)->generation, generation);
}

static void bad_requests_are_refused_by_name(void **state)
{
	struct world w = world(state);
	struct ask a;
	const char *const field[] = {
		"items[0].ipa:", "items[0].prot:", "items[0].zero:", "items[0].lend_handle:"};

	donation(&a, &w, 0, IPA)->n_items = 0;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items:");
	ask(&a, &w, KIND(SHARE), OF(HYP), OF(GUEST), w.plain);
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].kind:");
	ask(&a, &w, 99, OF(HOST), OF(HYP), 0)->items[0]->from = NULL;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].kind:");
	for (unsigned i = 0; i < 4; i++) {
		ask(&a, &w, KIND(SHARE), OF(HOST), OF(HYP), 0);
		a.item.ipa = i == 0 ? PAGE : 0;
		a.item.prot = i == 1;
		a.item.zero = i == 2;
		a.item.lend_handle = i == 3;
		REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, field[i]);
	}
	ask(&a, &w, KIND(SHARE), OF(GUEST), OF(HOST), w.guarded)->items[0]->pa = PAGE;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].pa:");
	ask(&a, &w, KIND(SHARE), OF(HOST), OF(HYP), 0)->items[0]->size = 0;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].size:");
	a.item.size = PAGE;
	a.to.context = w.plain;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].to.context:");
	donation(&a, &w, 0, IPA);
	a.from.context = w.host;
	a.item.prot = 3;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].prot:");
	a.item.prot = 0;
	a.to.context = w.fx->context;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].to.context:");
	a.to.context = w.host;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].to.context:");
	a.to.context = 0;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].to.context:");
	ask(&a, &w, KIND(SHARE), OF(HOST), OF(GUEST), w.plain)->items[0]->prot = 0x10000;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].prot:");
	donation(&a, &w, 0, IPA)->machine = w.fx->machine;
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_STATE, "machine:");
}

/* Which item, at which address, and what stands in its way. */
static void refusals_say_what_is_in_the_way(void **state)
{
	struct world w = world(state);
	struct ask a;

	ask(&a, &w, KIND(DONATE), OF(HOST), OF(HOST), 0);
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID,
		"items[0].kind: 3: there is no DONATE from HOST to HOST");
	a.item.kind = 99;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[0].kind: 99: there is no ? from HOST");
	ask(&a, &w, KIND(DONATE), OF(HOST), OF(GUEST), w.plain);
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_STATE, "items[0]: the guest is plain");
	ask(&a, &w, KIND(SHARE), OF(HOST), OF(GUEST), w.guarded)->items[0]->prot = 3;
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_STATE, "items[0]: the guest is protected");
	a.to.context = w.plain;
	a.item.prot = 5; /* execution at one level alone */
	REFUSED(w.fx, "Transfer", &a.q, PT_UNSUPPORTED, "items[0].prot: 0x5 needs");
	ask(&a, &w, KIND(RECLAIM), OF(GUEST), OF(HOST), w.guarded);
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_STATE, "items[0]: the guest is live");
	a.q.validate_only = true;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items: RECLAIM of what a dying guest has");
	OK(w.fx, "Transfer", donation(&a, &w, 0, IPA));
	REFUSED(w.fx, "Transfer", donation(&a, &w, 0, IPA + PAGE), PT_WRONG_OWNER,
		"items[0]: pa 0x0, ipa 0x40001000: it is another party's");
	donation(&a, &w, 8 * PAGE, IPA)->n_items = 2;
	REFUSED(w.fx, "Transfer", &a.q, PT_INVALID, "items[1]: one before it names a part");
	ask(&a, &w, KIND(UNSHARE), OF(GUEST), OF(HOST), w.guarded)->items[0]->ipa = IPA + PAGE;
	REFUSED(w.fx, "Transfer", &a.q, PT_NOT_MAPPED, "items[0]: ipa 0x40001000: the guest has");
	ask(&a, &w, KIND(PIN), OF(HOST), OF(HYP), 0)->items[0]->pa = 64 * MIB;
	REFUSED(w.fx, "Transfer", &a.q, PT_OUT_OF_RANGE, "items[0]: pa 0x4000000: the range");
}

static void the_largest_granule_is_the_unit(void **state)
{
	struct world w = world(state);
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__CreateContextRequest c;
	struct call_status *s;
	struct ask a;

	o.protected_ = true;
	g.granule_shift = 16;
	g.ipa_bits = 42;
	c = context_request(w.machine, "large", GUEST, &o);
	c.geometry = &g;
	w.guarded =
		((Ptd__V1__CreateContextResponse *)OK(w.fx, "CreateContext", &c))->context->handle;
	donation(&a, &w, 0x11000, IPA)->items[0]->size = 0x10000;
	s = REFUSED(w.fx, "Transfer", &a.q, PT_MISALIGNED, "items[0].pa:");
	assert_int_equal(s->nearest_below, 0x10000);
	assert_int_equal(s->nearest_above, 0x20000);
	a.item.pa = 0x10000;
	a.item.ipa = IPA + PAGE;
	REFUSED(w.fx, "Transfer", &a.q, PT_MISALIGNED, "items[0].ipa:");
	a.item.ipa = IPA;
	a.item.size = 0x18000;
	REFUSED(w.fx, "Transfer", &a.q, PT_MISALIGNED, "items[0].size:");
	a.item.size = 0x10000;
	OK(w.fx, "Transfer", &a.q);
	a.item.pa = 64 * MIB;
	REFUSED(w.fx, "Transfer", &a.q, PT_OUT_OF_RANGE, "");
}

static void a_refusal_says_where(void **state)
{
	struct world w = world(state);
	struct ask a;

	OK(w.fx, "Transfer", donation(&a, &w, 5 * PAGE, IPA));
	donation(&a, &w, 0, IPA + 16 * PAGE)->items[0]->size = 8 * PAGE;
	assert_int_equal(REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_OWNER, "")->ipa, 5 * PAGE);
	ask(&a, &w, KIND(DONATE), OF(GUEST), OF(HOST), w.guarded)->items[0]->ipa = IPA;
	a.item.size = 2 * PAGE;
	assert_int_equal(REFUSED(w.fx, "Transfer", &a.q, PT_NOT_MAPPED, "")->ipa, IPA + PAGE);
}

/* Donations of pages 0, 2, 4 ... to one guest, in one request. */
#define MANY (LIMIT_TRANSFER_ITEMS + 1)
struct several {
	struct ask ask;
	Ptd__V1__TransferItem item[MANY], *items[MANY];
};

static Ptd__V1__TransferRequest *several(struct several *s, const struct world *w, size_t count)
{
	donation(&s->ask, w, 0, 0);
	for (uint32_t i = 0; i < count; i++) {
		s->item[i] = s->ask.item;
		s->item[i].pa = 2 * i * PAGE;
		s->item[i].ipa = IPA + i * PAGE;
		s->items[i] = &s->item[i];
	}
	s->ask.q.items = s->items;
	s->ask.q.n_items = count;
	return &s->ask.q;
}

static void several_ranges_are_one_transition(void **state)
{
	struct world w = world(state);
	struct call_status *status;
	struct several s;

	several(&s, &w, MANY);
	REFUSED(w.fx, "Transfer", &s.ask.q, PT_TOO_LARGE, "items:");
	several(&s, &w, LIMIT_TRANSFER_ITEMS);
	s.item[7].pa = 64 * MIB;
	status = REFUSED(w.fx, "Transfer", &s.ask.q, PT_OUT_OF_RANGE, "");
	assert_int_equal(status->index, 7);
	s.item[7].pa = 14 * PAGE + 1;
	status = REFUSED(w.fx, "Transfer", &s.ask.q, PT_MISALIGNED, "items[7].pa:");
	assert_int_equal(status->index, 7);
	s.item[7].pa = 2 * PAGE;
	status = REFUSED(w.fx, "Transfer", &s.ask.q, PT_INVALID, "items[7]:");
	s.item[7].pa = 14 * PAGE;
	assert_int_equal(get(w.fx, w.machine, 0, 0)->ranges[0]->size, 64 * MIB);
	assert_int_equal(((Ptd__V1__TransferResponse *)OK(w.fx, "Transfer", &s.ask.q))->generation,
			 2);
	for (uint32_t i = 0; i < LIMIT_TRANSFER_ITEMS; i++) {
		assert_int_equal(owner_at(&w, 2 * i * PAGE)->ipa, IPA + i * PAGE);
		assert_int_equal(owner_at(&w, (2 * i + 1) * PAGE)->owner->kind, OF(HOST));
	}
	/* One of them is no longer the host's: none goes. */
	several(&s, &w, 3);
	for (uint32_t i = 0; i < 3; i++)
		s.item[i].ipa += 64 * PAGE;
	s.item[0].pa = PAGE;
	s.item[1].pa = 3 * PAGE;
	status = REFUSED(w.fx, "Transfer", &s.ask.q, PT_WRONG_OWNER, "");
	assert_int_equal(status->index, 2);
	assert_int_equal(status->ipa, 4 * PAGE);
	assert_int_equal(owner_at(&w, PAGE)->owner->kind, OF(HOST));
}

static void ranges_of_a_request_are_alike(void **state)
{
	struct world w = world(state);
	struct several s;
	Ptd__V1__Party hyp = PTD__V1__PARTY__INIT;

	several(&s, &w, 2);
	s.item[1].zero = true;
	assert_int_equal(REFUSED(w.fx, "Transfer", &s.ask.q, PT_INVALID, "items[1].zero:")->index,
			 1);
	several(&s, &w, 2);
	hyp.kind = OF(HYP);
	s.item[1].to = &hyp;
	s.item[1].ipa = 0;
	REFUSED(w.fx, "Transfer", &s.ask.q, PT_INVALID, "items[1].kind:");
	several(&s, &w, 2);
	s.item[1].kind = 99;
	REFUSED(w.fx, "Transfer", &s.ask.q, PT_INVALID, "items[1].kind:");
	several(&s, &w, 2);
	s.item[1].size = 0;
	REFUSED(w.fx, "Transfer", &s.ask.q, PT_INVALID, "items[1].size:");
}

static void only_validated_or_expected_otherwise(void **state)
{
	struct world w = world(state);
	Ptd__V1__TransferResponse *r;
	struct ask a;

	donation(&a, &w, 0, IPA)->validate_only = true;
	r = OK(w.fx, "Transfer", &a.q);
	assert_int_equal(r->generation, 1);
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
	assert_int_equal(get_machine(w.fx, w.machine)->owner_pages, 0);
	a.q.expected_generation = 2;
	REFUSED(w.fx, "Transfer", &a.q, PT_GENERATION_MISMATCH, "expected_generation:");
	a.q.validate_only = false;
	REFUSED(w.fx, "Transfer", &a.q, PT_GENERATION_MISMATCH, "expected_generation:");
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
	a.q.expected_generation = 1;
	r = OK(w.fx, "Transfer", &a.q);
	assert_int_equal(r->generation, 2);
	a.q.validate_only = true;
	a.q.expected_generation = 0;
	REFUSED(w.fx, "Transfer", &a.q, PT_WRONG_OWNER, "");
}

static void a_request_is_done_once_and_remembered(void **state)
{
	struct world w = world(state);
	uint8_t id[16] = "transfer-0000001";
	struct ask a;

	donation(&a, &w, 0, IPA)->request_id = (ProtobufCBinaryData){16, id};
	OK(w.fx, "Transfer", &a.q);
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(owner_at(&w, 0)->request_id.len, 16);
	assert_memory_equal(owner_at(&w, 0)->request_id.data, id, 16);
	assert_int_equal(get_context(w.fx, w.host)->generation, 2);
	assert_int_equal(owner_at(&w, PAGE)->request_id.len, 0);
	a.item.pa = PAGE;
	REFUSED(w.fx, "Transfer", &a.q, PT_REQUEST_ID_REUSED, "request_id:");
	for (unsigned i = 0; i < LIMIT_OWNER_REQUESTS; i++)
		owners_number(owners_of(w.fx, w.machine), &a.q.request_id);
	assert_int_equal(owner_at(&w, 0)->request_id.len, 0);
}

/* A guest's memory is zero for whoever gets it next. */
static void write_byte(const struct world *w, uint64_t pa)
{
	Ptd__V1__WriteMemoryRequest q = PTD__V1__WRITE_MEMORY_REQUEST__INIT;
	uint8_t byte = 7;

	q.machine = w->machine;
	q.address = pa;
	q.data = (ProtobufCBinaryData){1, &byte};
	OK(w->fx, "WriteMemory", &q);
}

static uint8_t read_byte(const struct world *w, uint64_t pa)
{
	Ptd__V1__ReadMemoryRequest q = PTD__V1__READ_MEMORY_REQUEST__INIT;

	q.machine = w->machine;
	q.address = pa;
	q.length = 1;
	return ((Ptd__V1__ReadMemoryResponse *)OK(w->fx, "ReadMemory", &q))->data.data[0];
}

static void memory_is_wiped_where_it_is_due(void **state)
{
	struct world w = world(state);
	uint64_t resident;
	struct ask a;

	write_byte(&w, PAGE);
	donation(&a, &w, 0, IPA)->items[0]->size = 16 * PAGE;
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(read_byte(&w, PAGE), 7);
	resident = get_machine(w.fx, w.machine)->resident_bytes;
	ask(&a, &w, KIND(DONATE), OF(GUEST), OF(HOST), w.guarded)->items[0]->ipa = IPA;
	a.item.size = 16 * PAGE;
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(read_byte(&w, PAGE), 0);
	assert_int_equal(get_machine(w.fx, w.machine)->resident_bytes, resident);
	write_byte(&w, PAGE);
	donation(&a, &w, PAGE, IPA)->items[0]->zero = true;
	OK(w.fx, "Transfer", &a.q);
	assert_int_equal(read_byte(&w, PAGE), 0);
}

static void a_deleted_guest_gives_all_back(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct ask a;

	write_byte(&w, 3 * PAGE);
	donation(&a, &w, 0, IPA)->items[0]->size = 8 * PAGE;
	OK(w.fx, "Transfer", &a.q);
	ask(&a, &w, KIND(FORCE_RECLAIM), OF(GUEST), OF(HOST), 0);
	OK(w.fx, "Transfer", &a.q);
	ask(&a, &w, KIND(SHARE), OF(HOST), OF(GUEST), w.plain);
	a.item.pa = 20 * PAGE;
	a.item.prot = 3;
	OK(w.fx, "Transfer", &a.q);
	q.handle = w.guarded;
	OK(w.fx, "DeleteContext", &q);
	assert_int_equal(read_byte(&w, 3 * PAGE), 0);
	q.handle = w.plain;
	OK(w.fx, "DeleteContext", &q);
	assert_int_equal(get(w.fx, w.machine, 0, 0)->ranges[0]->size, 64 * MIB);
	assert_int_equal(owner_at(&w, 20 * PAGE)->borrowers, 0);
	assert_int_equal(atomic_load(&owners_of(w.fx, w.machine)->active), 0);
}

/* A transfer under way: `steps` of its steps are done. */
static struct fake *begun(const struct world *w, struct ask *a, unsigned steps)
{
	struct fake *f;

	donation(a, w, 0, IPA)->items[0]->size = 32 * MIB;
	f = fake_call(w->fx, 0, "Transfer", &a->q);
	while (steps--)
		assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	return f;
}

/* After each number of steps: it is done or not done, and nobody holds anything. */
static void given_up_it_is_done_or_not_done(void **state)
{
	struct world w = world(state);
	unsigned undone = 0, done = 0;

	while (!done) {
		struct ask a, other;
		struct fake *f = begun(&w, &a, undone);

		fake_abandon(f);
		keep(w.fx, f);
		assert_int_equal(atomic_load(&owners_of(w.fx, w.machine)->active), 0);
		done = owner_at(&w, 0)->owner->kind == OF(GUEST);
		assert_int_equal(owner_at(&w, 32 * MIB - PAGE)->owner->kind,
				 done ? OF(GUEST) : OF(HOST));
		undone += !done;
		donation(&other, &w, 40 * MIB, IPA + 40 * MIB);
		OK(w.fx, "Transfer", &other.q);
		ask(&other, &w, KIND(DONATE), OF(GUEST), OF(HOST), w.guarded);
		other.item.ipa = IPA + 40 * MIB;
		OK(w.fx, "Transfer", &other.q);
	}
	assert_true(undone > 1);
}

/* Two over the same frames: the second waits for the first, and finds them gone. */
static void a_second_one_waits(void **state)
{
	struct world w = world(state);
	struct ask a, b;
	struct fake *first = begun(&w, &a, 1), *second, *third;

	ask(&b, &w, KIND(SHARE), OF(HOST), OF(HYP), 0);
	second = fake_call(w.fx, 1, "Transfer", &b.q);
	third = fake_call(w.fx, 1, "Transfer", &b.q);
	assert_int_equal(fake_step(second, second->method->run), CALL_PARKED);
	assert_int_equal(fake_step(third, third->method->run), CALL_PARKED);
	fake_abandon(third);
	keep(w.fx, third);
	assert_int_equal(fake_run(first), CALL_DONE);
	assert_int_equal(first->call.status.code, PT_OK);
	assert_int_equal(second->wakes, 1);
	second->wakes = 0;
	assert_int_equal(fake_run(second), CALL_DONE);
	assert_int_equal(second->call.status.code, PT_WRONG_OWNER);
	keep(w.fx, first);
	keep(w.fx, second);
}

/* Machine and parties stay until it has ended, and no other one begins. */
static void a_deletion_waits_for_it(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteMachineRequest q = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	struct ask a, b;
	struct fake *transfer = begun(&w, &a, 1), *deletion;

	q.handle = w.machine;
	q.force = true;
	deletion = fake_call(w.fx, 1, "DeleteMachine", &q);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(fake_step(deletion, deletion->method->run), CALL_MORE);
	ask(&b, &w, KIND(SHARE), OF(HOST), OF(HYP), 0);
	REFUSED(w.fx, "Transfer", &b.q, PT_WRONG_STATE, "machine: it is being deleted");
	assert_int_equal(fake_run(transfer), CALL_DONE);
	assert_int_equal(transfer->call.status.code, PT_OK);
	assert_int_equal(fake_run(deletion), CALL_DONE);
	assert_int_equal(deletion->call.status.code, PT_OK);
	keep(w.fx, transfer);
	keep(w.fx, deletion);
}

/* A guest that is deleted meanwhile is in nobody's way, and in the end it is gone with all it got.
 */
static void a_guest_dies_meanwhile(void **state)
{
	struct world w = world(state);
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	for (unsigned steps = 0; steps < 5; steps++) {
		Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
		Ptd__V1__CreateContextRequest c;
		struct fake *transfer, *deletion;
		enum call_result result;
		struct ask a;

		transfer = begun(&w, &a, steps);
		q.handle = w.guarded;
		deletion = fake_call(w.fx, 1, "DeleteContext", &q);
		do {
			result = fake_step(deletion, deletion->method->run);
			if (transfer->call.status.code == PT_OK && !transfer->call.response)
				fake_step(transfer, transfer->method->run);
		} while (result != CALL_DONE);
		assert_int_equal(deletion->call.status.code, PT_OK);
		assert_int_equal(get(w.fx, w.machine, 0, 0)->ranges[0]->size, 64 * MIB);
		keep(w.fx, transfer);
		keep(w.fx, deletion);
		o.protected_ = true;
		c = context_request(w.machine, "guarded", GUEST, &o);
		w.guarded = ((Ptd__V1__CreateContextResponse *)OK(w.fx, "CreateContext", &c))
				    ->context->handle;
	}
}

/* Nothing changes, and the next try goes through. */
static void without_memory_nothing_changes(void **state)
{
	struct world w = world(state);
	struct pt_host_failpoint how = {.scope = w.guarded, .nth = 1, .times = 1};
	struct ask a;

	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
	REFUSED(w.fx, "Transfer", donation(&a, &w, 0, IPA), PT_NO_MEMORY, "");
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	assert_int_equal(owner_at(&w, 0)->owner->kind, OF(HOST));
	assert_int_equal(get_machine(w.fx, w.machine)->owner_pages, 0);
	OK(w.fx, "Transfer", &a.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_kind_with_its_parties),
		TEST(bad_requests_are_refused_by_name),
		TEST(refusals_say_what_is_in_the_way),
		TEST(the_largest_granule_is_the_unit),
		TEST(a_refusal_says_where),
		TEST(several_ranges_are_one_transition),
		TEST(ranges_of_a_request_are_alike),
		TEST(only_validated_or_expected_otherwise),
		TEST(a_request_is_done_once_and_remembered),
		TEST(memory_is_wiped_where_it_is_due),
		TEST(a_deleted_guest_gives_all_back),
		TEST(given_up_it_is_done_or_not_done),
		TEST(a_second_one_waits),
		TEST(a_deletion_waits_for_it),
		TEST(a_guest_dies_meanwhile),
		TEST(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
