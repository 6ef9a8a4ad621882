/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions at EL2, counted under icount: from the vector to ERET of hypercalls and aborts, and
 * of lib's part alone. One CPU. A line for each row: how many, the sums, and how often.
 */
#include "host.h"

#include "lib_calls.h"

#include <pt/fault.h>
#include <pt/txn.h>
#include <pt/upkeep.h>

#define TABLES UINT64_C(64) /* of level 3, in a slot of 128 MiB */
#define ROUNDS UINT64_C(313)
#define SLOT   (TABLES * BLOCK)
#define HALF   (SLOT / 2) /* hypercalls work on the first half, lib alone on the second */
#define NONE   UINT64_MAX /* a row has no such column */

struct counted {
	uint64_t instructions, times;
};

/* What asking takes. */
static uint64_t bare_call, bare_lib;

static void print(const char *what, const struct counted *call, const struct counted *lib)
{
	print_message("counted %s: %lu/%lu %lu/%lu\n", what, call->instructions, call->times,
		      lib->instructions, lib->times);
}

static void start(void)
{
	IMAGE(CALL_COUNT, 1);
}

static void stop(struct counted *sum, uint64_t times)
{
	sum->instructions += (uint64_t)IMAGE(CALL_COUNT, 0).code - bare_call;
	sum->times += times;
}

static int64_t lib(struct counted *sum, uint64_t call, uint64_t context, uint64_t ipa,
		   uint64_t size)
{
	register uint64_t x0 __asm__("x0") = call;
	register uint64_t x1 __asm__("x1") = context & 0xff;
	register uint64_t x2 __asm__("x2") = ipa;
	register uint64_t x3 __asm__("x3") = size;

	__asm__ volatile("hvc %4"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 : "i"(CALL_LIB)
			 : "memory");
	sum->instructions += x1 - bare_lib;
	return (int64_t)x0;
}

/* The host has all of its memory, so that no abort of its own is counted. */
static void touch_memory(void)
{
	struct counted sum = {0};

	for (uint64_t at = HOST_BASE; at < RAM_END; at += BLOCK)
		assert_true(host_load(at));
	bare_call = bare_lib = 0;
	start();
	stop(&sum, 0);
	bare_call = sum.instructions;
	sum.instructions = 0;
	assert_int_equal(lib(&sum, LIB_NOTHING, 0, 0, 0), PT_OK);
	bare_lib = sum.instructions;
}

/* One operation, over and over at addresses `stride` apart, by hypercall and by lib alone. */
struct row {
	const char *name;
	uint64_t hvc, lib; /* NONE: not that way */
	int64_t outcome;   /* but for upkeep, which says OK */
	uint64_t from, stride, times, size, per;
	uint32_t prot, flags;
};

static struct answer call(const struct row *row, uint64_t context, uint64_t at)
{
	const uint64_t map[] = {context, DATA + at, row->size, MEMORY + at,
				row->prot | (uint64_t)row->flags << 32};
	const uint64_t protect[] = {context, DATA + at, row->size, row->prot, 0};
	const uint64_t fault[] = {context, DATA + at, PT_ACCESS_WRITE, 0, 0};

	return host_finish(host_call(PT_HVC(row->hvc), row->hvc == PT_HVC_PROTECT ? protect
						       : row->hvc == PT_HVC_FAULT ? fault
										  : map));
}

static void one_row(const struct row *row, uint64_t context)
{
	uint64_t lib_args =
		row->lib == NONE ? 0 : lib_call((unsigned)row->lib, row->prot, row->flags);
	bool upkeep = row->lib != NONE && row->lib >= LIB_UPKEEP;
	struct counted calls = {0}, alone = {0};

	for (uint64_t i = 0; i < row->times; i++) {
		uint64_t at = row->from + i * row->stride;

		if (row->hvc != NONE) {
			struct answer a;

			start();
			a = call(row, context, at);
			stop(&calls, row->per);
			EXPECT(row->outcome, a);
		}
		if (row->lib != NONE) {
			int64_t outcome =
				lib(&alone, lib_args, context, DATA + HALF + at, row->size);

			assert_int_equal(outcome, upkeep ? PT_OK : row->outcome);
			alone.times += row->per;
		}
	}
	if (*row->name)
		print(row->name, &calls, &alone);
}

