/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor and its guest, by real accesses, in a shadow that lib made: after each change
 * of the guest's tables or the host's, what is read and written, which aborts there are and whose,
 * and what the CPU says of the shadow (AT) beside a composition of two arrays. */
#include "nested.h"

#define VTCR_39	  UINT64_C(0x80020059) /* 4K, 39 bits from level 1, PS 40 bits */
#define EL2H	  0x3c9
#define HYP_PAGES 16
#define NBLOCK	  UINT64_C(0x40000000) /* nested: a block of the guest's */

struct nest nest;
_Alignas(PAGE) struct pt_el2_virtual nest_el2;

volatile struct hyp_orders *nest_orders_at(unsigned page)
{
	return (volatile struct hyp_orders *)host_memory(MEM + page * PAGE);
}

volatile struct hyp_orders *nest_orders(void)
{
	return nest_orders_at(0);
}

uint64_t nest_go(void)
{
	struct answer a;

	do
		a = CALL(RUN, nest.context, (uintptr_t)nest.v,
			 nest.virtual ? (uintptr_t)&nest_el2 : 0);
	while (a.code == PT_RACED || a.code == -PT_BUSY);
	return a.code ? (uint64_t)a.code : a.x[0];
}

void nest_order(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c)
{
	volatile struct hyp_orders *o = nest_orders();

	o->what = what;
	o->arg[0] = a;
	o->arg[1] = b;
	o->arg[2] = c;
}

void nest_does(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c)
{
	nest_order(what, a, b, c);
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
}

uint64_t nest_removed(void)
{
	return (uint64_t)IMAGE(CALL_NEST, nest.context & 0xff).code;
}

void nest_tlbi(uint64_t iss, uint64_t ipa, uint64_t removes)
{
	uint64_t before = nest_removed();

	nest_does(HYP_TLBI, iss, ipa >> 12, 0);
	assert_int_equal(nest_removed() - before, removes);
	if (nest.virtual)
		return;
	assert_int_equal(nest_orders()->code, PT_OK);
	assert_int_equal(nest_orders()->x1, removes);
}

/* The guest's from now on; the host's, too, but of a guest that owns its memory. */
static void give(uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot)
{
	if (nest.owns)
		EXPECT(PT_OK, host_finish(CALL(DONATE_GUEST, nest.context, ipa, size, pa)));
	else
		EXPECT(PT_MAPPED, CALL(MAP, nest.context, ipa, size, pa, prot));
}

static uint64_t frame_of(unsigned page)
{
	return FRAMES + nest.frame[page] * PAGE;
}

void nest_host_maps(unsigned page, unsigned frame, uint64_t rights)
{
	nest.frame[page] = frame;
	nest.host[page] = rights;
	give(OUTSIDE + page * PAGE, PAGE, frame_of(page), rights & S2_W ? RW : PT_PROT_R);
}

static void guest_maps(unsigned page, unsigned to, uint64_t rights, uint64_t entry)
{
	nest.to[page] = to;
	nest.guest[page] = rights;
	nest_does(HYP_SET, NDATA + page * PAGE, 3, entry);
}

void nest_guest_maps(unsigned page, unsigned to, uint64_t rights)
{
	guest_maps(page, to, rights, rights ? LEAF(OUTSIDE + to * PAGE, rights, 3) : UINT64_C(0));
}

void nest_guest_maps_as(unsigned page, unsigned to, uint64_t rights, unsigned memattr)
{
	guest_maps(page, to, rights,
		   (LEAF(OUTSIDE + to * PAGE, rights, 3) & ~S2_MEMATTR) | (uint64_t)memattr << 2);
}

uint64_t nest_code_at(void (*code)(void))
{
	return CODE + (uintptr_t)code - (uintptr_t)guest_code;
}

bool nest_loads(uint64_t ipa, uint64_t *value)
{
	nest_does(HYP_RUN, nest_code_at(guest_load), ipa, 0);
	nest.compared++;
	*value = nest_orders()->value;
	assert_int_equal(nest_orders()->code, PT_OK);
	return nest_orders()->x1 == PT_EL2_VCPU_EXIT;
}

bool nest_stores(uint64_t ipa, uint64_t value)
{
	nest_does(HYP_RUN, nest_code_at(guest_store), ipa, value);
	nest.compared++;
	assert_int_equal(nest_orders()->code, PT_OK);
	return nest_orders()->x1 == PT_EL2_VCPU_EXIT;
}

