/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects in rising order of handle: an array with gaps, closed when half of it is gaps. */
#include "domain_order.h"

#include <stdlib.h>

/* Index of the first entry with a key above `after`. */
static uint32_t above(const struct ordered *list, uint64_t after)
{
	uint32_t lo = 0, hi = list->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (list->entry[mid].key > after)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static void close_gaps(struct ordered *list)
{
	uint32_t to = 0;

	for (uint32_t i = 0; i < list->count; i++)
		if (list->entry[i].object)
			list->entry[to++] = list->entry[i];
	list->count = to;
}

bool ordered_reserve(struct ordered *list)
{
	struct ordered_entry *entry;
	uint32_t capacity;

	if (list->count < list->capacity)
		return true;
	capacity = list->capacity ? list->capacity * 2 : 4;
	entry = realloc(list->entry, capacity * sizeof(*entry));
	if (!entry)
		return false;
	list->entry = entry;
	list->capacity = capacity;
	return true;
}

void ordered_append(struct ordered *list, uint64_t key, void *object)
{
	list->entry[list->count++] = (struct ordered_entry){key, object};
	list->live++;
}

void ordered_remove(struct ordered *list, uint64_t key)
{
	uint32_t i = above(list, key - 1);

	if (i == list->count || list->entry[i].key != key || !list->entry[i].object)
		return;
	list->entry[i].object = NULL;
	list->live--;
	if (list->live < list->count / 2 || !list->live)
		close_gaps(list);
}

void *ordered_next(const struct ordered *list, uint64_t after, uint64_t *key)
{
	for (uint32_t i = above(list, after); i < list->count; i++) {
		if (!list->entry[i].object)
			continue;
		*key = list->entry[i].key;
		return list->entry[i].object;
	}
	return NULL;
}

void ordered_free(struct ordered *list)
{
	free(list->entry);
	*list = (struct ordered){0};
}