#define PAGE_BY_PAGE 0, PAGE, 64, PAGE, 1
#define PAGES_512    0, BLOCK, 8, BLOCK, 512
#define WHOLE_BLOCK  0, BLOCK, 8, BLOCK, 1
#define ITEM(kind)   (LIB_ITEM + PT_ITEM_##kind)
#define UPKEEP(kind) (LIB_UPKEEP + PT_UPKEEP_##kind)

/* Each as the one before has left the tables. */
/* clang-format off */
static const struct row ranges[] = {
	{"section", NONE, LIB_SECTION, PT_OK, PAGE_BY_PAGE, 0, 0},
	{"VERSION", PT_HVC_VERSION, NONE, PT_OK, PAGE_BY_PAGE, 0, 0},
	{"map a page, table absent", PT_HVC_MAP, ITEM(MAP), PT_MAPPED, BLOCK - PAGE, BLOCK, 16, PAGE, 1, RW, 0},
	{"map a page", PT_HVC_MAP, ITEM(MAP), PT_MAPPED, PAGE_BY_PAGE, RW, 0},
	{"map a page again", PT_HVC_MAP, ITEM(MAP), PT_ALREADY_MAPPED, PAGE_BY_PAGE, RW, 0},
	{"get-leaf", PT_HVC_LEAF, LIB_LEAF, PT_OK, PAGE_BY_PAGE, 0, 0},
	{"protect a page: read alone", PT_HVC_PROTECT, ITEM(PROTECT), PT_PROTECTED, PAGE_BY_PAGE, PT_PROT_R, 0},
	{"protect a page: write, too", PT_HVC_PROTECT, ITEM(PROTECT), PT_RELAXED, PAGE_BY_PAGE, RW, 0},
	{"write-protect a page", NONE, ITEM(WRITE_PROTECT), PT_PROTECTED, PAGE_BY_PAGE, 0, 0},
	{"relax a page", NONE, ITEM(RELAX), PT_RELAXED, PAGE_BY_PAGE, RW, 0},
	{"age a page", NONE, UPKEEP(AGE), PT_OK, PAGE_BY_PAGE, 0, 0},
	{"make a page young", NONE, ITEM(MAKE_YOUNG), PT_MADE_YOUNG, PAGE_BY_PAGE, 0, 0},
	{"flush a page", NONE, ITEM(FLUSH), PT_FLUSHED, PAGE_BY_PAGE, 0, 0},
	{"unmap a page", PT_HVC_UNMAP, ITEM(UNMAP), PT_UNMAPPED, PAGE_BY_PAGE, 0, 0},
	{"annotate a page", NONE, ITEM(ANNOTATE), PT_ANNOTATED, PAGE_BY_PAGE, 0, 0},
	{"", PT_HVC_UNMAP, ITEM(UNMAP), PT_UNMAPPED, 0, 0, 1, HALF, 1, 0, 0},
	{"map 512 pages, each", PT_HVC_MAP, ITEM(MAP), PT_MAPPED, PAGES_512, RW, PT_MAP_FORCE_PAGES},
	{"walk 512 pages, each", NONE, LIB_WALK, PT_OK, PAGES_512, 0, 0},
	{"protect 512 pages: read alone, each", PT_HVC_PROTECT, ITEM(PROTECT), PT_PROTECTED, PAGES_512, PT_PROT_R, 0},
	{"protect 512 pages: write, too, each", PT_HVC_PROTECT, ITEM(PROTECT), PT_RELAXED, PAGES_512, RW, 0},
	{"write-protect 512 pages, each", NONE, ITEM(WRITE_PROTECT), PT_PROTECTED, PAGES_512, 0, 0},
	{"relax 512 pages, each", NONE, ITEM(RELAX), PT_RELAXED, PAGES_512, RW, 0},
	{"age 512 pages, each", NONE, UPKEEP(AGE), PT_OK, PAGES_512, 0, 0},
	{"make 512 pages young, each", NONE, ITEM(MAKE_YOUNG), PT_MADE_YOUNG, PAGES_512, 0, 0},
	{"flush 512 pages, each", NONE, ITEM(FLUSH), PT_FLUSHED, PAGES_512, 0, 0},
	{"unmap 512 pages, each", PT_HVC_UNMAP, ITEM(UNMAP), PT_UNMAPPED, PAGES_512, 0, 0},
	{"annotate 512 pages, each", NONE, ITEM(ANNOTATE), PT_ANNOTATED, PAGES_512, 0, 0},
	{"", PT_HVC_UNMAP, ITEM(UNMAP), PT_HOLE, 0, 0, 1, HALF, 1, 0, 0},
	{"map a 2 MiB block", PT_HVC_MAP, ITEM(MAP), PT_MAPPED, WHOLE_BLOCK, RW, 0},
	{"split a block", NONE, UPKEEP(SPLIT), PT_OK, WHOLE_BLOCK, 0, 0},
	{"collapse a block", NONE, UPKEEP(COLLAPSE), PT_OK, WHOLE_BLOCK, 0, 0},
	{"protect a page of a block", PT_HVC_PROTECT, ITEM(PROTECT), PT_PROTECTED, PAGE, BLOCK, 8, PAGE, 1, PT_PROT_R, 0},
	{"unmap what was a block", PT_HVC_UNMAP, ITEM(UNMAP), PT_UNMAPPED, WHOLE_BLOCK, 0, 0},
	{"", PT_HVC_MAP, ITEM(MAP), PT_MAPPED, WHOLE_BLOCK, RW, 0},
	{"unmap a 2 MiB block", PT_HVC_UNMAP, ITEM(UNMAP), PT_UNMAPPED, WHOLE_BLOCK, 0, 0},
	{"VMID run and stop", NONE, LIB_VMID, PT_OK, PAGE_BY_PAGE, 0, 0},
};
/* Over a slot. */
static const struct row faults[] = {
	{"FAULT, table absent", PT_HVC_FAULT, LIB_FAULT, PT_MAPPED, BLOCK - PAGE, BLOCK, 16, PAGE, 1, PT_FAULT_TRANSLATION, 0},
	{"FAULT, table present", PT_HVC_FAULT, LIB_FAULT, PT_MAPPED, PAGE_BY_PAGE, PT_FAULT_TRANSLATION, 0},
	{"FAULT, already mapped", PT_HVC_FAULT, LIB_FAULT, PT_ALREADY_MAPPED, PAGE_BY_PAGE, PT_FAULT_TRANSLATION, 0},
};
/* clang-format on */

