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

/* Before the answer: accesses in flight with what was taken away have ended. */
static void await_grace(unsigned id)
{
	struct pt_agent *self = agent_of(id);
	struct pt_grace grace;
	uint64_t mark;

	if (!pt_item_needs_grace(&iv_w.machine, self))
		return;
	pt_grace_begin(&grace, &iv_w.machine, self);
	for (;;) {
		mark = iv_memory_writes(id);
		if (pt_grace_done(&grace, &iv_w.machine))
			return;
		iv_wait_write(mark);
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
	struct pt_waiter waiter;
	enum pt_outcome o;
	bool parked;

	for (;;) {
		uint64_t mark = iv_memory_writes(id);

		pt_section_begin(self);
		o = pt_fault_handle(self, &iv_w.ctx, &fault, &result);
		parked = o == PT_PARKED && park(id, &waiter, op->ipa & ~UINT64_C(0xfff), 0x1000);
		pt_section_end(self);
		if (parked)
			await_wake(id);
		else if (o == PT_RACED)
			iv_wait_write(mark);
		else if (o != PT_PARKED)
			return o;
	}
}

/* Steps a transaction to its end; free_slots: the table that it replaces is freed after it. */
static enum pt_outcome run_txn(unsigned id, struct pt_txn *txn, uint32_t budget)
{
	struct pt_agent *self = agent_of(id);
	enum pt_outcome o;

	for (;;) {
		uint64_t mark = iv_memory_writes(id);

		pt_section_begin(self);
		o = pt_txn_step(txn, self, budget ? budget : PLENTY);
		pt_section_end(self);
		if (o == PT_PARKED)
			await_wake(id);
		else if (o != PT_MORE)
			return o;
		else if (txn->phase == PT_TXN_DRAIN || txn->phase == PT_TXN_RETIRE)
			iv_wait_write(mark);
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

static enum pt_outcome do_range(unsigned id, const struct iv_op *op)
{
	struct pt_item item = item_of(op);
	struct pt_txn txn;
	enum pt_outcome o = pt_item_check(&item);

	if (o != PT_OK)
		return o;
	pt_txn_init(&txn, &item, 1, 0, false, wake[id]);
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
		uint64_t mark = iv_memory_writes(id);

		pt_section_begin(self);
		o = pt_point(self, &item, &effects, &error);
		parked = o == PT_PARKED && park(id, &waiter, op->ipa, op->size);
		pt_section_end(self);
		if (parked)
			await_wake(id);
		else if (o == PT_RACED)
			iv_wait_write(mark);
	}
	if (o == PT_MORE)
		return do_range(id, op);
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
		iv_w.slots[0].slot[i].pa = UINT64_C(0xdead0000000);
	return (enum pt_outcome)item.outcome;
}

/* ---- a vCPU's access ---- */

static bool permits(const struct iv_leaf *leaf, uint8_t access)
{
	if (access == PT_ACCESS_WRITE)
		return leaf->attrs & PT_PTE_S2AP_W;
	return leaf->attrs & PT_PTE_S2AP_R;
}

/* Walks in memory as it stands at one moment: hardware may have done so at any time before. */
static enum pt_outcome do_access(unsigned id, const struct iv_op *op)
{
	struct pt_agent *self = agent_of(id);
	struct iv_leaf leaf;
	enum pt_outcome o;

	for (;;) {
		pt_section_begin(self);
		iv_event(IV_EVENT_TLBI, NULL, 0);
		leaf = iv_world_leaf(op->ipa);
		iv_observe(id, op->ipa, leaf.pa ^ leaf.attrs ^ (uint64_t)leaf.level);
		if (leaf.level && (leaf.attrs & PT_PTE_AF) && permits(&leaf, op->access)) {
			iv_w.in_flight[id].page = op->ipa;
			iv_w.in_flight[id].oa = leaf.pa + (op->ipa - leaf.base);
			iv_w.in_flight[id].rights =
				op->access == PT_ACCESS_WRITE ? PT_PTE_S2AP_W : PT_PTE_S2AP_R;
			iv_w.in_flight[id].stale_by = 0;
			iv_w.in_flight[id].active = true;
			iv_event(IV_EVENT_TLBI, NULL, 0);
			iv_w.in_flight[id].active = false;
			pt_section_end(self);
			return PT_OK;
		}
		pt_section_end(self);
		o = do_fault(id, op, leaf.level ? PT_FAULT_PERMISSION : PT_FAULT_TRANSLATION);
		if (o == PT_NO_SLOT || o == PT_READ_ONLY || o == PT_DENIED || pt_is_error(o))
			return o;
	}
}

static enum pt_outcome do_op(unsigned id, const struct iv_op *op)
{
	switch (op->kind) {
	case IV_OP_FAULT: return do_fault(id, op, PT_FAULT_TRANSLATION);
	case IV_OP_POINT: return do_point(id, op);
	case IV_OP_RANGE: return do_range(id, op);
	case IV_OP_SLOT_DELETE: return do_slot_delete(id, op);
	case IV_OP_ACCESS: return do_access(id, op);
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
		iv_w.outcome[id][i] = do_op(id, &op[i]);
		iv_tlb_reply(id);
		pt_reclaim(agent_of(id));
	}
}

void iv_ops_name(const struct iv_op *op, char *text, size_t room)
{
	static const char *const kind[] = {"", "fault", "point", "range", "delete", "access"};
	static const char *const item[] = {"", "map ", "unmap ", "protect "};
	bool is_item = op->kind == IV_OP_POINT || op->kind == IV_OP_RANGE;

	snprintf(text, room, "%s %s%#llx", kind[op->kind], is_item ? item[op->item] : "",
		 (unsigned long long)op->ipa);
}
