/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A play: a machine with contexts, vCPUs and sessions in one thread, driven by a list of steps,
 * with the model beside it. The steps are drawn from a seed, or given; a list plays the same each
 * time, also with steps left out.
 */
#ifndef MODEL_PLAY_H
#define MODEL_PLAY_H

#include <pt/host/memory.h>
#include <pt/host/vcpu.h>

#include <pt/dirty.h>
#include <pt/upkeep.h>

#include "hunt.h"
#include "model.h"
#include "reader.h"

#define CONTEXTS      2
#define SESSIONS_MOST 8
#define VCPUS	      3
#define STEP_ITEMS    3
#define HOT	      12
#define LOGS	      MODEL_LOGS
#define STEPS_MOST    4096

/* X(verb): what a step is. The words of the text form are these, too. */
#define VERBS(X)                                                                                   \
	X(begin)  /* an idle session begins a request of items; no step of it yet */               \
	X(run)	  /* the same, and it runs to its end while nobody else moves */                   \
	X(step)	  /* a busy session goes on: one section, arg is the budget */                     \
	X(access) /* an idle session lets a vCPU access an address */                              \
	X(fault)  /* an idle session hands a fault to the handler */                               \
	X(upkeep) /* an idle session begins to age, split, collapse or sweep */                    \
	X(dirty)  /* an idle session starts, reads or stops a dirty log */                         \
	X(slot)	  /* an idle session sets, changes or deletes a memslot */                         \
	X(abort)  /* a busy session gives its request up */                                        \
	X(hold)	  /* a session's next section stays open until its step after that */              \
	X(arm)	  /* the arg-th page taken from now on is refused */                               \
	X(quota)  /* a context's quota becomes arg */                                              \
	X(settle) /* every session comes to its end, and everything is compared */

enum verb {
#define X(name) V_##name,
	VERBS(X)
#undef X
		VERB_COUNT
};

enum step_flag {
	STEP_POINT = 1, /* a single item: try it as a point operation first */
	STEP_VALIDATE =
		2, /* validate_only; with V_run then the real one, whose effects must be equal */
	STEP_GENERATION = 4, /* expects the generation that there is */
	STEP_STALE = 8,	     /* expects another one */
	STEP_S1PTW = 16,
	STEP_EL0 = 32,
	STEP_ALONE = 128,	/* V_upkeep, V_dirty: it runs to its end */
	STEP_COUNT_LEAVES = 64, /* V_run: effects are compared with the leaves that there are */
};

struct step_item {
	uint64_t ipa, size, pa;
	uint32_t prot, flags, kind;
};

/* Nothing but numbers, so that a list of them is text, too. */
struct step {
	uint32_t verb, who, ctx, vcpu;
	uint32_t flags, count;
	uint64_t arg;
	struct step_item item[STEP_ITEMS];
};

/* Rows of the matrix: X(name, text). */
#define ROWS(X)                                                                                    \
	X(POINT_MAP, "map, one entry")                                                             \
	X(POINT_UNMAP, "unmap, one entry")                                                         \
	X(POINT_PROTECT, "protect, one entry")                                                     \
	X(MAP, "map")                                                                              \
	X(UNMAP, "unmap")                                                                          \
	X(PROTECT, "protect")                                                                      \
	X(POINT_WRITE_PROTECT, "write-protect, one entry")                                         \
	X(POINT_RELAX, "relax, one entry")                                                         \
	X(POINT_MAKE_YOUNG, "make young, one entry")                                               \
	X(POINT_ANNOTATE, "annotate, one entry")                                                   \
	X(POINT_FLUSH, "flush, one entry")                                                         \
	X(ANNOTATE, "annotate")                                                                    \
	X(FLUSH, "flush")                                                                          \
	X(WRITE_PROTECT, "write-protect")                                                          \
	X(RELAX, "relax")                                                                          \
	X(MAKE_YOUNG, "make young")                                                                \
	X(AGE, "age")                                                                              \
	X(SPLIT, "split")                                                                          \
	X(COLLAPSE, "collapse")                                                                    \
	X(SWEEP, "sweep")                                                                          \
	X(LOG_START, "start a dirty log")                                                          \
	X(LOG_READ, "read a dirty log")                                                            \
	X(LOG_CLEAR, "read and clear a dirty log")                                                 \
	X(LOG_STOP, "stop a dirty log")                                                            \
	X(BATCH, "several items")                                                                  \
	X(VALIDATE, "validate only")                                                               \
	X(CHANGE_SLOT, "change a slot")                                                            \
	X(READ, "read")                                                                            \
	X(WRITE, "write")                                                                          \
	X(EXEC, "fetch")                                                                           \
	X(AT, "translate")                                                                         \
	X(EXIT, "exits of accesses")                                                               \
	X(FAULT, "fault handler")

enum row {
#define X(name, text) ROW_##name,
	ROWS(X)
#undef X
		ROW_COUNT
};

