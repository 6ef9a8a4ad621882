/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest hypervisors at EL2: contexts that may have shadows, whose CPUs enter them; faults; TLBIs by
 * hypercall; what becomes of shadows when there are too many, and when their context ends. */
#include "hv_fixture.h"

#include <pt/walk.h>

#define RW	  PT_PROT_RW
#define TABLES	  (FREE_MEMORY + 0x100000) /* frames of the guest's tables, from IPA HYP on */
#define TABLE_MAX 8
#define HYP	  UINT64_C(0x100000)
#define OUTSIDE	  UINT64_C(0x400000) /* canonical */
#define FRAMES	  (FREE_MEMORY + 0x200000)
#define NESTED	  UINT64_C(0x600000)
#define VTCR_39	  UINT64_C(0x80020059) /* 4K, 39 bits from level 1, PS 40 bits */
#define VTCR_HA	  (UINT64_C(1) << 21)
#define VTTBR	  (UINT64_C(7) << 48 | HYP)
#define HCR_VM	  UINT64_C(1)
#define SCTLR_EE  (UINT64_C(1) << 25)
#define LEAF	  UINT64_C(0x7ff) /* AF, inner shareable, RW, write-back, a page */
#define OLD_LEAF  UINT64_C(0x3ff)
#define MANY	  UINT64_C(700) /* pages: more than a step */
/* ESR_EL2.ISS of EC 0x18: op0, op2, op1, CRn, Rt 31, CRm. */
#define SYS(op1, crn, crm, op2)                                                                    \
	(UINT64_C(1) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | 31 << 5 | (crm) << 1)
#define VMALLS12E1IS SYS(4, 8, 3, 6)
#define IPAS2E1IS    SYS(4, 8, 0, 1)
#define IC_IALLU     SYS(0, 7, 5, 0)

static struct {
	struct el2 *e;
	struct pt_hv_nests *nests;
	uint64_t words[TABLE_MAX * 512];
	uint64_t context, used;
	uint64_t sctlr;	    /* of virtual EL2 */
	struct pt_ctx *ctx; /* entered */
	struct pt_shadow *shadow;
} rig;

static uint64_t *word_at(uint64_t pa)
{
	assert_in_range(pa, TABLES, TABLES + sizeof(rig.words) - 8);
	return &rig.words[(pa - TABLES) / 8];
}

static uint64_t load(void *arg, uint64_t pa)
{
	assert_ptr_equal(arg, &rig);
	return *word_at(pa);
}

static bool swap(void *arg, uint64_t pa, uint64_t *word, uint64_t to)
{
	uint64_t *at = word_at(pa), stands = *at;

	assert_ptr_equal(arg, &rig);
	if (stands == *word)
		*at = to;
	*word = stands;
	return *at == to;
}

static uint64_t used(void)
{
	return atomic_load(&rig.e->board.world.pool.used_bytes);
}

/* The guest's tables: level 1, 2, and from 3 on for 2 MiB each from NESTED. */
static void make_tables(void)
{
	memset(rig.words, 0, sizeof(rig.words));
	rig.words[0] = HYP + 0x1003;
	for (unsigned i = 0; i < TABLE_MAX - 2; i++)
		rig.words[512 + NESTED / 0x200000 + i] = (HYP + 0x2003) + i * 0x1000;
	for (uint64_t i = 0; i < MANY; i++)
		rig.words[2 * 512 + i] = (OUTSIDE + i * PT_SZ_4K) | LEAF;
}

static void open_rig(void)
{
	static const struct pt_hv_nest_args args = {.load = load, .swap = swap, .arg = &rig};

	memset(&rig, 0, sizeof(rig));
	rig.e = el2_open();
	rig.nests = calloc(1, sizeof(*rig.nests));
	assert_non_null(rig.nests);
	pt_hv_nest(&rig.e->hv, rig.nests, &args);
	make_tables();
	rig.used = used();
}

static uint64_t create_nest(void)
{
	struct answer a = CALL(rig.e, CREATE, VTCR_SMALL, UINT64_MAX, UINT64_MAX);

	expect(PT_OK, a);
	return a.x[0];
}

