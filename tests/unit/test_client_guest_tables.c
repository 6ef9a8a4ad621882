/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that libptd builds for a guest hypervisor, as the architectural walker reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/host/hwwalk.h>
#include <ptd.h>

#define KIB  UINT64_C(1024)
#define MIB  (KIB << 10)
#define GIB  (MIB << 10)
#define ROOM (8 * MIB)

#define RW  (PTD_PROT_R | PTD_PROT_W)
#define RWX (RW | PTD_PROT_PX | PTD_PROT_UX)

static uint64_t *memory;
static uint64_t base;

static int begin(void **state)
{
	(void)state;
	memory = aligned_alloc(64 * KIB, ROOM);
	return memory ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct ptd_guest_tables *t = arg;

	if (pa < t->base.v || pa - t->base.v >= t->bytes)
		return false;
	*descriptor = memory[(pa - t->base.v) / 8];
	return true;
}

static struct hw_result walk(struct ptd_guest_tables *t, uint64_t ipa, enum hw_access access)
{
	const struct hw_regs regs = {.vtcr = t->vtcr, .vttbr = t->vttbr};
	const struct hw_bus bus = {.read = bus_read, .arg = t};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, access, false, &r);
	return r;
}

static enum ptd_guest_result build(struct ptd_guest_tables *t, size_t room)
{
	memset(memory, 0xa5, ROOM); /* what was there before is nobody's table */
	return ptd_guest_tables_build(t, memory, room);
}

/* Both ends of a map, and what is next to it. */
static void check_map(struct ptd_guest_tables *t, const struct ptd_guest_map *m)
{
	const uint64_t at[] = {0, 8, m->size / 2, m->size - 1};

	for (unsigned i = 0; i < 4; i++) {
		struct hw_result r = walk(t, m->ipa.v + at[i], HW_READ);

		assert_int_equal(r.fault, HW_NO_FAULT);
		assert_int_equal(r.pa, m->out.v + at[i]);
		assert_int_equal(r.write, (m->prot & PTD_PROT_W) != 0);
		assert_int_equal(r.exec_el1, (m->prot & PTD_PROT_PX) != 0);
		assert_int_equal(r.exec_el0, (m->prot & PTD_PROT_UX) != 0);
		assert_int_equal(r.memattr, m->prot & PTD_PROT_DEVICE ? 1
					    : m->prot & PTD_PROT_NC   ? 5
								      : 15);
	}
	assert_int_equal(walk(t, m->ipa.v - 1, HW_READ).fault, HW_TRANSLATION);
	assert_int_equal(walk(t, m->ipa.v + m->size, HW_READ).fault, HW_TRANSLATION);
}

static void test_every_granule_and_size(void **state)
{
	const uint32_t granule[] = {12, 14, 16};

	(void)state;
	for (unsigned g = 0; g < 3; g++)
		for (uint32_t bits = 32; bits <= 48; bits++) {
			uint64_t page = UINT64_C(1) << granule[g];
			const struct ptd_guest_map map[] = {
				{{page}, page, {7 * page}, RW, 0},
				{{UINT64_C(1) << 30}, 512 * MIB + page, {GIB}, RWX, 0},
				{{(UINT64_C(1) << bits) - 2 * page},
				 page,
				 {page},
				 PTD_PROT_R | PTD_PROT_NC,
				 0},
				{{64 * page}, page, {page}, RW | PTD_PROT_DEVICE, 0},
			};
			struct ptd_guest_tables t = {.granule_shift = granule[g],
						     .ipa_bits = bits,
						     .base = {base = 512 * MIB},
						     .vmid = 9,
						     .maps = map,
						     .count = 4};

			assert_int_equal(build(&t, ROOM), PTD_GUEST_OK);
			assert_int_equal(t.vttbr, UINT64_C(9) << 48 | base);
			for (unsigned i = 0; i < 4; i++)
				check_map(&t, &map[i]);
		}
}

static void test_largest_blocks(void **state)
{
	const struct ptd_guest_map map = {{0}, 3 * GIB, {5 * GIB}, RW, 0};
	const struct ptd_guest_map odd = {{0}, 2 * GIB, {2 * MIB}, RW, 0};
	struct ptd_guest_tables t = {.granule_shift = 12, .ipa_bits = 40, .maps = &map, .count = 1};

	(void)state;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OK);
	assert_int_equal(walk(&t, GIB, HW_READ).span, GIB);
	assert_int_equal(t.bytes, 8 * KIB); /* two start tables, and no other */
	t.maps = &odd;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OK);
	assert_int_equal(walk(&t, GIB, HW_READ).span, 2 * MIB);
	t.granule_shift = 16;
	t.ipa_bits = 42;
	t.maps = &map;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OK);
	assert_int_equal(walk(&t, GIB, HW_READ).span, 512 * MIB);
}

static void test_refusals(void **state)
{
	const struct ptd_guest_map good = {{0}, 4 * KIB, {0}, RW, 0};
	struct ptd_guest_map map[2] = {good, good};
	struct ptd_guest_tables t = {.granule_shift = 12, .ipa_bits = 40, .maps = map, .count = 2};
	const struct ptd_guest_map bad[] = {
		{{0}, 0, {0}, RW, 0},
		{{1}, 4 * KIB, {0}, RW, 0},
		{{0}, 4 * KIB, {8}, RW, 0},
		{{0}, 4 * KIB, {0}, 0, 0},
		{{0}, 4 * KIB, {0}, 0x1000, 0},
		{{0}, 4 * KIB, {0}, PTD_PROT_PX, 0},
		{{0}, 4 * KIB, {0}, RWX | PTD_PROT_NC, 0},
		{{UINT64_C(1) << 40}, 4 * KIB, {0}, RW, 0},
		{{0}, UINT64_C(1) << 41, {0}, RW, 0},
		{{0}, 4 * KIB, {UINT64_C(1) << 48}, RW, 0},
	};

	(void)state;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OVERLAP);
	assert_int_equal(t.at_fault, 1);
	map[1].ipa.v = 4 * KIB; /* a page in the block of another */
	map[0].size = 2 * MIB;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OVERLAP);
	map[0] = good;
	assert_int_equal(build(&t, 8 * KIB + 2 * 4 * KIB), PTD_GUEST_OK);
	assert_int_equal(t.bytes, 16 * KIB);
	assert_int_equal(build(&t, 16 * KIB - 8), PTD_GUEST_NO_ROOM);
	assert_int_equal(build(&t, 8 * KIB - 8), PTD_GUEST_NO_ROOM);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		map[1] = bad[i];
		assert_int_equal(build(&t, ROOM), PTD_GUEST_INVALID);
		assert_int_equal(t.at_fault, 1);
	}
	map[1] = (struct ptd_guest_map){{8 * KIB}, 4 * KIB, {0}, RW, 0};
	t.base.v = 4 * KIB; /* the two start tables stand at 8 KiB */
	assert_int_equal(build(&t, ROOM), PTD_GUEST_INVALID);
	assert_int_equal(t.at_fault, t.count);
	t.base.v = (UINT64_C(1) << 48) - 8 * KIB; /* where only these have room */
	assert_int_equal(build(&t, ROOM), PTD_GUEST_NO_ROOM);
	t.base.v -= 8 * KIB;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_OK);
	t.base.v = 0;
	t.ipa_bits = 49;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_INVALID);
	t.ipa_bits = 40;
	t.granule_shift = 13;
	assert_int_equal(build(&t, ROOM), PTD_GUEST_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_granule_and_size),
		cmocka_unit_test(test_largest_blocks),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
