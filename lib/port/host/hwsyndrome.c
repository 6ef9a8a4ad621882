/* SPDX-License-Identifier: BSD-2-Clause */
/* ESR_EL2, FAR_EL2 and HPFAR_EL2 of a stage-2 abort, built and taken apart. Shares no header with
 * lib. */
#include <pt/host/hwwalk.h>

#define BIT(n) (UINT64_C(1) << (n))

/* ESR_EL2: exception classes, and the ISS of instruction and data aborts. */
#define EC_IABT	  UINT64_C(0x20)
#define EC_DABT	  UINT64_C(0x24)
#define ESR_IL	  BIT(25)
#define ISS_ISV	  BIT(24)
#define ISS_SF	  BIT(15)
#define ISS_CM	  BIT(8)
#define ISS_S1PTW BIT(7)
#define ISS_WNR	  BIT(6)

/* Fault status codes: a class in bits 5:2 with the level in 1:0, and codes of their own for level
 * -1. */
static const struct {
	uint8_t base, minus_one; /* minus_one 0: the class has none */
} fsc_of[] = {
	[HW_ADDRESS_SIZE] = {0x00, 0x29}, [HW_TRANSLATION] = {0x04, 0x2b},
	[HW_ACCESS_FLAG] = {0x08, 0},	  [HW_PERMISSION] = {0x0c, 0},
	[HW_EXTERNAL] = {0x14, 0x13},	  [HW_TLB_CONFLICT] = {0x30, 0},
};

static uint64_t fault_status(const struct hw_result *r)
{
	if (r->level < 0)
		return fsc_of[r->fault].minus_one;
	return (uint64_t)fsc_of[r->fault].base | (uint64_t)r->level;
}

/* ISV: only data accesses by the instruction itself, of a size that SAS can say. The register is
 * x0. */
static uint64_t instruction_syndrome(unsigned size)
{
	switch (size) {
	case 1: return ISS_ISV;
	case 2: return ISS_ISV | UINT64_C(1) << 22;
	case 4: return ISS_ISV | UINT64_C(2) << 22;
	case 8: return ISS_ISV | UINT64_C(3) << 22 | ISS_SF;
	default: return 0;
	}
}

static uint64_t data_abort_iss(const struct hw_result *r, enum hw_access access, bool s1ptw,
			       unsigned size)
{
	/* Faults of address translation instructions have CM, and then WnR is 1 by definition. */
	if (access == HW_AT)
		return ISS_CM | ISS_WNR;
	if (s1ptw || r->fault >= HW_EXTERNAL)
		size = 0;
	return instruction_syndrome(size) | (access == HW_WRITE ? ISS_WNR : 0);
}

void hw_syndrome(const struct hw_result *r, uint64_t ipa, enum hw_access access, bool s1ptw,
		 unsigned size, struct hw_syndrome *s)
{
	uint64_t ec = access == HW_EXEC ? EC_IABT : EC_DABT;

	*s = (struct hw_syndrome){0};
	if (r->fault == HW_NO_FAULT)
		return;
	s->esr = ec << 26 | ESR_IL | fault_status(r) | (s1ptw ? ISS_S1PTW : 0);
	if (access != HW_EXEC)
		s->esr |= data_abort_iss(r, access, s1ptw, size);
	/* Machines have no stage 1 of their own here: the VA is the IPA. */
	s->far = ipa;
	/* Arm ARM, HPFAR_EL2: UNKNOWN for a permission fault but on a stage-1 walk, and for
	 * external aborts and TLB conflicts. */
	s->hpfar_known = r->fault < HW_EXTERNAL && (r->fault != HW_PERMISSION || s1ptw);
	s->hpfar = s->hpfar_known ? ipa >> 12 << 4 : 0;
}

static bool decode_status(unsigned fsc, struct hw_abort *abort)
{
	for (int f = HW_ADDRESS_SIZE; f <= HW_EXTERNAL; f++) {
		bool minus_one = fsc_of[f].minus_one && fsc == fsc_of[f].minus_one;

		if (!minus_one && (fsc & ~3u) != fsc_of[f].base)
			continue;
		abort->fault = (enum hw_fault)f;
		abort->level = minus_one ? -1 : (int8_t)(fsc & 3);
		return true;
	}
	return false;
}

bool hw_decode_abort(uint64_t esr, struct hw_abort *abort)
{
	uint64_t ec = esr >> 26 & 0x3f;
	struct hw_abort a = {0};

	if ((ec != EC_IABT && ec != EC_DABT) || !decode_status((unsigned)(esr & 0x3f), &a))
		return false;
	a.s1ptw = esr & ISS_S1PTW;
	if (ec == EC_IABT)
		a.access = HW_EXEC;
	else if (esr & ISS_CM)
		a.access = HW_AT;
	else
		a.access = esr & ISS_WNR ? HW_WRITE : HW_READ;
	*abort = a;
	return true;
}