static void map_guest(void)
{
	rig.context = create_nest();
	expect(PT_MAPPED,
	       finish(rig.e, CALL(rig.e, MAP, rig.context, HYP, TABLE_MAX * PT_SZ_4K, TABLES, RW)));
	expect(PT_MAPPED, finish(rig.e, CALL(rig.e, MAP, rig.context, OUTSIDE, MANY * PT_SZ_4K,
					     FRAMES, RW | (uint64_t)PT_MAP_FORCE_PAGES << 32)));
}

static void enter(void)
{
	ASSERT_OUTCOME(PT_OK, pt_hv_enter(&rig.e->hv, &rig.e->board.agent, rig.context, &rig.ctx));
}

static void leave(void)
{
	pt_hv_leave(&rig.e->hv, &rig.e->board.agent, rig.ctx);
}

static enum pt_outcome nest_enter(uint64_t vttbr, uint64_t vtcr, uint64_t hcr)
{
	const struct pt_guest_regs el2 = {
		.vttbr = vttbr, .vtcr = vtcr, .hcr = hcr, .sctlr = rig.sctlr};
	enum pt_outcome outcome = PT_BUSY;

	for (unsigned i = 0; i < 1000 && outcome == PT_BUSY; i++)
		outcome = pt_hv_nest_enter(&rig.e->hv, &rig.e->board.agent, &el2, &rig.shadow);
	return outcome;
}

static void nest_leave(void)
{
	pt_hv_nest_leave(&rig.e->hv, &rig.e->board.agent, rig.shadow);
	assert_int_equal(0, atomic_load(&rig.shadow->users));
	assert_ptr_equal(rig.ctx,
			 atomic_load(&rig.e->hv.machine.vmids.running[rig.e->board.agent.id]));
}

static enum pt_outcome fault(uint64_t ipa, enum pt_access access, struct pt_nested_result *r)
{
	const struct pt_nested_fault f = {
		.ipa = {ipa}, .access = (uint8_t)access, .type = PT_FAULT_TRANSLATION, .level = 3};
	enum pt_outcome outcome = PT_RACED;

	for (unsigned i = 0; i < 100 && outcome == PT_RACED; i++)
		outcome = pt_hv_nest_fault(&rig.e->hv, &rig.e->board.agent, rig.shadow, &f, r);
	return outcome;
}

static bool has_leaf(uint64_t ipa)
{
	pt_pte e;
	int level;

	pt_section_begin(&rig.e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(&rig.shadow->ctx, pt_ipa(ipa), &e, &level));
	pt_section_end(&rig.e->board.agent);
	return pt_pte_valid(e);
}

static struct answer guest_call(uint32_t function, const uint64_t arg[5])
{
	return call_on(rig.e, &rig.e->board.agent, PT_HV_GUEST, PT_HVC(function), arg);
}
#define GUEST_CALL(name, ...) guest_call(PT_HVC_##name, (const uint64_t[5]){__VA_ARGS__})

static void end_guest(void)
{
	leave();
	expect(PT_OK, finish(rig.e, CALL(rig.e, DESTROY, rig.context)));
	assert_int_equal(rig.used, used());
}

static void close_rig(void)
{
	el2_close(rig.e);
	free(rig.nests);
}

static void a_guests_guest_has_what_both_grant(void **state)
{
	struct pt_nested_result r;

	(void)state;
	open_rig();
	map_guest();
	enter();
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	assert_ptr_equal(&rig.shadow->ctx,
			 atomic_load(&rig.e->hv.machine.vmids.running[rig.e->board.agent.id]));
	assert_true(pt_ctx_vmid(&rig.shadow->ctx));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + 0x5008, PT_ACCESS_WRITE, &r));
	assert_int_equal(FRAMES + 0x5008, r.pa.v);
	assert_int_equal(OUTSIDE + 0x5008, r.canonical.v);
	/* Its tables say no, or its memory's owner has nothing to say. */
	ASSERT_OUTCOME(PT_DENIED, fault(NESTED + MANY * PT_SZ_4K, PT_ACCESS_READ, &r));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	assert_int_equal(0x07, r.fault.fsc);
	/* The host takes the page while a CPU runs the shadow. */
	expect(PT_UNMAPPED, CALL(rig.e, UNMAP, rig.context, OUTSIDE + 0x5000, PT_SZ_4K));
	assert_false(has_leaf(NESTED + 0x5000));
	ASSERT_OUTCOME(PT_NO_SLOT, fault(NESTED + 0x5000, PT_ACCESS_READ, &r));
	assert_int_equal(PT_NESTED_HOST, r.who);
	assert_int_equal(OUTSIDE + 0x5000, r.canonical.v);
	expect(-PT_BUSY, CALL(rig.e, DESTROY, rig.context));
	nest_leave();
	/* The same registers find it again. */
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR | 1, VTCR_39, HCR_VM));
	assert_int_equal(1, atomic_load(&rig.shadow->nested->live));
	nest_leave();
	end_guest();
	close_rig();
}

