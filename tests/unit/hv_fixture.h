/* SPDX-License-Identifier: BSD-2-Clause */
/* An EL2 on the board of hyp_fixture.h, with a host and guests that are this program. */
#ifndef TESTS_UNIT_HV_FIXTURE_H
#define TESTS_UNIT_HV_FIXTURE_H

#include "hyp_fixture.h"

#include <pt/hv.h>

#define FREE_MEMORY (BOARD_LOW + 0x400000) /* the host's, up to the pool */
#define VTCR_SMALL  UINT64_C(0x80020058)   /* 4K, 40 bits from level 1, PS 40 bits */

struct el2 {
	struct board board;
	struct pt_agent other; /* a second CPU */
	struct pt_hyp_region own[2];
	struct pt_hv hv;
};

static inline struct el2 *el2_open(void)
{
	static const struct pt_hv_features features = {.granules = 7,
						       .pa_bits = 40,
						       .vtcr = PT_VTCR_HA | PT_VTCR_VS,
						       .attrs = PT_ATTR_XNX,
						       .host_bits = 40};
	struct el2 *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	board_boot(&e->board, 12);
	ASSERT_OUTCOME(PT_OK, pt_agent_join(&e->board.world, &e->other));
	e->own[0] = (struct pt_hyp_region){BOARD_LOW, 0x30000};
	e->own[1] = e->board.plan.pool;
	ASSERT_OUTCOME(PT_OK, pt_hv_init(&e->hv, &e->board.agent, &e->board.space, &e->board.port,
					 &e->board.mmu, &features, e->own, 2));
	return e;
}

struct answer {
	int64_t code;
	uint64_t x[3];
};

/* A hypercall of `caller` on the CPU of `agent`. */
static inline struct answer call_on(struct el2 *e, struct pt_agent *agent, enum pt_hv_caller caller,
				    uint32_t function, const uint64_t arg[5])
{
	uint64_t x[6] = {function};

	memcpy(x + 1, arg, 5 * sizeof(x[0]));
	assert_int_equal(PT_HV_ANSWERED, pt_hv_call(&e->hv, agent, caller, x));
	assert_false(pt_in_section(agent));
	return (struct answer){(int64_t)x[0], {x[1], x[2], x[3]}};
}

#define CALL(e, name, ...)                                                                         \
	call_on((e), &(e)->board.agent, PT_HV_HOST, PT_HVC(PT_HVC_##name),                         \
		(const uint64_t[5]){__VA_ARGS__})

/* Continues to the end. */
static inline struct answer finish(struct el2 *e, struct answer a)
{
	for (unsigned i = 0; a.code == PT_MORE; i++) {
		assert_true(i < 10000);
		a = CALL(e, CONTINUE, a.x[0]);
	}
	return a;
}

/* What is under way comes to its end first: the checker remembers operations by their place. */
static inline void el2_close(struct el2 *e)
{
	for (unsigned i = 0; i < PT_HV_OPS; i++) {
		struct pt_hv_op *op = &e->hv.op[i];

		if (op->ctx && op->outcome == PT_MORE)
			finish(e, CALL(e, CONTINUE, atomic_load(&op->handle)));
	}
	pt_agent_leave(&e->other);
	board_close(&e->board);
	free(e);
}

static inline void expect(int64_t code, struct answer a)
{
	if (a.code != code)
		print_error("expected %lld, got %lld\n", (long long)code, (long long)a.code);
	assert_int_equal(code, a.code);
}

static inline uint64_t create(struct el2 *e)
{
	struct answer a = CALL(e, CREATE, VTCR_SMALL, UINT64_MAX);

	expect(PT_OK, a);
	return a.x[0];
}

/* The leaf of a guest's context at `ipa`, or 0. */
static inline pt_pte leaf_of(struct el2 *e, uint64_t handle, uint64_t ipa)
{
	struct answer a = CALL(e, LEAF, handle, ipa);

	expect(PT_OK, a);
	return pt_pte_valid(a.x[0]) ? a.x[0] : 0;
}

static inline enum pt_outcome fault_on(struct el2 *e, struct pt_agent *agent, struct pt_ctx *ctx,
				       uint64_t ipa, enum pt_access access,
				       struct pt_fault_result *r)
{
	struct pt_fault f = {.ipa = {ipa}, .access = (uint8_t)access};

	return pt_hv_fault(&e->hv, agent, ctx, &f, r);
}

#endif
