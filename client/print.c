/* SPDX-License-Identifier: BSD-2-Clause */
/* Text as a table (libsmartcols), as TSV, and JSON (jansson). */
#include "print.h"
#include "commands.h"
#include "fields.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "ptd/v1"

struct cells *cells_new(size_t rows, size_t columns)
{
	struct cells *cells = ptctl_alloc(sizeof(*cells));

	cells->rows = rows;
	cells->columns = columns;
	cells->title = ptctl_alloc((columns + 1) * sizeof(*cells->title));
	cells->right = ptctl_alloc(columns + 1);
	cells->text = ptctl_alloc((rows * columns + 1) * sizeof(*cells->text));
	memset(cells->text, 0, (rows * columns + 1) * sizeof(*cells->text));
	return cells;
}

void cells_free(struct cells *cells)
{
	for (size_t i = 0; i < cells->columns; i++)
		free(cells->title[i]);
	for (size_t i = 0; i < cells->rows * cells->columns; i++)
		free(cells->text[i]);
	free(cells->title);
	free(cells->right);
	free(cells->text);
	free(cells);
}

static json_t *with_schema(json_t *content)
{
	json_t *top = json_object();

	json_object_set_new(top, "schema", json_string(SCHEMA));
	json_object_update(top, content);
	json_decref(content);
	return top;
}

void print_json(const struct output *out, json_t *content, size_t flags)
{
	json_t *json = with_schema(content);

	if (json_dumpf(json, out->file, flags | JSON_ENSURE_ASCII))
		ptctl_alloc(SIZE_MAX);
	fputc('\n', out->file);
	json_decref(json);
}

/* Tabs and line ends in a value would break the columns. */
static void print_tsv_value(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '\t')
			fputs("\\t", file);
		else if (*text == '\n')
			fputs("\\n", file);
		else if (*text == '\\')
			fputs("\\\\", file);
		else
			fputc(*text, file);
	}
}

void print_tsv(const struct output *out, const struct cells *cells, bool header)
{
	for (size_t c = 0; header && c < cells->columns; c++)
		fprintf(out->file, "%s%c", cells->title[c], c + 1 < cells->columns ? '\t' : '\n');
	for (size_t i = 0; i < cells->rows * cells->columns; i++) {
		print_tsv_value(out->file, cells->text[i]);
		fputc((i + 1) % cells->columns ? '\t' : '\n', out->file);
	}
}

static char *upper(const char *text)
{
	char *copy = text_new("%s", text);

	for (char *c = copy; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	return copy;
}

static void fill_table(struct libscols_table *table, const struct cells *cells, double width)
{
	for (size_t c = 0; c < cells->columns; c++) {
		char *title = upper(cells->title[c]);
		int flags = (cells->right[c] ? SCOLS_FL_RIGHT : 0) |
			    (width > 1 ? SCOLS_FL_STRICTWIDTH : 0);

		if (!scols_table_new_column(table, title, width, flags))
			ptctl_alloc(SIZE_MAX);
		free(title);
	}
	for (size_t i = 0; i < cells->rows; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		if (!line)
			ptctl_alloc(SIZE_MAX);
		for (size_t c = 0; c < cells->columns; c++)
			scols_line_set_data(line, c, cells->text[i * cells->columns + c]);
	}
}

void print_table(const struct output *out, const struct cells *cells, bool header, double width)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		ptctl_alloc(SIZE_MAX);
	scols_table_set_stream(table, out->file);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER); /* never cut a value */
	scols_table_enable_noheadings(table, !header);
	fill_table(table, cells, width);
	/* An empty table still shows its header. */
	if (cells->rows || !header)
		scols_print_table(table);
	else
		for (size_t c = 0; c < cells->columns; c++) {
			char *title = upper(cells->title[c]);

			fprintf(out->file, "%s%c", title, c + 1 < cells->columns ? ' ' : '\n');
			free(title);
		}
	scols_unref_table(table);
}

/* One row as lines of name and value. */
static void print_vertical(const struct output *out, const struct cells *cells)
{
	struct cells *turned = cells_new(cells->columns, 2);

	turned->rows = 0;
	turned->title[0] = text_new("name");
	turned->title[1] = text_new("value");
	turned->right[0] = turned->right[1] = false;
	for (size_t c = 0; c < cells->columns; c++) {
		char **text = turned->text + 2 * turned->rows;

		/* What is not there, a whole sub-message for one, needs no line. */
		if (!*cells->text[c])
			continue;
		text[0] = text_new("%s", cells->title[c]);
		text[1] = text_new("%s", cells->text[c]);
		turned->rows++;
	}
	print_table(out, turned, false, 0);
	cells_free(turned);
}

void print_cells(const struct output *out, const struct cells *cells, bool vertical)
{
	if (out->format == FORMAT_TSV)
		print_tsv(out, cells, out->legend);
	else if (vertical && cells->rows == 1)
		print_vertical(out, cells);
	else
		print_table(out, cells, out->legend, 0);
}
