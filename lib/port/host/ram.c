/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host port: the sparse memory of a machine.
 *
 * A memfd takes a page on the first touch, reads included. `touched` has a bit for each page that
 * was ever written; a read of another page gives zeros without touching it. The bit is set before
 * the bytes are written, so whoever has seen the bytes, or learnt of them, sees the bit. Who sets
 * it counts the page: no descriptor is kept, so machines are not bounded by the process's.
 *
 * All copies use relaxed atomics of up to 8 bytes: guests race, and that must be a race of the
 * guest's, not of ours.
 */
#include <pt/host/memory.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define PAGE_SHIFT 12
#define PAGE	   (UINT64_C(1) << PAGE_SHIFT)
#define LINE	   64
#define STREAMED   (8 * PAGE) /* as much as the nearest cache has, and worth a fence */

static uint64_t bitmap_bytes(uint64_t bytes)
{
	uint64_t pages = (bytes + PAGE - 1) >> PAGE_SHIFT;

	return (pages + 63) / 64 * sizeof(uint64_t);
}

enum pt_outcome pt_host_ram_create(struct pt_host_ram *ram, uint64_t bytes)
{
	int fd = bytes ? memfd_create("ptd-ram", MFD_CLOEXEC) : -1;
	void *base, *bits;

	if (fd < 0)
		return bytes ? PT_NO_MEMORY : PT_INVALID;
	if (ftruncate(fd, (off_t)bytes))
		goto err_after_fd;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		goto err_after_fd;
	bits = mmap(NULL, bitmap_bytes(bytes), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED)
		goto err_after_map;
	close(fd);
	*ram = (struct pt_host_ram){.base = base, .bytes = bytes, .touched = bits};
	return PT_OK;

err_after_map:
	munmap(base, bytes);
err_after_fd:
	close(fd);
	return PT_NO_MEMORY;
}

void pt_host_ram_destroy(struct pt_host_ram *ram)
{
	munmap(ram->touched, bitmap_bytes(ram->bytes));
	munmap(ram->base, ram->bytes);
	*ram = (struct pt_host_ram){0};
}

static bool is_touched(const struct pt_host_ram *ram, uint64_t pa)
{
	uint64_t page = pa >> PAGE_SHIFT;

	return atomic_load_explicit(&ram->touched[page / 64], memory_order_relaxed) >> page % 64 &
	       1;
}

static void touch(struct pt_host_ram *ram, uint64_t pa)
{
	uint64_t page = pa >> PAGE_SHIFT, bit = UINT64_C(1) << page % 64;

	if (is_touched(ram, pa))
		return;
	if (!(atomic_fetch_or_explicit(&ram->touched[page / 64], bit, memory_order_relaxed) & bit))
		atomic_fetch_add_explicit(&ram->pages, 1, memory_order_relaxed);
}

static void load_unit(void *to, const unsigned char *from, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 8:
		v8 = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
		memcpy(to, &v8, 8);
		break;
	case 4:
		v4 = __atomic_load_n((const uint32_t *)(const void *)from, __ATOMIC_RELAXED);
		memcpy(to, &v4, 4);
		break;
	case 2:
		v2 = __atomic_load_n((const uint16_t *)(const void *)from, __ATOMIC_RELAXED);
		memcpy(to, &v2, 2);
		break;
	default: *(unsigned char *)to = __atomic_load_n(from, __ATOMIC_RELAXED);
	}
}

static void store_unit(unsigned char *to, const void *from, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 8:
		memcpy(&v8, from, 8);
		__atomic_store_n((uint64_t *)(void *)to, v8, __ATOMIC_RELAXED);
		break;
	case 4:
		memcpy(&v4, from, 4);
		__atomic_store_n((uint32_t *)(void *)to, v4, __ATOMIC_RELAXED);
		break;
	case 2:
		memcpy(&v2, from, 2);
		__atomic_store_n((uint16_t *)(void *)to, v2, __ATOMIC_RELAXED);
		break;
	default: __atomic_store_n(to, *(const unsigned char *)from, __ATOMIC_RELAXED);
	}
}

/* The largest aligned unit at `pa` that `left` bytes have room for. */
static unsigned unit_at(uint64_t pa, uint64_t left)
{
	unsigned unit = 8;

	while (pa % unit || left < unit)
		unit /= 2;
	return unit;
}

