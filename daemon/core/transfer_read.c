/* SPDX-License-Identifier: BSD-2-Clause */
/* Items of a Transfer as ranges of lib's. */
#include "transfer_read.h"

#include "context.h"
#include "registry.h"

#include "ptd/v1/ownership.pb-c.h"

#include <stdio.h>
#include <string.h>

#define HOST	   PTD__V1__OWNER_KIND__OWNER_KIND_HOST
#define HYP	   PTD__V1__OWNER_KIND__OWNER_KIND_HYP
#define GUEST	   PTD__V1__OWNER_KIND__OWNER_KIND_GUEST
#define OTHER	   PTD__V1__OWNER_KIND__OWNER_KIND_OTHER
#define KIND(name) PTD__V1__TRANSFER_KIND__TRANSFER_KIND_##name

enum by { BY_PA, BY_IPA, BY_BOTH };

static const struct transition {
	uint8_t kind, from, to;
	uint8_t of_lib; /* enum pt_transfer_kind */
	uint8_t by;	/* which addresses the request has */
	bool prot, zero;
} transitions[] = {
	{KIND(SHARE), HOST, HYP, PT_SHARE_HYP, BY_PA, 0, 0},
	{KIND(SHARE), HOST, OTHER, PT_SHARE_THIRD, BY_PA, 0, 0},
	{KIND(SHARE), HOST, GUEST, PT_SHARE_GUEST, BY_BOTH, 1, 0},
	{KIND(SHARE), GUEST, HOST, PT_SHARE_BACK, BY_IPA, 0, 0},
	{KIND(UNSHARE), HOST, HYP, PT_UNSHARE_HYP, BY_PA, 0, 0},
	{KIND(UNSHARE), HOST, OTHER, PT_UNSHARE_THIRD, BY_PA, 0, 0},
	{KIND(UNSHARE), HOST, GUEST, PT_UNSHARE_GUEST, BY_IPA, 0, 0},
	{KIND(UNSHARE), GUEST, HOST, PT_UNSHARE_BACK, BY_IPA, 0, 0},
	{KIND(DONATE), HOST, HYP, PT_DONATE_HYP, BY_PA, 0, 1},
	{KIND(DONATE), HYP, HOST, PT_RETURN_HYP, BY_PA, 0, 0},
	{KIND(DONATE), HOST, GUEST, PT_DONATE_GUEST, BY_BOTH, 0, 1},
	{KIND(DONATE), GUEST, HOST, PT_BALLOON, BY_IPA, 0, 0},
	{KIND(FORCE_RECLAIM), GUEST, HOST, PT_FORCE_RECLAIM, BY_PA, 0, 0},
	{KIND(TOP_UP), HOST, GUEST, PT_TOP_UP, BY_PA, 0, 0},
	{KIND(RECLAIM), GUEST, HOST, PT_RECLAIM_DYING, BY_IPA, 0, 0},
	{KIND(PIN), HOST, HYP, PT_PIN, BY_PA, 0, 0},
	{KIND(UNPIN), HOST, HYP, PT_UNPIN, BY_PA, 0, 0},
};

/* An item, and how refusals call it. */
struct item {
	struct call *call;
	struct machine *machine;
	const Ptd__V1__TransferItem *q;
	char name[16];
};

static uint32_t kind_of(const Ptd__V1__Party *party)
{
	return party ? party->kind : PTD__V1__OWNER_KIND__OWNER_KIND_UNSPECIFIED;
}

/* "SHARE"; "?" for a number that has none. */
static const char *name_of(const ProtobufCEnumDescriptor *of, int value, const char *prefix)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(of, value);

	return v ? v->name + strlen(prefix) : "?";
}

static void fail_transition(const struct item *i)
{
	uint32_t kind = i->q->kind;
	uint32_t from = kind_of(i->q->from), to = kind_of(i->q->to);

	call_fail(i->call, PT_INVALID, "%s.kind: %u: there is no %s from %s to %s", i->name, kind,
		  name_of(&ptd__v1__transfer_kind__descriptor, (int)kind, "TRANSFER_KIND_"),
		  name_of(&ptd__v1__owner_kind__descriptor, (int)from, "OWNER_KIND_"),
		  name_of(&ptd__v1__owner_kind__descriptor, (int)to, "OWNER_KIND_"));
}

/* NULL: the call has been failed. */
static const struct transition *find_transition(const struct item *i)
{
	for (size_t n = 0; n < sizeof(transitions) / sizeof(transitions[0]); n++) {
		const struct transition *t = &transitions[n];

		if (t->kind == i->q->kind && t->from == kind_of(i->q->from) &&
		    t->to == kind_of(i->q->to))
			return t;
	}
	fail_transition(i);
	return NULL;
}

