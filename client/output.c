/* SPDX-License-Identifier: BSD-2-Clause */
/* From messages and rows to what the printers print. */
#include "output.h"
#include "commands.h"
#include "fields.h"
#include "print.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 64
#define DEPTH_MAX   4
#define EVENT_WIDTH 18 /* of a column whose later values are not known yet */

/* A leaf field and the way to it through sub-messages. */
struct path {
	const ProtobufCFieldDescriptor *step[DEPTH_MAX];
	unsigned depth;
};

struct grid {
	struct path path[COLUMNS_MAX];
	size_t count;
};

static bool is_message(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* All scalar fields below `type`, depth first. */
static void collect(struct grid *grid, const ProtobufCMessageDescriptor *type, struct path prefix)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = type->fields + i;
		struct path path = prefix;

		if (path.depth == DEPTH_MAX || grid->count == COLUMNS_MAX)
			return;
		path.step[path.depth++] = field;
		if (!is_message(field))
			grid->path[grid->count++] = path;
		else if (field->label != PROTOBUF_C_LABEL_REPEATED)
			collect(grid, field->descriptor, path);
	}
}

/* "geometry.ipa_bits" from `type` on. A name that is not there is left out: views are checked by a
 * test. */
static bool find_path(struct path *path, const ProtobufCMessageDescriptor *type, const char *name,
		      size_t length)
{
	*path = (struct path){0};
	while (length && type && path->depth < DEPTH_MAX) {
		const char *dot = memchr(name, '.', length);
		size_t part = dot ? (size_t)(dot - name) : length;
		const ProtobufCFieldDescriptor *field = NULL;

		for (unsigned i = 0; i < type->n_fields && !field; i++)
			if (strlen(type->fields[i].name) == part &&
			    !memcmp(type->fields[i].name, name, part))
				field = type->fields + i;
		if (!field)
			return false;
		path->step[path->depth++] = field;
		type = is_message(field) ? field->descriptor : NULL;
		name += part + (dot != NULL);
		length -= part + (dot != NULL);
	}
	return path->depth && !length && !is_message(path->step[path->depth - 1]);
}

bool output_columns_exist(const ProtobufCMessageDescriptor *type, const char *columns)
{
	struct path path;

	for (const char *at = columns; *at;) {
		size_t length = strcspn(at, " ");

		if (!find_path(&path, type, at, length))
			return false;
		at += length + strspn(at + length, " ");
	}
	return true;
}

static void choose(struct grid *grid, const ProtobufCMessageDescriptor *type, const char *columns)
{
	grid->count = 0;
	if (!columns) {
		collect(grid, type, (struct path){0});
		return;
	}
	while (*columns && grid->count < COLUMNS_MAX) {
		size_t length = strcspn(columns, " ");

		grid->count += find_path(grid->path + grid->count, type, columns, length);
		columns += length + strspn(columns + length, " ");
	}
}

static char *path_text(const ProtobufCMessage *message, const struct path *path,
		       const struct output *out)
{
	unsigned last = path->depth - 1;

	for (unsigned i = 0; i < last; i++) {
		if (!field_count(message, path->step[i]))
			return text_new("%s", "");
		message = field_item(message, path->step[i], 0);
	}
	return field_text(message, path->step[last], out->format != FORMAT_TSV, out->ipa_bits);
}

static bool is_number(const ProtobufCFieldDescriptor *field)
{
	enum shown shown = field_shown(field);

	return field->label != PROTOBUF_C_LABEL_REPEATED &&
	       (shown == SHOWN_NUMBER || shown == SHOWN_SIGNED || shown == SHOWN_SIZE ||
		shown == SHOWN_LEVEL || shown == SHOWN_SHIFT);
}

/* The field's name; with the way to it where the name alone is taken by a column before. */
static char *title_of(const struct path *path, const struct cells *cells, size_t before,
		      bool pretty)
{
	char *name = field_title(path->step[path->depth - 1], pretty);
	char *title;

	for (size_t c = 0; c < before && path->depth > 1; c++) {
		if (strcmp(cells->title[c], name))
			continue;
		title = text_new("%s.%s", path->step[path->depth - 2]->name, name);
		free(name);
		return title;
	}
	return name;
}

static struct cells *cells_of(const struct grid *grid, const struct output *out,
			      const ProtobufCMessage *const *rows, size_t count)
{
	struct cells *cells = cells_new(count, grid->count);

	for (size_t c = 0; c < grid->count; c++) {
		const ProtobufCFieldDescriptor *leaf = grid->path[c].step[grid->path[c].depth - 1];

		cells->title[c] = title_of(grid->path + c, cells, c, out->format != FORMAT_TSV);
		cells->right[c] = is_number(leaf);
		for (size_t i = 0; i < count; i++)
			cells->text[i * grid->count + c] = path_text(rows[i], grid->path + c, out);
	}
	return cells;
}

/* A message whose only field is a message stands for that: GetMachineResponse for Machine. */
static const ProtobufCMessage *unwrap(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	if (type->n_fields == 1 && is_message(type->fields) &&
	    type->fields->label != PROTOBUF_C_LABEL_REPEATED && field_count(message, type->fields))
		return field_item(message, type->fields, 0);
	return message;
}

