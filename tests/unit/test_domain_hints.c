/* SPDX-License-Identifier: BSD-2-Clause */
/* What the domain does beyond what was asked: the right of a whole group for a fault in one leaf,
 * empty tables freed in idle time. */
#include "domain_fixture.h"

#include <pt/context.h>

#define PAGE  4096
#define GROUP (16 * PAGE)
#define BLOCK (2 * MIB)
#define GIB   (1024 * MIB)
#define WRITE PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE

static const struct loop_counters *counters(struct fixture *fx)
{
	return domain_loop_counters(fx->loop[0]);
}

/* ---- groups ---- */

/* A slot of one block, mapped read-only by groups. */
static void map_groups(struct fixture *fx)
{
	Ptd__V1__MapRequest q = map_request(fx->context, 0, BLOCK, 0, PT_PROT_R);

	set_slot(fx, fx->context, 0, 0, BLOCK, 0, 0, PAGE);
	q.flags = PT_MAP_FORCE_PAGES | PT_MAP_CONTIGUOUS;
	OK(fx, "Map", &q);
}

static Ptd__V1__HandleFaultRequest fault_request(struct fixture *fx, uint64_t ipa,
						 Ptd__V1__AccessKind access)
{
	Ptd__V1__HandleFaultRequest q = PTD__V1__HANDLE_FAULT_REQUEST__INIT;

	q.context = fx->context;
	q.ipa = ipa;
	q.access = access;
	return q;
}

static bool grants(struct fixture *fx, uint64_t ipa, Ptd__V1__AccessKind access)
{
	return translate(fx, fx->context, ipa, access)->outcome == PT_OK;
}

static void a_fault_gives_a_group_its_right(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__HandleFaultRequest q = fault_request(fx, GROUP + 3 * PAGE, WRITE);
	Ptd__V1__HandleFaultResponse *r;
	uint64_t generation;

	map_groups(fx);
	generation = get_context(fx, fx->context)->generation;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_RELAXED);
	assert_int_equal(r->level, 3);
	assert_int_equal(r->prot & PT_PROT_RIGHTS, PT_PROT_R | PT_PROT_W);
	assert_int_equal(r->pa, GROUP + 3 * PAGE);
	assert_false(grants(fx, GROUP - PAGE, WRITE));
	assert_true(grants(fx, GROUP, WRITE));
	assert_true(grants(fx, 2 * GROUP - PAGE, WRITE));
	assert_false(grants(fx, 2 * GROUP, WRITE));
	assert_int_equal(atomic_load(&counters(fx)->groups_relaxed), 1);
	assert_int_equal(atomic_load(&counters(fx)->faults), 1);
	assert_int_equal(get_context(fx, fx->context)->generation, generation);
	q = fault_request(fx, GROUP, WRITE);
	assert_int_equal(((Ptd__V1__HandleFaultResponse *)OK(fx, "HandleFault", &q))->outcome,
			 PT_ALREADY_MAPPED);
	assert_int_equal(atomic_load(&counters(fx)->groups_relaxed), 1);
}

static void an_access_goes_on_after_its_group_got_the_right(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	Ptd__V1__AccessResponse *r;
	uint8_t byte = 7;

	map_groups(fx);
	q.context = fx->context;
	q.ipa = 5 * PAGE;
	q.access = WRITE;
	q.data = (ProtobufCBinaryData){1, &byte};
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_OK);
	assert_int_equal(r->n_exits, 1);
	assert_int_equal(r->exits[0]->outcome, PT_RELAXED);
	assert_int_equal(r->exits[0]->fault, PTD__V1__FAULT_KIND__FAULT_KIND_PERMISSION);
	r = OK(fx, "Access", &q);
	assert_int_equal(r->n_exits, 0);
	assert_int_equal(atomic_load(&counters(fx)->groups_relaxed), 1);
}

/* No right comes to pages that the slot does not back. */
static void a_group_that_reaches_beyond_its_slot_is_cut(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest map = map_request(fx->context, 0, BLOCK, 0, PT_PROT_R);
	Ptd__V1__HandleFaultRequest q = fault_request(fx, 3 * PAGE, WRITE);

	set_slot(fx, fx->context, 0, 0, 8 * PAGE, 0, 0, PAGE);
	map.flags = PT_MAP_FORCE_PAGES | PT_MAP_CONTIGUOUS;
	OK(fx, "Map", &map);
	assert_int_equal(((Ptd__V1__HandleFaultResponse *)OK(fx, "HandleFault", &q))->outcome,
			 PT_RELAXED);
	assert_true(grants(fx, 0, WRITE));
	assert_true(grants(fx, 7 * PAGE, WRITE));
	assert_false(grants(fx, 8 * PAGE, WRITE));
}

static void a_fault_given_up_holds_nothing(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__HandleFaultRequest q = fault_request(fx, 3 * PAGE, WRITE);
	Ptd__V1__DeleteContextRequest delete = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct fake *f;

	map_groups(fx);
	f = fake_call(fx, 0, "HandleFault", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE); /* the operation has begun */
	fake_abandon(f);
	keep(fx, f);
	assert_false(grants(fx, 3 * PAGE, WRITE));
	delete.handle = fx->context;
	OK(fx, "DeleteContext", &delete);
}

/* ---- empty tables ---- */

static uint64_t step(struct fixture *fx, bool idle)
{
	uint64_t due;

	domain_section_begin(fx->loop[0]);
	due = domain_idle_work(fx->loop[0], idle, fx->now_ns);
	domain_section_end(fx->loop[0]);
	return due;
}

