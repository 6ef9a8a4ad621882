/* SPDX-License-Identifier: BSD-2-Clause */
/* A step as text. */
#include <inttypes.h>

#include "play.h"

const char *const verb_names[VERB_COUNT] = {"none",
#define X(name, text) text,
					    VERBS(X)
#undef X
};

static const char *const fields[STEP_FIELDS] = {"",	"guest", "frame",  "gfn", "n",
						"prot", "flags", "budget", "nth", "give-up",
						"die",	"more",	 "apart"};

void script_line(char *to, size_t room, const struct step *s)
{
	uint32_t field[STEP_FIELDS];
	size_t n = (size_t)snprintf(to, room, "%s", verb_names[s->verb]);

	memcpy(field, s, sizeof(field));
	for (unsigned i = 1; i < STEP_FIELDS && n < room; i++)
		if (field[i])
			n += (size_t)snprintf(to + n, room - n, " %s %" PRIu32, fields[i],
					      field[i]);
}

static uint32_t index_of(const char *word, const char *const *names, uint32_t count)
{
	uint32_t i = 1;

	while (i < count && strcmp(word, names[i]) != 0)
		i++;
	return i;
}

/* Fields that are not named are 0. */
bool script_parse(const char *line, struct step *s)
{
	uint32_t field[STEP_FIELDS] = {0};
	char copy[STEP_TEXT], *rest, *word, *number;

	snprintf(copy, sizeof(copy), "%s", line);
	word = strtok_r(copy, " \n", &rest);
	field[0] = index_of(word ? word : "", verb_names, VERB_COUNT);
	while (field[0] < VERB_COUNT && (word = strtok_r(NULL, " \n", &rest))) {
		uint32_t i = index_of(word, fields, STEP_FIELDS);

		number = strtok_r(NULL, " \n", &rest);
		if (i == STEP_FIELDS || !number)
			return false;
		field[i] = (uint32_t)strtoul(number, NULL, 0);
	}
	memcpy(s, field, sizeof(field));
	return s->verb < VERB_COUNT;
}