/* The lists that a message holds, each under its name. */
static void print_lists(struct output *out, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = type->fields + i;
		size_t count = field_count(message, field);
		const void *items;
		struct grid grid;
		struct cells *cells;

		if (!is_message(field) || field->label != PROTOBUF_C_LABEL_REPEATED || !count)
			continue;
		items = (const char *)message + field->offset;
		choose(&grid, field->descriptor, NULL);
		cells = cells_of(&grid, out, *(const ProtobufCMessage *const *const *)items, count);
		if (out->legend)
			fprintf(out->file, "\n%s:\n", field->name);
		print_table(out, cells, out->legend, 0);
		cells_free(cells);
	}
}

/* An enum that says nothing is no row: its value is "unspecified". */
static void drop_unsaid(struct grid *grid, const ProtobufCMessage *message)
{
	size_t kept = 0;

	for (size_t i = 0; i < grid->count; i++) {
		const ProtobufCFieldDescriptor *field = grid->path[i].step[0];

		if (grid->path[i].depth == 1 && field->type == PROTOBUF_C_TYPE_ENUM &&
		    field->label != PROTOBUF_C_LABEL_REPEATED &&
		    !*(const int32_t *)field_item(message, field, 0))
			continue;
		grid->path[kept++] = grid->path[i];
	}
	grid->count = kept;
}

static void print_one(struct output *out, const ProtobufCMessage *message, const char *columns)
{
	const ProtobufCMessage *inner = columns ? message : unwrap(message);
	struct grid grid;
	struct cells *cells;

	choose(&grid, inner->descriptor, columns);
	if (out->format != FORMAT_TSV && !columns)
		drop_unsaid(&grid, inner);
	if (grid.count) {
		cells = cells_of(&grid, out, &inner, 1);
		print_cells(out, cells, true);
		cells_free(cells);
	}
	if (out->format != FORMAT_TSV && !columns)
		print_lists(out, inner);
}

static const ProtobufCFieldDescriptor *list_of(const ProtobufCMessage *message, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

static void print_pages(struct output *out, ProtobufCMessage *const *pages, size_t count,
			const struct view *view)
{
	const ProtobufCFieldDescriptor *field = list_of(pages[0], view->rows);
	const ProtobufCMessage **rows;
	struct grid grid;
	struct cells *cells;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += field_count(pages[i], field);
	rows = ptctl_alloc((total + 1) * sizeof(*rows));
	total = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < field_count(pages[i], field); k++)
			rows[total++] = field_item(pages[i], field, k);
	choose(&grid, field->descriptor, view->columns);
	cells = cells_of(&grid, out, rows, total);
	print_cells(out, cells, false);
	cells_free(cells);
	free(rows);
}

void output_pages(struct output *out, ProtobufCMessage *const *pages, size_t count,
		  const struct view *view)
{
	json_t *json;

	if (out->quiet || !count)
		return;
	if (out->format != FORMAT_JSON) {
		print_pages(out, pages, count, view);
		return;
	}
	json = field_json_message(pages[0]);
	for (size_t i = 1; i < count; i++) {
		json_t *page = field_json_message(pages[i]);

		json_array_extend(json_object_get(json, view->rows),
				  json_object_get(page, view->rows));
		json_decref(page);
	}
	json_object_del(json, "next_page_token");
	print_json(out, json, JSON_INDENT(2));
}

void output_message(struct output *out, const ProtobufCMessage *message, const struct view *view)
{
	if (out->quiet)
		return;
	if (out->format == FORMAT_JSON)
		print_json(out, field_json_message(message), JSON_INDENT(2));
	else if (view->rows)
		print_pages(out, (ProtobufCMessage *const *)&message, 1, view);
	else
		print_one(out, message, view->columns);
}

void output_event(struct output *out, const ProtobufCMessage *message, const struct view *view)
{
	bool header = out->legend && !out->streaming;
	struct grid grid;
	struct cells *cells;

	if (out->quiet)
		return;
	out->streaming = true;
	if (out->format == FORMAT_JSON) {
		print_json(out, field_json_message(message), JSON_COMPACT);
	} else {
		choose(&grid, message->descriptor, view->columns);
		cells = cells_of(&grid, out, &message, 1);
		if (out->format == FORMAT_TSV)
			print_tsv(out, cells, header);
		else
			print_table(out, cells, header, EVENT_WIDTH);
		cells_free(cells);
	}
	fflush(out->file);
}

void output_rows(struct output *out, const char *key, const struct rows *rows, bool vertical)
{
	struct cells *cells;
	json_t *json;

	if (out->quiet)
		return;
	if (out->format == FORMAT_JSON) {
		json = json_object();
		json_object_set_new(json, key, rows_json(rows));
		print_json(out, json, JSON_INDENT(2));
		return;
	}
	cells = cells_new(rows->count, rows->columns);
	for (size_t c = 0; c < rows->columns; c++) {
		enum cell_kind kind = rows->column[c].kind;

		cells->title[c] = text_new("%s", rows->column[c].name);
		cells->right[c] = kind == CELL_NUMBER || kind == CELL_SIGNED || kind == CELL_REAL ||
				  kind == CELL_SIZE;
		for (size_t i = 0; i < rows->count; i++)
			cells->text[i * rows->columns + c] = rows_cell_text(
				rows, i, c, out->format != FORMAT_TSV, out->ipa_bits);
	}
	print_cells(out, cells, vertical);
	cells_free(cells);
}
