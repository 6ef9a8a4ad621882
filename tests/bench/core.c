/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times the core on the workload that peers/kvm times KVM's own page-table code on, and on some
 * that have no peer.
 *
 * Prints "name nanoseconds" a line, the best of five rounds: a PTE for ranges, a call for single
 * pages in random order. Rows ending in _8vcpu invalidate the modelled TLBs of eight idle vCPUs.
 *
 * Usage: core [GROUP...]   a group is one of the names in groups[]; all without
 *        core count       prints nothing: for count.py
 */
#include "core.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 5

static void run(const struct bench_args *args, void (*round)(struct bench *), const char *suffix)
{
	static struct bench b;

	bench_open(&b, args);
	for (unsigned i = 0; i < ROUNDS; i++)
		round(&b);
	for (unsigned row = 0; row < ROWS; row++)
		if (b.best[row] > 0)
			printf("%s%s %.2f\n", row_name[row], suffix, b.best[row]);
	bench_close(&b);
}

static void flavour(unsigned granule_shift, uint32_t vcpus, const char *suffix)
{
	run(&(struct bench_args){.granule_shift = granule_shift,
				 .vcpus = vcpus,
				 .size = GIB,
				 .table_bytes = UINT64_C(64) << 20},
	    bench_round, suffix);
}

static void rows_4k(void)
{
	flavour(12, 0, "");
}

static void rows_8vcpu(void)
{
	flavour(12, 8, "_8vcpu");
}

static void rows_16k(void)
{
	flavour(14, 0, "_16k");
}

static void rows_64k(void)
{
	flavour(16, 0, "_64k");
}

static void rows_dirty(void)
{
	run(&(struct bench_args){.granule_shift = 12,
				 .vtcr_flags = PT_VTCR_HA | PT_VTCR_HD,
				 .size = GIB,
				 .table_bytes = UINT64_C(64) << 20},
	    bench_round_dirty, "_hd");
}

/* For callgrind: every row once, on 64 MiB. */
static void count(void)
{
	static struct bench b;

	bench_open(&b, &(struct bench_args){.granule_shift = 12,
					    .size = GIB / 16,
					    .table_bytes = UINT64_C(4) << 20});
	bench_round(&b);
	bench_close(&b);
	bench_owners(true);
	bench_transfers(true);
	bench_fills(true);
	bench_nested_count();
}

static void rows_owners(void)
{
	bench_owners(false);
}

static void rows_transfers(void)
{
	bench_transfers(false);
}

static void rows_fills(void)
{
	bench_fills(false);
}

/* The last one takes its time, and is run where it is asked for. */
static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{"4k", rows_4k},
	{"8vcpu", rows_8vcpu},
	{"16k", rows_16k},
	{"64k", rows_64k},
	{"dirty", rows_dirty},
	{"threads", bench_threads},
	{"fills", rows_fills},
	{"contexts", bench_contexts},
	{"large", bench_large},
	{"owners", rows_owners},
	{"transfers", rows_transfers},
	{"nested", bench_nested},
	{"nested-1g", bench_nested_gib},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "count")) {
		count();
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		size_t g = 0;

		while (g < GROUPS && strcmp(groups[g].name, argv[i]))
			g++;
		if (g == GROUPS) {
			fprintf(stderr, "bench: no group %s\n", argv[i]);
			return 2;
		}
		groups[g].run();
	}
	for (size_t g = 0; argc == 1 && g < GROUPS - 1; g++)
		groups[g].run();
	return 0;
}
