/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into ptd by test_service.py: from the moment that the file PTD_STALL_FILE exists, one
 * thread hangs. PTD_STALL=loop: an event loop that is not the first, in its wait for events.
 * PTD_STALL=grace: liburcu's thread, in the pause before it waits for a grace period.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void hang_if(const char *mode)
{
	const char *wanted = getenv("PTD_STALL"), *file = getenv("PTD_STALL_FILE");

	if (wanted && file && !strcmp(wanted, mode) && gettid() != getpid() && !access(file, F_OK))
		for (;;)
			pause();
}

int epoll_pwait(int fd, struct epoll_event *events, int room, int timeout, const sigset_t *mask)
{
	int (*real)(int, struct epoll_event *, int, int, const sigset_t *) =
		(int (*)(int, struct epoll_event *, int, int, const sigset_t *))dlsym(
			RTLD_NEXT, "epoll_pwait");

	hang_if("loop");
	return real(fd, events, room, timeout, mask);
}

int epoll_wait(int fd, struct epoll_event *events, int room, int timeout)
{
	return epoll_pwait(fd, events, room, timeout, NULL);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int (*real)(struct pollfd *, nfds_t, int) =
		(int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");

	if (!n)
		hang_if("grace");
	return real(fds, n, timeout);
}
