/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nghttp2's memory: from the shard's slab, capped for each connection.
 *
 * A connection knows its session's blocks. When memory has run out, nghttp2 may hold what it has
 * freed already (1.52: an item whose stream could not be put into the queue of a priority), so the
 * session is then not taken apart but its blocks are freed as they stand.
 */
#include "conn.h"
#include "wire_limits.h"

/* Before each block. */
struct mem_block {
	struct mem_block *next, *prev;
};
_Static_assert(sizeof(struct mem_block) == 16, "payload stays 16-byte aligned");

static struct mem_block *block_of(void *payload)
{
	return (struct mem_block *)payload - 1;
}

static void *link_block(struct conn *conn, struct mem_block *block)
{
	block->prev = NULL;
	block->next = conn->blocks;
	if (block->next)
		block->next->prev = block;
	conn->blocks = block;
	conn->mem_used += slab_weight(block);
	return block + 1;
}

static void unlink_block(struct conn *conn, struct mem_block *block)
{
	if (block->prev)
		block->prev->next = block->next;
	else
		conn->blocks = block->next;
	if (block->next)
		block->next->prev = block->prev;
	conn->mem_used -= slab_weight(block);
}

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
	struct mem_block *block;

	if (bytes > WIRE_SESSION_MEMORY || conn->mem_used + bytes > WIRE_SESSION_MEMORY)
		return starve(conn);
	block = slab_alloc(&conn->shard->slab, sizeof(*block) + bytes);
	return block ? link_block(conn, block) : starve(conn);
}

static void mem_free(void *payload, void *user)
{
	struct conn *conn = user;

	if (!payload || conn->starved)
		return; /* all at once, in session_memory_drop() */
	unlink_block(conn, block_of(payload));
	slab_free(&conn->shard->slab, block_of(payload));
}

static void *mem_calloc(size_t n, size_t bytes, void *user)
{
	void *block = bytes && n > SIZE_MAX / bytes ? NULL : mem_alloc(n * bytes, user);

	return block ? __builtin_memset(block, 0, n * bytes) : NULL;
}

static void *mem_realloc(void *payload, size_t bytes, void *user)
{
	struct conn *conn = user;
	struct mem_block *block, *bigger;
	size_t had;

	if (!payload)
		return mem_alloc(bytes, user);
	block = block_of(payload);
	had = slab_weight(block);
	if (bytes > WIRE_SESSION_MEMORY ||
	    (bytes > had && conn->mem_used - had + bytes > WIRE_SESSION_MEMORY))
		return starve(conn);
	unlink_block(conn, block);
	bigger = slab_resize(&conn->shard->slab, block, sizeof(*block) + bytes);
	payload = link_block(conn, bigger ? bigger : block);
	return bigger ? payload : starve(conn);
}

void session_memory_drop(struct conn *conn)
{
	while (conn->blocks) {
		struct mem_block *block = conn->blocks;

		unlink_block(conn, block);
		slab_free(&conn->shard->slab, block);
	}
}

nghttp2_mem session_memory(struct conn *conn)
{
	return (nghttp2_mem){conn, mem_alloc, mem_free, mem_calloc, mem_realloc};
}
