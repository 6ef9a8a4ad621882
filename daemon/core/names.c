/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of objects: a chained hash table. Only equality decides, never the order of a chain. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const struct name_table *table, const char *name)
{
	uint64_t h = table->seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

static bool legal_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool name_is_legal(const char *name)
{
	size_t n = strlen(name);

	if (n < 1 || n > NAME_BYTES)
		return false;
	for (; *name; name++)
		if (!legal_char(*name))
			return false;
	return true;
}

static struct name_node **bucket_of(const struct name_table *table, uint64_t hash)
{
	return &table->bucket[hash & (table->buckets - 1)];
}

static void link_node(struct name_table *table, struct name_node *node)
{
	struct name_node **at = bucket_of(table, node->hash);

	node->next = *at;
	*at = node;
}

bool name_table_reserve(struct name_table *table)
{
	struct name_table larger = *table;

	if (table->count < table->buckets)
		return true;
	larger.buckets = table->buckets ? table->buckets * 2 : 16;
	larger.bucket = calloc(larger.buckets, sizeof(*larger.bucket));
	if (!larger.bucket)
		return table->buckets != 0; /* longer chains will do */
	for (uint32_t i = 0; i < table->buckets; i++) {
		for (struct name_node *n = table->bucket[i], *next; n; n = next) {
			next = n->next;
			link_node(&larger, n);
		}
	}
	free(table->bucket);
	*table = larger;
	return true;
}

struct name_node *name_table_find(const struct name_table *table, const char *name)
{
	uint64_t hash = hash_of(table, name);

	if (!table->buckets)
		return NULL;
	for (struct name_node *n = *bucket_of(table, hash); n; n = n->next)
		if (n->hash == hash && !strcmp(n->name, name))
			return n;
	return NULL;
}

void name_table_add(struct name_table *table, struct name_node *node)
{
	node->hash = hash_of(table, node->name);
	link_node(table, node);
	table->count++;
}

void name_table_remove(struct name_table *table, struct name_node *node)
{
	struct name_node **at = bucket_of(table, node->hash);

	while (*at && *at != node)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = node->next;
	table->count--;
}

void name_table_free(struct name_table *table)
{
	free(table->bucket);
	*table = (struct name_table){0};
}
