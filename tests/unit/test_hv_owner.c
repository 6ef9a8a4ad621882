/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with owners at EL2: transitions by hypercall, of a host and of guests, beside the
 * model; long ones; the life of guests; what is a stranger's argument; aborts that take by force.
 */
#include "hv_fixture.h"

#define HVO_PA		(FREE_MEMORY + 0x1f0000) /* over the end of a block */
#define EDGE_RAM	BOARD_LOW
#define EDGE_RAM_BYTES	(UINT64_C(64) << 20)
#define EDGE_IMAGE	BOARD_LOW
#define EDGE_IMAGE_PAGE (BOARD_LOW + 0x2f000)
#define EDGE_POOL	BOARD_POOL
#define EDGE_POOL_BYTES BOARD_BYTES
#define EDGE_FREE	HVO_PA
#define EDGE_UART	BOARD_UART
#include "hv_owner.h"

#define CODE_IPA UINT64_C(0x1000)
#define CODE	 (FREE_MEMORY + 0x1000) /* of plain guests; those that own it get other pages */
#define LONG	 UINT64_C(2048)		/* pages */
#define LONG_PA	 (FREE_MEMORY + 0x800000)
#define ANY	 UINT64_C(0x800000)

static struct {
	struct el2 *e;
	struct pt_hv_owners *owners;
	uint64_t held[HVO_PAGES], wiped, codes;
} rig;

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	assert_ptr_equal(arg, &rig);
	assert_in_range(size, 1, PT_WIPE_BYTES);
	for (uint64_t at = pa; at < pa + size; at += HVO_PAGE, rig.wiped++) {
		board_expect_none(&rig.e->board, board_linear(&rig.e->board, at));
		if (at - HVO_PA < HVO_PAGES * HVO_PAGE)
			rig.held[(at - HVO_PA) / HVO_PAGE] = 0;
	}
}

static void open_rig(bool force)
{
	const struct pt_hv_owner_args args = {.wipe = wipe, .arg = &rig, .force = force};

	memset(&rig, 0, sizeof(rig));
	memset(&hvo, 0, sizeof(hvo));
	rig.e = el2_open();
	rig.owners = calloc(1, sizeof(*rig.owners));
	assert_non_null(rig.owners);
	ASSERT_OUTCOME(PT_OK, pt_hv_own(&rig.e->hv, &rig.e->board.agent, rig.owners, &args));
}

static void close_rig(void)
{
	el2_close(rig.e);
	free(rig.owners);
}

static int64_t hvo_host_call(uint32_t function, const uint64_t arg[5])
{
	struct answer a = call_on(rig.e, &rig.e->board.agent, PT_HV_HOST, PT_HVC(function), arg);

	a = finish(rig.e, a);
	hvo.x1 = a.x[0];
	return a.code;
}

static struct pt_ctx *ctx_of(unsigned guest)
{
	return &rig.e->hv.guest[guest].ctx;
}

static struct pt_ctx *enter(uint64_t handle)
{
	struct pt_ctx *ctx = NULL;

	ASSERT_OUTCOME(PT_OK, pt_hv_enter(&rig.e->hv, &rig.e->board.agent, handle, &ctx));
	return ctx;
}

static void leave(struct pt_ctx *ctx)
{
	pt_hv_leave(&rig.e->hv, &rig.e->board.agent, ctx);
}

static struct answer guest_call(uint64_t handle, uint32_t function, const uint64_t arg[5])
{
	struct pt_ctx *ctx = enter(handle);
	struct answer a = call_on(rig.e, &rig.e->board.agent, PT_HV_GUEST, PT_HVC(function), arg);

	leave(ctx);
	return a;
}

static struct answer guest_goes_on(uint64_t handle, uint64_t op)
{
	return guest_call(handle, PT_HVC_CONTINUE, (const uint64_t[5]){op});
}

static int64_t hvo_guest_call(unsigned guest, uint32_t function, const uint64_t arg[5])
{
	struct answer a = guest_call(hvo.guest[guest], function, arg);

	for (unsigned i = 0; i < 1000 && a.code == PT_MORE; i++)
		a = guest_goes_on(hvo.guest[guest], a.x[0]);
	hvo.x1 = a.x[0];
	return a.code;
}

