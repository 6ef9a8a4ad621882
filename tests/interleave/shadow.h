/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of a shadow, as functions of a case; see shadow.c. */
#ifndef TESTS_INTERLEAVE_SHADOW_H
#define TESTS_INTERLEAVE_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

/* For a case's first state: the context gets a shadow, whose guest maps its first two pages to the
 * first two canonical ones. */
void iv_shadow_open(void);

/* Its second page is at 2 MiB, and no leaf is made of it yet. */
void iv_shadow_apart(void);

/* Faults of the nested guest. */
uint64_t iv_shadow_read(void);
uint64_t iv_shadow_write(void);
uint64_t iv_shadow_read_next(void);
/* The guest hypervisor changes its first descriptor and invalidates. */
uint64_t iv_shadow_remap(void);
uint64_t iv_shadow_protect(void);
uint64_t iv_shadow_end(void);

/* At rest: marks the pages that belong to the shadow and its links, counts them, and returns
 * whether it lives. Which leaves it has is no part of what a run comes to: it is a cache; but each
 * is what guest and context say together. */
uint64_t iv_shadow_rest(bool *reached, uint64_t *pages);

#endif
