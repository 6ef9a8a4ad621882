/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPU's TLB and the access loop, over hand-made tables and a scripted fault handler. */
#include "tlb_fixture.h"

#include <pthread.h>

#include "../../lib/port/host/tlb.h"

static void flush_vcpu(struct fixture *f, uint32_t vcpu)
{
	pt_port_tlbi(&f->mmu, &f->ctx.geo,
		     &(struct pt_tlbi){.kind = PT_TLBI_LOCAL,
				       .vmid = 5,
				       .vcpu = vcpu,
				       .ipa = pt_ipa(PAGE),
				       .size = PAGE,
				       .level = 3});
}

static void a_filled_entry_is_hit_until_invalidated(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 2);
	bool hit;

	(void)state;
	assert_int_equal(page_behind(f, &f->ctx, 0, 3 * PAGE, &hit), 3);
	assert_false(hit);
	assert_int_equal(page_behind(f, &f->ctx, 0, 3 * PAGE, &hit), 3);
	assert_true(hit);
	set_page(f, 3 * PAGE, 8 * PAGE, PT_PROT_RWX);
	assert_int_equal(page_behind(f, &f->ctx, 0, 3 * PAGE, &hit), 3); /* stale, as hardware */
	assert_true(hit);
	assert_int_equal(page_behind(f, &f->ctx, 1, 3 * PAGE, &hit), 8); /* its own TLB */
	assert_false(hit);
	flush(f, PT_TLBI_IPA, 5, 3 * PAGE, PAGE, 3);
	assert_int_equal(page_behind(f, &f->ctx, 0, 3 * PAGE, &hit), 8);
	assert_false(hit);
	assert_int_equal(f->mmu.tlbis, 1);
	tear_down(f);
}

/* Fills pages 1, 2, 65 and the block for VMID 5 and page 1 for VMID 6; then what is still hit? */
static void invalidations_remove_what_they_name(void **state)
{
	static const struct {
		const char *what;
		enum pt_tlbi_kind kind;
		uint16_t vmid;
		uint64_t ipa, size;
		int level;
		const char
			*left; /* of page 1, 2, 3, block, page 1 of VMID 6 on vCPU 0; 1 on vCPU 1 */
	} rows[] = {
		{"one page", PT_TLBI_IPA, 5, 2 * PAGE, PAGE, 3, "x.xxxx"},
		{"one page, no hint", PT_TLBI_IPA, 5, 2 * PAGE, PAGE, PT_TTL_UNKNOWN, "x.xxxx"},
		{"all vCPUs", PT_TLBI_IPA, 5, PAGE, PAGE, 3, ".xxxx."},
		{"a VMID of nobody", PT_TLBI_IPA, 7, PAGE, PAGE, 3, "xxxxxx"},
		{"the block", PT_TLBI_IPA, 5, BLOCK, BLOCK, 2, "xxx.xx"},
		{"a range inside the block", PT_TLBI_RANGE, 5, BLOCK + 8 * PAGE, PAGE, 3, "xxx.xx"},
		{"a range", PT_TLBI_RANGE, 5, PAGE, 2 * PAGE, PT_TTL_UNKNOWN, "..xxx."},
		{"a range over everything", PT_TLBI_RANGE, 5, 0, UINT64_C(1) << 40, PT_TTL_UNKNOWN,
		 "....x."},
		{"a range beside all", PT_TLBI_RANGE, 5, 4 * BLOCK, BLOCK, PT_TTL_UNKNOWN,
		 "xxxxxx"},
		{"a VMID", PT_TLBI_VMID, 5, 0, 0, PT_TTL_UNKNOWN, "....x."},
		{"all VMIDs", PT_TLBI_ALL, 0, 0, 0, PT_TTL_UNKNOWN, "......"},
		{"one vCPU's own", PT_TLBI_LOCAL, 5, PAGE, PAGE, 3, ".xxxxx"},
		{"stage 1 of a VMID", PT_TLBI_STAGE1, 5, 0, 0, PT_TTL_UNKNOWN, "xxxxxx"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = set_up(PT_HOST_TLB_CACHE, 3);
		struct pt_ctx *ctx[] = {&f->ctx, &f->ctx, &f->ctx, &f->ctx, &f->other, &f->ctx};
		uint64_t ipa[] = {PAGE, 2 * PAGE, 3 * PAGE, BLOCK + 7 * PAGE, PAGE, PAGE};
		char left[7] = "xxxxxx";
		bool hit;

		for (int k = 0; k < 6; k++)
			page_behind(f, ctx[k], k == 5, ipa[k], NULL);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 5);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 1), 1);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 2), 0);
		flush(f, rows[i].kind, rows[i].vmid, rows[i].ipa, rows[i].size, rows[i].level);
		for (int k = 0; k < 6; k++) {
			page_behind(f, ctx[k], k == 5, ipa[k], &hit);
			if (!hit)
				left[k] = '.';
		}
		if (strcmp(left, rows[i].left))
			print_error("%s\n", rows[i].what);
		assert_string_equal(left, rows[i].left);
		tear_down(f);
	}
}

