/* SPDX-License-Identifier: BSD-2-Clause */
/* FaultService, memslots, dumps and digests: what is seen through the tables. */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)
#define RW   3u

#define READ  PTD__V1__ACCESS_KIND__ACCESS_KIND_READ
#define WRITE PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE
#define EXEC  PTD__V1__ACCESS_KIND__ACCESS_KIND_EXEC
#define AT    PTD__V1__ACCESS_KIND__ACCESS_KIND_AT

static Ptd__V1__AccessRequest access_request(uint64_t context, uint64_t ipa, int kind,
					     uint32_t length)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.access = (Ptd__V1__AccessKind)kind;
	q.length = length;
	return q;
}

static void an_access_faults_once_and_moves_bytes(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = access_request(fx->context, 0x200010, WRITE, 0);
	Ptd__V1__AccessResponse *r;

	set_slot(fx, fx->context, 1, 2 * MIB, 4 * MIB, 8 * MIB, 0, 2 * MIB);
	q.data = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "abcd"};
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_OK);
	assert_int_equal(r->n_exits, 1);
	assert_int_equal(r->exits[0]->fault, PTD__V1__FAULT_KIND__FAULT_KIND_TRANSLATION);
	assert_int_equal(r->exits[0]->outcome, PT_MAPPED);
	assert_int_equal(r->exits[0]->far, 0x200010);
	assert_true(r->exits[0]->hpfar_known);
	assert_int_equal(r->exits[0]->hpfar, 0x200000 >> 8);
	assert_int_equal(r->pa, 8 * MIB + 0x10);
	assert_int_equal(r->level, 2); /* the backing page is a block */
	assert_false(r->tlb_hit && r->n_exits == 0);
	q = access_request(fx->context, 0x200010, READ, 4);
	q.vcpu = 1;
	r = OK(fx, "Access", &q);
	assert_int_equal(r->n_exits, 0);
	assert_memory_equal(r->data.data, "abcd", 4);
	r = OK(fx, "Access", &q);
	assert_true(r->tlb_hit);
	assert_int_equal(get_context(fx, fx->context)->generation, 2); /* the slot's alone */
	q = access_request(fx->context, 0, READ, 1);
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_NO_SLOT);
	assert_int_equal(r->data.len, 0);
}

static void bad_accesses_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = access_request(fx->context, 0, 0, 4);

	REFUSED(fx, "Access", &q, PT_INVALID, "access: 0");
	q.access = 5;
	REFUSED(fx, "Access", &q, PT_INVALID, "access: 5");
	q = access_request(fx->context, 0, READ, 0);
	REFUSED(fx, "Access", &q, PT_INVALID, "length:");
	q.length = 4097;
	REFUSED(fx, "Access", &q, PT_INVALID, "length: the access crosses");
	q.ipa = 4095;
	q.length = 2;
	REFUSED(fx, "Access", &q, PT_INVALID, "length: the access crosses");
	q.length = 1;
	q.vcpu = 2;
	REFUSED(fx, "Access", &q, PT_INVALID, "vcpu: 2");
	q.vcpu = 0;
	q.data = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "abcd"};
	REFUSED(fx, "Access", &q, PT_INVALID, "data:");
	q.access = WRITE;
	q.length = 3;
	REFUSED(fx, "Access", &q, PT_INVALID, "length: 3");
	q = access_request(fx->context, 0, AT, 1);
	REFUSED(fx, "Access", &q, PT_INVALID, "length:");
	q = access_request(fx->context, UINT64_C(1) << 40, READ, 1);
	REFUSED(fx, "Access", &q, PT_OUT_OF_RANGE, "ipa:");
	q.context = 0;
	REFUSED(fx, "Access", &q, PT_INVALID, "context: 0");
}

