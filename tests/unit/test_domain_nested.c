/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows as the service has them: entered, filled by faults, recycled, listed, ended with their
 * context. */
#include "domain_fixture.h"

#include <pt/context.h>

#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/pager.pb-c.h"

#define PAGE   UINT64_C(4096)
#define RWX    (PT_PROT_RWX)
#define READ   PTD__V1__ACCESS_KIND__ACCESS_KIND_READ
#define WRITE  PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE
#define NOBODY PTD__V1__FAULT_TAKER__FAULT_TAKER_NOBODY
#define GUEST  PTD__V1__FAULT_TAKER__FAULT_TAKER_GUEST_HYPERVISOR
#define HOST   PTD__V1__FAULT_TAKER__FAULT_TAKER_HOST

/*
 * The canonical context has one slot of 64 MiB at 0. The guest hypervisor's tables: 4 KiB granules,
 * 39 bits, start level 1 at L1; one table for each of the next levels.
 */
#define L1   (32 * MIB)
#define L2   (L1 + PAGE)
#define L3   (L2 + PAGE)
#define VTCR (UINT64_C(25) | 1u << 6 | 2u << 16 | 1u << 19 | UINT64_C(1) << 31)
#define HA   (UINT64_C(1) << 21)
#define LEAF UINT64_C(0x7ff) /* page, Normal, read and write, inner shareable, AF */
#define AF   UINT64_C(0x400)

static void put(struct fixture *fx, uint64_t context, uint64_t ipa, uint64_t word)
{
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.access = WRITE;
	q.data = (ProtobufCBinaryData){sizeof(word), (uint8_t *)&word};
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &q))->outcome, PT_OK);
}

/* Nested page n of the lowest 2 MiB, as the guest hypervisor maps it. */
static void guest_map(struct fixture *fx, uint64_t context, unsigned n, uint64_t entry)
{
	put(fx, context, L3 + 8 * n, entry);
}

static uint64_t new_of_size(struct fixture *fx, const char *name, uint32_t max_shadows,
			    uint32_t ipa_bits)
{
	Ptd__V1__Geometry geometry = PTD__V1__GEOMETRY__INIT;
	Ptd__V1__CreateContextRequest q = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__CreateContextResponse *r;

	o.nested = true;
	o.max_shadows = max_shadows;
	geometry.granule_shift = 12;
	geometry.ipa_bits = ipa_bits;
	q.geometry = ipa_bits ? &geometry : NULL;
	q.machine = fx->machine;
	q.name = (char *)(uintptr_t)name;
	q.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	q.options = &o;
	r = OK(fx, "CreateContext", &q);
	assert_true(r->context->options->nested);
	assert_int_equal(r->context->options->max_shadows, max_shadows ? max_shadows : 64);
	set_slot(fx, r->context->handle, 0, 0, 64 * MIB, 0, 0, 0);
	put(fx, r->context->handle, L1, L2 | 3);
	put(fx, r->context->handle, L2, L3 | 3);
	return r->context->handle;
}

static uint64_t new_canonical(struct fixture *fx, const char *name, uint32_t max_shadows)
{
	return new_of_size(fx, name, max_shadows, 0);
}

static Ptd__V1__EnterNestedRequest enter_request(uint64_t context, uint32_t vcpu, uint16_t vmid)
{
	Ptd__V1__EnterNestedRequest q = PTD__V1__ENTER_NESTED_REQUEST__INIT;

	q.context = context;
	q.vcpu = vcpu;
	q.vttbr = (uint64_t)vmid << 48 | L1;
	q.vtcr = VTCR;
	q.hcr = 1;
	return q;
}

static Ptd__V1__EnterNestedResponse enter(struct fixture *fx, uint64_t context, uint32_t vcpu,
					  uint16_t vmid)
{
	Ptd__V1__EnterNestedRequest q = enter_request(context, vcpu, vmid);

	return *(Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q);
}

static uint64_t leave(struct fixture *fx, uint64_t context, uint32_t vcpu)
{
	Ptd__V1__ExitNestedRequest q = PTD__V1__EXIT_NESTED_REQUEST__INIT;

	q.context = context;
	q.vcpu = vcpu;
	return ((Ptd__V1__ExitNestedResponse *)OK(fx, "ExitNested", &q))->shadow;
}

static Ptd__V1__ListShadowsResponse *list(struct fixture *fx, uint64_t context)
{
	Ptd__V1__ListShadowsRequest q = PTD__V1__LIST_SHADOWS_REQUEST__INIT;

	q.context = context;
	return OK(fx, "ListShadows", &q);
}

