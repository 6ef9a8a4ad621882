/* SPDX-License-Identifier: BSD-2-Clause */
/* Refusals that several handlers share: the code, the place, and a text that names the argument. */
#ifndef PTD_DOMAIN_FAIL_H
#define PTD_DOMAIN_FAIL_H

#include "call.h"

#include <pt/txn.h>

/* The call's memory cap is reached. */
enum call_result fail_arena(struct call *call);
/* MISALIGNED with the two nearest legal values. */
enum call_result fail_aligned(struct call *call, const char *field, uint64_t value, uint64_t unit);
/* An item that pt_item_check() refused with `code`: says which argument, under `prefix`. */
enum call_result fail_item(struct call *call, const struct pt_item *item, enum pt_outcome code,
			   const char *prefix, uint32_t index);
/* What an operation of lib reported. */
enum call_result fail_error(struct call *call, const struct pt_error *error);
/* Not allowed to this principal. */
enum call_result fail_denied(struct call *call, const char *text);
/* Cancelled, or the deadline has passed: before the commit point. */
enum call_result fail_abandoned(struct call *call);

/* A request id is 16 bytes or absent. False: the call has been failed. */
bool request_id_ok(struct call *call, const ProtobufCBinaryData *id);

#endif
