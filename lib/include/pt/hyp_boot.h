/* SPDX-License-Identifier: BSD-2-Clause */
/* How EL2 comes to a map, an allocator and a frame table of its own. */
#ifndef PT_HYP_BOOT_H
#define PT_HYP_BOOT_H

#include <pt/hyp_space.h>

/* A part of EL2's image, page aligned: text R|X, rodata R, data and BSS R|W. */
struct pt_hyp_piece {
	uint64_t pa, size;
	uint32_t prot;
};

struct pt_hyp_device {
	uint64_t pa, size;
	uint64_t va; /* out: where it is */
};

/*
 * What the loader says. It runs EL2 with the MMU and caches on, on a table of its own that maps the
 * image and the pool at PA + offset, too: pointers stay what they are over the switch. All sizes
 * are multiples of EL2's granule. The regions stay where they are for good.
 */
struct pt_hyp_plan {
	struct pt_hyp_args args; /* port: its table memory is `pool`; early: not read */
	const struct pt_hyp_region *region;
	uint32_t regions;
	const struct pt_hyp_piece *image; /* apart from each other, pool and loader's table */
	uint32_t pieces;
	struct pt_hyp_region pool;   /* EL2's for good: tables, frame records, per-CPU memory */
	struct pt_hyp_region loader; /* pages of the loader's table: the host's after the switch */
	uint64_t idmap;		     /* PA of the page that switches, in an executable piece */
	uint64_t offset;	     /* modulo 2^64 */
	uint64_t private_va, private_size; /* multiples of a level 2 block */
	uint64_t frames_va;		   /* of the record of PA 0, modulo 2^64; granule aligned */
	struct pt_hyp_cpu *cpu;		   /* filled in */
	uint32_t cpus;
	uint64_t data_bytes;  /* of each CPU */
	uint64_t stack_bytes; /* of each CPU; a power of two */
	struct pt_hyp_device *device;
	uint32_t devices; /* mapped R|W as Device: what EL2 needs at once, such as its console */
	/*
	 * The port's hook: makes `map` the table of the calling CPU, by code in the identity page:
	 * DSB ISH, MMU off, ISB, TTBR0_EL2, TCR_EL2 (pt_hyp_tcr()), MAIR_EL2 (PT_HYP_MAIR), ISB,
	 * TLBI ALLE2, DSB NSH, ISB, MMU on, ISB. Cannot fail. Other CPUs start on `map` later.
	 */
	void (*switch_map)(void *arg, const struct pt_hyp *map);
	void *arg;
};

/*
 * KVM's order (__pkvm_init, divide_memory_pool, recreate_hyp_mappings, __pkvm_init_switch_pgd,
 * __pkvm_init_finalise). One CPU; `world` and `agent` are zeroed, and become the world over the
 * pool and its first agent. PT_OK: EL2 runs on space->map, whose tables can be freed like any, and
 * *returned are the loader's pages, which EL2 has no mapping of. Errors, all before the switch,
 * leave EL2 on the loader's table; the pool's memory has been written to:
 *   PT_INVALID, PT_MISALIGNED, PT_OUT_OF_RANGE  a size, a range, a prot, the identity page
 *   PT_OVERLAP     two of the ranges meet, physical or virtual
 *   PT_NO_MEMORY   the pool, or the private range, is too small
 */
enum pt_outcome pt_hyp_boot(struct pt_hyp_space *space, struct pt_world *world,
			    struct pt_agent *agent, const struct pt_hyp_plan *plan,
			    struct pt_hyp_region *returned);

#endif
