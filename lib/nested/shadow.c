/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows: found by the guest hypervisor's registers, made, and used by vCPUs. */
#include "internal.h"

#include "base/bits.h"

#define CNP	 UINT64_C(1)
#define VTCR_VS	 (UINT64_C(1) << 19)
#define HCR_VM	 UINT64_C(1)
#define HCR_FWB	 (UINT64_C(1) << 46)
#define SCTLR_EE (UINT64_C(1) << 25)

/*
 * Chains are read without a lock. A shadow is complete before the release that links it; one that
 * is taken out keeps its own link, so that who stands on it goes on, and its memory for a grace
 * period. By number it is found before it is by key: a TLBI that follows an entry through the key
 * misses nobody.
 */

/* The VMID that tags what a shadow translates (Arm ARM D24.2.207: VTTBR_EL2.VMID). */
static uint16_t vmid_of(const struct pt_shadow_key *key)
{
	uint64_t vmid = key->vttbr >> 48;

	return (uint16_t)(key->vtcr & VTCR_VS ? vmid : vmid & 0xff);
}

struct pt_shadow_key pt_shadow_key_of(const struct pt_guest_regs *regs)
{
	return (struct pt_shadow_key){.vttbr = regs->vttbr & ~CNP,
				      .vtcr = regs->vtcr,
				      .enabled = regs->hcr & HCR_VM,
				      .fwb = regs->hcr & HCR_FWB && regs->attrs & PT_ATTR_FWB,
				      .big_endian = regs->sctlr & SCTLR_EE};
}

/* What of a key counts. */
static struct pt_shadow_key canonical_key(const struct pt_shadow_key *key)
{
	if (!key->enabled)
		return (struct pt_shadow_key){.vttbr = (uint64_t)vmid_of(key) << 48};
	return (struct pt_shadow_key){key->vttbr & ~CNP, key->vtcr, true, key->fwb,
				      key->big_endian};
}

static bool same_key(const struct pt_shadow_key *a, const struct pt_shadow_key *b)
{
	return a->vttbr == b->vttbr && a->vtcr == b->vtcr && a->enabled == b->enabled &&
	       a->fwb == b->fwb && a->big_endian == b->big_endian;
}

static struct pt_shadow *find(struct pt_nested *nested, const struct pt_shadow_key *key,
			      uint16_t vmid)
{
	struct pt_shadow *s =
		atomic_load_explicit(pt__shadow_bucket(nested, vmid), memory_order_acquire);

	while (s && !(same_key(&s->key, key) && pt__shadow_live(s)))
		s = atomic_load_explicit(&s->next, memory_order_acquire);
	return s;
}

enum pt_outcome pt_shadow_find(struct pt_nested *nested, const struct pt_shadow_key *key,
			       struct pt_shadow **shadow)
{
	struct pt_shadow_key counts = canonical_key(key);
	struct pt_shadow *s = find(nested, &counts, vmid_of(key));

	if (!s)
		return PT_NOT_FOUND;
	*shadow = s;
	return PT_OK;
}

/* ---- made ---- */

/*
 * The shadow's own tables. With stage 2 off an IPA is a canonical one, so the shadow has the space
 * of that context; else the guest's.
 */
static enum pt_outcome shape(const struct pt_ctx *canonical, const struct pt_shadow_key *key,
			     const struct pt_guest_s2 *s2, struct pt_geometry *geo)
{
	const struct pt_geometry *host = &canonical->geo;
	struct pt_geometry_args a = {.granule_shift = host->granule_shift,
				     .ipa_bits = host->ipa_bits,
				     .pa_bits = host->pa_bits};

	if (key->enabled && !s2->broken) {
		a.ipa_bits = s2->geo.ipa_bits;
		if (s2->geo.granule_shift < a.granule_shift)
			a.granule_shift = s2->geo.granule_shift;
	}
	a.ds = a.granule_shift != 16 && a.pa_bits == 52;
	return pt_geometry_init(geo, &a) == PT_OK ? PT_OK : PT_UNSUPPORTED;
}

/* What the guest's registers say, and the tables that follow from it. */
static enum pt_outcome decode(struct pt_shadow *shadow, const struct pt_ctx *canonical,
			      const struct pt_guest_regs *regs, uint16_t vmid,
			      struct pt_geometry *geo)
{
	enum pt_outcome outcome = PT_OK;

	shadow->s2 = (struct pt_guest_s2){.vmid = vmid, .pa_bits = regs->pa_bits};
	if (shadow->key.enabled) {
		if (regs->attrs & ~(unsigned)canonical->attrs)
			return PT_UNSUPPORTED;
		outcome = pt_guest_s2_decode(&shadow->s2, regs);
	}
	if (outcome == PT_OK)
		outcome = shape(canonical, &shadow->key, &shadow->s2, geo);
	if (outcome == PT_OK && (!shadow->key.enabled || shadow->s2.broken))
		shadow->s2.geo = *geo; /* what has no tables of the guest's has its own sizes */
	return outcome;
}

/* Entries change by compare-and-swap under no claim, so that hardware may set access flags; dirty
 * state is the canonical context's to keep. */
static enum pt_outcome make_context(struct pt_shadow *shadow, struct pt_agent *agent,
				    const struct pt_geometry *geo, uint64_t quota_pages)
{
	const struct pt_ctx *canonical = shadow->nested->canonical;
	enum pt_outcome outcome =
		pt_ctx_init(&shadow->ctx, agent, canonical->machine, geo, canonical->attrs,
			    canonical->vtcr_flags & ~PT_VTCR_HD, quota_pages);

	if (outcome != PT_OK)
		return outcome;
	pt_port_note(PT_EVENT_SHADOW, 0, canonical, &shadow->ctx, 0, 0);
	pt_ctx_sw_own(&shadow->ctx, PT__SW_GUEST_LEVEL, PT_SW_GUEST_LEVEL);
	pt__directory_init(shadow);
	return PT_OK;
}

