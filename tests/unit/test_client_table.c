/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of the command table: what parsing, help and completion rely on. */
#include "client/commands.h"
#include "client/parse.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"
#include "ptd/v1/pager.pb-c.h"
#include "ptd/v1/server.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16

static const char *name_of(const struct command *row)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%s%s", row->noun, row->verb ? " " : "",
		 row->verb ? row->verb : "");
	return name;
}

static size_t count(const struct param *params)
{
	size_t n = 0;

	for (; params && params->name; params++)
		n++;
	return n;
}

static void every_row_is_complete(void **state)
{
	(void)state;
	for (const struct command *row = command_table; row->noun; row++) {
		print_message("# %s\n", name_of(row));
		assert_non_null(row->help);
		assert_non_null(row->example);
		assert_non_null(row->run);
		assert_true(count(row->args) + count(row->options) <= PTCTL_VALUES_MAX);
		assert_ptr_equal(command_find(row->noun, row->verb), row);
	}
}

static void a_noun_stands_alone_or_has_verbs(void **state)
{
	(void)state;
	for (const struct command *row = command_table; row->noun; row++)
		for (const struct command *other = command_table; other->noun; other++)
			if (!strcmp(row->noun, other->noun))
				assert_int_equal(!row->verb, !other->verb);
}

static void check_params(const struct param *params, bool options)
{
	bool optional = false;

	for (; params && params->name; params++) {
		assert_non_null(params->help);
		assert_true(params->type < VALUE_TYPES);
		assert_int_equal(params->type == VALUE_CHOICE, params->choices != NULL);
		assert_false(options && params->optional);
		/* What follows an optional argument is optional. */
		assert_true(params->optional || !optional);
		optional = params->optional;
		for (const struct param *other = params + 1; other->name; other++)
			assert_string_not_equal(params->name, other->name);
		for (const struct param *other = global_options; options && other->name; other++)
			assert_string_not_equal(params->name, other->name);
	}
}

static void names_of_parameters_are_unique(void **state)
{
	(void)state;
	for (const struct command *row = command_table; row->noun; row++) {
		check_params(row->args, false);
		check_params(row->options, true);
		for (const struct param *arg = row->args; arg && arg->name; arg++)
			for (const struct param *o = row->options; o && o->name; o++)
				assert_string_not_equal(arg->name, o->name);
	}
}

static int parse(struct ptctl *ctl, char *line)
{
	char *words[WORDS_MAX + 1];
	int n = 0;

	for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = word;
	words[n] = NULL;
	*ctl = (struct ptctl){.out = {.file = stdout, .legend = true}};
	return parse_line(ctl, n, words);
}

static void every_example_parses_to_its_command(void **state)
{
	(void)state;
	for (const struct command *row = command_table; row->noun; row++) {
		char *line = strdup(strstr(row->example, "ptctl "));
		struct ptctl ctl;

		line[strcspn(line, ")")] = '\0';
		print_message("# %s\n", row->example);
		assert_int_equal(parse(&ctl, line), PARSE_RUN);
		assert_ptr_equal(ctl.command, row);
		parse_free(&ctl);
		free(line);
	}
}

static void options_and_words_come_in_any_order(void **state)
{
	static const char *const lines[] = {
		"ptctl map m0/g0 0x1000 4K 0 rw --replace -o json",
		"ptctl map --replace m0/g0 0x1000 -o json 4K 0 rw",
		"ptctl -o json map m0/g0 0x1000 --replace 4K 0 rw",
		"ptctl -ojson map --replace -- m0/g0 0x1000 4K 0 rw",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *line = strdup(lines[i]);
		struct ptctl ctl;

		assert_int_equal(parse(&ctl, line), PARSE_RUN);
		assert_int_equal(ctl.out.format, FORMAT_JSON);
		assert_int_equal(ptctl_number(&ctl, "ipa"), 0x1000);
		assert_int_equal(ptctl_number(&ctl, "size"), 4096);
		assert_int_equal(ptctl_number(&ctl, "prot"), 3);
		assert_true(ptctl_given(&ctl, "replace"));
		assert_false(ptctl_given(&ctl, "pages"));
		free(line);
	}
}

