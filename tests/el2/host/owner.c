/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners, by hypercalls of a host and of guests that run: after each transition
 * every party reaches for what it has and what it has not, and the CPU walks the tables of all of
 * them.
 */
#include "host.h"

#define HVO_PA (MEMORY + 6 * BLOCK + 500 * PAGE) /* over the end of a block */

#define EDGE_RAM	RAM
#define EDGE_RAM_BYTES	(RAM_END - RAM)
#define EDGE_IMAGE	UINT64_C(0x40200000)
#define EDGE_IMAGE_PAGE (EDGE_IMAGE + 0xf000)
#define EDGE_POOL	UINT64_C(0x48000000)
#define EDGE_POOL_BYTES (UINT64_C(16) << 20)
#define EDGE_FREE	HVO_PA
#define EDGE_UART	UART
#include "../../unit/hv_owner.h"

#define EC_FETCH_SAME UINT64_C(0x21)
#define EC_DATA_SAME  UINT64_C(0x25)
#define IL	      (UINT64_C(1) << 25)
#define WNR	      (UINT64_C(1) << 6)
#define EXTERNAL      UINT64_C(0x10)
#define OWN_CODE      (MEMORY + 8 * BLOCK) /* copies of the guests' code */
#define LONG	      UINT64_C(1024)	   /* pages: more steps than one */
#define LONG_PA	      (MEMORY + 10 * BLOCK)
#define LONG_IPA      UINT64_C(0x40000000)

/* The reference, where there is most to choose from, does most. */
#if defined(PT_CHECKED) || defined(__clang__) || defined(__ARM_FEATURE_ATOMICS)
#define REFERENCE 0
#else
#define REFERENCE 1
#endif

static int64_t hvo_host_call(uint32_t function, const uint64_t arg[5])
{
	struct answer a = host_finish(host_call(PT_HVC(function), arg));

	hvo.x1 = a.x[0];
	return a.code;
}

/* The answer's x0 and x1, in these registers of the vCPU. */
static struct pt_el2_vcpu *guest_calls(uint64_t handle, uint32_t function, const uint64_t arg[5])
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_call, PT_HVC(function), arg[0], arg[1]);

	memcpy(&v->regs.x[3], arg + 2, 3 * sizeof(arg[0]));
	assert_int_equal(guest_run(handle, v), PT_EL2_VCPU_EXIT);
	return v;
}

static int64_t hvo_guest_call(unsigned guest, uint32_t function, const uint64_t arg[5])
{
	struct pt_el2_vcpu *v = guest_calls(hvo.guest[guest], function, arg);

	for (unsigned i = 0; i < 1000 && v->regs.x[1] == PT_MORE; i++)
		v = guest_calls(hvo.guest[guest], PT_HVC_CONTINUE,
				(const uint64_t[5]){v->regs.x[2]});
	hvo.x1 = v->regs.x[2];
	return (int64_t)v->regs.x[1];
}

static void hvo_look(unsigned party, struct hvo_view *view)
{
	uint64_t who = party == HVO_HOST ? LOOK_HOST : party == HVO_HYP ? LOOK_HYP : party;
	struct answer a = IMAGE_3(CALL_LOOK, who, party < OWN_GUESTS ? HVO_IPA : HVO_PA, HVO_PAGES);

	*view = (struct hvo_view){(uint64_t)a.code, a.x[0], a.x[1]};
	el2_compared += 2 * HVO_PAGES;
}

static void is_external_abort(uint64_t class, uint64_t more, uint64_t address)
{
	assert_int_equal(host_self()->esr, class << 26 | IL | more | EXTERNAL);
	assert_int_equal(host_self()->far, address);
}

static bool hvo_access(uint64_t pa, bool write, uint64_t *value)
{
	bool well;

	if (write) {
		well = host_store(pa, *value);
	} else {
		host_self()->esr = 0;
		*value = host_probe_load(pa);
		well = !host_self()->esr;
	}
	el2_compared++;
	if (!well)
		is_external_abort(EC_DATA_SAME, write ? WNR : 0, pa);
	return well;
}

