/* SPDX-License-Identifier: BSD-2-Clause */
/* Request metadata, for the methods that want it. The header list's limit bounds it. */
#include "stream.h"

#include "wire_limits.h"

#include <string.h>

void stream_keep_metadata(struct stream *stream, const nghttp2_vec *name, const nghttp2_vec *value)
{
	struct metadata *field;

	if (stream->header_count > WIRE_MAX_HEADERS)
		return;
	field = slab_alloc(&stream->conn->shard->slab, sizeof(*field) + name->len + value->len);
	if (!field)
		return;
	field->name_length = (uint32_t)name->len;
	field->value_length = (uint32_t)value->len;
	memcpy(field->text, name->base, name->len);
	memcpy(field->text + name->len, value->base, value->len);
	field->next = stream->metadata;
	stream->metadata = field;
}

void stream_drop_metadata(struct stream *stream)
{
	while (stream->metadata) {
		struct metadata *field = stream->metadata;

		stream->metadata = field->next;
		slab_free(&stream->conn->shard->slab, field);
	}
}

const struct metadata *call_metadata(const struct call *call, const char *name)
{
	const struct stream *stream = (const struct stream *)(const void *)call;
	const struct metadata *found = NULL;
	size_t length = strlen(name);

	for (const struct metadata *at = stream->metadata; at; at = at->next)
		if (at->name_length == length && !memcmp(at->text, name, length))
			found = at; /* the list is in reverse */
	return found;
}
