/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs of a machine that stands beside the model of ownership. */
#ifndef TESTS_UNIT_RIG_LOG_H
#define TESTS_UNIT_RIG_LOG_H

#include <pt/dirty.h>

#include "transfer_fixture.h"

/* To its end; the outcome. */
static inline enum pt_outcome rig_log(struct transfer_rig *rig, const struct pt_dirty_args *args)
{
	enum pt_outcome outcome;
	struct pt_dirty op;

	ASSERT_OUTCOME(PT_OK, pt_dirty_init(&op, args, NULL));
	do {
		pt_section_begin(&rig->c.agent);
		outcome = pt_dirty_step(&op, &rig->c.agent, 1000);
		pt_section_end(&rig->c.agent);
	} while (outcome == PT_MORE);
	return outcome;
}

/* Two logs of a page each: unit 9 of the host's and the guest's 11th. */
struct rig_logs {
	struct pt_dirty_log host, guest;
	uint64_t bits[2][2];
};

static inline void rig_logs_start(struct transfer_rig *rig, struct rig_logs *l, unsigned guest)
{
	struct pt_dirty_args host = {.kind = PT_DIRTY_START,
				     .log = &l->host,
				     .ctx = &rig->c.ctx,
				     .ipa = {rig->pa + 9 * PT_SZ_4K},
				     .size = PT_SZ_4K,
				     .memory = l->bits[0]},
			     its = {.kind = PT_DIRTY_START,
				    .log = &l->guest,
				    .ctx = &rig->ctx[guest],
				    .ipa = {rig->ipa + 11 * PT_SZ_4K},
				    .size = PT_SZ_4K,
				    .memory = l->bits[1]};

	memset(l->bits, 0, sizeof(l->bits));
	ASSERT_OUTCOME(PT_OK, rig_log(rig, &host));
	ASSERT_OUTCOME(PT_OK, rig_log(rig, &its));
	rig->model.frame[9].logged = rig->model.guest[guest].map[11].logged = true;
}

static inline void rig_logs_stop(struct transfer_rig *rig, struct rig_logs *l)
{
	struct pt_dirty_args host = {.kind = PT_DIRTY_STOP, .log = &l->host},
			     its = {.kind = PT_DIRTY_STOP, .log = &l->guest};

	ASSERT_OUTCOME(PT_OK, rig_log(rig, &host));
	ASSERT_OUTCOME(PT_OK, rig_log(rig, &its));
}

#endif