/* EL2 asks on the guest's behalf, as the guest's own access would. */
static void tables_are_faulted_in(void **state)
{
	struct pt_nested_result r;

	(void)state;
	open_rig();
	map_guest();
	enter();
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39 | VTCR_HA, HCR_VM));
	expect(PT_UNMAPPED, CALL(rig.e, UNMAP, rig.context, HYP + 0x2000, PT_SZ_4K));
	ASSERT_OUTCOME(PT_DENIED, fault(NESTED, PT_ACCESS_READ, &r));
	assert_int_equal(0x17, r.fault.fsc);
	assert_int_equal(HYP + 0x2000, r.fault.table.v);
	expect(PT_OK, finish(rig.e, CALL(rig.e, SET_SLOT, rig.context, HYP + 0x2000, PT_SZ_4K,
					 TABLES + 0x2000, UINT64_C(12) << 8)));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED, PT_ACCESS_READ, &r));
	/* Its access flag is EL2's to set, in a table that it may write. */
	rig.words[2 * 512 + 1] = (OUTSIDE + PT_SZ_4K) | OLD_LEAF;
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + PT_SZ_4K, PT_ACCESS_READ, &r));
	assert_int_equal((OUTSIDE + PT_SZ_4K) | LEAF, rig.words[2 * 512 + 1]);
	rig.words[2 * 512 + 2] = (OUTSIDE + 2 * PT_SZ_4K) | OLD_LEAF;
	expect(PT_PROTECTED, CALL(rig.e, PROTECT, rig.context, HYP + 0x2000, PT_SZ_4K, PT_PROT_R));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + 2 * PT_SZ_4K, PT_ACCESS_READ, &r));
	assert_int_equal((OUTSIDE + 2 * PT_SZ_4K) | LEAF, rig.words[2 * 512 + 2]);
	expect(PT_OK, finish(rig.e, CALL(rig.e, DELETE_SLOT, rig.context, HYP + 0x2000, PT_SZ_4K)));
	ASSERT_OUTCOME(PT_DENIED, fault(NESTED + 3 * PT_SZ_4K, PT_ACCESS_READ, &r));
	assert_int_equal(0x17, r.fault.fsc);
	nest_leave();
	end_guest();
	close_rig();
}

static enum pt_outcome translate(uint64_t va, enum pt_guest_at_op op, uint64_t vtcr,
				 struct pt_guest_at_result *r)
{
	const struct pt_hv_nest_at at = {
		.regs = {.hcr = HCR_VM},
		.el2 = {.vttbr = VTTBR, .vtcr = vtcr, .hcr = HCR_VM, .sctlr = rig.sctlr},
		.op = op,
		.va = va};

	return pt_hv_nest_at(&rig.e->hv, &rig.e->board.agent, &at, r);
}

