/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's hypercalls, probes and guests. */
#include "host.h"

#include <pt/el2/console.h>

void host_start(void);
_Noreturn void host_go(struct host_cpu *self);
_Noreturn void host_die(uint64_t esr, uint64_t elr, uint64_t far);

_Static_assert(offsetof(struct host_cpu, esr) == HOST_CPU_ESR, "start.S");
_Static_assert(offsetof(struct host_cpu, far) == HOST_CPU_FAR, "start.S");
_Static_assert(offsetof(struct host_cpu, vector) == HOST_CPU_WHERE, "start.S");
_Static_assert(offsetof(struct host_cpu, spsr) == HOST_CPU_WHERE + 16, "start.S");
_Static_assert(sizeof(struct host_cpu) <= HOST_CPU_BYTES / 2, "the rest is its stack");
_Static_assert(sizeof(struct pt_el2_vcpu) <= PAGE, "a page of its own");
_Static_assert(_Alignof(struct host_cpu) == PAGE, "host_cpus");

_Alignas(HOST_CPU_BYTES) unsigned char host_cpus[HOST_CPUS][HOST_CPU_BYTES];

static struct host_cpu *cpu_of(uint32_t id)
{
	return (struct host_cpu *)(void *)host_cpus[id];
}

struct host_cpu *host_self(void)
{
	struct host_cpu *self;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(self));
	return self;
}

struct pt_el2_cpu *pt_el2_self(void)
{
	return &host_self()->port;
}

void host_go(struct host_cpu *self)
{
	if (self == cpu_of(0))
		pt_el2_exit((unsigned)pt_el2_main());
	for (;;) {
		if (!atomic_load(&self->done)) {
			self->work(self);
			atomic_store(&self->done, true);
		}
		__asm__ volatile("yield");
	}
}

void host_die(uint64_t esr, uint64_t elr, uint64_t far)
{
	printf("Bail out! the host's own exception: ESR_EL1 %lx ELR_EL1 %lx FAR_EL1 %lx\n", esr,
	       elr, far);
	pt_el2_exit(5);
}

uint64_t host_smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
	return x0;
}

void host_cpu_run(uint32_t id, void (*work)(struct host_cpu *))
{
	struct host_cpu *cpu = cpu_of(id);

	cpu->work = work;
	atomic_store(&cpu->done, false);
	if (cpu->port.id)
		return;
	cpu->port.id = id;
	assert_int_equal(0,
			 host_smc(PT_EL2_PSCI_CPU_ON, id, (uintptr_t)host_start, (uintptr_t)cpu));
}

void host_cpu_wait(uint32_t id)
{
	while (!atomic_load(&cpu_of(id)->done))
		__asm__ volatile("yield");
}

struct answer host_call(uint32_t function, const uint64_t arg[5])
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = arg[0];
	register uint64_t x2 __asm__("x2") = arg[1];
	register uint64_t x3 __asm__("x3") = arg[2];
	register uint64_t x4 __asm__("x4") = arg[3];
	register uint64_t x5 __asm__("x5") = arg[4];

	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 : "r"(x4), "r"(x5)
			 : "memory");
	return (struct answer){(int64_t)x0, {x1, x2, x3}};
}

struct answer host_finish(struct answer a)
{
	for (unsigned i = 0; a.code == PT_MORE && i < 1000000; i++)
		a = CALL(CONTINUE, a.x[0]);
	return a;
}

void host_expect(int64_t code, struct answer a, const char *file, int line)
{
	if (a.code == code)
		return;
	print_error("%s:%d: expected %ld, got %ld (%lx %lx %lx)\n", file, line, (long)code,
		    (long)a.code, a.x[0], a.x[1], a.x[2]);
	_fail(file, line);
}

static bool went_well(void)
{
	return !host_self()->esr;
}

bool host_load(uint64_t pa)
{
	host_self()->esr = 0;
	host_probe_load(pa);
	return went_well();
}

bool host_store(uint64_t pa, uint64_t value)
{
	host_self()->esr = 0;
	host_probe_store(pa, value);
	return went_well();
}

bool host_exec(uint64_t pa)
{
	host_self()->esr = 0;
	host_probe_exec(pa);
	return went_well();
}

bool host_undefined(void)
{
	host_self()->esr = 0;
	host_probe_undefined();
	return went_well();
}

uint64_t guest_new(void)
{
	struct answer a = CALL(CREATE, VTCR_SMALL, UINT64_MAX);
	uint64_t context = a.x[0];

	EXPECT(PT_OK, a);
	EXPECT(PT_MAPPED, CALL(MAP, context, CODE, PAGE, (uintptr_t)guest_code, RX));
	return context;
}

struct pt_el2_vcpu *guest_vcpu(void (*code)(void), uint64_t a, uint64_t b, uint64_t c)
{
	struct pt_el2_vcpu *v = &host_self()->vcpu;

	memset(v, 0, sizeof(*v));
	v->regs.pc = CODE + (uintptr_t)code - (uintptr_t)guest_code;
	v->regs.pstate = 0x3c5;
	v->regs.sctlr_el1 = 0x30d00800;
	v->regs.x[0] = a;
	v->regs.x[1] = b;
	v->regs.x[2] = c;
	return v;
}

uint64_t guest_run(uint64_t context, struct pt_el2_vcpu *v)
{
	struct answer a;

	do
		a = CALL(RUN, context, (uintptr_t)v);
	while (a.code == PT_RACED);
	return a.code ? (uint64_t)a.code : a.x[0];
}

void guest_end(uint64_t context)
{
	EXPECT(PT_OK, host_finish(CALL(DESTROY, context)));
	EXPECT(-PT_NOT_FOUND, CALL(LEAF, context, 0));
}
