/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host's tests share. */
#ifndef TESTS_EL2_HOST_HOST_H
#define TESTS_EL2_HOST_HOST_H

#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/el2/cpu.h>
#include <pt/el2/host.h>
#include <pt/hvc.h>
#include <pt/types.h>

#define PAGE	   UINT64_C(4096)
#define BLOCK	   (UINT64_C(2) << 20)
#define RAM	   UINT64_C(0x40000000)
#define RAM_END	   UINT64_C(0x60000000)
#define UART	   UINT64_C(0x09000000)
#define MEMORY	   UINT64_C(0x58000000) /* for guests; the program ends before */
#define VTCR_SMALL UINT64_C(0x80020058) /* 4K, 40 bits from level 1, PS 40 bits */
#define RW	   PT_PROT_RW
#define RX	   (PT_PROT_R | PT_PROT_X)
#define SHIFT(n)   ((uint64_t)(n) << 8) /* of a slot's backing page */

/* Where guests see their code, and what they compute on. */
#define CODE	   UINT64_C(0x1000)
#define DATA	   UINT64_C(0x200000)
#define GUEST_PAGE (MEMORY + PAGE) /* backing that lies in no block: pages alone */
#define EC(esr)	   ((esr) >> 26)
#define EC_DATA	   0x24
#define FSC(esr)   ((esr)&0x3f)

static inline uint64_t *host_memory(uint64_t pa)
{
	return (uint64_t *)(uintptr_t)pa;
}

struct host_cpu {
	uint64_t esr, far; /* of the last probe that aborted */
	/* The same: where in the table it came to, and in what state, in SPSR's places from bit 32
	 * on; from where. */
	uint64_t vector, elr, spsr;
	struct pt_el2_cpu port;		 /* its id: cmocka.c asks for it */
	void (*work)(struct host_cpu *); /* of a CPU that CPU_ON has started */
	_Atomic bool done;
	_Alignas(PAGE) struct pt_el2_vcpu vcpu;
};
extern unsigned char host_cpus[HOST_CPUS][HOST_CPU_BYTES];
struct host_cpu *host_self(void);
/* Another CPU, which is idle or not on yet, does something. */
void host_cpu_run(uint32_t id, void (*work)(struct host_cpu *));
void host_cpu_wait(uint32_t id);

struct answer {
	int64_t code;
	uint64_t x[3];
};
struct answer host_call(uint32_t function, const uint64_t arg[5]);
#define CALL(name, ...) host_call(PT_HVC(PT_HVC_##name), (const uint64_t[5]){__VA_ARGS__})
/* Continues to the end. */
struct answer host_finish(struct answer a);
void host_expect(int64_t code, struct answer a, const char *file, int line);
#define EXPECT(code, a) host_expect((code), (a), __FILE__, __LINE__)
/* The image's own call `n`. */
#define IMAGE(n, a)	IMAGE_3(n, a, 0, 0)
#define IMAGE_3(n, a, b, c)                                                                        \
	({                                                                                         \
		register uint64_t x0 __asm__("x0") = (a);                                          \
		register uint64_t x1 __asm__("x1") = (b);                                          \
		register uint64_t x2 __asm__("x2") = (c);                                          \
		__asm__ volatile("hvc %3" : "+r"(x0), "+r"(x1), "+r"(x2) : "i"(n) : "memory");     \
		(struct answer){(int64_t)x0, {x1, x2, 0}};                                         \
	})
uint64_t host_smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

/* One access; false: it aborted, and the CPU's esr and far say how. */
bool host_load(uint64_t pa);
bool host_store(uint64_t pa, uint64_t value);
bool host_exec(uint64_t pa);
bool host_undefined(void);
/* start.S */
uint64_t host_probe_load(uint64_t pa);
void host_probe_store(uint64_t pa, uint64_t value);
void host_probe_exec(uint64_t pa);
void host_probe_undefined(void);
/* Goes on at `pc` with that PSTATE, x0 and x1, until an exception comes to EL1. */
void host_probe_at(uint64_t x0, uint64_t x1, uint64_t pstate, const unsigned char *pc);
/* What it may execute there: an access at x0, or the one instruction, and then SVC. */
extern const unsigned char code_load[], code_store[], code_hvc[], code_smc[];
extern const unsigned char code_load_a32[], code_store_a32[], code_hvc_a32[];
extern const unsigned char code_load_t32[], code_store_t32[];
/* An interrupt of a host that has unmasked it. exits.c */
void host_interrupt(bool fiq);
/* One of a timer, which is pending in 2 ms, or so many ticks; it is taken, the first one, now. */
void host_timer_start(bool fiq);
void host_timer_in(bool fiq, uint64_t ticks);
void host_timer_take(bool fiq);

/* Guests: start.S. */
extern unsigned char guest_code[4096];
void guest_sum(void);
void guest_load(void);
void guest_spin(void);
void guest_store(void);
void guest_float(void);
void guest_wait(void);
void guest_call(void);
void guest_secure(void);
void guest_counter(void), guest_timer(void), guest_pmu(void), guest_cycles(void);
void guest_debug(void), guest_breakpoint(void), guest_os_lock(void), guest_auxiliary(void);
void guest_set_way(void), guest_errors(void);
void guest_gic_common(void), guest_gic_group0(void), guest_gic_group1(void), guest_gic_sgi(void);
void guest_write_registers(void);
void guest_read_registers(void);
void guest_mode(void);
void guest_held(void);
void guest_load_user(void);
void guest_load_a32(void);
void guest_hvc_user(void);
#define GUEST_VECTORS (CODE + 2048) /* each ends the run, with its offset in x1 */

/* A context with the guests' code at CODE. */
uint64_t guest_new(void);
/* The CPU's vCPU at its begin. */
struct pt_el2_vcpu *guest_vcpu(void (*code)(void), uint64_t a, uint64_t b, uint64_t c);
/* Runs it; how it ended. */
uint64_t guest_run(uint64_t context, struct pt_el2_vcpu *v);
/* Its context ends. */
void guest_end(uint64_t context);

/* memory.c: the pieces, blocks and pages, of the host's memory, each the largest that fits; each is
 * shown to `look`. */
uint64_t host_pieces(void (*look)(uint64_t at, uint64_t size));

/* Groups of main.c. */
#define HOST_TESTS(name)                                                                           \
	extern const struct CMUnitTest host_##name##_tests[];                                      \
	extern const size_t host_##name##_count
HOST_TESTS(memory);
HOST_TESTS(guest);
HOST_TESTS(exit);
HOST_TESTS(send);
HOST_TESTS(hostile);
HOST_TESTS(race);
HOST_TESTS(cpu);
HOST_TESTS(recycle);
HOST_TESTS(storm);
HOST_TESTS(owner);
HOST_TESTS(nested);
HOST_TESTS(granules);
HOST_TESTS(types);
HOST_TESTS(virtual);
HOST_TESTS(stage1);
HOST_TESTS(nested_owner);
HOST_TESTS(nested_cpus);
HOST_TESTS(count);

#endif
