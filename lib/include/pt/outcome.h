/* SPDX-License-Identifier: BSD-2-Clause */
/* The one table of outcomes and errors: lib, daemon, client, ptctl and docs all read it. */
#ifndef PT_OUTCOME_H
#define PT_OUTCOME_H

#include <stdbool.h>

/*
 * X(name, number, class, gRPC status, text, what to do)
 *
 * Classes: OUTCOME is a success with a name; CONTROL never leaves the daemon; ERROR fails the call.
 * Numbers are wire format (Outcome columns, ItemError.code, the PTD-Ennnn ids) and never change
 * their meaning.
 */
#define PT_OUTCOME_TABLE(X)                                                                        \
	X(OK, 0, OUTCOME, OK, "done", "")                                                          \
	X(MAPPED, 1, OUTCOME, OK, "mapped", "")                                                    \
	X(ALREADY_MAPPED, 2, OUTCOME, OK, "already mapped the same way", "")                       \
	X(RELAXED, 3, OUTCOME, OK, "rights added in place", "")                                    \
	X(UNMAPPED, 4, OUTCOME, OK, "unmapped", "")                                                \
	X(HOLE, 5, OUTCOME, OK, "nothing was mapped there", "")                                    \
	X(PERMISSION_ONLY, 6, OUTCOME, OK, "mapped already, with other rights only", "")           \
	X(RACED, 7, OUTCOME, OK, "another agent changed the entry first; try again", "")           \
	X(PROTECTED, 8, OUTCOME, OK, "rights replaced", "")                                        \
	X(MADE_YOUNG, 9, OUTCOME, OK, "access flag set", "")                                       \
	X(NO_SLOT, 10, OUTCOME, OK, "no memslot at this address: an exit to the VMM", "")          \
	X(READ_ONLY, 11, OUTCOME, OK, "write to a read-only memslot: an exit to the VMM", "")      \
	X(DENIED, 12, OUTCOME, OK, "the mapping or memslot does not grant this access", "")        \
	X(ANNOTATED, 13, OUTCOME, OK, "annotated: nothing is mapped there now", "")                \
	X(FLUSHED, 14, OUTCOME, OK, "caches cleaned and invalidated", "")                          \
	X(ABSENT, 15, OUTCOME, OK, "the page has no content, and no pager serves it", "")          \
	X(PAGE_FAILED, 16, OUTCOME, OK, "its pager has no content for the page", "")               \
	X(MORE, 32, CONTROL, INTERNAL, "budget spent; continue", "")                               \
	X(PARKED, 33, CONTROL, INTERNAL, "met a claim; wait for its release", "")                  \
	X(NO_MEMORY, 64, ERROR, RESOURCE_EXHAUSTED, "no table page or memory is left",             \
	  "unmap ranges or delete contexts, then repeat the call")                                 \
	X(QUOTA, 65, ERROR, RESOURCE_EXHAUSTED, "the context's quota of table pages is spent",     \
	  "raise it with SetQuota, or map larger, aligned ranges")                                 \
	X(OUT_OF_RANGE, 66, ERROR, OUT_OF_RANGE, "the range leaves the address space",             \
	  "stay below the context's IPA size and the machine's PA size")                           \
	X(MISALIGNED, 67, ERROR, INVALID_ARGUMENT, "not aligned to the granule",                   \
	  "align address and size to the granule")                                                 \
	X(OVERLAP, 68, ERROR, ALREADY_EXISTS, "the range is mapped elsewhere already",             \
	  "unmap it first, or ask for replace")                                                    \
	X(NOT_MAPPED, 69, ERROR, NOT_FOUND, "nothing is mapped at this address",                   \
	  "map the address, or give the context a memslot there")                                  \
	X(WRONG_OWNER, 70, ERROR, PERMISSION_DENIED, "the frame belongs to another owner",         \
	  "share or donate the frame first")                                                       \
	X(WRONG_STATE, 71, ERROR, FAILED_PRECONDITION, "the object's state does not allow this",   \
	  "look at the object's state with the matching Get call")                                 \
	X(BUSY, 72, ERROR, UNAVAILABLE, "in use by another operation", "try again")                \
	X(POISONED, 73, ERROR, FAILED_PRECONDITION, "the page was reclaimed by force",             \
	  "the page ends with its guest")                                                          \
	X(UNSUPPORTED, 74, ERROR, UNIMPLEMENTED, "this build does not offer it",                   \
	  "GetInfo lists what is offered")                                                         \
	X(INVALID, 75, ERROR, INVALID_ARGUMENT, "an argument is not valid",                        \
	  "compare the request with the comments in its .proto file")                              \
	X(NOT_FOUND, 76, ERROR, NOT_FOUND, "no such object",                                       \
	  "list the objects with the matching List call")                                          \
	X(ALREADY_EXISTS, 77, ERROR, ALREADY_EXISTS, "the name is taken", "choose another name")   \
	X(STALE_EPOCH, 78, ERROR, NOT_FOUND, "the handle is from an earlier run of the daemon",    \
	  "look the object up again by its name")                                                  \
	X(GENERATION_MISMATCH, 79, ERROR, ABORTED, "the generation is another one by now",         \
	  "read the object again and repeat with its generation")                                  \
	X(REQUEST_ID_REUSED, 80, ERROR, INVALID_ARGUMENT,                                          \
	  "this request id was used for another request",                                          \
	  "draw a new random request id for each new request")                                     \
	X(TOO_LARGE, 81, ERROR, RESOURCE_EXHAUSTED, "larger than a limit of this daemon",          \
	  "GetInfo states the limits; split the request")                                          \
	X(SLOT_OVERLAP, 82, ERROR, ALREADY_EXISTS, "the memslot overlaps another one",             \
	  "delete or move the other memslot first")                                                \
	X(NOT_EMPTY, 83, ERROR, FAILED_PRECONDITION, "the machine still has contexts",             \
	  "delete its contexts first, or ask for force")                                           \
	X(DENIED_FEATURE, 84, ERROR, PERMISSION_DENIED, "switched off in this daemon",             \
	  "start ptd with the flag that allows it")                                                \
	X(CANCELLED, 85, ERROR, CANCELLED, "cancelled before the commit point", "")                \
	X(DEADLINE, 86, ERROR, DEADLINE_EXCEEDED, "the deadline passed before the commit point",   \
	  "give the call more time")                                                               \
	X(DRAINING, 87, ERROR, UNAVAILABLE, "the daemon is shutting down",                         \
	  "connect to another daemon")                                                             \
	X(INTERNAL, 88, ERROR, INTERNAL, "an internal rule was broken", "report this as a defect") \
	X(INJECTED, 89, ERROR, UNAVAILABLE, "failed by an armed failpoint",                        \
	  "disarm the failpoint")                                                                  \
	X(OVERLOADED, 90, ERROR, RESOURCE_EXHAUSTED, "more work arrives than the daemon can do",   \
	  "repeat the call after the time that grpc-retry-pushback-ms says")                       \
	X(REPLY_GONE, 91, ERROR, FAILED_PRECONDITION, "the stored answer is no longer kept",       \
	  "look at the context; leave at most window messages unanswered")                         \
	X(TAKEN_OVER, 92, ERROR, ABORTED, "another stream has opened this session",                \
	  "the session lives on there; open another one to work beside it")

