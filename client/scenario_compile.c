/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text to records: lines, plain operations by the table, the finished scenario. */
#include "scenario_parse.h"

#include <stdlib.h>
#include <string.h>

/* More room for one thing in an array that doubles; NULL: no memory. */
static void *grown(void *array, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t more = *room ? *room * 2 : 64;
	void *bigger;

	if (count < *room)
		return array;
	bigger = realloc(array, more * size);
	if (bigger)
		*room = more;
	return bigger;
}

uint32_t scn_string(struct scn_compiler *c, const struct scn_span *s)
{
	uint32_t at = c->string_bytes;

	if (!s->length)
		return 0;
	while (at + s->length + 1 > c->string_room) {
		char *bigger = grown(c->strings, c->string_room, &c->string_room, 1);

		if (!bigger)
			return 0;
		c->strings = bigger;
	}
	memcpy(c->strings + at, s->at, s->length);
	c->strings[at + s->length] = 0;
	c->string_bytes += (uint32_t)s->length + 1;
	return at;
}

struct scn_record *scn_new_record(struct scn_compiler *c, unsigned op)
{
	struct scn_record *bigger = NULL, *r;

	if (c->record_count < SCN_MAX_RECORDS)
		bigger = grown(c->records, c->record_count, &c->record_room, sizeof(*r));
	if (!bigger) {
		scn_error(c, NULL, "more than %u operations, or no memory", SCN_MAX_RECORDS);
		return NULL;
	}
	c->records = bigger;
	r = &c->records[c->record_count++];
	memset(r, 0, sizeof(*r));
	r->op = (uint16_t)op;
	r->object = SCN_NONE;
	r->line = c->line_number;
	r->column = c->words ? (uint16_t)(c->word[0].all.at - c->line + 1) : 1;
	if (c->group != UINT32_MAX) {
		r->flags = scn_in_par(c) ? SCN_F_PAR : SCN_F_BATCH;
		c->records[c->group].body.group.records++;
	}
	return r;
}

static const struct special {
	const char *name;
	scn_special *run;
} specials[] = {
	{"let", scn_line_let},	     {"use", scn_line_use},	      {"expect", scn_line_expect},
	{"end", scn_line_end},	     {"endbatch", scn_line_endbatch}, {"touch", scn_line_touch},
	{"tables", scn_line_tables},
};
#define SPECIALS (sizeof(specials) / sizeof(specials[0]))

static bool unknown_verb(struct scn_compiler *c)
{
	const struct scn_span *s = &c->word[0].key;
	const char *near;
	const char *names[64];
	size_t n = 0;

	for (; n < SPECIALS; n++)
		names[n] = specials[n].name;
	for (const struct scn_verb *v = scn_verb_table; v->name && n < 64; v++)
		names[n++] = v->name;
	near = scn_nearest(s, names, n, sizeof(names[0]));
	if (near)
		return scn_error(c, s, "unknown operation '%.*s'; did you mean '%s'?",
				 (int)s->length, s->at, near);
	return scn_error(c, s, "unknown operation '%.*s'", (int)s->length, s->at);
}

/* What comes after a plain operation is known to be right. */
static void note(struct scn_compiler *c, struct scn_record *r)
{
	uint32_t index = (uint32_t)(r - c->records);

	if (r->op == SCN_STAGE) {
		c->stages++;
		c->par_seen = false;
	}
	if (r->op == SCN_STAGE || r->op == SCN_PAR || r->op == SCN_DIGEST)
		c->last = UINT32_MAX;
	else if (!(r->flags & SCN_F_BATCH))
		c->last = index;
}

static bool line(struct scn_compiler *c)
{
	const struct scn_verb *v;
	struct scn_record *r;

	if (!scn_split(c))
		return false;
	if (!c->words)
		return true;
	for (size_t i = 0; i < SPECIALS; i++)
		if (scn_span_is(&c->word[0].all, specials[i].name))
			return specials[i].run(c);
	v = scn_verb(&c->word[0].all);
	if (!v)
		return unknown_verb(c);
	if (c->stages == SCN_MAX_STAGES && v->op == SCN_STAGE)
		return scn_error(c, NULL, "more than %u stages", SCN_MAX_STAGES);
	if (!scn_line_verb(c, v, &r))
		return false;
	note(c, r);
	return true;
}

static void lines(struct scn_compiler *c, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end && c->error_count < SCN_ERRORS_MAX) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		c->line = text;
		c->line_length = (size_t)(stop - text);
		c->line_number++;
		line(c);
		text = stop + 1;
	}
	if (c->group != UINT32_MAX && c->error_count < SCN_ERRORS_MAX) {
		bool par = scn_in_par(c);

		c->line = c->group_text.at;
		c->line_length = c->group_text.length;
		c->line_number = c->group_line;
		scn_split(c);
		scn_error(c, NULL, "%s has no %s", par ? "par" : "batch", par ? "end" : "endbatch");
	}
}

static void finish(struct scn_compiler *c, struct scenario *s, uint32_t source)
{
	s->header = (struct scn_header){.magic = SCN_MAGIC,
					.version = SCN_VERSION,
					.header_bytes = sizeof(struct scn_header),
					.record_bytes = sizeof(struct scn_record),
					.records = c->record_count,
					.string_bytes = c->string_bytes,
					.machines = c->machines.count,
					.contexts = c->contexts.count,
					.digests = c->digests.count,
					.stages = c->stages,
					.source = source};
	s->header.total_bytes = sizeof(s->header) +
				(uint64_t)c->record_count * sizeof(struct scn_record) +
				c->string_bytes;
	s->records = c->records;
	s->strings = c->strings;
}

static bool names_init(struct scn_names *names, uint32_t limit)
{
	names->limit = limit;
	names->name = calloc(limit, sizeof(names->name[0]));
	return names->name;
}

static void set_lets(struct scn_compiler *c, const struct scn_set *sets, size_t count)
{
	for (size_t i = 0; i < count && c->lets < SCN_LETS_MAX; i++) {
		struct scn_let *let = &c->let[c->lets++];

		snprintf(let->name, sizeof(let->name), "%s", sets[i].name);
		let->value = sets[i].value;
		let->fixed = true;
	}
}

bool scenario_compile(struct scenario *scenario, const char *name, const char *text, size_t length,
		      const struct scn_set *sets, size_t set_count, FILE *errors)
{
	struct scn_compiler *c = calloc(1, sizeof(*c));
	uint32_t source;
	bool ok;

	*scenario = (struct scenario){0};
	if (!c)
		return false;
	*c = (struct scn_compiler){.file = name,
				   .errors = errors,
				   .stages = 1,
				   .context = SCN_NONE,
				   .group = UINT32_MAX,
				   .last = UINT32_MAX};
	ok = names_init(&c->machines, SCN_MAX_MACHINES) &&
	     names_init(&c->contexts, SCN_MAX_CONTEXTS) &&
	     names_init(&c->digests, SCN_MAX_DIGESTS) && names_init(&c->tables, SCN_MAX_TABLES) &&
	     (c->strings = calloc(1, c->string_room = 64)) != NULL;
	if (ok) {
		c->string_bytes = 1; /* offset 0: the empty string */
		source = scn_string(c, &(struct scn_span){name, strlen(name)});
		set_lets(c, sets, set_count);
		lines(c, text, length);
		ok = !c->error_count;
	}
	if (ok) {
		finish(c, scenario, source);
	} else {
		free(c->records);
		free(c->strings);
	}
	free(c->machines.name);
	free(c->contexts.name);
	free(c->digests.name);
	free(c->tables.name);
	free(c);
	return ok;
}
