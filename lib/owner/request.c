/* SPDX-License-Identifier: BSD-2-Clause */
/* What a transition is asked for, judged by itself and by its parties: steps 1 and 2 of
 * docs/ownership.md, "The order of checks". Each step is range by range. */
#include "transition.h"

static bool has(const struct pt_region *region, uint64_t pa, uint64_t size)
{
	return pa >= region->pa && size <= region->size && pa - region->pa <= region->size - size;
}

uint32_t pt__regions_to(const struct pt_machine_owners *o, uint64_t pa)
{
	uint32_t lo = 0, hi = o->regions;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (o->region[mid].pa <= pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool pt__in_region(const struct pt_machine_owners *o, uint64_t pa, uint64_t size)
{
	uint32_t n = pt__regions_to(o, pa);

	return n && has(&o->region[n - 1], pa, size);
}

static bool by_pa(const struct pt__row *row)
{
	return row->by != PT__BY_GUEST && row->by != PT__BY_TABLES;
}

static bool by_ipa(const struct pt__row *row)
{
	return row->by == PT__BY_GUEST || row->by == PT__BY_BOTH;
}

static bool by_guest(const struct pt__row *row)
{
	return by_ipa(row) || row->account;
}

/* Goes over what there is in transactions of its own. */
static bool in_parts(uint32_t kind)
{
	return kind == PT_RECLAIM_DYING || kind == PT_RECLAIM_TABLES;
}

uint32_t pt__range_at(const struct pt_transfer *t, uint64_t off, struct pt_transfer_range *rest)
{
	uint32_t i = 0;

	for (*rest = pt__range(t, 0); off >= rest->size && i + 1 < pt__ranges(t);) {
		off -= rest->size;
		*rest = pt__range(t, ++i);
	}
	rest->pa += off;
	rest->ipa.v += off;
	rest->size -= off;
	return i;
}

enum pt_outcome pt__at_fault(struct pt_transfer *t, enum pt_outcome code, uint64_t off)
{
	struct pt_transfer_range r;
	uint32_t index = pt__range_at(t, off, &r);
	uint64_t named = by_pa(t->row) ? r.pa : r.ipa.v;

	t->error = (struct pt_error){code, index, pt_ipa(named), PT_TTL_UNKNOWN};
	return code;
}

/* Those of its first byte. */
static enum pt_outcome refuse(struct pt_transfer *t, enum pt_outcome code, uint32_t index)
{
	struct pt_transfer_range r = pt__range(t, index);

	t->error = (struct pt_error){code, index, by_pa(t->row) ? pt_ipa(r.pa) : r.ipa,
				     PT_TTL_UNKNOWN};
	return code;
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/* Do both name the same frame, or the same address of a guest's? */
static bool overlap(const struct pt__row *row, const struct pt_transfer_range *a,
		    const struct pt_transfer_range *b)
{
	if (by_pa(row) && meet(a->pa, a->size, b->pa, b->size))
		return true;
	return by_ipa(row) && a->guest == b->guest && meet(a->ipa.v, a->size, b->ipa.v, b->size);
}

static bool meets_another(const struct pt_transfer *t, uint32_t i)
{
	struct pt_transfer_range r = pt__range(t, i);

	for (uint32_t k = 0; k < i; k++) {
		struct pt_transfer_range before = pt__range(t, k);

		if (overlap(t->row, &before, &r))
			return true;
	}
	return false;
}

/* By itself. */
static bool is_range(const struct pt_transfer *t, const struct pt_transfer_range *r)
{
	if (!r->size != (t->row->by == PT__BY_TABLES))
		return false;
	if ((!by_pa(t->row) && r->pa) || (!by_guest(t->row) && r->guest) ||
	    (!by_ipa(t->row) && r->ipa.v))
		return false;
	return !r->prot || (t->args.kind == PT_SHARE_GUEST && !(r->prot & PT_PROT_SW));
}

/* Do the ranges name no more guests than can take part? Else *index is the first one too many. */
static bool few_guests(const struct pt_transfer *t, uint32_t *index)
{
	uint32_t seen[PT_PARTIES - 1], n = 0, k;

	for (*index = 0; *index < t->args.ranges; ++*index) {
		uint32_t guest = t->args.range[*index].guest;

		for (k = 0; k < n && seen[k] != guest;)
			k++;
		if (k == PT_PARTIES - 1)
			return false;
		seen[k] = guest;
		n += k == n;
	}
	return true;
}

/* Counts them. */
static enum pt_outcome check_ranges(struct pt_transfer *t)
{
	uint32_t many;

	for (uint32_t i = 0; i < t->args.ranges; i++) {
		struct pt_transfer_range r = pt__range(t, i);

		if (!is_range(t, &r) || r.size > UINT64_MAX - t->size || meets_another(t, i))
			return refuse(t, PT_INVALID, i);
		t->size += r.size;
	}
	return few_guests(t, &many) ? PT_OK : refuse(t, PT_TOO_LARGE, many);
}

static bool is_request(const struct pt_transfer *t)
{
	const struct pt_transfer_args *a = &t->args;

	if (a->range ? !a->ranges || a->guest || a->pa || a->ipa.v || a->size || a->prot
		     : a->ranges)
		return false;
	if (a->wipe && t->row->wipe != PT__WIPE_ASKED)
		return false;
	return !in_parts(a->kind) ||
	       (!a->validate_only && !a->expected_generation && a->ranges <= 1);
}

enum pt_outcome pt__check_request(struct pt_transfer *t)
{
	const struct pt_transfer_args *a = &t->args;

	if (!is_request(t))
		return refuse(t, PT_INVALID, 0);
	if (a->ranges > PT_TRANSFER_RUNS)
		return refuse(t, PT_TOO_LARGE, PT_TRANSFER_RUNS);
	if (a->range) {
		enum pt_outcome outcome = check_ranges(t);

		if (outcome != PT_OK)
			return outcome;
	} else {
		struct pt_transfer_range r = pt__range(t, 0);

		if (!is_range(t, &r))
			return refuse(t, PT_INVALID, 0);
		t->size = r.size;
	}
	if (!a->owners->wipe &&
	    (a->wipe || t->row->wipe == PT__WIPE_ALWAYS || a->kind == PT_RECLAIM_DYING))
		return refuse(t, PT_UNSUPPORTED, 0);
	return PT_OK;
}

static bool holds(const struct pt_transfer *t, uint32_t guest)
{
	for (uint32_t i = 0; i < t->held; i++)
		if (t->holds[i] == guest)
			return true;
	return false;
}

enum pt_outcome pt__hold(struct pt_transfer *t, uint32_t guest)
{
	enum pt_outcome outcome;

	if (holds(t, guest))
		return PT_OK;
	if (t->held == PT_PARTIES - 1)
		return PT_TOO_LARGE;
	outcome = t->row->account ? pt__guest_enter_account(t->args.owners, guest)
				  : pt__guest_enter(t->args.owners, guest);
	if (outcome == PT_OK)
		t->holds[t->held++] = guest;
	return outcome;
}

/* The largest granule of those that there are. */
static uint64_t unit_of(const struct pt_transfer *t)
{
	const struct pt_machine_owners *o = t->args.owners;
	unsigned shift = o->host->geo.granule_shift;

	for (uint32_t i = 0; i < t->held; i++) {
		const struct pt_ctx *ctx = pt__guest_ctx(&o->guest[t->holds[i]]);

		if (ctx && ctx->geo.granule_shift > shift)
			shift = ctx->geo.granule_shift;
	}
	return UINT64_C(1) << shift;
}

bool pt__is_memory(const struct pt_machine_owners *o, uint64_t pa, uint64_t size)
{
	return pt__in_region(o, pa, size) &&
	       pt_geometry_check_range(&o->host->geo, pt_ipa(pa), size) == PT_OK;
}

/* The addresses, as far as the parties that there are tell. */
static enum pt_outcome check_range(const struct pt_transfer *t, uint32_t i, uint64_t unit)
{
	const struct pt_machine_owners *o = t->args.owners;
	struct pt_transfer_range r = pt__range(t, i);
	const struct pt_ctx *ctx = NULL;

	if (by_ipa(t->row) && holds(t, r.guest))
		ctx = o->guest[r.guest].ctx;
	if (ctx && t->args.kind == PT_SHARE_GUEST) {
		enum pt_outcome outcome = pt_prot_check(r.prot, ctx->attrs);

		if (outcome != PT_OK)
			return outcome;
	}
	if ((r.pa | r.ipa.v | r.size) & (unit - 1))
		return PT_MISALIGNED;
	if (by_pa(t->row) && !t->row->known && !pt__is_memory(o, r.pa, r.size))
		return PT_OUT_OF_RANGE;
	if (ctx && pt_geometry_check_range(&ctx->geo, r.ipa, r.size) != PT_OK)
		return PT_OUT_OF_RANGE;
	return PT_OK;
}

static enum pt_outcome check_guest(struct pt_transfer *t, uint32_t handle)
{
	const struct pt_guest *guest;

	if (!holds(t, handle)) {
		enum pt_outcome outcome = pt__hold(t, handle);

		return outcome == PT_OK ? PT_WRONG_STATE : outcome; /* it was being made */
	}
	guest = &t->args.owners->guest[handle];
	if (!(t->row->life >> atomic_load(&guest->life) & 1))
		return PT_WRONG_STATE;
	if (t->row->guests != PT__ANY_GUEST &&
	    guest->protected != (t->row->guests == PT__PROTECTED_GUEST))
		return PT_WRONG_STATE;
	return PT_OK;
}

enum pt_outcome pt__check_parties(struct pt_transfer *t)
{
	uint64_t unit;

	for (uint32_t i = 0; by_guest(t->row) && i < pt__ranges(t); i++)
		pt__hold(t, pt__range(t, i).guest); /* or it is nobody: check_guest() */
	unit = unit_of(t);
	for (uint32_t i = 0; i < pt__ranges(t); i++) {
		enum pt_outcome outcome = check_range(t, i, unit);

		if (outcome != PT_OK)
			return refuse(t, outcome, i);
	}
	for (uint32_t i = 0; by_guest(t->row) && i < pt__ranges(t); i++) {
		enum pt_outcome outcome = check_guest(t, pt__range(t, i).guest);

		if (outcome != PT_OK)
			return refuse(t, outcome, i);
	}
	t->named = t->held;
	return PT_OK;
}
