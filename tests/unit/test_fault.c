/* SPDX-License-Identifier: BSD-2-Clause */
/* The fault handler over memslots: block sizes, races, relaxation, and what it leaves to the VMM.
 */
#include "upkeep.h"

static struct pt_slots *one_slot(struct core *c, struct pt_slot slot)
{
	struct pt_slots *slots = calloc(1, sizeof(*slots) + sizeof(slot));

	assert_non_null(slots);
	slots->count = 1;
	slots->slot[0] = slot;
	pt_ctx_set_slots(&c->ctx, slots);
	return slots;
}

static enum pt_outcome fault(struct core *c, uint64_t ipa, enum pt_access access,
			     struct pt_fault_result *result)
{
	struct pt_fault in = {.ipa = {ipa}, .access = (uint8_t)access};
	struct pt_fault_result ignored;
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_fault_handle(&c->agent, &c->ctx, &in, result ? result : &ignored);
	pt_section_end(&c->agent);
	return outcome;
}

static void a_fault_installs_the_largest_block_that_fits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct core c;
		struct pt_fault_result r;
		struct pt_slots *slots;
		uint64_t page, block;

		core_open(&c, &shapes[i]);
		page = core_size(&c, 3);
		block = core_size(&c, 2);
		/* The slot begins and ends inside a block: pages there, a block in between. */
		slots = one_slot(&c, (struct pt_slot){.ipa = block - page,
						      .size = block + 2 * page,
						      .pa = 3 * block - page,
						      .backing_shift = 40});
		ASSERT_OUTCOME(PT_MAPPED, fault(&c, block - 1, PT_ACCESS_READ, &r));
		assert_int_equal(3, r.level);
		assert_int_equal(3 * block - 1, r.pa.v);
		ASSERT_OUTCOME(PT_MAPPED, fault(&c, block + 5 * page + 8, PT_ACCESS_WRITE, &r));
		assert_int_equal(2, r.level);
		assert_int_equal(3 * block + 5 * page + 8, r.pa.v);
		assert_int_equal(PT_PROT_RW, r.prot);
		assert_int_equal(r.pa.v, core_walk(&c, block + 5 * page + 8, HW_WRITE).pa);
		ASSERT_OUTCOME(PT_MAPPED, fault(&c, 2 * block, PT_ACCESS_READ, &r));
		assert_int_equal(3, r.level);
		ASSERT_OUTCOME(PT_NO_SLOT, fault(&c, 2 * block + page, PT_ACCESS_READ, NULL));
		ASSERT_OUTCOME(PT_NO_SLOT, fault(&c, block - page - 1, PT_ACCESS_READ, NULL));
		core_close(&c);
		free(slots);
	}
}

static void backing_page_and_alignment_limit_the_block(void **state)
{
	static const struct {
		uint64_t pa;
		unsigned backing;
		int level;
	} rows[] = {{PT_SZ_1G, 12, 3},
		    {PT_SZ_1G, 20, 3},
		    {PT_SZ_1G, 21, 2},
		    {PT_SZ_1G, 30, 1},
		    {0, 40, 1},
		    {PT_SZ_2M, 30, 2},
		    {PT_SZ_1G + PT_SZ_4K, 30, 3},
		    {4096, 12, 3}};
	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_fault_result r;
		struct core c;
		struct pt_slots *slots;

		core_open(&c, &shapes[0]);
		slots = one_slot(&c, (struct pt_slot){.ipa = PT_SZ_1G,
						      .size = PT_SZ_1G,
						      .pa = rows[i].pa,
						      .backing_shift = (uint8_t)rows[i].backing});
		ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_1G + 0x123456, PT_ACCESS_READ, &r));
		assert_int_equal(rows[i].level, r.level);
		assert_int_equal(rows[i].level - 1, r.tables_added);
		assert_int_equal(rows[i].pa + 0x123456, r.pa.v);
		core_close(&c);
		free(slots);
	}
}

