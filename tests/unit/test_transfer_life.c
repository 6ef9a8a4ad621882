/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a guest, each call in each of its states, and the memory that the host gives for its
 * tables: how far it reaches, and that it comes back. */
#include "transfer_fixture.h"

#define UNITS  40u
#define SAFE   1u
#define OTHER  2u
#define FOURTH 3u /* the first that the rig has not reserved */

static struct transfer_rig rig;

static void open_rig(void)
{
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M, PT_SZ_1G);
}

static enum pt_outcome do_one(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn,
			      uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	return rig_run(&rig, &op, 1, 0);
}

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1)); /* in both, and in the smallest steps */
}

static enum pt_outcome tear_down(unsigned g)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_guest_teardown(&rig.owners, g);
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(own_teardown(&rig.model, g), outcome);
	return outcome;
}

/* Without what it was topped up with going back before. */
static enum pt_outcome finalize_alone(uint32_t guest)
{
	return rig_finalize_alone(&rig, guest, 1);
}

static void reserve(void)
{
	uint32_t handle;
	unsigned g;

	ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &handle));
	ASSERT_OUTCOME(PT_OK, own_reserve(&rig.model, &g));
	assert_int_equal(FOURTH, handle);
	assert_int_equal(FOURTH, g);
}

static void make_ctx(struct pt_ctx *ctx, const struct shape *shape)
{
	struct pt_geometry geo;

	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shape->args));
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK,
		       pt_ctx_init(ctx, &rig.c.agent, &rig.c.machine, &geo, PT_ATTR_FWB, 0, 0));
	ASSERT_OUTCOME(PT_OK, pt_guest_create(&rig.owners, FOURTH, ctx, true));
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, own_create(&rig.model, FOURTH, true));
}

static void end_ctx(struct pt_ctx *ctx)
{
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, ctx, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 1000));
}

/* docs/ownership.md, "The life of a guest". */
enum state { NONE, RESERVED, LIVE, DYING, EMPTY, STATES };

/* The guest that is in it. */
static unsigned make(enum state state)
{
	open_rig();
	if (state <= RESERVED) {
		if (state == RESERVED)
			reserve();
		return FOURTH;
	}
	must(PT_DONATE_GUEST, SAFE, 0, 0, 1);
	if (state > LIVE)
		tear_down(SAFE);
	if (state > DYING)
		must(PT_RECLAIM_DYING, SAFE, 0, 0, UNITS);
	return SAFE;
}

static enum pt_outcome create(unsigned g)
{
	enum pt_outcome outcome;
	struct pt_ctx ctx;

	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&ctx, &rig.c.agent, &rig.c.machine, &rig.ctx[0].geo,
					  PT_ATTR_FWB, 0, 0));
	outcome = pt_guest_create(&rig.owners, g, &ctx, true);
	pt_section_end(&rig.c.agent);
	if (outcome == PT_OK) { /* as it was */
		ASSERT_OUTCOME(PT_OK, pt_guest_teardown(&rig.owners, g));
		ASSERT_OUTCOME(PT_OK, finalize_alone(g));
	}
	pt_section_begin(&rig.c.agent);
	pt_ctx_undo(&ctx, &rig.c.agent);
	pt_section_end(&rig.c.agent);
	return outcome;
}

enum call { CREATE, TOP_UP, DONATE, BALLOON, TEARDOWN, RECLAIM, FORCE, TABLES, FINALIZE, CALLS };

static enum pt_outcome call(unsigned g, enum call what)
{
	switch (what) {
	case CREATE: return create(g);
	case TOP_UP: return do_one(PT_TOP_UP, g, 5, 0, 1);
	case DONATE: return do_one(PT_DONATE_GUEST, g, 5, 5, 1);
	case BALLOON: return do_one(PT_BALLOON, g, 0, 0, 1);
	case TEARDOWN: return pt_guest_teardown(&rig.owners, g);
	case RECLAIM: return do_one(PT_RECLAIM_DYING, g, 0, 0, 1);
	case FORCE: return do_one(PT_FORCE_RECLAIM, 0, 0, 0, 1);
	case TABLES: return do_one(PT_RECLAIM_TABLES, g, 0, 0, 0);
	default: return finalize_alone(g);
	}
}

