/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending: the tables of docs/ownership.md, lists, handles, wiping, and deaths. */
#include "lending_fixture.h"
#include "rig_log.h"

#define UNITS 40u
#define PLAIN 0u
#define SAFE  1u
#define OTHER 2u

static struct transfer_rig rig;
static const uint8_t both[] = {OTHER, PLAIN};

static void open_rig(void)
{
	rig_open(&rig, &shapes[0], &shapes[0], UNITS, PT_SZ_2M - 0x8000, PT_SZ_1G - 0x8000);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 2 * PT_SZ_2M, 0, PT_PROT_RWX, 0));
}

static void close_rig(void)
{
	rig_same(&rig);
	rig_audit(&rig);
	assert_null(own_unsound(&rig.model));
	rig_close(&rig);
}

static void must(uint32_t kind, unsigned guest, uint64_t frame, uint64_t gfn, uint64_t n)
{
	struct rig_op op = {kind, guest, frame, gfn, n, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_do(&rig, &op, 1000));
}

static enum pt_outcome lend(uint32_t kind, unsigned who, uint64_t handle, uint64_t at, uint64_t n)
{
	return lend_do(&rig, &(struct lend_op){kind, who, handle, at, n}, 1000);
}

/* The columns of the table "Lending": no such handle, open, lent, the caller has it, another has
 * it, and that with a lender that dies. Pages 2 and 3 of SAFE's or the host's. */
static uint64_t in_state(unsigned lender, unsigned state)
{
	uint64_t handle;

	if (lender == SAFE)
		must(PT_DONATE_GUEST, SAFE, 2, 2, 2);
	if (!state)
		return 77;
	ASSERT_OUTCOME(PT_OK, lend_open(&rig, lender, both, 2, 2, false, &handle));
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, lender, handle, 2, 1));
	if (state == 1)
		return handle;
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, lender, handle, 3, 1));
	if (state == 3)
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, handle, 4, 0));
	if (state >= 4)
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, PLAIN, handle, 4, 0));
	if (state == 5)
		lend_teardown(&rig, SAFE);
	return handle;
}

static enum pt_outcome expire(uint64_t handle)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_lend_expire(&rig.owners, handle);
	pt_section_end(&rig.c.agent);
	ASSERT_OUTCOME(own_lend_expire(&rig.model, handle), outcome);
	return outcome;
}

#define ROWS 10u

/* The rows. A stranger is the host where a guest lends, and a guest where the host does. */
static enum pt_outcome row(unsigned lender, uint64_t handle, unsigned i)
{
	unsigned stranger = lender == HOST ? OTHER : HOST;
	struct rig_op dying = {.kind = PT_RECLAIM_DYING, .guest = SAFE, .gfn = 2, .n = 1};

	switch (i) {
	case 0: return lend(PT_LEND_PIECE, lender, handle, 3, 1);
	case 1: return lend(PT_LEND_PIECE, stranger, handle, 3, 1);
	case 2: return expire(handle);
	case 3: return lend(PT_LEND_RETRIEVE, OTHER, handle, 8, 0);
	case 4: return lend(PT_LEND_RETRIEVE, SAFE, handle, 8, 0);
	case 5: return lend(PT_LEND_RELINQUISH, OTHER, handle, 0, 0);
	case 6: return lend(PT_LEND_RECLAIM, lender, handle, 0, 0);
	case 7: return lend(PT_LEND_RECLAIM, stranger, handle, 0, 0);
	case 8: return lend(PT_LEND_RETRIEVE, RIG_GUESTS, handle, 8, 0); /* nobody */
	default: return rig_do(&rig, &dying, 1000);
	}
}

/* docs/ownership.md, "Lending", where a guest lends: the table as it stands there. */
static const enum pt_outcome told[ROWS][6] = {
	{PT_NOT_FOUND, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER,
	 PT_WRONG_OWNER},
	{PT_NOT_FOUND, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER,
	 PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_STATE, PT_WRONG_STATE, PT_OK, PT_WRONG_STATE, PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_STATE, PT_OK, PT_BUSY, PT_BUSY, PT_WRONG_STATE},
	{PT_NOT_FOUND, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER, PT_WRONG_OWNER,
	 PT_WRONG_OWNER},
	{PT_NOT_FOUND, PT_NOT_FOUND, PT_NOT_FOUND, PT_NOT_FOUND, PT_NOT_FOUND, PT_NOT_FOUND},
	{PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE, PT_WRONG_STATE, PT_BUSY},
};

