/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the tables in memory, from VTCR_EL2 and VTTBR_EL2 alone, and says what they map and whether
 * their shape is legal. Shares no header with lib.
 */
#ifndef MODEL_READER_H
#define MODEL_READER_H

#include "space.h"

struct reader {
	const unsigned char *memory; /* of the tables, which stands at memory_pa */
	uint64_t memory_pa, memory_bytes;
	uint64_t root;
	uint64_t in_place; /* of the part of an output address that stands at its place */
	uint64_t moved;	   /* the bits of the entry that are the rest of it */
	unsigned by;	   /* how far those move up */
	unsigned granule, ipa_bits, pa_bits; /* granule: log2 */
	int start, top; /* the start level; the smallest level that may hold a block */
	bool ds, lpa, fwb, xnx, ha, hd;
	uint64_t attrs; /* the last decoded, without output address: leaves come in runs */
	struct cell decoded;
	const char *wrong;
};

/* Takes the registers apart. False: they say nothing legal. */
bool reader_open(struct reader *r, uint64_t vtcr, uint64_t vttbr);

static inline unsigned reader_shift(const struct reader *r, int level)
{
	return r->granule + (r->granule - 3) * (unsigned)(3 - level);
}

/* Entries of one table, from the one that holds an address on: the walk for it ends here. */
struct stretch {
	const uint64_t *entry;
	uint64_t ipa;	/* first address of the first entry */
	unsigned count; /* to the end of the table */
	unsigned shift; /* log2 of what an entry spans */
	int level;
};

/* NULL, or what is wrong with the shape. */
const char *reader_at(const struct reader *r, uint64_t ipa, struct stretch *s);
static inline bool reader_is_table(uint64_t entry, int level)
{
	return level < 3 && (entry & 3) == 3;
}
/* The cell of an entry that is no table, `level` its level. NULL, or what is wrong with it. */
const char *reader_decode(struct reader *r, uint64_t entry, int level, struct cell *cell);
/* How many entries behind the k-th, `most` at most, say the same of the addresses that follow. */
unsigned reader_run(const struct reader *r, const struct stretch *s, unsigned k, unsigned most);
/* The leaf, or whatever ends the walk: its span and level. */
const char *reader_leaf(struct reader *r, uint64_t ipa, struct span *span, int *level);

/* Entries of a contiguous group at a level, or 0 where the format has none. */
unsigned reader_group(const struct reader *r, int level);

/* What a whole tree has. */
struct census {
	uint64_t tables;    /* below the start tables */
	uint64_t empty;	    /* of them, without any entry */
	uint64_t leaves[5]; /* index: level + 1 */
	uint64_t notes, contiguous;
};
/*
 * Reads everything: each table page is met once (`seen`: a byte a granule of the memory, zeroed by
 * the caller; shared by the contexts of a machine), groups with the contiguous bit are whole
 * (S1, S2, S3, S5). NULL, or what is wrong.
 */
const char *reader_census(struct reader *r, unsigned char *seen, struct census *census);

#endif
