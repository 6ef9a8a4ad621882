/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime checker: pure rules over the events of the platform seam. */
#ifndef PT_CHECK_H
#define PT_CHECK_H

#include <pt/desc.h>

enum pt_write_how {
	PT_WRITE_STORE,		/* pt_pte_store(): plain, under a drained claim */
	PT_WRITE_STORE_RELEASE, /* pt_pte_store_release() */
	PT_WRITE_CAS,		/* pt_pte_cas() that succeeded */
};

/* One change of a live descriptor. */
struct pt_write {
	const pt_pte *slot;
	pt_pte old, entry;
	enum pt_write_how how;
};

/* A broken rule: its id in reference lists and docs/testing.md, and one line that says what was
 * wrong. */
struct pt_finding {
	const char *rule;
	const char *text;
};

/* clang-format off */
/*
 * One function a rule. True: the write keeps the rule. Pure; any context, no locks.
 *
 *   W2  a table is linked by a release store or a compare-and-swap, never by a plain store
 *   W3  a valid descriptor becomes another valid one only with the same output, size and type:
 *       permissions, AF, DBM and software bits may differ (Arm ARM D8.16, break-before-make)
 *   W9  LOCKED is left by a store of its own operation, never by a compare-and-swap of another
 */
/* clang-format on */
bool pt_check_w2(const struct pt_write *write);
bool pt_check_w3(const struct pt_write *write);
bool pt_check_w9(const struct pt_write *write);

/* All of them. True: nothing is wrong; false: *finding names the first rule that is broken. */
bool pt_check_write(const struct pt_write *write, struct pt_finding *finding);

#endif
