/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lib/s2 share; private to it. */
#ifndef PT_S2_INTERNAL_H
#define PT_S2_INTERNAL_H

#include <pt/fault.h>

/* fault.c: any fault, as pt_fault_handle() but for its notes to the checker. */
enum pt_outcome pt__fault_handle(struct pt_agent *agent, struct pt_ctx *ctx,
				 const struct pt_fault *fault, struct pt_fault_result *result);

#endif
