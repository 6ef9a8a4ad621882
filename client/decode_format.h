/* SPDX-License-Identifier: BSD-2-Clause */
/* What ptctl decode splits, and with which assumptions. Pure functions. */
#ifndef CLIENT_DECODE_FORMAT_H
#define CLIENT_DECODE_FORMAT_H

#include <pt/decode.h>

enum decode_what {
	DECODE_PTE,
	DECODE_VTCR,
	DECODE_VTTBR,
	DECODE_ESR,
	DECODE_HPFAR,
	DECODE_PAR,
};
#define DECODE_WHAT "pte|vtcr|vttbr|esr|hpfar|par" /* names in this order */

struct decode_options {
	unsigned granule_shift;
	int level;
	unsigned pa_bits; /* 0: 52 with ds, else 48 */
	bool ds, fwb, xnx;
};

/* False: no tree has this granule, PA size and descriptor format. */
bool decode_value(enum decode_what what, const struct decode_options *options, uint64_t value,
		  struct pt_field row[PT_DECODE_MAX], unsigned *count);

/* "54:53", "10", or "" of a row without bits of its own. Returns `to`. */
#define DECODE_BITS_MAX 16
char *decode_bits(const struct pt_field *field, char to[DECODE_BITS_MAX]);

#endif