static Ptd__V1__AccessResponse *touch(struct fixture *fx, uint64_t context, uint64_t ipa,
				      Ptd__V1__AccessKind access)
{
	static uint8_t bytes[8] = {0xca, 0xfe};
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	q.context = context;
	q.ipa = ipa;
	q.access = access;
	q.length = sizeof(bytes);
	if (access == WRITE)
		q.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
	return OK(fx, "Access", &q);
}

static void delete (struct fixture *fx, uint64_t context)
{
	Ptd__V1__DeleteContextRequest q = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;

	q.handle = context;
	OK(fx, "DeleteContext", &q);
}

static void a_vcpu_enters_a_shadow_and_leaves_it(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 0);
	Ptd__V1__EnterNestedResponse a = enter(fx, c, 0, 1), again, b;
	Ptd__V1__EnterNestedRequest q = enter_request(c, 0, 1);
	Ptd__V1__ListShadowsResponse *l;

	assert_true(a.created && !a.recycled);
	assert_string_equal(a.name, "m0/h0/0x0001000002000000-0x00000000800a0059-s2-enabled");
	q.vttbr |= 1; /* CnP */
	again = *(Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q);
	assert_int_equal(again.shadow, a.shadow);
	assert_false(again.created);
	q.vcpu = 1;
	q.vttbr = UINT64_C(3) << 48 | L1 | 1;
	again = *(Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q);
	assert_string_equal(again.name, "m0/h0/0x0003000002000000-0x00000000800a0059-s2-enabled");
	leave(fx, c, 1);
	delete (fx, c);
	c = new_canonical(fx, "h0", 0);
	a = enter(fx, c, 0, 1);
	b = enter(fx, c, 1, 2);
	assert_int_not_equal(b.shadow, a.shadow);
	assert_int_equal(get_context(fx, b.shadow)->kind,
			 PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW);
	assert_int_equal(get_context(fx, b.shadow)->geometry->ipa_bits, 39);
	l = list(fx, c);
	assert_int_equal(l->n_shadows, 2);
	assert_int_equal(l->shadows[0]->shadow, a.shadow);
	assert_int_equal(l->shadows[0]->vcpus, 1);
	assert_int_equal(l->shadows[1]->vcpus, 1);
	enter(fx, c, 0, 2); /* from one to the other */
	assert_int_equal(list(fx, c)->shadows[0]->vcpus, 0);
	assert_int_equal(list(fx, c)->shadows[1]->vcpus, 2);
	assert_int_equal(leave(fx, c, 0), b.shadow);
	assert_int_equal(leave(fx, c, 0), 0);
	assert_int_equal(list(fx, c)->shadows[1]->vcpus, 1);
	delete (fx, c);
}

static void shadows_are_refused_where_they_cannot_be(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1);
	Ptd__V1__EnterNestedRequest q = enter_request(fx->context, 0, 1);
	Ptd__V1__CreateContextRequest create = PTD__V1__CREATE_CONTEXT_REQUEST__INIT;
	Ptd__V1__ContextOptions o = PTD__V1__CONTEXT_OPTIONS__INIT;
	Ptd__V1__ListShadowsRequest l = PTD__V1__LIST_SHADOWS_REQUEST__INIT;

	REFUSED(fx, "EnterNested", &q, PT_WRONG_STATE, "context: it was made without");
	q.context = 0;
	REFUSED(fx, "EnterNested", &q, PT_INVALID, "context:");
	q = enter_request(c, 2, 1);
	REFUSED(fx, "EnterNested", &q, PT_INVALID, "vcpu: 2");
	q = enter_request(c, 0, 1);
	q.vtcr |= UINT64_C(1) << 36; /* S2PIE */
	REFUSED(fx, "EnterNested", &q, PT_UNSUPPORTED, "vtcr:");
	l.context = fx->context;
	REFUSED(fx, "ListShadows", &l, PT_WRONG_STATE, "context:");
	l.context = enter(fx, c, 0, 1).shadow;
	REFUSED(fx, "ListShadows", &l, PT_WRONG_STATE, "context: it is a shadow");
	create.machine = fx->machine;
	create.name = (char *)(uintptr_t) "h1";
	create.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST;
	create.options = &o;
	o.max_shadows = 2;
	REFUSED(fx, "CreateContext", &create, PT_INVALID, "options.max_shadows");
	o.nested = true;
	o.max_shadows = LIMIT_SHADOWS + 1;
	REFUSED(fx, "CreateContext", &create, PT_TOO_LARGE, "options.max_shadows");
	o.max_shadows = 0;
	create.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST;
	REFUSED(fx, "CreateContext", &create, PT_INVALID, "options.nested");
	create.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_SHADOW;
	REFUSED(fx, "CreateContext", &create, PT_INVALID, "kind:");
}

