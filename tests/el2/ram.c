/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sparse memory of a machine, <pt/host/memory.h>, for tests that access far more of it than the
 * board has: a list of the pages that were written. Only the first CPU's.
 */
#include <pt/host/memory.h>

#include <stdlib.h>
#include <string.h>

#define PAGE UINT64_C(4096)

struct page {
	struct page *next; /* the first one's address is ram->base */
	uint64_t pa;
	unsigned char byte[PAGE];
};

enum pt_outcome pt_host_ram_create(struct pt_host_ram *ram, uint64_t bytes)
{
	if (!bytes)
		return PT_INVALID;
	*ram = (struct pt_host_ram){.bytes = bytes};
	return PT_OK;
}

static struct page *first(const struct pt_host_ram *ram)
{
	return (struct page *)(void *)ram->base;
}

void pt_host_ram_destroy(struct pt_host_ram *ram)
{
	for (struct page *at = first(ram), *next; at; at = next) {
		next = at->next;
		free(at);
	}
	*ram = (struct pt_host_ram){0};
}

static struct page *page_of(const struct pt_host_ram *ram, uint64_t pa)
{
	struct page *at = first(ram);

	while (at && at->pa != pa / PAGE * PAGE)
		at = at->next;
	return at;
}

static bool outside(const struct pt_host_ram *ram, uint64_t pa, uint64_t size)
{
	return pa > ram->bytes || size > ram->bytes - pa;
}

static uint64_t chunk_of(uint64_t pa, uint64_t size)
{
	uint64_t left = PAGE - pa % PAGE;

	return size < left ? size : left;
}

enum pt_outcome pt_host_ram_read(const struct pt_host_ram *ram, uint64_t pa, void *to,
				 uint64_t size)
{
	unsigned char *at = to;

	if (outside(ram, pa, size))
		return PT_OUT_OF_RANGE;
	for (uint64_t n; size; pa += n, at += n, size -= n) {
		const struct page *page = page_of(ram, pa);

		n = chunk_of(pa, size);
		if (page)
			memcpy(at, page->byte + pa % PAGE, n);
		else
			memset(at, 0, n);
	}
	return PT_OK;
}

static struct page *add(struct pt_host_ram *ram, uint64_t pa)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		abort();
	page->next = first(ram);
	page->pa = pa / PAGE * PAGE;
	ram->base = (unsigned char *)page;
	return page;
}

enum pt_outcome pt_host_ram_write(struct pt_host_ram *ram, uint64_t pa, const void *from,
				  uint64_t size)
{
	const unsigned char *at = from;

	if (outside(ram, pa, size))
		return PT_OUT_OF_RANGE;
	for (uint64_t n; size; pa += n, at += n, size -= n) {
		struct page *page = page_of(ram, pa);

		n = chunk_of(pa, size);
		memcpy((page ? page : add(ram, pa))->byte + pa % PAGE, at, n);
	}
	return PT_OK;
}
