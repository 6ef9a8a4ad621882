/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines with owners: what is told of their ledger. Extents are made by
 * hand; records are not, since nothing but a transfer may change them. */
#include "domain_owner.h"

static void all_is_the_hosts_at_first(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), host;
	Ptd__V1__GetOwnerRequest q = PTD__V1__GET_OWNER_REQUEST__INIT;
	Ptd__V1__GetOwnerResponse *r;

	q.machine = m;
	REFUSED(fx, "GetOwner", &q, PT_WRONG_STATE, "machine: it has no context of kind HOST");
	host = party(fx, m, "host", HOST);
	r = get(fx, m, 3 * PAGE, 0);
	assert_true(get_machine(fx, m)->owners);
	assert_false(get_machine(fx, fx->machine)->owners);
	assert_int_equal(r->n_ranges, 1);
	assert_int_equal(r->next_pa, 0);
	assert_int_equal(r->ranges[0]->pa, 0);
	assert_int_equal(r->ranges[0]->size, 64 * MIB);
	assert_int_equal(r->ranges[0]->state, PTD__V1__PAGE_STATE__PAGE_STATE_OWNED);
	assert_int_equal(r->ranges[0]->owner->kind, OF_HOST);
	assert_int_equal(r->ranges[0]->owner->context, host);
	assert_int_equal(r->ranges[0]->request_id.len, 0);
	assert_int_equal(get_context(fx, host)->options->software_bits, 0);
	r = get(fx, m, 0, PAGE);
	assert_int_equal(r->ranges[0]->size, PAGE);
}

static void bad_questions_are_refused(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__GetOwnerRequest q = PTD__V1__GET_OWNER_REQUEST__INIT;
	Ptd__V1__ListOwnersRequest l = PTD__V1__LIST_OWNERS_REQUEST__INIT;
	Ptd__V1__CreateMachineRequest c = PTD__V1__CREATE_MACHINE_REQUEST__INIT;

	c.name = (char *)(uintptr_t) "m1";
	c.memory_bytes = MIB;
	c.vcpus = 1;
	c.owner_quota_pages = 1;
	REFUSED(fx, "CreateMachine", &c, PT_INVALID, "owner_quota_pages:");
	REFUSED(fx, "GetOwner", &q, PT_INVALID, "machine:");
	q.machine = l.machine = fx->machine;
	REFUSED(fx, "GetOwner", &q, PT_WRONG_STATE, "machine:");
	REFUSED(fx, "ListOwners", &l, PT_WRONG_STATE, "machine:");
	q.machine = l.machine = owned_machine(fx, "m1", 0);
	party(fx, q.machine, "host", HOST);
	l.page_token = (char *)(uintptr_t) "x";
	REFUSED(fx, "ListOwners", &l, PT_INVALID, "page_token:");
	q.pa = PAGE + 1;
	assert_int_equal(REFUSED(fx, "GetOwner", &q, PT_MISALIGNED, "pa:")->nearest_above,
			 2 * PAGE);
	q.pa = PAGE;
	q.size = 1;
	REFUSED(fx, "GetOwner", &q, PT_MISALIGNED, "size:");
	q.size = 64 * MIB;
	REFUSED(fx, "GetOwner", &q, PT_OUT_OF_RANGE, "pa:");
	q.pa = UINT64_MAX & ~(PAGE - 1);
	REFUSED(fx, "GetOwner", &q, PT_OUT_OF_RANGE, "pa:");
	q.size = 0;
	q.pa = 64 * MIB;
	REFUSED(fx, "GetOwner", &q, PT_OUT_OF_RANGE, "pa:");
}

static void a_range_says_whose_it_is_and_where(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), guest;
	Ptd__V1__GetOwnerResponse *r;

	party(fx, m, "host", HOST);
	party(fx, m, "g0", GUEST);
	guest = party(fx, m, "g1", GUEST);
	set(fx, m,
	    (struct pt_extent){.start = 16, .end = 32, .owner = {PT_OWNER_GUEST, 1, 0x40000}});
	set(fx, m, (struct pt_extent){.start = 32, .end = 33, .owner = {.kind = PT_OWNER_HYP}});
	set(fx, m, (struct pt_extent){.start = 33, .end = 40, .state = PT_PAGE_LENT, .meta = 77});
	r = get(fx, m, 20 * PAGE, 16 * PAGE);
	assert_int_equal(r->n_ranges, 3);
	assert_int_equal(r->ranges[0]->owner->kind, PTD__V1__OWNER_KIND__OWNER_KIND_GUEST);
	assert_int_equal(r->ranges[0]->owner->context, guest);
	assert_int_equal(r->ranges[0]->pa, 20 * PAGE);
	assert_int_equal(r->ranges[0]->size, 12 * PAGE);
	assert_int_equal(r->ranges[0]->ipa, 0x40004 * PAGE);
	assert_int_equal(r->ranges[0]->state, PTD__V1__PAGE_STATE__PAGE_STATE_OWNED);
	assert_int_equal(r->ranges[1]->owner->kind, PTD__V1__OWNER_KIND__OWNER_KIND_HYP);
	assert_int_equal(r->ranges[2]->owner->kind, OF_HOST);
	assert_int_equal(r->ranges[2]->state, PTD__V1__PAGE_STATE__PAGE_STATE_LENT);
	assert_int_equal(r->ranges[2]->lend_handle, 77);
	assert_int_equal(r->ranges[2]->size, 3 * PAGE);
	r = get(fx, m, 20 * PAGE, 0);
	assert_int_equal(r->n_ranges, 1);
	assert_int_equal(r->ranges[0]->pa, 16 * PAGE);
	assert_int_equal(r->ranges[0]->ipa, 0x40000 * PAGE);
}

