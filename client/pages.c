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

int pages_show(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type, pages_next *next)
{
	ProtobufCMessage **pages = NULL;
	size_t count = 0, capacity = 0;
	const char *token = "";
	int result = EXIT_DONE;

	do {
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 16;
			pages = grown(pages, count, capacity);
		}
		result = ptctl_call(ctl, method, request, type, pages + count);
		if (!result)
			token = next(request, pages[count++]);
	} while (!result && token && *token);
	if (!result)
		output_pages(&ctl->out, pages, count, &ctl->command->view);
	while (count)
		protobuf_c_message_free_unpacked(pages[--count], NULL);
	free(pages);
	return result;
}