static void slots_say_what_an_access_may(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = access_request(fx->context, 0, WRITE, 0);
	Ptd__V1__AccessResponse *r;

	set_slot(fx, fx->context, 1, 0, MIB, 0, 1, 0);	       /* read only */
	set_slot(fx, fx->context, 2, MIB, MIB, 2 * MIB, 4, 0); /* no fetch */
	q.data = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "x"};
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_READ_ONLY);
	q = access_request(fx->context, MIB, EXEC, 4);
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_DENIED);
	q = access_request(fx->context, 0, EXEC, 4);
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_OK);
	q = access_request(fx->context, 0, AT, 0);
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_OK);
}

static void a_stage1_walk_is_marked_in_the_exit(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = access_request(fx->context, 0x3008, READ, 8);
	Ptd__V1__AccessResponse *r;

	set_slot(fx, fx->context, 1, 0, MIB, 0, 0, 0);
	q.s1ptw = true;
	r = OK(fx, "Access", &q);
	assert_int_equal(r->n_exits, 1);
	assert_int_equal(r->exits[0]->esr >> 7 & 1, 1);
	q.ipa = 0x4008;
	q.s1ptw = false;
	r = OK(fx, "Access", &q);
	assert_int_equal(r->exits[0]->esr >> 7 & 1, 0);
}

static void el0_matters_for_fetches_under_xnx(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__CreateContextRequest c = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__TranslateRequest t = PTD__V1__TRANSLATE_REQUEST__INIT;
	Ptd__V1__AccessRequest q;
	Ptd__V1__MapRequest m;
	uint64_t xnx;

	c.machine = fx->machine;
	c.name = (char *)(uintptr_t) "xnx";
	c.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	c.options = &o;
	o.xnx = true;
	xnx = ((Ptd__V1__CreateContextResponse *)OK(fx, "CreateContext", &c))->context->handle;
	m = map_request(xnx, 0, PAGE, 0, 1 | 4); /* execute at EL1 only */
	OK(fx, "Map", &m);
	t.context = xnx;
	t.access = EXEC;
	assert_int_equal(((Ptd__V1__TranslateResponse *)OK(fx, "Translate", &t))->outcome, PT_OK);
	t.el0 = true;
	assert_int_equal(((Ptd__V1__TranslateResponse *)OK(fx, "Translate", &t))->outcome,
			 PT_DENIED);
	q = access_request(xnx, 0, EXEC, 4);
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &q))->outcome, PT_OK);
	q.el0 = true;
	assert_int_not_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &q))->outcome, PT_OK);
}

static void raw_registers_are_decoded_as_hardware_sets_them(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__HandleFaultRequest q = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__HandleFaultResponse *r;

	set_slot(fx, fx->context, 1, 0, 16 * MIB, 0, 0, 0);
	q.context = fx->context;
	q.esr = UINT64_C(0x24) << 26 | 1 << 25 |
		0x07; /* data abort, translation, level 3, a read */
	q.far = 0xffff000000005123;
	q.hpfar = 0x7000 >> 8;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_MAPPED);
	assert_int_equal(r->ipa, 0x7123); /* HPFAR's page, FAR's offset */
	assert_int_equal(r->pa, 0x7123);
	assert_int_equal(r->level, 3);
	assert_true(r->tables_added > 0);
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_ALREADY_MAPPED);
	q.esr = UINT64_C(0x20) << 26 | 1 << 25 | 0x0f; /* fetch, permission: HPFAR is UNKNOWN */
	q.far = 0x7010;
	q.hpfar = 0x12345670;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_RELAXED);
	assert_int_equal(r->ipa, 0x7010);
	assert_true(r->prot & 4);
	q.esr = UINT64_C(0x24) << 26 | 1 << 25 | 1 << 7 | 0x07; /* on a stage-1 walk */
	q.far = 0x123;
	q.hpfar = 0x9000 >> 8;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->ipa, 0x9000);
	q.esr = UINT64_C(0x25) << 26;
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "esr:");
	q.esr = UINT64_C(0x24) << 26 | 0x10; /* external abort */
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "esr:");
	q.esr = UINT64_C(0x24) << 26 | 0x07;
	q.ipa = 0x1000;
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "ipa:");
	q.esr = 0;
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "esr: 0");
}

