/* SPDX-License-Identifier: BSD-2-Clause */
/* MachineService, ContextService but for slots and dumps, ServerService: objects and their lives.
 */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)

static Ptd__V1__CreateMachineRequest machine_request(const char *name)
{
	Ptd__V1__CreateMachineRequest q = PTD__V1__CREATE_MACHINE_REQUEST__INIT;

	q.name = (char *)(uintptr_t)name;
	q.memory_bytes = MIB;
	q.vcpus = 1;
	return q;
}

static Ptd__V1__CreateContextRequest context_request(struct fixture *fx, const char *name)
{
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;

	q.machine = fx->machine;
	q.name = (char *)(uintptr_t)name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	return q;
}

static void a_machine_is_as_it_was_asked_for(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateMachineRequest q = machine_request("box.1_a-b");
	Ptd__V1__GetMachineRequest g = PTD__V1__GET_MACHINE_REQUEST__INIT;
	Ptd__V1__CreateMachineResponse *r;
	Ptd__V1__GetMachineResponse *gr;

	q.memory_bytes = 3 * 65536;
	q.vcpus = 7;
	q.pa_bits = 36;
	q.vmid_bits = 8;
	r = OK(fx, "CreateMachine", &q);
	assert_string_equal(r->machine->name, "box.1_a-b");
	assert_int_equal(r->machine->memory_bytes, 3 * 65536);
	assert_int_equal(r->machine->vcpus, 7);
	assert_int_equal(r->machine->pa_bits, 36);
	assert_int_equal(r->machine->vmid_bits, 8);
	assert_int_equal(r->machine->contexts, 0);
	assert_int_equal(r->machine->handle >> 48, EPOCH);
	g.handle = r->machine->handle;
	gr = OK(fx, "GetMachine", &g);
	assert_string_equal(gr->machine->name, "box.1_a-b");
	g.handle = 0;
	g.name = (char *)(uintptr_t) "m0";
	gr = OK(fx, "GetMachine", &g);
	assert_int_equal(gr->machine->handle, fx->machine);
	assert_int_equal(gr->machine->contexts, 1);
	q = machine_request("defaults");
	r = OK(fx, "CreateMachine", &q);
	assert_int_equal(r->machine->pa_bits, 48);
	assert_int_equal(r->machine->vmid_bits, 16);
}

static void bad_machines_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateMachineRequest q = machine_request("");
	Ptd__V1__GetMachineRequest g = PTD__V1__GET_MACHINE_REQUEST__INIT;
	char name[65];

	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "name:");
	q = machine_request("a/b");
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "name:");
	memset(name, 'x', 64);
	name[64] = 0;
	q = machine_request(name);
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "name:");
	q = machine_request(name + 1);
	OK(fx, "CreateMachine", &q);
	q = machine_request("m0");
	REFUSED(fx, "CreateMachine", &q, PT_ALREADY_EXISTS, "name:");
	q = machine_request("m1");
	q.memory_bytes = 65537;
	assert_int_equal(
		REFUSED(fx, "CreateMachine", &q, PT_MISALIGNED, "memory_bytes:")->nearest_above,
		131072);
	q.memory_bytes = 0;
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "memory_bytes:");
	q.pa_bits = 32;
	q.memory_bytes = (UINT64_C(2) << 30) + 65536;
	REFUSED(fx, "CreateMachine", &q, PT_OUT_OF_RANGE, "memory_bytes:");
	q.pa_bits = 52;
	q.memory_bytes = LIMIT_MACHINE_BYTES + 65536;
	REFUSED(fx, "CreateMachine", &q, PT_TOO_LARGE, "memory_bytes:");
	q = machine_request("m1");
	q.pa_bits = 33;
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "pa_bits: 33");
	q.pa_bits = 0;
	q.vmid_bits = 9;
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "vmid_bits: 9");
	q.vmid_bits = 0;
	q.vcpus = 0;
	REFUSED(fx, "CreateMachine", &q, PT_INVALID, "vcpus:");
	q.vcpus = LIMIT_VCPUS + 1;
	REFUSED(fx, "CreateMachine", &q, PT_TOO_LARGE, "vcpus: 257");
	REFUSED(fx, "GetMachine", &g, PT_INVALID, "handle: 0");
	g.name = (char *)(uintptr_t) "nobody";
	REFUSED(fx, "GetMachine", &g, PT_NOT_FOUND, "name:");
	g.handle = fx->machine;
	REFUSED(fx, "GetMachine", &g, PT_INVALID, "name:");
	g.name = (char *)(uintptr_t) "";
	g.handle = UINT64_C(1) << 48 | 1;
	REFUSED(fx, "GetMachine", &g, PT_STALE_EPOCH, "handle:");
}