/* A leaf of these tables, or 0. */
static pt_pte leaf_at(struct pt_ctx *ctx, uint64_t ipa, uint64_t *pa)
{
	pt_pte e = 0;
	int level;

	pt_section_begin(&rig.e->board.agent);
	ASSERT_OUTCOME(PT_OK, pt_get_leaf(ctx, pt_ipa(ipa), &e, &level));
	pt_section_end(&rig.e->board.agent);
	if (!pt_pte_valid(e))
		return 0;
	*pa = pt_pte_to_oa(&ctx->geo, e).v + (ipa & (pt_level_size(&ctx->geo, level) - 1));
	return e;
}

static void hvo_look(unsigned party, struct hvo_view *view)
{
	struct board *b = &rig.e->board;

	*view = (struct hvo_view){0};
	for (uint64_t i = 0; i < HVO_PAGES; i++) {
		uint64_t pa = 0;
		pt_pte e;

		if (party == HVO_HYP)
			e = board_leaf(b, board_linear(b, hvo_pa(i)), &pa);
		else if (party == HVO_HOST)
			e = leaf_at(&rig.e->hv.host.ctx, hvo_pa(i), &pa);
		else
			e = leaf_at(ctx_of(party), hvo_ipa(i), &pa);
		if (!e)
			continue;
		view->read |= UINT64_C(1) << i;
		view->write |=
			(uint64_t)(party == HVO_HYP ? !(e & PT_HYP_AP_RO) : !!(e & PT_PTE_S2AP_W))
			<< i;
		view->frames += (i + 1) * pa;
	}
}

static enum pt_outcome touch(uint64_t pa, enum pt_access access)
{
	struct pt_fault_result r;
	enum pt_outcome outcome = PT_RACED;

	for (unsigned i = 0; i < 1000 && outcome == PT_RACED; i++)
		outcome = fault_on(rig.e, &rig.e->board.agent, &rig.e->hv.host.ctx, pa, access, &r);
	return outcome;
}

static bool hvo_access(uint64_t pa, bool write, uint64_t *value)
{
	uint64_t *held = &rig.held[(pa - HVO_PA) / HVO_PAGE];
	enum pt_outcome outcome = touch(pa, write ? PT_ACCESS_WRITE : PT_ACCESS_READ);

	if (outcome == PT_WRONG_OWNER)
		return false;
	assert_true(outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED);
	if (write)
		*held = *value;
	else
		*value = *held;
	return true;
}

static bool hvo_guest_store(unsigned guest, uint64_t ipa, uint64_t value)
{
	uint64_t pa = 0;
	pt_pte e = leaf_at(ctx_of(guest), ipa, &pa);
	struct pt_ctx *ctx = enter(hvo.guest[guest]);
	struct pt_fault_result r;
	enum pt_outcome outcome =
		fault_on(rig.e, &rig.e->board.agent, ctx, ipa, PT_ACCESS_WRITE, &r);

	leave(ctx);
	if (!(e & PT_PTE_S2AP_W)) {
		assert_true(pt_is_error(outcome) || outcome == PT_DENIED || outcome == PT_NO_SLOT);
		return false;
	}
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, outcome);
	rig.held[(pa - HVO_PA) / HVO_PAGE] = value;
	return true;
}

static uint64_t hvo_owner(uint64_t pa)
{
	struct answer a = CALL(rig.e, OWNER, pa);

	expect(PT_OK, a);
	return a.x[0];
}

static uint64_t reserve(void)
{
	struct answer a = CALL(rig.e, RESERVE, 0);

	expect(PT_OK, a);
	return a.x[0];
}

static uint64_t hvo_guest_begins(bool protected)
{
	uint64_t g = reserve();

	expect(PT_OK, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, UINT64_MAX,
			   protected ? PT_HVC_PROTECTED : 0));
	if (protected)
		expect(PT_OK, CALL(rig.e, DONATE_GUEST, g, CODE_IPA, HVO_PAGE,
				   CODE + ++rig.codes * HVO_PAGE));
	else
		expect(PT_OK, CALL(rig.e, SHARE_GUEST, g, CODE_IPA, HVO_PAGE, CODE,
				   PT_PROT_R | PT_PROT_X));
	return g;
}

static void hvo_guest_ends(uint64_t handle)
{
	expect(-PT_WRONG_STATE, CALL(rig.e, FINALIZE, handle));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_DYING, handle, 0, HVO_IPA)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, FINALIZE, handle)));
	expect(-PT_NOT_FOUND, CALL(rig.e, FINALIZE, handle));
}

