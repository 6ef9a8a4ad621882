/* SPDX-License-Identifier: BSD-2-Clause */
/* The stage-2 fault handler: one walk, one compare-and-swap, no lock. See also page_fault.c. */
#include <pt/fault.h>

#include "../txn/compare.h"
#include "../txn/contiguous.h"
#include "../txn/internal.h"
#include "../txn/slot.h"
#include "internal.h"

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
	struct pt_dirty_log *logs;
	enum pt_outcome refusal; /* PT_OK, or why the slots do not grant this access */
	struct pt_fault_result *out;
};

PT__INLINE bool is_write(const struct fault *f)
{
	return f->in->access == PT_ACCESS_WRITE;
}

/* Is part of [lo, hi] in a dirty log, or the page in a slot that logs? */
PT__INLINE bool is_logged(const struct fault *f, uint64_t lo, uint64_t hi)
{
	if (PT__UNLIKELY(f->logs) && pt__meets_log(f->logs, lo, hi))
		return true;
	return f->slot && f->slot->flags & PT_SLOT_LOG_DIRTY;
}

/*
 * Rights that the slot gives on this access, as descriptor bits over ctx->fault_attrs (read only,
 * no execute) or over what a leaf has. Where the hardware keeps dirty state, it makes a leaf dirty;
 * else a logged page is writable from its first write on.
 */
PT__INLINE pt_pte with_rights(const struct fault *f, pt_pte e, bool logged)
{
	e |= PT_PTE_S2AP_R | PT_PTE_AF;
	if (!(f->slot->flags & PT_SLOT_READ_ONLY)) {
		if (PT__UNLIKELY(pt__hw_dirty(f->ctx)))
			e |= PT_PTE_DBM;
		else if (is_write(f) || !logged)
			e = (e & ~PT_PTE_DBM) | PT_PTE_S2AP_W;
	}
	if (f->in->access == PT_ACCESS_EXEC)
		e &= ~PT_PTE_XN; /* 00: EL1 and EL0 */
	return e;
}

static uint64_t slot_pa(const struct fault *f, uint64_t ipa)
{
	return f->slot->pa + (ipa - f->slot->ipa);
}

/* Does all of [lo, hi], which is around the address, lie in the slot? */
static bool in_slot(const struct fault *f, uint64_t lo, uint64_t hi)
{
	return lo >= f->slot->ipa && hi - f->slot->ipa < f->slot->size;
}

/* Of a slot whose memory may be absent: is [lo, hi] there? */
static __attribute__((noinline)) bool is_present(const struct fault *f, uint64_t lo, uint64_t hi)
{
	const struct pt_ctx *ctx = f->ctx;

	return !ctx->present || ctx->present(ctx->present_arg, pt_ipa(lo), hi - lo + 1);
}

/* Does memory that is absent, do the owners of the frames, or does the context's policy, keep the
 * block that would be installed at [lo, hi] in pages? */
static bool is_forced(const struct fault *f, uint64_t lo, uint64_t hi)
{
	const struct pt_ctx *ctx = f->ctx;
	pt_pte leaf = with_rights(f, ctx->fault_attrs, false);

	if (PT__UNLIKELY(f->slot->flags & PT_SLOT_PAGED) && !is_present(f, lo, hi))
		return true;
	if (!pt__owners_allow(ctx, lo, hi))
		return true;
	return PT__UNLIKELY(ctx->force_pages != NULL) &&
	       ctx->force_pages(ctx->force_pages_arg, pt_ipa(lo), hi - lo + 1,
				pt_leaf_prot(&ctx->geo, leaf, ctx->attrs));
}

/* May a leaf of 1 << shift bytes stand around the address: inside the slot, congruent,
 * unclaimed, unlogged and not forced into pages? */
static bool block_fits(const struct fault *f, unsigned shift)
{
	uint64_t mask = (UINT64_C(1) << shift) - 1;
	uint64_t lo = f->in->ipa.v & ~mask, hi = lo + mask;

	return ((f->slot->ipa ^ f->slot->pa) & mask) == 0 && in_slot(f, lo, hi) &&
	       pt__admit(f->ctx, lo, hi) == PT_OK && !is_logged(f, lo, hi) && !is_forced(f, lo, hi);
}