/* The host's page at `pa`; `guest` 0: with hyp. */
static void share(struct fixture *fx, uint64_t m, uint64_t pa, uint64_t guest, uint64_t ipa)
{
	Ptd__V1__Party host = PTD__V1__PARTY__INIT, other = PTD__V1__PARTY__INIT;
	Ptd__V1__TransferItem item = PTD__V1__TRANSFER_ITEM__INIT, *items = &item;
	Ptd__V1__TransferRequest q = PTD__V1__TRANSFER_REQUEST__INIT;

	host.kind = OF_HOST;
	other.kind =
		guest ? PTD__V1__OWNER_KIND__OWNER_KIND_GUEST : PTD__V1__OWNER_KIND__OWNER_KIND_HYP;
	other.context = guest;
	item.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_SHARE;
	item.from = &host;
	item.to = &other;
	item.pa = pa;
	item.ipa = ipa;
	item.size = PAGE;
	item.prot = guest ? PT_PROT_R : 0;
	q.machine = m;
	q.items = &items;
	q.n_items = 1;
	OK(fx, "Transfer", &q);
}

static void a_shared_page_tells_how_often(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), guest;
	Ptd__V1__GetOwnerResponse *r;

	party(fx, m, "host", HOST);
	guest = party(fx, m, "guest", GUEST);
	for (uint64_t i = 0; i < 3; i++)
		share(fx, m, 0, guest, i * PAGE);
	share(fx, m, PAGE, 0, 0);
	for (uint64_t i = 0; i < 3; i++) {
		static const uint32_t borrowers[] = {3, 1, 0};

		r = get(fx, m, i * PAGE, PAGE);
		assert_int_equal(r->n_ranges, 1);
		assert_int_equal(r->ranges[0]->state,
				 i < 2 ? PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED
				       : PTD__V1__PAGE_STATE__PAGE_STATE_OWNED);
		assert_int_equal(r->ranges[0]->borrowers, borrowers[i]);
	}
}

/* Every second page is hyp's. */
static void stripes(struct fixture *fx, uint64_t m, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(set(fx, m,
				     (struct pt_extent){.start = 2 * i,
							.end = 2 * i + 1,
							.owner = {.kind = PT_OWNER_HYP}}),
				 PT_OK);
}

static void long_lists_come_in_pages(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), end = 0;
	Ptd__V1__ListOwnersRequest l = PTD__V1__LIST_OWNERS_REQUEST__INIT;
	Ptd__V1__ListOwnersResponse *r;
	Ptd__V1__GetOwnerResponse *g;
	size_t ranges = 0;
	Ptd__V1__ListContextsRequest contexts = PTD__V1__LIST_CONTEXTS_REQUEST__INIT;
	char token[40];

	party(fx, m, "host", HOST);
	stripes(fx, m, 600);
	contexts.machine = m;
	l.machine = m;
	do {
		l.page_size = 999;
		r = OK(fx, "ListOwners", &l);
		for (size_t i = 0; i < r->n_ranges; i++) {
			assert_int_equal(r->ranges[i]->pa, end);
			end += r->ranges[i]->size;
		}
		ranges += r->n_ranges;
		strcpy(token, r->next_page_token);
		l.page_token = contexts.page_token = token;
		if (token[0])
			REFUSED(fx, "ListContexts", &contexts, PT_INVALID, "page_token:");
	} while (token[0]);
	assert_int_equal(end, 64 * MIB);
	assert_int_equal(ranges, 1200);
	l.page_token = (char *)(uintptr_t) "";
	l.page_size = 3;
	assert_int_equal(((Ptd__V1__ListOwnersResponse *)OK(fx, "ListOwners", &l))->n_ranges, 3);
	g = get(fx, m, 0, 64 * MIB);
	assert_int_equal(g->n_ranges, 1000);
	assert_int_equal(g->next_pa, 1000 * PAGE);
}