static void a_context_is_as_it_was_asked_for(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateContextRequest q = context_request(fx, "g1");
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__Context *c;

	c = get_context(fx, fx->context);
	assert_string_equal(c->name, "m0/g0");
	assert_int_equal(c->machine, fx->machine);
	assert_int_equal(c->geometry->granule_shift, 12);
	assert_int_equal(c->geometry->ipa_bits, 40);
	assert_int_equal(c->geometry->pa_bits, 44);
	assert_int_equal(c->vmid, 0);
	run_once(fx, fx->context);
	assert_int_equal(get_context(fx, fx->context)->vmid, 256);
	assert_int_equal(get_context(fx, fx->context)->vttbr >> 48, 256);
	assert_int_equal(c->generation, 1);
	assert_int_equal(c->quota_pages, 0);
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST;
	q.geometry = &g;
	g.granule_shift = 14;
	g.ipa_bits = 36;
	g.pa_bits = 44;
	g.start_level_plus_2 = 4;
	q.options = &o;
	o.fwb = o.xnx = o.ha = o.hd = true;
	q.quota_pages = 17;
	c = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context;
	assert_int_equal(c->kind, PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST);
	assert_int_equal(c->geometry->granule_shift, 14);
	assert_int_equal(c->geometry->ipa_bits, 36);
	assert_int_equal(c->geometry->pa_bits, 44);
	assert_int_equal(c->geometry->start_level_plus_2, 4);
	assert_true(c->options->fwb && c->options->xnx && c->options->ha && c->options->hd);
	assert_int_equal(c->vtcr >> 21 & 3, 3);
	assert_int_equal(c->quota_pages, 17);
	assert_int_equal(c->vmid, 0);
	assert_int_equal(c->vttbr >> 48, 0);
	q = context_request(fx, "lpa2");
	g = (Ptd__V1__Geometry)PTD__V1__GEOMETRY__INIT;
	g.ds = true;
	q.geometry = &g;
	c = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context;
	assert_true(c->geometry->ds);
}

static void a_vtcr_says_the_same_as_a_geometry(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateContextRequest q = context_request(fx, "g1");
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__Context *c;
	uint64_t vtcr = get_context(fx, fx->context)->vtcr;

	q.vtcr = vtcr | 1 << 21; /* HA */
	q.geometry = &g;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "vtcr: give it or geometry");
	q.geometry = NULL;
	c = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &q))->context;
	assert_int_equal(c->vtcr, q.vtcr);
	assert_true(c->options->ha);
	assert_int_equal(c->geometry->ipa_bits, 40);
	q.name = (char *)(uintptr_t) "g2";
	q.vtcr = vtcr | 3 << 14; /* TG0 = 3: reserved */
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "vtcr:");
	q.vtcr = (vtcr & ~(UINT64_C(7) << 16)) | UINT64_C(5) << 16; /* PS: 48 bits */
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "vtcr: PS says 48 bits");
}

