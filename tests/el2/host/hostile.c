/* SPDX-License-Identifier: BSD-2-Clause */
/* A host and a guest that mean no good: every argument at its edges, and any words at all from all
 * CPUs at once. EL2 answers, and goes on. */
#include "host.h"

#define EDGE_RAM	RAM
#define EDGE_RAM_BYTES	(RAM_END - RAM)
#define EDGE_IMAGE	UINT64_C(0x40200000)
#define EDGE_IMAGE_PAGE (EDGE_IMAGE + 0xf000)
#define EDGE_POOL	UINT64_C(0x48000000)
#define EDGE_POOL_BYTES (UINT64_C(16) << 20)
#define EDGE_FREE	(MEMORY + 4 * BLOCK)
#define EDGE_UART	UART
#include "../../unit/hv_edges.h"

#define KEPT	 UINT64_C(0x5000) /* the context has a page there, and its code at CODE */
#define CONTEXTS 64
#define BUSY	 8 /* contexts that most calls are for; freed places are taken again from the first */
#define OPS	 32
#define CALLS	 750
#define NOWHERE	 UINT64_C(0x7000000000) /* no range of the storm comes there */
#define HYP_PAGE GUEST_PAGE		/* the storm lends EL2 memory from there */
#define LONG	 (UINT64_C(2048) * PAGE)

/* All that a refused call must leave alone, as far as a host sees it. */
struct before {
	uint64_t leaf[5][3], version[2], used, free, vmid, tables;
};

static struct before look(uint64_t g)
{
	static const uint64_t ipa[] = {0, CODE, KEPT, DATA, EDGE_TOP - PAGE};
	struct before now = {0};
	struct answer a = CALL(VERSION, 0);

	EXPECT(PT_OK, a);
	memcpy(now.version, a.x, sizeof(now.version));
	for (unsigned i = 0; i < sizeof(ipa) / sizeof(ipa[0]); i++) {
		a = CALL(LEAF, g, ipa[i]);
		EXPECT(PT_OK, a);
		memcpy(now.leaf[i], a.x, sizeof(now.leaf[i]));
	}
	a = IMAGE(CALL_USED, 0);
	now.used = (uint64_t)a.code;
	now.free = a.x[0];
	a = IMAGE(CALL_VMID, g & 0xff);
	now.vmid = (uint64_t)a.code;
	now.tables = a.x[0];
	return now;
}

static void says(const struct hv_edge *row, int64_t wanted, int64_t code, const struct before *a,
		 const struct before *b)
{
	if (code != wanted || memcmp(a, b, sizeof(*a)))
		print_error("row %u: function %u\n", (unsigned)(row - hv_edges), row->function);
	assert_int_equal(code, wanted);
	assert_memory_equal(a, b, sizeof(*a));
}

/* The rows are written for where EL2 is. */
static void expect_own_memory(void)
{
	assert_int_equal(IMAGE(CALL_OWN, 0).code, EDGE_IMAGE);
	assert_true(IMAGE(CALL_OWN, 0).x[0] > EDGE_IMAGE_PAGE - EDGE_IMAGE);
	assert_int_equal(IMAGE(CALL_OWN, 2).code, EDGE_POOL);
	assert_int_equal(IMAGE(CALL_OWN, 2).x[0], EDGE_POOL_BYTES);
}

static void every_edge_has_its_answer(void **state)
{
	uint64_t g = guest_new();
	struct before before;

	(void)state;
	expect_own_memory();
	EXPECT(PT_MAPPED, CALL(MAP, g, KEPT, PAGE, GUEST_PAGE, RW));
	before = look(g);
	for (unsigned i = 0; i < HV_EDGES; i++) {
		struct before after;
		uint64_t arg[5];
		struct answer a;

		for (unsigned n = 0; n < 5; n++)
			arg[n] = hv_edge_arg(hv_edges[i].arg[n], g);
		a = host_call(PT_HVC(hv_edges[i].function), arg);
		after = look(g);
		says(&hv_edges[i], hv_edges[i].code, a.code, &before, &after);
	}
	assert_int_equal(guest_run(g, guest_vcpu(guest_load, KEPT, 0, 0)), PT_EL2_VCPU_EXIT);
	guest_end(g);
}