/*
 * The level of the leaf to install: the largest that slot, alignment, backing page and dirty logs
 * allow, at or below the entry that the walk met.
 */
PT__INLINE int choose_level(const struct fault *f, int level, unsigned gs)
{
	if (level < f->ctx->geo.min_block_level)
		level = f->ctx->geo.min_block_level;
	for (; level < PT_LEVEL_LAST; level++) {
		unsigned shift = gs + (gs - 3) * (unsigned)(PT_LEVEL_LAST - level);

		if (shift <= f->slot->backing_shift && block_fits(f, shift))
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
	return (e & PT_PTE_S2AP_R ? PT_PROT_R : 0) | (pt__writable(e) ? PT_PROT_W : 0) |
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
	uint64_t lo = f->in->ipa.v & ~mask, hi = lo + mask;
	pt_pte leaf = with_rights(f, ctx->fault_attrs, is_logged(f, lo, hi)) |
		      pt__oa_pte(&ctx->geo, pa & ~mask);
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
	f->out->prot = PT_PROT_R | (pt__writable(leaf) ? PT_PROT_W : 0) |
		       (f->in->access == PT_ACCESS_EXEC ? PT_PROT_X : 0);
	if (leaf & PT_PTE_S2AP_W && PT__UNLIKELY(f->logs))
		pt__mark(ctx, lo, hi, NULL);
	return PT_MAPPED;
}

/* XNX keeps EL1 and EL0 apart: with one of them the other's right is not asked for. */
PT__INLINE bool lacks_exec(const struct fault *f, pt_pte e)
{
	return (f->in->exec ? f->in->exec : PT_PROT_X) & ~(pt__exec(e) << 2);
}

/* Does the leaf say that this access may be made? */
PT__INLINE bool is_lacking(const struct fault *f, pt_pte e)
{
	bool hw = pt__hw_dirty(f->ctx);

	if (is_write(f))
		return !(e & PT_PTE_S2AP_W) && !(hw && e & PT_PTE_DBM);
	return !(e & PT_PTE_S2AP_R) || (f->in->access == PT_ACCESS_EXEC && lacks_exec(f, e));
}

/*
 * What `old` becomes when the missing right is added. The slot is the policy only for its own
 * memory: a leaf that was mapped elsewhere, or as another type, keeps its rights. But one that only
 * logging has write-protected has its right already.
 */
PT__INLINE enum pt_outcome add_right(const struct fault *f, const struct pt__at *at, bool logged,
				     pt_pte *new, unsigned gs)
{
	uint64_t mask = (UINT64_C(1) << at->shift) - 1, page;
	pt_pte old = at->entry;

	if (is_write(f) && old & PT_PTE_DBM) {
		*new = (old | PT_PTE_AF | PT_PTE_S2AP_W) & ~PT_PTE_DBM;
		return PT_OK;
	}
	if (PT__UNLIKELY(f->refusal != PT_OK))
		return f->refusal;
	page = (pt__oa(&f->ctx->geo, old, gs) & ~mask) | (f->in->ipa.v & mask);
	if (page != slot_pa(f, f->in->ipa.v) || ((old ^ f->ctx->fault_attrs) & PT_PTE_MEMATTR))
		return PT_DENIED;
	*new = with_rights(f, old, logged);
	return PT_OK;
}

/* A contiguous group changes as a whole, or is unfolded, which is for a transaction: told, for the
 * part of it to which the slot gives the right. */
static __attribute__((noinline)) enum pt_outcome group_lacks(const struct fault *f,
							     const struct pt__at *at, pt_pte new)
{
	unsigned shift = pt__span_shift(f->ctx->geo.granule_shift, at->entry, at->level, at->shift);
	uint64_t mask = (UINT64_C(1) << shift) - 1;
	uint64_t lo = f->in->ipa.v & ~mask, hi = f->in->ipa.v | mask;
	uint64_t slot_hi = f->slot->ipa + (f->slot->size - 1);

	lo = lo > f->slot->ipa ? lo : f->slot->ipa;
	hi = hi < slot_hi ? hi : slot_hi;
	f->out->todo = (struct pt_fault_todo){PT_TODO_RELAX, pt_ipa(lo), hi - lo + 1,
					      pt_leaf_prot(&f->ctx->geo, new, f->ctx->attrs) &
						      PT_PROT_RIGHTS};
	return PT_DENIED;
}

/*
 * May the right be added to the leaf around the address as a whole, if it is of this level? A block
 * has it at once for all its pages: not beyond the slot that gives it, and not where writes are
 * logged. (What has DBM has the right.)
 */
static bool is_one(const struct fault *f, pt_pte old, int level)
{
	uint64_t mask = pt_level_size(&f->ctx->geo, level) - 1;
	uint64_t lo = f->in->ipa.v & ~mask, hi = f->in->ipa.v | mask;

	if (level == PT_LEVEL_LAST)
		return true;
	if (is_write(f) && is_logged(f, lo, hi))
		return false;
	return (is_write(f) && old & PT_PTE_DBM) || in_slot(f, lo, hi);
}

/* Only a part of the block is to change: it becomes tables of the same leaves, down to one that may
 * change as a whole. PT_OK: descend again. */
static __attribute__((noinline)) enum pt_outcome split(const struct fault *f,
						       const struct pt__at *at)
{
	struct pt_effects effects = {0};
	enum pt_outcome outcome;
	int to = at->level + 1;

	while (!is_one(f, at->entry, to))
		to++;
	outcome = pt__split_point(f->agent, f->ctx, f->in->ipa.v, at, to, &effects);
	f->out->tables_added += effects.tables_added;
	return outcome;
}

/*
 * A leaf is there: add what is missing, in place (W3 allows a relaxation without
 * break-before-make). PT_OK: it is not the same any more, descend again.
 */
PT__INLINE enum pt_outcome relax(const struct fault *f, const struct pt__at *at, unsigned gs)
{
	struct pt_ctx *ctx = f->ctx;
	uint64_t mask = (UINT64_C(1) << at->shift) - 1;
	uint64_t lo = f->in->ipa.v & ~mask, hi = f->in->ipa.v | mask;
	pt_pte old = at->entry, new = old | PT_PTE_AF;
	enum pt_outcome outcome = old & PT_PTE_AF ? PT_ALREADY_MAPPED : PT_MADE_YOUNG, refusal;

	if (is_lacking(f, old)) {
		bool logged = is_logged(f, lo, hi);

		refusal = add_right(f, at, logged, &new, gs);
		if (PT__UNLIKELY(refusal != PT_OK))
			return refusal;
		if (PT__UNLIKELY(old & PT_PTE_CONTIGUOUS))
			return group_lacks(f, at, new);
		outcome = PT_RELAXED;
		if (at->level < PT_LEVEL_LAST && !is_one(f, old, at->level))
			return split(f, at);
		if (pt__adds_exec(old, new))
			pt_port_icache_inval_pou(ctx->machine->port,
						 pt_pa(pt__oa(&ctx->geo, old, gs) & ~mask),
						 mask + 1);
	}
	/* A block may reach into a claim that does not cover the page: its owner counts on what it
	 * read. */
	if (new != old && pt__admit(ctx, lo, hi) != PT_OK)
		outcome = PT_RACED;
	else if (new != old && !pt_pte_cas(at->slot, &old, new))
		outcome = pt__hw_only(at->entry, old) ? PT_OK : PT_RACED;
	/* Also for those who had the right already or lost the race: the vCPU's own entry is stale.
	 */
	pt__tlbi_local(ctx, f->in->vcpu, f->in->ipa.v, at->level);
	if (outcome == PT_RACED || outcome == PT_OK)
		return outcome;
	/* D1; and a page is dirty only once its fault is resolved. */
	if (PT__UNLIKELY(f->logs) && new & ~at->entry & PT_PTE_S2AP_W)
		pt__mark(ctx, lo, hi, NULL);
	report(f, new, at, gs);
	return outcome;
}

/* The slot first: without one it is the VMM's business. */
PT__INLINE enum pt_outcome may_install(const struct fault *f)
{
	const struct pt_owner_rules *rules = f->ctx->owner_rules;

	if (PT__UNLIKELY(f->refusal != PT_OK) || PT__LIKELY(!rules))
		return f->refusal;
	return rules->may_fill(f->ctx->owner_arg, f->in->ipa.v);
}

/* The page is annotated; could it be had by force? */
static __attribute__((noinline)) enum pt_outcome foreign(const struct fault *f)
{
	const struct pt_owner_rules *rules = f->ctx->owner_rules;
	uint64_t page = pt_level_size(&f->ctx->geo, PT_LEVEL_LAST);

	if (rules && rules->may_force && rules->may_force(f->ctx->owner_arg, f->in->ipa.v))
		f->out->todo = (struct pt_fault_todo){.kind = PT_TODO_RECLAIM,
						      .ipa = pt_ipa(f->in->ipa.v & ~(page - 1)),
						      .size = page};
	return PT_WRONG_OWNER;
}

PT__INLINE enum pt_outcome handle(const struct fault *f, unsigned gs)
{
	enum pt_outcome outcome = PT_OK;
	struct pt__at at;

	while (outcome == PT_OK) {
		pt__descend(f->ctx, f->in->ipa.v, PT_LEVEL_LAST, gs, &at);
		f->out->level = (int8_t)at.level;
		if (PT__LIKELY(!at.entry)) {
			outcome = may_install(f);
			return PT__LIKELY(outcome == PT_OK) ? install(f, &at, gs) : outcome;
		}
		if (!pt_pte_valid(at.entry))
			return pt_pte_locked(at.entry) ? PT_RACED : foreign(f);
		outcome = relax(f, &at, gs);
	}
	return outcome;
}

static __attribute__((noinline)) enum pt_outcome refusal_by_flags(const struct fault *f)
{
	uint64_t mask = (UINT64_C(1) << f->ctx->geo.granule_shift) - 1;
	uint64_t page = f->in->ipa.v & ~mask;

	if (is_write(f) && f->slot->flags & PT_SLOT_READ_ONLY)
		return PT_READ_ONLY;
	if (f->in->access == PT_ACCESS_EXEC && f->slot->flags & PT_SLOT_NO_EXEC)
		return PT_DENIED;
	return f->slot->flags & PT_SLOT_PAGED && !is_present(f, page, page + mask) ? PT_ABSENT
										   : PT_OK;
}

/*
 * What the slots say about the access. Not the last word: an explicit mapping may grant what they
 * do not, and then the fault came from an entry of the vCPU's TLB that is older than the mapping.
 */
PT__INLINE enum pt_outcome refusal_of(const struct fault *f)
{
	if (PT__UNLIKELY(!f->slot))
		return PT_NO_SLOT;
	if (PT__LIKELY(!(f->slot->flags & (PT_SLOT_READ_ONLY | PT_SLOT_NO_EXEC | PT_SLOT_PAGED))))
		return PT_OK;
	return refusal_by_flags(f);
}

/*
 * A page below a table that could be a block: since its log has stopped, or for it was mapped by
 * pages. Asked only where the slot allows a block.
 */
PT__INLINE void advise(const struct fault *f)
{
	const struct pt_geometry *g = &f->ctx->geo;
	struct pt_fault_result *out = f->out;
	unsigned shift = pt_level_shift(g, out->level - 1);

	if (PT__LIKELY(!f->slot || f->slot->backing_shift < shift) ||
	    !pt__could_fold(f->ctx, f->in->ipa.v, out->level - 1))
		return;
	out->todo =
		(struct pt_fault_todo){.kind = PT_TODO_COLLAPSE,
				       .ipa = pt_ipa(f->in->ipa.v & ~((UINT64_C(1) << shift) - 1)),
				       .size = UINT64_C(1) << shift};
}

enum pt_outcome pt__fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				 const struct pt_fault *fault, struct pt_fault_result *result)
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
	f.slot = pt__slot_find(pt_ctx_slots(ctx), fault->ipa.v);
	f.logs = pt__logs(ctx);
	f.refusal = refusal_of(&f);
	outcome = PT__BY_GRANULE(&ctx->geo, handle(&f, 12), handle(&f, 14), handle(&f, 16));
	if ((outcome == PT_MAPPED || outcome == PT_RELAXED) && result->level > ctx->geo.start_level)
		advise(&f);
	return outcome;
}
