/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor that owns its memory: what it gives up, or the host takes by force, its guest
 * has no more; and nobody else reaches what its guest has. */
#include "nested.h"

#define TABLE UINT64_C(0x25000) /* IPA of its level 2 table */

static uint64_t frame(unsigned page)
{
	return FRAMES + nest.frame[page] * PAGE;
}

static uint64_t those_of(unsigned page)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < PAGES; i++)
		mask |= (uint64_t)(nest.to[i] == page) << i;
	return mask;
}

static unsigned first_of(unsigned page)
{
	unsigned i = 0;

	while (nest.to[i] != page)
		i++;
	return i;
}

static void guest_calls(uint32_t function, uint64_t ipa)
{
	nest_does(HYP_CALL, function, ipa, PAGE);
	assert_int_equal(nest_orders()->code, PT_OK);
}

/* The page is not the guest's any more: exactly it is gone, and a fault there is the host's. */
static void is_gone(unsigned page, int outcome)
{
	nest.host[page] = 0;
	nest_judge(ALL & ~those_of(page));
	nest_order(HYP_RUN, nest_code_at(guest_load), NDATA + first_of(page) * PAGE, 0);
	nest_is_hosts(OUTSIDE + page * PAGE, outcome);
}

static void owners_nested_give_up_a_page(void **state)
{
	uint64_t at, before;

	(void)state;
	nest_open();
	at = frame(6);
	assert_int_equal(nest_reads_all(), PAGES + 1);
	nest_judge(ALL);
	for (unsigned i = 0; i < PAGES; i++)
		assert_false(host_load(frame(i)));
	guest_calls(PT_HVC_BALLOON, OUTSIDE + 6 * PAGE);
	is_gone(6, PT_NO_SLOT);
	assert_int_equal(host_probe_load(at), 0);
	/* Given again, it is what its guest was waiting for. */
	*host_memory(at) = 4711;
	nest_host_maps(6, nest.frame[6], S2_R | S2_W);
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_orders()->value, 4711);
	assert_false(host_load(at));
	/* Shared with the host, it stays where it is; its guest and the host see the same. */
	guest_calls(PT_HVC_SHARE_BACK, OUTSIDE + 6 * PAGE);
	assert_true(host_store(at, 4712));
	assert_true(nest_loads(NDATA + first_of(6) * PAGE, &before));
	assert_int_equal(before, 4712);
	guest_calls(PT_HVC_UNSHARE_BACK, OUTSIDE + 6 * PAGE);
	assert_false(host_store(at, 4713));
	assert_true(nest_loads(NDATA + first_of(6) * PAGE, &before));
	assert_int_equal(before, 4712);
	nest_judge(ALL);
	nest_close();
}

/* By the host's access alone, where it may: it finds zeroes, and the guest's guest nothing. */
static void owners_nested_are_robbed(void **state)
{
	(void)state;
	nest_open();
	assert_int_equal(nest_reads_all(), PAGES + 1);
	assert_false(host_load(frame(8)));
	(void)IMAGE(CALL_FORCE, 1);
	assert_int_equal(host_probe_load(frame(8)), 0);
	(void)IMAGE(CALL_FORCE, 0);
	is_gone(8, PT_WRONG_OWNER);
	nest_close();
}

/* A table of the guest hypervisor's that it has not any more: an external abort on the walk. */
static void owners_nested_lose_a_table(void **state)
{
	uint64_t value;

	(void)state;
	nest_open();
	assert_true(nest_loads(NDATA, &value));
	nest_tlbi(IPAS2E1IS, NDATA, 1);
	guest_calls(PT_HVC_BALLOON, TABLE);
	assert_false(nest_loads(NDATA, &value));
	assert_int_equal(nest_orders()->x1, PT_EL2_VCPU_ABORT);
	assert_int_equal(FSC(nest_orders()->esr), 0x14 + 2);
	nest_close();
}

/* EL2's registers are written into nobody's page but the host's. */
static void owners_nested_have_an_el2_in_the_hosts_page(void **state)
{
	(void)state;
	nest_open();
	EXPECT(PT_OK, CALL(DONATE_HYP, (uintptr_t)&nest_el2, PAGE));
	EXPECT(-PT_WRONG_OWNER, CALL(RUN, nest.context, (uintptr_t)nest.v, (uintptr_t)&nest_el2));
	EXPECT(PT_OK, CALL(RETURN_HYP, (uintptr_t)&nest_el2, PAGE));
	nest_close();
}

/* The last one is of a guest with an EL2. */
const struct CMUnitTest host_nested_owner_tests[] = {
	cmocka_unit_test(owners_nested_give_up_a_page),
	cmocka_unit_test(owners_nested_are_robbed),
	cmocka_unit_test(owners_nested_lose_a_table),
	cmocka_unit_test(owners_nested_have_an_el2_in_the_hosts_page),
};
const size_t host_nested_owner_count =
	sizeof(host_nested_owner_tests) / sizeof(host_nested_owner_tests[0]);
