/* SPDX-License-Identifier: BSD-2-Clause */
/* Armed failpoints with their scope, trigger and time to live. */
#ifndef PTD_DOMAIN_FAILPOINTS_H
#define PTD_DOMAIN_FAILPOINTS_H

#include "domain_limits.h"

#include <pt/platform.h>

struct call;

struct failpoint_armed {
	uint64_t id; /* 0: free */
	enum pt_failpoint point;
	uint32_t action;	      /* Ptd__V1__FailpointAction */
	uint64_t context, connection; /* 0: any */
	uint32_t nth, times, probability_ppm;
	uint64_t seed;
	uint32_t ttl_ms, delay_ms, grpc_status;
	uint64_t expires_ns;
	uint64_t hits, failures;
};

struct failpoints {
	_Atomic uint32_t armed; /* how many; 0 nearly always: one predicted branch */
	struct pt_port_lock lock;
	uint64_t last_id;
	struct failpoint_armed *entry; /* LIMIT_FAILPOINTS of them, from the first arming on */
};

/* The name on the wire, and back: PT_FP_COUNT when unknown. */
const char *failpoint_name(enum pt_failpoint point);
enum pt_failpoint failpoint_by_name(const char *name);

/* Arms a copy of *how, and sets how->id. PT_OK; PT_TOO_LARGE: too many; PT_NO_MEMORY;
 * PT_WRONG_STATE: one of lib's points is armed already, by how->id. */
enum pt_outcome failpoints_arm(struct failpoints *fps, struct failpoint_armed *how);
/* 0: all. Returns how many were armed. */
uint32_t failpoints_disarm(struct failpoints *fps, uint64_t id);
/* Those armed at `now_ns`, in order of id, into out[LIMIT_FAILPOINTS]; returns how many. */
uint32_t failpoints_list(struct failpoints *fps, uint64_t now_ns, struct failpoint_armed *out);
/* Called when something is armed and `call` is about to work: drops what has expired, and tells lib
 * whose call it is. */
void failpoints_enter(struct call *call);
void failpoints_free(struct failpoints *fps);

#endif
