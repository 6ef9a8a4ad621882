/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access flags and dirty state: what guests have read and written, as lib tells it, is what they
 * did. Once with aborts that lib resolves, once with VTCR_EL2.HA and HD, where the CPU itself
 * writes into the tables, as the other walker predicts.
 */
#include <pt/dirty.h>
#include <pt/walk.h>

#include "stage2.h"

#define PAGES	   32
#define AF	   (UINT64_C(1) << 10)
#define LOG_WORDS  64
#define WRITTEN	   UINT64_C(64)	 /* pages that three CPUs write */
#define TOLD	   (4 * WRITTEN) /* at least, beside them, in as many rounds at most */
#define ROUNDS_MAX 100000

static struct stage2 s;
static bool hardware; /* the CPU keeps the flags of this context */
static uint64_t page;
static struct s2_vcpu *here; /* whose guest it is that accesses */
static struct pt_dirty_log dirty_log;
static uint64_t log_bits[LOG_WORDS], told; /* the generation of the last answer */

static void load_remote(void *v)
{
	s2_load(v);
}

static void unload_remote(void *v)
{
	s2_unload(v);
}

static void on_its_cpu(void (*job)(void *))
{
	assert_true(pt_el2_cpu_start(here->id));
	pt_el2_cpu_run(here->id, job, here);
	pt_el2_cpu_wait(here->id);
}

static bool open_shape(unsigned i)
{
	struct s2_shape shape = s2_shapes[i];

	if (hardware && !pt_el2_features.hw_dirty)
		return false;
	shape.vtcr_flags = hardware ? PT_VTCR_HA | PT_VTCR_HD : 0;
	if (!s2_open(&s, &shape))
		return false;
	page = UINT64_C(1) << s.ctx.geo.granule_shift;
	return true;
}

static void on_one_cpu(void (*body)(void), unsigned shape, uint32_t cpu)
{
	if (!open_shape(shape))
		return;
	here = &s.vcpu[cpu];
	if (cpu)
		on_its_cpu(load_remote);
	body();
	if (cpu)
		on_its_cpu(unload_remote);
	s2_close(&s);
}

/* The test by aborts, and by hardware with each shape. */
static void each(void (*body)(void))
{
	hardware = false;
	on_one_cpu(body, 0, 0);
	hardware = true;
	for (unsigned shape = 0; shape < S2_SHAPES; shape++)
		on_one_cpu(body, shape, 0);
}

static uint64_t ipa_of(uint64_t i)
{
	return S2_RAM + i * page;
}

/* What a leaf became by itself, of which a checked build is told. */
static pt_pte leaf_after(const struct hw_result *walk)
{
	const struct hw_step *last = &walk->step[walk->steps - 1];
	pt_pte *slot = pt_port_table(&s.port, pt_pa(last->entry));
	pt_pte now = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (now != last->descriptor)
		pt_port_note(PT_EVENT_HW_CAS, 0, slot, NULL, last->descriptor, now);
	return now;
}

/*
 * A read or a write that is allowed. Where the hardware keeps the flags no abort comes, and the
 * leaf becomes what the other walker said; else `aborts` of them come, which lib resolves.
 */
static void access_page(uint64_t i, enum hw_access access, uint64_t aborts)
{
	struct hw_result predicted = s2_walk(&s, ipa_of(i), access);
	struct pt_el2_exit exit;

	here->handle = true;
	assert_int_equal(s2_guest_on(here, access == HW_WRITE ? guest_store : guest_load, ipa_of(i),
				     i, &exit),
			 PT_EL2_HVC);
	el2_compared++;
	assert_int_equal(exit.aborts, hardware ? 0 : aborts);
	if (!hardware)
		return;
	assert_int_equal(predicted.fault, HW_NO_FAULT);
	assert_int_equal(leaf_after(&predicted), predicted.descriptor);
}