static void bad_contexts_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateContextRequest q = context_request(fx, "g/1");
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__Geometry g = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;

	REFUSED(fx, "CreateContext", &q, PT_INVALID, "name:");
	q = context_request(fx, "g0");
	REFUSED(fx, "CreateContext", &q, PT_ALREADY_EXISTS, "name:");
	q = context_request(fx, "g1");
	q.machine = 0;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "machine: 0");
	q = context_request(fx, "g1");
	q.kind = 0;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "kind: 0");
	q.kind = 9;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "kind: 9");
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "kind: EnterNested");
	q = context_request(fx, "g1");
	q.geometry = &g;
	g.granule_shift = 13;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry:");
	g.granule_shift = 12;
	g.ipa_bits = 45;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry:");
	g.ipa_bits = 40;
	g.pa_bits = 48;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry.pa_bits: 48");
	g.pa_bits = 42; /* could not reach the tables, in the upper half of 44 bits */
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry.pa_bits: 42");
	g.pa_bits = 0;
	g.start_level_plus_2 = 6;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry.start_level_plus_2: 6");
	g.start_level_plus_2 = UINT32_MAX / 2 + 1;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "geometry.start_level_plus_2: 2147483648");
	q.geometry = NULL;
	q.options = &o;
	o.hd = true;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "options.hd:");
	o.hd = false;
	o.bbm = 3;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "options.bbm: 3");
	o.bbm = 0;
	o.durable = true;
	REFUSED(fx, "CreateContext", &q, PT_UNSUPPORTED, "options.durable:");
	o.durable = false;
	o.software_bits = 16;
	REFUSED(fx, "CreateContext", &q, PT_INVALID, "options.software_bits:");
	get.name = (char *)(uintptr_t) "m0/g9";
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "name:");
	get.name = (char *)(uintptr_t) "m0/g0";
	assert_int_equal(
		((Ptd__V1__GetContextResponse *)OK(fx, "GetContext", &get))->context->handle,
		fx->context);
	get.handle = fx->context;
	REFUSED(fx, "GetContext", &get, PT_INVALID, "name:");
}

/* Numbers of 8 bits run out at the 256th context that runs; contexts may be any number. */
static void vmids_are_given_at_the_first_run_and_roll_over(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateMachineRequest m = machine_request("small");
	uint64_t handle[258];
	char name[16];

	m.vmid_bits = 8;
	fx->machine =
		((Ptd__V1__CreateMachineResponse *)OK(fx, "CreateMachine", &m))->machine->handle;
	for (unsigned i = 1; i < 258; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		handle[i] = new_context(fx, fx->machine, name);
		assert_int_equal(get_context(fx, handle[i])->vmid, 0);
	}
	for (unsigned i = 1; i < 256; i++) {
		run_once(fx, handle[i]);
		assert_int_equal(get_context(fx, handle[i])->vmid, i);
	}
	run_once(fx, handle[1]);
	assert_int_equal(get_context(fx, handle[1])->vmid, 1);
	run_once(fx, handle[256]);
	assert_int_equal(get_context(fx, handle[256])->vmid, 1);
	assert_int_equal(get_context(fx, handle[1])->vmid, 0);
	run_once(fx, handle[200]);
	assert_int_equal(get_context(fx, handle[200])->vmid, 2);
}

