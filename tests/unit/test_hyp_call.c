/* SPDX-License-Identifier: BSD-2-Clause */
/* What changes EL2's own map after boot: calls with a stranger's arguments, and each CPU's window.
 */
#include "hyp_fixture.h"

static const unsigned granules[] = {12, 14, 16};
#define GRANULES 3

#define HOST (BOARD_LOW + 0x200000) /* memory of the host */

static enum pt_outcome call_map(struct board *b, uint64_t pa, uint64_t size, uint32_t prot)
{
	enum pt_outcome outcome;

	pt_section_begin(&b->agent);
	outcome = pt_hyp_call_map(&b->space, &b->agent, pt_pa(pa), size, prot);
	pt_section_end(&b->agent);
	return outcome;
}

static enum pt_outcome call_unmap(struct board *b, uint64_t pa, uint64_t size)
{
	enum pt_outcome outcome;

	pt_section_begin(&b->agent);
	outcome = pt_hyp_call_unmap(&b->space, &b->agent, pt_pa(pa), size);
	pt_section_end(&b->agent);
	return outcome;
}

static enum pt_outcome call_private(struct board *b, uint64_t pa, uint64_t size, uint32_t prot,
				    uint64_t *va)
{
	enum pt_outcome outcome;

	pt_section_begin(&b->agent);
	outcome = pt_hyp_call_private(&b->space, &b->agent, pt_pa(pa), size, prot, va);
	pt_section_end(&b->agent);
	return outcome;
}

static unsigned refs(struct board *b, uint64_t pa)
{
	return pt_frame_find(&b->space.memory, pt_pa(pa))->refs;
}

/* All that a refused call must leave alone. */
struct before {
	uint64_t used, tables, next, tlbis, sum;
};

static struct before look(struct board *b)
{
	struct before now = {atomic_load(&b->world.pool.used_bytes), b->space.map.table_pages,
			     b->space.private_next, atomic_load(&b->mmu.tlbis), 0};

	for (unsigned r = 0; r < 2; r++)
		for (uint64_t pa = b->region[r].pa; pa < b->region[r].pa + b->region[r].size;
		     pa += PT_SZ_4K) {
			uint64_t oa = 0;
			pt_pte leaf = board_leaf(b, board_linear(b, pa), &oa);

			now.sum = now.sum * 31 + (leaf ^ refs(b, pa));
		}
	assert_false(atomic_load(&b->space.busy));
	return now;
}

static void same(const struct before *a, const struct before *b)
{
	assert_memory_equal(a, b, sizeof(*a));
}

static void memory_is_mapped_while_it_is_counted(void **state)
{
	static const unsigned counts[] = {1, 2, 2, 2, 1};

	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;
		struct before empty, one;
		uint64_t page = UINT64_C(1) << granules[g];

		board_boot(&b, granules[g]);
		empty = look(&b);
		ASSERT_OUTCOME(PT_MAPPED, call_map(&b, HOST, 4 * page, PT_PROT_RW));
		for (unsigned i = 0; i < 4; i++)
			board_expect(&b, board_linear(&b, HOST + i * page), HOST + i * page,
				     PT_PROT_RW);
		board_expect_none(&b, board_linear(&b, HOST + 4 * page));
		one = look(&b);
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, call_map(&b, HOST + page, 2 * page, PT_PROT_RW));
		ASSERT_OUTCOME(PT_MAPPED, call_map(&b, HOST + 3 * page, 2 * page, PT_PROT_RW));
		for (unsigned i = 0; i < 5; i++)
			for (uint64_t at = 0; at < page; at += PT_SZ_4K)
				assert_int_equal(counts[i], refs(&b, HOST + i * page + at));
		ASSERT_OUTCOME(PT_UNMAPPED, call_unmap(&b, HOST + page, 4 * page));
		for (unsigned i = 1; i < 4; i++) /* one count is left */
			board_expect(&b, board_linear(&b, HOST + i * page), HOST + i * page,
				     PT_PROT_RW);
		board_expect_none(&b, board_linear(&b, HOST + 4 * page));
		assert_int_equal(1, atomic_load(&b.mmu.tlbis));
		assert_int_equal(one.sum, look(&b).sum);
		ASSERT_OUTCOME(PT_UNMAPPED, call_unmap(&b, HOST, 4 * page));
		assert_int_equal(2, atomic_load(&b.mmu.tlbis));
		while (pt_reclaim(&b.agent))
			continue;
		assert_int_equal(empty.sum, look(&b).sum);
		assert_int_equal(empty.used, look(&b).used);
		assert_int_equal(empty.tables, look(&b).tables);
		board_close(&b);
	}
}