static uint64_t chunk_at(uint64_t pa, uint64_t left)
{
	uint64_t room = PAGE - pa % PAGE;

	return left < room ? left : room;
}

static bool outside(const struct pt_host_ram *ram, uint64_t pa, uint64_t size)
{
	return pa > ram->bytes || size > ram->bytes - pa;
}

static void read_chunk(const struct pt_host_ram *ram, uint64_t pa, unsigned char *to, uint64_t size)
{
	if (!is_touched(ram, pa)) {
		memset(to, 0, size);
		return;
	}
	for (unsigned unit; size; pa += unit, to += unit, size -= unit) {
		unit = unit_at(pa, size);
		load_unit(to, ram->base + pa, unit);
	}
}

static void write_chunk(struct pt_host_ram *ram, uint64_t pa, const unsigned char *from,
			uint64_t size)
{
	touch(ram, pa);
	for (unsigned unit; size; pa += unit, from += unit, size -= unit) {
		unit = unit_at(pa, size);
		store_unit(ram->base + pa, from, unit);
	}
}

enum pt_outcome pt_host_ram_read(const struct pt_host_ram *ram, uint64_t pa, void *to,
				 uint64_t size)
{
	unsigned char *at = to;

	if (outside(ram, pa, size))
		return PT_OUT_OF_RANGE;
	for (uint64_t n; size; pa += n, at += n, size -= n) {
		n = chunk_at(pa, size);
		read_chunk(ram, pa, at, n);
	}
	return PT_OK;
}

enum pt_outcome pt_host_ram_write(struct pt_host_ram *ram, uint64_t pa, const void *from,
				  uint64_t size)
{
	const unsigned char *at = from;

	if (outside(ram, pa, size))
		return PT_OUT_OF_RANGE;
	for (uint64_t n; size; pa += n, at += n, size -= n) {
		n = chunk_at(pa, size);
		write_chunk(ram, pa, at, n);
	}
	return PT_OK;
}

enum pt_outcome pt_host_ram_swap(struct pt_host_ram *ram, uint64_t pa, uint64_t *word, uint64_t to)
{
	if (outside(ram, pa, sizeof(*word)))
		return PT_OUT_OF_RANGE;
	if (!is_touched(ram, pa) && *word) {
		*word = 0;
		return PT_RACED;
	}
	touch(ram, pa);
	return __atomic_compare_exchange_n((uint64_t *)(void *)(ram->base + pa), word, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
		       ? PT_OK
		       : PT_RACED;
}

/* How many pages from `pa` to `end` on were written, or were not, as that one. */
static uint64_t alike(const struct pt_host_ram *ram, uint64_t pa, uint64_t end)
{
	bool touched = is_touched(ram, pa);
	uint64_t at = pa + PAGE;

	while (at < end && is_touched(ram, at) == touched)
		at += PAGE;
	return at - pa;
}

#ifdef __SSE2__
/* Whole lines go to memory, which is not read for it, past the caches. Other stores do not wait for
 * these: hence the fence. */
static void stream_zeros(unsigned char *at, uint64_t size)
{
	const __m128i zero = _mm_setzero_si128();

	for (unsigned char *end = at + size; at < end; at += LINE)
		for (unsigned i = 0; i < LINE; i += sizeof(zero))
			_mm_stream_si128((__m128i *)(void *)(at + i), zero);
	_mm_sfence();
}
#else
static void stream_zeros(unsigned char *at, uint64_t size)
{
	memset(at, 0, size);
}
#endif

static void set_zero(unsigned char *at, uint64_t size)
{
	if (size < STREAMED)
		memset(at, 0, size);
	else
		stream_zeros(at, size);
}

/* Nobody reaches the memory meanwhile, so it is no race of anybody's. */
void pt_host_ram_wipe(struct pt_host_ram *ram, uint64_t pa, uint64_t size)
{
	uint64_t end = pa + size, n;

	for (; pa < end; pa += n) {
		n = alike(ram, pa, end);
		if (is_touched(ram, pa))
			set_zero(ram->base + pa, n);
	}
}

uint64_t pt_host_ram_resident(const struct pt_host_ram *ram)
{
	return atomic_load_explicit(&ram->pages, memory_order_relaxed) << PAGE_SHIFT;
}
