/* SPDX-License-Identifier: BSD-2-Clause */
/* Long arithmetic of a worker, in short turns. */
#ifndef PTD_TLS_TURNS_H
#define PTD_TLS_TURNS_H

/* Of a processor, and what follows it: a quarter is the worker's, the rest is the others'. */
#define TURN_NS 100000u
#define REST_NS 300000u

/* The calling thread rests now, and from here to turns_end() after each turn, wherever it is: the
 * locks that it has then are held for REST_NS longer. It takes SIGURG for that. Without memory for
 * a timer it goes on without rest. */
void turns_begin(void);
/* How often it has rested, the first time included. */
unsigned turns_end(void);

#endif