static void a_fault_stays_below_an_existing_table_and_a_claim(void **state)
{
	struct pt_fault_result r;
	struct pt_claim claim;
	struct pt_slots *slots;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = 4 * PT_SZ_1G, .backing_shift = 30});
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x5000, 0x1000, 0x5000, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_2M, PT_ACCESS_READ, &r));
	assert_int_equal(2, r.level);
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0x9000, PT_ACCESS_READ, &r));
	assert_int_equal(3, r.level);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &c.ctx, PT_SZ_1G, PT_SZ_1G + PT_SZ_4K - 1,
					       PT_CLAIM_EXCLUSIVE, false, NULL));
	ASSERT_OUTCOME(PT_PARKED, fault(&c, PT_SZ_1G, PT_ACCESS_READ, NULL));
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_1G + PT_SZ_4K, PT_ACCESS_READ, &r));
	assert_int_equal(3, r.level); /* no block over the claim */
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_1G + PT_SZ_2M, PT_ACCESS_READ, &r));
	assert_int_equal(2, r.level);
	pt_claim_release(&claim);
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_1G, PT_ACCESS_READ, &r));
	core_close(&c);
	free(slots);
}

static void a_block_that_reaches_into_a_claim_is_left_alone(void **state)
{
	struct pt_claim claim;
	struct pt_slots *slots;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G, .backing_shift = 30});
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0, PT_SZ_2M, 0, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &c.ctx, 0x1000, 0x1fff, PT_CLAIM_EXCLUSIVE,
					       false, NULL));
	ASSERT_OUTCOME(PT_RACED, fault(&c, 0x3000, PT_ACCESS_WRITE, NULL));
	assert_false(core_walk(&c, 0x3000, HW_READ).write);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&c, 0x3000, PT_ACCESS_READ, NULL));
	pt_claim_release(&claim);
	ASSERT_OUTCOME(PT_RELAXED, fault(&c, 0x3000, PT_ACCESS_WRITE, NULL));
	core_close(&c);
	free(slots);
}

static void two_vcpus_same_fault(void **state) /* B27 */
{
	struct pt_fault_result r;
	struct pt_slots *slots;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G, .backing_shift = 12});
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0x1000, PT_ACCESS_WRITE, &r));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&c, 0x1000, PT_ACCESS_WRITE, &r));
	/* A late fault with fewer rights narrows nothing. */
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&c, 0x1fff, PT_ACCESS_READ, &r));
	assert_int_equal(PT_PROT_RW, r.prot);
	assert_true(core_walk(&c, 0x1000, HW_READ).write);
	ASSERT_OUTCOME(PT_RELAXED, fault(&c, 0x1000, PT_ACCESS_EXEC, &r));
	assert_int_equal(PT_PROT_RWX, r.prot);
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&c, 0x1000, PT_ACCESS_EXEC, &r));
	assert_int_equal(1, atomic_load(&c.ctx.generation)); /* fault fills do not count */
	core_close(&c);
	free(slots);
}

static void slot_flags_decide(void **state)
{
	struct pt_fault_result r;
	struct pt_slots *slots;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G,
					      .flags = PT_SLOT_READ_ONLY | PT_SLOT_NO_EXEC,
					      .backing_shift = 30});
	ASSERT_OUTCOME(PT_READ_ONLY, fault(&c, 0, PT_ACCESS_WRITE, NULL));
	ASSERT_OUTCOME(PT_DENIED, fault(&c, 0, PT_ACCESS_EXEC, NULL));
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0, PT_ACCESS_READ, &r));
	assert_int_equal(PT_PROT_R, r.prot);
	free(slots);
	slots = one_slot(&c, (struct pt_slot){.ipa = PT_SZ_1G,
					      .size = PT_SZ_1G,
					      .flags = PT_SLOT_LOG_DIRTY,
					      .backing_shift = 30});
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, PT_SZ_1G, PT_ACCESS_READ, &r));
	assert_int_equal(3, r.level);
	assert_int_equal(PT_PROT_R, r.prot);
	ASSERT_OUTCOME(PT_RELAXED, fault(&c, PT_SZ_1G, PT_ACCESS_WRITE, &r));
	assert_int_equal(PT_PROT_RW, r.prot);
	core_close(&c);
	free(slots);
}

