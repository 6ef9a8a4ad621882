/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutexes between CPUs, for the TLB model. There are no threads. */
#ifndef EL2_PTHREAD_H
#define EL2_PTHREAD_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct {
	atomic_flag held;
} pthread_mutex_t;

static inline int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
{
	(void)attributes;
	atomic_flag_clear(&mutex->held);
	return 0;
}

static inline int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	while (atomic_flag_test_and_set_explicit(&mutex->held, memory_order_acquire))
		continue;
	return 0;
}

static inline int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	atomic_flag_clear_explicit(&mutex->held, memory_order_release);
	return 0;
}

static inline int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	(void)mutex;
	return 0;
}

#endif
