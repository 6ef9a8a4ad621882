/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns a machine's memory, for tables and pictures. Pure functions. */
#ifndef CLIENT_OWN_VIEW_H
#define CLIENT_OWN_VIEW_H

#include "ptd/v1/ownership.pb-c.h"

#include <stdbool.h>
#include <stdio.h>

/* An owner; `name` as people know it: "host", "hyp", "g0". */
struct own_party {
	Ptd__V1__OwnerKind kind;
	uint64_t context;
	char *name;
	unsigned number; /* of guests: in the order in which they appear */
};

/* What is drawn alike: one owner and one state. */
struct own_class {
	unsigned party;
	Ptd__V1__PageState state;
	char letter;
	uint64_t bytes;
};

struct own_range {
	uint64_t pa, size;
	unsigned class;
};

struct own_view {
	const char *machine;
	struct own_party *party;
	struct own_class *class;
	struct own_range *range; /* ascending, without gaps */
	size_t parties, classes, ranges;
	uint64_t bytes; /* from 0 to the end of the last range */
};

/* Names a guest's context, new memory; NULL: it is gone. */
typedef char *own_name_fn(void *arg, uint64_t context);

/* Adds a range behind those that are there. */
void own_view_add(struct own_view *view, const Ptd__V1__OwnedRange *range, own_name_fn *name,
		  void *arg);
void own_view_free(struct own_view *view);

/* "owned", "shared", "lent". */
const char *own_state_name(Ptd__V1__PageState state);

/*
 * The memory in at most `width` x `lines` cells of equal size, a power of two from 4 KiB on, row by
 * row. What most of a cell is; `mixed`: it is not all of it.
 */
struct own_cell {
	unsigned class;
	bool mixed;
};
struct own_grid {
	uint64_t cell_size;
	size_t count;
	unsigned width;
	struct own_cell *cell;
};
struct own_grid own_grid_make(const struct own_view *view, unsigned width, unsigned lines);

/* A letter a cell, with a legend. */
void own_strip(const struct own_view *view, FILE *to);
/* One SVG file, readable without colours: each class has a hatching of its own. */
void own_svg(const struct own_view *view, FILE *to);

#endif