#define RESULTS 128 /* enum pt_outcome, as far as it matters here */

struct counts {
	uint64_t cell[ROW_COUNT][RESULTS];
	uint64_t requests, steps, plays, in_flight, compared;
	uint64_t kept, served, stale, invalidated;
};

/* Bugs of the harness itself, to see one found. */
enum plant { PLANT_NONE, PLANT_LOSE_TLBI, PLANT_CRASH, PLANT_STRAY };

/* What a play leaves behind, in memory that parent and child share. */
struct verdict {
	char failure[400]; /* "" if all is well; begins with a word for the kind of failure */
	uint64_t seed;
	enum plant plant;
	uint32_t steps;
	struct step step[STEPS_MOST];
	struct counts counts;
};

enum doing { IDLE, POINT, RANGE, ACCESS, FAULT, UPKEEP, DIRTY };

struct session {
	struct pt_agent agent;
	enum doing doing;
	unsigned ctx;
	bool holding, hold_next, parked, woken;
	struct pt_waiter waiter;
	/* POINT, RANGE */
	struct pt_item item[STEP_ITEMS];
	struct told told[STEP_ITEMS];
	struct span edge[STEP_ITEMS][2]; /* the entries at each item's ends, before the step */
	uint32_t count, flags;
	struct pt_txn txn;
	bool begun, committed, changes_slot;
	bool touched;	     /* by hardware, since its commit point */
	uint64_t passed;     /* everything below was compared after the commit point */
	struct reach reach;  /* the claim at the commit point */
	struct space before; /* the same range before it */
	uint64_t begun_in;   /* p->turn when lib first saw it: the same at its end if nobody else
				moved */
	uint64_t leaves, tables; /* then */
	uint64_t failures;	 /* of failpoints, when its step began */
	bool refused;		 /* by one of them, in a step before */
	struct pt_effects dry;	 /* what validate_only said in turn dry_in */
	uint64_t dry_in;
	struct model_slot slot; /* the slot that comes; size 0: none */
	uint32_t slot_id;
	/* UPKEEP */
	struct pt_upkeep upkeep;
	uint8_t *bitmap;
	uint64_t young, old, holes; /* granules, by the model */
	bool blurred;		    /* others were under way in the range */
	bool stopped;
	/* DIRTY; `bitmap` is its, too */
	struct pt_dirty dirty;
	struct log *log;
	bool arrived;	/* a GET has acknowledged the last answer */
	uint8_t *was;	/* the log's pages before that */
	uint64_t pages; /* told */
	/* ACCESS, FAULT */
	struct pt_host_access access;
	struct pt_fault fault;
	uint64_t data;
};

/* Addresses and sizes are drawn from here, so that they collide. */
struct window {
	uint64_t ipa, pa, bytes;
};

/* A dirty log, and what the model knows of it. */
enum log_state { LOG_FREE, LOG_STARTING, LOG_LIVE, LOG_STOPPING, LOG_GONE };

enum page_flag {
	PAGE_MUST = 1,	/* the next look has to tell it */
	PAGE_MAY = 2,	/* the next look may tell it */
	PAGE_SENT = 4,	/* told, not acknowledged */
	PAGE_LIMBO = 8, /* an acknowledgement was given up half way */
};

struct log {
	struct pt_dirty_log pt;
	enum log_state state;
	bool attached, given_up;
	unsigned shift;
	uint64_t ipa, last, passed, generation;
	uint8_t *page; /* enum page_flag */
	void *memory;
};

struct context {
	struct pt_ctx pt;
	struct model model;
	struct reader reader;
	struct window low, high;
	uint64_t hot[HOT]; /* addresses that were accessed */
	struct log log[LOGS];
	bool slot_busy;
};

struct play {
	struct verdict *v;
	uint64_t seed, rng;
	struct pt_host_tables tables;
	struct pt_port port;
	struct pt_port_mmu mmu;
	struct pt_host_ram ram;
	struct pt_machine machine;
	struct context ctx[CONTEXTS];
	struct session session[SESSIONS_MOST];
	unsigned sessions;
	uint64_t empty_bytes;
	unsigned char *seen; /* for the census */
	struct content *content;
	uint32_t at;	       /* the step at hand, for messages */
	struct session *mover; /* who stepped last, and how often that was another than before */
	uint64_t turn;
};

/* ---- the seed ---- */
static inline uint64_t draw(struct play *p)
{
	p->rng ^= p->rng << 13;
	p->rng ^= p->rng >> 7;
	p->rng ^= p->rng << 17;
	return p->rng * UINT64_C(0x2545f4914f6cdd1d);
}
static inline uint64_t below(struct play *p, uint64_t n)
{
	return (draw(p) >> 11) % n;
}

/* ---- play.c ---- */
/* Draws and plays; or plays v->step when v->steps is not 0. Fails by _exit(1) after writing
 * v->failure. */