static void the_sequence_and_what_is_refused_in_it(void **state)
{
	(void)state;
	open_rig(false);
	hvo_selftest();
	close_rig();
}

static void every_edge_has_its_answer(void **state)
{
	uint64_t used;

	(void)state;
	open_rig(false);
	hvo_begin();
	hvo_edges(); /* what the host's tables keep */
	used = atomic_load(&rig.e->board.world.pool.used_bytes);
	hvo_edges();
	assert_int_equal(atomic_load(&rig.e->board.world.pool.used_bytes), used);
	hvo_end();
	close_rig();
}

static void memory_is_lent(void **state)
{
	(void)state;
	open_rig(false);
	hvo_begin();
	hvo_lendings();
	hvo_same_records();
	hvo_end();
	close_rig();
}

/* The host gives frames for a guest's tables, and has them back when it is empty. */
static void a_guest_is_topped_up(void **state)
{
	uint64_t g, page = HVO_PA + 4 * HVO_PAGE;

	(void)state;
	open_rig(false);
	g = reserve();
	expect(PT_OK, CALL(rig.e, TOP_UP, g, page, HVO_PAGE));
	ASSERT_OUTCOME(PT_WRONG_OWNER, touch(page, PT_ACCESS_READ));
	expect(-PT_WRONG_OWNER, CALL(rig.e, RETURN_HYP, page, HVO_PAGE));
	expect(-PT_WRONG_STATE, CALL(rig.e, FINALIZE, g));
	/* Its quota is what it was given: the start tables are no part of it. */
	expect(PT_OK, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, 0, 0));
	expect(-PT_QUOTA, CALL(rig.e, SHARE_GUEST, g, HVO_IPA, HVO_PAGE, HVO_PA, PT_PROT_R));
	expect(PT_OK, CALL(rig.e, TOP_UP, g, page + HVO_PAGE, HVO_PAGE));
	expect(PT_OK, CALL(rig.e, SHARE_GUEST, g, HVO_IPA, HVO_PAGE, HVO_PA, PT_PROT_R));
	expect(-PT_WRONG_STATE, finish(rig.e, CALL(rig.e, RECLAIM_TABLES, g)));
	expect(PT_OK, CALL(rig.e, TEARDOWN, g));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_DYING, g, HVO_IPA, HVO_PAGE)));
	expect(-PT_WRONG_STATE, finish(rig.e, CALL(rig.e, FINALIZE, g)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_TABLES, g)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, FINALIZE, g)));
	ASSERT_OUTCOME(PT_MAPPED, touch(page, PT_ACCESS_READ));
	close_rig();
}

static void random_transitions(void **state)
{
	(void)state;
	open_rig(false);
	hvo_begin();
	hvo_play(core_seed(), 1000);
	hvo_end();
	close_rig();
}

static struct answer donate_long(uint64_t g)
{
	return CALL(rig.e, DONATE_GUEST, g, 0x40000000, LONG * HVO_PAGE, LONG_PA, PT_HVC_WIPE);
}

/* Each call holds its CPU for one step; the handle is the caller's alone. */
static void long_ones_go_on_by_their_handle(void **state)
{
	uint64_t g[2], before;
	struct answer a;

	(void)state;
	open_rig(false);
	for (unsigned i = 0; i < 2; i++)
		g[i] = hvo_guest_begins(true);
	rig.wiped = 0;
	a = donate_long(g[0]);
	for (unsigned calls = 1; a.code == PT_MORE; calls++, a = CALL(rig.e, CONTINUE, a.x[0])) {
		assert_in_range(calls, 1, 1000);
		expect(-PT_NOT_FOUND, guest_goes_on(g[0], a.x[0]));
		before = rig.wiped;
	}
	expect(PT_OK, a);
	assert_int_equal(rig.wiped, LONG);
	assert_true(before > 0);
	/* A guest's. */
	a = guest_call(g[0], PT_HVC_BALLOON, (const uint64_t[5]){0x40000000, LONG * HVO_PAGE});
	expect(PT_MORE, a);
	expect(-PT_NOT_FOUND, guest_goes_on(g[1], a.x[0]));
	expect(-PT_NOT_FOUND, CALL(rig.e, CONTINUE, a.x[0]));
	for (unsigned i = 0; i < 1000 && a.code == PT_MORE; i++)
		a = guest_goes_on(g[0], a.x[0]);
	expect(PT_OK, a);
	assert_int_equal(rig.wiped, 2 * LONG);
	close_rig();
}