static void each_call_in_each_state(void **state)
{
	static const enum pt_outcome told[CALLS][STATES] = {
		[CREATE] = {PT_NOT_FOUND, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE},
		[TOP_UP] = {PT_NOT_FOUND, PT_OK, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE},
		[DONATE] = {PT_NOT_FOUND, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE},
		[BALLOON] = {PT_NOT_FOUND, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE},
		[TEARDOWN] = {PT_NOT_FOUND, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE},
		[RECLAIM] = {PT_NOT_FOUND, PT_WRONG_STATE, PT_WRONG_STATE, PT_OK, PT_OK},
		[FORCE] = {PT_WRONG_STATE, PT_WRONG_STATE, PT_OK, PT_OK, PT_WRONG_STATE},
		[TABLES] = {PT_NOT_FOUND, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE, PT_OK},
		[FINALIZE] = {PT_NOT_FOUND, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE, PT_OK},
	};

	(void)state;
	for (unsigned what = 0; what < CALLS; what++)
		for (unsigned s = 0; s < STATES; s++) {
			unsigned g = make((enum state)s);
			enum pt_outcome outcome;
			struct rig_state before;

			rig_state_of(&rig, &before);
			outcome = call(g, (enum call)what);
			if (outcome != told[what][s])
				print_error("call %u in state %u\n", what, s);
			ASSERT_OUTCOME(told[what][s], outcome);
			if (outcome != PT_OK) {
				rig_unchanged(&rig, &before);
				rig_same(&rig);
			}
			rig_close(&rig);
		}
}

/* Each table page of a guest without a quota of its own is one that the host gave. */
static void tables_are_what_the_host_gave(void **state)
{
	struct pt_ctx *ctx = &rig.ctx[SAFE];
	struct rig_state before;

	(void)state;
	open_rig();
	atomic_store(&ctx->quota_pages, 0);
	assert_int_equal(0, pt_ctx_table_limit(ctx));
	rig_state_of(&rig, &before);
	ASSERT_OUTCOME(PT_QUOTA, do_one(PT_DONATE_GUEST, SAFE, 0, 0, 1));
	rig_unchanged(&rig, &before);
	must(PT_TOP_UP, SAFE, 10, 0, 1);
	ASSERT_OUTCOME(PT_QUOTA, do_one(PT_DONATE_GUEST, SAFE, 0, 0, 1)); /* levels 2 and 3 */
	rig_same(&rig);
	must(PT_TOP_UP, SAFE, 20, 0, 1);
	assert_int_equal(0, rig.held[20 - 0]); /* wiped on its way in */
	must(PT_DONATE_GUEST, SAFE, 0, 0, 1);
	assert_int_equal(2, atomic_load(&ctx->table_pages));
	must(PT_DONATE_GUEST, SAFE, 1, 1, 1); /* needs none */
	must(PT_BALLOON, SAFE, 0, 0, 2);
	must(PT_DONATE_GUEST, SAFE, 0, 5, 1); /* what has become free counts again */
	atomic_store(&ctx->quota_pages, 3);
	assert_int_equal(5, pt_ctx_table_limit(ctx)); /* beside its own */
	atomic_store(&ctx->quota_pages, UINT64_MAX);
	assert_int_equal(UINT64_MAX, pt_ctx_table_limit(ctx));
	rig_same(&rig);
	rig_audit(&rig);
	rig_close(&rig);
}

