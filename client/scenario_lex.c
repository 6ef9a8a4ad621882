/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: words of a line, error messages with a caret, nearest names. */
#include "scenario_parse.h"

#include <stdarg.h>
#include <string.h>

/* The line, and a caret under `at`: tabs stay tabs, so that both lines shift alike. */
static void show_line(const struct scn_compiler *c, const struct scn_span *at)
{
	size_t before = (size_t)(at->at - c->line);

	fprintf(c->errors, "  %.*s\n  ", (int)c->line_length, c->line);
	for (size_t i = 0; i < before; i++)
		fputc(c->line[i] == '\t' ? '\t' : ' ', c->errors);
	fputc('^', c->errors);
	for (size_t i = 1; i < at->length; i++)
		fputc('~', c->errors);
	fputc('\n', c->errors);
}

bool scn_error(struct scn_compiler *c, const struct scn_span *at, const char *text, ...)
{
	const struct scn_span line = {c->line, 1};
	va_list args;

	if (!at)
		at = c->words ? &c->word[0].all : &line;
	if (c->error_count++ >= SCN_ERRORS_MAX)
		return false;
	fprintf(c->errors, "%s:%u:%zu: ", c->file, c->line_number, (size_t)(at->at - c->line) + 1);
	va_start(args, text);
	vfprintf(c->errors, text, args);
	va_end(args);
	fputc('\n', c->errors);
	show_line(c, at);
	return false;
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r';
}

/* The comparison that begins at `at`, and its length; 0: none does. */
static size_t compare_at(const char *at, const char *end, uint8_t *compare)
{
	static const struct {
		const char *text;
		uint8_t compare;
	} all[] = {{"<=", SCN_LE}, {">=", SCN_GE}, {"!=", SCN_NE},
		   {"=", SCN_EQ},  {"<", SCN_LT},  {">", SCN_GT}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t n = strlen(all[i].text);

		if ((size_t)(end - at) >= n && !memcmp(at, all[i].text, n)) {
			*compare = all[i].compare;
			return n;
		}
	}
	return 0;
}

static void split_word(struct scn_word *w)
{
	const char *end = w->all.at + w->all.length;
	const char *at = w->all.at;
	size_t n = 0;

	while (at < end && !(n = compare_at(at, end, &w->compare)))
		at++;
	w->key = (struct scn_span){w->all.at, (size_t)(at - w->all.at)};
	w->value = (struct scn_span){NULL, 0};
	if (n)
		w->value = (struct scn_span){at + n, (size_t)(end - at - (ptrdiff_t)n)};
}

bool scn_split(struct scn_compiler *c)
{
	const char *at = c->line, *end = c->line + c->line_length;

	c->words = 0;
	for (;;) {
		struct scn_word *w = &c->word[c->words];

		while (at < end && is_blank(*at))
			at++;
		if (at == end || *at == '#')
			return true;
		if (c->words == SCN_WORDS_MAX)
			return scn_error(c, &(struct scn_span){at, 1},
					 "more than %d words in a line", SCN_WORDS_MAX);
		w->all.at = at;
		while (at < end && !is_blank(*at) && *at != '#') {
			if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
				return scn_error(c, &(struct scn_span){at, 1},
						 "only ASCII text may stand here");
			at++;
		}
		w->all.length = (size_t)(at - w->all.at);
		split_word(w);
		c->words++;
	}
}

/* Edit distance (Levenshtein) of a word and a name, both short. */
static unsigned distance(const struct scn_span *a, const char *b)
{
	unsigned row[SCN_NAME_MAX + 2];
	size_t n = strlen(b);

	if (n > SCN_NAME_MAX || a->length > SCN_NAME_MAX)
		return SCN_NAME_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a->length; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = corner + (a->at[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

const char *scn_nearest(const struct scn_span *word, const void *first, size_t count, size_t stride)
{
	const char *best = NULL;
	unsigned least = (unsigned)(word->length / 2) + 1;

	for (size_t i = 0; i < count; i++) {
		const char *n;
		unsigned d;

		memcpy(&n, (const char *)first + i * stride, sizeof(n));
		d = distance(word, n);

		/* "outcom" begins like "outcome": that is nearer than any edit. */
		if (word->length >= 3 && !strncmp(n, word->at, word->length))
			d = 0;
		if (d < least) {
			least = d;
			best = n;
		}
	}
	return least <= 3 ? best : NULL;
}
