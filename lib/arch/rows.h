/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to the decoders: a field's definition, and rows made from definitions. */
#ifndef ARCH_ROWS_H
#define ARCH_ROWS_H

#include <pt/decode.h>

#include "base/bits.h"

/* `texts` has one entry for each value from 0 on; a value beyond them has the text "reserved". */
struct pt__field_def {
	const char *name;
	uint8_t hi, lo;
	uint8_t texts_count; /* 0: the number says it all */
	const char *const *texts;
};

#define PT__TEXTS(array) sizeof(array) / sizeof((array)[0]), array

struct pt__rows {
	struct pt_field *row;
	unsigned n;
};

void pt__row(struct pt__rows *r, struct pt_field field);
void pt__row_field(struct pt__rows *r, const struct pt__field_def *def, uint64_t v);
void pt__row_fields(struct pt__rows *r, const struct pt__field_def *defs, unsigned count,
		    uint64_t v);
/* A row of bits [hi:lo] that are an address. */
void pt__row_address(struct pt__rows *r, const char *name, unsigned hi, unsigned lo,
		     uint64_t address);
void pt__row_derived(struct pt__rows *r, const char *name, uint64_t value, bool address,
		     const char *text);

/* The class and level that a fault status code names, as text; shared by ESR_EL2 and PAR_EL1. */
const char *pt__fault_status_text(unsigned fsc);

#endif