/* By tables that its context does not map yet, too; nothing of its guest's has to be there. */
static void addresses_are_translated(void **state)
{
	struct pt_guest_at_result r;

	(void)state;
	open_rig();
	map_guest();
	enter();
	ASSERT_OUTCOME(PT_OK, translate(NESTED + 0x5008, PT_AT_S12E1W, VTCR_39, &r));
	assert_int_equal(OUTSIDE + 0x5000, r.par & UINT64_C(0xffffffffff001));
	ASSERT_OUTCOME(PT_OK, translate(NESTED + MANY * PT_SZ_4K, PT_AT_S12E1R, VTCR_39, &r));
	assert_int_equal(0x07 << 1 | 1, r.par & 0x7f);
	ASSERT_OUTCOME(PT_OK, translate(NESTED, PT_AT_S1E1R, VTCR_39, &r));
	assert_int_equal(NESTED, r.par & UINT64_C(0xffffffffff001));
	ASSERT_OUTCOME(PT_UNSUPPORTED,
		       translate(NESTED, PT_AT_S12E1R, VTCR_39 | UINT64_C(1) << 36, &r));
	expect(PT_UNMAPPED, CALL(rig.e, UNMAP, rig.context, HYP + 0x2000, PT_SZ_4K));
	ASSERT_OUTCOME(PT_DENIED, translate(NESTED, PT_AT_S12E1R, VTCR_39, &r));
	assert_int_equal(0x25, r.esr >> 26);
	expect(PT_OK, finish(rig.e, CALL(rig.e, SET_SLOT, rig.context, HYP + 0x2000, PT_SZ_4K,
					 TABLES + 0x2000, UINT64_C(12) << 8)));
	ASSERT_OUTCOME(PT_RACED, translate(NESTED, PT_AT_S12E1R, VTCR_39, &r));
	ASSERT_OUTCOME(PT_OK, translate(NESTED, PT_AT_S12E1R, VTCR_39, &r));
	assert_int_equal(OUTSIDE, r.par & UINT64_C(0xffffffffff001));
	end_guest();
	close_rig();
}

/* SCTLR_EL2.EE. The same words in the other order are tables of another shadow. */
static void tables_are_big_endian(void **state)
{
	struct pt_guest_at_result at;
	struct pt_nested_result r;

	(void)state;
	open_rig();
	map_guest();
	enter();
	for (unsigned i = 0; i < TABLE_MAX * 512; i++)
		rig.words[i] = __builtin_bswap64(rig.words[i]);
	rig.sctlr = SCTLR_EE;
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + 0x5008, PT_ACCESS_WRITE, &r));
	assert_int_equal(FRAMES + 0x5008, r.pa.v);
	nest_leave();
	ASSERT_OUTCOME(PT_OK, translate(NESTED + 0x5008, PT_AT_S12E1W, VTCR_39, &at));
	assert_int_equal(OUTSIDE + 0x5000, at.par & UINT64_C(0xffffffffff001));
	rig.sctlr = 0;
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	ASSERT_OUTCOME(PT_DENIED, fault(NESTED + 0x5008, PT_ACCESS_WRITE, &r));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	nest_leave();
	end_guest();
	close_rig();
}

static void invalidations_go_on_by_their_handle(void **state)
{
	struct pt_nested_result r;
	struct answer a;
	unsigned steps = 0;

	(void)state;
	open_rig();
	map_guest();
	enter();
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	for (uint64_t i = 0; i < MANY; i++)
		ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + i * PT_SZ_4K, PT_ACCESS_READ, &r));
	nest_leave();
	a = GUEST_CALL(NEST_TLBI, IPAS2E1IS, (NESTED + 0x3000) >> 12, VTTBR, VTCR_39);
	for (; a.code == PT_MORE; steps++)
		a = GUEST_CALL(CONTINUE, a.x[0]);
	expect(PT_OK, a);
	assert_int_equal(1, a.x[0]);
	assert_false(has_leaf(NESTED + 0x3000));
	assert_true(has_leaf(NESTED + 0x4000));
	steps = 0;
	a = GUEST_CALL(NEST_TLBI, VMALLS12E1IS, 0, VTTBR, VTCR_39);
	expect(PT_MORE, a);
	expect(-PT_NOT_FOUND, CALL(rig.e, CONTINUE, a.x[0])); /* not the host's */
	for (; a.code == PT_MORE; steps++)
		a = GUEST_CALL(CONTINUE, a.x[0]);
	expect(PT_OK, a);
	assert_true(steps > 1);
	assert_int_equal(MANY - 1, a.x[0]);
	assert_int_equal(1, a.x[1]);
	/* One that nobody continues ends with its context. */
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	for (uint64_t i = 0; i < MANY; i++)
		ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + i * PT_SZ_4K, PT_ACCESS_READ, &r));
	nest_leave();
	expect(PT_MORE, GUEST_CALL(NEST_TLBI, VMALLS12E1IS, 0, VTTBR, VTCR_39));
	end_guest();
	close_rig();
}

