/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own address space after boot: what changes it, and each CPU's window on any frame. */
#ifndef PT_HYP_SPACE_H
#define PT_HYP_SPACE_H

#include <pt/hyp.h>

/*
 * Three ranges of virtual addresses, apart from each other:
 *   linear    a PA + offset: EL2's image, its pool, and what the host has pt_hyp_call_map() map
 *   private   goes up and is never given back: stacks, windows, devices
 *   frames    the records of <pt/hyp_memory.h>
 * and the identity page, through which EL2 changed tables. Made by pt_hyp_boot(); read only.
 */
struct pt_hyp_space {
	struct pt_hyp map;
	struct pt_hyp_memory memory;
	uint64_t offset; /* modulo 2^64 */
	uint64_t private_next, private_end;
	_Atomic bool busy; /* a CPU changes the map */
};

/* What one CPU has of its own at EL2. Caller's memory. Bytes and virtual addresses. */
struct pt_hyp_cpu {
	uint64_t data;	    /* per-CPU data, zeroed: in the linear range */
	uint64_t stack_top; /* initial SP. Below the stack lies as much again that is not mapped */
	uint64_t window;    /* one page */
	pt_pte *slot;	    /* its last-level entry */
};

static inline uint64_t pt_hyp_linear(const struct pt_hyp_space *space, struct pt_pa pa)
{
	return pa.v + space->offset;
}

/*
 * What hypercalls carry: the arguments are a stranger's. In a section. Each answers PT_BUSY, with
 * nothing changed, while another CPU is in one of them, so that none waits at EL2; and each ends
 * within PT_HYP_CALL_PAGES entries. Errors change nothing:
 *   PT_INVALID       empty or wrapping; prot that pt_hyp_prot_check() refuses, executable, or of
 *                    the wrong memory type
 *   PT_MISALIGNED    to EL2's granule
 *   PT_TOO_LARGE     more than PT_HYP_CALL_PAGES granules
 *   PT_OUT_OF_RANGE  beyond the PA size; map and unmap: not all inside one memory region
 *   PT_WRONG_OWNER   a frame is EL2's own; private: some of it is memory
 *   PT_NO_MEMORY     for tables; private: of virtual addresses
 */
#define PT_HYP_CALL_PAGES 512u

/*
 * Maps the host's memory at its linear address, page by page, and counts it on each frame (KVM:
 * hyp_pin_shared_mem). prot: R or RW, Normal. PT_MAPPED; PT_ALREADY_MAPPED: all of it was, and is
 * counted once more. PT_OVERLAP: a frame is mapped with another prot. PT_WRONG_STATE: a frame has
 * been counted 65535 times.
 */
enum pt_outcome pt_hyp_call_map(struct pt_hyp_space *space, struct pt_agent *agent, struct pt_pa pa,
				uint64_t size, uint32_t prot);

/* Takes one count off each frame and unmaps those that have none left, flushed on return.
 * PT_UNMAPPED, also when all are still mapped. PT_NOT_MAPPED: a frame has no count. */
enum pt_outcome pt_hyp_call_unmap(struct pt_hyp_space *space, struct pt_agent *agent,
				  struct pt_pa pa, uint64_t size);

/* Maps a device at a private address (KVM: __pkvm_create_private_mapping). prot: R or RW, Device or
 * non-cacheable. PT_MAPPED and *va. */
enum pt_outcome pt_hyp_call_private(struct pt_hyp_space *space, struct pt_agent *agent,
				    struct pt_pa pa, uint64_t size, uint32_t prot, uint64_t *va);

/*
 * For hyp's frames in a machine with owners (<pt/hv.h>), in the place of the two above. prepare:
 * makes the tables for [pa, pa + size), of memory, at its linear address, down to the last level,
 * but where EL2 maps a block; in a section. PT_OK; PT_NO_MEMORY, and again goes on from there.
 * reach: EL2 has [pa, pa + size) of it from now on, readable and writable, or no longer, and then
 * no TLB knows it on return. Cannot fail. In a section; on different frames at the same time.
 */
enum pt_outcome pt_hyp_reach_prepare(struct pt_hyp_space *space, struct pt_agent *agent,
				     struct pt_pa pa, uint64_t size);
void pt_hyp_reach(struct pt_hyp_space *space, struct pt_pa pa, uint64_t size, bool reaches);

/*
 * A CPU's window (KVM: hyp_fixmap_map): maps any one frame, readable and writable, until
 * pt_hyp_window_close(). Only the CPU itself opens and closes it, so there is no lock; `pa` is
 * aligned to EL2's granule. The entry is written before the DSB ISHST that lets it be used. PT_OK
 * and *at; PT_MISALIGNED, PT_OUT_OF_RANGE beyond the PA size, PT_BUSY: it is open.
 */
enum pt_outcome pt_hyp_window_open(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu,
				   struct pt_pa pa, void **at);
/*
 * Break, then TLBI VALE2IS with its DSBs. Inner shareable, although the address is one CPU's:
 * another may walk it by speculation, keep the entry, and join it with the next (Arm ARM D8.14.3).
 */
void pt_hyp_window_close(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu);

/* Zeroes a page of EL2's granule that need not be in the linear map. Errors as
 * pt_hyp_window_open(). */
enum pt_outcome pt_hyp_zero(struct pt_hyp_space *space, struct pt_hyp_cpu *cpu, struct pt_pa pa);

#endif
