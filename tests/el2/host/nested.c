/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest hypervisor and its guest, by real accesses, in a shadow that lib made: after each change
 * of the guest's tables or the host's, what is read and written, which aborts there are and whose,
 * and what the CPU says of the shadow (AT) beside a composition of two arrays. */
#include "guest_hyp.h"
#include "host.h"

#define PAGES			 32
#define HYP_CODE		 UINT64_C(0x10000)
#define HYP_DATA		 UINT64_C(0x20000) /* orders, vCPU, stack, tables */
#define HYP_PAGES		 16
#define OUTSIDE			 UINT64_C(0x400000)   /* canonical: what its guest may see */
#define NDATA			 UINT64_C(0x600000)   /* nested */
#define NBLOCK			 UINT64_C(0x40000000) /* nested: a block of the guest's */
#define MEM			 (MEMORY + 20 * BLOCK)
#define FRAMES			 (MEM + BLOCK)
#define VTCR_39			 UINT64_C(0x80020059) /* 4K, 39 bits from level 1, PS 40 bits */
#define HCR_VM			 1
#define S2_R			 UINT64_C(0x40)
#define S2_W			 UINT64_C(0x80)
#define S2_NORMAL		 UINT64_C(0x73c) /* AF, inner shareable, write-back */
#define LEAF(out, rights, level) ((out) | S2_NORMAL | (rights) | ((level) == 3 ? 3 : 1))
#define FSC_TRANSLATION(level)	 (0x04 + (level))
#define FSC_PERMISSION(level)	 (0x0c + (level))
/* ESR_EL2.ISS of EC 0x18: op0, op2, op1, CRn, Rt 31, CRm. */
#define SYS(op1, crn, crm, op2)                                                                    \
	(UINT64_C(1) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | 31 << 5 | (crm) << 1)
#define IPAS2E1IS	 SYS(4, 8, 0, 1)
#define VMALLS12E1IS	 SYS(4, 8, 3, 6)
#define ALLE1IS		 SYS(4, 8, 3, 4)
#define SHADOW(place, n) (LOOK_SHADOW | (uint64_t)(n) << 16 | (place))

static struct {
	uint64_t context;
	struct pt_el2_vcpu *v;
	/* Page n of the guest's guest: which canonical one, and its rights; 0: none. */
	unsigned to[PAGES];
	uint64_t guest[PAGES];
	/* Page n of the guest: which frame, and the host's rights. */
	unsigned frame[PAGES];
	uint64_t host[PAGES];
	unsigned slot; /* of its shadow */
	uint64_t compared;
} n;

static volatile struct hyp_orders *orders(void)
{
	return (volatile struct hyp_orders *)host_memory(MEM);
}

/* How the guest hypervisor was left. */
static uint64_t go(void)
{
	return guest_run(n.context, n.v);
}

static void order(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c)
{
	volatile struct hyp_orders *o = orders();

	o->what = what;
	o->arg[0] = a;
	o->arg[1] = b;
	o->arg[2] = c;
}

static void does(enum hyp_what what, uint64_t a, uint64_t b, uint64_t c)
{
	order(what, a, b, c);
	assert_int_equal(go(), PT_EL2_VCPU_EXIT);
}

static void tlbi(uint64_t iss, uint64_t ipa, uint64_t removes)
{
	does(HYP_TLBI, iss, ipa >> 12, 0);
	assert_int_equal(orders()->code, PT_OK);
	assert_int_equal(orders()->x1, removes);
}

static uint64_t frame_of(unsigned page)
{
	return FRAMES + n.frame[page] * PAGE;
}

static void host_maps(unsigned page, unsigned frame, uint64_t rights)
{
	n.frame[page] = frame;
	n.host[page] = rights;
	EXPECT(PT_MAPPED, CALL(MAP, n.context, OUTSIDE + page * PAGE, PAGE, frame_of(page),
			       rights & S2_W ? RW : PT_PROT_R));
}

static void guest_maps(unsigned page, unsigned to, uint64_t rights)
{
	n.to[page] = to;
	n.guest[page] = rights;
	does(HYP_SET, NDATA + page * PAGE, 3,
	     rights ? LEAF(OUTSIDE + to * PAGE, rights, 3) : UINT64_C(0));
}

static uint64_t code_at(void (*code)(void))
{
	return CODE + (uintptr_t)code - (uintptr_t)guest_code;
}

/* Of the guest's guest; true: it went through. */
static bool loads(uint64_t ipa, uint64_t *value)
{
	does(HYP_RUN, code_at(guest_load), ipa, 0);
	n.compared++;
	*value = orders()->value;
	assert_int_equal(orders()->code, PT_OK);
	return orders()->x1 == PT_EL2_VCPU_EXIT;
}