static void a_slot_grants_rights_only_on_its_own_memory(void **state)
{
	struct pt_slots *slots;
	struct core c;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G, .backing_shift = 12});
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0x9000, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_DENIED, fault(&c, 0x1000, PT_ACCESS_WRITE, NULL));
	ASSERT_OUTCOME(PT_MAPPED,
		       core_map(&c, 0x2000, 0x1000, 0x2000, PT_PROT(PT_PROT_R, PT_MEM_DEVICE), 0));
	ASSERT_OUTCOME(PT_DENIED, fault(&c, 0x2000, PT_ACCESS_EXEC, NULL));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x3000, 0x1000, 0x3000, PT_PROT_R, 0));
	ASSERT_OUTCOME(PT_RELAXED, fault(&c, 0x3000, PT_ACCESS_WRITE, NULL));
	core_close(&c);
	free(slots);
}

/* Block `level` of the tests below begins at its own size; the slot ends in it, at `size`. */
static struct pt_slots *open_cut_block(struct core *c, unsigned shape, int level, uint64_t size,
				       uint32_t prot)
{
	uint64_t block;

	core_open_bytes(c, &shapes[shape], UINT64_C(64) << 20, true);
	block = core_size(c, level);
	ASSERT_OUTCOME(PT_MAPPED, core_map(c, block, block, 2 * block, prot, 0));
	return one_slot(
		c,
		(struct pt_slot){.ipa = block, .size = size, .pa = 2 * block, .backing_shift = 40});
}

/* What was mapped beside the slot is not the slot's to change. */
static void a_fault_gives_no_right_beyond_its_slot(void **state)
{
	static const struct {
		enum pt_access access;
		uint32_t prot;
	} rows[] = {{PT_ACCESS_WRITE, PT_PROT_R},
		    {PT_ACCESS_EXEC, PT_PROT_R},
		    {PT_ACCESS_EXEC, PT_PROT_RW},
		    {PT_ACCESS_READ, PT_PROT_X}};

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct pt_fault_result r;
			struct pt_slots *slots;
			struct core c;
			uint64_t block = 0, page, at;

			slots = open_cut_block(&c, i, 2, PT_SZ_64K * 128, rows[k].prot);
			block = core_size(&c, 2);
			slots->slot[0].size = block / 2;
			page = core_size(&c, 3);
			at = block + 3 * page;
			ASSERT_OUTCOME(PT_RELAXED, fault(&c, at, rows[k].access, &r));
			assert_int_equal(3, r.level);
			assert_int_equal(1, r.tables_added);
			assert_int_equal(2 * block + 3 * page, r.pa.v);
			for (uint64_t ipa = block; ipa < 2 * block; ipa += page) {
				struct hw_result w = core_walk(&c, ipa, HW_AT);

				assert_int_equal(ipa + block, w.pa);
				if (ipa == at)
					continue;
				assert_int_equal(!!(rows[k].prot & PT_PROT_W), w.write);
				assert_int_equal(!!(rows[k].prot & PT_PROT_R), w.read);
				assert_int_equal(!!(rows[k].prot & PT_PROT_X), w.exec_el1);
			}
			/* Beyond it, it says nothing at all. */
			ASSERT_OUTCOME(PT_NO_SLOT,
				       fault(&c, block + block / 2, rows[k].access, NULL));
			core_close(&c);
			free(slots);
		}
}

