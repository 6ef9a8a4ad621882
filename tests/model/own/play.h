/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A play of transitions: a machine with owners in one thread, driven by a list of steps, with the
 * model of ownership beside it. The steps are drawn from a seed, or given; a list plays the same
 * each time, also with steps left out, since what a step has to answer is asked of the model.
 */
#ifndef MODEL_OWN_PLAY_H
#define MODEL_OWN_PLAY_H

#include <pt/check.h>
#include <pt/dirty.h>

#include "../../unit/lending_fixture.h"
#include "../hunt.h"

#define STEPS_MOST 4096
#define RESULTS	   128 /* enum pt_outcome, as far as it matters here */

/* X(verb, text): what a step does. The first are the kinds of transitions, in their order. */
#define VERBS(X)                                                                                   \
	X(SHARE_HYP, "share-hyp")                                                                  \
	X(UNSHARE_HYP, "unshare-hyp")                                                              \
	X(PIN, "pin")                                                                              \
	X(UNPIN, "unpin")                                                                          \
	X(DONATE_HYP, "donate-hyp")                                                                \
	X(RETURN_HYP, "return-hyp")                                                                \
	X(SHARE_THIRD, "share-third")                                                              \
	X(UNSHARE_THIRD, "unshare-third")                                                          \
	X(SHARE_GUEST, "share-guest")                                                              \
	X(UNSHARE_GUEST, "unshare-guest")                                                          \
	X(DONATE_GUEST, "donate-guest")                                                            \
	X(SHARE_BACK, "share-back")                                                                \
	X(UNSHARE_BACK, "unshare-back")                                                            \
	X(BALLOON, "balloon")                                                                      \
	X(FORCE_RECLAIM, "force-reclaim")                                                          \
	X(RECLAIM_DYING, "reclaim-dying")                                                          \
	X(TOP_UP, "top-up")                                                                        \
	X(RECLAIM_TABLES, "reclaim-tables")                                                        \
	X(RESERVE, "reserve")                                                                      \
	X(CREATE, "create")                                                                        \
	X(TEARDOWN, "teardown")                                                                    \
	X(FINALIZE, "finalize")                                                                    \
	X(LEND, "lend")                                                                            \
	X(PIECE, "piece")                                                                          \
	X(EXPIRE, "expire")                                                                        \
	X(RETRIEVE, "retrieve")                                                                    \
	X(RELINQUISH, "relinquish")                                                                \
	X(TAKE_BACK, "take-back")                                                                  \
	X(MAP, "map")	  /* the host's */                                                         \
	X(UNMAP, "unmap") /* the host's */                                                         \
	X(LOG, "log")	  /* begins, or ends, a dirty log of a guest; else of the host */          \
	X(QUOTA, "quota") /* a context, or the ledger, has `n` pages left */

enum verb {
	V_NONE,
#define X(name, text) V_##name,
	VERBS(X)
#undef X
		VERB_COUNT
};
_Static_assert((int)V_RECLAIM_TABLES == PT_RECLAIM_TABLES && (int)V_RESERVE == PT_TRANSFERS,
	       "the kinds of transitions come first");

enum step_flag {
	STEP_WIPE = 1,	   /* FINALIZE: without what it was topped up with */
	STEP_VALIDATE = 2, /* first to be validated, with the same answer */
	STEP_STALE = 4,	   /* first with a generation that is not the host's */
	STEP_ASKEW = 8,	   /* half a page off at each address */
	STEP_PROTECTED = 16,
};

/* Nothing but numbers, so that a list of them is text, too. */
struct step {
	uint32_t verb, guest, frame, gfn, n, prot, flags;
	uint32_t budget;
	uint32_t nth;	  /* page that is asked for and refused; 0: none */
	uint32_t give_up; /* after so many steps; 0: never */
	uint32_t die;	  /* the guest's teardown begins after so many steps; 0: does not */
	uint32_t more;	  /* ranges besides, each `apart` units behind the one before */
	uint32_t apart;
};
#define STEP_FIELDS (sizeof(struct step) / sizeof(uint32_t))

struct counts {
	uint64_t cell[VERB_COUNT][RESULTS];
	uint64_t requests, transitions, plays, pages; /* compared */
	uint64_t deaths;			      /* of guests during a transition */
	uint64_t room;		   /* refused for want of memory, and then in the model's words */
	uint64_t mixed;		   /* plays with more than one granule */
	uint64_t several;	   /* transitions of more than one range that passed */
	uint64_t in_pieces;	   /* TOO_LARGE: the model counts the same pieces */
	uint64_t judged[PT_RULES]; /* by the checker, where there is one */
};

/* Bugs of the harness itself, to see one found. */
enum plant { PLANT_NONE, PLANT_FORGET_PINS, PLANT_CRASH };

/* What a play leaves behind, in memory that parent and child share. */
struct verdict {
	char failure[400]; /* "" if all is well; begins with a word for the kind of failure */
	uint64_t seed;
	enum plant plant;
	uint32_t steps, wanted; /* wanted: how many are drawn */
	struct step step[STEPS_MOST];
	struct counts counts;
};

/* A unit of a guest's, and the frame that it has there. */
struct pair {
	uint32_t guest, gfn, frame;
};

struct log {
	struct pt_dirty_log log;
	bool on;
	uint64_t bits[RIG_MAX];
};

struct play {
	struct verdict *v;
	uint64_t rng;
	uint32_t now; /* step */
	uint32_t units;
	struct transfer_rig rig;
	struct log log[RIG_GUESTS + 1]; /* the host's is the last */
	struct pair pair[RIG_MAX];	/* whom a transition concerns, before it */
	uint32_t pairs;
	/* Units that a guest is given one after the other, from anywhere in memory: draw.c. */
	struct {
		uint32_t left, guest, first, next;
	} weave;
};

/* ---- play.c ---- */
/* Draws v->wanted steps and plays them; or plays v->step when v->steps is not 0. Fails by _exit(1)
 * after writing v->failure, or by the abort() of an assertion. */
void play(struct verdict *v);
void differ(struct play *p, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
const char *outcome_name(unsigned outcome);

/* ---- transfer.c ---- */
void do_transfer(struct play *p, const struct step *s);
/* What a step concerned, at most so many pairs of it. */
void same_pairs(struct play *p, uint32_t most);
/* The quotas that steps have set are no reason any more. */
void lift_quotas(struct play *p);

/* ---- lend.c ---- */
void do_lend(struct play *p, const struct step *s);
void leave(struct play *p, unsigned guest);

/* ---- around.c: the life of guests, maps, logs, quotas ---- */
void do_around(struct play *p, const struct step *s);
void log_stop(struct play *p, unsigned guest);

/* ---- draw.c ---- */
void draw_step(struct play *p, struct step *s);

/* ---- script.c ---- */
extern const char *const verb_names[VERB_COUNT];

#endif