static bool hvo_guest_store(unsigned guest, uint64_t ipa, uint64_t value)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_store, ipa, value, 0);
	uint64_t why = guest_run(hvo.guest[guest], v);

	el2_compared++;
	if (why == PT_EL2_VCPU_EXIT)
		return true;
	assert_int_equal(why, PT_EL2_VCPU_ABORT);
	assert_int_equal(EC(v->esr), EC_DATA);
	assert_int_equal(v->ipa, ipa);
	return false;
}

/* What it finds there, or all ones where it is stopped. */
static uint64_t guest_finds(uint64_t handle, uint64_t ipa)
{
	struct pt_el2_vcpu *v = guest_vcpu(guest_load, ipa, 0, 0);

	el2_compared++;
	return guest_run(handle, v) == PT_EL2_VCPU_EXIT ? v->regs.x[1] : UINT64_MAX;
}

static uint64_t hvo_owner(uint64_t pa)
{
	struct answer a = CALL(OWNER, pa);

	EXPECT(PT_OK, a);
	return a.x[0];
}

/* Its code: shared, or a copy that is its own. */
static uint64_t hvo_guest_begins(bool protected)
{
	struct answer a = CALL(RESERVE, 0);
	uint64_t g = a.x[0];

	EXPECT(PT_OK, a);
	EXPECT(PT_OK,
	       CALL(CREATE_GUEST, g, VTCR_SMALL, UINT64_MAX, protected ? PT_HVC_PROTECTED : 0));
	if (!protected) {
		EXPECT(PT_OK, CALL(SHARE_GUEST, g, CODE, PAGE, (uintptr_t)guest_code, RX));
		return g;
	}
	memcpy(host_memory(OWN_CODE), guest_code, PAGE);
	EXPECT(PT_OK, CALL(DONATE_GUEST, g, CODE, PAGE, OWN_CODE));
	return g;
}

static void hvo_guest_ends(uint64_t handle)
{
	EXPECT(-PT_WRONG_STATE, CALL(FINALIZE, handle));
	EXPECT(PT_OK, host_finish(CALL(RECLAIM_DYING, handle, 0, HVO_IPA)));
	EXPECT(PT_OK, host_finish(CALL(FINALIZE, handle)));
	EXPECT(-PT_NOT_FOUND, CALL(RUN, handle, (uintptr_t)&host_self()->vcpu));
}

static void clear(void)
{
	for (uint64_t i = 0; i < HVO_PAGES; i++)
		*host_memory(hvo_pa(i)) = 0;
}

static void begin(void)
{
	clear();
	hvo_begin();
}

static void owners_in_kvms_sequence(void **state)
{
	(void)state;
	clear();
	hvo_selftest();
}

static void owners_and_every_edge(void **state)
{
	int64_t used;

	(void)state;
	begin();
	hvo_edges(); /* what the host's tables keep */
	used = IMAGE(CALL_USED, 0).code;
	hvo_edges();
	assert_int_equal(IMAGE(CALL_USED, 0).code, used);
	hvo_end();
}

static void owners_lend(void **state)
{
	(void)state;
	begin();
	hvo_lendings();
	hvo_end();
}

static void owners_at_random(void **state)
{
	const char *seed = getenv("PTD_SEED"), *cpu = getenv("CPU");
	bool most = REFERENCE && cpu && !strcmp(cpu, "max");

	(void)state;
	begin();
	hvo_play(seed ? strtoull(seed, NULL, 0) : 20261121, most ? 2500 : 250);
	hvo_end();
}