static void an_emptied_vcpu_fills_and_empties_again(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 2);
	bool hit;

	(void)state;
	flush(f, PT_TLBI_IPA, 5, PAGE, PAGE, 3); /* nobody holds anything yet */
	for (int i = 0; i < 3; i++) {
		page_behind(f, &f->ctx, 0, PAGE, &hit);
		assert_false(hit);
		flush(f, PT_TLBI_VMID, 6, 0, 0, PT_TTL_UNKNOWN);
		page_behind(f, &f->ctx, 0, PAGE, &hit);
		assert_true(hit);
		flush(f, PT_TLBI_VMID, 5, 0, 0, PT_TTL_UNKNOWN);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0);
		page_behind(f, &f->ctx, 0, PAGE, NULL);
		flush(f, PT_TLBI_IPA, 5, PAGE, PAGE, 3);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0);
	}
	tear_down(f);
}

static void a_busy_vcpu_is_told_so_and_still_emptied(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	struct pt_host_access a = {.access = PT_ACCESS_AT, .outcome = PT_PARKED, .exits = 3};

	(void)state;
	page_behind(f, &f->ctx, 0, PAGE, NULL);
	f->mmu.vcpu[0].busy = 1;
	flush(f, PT_TLBI_ALL, 0, 0, 0, PT_TTL_UNKNOWN);
	assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0);
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_MORE);
	assert_int_equal(a.outcome, PT_PARKED); /* untouched: it is still the parked access */
	assert_int_equal(a.exits, 3);
	f->mmu.vcpu[0].busy = 0;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	tear_down(f);
}

/* More vCPUs than a line of tags holds: each has a column of its own. */
static void many_vcpus_do_not_share_entries(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 19);
	bool hit;

	(void)state;
	for (uint32_t v = 0; v < 19; v++) {
		page_behind(f, &f->ctx, v, PAGE, &hit);
		assert_false(hit);
	}
	flush_vcpu(f, 18);
	for (uint32_t v = 0; v < 19; v++) {
		page_behind(f, &f->ctx, v, PAGE, &hit);
		assert_int_equal(hit, v != 18);
	}
	flush(f, PT_TLBI_IPA, 5, PAGE, PAGE, 3);
	for (uint32_t v = 0; v < 19; v++)
		assert_int_equal(pt_host_tlb_count(&f->mmu, v), 0);
	tear_down(f);
}

static void a_fill_that_an_invalidation_overtook_is_dropped(void **state)
{
	struct tlb_pair pair = {.tag = tlb_tag(PAGE, 5, 1), .data = 0x1003};
	int mode;

	(void)state;
	for (mode = PT_HOST_TLB_CACHE; mode <= PT_HOST_TLB_ADVERSARIAL; mode++) {
		struct fixture *f = set_up((enum pt_host_tlb_mode)mode, 1);
		struct pt_host_vcpu *v = &f->mmu.vcpu[0];
		uint64_t before = f->mmu.generation;

		flush(f, PT_TLBI_IPA, 5, 77 * PAGE, PAGE, 3);
		assert_false(v->adversary ? adversary_fill(&f->mmu, v->adversary, &pair, before)
					  : tlb_fill(&f->mmu, v, &pair, before));
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0);
		assert_true(v->adversary ? adversary_fill(&f->mmu, v->adversary, &pair, before + 1)
					 : tlb_fill(&f->mmu, v, &pair, before + 1));
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 1);
		tear_down(f);
	}
}

