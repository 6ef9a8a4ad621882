/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A compiled scenario's world at EL2: machines, contexts and logs made through lib, accesses that
 * the CPU's own walk decides. The runner, and with it every expectation, is the client's
 * (client/scenario_run.h); what stands here is its target. One CPU, one thing at a time.
 *
 * A machine's memory is not the board's: its PAs are only addresses, and what was written there is
 * kept in a table of words.
 */
#ifndef TESTS_EL2_SCENARIO_H
#define TESTS_EL2_SCENARIO_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pt/dirty.h>
#include <pt/fault.h>
#include <pt/nested.h>
#include <pt/transfer.h>
#include <pt/upkeep.h>
#include <pt/walk.h>

#include "../../client/scenario_run.h"

#define STEP_VISITS 512

struct sc_machine {
	struct pt_machine pt;
	uint64_t memory_bytes;
	uint32_t vcpus, vmid_bits;
	struct sc_owners *owners; /* NULL: frames have none */
	bool live;
};

/* Ranges that a daemon would look through in idle time. */
#define SC_FOLDS 16
struct sc_fold {
	uint64_t ipa, size;
};

struct sc_nest;

struct sc_context {
	union {
		struct pt_ctx pt;
		struct pt_shadow shadow; /* of `canonical` */
	};
	struct sc_context *canonical; /* NULL: it is no shadow */
	struct sc_nest *nest;	      /* NULL: it has none */
	uint64_t vcpus;		      /* bit n: vCPU n runs this shadow */
	struct sc_machine *machine;
	uint32_t guest; /* its number, where frames have owners */
	struct sc_fold fold[SC_FOLDS];
	uint32_t folds;
	bool live;
};

struct sc_log {
	struct pt_dirty_log pt;
	struct sc_context *context;
	void *memory;
	uint64_t generation;
	bool live;
};

/* One scenario's. */
struct sc_world {
	struct pt_world pt;
	struct pt_port port;
	struct pt_agent agent;
	struct sc_machine machine[SCN_MAX_MACHINES];
	struct sc_context context[SCN_MAX_CONTEXTS];
	struct sc_log log[SCN_MAX_LOGS];
	struct sc_context *loaded; /* on the CPU */
	uint32_t no_pages;	   /* so many operations more find the pool empty */
	uint64_t compared;	   /* walks of the CPU with those of hw_walk() */
};

_Noreturn void sc_bail(const char *why, uint64_t value);

/* Runs a transaction to its end, each step in a section of its own. */
enum pt_outcome sc_run_txn(struct sc_world *w, struct pt_txn *txn);
/* The same for upkeep, transfers and dirty logs. */
enum pt_outcome sc_run_upkeep(struct sc_world *w, struct pt_upkeep *upkeep);
enum pt_outcome sc_run_transfer(struct sc_world *w, struct pt_transfer *transfer);
struct pt_lend;
enum pt_outcome sc_run_lend(struct sc_world *w, struct pt_lend *lend);
enum pt_outcome sc_run_dirty(struct sc_world *w, struct pt_dirty *dirty);
enum pt_outcome sc_run_shadow_end(struct sc_world *w, struct pt_shadow_end *end);
enum pt_outcome sc_run_tlbi(struct sc_world *w, struct pt_guest_tlbi_op *op);

/* Facts of a reply. */
void sc_fail(struct scn_reply *reply, const struct pt_error *error);
void sc_take_effects(struct scn_reply *reply, const struct pt_effects *effects,
		     struct scn_sums *sums);
/* Counts a change once for an operation, as explicit changes do. */
void sc_changed(struct sc_context *c, const struct pt_effects *effects);

/* scenario_object.c: what makes, changes and deletes objects; failpoints, dirty logs. */
void sc_object(struct sc_world *w, const struct scenario *s, const struct scn_record *r,
	       struct scn_reply *reply);
void sc_delete_machine(struct sc_world *w, struct sc_machine *m);
void sc_destroy(struct sc_world *w, struct sc_context *c, struct pt_effects *effects);
/* A table around these pages may become a block again, when nothing else is to be done. */
void sc_fold_later(struct sc_context *c, uint64_t ipa, uint64_t size);
/* What a daemon does in idle time, to its end: folds what sc_fold_later() noted, frees empty
 * tables. */
void sc_settle(struct sc_world *w, struct sc_context *c);

/* scenario_own.c: owners of frames. A machine gets them; a new context becomes a party, or leaves;
 * the ledger goes. */
enum pt_outcome sc_own_machine(struct sc_machine *m);
enum pt_outcome sc_own_join(struct sc_context *c, const struct scn_context_body *b);
void sc_own_leave(struct sc_world *w, struct sc_context *c);
void sc_own_close(struct sc_world *w, struct sc_machine *m);
void sc_own(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply);

/* scenario_nested.c: a context that nobody uses yet can have shadows; they end, before it is
 * destroyed; and what it had for them goes, after that. */
enum pt_outcome sc_nest_make(struct sc_world *w, struct sc_context *c, uint32_t shadows);
void sc_nest_end(struct sc_world *w, struct sc_context *c);
void sc_nest_close(struct sc_world *w, struct sc_context *c);
void sc_shadow_end(struct sc_world *w, struct sc_context *shadow);
/* tables, enter, exit, tlbi, guest-at. */
void sc_nested(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply);
/* A fault of a shadow, and who takes it; but for RACED, which is tried again. */
enum pt_outcome sc_nested_fault(struct sc_world *w, struct sc_context *shadow,
				const struct pt_fault *fault, struct pt_fault_result *result,
				struct scn_reply *reply);
/* Facts of a context that has shadows, or of a shadow. */
void sc_nested_state(const struct sc_context *c, struct scn_state *state);

/* scenario_range.c: one operation of a series; a batch. */
void sc_range(struct sc_world *w, const struct scn_record *r, uint64_t ipa, uint64_t pa,
	      struct scn_reply *reply, struct scn_sums *sums);
void sc_batch(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply,
	      struct scn_sums *sums);

/* scenario_access.c */
void sc_access(struct sc_world *w, const struct scn_record *r, uint64_t ipa, uint32_t vcpu,
	       struct scn_reply *reply, struct scn_sums *sums);
void sc_fault(struct sc_world *w, const struct scn_record *r, uint32_t vcpu,
	      struct scn_reply *reply, struct scn_sums *sums);
void sc_translate(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply);
/* The access of a record, for another than scenario files: `b` at one address. */
void sc_access_at(struct sc_world *w, struct sc_context *c, const struct scn_access_body *b,
		  uint64_t ipa, uint32_t vcpu, struct scn_reply *reply, struct scn_sums *sums);
/* A contiguous group that lacks the right as a whole gets it: the item's outcome. */
enum pt_outcome sc_relax_group(struct sc_world *w, struct sc_context *c,
			       const struct pt_fault_todo *todo);
/* Stage 2 off: before the loaded context goes. */
void sc_unload(struct sc_world *w);

/* scenario_memory.c: the bytes of machines; what nobody wrote is 0. All are forgotten at once. */
void sc_write_byte(const struct sc_machine *m, uint64_t pa, uint64_t byte);
uint64_t sc_read_byte(const struct sc_machine *m, uint64_t pa);
void sc_wipe(const struct sc_machine *m, uint64_t pa, uint64_t size);
void sc_forget_memory(void);

/* scenario_dump.c: the descriptors of a context, into the file. */
void sc_dump(int64_t file, struct sc_world *w, uint32_t index);

#endif