static void the_oldest_shadow_makes_room(void **state)
{
	struct pt_nested_result r;

	(void)state;
	open_rig();
	map_guest();
	enter();
	for (uint64_t i = 0; i < 4 * PT_HV_SHADOWS; i++) {
		ASSERT_OUTCOME(PT_OK, nest_enter((10 + i % (PT_HV_SHADOWS + 2)) << 48 | HYP,
						 VTCR_39, HCR_VM));
		ASSERT_OUTCOME(PT_MAPPED, fault(NESTED, PT_ACCESS_READ, &r));
		assert_in_range(atomic_load(&rig.shadow->nested->live), 1, PT_HV_SHADOWS);
		nest_leave();
	}
	assert_true(atomic_load(&rig.shadow->nested->counts.recycled) > PT_HV_SHADOWS);
	end_guest();
	close_rig();
}

static void what_is_refused_costs_nothing(void **state)
{
	uint64_t handle[PT_HV_NESTS], before;

	(void)state;
	open_rig();
	rig.e->hv.nests = NULL;
	expect(-PT_UNSUPPORTED, CALL(rig.e, CREATE, VTCR_SMALL, UINT64_MAX, 1));
	rig.e->hv.nests = rig.nests;
	for (unsigned i = 0; i < PT_HV_NESTS; i++)
		handle[i] = create_nest();
	before = used();
	for (unsigned i = 0; i < 2 * PT_HV_CONTEXTS; i++)
		expect(-PT_TOO_LARGE, CALL(rig.e, CREATE, VTCR_SMALL, UINT64_MAX, 1));
	assert_int_equal(before, used());
	for (unsigned i = 0; i < PT_HV_NESTS; i++)
		expect(PT_OK, finish(rig.e, CALL(rig.e, DESTROY, handle[i])));
	assert_int_equal(rig.used, used());
	map_guest();
	enter();
	before = used();
	ASSERT_OUTCOME(PT_INVALID, nest_enter(VTTBR, VTCR_39, HCR_VM | 2));
	ASSERT_OUTCOME(PT_UNSUPPORTED, nest_enter(VTTBR, VTCR_39 | UINT64_C(1) << 36, HCR_VM));
	rig.e->hv.features.granules &= (uint8_t)~1;
	ASSERT_OUTCOME(PT_UNSUPPORTED, nest_enter(VTTBR, VTCR_39, HCR_VM));
	rig.e->hv.features.granules |= 1;
	expect(-PT_UNSUPPORTED, GUEST_CALL(NEST_TLBI, IC_IALLU, 0, VTTBR, VTCR_39));
	expect(-PT_INVALID, GUEST_CALL(NEST_TLBI, UINT64_C(1) << 32, 0, VTTBR, VTCR_39));
	expect(-PT_NOT_FOUND, GUEST_CALL(CONTINUE, 1));
	expect(PT_HVC_NO_FUNCTION, GUEST_CALL(UNMAP, rig.context, 0, PT_SZ_4K));
	assert_int_equal(before, used());
	assert_int_equal(0, atomic_load(&rig.nests->nest[0].nested.live));
	end_guest();
	close_rig();
}