/* Nobody continues it: a CPU of the host that touches the last page does. */
static void who_meets_a_transition_carries_it_on(void **state)
{
	uint64_t g, handle;
	struct answer a;

	(void)state;
	open_rig(false);
	g = hvo_guest_begins(true);
	a = donate_long(g);
	expect(PT_MORE, a);
	handle = a.x[0];
	ASSERT_OUTCOME(PT_WRONG_OWNER, touch(LONG_PA + (LONG - 1) * HVO_PAGE, PT_ACCESS_READ));
	assert_int_equal(hvo_owner(LONG_PA) & 0xf, PT_OWNER_GUEST);
	a = CALL(rig.e, OWNER, LONG_PA + 5 * HVO_PAGE);
	assert_int_equal(a.x[1], g);
	assert_int_equal(a.x[2], 0x40000000 + 5 * HVO_PAGE);
	expect(PT_OK, CALL(rig.e, CONTINUE, handle)); /* which waits to be asked for */
	close_rig();
}

static void a_guest_lives_and_ends(void **state)
{
	uint64_t g, used, handles[PT_HV_CONTEXTS];
	struct pt_ctx *ctx;

	(void)state;
	open_rig(false);
	g = hvo_guest_begins(true); /* what the host's tables and the ledger keep */
	expect(PT_OK, CALL(rig.e, TEARDOWN, g));
	hvo_guest_ends(g);
	used = atomic_load(&rig.e->board.world.pool.used_bytes);
	g = reserve();
	expect(-PT_WRONG_STATE, CALL(rig.e, TEARDOWN, g));
	expect(-PT_INVALID, CALL(rig.e, CREATE_GUEST, g, 0, 1, 0));
	expect(-PT_INVALID, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, 1, 2));
	expect(-PT_NOT_FOUND, CALL(rig.e, CREATE_GUEST, g + 1, VTCR_SMALL, 1, 0));
	expect(-PT_NOT_FOUND, CALL(rig.e, MAP, g, 0, HVO_PAGE, CODE, PT_PROT_RW));
	expect(-PT_WRONG_STATE, CALL(rig.e, DONATE_GUEST, g, 0, HVO_PAGE, CODE));
	expect(PT_OK, CALL(rig.e, FINALIZE, g));
	expect(-PT_NOT_FOUND, CALL(rig.e, FINALIZE, g));
	g = hvo_guest_begins(true);
	expect(-PT_WRONG_STATE, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, UINT64_MAX, 0));
	expect(-PT_WRONG_STATE, CALL(rig.e, FINALIZE, g));
	expect(-PT_WRONG_STATE, CALL(rig.e, RECLAIM_DYING, g, 0, HVO_PAGE));
	ctx = enter(g);
	expect(-PT_BUSY, CALL(rig.e, TEARDOWN, g));
	leave(ctx);
	expect(PT_OK, CALL(rig.e, TEARDOWN, g));
	expect(-PT_WRONG_STATE, CALL(rig.e, TEARDOWN, g));
	expect(-PT_WRONG_STATE, CALL(rig.e, DONATE_GUEST, g, 0, HVO_PAGE, CODE));
	ASSERT_OUTCOME(PT_NOT_FOUND, pt_hv_enter(&rig.e->hv, &rig.e->board.agent, g, &ctx));
	hvo_guest_ends(g);
	/* The place is taken again, and the old handle names nobody. */
	assert_int_equal(reserve() & 0xff, g & 0xff);
	expect(-PT_NOT_FOUND, CALL(rig.e, TEARDOWN, g));
	for (unsigned i = 1; i < PT_HV_CONTEXTS; i++)
		handles[i] = reserve();
	expect(-PT_BUSY, CALL(rig.e, RESERVE, 0));
	expect(PT_OK, CALL(rig.e, FINALIZE, handles[7]));
	assert_int_equal(reserve(), handles[7] + 0x100);
	assert_int_equal(atomic_load(&rig.e->board.world.pool.used_bytes), used);
	close_rig();
}