/* A number, and a place in the chain; under the lock. */
static enum pt_outcome enter(struct pt_shadow *shadow)
{
	struct pt_nested *nested = shadow->nested;
	_Atomic(struct pt_shadow *) *bucket = pt__shadow_bucket(nested, shadow->s2.vmid);
	uint32_t n = 0;

	if (find(nested, &shadow->key, shadow->s2.vmid))
		return PT_ALREADY_EXISTS;
	while (n < nested->shadows &&
	       atomic_load_explicit(&nested->shadow[n], memory_order_relaxed))
		n++;
	if (n == nested->shadows)
		return PT_QUOTA;
	pt_port_note(PT_EVENT_SHADOW_KEY,
		     1u | (shadow->key.fwb ? 2u : 0) | (shadow->key.big_endian ? 4u : 0), NULL,
		     &shadow->ctx, shadow->key.vttbr,
		     shadow->key.enabled ? shadow->key.vtcr : UINT64_MAX);
	shadow->number = n;
	shadow->last_used = atomic_fetch_add_explicit(&nested->clock, 1, memory_order_relaxed);
	atomic_store_explicit(&shadow->state, PT_SHADOW_LIVE, memory_order_relaxed);
	atomic_store_explicit(&shadow->next, atomic_load_explicit(bucket, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&nested->shadow[n], shadow, memory_order_release);
	atomic_store_explicit(bucket, shadow, memory_order_release);
	atomic_fetch_add_explicit(&nested->live, 1, memory_order_relaxed);
	return PT_OK;
}

enum pt_outcome pt_shadow_init(struct pt_shadow *shadow, struct pt_nested *nested,
			       struct pt_agent *agent, const struct pt_shadow_key *key,
			       const struct pt_guest_regs *regs, uint64_t quota_pages)
{
	struct pt_shadow *there;
	struct pt_geometry geo;
	enum pt_outcome outcome;

	pt_machine_use(nested->canonical->machine, agent);
	if (pt_shadow_find(nested, key, &there) == PT_OK)
		return PT_ALREADY_EXISTS;
	shadow->nested = nested;
	shadow->key = canonical_key(key);
	outcome = decode(shadow, nested->canonical, regs, vmid_of(key), &geo);
	if (outcome == PT_OK)
		outcome = make_context(shadow, agent, &geo, quota_pages);
	if (outcome != PT_OK)
		return outcome;
	pt_port_lock(&nested->lock);
	outcome = enter(shadow);
	pt_port_unlock(&nested->lock);
	if (outcome != PT_OK)
		pt_ctx_undo(&shadow->ctx, agent);
	pt_port_fence_full(); /* a TLBI misses it, or its fills read what the TLBI is about */
	return outcome;
}

/* ---- used ---- */

/* Under the lock that its end takes, too: either finds the other's word. */
enum pt_outcome pt_shadow_use(struct pt_shadow *shadow)
{
	struct pt_nested *nested = shadow->nested;
	bool live;

	pt_port_lock(&nested->lock);
	live = pt__shadow_live(shadow);
	if (live)
		atomic_fetch_add_explicit(&shadow->users, 1, memory_order_relaxed);
	pt_port_unlock(&nested->lock);
	if (!live)
		return PT_NOT_FOUND;
	atomic_store_explicit(&shadow->last_used,
			      atomic_fetch_add_explicit(&nested->clock, 1, memory_order_relaxed),
			      memory_order_relaxed);
	return PT_OK;
}

void pt_shadow_unuse(struct pt_shadow *shadow)
{
	atomic_fetch_sub_explicit(&shadow->users, 1, memory_order_release);
}

struct pt_shadow *pt_shadow_oldest(struct pt_nested *nested)
{
	struct pt_shadow *oldest = NULL;
	uint64_t when = UINT64_MAX;

	for (uint32_t n = 0; n < nested->shadows; n++) {
		struct pt_shadow *s =
			atomic_load_explicit(&nested->shadow[n], memory_order_acquire);
		uint64_t used;

		if (!s || !pt__shadow_live(s) ||
		    atomic_load_explicit(&s->users, memory_order_relaxed))
			continue;
		used = atomic_load_explicit(&s->last_used, memory_order_relaxed);
		if (used < when) {
			when = used;
			oldest = s;
		}
	}
	return oldest;
}

/* ---- the whole ---- */

enum pt_outcome pt_nested_init(struct pt_nested *nested, struct pt_ctx *canonical,
			       const struct pt_guest_memory *memory,
			       _Atomic(struct pt_shadow *) *bucket, uint32_t buckets,
			       _Atomic(struct pt_shadow *) *shadow, uint32_t shadows,
			       uint64_t quota_pages, uint64_t scope)
{
	if (!buckets || buckets & (buckets - 1) || !shadows || shadows >= PT__SHADOWS_MAX)
		return PT_INVALID;
	*nested = (struct pt_nested){.canonical = canonical,
				     .memory = *memory,
				     .bucket = bucket,
				     .buckets = buckets,
				     .shadow = shadow,
				     .shadows = shadows};
	pt_port_note(PT_EVENT_LOCK_CLASS, PT_LOCK_LEAF, &nested->lock, NULL, 0, 0);
	return pt__links_init(nested, quota_pages, scope);
}