static void nobody_changes_a_shadow_by_hand(void **state)
{
	struct fixture *fx = *state;
	uint64_t s = enter(fx, new_canonical(fx, "h0", 1), 0, 1).shadow;
	Ptd__V1__MapRequest map = map_request(s, 0, PAGE, 0, RWX);
	Ptd__V1__UnmapRequest unmap = unmap_request(s, 0, PAGE);
	Ptd__V1__DeleteContextRequest delete = PTD__V1__DELETE_CONTEXT_REQUEST__INIT;
	Ptd__V1__SetSlotRequest slot = PTD__V1__SET_SLOT_REQUEST__INIT;
	Ptd__V1__AgeRequest age = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__StartDirtyLogRequest log = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__Slot of = PTD__V1__SLOT__INIT;

	REFUSED(fx, "Map", &map, PT_WRONG_STATE, "context: a shadow");
	REFUSED(fx, "Unmap", &unmap, PT_WRONG_STATE, "context: a shadow");
	delete.handle = s;
	REFUSED(fx, "DeleteContext", &delete, PT_WRONG_STATE, "handle: a shadow");
	of.size = PAGE;
	slot.context = s;
	slot.slot = &of;
	REFUSED(fx, "SetSlot", &slot, PT_WRONG_STATE, "context: a shadow");
	age.context = log.context = s;
	age.size = log.size = PAGE;
	REFUSED(fx, "Age", &age, PT_WRONG_STATE, "context: a shadow");
	REFUSED(fx, "StartDirtyLog", &log, PT_WRONG_STATE, "context: a shadow");
}

/* Faults, TLBIs and canonical changes go on, whoever reads: there is no state of one moment. */
static void nobody_holds_a_shadow_still(void **state)
{
	struct fixture *fx = *state;
	uint64_t s = enter(fx, new_canonical(fx, "h0", 1), 0, 1).shadow;
	Ptd__V1__DumpContextRequest dump = PTD__V1__DUMP_CONTEXT_REQUEST__INIT;
	Ptd__V1__GetDigestRequest digest = PTD__V1__GET_DIGEST_REQUEST__INIT;

	dump.context = digest.context = s;
	OK(fx, "DumpContext", &dump);
	OK(fx, "GetDigest", &digest);
	dump.stable = digest.stable = true;
	REFUSED(fx, "DumpContext", &dump, PT_WRONG_STATE, "stable:");
	REFUSED(fx, "GetDigest", &digest, PT_WRONG_STATE, "stable:");
}

static void faults_count_once(void **state)
{
	struct fixture *fx = *state;
	const struct loop_counters *n = domain_loop_counters(fx->loop[0]);
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow, faults, leaves;
	Ptd__V1__HandleFaultRequest h = PTD__V1__HANDLE_FAULT_REQUEST__INIT;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	guest_map(fx, c, 1, 9 * MIB | LEAF);
	faults = atomic_load(&n->faults);
	leaves = atomic_load(&n->leaves_written);
	touch(fx, s, 0, READ);	      /* made */
	touch(fx, s, 0, READ);	      /* none */
	touch(fx, s, 2 * PAGE, READ); /* the guest hypervisor's */
	assert_int_equal(atomic_load(&n->faults) - faults, 2);
	assert_int_equal(atomic_load(&n->leaves_written) - leaves, 1);
	h.context = s;
	h.ipa = PAGE;
	h.access = READ;
	OK(fx, "HandleFault", &h);
	assert_int_equal(atomic_load(&n->faults) - faults, 3);
	assert_int_equal(atomic_load(&n->leaves_written) - leaves, 2);
}