void play(struct verdict *v);
void fail(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
const char *outcome_name(unsigned o);
void count(struct play *p, enum row row, unsigned outcome);
/* Is part of [lo, hi] under an active claim of another session than `self`? */
bool is_covered(const struct play *p, unsigned ctx, uint64_t lo, uint64_t hi,
		const struct session *self);
/* The claims of others that are active. */
unsigned busy_reaches(const struct play *p, unsigned ctx, const struct session *self,
		      struct reach *busy);
/* Under way behind its commit point, and not yet past `ipa`. */
bool is_under_way(const struct session *s, unsigned ctx, uint64_t ipa);
/* What lib calls when a session that waits may go on. */
void wake(struct pt_waiter *w);
void session_begin(struct session *s);
void session_end(struct session *s);
/* Queues a point operation that met a claim. */
void session_park(struct play *p, struct session *s, uint64_t lo, uint64_t hi);
void session_idle(struct play *p, struct session *s);
/* Says whether NO_MEMORY or QUOTA has a reason; fails when it has none. */
void refusal_has_reason(struct play *p, const struct session *s, unsigned outcome, uint64_t lo,
			uint64_t hi);

/* ---- window.c ---- */
extern const unsigned shape_count;
void context_open(struct play *p, unsigned index, unsigned shape);
/* Does the policy of the context put a map that begins there into pages? */

/* ---- compare.c ---- */
/* The tables say what the model says, apart from what is under way. */
void compare(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi);
void compare_all(struct play *p);
/* As compare_all(), with nothing under way: also the shape of the trees, and every page is
 * accounted for. */
void compare_settled(struct play *p);
uint64_t count_leaves(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi);
void leaf_at(struct play *p, unsigned ctx, uint64_t ipa, struct span *span, int *level);

/* ---- items.c ---- */
void begin_items(struct play *p, struct session *s, const struct step *step);
void begin_slot(struct play *p, struct session *s, const struct step *step);
void step_point(struct play *p, struct session *s);
void step_range(struct play *p, struct session *s, uint32_t budget);
void abort_items(struct play *p, struct session *s);

/* [lo, hi] may have shared its access flag with the rest of the leaves that it cut, which were
 * `edge`. */
void blur_edges(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi, const struct span edge[2]);

/* ---- keep.c: upkeep ---- */
void begin_upkeep(struct play *p, struct session *s, const struct step *step);
void step_upkeep(struct play *p, struct session *s, uint32_t budget);
void stop_upkeep(struct play *p, struct session *s);

/* ---- dirty.c: operations on dirty logs ---- */
void begin_dirty(struct play *p, struct session *s, const struct step *step);
void step_dirty(struct play *p, struct session *s, uint32_t budget);
void stop_dirty(struct play *p, struct session *s);
/* Nobody is under way: memory of logs that have ended goes. */
void dirty_settled(struct play *p);
/* Stops what logs are left. */
void dirty_close(struct play *p, struct session *s);

/* ---- logs.c: what dirty logs have to tell ---- */
/* [lo, hi] has become dirty, for each log that covers it; `why`: PAGE_MUST, PAGE_MAY. */
void log_add(struct play *p, unsigned ctx, uint64_t lo, uint64_t hi, uint8_t why);
/* As much of [lo, hi] as the item makes dirty, where `before` was. */
void log_item(struct play *p, unsigned ctx, const struct space *before, const struct pt_item *item,
	      uint64_t lo, uint64_t hi, uint8_t why);
/* What may share the fate of such a page; `edge`: the entries at the item's ends. */
void log_item_may(struct play *p, unsigned ctx, const struct pt_item *item,
		  const struct span edge[2]);
void log_open(struct play *p, unsigned ctx, struct log *log, uint64_t ipa, uint64_t size);
void log_free(struct log *log);
void log_started(struct log *log, uint64_t lo, uint64_t hi, bool set);
void log_settle(struct log *log, bool arrived);
void log_unsettle(struct log *log, const uint8_t *was, bool arrived);
/* A look has gone over [lo, hi]; bit 0 of its bitmap is `first`. Returns the pages that it tells.
 */
uint64_t log_collected(struct play *p, struct log *log, uint64_t first, uint64_t lo, uint64_t hi,
		       const uint8_t *bitmap, bool clears);
void log_count(const struct log *log, uint64_t *must, uint64_t *may);

/* ---- access.c ---- */
void begin_access(struct play *p, struct session *s, const struct step *step);
void step_access(struct play *p, struct session *s);
void begin_fault(struct play *p, struct session *s, const struct step *step);
void step_fault(struct play *p, struct session *s);

/* ---- content.c: what a machine's memory holds ---- */
struct content *content_new(void);
void content_free(struct content *c);
uint64_t content_get(const struct content *c, uint64_t pa);
void content_set(struct content *c, uint64_t pa, uint64_t value);

/* ---- draw.c ---- */
void draw_step(struct play *p, struct step *step);

#endif