/* It has these in no place: what makes contexts, and maps memory for hyp, past the owners. */
static void owners_are_asked_everywhere(void **state)
{
	uint64_t g, word;

	(void)state;
	open_rig(false);
	g = hvo_guest_begins(false);
	expect(-PT_UNSUPPORTED, CALL(rig.e, CREATE, VTCR_SMALL, 1));
	expect(-PT_UNSUPPORTED, CALL(rig.e, DESTROY, g));
	expect(-PT_UNSUPPORTED, CALL(rig.e, HYP_MAP, CODE, HVO_PAGE, PT_PROT_RW));
	expect(-PT_UNSUPPORTED, CALL(rig.e, HYP_UNMAP, CODE, HVO_PAGE));
	expect(PT_MAPPED, CALL(rig.e, HYP_DEVICE, BOARD_UART + 0x20000, HVO_PAGE,
			       PT_PROT(PT_PROT_RW, PT_MEM_DEVICE)));
	word = CALL(rig.e, VERSION, 0).x[1];
	assert_true(word & PT_HV_OWNING);
	/* A guest has what it was given, at any address. */
	expect(-PT_WRONG_OWNER, CALL(rig.e, MAP, g, ANY, HVO_PAGE, LONG_PA, PT_PROT_RW));
	expect(-PT_WRONG_OWNER, CALL(rig.e, UNMAP, g, CODE_IPA, HVO_PAGE));
	expect(PT_NO_SLOT, CALL(rig.e, FAULT, g, ANY, PT_ACCESS_READ));
	expect(PT_OK, CALL(rig.e, SET_SLOT, g, ANY, HVO_PAGE, LONG_PA, 12 << 8));
	expect(-PT_WRONG_OWNER, CALL(rig.e, FAULT, g, ANY, PT_ACCESS_READ));
	expect(PT_OK, CALL(rig.e, SHARE_GUEST, g, ANY, HVO_PAGE, LONG_PA, PT_PROT_R));
	expect(PT_RELAXED, CALL(rig.e, PROTECT, g, ANY, HVO_PAGE, PT_PROT_RW));
	g = hvo_guest_begins(true);
	expect(-PT_WRONG_OWNER, CALL(rig.e, PROTECT, g, CODE_IPA, HVO_PAGE, PT_PROT_R));
	/* EL2's own. */
	assert_int_equal(hvo_owner(BOARD_LOW), PT_OWNER_HYP | PT_PAGE_NOPAGE << 4);
	expect(-PT_WRONG_OWNER, CALL(rig.e, RETURN_HYP, BOARD_POOL, HVO_PAGE));
	expect(-PT_OUT_OF_RANGE, CALL(rig.e, OWNER, BOARD_UART));
	close_rig();
}

/* What EL2 uses of the host's it can only use while it is the host's. */
static void a_page_in_use_is_the_hosts(void **state)
{
	struct pt_agent *agent;
	uint64_t g;

	(void)state;
	open_rig(false);
	agent = &rig.e->board.agent;
	g = hvo_guest_begins(true);
	pt_section_begin(agent);
	ASSERT_OUTCOME(PT_OK, pt_hv_use(&rig.e->hv, agent, LONG_PA));
	pt_section_end(agent);
	expect(PT_MORE, donate_long(g));
	pt_section_begin(agent);
	ASSERT_OUTCOME(PT_RACED, pt_hv_use(&rig.e->hv, agent, LONG_PA));
	pt_section_end(agent);
	ASSERT_OUTCOME(PT_WRONG_OWNER, touch(LONG_PA, PT_ACCESS_WRITE));
	pt_section_begin(agent);
	ASSERT_OUTCOME(PT_WRONG_OWNER, pt_hv_use(&rig.e->hv, agent, LONG_PA));
	ASSERT_OUTCOME(PT_NO_SLOT, pt_hv_use(&rig.e->hv, agent, BOARD_POOL));
	pt_section_end(agent);
	close_rig();
}

/* The host is allowed to take by force what it touches: but not hyp's, nor what is shared with it.
 */
static void an_abort_takes_by_force(void **state)
{
	uint64_t g;

	(void)state;
	open_rig(true);
	g = hvo_guest_begins(true);
	expect(PT_OK, CALL(rig.e, DONATE_GUEST, g, ANY, 2 * HVO_PAGE, LONG_PA));
	expect(PT_OK, CALL(rig.e, DONATE_HYP, CODE, HVO_PAGE));
	rig.wiped = 0;
	ASSERT_OUTCOME(PT_MAPPED, touch(LONG_PA + HVO_PAGE, PT_ACCESS_READ));
	assert_int_equal(rig.wiped, 1);
	assert_int_equal(hvo_owner(LONG_PA) & 0xf, PT_OWNER_GUEST);
	assert_int_equal(hvo_owner(LONG_PA + HVO_PAGE), PT_OWNER_HOST | PT_PAGE_NOPAGE << 8);
	expect(-PT_POISONED,
	       CALL(rig.e, DONATE_GUEST, g, ANY + HVO_PAGE, HVO_PAGE, LONG_PA + 2 * HVO_PAGE));
	ASSERT_OUTCOME(PT_WRONG_OWNER, touch(CODE, PT_ACCESS_READ));
	close_rig();
}

