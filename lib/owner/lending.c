/* SPDX-License-Identifier: BSD-2-Clause */
/* Lendings: their slots. What a slot says of who has the pages changes under the claims of a
 * transition over them, and so do the entries that it speaks of. */
#include "lending.h"

struct pt_lending *pt__lending_of(struct pt_machine_owners *o, uint64_t handle)
{
	for (uint32_t i = 0; handle && i < o->lendings; i++)
		if (o->lending[i].handle == handle)
			return &o->lending[i];
	return NULL;
}

struct pt_borrower *pt__borrower_of(struct pt_lending *l, uint32_t guest)
{
	for (uint32_t i = 0; i < l->borrowers; i++)
		if (l->borrower[i].guest == guest && guest != PT_NO_GUEST)
			return &l->borrower[i];
	return NULL;
}

uint32_t pt__have_it(const struct pt_lending *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->borrowers; i++)
		n += l->borrower[i].has;
	return n;
}

void pt__lending_end(struct pt_lending *l)
{
	l->handle = 0;
	l->state = PT_LENDING_NONE;
}

static uint32_t life_of(const struct pt_machine_owners *o, uint32_t guest)
{
	return guest < o->guests ? atomic_load(&o->guest[guest].life) : (uint32_t)PT_GUEST_NONE;
}

enum pt_outcome pt__party(const struct pt_machine_owners *o, uint32_t guest)
{
	uint32_t life = life_of(o, guest);

	if (life == PT_GUEST_NONE || life == PT_GUEST_CHANGING)
		return PT_NOT_FOUND;
	return life == PT_GUEST_LIVE ? PT_OK : PT_WRONG_STATE;
}

bool pt__lender_dies(const struct pt_machine_owners *o, const struct pt_lending *l)
{
	return l->lender != PT_NO_GUEST && life_of(o, l->lender) != PT_GUEST_LIVE;
}

static bool is_list(const struct pt_lend_list *list)
{
	if (!list->size || !list->borrowers || list->borrowers > PT_LEND_BORROWERS)
		return false;
	for (uint32_t i = 0; i < list->borrowers; i++) {
		if (list->borrower[i] == list->lender || list->borrower[i] == PT_NO_GUEST)
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (list->borrower[k] == list->borrower[i])
				return false;
	}
	return true;
}

static void widen(const struct pt_machine_owners *o, uint32_t guest, unsigned *shift)
{
	uint32_t life = life_of(o, guest);

	if ((life == PT_GUEST_LIVE || life == PT_GUEST_DYING) &&
	    o->guest[guest].ctx->geo.granule_shift > *shift)
		*shift = o->guest[guest].ctx->geo.granule_shift;
}

/* The largest granule of the parties that there are. */
static uint64_t unit_of(const struct pt_machine_owners *o, const struct pt_lend_list *list)
{
	unsigned shift = o->host->geo.granule_shift;

	widen(o, list->lender, &shift);
	for (uint32_t i = 0; i < list->borrowers; i++)
		widen(o, list->borrower[i], &shift);
	return UINT64_C(1) << shift;
}

static enum pt_outcome check_list(const struct pt_machine_owners *o,
				  const struct pt_lend_list *list)
{
	enum pt_outcome outcome = PT_OK;

	if (list->size & (unit_of(o, list) - 1))
		return PT_MISALIGNED;
	if (list->lender != PT_NO_GUEST)
		outcome = pt__party(o, list->lender);
	for (uint32_t i = 0; outcome == PT_OK && i < list->borrowers; i++)
		outcome = pt__party(o, list->borrower[i]);
	return outcome;
}

static enum pt_outcome open_list(struct pt_machine_owners *o, const struct pt_lend_list *list,
				 uint64_t *handle)
{
	enum pt_outcome outcome = check_list(o, list);
	uint32_t i = 0;

	if (outcome != PT_OK)
		return outcome;
	while (i < o->lendings && o->lending[i].handle)
		i++;
	if (i == o->lendings || (o->lend_handles + 1) >> PT_OWNER_LEND_BITS)
		return PT_BUSY;
	o->lending[i] = (struct pt_lending){.handle = ++o->lend_handles,
					    .size = list->size,
					    .unit = unit_of(o, list),
					    .state = PT_LENDING_OPEN,
					    .lender = list->lender,
					    .wipe = list->wipe,
					    .borrowers = list->borrowers};
	for (uint32_t k = 0; k < list->borrowers; k++)
		o->lending[i].borrower[k].guest = list->borrower[k];
	*handle = o->lend_handles;
	return PT_OK;
}

enum pt_outcome pt_lend_open(struct pt_machine_owners *owners, const struct pt_lend_list *list,
			     uint64_t *handle)
{
	enum pt_outcome outcome;

	if (!is_list(list))
		return PT_INVALID;
	if (!owners->wipe) /* what a borrower's death leaves is wiped, whatever was asked for */
		return PT_UNSUPPORTED;
	pt__lend_lock(owners);
	outcome = open_list(owners, list, handle);
	pt__lend_unlock(owners);
	return outcome;
}

enum pt_outcome pt_lend_expire(struct pt_machine_owners *owners, uint64_t handle)
{
	enum pt_outcome outcome = PT_OK;
	struct pt_lending *l;

	pt__lend_lock(owners);
	l = pt__lending_of(owners, handle);
	if (!l)
		outcome = PT_NOT_FOUND;
	else if (l->state != PT_LENDING_OPEN)
		outcome = PT_WRONG_STATE;
	else
		pt__lending_end(l);
	pt__lend_unlock(owners);
	return outcome;
}

enum pt_outcome pt_lending_get(struct pt_machine_owners *owners, uint64_t handle,
			       struct pt_lending *out)
{
	const struct pt_lending *l;

