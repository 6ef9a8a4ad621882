/* SPDX-License-Identifier: BSD-2-Clause */
/* Four CPUs of a hypervisor whose machine has owners: transitions of a host and of guests, aborts,
 * guests that end and begin, and pages that EL2 uses for the host. In the end all of it is undone,
 * and the books agree with the tables. */
#include "hv_fixture.h"

#include <pt/owner_audit.h>

#include <pthread.h>
#include <sched.h>

#define CPUS	 BOARD_CPUS
#define ROUNDS	 2000
#define GUESTS	 3u
#define PAGES	 UINT64_C(700) /* more than a step */
#define PAGE	 UINT64_C(4096)
#define LENDINGS 8u
#define MEM	 (FREE_MEMORY + 0x1f0000)
#define IPA	 UINT64_C(0x40000000)

static struct {
	struct el2 *e;
	struct pt_hv_owners *owners;
	_Atomic uint64_t guest[GUESTS]; /* handles; 0: somebody makes another one */
	_Atomic uint32_t used[PAGES], wiped[PAGES];
	_Atomic uint64_t lending[LENDINGS]; /* handles, the last of each place */
	_Atomic uint64_t done, steps, uses, lives, lent;
} rig;

struct cpu {
	struct pt_agent *agent;
	uint64_t random, held;
	pthread_t thread;
};

static uint64_t draw(struct cpu *c, uint64_t below)
{
	return core_random(&c->random) % below;
}

static uint64_t place(uint64_t pa)
{
	return (pa - MEM) / PAGE;
}

/* Nobody uses the page, and hyp has no entry for it. */
static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	for (uint64_t i = place(pa); i < place(pa + size) && i < PAGES; i++) {
		atomic_fetch_add(&rig.wiped[i], 1);
		assert_int_equal(atomic_load(&rig.used[i]), 0);
	}
}

static struct answer call(struct cpu *c, enum pt_hv_caller who, enum pt_hvc f,
			  const uint64_t arg[5])
{
	struct answer a = call_on(rig.e, c->agent, who, PT_HVC((uint32_t)f), arg);

	/* RACED and PARKED stay inside. */
	assert_true(a.code == PT_OK || a.code == PT_MORE || a.code < 0);
	assert_true(a.code != -PT_INTERNAL && a.code != PT_HVC_NO_FUNCTION &&
		    a.code != -PT_MISALIGNED);
	assert_true(a.code != -PT_INVALID ||
		    f == PT_HVC_LEND); /* a borrower that is being replaced */
	atomic_fetch_add(&rig.done, a.code == PT_OK);
	atomic_fetch_add(&rig.steps, a.code == PT_MORE);
	return a;
}

#define HOST(c, f, ...) call((c), PT_HV_HOST, (f), (const uint64_t[5]){__VA_ARGS__})

static struct answer to_the_end(struct cpu *c, struct answer a)
{
	while (a.code == PT_MORE) {
		sched_yield(); /* others may have to end their sections */
		a = HOST(c, PT_HVC_CONTINUE, a.x[0]);
	}
	return a;
}

/* One long call in eight is left to whoever meets it. */
static void hold(struct cpu *c, struct answer a)
{
	if (a.code != PT_MORE)
		return;
	if (c->held && draw(c, 8))
		(void)to_the_end(c, (struct answer){PT_MORE, {c->held}});
	c->held = a.x[0];
}

static uint64_t length(struct cpu *c, uint64_t room)
{
	uint64_t n = draw(c, 16) ? 1 + draw(c, 2) : 1 + draw(c, PAGES);

	return (n < room ? n : room) * PAGE;
}

