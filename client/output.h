/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place where ptctl prints data: tables, JSON and TSV, from messages or from rows. */
#ifndef PTCTL_OUTPUT_H
#define PTCTL_OUTPUT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum format {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_TSV,
	FORMAT_OTHER, /* one that only this command knows: output.name says which */
};

struct output {
	FILE *file;
	enum format format;
	const char *name;  /* as given to -o */
	bool legend;	   /* header lines and titles */
	bool quiet;	   /* no data at all; the exit code tells */
	unsigned ipa_bits; /* of the context at hand: IPAs are padded to it; 0: unknown */
	bool streaming;	   /* output_event() has printed its header */
};

/*
 * What of a message is a row. `rows`: name of its repeated message field whose items are the rows;
 * NULL: the message itself is one. `columns`: names of fields, words separated by spaces,
 * "a.b" for a field of a sub-message; NULL: all scalar fields, sub-messages flattened.
 * JSON always has the whole message.
 */
struct view {
	const char *rows;
	const char *columns;
};

void output_message(struct output *out, const ProtobufCMessage *message, const struct view *view);

/* The same for messages that arrive one by one: one line each, the header before the first. */
void output_event(struct output *out, const ProtobufCMessage *message, const struct view *view);

/* Several pages of one list: all items as one list. The messages have one type and view->rows. */
void output_pages(struct output *out, ProtobufCMessage *const *pages, size_t count,
		  const struct view *view);

/* Does `type` have all these columns (as in view.columns)? For the test of the command table. */
bool output_columns_exist(const ProtobufCMessageDescriptor *type, const char *columns);

/* Data that is no message. */
enum cell_kind {
	CELL_TEXT,
	CELL_NUMBER,
	CELL_SIGNED,
	CELL_REAL,    /* six digits after the point */
	CELL_IPA,     /* hexadecimal, padded to the IPA width in tables; a string in JSON */
	CELL_ADDRESS, /* hexadecimal; a string in JSON */
	CELL_SIZE,    /* bytes: largest exact unit in tables, a number elsewhere */
	CELL_BOOL,
};

struct column {
	const char *name; /* lower_snake */
	enum cell_kind kind;
};

struct rows;
/* `columns` must outlive the rows. Exits when memory is short, as everything of ptctl does. */
struct rows *rows_new(const struct column *columns, size_t count);
void rows_free(struct rows *rows);
void rows_add(struct rows *rows); /* a new row, all cells empty (null in JSON) */
void rows_text(struct rows *rows, size_t column, const char *text);
void rows_number(struct rows *rows, size_t column, uint64_t number);
void rows_signed(struct rows *rows, size_t column, int64_t number);
void rows_real(struct rows *rows, size_t column, double real);

/* JSON: {"schema":"ptd/v1", key: [{...}]}. `vertical`: the only row as a table of names and values.
 */
void output_rows(struct output *out, const char *key, const struct rows *rows, bool vertical);

#endif
