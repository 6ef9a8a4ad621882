/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Put before every source of lib in this build: C11's atomics become calls of the memory model
 * (memory.c), so that claims, sections, counts and locks are seen like descriptors are.
 */
#ifndef TESTS_INTERLEAVE_ATOMICS_H
#define TESTS_INTERLEAVE_ATOMICS_H

#include <stdatomic.h>

#include "iv.h"

/* The type without _Atomic: that of a value read from there. */
#define IV_TYPE(p)     __typeof__(((void)0, *(p)))
/* Pointers and numbers pass as 64 bits. */
#define IV_WORD(v)     ((uint64_t)(uintptr_t)(v))
/* A statement's value, which may be used or not. */
#define IV_VALUE(p, w) ({ (IV_TYPE(p))(uintptr_t)(w); })

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_thread_fence

#define atomic_load_explicit(p, o)	   IV_VALUE(p, iv_load((p), sizeof(*(p)), (o)))
#define atomic_load(p)			   atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store_explicit(p, v, o)	   iv_store((p), sizeof(*(p)), IV_WORD(v), (o))
#define atomic_store(p, v)		   atomic_store_explicit(p, v, memory_order_seq_cst)
#define IV_RMW(p, what, v, o)		   IV_VALUE(p, iv_rmw((p), sizeof(*(p)), what, IV_WORD(v), (o)))
#define atomic_exchange_explicit(p, v, o)  IV_RMW(p, IV_SWAP, v, o)
#define atomic_exchange(p, v)		   IV_RMW(p, IV_SWAP, v, memory_order_seq_cst)
#define atomic_fetch_add_explicit(p, v, o) IV_RMW(p, IV_ADD, v, o)
#define atomic_fetch_add(p, v)		   IV_RMW(p, IV_ADD, v, memory_order_seq_cst)
#define atomic_fetch_sub_explicit(p, v, o) IV_RMW(p, IV_SUB, v, o)
#define atomic_fetch_sub(p, v)		   IV_RMW(p, IV_SUB, v, memory_order_seq_cst)
#define atomic_fetch_or_explicit(p, v, o)  IV_RMW(p, IV_OR, v, o)
#define atomic_fetch_or(p, v)		   IV_RMW(p, IV_OR, v, memory_order_seq_cst)
#define atomic_fetch_and_explicit(p, v, o) IV_RMW(p, IV_AND, v, o)
#define atomic_fetch_and(p, v)		   IV_RMW(p, IV_AND, v, memory_order_seq_cst)

#define atomic_compare_exchange_strong_explicit(p, old, v, o, fail)                                \
	({                                                                                         \
		uint64_t iv_old = IV_WORD(*(old));                                                 \
		bool iv_done = iv_cas((p), sizeof(*(p)), &iv_old, IV_WORD(v), (o));                \
		(void)(fail);                                                                      \
		*(old) = (__typeof__(*(old)))(uintptr_t)iv_old;                                    \
		iv_done;                                                                           \
	})
#define atomic_compare_exchange_strong(p, old, v)                                                  \
	atomic_compare_exchange_strong_explicit(p, old, v, memory_order_seq_cst,                   \
						memory_order_seq_cst)
#define atomic_compare_exchange_weak	      atomic_compare_exchange_strong
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_thread_fence(o)		      iv_fence(o)

/* A trap of lib is a failed run, not the end of the search. */
#define __builtin_trap() iv_fail("lib trapped in %s()", __func__)

#endif
