/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints what the command table says, for people and for bash. */
#include "help.h"
#include "parse.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

static void upper(FILE *file, const char *text)
{
	for (; *text; text++)
		fputc(toupper((unsigned char)*text), file);
}

static const char *value_word(enum value_type type)
{
	static const char *const words[VALUE_TYPES] = {
		[VALUE_FLAG] = "",	     [VALUE_TEXT] = "TEXT", [VALUE_NUMBER] = "N",
		[VALUE_ADDRESS] = "ADDRESS", [VALUE_SIZE] = "SIZE", [VALUE_PROT] = "PROT",
		[VALUE_HEX] = "BYTES",	     [VALUE_CHOICE] = "",   [VALUE_MACHINE] = "MACHINE",
		[VALUE_CONTEXT] = "CONTEXT", [VALUE_CODE] = "CODE", [VALUE_DURATION] = "TIME",
	};

	return words[type];
}

void help_usage_line(FILE *file, const struct command *command)
{
	fprintf(file, "ptctl %s%s%s", command->noun, command->verb ? " " : "",
		command->verb ? command->verb : "");
	for (const struct param *arg = command->args; arg && arg->name; arg++) {
		fputs(arg->optional ? " [" : " ", file);
		upper(file, arg->name);
		if (arg->optional)
			fputc(']', file);
	}
	if (command->options)
		fputs(" [OPTIONS]", file);
}

static void print_options(FILE *file, const char *title, const struct param *options)
{
	if (!options || !options->name)
		return;
	fprintf(file, "\n%s:\n", title);
	for (; options->name; options++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", options->name,
			 options->type == VALUE_FLAG ? "" : " ",
			 options->type == VALUE_CHOICE ? options->choices
						       : value_word(options->type));
		fprintf(file, "  %-28s %s\n", left, options->help);
	}
}

int help_command(FILE *file, const struct command *command)
{
	fputs("usage: ", file);
	help_usage_line(file, command);
	fprintf(file, "\n\n%s\n", command->help);
	if (command->args && command->args->name)
		fputs("\narguments:\n", file);
	for (const struct param *arg = command->args; arg && arg->name; arg++) {
		fputs("  ", file);
		upper(file, arg->name);
		fprintf(file, "%*s %s", (int)(strlen(arg->name) < 28 ? 28 - strlen(arg->name) : 0),
			"", arg->help);
		if (arg->type == VALUE_CHOICE)
			fprintf(file, ": %s", arg->choices);
		fputc('\n', file);
	}
	print_options(file, "options", command->options);
	print_options(file, "options of all commands", global_options);
	if (command->formats && !strcmp(command->formats, "*"))
		fputs("\noutput: -o FILE\n", file);
	else
		fprintf(file, "\noutput: -o table|json|tsv%s%s\n", command->formats ? "|" : "",
			command->formats ? command->formats : "");
	fprintf(file, "example: %s\n", command->example);
	return EXIT_DONE;
}

static void print_row(FILE *file, const struct command *row)
{
	char left[40];

	snprintf(left, sizeof(left), "%s%s%s", row->noun, row->verb ? " " : "",
		 row->verb ? row->verb : "");
	fprintf(file, "  %-22s %s\n", left, row->help);
}

int help_noun(FILE *file, const char *noun)
{
	fprintf(file, "usage: ptctl %s VERB ...\n\n", noun);
	for (const struct command *row = command_table; row->noun; row++)
		if (!strcmp(row->noun, noun))
			print_row(file, row);
	fprintf(file, "\nhelp on one: ptctl %s VERB --help\n", noun);
	return EXIT_DONE;
}

int help_all(FILE *file)
{
	fputs("usage: ptctl [OPTIONS] COMMAND ...\n\n"
	      "Talks to ptd, the page-table daemon.\n\ncommands:\n",
	      file);
	for (const struct command *row = command_table; row->noun; row++)
		print_row(file, row);
	print_options(file, "options of all commands", global_options);
	fputs("\nhelp on one: ptctl COMMAND --help. Exit codes and formats: ptctl(1).\n", file);
	return EXIT_DONE;
}

int help_version(void)
{
	printf("ptctl %s\n", ptd_version());
	return EXIT_DONE;
}

int help_missing_noun(const struct ptctl *ctl)
{
	return ptctl_usage(ctl, "a command is missing");
}

int help_missing_verb(const struct ptctl *ctl, const char *noun)
{
	ptctl_usage(ctl, "'%s' needs a verb", noun);
	for (const struct command *row = command_table; row->noun; row++)
		if (!strcmp(row->noun, noun))
			print_row(stderr, row);
	return EXIT_USAGE;
}

int help_unknown(const struct ptctl *ctl, const char *noun, const char *word)
{
	const char *nearest = NULL;
	unsigned best = 3;

	for (const struct command *row = command_table; row->noun; row++) {
		const char *candidate = noun ? row->verb : row->noun;
		unsigned distance;

		if (noun && strcmp(row->noun, noun))
			continue;
		distance = edit_distance(word, candidate);
		if (distance < best) {
			best = distance;
			nearest = candidate;
		}
	}
	if (nearest)
		return ptctl_usage(ctl,
				   "there is no command '%s%s%s'\n  hint: did you mean '%s%s%s'?",
				   noun ? noun : "", noun ? " " : "", word, noun ? noun : "",
				   noun ? " " : "", nearest);
	return ptctl_usage(ctl, "there is no command '%s%s%s'", noun ? noun : "", noun ? " " : "",
			   word);
}

/* --- bash ---------------------------------------------------------------------------------- */

static void words_of_options(FILE *file, const struct param *options)
{
	for (; options && options->name; options++)
		fprintf(file, " --%s", options->name);
}

static bool first_of_noun(const struct command *row)
{
	for (const struct command *before = command_table; before < row; before++)
		if (!strcmp(before->noun, row->noun))
			return false;
	return true;
}

static void words_of_choices(FILE *file, const struct param *args)
{
	for (; args && args->name; args++)
		for (const char *at = args->type == VALUE_CHOICE ? args->choices : ""; *at; at++)
			fputc(at == args->choices ? (fputc(' ', file), *at)
			      : *at == '|'	  ? ' '
						  : *at,
			      file);
}

void completion_bash(FILE *file)
{
	fputs("# bash completion of ptctl; made by: ptctl completion bash\n"
	      "_ptctl()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n"
	      "\tcase \"$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]-}\" in\n"
	      "\t1\\ *) words=\"help",
	      file);
	for (const struct command *row = command_table; row->noun; row++)
		if (first_of_noun(row))
			fprintf(file, " %s", row->noun);
	words_of_options(file, global_options);
	fputs("\" ;;\n", file);
	for (const struct command *row = command_table; row->noun; row++) {
		if (!row->verb || !first_of_noun(row))
			continue;
		fprintf(file, "\t2\\ %s\\ *) words=\"", row->noun);
		for (const struct command *verb = row; verb->noun; verb++)
			if (!strcmp(verb->noun, row->noun))
				fprintf(file, "%s ", verb->verb);
		fputs("\" ;;\n", file);
	}
	for (const struct command *row = command_table; row->noun; row++) {
		fprintf(file, "\t*\\ %s\\ %s*) words=\"", row->noun, row->verb ? row->verb : "");
		words_of_options(file, row->options);
		words_of_choices(file, row->args);
		words_of_options(file, global_options);
		fputs("\" ;;\n", file);
	}
	fputs("\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	      "}\ncomplete -o default -F _ptctl ptctl\n",
	      file);
}
