/* SPDX-License-Identifier: BSD-2-Clause */
/* The one file that sees libsystemd. */
#include "systemd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

static bool is_listening(int fd, int family)
{
	return sd_is_socket(fd, family, SOCK_STREAM, 1) > 0;
}

/* False: said on stderr. */
static bool take(struct handed *handed, int fd, const char *name)
{
	const char *wanted = NULL;

	*handed = (struct handed){.fd = fd, .tls = !strcmp(name, "ptd-tls")};
	if (handed->tls) {
		if (!is_listening(fd, AF_INET) && !is_listening(fd, AF_INET6))
			wanted = "a listening TCP socket";
	} else if (!strcmp(name, "ptd")) {
		if (!is_listening(fd, AF_UNIX))
			wanted = "a listening unix stream socket";
	} else {
		wanted = "named ptd or ptd-tls (FileDescriptorName=)";
	}
	if (wanted)
		fprintf(stderr, "ptd: descriptor %d, named '%s', from systemd is not %s\n", fd,
			name, wanted);
	return !wanted;
}

int systemd_sockets(struct handed list[OPTIONS_LISTEN])
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);
	bool ok = n >= 0;

	if (n < 0)
		fprintf(stderr, "ptd: sockets from systemd: %s\n", strerror(-n));
	if (n > OPTIONS_LISTEN) {
		fprintf(stderr, "ptd: %d sockets from systemd, at most %d are served\n", n,
			OPTIONS_LISTEN);
		ok = false;
	}
	for (int i = 0; i < n && ok; i++)
		ok = take(&list[i], SD_LISTEN_FDS_START + i, names[i]);
	for (int i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
	return ok ? n : -1;
}

void systemd_ready(const char *status)
{
	sd_notifyf(false, "READY=1\nSTATUS=%s", status);
}

void systemd_stopping(void)
{
	sd_notify(false, "STOPPING=1\nSTATUS=draining");
}

void systemd_alive(const char *status)
{
	sd_notifyf(false, "WATCHDOG=1\nSTATUS=%s", status);
}

uint64_t systemd_watchdog_us(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(false, &us) > 0 ? us : 0;
}
