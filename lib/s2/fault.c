/* SPDX-License-Identifier: BSD-2-Clause */
/* The stage-2 fault handler: one walk, one compare-and-swap, no lock. */
#include <pt/fault.h>

#include "../txn/compare.h"
#include "../txn/internal.h"

/*
 * Order: claims before slots before tables, each load an acquire. A section that finds no claim
 * either began before it was published (its owner waits for the section), or after its release, and
 * then sees the slots and entries that its owner left.
 */
struct fault {
	struct pt_agent *agent;
	struct pt_ctx *ctx;
	const struct pt_fault *in;
	const struct pt_slot *slot;
	enum pt_outcome refusal; /* PT_OK, or why the slots do not grant this access */
	struct pt_fault_result *out;
};

PT__INLINE bool is_write(const struct fault *f)
{
	return f->in->access == PT_ACCESS_WRITE;
}

/* Rights that the slot gives on this access, as descriptor bits over ctx->fault_attrs (read only,
 * no execute). */
PT__INLINE pt_pte with_rights(const struct fault *f, pt_pte e)
{
	e |= PT_PTE_S2AP_R | PT_PTE_AF;
	if (is_write(f) || !(f->slot->flags & (PT_SLOT_READ_ONLY | PT_SLOT_LOG_DIRTY)))
		e |= PT_PTE_S2AP_W;
	if (f->in->access == PT_ACCESS_EXEC)
		e &= ~PT_PTE_XN; /* 00: EL1 and EL0 */
	return e;
}

static uint64_t slot_pa(const struct fault *f, uint64_t ipa)
{
	return f->slot->pa + (ipa - f->slot->ipa);
}

/* May a leaf of 1 << shift bytes stand around the address: inside the slot, congruent, and
 * unclaimed? */
static bool block_fits(const struct fault *f, unsigned shift)
{
	uint64_t size = UINT64_C(1) << shift, mask = size - 1;
	uint64_t lo = f->in->ipa.v & ~mask;
	const struct pt_slot *slot = f->slot;

	return ((slot->ipa ^ slot->pa) & mask) == 0 && lo >= slot->ipa &&
	       slot->size - (lo - slot->ipa) >= size && lo - slot->ipa < slot->size &&
	       pt__admit(f->ctx, lo, lo + mask) == PT_OK;
}

/*
 * The level of the leaf to install: the largest that slot, alignment and backing page allow, at or
 * below the entry that the walk met. A slot that logs dirty pages gets pages.
 */
PT__INLINE int choose_level(const struct fault *f, int level, unsigned gs)
{
	unsigned limit = f->slot->flags & PT_SLOT_LOG_DIRTY ? gs : f->slot->backing_shift;

	if (level < f->ctx->geo.min_block_level)
		level = f->ctx->geo.min_block_level;
	for (; level < PT_LEVEL_LAST; level++) {
		unsigned shift = gs + (gs - 3) * (unsigned)(PT_LEVEL_LAST - level);

		if (shift <= limit && block_fits(f, shift))
			break;
	}
	return level;
}

/* Rights and memory type of a leaf. Slots give Normal memory, so that is what is nearly always
 * there. */
PT__INLINE uint32_t prot_of(const struct pt_ctx *ctx, pt_pte e)
{
	unsigned exec = pt__exec(e);

	if (PT__UNLIKELY((e ^ ctx->fault_attrs) & PT_PTE_MEMATTR))
		return pt_leaf_prot(&ctx->geo, e, ctx->attrs);
	return (e & PT_PTE_S2AP_R ? PT_PROT_R : 0) | (e & PT_PTE_S2AP_W ? PT_PROT_W : 0) |
	       (exec & 1 ? PT_PROT_PX : 0) | (exec & 2 ? PT_PROT_UX : 0);
}

