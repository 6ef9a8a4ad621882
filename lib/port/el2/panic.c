/* SPDX-License-Identifier: BSD-2-Clause */
/* An exception that EL2 does not expect: all that there is to know, and a status that is no
 * success. */
#include <pt/el2/console.h>
#include <pt/el2/sysreg.h>

#include "internal.h"

static void line(const char *name, uint64_t value)
{
	pt_el2_print(name);
	pt_el2_print_hex(value);
	pt_el2_print("\n");
}

void pt__el2_panic(uint64_t vector, const uint64_t frame[32])
{
	static char name[] = "# x00 ";

	pt_el2_print("\nBail out! unexpected exception at EL2\n");
	line("# vector ", vector);
	line("# ESR_EL2 ", pt_el2_read_esr_el2());
	line("# ELR_EL2 ", pt_el2_read_elr_el2());
	line("# FAR_EL2 ", pt_el2_read_far_el2());
	line("# SPSR_EL2 ", pt_el2_read_spsr_el2());
	for (unsigned i = 0; i < 31; i++) {
		name[3] = (char)('0' + i / 10);
		name[4] = (char)('0' + i % 10);
		line(name, frame[i]);
	}
	line("# SP ", frame[31]);
	pt_el2_exit(3);
}