static void an_address_and_an_access_are_enough(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__HandleFaultRequest q = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__ProtectRequest p = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__HandleFaultResponse *r;

	set_slot(fx, fx->context, 1, 0, 16 * MIB, 0, 0, 0);
	q.context = fx->context;
	q.ipa = 0x5678;
	q.access = READ;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_MAPPED);
	assert_int_equal(r->ipa, 0x5678);
	p.context = fx->context;
	p.ipa = 0x5000;
	p.size = PAGE;
	p.prot = 1;
	OK(fx, "Protect", &p);
	q.access = WRITE;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_RELAXED);
	q.ipa = 32 * MIB;
	r = OK(fx, "HandleFault", &q);
	assert_int_equal(r->outcome, PT_NO_SLOT);
	q.access = AT;
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "access: 4");
	q.access = READ;
	q.ipa = UINT64_C(1) << 41;
	REFUSED(fx, "HandleFault", &q, PT_OUT_OF_RANGE, "ipa:");
	q.vcpu = 9;
	REFUSED(fx, "HandleFault", &q, PT_INVALID, "vcpu: 9");
}

static void translate_leaves_the_par_of_an_at_instruction(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 4 * MIB, 2 * MIB, 6 * MIB, 1);
	Ptd__V1__TranslateRequest q = PTD__V1__TRANSLATE_REQUEST__INIT;
	Ptd__V1__TranslateResponse *t;

	OK(fx, "Map", &m);
	t = translate(fx, fx->context, 4 * MIB + 0x12345, READ);
	assert_int_equal(t->par & 1, 0);
	assert_int_equal(t->par & UINT64_C(0x000ffffffffff000), 6 * MIB + 0x12000);
	assert_int_equal(t->par >> 56, 0xff);
	assert_int_equal(t->par >> 7 & 3, 3);
	assert_int_equal(t->span, 2 * MIB);
	assert_int_equal(t->level, 2);
	assert_int_equal(t->descriptor & 1, 1);
	t = translate(fx, fx->context, 4 * MIB, WRITE);
	assert_int_equal(t->outcome, PT_DENIED);
	assert_int_equal(t->fault, PTD__V1__FAULT_KIND__FAULT_KIND_PERMISSION);
	assert_int_equal(t->par & 0xfff, 1 | 0x0e << 1 | 1 << 9 | 1 << 11);
	t = translate(fx, fx->context, 0, READ);
	assert_int_equal(t->outcome, PT_NOT_MAPPED);
	assert_int_equal(t->level, 2);
	assert_int_equal(t->span, 2 * MIB);
	assert_int_equal(t->par & 0x7f, 1 | 0x06 << 1);
	q.context = fx->context;
	REFUSED(fx, "Translate", &q, PT_INVALID, "access: 0");
	q.access = READ;
	q.vcpu = 2;
	REFUSED(fx, "Translate", &q, PT_INVALID, "vcpu: 2");
	q.vcpu = 0;
	q.ipa = UINT64_C(1) << 40;
	REFUSED(fx, "Translate", &q, PT_OUT_OF_RANGE, "ipa:");
}

