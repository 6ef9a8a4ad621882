/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of struct rows, for the output layer alone. */
#ifndef PTCTL_ROWS_H
#define PTCTL_ROWS_H

#include "output.h"

#include <jansson.h>

struct cell {
	bool given;
	uint64_t number;
	double real;
	char *text;
};

struct rows {
	const struct column *column;
	size_t columns, count, capacity;
	struct cell *cell; /* count x columns */
};

/* New memory. */
char *rows_cell_text(const struct rows *rows, size_t row, size_t column, bool pretty,
		     unsigned ipa_bits);
json_t *rows_json(const struct rows *rows);

#endif
