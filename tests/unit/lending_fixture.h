/* SPDX-License-Identifier: BSD-2-Clause */
/* Lending in a machine with owners and in its model. */
#ifndef TESTS_UNIT_LENDING_FIXTURE_H
#define TESTS_UNIT_LENDING_FIXTURE_H

#include "transfer_fixture.h"

#define HOST OWN_GUESTS /* as a lender */

/* A call in units. */
struct lend_op {
	uint32_t kind; /* enum pt_lend_kind */
	unsigned who;
	uint64_t handle, at, n;
};

static inline uint32_t lend_who(unsigned who)
{
	return who == HOST ? PT_NO_GUEST : who;
}

static inline enum pt_outcome lend_model(struct own *o, const struct lend_op *op)
{
	switch (op->kind) {
	case PT_LEND_PIECE: return own_lend_piece(o, op->who, op->handle, op->at, op->n);
	case PT_LEND_RETRIEVE: return own_retrieve(o, op->who, op->handle, op->at);
	case PT_LEND_RELINQUISH: return own_relinquish(o, op->who, op->handle);
	default: return own_lend_reclaim(o, op->who, op->handle);
	}
}

static inline enum pt_outcome lend_step(struct transfer_rig *rig, struct pt_lend *call,
					uint32_t budget)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_lend_step(call, &rig->c.agent, budget);
	pt_section_end(&rig->c.agent);
	return outcome;
}

/* To its end, but given up after so many steps; 0: never. */
static inline enum pt_outcome lend_finish(struct transfer_rig *rig, struct pt_lend *call,
					  uint32_t budget, uint32_t give_up)
{
	enum pt_outcome outcome;

	for (uint32_t steps = 1; (outcome = lend_step(rig, call, budget)) == PT_MORE; steps++) {
		assert_true(steps < 1000000);
		if (steps == give_up) {
			pt_section_begin(&rig->c.agent);
			pt_lend_abort(call, &rig->c.agent);
			pt_section_end(&rig->c.agent);
		}
	}
	return outcome;
}

static inline struct pt_lend_args lend_args(struct transfer_rig *rig, const struct lend_op *op)
{
	bool at = op->kind == PT_LEND_PIECE || op->kind == PT_LEND_RETRIEVE;
	uint64_t base = op->who == HOST ? rig->pa : rig->ipa;

	return (struct pt_lend_args){.owners = &rig->owners,
				     .kind = op->kind,
				     .who = lend_who(op->who),
				     .handle = op->handle,
				     .at = at ? base + (op->at << rig->shift) : 0,
				     .size = op->kind == PT_LEND_PIECE ? op->n << rig->shift : 0,
				     .id = 5};
}

static inline enum pt_outcome lend_run(struct transfer_rig *rig, const struct lend_op *op,
				       uint32_t budget, uint32_t give_up)
{
	static struct pt_lend call;
	struct pt_lend_args args = lend_args(rig, op);
	enum pt_outcome outcome = pt_lend_init(&call, &args);

	return outcome == PT_OK ? lend_finish(rig, &call, budget, give_up) : outcome;
}

/* In both; the outcome of both. */
static inline enum pt_outcome lend_do(struct transfer_rig *rig, const struct lend_op *op,
				      uint32_t budget)
{
	enum pt_outcome expected = lend_model(&rig->model, op),
			outcome = lend_run(rig, op, budget, 0);

	if (outcome != expected)
		print_error("call %u by %u of %llu at %llu n %llu\n", op->kind, op->who,
			    (unsigned long long)op->handle, (unsigned long long)op->at,
			    (unsigned long long)op->n);
	ASSERT_OUTCOME(expected, outcome);
	return outcome;
}

static inline enum pt_outcome lend_open(struct transfer_rig *rig, unsigned lender,
					const uint8_t *borrower, uint32_t borrowers, uint64_t pages,
					bool wipe, uint64_t *handle)
{
	struct pt_lend_list list = {.lender = lend_who(lender),
				    .borrowers = borrowers,
				    .size = pages << rig->shift,
				    .wipe = wipe};
	uint64_t other = 0;
	enum pt_outcome expected = own_lend(&rig->model, lender, borrower, borrowers, pages, wipe,
					    handle),
			outcome;

	for (uint32_t i = 0; i < borrowers && i < PT_LEND_BORROWERS; i++)
		list.borrower[i] = borrower[i];
	pt_section_begin(&rig->c.agent);
	outcome = pt_lend_open(&rig->owners, &list, &other);
	pt_section_end(&rig->c.agent);
	ASSERT_OUTCOME(expected, outcome);
	if (outcome == PT_OK)
		assert_int_equal(*handle, other);
	return outcome;
}

/* What a dying guest owes. */
static inline enum pt_outcome lend_leave(struct transfer_rig *rig, unsigned guest, uint32_t budget)
{
	static struct pt_lend call;
	struct pt_lend_args args = {
		.owners = &rig->owners, .kind = PT_LEND_LEAVE, .who = guest, .id = 5};

	ASSERT_OUTCOME(PT_OK, pt_lend_init(&call, &args));
	return lend_finish(rig, &call, budget, 0);
}

/* Its death, in both. */
static inline void lend_teardown(struct transfer_rig *rig, unsigned guest)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig->c.agent);
	outcome = pt_guest_teardown(&rig->owners, guest);
	pt_section_end(&rig->c.agent);
	ASSERT_OUTCOME(own_teardown(&rig->model, guest), outcome);
	if (outcome == PT_OK)
		ASSERT_OUTCOME(PT_OK, lend_leave(rig, guest, 50));
}

/* A lending of [first, first + n) that is lent. */
static inline uint64_t lend_now(struct transfer_rig *rig, unsigned lender, const uint8_t *borrower,
				uint32_t borrowers, uint64_t first, uint64_t n, bool wipe)
{
	uint64_t handle = 0;

	ASSERT_OUTCOME(PT_OK, lend_open(rig, lender, borrower, borrowers, n, wipe, &handle));
	ASSERT_OUTCOME(
		PT_OK,
		lend_do(rig, &(struct lend_op){PT_LEND_PIECE, lender, handle, first, n}, 1000));
	return handle;
}

#endif
