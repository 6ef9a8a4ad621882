/* SPDX-License-Identifier: BSD-2-Clause */
/* A step as text. */
#include "play.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verbs[] = {
#define X(name) #name,
	VERBS(X)
#undef X
};

void script_line(char *to, size_t room, const struct step *s)
{
	size_t n = (size_t)snprintf(
		to, room, "%-6s who %u ctx %u vcpu %u flags %#x arg %#" PRIx64 " items %u",
		verbs[s->verb], s->who, s->ctx, s->vcpu, s->flags, s->arg, s->count);
	bool one = s->verb == V_access || s->verb == V_fault || s->verb == V_slot ||
		   s->verb == V_upkeep || s->verb == V_dirty;

	for (unsigned i = 0; i < (one ? 1 : s->count) && n < room; i++)
		n += (size_t)snprintf(to + n, room - n,
				      " [ %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " %#x %#x %u ]",
				      s->item[i].ipa, s->item[i].size, s->item[i].pa,
				      s->item[i].prot, s->item[i].flags, s->item[i].kind);
}

/* The next word, and a number after it if it is a name. */
static uint64_t number(char **rest)
{
	char *word = strtok_r(NULL, " \n", rest);

	return word ? strtoull(word, NULL, 0) : 0;
}

static uint64_t named(char **rest)
{
	strtok_r(NULL, " \n", rest);
	return number(rest);
}

bool script_parse(const char *line, struct step *s)
{
	char copy[STEP_TEXT], *rest, *word;

	snprintf(copy, sizeof(copy), "%s", line);
	*s = (struct step){.verb = VERB_COUNT};
	word = strtok_r(copy, " \n", &rest);
	for (uint32_t i = 0; word && i < VERB_COUNT; i++)
		if (strcmp(word, verbs[i]) == 0)
			s->verb = i;
	if (s->verb == VERB_COUNT)
		return false;
	s->who = (uint32_t)named(&rest);
	s->ctx = (uint32_t)named(&rest);
	s->vcpu = (uint32_t)named(&rest);
	s->flags = (uint32_t)named(&rest);
	s->arg = named(&rest);
	s->count = (uint32_t)named(&rest);
	for (unsigned i = 0; i < STEP_ITEMS && (word = strtok_r(NULL, " \n", &rest)); i++) {
		struct step_item *item = &s->item[i];

		item->ipa = number(&rest);
		item->size = number(&rest);
		item->pa = number(&rest);
		item->prot = (uint32_t)number(&rest);
		item->flags = (uint32_t)number(&rest);
		item->kind = (uint32_t)number(&rest);
		strtok_r(NULL, " \n", &rest);
	}
	return s->count <= STEP_ITEMS;
}