/* A page goes from hand to hand, and everybody loads, stores or fetches. */
static void owners_and_nobody_else_reach_a_page(void **state)
{
	uint64_t plain, guest, page = hvo_pa(3), ipa = hvo_ipa(3);

	(void)state;
	begin();
	plain = hvo.guest[HVO_PLAIN];
	guest = hvo.guest[HVO_OWNING];
	assert_true(host_store(page, 4711));
	assert_true(host_store(page + PAGE - 8, 4712));
	/* hyp sees what it has pinned, and what it owns. */
	EXPECT(PT_OK, CALL(SHARE_HYP, page, PAGE));
	EXPECT(PT_OK, CALL(PIN, page, PAGE));
	assert_int_equal(IMAGE(CALL_WORD, page).code, 4711);
	EXPECT(-PT_BUSY, CALL(UNSHARE_HYP, page, PAGE));
	EXPECT(PT_OK, CALL(UNPIN, page, PAGE));
	assert_int_equal(IMAGE_3(CALL_LOOK, LOOK_HYP, page, 1).code, 0);
	EXPECT(PT_OK, CALL(UNSHARE_HYP, page, PAGE));
	EXPECT(PT_OK, CALL(DONATE_HYP, page, PAGE));
	assert_int_equal(IMAGE(CALL_WORD, page).code, 4711);
	assert_false(host_load(page + 8));
	is_external_abort(EC_DATA_SAME, 0, page + 8);
	assert_false(host_store(page, 1));
	is_external_abort(EC_DATA_SAME, WNR, page);
	assert_false(host_exec(page));
	is_external_abort(EC_FETCH_SAME, 0, page);
	assert_int_equal(IMAGE(CALL_WORD, page).code, 4711);
	EXPECT(PT_OK, CALL(RETURN_HYP, page, PAGE));
	assert_int_equal(host_probe_load(page), 0);
	assert_int_equal(host_probe_load(page + PAGE - 8), 0);
	/* A plain guest: what it borrows, as it was lent. */
	*host_memory(page) = 815;
	EXPECT(PT_OK, CALL(SHARE_GUEST, plain, ipa, PAGE, page, PT_PROT_R));
	assert_int_equal(guest_finds(plain, ipa), 815);
	assert_false(hvo_guest_store(HVO_PLAIN, ipa, 1));
	EXPECT(PT_RELAXED, CALL(PROTECT, plain, ipa, PAGE, RW));
	assert_true(hvo_guest_store(HVO_PLAIN, ipa, 816));
	assert_int_equal(*host_memory(page), 816);
	EXPECT(PT_OK, CALL(UNSHARE_GUEST, plain, ipa, PAGE));
	assert_int_equal(guest_finds(plain, ipa), UINT64_MAX);
	/* A guest that owns it, shares it, and gives it up. */
	assert_true(host_store(page, 816));
	EXPECT(PT_OK, CALL(DONATE_GUEST, guest, ipa, PAGE, page));
	assert_false(host_load(page));
	assert_int_equal(guest_finds(guest, ipa), 816);
	assert_true(hvo_guest_store(HVO_OWNING, ipa, 817));
	assert_int_equal(
		guest_calls(guest, PT_HVC_SHARE_BACK, (const uint64_t[5]){ipa, PAGE})->regs.x[1],
		PT_OK);
	assert_int_equal(host_probe_load(page), 817);
	assert_true(host_store(page, 818));
	assert_int_equal(guest_finds(guest, ipa), 818);
	assert_int_equal(
		guest_calls(guest, PT_HVC_UNSHARE_BACK, (const uint64_t[5]){ipa, PAGE})->regs.x[1],
		PT_OK);
	assert_false(host_load(page));
	assert_int_equal(
		guest_calls(guest, PT_HVC_BALLOON, (const uint64_t[5]){ipa, PAGE})->regs.x[1],
		PT_OK);
	assert_int_equal(guest_finds(guest, ipa), UINT64_MAX);
	assert_int_equal(host_probe_load(page), 0);
	hvo_end();
}

/* Taken by the host's access alone, where it may; what the guest finds then is poison. */
static void owners_are_robbed_where_that_is_allowed(void **state)
{
	uint64_t guest, page = hvo_pa(5), ipa = hvo_ipa(5);
	struct pt_el2_vcpu *v;

	(void)state;
	begin();
	guest = hvo.guest[HVO_OWNING];
	*host_memory(page) = 4711;
	EXPECT(PT_OK, CALL(DONATE_GUEST, guest, ipa, PAGE, page));
	EXPECT(PT_OK, CALL(DONATE_HYP, page + PAGE, PAGE));
	assert_false(host_load(page));
	(void)IMAGE(CALL_FORCE, 1);
	assert_int_equal(host_probe_load(page), 0);
	assert_false(host_load(page + PAGE));
	(void)IMAGE(CALL_FORCE, 0);
	v = guest_vcpu(guest_load, ipa, 0, 0);
	assert_int_equal(guest_run(guest, v), PT_EL2_VCPU_ABORT);
	assert_int_equal((int)v->outcome, PT_WRONG_OWNER);
	EXPECT(-PT_POISONED, CALL(DONATE_GUEST, guest, ipa, PAGE, page));
	EXPECT(PT_OK, CALL(RETURN_HYP, page + PAGE, PAGE));
	hvo_end();
}