static void lists_go_page_by_page(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ListContextsRequest q = PTD__V1__LIST_CONTEXTS_REQUEST__INIT;
	Ptd__V1__ListMachinesRequest lm = PTD__V1__LIST_MACHINES_REQUEST__INIT;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	uint64_t other = new_machine(fx, "m1", MIB), second;
	Ptd__V1__ListContextsResponse *r;
	Ptd__V1__ListMachinesResponse *mr;
	char token[64], name[16];

	for (int i = 1; i < 5; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		new_context(fx, i == 3 ? other : fx->machine, name);
	}
	q.page_size = 2;
	r = OK(fx, "ListContexts", &q);
	assert_int_equal(r->n_contexts, 2);
	assert_string_equal(r->contexts[0]->name, "m0/g0");
	second = r->contexts[1]->handle;
	snprintf(token, sizeof(token), "%s", r->next_page_token);
	d.handle = second; /* the page goes on after what is gone */
	OK(fx, "DeleteContext", &d);
	q.page_token = token;
	r = OK(fx, "ListContexts", &q);
	assert_int_equal(r->n_contexts, 2);
	assert_string_equal(r->contexts[0]->name, "m0/g2");
	assert_string_equal(r->contexts[1]->name, "m1/g3");
	assert_string_not_equal(r->next_page_token, "");
	q.machine = fx->machine; /* a token of another filter */
	REFUSED(fx, "ListContexts", &q, PT_INVALID, "page_token:");
	q.page_token = (char *)(uintptr_t) "";
	q.page_size = 0;
	r = OK(fx, "ListContexts", &q);
	assert_int_equal(r->n_contexts, 3);
	assert_string_equal(r->next_page_token, "");
	q.machine = 0;
	token[3] ^= 1;
	q.page_token = token;
	REFUSED(fx, "ListContexts", &q, PT_INVALID, "page_token:");
	token[3] ^= 1;
	fx->principal = fx->other; /* of another principal */
	REFUSED(fx, "ListContexts", &q, PT_INVALID, "page_token:");
	q.page_token = (char *)(uintptr_t) "zz";
	REFUSED(fx, "ListContexts", &q, PT_INVALID, "page_token:");
	lm.page_size = 1;
	mr = OK(fx, "ListMachines", &lm);
	assert_int_equal(mr->n_machines, 1);
	assert_string_equal(mr->machines[0]->name, "m0");
	lm.page_token = mr->next_page_token;
	mr = OK(fx, "ListMachines", &lm);
	assert_string_equal(mr->machines[0]->name, "m1");
	assert_string_equal(mr->next_page_token, "");
	lm.page_token = token; /* of another method */
	REFUSED(fx, "ListMachines", &lm, PT_INVALID, "page_token:");
}

static void a_deleted_context_is_gone_and_its_handle_stays_unused(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * MIB, 0, 3);
	Ptd__V1__DeleteContextResponse *r;
	Ptd__V1__GetStatsRequest s = PTD__V1__GET_STATS_REQUEST__INIT;
	Ptd__V1__GetStatsResponse *stats;
	uint64_t used;

	stats = OK(fx, "GetStats", &s);
	used = stats->table_bytes_used;
	m.flags = 2;
	OK(fx, "Map", &m);
	d.handle = fx->context;
	r = OK(fx, "DeleteContext", &d);
	assert_int_equal(r->effects->leaves_removed, 1024);
	REFUSED(fx, "DeleteContext", &d, PT_NOT_FOUND, "handle:");
	REFUSED(fx, "Map", &m, PT_NOT_FOUND, "context:");
	assert_int_not_equal(new_context(fx, fx->machine, "g0"), fx->context);
	stats = OK(fx, "GetStats", &s);
	assert_true(stats->table_bytes_used <= used + 65536 * 4); /* but for the magazines */
	assert_int_equal(stats->contexts, 1);
	assert_int_equal(stats->machines, 1);
}

static void a_machine_with_contexts_goes_only_by_force(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteMachineRequest d = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	Ptd__V1__GetMachineRequest g = PTD__V1__GET_MACHINE_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, MIB, 0, 3);

	new_context(fx, fx->machine, "g1");
	OK(fx, "Map", &m);
	d.handle = fx->machine;
	REFUSED(fx, "DeleteMachine", &d, PT_NOT_EMPTY, "handle:");
	OK(fx, "Map", &m);
	d.force = true;
	assert_int_equal(
		((Ptd__V1__DeleteMachineResponse *)OK(fx, "DeleteMachine", &d))->contexts_deleted,
		2);
	g.handle = fx->machine;
	REFUSED(fx, "GetMachine", &g, PT_NOT_FOUND, "handle:");
	REFUSED(fx, "Map", &m, PT_NOT_FOUND, "context:");
	fx->machine = new_machine(fx, "m0", MIB);
	d.handle = fx->machine;
	d.force = false;
	OK(fx, "DeleteMachine", &d);
}

