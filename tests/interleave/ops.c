/* SPDX-License-Identifier: BSD-2-Clause */
/* What agents do: operations of lib, driven as a loop of the daemon drives them. */
#include "world.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <pt/walk.h>

#define PLENTY 100000

static struct pt_agent *agent_of(unsigned id)
{
	return &iv_w.agent[id];
}

static bool dies(void)
{
	for (unsigned f = 0; f < IV_FIBRES; f++)
		for (unsigned i = 0; i < IV_OPS; i++)
			if (iv_case_now->script[f][i].kind == IV_OP_DESTROY)
				return true;
	return false;
}

/* Begins a section and looks the context up. False: it is gone, and there is no section. */
static bool enter(unsigned id)
{
	pt_section_begin(agent_of(id));
	if (id == IV_NOBODY || !dies() || !iv_load(&iv_w.gone, 8, memory_order_acquire))
		return true;
	pt_section_end(agent_of(id));
	return false;
}

static void wake_of(unsigned id)
{
	/* The daemon's message to another loop: complete before it is seen. */
	iv_rmw(&iv_w.woken[id], 4, IV_SWAP, 1, memory_order_seq_cst);
}

static void wake_0(struct pt_waiter *w)
{
	(void)w;
	wake_of(0);
}

static void wake_1(struct pt_waiter *w)
{
	(void)w;
	wake_of(1);
}

static void wake_2(struct pt_waiter *w)
{
	(void)w;
	wake_of(2);
}

static void (*const wake[IV_FIBRES])(struct pt_waiter *) = {wake_0, wake_1, wake_2};

static void await_wake(unsigned id)
{
	iv_wait_flag((const volatile uint32_t *)&iv_w.woken[id]);
	iv_w.woken[id] = 0;
}

/* Before another step: until others go on, where they are what is waited for. A step that looked at
 * parked points comes again by itself. */
static void await_others(struct pt_grace *grace)
{
	if (!pt_grace_done(grace, &iv_w.machine))
		iv_wait_write();
}

/* Before the answer: accesses in flight with what was taken away have ended. */
static void await_grace(unsigned id)
{
	struct pt_agent *self = agent_of(id);
	struct pt_grace grace;

	if (!pt_item_needs_grace(&iv_w.machine, self))
		return;
	pt_grace_begin(&grace, &iv_w.machine, self);
	for (;;) {
		iv_attempt();
		if (pt_grace_done(&grace, &iv_w.machine))
			return;
		iv_wait_write();
	}
}

/* In the section of an operation that was PARKED. */
static bool park(unsigned id, struct pt_waiter *waiter, uint64_t ipa, uint64_t size)
{
	return pt_waiter_park(waiter, &iv_w.ctx, ipa, ipa + size - 1, wake[id]);
}

static enum pt_outcome do_fault(unsigned id, const struct iv_op *op, enum pt_fault_type type)
{
	struct pt_fault fault = {
		.ipa = {op->ipa}, .vcpu = id, .access = op->access, .type = (uint8_t)type};
	struct pt_agent *self = agent_of(id);
	struct pt_fault_result result;
	struct pt_fault_page page;
	struct pt_waiter waiter;
	enum pt_outcome o;
	bool parked;

	for (;;) {
		iv_attempt();

		if (!enter(id))
			return PT_NOT_FOUND;
		if (op->batch && pt_faults(self, &iv_w.ctx, &fault, 1, &page))
			o = (enum pt_outcome)page.outcome;
		else
			o = pt_fault_handle(self, &iv_w.ctx, &fault, &result);
		parked = o == PT_PARKED && park(id, &waiter, op->ipa & ~UINT64_C(0xfff), 0x1000);
		pt_section_end(self);
		if (parked)
			await_wake(id);
		else if (o == PT_RACED)
			iv_wait_write();
		else if (o != PT_PARKED)
			return o;
	}
}

/* Steps a transaction to its end. */
static enum pt_outcome run_txn(unsigned id, struct pt_txn *txn, uint32_t budget)
{
	struct pt_agent *self = agent_of(id);
	enum pt_outcome o;

	for (;;) {
		iv_attempt();

		/* Later it holds a claim, or is told. */
		if (txn->phase != PT_TXN_CLAIM || txn->claim.ctx || txn->teardown)
			pt_section_begin(self);
		else if (!enter(id))
			return PT_NOT_FOUND;
		o = pt_txn_step(txn, self, budget ? budget : PLENTY);
		pt_section_end(self);
		if (o == PT_PARKED)
			await_wake(id);
		else if (o != PT_MORE)
			return o;
		else if (txn->phase == PT_TXN_DRAIN || txn->phase == PT_TXN_RETIRE)
			await_others(&txn->grace);
		else if (txn->taken.pending && !budget)
			iv_wait_write(); /* for a shadow's table that another has set aside */
	}
}