static void a_fault_is_taken_by_whom_the_tables_say(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow, seen;
	Ptd__V1__HandleFaultRequest h = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__HandleFaultResponse *hr;
	Ptd__V1__AccessResponse *r;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	guest_map(fx, c, 1, 9 * MIB | (LEAF & ~UINT64_C(0x80))); /* read only */
	guest_map(fx, c, 2, 128 * MIB | LEAF);			 /* in no slot */
	put(fx, c, 8 * MIB + 16, 0x1122);
	r = touch(fx, s, 16, READ);
	assert_int_equal(r->outcome, PT_OK);
	assert_int_equal(r->pa, 8 * MIB + 16);
	memcpy(&seen, r->data.data, 8);
	assert_int_equal(seen, 0x1122);
	assert_int_equal(r->n_exits, 1);
	assert_int_equal(r->exits[0]->outcome, PT_MAPPED);
	assert_int_equal(r->nested->taker, NOBODY);
	assert_int_equal(r->nested->canonical_ipa, 8 * MIB + 16);
	assert_true(touch(fx, s, 16, READ)->tlb_hit);
	r = touch(fx, s, 3 * PAGE + 8, READ); /* a hole of the guest hypervisor's */
	assert_int_equal(r->outcome, PT_DENIED);
	assert_int_equal(r->nested->taker, GUEST);
	assert_int_equal(r->nested->fault, PTD__V1__FAULT_KIND__FAULT_KIND_TRANSLATION);
	assert_int_equal(r->nested->level, 3);
	assert_int_equal(r->nested->esr & 0x3f, 7);
	assert_int_equal(r->nested->esr >> 26, 0x24);
	assert_int_equal(r->nested->hpfar, 3 * PAGE >> 8);
	assert_int_equal(r->nested->far, 3 * PAGE + 8);
	r = touch(fx, s, PAGE, WRITE);
	assert_int_equal(r->outcome, PT_DENIED);
	assert_int_equal(r->nested->taker, GUEST);
	assert_int_equal(r->nested->fault, PTD__V1__FAULT_KIND__FAULT_KIND_PERMISSION);
	assert_int_equal(r->nested->esr & 0x7f, 0x40 | 0xf);
	r = touch(fx, s, 2 * PAGE, READ);
	assert_int_equal(r->outcome, PT_NO_SLOT);
	assert_int_equal(r->nested->taker, HOST);
	assert_int_equal(r->nested->canonical_ipa, 128 * MIB);
	h.context = s;
	h.ipa = PAGE + 4;
	h.access = READ;
	hr = OK(fx, "HandleFault", &h);
	assert_int_equal(hr->outcome, PT_MAPPED);
	assert_int_equal(hr->pa, 9 * MIB + 4);
	assert_int_equal(hr->nested->taker, NOBODY);
	h.ipa = 4 * PAGE;
	hr = OK(fx, "HandleFault", &h);
	assert_int_equal(hr->outcome, PT_DENIED);
	assert_int_equal(hr->nested->taker, GUEST);
	assert_int_equal(hr->nested->esr & 0x3f, 7);
	assert_int_equal(list(fx, c)->shadows[0]->leaves, 2);
	assert_int_equal(list(fx, c)->counts->fills, 2);
}

/* A guest hypervisor that turns a register's bit has the shadow of these registers from then on,
 * and the old one when it turns it back. */
static void registers_beside_the_tables_are_heeded(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 0), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__EnterNestedRequest q = enter_request(c, 0, 1);
	Ptd__V1__EnterNestedResponse big;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	assert_int_equal(touch(fx, s, 0, READ)->outcome, PT_OK);
	q.sctlr_el2 = UINT64_C(1) << 25; /* EE */
	big = *(Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q);
	assert_true(big.created && big.shadow != s);
	assert_string_equal(big.name, "m0/h0/0x0001000002000000-0x00000000800a0059-s2-enabled-ee");
	assert_int_equal(touch(fx, big.shadow, 0, READ)->outcome, PT_DENIED);
	q.sctlr_el2 = 0;
	q.hcr |= UINT64_C(1) << 46; /* FWB, which this machine has not */
	assert_int_equal(((Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q))->shadow, s);
	assert_int_equal(list(fx, c)->n_shadows, 2);
}

/* The guest hypervisor's CPU says 40 bits, since it cannot say 39. */
static void an_address_beyond_the_context_is_the_hosts_exit(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_of_size(fx, "h0", 0, 39), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__HandleFaultRequest h = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__HandleFaultResponse *hr;
	Ptd__V1__AccessResponse *r;

	guest_map(fx, c, 0, UINT64_C(1) << 39 | LEAF);
	r = touch(fx, s, 8, READ);
	assert_int_equal(r->outcome, PT_OUT_OF_RANGE);
	assert_int_equal(r->nested->taker, HOST);
	assert_int_equal(r->nested->canonical_ipa, (UINT64_C(1) << 39) + 8);
	h.context = s;
	h.access = READ;
	hr = OK(fx, "HandleFault", &h);
	assert_int_equal(hr->outcome, PT_OUT_OF_RANGE);
	assert_int_equal(hr->nested->taker, HOST);
}

static uint64_t pages_of(struct fixture *fx, uint64_t a, uint64_t b)
{
	return get_context(fx, a)->table_pages + get_context(fx, b)->table_pages;
}

static void tables_that_a_fault_adds_are_told(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 0), s = enter(fx, c, 0, 1).shadow, had;
	Ptd__V1__HandleFaultRequest h = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	Ptd__V1__HandleFaultResponse *hr;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	guest_map(fx, c, 1, 9 * MIB | LEAF);
	guest_map(fx, c, 2, 12 * MIB | LEAF);
	had = pages_of(fx, c, s);
	assert_int_equal(touch(fx, s, 0, READ)->tables_added, 3); /* the canonical one, and two */
	assert_int_equal(pages_of(fx, c, s), had + 3);
	assert_int_equal(touch(fx, s, PAGE, READ)->tables_added, 0);
	h.context = s;
	h.ipa = 2 * PAGE;
	h.access = READ;
	hr = OK(fx, "HandleFault", &h);
	assert_int_equal(hr->outcome, PT_MAPPED);
	assert_int_equal(hr->tables_added, 1);
	assert_int_equal(pages_of(fx, c, s), had + 4);
}

