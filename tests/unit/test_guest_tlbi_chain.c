/* SPDX-License-Identifier: BSD-2-Clause */
/* TLBIs of a VMID that has many shadows: all are named, each step is bounded. */
#define GUEST_SHADOWS 40u
#include "guest_fixture.h"

#define VMID 5

static struct guest g;
static struct pt_shadow shadow[GUEST_SHADOWS];

/* Of one VMID, and so in one chain. */
static void open_many(unsigned count)
{
	guest_open_bare(&g, &shapes[0], 12, false);
	memset(shadow, 0, sizeof(shadow));
	for (unsigned i = 0; i < count; i++) {
		g.regs.vttbr = g.key.vttbr += UINT64_C(1) << 20;
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &shadow[i]));
	}
}

static void close_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		guest_end(&g, &shadow[i], 100);
	guest_close(&g);
}

/* With one look a step, but for what is no look: how many shadows were named. */
static uint32_t invalidate(enum pt_guest_tlbi_scope scope)
{
	const struct pt_guest_tlbi tlbi = {.scope = scope};
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome;

	pt_guest_tlbi_begin(&op, &g.nested, VMID, &tlbi);
	do {
		pt_section_begin(&g.c.agent);
		outcome = pt_guest_tlbi_step(&op, &g.c.agent, 1);
		pt_section_end(&g.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	return op.shadows;
}

static void each_of_a_vmid_is_named_once(void **state)
{
	(void)state;
	for (unsigned count = 14; count <= GUEST_SHADOWS; count += count < 18 ? 1 : 22) {
		open_many(count);
		assert_int_equal(count, invalidate(PT_GUEST_TLBI_STAGE1));
		assert_int_equal(count, invalidate(PT_GUEST_TLBI_VMID));
		guest_end(&g, &shadow[count / 2], 100); /* a gap in the numbers */
		assert_int_equal(count - 1, invalidate(PT_GUEST_TLBI_VMID));
		memset(&shadow[count / 2], 0, sizeof(shadow[0]));
		g.regs.vttbr = g.key.vttbr += UINT64_C(1) << 20;
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &shadow[count / 2]));
		close_many(count);
	}
}

/* A guest hypervisor chooses its VMIDs: all shadows may be in one chain. Here it has no end, and
 * nobody comes so far. */
static void a_long_chain_is_not_followed(void **state)
{
	struct pt_shadow *far, *kept;

	(void)state;
	open_many(GUEST_SHADOWS);
	far = atomic_load(&g.nested.bucket[VMID]);
	for (unsigned i = 0; i < 20; i++)
		far = atomic_load(&far->next);
	kept = atomic_load(&far->next);
	atomic_store(&far->next, far);
	assert_int_equal(GUEST_SHADOWS, invalidate(PT_GUEST_TLBI_VMID));
	atomic_store(&far->next, kept);
	close_many(GUEST_SHADOWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_a_vmid_is_named_once),
		cmocka_unit_test(a_long_chain_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