static void pages_of_vcpus_are_the_guests(void **state)
{
	struct pt_agent *agent;
	uint64_t pa = 0;

	(void)state;
	open_rig();
	agent = &rig.e->board.agent;
	map_guest();
	enter();
	pt_section_begin(agent);
	ASSERT_OUTCOME(PT_MISALIGNED, pt_hv_nest_page(&rig.e->hv, agent, rig.ctx, HYP + 8, &pa));
	ASSERT_OUTCOME(PT_NO_SLOT, pt_hv_nest_page(&rig.e->hv, agent, rig.ctx, 0, &pa));
	ASSERT_OUTCOME(PT_OUT_OF_RANGE,
		       pt_hv_nest_page(&rig.e->hv, agent, rig.ctx, UINT64_C(1) << 40, &pa));
	ASSERT_OUTCOME(PT_OK, pt_hv_nest_page(&rig.e->hv, agent, rig.ctx, HYP + 0x3000, &pa));
	pt_section_end(agent);
	assert_int_equal(TABLES + 0x3000, pa);
	expect(PT_PROTECTED, CALL(rig.e, PROTECT, rig.context, HYP + 0x3000, PT_SZ_4K, PT_PROT_R));
	pt_section_begin(agent);
	ASSERT_OUTCOME(PT_NO_SLOT, pt_hv_nest_page(&rig.e->hv, agent, rig.ctx, HYP + 0x3000, &pa));
	pt_section_end(agent);
	end_guest();
	close_rig();
}

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	assert_ptr_equal(arg, &rig);
	assert_in_range(pa, FREE_MEMORY, FREE_MEMORY + 0x400000 - size);
}

/* A protected guest: its tables and its guest's memory are its own, to its end. */
static void a_guest_that_owns_its_memory(void **state)
{
	const struct pt_hv_owner_args args = {.wipe = wipe, .arg = &rig};
	struct pt_hv_owners *owners = calloc(1, sizeof(*owners));
	struct pt_nested_result r;
	struct answer a;

	(void)state;
	open_rig();
	assert_non_null(owners);
	ASSERT_OUTCOME(PT_OK, pt_hv_own(&rig.e->hv, &rig.e->board.agent, owners, &args));
	a = CALL(rig.e, RESERVE, 0);
	expect(PT_OK, a);
	rig.context = a.x[0];
	expect(PT_OK, CALL(rig.e, CREATE_GUEST, rig.context, VTCR_SMALL, UINT64_MAX,
			   PT_HVC_PROTECTED, UINT64_MAX));
	expect(PT_OK, finish(rig.e, CALL(rig.e, DONATE_GUEST, rig.context, HYP,
					 TABLE_MAX * PT_SZ_4K, TABLES)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, DONATE_GUEST, rig.context, OUTSIDE, 4 * PT_SZ_4K,
					 FRAMES)));
	enter();
	ASSERT_OUTCOME(PT_OK, nest_enter(VTTBR, VTCR_39, HCR_VM));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED + PT_SZ_4K, PT_ACCESS_WRITE, &r));
	assert_int_equal(FRAMES + PT_SZ_4K, r.pa.v);
	/* What it gives up its guest has no more. */
	expect(PT_OK, GUEST_CALL(BALLOON, OUTSIDE + PT_SZ_4K, PT_SZ_4K));
	assert_false(has_leaf(NESTED + PT_SZ_4K));
	ASSERT_OUTCOME(PT_MAPPED, fault(NESTED, PT_ACCESS_WRITE, &r));
	expect(-PT_BUSY, CALL(rig.e, TEARDOWN, rig.context));
	nest_leave();
	leave();
	expect(PT_OK, finish(rig.e, CALL(rig.e, TEARDOWN, rig.context)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_DYING, rig.context, 0, UINT64_C(1) << 40)));
	assert_false(has_leaf(NESTED));
	expect(PT_OK, finish(rig.e, CALL(rig.e, FINALIZE, rig.context)));
	assert_false(atomic_load(&rig.nests->nest[0].taken));
	assert_null(rig.e->hv.guest[rig.context & 0xff].nest);
	close_rig();
	free(owners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guests_guest_has_what_both_grant),
		cmocka_unit_test(tables_are_faulted_in),
		cmocka_unit_test(addresses_are_translated),
		cmocka_unit_test(tables_are_big_endian),
		cmocka_unit_test(invalidations_go_on_by_their_handle),
		cmocka_unit_test(the_oldest_shadow_makes_room),
		cmocka_unit_test(what_is_refused_costs_nothing),
		cmocka_unit_test(pages_of_vcpus_are_the_guests),
		cmocka_unit_test(a_guest_that_owns_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
