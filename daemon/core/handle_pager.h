/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of PagerService.ServePages share. */
#ifndef PTD_HANDLE_PAGER_H
#define PTD_HANDLE_PAGER_H

#include "domain_types.h"
#include "slots.h"

#include "ptd/v1/pager.pb-c.h"

struct work;

enum serving_phase { SERVING_OPENS, SERVING_UNMAPS, SERVING, SERVING_LEAVES };

/* The state of a stream, from a good `open` to its end. */
struct serving {
	struct pager *pager;
	uint64_t context; /* handle */
	enum serving_phase phase;
	uint32_t window;
	struct slot_turn turn;
	struct work *work; /* in memory of the message that opens */
	struct pt_item item;
	const struct pt_slots *made; /* not yet published */
};

static inline struct pagers *pagers_of(struct call *call)
{
	return &call->domain->pagers;
}

/* handle_pager.c: the pages are the stream's to supply from now on; and the stream ends, what its
 * range lacks stays absent, unless the pager has come to its end. */
enum call_result serving_begin(struct call *call, bool resumed);
void serving_part(struct call *call);

/* handle_pager_open.c: the first message; on with it, in the phase that the stream is in; and it is
 * given up. */
enum call_result serving_open(struct call *call);
enum call_result serving_open_on(struct call *call);
enum call_result serving_open_abandon(struct call *call);

#endif
