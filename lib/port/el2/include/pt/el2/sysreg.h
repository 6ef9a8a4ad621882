/* SPDX-License-Identifier: BSD-2-Clause */
/* System registers and barriers that the EL2 port uses, as functions. */
#ifndef PT_EL2_SYSREG_H
#define PT_EL2_SYSREG_H

#include <stdint.h>

/* Neither orders anything: who needs a context synchronization event says pt_el2_isb(). */
#define PT_EL2_READ(reg, text)                                                                     \
	static inline uint64_t pt_el2_read_##reg(void)                                             \
	{                                                                                          \
		uint64_t value;                                                                    \
                                                                                                   \
		__asm__ volatile("mrs %0, " text : "=r"(value)::"memory");                         \
		return value;                                                                      \
	}
#define PT_EL2_NAMED(reg, text)                                                                    \
	PT_EL2_READ(reg, text)                                                                     \
	static inline void pt_el2_write_##reg(uint64_t value)                                      \
	{                                                                                          \
		__asm__ volatile("msr " text ", %0" ::"r"(value) : "memory");                      \
	}
#define PT_EL2_REG(reg) PT_EL2_NAMED(reg, #reg)

PT_EL2_READ(ctr_el0, "ctr_el0")
PT_EL2_READ(dczid_el0, "dczid_el0")
PT_EL2_READ(id_aa64isar0_el1, "id_aa64isar0_el1")
PT_EL2_READ(id_aa64pfr0_el1, "id_aa64pfr0_el1")
PT_EL2_READ(id_aa64mmfr0_el1, "id_aa64mmfr0_el1")
PT_EL2_READ(id_aa64mmfr1_el1, "id_aa64mmfr1_el1")
PT_EL2_READ(id_aa64mmfr2_el1, "S3_0_C0_C7_2") /* no names in armv8-a's assembler */
PT_EL2_READ(id_aa64mmfr4_el1, "S3_0_C0_C7_4")
PT_EL2_REG(afsr0_el1)
PT_EL2_REG(afsr1_el1)
PT_EL2_REG(amair_el1)
PT_EL2_REG(cnthctl_el2)
PT_EL2_REG(cntkctl_el1)
PT_EL2_REG(cntv_ctl_el0)
PT_EL2_REG(cntv_cval_el0)
PT_EL2_REG(contextidr_el1)
PT_EL2_REG(cpacr_el1)
PT_EL2_REG(cptr_el2)
PT_EL2_REG(csselr_el1)
PT_EL2_REG(elr_el1)
PT_EL2_REG(elr_el2)
PT_EL2_REG(esr_el1)
PT_EL2_REG(esr_el2)
PT_EL2_REG(far_el1)
PT_EL2_REG(far_el2)
PT_EL2_REG(hcr_el2)
PT_EL2_REG(hpfar_el2)
PT_EL2_NAMED(ich_hcr_el2, "S3_4_C12_C11_0")
PT_EL2_REG(mair_el1)
PT_EL2_REG(mdcr_el2)
PT_EL2_REG(mdscr_el1)
PT_EL2_REG(par_el1)
PT_EL2_REG(reg)
PT_EL2_REG(sctlr_el1)
PT_EL2_REG(sp_el0)
PT_EL2_REG(sp_el1)
PT_EL2_REG(spsr_el1)
PT_EL2_REG(spsr_el2)
PT_EL2_REG(tcr_el1)
PT_EL2_REG(tpidr_el0)
PT_EL2_REG(tpidr_el1)
PT_EL2_REG(tpidr_el2)
PT_EL2_REG(tpidrro_el0)
PT_EL2_REG(ttbr0_el1)
PT_EL2_REG(ttbr0_el2)
PT_EL2_REG(ttbr1_el1)
PT_EL2_REG(vbar_el1)
PT_EL2_REG(vbar_el2)
PT_EL2_NAMED(vncr_el2, "S3_4_C2_C2_0")
PT_EL2_REG(vtcr_el2)
PT_EL2_REG(vttbr_el2)

#define PT_HCR_VM  (UINT64_C(1) << 0)  /* stage 2 on */
#define PT_HCR_DC  (UINT64_C(1) << 12) /* with stage 1 off: Normal write-back */
#define PT_HCR_RW  (UINT64_C(1) << 31) /* EL1 is AArch64 */
#define PT_HCR_FWB (UINT64_C(1) << 46)

#define PT_SCTLR_EL1_RES1 UINT64_C(0x30d00800) /* stage 1 off, little endian */

static inline void pt_el2_isb(void)
{
	__asm__ volatile("isb" ::: "memory");
}

static inline void pt_el2_dsb_ish(void)
{
	__asm__ volatile("dsb ish" ::: "memory");
}

#endif
