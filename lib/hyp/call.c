/* SPDX-License-Identifier: BSD-2-Clause */
/* What hypercalls change of EL2's own map. Checks come first, all of them; then what can fail for
 * want of memory alone. */
#include "internal.h"

static bool enter(struct pt_hyp_space *space)
{
	return !atomic_exchange_explicit(&space->busy, true, memory_order_acquire);
}

static enum pt_outcome leave(struct pt_hyp_space *space, enum pt_outcome outcome)
{
	atomic_store_explicit(&space->busy, false, memory_order_release);
	return outcome;
}

static uint64_t granule(const struct pt_hyp_space *space)
{
	return UINT64_C(1) << space->map.geo.granule_shift;
}

/* Data only: EL2 runs nothing that a host has written. */
static enum pt_outcome check_prot(uint32_t prot, bool device)
{
	enum pt_memtype type = pt_prot_memtype(prot);

	if (pt_hyp_prot_check(prot) != PT_OK || prot & (PT_PROT_X | PT_PROT_SW) ||
	    (type == PT_MEM_NORMAL) == device)
		return PT_INVALID;
	return PT_OK;
}

static enum pt_outcome check_size(const struct pt_hyp_space *space, struct pt_pa pa, uint64_t size)
{
	enum pt_outcome outcome = pt_geometry_check_output(&space->map.geo, pa, size);

	if (outcome == PT_OK && size > PT_HYP_CALL_PAGES * granule(space))
		return PT_TOO_LARGE;
	return outcome;
}

/* Memory of the host alone. */
static enum pt_outcome check_host(const struct pt_hyp_space *space, struct pt_pa pa, uint64_t size)
{
	enum pt_outcome outcome = check_size(space, pa, size);

	if (outcome != PT_OK)
		return outcome;
	if (!pt_hyp_region_of(&space->memory, pa.v, size))
		return PT_OUT_OF_RANGE;
	for (uint64_t at = pa.v; at < pa.v + size; at += UINT64_C(1) << PT_FRAME_SHIFT)
		if (pt_frame_at(&space->memory, at)->owner != PT_FRAME_HOST)
			return PT_WRONG_OWNER;
	return PT_OK;
}

/* The frames of a granule come and go together: the first speaks for them. */
static struct pt_frame *page_frame(const struct pt_hyp_space *space, uint64_t pa)
{
	return pt_frame_at(&space->memory, pa);
}

static void count(const struct pt_hyp_space *space, struct pt_pa pa, uint64_t size, int by)
{
	for (uint64_t at = pa.v; at < pa.v + size; at += UINT64_C(1) << PT_FRAME_SHIFT) {
		struct pt_frame *frame = pt_frame_at(&space->memory, at);

		frame->refs = (uint16_t)(frame->refs + by);
	}
}

/* Can a page that is mapped be counted once more? */
static enum pt_outcome check_again(const struct pt_hyp_space *space, uint64_t pa, uint32_t prot)
{
	pt_pte entry;
	int level;

	if (!page_frame(space, pa)->refs)
		return PT_OK;
	if (page_frame(space, pa)->refs == UINT16_MAX)
		return PT_WRONG_STATE;
	(void)pt_hyp_get_leaf(&space->map, pt_hyp_linear(space, pt_pa(pa)), &entry, &level);
	return pt_hyp_leaf_prot(entry) == prot ? PT_OK : PT_OVERLAP;
}

static enum pt_outcome check_map(const struct pt_hyp_space *space, struct pt_pa pa, uint64_t size,
				 uint32_t prot)
{
	enum pt_outcome outcome = check_prot(prot, false);

	if (outcome == PT_OK)
		outcome = check_host(space, pa, size);
	for (uint64_t at = pa.v; outcome == PT_OK && at < pa.v + size; at += granule(space))
		outcome = check_again(space, at, prot);
	return outcome;
}

/* Unmaps the pages of [pa, end) that nobody counts. */
static void unmap_uncounted(struct pt_hyp_space *space, struct pt_agent *agent, uint64_t pa,
			    uint64_t end)
{
	uint64_t bytes, next;

	for (; pa < end; pa = next) {
		for (next = pa; next < end && !page_frame(space, next)->refs;)
			next += granule(space);
		if (next > pa)
			(void)pt_hyp_unmap(&space->map, agent, pt_hyp_linear(space, pt_pa(pa)),
					   next - pa, &bytes);
		else
			next += granule(space);
	}
}

/* Pages, not blocks: each may be unmapped alone. */
static enum pt_outcome map_uncounted(struct pt_hyp_space *space, struct pt_agent *agent,
				     uint64_t pa, uint64_t end, uint32_t prot)
{
	enum pt_outcome outcome, all = PT_ALREADY_MAPPED;

	for (uint64_t at = pa; at < end; at += granule(space)) {
		if (page_frame(space, at)->refs)
			continue;
		outcome = pt_hyp_map(&space->map, agent, pt_hyp_linear(space, pt_pa(at)),
				     granule(space), pt_pa(at), prot);
		if (pt_is_error(outcome)) {
			unmap_uncounted(space, agent, pa, at);
			return outcome;
		}
		all = PT_MAPPED;
	}
	return all;
}

enum pt_outcome pt_hyp_call_map(struct pt_hyp_space *space, struct pt_agent *agent, struct pt_pa pa,
				uint64_t size, uint32_t prot)
{
	enum pt_outcome outcome;

	if (!enter(space))
		return PT_BUSY;
	outcome = check_map(space, pa, size, prot);
	if (outcome == PT_OK)
		outcome = map_uncounted(space, agent, pa.v, pa.v + size, prot);
	if (!pt_is_error(outcome))
		count(space, pa, size, 1);
	return leave(space, outcome);
}

enum pt_outcome pt_hyp_call_unmap(struct pt_hyp_space *space, struct pt_agent *agent,
				  struct pt_pa pa, uint64_t size)
{
	enum pt_outcome outcome;

	if (!enter(space))
		return PT_BUSY;
	outcome = check_host(space, pa, size);
	for (uint64_t at = pa.v; outcome == PT_OK && at < pa.v + size; at += granule(space))
		if (!page_frame(space, at)->refs)
			outcome = PT_NOT_MAPPED;
	if (outcome != PT_OK)
		return leave(space, outcome);
	count(space, pa, size, -1);
	unmap_uncounted(space, agent, pa.v, pa.v + size);
	return leave(space, PT_UNMAPPED);
}

enum pt_outcome pt__hyp_private(struct pt_hyp_space *space, struct pt_agent *agent, struct pt_pa pa,
				uint64_t size, uint32_t prot, uint64_t *va)
{
	enum pt_outcome outcome = check_prot(prot, true);

	if (outcome == PT_OK)
		outcome = check_size(space, pa, size);
	if (outcome != PT_OK)
		return outcome;
	if (pt_hyp_is_memory(&space->memory, pa.v, size))
		return PT_WRONG_OWNER;
	if (size > space->private_end - space->private_next)
		return PT_NO_MEMORY;
	outcome = pt_hyp_map(&space->map, agent, space->private_next, size, pa, prot);
	if (pt_is_error(outcome))
		return outcome;
	*va = space->private_next;
	space->private_next += size;
	return outcome;
}

enum pt_outcome pt_hyp_call_private(struct pt_hyp_space *space, struct pt_agent *agent,
				    struct pt_pa pa, uint64_t size, uint32_t prot, uint64_t *va)
{
	if (!enter(space))
		return PT_BUSY;
	return leave(space, pt__hyp_private(space, agent, pa, size, prot, va));
}