/* The host has mapped a page at which there is no memory: the shadow's leaf is made, and the bytes
 * are not moved. */
static void a_leaf_may_lead_to_no_memory(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__MapRequest map = map_request(c, 8 * MIB, PAGE, 1024 * MIB, RWX);
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;

	OK(fx, "Map", &map);
	guest_map(fx, c, 0, 8 * MIB | LEAF);
	q.context = s;
	q.access = READ;
	q.length = 8;
	for (unsigned i = 0; i < 2; i++) /* with a fault, and without */
		REFUSED(fx, "Access", &q, PT_OUT_OF_RANGE, "ipa:");
	assert_int_equal(list(fx, c)->counts->fills, 1);
}

static void a_canonical_change_reaches_the_leaf(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__UnmapRequest u = unmap_request(c, 8 * MIB, PAGE);

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	guest_map(fx, c, 1, 9 * MIB | LEAF);
	touch(fx, s, 0, WRITE);
	touch(fx, s, PAGE, WRITE);
	OK(fx, "Unmap", &u);
	assert_int_equal(translate(fx, s, 0, READ)->outcome, PT_NOT_MAPPED);
	assert_int_equal(translate(fx, s, PAGE, READ)->outcome, PT_OK);
	assert_int_equal(list(fx, c)->counts->killed, 1);
	assert_int_equal(list(fx, c)->shadows[0]->leaves, 1);
}

static void a_tlbi_removes_what_it_names(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 2), s = enter(fx, c, 0, 1).shadow;
	uint64_t other = enter(fx, c, 1, 2).shadow;
	Ptd__V1__InvalidateRequest q = PTD__V1__INVALIDATE_REQUEST__INIT;
	Ptd__V1__InvalidateResponse *r;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	guest_map(fx, c, 1, 9 * MIB | LEAF);
	touch(fx, s, 0, READ);
	touch(fx, s, PAGE, READ);
	touch(fx, other, 0, READ);
	q.context = c;
	q.vttbr = UINT64_C(1) << 48 | L1;
	q.vtcr = VTCR;
	q.sys = 1u << 20 | 1u << 17 | 4u << 14 | 8u << 10; /* IPAS2E1IS */
	q.operand = PAGE >> 12;
	r = OK(fx, "Invalidate", &q);
	assert_int_equal(r->leaves_removed, 1);
	assert_int_equal(r->shadows, 1);
	assert_int_equal(translate(fx, s, 0, READ)->outcome, PT_OK);
	assert_int_equal(translate(fx, s, PAGE, READ)->outcome, PT_NOT_MAPPED);
	q.sys = 1u << 20 | 4u << 17 | 4u << 14 | 8u << 10 | 3u << 1; /* ALLE1IS */
	r = OK(fx, "Invalidate", &q);
	assert_int_equal(r->leaves_removed, 2);
	assert_int_equal(list(fx, c)->counts->invalidated, 3);
	q.sys = 1u << 20 | 7u << 14 | 8u << 10;
	REFUSED(fx, "Invalidate", &q, PT_UNSUPPORTED, "sys:");
	q.context = fx->context;
	REFUSED(fx, "Invalidate", &q, PT_WRONG_STATE, "context:");
}

static void the_one_that_nobody_runs_is_recycled(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 2), first = enter(fx, c, 0, 1).shadow;
	uint64_t second = enter(fx, c, 0, 2).shadow;
	Ptd__V1__EnterNestedRequest q = enter_request(c, 0, 4);
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__EnterNestedResponse third;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	touch(fx, first, 0, READ);
	third = enter(fx, c, 1, 3);
	assert_true(third.created && third.recycled);
	get.handle = first;
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "handle:");
	assert_int_equal(list(fx, c)->counts->recycled, 1);
	leave(fx, c, 1);
	enter(fx, c, 1, 2); /* both vCPUs run the second: the third goes */
	assert_true(enter(fx, c, 1, 5).recycled);
	get.handle = third.shadow;
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "handle:");
	q.vcpu = 1; /* that vCPU runs the fifth until the fourth is there */
	REFUSED(fx, "EnterNested", &q, PT_QUOTA, "options.max_shadows");
	leave(fx, c, 1);
	assert_true(((Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q))->recycled);
	assert_int_equal(leave(fx, c, 0), second);
}

static uint64_t table_bytes(struct fixture *fx)
{
	Ptd__V1__GetStatsRequest q = PTD__V1__GET_STATS_REQUEST__INIT;

	return ((Ptd__V1__GetStatsResponse *)OK(fx, "GetStats", &q))->table_bytes_used;
}

