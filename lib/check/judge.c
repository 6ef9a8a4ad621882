/* SPDX-License-Identifier: BSD-2-Clause */
/* Verdicts, and their counts. */
#include "state.h"

static const struct {
	const char *name, *text;
} rule[PT_RULES] = {
#define PT_X(id, text) {#id, text},
	PT_RULE_TABLE(PT_X)
#undef PT_X
};

const char *pt_rule_name(unsigned at)
{
	return at < PT_RULES ? rule[at].name : NULL;
}

const char *pt_rule_text(unsigned at)
{
	return at < PT_RULES ? rule[at].text : NULL;
}

void pt__ck_broken(struct pt_check *c, enum pt_rule id, const char *text)
{
	c->broken[id]++;
	if (c->kept)
		*c->finding = (struct pt_finding){.rule = id,
						  .text = text,
						  .serial = c->serial,
						  .op = c->op->node.key,
						  .op_kind = c->op->kind,
						  .op_from = c->op->serial};
	c->kept = false;
}

uint64_t pt_check_judged(const struct pt_check *check, enum pt_rule id)
{
	return check->judged[id];
}

uint64_t pt_check_broken(const struct pt_check *check, enum pt_rule id)
{
	return check->broken[id];
}

uint64_t pt_check_untracked(const struct pt_check *check)
{
	return check->untracked;
}

void pt_check_set_quirks(struct pt_check *check, uint32_t quirks)
{
	check->config.quirks = quirks;
}