/* A range operation in its drain: the deletion waits for it, both end well. */
static void a_deletion_waits_for_a_transaction(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * PAGE, 0, 3);
	struct fake *map, *del, *again;

	assert_non_null(get_context(fx, fx->context));
	call_on(fx, 1, "Map", &m);
	domain_section_begin(fx->loop[1]);
	map = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(map, map->method->run), CALL_MORE);
	d.handle = fx->context;
	del = fake_call(fx, 0, "DeleteContext", &d);
	assert_int_equal(fake_step(del, del->method->run), CALL_PARKED);
	again = fake_call(fx, 0, "DeleteContext", &d);
	assert_int_equal(fake_run(again), CALL_DONE);
	assert_int_equal(again->call.status.code, PT_WRONG_STATE);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(map), CALL_DONE);
	assert_int_equal(map->call.status.code, PT_OK);
	assert_int_equal(del->wakes, 1);
	assert_int_equal(fake_run(del), CALL_DONE);
	assert_int_equal(del->call.status.code, PT_OK);
	keep(fx, map);
	keep(fx, del);
	keep(fx, again);
}

static const Ptd__V1__WatchContextsResponse *told(const struct fake *f, unsigned i)
{
	assert_true(i < f->sent);
	assert_int_equal(f->message[i]->seq, i + 1);
	return f->message[i];
}

static void assert_told(const struct fake *f, unsigned i, int kind, const char *name)
{
	const Ptd__V1__WatchContextsResponse *r = told(f, i);

	assert_int_equal((int)r->kind, kind);
	if (name)
		assert_string_equal(r->context->name, name);
	else
		assert_null(r->context);
}

enum { EXISTING = 1, CREATED, CHANGED, DELETED, SYNCED, OVERFLOWN };

static void a_watcher_hears_what_happens(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__WatchContextsRequest w = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	Ptd__V1__DeleteContextRequest d = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	uint64_t other = new_machine(fx, "m1", MIB), handle;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, PAGE, 0, 3);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	struct fake *f;

	new_context(fx, other, "unseen");
	w.machine = fx->machine;
	f = fake_call(fx, 0, "WatchContexts", &w);
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 0, EXISTING, "m0/g0");
	assert_told(f, 1, SYNCED, NULL);
	assert_int_equal(f->sent, 2);
	handle = new_context(fx, fx->machine, "g1");
	new_context(fx, other, "g1");
	OK(fx, "Map", &m);
	OK(fx, "Unmap", &u); /* coalesces with the map */
	assert_int_equal(f->wakes, 1);
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 2, CREATED, "m0/g1");
	assert_told(f, 3, CHANGED, "m0/g0");
	assert_int_equal(told(f, 3)->context->generation, 3);
	assert_int_equal(f->sent, 4);
	d.handle = handle;
	OK(fx, "DeleteContext", &d);
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 4, DELETED, "m0/g1");
	assert_int_equal(told(f, 4)->context->handle, handle);
	fake_abandon(f);
	OK(fx, "Map", &m); /* nobody listens */
	fake_end(f);
	w.machine = EPOCH << 48 | 99;
	REFUSED(fx, "WatchContexts", &w, PT_NOT_FOUND, "machine:");
}

static struct fixture *meanwhile_in;

/* On the other loop, when the message of the context is made and not yet told. */
static void another_quota(struct fake *f)
{
	Ptd__V1__SetQuotaRequest q = PTD__V1__SET_QUOTA_REQUEST__INIT;

	q.context = meanwhile_in->context;
	q.quota_pages = 100 + f->sent;
	f->meanwhile = NULL;
	call_on(meanwhile_in, 1, "SetQuota", &q);
}

static void a_change_while_a_watcher_is_told_is_told_next(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__WatchContextsRequest w = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	Ptd__V1__SetQuotaRequest q = PTD__V1__SET_QUOTA_REQUEST__INIT;
	struct fake *f = fake_call(fx, 0, "WatchContexts", &w);

	meanwhile_in = fx;
	f->meanwhile = another_quota;
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 0, EXISTING, "m0/g0");
	assert_int_equal(told(f, 0)->context->quota_pages, 0);
	assert_told(f, 1, SYNCED, NULL);
	assert_told(f, 2, CHANGED, "m0/g0");
	assert_int_equal(told(f, 2)->context->quota_pages, 101);
	q.context = fx->context;
	q.quota_pages = 7;
	OK(fx, "SetQuota", &q);
	f->meanwhile = another_quota;
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 3, CHANGED, "m0/g0");
	assert_int_equal(told(f, 3)->context->quota_pages, 7);
	assert_told(f, 4, CHANGED, "m0/g0");
	assert_int_equal(told(f, 4)->context->quota_pages, 104);
	assert_int_equal(f->sent, 5);
	fake_abandon(f);
	fake_end(f);
}

