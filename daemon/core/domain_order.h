/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects in rising order of handle: what List and Watch go by, so that no answer depends on hash
 * order or addresses. The caller locks. */
#ifndef PTD_DOMAIN_ORDER_H
#define PTD_DOMAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct ordered_entry {
	uint64_t key;
	void *object; /* NULL: removed */
};

struct ordered {
	struct ordered_entry *entry;
	uint32_t count, capacity;
	uint32_t live;
};

/* Makes room for one more. False: no memory. */
bool ordered_reserve(struct ordered *list);
/* `key` is above all keys before; room was reserved. */
void ordered_append(struct ordered *list, uint64_t key, void *object);
void ordered_remove(struct ordered *list, uint64_t key);
/* The first object with a key above `after`, and its key; NULL: none. */
void *ordered_next(const struct ordered *list, uint64_t after, uint64_t *key);
void ordered_free(struct ordered *list);

#endif
