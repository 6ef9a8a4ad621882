/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host port: the wrapper round liburcu's QSBR flavour.
 *
 * TSan does not see liburcu's own ordering, so each edge that we rely on is named here:
 *   add -> match, find       publication of a node: release and acquire on the node
 *   quiescent, offline -> callback   the end of every read side before reclaim, on `readers`
 *   call -> callback         what the caller did before it gave the object away, on the head
 * Without TSan the annotations are nothing; liburcu orders the same edges itself.
 */
#include <pt/host/rcu.h>
#include <pt/platform.h>

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif

#ifdef TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define acquire(at) __tsan_acquire(at)
#define release(at) __tsan_release(at)
#else
#define acquire(at) ((void)(at))
#define release(at) ((void)(at))
#endif

/* Stands for all read sides together. */
static char readers;

void pt_rcu_register(void)
{
	urcu_qsbr_register_thread();
}

void pt_rcu_unregister(void)
{
	release(&readers);
	urcu_qsbr_unregister_thread();
}

void pt_rcu_quiescent(void)
{
	release(&readers);
	urcu_qsbr_quiescent_state();
}

void pt_rcu_offline(void)
{
	release(&readers);
	urcu_qsbr_thread_offline();
}

void pt_rcu_online(void)
{
	urcu_qsbr_thread_online();
}

struct deferred {
	struct rcu_head head; /* first: liburcu hands it back */
	void (*free_fn)(struct pt_rcu_head *);
};

static_assert(sizeof(struct deferred) <= sizeof(struct pt_rcu_head), "pt_rcu_head is too small");
static_assert(_Alignof(struct deferred) <= _Alignof(struct pt_rcu_head), "pt_rcu_head alignment");

static void run_deferred(struct rcu_head *head)
{
	struct pt_rcu_head *ours = (struct pt_rcu_head *)(void *)head;
	struct deferred d;

	acquire(head);
	acquire(&readers);
	memcpy(&d, head, sizeof(d));
	d.free_fn(ours);
}

void pt_rcu_call(struct pt_rcu_head *head, void (*free_fn)(struct pt_rcu_head *))
{
	struct deferred *d = (struct deferred *)(void *)head->opaque;

	d->free_fn = free_fn;
	release(head);
	urcu_qsbr_call_rcu(&d->head, run_deferred);
}

void pt_rcu_barrier(void)
{
	pt_port_note(PT_EVENT_WAIT, 0, NULL, NULL, 0, 0);
	urcu_qsbr_barrier();
	acquire(&readers);
}

#define MIN_BUCKETS 64

struct pt_rcu_table {
	struct cds_lfht *ht;
};

static_assert(sizeof(struct cds_lfht_node) <= sizeof(((struct pt_rcu_node *)0)->opaque),
	      "pt_rcu_node is too small");
static_assert(_Alignof(struct cds_lfht_node) <= _Alignof(struct pt_rcu_node),
	      "pt_rcu_node alignment");

static struct cds_lfht_node *inner(struct pt_rcu_node *node)
{
	return (struct cds_lfht_node *)(void *)node->opaque;
}

static struct pt_rcu_node *outer(struct cds_lfht_node *node)
{
	return (struct pt_rcu_node *)(void *)((char *)node - offsetof(struct pt_rcu_node, opaque));
}

/* Handles count up in their low bits: spread them over all buckets. */
static unsigned long hash(uint64_t key)
{
	key = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned long)(key ^ key >> 29);
}

static int same_key(struct cds_lfht_node *node, const void *key)
{
	acquire(outer(node));
	return outer(node)->key == *(const uint64_t *)key;
}

struct pt_rcu_table *pt_rcu_table_create(void)
{
	struct pt_rcu_table *table = malloc(sizeof(*table));

	if (!table)
		return NULL;
	table->ht = cds_lfht_new_flavor(MIN_BUCKETS, MIN_BUCKETS, 0,
					CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
					&urcu_qsbr_flavor, NULL);
	if (!table->ht) {
		free(table);
		return NULL;
	}
	return table;
}

void pt_rcu_table_destroy(struct pt_rcu_table *table)
{
	cds_lfht_destroy(table->ht, NULL);
	free(table);
}

struct pt_rcu_node *pt_rcu_table_find(struct pt_rcu_table *table, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(table->ht, hash(key), same_key, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? outer(node) : NULL;
}

bool pt_rcu_table_add(struct pt_rcu_table *table, struct pt_rcu_node *node)
{
	struct cds_lfht_node *there;
	uint64_t key = node->key;

	cds_lfht_node_init(inner(node));
	release(node);
	there = cds_lfht_add_unique(table->ht, hash(key), same_key, &key, inner(node));
	return there == inner(node);
}

bool pt_rcu_table_remove(struct pt_rcu_table *table, struct pt_rcu_node *node)
{
	return !cds_lfht_del(table->ht, inner(node));
}
