/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's memory: the early allocator, the memory regions, and a record for each frame of them. */
#ifndef PT_HYP_MEMORY_H
#define PT_HYP_MEMORY_H

#include <pt/machine.h>

/*
 * The early allocator (KVM: early_alloc.c): goes up through the port's table memory, never back,
 * until the pool takes over: pt_pool_adopt() makes what was handed out pages of the pool. One CPU.
 */
struct pt_hyp_early {
	struct pt_port *port;
	uint64_t next, end; /* PAs */
	uint8_t granule_shift;
};

/* Over [port->table_pa, + size), all of it the caller's to give; no byte is touched yet. PT_OK;
 * PT_INVALID empty, wrapping or a granule that there is not; PT_MISALIGNED to the granule. */
enum pt_outcome pt_hyp_early_init(struct pt_hyp_early *early, struct pt_port *port, uint64_t size,
				  unsigned granule_shift);
/* `pages` granules side by side, zeroed. PT_OK and *pa; PT_INVALID: no pages; PT_NO_MEMORY: nothing
 * taken. */
enum pt_outcome pt_hyp_early_take(struct pt_hyp_early *early, uint64_t pages, struct pt_pa *pa);

static inline uint64_t pt_hyp_early_left(const struct pt_hyp_early *early)
{
	return early->end - early->next;
}

/* A range of memory that the loader says there is (KVM: hyp_memory). Bytes. */
struct pt_hyp_region {
	uint64_t pa, size;
};

static inline bool pt_hyp_region_has(const struct pt_hyp_region *r, uint64_t pa, uint64_t size)
{
	return pa >= r->pa && size <= r->size && pa - r->pa <= r->size - size;
}

static inline bool pt_hyp_region_meets(const struct pt_hyp_region *r, uint64_t pa, uint64_t size)
{
	return pa < r->pa + r->size && r->pa < pa + size;
}

/*
 * One frame of 4 KiB (KVM: struct hyp_page, the vmemmap). It says whose the frame is and how often
 * EL2 maps it for the host.
 *
 * The pool's units (struct pt_pool_unit) are other records: they exist for the pool's memory alone,
 * hold an order and the links of lists, since a free page is all zero and cannot hold them itself,
 * and have three times this size; of memory at large this table costs 1/512. So a frame of the pool
 * has both, a frame of the host only this one.
 */
#define PT_FRAME_SHIFT 12

enum pt_frame_owner { PT_FRAME_HOST, PT_FRAME_HYP };

struct pt_frame {
	uint16_t refs;	/* pt_hyp_call_map() less pt_hyp_call_unmap() */
	uint8_t owner;	/* enum pt_frame_owner */
	uint8_t state;	/* of the owner's, and */
	uint32_t count; /* with how many it is shared: 0 until frames change owners */
};

/* `frame` is at an address of EL2's own: the record of PA 0, whether there is such memory or not.
 * Only records of the regions are backed by pages. */
struct pt_hyp_memory {
	const struct pt_hyp_region *region; /* ascending */
	uint32_t regions;
	struct pt_frame *frame;
};

/* Are the regions a list as above: not empty, aligned to `align`, ascending, apart, below
 * 2^pa_bits? PT_OK, PT_INVALID, PT_MISALIGNED, PT_OUT_OF_RANGE. */
enum pt_outcome pt_hyp_regions_check(const struct pt_hyp_region *region, uint32_t regions,
				     uint64_t align, unsigned pa_bits);

/* The region that holds all of [pa, pa + size), or NULL. A binary search; size is not 0. */
const struct pt_hyp_region *pt_hyp_region_of(const struct pt_hyp_memory *memory, uint64_t pa,
					     uint64_t size);
/* Does any byte of [pa, pa + size) lie in a region? */
bool pt_hyp_is_memory(const struct pt_hyp_memory *memory, uint64_t pa, uint64_t size);

/* The record of a frame known to be in a region: O(1). That of PA 0 need not be an object, so this
 * is no arithmetic on pointers. */
static inline struct pt_frame *pt_frame_at(const struct pt_hyp_memory *memory, uint64_t pa)
{
	return (struct pt_frame *)((uintptr_t)memory->frame +
				   (pa >> PT_FRAME_SHIFT) * sizeof(struct pt_frame));
}

/* The record of any frame; NULL outside the regions. */
static inline struct pt_frame *pt_frame_find(const struct pt_hyp_memory *memory, struct pt_pa pa)
{
	return pt_hyp_region_of(memory, pa.v, 1) ? pt_frame_at(memory, pa.v) : NULL;
}

#endif
