/* SPDX-License-Identifier: BSD-2-Clause */
/* Host port: the memory of table pages and the sparse memory of machines. */
#ifndef PT_HOST_MEMORY_H
#define PT_HOST_MEMORY_H

#include <pt/machine.h>

/*
 * One daemon's table memory: a memfd of `bytes` (a multiple of 2 MiB) mapped once. Sparse:
 * untouched pages cost nothing. In a machine with pa_bits it stands at PA 2^(pa_bits - 1), and the
 * machine's own memory ends there at the latest.
 */
struct pt_host_tables {
	struct pt_port port; /* what lib sees */
	struct pt_world world;
	struct pt_pool_unit *unit;
	int fd;
};

/* PT_OK, PT_NO_MEMORY, or PT_INVALID for a size that is no multiple of 2 MiB. */
enum pt_outcome pt_host_tables_create(struct pt_host_tables *tables, uint64_t bytes);
void pt_host_tables_destroy(struct pt_host_tables *tables);
/*
 * Gives free table memory back to the system, a step of 256 KiB at a time (one madvise of
 * MADV_REMOVE, some 30 us), as long as more than `keep` pieces of 1 MiB are free and have been
 * written. `trim` is the caller's, zeroed; while it has a piece in hand (left is not 0) nobody else
 * can get that, so go on until it has none, in the end with a `keep` of UINT32_MAX. False: nothing
 * to give. Any thread, each with a trim of its own.
 */
struct pt_host_trim {
	struct pt_page piece;
	uint64_t left; /* bytes of it */
};
bool pt_host_tables_trim(struct pt_host_tables *tables, struct pt_host_trim *trim, uint32_t keep);
/* The same memory as a machine of `pa_bits` sees it. */
void pt_host_port_init(struct pt_port *port, const struct pt_host_tables *tables, unsigned pa_bits);

/*
 * A machine's memory: PAs [0, bytes), reads as zero, takes pages on first write (a memfd). Copies
 * are byte-exact; aligned 1, 2, 4 and 8 byte copies are single-copy atomic, since other vCPUs may
 * access the same bytes.
 */
struct pt_host_ram {
	unsigned char *base;
	uint64_t bytes;
	_Atomic uint64_t *touched; /* a bit for each page ever written: reads of others take none */
	_Atomic uint64_t pages;	   /* how many of them */
};

/* PT_OK, PT_NO_MEMORY, or PT_INVALID for no bytes at all. */
enum pt_outcome pt_host_ram_create(struct pt_host_ram *ram, uint64_t bytes);
void pt_host_ram_destroy(struct pt_host_ram *ram);
/* PT_OUT_OF_RANGE if [pa, pa + size) leaves the memory. */
enum pt_outcome pt_host_ram_read(const struct pt_host_ram *ram, uint64_t pa, void *to,
				 uint64_t size);
enum pt_outcome pt_host_ram_write(struct pt_host_ram *ram, uint64_t pa, const void *from,
				  uint64_t size);
/*
 * Compare-and-swap of the 8 bytes at `pa`, which is a multiple of 8. PT_OK; PT_RACED: *word was not
 * what stands there, and is now; PT_OUT_OF_RANGE.
 */
enum pt_outcome pt_host_ram_swap(struct pt_host_ram *ram, uint64_t pa, uint64_t *word, uint64_t to);
/* Whole pages of 4 KiB inside the memory read as zero; those never written stay untouched. */
void pt_host_ram_wipe(struct pt_host_ram *ram, uint64_t pa, uint64_t size);
/* Bytes of memory that have pages of their own (for GetStats). */
uint64_t pt_host_ram_resident(const struct pt_host_ram *ram);

#endif