static bool stores(uint64_t ipa, uint64_t value)
{
	does(HYP_RUN, code_at(guest_store), ipa, value);
	n.compared++;
	assert_int_equal(orders()->code, PT_OK);
	return orders()->x1 == PT_EL2_VCPU_EXIT;
}

/* The abort is the guest hypervisor's. */
static void is_abort(uint64_t ipa, uint64_t fsc)
{
	assert_int_equal(orders()->x1, PT_EL2_VCPU_ABORT);
	assert_int_equal(EC(orders()->esr), EC_DATA);
	assert_int_equal(FSC(orders()->esr), fsc);
	assert_int_equal(orders()->ipa, ipa);
	assert_int_equal(orders()->far, ipa);
}

/* The host has to do something about `ipa` of the guest's. */
static void is_hosts(uint64_t ipa, int outcome)
{
	assert_int_equal(go(), PT_EL2_VCPU_ABORT);
	assert_int_equal(n.v->ipa, ipa);
	assert_int_equal((int)n.v->outcome, outcome);
}

static uint64_t pattern(unsigned frame)
{
	return 0x1234567890 + frame * UINT64_C(0x1010101);
}

static uint64_t aborts(void)
{
	return IMAGE(CALL_ABORTS, 0).x[0];
}

/* What the CPU says of every page: nothing that the composition does not, and as much as `least`.
 */
static void judge(uint64_t least)
{
	uint64_t read = 0, write = 0, sum = 0;
	struct answer a = IMAGE_3(CALL_LOOK, SHADOW(n.context & 0xff, n.slot), NDATA, PAGES);

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t both = n.guest[i] ? n.guest[i] & n.host[n.to[i]] : 0;

		read |= (both & S2_R ? UINT64_C(1) : 0) << i;
		write |= (both & S2_W ? UINT64_C(1) : 0) << i;
		if ((uint64_t)a.code >> i & 1)
			sum += (i + 1) * frame_of(n.to[i]);
	}
	assert_int_equal((uint64_t)a.code & ~read, 0);
	assert_int_equal(a.x[0] & ~write, 0);
	assert_int_equal(a.x[1], sum);
	assert_int_equal(least & ~(uint64_t)a.code, 0);
	n.compared += 2 * PAGES;
}

#define ALL ((UINT64_C(1) << PAGES) - 1)

/* Reads every page; how many aborts that took. */
static uint64_t reads_all(void)
{
	uint64_t before = aborts(), value;

	for (unsigned i = 0; i < PAGES; i++) {
		assert_true(loads(NDATA + i * PAGE, &value));
		assert_int_equal(value, pattern(n.frame[n.to[i]]));
	}
	return aborts() - before;
}

static void begin_orders(void)
{
	volatile struct hyp_orders *o = orders();

	memset(host_memory(MEM), 0, HYP_PAGES * PAGE);
	o->vtcr = VTCR_39;
	o->hcr = HCR_VM;
	o->vcpu = HYP_DATA + PAGE;
	o->root = HYP_DATA + 4 * PAGE;
	o->next = o->root + PAGE;
	o->vttbr = UINT64_C(7) << 48 | o->root;
	EXPECT(PT_MAPPED, CALL(MAP, n.context, HYP_CODE, PAGE, (uintptr_t)guest_hyp, RX));
	EXPECT(PT_MAPPED, CALL(MAP, n.context, HYP_DATA, HYP_PAGES * PAGE, MEM, RW));
	n.v = guest_vcpu(guest_mode, HYP_DATA, 0, 0);
	n.v->regs.pc = HYP_CODE;
	n.v->regs.sp_el1 = HYP_DATA + 4 * PAGE;
}

static void open_nest(void)
{
	struct answer a = CALL(CREATE, VTCR_SMALL, UINT64_MAX, UINT64_MAX);

	EXPECT(PT_OK, a);
	memset(&n, 0, sizeof(n));
	n.context = a.x[0];
	EXPECT(PT_MAPPED, CALL(MAP, n.context, CODE, PAGE, (uintptr_t)guest_code, RX));
	begin_orders();
	for (unsigned i = 0; i < PAGES; i++) {
		*host_memory(FRAMES + i * PAGE) = pattern(i);
		host_maps(i, (i * 7 + 3) % PAGES, S2_R | S2_W);
	}
	does(HYP_SET, CODE, 3, LEAF(CODE, S2_R, 3));
	for (unsigned i = 0; i < PAGES; i++)
		guest_maps(i, (i * 5 + 1) % PAGES, S2_R | S2_W);
}

static void close_nest(void)
{
	guest_end(n.context);
	print_message("%lu comparisons, %lu entries of the guest's guest\n", n.compared,
		      orders()->runs);
	el2_compared += n.compared;
}