static void every_call_in_every_state(void **state)
{
	struct rig_state before;

	(void)state;
	for (unsigned host = 0; host < 2; host++)
		for (unsigned i = 0; i < 6u - host; i++)
			for (unsigned r = 0; r < ROWS; r++) {
				unsigned lender = host ? HOST : SAFE;
				enum pt_outcome outcome;
				uint64_t handle;

				open_rig();
				handle = in_state(lender, i);
				rig_state_of(&rig, &before);
				outcome = row(lender, handle, r);
				ASSERT_OUTCOME(told[r][i], outcome);
				if (outcome != PT_OK)
					rig_unchanged(&rig, &before);
				close_rig();
			}
}

/* Over and twice, and in the order of the list. */
static void lent_and_back(void **state)
{
	uint64_t handle;

	(void)state;
	for (unsigned host = 0; host < 2; host++) {
		unsigned lender = host ? HOST : SAFE;

		open_rig();
		if (!host) {
			must(PT_DONATE_GUEST, SAFE, 4, 4, 6);
			must(PT_DONATE_GUEST, SAFE, 20, 10, 8);
		}
		ASSERT_OUTCOME(PT_OK, lend_open(&rig, lender, both, 2, 9, true, &handle));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, lender, handle, 8, 4));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, lender, handle, 15, 2));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, lender, handle, 5, 3));
		rig_same(&rig);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, handle, 2, 0));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, PLAIN, handle, 20, 0));
		rig_same(&rig);
		rig_audit(&rig);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, OTHER, handle, 0, 0));
		assert_int_equal(9, rig.held[8]);
		rig_same(&rig);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, handle, 7, 0));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, PLAIN, handle, 0, 0));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, OTHER, handle, 0, 0));
		assert_int_equal(0, rig.held[8]);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RECLAIM, lender, handle, 0, 0));
		close_rig();
	}
}

/* A list takes only what completes it, each page once; what was refused may be named again. */
static void lists(void **state)
{
	uint64_t handle, second;
	uint8_t none[] = {OTHER, SAFE, PLAIN, 3, 4};

	(void)state;
	open_rig();
	must(PT_SHARE_HYP, 0, 30, 0, 1);
	ASSERT_OUTCOME(PT_INVALID, lend_open(&rig, HOST, both, 0, 1, false, &handle));
	ASSERT_OUTCOME(PT_INVALID, lend_open(&rig, HOST, none, 5, 1, false, &handle));
	ASSERT_OUTCOME(PT_INVALID, lend_open(&rig, HOST, both, 2, 0, false, &handle));
	ASSERT_OUTCOME(PT_INVALID,
		       lend_open(&rig, HOST, (const uint8_t[]){SAFE, SAFE}, 2, 1, false, &handle));
	ASSERT_OUTCOME(PT_INVALID, lend_open(&rig, OTHER, both, 2, 1, false, &handle));
	ASSERT_OUTCOME(PT_NOT_FOUND, lend_open(&rig, HOST, none, 4, 1, false, &handle));
	ASSERT_OUTCOME(PT_NOT_FOUND, lend_open(&rig, 5, both, 2, 1, false, &handle));
	ASSERT_OUTCOME(PT_OK, lend_open(&rig, HOST, both, 2, 12, false, &handle));
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, HOST, handle, 4, 2));
	ASSERT_OUTCOME(PT_INVALID, lend(PT_LEND_PIECE, HOST, handle, 5, 1));
	ASSERT_OUTCOME(PT_INVALID, lend(PT_LEND_PIECE, HOST, handle, 3, 2));
	ASSERT_OUTCOME(PT_INVALID, lend(PT_LEND_PIECE, HOST, handle, 8, 11));
	ASSERT_OUTCOME(PT_INVALID, lend(PT_LEND_PIECE, HOST, handle, 8, 0));
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, lend(PT_LEND_PIECE, HOST, handle, UNITS - 1, 2));
	/* Nothing is held: others lend the same pages meanwhile, and the list is refused. */
	second = lend_now(&rig, HOST, both, 1, 5, 1, false);
	assert_int_equal(handle + 1, second);
	for (uint64_t i = 0; i < 7; i++)
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, HOST, handle, 8 + 2 * i, 1));
	ASSERT_OUTCOME(PT_INVALID, lend(PT_LEND_PIECE, HOST, handle, 26, 1)); /* a ninth */
	ASSERT_OUTCOME(PT_OK, expire(handle));
	ASSERT_OUTCOME(PT_NOT_FOUND, lend(PT_LEND_PIECE, HOST, handle, 26, 1));
	ASSERT_OUTCOME(PT_OK, lend_open(&rig, HOST, both, 2, 4, false, &handle));
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, HOST, handle, 10, 2));
	ASSERT_OUTCOME(PT_WRONG_STATE, lend(PT_LEND_PIECE, HOST, handle, 29, 2));
	ASSERT_OUTCOME(PT_NOT_FOUND, lend(PT_LEND_PIECE, HOST, handle, 12, 2));
	ASSERT_OUTCOME(PT_OK, lend_open(&rig, HOST, both, 2, 2, false, &handle));
	ASSERT_OUTCOME(PT_WRONG_STATE, lend(PT_LEND_PIECE, HOST, handle, 4, 2));
	close_rig();
}