static void all_of_a_block_is_pages(void **state)
{
	struct board b;

	(void)state;
	board_boot(&b, 12);
	ASSERT_OUTCOME(PT_MAPPED, call_map(&b, BOARD_HIGH, PT_SZ_2M, PT_PROT_R));
	ASSERT_OUTCOME(PT_UNMAPPED, call_unmap(&b, BOARD_HIGH + 0x5000, 0x1000));
	board_expect_none(&b, board_linear(&b, BOARD_HIGH + 0x5000));
	board_expect(&b, board_linear(&b, BOARD_HIGH + 0x4000), BOARD_HIGH + 0x4000, PT_PROT_R);
	ASSERT_OUTCOME(PT_NOT_MAPPED, call_unmap(&b, BOARD_HIGH, PT_SZ_2M));
	board_expect(&b, board_linear(&b, BOARD_HIGH), BOARD_HIGH, PT_PROT_R);
	board_close(&b);
}

struct hostile {
	enum pt_outcome outcome;
	uint64_t pa, size;
	uint32_t prot;
};

static void a_hostile_caller_changes_nothing(void **state)
{
	static const uint64_t end = BOARD_LOW + (UINT64_C(64) << 20),
			      most = PT_HYP_CALL_PAGES * PT_SZ_4K;
	static const struct hostile calls[] = {
		{PT_INVALID, HOST, 0, PT_PROT_RW},
		{PT_OUT_OF_RANGE, HOST, -HOST, PT_PROT_RW},
		{PT_INVALID, -UINT64_C(0x1000), 0x2000, PT_PROT_RW},
		{PT_INVALID, HOST, UINT64_MAX & ~UINT64_C(0xfff), PT_PROT_RW},
		{PT_MISALIGNED, HOST + 8, 0x1000, PT_PROT_RW},
		{PT_MISALIGNED, HOST, 0x1001, PT_PROT_RW},
		{PT_OUT_OF_RANGE, UINT64_C(1) << 40, 0x1000, PT_PROT_RW},
		{PT_OUT_OF_RANGE, (UINT64_C(1) << 63), 0x1000, PT_PROT_RW},
		{PT_TOO_LARGE, HOST, 512 * PT_SZ_4K + PT_SZ_4K, PT_PROT_RW},
		{PT_TOO_LARGE, 0, UINT64_C(1) << 40, PT_PROT_RW},
		{PT_OUT_OF_RANGE, BOARD_UART, 0x1000, PT_PROT_RW},
		{PT_OUT_OF_RANGE, 0, 0x1000, PT_PROT_RW},
		{PT_OUT_OF_RANGE, BOARD_LOW + (UINT64_C(64) << 20) - 0x1000, 0x2000, PT_PROT_RW},
		{PT_OUT_OF_RANGE, BOARD_HIGH - 0x1000, 0x2000, PT_PROT_RW},
		{PT_WRONG_OWNER, BOARD_LOW, 0x1000, PT_PROT_R},
		{PT_WRONG_OWNER, BOARD_LOW + 0x2f000, 0x2000, PT_PROT_R},
		{PT_WRONG_OWNER, BOARD_POOL, 0x1000, PT_PROT_RW},
		{PT_WRONG_OWNER, BOARD_POOL - 0x1000, 0x2000, PT_PROT_RW},
		{PT_WRONG_OWNER, BOARD_POOL + BOARD_BYTES - 0x1000, 0x2000, PT_PROT_RW},
	};
	struct board b;
	struct before now, then;

	(void)state;
	assert_int_equal(end, BOARD_LOW + 0x4000000);
	board_boot(&b, 12);
	ASSERT_OUTCOME(PT_MAPPED, call_map(&b, end - most, most, PT_PROT_RW));
	now = look(&b);
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const struct hostile *h = calls + i;

		ASSERT_OUTCOME(h->outcome, call_map(&b, h->pa, h->size, h->prot));
		ASSERT_OUTCOME(h->outcome, call_unmap(&b, h->pa, h->size));
		then = look(&b);
		same(&now, &then);
	}
	ASSERT_OUTCOME(PT_NOT_MAPPED, call_unmap(&b, HOST, 0x1000));
	ASSERT_OUTCOME(PT_NOT_MAPPED, call_unmap(&b, end - most - 0x1000, 0x2000));
	ASSERT_OUTCOME(PT_OVERLAP, call_map(&b, end - 0x2000, 0x1000, PT_PROT_R));
	ASSERT_OUTCOME(PT_OVERLAP, call_map(&b, end - most - 0x3000, 0x4000, PT_PROT_R));
	then = look(&b);
	same(&now, &then);
	board_close(&b);
}

