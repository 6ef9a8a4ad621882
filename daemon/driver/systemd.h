/* SPDX-License-Identifier: BSD-2-Clause */
/* The service manager: sockets that it hands over, and what it wants to hear. Without one, nothing
 * happens. */
#ifndef PTD_SYSTEMD_H
#define PTD_SYSTEMD_H

#include "options.h"

/* A listening socket that systemd opened. */
struct handed {
	int fd;
	bool tls; /* named "ptd-tls": TCP; else "ptd": unix, clear */
};

/* How many were handed over, in the order of the units; -1: one of them cannot be served, said on
 * stderr. */
int systemd_sockets(struct handed list[OPTIONS_LISTEN]);

/* READY=1, with one line of status. */
void systemd_ready(const char *status);
/* STOPPING=1. */
void systemd_stopping(void);
/* WATCHDOG=1, with one line of status. */
void systemd_alive(const char *status);
/* How long the watchdog waits for the next sign of life; 0: there is none. */
uint64_t systemd_watchdog_us(void);

#endif
