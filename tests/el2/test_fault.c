/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest whose accesses really abort: each abort and each mapping against the other walker's word.
 */
#include "stage2.h"

#define MARK UINT64_C(0x1122334455667788)

static void with_each_shape(void (*body)(struct stage2 *))
{
	static struct stage2 s;
	unsigned ran = 0;

	for (unsigned i = 0; i < S2_SHAPES; i++) {
		if (!s2_open(&s, &s2_shapes[i]))
			continue;
		print_message("%s\n", s2_shapes[i].name);
		body(&s);
		s2_close(&s);
		ran++;
	}
	assert_true(ran >= 2); /* each model has 4K and 64K */
}

static void aborts(struct stage2 *s)
{
	uint64_t page = UINT64_C(1) << s->ctx.geo.granule_shift;
	uint64_t last = (UINT64_C(1) << s->ctx.geo.ipa_bits) - 8;
	const uint64_t nothing[] = {S2_RAM,	 S2_RAM + 8,	       S2_RAM + page - 8,
				    UINT64_C(0), UINT64_C(0xfffffff8), last};

	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		for (enum hw_access access = HW_READ; access <= HW_EXEC; access++)
			s2_compare_access(
				s, access == HW_EXEC ? nothing[i] & ~UINT64_C(3) : nothing[i],
				access);
	/* One level further down each time: a neighbour brings tables. */
	ASSERT_OUTCOME(PT_MAPPED, s2_map(s, S2_RAM + page, page, s2_pa(page), PT_PROT_R, 0));
	for (enum hw_access access = HW_READ; access <= HW_EXEC; access++) {
		s2_compare_access(s, S2_RAM, access);
		s2_compare_access(s, S2_RAM + page, access);
	}
}

static void every_abort_is_reported_as_predicted(void **state)
{
	(void)state;
	with_each_shape(aborts);
}

static void rights(struct stage2 *s)
{
	static const uint32_t prots[] = {PT_PROT_R,
					 PT_PROT_W,
					 PT_PROT_RW,
					 PT_PROT_R | PT_PROT_X,
					 PT_PROT_RWX,
					 PT_PROT_X,
					 PT_PROT(PT_PROT_RW, PT_MEM_NC),
					 PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)};
	uint64_t page = UINT64_C(1) << s->ctx.geo.granule_shift;

	memcpy(s2_memory(0), guest_answer, sizeof(guest_answer));
	pt_el2_icache_inval_pou(&s->port, s2_pa(0), 64);
	for (size_t i = 0; i < sizeof(prots) / sizeof(prots[0]); i++) {
		ASSERT_OUTCOME(PT_MAPPED, s2_map(s, S2_RAM, page, s2_pa(0), prots[i], 0));
		s2_compare_at(s, S2_RAM);
		s2_compare_at(s, S2_RAM + 0x123);
		s2_compare_access(s, S2_RAM, HW_READ);
		s2_compare_access(s, S2_RAM + 64, HW_WRITE);
		s2_compare_access(s, S2_RAM, HW_EXEC);
		ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(s, S2_RAM, page));
		s2_compare_at(s, S2_RAM);
	}
}

static void every_right_is_what_the_cpu_grants(void **state)
{
	(void)state;
	with_each_shape(rights);
}

/* PAR_EL1.ATTR: stage 1 says Normal write-back (HCR_EL2.DC), so this is stage 2's. */
static void types(struct stage2 *s)
{
	static const uint8_t attr[PT_MEM_TYPES] = {
		[PT_MEM_NORMAL] = 0xff, [PT_MEM_NC] = 0x44, [PT_MEM_DEVICE] = 0x04};
	uint64_t page = UINT64_C(1) << s->ctx.geo.granule_shift;

	for (uint32_t type = 0; type < PT_MEM_TYPES; type++) {
		ASSERT_OUTCOME(PT_MAPPED,
			       s2_map(s, S2_RAM, page, s2_pa(0), PT_PROT(PT_PROT_RW, type), 0));
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(S2_RAM) : "memory");
		el2_compared++;
		assert_int_equal(pt_el2_read_par_el1() >> 56, attr[type]);
		ASSERT_OUTCOME(PT_UNMAPPED, s2_unmap(s, S2_RAM, page));
	}
}

