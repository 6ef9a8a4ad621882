/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the EL2 port's assembly and its C. */
#ifndef PORT_EL2_INTERNAL_H
#define PORT_EL2_INTERNAL_H

#include <pt/el2/cpu.h>

#define EC(esr)	      ((unsigned)((esr) >> 26 & 0x3f))
#define EC_HVC	      0x16
#define EC_SMC	      0x17
#define EC_SYS	      0x18
#define EC_ERET	      0x1a
#define EC_FETCH      0x20
#define EC_DATA	      0x24
#define FSC(esr)      ((unsigned)((esr)&0x3f))
#define HPFAR_IPA(r)  (((r)&UINT64_C(0xffffffffff0)) << 8)
#define IS_S1PTW(esr) ((esr) >> 7 & 1)

/* start.S */
void pt__el2_secondary(void);
extern unsigned char pt__el2_stacks[PT_EL2_CPUS][PT_EL2_STACK_BYTES];
/* identity.S, in the identity page. */
void pt__el2_switch(uint64_t ttbr0, uint64_t tcr, uint64_t mair);
/* cpu.c: where start.S goes on. */
_Noreturn void pt__el2_first(void);
_Noreturn void pt__el2_work(struct pt_el2_cpu *cpu);

/* vectors.S */
void pt__el2_enter(const struct pt_el2_entry *entry, struct pt_el2_cpu *cpu);
/* guest.c: an exception of EL1 whose x0 was `x0`. True: back to it. */
bool pt__el2_sync(uint64_t x0, struct pt_el2_cpu *cpu);
/* Fills in ipa and ipa_known of an abort that was just taken, from what is there. */
void pt__el2_find_ipa(struct pt_el2_abort *abort);
/* cache.c: lines of [at, last], EL2's addresses, to the point of coherency. */
void pt__el2_clean_inval(uintptr_t at, uintptr_t last);
/* panic.c: x0 to x30 and SP. */
_Noreturn void pt__el2_panic(uint64_t vector, const uint64_t frame[32]);

#endif
