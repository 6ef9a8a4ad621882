/* SPDX-License-Identifier: BSD-2-Clause */
/* The wrapped allocators. What one layer takes of the layer below counts once, at the top. */
#include "hook.h"

#include "arena.h"
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct hook hook;

static bool fails(enum hook_layer layer, const void *where)
{
	if (!hook.armed || hook.inside)
		return false;
	hook.count++;
	hook.by_layer[layer]++;
	if (hook.count != hook.fail_at &&
	    !(hook.all_after && hook.fail_at && hook.count > hook.fail_at))
		return false;
	if (!hook.failed++)
		hook.where = where;
	return true;
}

#define FAILS(layer) fails(layer, __builtin_return_address(0))

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void __wrap_free(void *block);

static void *counted(void *block)
{
	hook.live += block != NULL;
	return block;
}

void *__wrap_malloc(size_t bytes)
{
	return FAILS(HOOK_LIBC) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return FAILS(HOOK_LIBC) ? NULL : counted(__real_calloc(n, bytes));
}

void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return FAILS(HOOK_LIBC) ? NULL : counted(__real_aligned_alloc(align, bytes));
}

void *__wrap_realloc(void *block, size_t bytes)
{
	void *moved = FAILS(HOOK_LIBC) ? NULL : __real_realloc(block, bytes);

	hook.live += moved && !block;
	return moved;
}

void __wrap_free(void *block)
{
	hook.live -= block != NULL;
	__real_free(block);
}

void *__real_slab_alloc(struct slab *slab, size_t bytes);
void *__real_slab_resize(struct slab *slab, void *block, size_t bytes);
void *__wrap_slab_alloc(struct slab *slab, size_t bytes);
void *__wrap_slab_resize(struct slab *slab, void *block, size_t bytes);

void *__wrap_slab_alloc(struct slab *slab, size_t bytes)
{
	bool outer = hook.inside, no = hook.starve || FAILS(HOOK_SLAB);
	void *block;

	hook.inside = true;
	block = no ? NULL : __real_slab_alloc(slab, bytes);
	hook.inside = outer;
	return block;
}

void *__wrap_slab_resize(struct slab *slab, void *old, size_t bytes)
{
	bool outer = hook.inside, no = hook.starve || FAILS(HOOK_SLAB);
	void *block;

	hook.inside = true;
	block = no ? NULL : __real_slab_resize(slab, old, bytes);
	hook.inside = outer;
	return block;
}

void *__real_arena_alloc(struct arena *arena, size_t bytes);
void *__wrap_arena_alloc(struct arena *arena, size_t bytes);

void *__wrap_arena_alloc(struct arena *arena, size_t bytes)
{
	bool outer = hook.inside;
	void *block = NULL;

	if (FAILS(HOOK_ARENA)) {
		arena->overflow = true;
	} else {
		hook.inside = true;
		block = __real_arena_alloc(arena, bytes);
		hook.inside = outer;
	}
	return block;
}

/* protobuf-c comes in by the allocator's function, not by arena_alloc(). */
static void *pb_alloc(void *data, size_t bytes)
{
	return __wrap_arena_alloc(data, bytes);
}

void __real_arena_init(struct arena *arena, struct slab *slab, void *first, size_t first_bytes);
void __wrap_arena_init(struct arena *arena, struct slab *slab, void *first, size_t first_bytes);

void __wrap_arena_init(struct arena *arena, struct slab *slab, void *first, size_t first_bytes)
{
	__real_arena_init(arena, slab, first, first_bytes);
	arena->allocator.alloc = pb_alloc;
}

/* What session_memory() gives, with the hook before it. All sessions have the same functions. */
static nghttp2_mem below;

/* Before and after an allocation of nghttp2: it fails where the slab would. */
struct around {
	bool inside, starve;
};

static struct around enter(const void *where)
{
	struct around before = {hook.inside, hook.starve};

	hook.starve = fails(HOOK_NGHTTP2, where);
	hook.inside = true;
	return before;
}

static void *leave(struct around before, void *block)
{
	hook.inside = before.inside;
	hook.starve = before.starve;
	return block;
}

static void *mem_malloc(size_t bytes, void *user)
{
	struct around a = enter(__builtin_return_address(0));

	return leave(a, below.malloc(bytes, user));
}

static void *mem_calloc(size_t n, size_t bytes, void *user)
{
	struct around a = enter(__builtin_return_address(0));

	return leave(a, below.calloc(n, bytes, user));
}

static void *mem_realloc(void *old, size_t bytes, void *user)
{
	struct around a = enter(__builtin_return_address(0));

	return leave(a, below.realloc(old, bytes, user));
}

nghttp2_mem __real_session_memory(struct conn *conn);
nghttp2_mem __wrap_session_memory(struct conn *conn);

nghttp2_mem __wrap_session_memory(struct conn *conn)
{
	below = __real_session_memory(conn);
	return (nghttp2_mem){below.mem_user_data, mem_malloc, below.free, mem_calloc, mem_realloc};
}

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (FAILS(HOOK_PAGES)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(at, bytes, prot, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (FAILS(HOOK_PAGES)) {
		errno = ENFILE;
		return -1;
	}
	return __real_memfd_create(name, flags);
}
