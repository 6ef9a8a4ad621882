/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads command lines: words choose a row of the command table, getopt_long the options of it. */
#include "parse.h"
#include "help.h"
#include "text.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX  48
#define OPTION_FIRST 256 /* getopt values of long options; short ones are characters */

const struct param global_options[] = {
	{.name = "endpoint",
	 .type = VALUE_TEXT,
	 .help = "unix:PATH, tcp:HOST:PORT or tls:HOST:PORT; otherwise PTD_ENDPOINT, or where ptd listens by "
		 "default"},
	{.name = "timeout",
	 .type = VALUE_DURATION,
	 .help = "deadline of each call: 500ms, 10s, 2min; 0: none; 30s if not given"},
	{.name = "tls-ca",
	 .type = VALUE_TEXT,
	 .help = "tls: file of the CA that signs the daemon's certificate; otherwise PTD_TLS_CA, or the system's"},
	{.name = "tls-certificate",
	 .type = VALUE_TEXT,
	 .help = "tls: file of your own certificate; otherwise PTD_TLS_CERTIFICATE"},
	{.name = "tls-key",
	 .type = VALUE_TEXT,
	 .help = "tls: file of its key; otherwise PTD_TLS_KEY"},
	{.name = "output", .type = VALUE_TEXT, .help = "-o: table, json or tsv"},
	{.name = "no-legend", .type = VALUE_FLAG, .help = "no header lines"},
	{.name = "quiet", .type = VALUE_FLAG, .help = "-q: no data; the exit code tells"},
	{.name = "help", .type = VALUE_FLAG, .help = "-h: help on the command"},
	{.name = "version", .type = VALUE_FLAG, .help = "-V: version of ptctl"},
	{0},
};

const struct command *command_find(const char *noun, const char *verb)
{
	for (const struct command *row = command_table; row->noun; row++)
		if (!strcmp(row->noun, noun) &&
		    (row->verb ? verb && !strcmp(row->verb, verb) : !verb))
			return row;
	return NULL;
}

bool noun_exists(const char *noun)
{
	for (const struct command *row = command_table; row->noun; row++)
		if (!strcmp(row->noun, noun))
			return true;
	return false;
}

/* --- options ------------------------------------------------------------------------------- */

struct options {
	struct option option[OPTIONS_MAX];
	const struct param *param[OPTIONS_MAX];
	int count;
};

static void add_options(struct options *options, const struct param *params)
{
	for (; params && params->name; params++) {
		if (options->count == OPTIONS_MAX - 1)
			abort(); /* the table is checked by a test */
		options->param[options->count] = params;
		options->option[options->count] = (struct option){
			.name = params->name,
			.has_arg = params->type == VALUE_FLAG ? no_argument : required_argument,
			.val = OPTION_FIRST + options->count};
		options->count++;
	}
}

static int index_of(const struct options *options, int got)
{
	static const char *const shorts[][2] = {{"e", "endpoint"}, {"t", "timeout"},
						{"o", "output"},   {"q", "quiet"},
						{"h", "help"},	   {"V", "version"}};

	if (got >= OPTION_FIRST)
		return got - OPTION_FIRST;
	for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
		for (int k = 0; *shorts[i][0] == got && k < options->count; k++)
			if (!strcmp(options->param[k]->name, shorts[i][1]))
				return k;
	return -1;
}

static bool in_list(const char *list, const char *word)
{
	while (list) {
		size_t length = strcspn(list, "|");

		if (strlen(word) == length && !memcmp(list, word, length))
			return true;
		list = list[length] ? list + length + 1 : NULL;
	}
	return false;
}

static int set_format(struct ptctl *ctl, const char *name)
{
	static const char *const names[] = {"table", "json", "tsv"};

	ctl->out.name = name;
	ctl->out.format = FORMAT_OTHER;
	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(name, names[i]))
			ctl->out.format = (enum format)i;
	return 0;
}

/* After the command is known: does it have that format? */
static int check_format(const struct ptctl *ctl)
{
	const char *own = ctl->command->formats;

	if (ctl->out.format != FORMAT_OTHER || in_list(own, ctl->out.name) ||
	    (own && !strcmp(own, "*")))
		return PARSE_RUN;
	return ptctl_usage(ctl,
			   "there is no output format '%s'\n  hint: accepted: table, json, "
			   "tsv%s%s",
			   ctl->out.name, own ? "|" : "", own ? own : "");
}

static int set_global(struct ptctl *ctl, const struct value *value)
{
	const char *name = value->param->name;

	if (!strcmp(name, "endpoint"))
		ctl->endpoint = value->text;
	else if (!strcmp(name, "timeout"))
		ctl->connection.timeout_ms = (uint32_t)value->number;
	else if (!strcmp(name, "tls-ca"))
		ctl->connection.tls_ca = value->text;
	else if (!strcmp(name, "tls-certificate"))
		ctl->connection.tls_certificate = value->text;
	else if (!strcmp(name, "tls-key"))
		ctl->connection.tls_key = value->text;
	else if (!strcmp(name, "output"))
		set_format(ctl, value->text);
	else if (!strcmp(name, "no-legend"))
		ctl->out.legend = false;
	else if (!strcmp(name, "quiet"))
		ctl->out.quiet = true;
	else if (!strcmp(name, "help"))
		ctl->wants_help = true;
	else
		return help_version();
	return PARSE_RUN;
}

static bool is_global(const struct param *param)
{
	return param >= global_options &&
	       param < global_options + sizeof(global_options) / sizeof(global_options[0]);
}

