/* SPDX-License-Identifier: BSD-2-Clause */
/* Progressive calls in the domain: what is left and told when they are given up, who waits for
 * whom, dirty logs as objects, folding in idle time. */
#include "domain_fixture.h"

#include <pt/context.h>

#define PAGE	   4096
#define BLOCK	   (2 * MIB)
#define RW	   (PT_PROT_R | PT_PROT_W)
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void map_blocks(struct fixture *fx, uint64_t ipa, uint64_t size)
{
	Ptd__V1__MapRequest q = map_request(fx->context, ipa, size, ipa, RW);

	OK(fx, "Map", &q);
}

static Ptd__V1__SplitRequest split_request(uint64_t context, uint64_t ipa, uint64_t size)
{
	Ptd__V1__SplitRequest q = PTD__V1__SPLIT_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.size = size;
	return q;
}

static uint64_t start_log(struct fixture *fx, uint64_t context, uint64_t ipa, uint64_t size)
{
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.size = size;
	return ((Ptd__V1__StartDirtyLogResponse *)OK(fx, "StartDirtyLog", &q))->log;
}

static Ptd__V1__GetDirtyLogRequest get_request(uint64_t log, bool clear)
{
	Ptd__V1__GetDirtyLogRequest q = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;

	q.log = log;
	q.clear = clear;
	return q;
}

static uint64_t stop_log(struct fixture *fx, uint64_t log)
{
	Ptd__V1__StopDirtyLogRequest q = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

	q.log = log;
	return ((Ptd__V1__StopDirtyLogResponse *)OK(fx, "StopDirtyLog", &q))->dirty;
}

static void write_page(struct fixture *fx, uint64_t ipa)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	uint8_t byte = 7;

	q.context = fx->context;
	q.ipa = ipa;
	q.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE;
	q.data = (ProtobufCBinaryData){1, &byte};
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &q))->outcome, PT_OK);
}

/* The other loop uses the machine from now on: claims wait for its sections. */
static void use_on_loop_1(struct fixture *fx)
{
	Ptd__V1__GetContextRequest q = PTD__V1__GET_CONTEXT_REQUEST__INIT;

	q.handle = fx->context;
	call_on(fx, 1, "GetContext", &q);
}

static void delete_context(struct fixture *fx, uint64_t handle)
{
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	q.handle = handle;
	OK(fx, "DeleteContext", &q);
}

static void a_call_given_up_tells_how_far_it_came(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SplitRequest q = split_request(fx->context, 0, 128 * MIB);
	const Ptd__V1__SplitResponse *r;
	struct fake *f;

	map_blocks(fx, 0, 128 * MIB);
	f = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	fake_abandon(f);
	r = (void *)f->call.response;
	assert_non_null(r);
	assert_in_range(r->next_ipa, BLOCK, 126 * MIB);
	assert_int_equal(r->stopped, PT_CANCELLED);
	assert_int_equal(r->effects->blocks_split, r->next_ipa / BLOCK);
	assert_int_equal(translate(fx, fx->context, r->next_ipa - PAGE, 1)->level, 3);
	assert_int_equal(translate(fx, fx->context, r->next_ipa, 1)->level, 2);
	q.ipa = r->next_ipa;
	q.size = 128 * MIB - r->next_ipa;
	keep(fx, f);
	r = OK(fx, "Split", &q);
	assert_int_equal(r->next_ipa, 128 * MIB);
	assert_int_equal(r->stopped, PT_OK);
	assert_int_equal(get_context(fx, fx->context)->generation, 2);
}

static void a_call_given_up_before_its_claim_has_done_nothing(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SplitRequest q = split_request(fx->context, 0, BLOCK);
	struct fake *f, *parked;

	map_blocks(fx, 0, BLOCK);
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	parked = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(parked, parked->method->run), CALL_PARKED);
	parked->call.abandoned = true;
	assert_int_equal(fake_step(parked, parked->method->abandon), CALL_MORE);
	f->call.abandoned = true;
	assert_int_not_equal(fake_step(f, f->method->abandon), CALL_PARKED);
	domain_section_end(fx->loop[1]);
	fake_abandon(parked);
	fake_abandon(f);
	assert_null(f->call.response);
	assert_null(parked->call.response);
	keep(fx, f);
	keep(fx, parked);
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 2);
	OK(fx, "Split", &q);
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 3);
}