static void explain_tells_every_step(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest m = map_request(fx->context, 0x3000, PAGE, 0x8000, 1);
	Ptd__V1__ExplainRequest q = PTD__V1__EXPLAIN_REQUEST__INIT;
	Ptd__V1__ExplainResponse *r;

	OK(fx, "Map", &m);
	set_slot(fx, fx->context, 42, 0, MIB, 0, 0, 0);
	q.context = fx->context;
	q.ipa = 0x3004;
	q.access = WRITE;
	r = OK(fx, "Explain", &q);
	assert_int_equal(r->n_steps, 3); /* levels 1 to 3 */
	assert_int_equal(r->steps[0]->level, 1);
	assert_string_equal(r->steps[0]->found, "table");
	assert_int_equal(r->steps[2]->index, 3);
	assert_string_equal(r->steps[2]->found, "page");
	assert_non_null(strstr(r->steps[2]->rule, "permission fault"));
	assert_int_equal(r->result->outcome, PT_DENIED);
	assert_int_equal(r->exit->fault, PTD__V1__FAULT_KIND__FAULT_KIND_PERMISSION);
	assert_false(r->exit->hpfar_known);
	assert_true(r->slot_found);
	assert_int_equal(r->slot_id, 42);
	assert_int_equal(r->vtcr, get_context(fx, fx->context)->vtcr);
	q.access = READ;
	r = OK(fx, "Explain", &q);
	assert_null(r->exit);
	q.ipa = MIB;
	r = OK(fx, "Explain", &q);
	assert_false(r->slot_found);
	assert_string_equal(r->steps[r->n_steps - 1]->found, "invalid");
}

static Ptd__V1__Slot slot(uint32_t id, uint64_t ipa, uint64_t size, uint64_t pa)
{
	Ptd__V1__Slot s = PTD__V1__SLOT__INIT;

	s.id = id;
	s.ipa = ipa;
	s.size = size;
	s.pa = pa;
	return s;
}

static void a_changed_slot_unmaps_its_range(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__DeleteSlotRequest d = PTD__V1__DELETE_SLOT_REQUEST__INIT;
	Ptd__V1__AccessRequest a = access_request(fx->context, 0x1000, READ, 1);
	Ptd__V1__Slot s = slot(1, 0, MIB, 0);
	Ptd__V1__SetSlotResponse *r;
	Ptd__V1__DeleteSlotResponse *dr;
	Ptd__V1__Context *c;

	q.context = d.context = fx->context;
	q.slot = &s;
	r = OK(fx, "SetSlot", &q);
	assert_int_equal(r->generation, 2);
	r = OK(fx, "SetSlot", &q); /* the same again */
	assert_int_equal(r->generation, 2);
	OK(fx, "Access", &a);
	s.flags = 1;
	r = OK(fx, "SetSlot", &q);
	assert_int_equal(r->generation, 3);
	assert_int_equal(r->effects->leaves_removed, 1);
	assert_int_equal(translate(fx, fx->context, 0x1000, READ)->outcome, PT_NOT_MAPPED);
	OK(fx, "Access", &a);
	s.backing = 65536;
	q.expected_generation = 2;
	REFUSED(fx, "SetSlot", &q, PT_GENERATION_MISMATCH, "expected_generation: 2");
	q.expected_generation = 3;
	OK(fx, "SetSlot", &q);
	c = get_context(fx, fx->context);
	assert_int_equal(c->n_slots, 1);
	assert_int_equal(c->slots[0]->id, 1);
	assert_int_equal(c->slots[0]->size, MIB);
	assert_int_equal(c->slots[0]->flags, 1);
	assert_int_equal(c->slots[0]->backing, 65536);
	OK(fx, "Access", &a);
	d.id = 1;
	d.expected_generation = 1;
	REFUSED(fx, "DeleteSlot", &d, PT_GENERATION_MISMATCH, "");
	d.expected_generation = 4;
	dr = OK(fx, "DeleteSlot", &d);
	assert_int_equal(dr->generation, 5);
	assert_int_equal(dr->effects->leaves_removed, 1);
	d.expected_generation = 0;
	REFUSED(fx, "DeleteSlot", &d, PT_NOT_FOUND, "id:");
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &a))->outcome, PT_NO_SLOT);
}