/* At most 16; a handle is given once, and the last is the last. */
static void handles(void **state)
{
	uint64_t handle, first;

	(void)state;
	open_rig();
	for (uint64_t i = 0; i < PT_LENDINGS; i++) {
		ASSERT_OUTCOME(PT_OK, lend_open(&rig, HOST, both, 2, 1, false, &handle));
		assert_int_equal(i + 1, handle);
	}
	ASSERT_OUTCOME(PT_BUSY, lend_open(&rig, HOST, both, 2, 1, false, &first));
	for (uint64_t i = 0; i < 3; i++) {
		ASSERT_OUTCOME(PT_OK, expire(handle));
		first = handle;
		ASSERT_OUTCOME(PT_OK, lend_open(&rig, HOST, both, 2, 1, false, &handle));
		assert_int_equal(PT_LENDINGS + i + 1, handle);
		ASSERT_OUTCOME(PT_NOT_FOUND, lend(PT_LEND_PIECE, HOST, first, 1, 1));
	}
	ASSERT_OUTCOME(PT_OK, expire(handle));
	ASSERT_OUTCOME(PT_OK, expire(1));
	rig.owners.lend_handles = rig.model.handles = (UINT64_C(1) << PT_OWNER_LEND_BITS) - 2;
	handle = lend_now(&rig, HOST, both, 1, 3, 2, false);
	assert_int_equal((UINT64_C(1) << PT_OWNER_LEND_BITS) - 1, handle);
	rig_same(&rig);
	{
		struct pt_lend_list list = {
			.lender = PT_NO_GUEST, .borrowers = 1, .size = PT_SZ_4K};

		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_BUSY, pt_lend_open(&rig.owners, &list, &first));
		pt_section_end(&rig.c.agent);
	}
	close_rig();
}

static enum pt_outcome finalize(unsigned guest)
{
	enum pt_outcome outcome = rig_finalize_alone(&rig, guest, 50);

	ASSERT_OUTCOME(own_finalize(&rig.model, guest), outcome);
	return outcome;
}

