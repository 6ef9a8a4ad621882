/* SPDX-License-Identifier: BSD-2-Clause */
/* Each hypercall with each argument at its edges: an answer, and where it is an error nothing
 * changed. */
#include "hv_fixture.h"

#define EDGE_RAM	BOARD_LOW
#define EDGE_RAM_BYTES	(UINT64_C(64) << 20)
#define EDGE_IMAGE	BOARD_LOW
#define EDGE_IMAGE_PAGE (BOARD_LOW + 0x2f000)
#define EDGE_POOL	BOARD_POOL
#define EDGE_POOL_BYTES BOARD_BYTES
#define EDGE_FREE	FREE_MEMORY
#define EDGE_UART	BOARD_UART
#include "hv_edges.h"

#define TOP   EDGE_TOP
#define RW    PT_PROT_RW
#define PAGE  PT_SZ_4K
#define IMAGE BOARD_LOW
#define FREE  FREE_MEMORY

/* What the CPUs of el2_open() have not. */
static const struct hv_edge not_these_cpus[] = {
	{EDGE(CREATE, EDGE_VTCR | 3 << 21, 1), -PT_UNSUPPORTED}, /* HD: not these CPUs */
	{EDGE(CREATE, EDGE_VTCR + (UINT64_C(3) << 16), 1), -PT_UNSUPPORTED}, /* PS: 48 bits */
	{EDGE(CREATE, EDGE_VTCR | UINT64_C(1) << 32, 1), -PT_UNSUPPORTED},   /* DS */
};

/* All that a refused call must leave alone. */
struct before {
	uint64_t used, tables, tlbis, next, generation, digest[2];
	uint32_t slots, live;
};

static struct before look(struct el2 *e, struct pt_hv_ctx *g)
{
	struct before now = {.used = atomic_load(&e->board.world.pool.used_bytes),
			     .tables = atomic_load(&g->ctx.table_pages),
			     .tlbis = atomic_load(&e->board.mmu.tlbis),
			     .next = e->board.space.private_next,
			     .generation = atomic_load(&g->ctx.generation),
			     .slots = pt_ctx_slots(&g->ctx)->count};
	struct pt_digest d;

	pt_digest_begin(&d, &g->ctx);
	pt_section_begin(&e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_digest_step(&d, 1 << 20));
	pt_section_end(&e->board.agent);
	memcpy(now.digest, d.state, sizeof(now.digest));
	for (unsigned i = 0; i < PT_HV_CONTEXTS; i++)
		now.live += atomic_load(&e->hv.guest[i].state) == PT_HV_LIVE;
	return now;
}

static void refuses(struct el2 *e, uint64_t g, const struct hv_edge *row)
{
	struct pt_hv_ctx *c = &e->hv.guest[g & 0xff];
	struct before before = look(e, c), after;
	uint64_t arg[5];
	struct answer a;

	for (unsigned n = 0; n < 5; n++)
		arg[n] = hv_edge_arg(row->arg[n], g);
	a = call_on(e, &e->board.agent, PT_HV_HOST, PT_HVC(row->function), arg);
	after = look(e, c);
	if (a.code != row->code || memcmp(&before, &after, sizeof(before)))
		print_error("function %u (%llx %llx %llx %llx %llx)\n", row->function,
			    (unsigned long long)arg[0], (unsigned long long)arg[1],
			    (unsigned long long)arg[2], (unsigned long long)arg[3],
			    (unsigned long long)arg[4]);
	expect(row->code, a);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void every_edge_has_its_answer(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	expect(PT_MAPPED, CALL(e, MAP, g, 0x5000, PAGE, FREE, RW));
	for (unsigned i = 0; i < HV_EDGES; i++)
		refuses(e, g, &hv_edges[i]);
	for (unsigned i = 0; i < sizeof(not_these_cpus) / sizeof(not_these_cpus[0]); i++)
		refuses(e, g, &not_these_cpus[i]);
	el2_close(e);
}

static void the_last_page_and_the_top_are_reached(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	expect(PT_MAPPED, CALL(e, MAP, g, TOP - PAGE, PAGE, BOARD_POOL - PAGE, RW));
	expect(PT_MAPPED, CALL(e, MAP, g, 0, PAGE, BOARD_HIGH + BOARD_BYTES - PAGE, RW));
	expect(PT_UNMAPPED, finish(e, CALL(e, UNMAP, g, 0, TOP)));
	expect(PT_MAPPED, CALL(e, HYP_MAP, FREE, 512 * PAGE, PT_PROT_RW));
	expect(PT_ALREADY_MAPPED, CALL(e, HYP_MAP, FREE, 512 * PAGE, PT_PROT_RW));
	expect(PT_UNMAPPED, CALL(e, HYP_UNMAP, FREE, 512 * PAGE));
	expect(PT_UNMAPPED, CALL(e, HYP_UNMAP, FREE, 512 * PAGE));
	expect(PT_MAPPED,
	       CALL(e, HYP_DEVICE, BOARD_UART + 0x20000, PAGE, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)));
	el2_close(e);
}

/* Any words at all, from host and guest: an answer, and EL2 goes on. */
static void random_words_are_answered(void **state)
{
	static const uint64_t word[] = {0,	 1,	     0xfff,	PAGE,	    FREE,
					IMAGE,	 BOARD_POOL, TOP,	UINT64_MAX, INT64_MAX,
					12 << 8, RW,	     VTCR_SMALL};
	const char *given = getenv("PTD_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20261121, random = seed;
	struct el2 *e = el2_open();
	uint64_t g = create(e);

	(void)state;
	print_message("# PTD_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t x[6];
		enum pt_hv_next next;

		for (unsigned n = 0; n < 6; n++) {
			uint64_t draw = core_random(&random);

			x[n] = word[draw % (sizeof(word) / sizeof(word[0]))] +
			       (draw >> 61 ? 0 : core_random(&random));
			if (n == 1 && draw >> 32 & 3)
				x[n] = g;
		}
		x[0] = PT_HVC((random >> 50) % (PT_HVC_COUNT + 2));
		next = pt_hv_call(&e->hv, &e->board.agent, random >> 63 ? PT_HV_HOST : PT_HV_GUEST,
				  x);
		assert_false(pt_in_section(&e->board.agent));
		if (next == PT_HV_ANSWERED && (int64_t)x[0] < 0)
			assert_in_range(-(int64_t)x[0], 1, 92);
		if (atomic_load(&e->hv.guest[g & 0xff].handle) != g ||
		    atomic_load(&e->hv.guest[g & 0xff].state) != PT_HV_LIVE)
			g = finish(e, CALL(e, CREATE, VTCR_SMALL, UINT64_MAX)).x[0];
	}
	el2_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edge_has_its_answer),
		cmocka_unit_test(the_last_page_and_the_top_are_reached),
		cmocka_unit_test(random_words_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
