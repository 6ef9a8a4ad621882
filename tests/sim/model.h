/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of a daemon's objects, and the oracle that holds calls and effects against it. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "client.h"
#include "paged.h"

struct page {
	uint64_t pa;
	uint64_t note; /* of what is not mapped: its annotation */
	uint32_t prot;
	bool mapped;
};

struct model_context {
	bool live, dying;
	bool torn;	   /* its tables are gone; it waits for those who still hold it */
	bool aged, logged; /* access flags have been cleared, writable pages made clean */
	uint64_t handle, machine;
	const void *ctx;	   /* lib's object, for the walk at the end */
	uint64_t changes, highest; /* explicit changes counted; highest generation told */
	uint64_t seen[64];	   /* bitmap of generations told */
	uint32_t granule_shift, pages;
	uint64_t base;
	struct page *page;
	struct paged paged;
};

struct model_machine {
	bool live, dying;
	uint64_t handle;
	uint64_t word[SIM_CONTEXTS][PAGED_PLACES][PAGED_PAGES][PAGED_WORDS]; /* its memory */
};

struct model {
	uint64_t last_handle;
	uint64_t finished, finished_of[SIM_PRINCIPALS]; /* calls with an id that ended well */
	struct model_machine machine[SIM_MACHINES];
	struct model_context context[SIM_MACHINES][SIM_CONTEXTS];
};

/* model.c */
void model_reset(struct model *model);
struct model_context *model_context(struct model *model, uint64_t handle);
struct model_machine *model_machine(struct model *model, uint64_t handle);
void model_create(struct sim *sim, struct model_context *c, uint64_t handle, uint64_t machine,
		  uint32_t granule_shift);
uint64_t model_base(uint32_t granule_shift);
uint32_t model_pages(uint32_t granule_shift);
uint32_t model_block(uint32_t granule_shift); /* pages of a level 2 block */
/* What `item` does now. An error: nothing. *loose: MAPPED, or MADE_YOUNG, is as good. */
enum pt_outcome model_expect(const struct model_context *c, const struct item *item, bool *loose);
void model_apply(struct model_context *c, const struct item *item);
/* May a walk of the tables find these rights? A page in a log is written when it is clean. */
bool model_grants(const struct model_context *c, const struct page *page, uint32_t prot);
const struct page *model_page(const struct model_context *c, uint64_t ipa);
struct daemon *model_daemon(struct sim *sim, uint64_t handle);

/* oracle.c: each call of a daemon, and its end. */
struct exec {
	const struct call *call; /* NULL: free */
	struct op *op;
	struct link *link;
	uint64_t serial, generation; /* of its context, when it began */
	uint32_t items, errors;
	enum pt_outcome outcome[SIM_ITEMS];
	bool changed; /* the model has */
	/* Of a session: the message that is executed. */
	bool in_message;
	uint32_t steps;
	uint64_t seq;
	uint32_t retired;
	/* Of paged memory: an access waits for its page, or has waited; what became of a pager. */
	bool awaits, waited;
	uint32_t page;
	bool pager_opened, pager_served, pager_met, pager_lost, pager_through;
};
struct exec *oracle_call(struct call *call);
void oracle_begin(struct sim *sim, struct exec *exec, const struct call *call);
uint64_t oracle_serial(void);
void oracle_pause(struct sim *sim, struct exec *exec, enum call_result result);
void oracle_end(struct sim *sim, struct exec *exec, struct call *call);
void oracle_reset(void);
/* Another call on the same object is under way. */
bool oracle_others(const struct exec *exec);
/* A call is under way somewhere. */
bool oracle_busy(void);
void oracle_forget(struct sim *sim, uint32_t daemon);
bool oracle_runs(const struct op *op);
/* Calls that are under way, one after the other; NULL: the first, and behind the last. */
struct exec *oracle_next(struct exec *exec);
struct exec *oracle_current(void);
/* The id of `op` may have left the daemon's memory. */
bool oracle_forgotten(const struct sim *sim, const struct op *op);

/* content.c, refusal.c: what an answer says, against the model. */
struct looked {
	struct sim *sim;
	struct exec *exec;
	struct op *op;
	struct daemon *d;
	struct model_context *c;
	struct model_machine *m;
	bool stale;
};

/* Fails the run for what the call of `l` says. */
#define WRONG(l, check, ...)                                                                       \
	do {                                                                                       \
		char text_[120];                                                                   \
		snprintf(text_, sizeof(text_), __VA_ARGS__);                                       \
		sim_fail((l)->sim, check, "client %u op %u %s: %s", (l)->op->client,               \
			 (l)->op->number, op_name((l)->op->kind), text_);                          \
	} while (0)
struct looked look_up(struct sim *sim, struct exec *exec);
/* A change got this generation: nobody else has it. */
void content_counted(struct looked *l, uint64_t generation);
/* May the call, or message, end with that error now? */
bool refusal_is_legal(struct looked *l, uint32_t code, bool abandoned);
void content_check(struct sim *sim, struct exec *exec, const struct call *call);
/* Of a message of a session. */
void session_content(struct sim *sim, struct exec *exec, const Ptd__V1__SessionResponse *r);
void failure_check(struct sim *sim, struct exec *exec, const struct call *call);

/* effects.c: single items, and objects that go. */
struct pt_ctx;
void oracle_item(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o);
enum pt_outcome oracle_commit(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
			      bool *loose);
void oracle_done(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		 enum pt_outcome o, enum pt_outcome expected, bool loose, bool validate_only);
void oracle_refused(struct sim *sim, const struct item *item, const struct pt_ctx *ctx,
		    enum pt_outcome o);
void oracle_slot(struct sim *sim, const struct pt_ctx *ctx, uint64_t generation);
void oracle_slot_done(struct sim *sim, const struct pt_ctx *ctx);
void oracle_dying(struct sim *sim, const struct pt_ctx *ctx, bool torn);
void oracle_retire(struct sim *sim, uint64_t handle);

#endif
