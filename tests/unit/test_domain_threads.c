/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several loops on real threads over one machine: contexts come and go while others map, fault,
 * change slots, enter and fill shadows, read stable digests and abandon calls. Meant for TSan and
 * ASan; at the end the counts agree and nothing is left. PTD_SEED repeats a run as far as threads
 * allow.
 */
#include "domain_fixture.h"

#include "ptd/v1/nested.pb-c.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 4
#define ROUNDS	1500
#define PAGE	UINT64_C(4096)

struct worker {
	struct fixture fx;
	pthread_t thread;
	uint64_t random;
	_Atomic uint64_t *shared; /* handles of contexts that anybody may use or delete */
	_Atomic uint64_t *logs;	  /* and of dirty logs, */
	_Atomic uint64_t *shadows;
	unsigned index, oks, refused;
};

#define SHARED	6
#define LOGS	4
#define SHADOWS 4

static uint64_t draw(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

/* As a shard does in each step. */
static void other_work(struct worker *w, bool idle)
{
	domain_section_begin(w->fx.loop[0]);
	domain_idle_work(w->fx.loop[0], idle, UINT64_MAX - 1);
	domain_section_end(w->fx.loop[0]);
}

/* As the wire does: steps until the end, parked until woken, and sometimes abandoned. Returns the
 * call, to be ended. */
static struct fake *finished_call(struct worker *w, const char *rpc, const void *request)
{
	struct fake *f = fake_call(&w->fx, 0, rpc, request);
	bool drop = draw(w, 16) == 0;
	enum call_result result;
	unsigned step = 0;

	for (;;) {
		if (drop && step == 1) {
			f->call.abandoned = true;
			if (!f->method->abandon)
				drop = false;
		}
		result = fake_step(f, drop && step && f->method->abandon ? f->method->abandon
									 : f->method->run);
		step++;
		if (result == CALL_DONE)
			break;
		if (result == CALL_PARKED && !drop)
			while (!__atomic_load_n(&f->wakes, __ATOMIC_ACQUIRE)) {
				other_work(w, false);
				domain_loop_idle(w->fx.loop[0]);
				sched_yield();
				domain_loop_busy(w->fx.loop[0]);
			}
		if (result == CALL_PARKED && !drop)
			__atomic_store_n(&f->wakes, 0, __ATOMIC_RELAXED);
		other_work(w, false);
		sched_yield();
	}
	if (f->call.status.code == PT_OK)
		w->oks++;
	else
		w->refused++;
	return f;
}

static void run_call(struct worker *w, const char *rpc, const void *request)
{
	fake_end(finished_call(w, rpc, request));
}

static void map_or_unmap(struct worker *w, uint64_t context)
{
	uint64_t pages = draw(w, 4) ? 1 : 1 + draw(w, 600), at = draw(w, 1024) * PAGE;
	Ptd__V1__MapRequest m = map_request(context, at, pages * PAGE, at, 3);
	Ptd__V1__UnmapRequest u = unmap_request(context, at, pages * PAGE);
	uint8_t id[16] = {(uint8_t)draw(w, 4)};

	m.flags = 1;
	if (draw(w, 8) == 0)
		m.request_id = (ProtobufCBinaryData){16, id};
	if (draw(w, 2))
		run_call(w, "Map", &m);
	else
		run_call(w, "Unmap", &u);
}

static void access(struct worker *w, uint64_t context)
{
	Ptd__V1__AccessRequest a = PTD__V1__ACCESS_REQUEST__INIT;

	a.context = context;
	a.vcpu = (uint32_t)draw(w, 2);
	a.ipa = draw(w, 1024) * PAGE;
	a.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	a.length = 8;
	run_call(w, "Access", &a);
}

static void change_slot(struct worker *w, uint64_t context)
{
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__DeleteSlotRequest d = PTD__V1__DELETE_SLOT_REQUEST__INIT;
	Ptd__V1__Slot s = PTD__V1__SLOT__INIT;

	q.context = d.context = context;
	q.slot = &s;
	s.id = d.id = (uint32_t)draw(w, 3);
	s.ipa = s.id * 2 * MIB;
	s.size = (1 + draw(w, 8)) * 65536;
	s.pa = s.ipa;
	if (draw(w, 3))
		run_call(w, "SetSlot", &q);
	else
		run_call(w, "DeleteSlot", &d);
}

static void read_stable(struct worker *w, uint64_t context)
{
	Ptd__V1__GetDigestRequest q = PTD__V1__GET_DIGEST_REQUEST__INIT;
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;

	q.context = g.handle = context;
	q.stable = true;
	run_call(w, "GetDigest", &q);
	run_call(w, "GetContext", &g);
}

static void keep_in_shape(struct worker *w, uint64_t context)
{
	Ptd__V1__AgeRequest age = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__SplitRequest split = PTD__V1__SPLIT_REQUEST__INIT;
	Ptd__V1__CollapseRequest collapse = PTD__V1__COLLAPSE_REQUEST__INIT;
	Ptd__V1__WriteProtectRequest protect = PTD__V1__WRITE_PROTECT_REQUEST__INIT;

	age.context = split.context = collapse.context = protect.context = context;
	age.size = split.size = collapse.size = protect.size = 4 * MIB;
	age.clear = draw(w, 2);
	age.want_bitmap = draw(w, 2);
	switch (draw(w, 4)) {
	case 0: run_call(w, "Age", &age); break;
	case 1: run_call(w, "Split", &split); break;
	case 2: run_call(w, "Collapse", &collapse); break;
	default: run_call(w, "WriteProtect", &protect); break;
	}
}

static void start_log(struct worker *w, uint64_t context)
{
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StartDirtyLogResponse *r;
	struct fake *f;

	q.context = context;
	q.size = (1 + draw(w, 1024)) * PAGE;
	q.eager_split = draw(w, 2);
	f = finished_call(w, "StartDirtyLog", &q);
	r = (void *)f->call.response;
	if (r)
		atomic_store(&w->logs[draw(w, LOGS)], r->log);
	fake_end(f);
}

static void use_log(struct worker *w)
{
	Ptd__V1__GetDirtyLogRequest g = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StopDirtyLogRequest s = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

	g.log = s.log = atomic_load(&w->logs[draw(w, LOGS)]);
	g.clear = draw(w, 2);
	if (draw(w, 3))
		run_call(w, "GetDirtyLog", &g);
	else
		run_call(w, "StopDirtyLog", &s);
}

/* Shadows whose stage 2 is off, so that there are no tables to write. */
static void enter_shadow(struct worker *w, uint64_t context)
{
	Ptd__V1__EnterNestedRequest q = PTD__V1__ENTER_NESTED_REQUEST__INIT;
	const Ptd__V1__EnterNestedResponse *r;
	struct fake *f;

	q.context = context;
	q.vcpu = (uint32_t)draw(w, 2);
	q.vtcr = 1u << 19;
	q.vttbr = draw(w, 4) << 48;
	f = finished_call(w, "EnterNested", &q);
	r = (const void *)f->call.response;
	if (r)
		atomic_store(&w->shadows[draw(w, SHADOWS)], r->shadow);
	fake_end(f);
}

static void leave_shadow(struct worker *w, uint64_t context)
{
	Ptd__V1__ExitNestedRequest q = PTD__V1__EXIT_NESTED_REQUEST__INIT;
	Ptd__V1__ListShadowsRequest l = PTD__V1__LIST_SHADOWS_REQUEST__INIT;

	q.context = l.context = context;
	q.vcpu = (uint32_t)draw(w, 2);
	run_call(w, "ExitNested", &q);
	run_call(w, "ListShadows", &l);
}

static void replace_context(struct worker *w, unsigned slot)
{
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	char name[32];
	struct fake *f;

	d.handle = atomic_load(&w->shared[slot]);
	run_call(w, "DeleteContext", &d);
	snprintf(name, sizeof(name), "w%u-%u", w->index, (unsigned)draw(w, 1u << 30));
	q.machine = w->fx.machine;
	q.name = name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	options.nested = true;
	options.max_shadows = 3;
	q.options = &options;
	f = fake_call(&w->fx, 0, "CreateContext", &q);
	while (fake_step(f, f->method->run) != CALL_DONE)
		;
	if (f->call.status.code == PT_OK)
		atomic_store(&w->shared[slot],
			     ((Ptd__V1__CreateContextResponse *)(void *)f->call.response)
				     ->context->handle);
	fake_end(f);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	w->fx.loop[0] = domain_loop_enter(w->fx.domain, 2 + w->index);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned slot = (unsigned)draw(w, SHARED);
		uint64_t context = atomic_load(&w->shared[slot]);

		switch (draw(w, 36)) {
		case 32: enter_shadow(w, context); break;
		case 33: leave_shadow(w, context); break;
		case 34:
		case 35: access(w, atomic_load(&w->shadows[draw(w, SHADOWS)])); break;
		case 24:
		case 25: keep_in_shape(w, context); break;
		case 26: start_log(w, context); break;
		case 27:
		case 28: use_log(w); break;
		case 29: other_work(w, true); break;
		case 0: replace_context(w, slot); break;
		case 1:
		case 2: change_slot(w, context); break;
		case 3: read_stable(w, context); break;
		case 4:
		case 5:
		case 6:
		case 7:
		case 8: access(w, context); break;
		default: map_or_unmap(w, context);
		}
	}
	domain_loop_leave(w->fx.loop[0]);
	return NULL;
}

