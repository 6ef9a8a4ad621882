/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints as text, unix:PATH, tcp:HOST:PORT, tls:HOST:PORT, and the options that go with them. */
#ifndef PTD_ENDPOINT_H
#define PTD_ENDPOINT_H

#include <ptd.h>

struct endpoint {
	char text[320]; /* as given, cut to fit: for messages */
	bool tls;
	const char *path; /* unix: into `rest`; NULL: tcp */
	const char *port; /* tcp: into `rest` */
	char host[256];
	char rest[256];
};

/* False: *status says why. *to must not move afterwards. */
bool endpoint_parse(struct endpoint *to, const char *text, struct ptd_status *status);

/* Options as given, 0 or a default for what an older caller does not know. */
struct ptd_options options_of(const struct ptd_options *given);

#endif