static void operations_are_counted(void **state)
{
	uint64_t context = guest_new();

	(void)state;
	touch_memory();
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		one_row(&ranges[i], context);
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, context, DATA, SLOT, MEMORY, SHIFT(12))));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		one_row(&faults[i], context);
	guest_end(context);
}

static void contexts_are_counted(void **state)
{
	struct counted made = {0}, ended = {0}, set = {0}, deleted = {0}, run = {0}, none = {0};
	struct counted lib_made = {0}, lib_ended = {0};
	uint64_t context = guest_new();

	(void)state;
	touch_memory();
	for (unsigned i = 0; i < 16; i++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_mode, 0, 0, 0);
		struct answer a;
		uint64_t handle;

		start();
		a = CALL(CREATE, VTCR_SMALL, UINT64_MAX);
		stop(&made, 1);
		EXPECT(PT_OK, a);
		handle = a.x[0];
		start();
		a = host_finish(CALL(SET_SLOT, handle, DATA, SLOT, MEMORY, SHIFT(12)));
		stop(&set, 1);
		EXPECT(PT_OK, a);
		start();
		a = host_finish(CALL(DELETE_SLOT, handle, DATA, SLOT));
		stop(&deleted, 1);
		EXPECT(PT_OK, a);
		start();
		a = host_finish(CALL(DESTROY, handle));
		stop(&ended, 1);
		EXPECT(PT_OK, a);
		assert_int_equal(lib(&lib_made, LIB_CREATE, context, 0, 0), PT_OK);
		assert_int_equal(lib(&lib_ended, LIB_DESTROY, context, 0, 0), PT_OK);
		lib_made.times++;
		lib_ended.times++;
		start();
		a = CALL(RUN, context, (uintptr_t)v);
		stop(&run, 1);
		EXPECT(PT_OK, a);
		assert_int_equal(a.x[0], PT_EL2_VCPU_EXIT);
	}
	print("CREATE", &made, &lib_made);
	print("SET_SLOT", &set, &none);
	print("DELETE_SLOT", &deleted, &none);
	print("DESTROY", &ended, &lib_ended);
	print("RUN and EXIT", &run, &none);
	guest_end(context);
}

