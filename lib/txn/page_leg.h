/* SPDX-License-Identifier: BSD-2-Clause */
/* A party of one page; private to lib. */
#ifndef PT_TXN_PAGE_LEG_H
#define PT_TXN_PAGE_LEG_H

#include <pt/parties.h>

/* The entry of an item of one page, what stands there, and what will. HOLD has none. */
struct pt__single {
	struct pt_item *item;
	pt_pte *slot;
	pt_pte old, new;
};

/*
 * Finds it: true, if it is plain: its table is there, so that nothing is to be reserved, it is in
 * no block or group, not logged, nor written by hardware. In a section; what is found holds while
 * the page is claimed.
 */
bool pt__single_find(struct pt_item *item, struct pt__single *page);
/* What pt__commit() would do, for a page that was found, under the drained claim; what is taken
 * away is flushed. */
void pt__single_write(const struct pt__single *page, struct pt_effects *effects);

/*
 * The short way of a transaction whose parties have a page each, in one section. begin: sets up
 * what others read of parties->leg, and claims the pages of parties->args.item, if nobody is in the
 * way and no section has to be waited for; false: nothing is held. end: releases the claims.
 */
bool pt__at_once_begin(struct pt_parties *parties, struct pt_agent *agent);
void pt__at_once_end(struct pt_parties *parties, bool done);
/* The commit point: false, and nothing has changed, when another generation was expected. */
bool pt__at_once_commit(struct pt_parties *parties);

#endif
