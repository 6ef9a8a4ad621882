/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads of descriptors: from tables that are there, inside a section that may see them (L2, L3,
 * W1). */
#include "state.h"

static void loaded(struct pt_check *c, const struct ck_table *t)
{
	if (t->state == CK_LIVE && (c->self || c->inside))
		pt__ck_judge(c, PT_RULE_L2, c->self,
			     "a table was read outside a section, beside one that is in it");
	if (t->state == CK_UNLINKED)
		pt__ck_judge(c, PT_RULE_L3,
			     (c->self && c->self->begun <= t->unlinked) || c->op->serial == t->op,
			     "a table was read by a section that began after it was unlinked");
}

void pt__ck_load_event(struct pt_check *c, const struct pt_event *e)
{
	const struct ck_table *t = pt__ck_table_of(c, e->at);

	if (t && e->kind == PT_EVENT_PRIVATE)
		pt__ck_judge(c, PT_RULE_W1, t->state != CK_LIVE, "a live table was read plainly");
	else if (t)
		loaded(c, t);
	else if (pt__ck_in_memory(c, e->at) && !c->untracked)
		pt__ck_judge(c, PT_RULE_L3, false, "a page was read that is no table any more");
}
