/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of typed cells: data of ptctl's own that is no message. */
#include "rows.h"
#include "commands.h"
#include "fields.h"

#include <stdlib.h>
#include <string.h>

static struct cell *cell_at(const struct rows *rows, size_t row, size_t column)
{
	return rows->cell + row * rows->columns + column;
}

struct rows *rows_new(const struct column *columns, size_t count)
{
	struct rows *rows = ptctl_alloc(sizeof(*rows));

	*rows = (struct rows){.column = columns, .columns = count};
	return rows;
}

void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->count * rows->columns; i++)
		free(rows->cell[i].text);
	free(rows->cell);
	free(rows);
}

void rows_add(struct rows *rows)
{
	if (rows->count == rows->capacity) {
		size_t larger = rows->capacity ? rows->capacity * 2 : 16;
		struct cell *cell = ptctl_alloc(larger * rows->columns * sizeof(*cell));

		if (rows->count)
			memcpy(cell, rows->cell, rows->count * rows->columns * sizeof(*cell));
		free(rows->cell);
		rows->cell = cell;
		rows->capacity = larger;
	}
	memset(cell_at(rows, rows->count++, 0), 0, rows->columns * sizeof(struct cell));
}

static struct cell *last(struct rows *rows, size_t column)
{
	struct cell *cell = cell_at(rows, rows->count - 1, column);

	free(cell->text);
	*cell = (struct cell){.given = true};
	return cell;
}

void rows_text(struct rows *rows, size_t column, const char *text)
{
	last(rows, column)->text = text_new("%s", text);
}

void rows_number(struct rows *rows, size_t column, uint64_t number)
{
	last(rows, column)->number = number;
}

void rows_signed(struct rows *rows, size_t column, int64_t number)
{
	last(rows, column)->number = (uint64_t)number;
}

void rows_real(struct rows *rows, size_t column, double real)
{
	last(rows, column)->real = real;
}

char *rows_cell_text(const struct rows *rows, size_t row, size_t column, bool pretty,
		     unsigned ipa_bits)
{
	const struct cell *cell = cell_at(rows, row, column);

	if (!cell->given)
		return text_new("%s", "");
	switch (rows->column[column].kind) {
	case CELL_TEXT: return text_new("%s", cell->text);
	case CELL_REAL: return text_new("%.6f", cell->real);
	default:
		return shown_text((enum shown)rows->column[column].kind, cell->number, pretty,
				  ipa_bits);
	}
}

static json_t *cell_json(const struct rows *rows, size_t row, size_t column)
{
	const struct cell *cell = cell_at(rows, row, column);
	json_t *text;

	if (!cell->given)
		return json_null();
	switch (rows->column[column].kind) {
	case CELL_TEXT: text = json_string(cell->text); return text ? text : json_string("");
	case CELL_REAL: return json_real(cell->real);
	default: return shown_json((enum shown)rows->column[column].kind, cell->number);
	}
}

json_t *rows_json(const struct rows *rows)
{
	json_t *array = json_array();

	for (size_t i = 0; i < rows->count; i++) {
		json_t *object = json_object();

		for (size_t c = 0; c < rows->columns; c++)
			json_object_set_new(object, rows->column[c].name, cell_json(rows, i, c));
		json_array_append_new(array, object);
	}
	return array;
}
