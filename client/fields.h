/* SPDX-License-Identifier: BSD-2-Clause */
/* Protobuf messages by their descriptors: what a field holds, as JSON and as text. */
#ifndef PTCTL_FIELDS_H
#define PTCTL_FIELDS_H

#include "output.h"

#include <jansson.h>

/* How a value is shown; the public cell kinds and those that only fields of messages have. */
enum shown {
	SHOWN_TEXT = CELL_TEXT,
	SHOWN_NUMBER = CELL_NUMBER,
	SHOWN_SIGNED = CELL_SIGNED,
	SHOWN_REAL = CELL_REAL,
	SHOWN_IPA = CELL_IPA,
	SHOWN_ADDRESS = CELL_ADDRESS,
	SHOWN_SIZE = CELL_SIZE,
	SHOWN_BOOL = CELL_BOOL,
	SHOWN_OUTCOME, /* a number of the outcome table, by its name */
	SHOWN_PROT,    /* as letters */
	SHOWN_BYTES,   /* as hexadecimal digits */
	SHOWN_LEVEL,   /* level + 2, 0 for none: in tables the level */
	SHOWN_SHIFT,   /* log2 of a size: in tables the size */
};

enum shown field_shown(const ProtobufCFieldDescriptor *field);

/* Name of the field's column; tables show a level or a size where the wire has level + 2 or log2.
 * New memory. */
char *field_title(const ProtobufCFieldDescriptor *field, bool pretty);

/* The whole message: 64-bit fixed numbers as "0x…", bytes as hexadecimal digits, enums by name;
 * outcome and prot get a second member that says them in words. */
json_t *field_json_message(const ProtobufCMessage *message);

/* How often the field stands in the message (0 or 1 unless repeated), and the item at `index`. */
size_t field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
const void *field_item(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		       size_t index);
/* Text of the field, new memory; items of repeated ones with commas between. For tables (`pretty`)
 * or for programs. */
char *field_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		 bool pretty, unsigned ipa_bits);

/* One number as text, new memory. */
char *shown_text(enum shown shown, uint64_t number, bool pretty, unsigned ipa_bits);
json_t *shown_json(enum shown shown, uint64_t number);

/* asprintf, or exit. */
char *text_new(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