static void bytes_move_and_results_are_told(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	unsigned char data[16] = "0123456789abcde";
	struct pt_host_access a = {.ipa = pt_ipa(BLOCK + 3 * PAGE + 4081),
				   .access = PT_ACCESS_WRITE,
				   .length = 15,
				   .data = data};
	uint64_t got = 0;

	(void)state;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.outcome, PT_OK);
	assert_int_equal(a.pa.v, BLOCK + 3 * PAGE + 4081);
	assert_int_equal(a.level, 2);
	assert_int_equal(a.prot, PT_PROT_RWX);
	assert_int_equal(a.exits, 0);
	assert_int_equal(pt_host_ram_read(&f->ram, a.pa.v, &got, 8), PT_OK);
	assert_memory_equal(&got, "01234567", 8);
	a.access = PT_ACCESS_EXEC;
	memset(data, 0, sizeof(data));
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_true(a.tlb_hit);
	assert_memory_equal(data, "0123456789abcde", 15);
	assert_true(f->machine.agents & 1);
	tear_down(f);
}

static void bad_accesses_are_refused(void **state)
{
	uint64_t data = 0;
	const struct {
		struct pt_host_access a;
		enum pt_outcome o;
	} rows[] = {
		{{.access = 0, .length = 8, .data = &data}, PT_INVALID},
		{{.access = 5, .length = 8, .data = &data}, PT_INVALID},
		{{.access = PT_ACCESS_READ, .length = 0}, PT_OK},
		{{.access = PT_ACCESS_WRITE, .length = 0}, PT_OK},
		{{.access = PT_ACCESS_EXEC, .length = 0}, PT_OK},
		{{.access = PT_ACCESS_AT, .length = 0}, PT_OK},
		{{.access = PT_ACCESS_READ, .length = 8}, PT_INVALID},
		{{.access = PT_ACCESS_READ, .length = 8, .data = &data, .vcpu = 2}, PT_INVALID},
		{{.access = PT_ACCESS_READ, .length = 8, .data = &data, .ipa = {4089}}, PT_INVALID},
		{{.access = PT_ACCESS_READ, .length = 8, .data = &data, .ipa = {4088}}, PT_OK},
		{{.access = PT_ACCESS_AT, .length = 4097}, PT_INVALID},
		{{.access = PT_ACCESS_AT, .length = UINT32_MAX, .ipa = {4095}}, PT_INVALID},
	};
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 2);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_host_access a = rows[i].a;

		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), rows[i].o);
	}
	f->machine.mmu = NULL;
	pt_port_tlbi(NULL, NULL, &(struct pt_tlbi){.kind = PT_TLBI_ALL});
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram,
					&(struct pt_host_access){.access = PT_ACCESS_AT}),
			 PT_INVALID);
	tear_down(f);
}

static void a_leaf_outside_memory_moves_nothing(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0x1234;
	struct pt_host_access a = read_access(PAGE, &data);

	(void)state;
	set_page(f, PAGE, RAM, PT_PROT_RWX);
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OUT_OF_RANGE);
	assert_int_equal(data, 0x1234);
	tear_down(f);
}

static void unhandled_faults_are_exits(void **state)
{
	static const struct {
		uint64_t off, entry, ipa;
		uint8_t access;
		enum pt_outcome o;
		enum hw_fault fault;
		int level;
	} rows[] = {
		{L3, 0, 0x10, PT_ACCESS_READ, PT_NOT_MAPPED, HW_TRANSLATION, 3},
		{L2, 0, 0x10, PT_ACCESS_WRITE, PT_NOT_MAPPED, HW_TRANSLATION, 2},
		{L3, 0x77f, 0x10, PT_ACCESS_WRITE, PT_DENIED, HW_PERMISSION, 3},
		{L3, 0x3ff, 0x10, PT_ACCESS_READ, PT_NOT_MAPPED, HW_ACCESS_FLAG, 3},
		{L3, UINT64_C(1) << 40 | 0x7ff, 0x10, PT_ACCESS_READ, PT_OUT_OF_RANGE,
		 HW_ADDRESS_SIZE, 3},
		{L2, 0x4003, 0x10, PT_ACCESS_READ, PT_INTERNAL, HW_EXTERNAL, 3},
		{L3, 0, UINT64_C(1) << 40, PT_ACCESS_READ, PT_NOT_MAPPED, HW_TRANSLATION, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
		uint64_t data = 1;
		struct pt_host_access a = read_access(rows[i].ipa, &data);
		struct hw_result r;

		a.handle_faults = false;
		a.access = rows[i].access;
		*slot(f, rows[i].off) = rows[i].entry;
		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), rows[i].o);
		assert_int_equal(script.calls, 0);
		assert_int_equal(a.exits, 1);
		assert_int_equal(a.exit[0].outcome, rows[i].o);
		assert_int_equal(a.exit[0].fault, rows[i].fault);
		assert_int_equal(a.exit[0].level, rows[i].level);
		pt_host_translate(&f->ctx, a.ipa, (enum pt_access)a.access, false, &r);
		assert_int_equal(r.fault, rows[i].fault);
		assert_int_equal(r.level, rows[i].level);
		assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0);
		tear_down(f);
	}
}

