/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/hv share. */
#ifndef PT_HV_INTERNAL_H
#define PT_HV_INTERNAL_H

#include <pt/hv.h>

/* The object of which `member` is at `at`. */
#define PT__HV_OF(at, type, member) ((type *)(void *)((unsigned char *)(at)-offsetof(type, member)))

/* A handle: kind, how often its place was used before, place. */
#define PT__HV_CONTEXT	 UINT64_C(1)
#define PT__HV_OPERATION UINT64_C(2)

static inline uint64_t pt__hv_handle(uint64_t kind, uint64_t use, uint32_t place)
{
	return kind << 56 | use << 8 | place;
}

static inline uint32_t pt__hv_place(uint64_t handle)
{
	return handle & 0xff;
}

/* The handle that comes after `handle` in the same place; `first` before any was given. */
static inline uint64_t pt__hv_next_handle(uint64_t handle, uint64_t kind, uint32_t place)
{
	return handle ? handle + 0x100 : pt__hv_handle(kind, 1, place);
}

/* What a call answers: outcome, and three words. */
struct pt__hv_answer {
	enum pt_outcome outcome;
	uint64_t x[3];
};

static inline struct pt__hv_answer pt__hv_answer(enum pt_outcome outcome)
{
	return (struct pt__hv_answer){.outcome = outcome};
}

