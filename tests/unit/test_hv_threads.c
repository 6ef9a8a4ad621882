/* SPDX-License-Identifier: BSD-2-Clause */
/* Four CPUs of a hypervisor at once: hypercalls, aborts of host and guests, ends of contexts. */
#include "hv_fixture.h"

#include <pthread.h>
#include <sched.h>

#define CPUS   BOARD_CPUS
#define ROUNDS 4000
#define GUESTS 3
#define SPAN   (UINT64_C(16) << 20)
#define PAGED  ((uint64_t)PT_MAP_FORCE_PAGES << 32)

struct cpu {
	struct el2 *e;
	struct pt_agent *agent;
	_Atomic uint64_t *guest;
	uint64_t random, held; /* an operation that is continued now and then */
	unsigned busy, more, mapped;
	pthread_t thread;
};

static uint64_t draw(struct cpu *c, uint64_t below)
{
	return core_random(&c->random) % below;
}

static struct answer call(struct cpu *c, enum pt_hvc f, const uint64_t arg[5])
{
	return call_on(c->e, c->agent, PT_HV_HOST, PT_HVC((uint32_t)f), arg);
}

#define CALLS(c, name, ...) call((c), PT_HVC_##name, (const uint64_t[5]){__VA_ARGS__})

static void is_one_of(struct answer a, const int64_t *codes)
{
	for (; *codes != INT64_MAX; codes++)
		if (a.code == *codes)
			return;
	print_error("unexpected answer %lld\n", (long long)a.code);
	fail();
}

#define ONE_OF(a, ...) is_one_of((a), (const int64_t[]){__VA_ARGS__, INT64_MAX})

/* A guest runs for some aborts. */
static void run(struct cpu *c, uint64_t handle)
{
	struct pt_fault_result r;
	struct pt_ctx *ctx;
	enum pt_outcome outcome = pt_hv_enter(&c->e->hv, c->agent, handle, &ctx);

	if (outcome != PT_OK) {
		assert_true(outcome == PT_NOT_FOUND || outcome == PT_BUSY || outcome == PT_RACED);
		return;
	}
	for (unsigned i = 0; i < 8; i++) {
		uint64_t ipa = draw(c, 2 * SPAN);

		outcome = fault_on(c->e, c->agent, ctx, ipa, PT_ACCESS_WRITE, &r);
		c->mapped += outcome == PT_MAPPED;
		if (outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED)
			assert_int_equal(FREE_MEMORY + ipa, r.pa.v);
		else
			assert_true(outcome == PT_RACED || outcome == PT_NO_SLOT ||
				    outcome == PT_RELAXED || outcome == PT_DENIED ||
				    outcome == PT_MADE_YOUNG);
	}
	pt_hv_leave(&c->e->hv, c->agent, ctx);
}

static void host_aborts(struct cpu *c)
{
	struct pt_ctx *host = &c->e->hv.host.ctx;
	uint64_t pa = draw(c, UINT64_C(4) << 30);
	struct pt_fault_result r;
	enum pt_outcome outcome = fault_on(c->e, c->agent, host, pa, PT_ACCESS_READ, &r);

	if (outcome == PT_NO_SLOT)
		assert_true(pt_hyp_region_has(&c->e->own[0], pa, 1) ||
			    pt_hyp_region_has(&c->e->own[1], pa, 1));
	else
		assert_true(outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED ||
			    outcome == PT_RACED);
}

static void go_on(struct cpu *c)
{
	struct answer a = CALLS(c, CONTINUE, c->held);

	if (a.code != PT_MORE)
		c->held = 0;
}

static void replace_guest(struct cpu *c, unsigned n)
{
	struct answer a = CALLS(c, DESTROY, atomic_load(&c->guest[n]));

	ONE_OF(a, PT_OK, PT_MORE, -PT_NOT_FOUND, -PT_BUSY);
	if (a.code < 0)
		return;
	while (a.code == PT_MORE) {
		sched_yield(); /* others may have to end their sections */
		a = CALLS(c, CONTINUE, a.x[0]);
	}
	ONE_OF(a, PT_OK, -PT_REPLY_GONE); /* another CPU came to the end of it, long ago */
	a = CALLS(c, CREATE, VTCR_SMALL, UINT64_MAX);
	expect(PT_OK, a);
	atomic_store(&c->guest[n], a.x[0]);
}

