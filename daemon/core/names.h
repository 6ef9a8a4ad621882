/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of objects: what is legal, and a table from name to object. The caller locks. */
#ifndef PTD_NAMES_H
#define PTD_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_BYTES 63 /* of one part */
#define SHADOW_NAME                                                                                \
	(sizeof("/0x0123456789abcdef-0x0123456789abcdef-s2-disabled-fwb-ee") -                     \
	 1)					     /* with its slash */
#define FULL_NAME (2 * NAME_BYTES + 2 + SHADOW_NAME) /* "machine/context", a shadow's, a NUL */

/* Embedded in an object. */
struct name_node {
	struct name_node *next;
	uint64_t hash;
	char name[FULL_NAME];
};

struct name_table {
	struct name_node **bucket;
	uint32_t buckets, count;
	uint64_t seed; /* so that nobody outside can aim at one bucket */
};

/* 1 to 63 of [A-Za-z0-9._-]. */
bool name_is_legal(const char *name);

/* Makes room for one more. False: no memory. */
bool name_table_reserve(struct name_table *table);
struct name_node *name_table_find(const struct name_table *table, const char *name);
/* The name is not in the table, and room was reserved. */
void name_table_add(struct name_table *table, struct name_node *node);
void name_table_remove(struct name_table *table, struct name_node *node);
void name_table_free(struct name_table *table);

#endif
