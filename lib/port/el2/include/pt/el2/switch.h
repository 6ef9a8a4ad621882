/* SPDX-License-Identifier: BSD-2-Clause */
/* From the loader's table, or another of EL2's own, to one that lib/hyp made. */
#ifndef PT_EL2_SWITCH_H
#define PT_EL2_SWITCH_H

#include <pt/hyp.h>

/* pt_hyp_plan.switch_map: makes `map` the table of the CPU that calls. It maps pt_el2_switch_code,
 * the code and stack of the caller where they are, and that code at its PA. */
void pt_el2_switch(void *arg, const struct pt_hyp *map);

/* Its code: inside one page of any granule, the identity page. */
extern unsigned char pt_el2_switch_code[];

#endif