static void map_page_1(struct fixture *f)
{
	set_page(f, PAGE, 9 * PAGE, PT_PROT_RW);
}

static void a_handled_fault_is_retried(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 4);
	uint64_t data = 0;
	struct pt_host_access a = read_access(PAGE + 8, &data);

	(void)state;
	*slot(f, L3 + 8) = 0;
	a.vcpu = 3;
	a.ipa = pt_ipa(PAGE);
	script.answer[0] = PT_RACED;
	script.answer[1] = PT_MAPPED;
	script.fix = NULL;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram,
					&(struct pt_host_access){.access = PT_ACCESS_AT}),
			 PT_OK);
	script.fix = map_page_1;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.exits, 1);
	assert_int_equal(a.exit[0].outcome, PT_RACED);
	assert_int_equal(a.exit[0].esr, 0x93c08007);
	assert_int_equal(a.exit[0].far, PAGE);
	assert_int_equal(a.exit[0].hpfar, 0x10);
	assert_true(a.exit[0].hpfar_known);
	assert_int_equal(a.tables_added, 1);
	assert_int_equal(data, 9);
	assert_int_equal(a.pa.v, 9 * PAGE);
	assert_int_equal(a.prot, PT_PROT_RW);
	assert_int_equal(script.last.vcpu, 3);
	assert_int_equal(script.last.type, PT_FAULT_TRANSLATION);
	assert_int_equal(script.last.level, 3);
	assert_int_equal(script.last.access, PT_ACCESS_READ);
	tear_down(f);
}

static void an_exit_to_the_vmm_ends_the_access(void **state)
{
	static const enum pt_outcome rows[] = {PT_NO_SLOT,	PT_READ_ONLY, PT_DENIED,
					       PT_OUT_OF_RANGE, PT_NO_MEMORY, PT_QUOTA,
					       PT_WRONG_STATE};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
		uint64_t data = 77;
		struct pt_host_access a = read_access(PAGE, &data);

		*slot(f, L3 + 8) = 0;
		script.answer[0] = rows[i];
		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), rows[i]);
		assert_int_equal(a.outcome, rows[i]);
		assert_int_equal(a.exits, 1);
		assert_int_equal(data, 77);
		assert_int_equal(f->mmu.vcpu[0].busy, 0);
		tear_down(f);
	}
}

static void a_parked_access_goes_on_with_its_exits(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0;
	struct pt_host_access a = read_access(PAGE, &data);

	(void)state;
	*slot(f, L3 + 8) = 0;
	script.answer[0] = PT_RACED;
	script.answer[1] = PT_PARKED;
	script.answer[2] = PT_PARKED;
	script.answer[3] = PT_MAPPED;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_PARKED);
	assert_int_equal(a.exits, 1);
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_PARKED);
	assert_int_equal(a.exits, 1);
	script.fix = map_page_1;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.exits, 2);
	assert_int_equal(a.exit[1].outcome, PT_MAPPED);
	/* used again for another access, the record starts anew */
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.exits, 0);
	tear_down(f);
}