void nest_is_abort(uint64_t ipa, uint64_t fsc)
{
	assert_int_equal(nest_orders()->x1, PT_EL2_VCPU_ABORT);
	assert_int_equal(EC(nest_orders()->esr), EC_DATA);
	assert_int_equal(FSC(nest_orders()->esr), fsc);
	assert_int_equal(nest_orders()->ipa, ipa);
	assert_int_equal(nest_orders()->far, ipa);
}

void nest_is_hosts(uint64_t ipa, int outcome)
{
	assert_int_equal(nest_go(), PT_EL2_VCPU_ABORT);
	assert_int_equal(nest.v->ipa, ipa);
	assert_int_equal((int)nest.v->outcome, outcome);
}

static uint64_t pattern(unsigned frame)
{
	return 0x1234567890 + frame * UINT64_C(0x1010101);
}

uint64_t nest_aborts(void)
{
	return IMAGE(CALL_ABORTS, 0).x[0];
}

struct answer nest_look(uint64_t ipa, uint64_t pages)
{
	uint64_t party = LOOK_SHADOW | (uint64_t)nest.slot << 16 | (nest.context & 0xff);

	nest.compared += 2 * pages;
	return IMAGE_3(CALL_LOOK, party, ipa, pages);
}

void nest_judge(uint64_t least)
{
	uint64_t read = 0, write = 0, sum = 0;
	struct answer a = nest_look(NDATA, PAGES);

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t both = nest.guest[i] ? nest.guest[i] & nest.host[nest.to[i]] : 0;

		read |= (both & S2_R ? UINT64_C(1) : 0) << i;
		write |= (both & S2_W ? UINT64_C(1) : 0) << i;
		if ((uint64_t)a.code >> i & 1)
			sum += (i + 1) * frame_of(nest.to[i]);
	}
	assert_int_equal((uint64_t)a.code & ~read, 0);
	assert_int_equal(a.x[0] & ~write, 0);
	assert_int_equal(a.x[1], sum);
	assert_int_equal(least & ~(uint64_t)a.code, 0);
}

uint64_t nest_reads_all(void)
{
	uint64_t before = nest_aborts(), value;

	for (unsigned i = 0; i < PAGES; i++) {
		assert_true(nest_loads(NDATA + i * PAGE, &value));
		assert_int_equal(value, pattern(nest.frame[nest.to[i]]));
	}
	return nest_aborts() - before;
}

/* A page of it, which is copied to a page of its own first. */
static void give_code(uint64_t ipa, uintptr_t code)
{
	uint64_t copy = MEM + HYP_PAGES * PAGE + nest.copies++ * PAGE;

	memcpy(host_memory(copy), (const void *)code, PAGE);
	give(ipa, PAGE, copy, RX);
}

/* The page of orders, which both have to reach. */
static void share_orders(void)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_call, PT_HVC(PT_HVC_SHARE_BACK), HYP_DATA, PAGE);

	assert_int_equal(guest_run(nest.context, v), PT_EL2_VCPU_EXIT);
	assert_int_equal(v->regs.x[1], PT_OK);
}

static void begin_orders(volatile struct hyp_orders *o, uint64_t ipa)
{
	o->vtcr = VTCR_39;
	o->hcr = HCR_VM;
	o->nvhe = nest.nvhe;
	o->vcpu = nest.virtual ? HYP_CODE + PAGE : ipa + PAGE;
	o->shift = 12;
	o->start = 1;
	o->root = HYP_DATA + 4 * PAGE;
	o->next = o->root + PAGE;
	o->vttbr = UINT64_C(7) << 48 | o->root;
}

struct pt_el2_vcpu *nest_begin_vcpu(unsigned page)
{
	uint64_t ipa = HYP_DATA + page * PAGE;
	struct pt_el2_vcpu *v = guest_vcpu(guest_mode, ipa, 0, 0);

	begin_orders(nest_orders_at(page), ipa);
	v->regs.pc = HYP_CODE;
	v->regs.sp_el1 = ipa + 4 * PAGE;
	if (nest.virtual)
		v->regs.pstate = EL2H;
	return v;
}

static void give_memory(void)
{
	memset(host_memory(MEM), 0, HYP_PAGES * PAGE);
	give_code(CODE, (uintptr_t)guest_code);
	give_code(HYP_CODE, (uintptr_t)(nest.virtual ? guest_virtual : guest_hyp));
	if (nest.virtual)
		give_code(HYP_CODE + PAGE, (uintptr_t)guest_virtual_enter);
	give(HYP_DATA, HYP_PAGES * PAGE, MEM, RW);
	if (nest.owns)
		share_orders();
}