static uint64_t age(bool clear, uint8_t *bitmap)
{
	return s2_age(&s, S2_RAM, PAGES * page, clear, bitmap);
}

/* A step of a dirty-log operation at a time, from any state of it on; its pages. */
static uint64_t dirty(enum pt_dirty_kind kind, uint64_t pages, uint8_t *bitmap)
{
	static struct pt_dirty op;
	const struct pt_dirty_args args = {.kind = kind,
					   .log = &dirty_log,
					   .ctx = &s.ctx,
					   .ipa = {S2_RAM},
					   .size = pages * page,
					   .memory = kind == PT_DIRTY_START ? log_bits : NULL,
					   .clear = kind == PT_DIRTY_GET,
					   .generation = kind == PT_DIRTY_GET ? told : 0,
					   .bitmap = bitmap};
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, &args, NULL));
	do {
		pt_section_begin(&s.vcpu[0].agent);
		outcome = pt_dirty_step(&op, &s.vcpu[0].agent, 64);
		pt_section_end(&s.vcpu[0].agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	told = op.generation;
	return op.dirty;
}

static void start_log(uint64_t pages)
{
	memset(log_bits, 0, sizeof(log_bits));
	assert_in_range(pt_dirty_bytes(s.ctx.geo.granule_shift, pages * page), 1, sizeof(log_bits));
	dirty(PT_DIRTY_START, pages, NULL);
}

/* That the bits of a bitmap are these. */
static void expect(uint8_t *bitmap, uint32_t pages)
{
	uint32_t seen;

	memcpy(&seen, bitmap, sizeof(seen));
	memset(bitmap, 0, sizeof(seen));
	assert_int_equal(seen, pages);
}

static void aging(void)
{
	uint8_t bitmap[PAGES / 8] = {0};

	ASSERT_OUTCOME(PT_MAPPED,
		       s2_map(&s, S2_RAM, PAGES * page, s2_pa(0), PT_PROT_RW, PT_MAP_FORCE_PAGES));
	for (uint64_t i = 0; i < PAGES; i++)
		access_page(i, HW_READ, 0); /* the TLB has them */
	assert_int_equal(age(true, NULL), PAGES);
	assert_int_equal(age(false, NULL), 0);
	access_page(0, HW_READ, 1);
	access_page(3, HW_WRITE, 1);
	access_page(3, HW_READ, 0);
	access_page(31, HW_READ, 1);
	assert_int_equal(age(false, bitmap), 3);
	expect(bitmap, UINT32_C(0x80000009));
	assert_int_equal(age(true, bitmap), 3);
	expect(bitmap, UINT32_C(0x80000009));
	access_page(31, HW_WRITE, 1); /* it was flushed */
	assert_int_equal(age(true, bitmap), 1);
	expect(bitmap, UINT32_C(0x80000000));
}

static void what_was_accessed_is_young(void **state)
{
	(void)state;
	each(aging);
}

/* A read makes nothing dirty, a page that was told is clean, and old pages can be dirty. */
static void logging(void)
{
	uint8_t bitmap[PAGES / 8] = {0};

	ASSERT_OUTCOME(PT_MAPPED,
		       s2_map(&s, S2_RAM, PAGES * page, s2_pa(0), PT_PROT_RW, PT_MAP_FORCE_PAGES));
	access_page(4, HW_WRITE, 0);
	start_log(PAGES);
	assert_int_equal(dirty(PT_DIRTY_GET, PAGES, bitmap), 0);
	expect(bitmap, 0);
	access_page(1, HW_READ, 0);
	access_page(2, HW_WRITE, 1);
	access_page(4, HW_WRITE, 1);
	access_page(4, HW_WRITE, 0);
	assert_int_equal(dirty(PT_DIRTY_GET, PAGES, bitmap), 2);
	expect(bitmap, 0x14);
	access_page(4, HW_WRITE, 1); /* it was flushed */
	assert_int_equal(age(true, NULL), PAGES);
	access_page(9, HW_READ, 1);
	access_page(8, HW_WRITE, 1);
	assert_int_equal(age(false, bitmap), 2);
	expect(bitmap, 0x300);
	assert_int_equal(dirty(PT_DIRTY_GET, PAGES, bitmap), 2);
	expect(bitmap, 0x110);
	access_page(8, HW_WRITE, 1);
	assert_int_equal(dirty(PT_DIRTY_STOP, PAGES, NULL), 1);
}

static void what_was_written_is_told_once(void **state)
{
	(void)state;
	each(logging);
}

struct digest {
	uint64_t state[2];
};

static struct digest digest(void)
{
	struct pt_digest d;
	struct digest found;

	pt_section_begin(&s.vcpu[0].agent);
	pt_digest_begin(&d, &s.ctx);
	ASSERT_OUTCOME(PT_OK, pt_digest_step(&d, UINT32_MAX));
	pt_section_end(&s.vcpu[0].agent);
	memcpy(found.state, d.state, sizeof(found.state));
	return found;
}

/* The digest is of descriptors: it changes with a bit that the CPU sets, and back with lib's
 * clearing. */
static void digests(void)
{
	struct digest old, now;

	ASSERT_OUTCOME(PT_MAPPED,
		       s2_map(&s, S2_RAM, PAGES * page, s2_pa(0), PT_PROT_RW, PT_MAP_FORCE_PAGES));
	start_log(PAGES);
	assert_int_equal(age(true, NULL), PAGES);
	old = digest();
	access_page(7, HW_READ, 1);
	now = digest();
	assert_memory_not_equal(&old, &now, sizeof(now));
	assert_int_equal(age(true, NULL), 1);
	now = digest();
	assert_memory_equal(&old, &now, sizeof(now));
	access_page(7, HW_WRITE, 1);
	assert_int_equal(age(true, NULL), 1);
	now = digest();
	assert_memory_not_equal(&old, &now, sizeof(now));
	assert_int_equal(dirty(PT_DIRTY_GET, PAGES, (uint8_t[PAGES / 8]){0}), 1);
	now = digest();
	assert_memory_equal(&old, &now, sizeof(now));
	dirty(PT_DIRTY_STOP, PAGES, NULL);
}

static void a_digest_shows_what_the_cpu_set(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		hardware = i;
		on_one_cpu(digests, 0, 0);
	}
}