static void loops_on_threads_agree(void **state)
{
	struct fixture *fx = *state;
	const char *seed = getenv("PTD_SEED");
	uint64_t random = seed ? strtoull(seed, NULL, 0) : 20261121;
	Ptd__V1__DeleteMachineRequest d = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	Ptd__V1__GetStatsRequest q = PTD__V1__GET_STATS_REQUEST__INIT;
	Ptd__V1__GetStatsResponse *stats;
	static struct worker worker[THREADS];
	static _Atomic uint64_t shared[SHARED], logs[LOGS], shadows[SHADOWS];
	char name[16];

	print_message("PTD_SEED=%llu\n", (unsigned long long)random);
	for (unsigned i = 0; i < SHARED; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		atomic_store(&shared[i], new_context(fx, fx->machine, name));
	}
	for (unsigned i = 0; i < 2; i++)
		domain_loop_idle(fx->loop[i]);
	for (unsigned i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){.random = random * (2 * i + 1) | 1,
					    .shared = shared,
					    .logs = logs,
					    .shadows = shadows,
					    .index = i};
		worker[i].fx.domain = fx->domain;
		worker[i].fx.machine = fx->machine;
		worker[i].fx.principal = fx->principal;
		worker[i].fx.now_ns = fx->now_ns;
		assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(worker[i].thread, NULL);
		assert_true(worker[i].oks > ROUNDS / 4);
	}
	d.handle = fx->machine;
	d.force = true;
	OK(fx, "DeleteMachine", &d);
	stats = OK(fx, "GetStats", &q);
	for (unsigned i = 0; i < LOGS; i++) {
		Ptd__V1__StopDirtyLogRequest s = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

		s.log = atomic_load(&logs[i]);
		assert_true(s.log);
		REFUSED(fx, "StopDirtyLog", &s, PT_NOT_FOUND, "log:");
	}
	assert_int_equal(stats->contexts, 0);
	assert_int_equal(stats->machines, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(loops_on_threads_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