static void bad_slots_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SetSlotRequest q = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__Slot s = slot(1, 0x800, MIB, 0);

	q.context = fx->context;
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot: missing");
	q.slot = &s;
	assert_int_equal(REFUSED(fx, "SetSlot", &q, PT_MISALIGNED, "slot.ipa:")->nearest_above,
			 PAGE);
	s = slot(1, 0, MIB + 1, 0);
	REFUSED(fx, "SetSlot", &q, PT_MISALIGNED, "slot.size:");
	s = slot(1, 0, MIB, 1);
	REFUSED(fx, "SetSlot", &q, PT_MISALIGNED, "slot.pa:");
	s = slot(1, 0, 0, 0);
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.size:");
	s = slot(1, UINT64_MAX - PAGE + 1, 2 * PAGE, 0);
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.size: ipa + size wraps");
	s = slot(1, UINT64_C(1) << 40, PAGE, 0);
	REFUSED(fx, "SetSlot", &q, PT_OUT_OF_RANGE, "slot.ipa:");
	s = slot(1, 0, PAGE, 256 * MIB);
	REFUSED(fx, "SetSlot", &q, PT_OUT_OF_RANGE, "slot.pa:");
	s = slot(1, 0, PAGE, 0);
	s.flags = 8;
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.flags: 0x8");
	s.flags = 0;
	s.backing = 3 * PAGE;
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.backing:");
	s.backing = 2048;
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.backing:");
	s.backing = UINT64_C(1) << 40;
	REFUSED(fx, "SetSlot", &q, PT_INVALID, "slot.backing:");
	s.backing = UINT64_C(1) << 39;
	OK(fx, "SetSlot", &q);
	s = slot(2, 0, 2 * PAGE, MIB);
	assert_int_equal(
		REFUSED(fx, "SetSlot", &q, PT_SLOT_OVERLAP, "slot.ipa: it meets slot 1")->ipa, 0);
	assert_int_equal(get_context(fx, fx->context)->n_slots, 1);
	for (uint32_t i = 1; i < LIMIT_SLOTS; i++)
		set_slot(fx, fx->context, i + 1, (LIMIT_SLOTS - i) * PAGE, PAGE, 0, 0, 0);
	s = slot(9999, LIMIT_SLOTS * PAGE, PAGE, 0);
	REFUSED(fx, "SetSlot", &q, PT_TOO_LARGE, "slot:");
	assert_int_equal(get_context(fx, fx->context)->slots[5]->ipa, 5 * PAGE); /* sorted */
}

/* Two changes of one context's slots at once: the second builds on the first. */
static void slot_changes_take_turns(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SetSlotRequest q[3] = {PTD__V1__SET_SLOT_REQUEST__INIT,
					PTD__V1__SET_SLOT_REQUEST__INIT,
					PTD__V1__SET_SLOT_REQUEST__INIT};
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__Slot s[3] = {slot(1, 0, 2 * MIB, 0), slot(2, 8 * MIB, MIB, 0),
			      slot(3, 16 * MIB, MIB, 0)};
	struct fake *f[3];

	set_slot(fx, fx->context, 1, 0, MIB, 0, 0, 0);
	g.handle = fx->context;
	call_on(fx, 1, "GetContext", &g);
	domain_section_begin(fx->loop[1]);
	for (int i = 0; i < 3; i++) {
		q[i].context = fx->context;
		q[i].slot = &s[i];
		f[i] = fake_call(fx, 0, "SetSlot", &q[i]);
		assert_int_equal(fake_step(f[i], f[i]->method->run), i ? CALL_PARKED : CALL_MORE);
	}
	fake_abandon(f[1]);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f[0]), CALL_DONE);
	assert_int_equal(f[2]->wakes, 1);
	assert_int_equal(fake_run(f[2]), CALL_DONE);
	assert_int_equal(f[2]->call.status.code, PT_OK);
	for (int i = 0; i < 3; i++)
		keep(fx, f[i]);
	assert_int_equal(get_context(fx, fx->context)->n_slots, 2);
	assert_int_equal(get_context(fx, fx->context)->slots[0]->size, 2 * MIB);
}

