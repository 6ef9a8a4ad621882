/* SPDX-License-Identifier: BSD-2-Clause */
/* Each hypercall with each argument at its edges: an answer, and where it is an error nothing
 * changed. */
#include "hv_fixture.h"

#define TOP   (UINT64_C(1) << 40)
#define RW    PT_PROT_RW
#define PAGE  PT_SZ_4K
#define IMAGE BOARD_LOW
#define FREE  FREE_MEMORY
#define GUEST UINT64_MAX - 1 /* in a row: the context's handle */
#define SHIFT (UINT64_C(12) << 8)
#define PAIR(name, ...)                                                                            \
	PT_HVC_##name,                                                                             \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct {
	uint32_t function;
	uint64_t arg[5];
	int64_t code;
} row[] = {
	{PAIR(CREATE, 0, 1), -PT_INVALID},
	{PAIR(CREATE, VTCR_SMALL | UINT64_C(1) << 40, 1), -PT_INVALID},
	{PAIR(CREATE, VTCR_SMALL | 1 << 20, 1), -PT_INVALID},
	{PAIR(CREATE, VTCR_SMALL | 1 << 22, 1), -PT_INVALID},	  /* HD without HA */
	{PAIR(CREATE, VTCR_SMALL | 3 << 21, 1), -PT_UNSUPPORTED}, /* HD: not these CPUs */
	{PAIR(CREATE, VTCR_SMALL + (UINT64_C(3) << 16), 1), -PT_UNSUPPORTED}, /* PS: 48 bits */
	{PAIR(CREATE, VTCR_SMALL | UINT64_C(1) << 32, 1), -PT_UNSUPPORTED},   /* DS */
	{PAIR(CREATE, UINT64_MAX, 1), -PT_INVALID},
	{PAIR(DESTROY, 0), -PT_NOT_FOUND},
	{PAIR(DESTROY, 63), -PT_NOT_FOUND},
	{PAIR(DESTROY, 64), -PT_NOT_FOUND},
	{PAIR(DESTROY, 255), -PT_NOT_FOUND},
	{PAIR(DESTROY, UINT64_MAX), -PT_NOT_FOUND},
	{PAIR(MAP, 0, 0, PAGE, FREE, RW), -PT_NOT_FOUND},
	{PAIR(MAP, GUEST, 0, 0, FREE, RW), -PT_INVALID},
	{PAIR(MAP, GUEST, -PAGE, 2 * PAGE, FREE, RW), -PT_INVALID},
	{PAIR(MAP, GUEST, 1, PAGE, FREE, RW), -PT_MISALIGNED},
	{PAIR(MAP, GUEST, 0, PAGE + 1, FREE, RW), -PT_MISALIGNED},
	{PAIR(MAP, GUEST, 0, PAGE, FREE + 8, RW), -PT_MISALIGNED},
	{PAIR(MAP, GUEST, TOP, PAGE, FREE, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, TOP - PAGE, 2 * PAGE, FREE, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, 0, PAGE, TOP, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, 0, PAGE, -PAGE, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, 0, PAGE, 0, RW), -PT_OUT_OF_RANGE}, /* no memory */
	{PAIR(MAP, GUEST, 0, PAGE, BOARD_UART, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, 0, PAGE, IMAGE, RW), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, PAGE, IMAGE + 0x2f000, PT_PROT_R), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, PAGE, BOARD_POOL, RW), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, PAGE, BOARD_POOL + BOARD_BYTES - PAGE, RW), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, 2 * PAGE, BOARD_POOL - PAGE, RW), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, UINT64_C(64) << 20, BOARD_LOW, RW), -PT_WRONG_OWNER},
	{PAIR(MAP, GUEST, 0, UINT64_C(65) << 20, BOARD_LOW, RW), -PT_OUT_OF_RANGE},
	{PAIR(MAP, GUEST, 0, PAGE, FREE, 0), -PT_INVALID},
	{PAIR(MAP, GUEST, 0, PAGE, FREE, 0x10 | RW), -PT_INVALID},
	{PAIR(MAP, GUEST, 0, PAGE, FREE, 0x300 | RW), -PT_INVALID},
	{PAIR(MAP, GUEST, 0, PAGE, FREE, 0x10000 | RW), -PT_INVALID}, /* a software bit */
	{PAIR(MAP, GUEST, 0, PAGE, FREE, RW | UINT64_C(8) << 32), -PT_INVALID},
	{PAIR(UNMAP, 1, 0, PAGE), -PT_NOT_FOUND},
	{PAIR(UNMAP, GUEST, 0, 0), -PT_INVALID},
	{PAIR(UNMAP, GUEST, 8, PAGE), -PT_MISALIGNED},
	{PAIR(UNMAP, GUEST, 0, TOP + PAGE), -PT_OUT_OF_RANGE},
	{PAIR(UNMAP, GUEST, UINT64_MAX, UINT64_MAX), -PT_INVALID},
	{PAIR(PROTECT, 1, 0, PAGE, PT_PROT_R), -PT_NOT_FOUND},
	{PAIR(PROTECT, GUEST, 0, 0, PT_PROT_R), -PT_INVALID},
	{PAIR(PROTECT, GUEST, 0, PAGE, 0), -PT_INVALID},
	{PAIR(PROTECT, GUEST, 0, PAGE, 0x100 | RW), -PT_INVALID},
	{PAIR(PROTECT, GUEST, 0, PAGE, RW | UINT64_C(1) << 32), -PT_INVALID},
	{PAIR(SET_SLOT, 1, 0, PAGE, FREE, SHIFT), -PT_NOT_FOUND},
	{PAIR(SET_SLOT, GUEST, 0, 0, FREE, SHIFT), -PT_INVALID},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE, 0), -PT_INVALID}, /* backing below the granule */
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE, UINT64_C(64) << 8), -PT_INVALID},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE, SHIFT | PT_SLOT_LOG_DIRTY), -PT_INVALID},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE, SHIFT | 8), -PT_INVALID},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE, SHIFT | 1 << 16), -PT_INVALID},
	{PAIR(SET_SLOT, GUEST, 4, PAGE, FREE, SHIFT), -PT_MISALIGNED},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, FREE + 1, SHIFT), -PT_MISALIGNED},
	{PAIR(SET_SLOT, GUEST, TOP, PAGE, FREE, SHIFT), -PT_OUT_OF_RANGE},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, IMAGE, SHIFT), -PT_WRONG_OWNER},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, BOARD_POOL, SHIFT), -PT_WRONG_OWNER},
	{PAIR(SET_SLOT, GUEST, 0, PAGE, BOARD_UART, SHIFT), -PT_OUT_OF_RANGE},
	{PAIR(DELETE_SLOT, 1, 0, PAGE), -PT_NOT_FOUND},
	{PAIR(DELETE_SLOT, GUEST, 0, PAGE), -PT_NOT_FOUND},
	{PAIR(DELETE_SLOT, GUEST, 0, 0), -PT_INVALID},
	{PAIR(FAULT, 1, 0, PT_ACCESS_READ), -PT_NOT_FOUND},
	{PAIR(FAULT, GUEST, 0, 0), -PT_INVALID},
	{PAIR(FAULT, GUEST, 0, PT_ACCESS_AT), -PT_INVALID},
	{PAIR(FAULT, GUEST, 0, UINT64_MAX), -PT_INVALID},
	{PAIR(FAULT, GUEST, TOP, PT_ACCESS_READ), -PT_OUT_OF_RANGE},
	{PAIR(FAULT, GUEST, 0, PT_ACCESS_READ), PT_NO_SLOT},
	{PAIR(LEAF, 1, 0), -PT_NOT_FOUND},
	{PAIR(LEAF, GUEST, TOP), -PT_OUT_OF_RANGE},
	{PAIR(LEAF, GUEST, UINT64_MAX), -PT_OUT_OF_RANGE},
	{PAIR(CONTINUE, 0), -PT_NOT_FOUND},
	{PAIR(CONTINUE, 255), -PT_NOT_FOUND},
	{PAIR(CONTINUE, GUEST), -PT_NOT_FOUND},
	{PAIR(CONTINUE, UINT64_MAX), -PT_NOT_FOUND},
	{PAIR(HYP_MAP, FREE, 0, PT_PROT_R), -PT_INVALID},
	{PAIR(HYP_MAP, FREE, PAGE, 0), -PT_INVALID},
	{PAIR(HYP_MAP, FREE, PAGE, PT_PROT_RWX), -PT_INVALID},
	{PAIR(HYP_MAP, FREE, PAGE, PT_PROT_R | UINT64_C(1) << 32), -PT_INVALID},
	{PAIR(HYP_MAP, FREE + 1, PAGE, PT_PROT_R), -PT_MISALIGNED},
	{PAIR(HYP_MAP, IMAGE, PAGE, PT_PROT_R), -PT_WRONG_OWNER},
	{PAIR(HYP_MAP, BOARD_POOL, PAGE, PT_PROT_RW), -PT_WRONG_OWNER},
	{PAIR(HYP_MAP, BOARD_UART, PAGE, PT_PROT_RW), -PT_OUT_OF_RANGE},
	{PAIR(HYP_MAP, FREE, 513 * PAGE, PT_PROT_RW), -PT_TOO_LARGE},
	{PAIR(HYP_UNMAP, FREE, PAGE), -PT_NOT_MAPPED},
	{PAIR(HYP_UNMAP, IMAGE, PAGE), -PT_WRONG_OWNER},
	{PAIR(HYP_UNMAP, 0, UINT64_MAX), -PT_MISALIGNED},
	{PAIR(HYP_DEVICE, FREE, PAGE, PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)), -PT_WRONG_OWNER},
	{PAIR(HYP_DEVICE, BOARD_UART, PAGE, PT_PROT_RW), -PT_INVALID},
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

static void every_edge_has_its_answer(void **state)
{
	struct el2 *e = el2_open();
	uint64_t g = create(e);
	struct pt_hv_ctx *c = &e->hv.guest[g & 0xff];

	(void)state;
	expect(PT_MAPPED, CALL(e, MAP, g, 0x5000, PAGE, FREE, RW));
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct before before = look(e, c), after;
		uint64_t arg[5];
		struct answer a;

		for (unsigned n = 0; n < 5; n++)
			arg[n] = row[i].arg[n] == GUEST ? g : row[i].arg[n];
		a = call_on(e, &e->board.agent, PT_HV_HOST, PT_HVC(row[i].function), arg);
		after = look(e, c);
		if (a.code != row[i].code || memcmp(&before, &after, sizeof(before)))
			print_error("row %u: function %u\n", i, row[i].function);
		expect(row[i].code, a);
		assert_memory_equal(&before, &after, sizeof(before));
	}
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