PT__INLINE void report(const struct fault *f, pt_pte e, const struct pt__at *at, unsigned gs)
{
	const struct pt_geometry *g = &f->ctx->geo;
	uint64_t mask = (UINT64_C(1) << at->shift) - 1;

	f->out->level = (int8_t)at->level;
	f->out->prot = prot_of(f->ctx, e);
	f->out->pa = pt_pa((pt__oa(g, e, gs) & ~mask) | (f->in->ipa.v & mask));
}

static __attribute__((noinline)) enum pt_outcome
install_with_tables(const struct fault *f, const struct pt__at *at, int level, pt_pte leaf)
{
	struct pt__chain chain;
	pt_pte old = 0;
	unsigned count;
	enum pt_outcome outcome =
		pt__chain_build(f->agent, f->ctx, f->in->ipa.v, at->level, level, leaf, &chain);

	if (outcome != PT_OK)
		return outcome;
	count = chain.count;
	if (!pt_pte_cas(at->slot, &old, chain.head)) {
		pt__chain_drop(f->agent, f->ctx, &chain);
		return PT_RACED;
	}
	f->out->tables_added = count;
	return PT_MAPPED;
}

PT__INLINE enum pt_outcome install(const struct fault *f, const struct pt__at *at, unsigned gs)
{
	struct pt_ctx *ctx = f->ctx;
	int level = choose_level(f, at->level, gs);
	uint64_t mask = (UINT64_C(1) << (gs + (gs - 3) * (unsigned)(PT_LEVEL_LAST - level))) - 1;
	uint64_t pa = slot_pa(f, f->in->ipa.v);
	pt_pte leaf = with_rights(f, ctx->fault_attrs) | pt__oa_pte(&ctx->geo, pa & ~mask);
	enum pt_outcome outcome = PT_MAPPED;
	pt_pte old = 0;

	if (level == PT_LEVEL_LAST)
		leaf |= PT_PTE_TYPE;
	pt__clean_for(ctx, f->in->access == PT_ACCESS_EXEC ? PT_PROT_X : 0, pa & ~mask, mask + 1);
	if (PT__UNLIKELY(level != at->level))
		outcome = install_with_tables(f, at, level, leaf);
	else if (!pt_pte_cas(at->slot, &old, leaf))
		outcome = PT_RACED;
	if (PT__UNLIKELY(outcome != PT_MAPPED))
		return outcome;
	f->out->level = (int8_t)level;
	f->out->pa = pt_pa(pa);
	f->out->prot = PT_PROT_R | (leaf & PT_PTE_S2AP_W ? PT_PROT_W : 0) |
		       (f->in->access == PT_ACCESS_EXEC ? PT_PROT_X : 0);
	return PT_MAPPED;
}

/*
 * A leaf is there: add what is missing, in place (W3 allows a relaxation without
 * break-before-make). The slot is the policy only for its own memory: a leaf that was mapped
 * elsewhere, or as another type, keeps its rights.
 */
PT__INLINE enum pt_outcome relax(const struct fault *f, const struct pt__at *at, unsigned gs)
{
	struct pt_ctx *ctx = f->ctx;
	const struct pt_geometry *g = &ctx->geo;
	uint64_t size = UINT64_C(1) << at->shift;
	pt_pte old = at->entry, new = old | PT_PTE_AF;
	bool lacking = (is_write(f) ? !(old & PT_PTE_S2AP_W) : !(old & PT_PTE_S2AP_R)) ||
		       (f->in->access == PT_ACCESS_EXEC && (old & PT_PTE_XN));
	enum pt_outcome outcome = PT_ALREADY_MAPPED;

	if (lacking && PT__UNLIKELY(f->refusal != PT_OK))
		return f->refusal;
	if (lacking) {
		uint64_t pa = (pt__oa(g, old, gs) & ~(size - 1)) | (f->in->ipa.v & (size - 1));

		if (pa != slot_pa(f, f->in->ipa.v) || ((old ^ ctx->fault_attrs) & PT_PTE_MEMATTR))
			return PT_DENIED;
		new = with_rights(f, old);
		if (pt__adds_exec(old, new))
			pt_port_icache_inval_pou(ctx->machine->port, pt_pa(pa & ~(size - 1)), size);
		outcome = PT_RELAXED;
	} else if (!(old & PT_PTE_AF)) {
		outcome = PT_MADE_YOUNG;
	}
	/* A block may reach into a claim that does not cover the page: its owner counts on what it
	 * read. */
	if (new != old &&
	    (pt__admit(ctx, f->in->ipa.v & ~(size - 1), f->in->ipa.v | (size - 1)) != PT_OK ||
	     !pt_pte_cas(at->slot, &old, new)))
		outcome = PT_RACED;
	/* Also for those who had the right already or lost the race: the vCPU's own entry is stale.
	 */
	pt__tlbi_local(ctx, f->in->vcpu, f->in->ipa.v, at->level);
	if (outcome != PT_RACED)
		report(f, new, at, gs);
	return outcome;
}

