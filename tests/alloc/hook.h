/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocation that fails when it is told to: every allocation of the code under test goes through
 * here, by the linker's --wrap. */
#ifndef TESTS_ALLOC_HOOK_H
#define TESTS_ALLOC_HOOK_H

#include <stdbool.h>
#include <stdint.h>

enum hook_layer {
	HOOK_LIBC,    /* our own: malloc, calloc, realloc */
	HOOK_SLAB,    /* slab_alloc, slab_resize */
	HOOK_ARENA,   /* a call's memory, and protobuf-c's allocator */
	HOOK_NGHTTP2, /* nghttp2_mem */
	HOOK_PAGES,   /* mmap, memfd_create */
	HOOK_LAYERS,
};

struct hook {
	bool armed;	  /* allocations count, and may fail */
	bool all_after;	  /* from `fail_at` on, not only there */
	uint64_t fail_at; /* number of the allocation; 0: none */
	uint64_t count, failed;
	uint64_t by_layer[HOOK_LAYERS];
	int64_t live;	   /* blocks, whether armed or not */
	bool inside;	   /* an allocation of another layer serves this one */
	bool starve;	   /* the slab has nothing for it */
	const void *where; /* who called the allocation that failed first */
};

extern struct hook hook;

#endif
