/* SPDX-License-Identifier: BSD-2-Clause */
/* Of inttypes what a scenario's runner prints. */
#ifndef EL2_INTTYPES_H
#define EL2_INTTYPES_H

#include <stdint.h>

#define PRId64 "ld"
#define PRIu64 "lu"
#define PRIx64 "lx"

#endif
