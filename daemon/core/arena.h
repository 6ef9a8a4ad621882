/* SPDX-License-Identifier: BSD-2-Clause */
/* A call's memory: bump allocation with a cap, freed as a whole. */
#ifndef PTD_ARENA_H
#define PTD_ARENA_H

#include "slab.h"

#include <protobuf-c/protobuf-c.h>

struct arena_chunk;

struct arena {
	ProtobufCAllocator allocator; /* its allocator_data is the arena */
	struct slab *slab;
	struct arena_chunk *chunks;
	uint8_t *at, *end;
	size_t used, cap;
	bool overflow; /* an allocation met the cap, or memory ran out */
};

/* The first bytes come from `first`, which lives as long as the arena. */
void arena_init(struct arena *arena, struct slab *slab, void *first, size_t first_bytes);
/* Gives all memory back; the arena can be initialised again. */
void arena_fini(struct arena *arena);
/* 16-byte aligned, not zeroed. NULL: `cap` would be exceeded, or no memory. */
void *arena_alloc(struct arena *arena, size_t bytes);

#endif
