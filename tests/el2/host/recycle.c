/* SPDX-License-Identifier: BSD-2-Clause */
/* A host that touches new memory when a guest has taken all table memory. */
#include "host.h"

#define GIB	  (UINT64_C(1) << 30)
#define FAR(n)	  ((2 + (n)) * GIB)		    /* as the host sees it, */
#define FAR_PA(n) ((1 + (n)) * UINT64_C(512) * GIB) /* each needs a table of level 1 */
#define DEVICE	  UINT64_C(0x405)
#define STRIDES	  UINT64_C(8192)

extern uint64_t host_stage1[512];

/* The host's stage 1 reaches there. False: too far for this CPU, whose stage 2 begins at level 1.
 */
static bool reach(void)
{
	static const uint64_t bits[] = {32, 36, 40, 42, 44, 48, 48};
	uint64_t range, tcr;

	__asm__("mrs %0, id_aa64mmfr0_el1" : "=r"(range));
	range &= 0xf;
	if (range > 6 || bits[range] < 44)
		return false;
	for (uint64_t i = 0; i < 2; i++)
		host_stage1[2 + i] = FAR_PA(i) | DEVICE;
	__asm__("mrs %0, tcr_el1" : "=r"(tcr));
	tcr = (tcr & ~(UINT64_C(7) << 32)) | (range < 5 ? range : 5) << 32;
	__asm__ volatile(
		"dsb ishst\n\tmsr tcr_el1, %0\n\tisb\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::"r"(tcr)
		: "memory");
	return true;
}

/* Aborts that it takes at EL2. What the bus says then is QEMU's. */
static uint64_t aborts_of(uint64_t va)
{
	uint64_t before = (uint64_t)IMAGE(CALL_ABORTS, 0).code;

	(void)host_load(va);
	return (uint64_t)IMAGE(CALL_ABORTS, 0).code - before;
}

/* Until there is no page left. */
static void take_all_tables(uint64_t context)
{
	struct answer a = {PT_MAPPED, {0}};
	uint64_t n = 0;

	for (; a.code == PT_MAPPED && n < STRIDES; n++)
		a = CALL(MAP, context, DATA + n * BLOCK, PAGE, GUEST_PAGE, RW);
	EXPECT(-PT_NO_MEMORY, a);
	print_message("%lu tables\n", n);
}

static void devices_give_their_tables_back(void **state)
{
	uint64_t context;
	int64_t used;

	(void)state;
	if (!reach())
		skip();
	assert_int_equal(aborts_of(FAR(0)), 1);
	assert_int_equal(aborts_of(FAR(0)), 0);
	used = IMAGE(CALL_USED, 0).code;
	context = guest_new();
	take_all_tables(context);
	/* Steps of the recycling, and then it is mapped; what was given up comes back by aborts. */
	assert_true(aborts_of(FAR(1)) > 1);
	assert_int_equal(aborts_of(FAR(1)), 0);
	assert_true(aborts_of(FAR(0)) > 1);
	assert_int_equal(aborts_of(FAR(0)), 0);
	/* The guest gets none of it. */
	EXPECT(-PT_NO_MEMORY, CALL(MAP, context, DATA + STRIDES * BLOCK, PAGE, GUEST_PAGE, RW));
	guest_end(context);
	assert_int_equal(IMAGE(CALL_USED, 0).code, used);
}

const struct CMUnitTest host_recycle_tests[] = {
	cmocka_unit_test(devices_give_their_tables_back),
};
const size_t host_recycle_count = sizeof(host_recycle_tests) / sizeof(host_recycle_tests[0]);