static void a_slow_watcher_is_told_of_its_loss_once(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__WatchContextsRequest w = PTD__V1__WATCH_CONTEXTS_REQUEST__INIT;
	struct fake *f = fake_call(fx, 0, "WatchContexts", &w);
	char name[16];

	f->room = 1; /* stops between EXISTING and SYNCED */
	assert_int_equal(fake_run(f), CALL_STREAM);
	for (unsigned i = 0; i < LIMIT_WATCH_EVENTS + 10; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		new_context(fx, fx->machine, name);
	}
	f->room = 60;
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 0, EXISTING, "m0/g0");
	assert_told(f, 1, SYNCED, NULL);
	assert_told(f, 2, OVERFLOWN, NULL);
	assert_int_equal(f->sent, 3);
	new_context(fx, fx->machine, "late");
	assert_int_equal(f->wakes, 1);
	assert_int_equal(fake_run(f), CALL_STREAM);
	assert_told(f, 3, CREATED, "m0/late");
	domain_drain(fx->domain);
	assert_int_equal(f->wakes, 2);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_DRAINING);
	fake_end(f);
}

static void memory_is_read_and_written_as_the_agent_sees_it(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ReadMemoryRequest r = PTD__V1__READ_MEMORY_REQUEST__INIT;
	Ptd__V1__WriteMemoryRequest w = PTD__V1__WRITE_MEMORY_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0x10000, PAGE, 0x50000, 3);
	Ptd__V1__ReadMemoryResponse *rr;
	struct call_status *s;
	uint8_t data[8192];

	memset(data, 0x5a, sizeof(data));
	OK(fx, "Map", &m);
	m = map_request(fx->context, 0x11000, PAGE, 0x20000, 1);
	OK(fx, "Map", &m); /* read only, elsewhere */
	w.machine = r.machine = fx->machine;
	w.context = r.context = fx->context;
	w.address = 0x10800;
	w.data = (ProtobufCBinaryData){0x800, data};
	assert_int_equal(((Ptd__V1__WriteMemoryResponse *)OK(fx, "WriteMemory", &w))->length,
			 0x800);
	w.data.len = 0x801; /* one byte into the read-only page: nothing is written */
	memset(data, 0x77, sizeof(data));
	s = REFUSED(fx, "WriteMemory", &w, PT_DENIED, "address:");
	assert_int_equal(s->grpc, PT_GRPC_PERMISSION_DENIED);
	assert_int_equal(s->ipa, 0x11000);
	r.address = 0x107ff;
	r.length = 0x802;
	rr = OK(fx, "ReadMemory", &r);
	assert_int_equal(rr->data.len, 0x802);
	assert_int_equal(rr->data.data[0], 0);
	assert_int_equal(rr->data.data[1], 0x5a);
	assert_int_equal(rr->data.data[0x800], 0x5a);
	assert_int_equal(rr->data.data[0x801], 0);
	r.context = 0; /* raw */
	r.address = 0x50fff;
	r.length = 1;
	rr = OK(fx, "ReadMemory", &r);
	assert_int_equal(rr->data.data[0], 0x5a);
	r.address = 256 * MIB - 1;
	r.length = 2;
	REFUSED(fx, "ReadMemory", &r, PT_OUT_OF_RANGE, "address:");
	r.length = LIMIT_ACCESS_BYTES + 1;
	REFUSED(fx, "ReadMemory", &r, PT_TOO_LARGE, "length:");
	r.length = 0;
	REFUSED(fx, "ReadMemory", &r, PT_INVALID, "length:");
	r.context = fx->context;
	r.length = 1;
	r.address = 0x12000;
	s = REFUSED(fx, "ReadMemory", &r, PT_NOT_MAPPED, "address:");
	assert_int_equal(s->level, 3);
	r.address = UINT64_C(1) << 40;
	REFUSED(fx, "ReadMemory", &r, PT_OUT_OF_RANGE, "address:");
	r.address = UINT64_MAX;
	r.length = 2;
	REFUSED(fx, "ReadMemory", &r, PT_INVALID, "address:");
	r.machine = new_machine(fx, "m1", MIB);
	REFUSED(fx, "ReadMemory", &r, PT_INVALID, "context: it is of another machine");
	fx->principal = fx->other;
	r.context = 0;
	s = REFUSED(fx, "ReadMemory", &r, PT_DENIED, "context: raw access");
	assert_int_equal(s->grpc, PT_GRPC_PERMISSION_DENIED);
}

