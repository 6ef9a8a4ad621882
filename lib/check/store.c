/* SPDX-License-Identifier: BSD-2-Clause */
/* The checker's memory: pieces of powers of two out of the arena, and records found by an id. */
#include "state.h"

#define SMALLEST 64u

static unsigned class_of(size_t bytes)
{
	return bytes <= SMALLEST ? 0 : pt__ck_log2(bytes) - 6;
}

static void clear(void *at, size_t bytes)
{
	uint64_t *word = at;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		word[i] = 0;
}

/*
 * A zeroed piece. Copies of tables (`large`) leave a reserve for the rest. NULL, and counted, when
 * nothing is left.
 */
void *pt__ck_get(struct pt_check *c, size_t bytes, bool large)
{
	unsigned class = class_of(bytes);
	size_t size = (size_t)SMALLEST << class;
	void *at = c->spare[class];

	if (at) {
		c->spare[class] = *(void **)at;
	} else {
		size_t room = (size_t)(c->end - c->at), keep = large ? c->reserve : 0;

		if (room < keep || size > room - keep) {
			c->untracked++;
			return NULL;
		}
		at = c->at;
		c->at += size;
	}
	clear(at, size);
	return at;
}

void pt__ck_put(struct pt_check *c, void *at, size_t bytes)
{
	unsigned class = class_of(bytes);

	if (!at)
		return;
	*(void **)at = c->spare[class];
	c->spare[class] = at;
}

static struct ck_node **bucket(const struct pt_check *c, enum ck_type type, uint64_t key)
{
	uint64_t h = (key ^ (uint64_t)type << 59) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 32) *
	    UINT64_C(0x9e3779b97f4a7c15); /* keys differ in their high bits alone, too */
	return &c->bucket[h >> 32 & (c->buckets - 1)];
}

void *pt__ck_find(const struct pt_check *c, enum ck_type type, uint64_t key)
{
	struct ck_node *n = *bucket(c, type, key);

	while (n && (n->key != key || n->type != type))
		n = n->next;
	return n;
}

void *pt__ck_add(struct pt_check *c, enum ck_type type, uint64_t key, size_t bytes)
{
	struct ck_node **at = bucket(c, type, key), *n = pt__ck_get(c, bytes, false);

	if (!n)
		return NULL;
	n->key = key;
	n->type = (uint8_t)type;
	n->next = *at;
	*at = n;
	n->after = c->all[type];
	if (n->after)
		n->after->before = n;
	c->all[type] = n;
	return n;
}

void pt__ck_del(struct pt_check *c, struct ck_node *node, size_t bytes)
{
	struct ck_node **at = bucket(c, node->type, node->key);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	if (node->after)
		node->after->before = node->before;
	*(node->before ? &node->before->after : &c->all[node->type]) = node->after;
	pt__ck_put(c, node, bytes);
}

void pt__ck_each(struct pt_check *c, enum ck_type type,
		 void (*visit)(struct pt_check *, struct ck_node *, uint64_t), uint64_t arg)
{
	struct ck_node *next;

	for (struct ck_node *n = c->all[type]; n; n = next) {
		next = n->after;
		visit(c, n, arg);
	}
}

struct pt_check *pt_check_init(void *arena, size_t bytes, const struct pt_check_config *config)
{
	uintptr_t start = ((uintptr_t)arena + SMALLEST - 1) & ~(uintptr_t)(SMALLEST - 1);
	size_t skip = start - (uintptr_t)arena, size = (sizeof(struct pt_check) + 63) & ~(size_t)63;
	struct pt_check *c = (struct pt_check *)start;

	if (bytes < 64u << 10)
		return NULL;
	clear(c, size);
	c->config = *config;
	c->at = (unsigned char *)start + size;
	c->end = (unsigned char *)arena + ((bytes - skip) & ~(size_t)(SMALLEST - 1)) + skip;
	for (c->buckets = 64; c->buckets * 8 < bytes / 256; c->buckets *= 2)
		;
	c->bucket = pt__ck_get(c, c->buckets * sizeof(struct ck_node *), false);
	c->reserve = (size_t)(c->end - c->at) / 8;
	c->op = &c->none;
	return c;
}
