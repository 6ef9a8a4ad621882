/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory that a guest hypervisor's tables stand in, as its context reaches it. */
#ifndef PTD_NESTED_MEMORY_H
#define PTD_NESTED_MEMORY_H

#include "domain_types.h"

#include <pt/guest_walk.h>

/*
 * Words of the memory that `context` maps, or that its memslots would map on a fault; the
 * hypervisor reads and writes them for the guest, so neither access flags nor write protection
 * stand in its way, as in KVM, where it goes through its own mapping of the slot. In a machine with
 * owners a guest reaches what its leaves map, and no more.
 */
struct pt_guest_memory nested_memory(struct context *context);

#endif