static void a_parked_call_goes_on_when_it_is_woken(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SplitRequest q = split_request(fx->context, 0, BLOCK);
	Ptd__V1__CollapseRequest c = PTD__V1__COLLAPSE_REQUEST__INIT;
	struct fake *f, *parked;

	map_blocks(fx, 0, BLOCK);
	use_on_loop_1(fx);
	c.context = fx->context;
	c.size = BLOCK;
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	parked = fake_call(fx, 0, "Collapse", &c);
	assert_int_equal(fake_step(parked, parked->method->run), CALL_PARKED);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(parked->wakes, 1);
	assert_int_equal(fake_run(parked), CALL_DONE);
	assert_int_equal(((Ptd__V1__CollapseResponse *)parked->call.response)->blocks_made, 1);
	keep(fx, f);
	keep(fx, parked);
}

static void a_deleted_context_waits_for_who_steps_on_it(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SplitRequest q = split_request(fx->context, 0, 128 * MIB);
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct fake *f, *deletion;
	enum call_result result;

	map_blocks(fx, 0, 128 * MIB);
	f = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	d.handle = fx->context;
	deletion = fake_call(fx, 0, "DeleteContext", &d);
	assert_int_equal(fake_step(deletion, deletion->method->run), CALL_PARKED);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_true(deletion->wakes == 1);
	result = fake_run(deletion);
	assert_int_equal(result, CALL_DONE);
	assert_int_equal(deletion->call.status.code, PT_OK);
	keep(fx, f);
	keep(fx, deletion);
	REFUSED(fx, "Split", &q, PT_NOT_FOUND, "context:");
}

static void a_start_given_up_leaves_no_log(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	struct fake *f;

	q.context = fx->context;
	q.size = BLOCK;
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	for (unsigned i = 0; i < 2 * LIMIT_DIRTY_LOGS; i++) {
		f = fake_call(fx, 0, "StartDirtyLog", &q);
		assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
		fake_abandon(f);
		assert_null(f->call.response);
		keep(fx, f);
	}
	domain_section_end(fx->loop[1]);
	stop_log(fx, start_log(fx, fx->context, 0, BLOCK));
}

/* It is some way into its work. */
static void a_start_given_up_half_way_leaves_no_log(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	struct fake *f;

	map_blocks(fx, 0, 128 * MIB);
	q.context = fx->context;
	q.size = 128 * MIB;
	q.eager_split = true;
	f = fake_call(fx, 0, "StartDirtyLog", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	fake_abandon(f);
	assert_null(f->call.response);
	keep(fx, f);
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 3);
	stop_log(fx, start_log(fx, fx->context, 0, 128 * MIB));
	delete_context(fx, fx->context);
}

static void pages_that_were_told_to_nobody_are_told_again(void **state)
{
	struct fixture *fx = *state;
	uint64_t log;
	Ptd__V1__GetDirtyLogRequest q;
	const Ptd__V1__GetDirtyLogResponse *r;
	struct fake *f;

	map_blocks(fx, 0, 128 * MIB);
	log = start_log(fx, fx->context, 0, 128 * MIB);
	q = get_request(log, true);
	write_page(fx, 3 * PAGE);
	write_page(fx, 127 * MIB);
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "GetDirtyLog", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	REFUSED(fx, "GetDirtyLog", &q, PT_BUSY, "log:");
	domain_section_end(fx->loop[1]);
	fake_abandon(f);
	assert_null(f->call.response);
	keep(fx, f);
	r = OK(fx, "GetDirtyLog", &q);
	assert_int_equal(r->dirty, 2);
	assert_int_equal(r->bitmap.data[0], 8);
	assert_true(r->done);
	assert_int_equal(r->bitmap.len, 128 * MIB / PAGE / 8);
}

static void pages_collected_by_half_are_told_again(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__GetDirtyLogRequest g;
	const Ptd__V1__StartDirtyLogResponse *started;
	const Ptd__V1__GetDirtyLogResponse *r;
	struct fake *f;

	map_blocks(fx, 0, 128 * MIB);
	q.context = fx->context;
	q.size = 128 * MIB;
	q.eager_split = q.initially_set = true;
	started = OK(fx, "StartDirtyLog", &q);
	g = get_request(started->log, true);
	g.log_generation = started->log_generation;
	f = fake_call(fx, 0, "GetDirtyLog", &g);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	fake_abandon(f);
	assert_null(f->call.response);
	keep(fx, f);
	r = OK(fx, "GetDirtyLog", &g);
	assert_int_equal(r->dirty, 128 * MIB / PAGE);
	assert_int_equal(r->bitmap.data[0], 0xff);
}

