/* SPDX-License-Identifier: BSD-2-Clause */
/* What each operation of a scenario came to: a line each, without times, so that runs compare. */
#ifndef CLIENT_SCENARIO_TRANSCRIPT_H
#define CLIENT_SCENARIO_TRANSCRIPT_H

#include "scenario_run.h"

struct scn_transcript {
	struct scn_target target; /* that does the work */
	FILE *to;
	uint32_t next; /* record: 0 */
};

struct scn_target scn_transcript_target(struct scn_transcript *transcript);

#endif