const struct context *transfer_guest(struct call *call, struct machine *m, uint64_t handle,
				     const char *name)
{
	const struct context *c = find_context(call, handle, name);

	if (!c || (c->machine == m && atomic_load(&m->owners->guest[c->guest]) == c->handle))
		return c;
	call_fail(call, PT_INVALID, "%s: it is no guest of this machine", name);
	return NULL;
}

/* A forced reclaim takes from whichever guest has it; all others name theirs. */
static enum call_result read_party(const struct item *i, const struct transition *t,
				   const Ptd__V1__Party *party, const char *field,
				   struct transfer_items *to)
{
	struct owners *o = i->machine->owners;
	char name[32];
	const struct context *c;

	snprintf(name, sizeof(name), "%s.%s.context", i->name, field);
	if (party->kind != GUEST || t->of_lib == PT_FORCE_RECLAIM) {
		if (!party->context ||
		    (party->kind == HOST && party->context == atomic_load(&o->host)))
			return CALL_MORE;
		return call_fail(i->call, PT_INVALID, "%s: it goes with guests", name);
	}
	to->of_guest = true;
	if (t->of_lib == PT_TOP_UP &&
	    owners_reserved(o, party->context, &to->range[to->count].guest))
		return CALL_MORE;
	c = transfer_guest(i->call, i->machine, party->context, name);
	if (!c)
		return CALL_DONE;
	to->range[to->count].guest = c->guest;
	if (c->pt.geo.granule_shift > to->unit_shift)
		to->unit_shift = c->pt.geo.granule_shift;
	return CALL_MORE;
}

const char *transfer_lend_field(const Ptd__V1__TransferItem *q)
{
	return q->lend_handle	    ? "lend_handle"
	       : q->n_borrowers	    ? "borrowers"
	       : q->lend_size	    ? "lend_size"
	       : q->lend_timeout_ms ? "lend_timeout_ms"
				    : NULL;
}

/* What belongs to other kinds. */
static enum call_result check_fields(const struct item *i, const struct transition *t)
{
	const Ptd__V1__TransferItem *q = i->q;
	const char *field = NULL;

	if (q->pa && t->by == BY_IPA)
		field = "pa";
	else if (q->ipa && t->by == BY_PA)
		field = "ipa";
	else if (q->prot && !t->prot)
		field = "prot";
	else if (q->zero && !t->zero)
		field = "zero";
	else
		field = transfer_lend_field(q);
	if (field)
		return call_fail(i->call, PT_INVALID, "%s.%s: not with this kind and parties",
				 i->name, field);
	if (!q->size)
		return call_fail(i->call, PT_INVALID, "%s.size: the range is empty", i->name);
	return CALL_MORE;
}

/* All of a request are one transition over several ranges. */
static enum call_result check_alike(const struct item *i, const struct transition *t,
				    struct transfer_items *to, struct pt_transfer_args *args)
{
	if (!to->count) {
		args->kind = t->of_lib;
		to->by_pa = t->by != BY_IPA;
		to->by_ipa = t->by != BY_PA;
		args->wipe = i->q->zero;
	}
	if (args->kind != t->of_lib)
		return call_fail(
			i->call, PT_INVALID,
			"%s.kind: items are of one kind, between parties of the same kinds",
			i->name);
	if (args->wipe != (bool)i->q->zero)
		return call_fail(i->call, PT_INVALID, "%s.zero: it is the same for all items",
				 i->name);
	return CALL_MORE;
}

static enum call_result read_item(const struct item *i, struct transfer_items *to,
				  struct pt_transfer_args *args)
{
	const struct transition *t = find_transition(i);
	const Ptd__V1__TransferItem *q = i->q;

	if (!t || check_fields(i, t) != CALL_MORE || check_alike(i, t, to, args) != CALL_MORE)
		return CALL_DONE;
	to->range[to->count] = (struct pt_transfer_range){
		.pa = q->pa, .ipa = pt_ipa(q->ipa), .size = q->size, .prot = q->prot};
	if (read_party(i, t, q->from, "from", to) != CALL_MORE ||
	    read_party(i, t, q->to, "to", to) != CALL_MORE)
		return CALL_DONE;
	to->count++;
	return CALL_MORE;
}

enum call_result transfer_read(struct call *call, struct machine *m,
			       const Ptd__V1__TransferRequest *q, struct transfer_items *to,
			       struct pt_transfer_args *args)
{
	struct item item = {.call = call, .machine = m};

	args->owners = &m->owners->pt;
	to->unit_shift = args->owners->host->geo.granule_shift;
	for (uint32_t i = 0; i < q->n_items; i++) {
		item.q = q->items[i];
		snprintf(item.name, sizeof(item.name), "items[%u]", i);
		if (read_item(&item, to, args) == CALL_MORE)
			continue;
		call->status.index = i;
		return CALL_DONE;
	}
	args->range = to->range;
	args->ranges = to->count;
	return CALL_MORE;
}