static void too_many_exits_end_the_section(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0;
	struct pt_host_access a = read_access(PAGE, &data);

	(void)state;
	*slot(f, L3 + 8) = 0;
	for (int i = 0; i < 16; i++)
		script.answer[i] = PT_RACED;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_MORE);
	assert_int_equal(a.exits, PT_HOST_MAX_EXITS);
	assert_int_equal(script.calls, PT_HOST_MAX_EXITS);
	script.fix = map_page_1;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.exits, 1);
	tear_down(f);
}

static void flush_own_entry(struct fixture *f)
{
	flush_vcpu(f, 0);
}

/* The right was granted meanwhile, but the vCPU's own entry does not know: it faults from the
 * entry. */
static void a_stale_right_faults_until_the_local_invalidation(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0;
	struct pt_host_access a = read_access(PAGE, &data);

	(void)state;
	set_page(f, PAGE, PAGE, PT_PROT_R);
	page_behind(f, &f->ctx, 0, PAGE, NULL);
	set_page(f, PAGE, PAGE, PT_PROT_RW);
	a.access = PT_ACCESS_WRITE;
	a.handle_faults = false;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_DENIED);
	a.handle_faults = true;
	script.answer[0] = PT_ALREADY_MAPPED;
	script.fix = flush_own_entry;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(a.exits, 1);
	assert_int_equal(a.exit[0].fault, HW_PERMISSION);
	assert_false(a.exit[0].hpfar_known);
	assert_int_equal(script.last.type, PT_FAULT_PERMISSION);
	assert_int_equal(f->mmu.local_tlbis, 1);
	assert_int_equal(f->mmu.tlbis, 0);
	tear_down(f);
}

static void rights_follow_access_kind_and_exception_level(void **state)
{
	static const struct {
		uint32_t rights;
		uint8_t access;
		bool el0, s1ptw, granted;
	} rows[] = {
		{PT_PROT_R, PT_ACCESS_READ, false, false, true},
		{PT_PROT_R, PT_ACCESS_AT, false, false, true},
		{PT_PROT_R, PT_ACCESS_WRITE, false, false, false},
		{PT_PROT_R, PT_ACCESS_EXEC, false, false, false},
		{PT_PROT_R, PT_ACCESS_EXEC, false, true, true}, /* a walk only reads */
		{PT_PROT_W, PT_ACCESS_READ, false, false, false},
		{PT_PROT_R | PT_PROT_PX, PT_ACCESS_EXEC, false, false, true},
		{PT_PROT_R | PT_PROT_PX, PT_ACCESS_EXEC, true, false, false},
		{PT_PROT_R | PT_PROT_UX, PT_ACCESS_EXEC, true, false, true},
		{PT_PROT_R | PT_PROT_UX, PT_ACCESS_EXEC, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
		uint64_t data = 0;
		struct pt_host_access a = read_access(PAGE, &data);

		a.handle_faults = false;
		a.access = rows[i].access;
		a.el0 = rows[i].el0;
		a.s1ptw = rows[i].s1ptw;
		set_page(f, PAGE, PAGE, rows[i].rights);
		/* by the walk, and by the entry that a walk for another access leaves */
		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a),
				 rows[i].granted ? PT_OK : PT_DENIED);
		a.access = PT_ACCESS_AT;
		if (rows[i].rights & PT_PROT_R)
			assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
		a.access = rows[i].access;
		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a),
				 rows[i].granted ? PT_OK : PT_DENIED);
		assert_int_equal(a.tlb_hit, !!(rows[i].rights & PT_PROT_R));
		tear_down(f);
	}
}

static void hardware_access_flag_and_dirty_state(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0;
	struct pt_host_access a = read_access(PAGE, &data);
	pt_pte *e = slot(f, L3 + 8);

	(void)state;
	f->ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
	*e = 0x137f | PT_PTE_DBM; /* AF clear, writable clean */
	a.access = PT_ACCESS_AT;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(*e, 0x137f | PT_PTE_DBM);
	assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 0); /* AF clear: not kept */
	a.access = PT_ACCESS_READ;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_int_equal(*e, 0x177f | PT_PTE_DBM);
	assert_int_equal(pt_host_tlb_count(&f->mmu, 0), 1);
	a.access = PT_ACCESS_WRITE;
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_false(a.tlb_hit); /* a clean entry walks, to make the leaf dirty */
	assert_int_equal(*e, 0x17ff | PT_PTE_DBM);
	assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_OK);
	assert_true(a.tlb_hit);
	assert_int_equal(script.calls, 0);
	tear_down(f);
}

