/* SPDX-License-Identifier: BSD-2-Clause */
#include "transfer_fail.h"

#include "domain_fail.h"

#include <stdio.h>

#define WORDS 64

typedef char words[WORDS];

/* NULL: the row's text of docs/errors.md says it all. */
static const char *why(enum pt_outcome code)
{
	switch (code) {
	case PT_WRONG_OWNER: return "it is another party's; GetOwner says whose";
	case PT_WRONG_STATE: return "its owner's or the guest's page is in another state";
	case PT_BUSY: return "pinned, logged, borrowed by somebody, or as often as can be";
	case PT_NOT_MAPPED: return "the guest has nothing there";
	case PT_POISONED: return "it was taken by force, and ends with its guest";
	case PT_OUT_OF_RANGE: return "the range leaves memory, or the guest's addresses";
	case PT_TOO_LARGE: return "of more than three guests, or in more than 32 pieces of memory";
	case PT_QUOTA:
		return "a quota is spent: of a context, of what its guest was topped up with, or "
		       "the machine's owner_quota_pages";
	default: return NULL;
	}
}

static enum call_result fail_at(struct call *call, enum pt_outcome code, const char *where)
{
	const char *text = why(code);

	return text ? call_fail(call, code, "%s: %s", where, text) : CALL_DONE;
}

static void name_page(words to, const struct transfer_items *items, const struct pt_error *e)
{
	const struct pt_transfer_range *r = &items->range[e->index];
	unsigned long long at = e->ipa.v;

	if (!items->by_pa)
		snprintf(to, WORDS, "items[%u]: ipa 0x%llx", e->index, at);
	else if (!items->by_ipa)
		snprintf(to, WORDS, "items[%u]: pa 0x%llx", e->index, at);
	else
		snprintf(to, WORDS, "items[%u]: pa 0x%llx, ipa 0x%llx", e->index, at,
			 (unsigned long long)(r->ipa.v + (at - r->pa)));
}

static enum call_result fail_misaligned(struct call *call, const struct transfer_items *items,
					uint32_t i)
{
	const struct pt_transfer_range *r = &items->range[i];
	uint64_t unit = UINT64_C(1) << items->unit_shift;
	const struct {
		const char *name;
		uint64_t value;
	} part[] = {{"pa", r->pa}, {"ipa", r->ipa.v}, {"size", r->size}};
	unsigned p = 0;
	words field;

	while (p < 2 && !(part[p].value % unit))
		p++;
	snprintf(field, sizeof(field), "items[%u].%s", i, part[p].name);
	return fail_aligned(call, field, part[p].value, unit);
}

/* Of a guest that takes part in what it cannot; NULL: it can. */
static const char *guest_is(const struct pt_transfer *t, uint32_t guest)
{
	const struct pt_guest *g = &t->args.owners->guest[guest];
	uint32_t life = atomic_load(&g->life);

	if (t->args.kind == PT_RECLAIM_DYING)
		return life == PT_GUEST_LIVE ? "the guest is live: TeardownGuest comes first"
					     : NULL;
	if (life == PT_GUEST_DYING)
		return "the guest is dying";
	if (t->args.kind == PT_SHARE_GUEST && g->protected)
		return "the guest is protected: it owns what DONATE gives it";
	if (t->args.kind == PT_DONATE_GUEST && !g->protected)
		return "the guest is plain: it has memory by SHARE";
	return NULL;
}

/* What lib alone judges: rights, whether a range meets another one, and what goes in parts. */
static enum call_result fail_invalid(struct call *call, const struct transfer_items *items,
				     const struct pt_transfer *t)
{
	uint32_t i = t->error.index, prot = items->range[i].prot;

	if (t->args.kind == PT_RECLAIM_DYING)
		return call_fail(call, PT_INVALID,
				 "items: RECLAIM of what a dying guest has takes one, without "
				 "validate_only and expected_generation");
	if (t->args.kind == PT_SHARE_GUEST &&
	    (prot & PT_PROT_SW || pt_prot_check(prot, PT_ATTR_XNX) != PT_OK))
		return call_fail(call, PT_INVALID, "items[%u].prot: 0x%x is no right of a guest's",
				 i, prot);
	if (i)
		return call_fail(call, PT_INVALID,
				 "items[%u]: one before it names a part of it, or sizes come to "
				 "2^64 bytes",
				 i);
	return CALL_DONE;
}

