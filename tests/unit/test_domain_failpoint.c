/* SPDX-License-Identifier: BSD-2-Clause */
/* FailpointService, what armed failpoints do, and request ids. */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)
#define RW   3u
#define MS   UINT64_C(1000000)

enum { ERROR = 1, DROP = 2, DELAY = 3 };

static uint64_t arm(struct fixture *fx, Ptd__V1__Failpoint *fp)
{
	Ptd__V1__ArmFailpointRequest q = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;

	q.failpoint = fp;
	return ((Ptd__V1__ArmFailpointResponse *)OK(fx, "ArmFailpoint", &q))->id;
}

static void arm_refused(struct fixture *fx, Ptd__V1__Failpoint *fp, enum pt_outcome code,
			const char *text)
{
	Ptd__V1__ArmFailpointRequest q = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;

	q.failpoint = fp;
	REFUSED(fx, "ArmFailpoint", &q, code, text);
}

static Ptd__V1__Failpoint point(const char *name, int action)
{
	Ptd__V1__Failpoint fp = PTD__V1__FAILPOINT__INIT;

	fp.name = (char *)(uintptr_t)name;
	fp.action = (Ptd__V1__FailpointAction)action;
	fp.nth = 1;
	return fp;
}

static uint32_t disarm(struct fixture *fx, uint64_t id)
{
	Ptd__V1__DisarmFailpointsRequest q = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;

	q.id = id;
	return ((Ptd__V1__DisarmFailpointsResponse *)OK(fx, "DisarmFailpoints", &q))->disarmed;
}

static Ptd__V1__ListFailpointsResponse *list(struct fixture *fx)
{
	Ptd__V1__ListFailpointsRequest q = PTD__V1__LIST_FAILPOINTS_REQUEST__INIT;

	return OK(fx, "ListFailpoints", &q);
}

static void bad_failpoints_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DisarmFailpointsRequest d = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__Failpoint fp = point("disk.write", ERROR);

	arm_refused(fx, NULL, PT_INVALID, "failpoint: missing");
	arm_refused(fx, &fp, PT_INVALID, "failpoint.name:");
	fp = point("pool.reserve", DROP);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("tlbi.drop", ERROR);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("rpc.reply", 0);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("rpc.reply", DELAY);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms: a delay");
	fp.delay_ms = LIMIT_FAILPOINT_DELAY_MS + 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms:");
	fp = point("rpc.reply", DROP);
	fp.delay_ms = 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms: only");
	fp = point("rpc.reply", DROP);
	fp.grpc_status = 3;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.grpc_status: only");
	fp = point("rpc.reply", ERROR);
	fp.grpc_status = 17;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.grpc_status: 17");
	fp = point("pool.reserve", ERROR);
	fp.nth = 0;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.nth:");
	fp.probability_ppm = 1000001;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.probability_ppm:");
	fp.probability_ppm = 1;
	fp.nth = 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.probability_ppm:");
	fp = point("pool.reserve", ERROR);
	fp.time_to_live_ms = LIMIT_FAILPOINT_TTL_MS + 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.time_to_live_ms:");
	fp = point("pool.reserve", ERROR);
	fp.context = EPOCH << 48 | 999;
	arm_refused(fx, &fp, PT_NOT_FOUND, "failpoint.context:");
	fp = point("pool.reserve", ERROR);
	arm(fx, &fp);
	arm_refused(fx, &fp, PT_WRONG_STATE, "failpoint.name: pool.reserve is armed already");
	d.id = 99;
	REFUSED(fx, "DisarmFailpoints", &d, PT_NOT_FOUND, "id:");
}

#ifdef PT_CHECKED
static void points_of_the_seam_have_arguments_of_their_own(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__Failpoint fp = point("cas.lose", DROP);

	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("free.delay", DELAY);
	fp.delay_ms = 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("free.delay", ERROR);
	fp.context = fx->context;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.context: free.delay");
	fp.context = 0;
	fp.this_connection = true;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.this_connection: free.delay");
	fp = point("tlbi.delay", DROP);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.action:");
	fp = point("tlbi.delay", DELAY);
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms: a delay");
	fp.delay_ms = LIMIT_FAILPOINT_HOLD_MS + 1;
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms: 1001 is above 1000");
	fp.name = (char *)(uintptr_t) "section.long";
	arm_refused(fx, &fp, PT_INVALID, "failpoint.delay_ms: 1001 is above 1000");
}