static void shadows_end_before_their_context(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__DeleteMachineRequest m = PTD__V1__DELETE_MACHINE_REQUEST__INIT;
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	uint64_t c = new_canonical(fx, "h0", 4), used;

	get.handle = enter(fx, c, 0, 1).shadow;
	guest_map(fx, c, 0, 8 * MIB | LEAF);
	touch(fx, get.handle, 0, READ);
	enter(fx, c, 1, 2);
	delete (fx, c);
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "handle:");
	used = table_bytes(fx);
	c = new_canonical(fx, "h0", 4);
	get.handle = enter(fx, c, 0, 1).shadow;
	guest_map(fx, c, 0, 8 * MIB | LEAF);
	touch(fx, get.handle, 0, READ);
	delete (fx, c);
	assert_int_equal(table_bytes(fx), used); /* nothing of it is left */
	c = new_canonical(fx, "h1", 4);
	get.handle = enter(fx, c, 0, 1).shadow;
	m.handle = fx->machine;
	REFUSED(fx, "DeleteMachine", &m, PT_NOT_EMPTY, "handle:");
	m.force = true;
	OK(fx, "DeleteMachine", &m);
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "handle:");
	fx->machine = new_machine(fx, "m9", 256 * MIB);
}

/* A call that is given up while another shadow ends for it. */
static void what_ends_goes_on_to_its_end(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), first = enter(fx, c, 0, 1).shadow;
	Ptd__V1__EnterNestedRequest q = enter_request(c, 0, 2);
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *f;

	leave(fx, c, 0);
	f = fake_call(fx, 0, "EnterNested", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	fake_abandon(f);
	fake_end(f);
	get.handle = first;
	REFUSED(fx, "GetContext", &get, PT_NOT_FOUND, "handle:");
	assert_int_equal(list(fx, c)->n_shadows, 0);
	assert_true(enter(fx, c, 0, 2).created);
}

static enum call_result step_on(struct fake *f)
{
	enum call_result result = fake_step(f, f->method->run);

	return result == CALL_PARKED && f->wakes ? f->wakes--, CALL_MORE : result;
}

/* One vCPU wants the shadow back that is being recycled for another one, at each of its steps. */
static void a_shadow_on_its_way_out_is_entered_again(void **state)
{
	struct fixture *fx = *state;

	for (unsigned lead = 1; lead < 12; lead++) {
		uint64_t c = new_canonical(fx, "h0", 2);
		Ptd__V1__EnterNestedRequest q[] = {enter_request(c, 0, 2), enter_request(c, 1, 1)};
		enum call_result result[] = {CALL_MORE, CALL_MORE};
		struct fake *f[2];

		guest_map(fx, c, 0, 8 * MIB | LEAF);
		touch(fx, enter(fx, c, 0, 1).shadow, 0, READ);
		enter(fx, c, 1, 9);
		leave(fx, c, 0);
		for (unsigned i = 0; i < 2; i++)
			f[i] = fake_call(fx, i, "EnterNested", &q[i]);
		for (unsigned i = 0; i < lead; i++)
			result[0] = result[0] == CALL_MORE ? step_on(f[0]) : result[0];
		leave(fx, c, 1);
		for (unsigned n = 0; n < 1000; n++)
			for (unsigned i = 0; i < 2; i++)
				result[i] = result[i] == CALL_MORE ? step_on(f[i]) : result[i];
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(result[i], CALL_DONE);
			assert_int_equal(f[i]->call.status.code, PT_OK);
			fake_end(f[i]);
		}
		delete (fx, c);
	}
}

/* A write of a nested guest gives a group of the canonical context its right; the shadow goes
 * meanwhile. Nothing of the group's change may stay behind: the context could not be deleted. */
static void a_change_for_a_fault_ends_though_its_shadow_goes(void **state)
{
	static uint8_t bytes[8];
	struct fixture *fx = *state;

	for (unsigned lead = 1; lead < 6; lead++) {
		uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow;
		Ptd__V1__MapRequest map = map_request(c, 8 * MIB, 16 * PAGE, 8 * MIB, PT_PROT_R);
		Ptd__V1__HandleFaultRequest handle = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
		Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
		enum call_result result = CALL_MORE;
		struct fake *f;

		map.flags = PT_MAP_FORCE_PAGES | PT_MAP_CONTIGUOUS;
		OK(fx, "Map", &map);
		guest_map(fx, c, 0, 8 * MIB | LEAF);
		q.context = handle.context = s;
		q.access = handle.access = WRITE;
		q.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
		f = lead % 2 ? fake_call(fx, 0, "Access", &q)
			     : fake_call(fx, 0, "HandleFault", &handle);
		for (unsigned i = 0; i < (lead + 1) / 2; i++)
			result = result == CALL_MORE ? step_on(f) : result;
		leave(fx, c, 0);
		enter(fx, c, 1, 2);
		if (result == CALL_MORE)
			assert_int_equal(fake_run(f), CALL_DONE);
		fake_end(f);
		delete (fx, c);
	}
}

