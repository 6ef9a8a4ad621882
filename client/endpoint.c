/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes endpoints apart, and completes options; looks nothing up. */
#include "endpoint.h"
#include "status.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define CONNECT_TIMEOUT_MS 5000

static bool refuse(struct ptd_status *status, const struct endpoint *endpoint, const char *why)
{
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 3, "endpoint %.100s: %s",
		     endpoint->text, why);
	snprintf(status->hint, sizeof(status->hint),
		 "give unix:PATH, tcp:HOST:PORT or tls:HOST:PORT");
	return false;
}

static bool parse_unix(struct endpoint *to, const char *path, struct ptd_status *status)
{
	size_t length = strlen(path);

	if (!length || length >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(status, to, length ? "the path is too long" : "no path");
	memcpy(to->rest, path, length + 1);
	to->path = to->rest;
	return true;
}

/* "HOST:PORT" or "[HOST]:PORT" to its parts. */
static bool split(struct endpoint *to, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t length;

	if (!colon || !colon[1] || strlen(colon + 1) >= sizeof(to->rest))
		return false;
	length = (size_t)(colon - text);
	if (*text == '[') {
		if (length < 3 || text[length - 1] != ']')
			return false;
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return false;
	}
	if (!length || length >= sizeof(to->host))
		return false;
	memcpy(to->host, text, length);
	to->host[length] = '\0';
	memcpy(to->rest, colon + 1, strlen(colon + 1) + 1);
	to->port = to->rest;
	return true;
}

bool endpoint_parse(struct endpoint *to, const char *text, struct ptd_status *status)
{
	memset(to, 0, sizeof(*to));
	snprintf(to->text, sizeof(to->text), "%s", text);
	if (!strncmp(text, "unix:", 5))
		return parse_unix(to, text + 5, status);
	to->tls = !strncmp(text, "tls:", 4);
	if (!to->tls && strncmp(text, "tcp:", 4))
		return refuse(status, to, "neither unix: nor tcp: nor tls:");
	return split(to, text + 4) || refuse(status, to, "not HOST:PORT");
}

struct ptd_options options_of(const struct ptd_options *given)
{
	struct ptd_options options = {0};

	/* A caller of an older version knows fewer fields. */
	if (given)
		memcpy(&options, given,
		       given->size < sizeof(options) ? given->size : sizeof(options));
	options.size = sizeof(options);
	if (!options.connect_timeout_ms)
		options.connect_timeout_ms = CONNECT_TIMEOUT_MS;
	return options;
}