static void host_calls(struct cpu *c)
{
	static const enum pt_hvc by_pa[] = {
		PT_HVC_SHARE_HYP,     PT_HVC_UNSHARE_HYP,   PT_HVC_PIN,
		PT_HVC_UNPIN,	      PT_HVC_DONATE_HYP,    PT_HVC_RETURN_HYP,
		PT_HVC_RETURN_HYP,    PT_HVC_SHARE_THIRD,   PT_HVC_FORCE_RECLAIM,
		PT_HVC_UNSHARE_THIRD, PT_HVC_UNSHARE_THIRD,
	};
	uint64_t f = draw(c, PAGES), size = length(c, PAGES - f);
	uint64_t g = atomic_load(&rig.guest[draw(c, GUESTS)]);

	switch (draw(c, 6)) {
	case 0:
		hold(c, HOST(c, PT_HVC_DONATE_GUEST, g, IPA + f * PAGE, size, MEM + f * PAGE));
		break;
	case 1:
		hold(c, HOST(c, PT_HVC_SHARE_GUEST, g, IPA + f * PAGE, size, MEM + f * PAGE,
			     PT_PROT_RW));
		break;
	case 2: hold(c, HOST(c, PT_HVC_UNSHARE_GUEST, g, IPA + f * PAGE, size)); break;
	default:
		hold(c, HOST(c, by_pa[draw(c, sizeof(by_pa) / sizeof(by_pa[0]))], MEM + f * PAGE,
			     size));
	}
}

static void guest_calls(struct cpu *c)
{
	static const enum pt_hvc functions[] = {PT_HVC_SHARE_BACK, PT_HVC_UNSHARE_BACK,
						PT_HVC_BALLOON};
	uint64_t f = draw(c, PAGES), n = draw(c, 3);
	const uint64_t arg[5] = {IPA + f * PAGE, length(c, PAGES - f)};
	struct pt_ctx *ctx;
	struct answer a;

	if (pt_hv_enter(&rig.e->hv, c->agent, atomic_load(&rig.guest[draw(c, GUESTS)]), &ctx) !=
	    PT_OK)
		return;
	a = call(c, PT_HV_GUEST, functions[n], arg);
	for (; a.code == PT_MORE && draw(c, 16); sched_yield())
		a = call(c, PT_HV_GUEST, PT_HVC_CONTINUE, (const uint64_t[5]){a.x[0]});
	pt_hv_leave(&rig.e->hv, c->agent, ctx);
}

static void host_touches(struct cpu *c, uint64_t f)
{
	struct pt_fault_result r;
	enum pt_outcome outcome =
		fault_on(rig.e, c->agent, &rig.e->hv.host.ctx, MEM + f * PAGE, PT_ACCESS_READ, &r);

	assert_true(outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED || outcome == PT_RACED ||
		    outcome == PT_WRONG_OWNER);
}

static uint64_t some_lending(struct cpu *c)
{
	return atomic_load(&rig.lending[draw(c, LENDINGS)]);
}

/* The host's, to one guest or two. */
static void lends(struct cpu *c)
{
	uint64_t n = 1 + draw(c, 2), i = draw(c, GUESTS);
	struct answer a;

	(void)HOST(c, PT_HVC_TAKE_BACK, some_lending(c));
	a = HOST(c, PT_HVC_LEND, n * PAGE | draw(c, 2), atomic_load(&rig.guest[i]),
		 draw(c, 2) ? atomic_load(&rig.guest[(i + 1) % GUESTS]) : 0);
	if (a.code != PT_OK)
		return;
	i = a.x[0];
	a = to_the_end(c, HOST(c, PT_HVC_LEND_PIECE, i, MEM + draw(c, PAGES - 2) * PAGE, n * PAGE));
	atomic_fetch_add(&rig.lent, a.code == PT_OK);
	if (a.code == PT_OK)
		atomic_store(&rig.lending[i % LENDINGS], i);
}

static void borrows(struct cpu *c)
{
	uint64_t arg[5] = {some_lending(c), IPA + draw(c, PAGES - 2) * PAGE};
	struct pt_ctx *ctx;
	struct answer a;

	if (pt_hv_enter(&rig.e->hv, c->agent, atomic_load(&rig.guest[draw(c, GUESTS)]), &ctx) !=
	    PT_OK)
		return;
	a = call(c, PT_HV_GUEST, draw(c, 3) ? PT_HVC_RETRIEVE : PT_HVC_RELINQUISH, arg);
	for (; a.code == PT_MORE; sched_yield())
		a = call(c, PT_HV_GUEST, PT_HVC_CONTINUE, (const uint64_t[5]){a.x[0]});
	pt_hv_leave(&rig.e->hv, c->agent, ctx);
}

