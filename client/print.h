/* SPDX-License-Identifier: BSD-2-Clause */
/* Printers of the output layer: text in rows and columns, and JSON. */
#ifndef PTCTL_PRINT_H
#define PTCTL_PRINT_H

#include "output.h"

#include <jansson.h>

/* What all printers take: text by row and column. */
struct cells {
	size_t rows, columns;
	char **title; /* columns */
	bool *right;  /* columns: numbers stand at the right */
	char **text;  /* rows x columns */
};

struct cells *cells_new(size_t rows, size_t columns); /* texts are NULL: all are to be filled */
void cells_free(struct cells *cells);

void print_tsv(const struct output *out, const struct cells *cells, bool header);
/* `width`: of each column in characters; 0: as wide as its longest text. */
void print_table(const struct output *out, const struct cells *cells, bool header, double width);
/* By out->format; `vertical`: one row as lines of name and value. */
void print_cells(const struct output *out, const struct cells *cells, bool vertical);

/* Takes `content` over; adds the schema's name. */
void print_json(const struct output *out, json_t *content, size_t flags);

#endif