static void nested_guests_read_and_write(void **state)
{
	(void)state;
	open_nest();
	assert_int_equal(reads_all(), PAGES + 1); /* and its code */
	judge(ALL);
	assert_int_equal(reads_all(), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		assert_true(stores(NDATA + i * PAGE + 8, i));
		assert_int_equal(host_memory(frame_of(n.to[i]))[1], i);
	}
	assert_int_equal(reads_all(), 0);
	close_nest();
}

static void nested_tables_change(void **state)
{
	uint64_t value;

	(void)state;
	open_nest();
	assert_int_equal(reads_all(), PAGES + 1);
	/* Nothing there: level 3, and level 1. */
	guest_maps(3, 0, 0);
	tlbi(IPAS2E1IS, NDATA + 3 * PAGE, 1);
	judge(ALL & ~UINT64_C(8));
	assert_false(loads(NDATA + 3 * PAGE + 0x18, &value));
	is_abort(NDATA + 3 * PAGE + 0x18, FSC_TRANSLATION(3));
	assert_false(loads(UINT64_C(1) << 38, &value));
	is_abort(UINT64_C(1) << 38, FSC_TRANSLATION(1));
	/* There again, somewhere else. */
	guest_maps(3, 9, S2_R | S2_W);
	assert_true(loads(NDATA + 3 * PAGE, &value));
	assert_int_equal(value, pattern(n.frame[9]));
	judge(ALL);
	/* Another page in its place: the shadow is a TLB, which may keep the old one until told. */
	n.to[4] = 11;
	does(HYP_SET, NDATA + 4 * PAGE, 3, LEAF(OUTSIDE + 11 * PAGE, S2_R | S2_W, 3));
	assert_true(loads(NDATA + 4 * PAGE, &value));
	assert_int_equal(value, pattern(n.frame[(4 * 5 + 1) % PAGES]));
	tlbi(IPAS2E1IS, NDATA + 4 * PAGE, 1);
	judge(ALL & ~UINT64_C(0x10));
	assert_true(loads(NDATA + 4 * PAGE, &value));
	assert_int_equal(value, pattern(n.frame[11]));
	/* Fewer rights: the level and class that its tables say; the others are not touched. */
	guest_maps(5, n.to[5], S2_R);
	tlbi(IPAS2E1IS, NDATA + 5 * PAGE, 1);
	assert_false(stores(NDATA + 5 * PAGE, 1));
	is_abort(NDATA + 5 * PAGE, FSC_PERMISSION(3));
	assert_true(loads(NDATA + 5 * PAGE, &value));
	judge(ALL);
	assert_int_equal(reads_all(), 0);
	/* More rights need no TLBI. */
	guest_maps(5, n.to[5], S2_R | S2_W);
	assert_true(stores(NDATA + 5 * PAGE + 8, 55));
	assert_int_equal(host_memory(frame_of(n.to[5]))[1], 55);
	/* Another VMID's does nothing; its own takes all. */
	orders()->vttbr ^= UINT64_C(1) << 48;
	tlbi(VMALLS12E1IS, 0, 0);
	orders()->vttbr ^= UINT64_C(1) << 48;
	assert_int_equal(reads_all(), 0);
	tlbi(VMALLS12E1IS, 0, PAGES + 1);
	judge(0);
	assert_int_equal(reads_all(), PAGES + 1);
	tlbi(ALLE1IS, 0, PAGES + 1);
	close_nest();
}

/* A block of the guest's, of which the host has pages: any address in it takes all that were made
 * from it. */
static void nested_blocks_go_as_a_whole(void **state)
{
	uint64_t value;

	(void)state;
	open_nest();
	does(HYP_SET, NBLOCK, 2, LEAF(OUTSIDE, S2_R, 2));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(loads(NBLOCK + i * PAGE, &value));
		assert_int_equal(value, pattern(n.frame[i]));
	}
	assert_false(stores(NBLOCK, 1));
	is_abort(NBLOCK, FSC_PERMISSION(2));
	order(HYP_RUN, code_at(guest_load), NBLOCK + PAGES * PAGE, 0);
	is_hosts(OUTSIDE + PAGES * PAGE, PT_NO_SLOT);
	*host_memory(FRAMES + PAGES * PAGE) = 4711;
	EXPECT(PT_MAPPED,
	       CALL(MAP, n.context, OUTSIDE + PAGES * PAGE, PAGE, FRAMES + PAGES * PAGE, RW));
	assert_int_equal(go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(orders()->value, 4711);
	tlbi(IPAS2E1IS, NBLOCK + 0x100000, 5);
	close_nest();
}