/* Whatever the arguments: for a guest there is no such function. */
static void a_guest_has_none_of_them(void **state)
{
	uint64_t g = guest_new();
	struct before before;

	(void)state;
	EXPECT(PT_MAPPED, CALL(MAP, g, KEPT, PAGE, GUEST_PAGE, RW));
	assert_int_equal(guest_run(g, guest_vcpu(guest_load, KEPT, 0, 0)), PT_EL2_VCPU_EXIT);
	before = look(g);
	for (unsigned i = 0; i < HV_EDGES; i++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_call, PT_HVC(hv_edges[i].function), 0, 0);
		struct before after;

		for (unsigned n = 0; n < 5; n++)
			v->regs.x[1 + n] = hv_edge_arg(hv_edges[i].arg[n], g);
		assert_int_equal(guest_run(g, v), PT_EL2_VCPU_EXIT);
		after = look(g);
		says(&hv_edges[i], PT_HVC_NO_FUNCTION, (int64_t)v->regs.x[1], &before, &after);
	}
	guest_end(g);
}

static struct {
	uint64_t seed;
	/* The last handles of each place: of contexts, and of what is or was under way. */
	_Atomic uint64_t context[CONTEXTS], op[OPS];
	_Atomic uint64_t done[PT_HVC_COUNT]; /* or begun */
	_Atomic uint64_t wrong;
} storm;

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* Handles of a place grow. Another CPU may be ahead. */
static void keep(_Atomic uint64_t *place, uint64_t handle)
{
	uint64_t old = atomic_load(place);

	while (old < handle && !atomic_compare_exchange_weak(place, &old, handle))
		continue;
}

/* Most arguments are such that calls succeed now and then; the others are words of all kinds. */
static uint64_t argument(unsigned function, unsigned n, uint64_t *random)
{
	static const uint64_t usual[5][4] = {
		{0},
		{0, PAGE, DATA, DATA},
		{PAGE, 4 * PAGE, LONG, RW},
		{GUEST_PAGE, GUEST_PAGE, MEMORY, PT_PROT_R},
		{RW, RX, EDGE_SHIFT, EDGE_SHIFT},
	};
	static const uint64_t word[] = {0,	    1,	       0xfff,	  PAGE,	      HYP_PAGE,
					EDGE_IMAGE, EDGE_POOL, EDGE_TOP,  UINT64_MAX, INT64_MAX,
					12 << 8,    RW,	       EDGE_VTCR, UART};
	uint64_t draw = next(random);

	if (draw >> 60 == 0)
		return word[draw % (sizeof(word) / sizeof(word[0]))] +
		       (draw >> 57 & 7 ? 0 : next(random));
	if (n == 2 && function == PT_HVC_CREATE) /* few contexts at a time have shadows */
		return draw % 4 ? 0 : LONG;
	if (n)
		return usual[n][draw % 4];
	switch (function) {
	case PT_HVC_CREATE: return EDGE_VTCR;
	case PT_HVC_DESTROY: return atomic_load(&storm.context[draw % CONTEXTS]);
	case PT_HVC_CONTINUE: return atomic_load(&storm.op[draw % OPS]);
	case PT_HVC_HYP_MAP:
	case PT_HVC_HYP_UNMAP:
	case PT_HVC_HYP_DEVICE: return HYP_PAGE;
	default: return atomic_load(&storm.context[draw % BUSY]);
	}
}

/* A guest of the storm comes to nothing but an abort: nobody interrupts one that goes on. */
static void run(uint64_t context)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_mode, 0, 0, 0);
	struct answer a;

	v->regs.pc = NOWHERE;
	a = CALL(RUN, context, (uintptr_t)v);
	if (a.code == PT_OK && a.x[0] != PT_EL2_VCPU_ABORT)
		atomic_fetch_add(&storm.wrong, 1);
	if (a.code == PT_OK)
		atomic_fetch_add(&storm.done[PT_HVC_RUN], 1);
}