static int set_option(struct ptctl *ctl, const struct param *param, const char *text)
{
	struct value local = {0}, *value = &local;
	char *why;
	int result;

	for (size_t i = 0; i < ctl->value_count; i++)
		if (ctl->values[i].param == param)
			value = ctl->values + i;
	free(value->bytes);
	value->bytes = NULL;
	why = parse_value(value, param, text);
	if (!why)
		return is_global(param) ? set_global(ctl, value) : PARSE_RUN;
	result = ptctl_usage(ctl, "--%s: %s", param->name, why);
	free(why);
	return result;
}

static int bad_option(struct ptctl *ctl, const struct options *options, int got, char **argv)
{
	const char *given = argv[optind - 1];
	const char *nearest = NULL;
	unsigned best = 3;

	if (got == ':')
		return ptctl_usage(ctl, "%s needs a value", given);
	if (strncmp(given, "--", 2))
		return ptctl_usage(ctl, "there is no option -%c", optopt);
	/* A flag that was given a value, "--replace=1", has optopt set. */
	if (optopt >= OPTION_FIRST)
		return ptctl_usage(ctl, "--%s takes no value",
				   options->option[optopt - OPTION_FIRST].name);
	for (int i = 0; i < options->count; i++) {
		unsigned distance = edit_distance(given + 2, options->option[i].name);

		if (distance < best) {
			best = distance;
			nearest = options->option[i].name;
		}
	}
	if (nearest)
		return ptctl_usage(ctl, "there is no option %s\n  hint: did you mean --%s?", given,
				   nearest);
	return ptctl_usage(ctl, "there is no option %s", given);
}

/* Options from *argv on; "+" stops at the first word, "" takes words and options in any order. */
static int take_options(struct ptctl *ctl, const struct param *own, int argc, char **argv,
			const char *shorts)
{
	struct options options = {.count = 0};
	int got;

	add_options(&options, global_options);
	add_options(&options, own);
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while ((got = getopt_long(argc, argv, shorts, options.option, NULL)) != -1) {
		int index = got == '?' || got == ':' ? -1 : index_of(&options, got);
		int result;

		if (index < 0)
			return bad_option(ctl, &options, got, argv);
		result = set_option(ctl, options.param[index], optarg);
		if (result != PARSE_RUN)
			return result;
	}
	return PARSE_RUN;
}

/* --- words --------------------------------------------------------------------------------- */

static void add_values(struct ptctl *ctl, const struct param *params)
{
	for (; params && params->name; params++) {
		if (ctl->value_count == PTCTL_VALUES_MAX)
			abort(); /* the table is checked by a test */
		ctl->values[ctl->value_count++] = (struct value){.param = params};
	}
}

static int take_words(struct ptctl *ctl, int count, char **words)
{
	const struct param *param = ctl->command->args;
	int i = 0;

	for (; param && param->name; param++, i++) {
		char *why;
		int result;

		if (i >= count) {
			if (param->optional)
				break;
			return ptctl_usage(ctl, "%s is missing: %s", param->name, param->help);
		}
		why = parse_value(ctl->values + i, param, words[i]);
		if (!why)
			continue;
		result = ptctl_usage(ctl, "%s: %s", param->name, why);
		free(why);
		return result;
	}
	if (i < count)
		return ptctl_usage(ctl, "'%s' is one word too many", words[i]);
	return PARSE_RUN;
}

/* The command of the words at *argc, *argv, which are moved past it. */
static int find_command(struct ptctl *ctl, int *argc, char ***argv)
{
	const char *noun = (*argv)[0];
	const char *verb = *argc > 1 ? (*argv)[1] : NULL;

	if (!noun_exists(noun))
		return help_unknown(ctl, NULL, noun);
	ctl->command = command_find(noun, NULL);
	if (ctl->command) {
		*argc -= 1;
		*argv += 1;
		return PARSE_RUN;
	}
	if (!verb || *verb == '-') {
		bool asked = verb && (!strcmp(verb, "--help") || !strcmp(verb, "-h"));

		return asked || ctl->wants_help ? help_noun(stdout, noun)
						: help_missing_verb(ctl, noun);
	}
	ctl->command = command_find(noun, verb);
	if (!ctl->command)
		return help_unknown(ctl, noun, verb);
	*argc -= 2;
	*argv += 2;
	return PARSE_RUN;
}

int parse_line(struct ptctl *ctl, int argc, char **argv)
{
	int result = take_options(ctl, NULL, argc, argv, "+:e:t:o:qhV");

	if (result != PARSE_RUN)
		return result;
	argc -= optind;
	argv += optind;
	if (argc && !strcmp(argv[0], "help")) {
		ctl->wants_help = true;
		argc--;
		argv++;
	}
	if (!argc)
		return ctl->wants_help ? help_all(stdout) : help_missing_noun(ctl);
	result = find_command(ctl, &argc, &argv);
	if (result != PARSE_RUN)
		return result;
	add_values(ctl, ctl->command->args);
	add_values(ctl, ctl->command->options);
	/* getopt skips argv[0]: the word before is the command's. */
	result = take_options(ctl, ctl->command->options, argc + 1, argv - 1, ":e:t:o:qhV");
	if (result != PARSE_RUN)
		return result;
	if (ctl->wants_help)
		return help_command(stdout, ctl->command);
	result = check_format(ctl);
	if (result != PARSE_RUN)
		return result;
	return take_words(ctl, argc + 1 - optind, argv - 1 + optind);
}

void parse_free(struct ptctl *ctl)
{
	for (size_t i = 0; i < ctl->value_count; i++)
		free(ctl->values[i].bytes);
}
