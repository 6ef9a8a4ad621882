/* SPDX-License-Identifier: BSD-2-Clause */
/* nghttp2's memory: from the shard's slab, capped for each connection. */
#include "conn.h"
#include "wire_limits.h"

/* What the session was about to do is lost, be it an answer or a reset: no call of it can be relied
 * on to end, so the connection does. */
static void *starve(struct conn *conn)
{
	conn->starved = true;
	if (conn->peer)
		conn_dirty(conn);
	return NULL;
}

static void *mem_alloc(size_t bytes, void *user)
{
	struct conn *conn = user;
	void *block;

	if (conn->mem_used + bytes > WIRE_SESSION_MEMORY)
		return starve(conn);
	block = slab_alloc(&conn->shard->slab, bytes);
	if (!block)
		return starve(conn);
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
		return starve(conn);
	bigger = slab_resize(&conn->shard->slab, block, bytes);
	if (!bigger)
		return starve(conn);
	conn->mem_used += slab_weight(bigger) - had;
	return bigger;
}

nghttp2_mem session_memory(struct conn *conn)
{
	return (nghttp2_mem){conn, mem_alloc, mem_free, mem_calloc, mem_realloc};
}