/* A top-up is under way: a guest that is reserved is not created, `times`; then it lives and ends.
 */
static void be_refused(unsigned times)
{
	uint64_t g = reserve();
	struct answer a = CALL(rig.e, TOP_UP, g, LONG_PA, LONG * HVO_PAGE);

	for (expect(PT_MORE, a); times; times--)
		expect(-PT_BUSY, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, 1, 0));
	expect(PT_OK, finish(rig.e, a));
	expect(PT_OK, CALL(rig.e, CREATE_GUEST, g, VTCR_SMALL, 1, 0));
	expect(PT_OK, CALL(rig.e, TEARDOWN, g));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_TABLES, g)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, FINALIZE, g)));
}

static void a_guest_that_is_refused_costs_nothing(void **state)
{
	uint64_t used;

	(void)state;
	open_rig(false);
	be_refused(0); /* what the host's tables and the ledger keep */
	used = atomic_load(&rig.e->board.world.pool.used_bytes);
	be_refused(3);
	assert_int_equal(atomic_load(&rig.e->board.world.pool.used_bytes), used);
	close_rig();
}

/* A guest dies that has lent two pages, which nobody has, and there is no memory for the index to
 * say that they are its own again: they stay lent, and are so no more when FINALIZE finds some. */
static void who_dies_without_memory_ends_later(void **state)
{
	const uint64_t at = 0x40000000, size = 2 * HVO_PAGE;
	uint64_t g, borrower;
	struct answer a;

	(void)state;
	open_rig(false);
	g = hvo_guest_begins(true);
	borrower = hvo_guest_begins(true);
	for (unsigned i = 0; i < 2; i++)
		expect(PT_OK, CALL(rig.e, DONATE_GUEST, g, at + i * HVO_PAGE, HVO_PAGE,
				   LONG_PA + 3 * i * HVO_PAGE));
	a = guest_call(g, PT_HVC_LEND, (const uint64_t[5]){size, borrower});
	expect(PT_OK, a);
	expect(PT_OK, guest_call(g, PT_HVC_LEND_PIECE, (const uint64_t[5]){a.x[0], at, size}));
	atomic_store(&rig.owners->store.quota_pages, pt_store_pages(&rig.owners->store));
	expect(-PT_QUOTA, finish(rig.e, CALL(rig.e, TEARDOWN, g)));
	expect(-PT_WRONG_STATE, CALL(rig.e, TEARDOWN, g));
	expect(-PT_BUSY, finish(rig.e, CALL(rig.e, RECLAIM_DYING, g, at, size)));
	expect(-PT_QUOTA, finish(rig.e, CALL(rig.e, FINALIZE, g)));
	atomic_store(&rig.owners->store.quota_pages, UINT64_MAX);
	expect(-PT_WRONG_STATE, finish(rig.e, CALL(rig.e, FINALIZE, g)));
	expect(PT_OK, finish(rig.e, CALL(rig.e, RECLAIM_DYING, g, at, size)));
	hvo_guest_ends(g);
	close_rig();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sequence_and_what_is_refused_in_it),
		cmocka_unit_test(every_edge_has_its_answer),
		cmocka_unit_test(memory_is_lent),
		cmocka_unit_test(a_guest_is_topped_up),
		cmocka_unit_test(random_transitions),
		cmocka_unit_test(long_ones_go_on_by_their_handle),
		cmocka_unit_test(who_meets_a_transition_carries_it_on),
		cmocka_unit_test(a_guest_lives_and_ends),
		cmocka_unit_test(a_guest_that_is_refused_costs_nothing),
		cmocka_unit_test(who_dies_without_memory_ends_later),
		cmocka_unit_test(owners_are_asked_everywhere),
		cmocka_unit_test(a_page_in_use_is_the_hosts),
		cmocka_unit_test(an_abort_takes_by_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
