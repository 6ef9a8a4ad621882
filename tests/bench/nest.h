/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows of guests with stage 2 off, for the rows of core_nested*.c: no guest's walk is in these.
 */
#ifndef TESTS_BENCH_NEST_H
#define TESTS_BENCH_NEST_H

#include "core.h"

#include <pt/nested.h>

#define SHADOWS 64u

struct nest {
	struct bench b;
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[64], number[SHADOWS];
	struct pt_shadow shadow[SHADOWS];
	uint32_t shadows;
};

/* `size` bytes are mapped with pages; of so many shadows, which have nothing of it. */
struct nest *nest_open(uint32_t shadows, bool nested, uint64_t size);
/* A shadow gets each `step`th of its pages from `page` on. */
void nest_fill(struct nest *n, uint32_t shadow, uint64_t page, uint64_t pages, uint64_t step);
void nest_close(struct nest *n);

/* core_nested_range.c: rows of a range of `size` bytes. */
void nest_rows_of_a_range(uint64_t size);

#endif