static Ptd__V1__DumpContextResponse *dump(struct fixture *fx, Ptd__V1__DumpContextRequest *q)
{
	q->context = fx->context;
	return OK(fx, "DumpContext", q);
}

static void a_dump_joins_runs_and_shows_tables_and_holes_if_asked(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DumpContextRequest q = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 2 * MIB - 4 * PAGE, 8 * PAGE, 0, RW);
	Ptd__V1__DumpContextResponse *r;

	OK(fx, "Map", &m);
	m = map_request(fx->context, 3 * MIB, PAGE, 0, 1);
	OK(fx, "Map", &m);
	r = dump(fx, &q);
	assert_true(r->done);
	assert_int_equal(r->n_ipa, 2);
	assert_int_equal(r->ipa[0], 2 * MIB - 4 * PAGE);
	assert_int_equal(r->count[0], 8); /* over the border of two tables */
	assert_int_equal(r->level[0], 3);
	assert_int_equal(r->descriptor[0] & 3, 3);
	assert_int_equal(r->ipa[1], 3 * MIB);
	assert_int_equal(r->count[1], 1);
	assert_int_not_equal(r->table[0], r->table[1]);
	assert_int_equal(r->root, get_context(fx, fx->context)->vttbr & ((UINT64_C(1) << 48) - 2));
	q.tables = true;
	r = dump(fx, &q);
	assert_int_equal(r->n_ipa, 6); /* one at level 1, two at level 2, runs apart */
	assert_int_equal(r->level[0], 1);
	assert_int_equal(r->table[0], r->root);
	q.tables = false;
	q.holes = true;
	q.ipa = 2 * MIB;
	q.size = 2 * MIB;
	r = dump(fx, &q);
	assert_int_equal(r->n_ipa, 4);
	assert_int_equal(r->descriptor[1], 0);
	assert_int_equal(r->count[1], 256 - 4);
	q.ipa = 2 * MIB + 1;
	REFUSED(fx, "DumpContext", &q, PT_MISALIGNED, "ipa:");
	q.ipa = 0;
	q.size = 7;
	REFUSED(fx, "DumpContext", &q, PT_MISALIGNED, "size:");
	q.size = UINT64_C(1) << 41;
	REFUSED(fx, "DumpContext", &q, PT_OUT_OF_RANGE, "ipa:");
	q.ipa = UINT64_MAX - PAGE + 1;
	q.size = 2 * PAGE;
	REFUSED(fx, "DumpContext", &q, PT_INVALID, "size:");
}

/* Pages of a dump, put together, are the whole: tables included, none twice. */
static void pages_of_a_dump_make_the_whole(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DumpContextRequest q = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	Ptd__V1__DumpContextResponse *r, whole;
	uint64_t ipa[600];
	int32_t level[600];
	size_t n = 0;

	for (uint64_t i = 0; i < 40; i++) { /* every other page: no run is longer than one */
		Ptd__V1__MapRequest m = map_request(fx->context, i * 8 * MIB, PAGE, i * PAGE, RW);

		OK(fx, "Map", &m);
		m.ipa += 2 * PAGE;
		OK(fx, "Map", &m);
	}
	q.tables = true;
	whole = *dump(fx, &q);
	assert_true(whole.done && whole.n_ipa <= 600);
	memcpy(ipa, whole.ipa, whole.n_ipa * sizeof(*ipa));
	memcpy(level, whole.level, whole.n_ipa * sizeof(*level));
	q.max_entries = 11;
	do {
		r = dump(fx, &q);
		assert_in_range(r->n_ipa, 1, 11);
		for (size_t i = 0; i < r->n_ipa; i++, n++) {
			assert_int_equal(r->ipa[i], ipa[n]);
			assert_int_equal(r->level[i], level[n]);
		}
		q.ipa = r->next_ipa;
	} while (!r->done);
	assert_int_equal(n, whole.n_ipa);
	assert_int_equal(r->next_ipa, 0);
}

