/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime checker: a model of what is in every table page, who may write it and what is owed to
 * the TLBs, fed with the events of <pt/event.h> one at a time. Freestanding; the caller gives the
 * memory and the order.
 */
#ifndef PT_CHECK_H
#define PT_CHECK_H

#include <pt/desc.h>
#include <pt/event.h>

/*
 * Rules by their ids in docs/testing.md, which says of each what feeds it.
 * X(id, what it demands)
 */
/* clang-format off */
#define PT_RULE_TABLE(X)                                                                           \
	X(S1, "every table that can be reached is known, aligned, and of one tree at one level")    \
	X(S2, "a descriptor is legal at its level")                                                 \
	X(S3, "output and input ranges are aligned and inside their limits")                        \
	X(S4, "a table that is swept has no entry")                                                 \
	X(S5, "the leaves of a contiguous group agree and follow each other")                       \
	X(W1, "private tables are written by who took them, live ones never plainly")               \
	X(W2, "a table is complete and ordered before its link")                                    \
	X(W3, "valid to valid only with the same output, size and type")                            \
	X(W4, "what is invalidated is all that the old entry translated, for its VMID")             \
	X(W5, "an entry that may still be cached does not become valid")                            \
	X(W6, "an aged leaf is flushed like any other when it goes")                                \
	X(W7, "a contiguous group changes while all of it is invalid and clean")                    \
	X(W8, "a table that was replaced is frozen, and flushed before the reply")                  \
	X(W9, "under a drained claim one writer; elsewhere compare-and-swap; LOCKED is its operation's") \
	X(T1, "write, DSB, TLBI stage 2, DSB, TLBI stage 1, DSB")                                   \
	X(T2, "invalidations are broadcast")                                                        \
	X(T3, "a level hint is true, and absent where a table went")                                \
	X(T4, "range operands cover the range exactly")                                             \
	X(T6, "nothing is owed, and no access in flight, at the reply")                             \
	X(T7, "with the quirk, invalidations are doubled")                                          \
	X(A1, "a page goes back after flush and grace period, never from a tree")                   \
	X(A2, "pages are zero on their way out of the pool and back")                               \
	X(A3, "quota and pool count what there is")                                                 \
	X(A4, "commit takes no page, and none is left over")                                        \
	X(V1, "a VMID has one context, and is flushed before the next")                             \
	X(V2, "a root is used with its own VMID, and not in use when it goes")                      \
	X(V3, "nothing but teardown writes to a dying context")                                     \
	X(L1, "locks are taken in the order of their classes")                                      \
	X(L2, "a table goes only under a drained claim on its span; walks stay in sections")        \
	X(L3, "no table is read after its grace period")                                            \
	X(L4, "no lock is held across a callback, and no section across the transport")             \
	X(L5, "nobody waits in a section")                                                          \
	X(L6, "no claim is asked for while holding one")                                            \
	X(O1, "a frame has one owner, and as many borrowers as its record counts")                  \
	X(O2, "no party reaches a frame before it is its, or after it is another's")                \
	X(O3, "no guest and no host reaches a table page")                                          \
	X(O4, "a transfer that is given up leaves nothing changed")                                 \
	X(D1, "while logging, what is writable is marked")                                          \
	X(D2, "what was cleared is write-protected and flushed before the reply")                   \
	X(D3, "a dirty leaf that goes is marked")                                                   \
	X(N1, "a shadow's leaf is what the guest's and the canonical one grant together")           \
	X(N2, "what a canonical change took is in no shadow at its reply, nor in a TLB")            \
	X(N3, "a guest's TLBI removes what it names, and nothing else")                             \
	X(N4, "a key finds one shadow, which ends empty")

enum pt_rule {
#define PT_X(id, text) PT_RULE_##id,
	PT_RULE_TABLE(PT_X)
#undef PT_X
	PT_RULES
};
/* clang-format on */

/* The id of a rule, and what it demands. Pure; NULL beyond the table. */
const char *pt_rule_name(unsigned rule);
const char *pt_rule_text(unsigned rule);

#define PT_CHECK_REPEAT_TLBI 0x1u /* T7: CPUs on which one TLBI and DSB are not enough */

struct pt_check_config {
	uint32_t quirks;
};

/* A broken rule: one line says what was wrong; which event and which operation. */
struct pt_finding {
	enum pt_rule rule;
	const char *text;
	uint64_t serial;  /* of the event, from 1 on */
	uint64_t op;	  /* the operation that was stepped; 0: none */
	uint8_t op_kind;  /* enum pt_op_kind, 0: none */
	uint64_t op_from; /* serial of its first event */
};

struct pt_check;

/* A checker in [arena, arena + bytes), which is the caller's and stays until it is used no more.
 * NULL: fewer than 64 KiB. The arena holds a copy of all tables that were written: give it more
 * than they take. */
struct pt_check *pt_check_init(void *arena, size_t bytes, const struct pt_check_config *config);

/* The quirks of the CPUs from now on, in place of those of the config; between operations. */
void pt_check_set_quirks(struct pt_check *check, uint32_t quirks);

/*
 * One event. True: all rules hold; false: *finding tells of the first that does not, and the
 * checker goes on as if it had. Calls do not overlap: the caller orders them, and puts the event of
 * a write together with its effect. Bounded by the table pages that the event concerns.
 */
bool pt_check_event(struct pt_check *check, const struct pt_event *event,
		    struct pt_finding *finding);

/* How often a rule was judged, kept or broken; and how often broken. */
uint64_t pt_check_judged(const struct pt_check *check, enum pt_rule rule);
uint64_t pt_check_broken(const struct pt_check *check, enum pt_rule rule);

/*
 * Objects (tables, contexts, operations ..) for which the arena had no room. What is not known is
 * not judged: from the first one on the checker sees less, and its user ought to say so.
 */
uint64_t pt_check_untracked(const struct pt_check *check);

enum pt_write_how { PT_WRITE_STORE, PT_WRITE_STORE_RELEASE, PT_WRITE_CAS };

/* One change of a live descriptor. */
struct pt_write {
	const pt_pte *slot;
	pt_pte old, entry;
	enum pt_write_how how;
};

/*
 * What can be said of one write by itself, at FEAT_BBM level 0: W2 (a table is linked by a release
 * or a compare-and-swap), W3, and W9 (LOCKED is left by a store). True: kept. Pure.
 */
bool pt_check_write(const struct pt_write *write, struct pt_finding *finding);

#endif