/* In the smallest steps, from here and there, and given up between them. */
static void all_comes_back_wiped(void **state)
{
	struct rig_op tables = {.kind = PT_RECLAIM_TABLES, .guest = SAFE};
	uint32_t nth = 0;
	enum pt_outcome outcome;

	(void)state;
	open_rig();
	must(PT_DONATE_GUEST, SAFE, 0, 0, 2);
	must(PT_TOP_UP, SAFE, 3, 0, 1);
	must(PT_TOP_UP, SAFE, 7, 0, 9);
	must(PT_TOP_UP, OTHER, 16, 0, 2); /* beside it */
	must(PT_DONATE_HYP, 0, 18, 0, 1);
	must(PT_TOP_UP, SAFE, UNITS - 1, 0, 1);
	assert_int_equal(11 * PT_SZ_4K, atomic_load(&rig.guest[SAFE].tables));
	ASSERT_OUTCOME(PT_WRONG_OWNER, do_one(PT_RETURN_HYP, 0, 7, 0, 1));
	ASSERT_OUTCOME(PT_WRONG_OWNER, do_one(PT_TOP_UP, SAFE, 7, 0, 1));
	tear_down(SAFE);
	ASSERT_OUTCOME(PT_WRONG_STATE, do_one(PT_RECLAIM_TABLES, SAFE, 0, 0, 0));
	assert_int_equal(rig.ipa, rig.t.error.ipa.v); /* here it has something */
	must(PT_RECLAIM_DYING, SAFE, 0, 0, UNITS);
	ASSERT_OUTCOME(PT_WRONG_STATE, finalize_alone(SAFE)); /* table memory is left */
	for (uint64_t i = 0; i < UNITS; i++)
		if (rig.model.frame[i].kind == OWN_TABLE) /* what tables are might be told by it */
			rig.held[i] = 99;
	do {
		uint64_t had = atomic_load(&rig.guest[SAFE].tables);

		outcome = rig_run(&rig, &tables, 1, ++nth % 40);
		assert_true(atomic_load(&rig.guest[SAFE].tables) <= had);
		assert_true(nth < 1000);
	} while (outcome == PT_CANCELLED);
	ASSERT_OUTCOME(PT_OK, outcome);
	assert_true(nth > 10);
	for (unsigned i = 16; i < 18; i++)
		rig.held[i] = 0;
	ASSERT_OUTCOME(PT_OK, finalize_alone(SAFE));
	ASSERT_OUTCOME(PT_OK, own_finalize(&rig.model, SAFE));
	rig_same(&rig);
	rig_audit(&rig);
	must(PT_DONATE_GUEST, OTHER, 7, 7, 9);
	rig_close(&rig);
}

/* A guest that is not there yet has its account already. */
static void a_reserved_guest_is_topped_up(void **state)
{
	struct pt_ctx ctx;

	(void)state;
	open_rig();
	reserve();
	must(PT_TOP_UP, FOURTH, 4, 0, 3);
	must(PT_TOP_UP, FOURTH, 9, 0, 1);
	ASSERT_OUTCOME(PT_WRONG_STATE, finalize_alone(FOURTH));
	rig_audit(&rig);
	rig_same(&rig);
	make_ctx(&ctx, &shapes[0]);
	assert_int_equal(4, pt_ctx_table_limit(&ctx));
	must(PT_TOP_UP, FOURTH, 10, 0, 1);
	assert_int_equal(5, pt_ctx_table_limit(&ctx));
	tear_down(FOURTH);
	ASSERT_OUTCOME(own_finalize(&rig.model, FOURTH), rig_finalize(&rig, FOURTH, 1));
	assert_int_equal(0, pt_ctx_table_limit(&ctx));
	rig_same(&rig);
	end_ctx(&ctx);
	reserve(); /* and one that is never made */
	must(PT_TOP_UP, FOURTH, 4, 0, 2);
	ASSERT_OUTCOME(own_finalize(&rig.model, FOURTH), rig_finalize(&rig, FOURTH, 1));
	rig_same(&rig);
	rig_close(&rig);
}

/* Its account is at rest when it gets its context; and keeps when that was too early. */
static void a_guest_is_made_between_top_ups(void **state)
{
	struct pt_transfer_args a;
	struct pt_ctx ctx;

	(void)state;
	open_rig();
	reserve();
	a = rig_args(&rig,
		     &(struct rig_op){.kind = PT_TOP_UP, .guest = FOURTH, .frame = 6, .n = 2});
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &a));
	ASSERT_OUTCOME(PT_MORE, rig_step(&rig, 1));
	ASSERT_OUTCOME(PT_BUSY, create(FOURTH));
	while (rig_step(&rig, 1) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_OK, rig.t.error.code);
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, FOURTH, 6, 2));
	make_ctx(&ctx, &shapes[0]);
	assert_int_equal(2, pt_ctx_table_limit(&ctx));
	pt_section_begin(&rig.c.agent);
	pt_guest_create_undo(&rig.owners, FOURTH);
	assert_int_equal(0, pt_ctx_table_limit(&ctx));
	pt_ctx_undo(&ctx, &rig.c.agent);
	pt_section_end(&rig.c.agent);
	rig.model.guest[FOURTH].life = OWN_RESERVED;
	rig.model.guest[FOURTH].protected = false;
	rig_same(&rig);
	must(PT_TOP_UP, FOURTH, 8, 0, 1);
	ASSERT_OUTCOME(own_finalize(&rig.model, FOURTH), rig_finalize(&rig, FOURTH, 1));
	rig_same(&rig);
	rig_close(&rig);
}

