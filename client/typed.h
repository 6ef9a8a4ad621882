/* SPDX-License-Identifier: BSD-2-Clause */
/* From messages of ptd.v1 to structs of ptd.h. */
#ifndef PTD_CLIENT_TYPED_H
#define PTD_CLIENT_TYPED_H

#include <ptd.h>

#include "ptd/v1/mapping.pb-c.h"

/* Both pointers may be NULL: nothing to fill, nothing to tell. */
void effects_read(struct ptd_effects *to, const Ptd__V1__Effects *from, uint64_t generation,
		  uint32_t outcome);

#endif
