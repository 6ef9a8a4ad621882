/* SPDX-License-Identifier: BSD-2-Clause */
/* What operations do at the seam and in which order; only in checked builds, whose events it reads.
 */
#include <pt/host/checked.h>

#include "upkeep.h"

#define NOTE (UINT64_C(3) << 60)

static struct {
	/* In place of the hardware, or of another agent: what is done just before the next CAS. */
	bool armed;
	pt_pte set, flip;
	unsigned fired;
	/* Caches and descriptors, in order. */
	bool drop; /* no descriptors: there are too many */
	unsigned count;
	struct pt_event event[1200];
} seam;

static void before_cas(const struct pt_event *e)
{
	pt_pte *slot = (pt_pte *)(uintptr_t)e->at, old = __atomic_load_n(slot, __ATOMIC_RELAXED);

	seam.armed = false;
	seam.fired++;
	pt_checked_event_cas(slot, &old, (old | seam.set) ^ seam.flip,
			     seam.flip ? PT_EVENT_CAS : PT_EVENT_HW_CAS);
}

static void hook(const struct pt_event *e)
{
	switch (e->kind) {
	case PT_EVENT_CAS:
	case PT_EVENT_STORE:
	case PT_EVENT_STORE_RELEASE:
	case PT_EVENT_DCACHE:
	case PT_EVENT_ICACHE:
	case PT_EVENT_TLBI:
		if (seam.drop && e->kind <= PT_EVENT_CAS)
			break;
		assert_true(seam.count < 1200);
		seam.event[seam.count++] = *e;
		break;
	default: break;
	}
	if (e->kind == PT_EVENT_CAS && seam.armed)
		before_cas(e);
}

static void watch(void)
{
	seam.count = seam.fired = 0;
	seam.armed = false;
	pt_host_event_hook = hook;
}

static void arm(pt_pte set, pt_pte flip)
{
	watch();
	seam.armed = true;
	seam.set = set;
	seam.flip = flip;
}

/* A page as an access by read left it: writable-clean, with or without the access flag. */
static void set_clean(struct core *c, uint64_t ipa, bool young)
{
	pt_pte *slot = upkeep_slot(c, ipa), old = *slot;
	pt_pte new = (old & ~(PT_PTE_S2AP_W | PT_PTE_AF)) | PT_PTE_DBM | (young ? PT_PTE_AF : 0);
	struct pt_ledger ledger;

	pt_section_begin(&c->agent);
	assert_true(pt_checked_event_cas(slot, &old, new, PT_EVENT_CAS));
	pt_ledger_init(&ledger, &c->ctx);
	pt_ledger_add(&ledger, ipa, ipa + 0xfff, 3, false);
	pt_ledger_discharge(&ledger);
	pt_section_end(&c->agent);
}

static const struct {
	enum pt_item_kind kind;
	uint64_t pa;
	uint32_t prot, flags;
	enum pt_outcome outcome;
} points[] = {
	{PT_ITEM_UNMAP, 0, 0, 0, PT_UNMAPPED},
	{PT_ITEM_PROTECT, 0, PT_PROT_R, 0, PT_PROTECTED},
	{PT_ITEM_WRITE_PROTECT, 0, 0, 0, PT_PROTECTED},
	{PT_ITEM_RELAX, 0, PT_PROT_X, 0, PT_RELAXED},
	{PT_ITEM_ANNOTATE, NOTE, 0, 0, PT_ANNOTATED},
	{PT_ITEM_MAP, 0x7000, PT_PROT_RW, PT_MAP_REPLACE, PT_MAPPED},
	{PT_ITEM_MAP, 0x1000, PT_PROT_R, PT_MAP_REPLACE, PT_MAPPED},
};

static void hardware_makes_no_point_operation_lose(void **state)
{
	static const pt_pte sets[] = {PT_PTE_AF, PT_PTE_S2AP_W, PT_PTE_AF | PT_PTE_S2AP_W};

	(void)state;
	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (unsigned k = 0; k < 3; k++) {
			struct core c;
			struct pt_item item;
			pt_pte e;

			core_open(&c, &shapes[0]);
			c.ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
			ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x2000, 0, PT_PROT_RW, 0));
			set_clean(&c, 0x1000, false);
			item = core_item(&c, points[i].kind, 0x1000, 0x1000, points[i].pa,
					 points[i].prot, points[i].flags);
			arm(sets[k], 0);
			ASSERT_OUTCOME(points[i].outcome, core_point(&c, item, NULL, NULL));
			pt_host_event_hook = NULL;
			assert_int_equal(1, seam.fired);
			e = *upkeep_slot(&c, 0x1000);
			/* What stays a leaf has kept what the hardware set, if it may be written.
			 */
			if (points[i].kind == PT_ITEM_RELAX)
				assert_int_equal(sets[k], e & sets[k]);
			if (points[i].kind == PT_ITEM_WRITE_PROTECT)
				assert_false(e & (PT_PTE_S2AP_W | PT_PTE_DBM));
			core_close(&c);
		}
	}
}

