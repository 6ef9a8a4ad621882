/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixture of the suites at EL2: a machine, a context that lib made, a guest that really runs in it,
 * and what the CPU and ptd's own architectural walker say of its tables. */
#ifndef TESTS_EL2_STAGE2_H
#define TESTS_EL2_STAGE2_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/el2/cpu.h>
#include <pt/el2/feature.h>
#include <pt/el2/image.h>
#include <pt/el2/sysreg.h>
#include <pt/fault.h>
#include <pt/host/hwwalk.h>
#include <pt/txn.h>

#define ASSERT_OUTCOME(expected, actual) assert_outcome((expected), (actual), __FILE__, __LINE__)
void assert_outcome(enum pt_outcome expected, enum pt_outcome actual, const char *file, int line);

#define S2_VCPUS 4

/* Where the guest sees its code, its memory, and the parts of it with other rights. */
#define S2_CODE	     UINT64_C(0x10000000)
#define S2_RAM	     UINT64_C(0x20000000)
#define S2_RAM_BYTES UINT64_C(0x02000000)
#define S2_READ_ONLY UINT64_C(0x30000000) /* the first 2 MiB of that memory */
#define S2_NO_EXEC   UINT64_C(0x38000000) /* the same */

struct stage2;

struct s2_vcpu {
	struct stage2 *s;
	struct pt_agent agent;
	uint32_t id;
	bool handle;		   /* aborts go to pt_fault_handle() */
	uint32_t mapped, lost;	   /* outcomes: MAPPED; ALREADY_MAPPED and RACED */
	enum pt_outcome outcome;   /* of the last one */
	struct pt_el2_abort first; /* of the last access */
};

struct stage2 {
	struct pt_port port;
	struct pt_world world;
	struct pt_machine machine;
	struct pt_ctx ctx;
	struct pt_slots *slots;
	struct s2_vcpu vcpu[S2_VCPUS];
};

/* All geometries that the CPU may have; s2_open() says which it has. */
struct s2_shape {
	const char *name;
	unsigned granule_shift;
	bool ds;
	bool start_level_given; /* else lib's choice */
	int8_t start_level;
	uint8_t ipa_bits;   /* 0: as many as there are */
	uint8_t qemu;	    /* QEMU before this version takes it for misprogrammed */
	uint8_t vtcr_flags; /* PT_VTCR_HA, PT_VTCR_HD: if the CPU has them */
};
#define S2_SHAPES 7
extern const struct s2_shape s2_shapes[S2_SHAPES];

/* False: not on this CPU. The context is loaded on the first CPU, and all four slots are there. */
bool s2_open(struct stage2 *s, const struct s2_shape *shape);
/* Tears down, checks that every byte is back, and switches stage 2 off. */
void s2_close(struct stage2 *s);
/* Loads it on the CPU that calls, and takes it off again: before s2_close(), but for the first. */
void s2_load(struct s2_vcpu *v);
void s2_unload(struct s2_vcpu *v);

/* Memory of the machine as EL2 sees it, by its offset in S2_RAM. */
uint64_t *s2_memory(uint64_t offset);
/* Its PA. */
uint64_t s2_pa(uint64_t offset);

/* One item as a transaction, by the first CPU; its outcome. */
enum pt_outcome s2_map(struct stage2 *s, uint64_t ipa, uint64_t size, uint64_t pa, uint32_t prot,
		       uint32_t flags);
enum pt_outcome s2_unmap(struct stage2 *s, uint64_t ipa, uint64_t size);
enum pt_outcome s2_protect(struct stage2 *s, uint64_t ipa, uint64_t size, uint32_t prot);

/* Granules that were young, and are old from now on if they are to. */
uint64_t s2_age(struct stage2 *s, uint64_t ipa, uint64_t size, bool clear, uint8_t *bitmap);

/* The guest's code, of guest_code.S: ends in HVC. */
void guest_load(void);	/* (address): what stands there */
void guest_store(void); /* (address, value): 0 */
void guest_exec(void);	/* (address): jumps there */
void guest_sum(void);	/* (address, pages, stride): adds 1 to a word of each page, by exclusives */
extern const uint32_t guest_answer[2]; /* code to be copied: returns 42 */

/* Runs it on the CPU that calls, whose vCPU is `v`; what it returns stands in exit->value. */
enum pt_el2_why s2_guest(struct s2_vcpu *v, void (*code)(void), uint64_t a, uint64_t b, uint64_t c,
			 struct pt_el2_exit *exit);
/* The same on any CPU that is on; waits. */
enum pt_el2_why s2_guest_on(struct s2_vcpu *v, void (*code)(void), uint64_t a, uint64_t b,
			    struct pt_el2_exit *exit);

/* What the tables say by the walker that shares nothing with lib. The result's descriptor is the
 * leaf as the access leaves it; nothing is written. */
struct hw_result s2_walk(struct stage2 *s, uint64_t ipa, enum hw_access access);
/* AT S12E1R or S12E1W under the stage 2 that is loaded; and whether that PAR_EL1 says what a walk
 * said: else the test fails. */
uint64_t s2_at(uint64_t ipa, bool write);
void s2_expect_par(uint64_t ipa, bool write, uint64_t par, const struct hw_result *r);
/* Compares AT S12E1R and S12E1W with it, address and rights; fails the test where they differ. */
void s2_compare_at(struct stage2 *s, uint64_t ipa);
/* Makes a real access: it succeeds or aborts as the walker says, ESR, FAR and HPFAR included. */
void s2_compare_access(struct stage2 *s, uint64_t ipa, enum hw_access access);
/* Ends a program. */
int s2_main(const struct CMUnitTest *tests, size_t count);
/* In a checked image, what the checker judged. False: there was something that it had no room for.
 */
bool s2_say_checked(void);

/* QEMU's major version. */
unsigned long s2_qemu(void);

uint64_t s2_seed(void);
uint64_t s2_random(uint64_t *state);

#endif