/* A borrower's death relinquishes, and wipes, asked or not; one that is gone is no borrower. */
static void a_borrower_dies(void **state)
{
	uint64_t handle;
	uint32_t again;
	unsigned g;

	(void)state;
	for (unsigned host = 0; host < 2; host++) {
		unsigned lender = host ? HOST : SAFE;

		open_rig();
		if (!host)
			must(PT_DONATE_GUEST, SAFE, 4, 4, 6);
		handle = lend_now(&rig, lender, both, 2, 4, 3, false);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, handle, 2, 0));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, PLAIN, handle, 2, 0));
		lend_teardown(&rig, OTHER);
		assert_int_equal(5, rig.held[4]); /* the other has it still */
		rig_same(&rig);
		ASSERT_OUTCOME(PT_OK, finalize(OTHER));
		ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &again));
		ASSERT_OUTCOME(PT_OK, own_reserve(&rig.model, &g));
		assert_int_equal(OTHER, again);
		pt_section_begin(&rig.c.agent);
		ASSERT_OUTCOME(PT_OK, pt_guest_create(&rig.owners, OTHER, &rig.ctx[OTHER], true));
		pt_section_end(&rig.c.agent);
		ASSERT_OUTCOME(PT_OK, own_create(&rig.model, OTHER, true));
		ASSERT_OUTCOME(PT_WRONG_OWNER, lend(PT_LEND_RETRIEVE, OTHER, handle, 2, 0));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, PLAIN, handle, 0, 0));
		assert_int_equal(0, rig.held[4]);
		assert_int_equal(0, rig.held[6]);
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RECLAIM, lender, handle, 0, 0));
		close_rig();
	}
}

/* What nobody has is the lender's again; the rest when the last borrower is through with it. */
static void a_lender_dies(void **state)
{
	struct rig_op all = {.kind = PT_RECLAIM_DYING, .guest = SAFE, .n = UNITS};
	uint64_t has, nobody, list;

	(void)state;
	for (unsigned dies = 0; dies < 2; dies++) {
		open_rig();
		must(PT_DONATE_GUEST, SAFE, 4, 4, 12);
		has = lend_now(&rig, SAFE, both, 2, 4, 3, false);
		nobody = lend_now(&rig, SAFE, both, 2, 8, 3, false);
		ASSERT_OUTCOME(PT_OK, lend_open(&rig, SAFE, both, 2, 3, false, &list));
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, PLAIN, has, 20, 0));
		lend_teardown(&rig, SAFE);
		rig_same(&rig);
		rig_audit(&rig);
		ASSERT_OUTCOME(PT_NOT_FOUND, lend(PT_LEND_RETRIEVE, OTHER, nobody, 20, 0));
		ASSERT_OUTCOME(PT_NOT_FOUND, lend(PT_LEND_PIECE, SAFE, list, 14, 1));
		ASSERT_OUTCOME(PT_BUSY, finalize(SAFE));
		/* The steps before the page that is lent are through. */
		ASSERT_OUTCOME(PT_BUSY, rig_run(&rig, &all, 1000, 0));
		assert_int_equal(4 * PT_SZ_4K, rig.t.done);
		rig_same(&rig);
		if (dies)
			lend_teardown(&rig, PLAIN);
		else
			ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, PLAIN, has, 0, 0));
		rig_same(&rig);
		rig_audit(&rig);
		ASSERT_OUTCOME(PT_WRONG_STATE, finalize(SAFE));
		ASSERT_OUTCOME(PT_OK, rig_do(&rig, &all, 1000));
		ASSERT_OUTCOME(PT_OK, finalize(SAFE));
		close_rig();
	}
}

/* Calls that come about in the end: after each of their steps they are given up, and each page that
 * they ask for is refused them, and nothing is left of that. A list whose last piece is refused is
 * gone: each time there is another. */
struct make {
	unsigned lender;
	bool retrieved; /* by OTHER */
	uint32_t kind;
};

#define BIG	 600u /* pages, across two blocks */
#define BIG_FROM 5u

static uint64_t make_again(const struct make *m)
{
	uint64_t handle = 0;

	ASSERT_OUTCOME(PT_OK, lend_open(&rig, m->lender, both, 2, BIG - 10, true, &handle));
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_PIECE, m->lender, handle, BIG_FROM + 300, BIG - 310));
	return handle;
}

