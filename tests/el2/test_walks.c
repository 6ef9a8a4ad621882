/* SPDX-License-Identifier: BSD-2-Clause */
/* Random tables in the whole of each IPA and PA space, of every leaf size: what AT says of them. */
#include "stage2.h"

#define OPERATIONS 400

static struct stage2 s;
static uint64_t seed;

static uint64_t below(uint64_t n)
{
	return s2_random(&seed) % n;
}

static uint32_t some_prot(void)
{
	static const uint32_t rights[] = {PT_PROT_R, PT_PROT_W, PT_PROT_RW, PT_PROT_R | PT_PROT_X,
					  PT_PROT_RWX};

	if (!below(4))
		return PT_PROT(PT_PROT_RW, PT_MEM_NC + below(2));
	return rights[below(5)];
}

/* Near one of a few places, so that operations meet. The guest's code is not touched. */
static uint64_t some_ipa(uint64_t align)
{
	uint64_t space = UINT64_C(1) << s.ctx.geo.ipa_bits;
	uint64_t place = space / 8 * (2 + below(6)), near = below(8) * align;

	return (place + near) / align * align;
}

/* AT agrees with what was asked for, not only with the other walker. */
static void compare_pa(uint64_t ipa, uint64_t pa, uint32_t prot)
{
	s2_compare_at(&s, ipa);
	if (!(prot & PT_PROT_R))
		return;
	__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(ipa) : "memory");
	assert_int_equal(pt_el2_read_par_el1() & UINT64_C(0x000ffffffffff001),
			 pa & UINT64_C(0x000ffffffffff000));
	el2_compared++;
}

static void one(void)
{
	int level = PT_LEVEL_LAST -
		    (int)below((uint64_t)(PT_LEVEL_LAST + 1 - s.ctx.geo.min_block_level));
	uint64_t size = pt_level_size(&s.ctx.geo, level), page = pt_level_size(&s.ctx.geo, 3);
	uint64_t ipa = some_ipa(size), pa_space = UINT64_C(1) << s.ctx.geo.pa_bits;
	uint64_t pa = s2_random(&seed) % pa_space / size * size;
	uint32_t prot = some_prot();
	uint64_t part = below(size / page) * page;

	switch (below(6)) {
	case 0: s2_unmap(&s, ipa, size); break;
	case 1: /* a part: the block around it is cut */ s2_unmap(&s, ipa + part, page); break;
	case 2: s2_protect(&s, ipa + part, page, prot & PT_PROT_RWX); break;
	default:
		ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, ipa, size, pa, prot, PT_MAP_REPLACE));
		compare_pa(ipa, pa, prot);
		compare_pa(ipa + size - 1, pa + size - 1, prot);
		compare_pa(ipa + part, pa + part, prot);
	}
	s2_compare_at(&s, ipa);
	s2_compare_at(&s, ipa + part);
	s2_compare_at(&s, ipa + size - 1);
	s2_compare_at(&s, some_ipa(page));
}

static void the_cpu_walks_what_lib_wrote(void **state)
{
	(void)state;
	seed = s2_seed();
	for (unsigned i = 0; i < S2_SHAPES; i++) {
		if (!s2_open(&s, &s2_shapes[i]))
			continue;
		for (unsigned n = 0; n < OPERATIONS; n++)
			one();
		s2_close(&s);
	}
}

/* The last page of 52 bits, where they are, and the first one after. */
static void the_space_ends_where_it_should(void **state)
{
	(void)state;
	for (unsigned i = 0; i < S2_SHAPES; i++) {
		if (!s2_open(&s, &s2_shapes[i]))
			continue;
		uint64_t page = pt_level_size(&s.ctx.geo, 3);
		uint64_t last = (UINT64_C(1) << s.ctx.geo.ipa_bits) - page;
		uint64_t pa = (UINT64_C(1) << s.ctx.geo.pa_bits) - page;

		ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, last, page, pa, PT_PROT_RW, 0));
		compare_pa(last, pa, PT_PROT_RW);
		compare_pa(last + page - 1, pa + page - 1, PT_PROT_RW);
		s2_compare_at(&s, last - 1);
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, s2_map(&s, last + page, page, 0, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, s2_map(&s, 0, page, pa + page, PT_PROT_RW, 0));
		ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(&s, last, page));
		s2_compare_at(&s, last);
		s2_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cpu_walks_what_lib_wrote),
		cmocka_unit_test(the_space_ends_where_it_should),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