/* Hardware keeps dirty state here, and this write is no vCPU's. */
static void memory_that_a_call_writes_is_dirty(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ContextOptions options = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextRequest c = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__WriteMemoryRequest w = PTD__V1__WRITE_MEMORY_REQUEST__INIT;
	Ptd__V1__GetDirtyLogRequest get;
	Ptd__V1__GetDirtyLogResponse *r;
	Ptd__V1__MapRequest m;
	uint8_t data[2] = {1, 2};
	uint64_t log;

	options.ha = options.hd = true;
	c.machine = w.machine = fx->machine;
	c.name = (char *)(uintptr_t) "hd";
	c.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	c.options = &options;
	w.context =
		((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &c))->context->handle;
	m = map_request(w.context, 0, 4 * PAGE, MIB, 3);
	OK(fx, "Map", &m);
	log = start_log(fx, w.context, 0, 4 * PAGE);
	w.address = 2 * PAGE - 1; /* a byte in each of two pages */
	w.data = (ProtobufCBinaryData){sizeof(data), data};
	OK(fx, "WriteMemory", &w);
	get = get_request(log, false);
	r = OK(fx, "GetDirtyLog", &get);
	assert_int_equal(r->dirty, 2);
	assert_int_equal(r->bitmap.data[0], 6);
	assert_int_equal(stop_log(fx, log), 2);
}

static void a_stop_cannot_be_given_up(void **state)
{
	struct fixture *fx = *state;
	uint64_t log = start_log(fx, fx->context, 0, 128 * MIB);
	Ptd__V1__StopDirtyLogRequest q = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__GetDirtyLogRequest g = get_request(log, false);
	struct fake *f;

	q.log = log;
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "StopDirtyLog", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	REFUSED(fx, "StopDirtyLog", &q, PT_BUSY, "log: another call stops it");
	REFUSED(fx, "GetDirtyLog", &g, PT_BUSY, "log: another call stops it");
	f->call.abandoned = true;
	assert_null(f->method->abandon);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_non_null(f->call.response);
	keep(fx, f);
	REFUSED(fx, "StopDirtyLog", &q, PT_NOT_FOUND, "log:");
}

static void a_log_goes_with_its_context(void **state)
{
	struct fixture *fx = *state;
	uint64_t other = new_context(fx, fx->machine, "g1");
	uint64_t gone = start_log(fx, other, 0, BLOCK), kept = start_log(fx, fx->context, 0, BLOCK);
	Ptd__V1__GetDirtyLogRequest q = get_request(gone, true);
	Ptd__V1__StopDirtyLogRequest s = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	struct fake *deletion;

	/* Half deleted: the handle is still good, the context is not. */
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	d.handle = other;
	s.log = gone;
	deletion = fake_call(fx, 0, "DeleteContext", &d);
	assert_int_equal(fake_step(deletion, deletion->method->run), CALL_MORE);
	REFUSED(fx, "GetDirtyLog", &q, PT_WRONG_STATE, "context:");
	REFUSED(fx, "StopDirtyLog", &s, PT_WRONG_STATE, "log:");
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(deletion), CALL_DONE);
	keep(fx, deletion);
	REFUSED(fx, "GetDirtyLog", &q, PT_NOT_FOUND, "log:");
	q.log = kept;
	OK(fx, "GetDirtyLog", &q);
	q.log = kept ^ UINT64_C(1) << 60;
	REFUSED(fx, "GetDirtyLog", &q, PT_STALE_EPOCH, "log:");
	q.log = fx->context;
	REFUSED(fx, "GetDirtyLog", &q, PT_NOT_FOUND, "log:");
}

static uint64_t wide_context(struct fixture *fx)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;

	g.ipa_bits = 44;
	q.machine = fx->machine;
	q.name = (char *)(uintptr_t) "wide";
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	q.geometry = &g;
	return ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context->handle;
}

static void memory_of_logs_is_charged_to_who_started_them(void **state)
{
	struct fixture *fx = *state;
	const uint64_t largest = LIMIT_DIRTY_LOG_BYTES / 16 * 64 * PAGE;
	uint64_t log[LIMIT_PRINCIPAL_DIRTY_LOG_BYTES / LIMIT_DIRTY_LOG_BYTES], theirs;
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	struct fake *f;

	q.context = wide_context(fx);
	for (unsigned i = 0; i < sizeof(log) / sizeof(log[0]); i++)
		log[i] = start_log(fx, fx->context, 0, largest / 2);
	q.size = largest + BLOCK;
	REFUSED(fx, "StartDirtyLog", &q, PT_TOO_LARGE,
		"max_dirty_log_bytes: the log would go beyond it");
	for (unsigned i = 0; i < sizeof(log) / sizeof(log[0]); i++)
		start_log(fx, fx->context, 0, largest / 2);
	q.size = PAGE;
	REFUSED(fx, "StartDirtyLog", &q, PT_TOO_LARGE,
		"max_principal_dirty_log_bytes: the log would go beyond it");
	f = fake_call(fx, 0, "StartDirtyLog", &q);
	f->call.principal = &fx->other;
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_OK);
	theirs = ((Ptd__V1__StartDirtyLogResponse *)f->call.response)->log;
	keep(fx, f);
	stop_log(fx, log[0]);
	stop_log(fx, theirs);
	start_log(fx, fx->context, 0, PAGE);
}