/* All four at once, for ever, in each call: the answers are what they are without. */
static void calls_get_through_a_seam_that_fails(void **state)
{
	static const struct {
		const char *name;
		int action;
	} points[] = {{"cas.lose", ERROR},
		      {"free.delay", ERROR},
		      {"tlbi.delay", DELAY},
		      {"section.long", DELAY}};
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__ListFailpointsResponse *r;

	for (unsigned i = 0; i < 4; i++) {
		Ptd__V1__Failpoint fp = point(points[i].name, points[i].action);

		fp.delay_ms = points[i].action == DELAY;
		arm(fx, &fp);
	}
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
	assert_int_equal(((Ptd__V1__UnmapResponse *)OK(fx, "Unmap", &u))->outcome, PT_UNMAPPED);
	u.size = 2 * MIB; /* the table goes */
	assert_int_equal(((Ptd__V1__UnmapResponse *)OK(fx, "Unmap", &u))->outcome, PT_HOLE);
	r = list(fx);
	assert_int_equal(r->n_failpoints, 4);
	assert_true(r->failpoints[0]->failures > 0); /* cas.lose */
	assert_true(r->failpoints[3]->failures > 0); /* section.long */
}
#else
static void points_of_the_seam_need_the_checked_build(void **state)
{
	static const char *const names[] = {"cas.lose", "free.delay", "tlbi.delay", "section.long"};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < 4; i++) {
		Ptd__V1__Failpoint fp = point(names[i], ERROR);

		arm_refused(fx, &fp, PT_DENIED_FEATURE, "failpoint.name: only ptd-checked has ");
	}
	assert_int_equal(list(fx)->n_failpoints, 0);
}
#endif

static void a_daemon_that_does_not_allow_them_says_so(void **state)
{
	struct fixture *fx = *state;
	struct domain_config config = {.epoch = 9, .table_bytes = 4 * MIB, .loops = 1};
	struct fixture plain = *fx;
	Ptd__V1__ListFailpointsRequest l = PTD__V1__LIST_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__DisarmFailpointsRequest d = PTD__V1__DISARM_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__ArmFailpointRequest a = PTD__V1__ARM_FAILPOINT_REQUEST__INIT;

	memset(plain.last, 0, sizeof(plain.last));
	plain.domain = domain_create(&config);
	plain.loop[0] = domain_loop_enter(plain.domain, 0);
	REFUSED(&plain, "ListFailpoints", &l, PT_DENIED_FEATURE, "");
	REFUSED(&plain, "DisarmFailpoints", &d, PT_DENIED_FEATURE, "");
	REFUSED(&plain, "ArmFailpoint", &a, PT_DENIED_FEATURE, "");
	for (unsigned i = 0; i < 32; i++)
		if (plain.last[i])
			fake_end(plain.last[i]);
	domain_loop_leave(plain.loop[0]);
	domain_destroy(plain.domain);
}

/* 256 maps of single pages, 2 MiB apart so that each needs a table, and a range in the middle. */
static void kth_reservation(struct fixture *fx, uint32_t k, bool *failed)
{
	static uint64_t ipa[512], pa[512];
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	Ptd__V1__Failpoint fp = point("pool.reserve", ERROR);
	uint64_t size = PAGE;
	uint32_t kind = 1, prot = RW;
	struct fake *f;

	for (size_t i = 0; i < 512; i++) {
		ipa[i] = i / 8 * 2 * MIB + i % 8 * PAGE;
		pa[i] = i * PAGE;
	}
	fp.nth = k;
	fp.times = 1;
	fp.context = fx->context;
	arm(fx, &fp);
	q.context = fx->context;
	q.mode = PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC;
	q.ops = &ops;
	ops.ipa = ipa;
	ops.pa = pa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.n_ipa = ops.n_pa = 512;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	f = call_on(fx, 0, "Apply", &q);
	*failed = f->call.status.code != PT_OK;
	assert_true(!*failed || f->call.status.code == PT_NO_MEMORY);
	assert_int_equal(list(fx)->failpoints[0]->failures, *failed);
	disarm(fx, 0);
}