/* Any other change is somebody else's: RACED, and it stays. (UNMAP looks once more by itself.) */
static void another_agent_does(void **state)
{
	(void)state;
	for (unsigned i = 1; i < sizeof(points) / sizeof(points[0]); i++) {
		struct core c;
		struct pt_item item;
		pt_pte before;

		core_open(&c, &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x2000, 0, PT_PROT_RW, 0));
		before = *upkeep_slot(&c, 0x1000);
		item = core_item(&c, points[i].kind, 0x1000, 0x1000, points[i].pa, points[i].prot,
				 points[i].flags);
		arm(0, UINT64_C(1) << PT_PTE_SW_SHIFT);
		ASSERT_OUTCOME(PT_RACED, core_point(&c, item, NULL, NULL));
		pt_host_event_hook = NULL;
		assert_int_equal(1, seam.fired);
		assert_int_equal(before | UINT64_C(1) << PT_PTE_SW_SHIFT, *upkeep_slot(&c, 0x1000));
		core_close(&c);
	}
}

/* W9: under the claim, too, a leaf that hardware may make dirty is swapped and never stored over.
 */
static void ranges_swap_what_hardware_may_write(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct core c;
		struct pt_item item;
		uint64_t slots;

		core_open(&c, &shapes[0]);
		c.ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x5000, 0, PT_PROT_RW, 0));
		for (uint64_t ipa = 0x1000; ipa < 0x4000; ipa += 0x1000)
			set_clean(&c, ipa, true);
		item = core_item(&c, points[i].kind, 0x1000, 0x3000, points[i].pa, points[i].prot,
				 points[i].flags);
		slots = (uintptr_t)upkeep_slot(&c, 0x1000);
		arm(PT_PTE_S2AP_W, 0);
		ASSERT_OUTCOME(points[i].outcome, core_range(&c, item, NULL));
		pt_host_event_hook = NULL;
		assert_int_equal(1, seam.fired);
		for (unsigned k = 0; k < seam.count; k++) {
			const struct pt_event *e = &seam.event[k];

			if (e->at < slots || e->at >= slots + 3 * sizeof(pt_pte) ||
			    e->kind == PT_EVENT_CAS)
				continue;
			assert_false(pt_pte_valid(e->lo) && e->lo & PT_PTE_DBM &&
				     !(e->lo & PT_PTE_S2AP_W));
		}
		core_close(&c);
	}
}

/* With a VMID, so that invalidations are issued. */
static void open_running(struct core *c, struct pt_host_ram *ram)
{
	struct pt_host_access a = {.ipa = {0}, .access = PT_ACCESS_AT};

	core_open_bytes(c, &shapes[0], UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(ram, UINT64_C(1) << 20));
	pt_section_begin(&c->agent);
	pt_host_access(&c->agent, &c->ctx, ram, &a);
	pt_section_end(&c->agent);
}

static unsigned find(unsigned kind, unsigned from)
{
	while (from < seam.count && seam.event[from].kind != kind)
		from++;
	return from;
}

/* The maintenance of [pa, pa + size) by `kind`, in one piece or many, and where it ends; none: 0.
 */
static unsigned maintained(unsigned kind, uint64_t pa, uint64_t size)
{
	unsigned at = 0, end = 0;
	uint64_t bytes = 0;

	while ((at = find(kind, at)) < seam.count) {
		assert_true(seam.event[at].lo >= pa);
		assert_true(seam.event[at].lo + seam.event[at].hi <= pa + size);
		bytes += seam.event[at].hi;
		end = ++at;
	}
	assert_true(!bytes || bytes == size);
	return end;
}

/* The last write that makes an entry valid. */
static unsigned made(void)
{
	unsigned last = 0;

	for (unsigned i = 0; i < seam.count; i++)
		if (seam.event[i].kind <= PT_EVENT_CAS && pt_pte_valid(seam.event[i].hi))
			last = i;
	return last;
}