static void every_memory_type_is_what_the_cpu_sees(void **state)
{
	(void)state;
	with_each_shape(types);
}

static void fills(struct stage2 *s)
{
	struct s2_vcpu *v = &s->vcpu[0];
	struct pt_el2_exit exit;
	uint64_t far = UINT64_C(5) << 20;

	v->handle = true;
	*s2_memory(far) = MARK;
	assert_int_equal(s2_guest(v, guest_load, S2_RAM + far, 0, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, MARK);
	assert_int_equal(exit.aborts, 1);
	ASSERT_OUTCOME(PT_MAPPED, v->outcome);
	/* The slot is writable: the same mapping takes a store. */
	assert_int_equal(s2_guest(v, guest_store, S2_RAM + far, ~MARK, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.aborts, 0);
	assert_int_equal(*s2_memory(far), ~MARK);
	s2_compare_at(s, S2_RAM + far);
	/* A fetch adds execute to what is there. */
	memcpy(s2_memory(far), guest_answer, sizeof(guest_answer));
	v->handle = true;
	assert_int_equal(s2_guest(v, guest_exec, S2_RAM + far, 0, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, 42);
	assert_int_equal(exit.aborts, 1);
	ASSERT_OUTCOME(PT_RELAXED, v->outcome);
}

static void an_access_is_resolved_and_made_again(void **state)
{
	(void)state;
	with_each_shape(fills);
}

static void refusals(struct stage2 *s)
{
	struct s2_vcpu *v = &s->vcpu[0];
	struct pt_el2_exit exit;

	v->handle = true;
	assert_int_equal(s2_guest(v, guest_load, S2_RAM + S2_RAM_BYTES, 0, 0, &exit), PT_EL2_ABORT);
	ASSERT_OUTCOME(PT_NO_SLOT, v->outcome);
	*s2_memory(0) = MARK;
	assert_int_equal(s2_guest(v, guest_load, S2_READ_ONLY, 0, 0, &exit), PT_EL2_HVC);
	assert_int_equal(exit.value, MARK);
	assert_int_equal(s2_guest(v, guest_store, S2_READ_ONLY, 1, 0, &exit), PT_EL2_ABORT);
	ASSERT_OUTCOME(PT_READ_ONLY, v->outcome);
	assert_int_equal(*s2_memory(0), MARK);
	assert_int_equal(exit.abort.ipa, S2_READ_ONLY);
	assert_int_equal(s2_guest(v, guest_exec, S2_NO_EXEC, 0, 0, &exit), PT_EL2_ABORT);
	ASSERT_OUTCOME(PT_DENIED, v->outcome);
	s2_compare_at(s, S2_READ_ONLY);
}

static void what_slots_do_not_grant_ends_the_run(void **state)
{
	(void)state;
	with_each_shape(refusals);
}

/* To find the IPA of a permission fault EL2 asks stage 1, which says it in PAR_EL1. */
static void asks(struct stage2 *s)
{
	struct s2_vcpu *v = &s->vcpu[0];
	struct pt_el2_exit exit;

	v->handle = true;
	assert_int_equal(s2_guest(v, guest_load, S2_READ_ONLY, 0, 0, &exit), PT_EL2_HVC);
	pt_el2_write_par_el1(MARK);
	assert_int_equal(s2_guest(v, guest_store, S2_READ_ONLY, 1, 0, &exit), PT_EL2_ABORT);
	assert_int_equal(exit.abort.ipa, S2_READ_ONLY);
	assert_int_equal(pt_el2_read_par_el1(), MARK);
}

static void a_guests_par_outlives_its_abort(void **state)
{
	(void)state;
	with_each_shape(asks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_abort_is_reported_as_predicted),
		cmocka_unit_test(every_right_is_what_the_cpu_grants),
		cmocka_unit_test(every_memory_type_is_what_the_cpu_sees),
		cmocka_unit_test(an_access_is_resolved_and_made_again),
		cmocka_unit_test(what_slots_do_not_grant_ends_the_run),
		cmocka_unit_test(a_guests_par_outlives_its_abort),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