/* B9: an address beyond the space must not look like another VMID's or page's entry. */
static void ipa_beyond_limit(void **state)
{
	struct fixture *f = set_up(PT_HOST_TLB_CACHE, 1);
	uint64_t data = 0;

	(void)state;
	for (unsigned bit = 40; bit < 64; bit++) {
		struct pt_host_access a = read_access(PAGE | UINT64_C(1) << bit, &data);

		page_behind(f, &f->ctx, 0, PAGE, NULL);
		page_behind(f, &f->other, 0, PAGE, NULL);
		a.handle_faults = false;
		assert_int_equal(pt_host_access(&f->agent, &f->ctx, &f->ram, &a), PT_NOT_MAPPED);
		assert_int_equal(a.exit[0].level, 0);
	}
	tear_down(f);
}

#define VERSIONS 30000

struct race {
	struct fixture *f;
	_Atomic uint64_t published, done;
	uint64_t bad, hits;
};

/* Whoever has heard of a version must not read an older one. */
static void *reader(void *arg)
{
	struct race *r = arg;
	struct fixture *f = r->f;
	struct pt_agent agent = {.world = &f->world, .id = 1};

	while (!r->done) {
		uint64_t data = 0, heard = atomic_load(&r->published);
		struct pt_host_access a = read_access(PAGE, &data);

		a.handle_faults = false;
		if (pt_host_access(&agent, &f->ctx, &f->ram, &a) != PT_OK || data < heard)
			r->bad++;
		r->hits += a.tlb_hit;
	}
	return NULL;
}

static void run_race(enum pt_host_tlb_mode mode, uint64_t versions)
{
	struct fixture *f = set_up(mode, 8);
	struct race r = {.f = f};
	pthread_t thread;

	/* page v of memory holds v + base, so that data tells the version of the leaf */
	set_page(f, PAGE, 0, PT_PROT_RWX);
	assert_int_equal(pthread_create(&thread, NULL, reader, &r), 0);
	for (uint64_t v = 1; v < versions; v++) {
		uint64_t pa = (1024 + v % 8192) * PAGE;

		assert_int_equal(pt_host_ram_write(&f->ram, pa, &v, 8), PT_OK);
		__atomic_store_n(slot(f, L3 + 8), pa | 0x7ff, __ATOMIC_RELEASE);
		flush(f, PT_TLBI_IPA, 5, PAGE, PAGE, 3);
		atomic_store(&r.published, v);
	}
	r.done = 1;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.bad, 0);
	tear_down(f);
}

static void no_reader_sees_an_older_version_than_it_heard_of(void **state)
{
	(void)state;
	run_race(PT_HOST_TLB_CACHE, VERSIONS);
	run_race(PT_HOST_TLB_ADVERSARIAL, VERSIONS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filled_entry_is_hit_until_invalidated),
		cmocka_unit_test(invalidations_remove_what_they_name),
		cmocka_unit_test(an_emptied_vcpu_fills_and_empties_again),
		cmocka_unit_test(a_busy_vcpu_is_told_so_and_still_emptied),
		cmocka_unit_test(many_vcpus_do_not_share_entries),
		cmocka_unit_test(a_fill_that_an_invalidation_overtook_is_dropped),
		cmocka_unit_test(bytes_move_and_results_are_told),
		cmocka_unit_test(bad_accesses_are_refused),
		cmocka_unit_test(a_leaf_outside_memory_moves_nothing),
		cmocka_unit_test(unhandled_faults_are_exits),
		cmocka_unit_test(a_handled_fault_is_retried),
		cmocka_unit_test(an_exit_to_the_vmm_ends_the_access),
		cmocka_unit_test(a_parked_access_goes_on_with_its_exits),
		cmocka_unit_test(too_many_exits_end_the_section),
		cmocka_unit_test(a_stale_right_faults_until_the_local_invalidation),
		cmocka_unit_test(rights_follow_access_kind_and_exception_level),
		cmocka_unit_test(hardware_access_flag_and_dirty_state),
		cmocka_unit_test(ipa_beyond_limit),
		cmocka_unit_test(no_reader_sees_an_older_version_than_it_heard_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
