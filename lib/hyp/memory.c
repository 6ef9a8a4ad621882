/* SPDX-License-Identifier: BSD-2-Clause */
/* The early allocator, and the list of memory regions. */
#include <pt/hyp_memory.h>

enum pt_outcome pt_hyp_early_init(struct pt_hyp_early *early, struct pt_port *port, uint64_t size,
				  unsigned granule_shift)
{
	uint64_t pa = port->table_pa;

	if (!size || pa + size < pa ||
	    (granule_shift != 12 && granule_shift != 14 && granule_shift != 16))
		return PT_INVALID;
	if ((pa | size) & ((UINT64_C(1) << granule_shift) - 1))
		return PT_MISALIGNED;
	*early = (struct pt_hyp_early){.port = port,
				       .next = pa,
				       .end = pa + size,
				       .granule_shift = (uint8_t)granule_shift};
	pt_port_note(PT_EVENT_MEMORY, 0, pt_port_table(port, pt_pa(pa)), NULL, size, 0);
	return PT_OK;
}

/* The pool does not count the first page, which it never hands out. */
static void note_pages(const struct pt_hyp_early *early, uint64_t from)
{
	uint64_t page = UINT64_C(1) << early->granule_shift;

	for (uint64_t at = from; at < early->next; at += page)
		if (at != early->port->table_pa)
			pt_port_note(PT_EVENT_PAGE_GET, 0, pt_port_table(early->port, pt_pa(at)),
				     NULL, page, 0);
}

enum pt_outcome pt_hyp_early_take(struct pt_hyp_early *early, uint64_t pages, struct pt_pa *pa)
{
	if (!pages)
		return PT_INVALID;
	if (pages > pt_hyp_early_left(early) >> early->granule_shift)
		return PT_NO_MEMORY;
	*pa = pt_pa(early->next);
	early->next += pages << early->granule_shift;
	pt_port_zero(pt_port_table(early->port, *pa), pages << early->granule_shift);
	note_pages(early, pa->v);
	return PT_OK;
}

enum pt_outcome pt_hyp_regions_check(const struct pt_hyp_region *region, uint32_t regions,
				     uint64_t align, unsigned pa_bits)
{
	uint64_t floor = 0;

	for (uint32_t i = 0; i < regions; i++) {
		const struct pt_hyp_region *r = region + i;

		if (!r->size || r->pa + r->size < r->pa || r->pa < floor)
			return PT_INVALID;
		if ((r->pa | r->size) & (align - 1))
			return PT_MISALIGNED;
		floor = r->pa + r->size;
		if ((floor - 1) >> pa_bits)
			return PT_OUT_OF_RANGE;
	}
	return regions ? PT_OK : PT_INVALID;
}

/* How many regions begin at or below `pa`. */
static uint32_t below(const struct pt_hyp_memory *memory, uint64_t pa)
{
	uint32_t lo = 0, hi = memory->regions;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (memory->region[mid].pa <= pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct pt_hyp_region *pt_hyp_region_of(const struct pt_hyp_memory *memory, uint64_t pa,
					     uint64_t size)
{
	uint32_t at = below(memory, pa);

	return at && pt_hyp_region_has(&memory->region[at - 1], pa, size) ? &memory->region[at - 1]
									  : NULL;
}

bool pt_hyp_is_memory(const struct pt_hyp_memory *memory, uint64_t pa, uint64_t size)
{
	uint32_t at = below(memory, pa + size - 1);

	return at && pt_hyp_region_meets(&memory->region[at - 1], pa, size);
}