static void open_big(const struct make *m, struct lend_op *op)
{
	struct rig_op all = {PT_DONATE_GUEST, SAFE, 0, 0, BIG, PT_PROT_RW, false};

	rig_open(&rig, &shapes[0], &shapes[0], BIG + 20, PT_SZ_2M - 0x8000, PT_SZ_1G - 0x8000);
	ASSERT_OUTCOME(PT_MAPPED, core_map(&rig.c, 0, 4 * PT_SZ_2M, 0, PT_PROT_RWX, 0));
	if (m->lender == SAFE)
		ASSERT_OUTCOME(PT_OK, rig_do(&rig, &all, 100000));
	*op = (struct lend_op){PT_LEND_PIECE, m->lender, make_again(m), BIG_FROM, 300};
	if (m->kind != PT_LEND_PIECE) {
		ASSERT_OUTCOME(PT_OK, lend_do(&rig, op, 100000));
		*op = (struct lend_op){m->kind, m->kind == PT_LEND_RECLAIM ? m->lender : OTHER,
				       op->handle, m->kind == PT_LEND_RETRIEVE ? 7 : 0, 0};
	}
	if (m->retrieved)
		ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, op->handle, 7, 0));
}

/* After a refusal: nothing has changed, and what is gone is made again. */
static void back(const struct make *m, struct lend_op *op, const struct rig_state *before)
{
	rig_unchanged(&rig, before);
	if (m->kind == PT_LEND_PIECE) {
		ASSERT_OUTCOME(PT_OK, own_lend_expire(&rig.model, op->handle));
		rig_same_lendings(&rig);
		op->handle = make_again(m);
	}
	rig_same_lendings(&rig);
}

static unsigned exhaust(const struct make *m, bool without_memory)
{
	enum pt_outcome outcome, failed = without_memory ? PT_NO_MEMORY : PT_CANCELLED;
	struct rig_state before;
	struct lend_op op;
	unsigned nth;

	open_big(m, &op);
	rig_state_of(&rig, &before);
	for (nth = 1;; nth++) {
		struct pt_host_failpoint fail = {.nth = nth, .times = 1};

		if (without_memory)
			pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &fail);
		outcome =
			lend_run(&rig, &op, without_memory ? 100000 : 1, without_memory ? 0 : nth);
		if (without_memory)
			pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
		if (outcome != failed)
			break;
		back(m, &op, &before);
	}
	ASSERT_OUTCOME(PT_OK, outcome);
	ASSERT_OUTCOME(PT_OK, lend_model(&rig.model, &op));
	close_rig();
	return nth - 1;
}

static void all_or_nothing(void **state)
{
	static const struct make makes[] = {
		{HOST, false, PT_LEND_PIECE},	  {SAFE, false, PT_LEND_PIECE},
		{HOST, false, PT_LEND_RETRIEVE},  {SAFE, false, PT_LEND_RETRIEVE},
		{HOST, true, PT_LEND_RELINQUISH}, {SAFE, true, PT_LEND_RELINQUISH},
		{HOST, false, PT_LEND_RECLAIM},	  {SAFE, false, PT_LEND_RECLAIM},
	};
	unsigned given_up = 0, failed = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		given_up += exhaust(&makes[i], false);
		failed += exhaust(&makes[i], true);
	}
	print_message("%u given up, %u without memory\n", given_up, failed);
	assert_true(given_up > 200 && failed > 10);
}

/* Who is refused hears of an address of its own: where a guest has the frame, not which it is. */
static void a_lender_hears_of_its_own_addresses(void **state)
{
	const struct make m = {SAFE, false, PT_LEND_RECLAIM};
	static struct pt_lend call;
	struct pt_lend_args args;
	struct lend_op op;

	(void)state;
	open_big(&m, &op);
	args = lend_args(&rig, &op);
	ASSERT_OUTCOME(PT_OK, pt_lend_init(&call, &args));
	ASSERT_OUTCOME(PT_CANCELLED, lend_finish(&rig, &call, 1, 1));
	assert_int_equal(call.error.ipa.v, rig.ipa + ((BIG_FROM + UINT64_C(300)) << rig.shift));
	assert_int_equal(call.error.index, 0);
	close_rig();
}

/* Frames and addresses in a state each, as test_transfer_matrix has them, and some that are lent:
 * 12 by the host, to PLAIN; 13 by SAFE, to OTHER. */
