/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the core over the checker where one agent's events stand between another's: beside.c. */
#ifndef CHECKER_BESIDE_H
#define CHECKER_BESIDE_H

void unmapped_and_mapped_before_the_flush(void **state);
void invalidations_are_doubled_with_the_quirk(void **state);
void a_waiter_is_woken(void **state);
void a_barrier_waits_outside_sections(void **state);
/* owners.c */
void frames_change_hands(void **state);
/* shadows.c */
void a_guest_fills_and_invalidates(void **state);

#endif