static void hold(struct cpu *c, struct answer a)
{
	ONE_OF(a, PT_PERMISSION_ONLY, PT_MORE, PT_OK, PT_MAPPED, PT_ALREADY_MAPPED, PT_UNMAPPED,
	       PT_HOLE, PT_PROTECTED, PT_RELAXED, -PT_NOT_FOUND, -PT_BUSY, -PT_OVERLAP,
	       -PT_SLOT_OVERLAP, -PT_TOO_LARGE, -PT_WRONG_STATE);
	c->busy += a.code == -PT_BUSY;
	if (a.code != PT_MORE)
		return;
	c->more++;
	while (c->held && draw(c, 8)) /* one in eight is left to whoever meets it */
		go_on(c);
	c->held = a.x[0];
}

static void some_call(struct cpu *c)
{
	unsigned n = (unsigned)draw(c, GUESTS);
	uint64_t g = atomic_load(&c->guest[n]), ipa = draw(c, SPAN >> 12) << 12;
	uint64_t few = (1 + draw(c, 8)) << 12;

	switch (draw(c, 12)) {
	case 0: hold(c, CALLS(c, MAP, g, 0, SPAN, FREE_MEMORY, PT_PROT_RW | PAGED)); break;
	case 1: hold(c, CALLS(c, UNMAP, g, 0, SPAN)); break;
	case 2: hold(c, CALLS(c, MAP, g, ipa, few, FREE_MEMORY + ipa, PT_PROT_RW)); break;
	case 3: hold(c, CALLS(c, UNMAP, g, ipa, few)); break;
	case 4: hold(c, CALLS(c, PROTECT, g, ipa, few, PT_PROT_R)); break;
	case 5: hold(c, CALLS(c, SET_SLOT, g, 0, SPAN, FREE_MEMORY, 12 << 8)); break;
	case 6: hold(c, CALLS(c, DELETE_SLOT, g, 0, SPAN)); break;
	case 7:
		if (!draw(c, 40))
			replace_guest(c, n);
		break;
	case 8: run(c, g); break;
	case 9: host_aborts(c); break;
	default:
		if (c->held)
			go_on(c);
	}
}

static void *cpu_main(void *arg)
{
	struct cpu *c = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		some_call(c);
		if (!(i % 16))
			sched_yield(); /* more threads than processors: they meet all the same */
	}
	while (c->held)
		go_on(c);
	return NULL;
}

static void end_guest(struct el2 *e, uint64_t handle)
{
	struct answer a = {-PT_BUSY, {0}};

	for (unsigned i = 0; a.code == -PT_BUSY; i++) {
		assert_true(i < 10000);
		a = CALL(e, DESTROY, handle);
	}
	expect(PT_OK, finish(e, a));
}

static void everything_comes_to_its_end(void **state)
{
	const char *given = getenv("PTD_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20261121;
	struct el2 *e = el2_open();
	_Atomic uint64_t guest[GUESTS];
	struct pt_agent agent[CPUS];
	struct cpu cpu[CPUS];
	uint64_t empty;

	(void)state;
	print_message("# PTD_SEED=%llu\n", (unsigned long long)seed);
	memset(agent, 0, sizeof(agent));
	empty = atomic_load(&e->board.world.pool.used_bytes);
	for (unsigned i = 0; i < GUESTS; i++)
		atomic_init(&guest[i], create(e));
	for (unsigned i = 0; i < CPUS; i++) {
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&e->board.world, &agent[i]));
		cpu[i] = (struct cpu){
			.e = e, .agent = &agent[i], .guest = guest, .random = seed + i};
	}
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(0, pthread_create(&cpu[i].thread, NULL, cpu_main, &cpu[i]));
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(0, pthread_join(cpu[i].thread, NULL));
	for (unsigned i = 1; i < CPUS; i++) {
		cpu[0].mapped += cpu[i].mapped;
		cpu[0].more += cpu[i].more;
		cpu[0].busy += cpu[i].busy;
	}
	print_message("# %u guest pages, %u operations in steps, %u BUSY\n", cpu[0].mapped,
		      cpu[0].more, cpu[0].busy);
	assert_true(cpu[0].mapped >= 100 && cpu[0].more >= 100);
	/* What nobody continued is carried on by the ends of the contexts. */
	for (unsigned i = 0; i < GUESTS; i++)
		end_guest(e, atomic_load(&guest[i]));
	for (unsigned i = 0; i < CPUS; i++)
		pt_agent_leave(&agent[i]);
	for (unsigned i = 0; i < PT_HV_CONTEXTS; i++)
		assert_int_equal(PT_HV_FREE, atomic_load(&e->hv.guest[i].state));
	for (unsigned i = 0; i < PT_HV_OPS; i++)
		assert_true(!e->hv.op[i].ctx || e->hv.op[i].outcome != PT_MORE);
	assert_int_equal(empty + atomic_load(&e->hv.host.ctx.table_pages) * PT_SZ_4K,
			 atomic_load(&e->board.world.pool.used_bytes));
	el2_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everything_comes_to_its_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
