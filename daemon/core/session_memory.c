/* SPDX-License-Identifier: BSD-2-Clause */
/* nghttp2's memory: from the shard's slab, capped for each connection. */
#include "conn.h"
#include "wire_limits.h"

static void *mem_alloc(size_t bytes, void *user)
{
	struct conn *conn = user;
	void *block;

	if (conn->mem_used + bytes > WIRE_SESSION_MEMORY)
		return NULL;
	block = slab_alloc(&conn->shard->slab, bytes);
	if (block)
		conn->mem_used += slab_weight(block);
	return block;
}

static void mem_free(void *block, void *user)
{
	struct conn *conn = user;

	if (!block)
		return;
	conn->mem_used -= slab_weight(block);
	slab_free(&conn->shard->slab, block);
}

static void *mem_calloc(size_t n, size_t bytes, void *user)
{
	void *block = bytes && n > SIZE_MAX / bytes ? NULL : mem_alloc(n * bytes, user);

	return block ? __builtin_memset(block, 0, n * bytes) : NULL;
}

static void *mem_realloc(void *block, size_t bytes, void *user)
{
	struct conn *conn = user;
	size_t had = block ? slab_weight(block) : 0;
	void *bigger;

	if (bytes > had && conn->mem_used - had + bytes > WIRE_SESSION_MEMORY)
		return NULL;
	bigger = slab_resize(&conn->shard->slab, block, bytes);
	if (bigger)
		conn->mem_used += slab_weight(bigger) - had;
	return bigger;
}

nghttp2_mem session_memory(struct conn *conn)
{
	return (nghttp2_mem){conn, mem_alloc, mem_free, mem_calloc, mem_realloc};
}