/* As few tables as the slot's end asks for, and all of them or none. */
static void a_cut_block_is_split_as_a_whole_or_not(void **state)
{
	static const struct {
		uint64_t size, at;
		int level;
		unsigned tables;
	} rows[] = {{PT_SZ_1G, 0, 1, 0},
		    {PT_SZ_1G / 2, PT_SZ_1G / 2 - 1, 2, 1},
		    {PT_SZ_2M + PT_SZ_4K, PT_SZ_2M - 1, 2, 1},
		    {PT_SZ_2M + PT_SZ_4K, PT_SZ_2M + 5, 3, 2}};

	(void)state;
	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		struct pt_digest before;
		struct pt_fault_result r;
		struct pt_slots *slots;
		struct core c;
		uint64_t at = PT_SZ_1G + rows[k].at, tables;

		slots = open_cut_block(&c, 0, 1, rows[k].size, PT_PROT_R);
		before = core_digest_of(&c);
		tables = atomic_load(&c.ctx.table_pages);
		for (unsigned spare = 0; spare < rows[k].tables; spare++) {
			atomic_store(&c.ctx.quota_pages, tables + spare);
			ASSERT_OUTCOME(PT_QUOTA, fault(&c, at, PT_ACCESS_WRITE, NULL));
			assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
			assert_int_equal(tables, atomic_load(&c.ctx.table_pages));
		}
		atomic_store(&c.ctx.quota_pages, tables + rows[k].tables);
		ASSERT_OUTCOME(PT_RELAXED, fault(&c, at, PT_ACCESS_WRITE, &r));
		assert_int_equal(rows[k].level, r.level);
		assert_int_equal(rows[k].tables, r.tables_added);
		assert_int_equal(PT_PROT_RW, r.prot);
		assert_true(core_walk(&c, at, HW_WRITE).write);
		if (rows[k].size < PT_SZ_1G)
			assert_false(core_walk(&c, PT_SZ_1G + rows[k].size, HW_AT).write);
		core_close(&c);
		free(slots);
	}
}

static pt_pte *slot_of(struct core *c, uint64_t ipa)
{
	struct pt_walk_step step[PT_LEVELS];
	unsigned steps = pt_walk_explain(&c->ctx, pt_ipa(ipa), step);

	return pt_port_table(&c->port, step[steps - 1].table) + step[steps - 1].index;
}

static void an_entry_between_break_and_make_is_a_retry(void **state)
{
	struct pt_slots *slots;
	struct core c;
	pt_pte *entry, leaf;

	(void)state;
	core_open(&c, &shapes[0]);
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G, .backing_shift = 12});
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	entry = slot_of(&c, 0x1000);
	leaf = *entry;
	core_poke(entry, PT_PTE_LOCKED);
	ASSERT_OUTCOME(PT_RACED, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	ASSERT_OUTCOME(PT_RACED, core_point(&c,
					    core_item(&c, PT_ITEM_MAP, 0x1000, 0x1000, 0, PT_PROT_R,
						      PT_MAP_REPLACE),
					    NULL, NULL));
	ASSERT_OUTCOME(
		PT_RACED,
		core_point(&c, core_item(&c, PT_ITEM_UNMAP, 0x1000, 0x1000, 0, 0, 0), NULL, NULL));
	ASSERT_OUTCOME(PT_RACED,
		       core_point(&c,
				  core_item(&c, PT_ITEM_PROTECT, 0x1000, 0x1000, 0, PT_PROT_R, 0),
				  NULL, NULL));
	assert_int_equal(PT_PTE_LOCKED, *entry);
	core_poke(entry, leaf & ~PT_PTE_AF);
	ASSERT_OUTCOME(PT_MADE_YOUNG, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	assert_int_equal(leaf, *entry);
	core_close(&c);
	free(slots);
}

static void out_of_pages_changes_nothing(void **state)
{
	struct pt_host_failpoint second = {.scope = 77, .nth = 2, .times = 1};
	struct pt_digest before;
	struct pt_slots *slots;
	struct core c;
	uint64_t used;

	(void)state;
	core_open(&c, &shapes[0]);
	c.ctx.scope = 77;
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_1G, .backing_shift = 12});
	before = core_digest_of(&c);
	used = atomic_load(&c.tables.world.pool.used_bytes);
	pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &second);
	ASSERT_OUTCOME(PT_NO_MEMORY, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
	assert_int_equal(before.state[0], core_digest_of(&c).state[0]);
	assert_int_equal(used, atomic_load(&c.tables.world.pool.used_bytes));
	atomic_store(&c.ctx.quota_pages, 1);
	ASSERT_OUTCOME(PT_QUOTA, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	assert_int_equal(0, atomic_load(&c.ctx.table_pages));
	atomic_store(&c.ctx.quota_pages, 2);
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0x1000, PT_ACCESS_READ, NULL));
	ASSERT_OUTCOME(PT_MAPPED, fault(&c, 0x2000, PT_ACCESS_READ, NULL));
	ASSERT_OUTCOME(PT_QUOTA, fault(&c, PT_SZ_2M, PT_ACCESS_READ, NULL));
	core_close(&c);
	free(slots);
}