static void info_states_every_limit(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__GetInfoRequest q = PTD__V1__GET_INFO_REQUEST__INIT;
	Ptd__V1__GetInfoResponse *r = OK(fx, "GetInfo", &q);
	const ProtobufCMessageDescriptor *d = &ptd__v1__limits__descriptor;

	assert_string_equal(r->version, "0.0-test");
	assert_int_equal(r->epoch, EPOCH);
	assert_int_equal(r->loops, 2);
	assert_true(r->failpoints_allowed);
	assert_false(r->checked);
	assert_int_equal(r->n_services, 2);
	assert_string_equal(r->services[1], "ptd.v1.MappingService");
	assert_int_equal(r->n_granule_shifts, 3);
	assert_true(r->n_features > 0);
	assert_int_equal(r->limits->table_bytes, 64 * MIB);
	assert_int_equal(r->limits->max_connections, 77);
	assert_int_equal(r->limits->max_vcpus, LIMIT_VCPUS);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const uint8_t *at = (const uint8_t *)r->limits + d->fields[i].offset;

		assert_true(d->fields[i].type == PROTOBUF_C_TYPE_UINT64
				    ? *(const uint64_t *)(const void *)at
				    : *(const uint32_t *)(const void *)at);
	}
}

static void stats_count_leaves_and_a_drain_is_seen(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__GetStatsRequest q = PTD__V1__GET_STATS_REQUEST__INIT;
	Ptd__V1__DrainRequest drain = PTD__V1__DRAIN_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * PAGE, 0, 3);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__GetStatsResponse *r;

	OK(fx, "Map", &m);
	call_on(fx, 1, "Unmap", &u);
	domain_loop_counters(fx->loop[1])->bytes_in = 9;
	r = OK(fx, "GetStats", &q);
	assert_int_equal(r->n_loops, 2);
	assert_int_equal(r->loops[0]->leaves_written, 4);
	assert_int_equal(r->loops[1]->leaves_removed, 1);
	assert_int_equal(r->loops[1]->bytes_in, 9);
	assert_in_range(r->table_bytes_total, 63 * MIB, 64 * MIB);
	assert_true(r->table_bytes_used > 0);
	assert_false(domain_draining(fx->domain));
	OK(fx, "Drain", &drain);
	assert_true(domain_draining(fx->domain));
	fx->principal = fx->other;
	assert_int_equal(REFUSED(fx, "Drain", &drain, PT_DENIED, "Drain")->grpc,
			 PT_GRPC_PERMISSION_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_machine_is_as_it_was_asked_for),
		TEST(bad_machines_are_refused_by_name),
		TEST(a_context_is_as_it_was_asked_for),
		TEST(a_vtcr_says_the_same_as_a_geometry),
		TEST(bad_contexts_are_refused_by_name),
		TEST(vmids_are_given_at_the_first_run_and_roll_over),
		TEST(lists_go_page_by_page),
		TEST(a_deleted_context_is_gone_and_its_handle_stays_unused),
		TEST(a_machine_with_contexts_goes_only_by_force),
		TEST(a_deletion_waits_for_a_transaction),
		TEST(a_watcher_hears_what_happens),
		TEST(a_change_while_a_watcher_is_told_is_told_next),
		TEST(a_slow_watcher_is_told_of_its_loss_once),
		TEST(memory_is_read_and_written_as_the_agent_sees_it),
		TEST(info_states_every_limit),
		TEST(stats_count_leaves_and_a_drain_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