/* An access that is refused sets no dirty state; the flag it may set (Arm ARM, CONSTRAINED
 * UNPREDICTABLE: AFUPDATE). */
static void refusing(void)
{
	struct hw_result walk;
	struct pt_el2_exit exit;

	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_READ_ONLY, page, s2_pa(0), PT_PROT_R, 0));
	walk = s2_walk(&s, S2_READ_ONLY, HW_WRITE);
	assert_int_equal(walk.fault, HW_PERMISSION);
	here->handle = true;
	assert_int_equal(s2_guest_on(here, guest_store, S2_READ_ONLY, 1, &exit), PT_EL2_ABORT);
	ASSERT_OUTCOME(PT_READ_ONLY, here->outcome);
	assert_int_equal(leaf_after(&walk) | AF, walk.descriptor | AF);
	el2_compared++;
}

static void a_refused_write_makes_nothing_dirty(void **state)
{
	(void)state;
	each(refusing);
}

/* Last but one: a CPU that is on takes time from others. */
static void another_cpu_is_told_of_as_well(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		hardware = i;
		on_one_cpu(aging, 0, 1);
		on_one_cpu(logging, 0, 1);
		on_one_cpu(refusing, 0, 1);
	}
}

struct writer {
	struct s2_vcpu *v;
	uint64_t passes;
	bool failed;
	_Atomic uint32_t *stop;
};

