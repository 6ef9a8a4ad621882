/* SPDX-License-Identifier: BSD-2-Clause */
/* A shard's own allocator: freed blocks are kept by size class, so that a busy shard never calls
 * malloc. */
#ifndef PTD_SLAB_H
#define PTD_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_CLASSES  11 /* 64 bytes to 64 KiB, by powers of two, header included */
#define SLAB_KEEP_MAX (4u << 20)

struct slab_block;

/* One shard's; no locks. A block is freed to the slab it came from. */
struct slab {
	struct slab_block *free[SLAB_CLASSES];
	size_t kept; /* bytes on the free lists */
	size_t used; /* bytes handed out, headers included */
};

void slab_init(struct slab *slab);
/* Everything must have been freed. */
void slab_fini(struct slab *slab);

/* 16-byte aligned, not zeroed; NULL: no memory. */
void *slab_alloc(struct slab *slab, size_t bytes);
void slab_free(struct slab *slab, void *block);
/* As realloc(). */
void *slab_resize(struct slab *slab, void *block, size_t bytes);
/* What the block counts for in `used`. */
size_t slab_weight(const void *block);

#endif