/* The host forgets its call; it is carried on by the access of a CPU that comes to its last page.
 */
static void owners_change_in_steps(void **state)
{
	uint64_t guest, last = LONG_PA + (LONG - 1) * PAGE;
	struct pt_el2_vcpu *v;
	struct answer a;

	(void)state;
	begin();
	guest = hvo.guest[HVO_OWNING];
	*host_memory(last) = 4711;
	a = CALL(DONATE_GUEST, guest, LONG_IPA, LONG * PAGE, LONG_PA, PT_HVC_WIPE);
	for (; host_load(last); a = CALL(CONTINUE, a.x[0]))
		EXPECT(PT_MORE, a); /* it is the host's until the commit point */
	assert_int_equal(guest_finds(guest, LONG_IPA + (LONG - 1) * PAGE), 0);
	/* The guest's own: its handle is of no use to another. */
	v = guest_calls(guest, PT_HVC_BALLOON, (const uint64_t[5]){LONG_IPA, LONG * PAGE});
	assert_int_equal(v->regs.x[1], PT_MORE);
	a.x[0] = v->regs.x[2];
	EXPECT(-PT_NOT_FOUND, CALL(CONTINUE, a.x[0]));
	v = guest_calls(hvo.guest[HVO_PLAIN], PT_HVC_CONTINUE, (const uint64_t[5]){a.x[0]});
	assert_int_equal((int64_t)v->regs.x[1], -PT_NOT_FOUND);
	do
		v = guest_calls(guest, PT_HVC_CONTINUE, (const uint64_t[5]){a.x[0]});
	while (v->regs.x[1] == PT_MORE);
	assert_int_equal(v->regs.x[1], PT_OK);
	assert_int_equal(host_probe_load(last), 0);
	assert_int_equal(guest_finds(guest, LONG_IPA), UINT64_MAX);
	hvo_end();
}

/* EL2 writes a vCPU into nobody's page but the host's. */
static void owners_lend_no_page_to_a_vcpu(void **state)
{
	uint64_t guest, context, page = hvo_pa(7);

	(void)state;
	begin();
	guest = hvo.guest[HVO_OWNING];
	context = hvo.guest[HVO_PLAIN];
	memcpy(host_memory(page), guest_vcpu(guest_mode, 0, 0, 0), sizeof(struct pt_el2_vcpu));
	EXPECT(PT_OK, CALL(RUN, context, page));
	EXPECT(PT_OK, CALL(DONATE_GUEST, guest, hvo_ipa(7), PAGE, page));
	EXPECT(-PT_WRONG_OWNER, CALL(RUN, context, page));
	EXPECT(-PT_WRONG_OWNER, CALL(RUN, guest, page));
	/* It is on its way: the call carries that on. */
	memcpy(host_memory(LONG_PA), guest_vcpu(guest_mode, 0, 0, 0), sizeof(struct pt_el2_vcpu));
	EXPECT(PT_MORE, CALL(DONATE_GUEST, guest, LONG_IPA, LONG * PAGE, LONG_PA, PT_HVC_WIPE));
	assert_int_equal(guest_run(context, (struct pt_el2_vcpu *)host_memory(LONG_PA)),
			 -PT_WRONG_OWNER);
	EXPECT(PT_OK, CALL(TEARDOWN, guest));
	EXPECT(PT_OK, host_finish(CALL(RECLAIM_DYING, guest, 0, UINT64_C(1) << 40)));
	EXPECT(PT_OK, host_finish(CALL(FINALIZE, guest)));
	hvo.guest[HVO_OWNING] = hvo_guest_begins(true);
	hvo_end();
}

const struct CMUnitTest host_owner_tests[] = {
	cmocka_unit_test(owners_and_nobody_else_reach_a_page),
	cmocka_unit_test(owners_in_kvms_sequence),
	cmocka_unit_test(owners_and_every_edge),
	cmocka_unit_test(owners_lend),
	cmocka_unit_test(owners_are_robbed_where_that_is_allowed),
	cmocka_unit_test(owners_change_in_steps),
	cmocka_unit_test(owners_lend_no_page_to_a_vcpu),
	cmocka_unit_test(owners_at_random),
};
const size_t host_owner_count = sizeof(host_owner_tests) / sizeof(host_owner_tests[0]);
