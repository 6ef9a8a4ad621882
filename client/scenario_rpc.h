/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon as a scenario's target: one connection for control, one more for each vCPU of par. */
#ifndef CLIENT_SCENARIO_RPC_H
#define CLIENT_SCENARIO_RPC_H

#include "scenario_run.h"

#include <protobuf-c/protobuf-c.h>
#include <ptd.h>

#define SCN_WINDOW 64u /* calls under way on a connection */

struct scn_rpc {
	const char *endpoint;
	struct ptd_options connection;
	struct ptd_client *control;
	/* Handles; 0: not created, or deleted. */
	uint64_t machine[SCN_MAX_MACHINES];
	uint64_t context[SCN_MAX_CONTEXTS];
	/* The context that this one is a shadow of, or that it is if it can have some; 0: neither.
	 */
	uint64_t nested[SCN_MAX_CONTEXTS];
	uint64_t lending[SCN_MAX_LENDINGS];
	struct scn_log {
		uint64_t handle, generation;
	} log[SCN_MAX_LOGS];
};

/* False: `status` says why. */
bool scn_rpc_open(struct scn_rpc *rpc, const char *endpoint, const struct ptd_options *connection,
		  struct ptd_status *status);
/* Deletes the machines that are left, unless `keep`; closes the connection. */
void scn_rpc_close(struct scn_rpc *rpc, bool keep);
struct scn_target scn_rpc_target(struct scn_rpc *rpc);

/* Inside the target. */

/* A call that is under way: whose, for which operation, at which address. */
struct scn_pending {
	struct scn_lane *lane;
	uint32_t record;
	uint64_t ipa;
	struct scn_pending *next_free;
};

/* One connection's work: the control connection's, or a vCPU's of par. One thread at a time. */
struct scn_lane {
	struct scn_rpc *rpc;
	const struct scenario *scenario;
	struct ptd_client *client;
	uint32_t index; /* vCPU; 0 outside par */
	bool par;
	bool lost;
	bool failed;		/* `failure` is set: an operation failed that nobody expects to */
	struct scn_reply reply; /* of the operation at hand */
	struct scn_reply failure;
	struct scn_sums sums;
	struct scn_mismatch mismatch;
	struct scn_pending pending[SCN_WINDOW], *free;
	size_t arena_used;
	_Alignas(16) unsigned char arena[16384]; /* unpacked replies, one at a time */
};

void scn_lane_init(struct scn_lane *lane, struct scn_rpc *rpc, const struct scenario *scenario,
		   struct ptd_client *client);
/* Runs a record that changes or asks for ranges, or of an access, fault or translation. */
void scn_lane_run(struct scn_lane *lane, uint32_t record);
/* A par and its group, on connections of its own. */
bool scn_rpc_par(struct scn_rpc *rpc, const struct scenario *scenario, uint32_t record,
		 struct scn_reply *reply, struct scn_sums *sums);

/* Packs the request for one address into `bytes` (SCN_REQUEST_MAX); returns its length. */
#define SCN_REQUEST_MAX 256
size_t scn_pack(const struct scn_lane *lane, const struct scn_record *r, uint64_t ipa, uint64_t i,
		uint8_t *bytes, const char **method);
/* What the daemon answered, as facts. False: it cannot be read. */
bool scn_unpack(const struct scn_record *r, const struct ptd_reply *answer,
		ProtobufCAllocator *allocator, struct scn_reply *reply, struct scn_sums *sums);
/* A batch as one Apply call. */
bool scn_rpc_batch(struct scn_rpc *rpc, const struct scenario *scenario, uint32_t record,
		   struct scn_reply *reply, struct scn_sums *sums);
/* Effects as facts of a reply (NULL: none), and into the sums of a stage. */
struct Ptd__V1__Effects;
void scn_take_effects(const struct Ptd__V1__Effects *effects, struct scn_reply *reply);
void scn_count_effects(const struct scn_reply *reply, struct scn_sums *sums);
/* A failed call as facts and text. */
void scn_fail_reply(struct scn_reply *reply, const struct ptd_status *status);

/* One blocking call on the control connection. *response (NULL: not wanted) is to be freed. False:
 * it failed, `reply` says how. */
bool scn_rpc_call(struct scn_rpc *rpc, const char *method, const ProtobufCMessage *request,
		  const ProtobufCMessageDescriptor *type, ProtobufCMessage **response,
		  struct scn_reply *reply);
bool scn_delete_machine(struct scn_rpc *rpc, uint32_t index, struct scn_reply *reply);
uint64_t scn_now_ns(void);
/* log-start, log-get and log-stop. */
void scn_rpc_log(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply);
/* own. */
void scn_rpc_own(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply);
/* tables, enter, exit, tlbi, guest-at. */
void scn_rpc_nested(struct scn_rpc *rpc, const struct scn_record *r, struct scn_reply *reply);
/* Counts of the shadows of a context, `nested`, into a state. False: `reply` says why not. */
bool scn_rpc_shadows(struct scn_rpc *rpc, uint64_t nested, struct scn_state *state,
		     struct scn_reply *reply);
struct Ptd__V1__NestedFault;
/* Who takes a fault, as facts of a reply; NULL: it was none of a shadow. */
void scn_take_nested(const struct Ptd__V1__NestedFault *fault, struct scn_reply *reply);
static inline void scn_set_state(struct scn_state *state, enum scn_fact fact, uint64_t value)
{
	state->fact[fact - SCN_STATE_FIRST] = value;
}
/* The operations that make, change and delete objects, and failpoints. */
void scn_rpc_object(struct scn_rpc *rpc, const struct scenario *scenario,
		    const struct scn_record *r, struct scn_reply *reply);

#endif
