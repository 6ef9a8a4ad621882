/* SPDX-License-Identifier: BSD-2-Clause */
/* A small board for EL2's boot order: memory, an image, a pool; and addresses of EL2 that this
 * process really has. */
#ifndef TESTS_UNIT_HYP_FIXTURE_H
#define TESTS_UNIT_HYP_FIXTURE_H

#include "core.h"

#include <pt/hyp_boot.h>

#include <sys/mman.h>

/*
 * Physical: image (text, rodata, data of 64 KiB each) at 1 GiB, the loader's table at 1 GiB + 1
 * MiB, the pool of 16 MiB at 1 GiB + 32 MiB; another region of 16 MiB at 2 GiB. Virtual, in 4 GiB
 * of this process from `base` on: linear, at 2 GiB private, at 3 GiB the records of the first
 * region.
 */
#define BOARD_LOW    (UINT64_C(1) << 30)
#define BOARD_LOADER (BOARD_LOW + 0x100000)
#define BOARD_POOL   (BOARD_LOW + 0x2000000)
#define BOARD_HIGH   (UINT64_C(2) << 30)
#define BOARD_UART   UINT64_C(0x09000000)
#define BOARD_BYTES  (UINT64_C(16) << 20)
#define BOARD_CPUS   4

struct board {
	struct pt_host_tables tables;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_hyp_region region[2];
	struct pt_hyp_piece image[3];
	struct pt_hyp_device uart;
	struct pt_hyp_cpu cpu[BOARD_CPUS];
	struct pt_hyp_plan plan;
	struct pt_hyp_space space;
	struct pt_world world;
	struct pt_agent agent;
	struct pt_hyp_region returned;
	uint64_t base;
	unsigned switched;
};

/* What the CPU's MMU would do: the pages of EL2's map, where this process can see them. */
static inline void board_switch(void *arg, const struct pt_hyp *map)
{
	struct board *b = arg;
	uint64_t page = pt_level_size(&map->geo, 3), va = b->base + (UINT64_C(3) << 30), oa;
	pt_pte entry;
	int level;

	b->switched++;
	assert_non_null(map->early);
	for (; va < b->base + (UINT64_C(4) << 30); va += page) {
		ASSERT_OUTCOME(PT_OK, pt_hyp_get_leaf(map, va, &entry, &level));
		if (!pt_pte_valid(entry))
			continue;
		oa = pt_pte_to_oa(&map->geo, entry).v +
		     (va & (pt_level_size(&map->geo, level) - 1));
		assert_ptr_equal((void *)va, mmap((void *)va, page, PROT_READ | PROT_WRITE,
						  MAP_SHARED | MAP_FIXED, b->tables.fd,
						  (off_t)(oa - BOARD_POOL)));
	}
}