/* Whatever the bits: executable, device memory as Normal, and the other way round. */
static void the_host_gives_data_alone(void **state)
{
	struct board b;
	uint64_t va = 5;

	(void)state;
	board_boot(&b, 12);
	for (uint32_t prot = 0; prot < 1u << 21; prot++) {
		uint32_t type = prot >> 8 & 0xff, rights = prot & 0xff;
		bool data = (rights == PT_PROT_R || rights == PT_PROT_RW) && !(prot >> 16);

		if (rights > 0x1f || type > 3)
			continue;
		if (!data || type != PT_MEM_NORMAL)
			ASSERT_OUTCOME(PT_INVALID, call_map(&b, HOST, 0x1000, prot));
		if (!data || (type != PT_MEM_DEVICE && type != PT_MEM_NC))
			ASSERT_OUTCOME(PT_INVALID, call_private(&b, BOARD_UART, 0x1000, prot, &va));
	}
	assert_int_equal(5, va);
	assert_int_equal(0, refs(&b, HOST));
	board_close(&b);
}

static void a_device_gets_an_address_of_its_own(void **state)
{
	static const uint32_t device = PT_PROT(PT_PROT_RW, PT_MEM_DEVICE);

	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;
		struct before now, then;
		uint64_t page = UINT64_C(1) << granules[g], first = 0, second = 0, none = 5;

		board_boot(&b, granules[g]);
		ASSERT_OUTCOME(PT_MAPPED, call_private(&b, 0x0a000000, 3 * page, device, &first));
		ASSERT_OUTCOME(PT_MAPPED, call_private(&b, 0x0a000000, page,
						       PT_PROT(PT_PROT_R, PT_MEM_NC), &second));
		assert_true(second == first + 3 * page);
		assert_true(first >= b.plan.private_va &&
			    second < b.plan.private_va + b.plan.private_size);
		board_expect(&b, first + 2 * page, 0x0a000000 + 2 * page, device);
		board_expect(&b, second, 0x0a000000, PT_PROT(PT_PROT_R, PT_MEM_NC));
		now = look(&b);
		ASSERT_OUTCOME(PT_INVALID, call_private(&b, 0, 0, device, &none));
		ASSERT_OUTCOME(PT_INVALID, call_private(&b, -page, 2 * page, device, &none));
		ASSERT_OUTCOME(PT_MISALIGNED, call_private(&b, 8, page, device, &none));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE, call_private(&b, (UINT64_C(1) << 40) - page,
							     2 * page, device, &none));
		ASSERT_OUTCOME(PT_TOO_LARGE, call_private(&b, 0, 513 * page, device, &none));
		ASSERT_OUTCOME(PT_WRONG_OWNER, call_private(&b, BOARD_POOL, page, device, &none));
		ASSERT_OUTCOME(PT_WRONG_OWNER, call_private(&b, HOST, page, device, &none));
		ASSERT_OUTCOME(PT_WRONG_OWNER,
			       call_private(&b, BOARD_LOW - page, 2 * page, device, &none));
		ASSERT_OUTCOME(PT_WRONG_OWNER,
			       call_private(&b, BOARD_HIGH - page, 3 * page, device, &none));
		b.space.private_end = b.space.private_next + page;
		ASSERT_OUTCOME(PT_NO_MEMORY, call_private(&b, 0x0a000000, 2 * page, device, &none));
		then = look(&b);
		same(&now, &then);
		assert_int_equal(5, none);
		ASSERT_OUTCOME(PT_MAPPED, call_private(&b, 0x0a000000, page, device, &none));
		ASSERT_OUTCOME(PT_NO_MEMORY, call_private(&b, 0x0a000000, page, device, &second));
		board_close(&b);
	}
}

