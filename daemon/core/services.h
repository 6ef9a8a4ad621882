/* SPDX-License-Identifier: BSD-2-Clause */
/* The protocol's own services: health and reflection. */
#ifndef PTD_SERVICES_H
#define PTD_SERVICES_H

#include "descset.h"
#include "dispatch.h"

/* Both terminated by path NULL. */
extern const struct method health_methods[];
extern const struct method reflection_methods[];

const struct descset *routes_descriptors(const struct routes *routes);
/* Of the shard that runs `call`. */
const struct routes *call_routes(const struct call *call);

#endif