static void every_reservation_of_a_batch_may_fail(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__GetDigestResponse before = get_digest(fx, fx->context), after;
	Ptd__V1__MapRequest next = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__UnmapRequest undo = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__UnmapRequest all = unmap_request(fx->context, 0, 256 * MIB);
	bool failed = true;
	uint32_t k = 0;

	OK(fx, "Map", &next);
	OK(fx, "Unmap", &all);
	before = get_digest(fx, fx->context);
	while (failed) {
		kth_reservation(fx, ++k, &failed);
		assert_true(k < 5000);
		after = get_digest(fx, fx->context);
		if (failed) {
			assert_int_equal(after.digest_low, before.digest_low);
			assert_int_equal(after.digest_high, before.digest_high);
			assert_int_equal(after.generation, before.generation);
			next.ipa = UINT64_C(1) << 39; /* the next call works */
			undo.ipa = next.ipa;
			OK(fx, "Map", &next);
			undo.size = 2 * MIB;
			OK(fx, "Unmap", &undo);
			before = get_digest(fx, fx->context);
		}
	}
	assert_true(k >= 2);
	assert_int_equal(after.leaves[4], 512);
}

static bool map_fails(struct fixture *fx, uint64_t context, uint64_t ipa)
{
	Ptd__V1__MapRequest q = map_request(context, ipa, PAGE, 0, RW);
	struct fake *f = call_on(fx, 0, "Map", &q);

	assert_true(f->call.status.code == PT_OK || f->call.status.code == PT_NO_MEMORY);
	return f->call.status.code != PT_OK;
}

static void a_failpoint_keeps_to_its_scope(void **state)
{
	struct fixture *fx = *state;
	uint64_t other = new_context(fx, fx->machine, "g1"), at = 0;
	Ptd__V1__Failpoint fp = point("pool.reserve", ERROR);

	fp.context = other;
	arm(fx, &fp);
	assert_false(map_fails(fx, fx->context, at += UINT64_C(1) << 30));
	assert_true(map_fails(fx, other, at));
	disarm(fx, 0);
	fp.context = 0;
	fp.this_connection = true;
	arm(fx, &fp);
	fx->connection = 6;
	assert_false(map_fails(fx, fx->context, at += UINT64_C(1) << 30));
	assert_false(list(fx)->failpoints[0]->this_connection);
	fx->connection = 5;
	assert_true(list(fx)->failpoints[0]->this_connection);
	assert_true(map_fails(fx, fx->context, at += UINT64_C(1) << 30));
}

static void a_failpoint_dies_of_age(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__Failpoint fp = point("pool.reserve", ERROR);
	uint64_t at = 0;

	fp.time_to_live_ms = 50;
	arm(fx, &fp);
	fx->now_ns += 49 * MS;
	assert_int_equal(list(fx)->failpoints[0]->time_to_live_ms, 1);
	assert_true(map_fails(fx, fx->context, at += UINT64_C(1) << 30));
	fx->now_ns += 1 * MS;
	assert_false(map_fails(fx, fx->context, at += UINT64_C(1) << 30));
	assert_int_equal(list(fx)->n_failpoints, 0);
	fp.time_to_live_ms = 0; /* the default */
	arm(fx, &fp);
	fx->now_ns += 60000 * MS - 1;
	assert_int_equal(list(fx)->n_failpoints, 1);
	fx->now_ns += 1;
	assert_int_equal(list(fx)->n_failpoints, 0);
}

static struct reply_failure fate(struct fixture *fx, uint64_t context)
{
	Ptd__V1__MapRequest q = map_request(context, 0, PAGE, 0, RW);
	struct fake *f = fake_call(fx, 0, "Map", &q);
	struct reply_failure failure = domain_reply_fate(&f->call);

	fake_end(f);
	return failure;
}