/* Out of tables: what was mapped before the page that could not be is unmapped again. */
static void all_or_nothing_without_memory(void **state)
{
	struct pt_pages hoard = {0};
	struct before now, then;
	struct pt_page page;
	struct board b;
	uint64_t va, pa = BOARD_HIGH + PT_SZ_2M - 2 * PT_SZ_4K;

	(void)state;
	board_boot(&b, 12);
	/* The tables of the first 2 MiB are there, those of the next are not. */
	ASSERT_OUTCOME(PT_MAPPED, call_map(&b, BOARD_HIGH, PT_SZ_4K, PT_PROT_RW));
	while (pt_pool_get(&b.agent, 12, &page) == PT_OK)
		pt_pages_push(&b.world.pool, &hoard, page);
	now = look(&b);
	ASSERT_OUTCOME(PT_NO_MEMORY, call_map(&b, pa, 4 * PT_SZ_4K, PT_PROT_RW));
	then = look(&b);
	assert_int_equal(now.tlbis + 1, then.tlbis);
	now.tlbis++;
	same(&now, &then);
	b.space.private_next = (b.space.private_next + PT_SZ_2M - 1) & ~(PT_SZ_2M - 1);
	now.next = b.space.private_next;
	ASSERT_OUTCOME(PT_NO_MEMORY,
		       call_private(&b, 0, PT_SZ_4K, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE), &va));
	then = look(&b);
	same(&now, &then);
	pt_pool_give(&b.agent, 12, &hoard);
	ASSERT_OUTCOME(PT_MAPPED, call_map(&b, pa, 4 * PT_SZ_4K, PT_PROT_RW));
	board_close(&b);
}

static void a_count_does_not_wrap(void **state)
{
	struct board b;

	(void)state;
	board_boot(&b, 12);
	ASSERT_OUTCOME(PT_MAPPED, call_map(&b, HOST, PT_SZ_4K, PT_PROT_RW));
	for (unsigned i = 2; i <= 65535; i++)
		ASSERT_OUTCOME(PT_ALREADY_MAPPED, call_map(&b, HOST, PT_SZ_4K, PT_PROT_RW));
	ASSERT_OUTCOME(PT_WRONG_STATE, call_map(&b, HOST - PT_SZ_4K, 3 * PT_SZ_4K, PT_PROT_RW));
	assert_int_equal(65535, refs(&b, HOST));
	assert_int_equal(0, refs(&b, HOST - PT_SZ_4K));
	ASSERT_OUTCOME(PT_UNMAPPED, call_unmap(&b, HOST, PT_SZ_4K));
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, call_map(&b, HOST, PT_SZ_4K, PT_PROT_RW));
	board_close(&b);
}

/* Nobody waits at EL2: who finds another in a call is told so. */
static void one_call_at_a_time(void **state)
{
	struct board b;
	struct before now, then;
	uint64_t va;

	(void)state;
	board_boot(&b, 12);
	now = look(&b);
	atomic_store(&b.space.busy, true);
	ASSERT_OUTCOME(PT_BUSY, call_map(&b, HOST, PT_SZ_4K, PT_PROT_RW));
	ASSERT_OUTCOME(PT_BUSY, call_unmap(&b, HOST, PT_SZ_4K));
	ASSERT_OUTCOME(PT_BUSY,
		       call_private(&b, 0, PT_SZ_4K, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE), &va));
	assert_true(atomic_load(&b.space.busy));
	atomic_store(&b.space.busy, false);
	then = look(&b);
	same(&now, &then);
	board_close(&b);
}