static uint64_t create(void)
{
	struct answer a =
		nest.owns ? CALL(RESERVE, 0) : CALL(CREATE, VTCR_SMALL, UINT64_MAX, UINT64_MAX);

	EXPECT(PT_OK, a);
	if (nest.owns)
		EXPECT(PT_OK, CALL(CREATE_GUEST, a.x[0], VTCR_SMALL, UINT64_MAX, PT_HVC_PROTECTED,
				   UINT64_MAX));
	return a.x[0];
}

void nest_begin(void)
{
	const char *group = getenv("GROUP");

	memset(&nest, 0, sizeof(nest));
	memset(&nest_el2, 0, sizeof(nest_el2));
	nest.virtual = group && strstr(group, "nv2");
	nest.nvhe = group && strstr(group, "nvhe");
	nest_el2.e2h0 = nest.nvhe;
	nest.owns = group && strstr(group, "owner");
	if (nest.virtual && !host_has_nv2())
		skip();
}

void nest_open(void)
{
	nest_begin();
	nest.context = create();
	give_memory();
	nest.v = nest_begin_vcpu(0);
	for (unsigned i = 0; i < PAGES; i++)
		*host_memory(FRAMES + i * PAGE) = pattern(i);
	for (unsigned i = 0; i < PAGES; i++)
		nest_host_maps(i, (i * 7 + 3) % PAGES, S2_R | S2_W);
	nest_does(HYP_SET, CODE, 3, LEAF(CODE, S2_R, 3));
	for (unsigned i = 0; i < PAGES; i++)
		nest_guest_maps(i, (i * 5 + 1) % PAGES, S2_R | S2_W);
}

/* Its memory is the host's again. */
static void end_owner(void)
{
	EXPECT(PT_OK, host_finish(CALL(TEARDOWN, nest.context)));
	EXPECT(PT_OK, host_finish(CALL(RECLAIM_DYING, nest.context, 0, UINT64_C(1) << 40)));
	EXPECT(PT_OK, host_finish(CALL(FINALIZE, nest.context)));
}

void nest_close(void)
{
	print_message("%lu comparisons, %lu entries of the guest's guest\n", nest.compared,
		      nest_orders()->runs);
	if (nest.owns)
		end_owner();
	else
		guest_end(nest.context);
	el2_compared += nest.compared;
}

static void nested_guests_read_and_write(void **state)
{
	(void)state;
	nest_open();
	assert_int_equal(nest_reads_all(), PAGES + 1); /* and its code */
	nest_judge(ALL);
	assert_int_equal(nest_reads_all(), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		assert_true(nest_stores(NDATA + i * PAGE + 8, i));
		assert_int_equal(host_memory(frame_of(nest.to[i]))[1], i);
	}
	assert_int_equal(nest_reads_all(), 0);
	nest_close();
}