/* Pages of the host make pages of tables when there are enough of them. */
static void pages_of_the_host_are_parts_of_the_guests(void **state)
{
	struct pt_transfer_args a;
	struct pt_ctx ctx;

	(void)state;
	open_rig();
	reserve();
	must(PT_TOP_UP, FOURTH, 0, 0, 15);
	make_ctx(&ctx, &shapes[2]);
	assert_int_equal(0, pt_ctx_table_limit(&ctx));
	ASSERT_OUTCOME(PT_MISALIGNED, do_one(PT_TOP_UP, FOURTH, 15, 0, 1));
	a = rig_args(&rig, &(struct rig_op){.kind = PT_TOP_UP, .guest = FOURTH, .n = 16});
	a.pa += PT_SZ_64K;
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &a));
	while (rig_step(&rig, 1) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_OK, rig.t.error.code);
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, FOURTH, 16, 16));
	assert_int_equal(1, pt_ctx_table_limit(&ctx)); /* 31 of 16 */
	tear_down(FOURTH);
	ASSERT_OUTCOME(own_finalize(&rig.model, FOURTH), rig_finalize(&rig, FOURTH, 1));
	rig_same(&rig);
	end_ctx(&ctx);
	rig_close(&rig);
}

/* Who was topped up while it began to die has what came then. */
static void a_top_up_that_had_begun_goes_on(void **state)
{
	struct rig_op op = {.kind = PT_TOP_UP, .guest = SAFE, .frame = 6, .n = 4};
	struct pt_transfer_args a;

	(void)state;
	open_rig();
	a = rig_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &a));
	ASSERT_OUTCOME(PT_MORE, rig_step(&rig, 1));
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, SAFE, 6, 4));
	tear_down(SAFE);
	ASSERT_OUTCOME(PT_BUSY, finalize_alone(SAFE));
	while (rig_step(&rig, 1) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_OK, rig.t.error.code);
	rig_same(&rig);
	ASSERT_OUTCOME(PT_WRONG_STATE, do_one(PT_TOP_UP, SAFE, 20, 0, 1));
	ASSERT_OUTCOME(PT_WRONG_STATE, finalize_alone(SAFE));
	ASSERT_OUTCOME(own_finalize(&rig.model, SAFE), rig_finalize(&rig, SAFE, 1));
	rig_same(&rig);
	rig_close(&rig);
}

/* Several in one request, each for its guest. */
static void two_are_topped_up_at_once(void **state)
{
	const uint64_t pa = PT_SZ_2M; /* open_rig() */
	const struct pt_transfer_range range[] = {{pa + 3 * PT_SZ_4K, {0}, PT_SZ_4K, SAFE, 0},
						  {pa + 4 * PT_SZ_4K, {0}, PT_SZ_4K, OTHER, 0},
						  {pa + 5 * PT_SZ_4K, {0}, PT_SZ_4K, SAFE, 0}};
	struct pt_transfer_args args = {
		.owners = &rig.owners, .kind = PT_TOP_UP, .range = range, .ranges = 3, .id = 5};

	(void)state;
	open_rig();
	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &args));
	while (rig_step(&rig, 1) == PT_MORE)
		continue;
	ASSERT_OUTCOME(PT_OK, rig.t.error.code);
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, SAFE, 3, 1));
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, OTHER, 4, 1));
	ASSERT_OUTCOME(PT_OK, own_top_up(&rig.model, SAFE, 5, 1));
	rig_same(&rig);
	rig_audit(&rig);
	args.kind = PT_RECLAIM_TABLES;
	ASSERT_OUTCOME(PT_INVALID, pt_transfer_init(&rig.t, &args));
	rig_close(&rig);
}

