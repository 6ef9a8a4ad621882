/* SPDX-License-Identifier: BSD-2-Clause */
/* Drawings of a context's tables: from the rows of DumpContext to text. Pure functions. */
#ifndef CLIENT_DUMP_H
#define CLIENT_DUMP_H

#include <pt/desc.h>
#include <stdio.h>

/* A row of DumpContext: `count` equal descriptors that follow each other. */
struct dump_row {
	uint64_t ipa;
	uint64_t descriptor;
	uint64_t count;
	uint64_t table; /* PA of the table that holds the first one */
	int level;
};

/* What is drawn. */
struct dump {
	struct pt_geometry geo;
	unsigned attrs; /* PT_ATTR_* */
	uint64_t root;
	const struct dump_row *rows; /* by ascending IPA; a table's row before what it holds */
	size_t count;
};

enum dump_class { DUMP_HOLE, DUMP_INVALID, DUMP_TABLE, DUMP_LEAF };
enum dump_class dump_class(const struct dump_row *row);
/* Bytes of IPA space that one descriptor of the row spans. */
uint64_t dump_span(const struct dump *dump, const struct dump_row *row);

/*
 * The layout of Linux's stage2_page_tables (debugfs). A hole at the end of the space is not
 * printed, as there. Needs rows with holes.
 */
void dump_kernel(const struct dump *dump, FILE *to);

/* Tables by their PAs, indented by level, and runs of blocks and pages with their output. */
void dump_tree(const struct dump *dump, FILE *to);

/*
 * [ipa, ipa + size) in one line of at most `width` letters, and a legend; size 0: from the first to
 * the last mapping. A letter says which level maps most of its part of the space.
 */
void dump_strip(const struct dump *dump, uint64_t ipa, uint64_t size, unsigned width, FILE *to);

#endif
