/* SPDX-License-Identifier: BSD-2-Clause */
/* One pass over fields by descriptor; packed columns are skipped by their length. */
#include "scan.h"

#include "codec.h"

#include <string.h>

struct scan {
	uint32_t submessages, unknown;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Length of a field's value, with its length prefix in `*head`. False: malformed. */
static bool value_length(unsigned wire, const uint8_t *data, size_t left, size_t *head,
			 size_t *body)
{
	uint64_t value;

	*head = 0;
	switch (wire) {
	case WIRE_VARINT: *body = varint_read(data, left, &value); return *body != 0;
	case WIRE_64: *body = 8; break;
	case WIRE_32: *body = 4; break;
	case WIRE_BYTES:
		*head = varint_read(data, left, &value);
		if (!*head || value > left - *head)
			return false;
		*body = (size_t)value;
		break;
	default: return false; /* groups, and what was never assigned */
	}
	return *body <= left - *head;
}

static enum scan_result scan_fields(struct scan *scan, const ProtobufCMessageDescriptor *descriptor,
				    const uint8_t *data, size_t length, unsigned depth);

static enum scan_result scan_bytes(struct scan *scan, const ProtobufCFieldDescriptor *field,
				   const uint8_t *data, size_t length, unsigned depth)
{
	if (field->type == PROTOBUF_C_TYPE_STRING) {
		if (memchr(data, 0, length))
			return SCAN_NUL;
		return utf8_valid(data, length) ? SCAN_OK : SCAN_MALFORMED;
	}
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return SCAN_OK;
	if (++scan->submessages > SCAN_MAX_SUBMESSAGES)
		return SCAN_TOO_MANY;
	if (depth == SCAN_MAX_DEPTH)
		return SCAN_MALFORMED;
	return scan_fields(scan, field->descriptor, data, length, depth + 1);
}

static enum scan_result scan_fields(struct scan *scan, const ProtobufCMessageDescriptor *descriptor,
				    const uint8_t *data, size_t length, unsigned depth)
{
	size_t at = 0;

	while (at < length) {
		const ProtobufCFieldDescriptor *field;
		enum scan_result result = SCAN_OK;
		size_t head, body, n;
		uint64_t tag;

		n = varint_read(data + at, length - at, &tag);
		if (!n || n > 5 || tag >> 3 == 0 || tag > UINT32_MAX)
			return SCAN_MALFORMED;
		at += n;
		if (!value_length(tag & 7, data + at, length - at, &head, &body))
			return SCAN_MALFORMED;
		at += head;
		field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
		if (!field && ++scan->unknown > SCAN_MAX_UNKNOWN)
			result = SCAN_TOO_MANY;
		else if (field && (tag & 7) == WIRE_BYTES)
			result = scan_bytes(scan, field, data + at, body, depth);
		if (result != SCAN_OK)
			return result;
		at += body;
	}
	return SCAN_OK;
}

enum scan_result wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
			   size_t length)
{
	struct scan scan = {0};

	return scan_fields(&scan, descriptor, data, length, 0);
}