static void replies_are_dropped_delayed_and_failed(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ListFailpointsRequest q = PTD__V1__LIST_FAILPOINTS_REQUEST__INIT;
	Ptd__V1__Failpoint fp = point("rpc.reply", DROP);
	uint64_t other = new_context(fx, fx->machine, "g1"), first;
	struct fake *f;

	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
	fp.nth = 2;
	fp.times = 2;
	first = arm(fx, &fp);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_DROP);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_DROP);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
	fp = point("rpc.reply", DELAY);
	fp.delay_ms = 33;
	fp.context = other;
	assert_true(arm(fx, &fp) > first);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
	assert_int_equal(fate(fx, other).fate, REPLY_DELAY);
	assert_int_equal(fate(fx, other).delay_ms, 33);
	assert_int_equal(list(fx)->n_failpoints, 2);
	assert_int_equal(list(fx)->failpoints[0]->hits, 7);
	assert_int_equal(list(fx)->failpoints[0]->failures, 2);
	assert_int_equal(disarm(fx, first), 1);
	fp = point("rpc.reply", ERROR);
	fp.this_connection = true;
	fp.grpc_status = PT_GRPC_DATA_LOSS;
	arm(fx, &fp);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_ERROR);
	assert_int_equal(fate(fx, fx->context).grpc_status, PT_GRPC_DATA_LOSS);
	fx->connection = 6;
	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
	fx->connection = 5;
	f = fake_call(fx, 0, "ListFailpoints", &q); /* what disarms is out of reach */
	assert_int_equal(domain_reply_fate(&f->call).fate, REPLY_SEND);
	fake_end(f);
	assert_int_equal(disarm(fx, 0), 2);
	assert_int_equal(fate(fx, fx->context).fate, REPLY_SEND);
}

static void chance_has_a_seed(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__Failpoint fp = point("rpc.reply", DROP);
	unsigned failures[3] = {0};
	uint64_t pattern[3] = {0};

	fp.nth = 0;
	fp.probability_ppm = 300000;
	for (unsigned round = 0; round < 3; round++) {
		fp.seed = round == 2 ? 8 : 7;
		arm(fx, &fp);
		for (unsigned i = 0; i < 1000; i++) {
			bool drop = fate(fx, fx->context).fate == REPLY_DROP;

			failures[round] += drop;
			if (i < 64)
				pattern[round] |= (uint64_t)drop << i;
		}
		disarm(fx, 0);
	}
	assert_int_equal(pattern[0], pattern[1]);
	assert_int_not_equal(pattern[0], pattern[2]);
	assert_in_range(failures[0], 200, 400);
}

static void a_lost_invalidation_shows(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest a = PTD__V1__ACCESS_REQUEST__INIT;
	Ptd__V1__Failpoint fp = point("tlbi.drop", DROP);
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);

	a.context = fx->context;
	a.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	a.length = 8;
	OK(fx, "Map", &m);
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &a))->outcome, PT_OK);
	arm(fx, &fp);
	OK(fx, "Unmap", &u);
	assert_true(((Ptd__V1__AccessResponse *)OK(fx, "Access", &a))->tlb_hit);
}

static void set_id(ProtobufCBinaryData *id, uint8_t *bytes, uint8_t value)
{
	memset(bytes, value, 16);
	id->data = bytes;
	id->len = 16;
}

static void a_retry_gets_the_stored_answer(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__CreateContextResponse *r;
	uint64_t first;
	uint8_t id[16], other[16];

	set_id(&q.request_id, id, 1);
	q.machine = fx->machine;
	q.name = (char *)(uintptr_t) "g1";
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	first = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context->handle;
	fx->connection = 99; /* on any connection */
	r = OK(fx, "CreateContext", &q);
	assert_int_equal(r->context->handle, first);
	assert_string_equal(r->context->name, "m0/g1");
	q.name = (char *)(uintptr_t) "g2";
	REFUSED(fx, "CreateContext", &q, PT_REQUEST_ID_REUSED, "request_id:");
	q.name = (char *)(uintptr_t) "g1";
	m.request_id = q.request_id; /* another method is another request */
	REFUSED(fx, "Map", &m, PT_REQUEST_ID_REUSED, "request_id:");
	set_id(&m.request_id, other, 2);
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
	fx->now_ns += REQUEST_ID_TTL_NS; /* forgotten */
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_ALREADY_MAPPED);
	REFUSED(fx, "CreateContext", &q, PT_ALREADY_EXISTS, "name:");
	REFUSED(fx, "CreateContext", &q, PT_ALREADY_EXISTS, "name:"); /* errors are not kept */
	m.request_id.len = 15;
	REFUSED(fx, "Map", &m, PT_INVALID, "request_id: 15 bytes");
}

