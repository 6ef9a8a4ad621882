/* SPDX-License-Identifier: BSD-2-Clause */
/* Bump allocation in chunks that double, until the cap. */
#include "arena.h"

#include <string.h>

#define CHUNK_MIN 4000u
#define CHUNK_MAX (1u << 20)

struct arena_chunk {
	struct arena_chunk *next;
	size_t unused; /* keeps the payload 16-byte aligned */
};

static void *pb_alloc(void *data, size_t bytes)
{
	return arena_alloc(data, bytes);
}

static void pb_free(void *data, void *block)
{
	(void)data, (void)block;
}

void arena_init(struct arena *arena, struct slab *slab, void *first, size_t first_bytes)
{
	arena->allocator = (ProtobufCAllocator){pb_alloc, pb_free, arena};
	arena->slab = slab;
	arena->chunks = NULL;
	arena->at = first;
	arena->end = arena->at + first_bytes;
	arena->used = 0;
	arena->cap = SIZE_MAX;
	arena->overflow = false;
}

void arena_fini(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks;

	while (chunk) {
		struct arena_chunk *next = chunk->next;

		slab_free(arena->slab, chunk);
		chunk = next;
	}
	arena->chunks = NULL;
	arena->at = arena->end = NULL;
}

/* A chunk for at least `bytes`, larger the more the call already uses. */
static bool grow(struct arena *arena, size_t bytes)
{
	size_t want = arena->used < CHUNK_MIN ? CHUNK_MIN : arena->used;
	struct arena_chunk *chunk;

	if (want > CHUNK_MAX)
		want = CHUNK_MAX;
	if (want < bytes)
		want = bytes;
	chunk = slab_alloc(arena->slab, sizeof(*chunk) + want);
	if (!chunk)
		return false;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->at = (uint8_t *)(chunk + 1);
	arena->end = arena->at + want;
	return true;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	size_t size = (bytes + 15) & ~(size_t)15;
	void *block;

	if (size < bytes || size > arena->cap || arena->used > arena->cap - size)
		goto full;
	if (size > (size_t)(arena->end - arena->at) && !grow(arena, size))
		goto full;
	block = arena->at;
	arena->at += size;
	arena->used += size;
	return block;
full:
	arena->overflow = true;
	return NULL;
}
