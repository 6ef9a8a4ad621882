/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The messages that come by the million, unpacked and packed without descriptors: Apply, and the
 * messages of a Session. Only the common form is taken: each known field at most once, columns
 * packed, varints of the usual length. What was taken equals what protobuf-c would have made of the
 * same bytes; everything else is left to it.
 */
#ifndef PTD_HOT_H
#define PTD_HOT_H

#include <protobuf-c/protobuf-c.h>

/* A message in `arena`, never freed by itself. NULL: another form, malformed, or no memory. No
 * string, unknown field or group is ever taken: wire_scan() has nothing to find in what was. */
ProtobufCMessage *hot_unpack_apply(ProtobufCAllocator *arena, size_t length, const uint8_t *data);
ProtobufCMessage *hot_unpack_session(ProtobufCAllocator *arena, size_t length, const uint8_t *data);

/*
 * `out` NULL: how many bytes the packed message needs at most, 0 when protobuf-c has to pack it.
 * Else packs into `out`, which has that room, and returns the length: the bytes that protobuf-c
 * would have written.
 */
size_t hot_pack_apply(const ProtobufCMessage *response, uint8_t *out);
size_t hot_pack_session(const ProtobufCMessage *response, uint8_t *out);

#endif
