/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of EL1 code, and what becomes of its exceptions. */
#include <pt/el2/sysreg.h>

#include "internal.h"

#define PAGE_MASK UINT64_C(0xfff)

/*
 * HPFAR_EL2 is UNKNOWN on a permission fault that is not on a stage-1 walk (Arm ARM D19.2.63): then
 * stage 1 is asked once more, as KVM's __get_fault_info() does. PAR_EL1 is the guest's.
 */
void pt__el2_find_ipa(struct pt_el2_abort *abort)
{
	uint64_t par, guests;

	abort->ipa_known = true;
	if (FSC(abort->esr) >> 2 != 3 || IS_S1PTW(abort->esr)) {
		abort->ipa = HPFAR_IPA(abort->hpfar);
		abort->ipa |= IS_S1PTW(abort->esr) ? 0 : abort->far & PAGE_MASK;
		return;
	}
	guests = pt_el2_read_par_el1();
	__asm__ volatile("at s1e1r, %0\n\tisb" ::"r"(abort->far) : "memory");
	par = pt_el2_read_par_el1();
	pt_el2_write_par_el1(guests);
	abort->ipa_known = !(par & 1);
	abort->ipa = (par & UINT64_C(0x000ffffffffff000)) | (abort->far & PAGE_MASK);
}

bool pt__el2_sync(uint64_t x0, struct pt_el2_cpu *cpu)
{
	struct pt_el2_exit *exit = &cpu->exit;
	struct pt_el2_abort abort = {.esr = pt_el2_read_esr_el2(),
				     .far = pt_el2_read_far_el2(),
				     .hpfar = pt_el2_read_hpfar_el2()};
	unsigned class = EC(abort.esr);

	exit->why = class == EC_HVC ? PT_EL2_HVC : PT_EL2_OTHER;
	if (class == EC_FETCH || class == EC_DATA) {
		exit->why = PT_EL2_ABORT;
		exit->aborts++;
		pt__el2_find_ipa(&abort);
		if (!abort.ipa_known || (cpu->on_abort && cpu->on_abort(cpu->abort_arg, &abort)))
			return true;
	}
	exit->value = x0;
	exit->elr = pt_el2_read_elr_el2();
	exit->abort = abort;
	return false;
}

void pt_el2_run(const struct pt_el2_entry *entry, struct pt_el2_exit *exit)
{
	struct pt_el2_cpu *cpu = pt_el2_self();

	cpu->on_abort = entry->on_abort;
	cpu->abort_arg = entry->abort_arg;
	cpu->exit = (struct pt_el2_exit){0};
	pt__el2_enter(entry, cpu);
	*exit = cpu->exit;
}
