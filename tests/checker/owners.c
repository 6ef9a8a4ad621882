/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfers over the checker: frames go from the host to a guest and back, and to hyp. */
#include "beside.h"

#include <pt/transfer.h>

#include "../unit/core.h"

#define FRAMES 4u

static struct {
	struct core c; /* its context is the host's */
	struct pt_ctx ctx[2];
	struct pt_guest guest[2]; /* plain, protected */
	struct pt_store store;
	struct pt_machine_owners owners;
	struct pt_region region;
	struct pt_transfer t;
	uint64_t page, pa;
} rig;

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	(void)pa;
	(void)size;
}

static void add_guest(unsigned i, const struct pt_geometry *geo)
{
	uint32_t handle;

	ASSERT_OUTCOME(PT_OK, pt_ctx_init(&rig.ctx[i], &rig.c.agent, &rig.c.machine, geo,
					  PT_ATTR_FWB, 0, UINT64_MAX));
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&rig.ctx[i], &rig.c.agent));
	ASSERT_OUTCOME(PT_OK, pt_guest_reserve(&rig.owners, &handle));
	assert_int_equal(i, handle);
	ASSERT_OUTCOME(PT_OK, pt_guest_create(&rig.owners, i, &rig.ctx[i], i == 1));
}

static void open_rig(const struct shape *shape)
{
	memset(&rig, 0, sizeof(rig));
	core_open_bytes(&rig.c, shape, UINT64_C(64) << 20, true);
	rig.page = core_size(&rig.c, 3);
	rig.pa = core_size(&rig.c, 2);
	ASSERT_OUTCOME(PT_OK, pt_ctx_set_policy(&rig.c.ctx, PT_CTX_IDENTITY, NULL, NULL));
	pt_store_init(&rig.store, &rig.c.machine, UINT64_MAX, 0);
	ASSERT_OUTCOME(PT_OK, pt_machine_owners_init(&rig.owners, &rig.store, &rig.c.ctx,
						     shape->args.granule_shift));
	rig.region = (struct pt_region){rig.pa, FRAMES * rig.page};
	rig.owners.region = &rig.region;
	rig.owners.regions = 1;
	rig.owners.guest = rig.guest;
	rig.owners.guests = 2;
	rig.owners.wipe = wipe;
	pt_section_begin(&rig.c.agent);
	add_guest(0, &rig.c.ctx.geo);
	add_guest(1, &rig.c.ctx.geo);
	pt_section_end(&rig.c.agent);
}

static void close_rig(void)
{
	struct pt_txn txn;

	for (unsigned i = 0; i < 2; i++) {
		ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, &rig.ctx[i], NULL));
		ASSERT_OUTCOME(PT_OK, core_run(&txn, &rig.c.agent, 1000));
	}
	pt_section_begin(&rig.c.agent);
	while (pt_frames_close(&rig.owners.frames, &rig.c.agent, 1000) == PT_MORE)
		continue;
	while (pt_extents_close(&rig.owners.extents, &rig.c.agent, 1000) == PT_MORE)
		continue;
	pt_section_end(&rig.c.agent);
	core_close(&rig.c);
}

static enum pt_outcome step(bool give_up)
{
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_transfer_step(&rig.t, &rig.c.agent, 1);
	if (give_up)
		pt_transfer_abort(&rig.t, &rig.c.agent);
	pt_section_end(&rig.c.agent);
	return outcome;
}

/* All frames; a guest has them from address 0 on. Given up after so many steps, if it still can be.
 */
static enum pt_outcome transfer(enum pt_transfer_kind kind, unsigned guest, unsigned give_up)
{
	bool by_guest = kind == PT_UNSHARE_GUEST || kind == PT_SHARE_BACK ||
			kind == PT_UNSHARE_BACK || kind == PT_BALLOON;
	struct pt_transfer_args a = {.owners = &rig.owners,
				     .kind = kind,
				     .guest = guest,
				     .pa = by_guest ? 0 : rig.pa,
				     .size = FRAMES * rig.page,
				     .prot = kind == PT_SHARE_GUEST ? PT_PROT_RW : 0};
	enum pt_outcome outcome;

	ASSERT_OUTCOME(PT_OK, pt_transfer_init(&rig.t, &a));
	while ((outcome = step(give_up && !--give_up)) == PT_MORE)
		continue;
	return outcome;
}

static void there_and_back(void)
{
	static const struct {
		enum pt_transfer_kind kind;
		unsigned guest;
	} order[] = {
		{PT_DONATE_GUEST, 1}, {PT_SHARE_BACK, 1},   {PT_UNSHARE_BACK, 1},
		{PT_BALLOON, 1},      {PT_SHARE_GUEST, 0},  {PT_UNSHARE_GUEST, 0},
		{PT_DONATE_HYP, 0},   {PT_RETURN_HYP, 0},   {PT_SHARE_HYP, 0},
		{PT_UNSHARE_HYP, 0},  {PT_DONATE_GUEST, 1}, {PT_FORCE_RECLAIM, 0},
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		unsigned steps = 1;
		enum pt_outcome outcome;

		do {
			outcome = transfer(order[i].kind, order[i].guest, steps++);
		} while (outcome == PT_CANCELLED);
		ASSERT_OUTCOME(PT_OK, outcome);
		assert_true(steps > 3);
	}
}

void frames_change_hands(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		open_rig(&shapes[i]);
		core_map(&rig.c, rig.pa, rig.pa, rig.pa, PT_PROT_RWX, 0);
		there_and_back();
		close_rig();
	}
}