static void a_stable_reader_and_a_range_operation_wait_for_each_other(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DumpContextRequest dq = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	Ptd__V1__GetDigestRequest q = PTD__V1__GET_DIGEST_REQUEST__INIT;
	Ptd__V1__MapRequest m = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *digest, *map, *gone, *plain;

	g.handle = q.context = dq.context = fx->context;
	q.stable = dq.stable = true;
	call_on(fx, 1, "GetContext", &g);
	domain_section_begin(fx->loop[1]);
	digest = fake_call(fx, 0, "GetDigest", &q);
	assert_int_equal(fake_step(digest, digest->method->run), CALL_MORE); /* drains */
	map = fake_call(fx, 0, "Map", &m);
	assert_int_equal(fake_step(map, map->method->run), CALL_PARKED);
	gone = fake_call(fx, 0, "DumpContext", &dq);
	assert_int_equal(fake_step(gone, gone->method->run), CALL_PARKED);
	fake_abandon(gone);
	q.stable = false;
	plain = fake_call(fx, 0, "GetDigest", &q); /* does not wait */
	assert_int_equal(fake_run(plain), CALL_DONE);
	q.stable = true;
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(digest), CALL_DONE);
	assert_int_equal(map->wakes, 1);
	assert_int_equal(fake_run(map), CALL_DONE);
	assert_int_equal(map->call.status.code, PT_OK);
	keep(fx, digest);
	keep(fx, map);
	keep(fx, gone);
	keep(fx, plain);
	assert_int_equal(get_digest(fx, fx->context).leaves[4], 4);
	assert_true(((Ptd__V1__DumpContextResponse *)OK(fx, "DumpContext", &dq))->done);
}

static void equal_trees_have_equal_digests(void **state)
{
	struct fixture *fx = *state;
	uint64_t other = new_context(fx, fx->machine, "g1");
	Ptd__V1__GetDigestResponse a, b;
	Ptd__V1__MapRequest m;

	for (unsigned i = 0; i < 2; i++) {
		m = map_request(i ? other : fx->context, i ? 0 : 4 * MIB, PAGE, 0, RW);
		OK(fx, "Map", &m);
		m.ipa = i ? 4 * MIB : 0;
		OK(fx, "Map", &m);
	}
	a = get_digest(fx, fx->context);
	b = get_digest(fx, other);
	assert_int_equal(a.digest_low, b.digest_low);
	assert_int_equal(a.digest_high, b.digest_high);
	assert_int_equal(a.n_leaves, 5);
	assert_int_equal(a.leaves[4], 2);
	assert_int_equal(a.tables, b.tables);
	assert_int_equal(a.generation, 3);
	m.prot = 1;
	m.flags = 1;
	OK(fx, "Map", &m);
	assert_int_not_equal(get_digest(fx, other).digest_low, a.digest_low);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_access_faults_once_and_moves_bytes),
		TEST(bad_accesses_are_refused_by_name),
		TEST(slots_say_what_an_access_may),
		TEST(a_stage1_walk_is_marked_in_the_exit),
		TEST(el0_matters_for_fetches_under_xnx),
		TEST(raw_registers_are_decoded_as_hardware_sets_them),
		TEST(an_address_and_an_access_are_enough),
		TEST(translate_leaves_the_par_of_an_at_instruction),
		TEST(explain_tells_every_step),
		TEST(a_changed_slot_unmaps_its_range),
		TEST(bad_slots_are_refused_by_name),
		TEST(slot_changes_take_turns),
		TEST(a_dump_joins_runs_and_shows_tables_and_holes_if_asked),
		TEST(pages_of_a_dump_make_the_whole),
		TEST(a_stable_reader_and_a_range_operation_wait_for_each_other),
		TEST(equal_trees_have_equal_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