/* ---- with TLBs ---- */

static enum pt_outcome access_at(struct core *c, struct pt_host_ram *ram, uint32_t vcpu,
				 uint64_t ipa, enum pt_access access, bool handle, uint32_t *exits)
{
	uint64_t word = 0;
	struct pt_host_access a = {.vcpu = vcpu,
				   .ipa = {ipa},
				   .access = (uint8_t)access,
				   .handle_faults = handle,
				   .length = 8,
				   .data = &word};
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_host_access(&c->agent, &c->ctx, ram, &a);
	pt_section_end(&c->agent);
	if (exits)
		*exits = a.exits;
	return outcome;
}

static void a_reader_and_a_writer_take_at_most_two_exits(void **state)
{
	struct pt_host_ram ram;
	struct pt_slots *slots;
	struct core c;
	uint32_t exits;

	(void)state;
	core_open_bytes(&c, &shapes[0], UINT64_C(64) << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&ram, PT_SZ_2M));
	slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_2M,
					      .flags = PT_SLOT_LOG_DIRTY,
					      .backing_shift = 12});
	for (uint64_t ipa = 0; ipa < 16 * PT_SZ_4K; ipa += PT_SZ_4K) {
		ASSERT_OUTCOME(PT_OK, access_at(&c, &ram, 0, ipa, PT_ACCESS_READ, true, &exits));
		assert_int_equal(1, exits);
		ASSERT_OUTCOME(PT_OK, access_at(&c, &ram, 1, ipa, PT_ACCESS_READ, true, &exits));
		assert_int_equal(0, exits);
		ASSERT_OUTCOME(PT_OK, access_at(&c, &ram, 1, ipa, PT_ACCESS_WRITE, true, &exits));
		assert_int_equal(1, exits);
		/* vCPU 0 still holds the read-only entry: told so, and its entry goes. */
		ASSERT_OUTCOME(PT_OK, access_at(&c, &ram, 0, ipa, PT_ACCESS_WRITE, true, &exits));
		assert_true(exits <= 2);
		ASSERT_OUTCOME(PT_OK, access_at(&c, &ram, 0, ipa, PT_ACCESS_WRITE, true, &exits));
		assert_int_equal(0, exits);
	}
	core_close(&c);
	pt_host_ram_destroy(&ram);
	free(slots);
}

/* No TLBI goes out when rights are added: a vCPU may fault on its older entry, and must not get
 * stuck on it. */
static void a_right_that_was_granted_already_needs_no_slot(void **state)
{
	static const struct {
		uint32_t count, flags;
		uint8_t access;
		enum pt_outcome refusal;
	} rows[] = {{0, 0, PT_ACCESS_WRITE, PT_NO_SLOT},
		    {0, 0, PT_ACCESS_EXEC, PT_NO_SLOT},
		    {1, PT_SLOT_READ_ONLY, PT_ACCESS_WRITE, PT_READ_ONLY},
		    {1, PT_SLOT_NO_EXEC, PT_ACCESS_EXEC, PT_DENIED}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_fault_result r;
		struct pt_slots *slots = NULL;
		struct core c;

		core_open_bytes(&c, &shapes[0], 16 << 20, true);
		if (rows[i].count)
			slots = one_slot(&c, (struct pt_slot){.size = PT_SZ_2M,
							      .backing_shift = 12,
							      .flags = rows[i].flags});
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0x1000, PT_PROT_R, 0));
		ASSERT_OUTCOME(rows[i].refusal, fault(&c, 0x1000, rows[i].access, NULL));
		ASSERT_OUTCOME(rows[i].refusal, fault(&c, 0x3000, rows[i].access, NULL));
		ASSERT_OUTCOME(PT_RELAXED, core_protect(&c, 0x1000, 0x1000, PT_PROT_RWX));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(&c, 0x1000, rows[i].access, &r));
		assert_int_equal(PT_PROT_RWX, r.prot);
		assert_int_equal(0x1000, r.pa.v);
		assert_true(atomic_load(&c.mmu.local_tlbis) > 0);
		core_close(&c);
		free(slots);
	}
}