static void nested_tables_change(void **state)
{
	uint64_t value;

	(void)state;
	nest_open();
	assert_int_equal(nest_reads_all(), PAGES + 1);
	/* Nothing there: level 3, and level 1. */
	nest_guest_maps(3, 0, 0);
	nest_tlbi(IPAS2E1IS, NDATA + 3 * PAGE, 1);
	nest_judge(ALL & ~UINT64_C(8));
	assert_false(nest_loads(NDATA + 3 * PAGE + 0x18, &value));
	nest_is_abort(NDATA + 3 * PAGE + 0x18, FSC_TRANSLATION(3));
	assert_false(nest_loads(UINT64_C(1) << 38, &value));
	nest_is_abort(UINT64_C(1) << 38, FSC_TRANSLATION(1));
	/* There again, somewhere else. */
	nest_guest_maps(3, 9, S2_R | S2_W);
	assert_true(nest_loads(NDATA + 3 * PAGE, &value));
	assert_int_equal(value, pattern(nest.frame[9]));
	nest_judge(ALL);
	/* Another page in its place: the shadow is a TLB, which may keep the old one until told. */
	nest.to[4] = 11;
	nest_does(HYP_SET, NDATA + 4 * PAGE, 3, LEAF(OUTSIDE + 11 * PAGE, S2_R | S2_W, 3));
	assert_true(nest_loads(NDATA + 4 * PAGE, &value));
	assert_int_equal(value, pattern(nest.frame[(4 * 5 + 1) % PAGES]));
	nest_tlbi(IPAS2E1IS, NDATA + 4 * PAGE, 1);
	nest_judge(ALL & ~UINT64_C(0x10));
	assert_true(nest_loads(NDATA + 4 * PAGE, &value));
	assert_int_equal(value, pattern(nest.frame[11]));
	/* Fewer rights: the level and class that its tables say; the others are not touched. */
	nest_guest_maps(5, nest.to[5], S2_R);
	nest_tlbi(IPAS2E1IS, NDATA + 5 * PAGE, 1);
	assert_false(nest_stores(NDATA + 5 * PAGE, 1));
	nest_is_abort(NDATA + 5 * PAGE, FSC_PERMISSION(3));
	assert_true(nest_loads(NDATA + 5 * PAGE, &value));
	nest_judge(ALL);
	assert_int_equal(nest_reads_all(), 0);
	/* More rights need no TLBI. */
	nest_guest_maps(5, nest.to[5], S2_R | S2_W);
	assert_true(nest_stores(NDATA + 5 * PAGE + 8, 55));
	assert_int_equal(host_memory(frame_of(nest.to[5]))[1], 55);
	/* Another VMID's does nothing; its own takes all. */
	nest_orders()->vttbr ^= UINT64_C(1) << 48;
	nest_tlbi(VMALLS12E1IS, 0, 0);
	nest_orders()->vttbr ^= UINT64_C(1) << 48;
	assert_int_equal(nest_reads_all(), 0);
	nest_tlbi(VMALLS12E1IS, 0, PAGES + 1);
	nest_judge(0);
	assert_int_equal(nest_reads_all(), PAGES + 1);
	nest_tlbi(ALLE1IS, 0, PAGES + 1);
	nest_close();
}

/* A block of the guest's, of which the host has pages: any address in it takes all that were made
 * from it. */
static void nested_blocks_go_as_a_whole(void **state)
{
	uint64_t value;

	(void)state;
	nest_open();
	nest_does(HYP_SET, NBLOCK, 2, LEAF(OUTSIDE, S2_R, 2));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(nest_loads(NBLOCK + i * PAGE, &value));
		assert_int_equal(value, pattern(nest.frame[i]));
	}
	assert_false(nest_stores(NBLOCK, 1));
	nest_is_abort(NBLOCK, FSC_PERMISSION(2));
	nest_order(HYP_RUN, nest_code_at(guest_load), NBLOCK + PAGES * PAGE, 0);
	nest_is_hosts(OUTSIDE + PAGES * PAGE, PT_NO_SLOT);
	*host_memory(FRAMES + PAGES * PAGE) = 4711;
	EXPECT(PT_MAPPED,
	       CALL(MAP, nest.context, OUTSIDE + PAGES * PAGE, PAGE, FRAMES + PAGES * PAGE, RW));
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_orders()->value, 4711);
	nest_tlbi(IPAS2E1IS, NBLOCK + 0x100000, 5);
	nest_close();
}

static void nested_pages_follow_the_host(void **state)
{
	uint64_t value, before;

	(void)state;
	nest_open();
	assert_int_equal(nest_reads_all(), PAGES + 1);
	/* Unmapped: exactly that page faults, and the fault is the host's. */
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, OUTSIDE + 6 * PAGE, PAGE));
	nest.host[6] = 0;
	for (unsigned i = 0; i < PAGES; i++) {
		if (nest.to[i] != 6)
			continue;
		nest_judge(ALL & ~(UINT64_C(1) << i));
		nest_order(HYP_RUN, nest_code_at(guest_load), NDATA + i * PAGE, 0);
		nest_is_hosts(OUTSIDE + 6 * PAGE, PT_NO_SLOT);
	}
	before = nest_aborts();
	nest_host_maps(6, 40, S2_R | S2_W);
	*host_memory(frame_of(6)) = pattern(40);
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_orders()->value, pattern(40));
	assert_int_equal(nest_aborts() - before, 1);
	assert_int_equal(nest_reads_all(), 0);
	nest_judge(ALL);
	/* Write-protected: it still reads, and a write is the host's. */
	EXPECT(PT_PROTECTED, CALL(PROTECT, nest.context, OUTSIDE + 8 * PAGE, PAGE, PT_PROT_R));
	nest.host[8] = S2_R;
	nest_judge(0);
	for (unsigned i = 0; i < PAGES; i++) {
		if (nest.to[i] != 8)
			continue;
		assert_true(nest_loads(NDATA + i * PAGE, &value));
		nest_order(HYP_RUN, nest_code_at(guest_store), NDATA + i * PAGE + 8, 77);
		nest_is_hosts(OUTSIDE + 8 * PAGE + 8, PT_NO_SLOT);
	}
	EXPECT(PT_RELAXED, CALL(PROTECT, nest.context, OUTSIDE + 8 * PAGE, PAGE, RW));
	nest.host[8] |= S2_W;
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(host_memory(frame_of(8))[1], 77);
	nest_judge(ALL);
	/* A table of the guest's is gone: an external abort on its walk, at the level. */
	nest_tlbi(IPAS2E1IS, NDATA, 1);
	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, HYP_DATA + 5 * PAGE, PAGE));
	assert_false(nest_loads(NDATA, &value));
	nest_is_abort(NDATA, 0x14 + 2);
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, nest.context, HYP_DATA + 5 * PAGE, PAGE,
				       MEM + 5 * PAGE, SHIFT(12))));
	assert_true(nest_loads(NDATA, &value)); /* faulted in by the walk alone */
	nest_close();
}