/* The log of another principal; 0: refused, for this limit. */
static uint64_t start_as(struct fixture *fx, const struct principal *who, const char *limit)
{
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	uint64_t log = 0;
	struct fake *f;

	q.context = fx->context;
	q.size = PAGE;
	f = fake_call(fx, 0, "StartDirtyLog", &q);
	f->call.principal = who;
	assert_int_equal(fake_run(f), CALL_DONE);
	if (f->call.status.code == PT_OK) {
		log = ((Ptd__V1__StartDirtyLogResponse *)f->call.response)->log;
	} else {
		assert_int_equal(f->call.status.code, PT_TOO_LARGE);
		assert_memory_equal(f->call.status.text, limit, strlen(limit));
	}
	keep(fx, f);
	return log;
}

static void nobody_can_take_all_logs(void **state)
{
	struct fixture *fx = *state;
	struct principal who = {.name = "uid:0"};
	uint64_t log = 0, last;

	for (unsigned i = 0; i < LIMIT_DIRTY_LOGS / LIMIT_PRINCIPAL_DIRTY_LOGS; i++) {
		who.name[4] = (char)('0' + i);
		for (unsigned n = 0; n < LIMIT_PRINCIPAL_DIRTY_LOGS; n++) {
			log = start_as(fx, &who, "");
			assert_int_not_equal(log, 0);
		}
		assert_int_equal(start_as(fx, &who, "max_principal_dirty_logs: "), 0);
	}
	who.name[4] = 'x';
	assert_int_equal(start_as(fx, &who, "max_dirty_logs: "), 0);
	stop_log(fx, log);
	last = start_as(fx, &who, "");
	assert_int_not_equal(last, 0);
	stop_log(fx, last);
}

static void a_bitmap_has_a_limit(void **state)
{
	const uint64_t part = (uint64_t)LIMIT_BITMAP_BYTES * 8 * PAGE;
	struct fixture *fx = *state;
	Ptd__V1__AgeRequest q = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, part - PAGE, 2 * PAGE, 0, RW);
	const Ptd__V1__AgeResponse *r;

	OK(fx, "Map", &m);
	q.context = fx->context;
	q.size = 2 * part;
	q.want_bitmap = true;
	r = OK(fx, "Age", &q);
	assert_int_equal(r->bitmap.len, LIMIT_BITMAP_BYTES);
	assert_int_equal(r->bitmap.data[LIMIT_BITMAP_BYTES - 1], 0x80);
	assert_int_equal(r->next_ipa, part);
	assert_int_equal(r->young, 1);
	q.want_bitmap = false;
	r = OK(fx, "Age", &q);
	assert_int_equal(r->young, 2);
	assert_int_equal(r->next_ipa, 2 * part);
}

static bool idle(struct fixture *fx, unsigned loop)
{
	bool more;

	domain_section_begin(fx->loop[loop]);
	more = domain_idle_work(fx->loop[loop], true, fx->now_ns) <= fx->now_ns;
	domain_section_end(fx->loop[loop]);
	return more;
}

/* Each block of a slot of [0, 8 blocks) is written, and logged by pages. */
static uint64_t logged_pages(struct fixture *fx)
{
	Ptd__V1__StartDirtyLogRequest q = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;

	set_slot(fx, fx->context, 0, 0, 8 * BLOCK, 0, 0, BLOCK);
	for (unsigned i = 0; i < 8; i++)
		write_page(fx, i * BLOCK);
	q.context = fx->context;
	q.size = 8 * BLOCK;
	q.eager_split = true;
	return ((Ptd__V1__StartDirtyLogResponse *)OK(fx, "StartDirtyLog", &q))->log;
}

