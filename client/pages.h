/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists that come in pages. */
#ifndef PTCTL_PAGES_H
#define PTCTL_PAGES_H

#include "commands.h"

/* Puts the response's token into the request and returns it; it holds as long as the response. */
typedef const char *pages_next(ProtobufCMessage *request, const ProtobufCMessage *response);

/* All pages of a list. */
struct pages {
	ProtobufCMessage **page;
	size_t count;
};

/* Returns an exit code. pages_free() in any case. */
int pages_fetch(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, pages_next *next, struct pages *pages);
void pages_free(struct pages *pages);

/* Fetches all pages and prints them as one list by the command's view. Returns an exit code. */
int pages_show(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type, pages_next *next);

#endif
