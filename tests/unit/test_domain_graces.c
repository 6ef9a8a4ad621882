/* SPDX-License-Identifier: BSD-2-Clause */
/* What the watchdog learns of grace periods: pages that a loop retired, and when they became safe.
 */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)

static void unlink_a_table(struct fixture *fx)
{
	Ptd__V1__MapRequest map = map_request(fx->context, 0, 2 * MIB, PAGE, 3); /* no block */
	Ptd__V1__UnmapRequest unmap = unmap_request(fx->context, 0, 2 * MIB);

	OK(fx, "Map", &map);
	OK(fx, "Unmap", &unmap);
}

static void empty_section(struct domain_loop *loop)
{
	domain_section_begin(loop);
	domain_section_end(loop);
}

static void retired_pages_wait_until_another_loop_has_ended_its_section(void **state)
{
	struct fixture *fx = *state;
	struct domain_graces before, graces;

	unlink_a_table(fx);
	before = domain_loop_graces(fx->loop[0]);
	assert_false(before.waits);
	domain_section_begin(fx->loop[1]);
	unlink_a_table(fx);
	empty_section(fx->loop[0]);
	graces = domain_loop_graces(fx->loop[0]);
	assert_true(graces.waits);
	assert_int_equal(graces.ended, before.ended);
	domain_section_end(fx->loop[1]);
	empty_section(fx->loop[0]);
	graces = domain_loop_graces(fx->loop[0]);
	assert_false(graces.waits);
	assert_int_equal(graces.ended, before.ended + 1);
}

static enum call_result step(struct fake *f)
{
	return fake_step(f, f->method->run);
}

static Ptd__V1__AccessRequest read_access(uint64_t context)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = context;
	q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	q.length = 1;
	return q;
}

/* V2: a call that has not ended keeps the context's memory, but its tables are gone by then. */
static void a_context_whose_tables_are_gone_is_not_found(void **state)
{
	struct fixture *fx = *state;
	uint64_t context = new_context(fx, fx->machine, "pinned");
	Ptd__V1__MapRequest map = map_request(context, 0, 64 * MIB, PAGE, 3);
	Ptd__V1__UnmapRequest unmap = unmap_request(context, 0, 64 * MIB);
	Ptd__V1__DeleteContextRequest delete = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__AccessRequest access = read_access(context);
	Ptd__V1__TranslateRequest translate = PTD__V1__TRANSLATE_REQUEST__INIT;
	Ptd__V1__GetDigestRequest digest = PTD__V1__GET_DIGEST_REQUEST__INIT;
	struct fake *pin, *end;

	OK(fx, "Map", &map);
	OK(fx, "Access", &access); /* it has a VMID: the unmap has to flush, and to wait */
	assert_int_equal(PT_OK, call_on(fx, 1, "Access", &access)->call.status.code);
	pin = fake_call(fx, 0, "Unmap", &unmap);
	assert_int_equal(CALL_MORE, step(pin)); /* its claim has drained */
	domain_section_begin(fx->loop[1]);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(CALL_MORE, step(pin));
	domain_section_end(fx->loop[1]);
	delete.handle = translate.context = digest.context = context;
	end = fake_call(fx, 0, "DeleteContext", &delete);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(CALL_MORE, step(end));
	REFUSED(fx, "Access", &access, PT_NOT_FOUND, "context: ");
	REFUSED(fx, "Translate", &translate, PT_NOT_FOUND, "context: ");
	REFUSED(fx, "GetDigest", &digest, PT_NOT_FOUND, "context: ");
	assert_int_equal(CALL_DONE, step(pin));
	assert_int_equal(CALL_DONE, step(end));
	assert_int_equal(PT_OK, end->call.status.code);
	fake_end(pin);
	fake_end(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retired_pages_wait_until_another_loop_has_ended_its_section),
		TEST(a_context_whose_tables_are_gone_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