static void a_logging_flag_unmaps_nothing(void **state)
{
	struct fixture *fx = *state;

	set_slot(fx, fx->context, 0, 0, BLOCK, 0, 0, BLOCK);
	write_page(fx, 0);
	set_slot(fx, fx->context, 0, 0, BLOCK, 0, PT_SLOT_LOG_DIRTY, BLOCK);
	assert_int_equal(translate(fx, fx->context, 0, 1)->outcome, PT_OK);
	set_slot(fx, fx->context, 0, 0, BLOCK, 0, 0, BLOCK);
	assert_int_equal(translate(fx, fx->context, 0, 1)->outcome, PT_OK);
	set_slot(fx, fx->context, 0, 0, BLOCK, 0, PT_SLOT_READ_ONLY | PT_SLOT_LOG_DIRTY, BLOCK);
	assert_int_equal(translate(fx, fx->context, 0, 1)->outcome, PT_NOT_MAPPED);
}

static void blocks_come_back_in_idle_time(void **state)
{
	struct fixture *fx = *state;
	uint64_t log = logged_pages(fx);
	unsigned steps = 0;

	write_page(fx, 5 * PAGE);
	assert_false(idle(fx, 0));
	assert_int_equal(stop_log(fx, log), 1);
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 3);
	assert_false(idle(fx, 1));
	while (idle(fx, 0))
		assert_true(++steps < 100);
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 2);
	assert_int_equal(translate(fx, fx->context, 7 * BLOCK, 1)->level, 2);
	assert_int_equal(get_context(fx, fx->context)->table_pages, 1);
	assert_int_equal(atomic_load(&domain_loop_counters(fx->loop[0])->blocks_folded), 8);
}

static void a_busy_loop_begins_no_folding(void **state)
{
	struct fixture *fx = *state;
	uint64_t log = logged_pages(fx);

	stop_log(fx, log);
	for (unsigned i = 0; i < 10; i++) {
		domain_section_begin(fx->loop[0]);
		assert_int_equal(domain_idle_work(fx->loop[0], false, fx->now_ns), 0);
		domain_section_end(fx->loop[0]);
	}
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 3);
	delete_context(fx, fx->context); /* its context is gone when the loop is idle */
	while (idle(fx, 0))
		;
	assert_int_equal(atomic_load(&domain_loop_counters(fx->loop[0])->blocks_folded), 0);
}

static void folding_waits_for_nobody(void **state)
{
	struct fixture *fx = *state;
	uint64_t log = logged_pages(fx);
	Ptd__V1__SplitRequest q = split_request(fx->context, 0, 8 * BLOCK);
	struct fake *f;

	stop_log(fx, log);
	use_on_loop_1(fx);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Split", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	assert_true(idle(fx, 0)); /* met the claim: given up */
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f), CALL_DONE);
	while (idle(fx, 0))
		;
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 3);
	keep(fx, f);
	delete_context(fx, fx->context);
}

/* A fault that finds pages which could be a block asks for it. */
static void a_fault_asks_for_folding(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 0, BLOCK, 0, PT_PROT_R);

	set_slot(fx, fx->context, 0, 0, BLOCK, 0, 0, BLOCK);
	q.flags = PT_MAP_FORCE_PAGES;
	OK(fx, "Map", &q);
	for (uint64_t ipa = 0; ipa < BLOCK; ipa += PAGE) {
		assert_false(idle(fx, 0));
		write_page(fx, ipa);
	}
	while (idle(fx, 0))
		;
	assert_int_equal(translate(fx, fx->context, 0, 1)->level, 2);
}

static void an_idle_fold_ends_with_its_loop(void **state)
{
	struct fixture *fx = *state;
	uint64_t log = logged_pages(fx);

	use_on_loop_1(fx);
	stop_log(fx, log);
	domain_section_begin(fx->loop[1]);
	assert_true(idle(fx, 0)); /* its claim waits for the other loop */
	domain_section_end(fx->loop[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_given_up_tells_how_far_it_came),
		TEST(a_call_given_up_before_its_claim_has_done_nothing),
		TEST(a_parked_call_goes_on_when_it_is_woken),
		TEST(a_deleted_context_waits_for_who_steps_on_it),
		TEST(a_start_given_up_leaves_no_log),
		TEST(a_start_given_up_half_way_leaves_no_log),
		TEST(pages_that_were_told_to_nobody_are_told_again),
		TEST(pages_collected_by_half_are_told_again),
		TEST(memory_that_a_call_writes_is_dirty),
		TEST(a_stop_cannot_be_given_up),
		TEST(a_log_goes_with_its_context),
		TEST(memory_of_logs_is_charged_to_who_started_them),
		TEST(nobody_can_take_all_logs),
		TEST(a_bitmap_has_a_limit),
		TEST(a_logging_flag_unmaps_nothing),
		TEST(blocks_come_back_in_idle_time),
		TEST(a_busy_loop_begins_no_folding),
		TEST(folding_waits_for_nobody),
		TEST(a_fault_asks_for_folding),
		TEST(an_idle_fold_ends_with_its_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