/* A run of the guest over a page in each of the tables, without what it takes when all is mapped:
 * the world switch. */
static void pass(uint64_t context, uint64_t page, struct counted *sum)
{
	for (unsigned again = 0; again < 2; again++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_sum, DATA + page * PAGE, TABLES, BLOCK);
		uint64_t aborts = IMAGE(CALL_ABORTS, 0).x[0], instructions;

		IMAGE(CALL_COUNT, 1);
		if (guest_run(context, v) != PT_EL2_VCPU_EXIT)
			fail();
		instructions = (uint64_t)IMAGE(CALL_COUNT, 0).code;
		aborts = IMAGE(CALL_ABORTS, 0).x[0] - aborts;
		assert_int_equal(aborts, again ? 0 : TABLES);
		sum->instructions += again ? -instructions : instructions;
		sum->times += aborts;
	}
}

/* Real aborts of a guest. */
static void aborts_are_counted(void **state)
{
	struct counted absent = {0}, present = {0}, right = {0}, young = {0}, none = {0};
	uint64_t context = guest_new();

	(void)state;
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, context, DATA, SLOT, MEMORY, SHIFT(12))));
	for (uint64_t i = 0; i < ROUNDS; i++) {
		EXPECT(i ? PT_UNMAPPED : PT_HOLE, host_finish(CALL(UNMAP, context, DATA, SLOT)));
		pass(context, 0, &absent);
	}
	for (uint64_t i = 1; i <= ROUNDS; i++)
		pass(context, i, &present);
	for (uint64_t i = 1; i <= 16; i++) {
		EXPECT(PT_PROTECTED, host_finish(CALL(PROTECT, context, DATA, SLOT, PT_PROT_R)));
		pass(context, i, &right);
	}
	EXPECT(PT_RELAXED, host_finish(CALL(PROTECT, context, DATA, SLOT, RW)));
	for (uint64_t i = 1; i <= 16; i++) {
		int64_t aged = lib(&none, LIB_UPKEEP + PT_UPKEEP_AGE, context, DATA, SLOT);

		assert_int_equal(aged, PT_OK);
		pass(context, i, &young);
	}
	none.instructions = 0;
	print("abort, table present", &present, &none);
	print("abort, table absent", &absent, &none);
	print("abort, right to write missing", &right, &none);
	print("abort, access flag clear", &young, &none);
	assert_true(present.times >= 20000 && absent.times >= 20000);
	guest_end(context);
}

const struct CMUnitTest host_count_tests[] = {
	cmocka_unit_test(operations_are_counted),
	cmocka_unit_test(contexts_are_counted),
	cmocka_unit_test(aborts_are_counted),
};
const size_t host_count_count = sizeof(host_count_tests) / sizeof(host_count_tests[0]);
