/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that a guest's stage-2 fault takes at EL2, from the vector to ERET. */
#include "host.h"

#define TABLES UINT64_C(64) /* of level 3, in a slot of 128 MiB */
#define ROUNDS UINT64_C(313)
#define SLOT   (TABLES * BLOCK)

struct counted {
	uint64_t instructions, faults;
};

/* A run of the guest over a page in each of the tables, without what it takes when all is mapped:
 * the world switch. */
static void pass(uint64_t context, uint64_t page, struct counted *sum)
{
	for (unsigned again = 0; again < 2; again++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA + page * PAGE, TABLES, BLOCK);
		uint64_t faults = IMAGE(CALL_ABORTS, 0).x[0], instructions;

		IMAGE(CALL_COUNT, 1);
		if (guest_run(context, v) != PT_EL2_VCPU_EXIT)
			fail();
		instructions = (uint64_t)IMAGE(CALL_COUNT, 0).code;
		faults = IMAGE(CALL_ABORTS, 0).x[0] - faults;
		assert_int_equal(faults, again ? 0 : TABLES);
		sum->instructions += again ? -instructions : instructions;
		sum->faults += faults;
	}
}

static void print(const char *what, const struct counted *sum)
{
	print_message("%s: %lu instructions in %lu faults\n", what, sum->instructions, sum->faults);
}

static void faults_are_counted(void **state)
{
	struct counted absent = {0}, present = {0};
	uint64_t context = guest_new();

	(void)state;
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, context, DATA, SLOT, MEMORY, SHIFT(12))));
	for (uint64_t i = 0; i < ROUNDS; i++) {
		EXPECT(i ? PT_UNMAPPED : PT_HOLE, host_finish(CALL(UNMAP, context, DATA, SLOT)));
		pass(context, 0, &absent);
	}
	for (uint64_t i = 1; i <= ROUNDS; i++)
		pass(context, i, &present);
	print("table present", &present);
	print("table absent", &absent);
	assert_true(present.faults >= 20000 && absent.faults >= 20000);
	guest_end(context);
}

const struct CMUnitTest host_count_tests[] = {cmocka_unit_test(faults_are_counted)};