enum call_result transfer_fail(struct call *call, const struct transfer_items *items,
			       const struct pt_transfer *t)
{
	const struct pt_error *e = &t->error;
	const char *guest = NULL;
	words where;

	fail_error(call, e);
	if (e->index >= items->count)
		return CALL_DONE;
	if (e->code == PT_WRONG_STATE && items->of_guest)
		guest = guest_is(t, items->range[e->index].guest);
	name_page(where, items, e);
	if (e->code == PT_INVALID)
		fail_invalid(call, items, t);
	else if (e->code == PT_MISALIGNED)
		fail_misaligned(call, items, e->index);
	else if (e->code == PT_UNSUPPORTED && t->args.kind == PT_SHARE_GUEST)
		call_fail(call, e->code, "items[%u].prot: 0x%x needs the context's option xnx",
			  e->index, items->range[e->index].prot);
	else if (guest)
		call_fail(call, e->code, "items[%u]: %s", e->index, guest);
	else
		fail_at(call, e->code, where);
	call->status.index = e->index;
	return CALL_DONE;
}

/* Before its pages are looked at a lending admits a call, or does not. NULL: it does. */
static const char *lending_is(const struct pt_lend *lend, const struct pt_lending *l,
			      enum pt_outcome code)
{
	const struct pt_lend_args *a = &lend->args;
	bool borrows = a->kind == PT_LEND_RETRIEVE || a->kind == PT_LEND_RELINQUISH;
	bool has = false;

	for (uint32_t i = 0; i < l->borrowers; i++)
		has |= l->borrower[i].guest == a->who && l->borrower[i].has;
	if (code == PT_WRONG_OWNER)
		return borrows ? "it was not lent to this guest" : "another party lends it";
	if (code == PT_BUSY && a->kind == PT_LEND_RECLAIM)
		return "a borrower has it, who is to RELINQUISH it first";
	if (code != PT_WRONG_STATE)
		return NULL;
	if (l->state != PT_LENDING_LENT)
		return a->kind == PT_LEND_PIECE ? "its last piece is on its way"
						: "its list is not complete yet";
	if (a->kind == PT_LEND_PIECE)
		return "it is lent, and takes no more pieces";
	if (a->kind == PT_LEND_RELINQUISH && !has)
		return "this guest does not have it";
	return a->kind == PT_LEND_RETRIEVE && has ? "this guest has it already" : NULL;
}

static bool names_pa(const struct pt_lend *lend)
{
	return lend->args.kind == PT_LEND_PIECE && lend->args.who == PT_NO_GUEST;
}

static bool dies(const struct pt_lend *lend)
{
	const struct pt_lend_args *a = &lend->args;

	return a->who != PT_NO_GUEST &&
	       atomic_load(&a->owners->guest[a->who].life) == PT_GUEST_DYING;
}

static enum call_result fail_piece(struct call *call, const struct pt_lend *lend, uint32_t i,
				   uint64_t unit)
{
	const struct pt_lend_args *a = &lend->args;
	words field;

	if (!unit)
		return CALL_DONE;
	snprintf(field, WORDS, "items[%u].%s", i,
		 !(a->at % unit)  ? "size"
		 : names_pa(lend) ? "pa"
				  : "ipa");
	return fail_aligned(call, field, a->at % unit ? a->at : a->size, unit);
}

static enum call_result fail_lending(struct call *call, const struct pt_lend *lend, uint32_t at)
{
	unsigned long long handle = lend->args.handle;
	enum pt_outcome code = lend->error.code;
	const char *is = NULL;
	struct pt_lending l = {0};

	if (code == PT_WRONG_STATE && dies(lend))
		return call_fail(call, code, "items[%u]: the guest is dying", at);
	if (pt_lending_get(lend->args.owners, handle, &l) == PT_OK)
		is = lending_is(lend, &l, code);
	else if (code == PT_NOT_FOUND)
		is = "there is no such lending: ListLendings tells";
	if (is)
		return call_fail(call, code, "items[%u].lend_handle: 0x%llx: %s", at, handle, is);
	if (code == PT_INVALID)
		return call_fail(call, code,
				 "items[%u]: beyond lend_size, over another piece, or one too many",
				 at);
	if (code == PT_MISALIGNED)
		return fail_piece(call, lend, at, l.unit);
	return CALL_MORE;
}

enum call_result lend_fail(struct call *call, const struct pt_lend *lend, uint32_t at, bool begun)
{
	const struct pt_error *e = &lend->error;
	uint32_t i = lend->complete ? e->index : at;
	words where;

	fail_error(call, e);
	call->status.index = i;
	if (!lend->complete && fail_lending(call, lend, at) != CALL_MORE)
		return CALL_DONE;
	snprintf(where, WORDS,
		 begun || !lend->complete ? "items[%u]: %s 0x%llx"
					  : "piece %u of the list: %s 0x%llx",
		 i, names_pa(lend) ? "pa" : "ipa", (unsigned long long)e->ipa.v);
	return fail_at(call, e->code, where);
}
