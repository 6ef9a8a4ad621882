/* SPDX-License-Identifier: BSD-2-Clause */
/* A party of one page; private to lib. */
#ifndef PT_TXN_PAGE_LEG_H
#define PT_TXN_PAGE_LEG_H

#include <pt/parties.h>

#include "mark.h"

/* One entry of the last level, what stands there, and what will; and the kind of item that does
 * so: UNMAP, ANNOTATE, MAP, SET_SW. */
struct pt__single {
	struct pt_ctx *ctx;
	uint64_t ipa;
	uint32_t kind;
	uint32_t prot; /* MAP */
	pt_pte *slot;
	pt_pte old, new;
};

/* Has the context neither logs, groups, wide descriptors, nor such as hardware writes? Then a page
 * of it is one entry, and nothing else has to know. */
static inline bool pt__has_plain_pages(const struct pt_ctx *ctx)
{
	return (ctx->ruled || ctx->plain) && !ctx->shadowed && !pt__logs(ctx) &&
	       !atomic_load_explicit(&ctx->grouped, memory_order_relaxed);
}

/* What pt__commit() would do, under the drained claim of a page that is plain: what is taken away
 * is flushed. */
void pt__single_write(const struct pt__single *page, struct pt_effects *effects);

/*
 * The short way of a transaction whose parties have a page each, in one section. The caller has set
 * `legs`, and of each leg the item (of which the context is read) and the claim's lo and hi, the
 * host's first. begin: claims the pages, if nobody is in the way and no section has to be waited
 * for; false: nothing is held. commit: the commit point; no generation is expected. end: releases
 * the claims.
 */
bool pt__at_once_begin(struct pt_parties *parties, struct pt_agent *agent);
void pt__at_once_commit(struct pt_parties *parties);
void pt__at_once_end(struct pt_parties *parties, bool done);

#endif