enum pt_outcome {
#define PT_X(name, number, class, grpc, text, hint) PT_##name = number,
	PT_OUTCOME_TABLE(PT_X)
#undef PT_X
};

enum pt_outcome_class { PT_CLASS_OUTCOME, PT_CLASS_CONTROL, PT_CLASS_ERROR };

/* gRPC status codes (grpc/statuscodes.md), here because the table names them. */
enum pt_grpc {
	PT_GRPC_OK = 0,
	PT_GRPC_CANCELLED = 1,
	PT_GRPC_UNKNOWN = 2,
	PT_GRPC_INVALID_ARGUMENT = 3,
	PT_GRPC_DEADLINE_EXCEEDED = 4,
	PT_GRPC_NOT_FOUND = 5,
	PT_GRPC_ALREADY_EXISTS = 6,
	PT_GRPC_PERMISSION_DENIED = 7,
	PT_GRPC_RESOURCE_EXHAUSTED = 8,
	PT_GRPC_FAILED_PRECONDITION = 9,
	PT_GRPC_ABORTED = 10,
	PT_GRPC_OUT_OF_RANGE = 11,
	PT_GRPC_UNIMPLEMENTED = 12,
	PT_GRPC_INTERNAL = 13,
	PT_GRPC_UNAVAILABLE = 14,
	PT_GRPC_DATA_LOSS = 15,
	PT_GRPC_UNAUTHENTICATED = 16,
};

struct pt_outcome_info {
	const char *name; /* "OVERLAP" */
	const char *text; /* one line for a person */
	const char *hint; /* what to do, or "" */
	enum pt_outcome code;
	enum pt_outcome_class class;
	enum pt_grpc grpc;
};

/* The row of `code`, or NULL when the table has no such number. Any context, no locks. */
const struct pt_outcome_info *pt_outcome_info(unsigned code);

static inline bool pt_is_error(enum pt_outcome o)
{
	return o >= PT_NO_MEMORY;
}

static inline bool pt_is_control(enum pt_outcome o)
{
	return o == PT_MORE || o == PT_PARKED;
}

#endif