static struct pt_item item_of(const struct iv_op *op)
{
	return (struct pt_item){.ctx = &iv_w.ctx,
				.ipa = {op->ipa},
				.size = op->size,
				.pa = {op->pa},
				.prot = op->prot,
				.flags = op->flags,
				.kind = op->item};
}

/* quiet: a point operation that turned out to be a range; neither counts a generation. */
static enum pt_outcome do_range(unsigned id, const struct iv_op *op, bool quiet)
{
	struct pt_item item = item_of(op);
	struct pt_txn txn;
	enum pt_outcome o = pt_item_check(&item);

	if (o != PT_OK)
		return o;
	pt_txn_init(&txn, &item, 1, 0, false, wake[id]);
	txn.quiet = quiet;
	o = run_txn(id, &txn, op->budget);
	return o == PT_OK ? (enum pt_outcome)item.outcome : o;
}

static enum pt_outcome do_point(unsigned id, const struct iv_op *op)
{
	struct pt_item item = item_of(op);
	struct pt_agent *self = agent_of(id);
	struct pt_effects effects = {0};
	struct pt_waiter waiter;
	struct pt_error error;
	enum pt_outcome o = pt_item_check(&item);
	bool parked;

	while (o == PT_OK || o == PT_PARKED || o == PT_RACED) {
		iv_attempt();

		if (!enter(id))
			return PT_NOT_FOUND;
		if (op->batch && pt_points(self, &item, 1, &effects))
			o = (enum pt_outcome)item.outcome;
		else
			o = pt_point(self, &item, &effects, &error);
		parked = o == PT_PARKED && park(id, &waiter, op->ipa, op->size);
		pt_section_end(self);
		if (parked)
			await_wake(id);
		else if (o == PT_RACED)
			iv_wait_write();
	}
	if (o == PT_MORE)
		return do_range(id, op, true);
	if (effects.tlbis)
		await_grace(id);
	return o;
}

/* The slot at op->ipa goes, and with it all that is mapped there. */
static enum pt_outcome do_slot_delete(unsigned id, const struct iv_op *op)
{
	const struct pt_slot *slot = pt_slot_find(&iv_w.slots[0].head, op->ipa);
	struct pt_item item = {
		.ctx = &iv_w.ctx, .ipa = {slot->ipa}, .size = slot->size, .kind = PT_ITEM_UNMAP};
	struct pt_txn txn;
	enum pt_outcome o;

	pt_txn_init(&txn, &item, 1, 0, false, wake[id]);
	txn.publish = &iv_w.slots[1].head;
	o = run_txn(id, &txn, op->budget);
	if (o != PT_OK)
		return o;
	await_grace(id);
	/* The old table is free memory from here on: an address that no memory has. */
	iv_rmw(&iv_w.slots_gone, 8, IV_SWAP, 1, memory_order_seq_cst);
	for (unsigned i = 0; i < IV_SLOTS_MAX; i++)
		iv_w.slots[0].head.slot[i].pa = UINT64_C(0xdead0000000);
	return (enum pt_outcome)item.outcome;
}

static enum pt_outcome do_destroy(unsigned id, const struct iv_op *op)
{
	struct pt_txn txn;
	enum pt_outcome o;

	iv_rmw(&iv_w.gone, 8, IV_SWAP, 1, memory_order_seq_cst);
	pt_section_begin(agent_of(id));
	o = pt_ctx_destroy_begin(&txn, &iv_w.ctx, wake[id]);
	pt_section_end(agent_of(id));
	return o == PT_OK ? run_txn(id, &txn, op->budget) : o;
}

/* Ages, splits, collapses or sweeps; the answer tells what stopped it, and pages found young. */
static enum pt_outcome do_upkeep(unsigned id, const struct iv_op *op, uint64_t *told)
{
	struct pt_upkeep_args args = {.ctx = &iv_w.ctx,
				      .kind = op->upkeep,
				      .ipa = {op->ipa},
				      .size = op->size,
				      .clear = op->upkeep == PT_UPKEEP_AGE,
				      .level = op->upkeep == PT_UPKEEP_SPLIT ? PT_LEVEL_LAST : 0};
	struct pt_agent *self = agent_of(id);
	struct pt_upkeep upkeep;
	enum pt_outcome o = pt_upkeep_init(&upkeep, &args, wake[id]);

