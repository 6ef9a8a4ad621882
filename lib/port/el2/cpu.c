/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs: their stacks, how they start, and the loop of those that wait for work. */
#include <pt/el2/cpu.h>

#include <pt/el2/console.h>
#include <pt/el2/feature.h>
#include <pt/el2/sysreg.h>

#include "internal.h"

/* PSCI 1.1: 5.6 and 5.4 (64-bit call). */
#define PSCI_CPU_ON UINT64_C(0xc4000003)

static struct pt_el2_cpu cpus[PT_EL2_CPUS];
__attribute__((section(".region.stacks"),
	       aligned(4096))) unsigned char pt__el2_stacks[PT_EL2_CPUS][PT_EL2_STACK_BYTES];

_Static_assert(offsetof(struct pt_el2_cpu, stack) == PT_EL2_CPU_STACK, "start.S");
_Static_assert(offsetof(struct pt_el2_cpu, host_sp) == PT_EL2_CPU_HOST_SP, "vectors.S");

struct pt_el2_cpu *pt_el2_self(void)
{
	return (struct pt_el2_cpu *)pt_el2_read_tpidr_el2();
}

static void prepare(uint32_t id)
{
	cpus[id].id = id;
	cpus[id].stack = (uintptr_t)pt__el2_stacks[id + 1];
}

void pt__el2_first(void)
{
	struct pt_el2_id id;

	prepare(0);
	atomic_store(&cpus[0].on, true);
	pt_el2_write_tpidr_el2((uintptr_t)&cpus[0]);
	pt_el2_id_read(&id);
	pt_el2_features_of(&pt_el2_features, &id);
	pt_el2_exit((unsigned)pt_el2_main());
}

void pt__el2_work(struct pt_el2_cpu *cpu)
{
	atomic_store_explicit(&cpu->on, true, memory_order_release);
	for (;;) {
		void (*work)(void *) = atomic_load_explicit(&cpu->work, memory_order_acquire);

		if (!work) {
			__asm__ volatile("yield" ::: "memory");
			continue;
		}
		work(cpu->work_arg);
		atomic_store_explicit(&cpu->work, NULL, memory_order_release);
	}
}

static int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"x4", "x5", "x6", "x7", "x8",
			   "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return (int64_t)x0;
}

bool pt_el2_cpu_start(uint32_t id)
{
	if (id >= PT_EL2_CPUS)
		return false;
	if (atomic_load_explicit(&cpus[id].on, memory_order_acquire))
		return true;
	prepare(id);
	pt_el2_dsb_ish();
	if (psci(PSCI_CPU_ON, id, (uintptr_t)pt__el2_secondary, (uintptr_t)&cpus[id]))
		return false;
	while (!atomic_load_explicit(&cpus[id].on, memory_order_acquire))
		__asm__ volatile("yield" ::: "memory");
	return true;
}

void pt_el2_cpu_run(uint32_t id, void (*work)(void *), void *arg)
{
	cpus[id].work_arg = arg;
	atomic_store_explicit(&cpus[id].work, work, memory_order_release);
}

void pt_el2_cpu_wait(uint32_t id)
{
	while (atomic_load_explicit(&cpus[id].work, memory_order_acquire))
		__asm__ volatile("yield" ::: "memory");
}