/* Split, replace and unmap pass through LOCKED: whoever only looks is not told of a hole. */
static void an_entry_between_break_and_make_is_no_hole(void **state)
{
	uint64_t data = 0;
	struct pt_host_access a = {
		.ipa = {0x1000}, .access = PT_ACCESS_READ, .length = 8, .data = &data};
	struct pt_host_ram ram;
	struct hw_result r;
	struct core c;
	pt_pte *entry, leaf;

	(void)state;
	core_open_bytes(&c, &shapes[0], 16 << 20, true);
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&ram, PT_SZ_2M));
	ASSERT_OUTCOME(PT_MAPPED, core_map(&c, 0x1000, 0x1000, 0x1000, PT_PROT_R, 0));
	entry = slot_of(&c, 0x1000);
	leaf = *entry;
	core_poke(entry, PT_PTE_LOCKED);
	pt_section_begin(&c.agent);
	ASSERT_OUTCOME(PT_RACED, pt_host_translate(&c.ctx, a.ipa, PT_ACCESS_READ, false, &r));
	ASSERT_OUTCOME(PT_MORE, pt_host_access(&c.agent, &c.ctx, &ram, &a));
	a.handle_faults = true; /* also where no memslot is */
	ASSERT_OUTCOME(PT_MORE, pt_host_access(&c.agent, &c.ctx, &ram, &a));
	assert_int_equal(PT_RACED, a.exit[PT_HOST_MAX_EXITS - 1].outcome);
	a.handle_faults = false;
	core_poke(entry, leaf);
	ASSERT_OUTCOME(PT_OK, pt_host_translate(&c.ctx, a.ipa, PT_ACCESS_READ, false, &r));
	assert_int_equal(HW_NO_FAULT, r.fault);
	ASSERT_OUTCOME(PT_OK, pt_host_access(&c.agent, &c.ctx, &ram, &a));
	core_poke(entry, 0);
	ASSERT_OUTCOME(PT_OK, pt_host_translate(&c.ctx, a.ipa, PT_ACCESS_READ, false, &r));
	assert_int_equal(HW_TRANSLATION, r.fault);
	pt_section_end(&c.agent);
	pt_host_ram_destroy(&ram);
	core_close(&c);
}

static enum pt_outcome fetch(struct core *c, uint64_t ipa, uint32_t exec)
{
	const struct pt_fault in = {.ipa = {ipa}, .access = PT_ACCESS_EXEC, .exec = (uint8_t)exec};
	struct pt_fault_result r;
	enum pt_outcome outcome;

	pt_section_begin(&c->agent);
	outcome = pt_fault_handle(&c->agent, &c->ctx, &in, &r);
	pt_section_end(&c->agent);
	return outcome;
}

static struct hw_result walk_xnx(struct core *c, uint64_t ipa)
{
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(&c->ctx),
			       .vttbr = pt_ctx_vttbr(&c->ctx),
			       .fwb = true,
			       .xnx = true};
	struct hw_bus bus = {.read = core_bus_read, .arg = &c->port};
	struct hw_result r;

	hw_walk(&regs, &bus, ipa, HW_AT, false, &r);
	return r;
}

/* With XNX a page may be executed by one of EL1 and EL0: a fetch that is known to be its needs no
 * right that the other one lacks, and brings it none. */
static void a_fetch_asks_for_its_own_level(void **state)
{
	static const uint32_t right[2] = {PT_PROT_PX, PT_PROT_UX};
	const uint64_t at = PT_SZ_1G;

	(void)state;
	for (unsigned el0 = 0; el0 < 2; el0++) {
		struct pt_slots *slots;
		struct core c;
		uint64_t page;

		core_open(&c, &shapes[0]);
		c.ctx.attrs |= PT_ATTR_XNX;
		core_note_options(&c.ctx);
		page = core_size(&c, 3);
		slots = one_slot(
			&c, (struct pt_slot){
				    .ipa = at, .size = 2 * page, .pa = at, .backing_shift = 12});
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, at, page, at, PT_PROT_R | right[el0], 0));
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, fetch(&c, at, right[el0]));
		assert_int_equal(el0, walk_xnx(&c, at).exec_el0);
		assert_int_equal(!el0, walk_xnx(&c, at).exec_el1);
		/* Memory of no slot, whose rights are those of its mapping. */
		ASSERT_OUTCOME(PT_MAPPED,
			       core_map(&c, at + page, page, 2 * at, PT_PROT_R | right[el0], 0));
		upkeep_poke(&c, at + page, PT_PTE_AF, 0);
		ASSERT_OUTCOME(PT_DENIED, fetch(&c, at + page, 0)); /* either's */
		ASSERT_OUTCOME(PT_DENIED, fetch(&c, at + page, right[!el0]));
		ASSERT_OUTCOME(PT_MADE_YOUNG, fetch(&c, at + page, right[el0]));
		ASSERT_OUTCOME(PT_RELAXED, fetch(&c, at, 0)); /* the slot grants it */
		core_close(&c);
		free(slots);
	}
}