/* context.c. The live context of a handle, or NULL; in a section, for as long as it lasts. */
struct pt_hv_ctx *pt__hv_context(struct pt_hv *hv, struct pt_agent *agent, uint64_t handle);
struct pt__hv_answer pt__hv_create(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
/* What a VTCR_EL2 of a caller says, if the CPUs have it. */
enum pt_outcome pt__hv_geometry(const struct pt_hv *hv, uint64_t vtcr, struct pt_geometry *geo);
/* In a section: makes the context of a place that is being made. Then it is LIVE, or nothing. */
enum pt_outcome pt__hv_context_make(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c,
				    const struct pt_geometry *geo, unsigned flags, uint64_t quota,
				    uint64_t shadows);
/* Takes it back: nobody has seen it. */
void pt__hv_context_undo(struct pt_hv_ctx *c, struct pt_agent *agent);
/* LIVE to DYING: not while a CPU runs it, PT_BUSY; PT_NOT_FOUND: it is not LIVE. */
enum pt_outcome pt__hv_begin_end(struct pt_hv_ctx *c);
struct pt__hv_answer pt__hv_destroy(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
/* Keeps a context that was live in this section from being destroyed. False: it is dying. */
bool pt__hv_pin(struct pt_hv_ctx *c);
void pt__hv_unpin(struct pt_hv_ctx *c);
/* Its tables are gone and no operation names it: its place is free. */
void pt__hv_context_gone(struct pt_hv_ctx *c);

/* slot.c */
struct pt__hv_answer pt__hv_set_slot(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
struct pt__hv_answer pt__hv_delete_slot(struct pt_hv *hv, struct pt_agent *agent,
					const uint64_t *arg);
/* The operation that changes slots is over: `published`, or nothing was changed. */
void pt__hv_slots_changed(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_ctx *c,
			  bool published);

/* range.c: MAP, UNMAP, PROTECT. */
struct pt__hv_answer pt__hv_range(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				  const uint64_t *arg);

/* Has nobody else what `busy` guards? Then this CPU has, until pt__hv_done(). */
static inline bool pt__hv_try(_Atomic bool *busy)
{
	return !atomic_load_explicit(busy, memory_order_relaxed) &&
	       !atomic_exchange_explicit(busy, true, memory_order_acquire);
}

static inline void pt__hv_done(_Atomic bool *busy)
{
	atomic_store_explicit(busy, false, memory_order_release);
}

/* op.c. A free operation, `busy`; NULL: all are under way. */
struct pt_hv_op *pt__hv_op_take(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind);
/* What it does: one item, checked, of its context, and perhaps a slot table at its commit point; or
 * the end of its context. */
void pt__hv_op_change(struct pt_hv_op *op, const struct pt_item *item,
		      const struct pt_slots *publish);
void pt__hv_op_end(struct pt_hv_op *op);
/* It never began; `busy` no longer. */
void pt__hv_op_drop(struct pt_hv_op *op);
/* One step of an operation that is `busy`, which it is no longer on return; the answer, or PT_MORE
 * and the handle. Outside a section. */
struct pt__hv_answer pt__hv_op_go(struct pt_hv *hv, struct pt_agent *agent, struct pt_hv_op *op);
/* `caller` as in struct pt_hv_op: others' operations are not found. */
struct pt__hv_answer pt__hv_continue(struct pt_hv *hv, struct pt_agent *agent, uint32_t caller,
				     const uint64_t *arg);
/* One step of an operation on a context (NULL: on any), of which nobody else does one now.
 * Transitions are on all of them. Outside a section. */
void pt__hv_help(struct pt_hv *hv, struct pt_agent *agent, const struct pt_ctx *ctx);

/* recycle.c. One step of giving back the tables of the host's MMIO, which begins if none is under
 * way. Outside a section. PT_RACED: it goes on, or some memory has come; PT_NO_MEMORY: it is over,
 * and none has. */
enum pt_outcome pt__hv_recycle(struct pt_hv *hv, struct pt_agent *agent, bool anew);

/* fault.c: FAULT, LEAF. */
struct pt__hv_answer pt__hv_fault(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
struct pt__hv_answer pt__hv_leaf(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);

/* nest.c, each in a section. Of a context that is being made: it may have shadows, of so many
 * pages. PT_UNSUPPORTED: not in this machine, or hardware keeps its dirty state; PT_TOO_LARGE:
 * there are PT_HV_NESTS. */
enum pt_outcome pt__hv_nest_make(struct pt_hv *hv, struct pt_hv_ctx *c, uint64_t quota);
/* It has none any more; its pages are back, or it has never had one. */
void pt__hv_nest_drop(struct pt_hv_ctx *c);
/* One step of ending its shadows, as long as there are more than `keep`. PT_OK: no more are. */
enum pt_outcome pt__hv_nest_shrink(struct pt_agent *agent, struct pt_hv_nest *nest, uint32_t keep);
/* What a guest hypervisor's registers are to its walks. Pure. */
struct pt_guest_regs pt__hv_nest_regs(const struct pt_hv *hv, const struct pt_guest_regs *el2);
/* A word of the guest's that EL2 could not read, or not write to: is it there when the guest itself
 * touches it? Outside a section. */
bool pt__hv_nest_touch(struct pt_hv *hv, struct pt_agent *agent, struct pt_ctx *ctx,
		       struct pt_ipa ipa, enum pt_access access);
/* nest_memory.c: the guest's memory, for walks of its tables. */
struct pt_guest_memory pt__hv_nest_memory(struct pt_hv_nest *nest);
/* op.c: NEST_TLBI of the guest that the CPU runs. Outside a section. */
struct pt__hv_answer pt__hv_nest_tlbi(struct pt_hv *hv, struct pt_agent *agent,
				      const uint64_t *arg);

/* Of a machine with owners; outside a section, but where it says so. guest.c. Whose handle it is,
 * in any state of its life, or NULL. */
struct pt_hv_ctx *pt__hv_guest(struct pt_hv *hv, uint64_t handle);
struct pt__hv_answer pt__hv_reserve(struct pt_hv *hv, struct pt_agent *agent);
struct pt__hv_answer pt__hv_create_guest(struct pt_hv *hv, struct pt_agent *agent,
					 const uint64_t *arg);
struct pt__hv_answer pt__hv_teardown(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
struct pt__hv_answer pt__hv_finalize(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);
/* In a section. One step of a FINALIZE that looks, after what the guest still owes to lendings;
 * when there is nothing its context begins to end. */
enum pt_outcome pt__hv_look(struct pt_agent *agent, struct pt_hv_op *op);

/* transfer.c. SHARE_HYP to RECLAIM_DYING. */
struct pt__hv_answer pt__hv_transfer(struct pt_hv *hv, struct pt_agent *agent, enum pt_hvc kind,
				     const uint64_t *arg);
/* An operation, `busy`, that carries out what *args say but for owners and wake. PT_OK and *op;
 * PT_BUSY; what pt_transfer_init() says. */
enum pt_outcome pt__hv_transfer_begin(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind,
				      struct pt_transfer_args *args, struct pt_hv_op **op);
/* The same of a lending. */
enum pt_outcome pt__hv_lend_begin(struct pt_hv *hv, struct pt_hv_ctx *c, uint32_t kind,
				  struct pt_lend_args *args, struct pt_hv_op **op);
/* In a section: a step of it. */
enum pt_outcome pt__hv_transfer_step(struct pt_agent *agent, struct pt_hv_op *op);
/* It is over: the operation keeps what there is to answer. */
void pt__hv_transfer_done(struct pt_hv_op *op);
/* The host wants what a guest has for itself. PT_RACED: it goes on, or is done; else why not. */
enum pt_outcome pt__hv_force(struct pt_hv *hv, struct pt_agent *agent, uint64_t pa);

/* lend.c: LEND; LEND_DROP; LEND_PIECE, RETRIEVE, RELINQUISH, TAKE_BACK. */
struct pt__hv_answer pt__hv_lend_open(struct pt_hv *hv, struct pt_agent *agent,
				      enum pt_hv_caller caller, const uint64_t *arg);
struct pt__hv_answer pt__hv_lend_drop(struct pt_hv *hv, struct pt_agent *agent,
				      const uint64_t *arg);
struct pt__hv_answer pt__hv_lend(struct pt_hv *hv, struct pt_agent *agent, enum pt_hv_caller caller,
				 enum pt_hvc kind, const uint64_t *arg);

/* owners.c */
struct pt__hv_answer pt__hv_owner(struct pt_hv *hv, struct pt_agent *agent, const uint64_t *arg);

static inline void pt__hv_begin(struct pt_hv *hv, struct pt_agent *agent)
{
	pt_section_begin(agent);
	pt_machine_use(&hv->machine, agent);
}

#endif
