/* SPDX-License-Identifier: BSD-2-Clause */
/* How many request ids are remembered, and whose are forgotten first. */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)
#define RW   3

/* Map of one page with the id `number`. PT_MAPPED: it ran, or was remembered while mapped. */
static uint32_t map_with_id(struct fixture *fx, uint32_t number)
{
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	uint8_t id[16] = {0};

	memcpy(id, &number, sizeof(number));
	m.request_id = (ProtobufCBinaryData){16, id};
	return ((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome;
}

/* The page is mapped: who is asked with an id that is remembered says MAPPED still. */
static bool is_remembered(struct fixture *fx, uint32_t number)
{
	return map_with_id(fx, number) == PT_MAPPED;
}

/* Maps and unmaps a page, so that each map with a new id says MAPPED. */
static void remember(struct fixture *fx, uint32_t number)
{
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);

	OK(fx, "Unmap", &u);
	assert_int_equal(map_with_id(fx, number), PT_MAPPED);
}

static void a_principal_loses_its_own_oldest_first(void **state)
{
	struct fixture *fx = *state;
	struct principal first = fx->principal;

	remember(fx, 7);
	fx->principal = (struct principal){.name = "uid:8", .admin = true};
	for (uint32_t i = 0; i <= LIMIT_PRINCIPAL_REQUEST_IDS; i++)
		remember(fx, 100 + i);
	assert_true(is_remembered(fx, 100 + LIMIT_PRINCIPAL_REQUEST_IDS));
	assert_true(is_remembered(fx, 102));
	assert_false(is_remembered(fx, 100)); /* and this takes the place of another */
	fx->principal = first;
	assert_true(is_remembered(fx, 7)); /* older than all of them */
}

static void the_greediest_pays_when_the_table_is_full(void **state)
{
	struct fixture *fx = *state;
	struct principal first = fx->principal;
	uint32_t each;

	remember(fx, 7);
	for (unsigned who = 0; who < 5; who++) {
		fx->principal = (struct principal){.admin = true};
		snprintf(fx->principal.name, sizeof(fx->principal.name), "uid:%u", 50 + who);
		each = who < 4 ? LIMIT_PRINCIPAL_REQUEST_IDS - 1 : 100;
		for (uint32_t i = 0; i < each; i++)
			remember(fx, 100 + i);
		assert_true(is_remembered(fx, 100 + each - 1));
	}
	fx->principal = first;
	assert_true(is_remembered(fx, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_principal_loses_its_own_oldest_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_greediest_pays_when_the_table_is_full, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