static void the_ledger_has_a_quota_and_gives_its_pages_back(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteMachineRequest q = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	struct pt_pool *pool = &fx->domain->tables.world.pool;
	uint64_t used = atomic_load(&pool->used_bytes), m = owned_machine(fx, "m1", 0);
	uint64_t small = owned_machine(fx, "m2", 1);

	party(fx, m, "host", HOST);
	party(fx, small, "host", HOST);
	stripes(fx, m, 300);
	assert_int_equal(set(fx, small, (struct pt_extent){.end = 1, .state = PT_PAGE_LENT}),
			 PT_QUOTA);
	assert_int_equal(get_machine(fx, small)->owner_quota_pages, 1);
	assert_int_equal(get_machine(fx, m)->owner_quota_pages, 0);
	assert_in_range(get_machine(fx, m)->owner_pages, 2, 100);
	q.force = true;
	q.handle = m;
	OK(fx, "DeleteMachine", &q);
	q.handle = small;
	OK(fx, "DeleteMachine", &q);
	for (unsigned i = 0; i < 100; i++)
		for (unsigned loop = 0; loop < 2; loop++) {
			domain_section_begin(fx->loop[loop]);
			domain_section_end(fx->loop[loop]);
		}
	assert_int_equal(atomic_load(&pool->used_bytes), used);
}

/* Meanwhile nobody reads what goes. */
static void a_ledger_that_goes_is_not_read(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteMachineRequest q = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	Ptd__V1__GetOwnerRequest g = PTD__V1__GET_OWNER_REQUEST__INIT;
	uint64_t m = owned_machine(fx, "m1", 0);
	struct owners *o = owners_of(fx, m);
	struct fake *deletion;

	party(fx, m, "host", HOST);
	stripes(fx, m, 10);
	q.force = true;
	q.handle = g.machine = m;
	deletion = fake_call(fx, 0, "DeleteMachine", &q);
	while (atomic_load(&o->host))
		assert_int_equal(fake_step(deletion, deletion->method->run), CALL_MORE);
	domain_section_begin(fx->loop[1]); /* it has found the machine, say */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(fake_step(deletion, deletion->method->run), CALL_MORE);
	assert_true(pt_store_pages(&o->store) > 0);
	REFUSED(fx, "GetOwner", &g, PT_WRONG_STATE, "machine: it is being deleted");
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(deletion), CALL_DONE);
	assert_int_equal(deletion->call.status.code, PT_OK);
	keep(fx, deletion);
	REFUSED(fx, "GetOwner", &g, PT_NOT_FOUND, "machine:");
}

static void the_host_comes_first_and_goes_last(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), host, guest;
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions o = identity();
	Ptd__V1__CreateContextRequest c = context_request(m, "g0", GUEST, NULL);

	REFUSED(fx, "CreateContext", &c, PT_WRONG_STATE, "kind:");
	c = context_request(m, "host", HOST, NULL);
	REFUSED(fx, "CreateContext", &c, PT_INVALID, "options.identity:");
	o.software_bits = 2;
	c.options = &o;
	REFUSED(fx, "CreateContext", &c, PT_INVALID, "options.software_bits:");
	o.software_bits = 4;
	host = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &c))->context->handle;
	c.name = (char *)(uintptr_t) "other";
	REFUSED(fx, "CreateContext", &c, PT_ALREADY_EXISTS, "kind:");
	guest = party(fx, m, "g0", GUEST);
	q.handle = host;
	REFUSED(fx, "DeleteContext", &q, PT_WRONG_STATE, "handle: the HOST");
	q.handle = guest;
	OK(fx, "DeleteContext", &q);
	q.handle = host;
	REFUSED(fx, "DeleteContext", &q, PT_WRONG_STATE, "handle: the HOST");
	o.software_bits = 0;
	o.protected_ = true;
	c = context_request(fx->machine, "g9", GUEST, &o);
	REFUSED(fx, "CreateContext", &c, PT_INVALID, "options.protected:");
}

static void guests_have_numbers_and_a_limit(void **state)
{
	struct fixture *fx = *state;
	uint64_t m = owned_machine(fx, "m1", 0), guest[LIMIT_GUESTS];
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__CreateContextRequest c = context_request(m, "more", GUEST, NULL);
	struct owners *o = owners_of(fx, m);
	char name[8];

	party(fx, m, "host", HOST);
	for (unsigned i = 0; i < LIMIT_GUESTS; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		guest[i] = party(fx, m, name, GUEST);
		assert_int_equal(atomic_load(&o->guest[i]), guest[i]);
	}
	REFUSED(fx, "CreateContext", &c, PT_TOO_LARGE, "max_contexts contexts exist, or");
	q.handle = guest[7];
	OK(fx, "DeleteContext", &q);
	assert_int_equal(atomic_load(&o->guest[7]), 0);
	guest[7] = party(fx, m, "more", GUEST);
	assert_int_equal(atomic_load(&o->guest[7]), guest[7]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_the_hosts_at_first),
		TEST(bad_questions_are_refused),
		TEST(a_range_says_whose_it_is_and_where),
		TEST(a_shared_page_tells_how_often),
		TEST(long_lists_come_in_pages),
		TEST(the_ledger_has_a_quota_and_gives_its_pages_back),
		TEST(a_ledger_that_goes_is_not_read),
		TEST(the_host_comes_first_and_goes_last),
		TEST(guests_have_numbers_and_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
