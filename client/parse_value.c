/* SPDX-License-Identifier: BSD-2-Clause */
/* One word of a command line to the value that its parameter asks for. */
#include "fields.h"
#include "number.h"
#include "parse.h"
#include "text.h"

#include <errno.h>
#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_DATA_MAX (16u << 20)

static char *parse_number(struct value *value, const char *text)
{
	const char *why = number_parse(text, strlen(text), &value->number);

	if (why)
		return text_new("'%s' %s\n  hint: " NUMBER_ACCEPTED, text, why);
	if (value->param->limit && value->number > value->param->limit)
		return text_new(value->param->limit >> 32 ? "%s is more than 0x%llx"
							  : "%s is more than %llu",
				text, (unsigned long long)value->param->limit);
	return NULL;
}

static char *parse_prot(struct value *value, const char *text)
{
	uint32_t prot;

	if (!prot_parse(text, &prot))
		return text_new("'%s' is not a set of rights\n  hint: " PROT_ACCEPTED, text);
	value->number = prot;
	return NULL;
}

static char *read_file(struct value *value, const char *name)
{
	FILE *file = strcmp(name, "-") ? fopen(name, "rbe") : stdin;
	char *why = NULL;

	if (!file)
		return text_new("%s: %s", name, strerror(errno));
	value->bytes = ptctl_alloc(FILE_DATA_MAX + 1);
	value->length = fread(value->bytes, 1, FILE_DATA_MAX + 1, file);
	if (ferror(file))
		why = text_new("%s: %s", name, strerror(errno));
	else if (value->length > FILE_DATA_MAX)
		why = text_new("%s: more than 16M", name);
	if (file != stdin)
		fclose(file);
	return why;
}

static char *parse_hex(struct value *value, const char *text)
{
	if (*text == '@')
		return read_file(value, text + 1);
	value->bytes = ptctl_alloc(strlen(text) / 2 + 1);
	if (hex_parse(text, value->bytes, &value->length))
		return NULL;
	return text_new("'%s' is not bytes\n  hint: accepted: pairs of hexadecimal digits (first "
			"byte first, '_' between pairs), @FILE or @-",
			text);
}

static char *parse_choice(struct value *value, const char *text)
{
	const char *at = value->param->choices;

	for (value->number = 1; at; value->number++) {
		size_t length = strcspn(at, "|");

		if (strlen(text) == length && !memcmp(at, text, length))
			return NULL;
		at = at[length] ? at + length + 1 : NULL;
	}
	return text_new("'%s' is not one of %s", text, value->param->choices);
}

static char *parse_duration(struct value *value, const char *text)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60000}};
	size_t digits = strspn(text, "0123456789");

	for (size_t i = 0; digits && digits < 8 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].unit))
			continue;
		value->number = strtoull(text, NULL, 10) * units[i].ms;
		if (value->number <= UINT32_MAX)
			return NULL;
	}
	return text_new("'%s' is not a time\n  hint: accepted: 500ms, 10s, 2min", text);
}

/* A name, or a handle in hexadecimal. */
static char *parse_object(struct value *value, const char *text)
{
	bool context = value->param->type == VALUE_CONTEXT;
	const char *slash = strchr(text, '/');

	if (!strncmp(text, "0x", 2) && !number_parse(text, strlen(text), &value->number) &&
	    value->number)
		return NULL;
	value->number = 0;
	if (!*text || strlen(text) > 255)
		return text_new("'%.40s' is not a name", text);
	if (!context && slash)
		return text_new("'%s' is not a machine\n  hint: accepted: a name like m0, or a "
				"handle like 0x10001",
				text);
	if (context && (!slash || slash == text || !slash[1]))
		return text_new("'%s' is not a context\n  hint: accepted: MACHINE/NAME like m0/g0, "
				"or a handle like 0x10001",
				text);
	return NULL;
}

static char *parse_code(struct value *value, const char *text)
{
	const char *digits = strncasecmp(text, "PTD-E", 5) ? text : text + 5;

	value->number = UINT64_MAX;
	if (*digits && digits[strspn(digits, "0123456789")] == '\0' && strlen(digits) < 8)
		value->number = strtoull(digits, NULL, 10);
	for (unsigned code = 0; code < 256 && value->number == UINT64_MAX; code++)
		if (pt_outcome_info(code) && !strcasecmp(pt_outcome_info(code)->name, text))
			value->number = code;
	if (value->number != UINT64_MAX && pt_outcome_info((unsigned)value->number))
		return NULL;
	return text_new("'%s' is no outcome or error\n  hint: accepted: PTD-E0068, 68 or OVERLAP; "
			"without an argument all are listed",
			text);
}

char *parse_value(struct value *value, const struct param *param, const char *text)
{
	value->param = param;
	value->given = true;
	value->text = text;
	switch (param->type) {
	case VALUE_FLAG: value->number = 1; return NULL;
	case VALUE_NUMBER:
	case VALUE_ADDRESS:
	case VALUE_SIZE: return parse_number(value, text);
	case VALUE_PROT: return parse_prot(value, text);
	case VALUE_HEX: return parse_hex(value, text);
	case VALUE_CHOICE: return parse_choice(value, text);
	case VALUE_MACHINE:
	case VALUE_CONTEXT: return parse_object(value, text);
	case VALUE_CODE: return parse_code(value, text);
	case VALUE_DURATION: return parse_duration(value, text);
	default: return NULL;
	}
}