static void maps_maintain_caches_before_they_make(void **state)
{
	static const uint32_t prots[] = {PT_PROT_RW, PT_PROT_RWX, PT_PROT(PT_PROT_RW, PT_MEM_NC),
					 PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)};

	(void)state;
	for (unsigned i = 0; i < 4 * 2 * 4; i++) {
		uint32_t prot = prots[i & 3];
		bool fwb = i & 4, replaces = i & 8, range = i & 16;
		uint64_t size = range ? 0x3000 : 0x1000, pa = 0x40000;
		struct pt_host_ram ram;
		struct core c;
		struct pt_item item;
		unsigned d, x;

		open_running(&c, &ram);
		c.ctx.attrs = fwb ? PT_ATTR_FWB : 0;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, 0x1000, 0, PT_PROT_R, 0));
		if (replaces)
			ASSERT_OUTCOME(PT_MAPPED,
				       core_map(&c, 0x1000, size, 0x80000, PT_PROT_R, 0));
		item = core_item(&c, PT_ITEM_MAP, 0x1000, size, pa, prot,
				 replaces ? PT_MAP_REPLACE : 0);
		watch();
		ASSERT_OUTCOME(PT_MAPPED, range ? core_range(&c, item, NULL)
						: core_point(&c, item, NULL, NULL));
		pt_host_event_hook = NULL;
		d = maintained(PT_EVENT_DCACHE, pa, size);
		x = maintained(PT_EVENT_ICACHE, pa, size);
		assert_int_equal(!fwb && pt_prot_memtype(prot) == PT_MEM_NORMAL, d != 0);
		assert_int_equal((prot & PT_PROT_X) != 0, x != 0);
		assert_true(d <= made() && x <= made());
		if (replaces) { /* between break and make */
			unsigned tlbi = find(PT_EVENT_TLBI, 0);

			assert_true(tlbi < made());
			assert_true(!d || tlbi < d);
			assert_true(!x || tlbi < x);
		}
		core_close(&c);
		pt_host_ram_destroy(&ram);
	}
}

static void execute_is_granted_after_the_instruction_cache_is_clean(void **state)
{
	static const enum pt_item_kind kinds[] = {PT_ITEM_RELAX, PT_ITEM_PROTECT};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool range = i & 1, group = i & 4;
		uint64_t size = range || group ? 16 * 0x1000 : 0x1000;
		struct core c;
		struct pt_item item;
		unsigned x;

		core_open(&c, &shapes[0]);
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, 0x10000, size, 0x40000, PT_PROT_R,
					PT_MAP_FORCE_PAGES | (group ? PT_MAP_CONTIGUOUS : 0)));
		item = core_item(&c, kinds[i >> 1 & 1], 0x10000, size, 0, PT_PROT_R | PT_PROT_X, 0);
		watch();
		ASSERT_OUTCOME(PT_RELAXED, range || group ? core_range(&c, item, NULL)
							  : core_point(&c, item, NULL, NULL));
		pt_host_event_hook = NULL;
		x = maintained(PT_EVENT_ICACHE, 0x40000, size);
		assert_true(x != 0 && x <= made());
		core_close(&c);
	}
}

static void flush_is_for_normal_memory_without_fwb(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		uint32_t type = i >> 2;
		bool fwb = i & 1, range = i & 2;
		uint64_t size = range ? PT_SZ_2M : 0x1000;
		struct core c;
		struct pt_item item;
		unsigned d;

		core_open(&c, &shapes[0]);
		c.ctx.attrs = fwb ? PT_ATTR_FWB : 0;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_2M, 2 * PT_SZ_2M, 4 * PT_SZ_2M,
						   PT_PROT(PT_PROT_R, type), 0));
		item = core_item(&c, PT_ITEM_FLUSH, PT_SZ_2M + 0x3000, size, 0, 0, 0);
		watch();
		ASSERT_OUTCOME(PT_FLUSHED, range ? core_range(&c, item, NULL)
						 : core_point(&c, item, NULL, NULL));
		pt_host_event_hook = NULL;
		d = maintained(PT_EVENT_DCACHE, 4 * PT_SZ_2M + 0x3000, size);
		assert_int_equal(!fwb && type == PT_MEM_NORMAL, d != 0);
		core_close(&c);
	}
}

/* Without FWB, Normal memory is cleaned when its last translation is gone: by points, by ranges
 * over entries, and with whole tables; not a byte more. */