static struct rig_logs logs;

static void open_states(void)
{
	uint64_t handle;

	open_rig();
	must(PT_SHARE_HYP, 0, 1, 0, 2);
	must(PT_PIN, 0, 2, 0, 1);
	must(PT_SHARE_GUEST, PLAIN, 3, 3, 1);
	must(PT_SHARE_THIRD, 0, 4, 0, 1);
	must(PT_DONATE_HYP, 0, 5, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 6, 6, 2);
	must(PT_SHARE_BACK, SAFE, 0, 7, 1);
	must(PT_DONATE_GUEST, SAFE, 10, 10, 2);
	must(PT_FORCE_RECLAIM, 0, 10, 0, 1);
	must(PT_DONATE_GUEST, SAFE, 13, 13, 1);
	handle = lend_now(&rig, HOST, (const uint8_t[]){PLAIN}, 1, 12, 1, false);
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, PLAIN, handle, 12, 0));
	handle = lend_now(&rig, SAFE, (const uint8_t[]){OTHER}, 1, 13, 1, false);
	ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RETRIEVE, OTHER, handle, 13, 0));
	rig_logs_start(&rig, &logs, SAFE);
	rig_same(&rig);
}

static void close_states(void)
{
	rig_logs_stop(&rig, &logs);
	close_rig();
}

/* The rows "lend" and "retrieve there"; what passes goes back. */
static void any_page_is_lent_or_refused(void **state)
{
	unsigned passed = 0;
	uint64_t all, handle;

	(void)state;
	open_states();
	all = lend_now(&rig, HOST, (const uint8_t[]){PLAIN, SAFE, OTHER}, 3, 20, 1, false);
	for (unsigned who = 0; who <= HOST; who = who == OTHER ? HOST : who + 1)
		for (uint64_t at = 0; at < 15; at++) {
			const uint8_t to = who == OTHER ? SAFE : OTHER;

			ASSERT_OUTCOME(PT_OK, lend_open(&rig, who, &to, 1, 1, false, &handle));
			if (lend(PT_LEND_PIECE, who, handle, at, 1) == PT_OK) {
				ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RECLAIM, who, handle, 0, 0));
				passed++;
			}
			if (who != HOST && lend(PT_LEND_RETRIEVE, who, all, at, 0) == PT_OK) {
				ASSERT_OUTCOME(PT_OK, lend(PT_LEND_RELINQUISH, who, all, 0, 0));
				passed++;
			}
		}
	assert_true(passed > 30);
	close_states();
}

/* The columns "lent", "lent by guest" and "lent, borrowed", beside all others. */
static void what_is_lent_changes_hands_no_more(void **state)
{
	struct rig_state before;
	unsigned refused = 0;

	(void)state;
	open_states();
	rig_state_of(&rig, &before);
	for (uint32_t kind = 1; kind < PT_RECLAIM_DYING; kind++)
		for (unsigned g = 0; g < RIG_GUESTS; g++)
			for (uint64_t i = 0; i < 15 * 15; i++) {
				struct rig_op op = {kind, g, i % 15, i / 15, 1, PT_PROT_RW, false};
				struct own copy;
				enum pt_outcome told_so;

				if (i % 15 < 12 && i / 15 < 12)
					continue; /* test_transfer_matrix */
				own_copy(&copy, &rig.model);
				told_so = rig_model(&copy, &op);
				own_close(&copy);
				if (told_so == PT_OK)
					continue;
				ASSERT_OUTCOME(told_so, rig_run(&rig, &op, 1000, 0));
				refused++;
			}
	rig_unchanged(&rig, &before);
	assert_true(refused > 500);
	close_states();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_in_every_state),
		cmocka_unit_test(lent_and_back),
		cmocka_unit_test(lists),
		cmocka_unit_test(handles),
		cmocka_unit_test(a_borrower_dies),
		cmocka_unit_test(a_lender_dies),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(a_lender_hears_of_its_own_addresses),
		cmocka_unit_test(any_page_is_lent_or_refused),
		cmocka_unit_test(what_is_lent_changes_hands_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
