/* SPDX-License-Identifier: BSD-2-Clause */
/* What the handlers of NestedService share. */
#ifndef PTD_NESTED_CALL_H
#define PTD_NESTED_CALL_H

#include "nested.h"

/* A canonical context, and with it a vCPU of its machine. NULL: the call has been failed. */
struct context *find_canonical(struct call *call, uint64_t handle, uint32_t vcpu);

/* What its CPU is told of: PA size (ID_AA64MMFR0_EL1.PARange) and PT_ATTR_*. */
unsigned nested_pa_bits(const struct context *canonical);
unsigned nested_attrs(const struct context *canonical);

#endif
