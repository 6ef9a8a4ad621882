/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A step of a handshake is up to a millisecond of arithmetic that OpenSSL does in one piece. Where
 * the worker and a loop share a core, a low priority gives the worker less of it, but not for less
 * at a time: schedulers let who runs run for a slice, which is longer than that, and each call of
 * the loop's other peers meets one. So the worker itself steps aside: a signal of a timer finds it
 * after its turn, and the signal's handler sleeps.
 */
#include "tls_turns.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* not in older C libraries */
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct turns {
	timer_t timer;
	bool tried, made;
	volatile bool under_way;
	volatile unsigned rests;
	volatile uint64_t since_ns;
};

static _Thread_local struct turns turns;

static uint64_t processor_ns(void)
{
	struct timespec used = {0};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Once; 0: not at all. */
static void signal_after(uint64_t ns)
{
	struct itimerspec time = {.it_value.tv_nsec = (long)ns};

	timer_settime(turns.timer, 0, &time, NULL);
}

static void rest(void)
{
	struct timespec time = {.tv_nsec = REST_NS};

	nanosleep(&time, NULL);
	turns.rests++;
	turns.since_ns = processor_ns();
	signal_after(TURN_NS);
}

/* The timer's time is everybody's: a thread that had no processor meanwhile has not had its turn,
 * and would not get on if it slept again. All that is called here may be called in a handler. */
static void on_signal(int number)
{
	int error = errno;
	uint64_t used_ns = processor_ns() - turns.since_ns;

	(void)number;
	if (turns.under_way && used_ns < TURN_NS)
		signal_after(TURN_NS - used_ns);
	else if (turns.under_way)
		rest();
	errno = error;
}

static bool make_timer(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};

	event.sigev_notify_thread_id = gettid();
	return !sigaction(SIGURG, &action, NULL) &&
	       !timer_create(CLOCK_MONOTONIC, &event, &turns.timer);
}

void turns_begin(void)
{
	if (!turns.tried)
		turns.made = make_timer();
	turns.tried = true;
	turns.rests = 0;
	if (!turns.made)
		return;
	turns.under_way = true;
	rest();
}

unsigned turns_end(void)
{
	turns.under_way = false;
	if (turns.made)
		signal_after(0);
	return turns.rests;
}