	pt__lend_lock(owners);
	l = pt__lending_of(owners, handle);
	if (l)
		*out = *l;
	pt__lend_unlock(owners);
	return l ? PT_OK : PT_NOT_FOUND;
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static bool is_memory(const struct pt_machine_owners *o, uint32_t lender, uint64_t at,
		      uint64_t size)
{
	if (lender == PT_NO_GUEST)
		return pt__is_memory(o, at, size);
	return pt_geometry_check_range(&o->guest[lender].ctx->geo, pt_ipa(at), size) == PT_OK;
}

enum pt_outcome pt__lending_add(struct pt_machine_owners *o, struct pt_lending *l, uint64_t at,
				uint64_t size)
{
	bool by_host = l->lender == PT_NO_GUEST;

	if (!size)
		return PT_INVALID;
	if ((at | size) & (l->unit - 1))
		return PT_MISALIGNED;
	if (!is_memory(o, l->lender, at, size))
		return PT_OUT_OF_RANGE;
	if (size > l->size - l->named || l->runs == PT_LEND_PIECES)
		return PT_INVALID;
	for (uint32_t i = 0; i < l->runs; i++)
		if (meet(by_host ? l->run[i].pa : l->run[i].ipa, l->run[i].size, at, size))
			return PT_INVALID;
	l->run[l->runs++] =
		(struct pt_transfer_run){by_host ? at : 0, by_host ? 0 : at, size, l->lender, 0};
	l->named += size;
	if (l->named == l->size)
		l->state = PT_LENDING_CHANGING;
	return PT_OK;
}

static enum pt_outcome admits_borrower(const struct pt_machine_owners *o, struct pt_lending *l,
				       uint32_t kind, uint32_t who)
{
	const struct pt_borrower *b = pt__borrower_of(l, who);

	if (!b)
		return PT_WRONG_OWNER;
	if (kind == PT_RELINQUISH)
		return b->has ? PT_OK : PT_WRONG_STATE;
	return l->state == PT_LENDING_LENT && !b->has && !pt__lender_dies(o, l) ? PT_OK
										: PT_WRONG_STATE;
}

enum pt_outcome pt__lending_admits(const struct pt_machine_owners *o, struct pt_lending *l,
				   uint32_t kind, uint32_t who)
{
	if (kind == PT_RETRIEVE || kind == PT_RELINQUISH)
		return admits_borrower(o, l, kind, who);
	if (l->lender != who)
		return PT_WRONG_OWNER;
	if (kind == PT_LEND)
		return PT_OK;
	if (l->state != PT_LENDING_LENT)
		return PT_WRONG_STATE;
	return pt__have_it(l) ? PT_BUSY : PT_OK;
}

/* Nobody else changes it: they wait for the claims. The last to relinquish leaves it wiped, where
 * that is asked for or the guest is on its way out. */
enum pt_outcome pt__lend_judge(struct pt_transfer *t)
{
	struct pt_machine_owners *o = t->args.owners;
	const struct pt_lend *call = t->lend;
	enum pt_outcome outcome = PT_NOT_FOUND;
	struct pt_lending *l;

	pt__lend_lock(o);
	l = pt__lending_of(o, call->handle);
	if (l)
		outcome = pt__lending_admits(o, l, call->kind, call->who);
	if (outcome == PT_OK && call->kind == PT_RELINQUISH)
		t->args.wipe = pt__have_it(l) == 1 && (l->wipe || call->args.kind == PT_LEND_LEAVE);
	pt__lend_unlock(o);
	return outcome == PT_OK ? PT_OK : pt__at_fault(t, outcome, 0);
}

static void keep_borrower(struct pt_lending *l, const struct pt_lend *call)
{
	struct pt_borrower *b = pt__borrower_of(l, call->who);

	b->has = call->kind == PT_RETRIEVE;
	b->ipa = b->has ? call->range[0].ipa.v : 0;
	l->wipe |= call->args.kind == PT_LEND_LEAVE;
}

static void keep_lent(struct pt_lending *l, const struct pt_transfer *t)
{
	for (uint32_t i = 0; i < t->runs; i++)
		l->run[i] = t->list[i];
	l->runs = t->runs;
	l->state = PT_LENDING_LENT;
}

void pt__lend_keep(const struct pt_transfer *t)
{
	struct pt_machine_owners *o = t->args.owners;
	struct pt_lending *l;

	pt__lend_lock(o);
	l = pt__lending_of(o, t->lend->handle);
	switch (t->lend->kind) {
	case PT_LEND: keep_lent(l, t); break;
	case PT_TAKE_BACK: pt__lending_end(l); break;
	default: keep_borrower(l, t->lend); break;
	}
	pt__lend_unlock(o);
}

void pt__lend_drop_lists(struct pt_machine_owners *o, uint32_t guest)
{
	pt__lend_lock(o);
	for (uint32_t i = 0; i < o->lendings; i++)
		if (o->lending[i].state == PT_LENDING_OPEN && o->lending[i].lender == guest)
			pt__lending_end(&o->lending[i]);
	pt__lend_unlock(o);
}

void pt__lend_forget(struct pt_machine_owners *o, uint32_t guest)
{
	pt__lend_lock(o);
	for (uint32_t i = 0; i < o->lendings; i++) {
		struct pt_borrower *b = pt__borrower_of(&o->lending[i], guest);

		if (b)
			b->guest = PT_NO_GUEST;
	}
	pt__lend_unlock(o);
}

bool pt__lends(struct pt_machine_owners *o, uint32_t guest)
{
	bool lends = false;

	pt__lend_lock(o);
	for (uint32_t i = 0; i < o->lendings; i++)
		lends |= o->lending[i].handle && o->lending[i].lender == guest;
	pt__lend_unlock(o);
	return lends;
}
