/* SPDX-License-Identifier: BSD-2-Clause */
/* EL2's own table becomes the CPU's. */
#include <pt/el2/switch.h>

#include "internal.h"

void pt_el2_switch(void *arg, const struct pt_hyp *map)
{
	(void)arg;
	pt__el2_switch(map->root.v, pt_hyp_tcr(map), PT_HYP_MAIR);
}