static void an_explanation_shows_both_walks(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__ExplainRequest q = PTD__V1__EXPLAIN_REQUEST__INIT;
	Ptd__V1__ExplainResponse *r;

	guest_map(fx, c, 0, 8 * MIB | LEAF);
	q.context = s;
	q.access = READ;
	q.ipa = 0x10;
	r = OK(fx, "Explain", &q);
	assert_int_equal(r->n_guest_steps, 3);
	assert_int_equal(r->guest_steps[0]->table, L1);
	assert_int_equal(r->guest_steps[2]->table, L3);
	assert_int_equal(r->guest_steps[2]->descriptor, 8 * MIB | LEAF);
	assert_string_equal(r->guest_steps[2]->found, "page");
	assert_true(r->n_canonical_steps >= 1);
	assert_int_equal(r->nested->taker, NOBODY);
	assert_int_equal(r->nested->canonical_ipa, 8 * MIB + 0x10);
	assert_int_equal(list(fx, c)->counts->fills, 0); /* nothing was changed */
	q.ipa = PAGE;
	r = OK(fx, "Explain", &q);
	assert_int_equal(r->n_guest_steps, 3);
	assert_string_equal(r->guest_steps[2]->found, "invalid");
	assert_int_equal(r->n_canonical_steps, 0);
	assert_int_equal(r->nested->taker, GUEST);
	assert_int_equal(r->nested->esr & 0x3f, 7);
	guest_map(fx, c, 1, 128 * MIB | LEAF);
	assert_int_equal(((Ptd__V1__ExplainResponse *)OK(fx, "Explain", &q))->nested->taker, HOST);
}

/* What the guest hypervisor took away without a TLBI is still granted: nobody takes a fault, and no
 * table says where it leads. */
static void an_explanation_of_a_stale_leaf_names_no_page(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), s = enter(fx, c, 0, 1).shadow;
	Ptd__V1__ExplainRequest q = PTD__V1__EXPLAIN_REQUEST__INIT;
	Ptd__V1__ExplainResponse *r;

	guest_map(fx, c, 1, 8 * MIB | LEAF);
	touch(fx, s, PAGE, READ);
	guest_map(fx, c, 1, 0);
	q.context = s;
	q.access = READ;
	q.ipa = PAGE;
	r = OK(fx, "Explain", &q);
	assert_int_equal(r->result->outcome, PT_OK);
	assert_int_equal(r->nested->taker, NOBODY);
	assert_false(r->nested->canonical_known);
	assert_int_equal(r->nested->canonical_ipa, 0);
	assert_int_equal(r->nested->esr, 0);
}

/* The guest's walker sets the access flag: a write to the page of its table. */
static void updates_of_tables_are_in_the_dirty_log(void **state)
{
	struct fixture *fx = *state;
	uint64_t c = new_canonical(fx, "h0", 1), log, word;
	Ptd__V1__EnterNestedRequest q = enter_request(c, 0, 1);
	Ptd__V1__StartDirtyLogRequest start = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__GetDirtyLogRequest get = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__GetDirtyLogResponse *r;
	uint64_t s;

	q.vtcr |= HA;
	s = ((Ptd__V1__EnterNestedResponse *)OK(fx, "EnterNested", &q))->shadow;
	guest_map(fx, c, 0, 8 * MIB | (LEAF & ~AF));
	start.context = c;
	start.ipa = L1;
	start.size = 4 * PAGE;
	log = ((Ptd__V1__StartDirtyLogResponse *)OK(fx, "StartDirtyLog", &start))->log;
	assert_int_equal(touch(fx, s, 0, READ)->outcome, PT_OK);
	memcpy(&word, touch(fx, c, L3, READ)->data.data, 8);
	assert_int_equal(word, 8 * MIB | LEAF);
	get.log = log;
	r = OK(fx, "GetDirtyLog", &get);
	assert_int_equal(r->dirty, 1);
	assert_int_equal(r->bitmap.data[0], 1 << 2);
}

/* A pager of [ipa, ipa + PAGE); what it is asked for, and how it supplies it. */
struct pager {
	struct fake *f;
	Ptd__V1__ServePagesRequest q;
	Ptd__V1__PagerOpen open;
	Ptd__V1__PageSupply supply;
};

