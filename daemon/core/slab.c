/* SPDX-License-Identifier: BSD-2-Clause */
/* Size-class free lists. Address sanitizer builds keep nothing, so that it sees each use after
 * free. */
#include "slab.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST_SHIFT 6
#define UNCLASSED      SLAB_CLASSES

#if defined(__SANITIZE_ADDRESS__)
#define KEEP_MAX 0u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_MAX 0u
#endif
#endif
#ifndef KEEP_MAX
#define KEEP_MAX SLAB_KEEP_MAX
#endif

struct slab_block {
	size_t bytes; /* whole block */
	size_t class;
};
_Static_assert(sizeof(struct slab_block) == 16, "payload stays 16-byte aligned");

/* While a block is free its payload holds the link. */
static struct slab_block **link_of(struct slab_block *block)
{
	return (struct slab_block **)(block + 1);
}

static struct slab_block *block_of(const void *payload)
{
	return (struct slab_block *)(uintptr_t)payload - 1;
}

static unsigned class_of(size_t bytes)
{
	unsigned shift;

	if (bytes <= (size_t)1 << SMALLEST_SHIFT)
		return 0;
	shift = 64u - (unsigned)__builtin_clzll(bytes - 1);
	return shift - SMALLEST_SHIFT < SLAB_CLASSES ? shift - SMALLEST_SHIFT : UNCLASSED;
}

void slab_init(struct slab *slab)
{
	memset(slab, 0, sizeof(*slab));
}

void slab_fini(struct slab *slab)
{
	for (unsigned i = 0; i < SLAB_CLASSES; i++) {
		struct slab_block *block = slab->free[i];

		while (block) {
			struct slab_block *next = *link_of(block);

			free(block);
			block = next;
		}
	}
}

static struct slab_block *fresh(size_t bytes, unsigned class)
{
	size_t whole = class == UNCLASSED ? bytes : (size_t)1 << (class + SMALLEST_SHIFT);
	struct slab_block *block = malloc(whole);

	if (block) {
		block->bytes = whole;
		block->class = class;
	}
	return block;
}

void *slab_alloc(struct slab *slab, size_t bytes)
{
	size_t need = bytes + sizeof(struct slab_block);
	unsigned class;
	struct slab_block *block = NULL;

	if (need < bytes)
		return NULL;
	class = class_of(need);
	if (class != UNCLASSED && (block = slab->free[class])) {
		slab->free[class] = *link_of(block);
		slab->kept -= block->bytes;
	} else {
		block = fresh(need, class);
	}
	if (!block)
		return NULL;
	slab->used += block->bytes;
	return block + 1;
}

void slab_free(struct slab *slab, void *payload)
{
	struct slab_block *block;

	if (!payload)
		return;
	block = block_of(payload);
	slab->used -= block->bytes;
	if (block->class == UNCLASSED || slab->kept + block->bytes > KEEP_MAX) {
		free(block);
		return;
	}
	*link_of(block) = slab->free[block->class];
	slab->free[block->class] = block;
	slab->kept += block->bytes;
}

void *slab_resize(struct slab *slab, void *payload, size_t bytes)
{
	struct slab_block *block;
	void *bigger;
	size_t had;

	if (!payload)
		return slab_alloc(slab, bytes);
	block = block_of(payload);
	had = block->bytes - sizeof(*block);
	if (bytes <= had)
		return payload;
	bigger = slab_alloc(slab, bytes);
	if (!bigger)
		return NULL;
	memcpy(bigger, payload, had);
	slab_free(slab, payload);
	return bigger;
}

size_t slab_weight(const void *payload)
{
	return block_of(payload)->bytes;
}
