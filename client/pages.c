/* SPDX-License-Identifier: BSD-2-Clause */
/* Follows page tokens to the end of a list. */
#include "pages.h"

#include <stdlib.h>
#include <string.h>

static ProtobufCMessage **grown(ProtobufCMessage **pages, size_t count, size_t capacity)
{
	ProtobufCMessage **larger = ptctl_alloc(capacity * sizeof(ProtobufCMessage *));

	if (count)
		memcpy(larger, pages, count * sizeof(ProtobufCMessage *));
	free(pages);
	return larger;
}

int pages_fetch(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, pages_next *next, struct pages *pages)
{
	size_t capacity = 0;
	const char *token = "";
	int result = EXIT_DONE;

	*pages = (struct pages){0};
	do {
		if (pages->count == capacity) {
			capacity = capacity ? capacity * 2 : 16;
			pages->page = grown(pages->page, pages->count, capacity);
		}
		result = ptctl_call(ctl, method, request, type, pages->page + pages->count);
		if (!result)
			token = next(request, pages->page[pages->count++]);
	} while (!result && token && *token);
	return result;
}

void pages_free(struct pages *pages)
{
	while (pages->count)
		protobuf_c_message_free_unpacked(pages->page[--pages->count], NULL);
	free(pages->page);
}

int pages_show(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type, pages_next *next)
{
	struct pages pages;
	int result = pages_fetch(ctl, method, request, type, next, &pages);

	if (!result)
		output_pages(&ctl->out, pages.page, pages.count, &ctl->command->view);
	pages_free(&pages);
	return result;
}