/* Until there is nothing to do now; when there will be. */
static uint64_t be_idle(struct fixture *fx)
{
	uint64_t due;

	for (unsigned steps = 0; (due = step(fx, true)) <= fx->now_ns; steps++)
		assert_true(steps < 10000);
	return due;
}

static void map_page(struct fixture *fx, uint64_t ipa)
{
	Ptd__V1__MapRequest q = map_request(fx->context, ipa, PAGE, 0, PT_PROT_R);

	OK(fx, "Map", &q);
}

static void unmap(struct fixture *fx, uint64_t ipa, uint64_t size)
{
	Ptd__V1__UnmapRequest q = unmap_request(fx->context, ipa, size);

	OK(fx, "Unmap", &q);
}

static uint64_t tables(struct fixture *fx)
{
	return get_context(fx, fx->context)->table_pages;
}

static void empty_tables_go_after_a_rest(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(be_idle(fx), UINT64_MAX);
	map_page(fx, GIB);
	unmap(fx, GIB, PAGE);
	assert_int_equal(tables(fx), 2);
	assert_int_equal(be_idle(fx), fx->now_ns + SWEEP_REST_NS);
	fx->now_ns += SWEEP_REST_NS - 1;
	assert_int_equal(be_idle(fx), fx->now_ns + 1);
	assert_int_equal(tables(fx), 2);
	fx->now_ns++;
	assert_true(step(fx, false) <= fx->now_ns); /* due, but the loop is busy */
	assert_int_equal(tables(fx), 2);
	assert_int_equal(be_idle(fx), UINT64_MAX);
	assert_int_equal(tables(fx), 0);
	assert_int_equal(atomic_load(&counters(fx)->tables_swept), 2);
}

static void who_unmaps_again_puts_it_off(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < 5; i++) {
		map_page(fx, GIB);
		unmap(fx, GIB, PAGE);
		fx->now_ns += SWEEP_REST_NS / 2;
		be_idle(fx);
		assert_int_equal(tables(fx), 2);
	}
	fx->now_ns += SWEEP_REST_NS / 2;
	be_idle(fx);
	assert_int_equal(tables(fx), 0);
}

static void tables_in_use_stay(void **state)
{
	struct fixture *fx = *state;

	map_page(fx, GIB);
	map_page(fx, GIB + 7 * PAGE);
	map_page(fx, GIB + BLOCK);
	unmap(fx, GIB, PAGE);
	unmap(fx, GIB + BLOCK, PAGE);
	fx->now_ns += SWEEP_REST_NS;
	be_idle(fx);
	assert_int_equal(tables(fx), 2);
	assert_int_equal(atomic_load(&counters(fx)->tables_swept), 1);
	assert_true(grants(fx, GIB + 7 * PAGE, PTD__V1__ACCESS_KIND__ACCESS_KIND_READ));
}

/* Side by side, over the border of the table above, and that table itself; the unmap of a slot. */
static void many_tables_go_with_those_above(void **state)
{
	enum { N = 600 };
	static uint64_t ipa[N];
	struct fixture *fx = *state;
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	uint64_t size = PAGE;
	uint32_t kind = PTD__V1__OP_KIND__OP_KIND_UNMAP, none = 0;

	for (unsigned i = 0; i < N; i++) {
		ipa[i] = GIB + i * BLOCK + 5 * PAGE;
		map_page(fx, ipa[i]);
	}
	assert_int_equal(tables(fx), N + 2);
	ops.n_ipa = N;
	ops.ipa = ipa;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &none;
	q.context = fx->context;
	q.mode = PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT;
	q.ops = &ops;
	OK(fx, "Apply", &q);
	assert_int_equal(tables(fx), N + 2);
	fx->now_ns += SWEEP_REST_NS;
	be_idle(fx);
	assert_int_equal(tables(fx), 0);
	assert_int_equal(atomic_load(&counters(fx)->tables_swept), N + 2);
}

/* More places than the list holds become one range of their context. */
static void no_place_is_forgotten(void **state)
{
	enum { N = 100 };
	struct fixture *fx = *state;

	for (unsigned i = 0; i < N; i++)
		map_page(fx, i * GIB);
	for (unsigned i = 0; i < N; i++)
		unmap(fx, i * GIB, PAGE);
	assert_int_equal(tables(fx), 2 * N);
	fx->now_ns += SWEEP_REST_NS;
	be_idle(fx);
	assert_int_equal(tables(fx), 0);
}

static void a_context_that_has_gone_is_left_alone(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	map_page(fx, GIB);
	unmap(fx, GIB, PAGE);
	q.handle = fx->context;
	OK(fx, "DeleteContext", &q);
	fx->now_ns += SWEEP_REST_NS;
	assert_int_equal(be_idle(fx), UINT64_MAX);
	assert_int_equal(atomic_load(&counters(fx)->tables_swept), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fault_gives_a_group_its_right),
		TEST(an_access_goes_on_after_its_group_got_the_right),
		TEST(a_group_that_reaches_beyond_its_slot_is_cut),
		TEST(a_fault_given_up_holds_nothing),
		TEST(empty_tables_go_after_a_rest),
		TEST(who_unmaps_again_puts_it_off),
		TEST(tables_in_use_stay),
		TEST(many_tables_go_with_those_above),
		TEST(no_place_is_forgotten),
		TEST(a_context_that_has_gone_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