static void unmapped_memory_is_cleaned_after_the_flush(void **state)
{
	static const struct {
		uint64_t offset, size;
	} rows[] = {{0x3000, 0x1000}, {0x3000, 0x5000}, {0, PT_SZ_2M}, {0x1000, 2 * PT_SZ_2M}};

	(void)state;
	for (unsigned i = 0; i < 4 * 2 * 3; i++) {
		uint64_t ipa = PT_SZ_2M + rows[i & 3].offset, pa = 4 * PT_SZ_2M, size;
		bool fwb = i & 4;
		uint32_t type = i >> 3;
		struct pt_host_ram ram;
		struct core c;
		struct pt_item item;
		unsigned d;

		open_running(&c, &ram);
		c.ctx.attrs = fwb ? PT_ATTR_FWB : 0;
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, PT_SZ_2M, 2 * PT_SZ_2M, pa,
						   PT_PROT(PT_PROT_R, type), PT_MAP_FORCE_PAGES));
		size = rows[i & 3].size;
		item = core_item(&c, PT_ITEM_UNMAP, ipa, size, 0, 0, 0);
		seam.drop = true;
		watch();
		ASSERT_OUTCOME(PT_UNMAPPED, size == 0x1000 ? core_point(&c, item, NULL, NULL)
							   : core_range(&c, item, NULL));
		pt_host_event_hook = NULL;
		seam.drop = false;
		if (ipa + size > 3 * PT_SZ_2M)
			size = 3 * PT_SZ_2M - ipa;
		d = maintained(PT_EVENT_DCACHE, pa + rows[i & 3].offset, size);
		assert_int_equal(!fwb && type == PT_MEM_NORMAL, d != 0);
		if (d)
			assert_true(find(PT_EVENT_TLBI, 0) < find(PT_EVENT_DCACHE, 0));
		core_close(&c);
		pt_host_ram_destroy(&ram);
	}
}

/* What is annotated may come back: its memory is left alone. */
static void annotated_memory_is_not_cleaned(void **state)
{
	struct pt_host_ram ram;
	struct core c;

	(void)state;
	open_running(&c, &ram);
	c.ctx.attrs = 0;
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M + 0x4000, 0, PT_PROT_R, 0));
	watch();
	seam.drop = true;
	ASSERT_OUTCOME(PT_ANNOTATED,
		       core_range(&c,
				  core_item(&c, PT_ITEM_ANNOTATE, 0, PT_SZ_2M + 0x4000, NOTE, 0, 0),
				  NULL));
	pt_host_event_hook = NULL;
	seam.drop = false;
	assert_int_equal(0, maintained(PT_EVENT_DCACHE, 0, PT_SZ_2M + 0x4000));
	assert_true(find(PT_EVENT_TLBI, 0) < seam.count);
	core_close(&c);
	pt_host_ram_destroy(&ram);
}

/* Tables that go with what stands below them: each leaf is cleaned, holes are not. Leaves side by
 * side whose memory is, too, are one piece; those with other memory between are not. */
static void leaves_of_a_tree_that_goes_are_cleaned(void **state)
{
	static const struct {
		uint64_t ipa, pa, size;
	} rows[] = {{0, 0, 0x1000},
		    {0x3000, 0x3000, 0x2000},
		    {0x5000, 0x9000, 0x1000},
		    {PT_SZ_2M + 0x1000, PT_SZ_2M + 0x1000, 0x1000},
		    {4 * PT_SZ_2M, 4 * PT_SZ_2M, 2 * PT_SZ_2M},
		    {PT_SZ_1G - 0x1000, PT_SZ_1G - 0x1000, 0x1000}};
	struct pt_host_ram ram;
	struct core c;
	unsigned row = 0;

	(void)state;
	open_running(&c, &ram);
	c.ctx.attrs = 0;
	for (unsigned i = 0; i < 6; i++)
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, rows[i].ipa, rows[i].size, rows[i].pa, PT_PROT_R, 0));
	watch();
	seam.drop = true;
	ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&c, 0, PT_SZ_1G));
	pt_host_event_hook = NULL;
	seam.drop = false;
	assert_true(find(PT_EVENT_TLBI, 0) < find(PT_EVENT_DCACHE, 0));
	for (unsigned i = find(PT_EVENT_DCACHE, 0); i < seam.count;
	     i = find(PT_EVENT_DCACHE, i + 1)) {
		bool seen = false;

		for (unsigned j = 0; j < 6; j++)
			seen |= seam.event[i].lo == rows[j].pa && seam.event[i].hi == rows[j].size;
		assert_true(seen);
		row++;
	}
	assert_int_equal(6, row);
	core_close(&c);
	pt_host_ram_destroy(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardware_makes_no_point_operation_lose),
		cmocka_unit_test(another_agent_does),
		cmocka_unit_test(ranges_swap_what_hardware_may_write),
		cmocka_unit_test(maps_maintain_caches_before_they_make),
		cmocka_unit_test(execute_is_granted_after_the_instruction_cache_is_clean),
		cmocka_unit_test(flush_is_for_normal_memory_without_fwb),
		cmocka_unit_test(unmapped_memory_is_cleaned_after_the_flush),
		cmocka_unit_test(annotated_memory_is_not_cleaned),
		cmocka_unit_test(leaves_of_a_tree_that_goes_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