	while (o == PT_OK) {
		iv_attempt();

		pt_section_begin(self);
		o = pt_upkeep_step(&upkeep, self, op->budget ? op->budget : PLENTY);
		pt_section_end(self);
		if (o == PT_OK)
			break;
		if (o == PT_PARKED)
			await_wake(id);
		else if (upkeep.phase == PT_UPKEEP_DRAIN || upkeep.phase == PT_UPKEEP_RETIRE)
			await_others(&upkeep.grace);
		if (!pt_is_error(o))
			o = PT_OK;
	}
	*told = upkeep.young;
	return o == PT_OK ? upkeep.stopped : o;
}

/* Starts, reads and clears, or stops the one log. A log that another operation uses is asked again.
 */
enum pt_outcome iv_do_dirty(unsigned id, const struct iv_op *op, uint64_t *told)
{
	struct pt_dirty_args args = {.kind = op->dirty,
				     .log = &iv_w.log,
				     .ctx = &iv_w.ctx,
				     .ipa = {op->ipa},
				     .size = op->size,
				     .memory = iv_w.log_memory,
				     .clear = true,
				     .bitmap = (uint8_t *)told};
	struct pt_agent *self = agent_of(id);
	struct pt_dirty dirty;
	enum pt_outcome o = pt_dirty_init(&dirty, &args, id < IV_FIBRES ? wake[id] : NULL);

	while (o == PT_OK) {
		iv_attempt();

		pt_section_begin(self);
		o = pt_dirty_step(&dirty, self, op->budget ? op->budget : PLENTY);
		pt_section_end(self);
		if (o == PT_OK)
			break;
		if (o == PT_PARKED)
			await_wake(id);
		else if (o == PT_BUSY)
			iv_wait_write();
		else if (!op->budget)
			await_others(&dirty.grace);
		if (!pt_is_error(o) || o == PT_BUSY)
			o = PT_OK;
	}
	if (op->dirty == PT_DIRTY_STOP)
		*told = dirty.dirty;
	return o;
}

/* ---- a vCPU's access ---- */

static bool permits(const struct iv_leaf *leaf, uint8_t access)
{
	if (!leaf->level || !(leaf->attrs & PT_PTE_AF))
		return false;
	return leaf->attrs & (access == PT_ACCESS_WRITE ? PT_PTE_S2AP_W : PT_PTE_S2AP_R);
}

/* The access flag and the dirty state that hardware would set for this access; 0: none. */
static uint64_t hardware_sets(const struct iv_leaf *leaf, uint8_t access)
{
	unsigned flags = iv_w.ctx.vtcr_flags;
	uint64_t bits = 0;

	if (leaf->level && flags & PT_VTCR_HA)
		bits |= PT_PTE_AF & ~leaf->attrs;
	if (leaf->level && access == PT_ACCESS_WRITE && flags & PT_VTCR_HD &&
	    leaf->attrs & PT_PTE_DBM)
		bits |= PT_PTE_S2AP_W & ~leaf->attrs;
	return bits;
}

/* The walk, as of one moment: hardware may have made it at any time before. */
static struct iv_leaf walk(unsigned id, const struct iv_op *op)
{
	struct iv_leaf leaf;
	uint64_t bits, old;

	for (;;) {
		iv_event(IV_EVENT_TLBI, NULL, 0);
		leaf = iv_world_leaf(op->ipa);
		iv_observe(id, op->ipa, leaf.pa ^ leaf.attrs ^ (uint64_t)leaf.level);
		bits = hardware_sets(&leaf, op->access);
		if (!bits)
			return leaf;
		old = *leaf.slot;
		/* Walk and update are one for the tables: an entry that changed is walked again. */
		if (iv_cas(leaf.slot, 8, &old, old | bits, memory_order_relaxed)) {
			leaf.attrs |= bits;
			return leaf;
		}
	}
}

static void use(unsigned id, const struct iv_op *op, const struct iv_leaf *leaf)
{
	iv_w.in_flight[id].page = op->ipa;
	iv_w.in_flight[id].oa = leaf->pa + (op->ipa - leaf->base);
	iv_w.in_flight[id].rights = op->access == PT_ACCESS_WRITE ? PT_PTE_S2AP_W : PT_PTE_S2AP_R;
	iv_w.in_flight[id].stale_by = 0;
	iv_w.in_flight[id].active = true;
	iv_event(IV_EVENT_TLBI, NULL, 0);
	iv_w.in_flight[id].active = false;
}

