/* SPDX-License-Identifier: BSD-2-Clause */
/* What is explored: one machine with one context, three agents, and a case's operations. */
#ifndef TESTS_INTERLEAVE_WORLD_H
#define TESTS_INTERLEAVE_WORLD_H

#include <pt/dirty.h>
#include <pt/nested.h>
#include <pt/upkeep.h>

#include "iv.h"

#define IV_PAGES     160 /* units of table memory: three magazines of 32 and some more */
#define IV_TABLE_PA  (UINT64_C(1) << 35)
#define IV_PA_BITS   36
#define IV_OPS	     2 /* in one agent's script */
#define IV_TRACKED   8 /* pages that the TLB remembers */
#define IV_SLOTS_MAX 4
#define IV_SHADOWS   2
#define IV_LOG_PAGES 64 /* that the dirty log covers, from IPA 0 on */

union iv_slots {
	struct pt_slots head;
	unsigned char room[sizeof(struct pt_slots) + IV_SLOTS_MAX * sizeof(struct pt_slot)];
};

enum iv_op_kind {
	IV_OP_NONE,
	IV_OP_FAULT,	   /* access at ipa */
	IV_OP_POINT,	   /* the item as a point operation, and as a range if it is none */
	IV_OP_RANGE,	   /* the item as a transaction */
	IV_OP_SLOT_DELETE, /* unmaps the slot at ipa and publishes a table without it */
	IV_OP_ACCESS,	   /* a vCPU: walk, hardware updates, use; or fault */
	IV_OP_READ,	   /* get-leaf at ipa, which knows no claims */
	IV_OP_UPKEEP,	   /* `upkeep` over the range; AGE clears */
	IV_OP_DESTROY,	   /* tears the context down; who comes later does not find it */
	IV_OP_CALL,	   /* a function of the test */
	IV_OP_DIRTY,	   /* `dirty` over the range; GET clears */
	IV_OP_RUN,	   /* a vCPU runs the other context of the machine for the first time */
};

struct iv_op {
	enum iv_op_kind kind;
	enum pt_item_kind item;
	uint64_t ipa, size, pa;
	uint32_t prot, flags;
	uint8_t access;
	uint8_t upkeep;		/* enum pt_upkeep_kind */
	uint8_t dirty;		/* enum pt_dirty_kind */
	bool batch;		/* IV_OP_POINT, IV_OP_FAULT: pt_points(), pt_faults() tries first */
	uint32_t budget;	/* of a step; 0: plenty */
	uint64_t (*call)(void); /* its result is told */
};

struct iv_case {
	const char *name;
	void (*prepare)(void); /* on top of an empty tree without slots */
	struct iv_op script[IV_FIBRES][IV_OPS];
	uint64_t tracked[IV_TRACKED]; /* ends at the first 0 after [0] */
	int start_level;	      /* 2 (four tables side by side), or 1 */
	uint8_t attrs, vtcr_flags;
	bool blocks_differ; /* faults beside claims may choose smaller leaves: compare translations
			       only */
	bool strangers;	    /* no agent has used the machine before */
	bool rollover;	    /* VMIDs have run out */
	bool late_cas;	    /* what an exchange has written may be seen late, too */
	unsigned fewer;	    /* preemptions than the limit says */
	unsigned most;	    /* preemptions, whatever the limit; 0: no such bound */
};

/* Everything that a run changes stands here, but for the stacks; see iv_world_reset(). */
struct iv_world {
	struct pt_port port, machine_port;
	struct pt_world world;
	struct pt_pool_unit unit[IV_PAGES];
	struct pt_machine machine;
	struct pt_ctx ctx, other;	      /* of cases with a rollover */
	struct pt_agent agent[IV_FIBRES + 1]; /* the last is the test's */
	union iv_slots slots[2];	      /* at first, and after a deletion */
	_Atomic uint64_t gone;		      /* the context is not found any more */
	_Atomic uint64_t slots_gone;	      /* the first has been freed */
	_Atomic uint32_t woken[IV_FIBRES];
	uint32_t outcome[IV_FIBRES][IV_OPS];
	struct pt_dirty_log log;
	uint64_t log_memory[2];
	uint64_t told[IV_FIBRES][IV_OPS]; /* by GET: a bit a page */
	uint64_t word[3];		  /* for functions of the test */
	uint8_t word_lock;
	struct pt_nested nested; /* of cases with a shadow: shadow.c */
	_Atomic(struct pt_shadow *) shadow_bucket[1], shadow_number[IV_SHADOWS];
	struct pt_shadow shadow[IV_SHADOWS];
	uint64_t guest[3]; /* descriptors of the guest hypervisor's */
	bool guest_block;  /* it has one of level 2 instead, of the same rights */
	struct {
		bool active;
		uint32_t stale_by;
		uint64_t page, oa, rights;
	} in_flight[IV_FIBRES];
	uint64_t freed[(IV_PAGES + 63) / 64]; /* pages given back and not taken since */
	uint64_t book[(IV_PAGES + 63) / 64];  /* pages that hold no descriptors */
};

/* cases.c */
extern const struct iv_case iv_cases[];
extern const unsigned iv_case_count;

extern struct iv_world iv_w;
extern unsigned char iv_tables[IV_PAGES << PT_POOL_UNIT_SHIFT];

/* Builds the case's first state and keeps a copy; then each run begins with that copy. */
void iv_world_build(const struct iv_case *c);
void iv_world_reset(void);
/* The page of table memory is about to be written. */
void iv_world_touch(const volatile void *at, size_t bytes);
bool iv_world_touched(unsigned page); /* by this run */

static inline bool iv_in_tables(const volatile void *at)
{
	return (uintptr_t)at - (uintptr_t)iv_tables < sizeof(iv_tables);
}

static inline bool iv_in_world(const volatile void *at)
{
	return (uintptr_t)at - (uintptr_t)&iv_w < sizeof(iv_w);
}

/* What a location is called, for people. */
void iv_world_name(const volatile void *at, char *text, size_t room);

/* After a run: everything at rest, or iv_fail(). Then what it came to. */
struct iv_verdict {
	uint64_t exact;	     /* outcomes, descriptors, tables by order of visit, counts, software
			      * state, VMIDs but for their names */
	uint64_t equivalent; /* outcomes and translations */
};
struct iv_verdict iv_world_end(const struct iv_case *c);
/* The outcomes of the run, for people. */
void iv_world_story(const struct iv_case *c, char *text, size_t room);
uint64_t iv_world_hash(void);

/* The leaf that maps a page as it stands in memory; level 0: none. */
struct iv_leaf {
	uint64_t base, pa, attrs; /* attrs: descriptor bits but the output address */
	int level;
	uint64_t *slot; /* where it stands */
};
struct iv_leaf iv_world_leaf(uint64_t ipa);
/* PA of the table that an entry of this level links for an address; 0: none. */
uint64_t iv_world_table(uint64_t ipa, int at);

/* ops.c */
enum pt_outcome iv_do_dirty(unsigned id, const struct iv_op *op, uint64_t *told);
void iv_run_script(unsigned id);
void iv_ops_name(const struct iv_op *op, char *text, size_t room);
extern const struct iv_case *iv_case_now;

#endif
