/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl relax, annotate, young and flush: each an Apply of one item. */
#include "commands.h"

#include "ptd/v1/mapping.pb-c.h"

/* The columns of one item. */
struct item {
	uint64_t ipa, size, pa;
	uint32_t kind, prot;
};

static Ptd__V1__Ops columns(struct item *item)
{
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;

	ops.n_ipa = ops.n_size = ops.n_pa = ops.n_kind = ops.n_prot = 1;
	ops.ipa = &item->ipa;
	ops.size = &item->size;
	ops.pa = &item->pa;
	ops.kind = &item->kind;
	ops.prot = &item->prot;
	return ops;
}

/* Range and options are those that all these commands have. */
static int change(struct ptctl *ctl, struct item *item)
{
	Ptd__V1__ApplyRequest request = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops;

	item->ipa = ptctl_number(ctl, "ipa");
	item->size = ptctl_number(ctl, "size");
	ops = columns(item);
	request.ops = &ops;
	request.mode = PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC;
	request.want_outcomes = true;
	return ptctl_ask(ctl, "/ptd.v1.MappingService/Apply", &request.base,
			 &ptd__v1__apply_response__descriptor);
}

int cmd_relax(struct ptctl *ctl)
{
	struct item item = {.kind = PTD_ITEM_RELAX, .prot = (uint32_t)ptctl_number(ctl, "prot")};

	return change(ctl, &item);
}

/* The invalid descriptor: type in 63:60, payload in 59:1. */
int cmd_annotate(struct ptctl *ctl)
{
	uint64_t type = ptctl_number(ctl, "type");
	struct item item = {.kind = PTD_ITEM_ANNOTATE,
			    .pa = type << 60 | ptctl_number(ctl, "payload") << 1};

	if (type < 2)
		return ptctl_usage(ctl, "type: %u is ptd's own\n  hint: accepted: 2 to 15",
				   (unsigned)type);
	return change(ctl, &item);
}

int cmd_young(struct ptctl *ctl)
{
	struct item item = {.kind = PTD_ITEM_MAKE_YOUNG};

	return change(ctl, &item);
}

int cmd_flush(struct ptctl *ctl)
{
	struct item item = {.kind = PTD_ITEM_FLUSH};

	return change(ctl, &item);
}