/* The clock that dates an answer may be ahead of that of the loop which looks. */
static void an_answer_of_a_loop_that_is_ahead_is_kept(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	uint8_t id[16];

	set_id(&m.request_id, id, 1);
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
	fx->now_ns--;
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
}

static void ids_belong_to_a_principal(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	struct principal admin = fx->principal;
	uint8_t id[16];

	set_id(&m.request_id, id, 1);
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
	fx->principal = fx->other;
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_ALREADY_MAPPED);
	fx->principal = admin;
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->outcome, PT_MAPPED);
}

static void a_retry_waits_for_the_first(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *first, *retry, *gone;
	uint8_t id[16];

	set_id(&m.request_id, id, 1);
	g.handle = fx->context;
	call_on(fx, 1, "GetContext", &g);
	domain_section_begin(fx->loop[1]);
	first = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(first, first->method->run), CALL_MORE);
	retry = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(retry, retry->method->run), CALL_PARKED);
	gone = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(gone, gone->method->run), CALL_PARKED);
	fake_abandon(gone);
	keep(fx, gone);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(first), CALL_DONE);
	assert_int_equal(retry->wakes, 1);
	assert_int_equal(fake_run(retry), CALL_DONE);
	assert_int_equal(((Ptd__V1__MapResponse *)(void *)retry->call.response)->outcome,
			 PT_MAPPED);
	assert_int_equal(((Ptd__V1__MapResponse *)(void *)retry->call.response)->effects->already,
			 0);
	keep(fx, first);
	keep(fx, retry);
}

static void a_retry_takes_over_when_the_first_is_cancelled(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *first, *retry;
	uint8_t id[16];

	set_id(&m.request_id, id, 1);
	g.handle = fx->context;
	call_on(fx, 1, "GetContext", &g);
	domain_section_begin(fx->loop[1]);
	first = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(first, first->method->run), CALL_MORE);
	retry = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(retry, retry->method->run), CALL_PARKED);
	fake_abandon(first);
	domain_section_end(fx->loop[1]);
	assert_int_equal(retry->wakes, 1);
	assert_int_equal(fake_run(retry), CALL_DONE);
	assert_int_equal(retry->call.status.code, PT_OK);
	keep(fx, first);
	keep(fx, retry);
}

/* The table is bounded: the oldest answer is forgotten first. */
static void old_ids_make_room(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, RW);
	uint8_t id[16], map_id[16];

	set_id(&m.request_id, map_id, 1);
	OK(fx, "Map", &m);
	for (uint32_t i = 0; i < LIMIT_REQUEST_IDS; i++) {
		set_id(&u.request_id, id, 2);
		memcpy(id, &i, sizeof(i));
		OK(fx, "Unmap", &u);
	}
	assert_int_equal(((Ptd__V1__MapResponse *)OK(fx, "Map", &m))->generation, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_failpoints_are_refused_by_name),
		TEST(a_daemon_that_does_not_allow_them_says_so),
#ifdef PT_CHECKED
		TEST(points_of_the_seam_have_arguments_of_their_own),
		TEST(calls_get_through_a_seam_that_fails),
#else
		TEST(points_of_the_seam_need_the_checked_build),
#endif
		TEST(every_reservation_of_a_batch_may_fail),
		TEST(a_failpoint_keeps_to_its_scope),
		TEST(a_failpoint_dies_of_age),
		TEST(replies_are_dropped_delayed_and_failed),
		TEST(chance_has_a_seed),
		TEST(a_lost_invalidation_shows),
		TEST(a_retry_gets_the_stored_answer),
		TEST(an_answer_of_a_loop_that_is_ahead_is_kept),
		TEST(ids_belong_to_a_principal),
		TEST(a_retry_waits_for_the_first),
		TEST(a_retry_takes_over_when_the_first_is_cancelled),
		TEST(old_ids_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