/* The same of a vCPU that fetches: mapped memory of no slot, which was not used yet. */
static void a_vcpu_fetches_with_the_right_of_its_level(void **state)
{
	static const uint32_t right[2] = {PT_PROT_PX, PT_PROT_UX};
	const uint64_t at = 0x1000;
	struct pt_host_access a = {.ipa = {at}, .access = PT_ACCESS_EXEC, .handle_faults = true};
	struct pt_host_ram ram;

	(void)state;
	ASSERT_OUTCOME(PT_OK, pt_host_ram_create(&ram, PT_SZ_2M));
	for (unsigned el0 = 0; el0 < 2; el0++) {
		struct hw_result r;
		struct core c;

		core_open_bytes(&c, &shapes[0], 16 << 20, true);
		c.ctx.attrs |= PT_ATTR_XNX;
		core_note_options(&c.ctx);
		ASSERT_OUTCOME(PT_MAPPED, core_map(&c, at, 0x1000, at, PT_PROT_R | right[el0], 0));
		upkeep_poke(&c, at, PT_PTE_AF, 0);
		pt_section_begin(&c.agent);
		a.el0 = !el0;
		ASSERT_OUTCOME(PT_NO_SLOT, pt_host_access(&c.agent, &c.ctx, &ram, &a));
		a.el0 = el0;
		ASSERT_OUTCOME(PT_OK, pt_host_access(&c.agent, &c.ctx, &ram, &a));
		assert_int_equal(PT_MADE_YOUNG, a.exit[0].outcome);
		ASSERT_OUTCOME(PT_OK, pt_host_translate(&c.ctx, a.ipa, PT_ACCESS_EXEC, !el0, &r));
		assert_int_equal(HW_PERMISSION, r.fault);
		ASSERT_OUTCOME(PT_OK, pt_host_translate(&c.ctx, a.ipa, PT_ACCESS_EXEC, el0, &r));
		assert_int_equal(HW_NO_FAULT, r.fault);
		pt_section_end(&c.agent);
		core_close(&c);
	}
	pt_host_ram_destroy(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_installs_the_largest_block_that_fits),
		cmocka_unit_test(backing_page_and_alignment_limit_the_block),
		cmocka_unit_test(a_fault_stays_below_an_existing_table_and_a_claim),
		cmocka_unit_test(a_block_that_reaches_into_a_claim_is_left_alone),
		cmocka_unit_test(two_vcpus_same_fault),
		cmocka_unit_test(slot_flags_decide),
		cmocka_unit_test(a_slot_grants_rights_only_on_its_own_memory),
		cmocka_unit_test(a_fault_gives_no_right_beyond_its_slot),
		cmocka_unit_test(a_cut_block_is_split_as_a_whole_or_not),
		cmocka_unit_test(an_entry_between_break_and_make_is_a_retry),
		cmocka_unit_test(out_of_pages_changes_nothing),
		cmocka_unit_test(a_reader_and_a_writer_take_at_most_two_exits),
		cmocka_unit_test(a_right_that_was_granted_already_needs_no_slot),
		cmocka_unit_test(an_entry_between_break_and_make_is_no_hole),
		cmocka_unit_test(a_fetch_asks_for_its_own_level),
		cmocka_unit_test(a_vcpu_fetches_with_the_right_of_its_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
