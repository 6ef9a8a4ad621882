/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of the core that the simulation varies from seed to seed. Included before everything else
 * when the core is compiled for the simulation: the headers are read here, so their numbers stay
 * replaced.
 */
#ifndef SIM_KNOBS_H
#define SIM_KNOBS_H

#include "wire_limits.h"

#include <stdint.h>

struct knobs {
	uint32_t step_visits, step_items;
	uint32_t request_ids, principal_request_ids; /* the first a power of two */
	uint64_t request_id_ttl_ns;
	uint32_t connection_window;
	uint32_t high_water, low_water, stream_queue;
};

extern struct knobs knobs;

#undef STEP_VISITS
#undef STEP_ITEMS
#undef LIMIT_REQUEST_IDS
#undef LIMIT_PRINCIPAL_REQUEST_IDS
#undef REQUEST_ID_TTL_NS
#undef WIRE_CONNECTION_WINDOW
#undef WIRE_HIGH_WATER
#undef WIRE_LOW_WATER
#undef WIRE_STREAM_QUEUE
#define STEP_VISITS		    knobs.step_visits
#define STEP_ITEMS		    knobs.step_items
#define LIMIT_REQUEST_IDS	    knobs.request_ids
#define LIMIT_PRINCIPAL_REQUEST_IDS knobs.principal_request_ids
#define REQUEST_ID_TTL_NS	    knobs.request_id_ttl_ns
#define WIRE_CONNECTION_WINDOW	    knobs.connection_window
#define WIRE_HIGH_WATER		    knobs.high_water
#define WIRE_LOW_WATER		    knobs.low_water
#define WIRE_STREAM_QUEUE	    knobs.stream_queue

#endif
