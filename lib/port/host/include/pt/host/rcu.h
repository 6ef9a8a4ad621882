/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that sees liburcu (QSBR flavour): lock-free look-up tables for the daemon's
 * registry, and deferred free of objects. Release and acquire are annotated for TSan here, so that
 * no report depends on liburcu's own assembly.
 */
#ifndef PT_HOST_RCU_H
#define PT_HOST_RCU_H

#include <stdbool.h>
#include <stdint.h>

/* Every thread that reads registers once; between offline and online it promises to hold nothing.
 */
void pt_rcu_register(void);
void pt_rcu_unregister(void);
void pt_rcu_quiescent(void);
void pt_rcu_offline(void);
void pt_rcu_online(void);

struct pt_rcu_head {
	void *opaque[4];
};

/* Calls `free_fn(head)` after a grace period, on liburcu's thread. */
void pt_rcu_call(struct pt_rcu_head *head, void (*free_fn)(struct pt_rcu_head *));
/* Waits until all calls made before have run: at shutdown and in tests, never on a loop. */
void pt_rcu_barrier(void);

/* A concurrent hash table from uint64_t to objects that embed a node (liburcu's cds_lfht). */
struct pt_rcu_node {
	void *opaque[4];
	uint64_t key;
};
struct pt_rcu_table;

struct pt_rcu_table *pt_rcu_table_create(void);	       /* NULL: no memory */
void pt_rcu_table_destroy(struct pt_rcu_table *table); /* must be empty */
/* NULL or the node; inside the registered thread's read side (until its next quiescent or offline).
 */
struct pt_rcu_node *pt_rcu_table_find(struct pt_rcu_table *table, uint64_t key);
/* False: the key is there already. */
bool pt_rcu_table_add(struct pt_rcu_table *table, struct pt_rcu_node *node);
/* False: somebody else removed it first. The object is freed by pt_rcu_call(). */
bool pt_rcu_table_remove(struct pt_rcu_table *table, struct pt_rcu_node *node);

#endif
