/* SPDX-License-Identifier: BSD-2-Clause */
/* Many changes of one entry each, faster than one after the other; private to lib/txn and lib/s2.
 */
#ifndef PT_TXN_BATCH_H
#define PT_TXN_BATCH_H

#include "internal.h"

/*
 * Some changes at a time: first all their entries are found and asked for, then it is worked out
 * what becomes of each, then they are exchanged, in order. So the waits for memory overlap, and
 * nothing but the exchanges stands between one exchange and the next: neighbours in a cache line
 * are exchanged in one visit of it, also where another CPU works on the same line.
 *
 * No change is made that would not have been made one after the other: an exchange succeeds only
 * on the entry that its change was worked out from. Where it fails, or a change is none that a
 * batch does, those behind it are looked at again; if it is the first of them the batch has ended.
 *
 * No table that was found goes before the section ends: a claim that is not there yet waits for it.
 */
#define PT__WINDOW 64

/* Is nothing in the way of plain operations? No claim, no dirty log, an agent that is known to the
 * machine. */
PT__INLINE bool pt__is_open(const struct pt_agent *agent, struct pt_ctx *ctx)
{
	uint64_t users = atomic_load_explicit(&ctx->machine->agents, memory_order_relaxed);

	return users >> agent->id & 1 &&
	       !atomic_load_explicit(&ctx->claims, memory_order_acquire) && !pt__logs(ctx);
}

/* Can faults be plain? */
PT__INLINE bool pt__is_plain(const struct pt_agent *agent, struct pt_ctx *ctx)
{
	return ctx->plain && pt__is_open(agent, ctx);
}

/* Can points be plain: is what becomes of a page nobody else's business? */
PT__INLINE bool pt__is_direct(const struct pt_agent *agent, struct pt_ctx *ctx)
{
	return ctx->direct && pt__is_open(agent, ctx);
}

/* Can faults be plain, but for the owners of frames, who are asked before an entry is filled? */
PT__INLINE bool pt__is_ruled(const struct pt_agent *agent, struct pt_ctx *ctx)
{
	return ctx->ruled && pt__is_open(agent, ctx);
}

struct pt__change {
	pt_pte *slot;
	pt_pte old, new;
	bool flush; /* the machine has TLBs, which may know the entry once the context has run */
};

/*
 * The page that was looked up last, in a context: its table, and the one above it if there is one.
 * Each as where it would begin if its entries went back to address 0.
 */
struct pt__near {
	const struct pt_ctx *ctx;
	struct pt_port port;
	uint64_t ipa;
	uintptr_t table, above;
	bool has_above, flush;
};

/* In a context in which nothing was looked up. */
PT__INLINE struct pt__near pt__near_none(const struct pt_ctx *ctx, uint64_t ipa)
{
	return (struct pt__near){.ctx = ctx,
				 .port = ctx->port,
				 .ipa = ~ipa, /* in no table of a page of it */
				 .flush = pt_port_has_tlb(ctx->machine->mmu)};
}

PT__INLINE pt_pte *pt__near_entry(uintptr_t table, uint64_t ipa, unsigned shift)
{
	return (pt_pte *)(table + (ipa >> shift) * sizeof(pt_pte));
}

/* The table of another page than the last. False: there is none. */
PT__INLINE bool pt__near_table(struct pt__near *last, uint64_t ipa, unsigned gs)
{
	const unsigned above = 2 * gs - 3, top = 3 * gs - 6;
	pt_pte entry;
	struct pt__at at;

	if (PT__LIKELY(last->has_above && !((ipa ^ last->ipa) >> top))) {
		entry = pt_pte_load(pt__near_entry(last->above, ipa, above));
	} else {
		pt__descend_in(last->ctx, ipa, PT_LEVEL_LAST - 1, gs, false, &at);
		if (at.level == PT_LEVEL_LAST) { /* the start level */
			last->table = (uintptr_t)at.slot - (ipa >> gs) * sizeof(pt_pte);
			return true;
		}
		last->has_above = at.level == PT_LEVEL_LAST - 1;
		if (!last->has_above)
			return false;
		last->above = (uintptr_t)at.slot - (ipa >> above) * sizeof(pt_pte);
		entry = at.entry;
	}
	if (PT__UNLIKELY((entry & 3) != 3))
		return false;
	last->table = (uintptr_t)pt_port_table(&last->port, pt_pa(entry & pt__oa_low(gs))) -
		      (ipa >> above << (gs - 3)) * sizeof(pt_pte);
	return true;
}

/* Looks up the entry of the page at `ipa`, and asks for it. False: no table. */
PT__INLINE bool pt__near_find(struct pt__near *last, uint64_t ipa, struct pt__change *change,
			      unsigned gs)
{
	if ((ipa ^ last->ipa) >> (2 * gs - 3) && !pt__near_table(last, ipa, gs)) {
		last->ipa = ~ipa;
		return false;
	}
	last->ipa = ipa;
	change->slot = pt__near_entry(last->table, ipa, gs);
	change->flush = last->flush;
	pt_port_prefetch(change->slot);
	return true;
}

/*
 * What a batch does with item `at`; false: it is none for a batch, or the exchange failed.
 *   find      sets the slot, and asks for the entry there
 *   plan      sets old and new
 *   exchange  makes the change, and counts it
 */
struct pt__batch_ops {
	bool (*find)(void *batch, size_t at, struct pt__change *change);
	bool (*plan)(void *batch, size_t at, struct pt__change *change);
	bool (*exchange)(void *batch, size_t at, struct pt__change *change);
};

/* Returns how many items are done. */
PT__INLINE uint32_t pt__batch(void *batch, uint32_t count, const struct pt__batch_ops ops)
{
	struct pt__change change[PT__WINDOW];
	size_t at = 0, n, i;

	do {
		n = count - at < PT__WINDOW ? count - at : PT__WINDOW;
		for (i = 0; i < n && ops.find(batch, at + i, &change[i]); i++)
			;
		n = i;
		for (i = 0; i < n && ops.plan(batch, at + i, &change[i]); i++)
			;
		n = i;
		for (i = 0; i < n && ops.exchange(batch, at + i, &change[i]); i++)
			;
		at += i;
	} while (i && at < count);
	return (uint32_t)at;
}

#endif
