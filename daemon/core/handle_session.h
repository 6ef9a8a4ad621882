/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of MappingService.Session share. */
#ifndef PTD_HANDLE_SESSION_H
#define PTD_HANDLE_SESSION_H

#include "mapping.h"

/*
 * Accesses of one message: `kind` says what is done with each. The call's `state` is theirs from
 * begin to end. CALL_DONE: *results, or the call failed.
 */
enum session_accesses { SESSION_ACCESS, SESSION_HANDLE_FAULT, SESSION_TRANSLATE };
enum call_result accesses_begin(struct call *call, const Ptd__V1__Accesses *q, uint64_t context,
				enum session_accesses kind, Ptd__V1__AccessResults **results);
enum call_result accesses_go_on(struct call *call, Ptd__V1__AccessResults **results);
/* The call was abandoned after accesses_begin(). CALL_DONE without results: nothing was changed. */
enum call_result accesses_undo(struct call *call, Ptd__V1__AccessResults **results);

#endif
