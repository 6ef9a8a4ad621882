/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl explain and completion: commands that need no daemon. */
#include "commands.h"
#include "fields.h"
#include "help.h"

#include <pt/outcome.h>
#include <stdlib.h>

#define CODES 256

enum { COLUMN_ID, COLUMN_NAME, COLUMN_CLASS, COLUMN_GRPC, COLUMN_TEXT, COLUMN_HINT, COLUMN_COUNT };

static void add(struct rows *rows, const struct pt_outcome_info *info)
{
	static const char *const classes[] = {"outcome", "control", "error"};
	char *id = text_new("PTD-E%04u", (unsigned)info->code);

	rows_add(rows);
	rows_text(rows, COLUMN_ID, id);
	rows_text(rows, COLUMN_NAME, info->name);
	rows_text(rows, COLUMN_CLASS, classes[info->class]);
	rows_number(rows, COLUMN_GRPC, info->grpc);
	rows_text(rows, COLUMN_TEXT, info->text);
	rows_text(rows, COLUMN_HINT, info->hint);
	free(id);
}

int cmd_explain(struct ptctl *ctl)
{
	static const struct column columns[COLUMN_COUNT] = {
		{"id", CELL_TEXT},    {"name", CELL_TEXT},
		{"class", CELL_TEXT}, {"grpc_status", CELL_NUMBER},
		{"text", CELL_TEXT},  {"hint", CELL_TEXT},
	};
	struct rows *rows = rows_new(columns, COLUMN_COUNT);
	bool one = ptctl_given(ctl, "code");

	for (unsigned code = 0; code < CODES; code++)
		if (pt_outcome_info(code) && (!one || code == ptctl_number(ctl, "code")))
			add(rows, pt_outcome_info(code));
	output_rows(&ctl->out, "errors", rows, one);
	rows_free(rows);
	return EXIT_DONE;
}

/* A script is text: as it stands in a table, as one value elsewhere. */
int cmd_completion(struct ptctl *ctl)
{
	static const struct column column = {"script", CELL_TEXT};
	struct rows *rows;
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);

	if (!memory)
		ptctl_alloc(SIZE_MAX);
	completion_bash(memory);
	fclose(memory);
	if (ctl->out.format == FORMAT_TABLE) {
		if (!ctl->out.quiet)
			fputs(text, ctl->out.file);
	} else {
		rows = rows_new(&column, 1);
		rows_add(rows);
		rows_text(rows, 0, text);
		output_rows(&ctl->out, "completion", rows, true);
		rows_free(rows);
	}
	free(text);
	return EXIT_DONE;
}