static void write_pages(void *arg)
{
	struct writer *w = arg;
	struct pt_el2_exit exit;

	s2_load(w->v);
	w->v->handle = true;
	do {
		if (s2_guest(w->v, guest_sum, S2_RAM, WRITTEN, page, &exit) != PT_EL2_HVC)
			w->failed = true;
		w->passes++;
	} while (!atomic_load(w->stop));
	s2_unload(w->v);
}

/* What a migration does: pages that were told are copied after they were told. */
static uint64_t copy_told(uint64_t *copy)
{
	uint8_t bitmap[WRITTEN / 8] = {0};
	uint64_t pages = dirty(PT_DIRTY_GET, WRITTEN, bitmap);

	for (uint64_t i = 0; i < WRITTEN; i++)
		if (bitmap[i / 8] >> i % 8 & 1)
			copy[i] = *(volatile uint64_t *)s2_memory(i * page);
	return pages;
}

static void start_writers(struct writer writer[S2_VCPUS], _Atomic uint32_t *stop)
{
	for (uint32_t i = 1; i < S2_VCPUS; i++) {
		assert_true(pt_el2_cpu_start(i));
		writer[i] = (struct writer){&s.vcpu[i], 0, false, stop};
		pt_el2_cpu_run(i, write_pages, &writer[i]);
	}
}

/* How often each page was written. */
static uint64_t stop_writers(struct writer writer[S2_VCPUS], _Atomic uint32_t *stop)
{
	uint64_t passes = 0;

	atomic_store(stop, 1);
	for (uint32_t i = 1; i < S2_VCPUS; i++) {
		pt_el2_cpu_wait(i);
		assert_false(writer[i].failed);
		passes += writer[i].passes;
	}
	return passes;
}

static void copy_beside_writers(void)
{
	uint64_t copy[WRITTEN] = {0}, told_beside = 0, passes;
	struct writer writer[S2_VCPUS];
	_Atomic uint32_t stop = 0;

	for (uint64_t i = 0; i < WRITTEN; i++)
		*s2_memory(i * page) = 0;
	ASSERT_OUTCOME(PT_MAPPED, s2_map(&s, S2_RAM, WRITTEN * page, s2_pa(0), PT_PROT_RW, 0));
	start_log(WRITTEN);
	start_writers(writer, &stop);
	for (uint64_t n = 0; n < ROUNDS_MAX && told_beside < TOLD; n++) {
		told_beside += copy_told(copy);
		age(true, NULL);
	}
	passes = stop_writers(writer, &stop);
	assert_in_range(told_beside, TOLD, UINT64_MAX);
	copy_told(copy);
	for (uint64_t i = 0; i < WRITTEN; i++) {
		assert_int_equal(*s2_memory(i * page), passes);
		assert_int_equal(copy[i], passes);
		el2_compared++;
	}
	assert_int_equal(copy_told(copy), 0);
	dirty(PT_DIRTY_STOP, WRITTEN, NULL);
	print_message("flags kept by %s: %lu pages told beside %lu passes\n",
		      hardware ? "hardware" : "aborts", (unsigned long)told_beside,
		      (unsigned long)passes);
}

static void a_copy_of_dirty_pages_alone_is_complete(void **state)
{
	(void)state;
	hardware = false;
	assert_true(open_shape(0));
	copy_beside_writers();
	s2_close(&s);
#ifndef PT_CHECKED /* nobody could tell the checker what CPUs write meanwhile */
	hardware = true;
	if (!open_shape(0))
		return;
	copy_beside_writers();
	s2_close(&s);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_accessed_is_young),
		cmocka_unit_test(what_was_written_is_told_once),
		cmocka_unit_test(a_digest_shows_what_the_cpu_set),
		cmocka_unit_test(a_refused_write_makes_nothing_dirty),
		cmocka_unit_test(another_cpu_is_told_of_as_well),
		cmocka_unit_test(a_copy_of_dirty_pages_alone_is_complete),
	};

	return s2_main(tests, sizeof(tests) / sizeof(tests[0]));
}