/* What pt_hv_use() grants holds to the end of the section. */
static void use_a_page(struct cpu *c)
{
	uint64_t f = draw(c, PAGES);
	uint32_t before;

	pt_section_begin(c->agent);
	if (pt_hv_use(&rig.e->hv, c->agent, MEM + f * PAGE) == PT_OK) {
		atomic_fetch_add(&rig.used[f], 1);
		before = atomic_load(&rig.wiped[f]);
		sched_yield();
		assert_int_equal(atomic_load(&rig.wiped[f]), before);
		atomic_fetch_sub(&rig.used[f], 1);
		atomic_fetch_add(&rig.uses, 1);
	}
	pt_section_end(c->agent);
}

static bool is_gone(uint64_t handle)
{
	const struct pt_hv_ctx *c = &rig.e->hv.guest[handle & 0xff];

	return atomic_load(&c->handle) != handle || atomic_load(&c->state) == PT_HV_FREE;
}

/* A transition that began before may give it pages behind RECLAIM_DYING, and is waited for; an
 * answer is lost when others take its place: then again. */
static void end_guest(struct cpu *c, uint64_t handle)
{
	while (HOST(c, PT_HVC_TEARDOWN, handle).code == -PT_BUSY)
		sched_yield();
	for (unsigned i = 0; !is_gone(handle); i++) {
		assert_true(i < 100000);
		(void)to_the_end(c, HOST(c, PT_HVC_RECLAIM_DYING, handle, IPA, PAGES * PAGE));
		(void)to_the_end(c, HOST(c, PT_HVC_FINALIZE, handle));
		sched_yield();
	}
}

static void begin_guest(struct cpu *c, unsigned i)
{
	struct answer a;

	while ((a = HOST(c, PT_HVC_RESERVE, 0)).code == -PT_BUSY)
		sched_yield();
	expect(PT_OK, a);
	expect(PT_OK, HOST(c, PT_HVC_CREATE_GUEST, a.x[0], VTCR_SMALL, UINT64_MAX,
			   i ? PT_HVC_PROTECTED : 0));
	atomic_store(&rig.guest[i], a.x[0]);
}

static void replace_guest(struct cpu *c)
{
	unsigned i = (unsigned)draw(c, GUESTS);
	uint64_t handle = atomic_exchange(&rig.guest[i], 0);

	if (!handle)
		return;
	end_guest(c, handle);
	begin_guest(c, i);
	atomic_fetch_add(&rig.lives, 1);
}

static void *cpu_main(void *arg)
{
	struct cpu *c = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		switch (draw(c, 10)) {
		case 0: guest_calls(c); break;
		case 1: host_touches(c, draw(c, PAGES)); break;
		case 2: use_a_page(c); break;
		case 3:
			if (!draw(c, 16))
				replace_guest(c);
			break;
		case 4: lends(c); break;
		case 5: borrows(c); break;
		default: host_calls(c);
		}
		if (!(i % 16))
			sched_yield(); /* more threads than processors: they meet all the same */
	}
	(void)to_the_end(c, (struct answer){c->held ? PT_MORE : PT_OK, {c->held}});
	return NULL;
}

/* Page by page, as each may be in another state. */
static void undo(struct cpu *c)
{
	/* Handles rise, and no guest is left that could have any of it. */
	for (uint64_t i = 1; i <= rig.owners->machine.lend_handles; i++)
		if (HOST(c, PT_HVC_LEND_DROP, i).code != PT_OK)
			(void)HOST(c, PT_HVC_TAKE_BACK, i);
	for (uint64_t f = 0; f < PAGES; f++) {
		while (HOST(c, PT_HVC_UNPIN, MEM + f * PAGE, PAGE).code == PT_OK)
			continue;
		(void)HOST(c, PT_HVC_UNSHARE_HYP, MEM + f * PAGE, PAGE);
		(void)HOST(c, PT_HVC_RETURN_HYP, MEM + f * PAGE, PAGE);
		(void)HOST(c, PT_HVC_UNSHARE_THIRD, MEM + f * PAGE, PAGE);
		assert_int_equal(HOST(c, PT_HVC_OWNER, MEM + f * PAGE).x[0],
				 PT_OWNER_HOST | PT_PAGE_NOPAGE << 8);
		board_expect_none(&rig.e->board, board_linear(&rig.e->board, MEM + f * PAGE));
	}
}