/* Rows whose columns are named: a wrong name would only be an empty table. */
static void columns_exist_in_their_messages(void **state)
{
	static const struct {
		const char *noun, *verb;
		const ProtobufCMessageDescriptor *type;
	} rows[] = {
		{"machine", "list", &ptd__v1__machine__descriptor},
		{"context", "list", &ptd__v1__context__descriptor},
		{"context", "watch", &ptd__v1__watch_contexts_response__descriptor},
		{"failpoint", "list", &ptd__v1__failpoint__descriptor},
		{"dirty", "list", &ptd__v1__dirty_log__descriptor},
		{"relax", NULL, &ptd__v1__apply_response__descriptor},
		{"annotate", NULL, &ptd__v1__apply_response__descriptor},
		{"young", NULL, &ptd__v1__apply_response__descriptor},
		{"flush", NULL, &ptd__v1__apply_response__descriptor},
		{"own", "share", &ptd__v1__transfer_response__descriptor},
		{"own", "unshare", &ptd__v1__transfer_response__descriptor},
		{"own", "donate", &ptd__v1__transfer_response__descriptor},
		{"own", "lend", &ptd__v1__transfer_response__descriptor},
		{"own", "retrieve", &ptd__v1__transfer_response__descriptor},
		{"own", "relinquish", &ptd__v1__transfer_response__descriptor},
		{"own", "reclaim", &ptd__v1__transfer_response__descriptor},
		{"own", "reclaim-dying", &ptd__v1__transfer_response__descriptor},
		{"own", "top-up", &ptd__v1__transfer_response__descriptor},
		{"own", "pin", &ptd__v1__transfer_response__descriptor},
		{"own", "unpin", &ptd__v1__transfer_response__descriptor},
		{"own", "watch", &ptd__v1__watch_owners_response__descriptor},
		{"nested", "list", &ptd__v1__shadow__descriptor},
		{"pager", "serve", &ptd__v1__page_wanted__descriptor},
	};
	size_t with_columns = 0;

	(void)state;
	for (const struct command *row = command_table; row->noun; row++)
		with_columns += row->view.columns != NULL;
	assert_int_equal(with_columns, sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(output_columns_exist(
			rows[i].type, command_find(rows[i].noun, rows[i].verb)->view.columns));
	assert_false(output_columns_exist(&ptd__v1__context__descriptor, "name no_such_field"));
	assert_false(output_columns_exist(&ptd__v1__context__descriptor, "geometry"));
}

static void exit_codes_tell_kinds_of_failure_apart(void **state)
{
	static const struct {
		struct ptd_status status;
		int code;
	} cases[] = {
		{{.state = PTD_STATE_OK}, EXIT_DONE},
		{{.state = PTD_STATE_FAILED, .grpc = 3}, EXIT_REFUSED},
		{{.state = PTD_STATE_FAILED, .grpc = 6}, EXIT_REFUSED},
		{{.state = PTD_STATE_FAILED, .grpc = 14}, EXIT_REFUSED},
		{{.state = PTD_STATE_FAILED, .grpc = 3, .where = PTD_WHERE_ARGUMENT}, EXIT_USAGE},
		{{.state = PTD_STATE_FAILED, .grpc = 14, .where = PTD_WHERE_CONNECT}, EXIT_CONNECT},
		{{.state = PTD_STATE_UNKNOWN, .grpc = 14, .where = PTD_WHERE_LOST}, EXIT_UNKNOWN},
		{{.state = PTD_STATE_FAILED, .grpc = 4}, EXIT_UNKNOWN},
		{{.state = PTD_STATE_FAILED, .grpc = 7}, EXIT_UNAUTHORISED},
		{{.state = PTD_STATE_FAILED, .grpc = 16}, EXIT_UNAUTHORISED},
		{{.state = PTD_STATE_FAILED, .grpc = 5}, EXIT_PRECONDITION},
		{{.state = PTD_STATE_FAILED, .grpc = 9}, EXIT_PRECONDITION},
		{{.state = PTD_STATE_FAILED, .grpc = 10}, EXIT_PRECONDITION},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ptctl_exit_code(&cases[i].status), cases[i].code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_complete),
		cmocka_unit_test(a_noun_stands_alone_or_has_verbs),
		cmocka_unit_test(names_of_parameters_are_unique),
		cmocka_unit_test(every_example_parses_to_its_command),
		cmocka_unit_test(options_and_words_come_in_any_order),
		cmocka_unit_test(columns_exist_in_their_messages),
		cmocka_unit_test(exit_codes_tell_kinds_of_failure_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