/* More tables than there are shadows: the oldest goes, and is made again. */
static void nested_shadows_are_recycled(void **state)
{
	uint64_t value;

	(void)state;
	nest_open();
	for (unsigned i = 0; i < 20; i++) {
		nest_orders()->vttbr = (uint64_t)(100 + i % 7) << 48 | nest_orders()->root;
		assert_true(nest_loads(NDATA, &value));
		assert_int_equal(value, pattern(nest.frame[nest.to[0]]));
	}
	/* Stage 2 off: its own addresses. */
	nest_orders()->hcr = 0;
	assert_true(nest_loads(OUTSIDE + 4 * PAGE, &value));
	assert_int_equal(value, pattern(nest.frame[4]));
	nest_close();
}

static void nested_calls_are_a_guest_hypervisors(void **state)
{
	uint64_t context, value;
	volatile struct hyp_orders *o;

	(void)state;
	context = guest_new(); /* without shadows */
	for (unsigned f = PT_HVC_NEST_RUN; f <= PT_HVC_NEST_TLBI; f++) {
		struct pt_el2_vcpu *v = guest_vcpu(guest_call, PT_HVC(f), 0, 0);

		assert_int_equal(guest_run(context, v), PT_EL2_VCPU_EXIT);
		assert_int_equal((int64_t)v->regs.x[1], PT_HVC_NO_FUNCTION);
		EXPECT(PT_HVC_NO_FUNCTION, host_call(PT_HVC(f), (const uint64_t[5]){0}));
	}
	guest_end(context);
	nest_open();
	o = nest_orders();
	o->hcr = HCR_VM | 2;
	nest_does(HYP_RUN, 0, 0, 0);
	assert_int_equal(o->code, -PT_INVALID);
	o->hcr = HCR_VM;
	o->vtcr |= UINT64_C(1) << 36; /* S2PIE */
	nest_does(HYP_RUN, 0, 0, 0);
	assert_int_equal(o->code, -PT_UNSUPPORTED);
	o->vtcr = VTCR_39;
	nest_does(HYP_TLBI, SYS(0, 7, 5, 0), 0, 0); /* IC IALLU */
	assert_int_equal(o->code, -PT_UNSUPPORTED);
	/* Refused by the architecture: each walk is a fault of level 0. */
	o->vtcr = VTCR_39 | 0xc0;
	assert_false(nest_loads(NDATA, &value));
	o->vtcr = VTCR_39;
	assert_true(nest_loads(NDATA, &value));
	if (!host_has_nv2())
		EXPECT(-PT_UNSUPPORTED,
		       CALL(RUN, nest.context, (uintptr_t)nest.v, (uintptr_t)&nest_el2));
	nest_close();
}

/* The last one is of hypercalls, without an EL2. */
const struct CMUnitTest host_nested_tests[] = {
	cmocka_unit_test(nested_guests_read_and_write),
	cmocka_unit_test(nested_tables_change),
	cmocka_unit_test(nested_blocks_go_as_a_whole),
	cmocka_unit_test(nested_pages_follow_the_host),
	cmocka_unit_test(nested_shadows_are_recycled),
	cmocka_unit_test(nested_calls_are_a_guest_hypervisors),
};
const size_t host_nested_count = sizeof(host_nested_tests) / sizeof(host_nested_tests[0]);