static inline void board_open(struct board *b, unsigned granule_shift)
{
	unsigned char *base;

	memset(b, 0, sizeof(*b));
	ASSERT_OUTCOME(PT_OK, pt_host_tables_create(&b->tables, BOARD_BYTES));
	ASSERT_OUTCOME(PT_OK, pt_host_mmu_init(&b->mmu, 0, PT_HOST_TLB_CACHE, 1));
	base = mmap(NULL, UINT64_C(6) << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	assert_true(base != MAP_FAILED);
	b->base = ((uintptr_t)base + (UINT64_C(1) << 30) - 1) & ~((UINT64_C(1) << 30) - 1);
	b->port = (struct pt_port){.table_pa = BOARD_POOL, .table_bytes = BOARD_BYTES};
	b->port.table_va = mmap((void *)(b->base + BOARD_POOL - BOARD_LOW), BOARD_BYTES,
				PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, b->tables.fd, 0);
	assert_true(b->port.table_va != MAP_FAILED);
	memset(b->port.table_va, 0xa5, BOARD_BYTES); /* a loader need not have zeroed it */
	b->region[0] = (struct pt_hyp_region){BOARD_LOW, UINT64_C(64) << 20};
	b->region[1] = (struct pt_hyp_region){BOARD_HIGH, UINT64_C(16) << 20};
	b->image[0] = (struct pt_hyp_piece){BOARD_LOW, 0x10000, PT_PROT_R | PT_PROT_X};
	b->image[1] = (struct pt_hyp_piece){BOARD_LOW + 0x10000, 0x10000, PT_PROT_R};
	b->image[2] = (struct pt_hyp_piece){BOARD_LOW + 0x20000, 0x10000, PT_PROT_RW};
	b->uart = (struct pt_hyp_device){.pa = BOARD_UART, .size = 0x10000};
	b->plan = (struct pt_hyp_plan){
		.args = {.port = &b->port,
			 .mmu = &b->mmu,
			 .granule_shift = (uint8_t)granule_shift,
			 .va_bits = 48,
			 .pa_bits = 40},
		.region = b->region,
		.regions = 2,
		.image = b->image,
		.pieces = 3,
		.pool = {BOARD_POOL, BOARD_BYTES},
		.loader = {BOARD_LOADER, 0x40000},
		.idmap = BOARD_LOW,
		.offset = b->base - BOARD_LOW,
		.private_va = b->base + (UINT64_C(2) << 30),
		.private_size = UINT64_C(512) << 20,
		.frames_va = b->base + (UINT64_C(3) << 30) -
			     (BOARD_LOW >> PT_FRAME_SHIFT) * sizeof(struct pt_frame),
		.cpu = b->cpu,
		.cpus = BOARD_CPUS,
		.data_bytes = 0x10000,
		.stack_bytes = 0x10000,
		.device = &b->uart,
		.devices = 1,
		.switch_map = board_switch,
		.arg = b,
	};
}

static inline enum pt_outcome board_try(struct board *b)
{
	return pt_hyp_boot(&b->space, &b->world, &b->agent, &b->plan, &b->returned);
}

static inline void board_boot(struct board *b, unsigned granule_shift)
{
	board_open(b, granule_shift);
	ASSERT_OUTCOME(PT_OK, board_try(b));
	assert_int_equal(1, b->switched);
}

static inline void board_close(struct board *b)
{
	/* The port's memory is a part of these; the pool's checker forgets it with the tables. */
	pt_port_note(PT_EVENT_MEMORY_GONE, 0, b->port.table_va, NULL, b->port.table_bytes, 0);
	munmap((void *)b->base, UINT64_C(4) << 30);
	pt_host_mmu_destroy(&b->mmu);
	pt_host_tables_destroy(&b->tables);
}

/* The leaf at `va`, or 0; its output for `va` itself. */
static inline pt_pte board_leaf(struct board *b, uint64_t va, uint64_t *pa)
{
	pt_pte entry;
	int level;

	ASSERT_OUTCOME(PT_OK, pt_hyp_get_leaf(&b->space.map, va, &entry, &level));
	if (!pt_pte_valid(entry))
		return 0;
	*pa = pt_pte_to_oa(&b->space.map.geo, entry).v +
	      (va & (pt_level_size(&b->space.map.geo, level) - 1));
	return entry;
}

static inline void board_expect(struct board *b, uint64_t va, uint64_t pa, uint32_t prot)
{
	uint64_t oa = 0;
	pt_pte leaf = board_leaf(b, va, &oa);

	assert_int_not_equal(0, leaf);
	assert_int_equal(pa, oa);
	assert_int_equal(prot, pt_hyp_leaf_prot(leaf));
}

static inline void board_expect_none(struct board *b, uint64_t va)
{
	uint64_t oa;

	assert_int_equal(0, board_leaf(b, va, &oa));
}

static inline uint64_t board_linear(const struct board *b, uint64_t pa)
{
	return b->base + (pa - BOARD_LOW);
}

#endif