static void page_out(struct pager *p, struct fixture *fx, uint64_t context, uint64_t ipa)
{
	*p = (struct pager){.q = PTD__V1__SERVE_PAGES_REQUEST__INIT,
			    .open = PTD__V1__PAGER_OPEN__INIT,
			    .supply = PTD__V1__PAGE_SUPPLY__INIT};
	p->open.context = context;
	p->open.ipa = p->supply.ipa = ipa;
	p->open.size = p->supply.size = PAGE;
	p->supply.content = PTD__V1__PAGE_CONTENT__PAGE_CONTENT_AS_IS;
	p->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	p->q.open = &p->open;
	p->f = fake_call(fx, 1, "ServePages", &p->q);
	assert_int_equal(fake_run(p->f), CALL_STREAM);
}

static void page_in(struct pager *p, struct fixture *fx, Ptd__V1__AccessKind access)
{
	const Ptd__V1__ServePagesResponse *r;

	assert_int_equal(fake_step(p->f, p->f->method->look), CALL_STREAM);
	assert_int_equal(p->f->sent, 2);
	r = (void *)p->f->message[1];
	assert_int_equal(r->wanted->ipa, p->open.ipa);
	assert_int_equal(r->wanted->access, access);
	assert_true(r->wanted->nested);
	p->q.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
	p->q.supply = &p->supply;
	assert_int_equal(fake_run(p->f), CALL_DONE);
	keep(fx, p->f);
}

/* Of the hypervisor's tables, whose walk nobody else may see fail, and of what they lead to. */
static void a_fault_waits_for_the_pages_of_both_walks(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__AccessRequest q = PTD__V1__ACCESS_REQUEST__INIT;
	uint64_t c = new_canonical(fx, "h0", 0);
	const Ptd__V1__AccessResponse *r;
	struct pager table, page;
	struct fake *f;

	guest_map(fx, c, 3, MIB | LEAF);
	q.context = enter(fx, c, 0, 1).shadow;
	q.ipa = 3 * PAGE;
	q.access = READ;
	q.length = 1;
	page_out(&table, fx, c, L2);
	page_out(&page, fx, c, MIB);
	f = fake_call(fx, 0, "Access", &q);
	assert_int_equal(fake_run(f), CALL_PARKED);
	assert_int_equal(page.f->wakes, 0);
	page_in(&table, fx, READ);
	assert_int_equal(fake_run(f), CALL_PARKED);
	page_in(&page, fx, READ);
	assert_int_equal(fake_run(f), CALL_DONE);
	r = (void *)f->call.response;
	assert_int_equal(r->outcome, PT_OK);
	assert_int_equal(r->nested->taker, NOBODY);
	assert_int_equal(r->n_exits, 1);
	keep(fx, f);
	/* Gone for good: the hypervisor takes an abort on its walk. */
	page_out(&table, fx, c, L3);
	fake_abandon(table.f);
	keep(fx, table.f);
	q.ipa = 4 * PAGE;
	r = OK(fx, "Access", &q);
	assert_int_equal(r->outcome, PT_DENIED);
	assert_int_equal(r->nested->taker, GUEST);
	assert_int_equal(r->nested->esr & 0x3f, 0x17); /* external abort on a walk, level 3 */
	page_out(&page, fx, c, 2 * MIB);
	fake_abandon(page.f);
	keep(fx, page.f);
	q.context = c;
	q.ipa = 2 * MIB;
	assert_int_equal(((Ptd__V1__AccessResponse *)OK(fx, "Access", &q))->outcome, PT_ABSENT);
	delete (fx, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vcpu_enters_a_shadow_and_leaves_it),
		TEST(shadows_are_refused_where_they_cannot_be),
		TEST(nobody_changes_a_shadow_by_hand),
		TEST(nobody_holds_a_shadow_still),
		TEST(faults_count_once),
		TEST(a_fault_is_taken_by_whom_the_tables_say),
		TEST(registers_beside_the_tables_are_heeded),
		TEST(an_address_beyond_the_context_is_the_hosts_exit),
		TEST(tables_that_a_fault_adds_are_told),
		TEST(a_leaf_may_lead_to_no_memory),
		TEST(a_canonical_change_reaches_the_leaf),
		TEST(a_tlbi_removes_what_it_names),
		TEST(the_one_that_nobody_runs_is_recycled),
		TEST(shadows_end_before_their_context),
		TEST(what_ends_goes_on_to_its_end),
		TEST(a_shadow_on_its_way_out_is_entered_again),
		TEST(a_change_for_a_fault_ends_though_its_shadow_goes),
		TEST(an_explanation_shows_both_walks),
		TEST(an_explanation_of_a_stale_leaf_names_no_page),
		TEST(updates_of_tables_are_in_the_dirty_log),
		TEST(a_fault_waits_for_the_pages_of_both_walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
