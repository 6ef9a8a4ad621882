/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Double of the RCU port for one thread: what is given away is freed at the very next quiescent
 * state, so that a run repeats and a sanitizer sees each use that liburcu's thread would only
 * sometimes catch.
 */
#include <pt/host/rcu.h>

#include <stdlib.h>

#define BUCKETS 64

struct deferred {
	struct pt_rcu_head *next;
	void (*free_fn)(struct pt_rcu_head *);
};

static struct pt_rcu_head *first, **last = &first;

static struct deferred *deferred(struct pt_rcu_head *head)
{
	return (struct deferred *)(void *)head->opaque;
}

void pt_rcu_call(struct pt_rcu_head *head, void (*free_fn)(struct pt_rcu_head *))
{
	*deferred(head) = (struct deferred){.free_fn = free_fn};
	*last = head;
	last = &deferred(head)->next;
}

void pt_rcu_quiescent(void)
{
	while (first) {
		struct pt_rcu_head *head = first;
		struct deferred d = *deferred(head);

		first = d.next;
		if (!first)
			last = &first;
		d.free_fn(head);
	}
}

void pt_rcu_register(void)
{
}

void pt_rcu_unregister(void)
{
	pt_rcu_quiescent();
}

void pt_rcu_offline(void)
{
	pt_rcu_quiescent();
}

void pt_rcu_online(void)
{
}

void pt_rcu_barrier(void)
{
	pt_rcu_quiescent();
}

struct pt_rcu_table {
	struct pt_rcu_node *bucket[BUCKETS];
};

static struct pt_rcu_node **next_of(struct pt_rcu_node *node)
{
	return (struct pt_rcu_node **)(void *)node->opaque;
}

static struct pt_rcu_node **place(struct pt_rcu_table *table, uint64_t key)
{
	struct pt_rcu_node **at = &table->bucket[key % BUCKETS];

	while (*at && (*at)->key != key)
		at = next_of(*at);
	return at;
}

struct pt_rcu_table *pt_rcu_table_create(void)
{
	return calloc(1, sizeof(struct pt_rcu_table));
}

void pt_rcu_table_destroy(struct pt_rcu_table *table)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		if (table->bucket[i])
			abort(); /* "must be empty" */
	free(table);
}

struct pt_rcu_node *pt_rcu_table_find(struct pt_rcu_table *table, uint64_t key)
{
	return *place(table, key);
}

bool pt_rcu_table_add(struct pt_rcu_table *table, struct pt_rcu_node *node)
{
	struct pt_rcu_node **at = place(table, node->key);

	if (*at)
		return false;
	*next_of(node) = NULL;
	*at = node;
	return true;
}

bool pt_rcu_table_remove(struct pt_rcu_table *table, struct pt_rcu_node *node)
{
	struct pt_rcu_node **at = place(table, node->key);

	if (*at != node)
		return false;
	*at = *next_of(node);
	return true;
}