PT__INLINE enum pt_outcome handle(const struct fault *f, unsigned gs)
{
	struct pt__at at;

	pt__descend(f->ctx, f->in->ipa.v, PT_LEVEL_LAST, gs, &at);
	f->out->level = (int8_t)at.level;
	if (PT__LIKELY(!at.entry))
		return PT__LIKELY(f->refusal == PT_OK) ? install(f, &at, gs) : f->refusal;
	if (pt_pte_valid(at.entry))
		return relax(f, &at, gs);
	return pt_pte_locked(at.entry) ? PT_RACED : PT_WRONG_OWNER;
}

/*
 * What the slots say about the access. Not the last word: an explicit mapping may grant what they
 * do not, and then the fault came from an entry of the vCPU's TLB that is older than the mapping.
 */
PT__INLINE enum pt_outcome refusal_of(const struct fault *f)
{
	if (PT__UNLIKELY(!f->slot))
		return PT_NO_SLOT;
	if (is_write(f) && f->slot->flags & PT_SLOT_READ_ONLY)
		return PT_READ_ONLY;
	if (f->in->access == PT_ACCESS_EXEC && f->slot->flags & PT_SLOT_NO_EXEC)
		return PT_DENIED;
	return PT_OK;
}

PT__INLINE enum pt_outcome admit_and_handle(struct pt_agent *agent, struct pt_ctx *ctx,
					    const struct pt_fault *fault,
					    struct pt_fault_result *result)
{
	struct fault f = {.agent = agent, .ctx = ctx, .in = fault, .out = result};
	uint64_t page = fault->ipa.v & ~((UINT64_C(1) << ctx->geo.granule_shift) - 1);
	enum pt_outcome outcome;

	*result = (struct pt_fault_result){.level = ctx->geo.start_level};
	if (PT__UNLIKELY(fault->ipa.v >> ctx->geo.ipa_bits))
		return PT_OUT_OF_RANGE;
	pt_machine_use(ctx->machine, agent);
	outcome = pt__admit(ctx, page, page + (UINT64_C(1) << ctx->geo.granule_shift) - 1);
	if (PT__UNLIKELY(outcome != PT_OK))
		return outcome;
	f.slot = pt_slot_find(pt_ctx_slots(ctx), fault->ipa.v);
	f.refusal = refusal_of(&f);
	return PT__BY_GRANULE(&ctx->geo, handle(&f, 12), handle(&f, 14), handle(&f, 16));
}

enum pt_outcome pt_fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				const struct pt_fault *fault, struct pt_fault_result *result)
{
	enum pt_outcome outcome;

	pt_port_note(PT_EVENT_OP_BEGIN, PT_OP_FAULT, result, ctx, fault->ipa.v, fault->access);
	outcome = admit_and_handle(agent, ctx, fault, result);
	pt_port_note(PT_EVENT_OP_END, PT_OP_FAULT, result, ctx, outcome, 0);
	return outcome;
}
