/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets, and who is at the other end of an accepted one. */
#ifndef PTD_LISTENER_H
#define PTD_LISTENER_H

#include "call.h"
#include "options.h"

#define LISTENER_FDS OPTIONS_LOOPS

/* One endpoint: a unix socket (one descriptor) or TCP (one for each loop, SO_REUSEPORT). */
struct listener {
	char name[OPTIONS_ENDPOINT]; /* with the port that was given for port 0 */
	char path[OPTIONS_ENDPOINT]; /* unix: unlinked by listener_close() */
	bool tcp;		     /* also of tls */
	bool tls;
	uint32_t fds;
	int fd[LISTENER_FDS];
};

/* Replaces the socket file of a dead daemon, refuses that of a live one. False: said on stderr. */
bool listener_open(struct listener *listener, const char *endpoint, uint32_t loops);
/* A listening socket that was opened elsewhere: unix, or TCP that speaks TLS, shared by all loops.
 * Its file stays. False: said on stderr. */
bool listener_adopt(struct listener *listener, int fd, bool tls, uint32_t loops);
/* Closes what is open and removes the socket file. */
void listener_close(struct listener *listener);

/* Unix: "uid:N", admin when root or the daemon's own user. TCP: "loopback". */
bool peer_principal(int fd, bool tcp, struct principal *principal);

#endif
