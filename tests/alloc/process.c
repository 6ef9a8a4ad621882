/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linked into build/ptd-alloc, the daemon whose allocations fail on demand: malloc and its kin are
 * defined here and so serve the whole process, shared libraries too; libuv and OpenSSL are asked to
 * allocate through functions of their own, so that theirs are told apart.
 *
 * PTD_ALLOC_FAIL=N: the N-th fails, and with PTD_ALLOC_RUN=M the M-1 behind it.
 * PTD_ALLOC_REPORT=FILE: how many there were when the process ends: all, libuv's, OpenSSL's.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static _Atomic uint64_t all, of_uv, of_openssl;
static uint64_t fail_at, fail_run = 1;

static int fails(void)
{
	uint64_t n = atomic_fetch_add(&all, 1) + 1;

	if (!fail_at || n < fail_at || n >= fail_at + fail_run)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t bytes)
{
	return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return fails() ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *block, size_t bytes)
{
	return fails() ? NULL : __libc_realloc(block, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	return fails() ? NULL : __libc_memalign(align, bytes);
}

static void *uv_malloc(size_t bytes)
{
	of_uv++;
	return malloc(bytes);
}

static void *uv_calloc(size_t n, size_t bytes)
{
	of_uv++;
	return calloc(n, bytes);
}

static void *uv_realloc(void *block, size_t bytes)
{
	of_uv++;
	return realloc(block, bytes);
}

static void *ssl_malloc(size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	of_openssl++;
	return bytes ? malloc(bytes) : NULL;
}

static void *ssl_realloc(void *block, size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	of_openssl++;
	return realloc(block, bytes);
}

static void ssl_free(void *block, const char *file, int line)
{
	(void)file, (void)line;
	free(block);
}

static __attribute__((constructor)) void begin(void)
{
	const char *at = getenv("PTD_ALLOC_FAIL"), *run = getenv("PTD_ALLOC_RUN");

	if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) ||
	    uv_replace_allocator(uv_malloc, uv_realloc, uv_calloc, free))
		abort();
	atomic_store(&all, 0);
	if (run)
		fail_run = strtoull(run, NULL, 0);
	if (at)
		fail_at = strtoull(at, NULL, 0);
}

static __attribute__((destructor)) void report(void)
{
	const char *name = getenv("PTD_ALLOC_REPORT");
	FILE *file;

	fail_at = 0;
	file = name ? fopen(name, "w") : NULL;
	if (!file)
		return;
	fprintf(file, "%llu %llu %llu\n", (unsigned long long)all, (unsigned long long)of_uv,
		(unsigned long long)of_openssl);
	fclose(file);
}
