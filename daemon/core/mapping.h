/* SPDX-License-Identifier: BSD-2-Clause */
/* What the handlers of MappingService share. */
#ifndef PTD_MAPPING_H
#define PTD_MAPPING_H

#include "domain_work.h"

#include "ptd/v1/mapping.pb-c.h"

/* Is there anything that the generation must count? */
bool effects_changed(const struct pt_effects *effects);
/* Was a translation taken away, so that a reply waits for accesses in flight? */
bool effects_invalidated(const struct pt_effects *effects);

/* The columns of an Apply, checked: a stride of 0 holds one value for all. */
struct columns {
	const uint64_t *ipa, *size, *pa;
	const uint32_t *kind, *prot, *flags;
	uint32_t n;
	uint8_t size_step, pa_step, kind_step, prot_step, flags_step;
};

/* CALL_MORE: good. Else the call has been failed. */
enum call_result columns_check(struct call *call, const Ptd__V1__Ops *ops, struct columns *columns);

/* The kinds whose prot, or pa, counts; in others the column may hold anything. */
#define KINDS_WITH_PROT (1u << PT_ITEM_MAP | 1u << PT_ITEM_PROTECT | 1u << PT_ITEM_RELAX)
#define KINDS_WITH_PA	(1u << PT_ITEM_MAP | 1u << PT_ITEM_ANNOTATE)

static inline bool kind_is_of(uint32_t kind, uint32_t kinds)
{
	return kind < 32 && kinds >> kind & 1;
}

static inline void columns_item(const struct columns *c, uint32_t i, struct pt_item *item)
{
	item->ipa.v = c->ipa[i];
	item->size = c->size[i * c->size_step];
	item->kind = c->kind[i * c->kind_step];
	item->flags = c->flags[i * c->flags_step];
	item->prot = kind_is_of(item->kind, KINDS_WITH_PROT) ? c->prot[i * c->prot_step] : 0;
	item->pa.v = kind_is_of(item->kind, KINDS_WITH_PA) ? c->pa[i * c->pa_step] : 0;
}

/* A batch under way. */
struct apply {
	Ptd__V1__ApplyResponse response;
	Ptd__V1__Effects effects_message;
	struct columns columns;
	struct pt_effects effects;
	struct work *work;
	uint32_t at;	  /* next item */
	uint64_t context; /* handle */
	uint8_t phase;
	bool validate_only, want_outcomes, best_effort, counted, sorted;
	uint64_t expected;
	struct pt_item one; /* of a transaction for one item */
	/* ATOMIC */
	struct pt_item *item;
	uint32_t *order, *scratch; /* item k of the transaction is item order[k] of the request */
	uint32_t width;		   /* of the runs that are sorted so far */
};

/*
 * An Apply, whatever brought it: `q` is in the call's arena and its context and request id have
 * been dealt with. Ends with the response, a struct ptd.v1.ApplyResponse, or the call failed. The
 * call's `state` is Apply's own from begin to end.
 */
enum call_result apply_begin(struct call *call, const Ptd__V1__ApplyRequest *q, uint64_t context);
enum call_result apply_go_on(struct call *call);
/* The call was abandoned after apply_begin(). CALL_DONE with a response: it had an effect, and went
 * on to its end. */
enum call_result apply_undo(struct call *call);

/* The last step of all modes: columns and effects into the response, which becomes the call's. */
enum call_result apply_answer(struct call *call, struct apply *a);
/* The effects stand: counters, the generation, watchers. */
void apply_settle(struct call *call, struct apply *a, struct context *c);

/* ATOMIC: one transaction. */
enum call_result atomic_step(struct call *call, struct apply *a, struct context *c);
enum call_result atomic_abandon(struct call *call, struct apply *a);

#endif