static void one_call(uint64_t *random)
{
	unsigned function = (unsigned)(next(random) >> 40) % (PT_HVC_COUNT + 2);
	uint64_t arg[5];
	struct answer a;

	for (unsigned n = 0; n < 5; n++)
		arg[n] = argument(function, n, random);
	if (function == PT_HVC_RUN) {
		run(arg[0]);
		return;
	}
	a = host_call(PT_HVC(function), arg);
	if (a.code == PT_MORE && next(random) >> 63)
		a = host_finish(a);
	if (a.code < -PT_TAKEN_OVER || a.code == -PT_INTERNAL ||
	    (function >= PT_HVC_EXIT && a.code != PT_HVC_NO_FUNCTION))
		atomic_fetch_add(&storm.wrong, 1);
	if (a.code < 0)
		return;
	atomic_fetch_add(&storm.done[function], 1);
	if (a.code == PT_MORE)
		keep(&storm.op[(a.x[0] & 0xff) % OPS], a.x[0]);
	else if (function == PT_HVC_CREATE)
		keep(&storm.context[a.x[0] & 0xff], a.x[0]);
}

static void rage(struct host_cpu *self)
{
	uint64_t random = storm.seed + self->port.id * UINT64_C(0x9e3779b97f4a7c15);

	random |= 1;
	for (unsigned i = 0; i < CALLS; i++)
		one_call(&random);
}

/* What is under way, all contexts, and what EL2 has been lent. */
static void end_everything(void)
{
	struct answer a;

	for (unsigned i = 0; i < OPS; i++)
		(void)host_finish((struct answer){PT_MORE, {atomic_load(&storm.op[i])}});
	for (unsigned i = 0; i < CONTEXTS; i++) {
		a = host_finish(CALL(DESTROY, atomic_load(&storm.context[i])));
		assert_true(a.code == PT_OK || a.code == -PT_NOT_FOUND);
	}
	for (uint64_t at = HYP_PAGE; at < HYP_PAGE + PT_HVC_STEP * PAGE; at += PAGE)
		while (CALL(HYP_UNMAP, at, PAGE).code == PT_UNMAPPED)
			continue;
}

/* As many as there is room for. */
static void fill_with_contexts(void)
{
	uint64_t handle[CONTEXTS];

	for (unsigned i = 0; i < CONTEXTS; i++) {
		struct answer a = CALL(CREATE, VTCR_SMALL, UINT64_MAX);

		EXPECT(PT_OK, a);
		handle[i] = a.x[0];
	}
	EXPECT(-PT_TOO_LARGE, CALL(CREATE, VTCR_SMALL, UINT64_MAX));
	for (unsigned i = 0; i < CONTEXTS; i++)
		guest_end(handle[i]);
}

static void four_cpus_call_anything(void **state)
{
	const char *given = getenv("PTD_SEED");
	struct answer before, after;

	(void)state;
	storm.seed = given ? strtoull(given, NULL, 0) : 20261121;
	print_message("PTD_SEED=%lu\n", (unsigned long)storm.seed);
	EXPECT(PT_MAPPED, CALL(HYP_MAP, HYP_PAGE, PAGE, RW));
	EXPECT(PT_UNMAPPED, CALL(HYP_UNMAP, HYP_PAGE, PAGE));
	before = IMAGE(CALL_USED, 0);
	assert_int_equal(before.x[0], CONTEXTS);
	for (uint32_t i = 1; i < HOST_CPUS; i++)
		host_cpu_run(i, rage);
	rage(host_self());
	for (uint32_t i = 1; i < HOST_CPUS; i++)
		host_cpu_wait(i);
	end_everything();
	after = IMAGE(CALL_USED, 0);
	assert_int_equal(atomic_load(&storm.wrong), 0);
	assert_int_equal(after.x[0], CONTEXTS);
	assert_int_equal(after.code, before.code);
	/* It was no storm of refusals alone. A slot is deleted by luck, a device not at all: EL2
	 * keeps what it has been given of them. */
	for (unsigned n = 0; n <= PT_HVC_RUN; n++) {
		if (n != PT_HVC_HYP_DEVICE && n != PT_HVC_DELETE_SLOT &&
		    !atomic_load(&storm.done[n]))
			fail_msg("function %u never succeeded", n);
	}
	fill_with_contexts();
	assert_int_equal(IMAGE(CALL_USED, 0).code, before.code);
}

const struct CMUnitTest host_hostile_tests[] = {
	cmocka_unit_test(every_edge_has_its_answer),
	cmocka_unit_test(a_guest_has_none_of_them),
};
const size_t host_hostile_count = sizeof(host_hostile_tests) / sizeof(host_hostile_tests[0]);

const struct CMUnitTest host_storm_tests[] = {
	cmocka_unit_test(four_cpus_call_anything),
};
const size_t host_storm_count = sizeof(host_storm_tests) / sizeof(host_storm_tests[0]);
