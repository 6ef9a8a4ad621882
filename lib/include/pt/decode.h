/* SPDX-License-Identifier: BSD-2-Clause */
/* Splits descriptors and stage-2 registers into named fields, for people: ptctl decode, EL2 logs.
 */
#ifndef PT_DECODE_H
#define PT_DECODE_H

#include <pt/desc.h>

/* `hi` of a row that is put together from several fields, or follows from them. */
#define PT_FIELD_DERIVED 255

struct pt_field {
	const char *name;
	uint8_t hi, lo;	  /* bits [hi:lo] of the value; PT_FIELD_DERIVED: no bits of its own */
	bool address;	  /* value is a byte address, already shifted into place */
	uint64_t value;	  /* of the field; for derived rows what follows from the register */
	const char *text; /* what it means, static; "" when the number says it all */
};

#define PT_DECODE_MAX 32

/*
 * Each function fills at most PT_DECODE_MAX rows, most significant field first and derived rows at
 * the end, and returns how many. Pure; any value is taken, reserved encodings say so.
 */

/* A stage-2 descriptor at `level` of a tree of this geometry; attrs: PT_ATTR_*. */
unsigned pt_decode_pte(const struct pt_geometry *g, unsigned attrs, pt_pte e, int level,
		       struct pt_field row[PT_DECODE_MAX]);
unsigned pt_decode_vtcr(uint64_t vtcr, struct pt_field row[PT_DECODE_MAX]);
/* `g` may be NULL: then a 48-bit base is assumed. */
unsigned pt_decode_vttbr(const struct pt_geometry *g, uint64_t vttbr,
			 struct pt_field row[PT_DECODE_MAX]);
/* ESR_EL2; fields of the ISS for instruction and data aborts, else EC, IL and the raw ISS. */
unsigned pt_decode_esr(uint64_t esr, struct pt_field row[PT_DECODE_MAX]);
unsigned pt_decode_hpfar(uint64_t hpfar, struct pt_field row[PT_DECODE_MAX]);
/* PAR_EL1 after an AT instruction, in the form that bit 0 (F) selects. */
unsigned pt_decode_par(uint64_t par, struct pt_field row[PT_DECODE_MAX]);

#endif
