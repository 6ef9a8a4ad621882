/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a scenario against a target, times its stages and checks what it expects. */
#ifndef CLIENT_SCENARIO_RUN_H
#define CLIENT_SCENARIO_RUN_H

#include "scenario.h"

/* Facts of one scope, by number within it. */
#define SCN_SCOPE_FACTS 32
#define SCN_STATE_FIRST 32
#define SCN_STAGE_FIRST 64

struct scn_mismatch {
	uint32_t record; /* of the expectation; UINT32_MAX: none */
	uint64_t got, wanted;
};

#define SCN_TEXT 320

/* How an operation ended. A sweep: its first failure, or its last reply; effects are sums. */
struct scn_reply {
	uint64_t fact[SCN_FACT_NUMBERS]; /* by number; those of a reply alone */
	char text[SCN_TEXT];		 /* of a failure: what, where, what to do */
	uint64_t ns;			 /* how long it took */
	struct scn_mismatch mismatch;	 /* of an expectation inside par */
};

/* Sums since the stage began. */
struct scn_sums {
	uint64_t fact[SCN_SCOPE_FACTS];
};

struct scn_state {
	uint64_t fact[SCN_SCOPE_FACTS];
	uint64_t digest[2];
	char text[SCN_TEXT + 24]; /* why it could not be read */
};

/* What runs the operations: the daemon by RPC; in tests, a table. False: the target is lost. */
struct scn_target {
	void *self;
	/* Everything but stage, expect and digest; a batch or par with its group. */
	bool (*run)(void *self, const struct scenario *scenario, uint32_t record,
		    struct scn_reply *reply, struct scn_sums *sums);
	bool (*state)(void *self, const struct scenario *scenario, uint32_t context,
		      struct scn_state *state);
};

struct scn_stage {
	const char *name; /* in the scenario's strings */
	uint64_t calls, accesses, faults;
	uint64_t ns;
};

enum scn_verdict { SCN_PASSED, SCN_FAILED, SCN_LOST };

struct scn_result {
	struct scn_stage stage[SCN_MAX_STAGES];
	uint32_t stages;
	uint32_t checks, mismatches;
	enum scn_verdict verdict;
};

/* Runs it all; what goes wrong is on `errors` as "file:line:col: ...". */
void scenario_run(const struct scenario *scenario, const struct scn_target *target,
		  struct scn_result *result, FILE *errors);

static inline void scn_set_fact(struct scn_reply *reply, enum scn_fact fact, uint64_t value)
{
	reply->fact[fact] = value;
}

static inline void scn_count(struct scn_sums *sums, enum scn_fact fact, uint64_t n)
{
	sums->fact[fact - SCN_STAGE_FIRST] += n;
}

static inline uint64_t scn_sum(const struct scn_sums *sums, enum scn_fact fact)
{
	return sums->fact[fact - SCN_STAGE_FIRST];
}

/* Counts one exit that the fault handler ended with `outcome`. */
void scn_count_exit(struct scn_sums *sums, unsigned outcome);
/* Adds b to a: sums add, the largest stays the largest. */
void scn_add_sums(struct scn_sums *a, const struct scn_sums *b);
/* Is `outcome` a failure of this operation, unless a line expects it? */
bool scn_is_failure(unsigned outcome);

/* Checks an expectation about a reply alone. True: it holds. */
bool scn_check_reply(const struct scn_record *expect, const struct scn_reply *reply,
		     struct scn_mismatch *mismatch);

/* The same for all that follow an operation of par; *first is the first that failed, if one did. */
void scn_check_inner(const struct scenario *scenario, uint32_t record,
		     const struct scn_reply *reply, struct scn_mismatch *first);

/* One answer of an operation that has several: the first failure stays, effects add up. */
void scn_merge_reply(struct scn_reply *all, const struct scn_reply *one);

/* Does vCPU `lane` of par carry out this record? */
bool scn_takes_part(const struct scn_record *r, uint32_t lane);

#endif