static void what_cannot_be_asked_for(void **state)
{
	struct pt_transfer_args good, a;

	(void)state;
	open_rig();
	good = rig_args(&rig, &(struct rig_op){.kind = PT_TOP_UP, .guest = SAFE, .n = 1});
#define REFUSED(told, what)                                                                        \
	do {                                                                                       \
		a = good;                                                                          \
		what;                                                                              \
		ASSERT_OUTCOME(told, pt_transfer_init(&rig.t, &a));                                \
	} while (0)
	REFUSED(PT_INVALID, a.ipa.v = PT_SZ_4K);
	REFUSED(PT_INVALID, a.prot = PT_PROT_R);
	REFUSED(PT_INVALID, a.wipe = true); /* it is, whether asked or not */
	REFUSED(PT_INVALID, a.size = 0);
	REFUSED(PT_INVALID, a.kind = PT_DONATE_HYP); /* names no guest */
	good = rig_args(&rig, &(struct rig_op){.kind = PT_RECLAIM_TABLES, .guest = SAFE});
	REFUSED(PT_INVALID, a.size = PT_SZ_4K);
	REFUSED(PT_INVALID, a.pa = PT_SZ_4K);
	REFUSED(PT_INVALID, a.ipa.v = PT_SZ_4K);
	REFUSED(PT_INVALID, a.validate_only = true);
	REFUSED(PT_INVALID, a.expected_generation = 1);
	rig.owners.wipe = NULL;
	REFUSED(PT_UNSUPPORTED, (void)0);
	REFUSED(PT_UNSUPPORTED, (a.kind = PT_TOP_UP, a.size = PT_SZ_4K));
#undef REFUSED
	rig_close(&rig);
}

static enum pt_audit_kind audit_of(uint64_t safe, uint64_t other, uint32_t guests)
{
	struct pt_owner_guest guest[] = {
		{&rig.ctx[SAFE], SAFE, safe}, {&rig.ctx[OTHER], OTHER, other}, {&rig.ctx[0], 0, 0}};
	struct pt_owner_audit audit;

	pt_owner_audit_begin(&audit, &rig.c.ctx, guest, guests, &rig.owners.frames,
			     &rig.owners.extents);
	pt_section_begin(&rig.c.agent);
	while (pt_owner_audit_step(&audit, 1000) == PT_MORE)
		continue;
	pt_section_end(&rig.c.agent);
	return audit.found.kind;
}

/* How much, and whose. */
static void the_audit_counts_table_memory(void **state)
{
	(void)state;
	open_rig();
	must(PT_TOP_UP, SAFE, 2, 0, 3);
	must(PT_TOP_UP, OTHER, 5, 0, 1);
	assert_int_equal(PT_AUDIT_NONE, audit_of(3 * PT_SZ_4K, PT_SZ_4K, 3));
	assert_int_equal(PT_AUDIT_TABLES, audit_of(3 * PT_SZ_4K, 0, 3));
	assert_int_equal(PT_AUDIT_TABLES, audit_of(4 * PT_SZ_4K, PT_SZ_4K, 3));
	assert_int_equal(PT_AUDIT_TABLES, audit_of(PT_SZ_4K, 3 * PT_SZ_4K, 3));
	assert_int_equal(PT_AUDIT_TABLES, audit_of(3 * PT_SZ_4K, PT_SZ_4K, 1));
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_in_each_state),
		cmocka_unit_test(tables_are_what_the_host_gave),
		cmocka_unit_test(all_comes_back_wiped),
		cmocka_unit_test(a_reserved_guest_is_topped_up),
		cmocka_unit_test(a_guest_is_made_between_top_ups),
		cmocka_unit_test(pages_of_the_host_are_parts_of_the_guests),
		cmocka_unit_test(a_top_up_that_had_begun_goes_on),
		cmocka_unit_test(two_are_topped_up_at_once),
		cmocka_unit_test(what_cannot_be_asked_for),
		cmocka_unit_test(the_audit_counts_table_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