static void a_window_shows_one_frame_at_a_time(void **state)
{
	(void)state;
	for (unsigned g = 0; g < GRANULES; g++) {
		struct board b;
		struct pt_hyp_cpu *cpu;
		uint64_t page = UINT64_C(1) << granules[g];
		void *at = NULL;

		board_boot(&b, granules[g]);
		cpu = &b.cpu[2];
		ASSERT_OUTCOME(PT_MISALIGNED,
			       pt_hyp_window_open(&b.space, cpu, pt_pa(HOST + 8), &at));
		ASSERT_OUTCOME(PT_OUT_OF_RANGE,
			       pt_hyp_window_open(&b.space, cpu, pt_pa(UINT64_C(1) << 40), &at));
		assert_null(at);
		ASSERT_OUTCOME(PT_OK, pt_hyp_window_open(&b.space, cpu, pt_pa(HOST), &at));
		assert_ptr_equal((void *)cpu->window, at);
		board_expect(&b, cpu->window, HOST, PT_PROT_RW);
		board_expect_none(&b, cpu->window + page);
		ASSERT_OUTCOME(PT_BUSY, pt_hyp_window_open(&b.space, cpu, pt_pa(BOARD_HIGH), &at));
		board_expect(&b, cpu->window, HOST, PT_PROT_RW);
		ASSERT_OUTCOME(PT_OK,
			       pt_hyp_window_open(&b.space, &b.cpu[1], pt_pa(BOARD_HIGH), &at));
		board_expect(&b, b.cpu[1].window, BOARD_HIGH, PT_PROT_RW);
		assert_int_equal(0, atomic_load(&b.mmu.tlbis));
		pt_hyp_window_close(&b.space, cpu);
		assert_int_equal(1, atomic_load(&b.mmu.tlbis));
		board_expect_none(&b, cpu->window);
		board_expect(&b, b.cpu[1].window, BOARD_HIGH, PT_PROT_RW);
		ASSERT_OUTCOME(PT_OK, pt_hyp_window_open(&b.space, cpu, pt_pa(BOARD_HIGH), &at));
		board_close(&b);
	}
}

static void a_frame_outside_the_map_is_zeroed(void **state)
{
	struct board b;
	unsigned char *frame;

	(void)state;
	board_boot(&b, 12);
	/* What the window shows, when it is open: a page of this process at that address. */
	frame = mmap((void *)b.cpu[0].window, PT_SZ_4K, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal((void *)b.cpu[0].window, frame);
	memset(frame, 0xa5, PT_SZ_4K);
	ASSERT_OUTCOME(PT_MISALIGNED, pt_hyp_zero(&b.space, &b.cpu[0], pt_pa(HOST + 0x800)));
	assert_int_equal(0xa5, frame[0]);
	ASSERT_OUTCOME(PT_OK, pt_hyp_zero(&b.space, &b.cpu[0], pt_pa(HOST)));
	for (unsigned i = 0; i < PT_SZ_4K; i++)
		assert_int_equal(0, frame[i]);
	board_expect_none(&b, b.cpu[0].window);
	assert_int_equal(1, atomic_load(&b.mmu.tlbis));
	board_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_mapped_while_it_is_counted),
		cmocka_unit_test(all_of_a_block_is_pages),
		cmocka_unit_test(a_hostile_caller_changes_nothing),
		cmocka_unit_test(the_host_gives_data_alone),
		cmocka_unit_test(a_device_gets_an_address_of_its_own),
		cmocka_unit_test(all_or_nothing_without_memory),
		cmocka_unit_test(a_count_does_not_wrap),
		cmocka_unit_test(one_call_at_a_time),
		cmocka_unit_test(a_window_shows_one_frame_at_a_time),
		cmocka_unit_test(a_frame_outside_the_map_is_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
