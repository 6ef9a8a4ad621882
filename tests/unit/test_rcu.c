/* SPDX-License-Identifier: BSD-2-Clause */
/* The RCU wrapper: look-up tables under four threads, and no object freed while it can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include <pt/host/rcu.h>

#define ALIVE UINT64_C(0x600d600d600d600d)
#define DEAD  UINT64_C(0xdeaddeaddeaddead)

struct object {
	struct pt_rcu_node node;
	struct pt_rcu_head head;
	uint64_t state, copy_of_key;
};

static _Atomic uint64_t freed;

static struct object *make_object(uint64_t key)
{
	struct object *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	o->node.key = key;
	o->copy_of_key = key;
	o->state = ALIVE;
	return o;
}

static void free_object(struct pt_rcu_head *head)
{
	struct object *o = (struct object *)(void *)((char *)head - offsetof(struct object, head));

	o->state = DEAD;
	free(o);
	freed++;
}

static struct object *object_of(struct pt_rcu_node *node)
{
	return (struct object *)(void *)node;
}

static void a_table_finds_what_was_added(void **state)
{
	struct pt_rcu_table *table;
	uint64_t before = freed;

	(void)state;
	pt_rcu_register();
	table = pt_rcu_table_create();
	assert_non_null(table);
	assert_null(pt_rcu_table_find(table, 7));
	for (uint64_t key = 0; key < 1000; key++)
		assert_true(pt_rcu_table_add(table, &make_object(key << 32)->node));
	for (uint64_t key = 0; key < 1000; key++)
		assert_int_equal(object_of(pt_rcu_table_find(table, key << 32))->copy_of_key,
				 key << 32);
	assert_null(pt_rcu_table_find(table, 1));
	for (uint64_t key = 0; key < 1000; key++) {
		struct object *o = object_of(pt_rcu_table_find(table, key << 32));

		assert_true(pt_rcu_table_remove(table, &o->node));
		assert_false(pt_rcu_table_remove(table, &o->node));
		assert_null(pt_rcu_table_find(table, key << 32));
		pt_rcu_call(&o->head, free_object);
	}
	pt_rcu_barrier();
	assert_int_equal(freed - before, 1000);
	pt_rcu_table_destroy(table);
	pt_rcu_unregister();
}

static void a_key_is_there_once(void **state)
{
	struct pt_rcu_table *table;
	struct object *a, *b;

	(void)state;
	pt_rcu_register();
	table = pt_rcu_table_create();
	a = make_object(5);
	b = make_object(5);
	assert_true(pt_rcu_table_add(table, &a->node));
	assert_false(pt_rcu_table_add(table, &b->node));
	assert_ptr_equal(pt_rcu_table_find(table, 5), &a->node);
	assert_true(pt_rcu_table_remove(table, &a->node));
	assert_true(pt_rcu_table_add(table, &b->node));
	assert_ptr_equal(pt_rcu_table_find(table, 5), &b->node);
	assert_true(pt_rcu_table_remove(table, &b->node));
	pt_rcu_call(&a->head, free_object);
	pt_rcu_call(&b->head, free_object);
	pt_rcu_barrier();
	pt_rcu_table_destroy(table);
	pt_rcu_unregister();
}

/* A callback runs only after the reader that could see the object has been quiescent. */
static void a_reader_holds_back_the_callback(void **state)
{
	uint64_t before = freed;
	struct object *o = make_object(1);

	(void)state;
	pt_rcu_register();
	pt_rcu_call(&o->head, free_object);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(__atomic_load_n(&o->state, __ATOMIC_RELAXED), ALIVE);
	assert_int_equal(freed, before);
	pt_rcu_quiescent();
	pt_rcu_offline();
	pt_rcu_barrier();
	assert_int_equal(freed, before + 1);
	pt_rcu_online();
	pt_rcu_unregister();
}

#define THREADS 4
#define ROUNDS	4000
#define KEYS	8

struct worker {
	struct pt_rcu_table *table;
	uint64_t seed, added, removed, seen, bad;
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void one_round(struct worker *w)
{
	uint64_t r = next_random(&w->seed), key = r % KEYS;
	struct pt_rcu_node *node = pt_rcu_table_find(w->table, key);
	struct object *o;

	if (node) {
		o = object_of(node);
		w->seen++;
		w->bad += o->state != ALIVE || o->copy_of_key != key;
		if (r >> 32 & 1 && pt_rcu_table_remove(w->table, node)) {
			w->removed++;
			pt_rcu_call(&o->head, free_object);
		}
		return;
	}
	o = make_object(key);
	if (pt_rcu_table_add(w->table, &o->node))
		w->added++;
	else
		free(o);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;

	pt_rcu_register();
	for (int i = 0; i < ROUNDS; i++) {
		one_round(w);
		if (i % 16 == 0)
			pt_rcu_quiescent();
		if (i % 256 == 0) {
			pt_rcu_offline();
			pt_rcu_online();
		}
	}
	pt_rcu_unregister();
	return NULL;
}

static uint64_t empty_table(struct pt_rcu_table *table)
{
	uint64_t left = 0;

	for (uint64_t key = 0; key < KEYS; key++) {
		struct pt_rcu_node *node = pt_rcu_table_find(table, key);

		if (!node)
			continue;
		assert_true(pt_rcu_table_remove(table, node));
		pt_rcu_call(&object_of(node)->head, free_object);
		left++;
	}
	return left;
}

static void four_threads_read_only_living_objects(void **state)
{
	const char *env = getenv("PTD_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 3, before = freed;
	uint64_t added = 0, removed = 0, left;
	struct pt_rcu_table *table = pt_rcu_table_create();
	struct worker w[THREADS];
	pthread_t thread[THREADS];

	(void)state;
	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.table = table, .seed = seed * 77 + (unsigned)i + 1};
		assert_int_equal(pthread_create(&thread[i], NULL, run_worker, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(w[i].bad, 0);
		assert_true(w[i].seen > 0);
		added += w[i].added;
		removed += w[i].removed;
	}
	pt_rcu_register();
	left = empty_table(table);
	assert_int_equal(added, removed + left);
	pt_rcu_barrier();
	assert_int_equal(freed - before, added);
	pt_rcu_table_destroy(table);
	pt_rcu_unregister();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_finds_what_was_added),
		cmocka_unit_test(a_key_is_there_once),
		cmocka_unit_test(a_reader_holds_back_the_callback),
		cmocka_unit_test(four_threads_read_only_living_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