static void nested_pages_follow_the_host(void **state)
{
	uint64_t value, before;

	(void)state;
	open_nest();
	assert_int_equal(reads_all(), PAGES + 1);
	/* Unmapped: exactly that page faults, and the fault is the host's. */
	EXPECT(PT_UNMAPPED, CALL(UNMAP, n.context, OUTSIDE + 6 * PAGE, PAGE));
	n.host[6] = 0;
	for (unsigned i = 0; i < PAGES; i++) {
		if (n.to[i] != 6)
			continue;
		judge(ALL & ~(UINT64_C(1) << i));
		order(HYP_RUN, code_at(guest_load), NDATA + i * PAGE, 0);
		is_hosts(OUTSIDE + 6 * PAGE, PT_NO_SLOT);
	}
	before = aborts();
	host_maps(6, 40, S2_R | S2_W);
	*host_memory(frame_of(6)) = pattern(40);
	assert_int_equal(go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(orders()->value, pattern(40));
	assert_int_equal(aborts() - before, 1);
	assert_int_equal(reads_all(), 0);
	judge(ALL);
	/* Write-protected: it still reads, and a write is the host's. */
	EXPECT(PT_PROTECTED, CALL(PROTECT, n.context, OUTSIDE + 8 * PAGE, PAGE, PT_PROT_R));
	n.host[8] = S2_R;
	judge(0);
	for (unsigned i = 0; i < PAGES; i++) {
		if (n.to[i] != 8)
			continue;
		assert_true(loads(NDATA + i * PAGE, &value));
		order(HYP_RUN, code_at(guest_store), NDATA + i * PAGE + 8, 77);
		is_hosts(OUTSIDE + 8 * PAGE + 8, PT_NO_SLOT);
	}
	EXPECT(PT_RELAXED, CALL(PROTECT, n.context, OUTSIDE + 8 * PAGE, PAGE, RW));
	n.host[8] |= S2_W;
	assert_int_equal(go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(host_memory(frame_of(8))[1], 77);
	judge(ALL);
	/* A table of the guest's is gone: an external abort on its walk, at the level. */
	tlbi(IPAS2E1IS, NDATA, 1);
	EXPECT(PT_UNMAPPED, CALL(UNMAP, n.context, HYP_DATA + 5 * PAGE, PAGE));
	assert_false(loads(NDATA, &value));
	is_abort(NDATA, 0x14 + 2);
	EXPECT(PT_OK, host_finish(CALL(SET_SLOT, n.context, HYP_DATA + 5 * PAGE, PAGE,
				       MEM + 5 * PAGE, SHIFT(12))));
	assert_true(loads(NDATA, &value)); /* faulted in by the walk alone */
	close_nest();
}

/* More tables than there are shadows: the oldest goes, and is made again. */
static void nested_shadows_are_recycled(void **state)
{
	uint64_t value;

	(void)state;
	open_nest();
	for (unsigned i = 0; i < 20; i++) {
		orders()->vttbr = (uint64_t)(100 + i % 7) << 48 | orders()->root;
		assert_true(loads(NDATA, &value));
		assert_int_equal(value, pattern(n.frame[n.to[0]]));
	}
	/* Stage 2 off: its own addresses. */
	orders()->hcr = 0;
	assert_true(loads(OUTSIDE + 4 * PAGE, &value));
	assert_int_equal(value, pattern(n.frame[4]));
	close_nest();
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
	open_nest();
	o = orders();
	o->hcr = HCR_VM | 2;
	does(HYP_RUN, 0, 0, 0);
	assert_int_equal(o->code, -PT_INVALID);
	o->hcr = HCR_VM;
	o->vtcr |= UINT64_C(1) << 36; /* S2PIE */
	does(HYP_RUN, 0, 0, 0);
	assert_int_equal(o->code, -PT_UNSUPPORTED);
	o->vtcr = VTCR_39;
	does(HYP_TLBI, SYS(0, 7, 5, 0), 0, 0); /* IC IALLU */
	assert_int_equal(o->code, -PT_UNSUPPORTED);
	/* Refused by the architecture: each walk is a fault of level 0. */
	o->vtcr = VTCR_39 | 0xc0;
	assert_false(loads(NDATA, &value));
	o->vtcr = VTCR_39;
	assert_true(loads(NDATA, &value));
	close_nest();
}

const struct CMUnitTest host_nested_tests[] = {
	cmocka_unit_test(nested_guests_read_and_write),
	cmocka_unit_test(nested_tables_change),
	cmocka_unit_test(nested_blocks_go_as_a_whole),
	cmocka_unit_test(nested_pages_follow_the_host),
	cmocka_unit_test(nested_shadows_are_recycled),
	cmocka_unit_test(nested_calls_are_a_guest_hypervisors),
};
const size_t host_nested_count = sizeof(host_nested_tests) / sizeof(host_nested_tests[0]);