static enum pt_outcome do_access(unsigned id, const struct iv_op *op)
{
	struct pt_agent *self = agent_of(id);
	struct iv_leaf leaf;
	enum pt_outcome o;
	bool done;

	for (;;) {
		iv_attempt();

		if (!enter(id))
			return PT_NOT_FOUND;
		pt_machine_use(&iv_w.machine, self);
		if (iv_case_now->rollover && pt_vmid_get(&iv_w.ctx, self) == PT_MORE) {
			pt_section_end(self);
			iv_wait_write();
			continue;
		}
		leaf = walk(id, op);
		done = permits(&leaf, op->access);
		if (done)
			use(id, op, &leaf);
		pt_section_end(self);
		if (done)
			return PT_OK;
		o = do_fault(id, op, leaf.level ? PT_FAULT_PERMISSION : PT_FAULT_TRANSLATION);
		if (o == PT_NO_SLOT || o == PT_READ_ONLY || o == PT_DENIED || pt_is_error(o))
			return o;
	}
}

/* The other context gets a number, if need be by a rollover. */
static enum pt_outcome do_run(unsigned id)
{
	struct pt_agent *self = agent_of(id);
	enum pt_outcome o;

	for (;;) {
		iv_attempt();

		pt_section_begin(self);
		pt_machine_use(&iv_w.machine, self);
		o = pt_vmid_get(&iv_w.other, self);
		pt_section_end(self);
		if (o != PT_MORE)
			return o;
		iv_wait_write();
	}
}

/* What it finds depends on the moment; that it finds it in a table that is one does not. */
static enum pt_outcome do_read(unsigned id, const struct iv_op *op)
{
	struct pt_agent *self = agent_of(id);
	enum pt_outcome o;
	pt_pte entry;
	int level;

	if (!enter(id))
		return PT_NOT_FOUND;
	pt_machine_use(&iv_w.machine, self);
	o = pt_get_leaf(&iv_w.ctx, pt_ipa(op->ipa), &entry, &level);
	pt_section_end(self);
	return o;
}

static enum pt_outcome do_op(unsigned id, const struct iv_op *op, uint64_t *told)
{
	switch (op->kind) {
	case IV_OP_FAULT: return do_fault(id, op, PT_FAULT_TRANSLATION);
	case IV_OP_POINT: return do_point(id, op);
	case IV_OP_RANGE: return do_range(id, op, false);
	case IV_OP_SLOT_DELETE: return do_slot_delete(id, op);
	case IV_OP_ACCESS: return do_access(id, op);
	case IV_OP_READ: return do_read(id, op);
	case IV_OP_UPKEEP: return do_upkeep(id, op, told);
	case IV_OP_DIRTY: return iv_do_dirty(id, op, told);
	case IV_OP_DESTROY: return do_destroy(id, op);
	case IV_OP_RUN: return do_run(id);
	case IV_OP_CALL: *told = op->call(); return PT_OK;
	case IV_OP_NONE: break;
	}
	return PT_INVALID;
}

void iv_run_script(unsigned id)
{
	const struct iv_op *op = iv_case_now->script[id];

	for (unsigned i = 0; i < IV_OPS && op[i].kind; i++) {
		if (i)
			iv_turn();
		iv_w.outcome[id][i] = do_op(id, &op[i], &iv_w.told[id][i]);
		if (iv_w.outcome[id][i] == PT_WRONG_STATE) /* met while it was going */
			iv_w.outcome[id][i] = PT_NOT_FOUND;
		iv_tlb_reply(id);
		pt_reclaim(agent_of(id));
	}
}

void iv_ops_name(const struct iv_op *op, char *text, size_t room)
{
	static const char *const kind[] = {"",	   "fault",  "point",	"range", "delete", "access",
					   "read", "upkeep", "destroy", "call",	 "dirty",  "run"};
	static const char *const item[] = {"",	    "map",	"unmap", "protect", "wrprotect",
					   "relax", "annotate", "young", "flush"};
	static const char *const upkeep[] = {"", "age", "split", "collapse", "sweep"};
	static const char *const dirty[] = {"", "start", "get", "stop"};
	const char *what = "";

	if (op->kind == IV_OP_POINT || op->kind == IV_OP_RANGE)
		what = item[op->item];
	else if (op->kind == IV_OP_UPKEEP)
		what = upkeep[op->upkeep];
	else if (op->kind == IV_OP_DIRTY)
		what = dirty[op->dirty];
	snprintf(text, room, "%s %s %#llx", kind[op->kind], what, (unsigned long long)op->ipa);
}
