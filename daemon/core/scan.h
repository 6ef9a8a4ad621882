/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks over the wire form of a message before it is unpacked. */
#ifndef PTD_SCAN_H
#define PTD_SCAN_H

#include <protobuf-c/protobuf-c.h>

#define SCAN_MAX_DEPTH	     16
#define SCAN_MAX_SUBMESSAGES 4096
#define SCAN_MAX_UNKNOWN     1024

enum scan_result {
	SCAN_OK,
	SCAN_MALFORMED, /* not this message's wire form */
	SCAN_NUL,	/* a string holds a NUL */
	SCAN_TOO_MANY,	/* submessages or unknown fields: protobuf-c would amplify them */
};

/* protobuf-c accepts bad UTF-8 and NUL in strings and does not limit nesting or counts; this does.
 */
enum scan_result wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
			   size_t length);

#endif