static void audit(struct cpu *c)
{
	struct pt_owner_guest guests[GUESTS];
	struct pt_owner_audit audit;
	enum pt_outcome outcome;

	for (unsigned i = 0; i < GUESTS; i++) {
		uint16_t at = atomic_load(&rig.guest[i]) & 0xff;

		guests[i] = (struct pt_owner_guest){.ctx = &rig.e->hv.guest[at].ctx, .handle = at};
	}
	pt_owner_audit_begin(&audit, &rig.e->hv.host.ctx, guests, GUESTS,
			     &rig.owners->machine.frames, &rig.owners->machine.extents);
	pt_section_begin(c->agent);
	while ((outcome = pt_owner_audit_step(&audit, 100000)) == PT_MORE)
		continue;
	pt_section_end(c->agent);
	ASSERT_OUTCOME(PT_OK, outcome);
}

static struct answer guest_goes_on(struct cpu *c, uint64_t handle, uint64_t op)
{
	struct pt_ctx *ctx;
	struct answer a;

	ASSERT_OUTCOME(PT_OK, pt_hv_enter(&rig.e->hv, c->agent, handle, &ctx));
	a = call(c, PT_HV_GUEST, PT_HVC_CONTINUE, (const uint64_t[5]){op});
	pt_hv_leave(&rig.e->hv, c->agent, ctx);
	return a;
}

/* What its caller has not continued, and nobody has met, ends first. */
static void finish_all(struct cpu *c)
{
	for (unsigned i = 0; i < PT_HV_OPS; i++) {
		struct pt_hv_op *op = &rig.e->hv.op[i];

		for (unsigned n = 0; op->ctx && op->outcome == PT_MORE; n++) {
			assert_true(n < 10000);
			if (op->caller)
				(void)guest_goes_on(c, rig.e->hv.guest[op->caller - 1].handle,
						    op->handle);
			else
				(void)HOST(c, PT_HVC_CONTINUE, op->handle);
		}
	}
}

static void open_rig(void)
{
	const struct pt_hv_owner_args args = {.wipe = wipe, .force = true};

	memset(&rig, 0, sizeof(rig));
	rig.e = el2_open();
	rig.owners = calloc(1, sizeof(*rig.owners));
	assert_non_null(rig.owners);
	ASSERT_OUTCOME(PT_OK, pt_hv_own(&rig.e->hv, &rig.e->board.agent, rig.owners, &args));
}

static void the_books_agree_in_the_end(void **state)
{
	const char *given = getenv("PTD_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20261121;
	struct pt_agent agent[CPUS];
	struct cpu cpu[CPUS];

	(void)state;
	print_message("# PTD_SEED=%llu\n", (unsigned long long)seed);
	open_rig();
	memset(agent, 0, sizeof(agent));
	for (unsigned i = 0; i < CPUS; i++) {
		ASSERT_OUTCOME(PT_OK, pt_agent_join(&rig.e->board.world, &agent[i]));
		cpu[i] = (struct cpu){.agent = &agent[i], .random = seed + i};
	}
	for (unsigned i = 0; i < GUESTS; i++)
		begin_guest(&cpu[0], i);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(0, pthread_create(&cpu[i].thread, NULL, cpu_main, &cpu[i]));
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(0, pthread_join(cpu[i].thread, NULL));
	finish_all(&cpu[0]);
	audit(&cpu[0]);
	print_message("# %llu calls, %llu steps, %llu uses, %llu lives, %llu lent\n",
		      (unsigned long long)rig.done, (unsigned long long)rig.steps,
		      (unsigned long long)rig.uses, (unsigned long long)rig.lives,
		      (unsigned long long)rig.lent);
	assert_true(rig.done > 300 && rig.steps > 50 && rig.uses > 50 && rig.lives > 10 &&
		    rig.lent > 10);
	for (unsigned i = 0; i < GUESTS; i++)
		end_guest(&cpu[0], atomic_load(&rig.guest[i]));
	undo(&cpu[0]);
	for (unsigned i = 0; i < PT_HV_CONTEXTS; i++)
		assert_int_equal(PT_HV_FREE, atomic_load(&rig.e->hv.guest[i].state));
	for (unsigned i = 0; i < PT_HV_TRANSFERS; i++)
		assert_false(atomic_load(&rig.owners->transfer[i].taken));
	for (unsigned i = 0; i < CPUS; i++)
		pt_agent_leave(&agent[i]);
	el2_close(rig.e);
	free(rig.owners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_books_agree_in_the_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
