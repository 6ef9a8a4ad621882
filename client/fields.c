/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads fields of messages through their descriptors, so that every answer has JSON and text. */
#include "fields.h"
#include "commands.h"
#include "number.h"
#include "text.h"

#include <inttypes.h>
#include <pt/outcome.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

char *text_new(const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	return length < 0 ? ptctl_alloc(SIZE_MAX) : text;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

/* Sizes are told by the name: the .proto files are consistent about it. */
static bool is_size(const char *name)
{
	static const char *const names[] = {"size", "span", "backing"};
	static const char *const ends[] = {"_bytes", "bytes_used", "bytes_total"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]) || ends_with(name, ends[i]))
			return true;
	return false;
}

static enum shown shown_fixed64(const char *name)
{
	if (is_size(name))
		return SHOWN_SIZE;
	return ends_with(name, "ipa") ? SHOWN_IPA : SHOWN_ADDRESS;
}

static enum shown shown_uint32(const ProtobufCFieldDescriptor *field)
{
	if (!strcmp(field->name, "outcome") || !strcmp(field->name, "code") ||
	    !strcmp(field->name, "stopped"))
		return SHOWN_OUTCOME;
	if (!strcmp(field->name, "prot"))
		return SHOWN_PROT;
	if (ends_with(field->name, "level_plus_2"))
		return SHOWN_LEVEL;
	if (ends_with(field->name, "_shift") || ends_with(field->name, "_shifts"))
		return SHOWN_SHIFT;
	return is_size(field->name) ? SHOWN_SIZE : SHOWN_NUMBER;
}

enum shown field_shown(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_FIXED64: return shown_fixed64(field->name);
	case PROTOBUF_C_TYPE_UINT64: return is_size(field->name) ? SHOWN_SIZE : SHOWN_NUMBER;
	case PROTOBUF_C_TYPE_UINT32: return shown_uint32(field);
	case PROTOBUF_C_TYPE_FIXED32: return SHOWN_NUMBER;
	case PROTOBUF_C_TYPE_BOOL: return SHOWN_BOOL;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64: return SHOWN_SIGNED;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE: return SHOWN_REAL;
	case PROTOBUF_C_TYPE_BYTES: return SHOWN_BYTES;
	default: return SHOWN_TEXT; /* strings and enums */
	}
}

char *field_title(const ProtobufCFieldDescriptor *field, bool pretty)
{
	static const char *const cuts[] = {"_plus_2", "_shift", "_shifts"};
	char *title = text_new("%s", field->name);
	enum shown shown = field_shown(field);

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		if (pretty && (shown == SHOWN_LEVEL || shown == SHOWN_SHIFT) &&
		    ends_with(title, cuts[i]))
			title[strlen(title) - strlen(cuts[i])] = '\0';
	return title;
}

static const char *outcome_name(uint64_t number)
{
	const struct pt_outcome_info *info = pt_outcome_info((unsigned)number);

	return info ? info->name : NULL;
}

static char *address(uint64_t number, unsigned bits)
{
	char text[TEXT_MAX];

	return text_new("%s", address_text(text, number, bits));
}

static char *size(uint64_t number, bool pretty)
{
	char text[24];

	return pretty ? text_new("%s", number_size(number, text)) : text_new("%" PRIu64, number);
}

static char *prot(uint32_t number)
{
	char text[TEXT_MAX];

	return text_new("%s", prot_text(text, number));
}

char *shown_text(enum shown shown, uint64_t number, bool pretty, unsigned ipa_bits)
{
	switch (shown) {
	case SHOWN_SIGNED: return text_new("%" PRId64, (int64_t)number);
	case SHOWN_IPA: return address(number, pretty ? ipa_bits : 0);
	case SHOWN_ADDRESS: return address(number, 0);
	case SHOWN_SIZE: return size(number, pretty);
	case SHOWN_BOOL: return text_new("%s", number ? "yes" : "no");
	case SHOWN_PROT: return prot((uint32_t)number);
	case SHOWN_LEVEL:
		if (pretty)
			return number ? text_new("%d", (int)number - 2) : text_new("%s", "");
		return text_new("%" PRIu64, number);
	case SHOWN_SHIFT:
		return pretty && number < 64 ? size(UINT64_C(1) << number, true)
					     : text_new("%" PRIu64, number);
	case SHOWN_OUTCOME:
		if (outcome_name(number))
			return text_new("%s", outcome_name(number));
		/* fall through */
	default: return text_new("%" PRIu64, number);
	}
}

json_t *shown_json(enum shown shown, uint64_t number)
{
	char text[TEXT_MAX];

	switch (shown) {
	case SHOWN_IPA:
	case SHOWN_ADDRESS: return json_string(address_text(text, number, 0));
	case SHOWN_BOOL: return json_boolean(number != 0);
	case SHOWN_SIGNED: return json_integer((json_int_t)number);
	default:
		if (number <= INT64_MAX)
			return json_integer((json_int_t)number);
		/* JSON integers are signed here; what is larger goes as decimal digits. */
		return json_sprintf("%" PRIu64, number);
	}
}

size_t field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	const void *at = base + field->offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(const void *)(base + field->quantifier_offset);
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(const void *)(base + field->quantifier_offset) ==
		       field->id;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *)at != NULL;
	return 1;
}

static size_t item_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE: return 8;
	case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
	default: return 4;
	}
}

const void *field_item(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		       size_t index)
{
	const char *at = (const char *)message + field->offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		at = *(const char *const *)(const void *)at + index * item_size(field->type);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
		return *(const void *const *)(const void *)at;
	return at;
}

/* The number in an item, sign-extended where the type is signed. */
static uint64_t item_number(ProtobufCType type, const void *item)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL: return *(const protobuf_c_boolean *)item != 0;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32: return (uint64_t)(int64_t) * (const int32_t *)item;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_ENUM: return *(const uint32_t *)item;
	default: return *(const uint64_t *)item;
	}
}

static char *bytes_text(const ProtobufCBinaryData *bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *text = ptctl_alloc(bytes->len * 2 + 1);

	for (size_t i = 0; i < bytes->len; i++) {
		text[2 * i] = digits[bytes->data[i] >> 4];
		text[2 * i + 1] = digits[bytes->data[i] & 15];
	}
	text[2 * bytes->len] = '\0';
	return text;
}

static const char *enum_name(const ProtobufCFieldDescriptor *field, const void *item)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int32_t *)item);

	return value ? value->name : NULL;
}

/* CONTEXT_KIND_GUEST of enum ContextKind is "guest" in tables. */
static char *enum_text(const ProtobufCFieldDescriptor *field, const void *item, bool pretty)
{
	const ProtobufCEnumDescriptor *type = field->descriptor;
	const char *name = enum_name(field, item);
	size_t skip = 0;
	char *text;

	if (!name)
		return text_new("%d", *(const int32_t *)item);
	if (!pretty)
		return text_new("%s", name);
	for (const char *c = type->short_name; *c; c++)
		skip += 1 + (*c >= 'A' && *c <= 'Z' && c != type->short_name);
	text = text_new("%s", strlen(name) > skip + 1 ? name + skip + 1 : name);
	for (char *c = text; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	return text;
}

static char *item_text(const ProtobufCFieldDescriptor *field, const void *item, bool pretty,
		       unsigned ipa_bits)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING: return text_new("%s", (const char *)item);
	case PROTOBUF_C_TYPE_BYTES: return bytes_text(item);
	case PROTOBUF_C_TYPE_ENUM: return enum_text(field, item, pretty);
	case PROTOBUF_C_TYPE_FLOAT: return text_new("%g", (double)*(const float *)item);
	case PROTOBUF_C_TYPE_DOUBLE: return text_new("%g", *(const double *)item);
	case PROTOBUF_C_TYPE_MESSAGE: return text_new("%s", "");
	default:
		return shown_text(field_shown(field), item_number(field->type, item), pretty,
				  ipa_bits);
	}
}

char *field_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		 bool pretty, unsigned ipa_bits)
{
	size_t count = field_count(message, field);
	char *text = text_new("%s", "");

	for (size_t i = 0; i < count; i++) {
		char *item = item_text(field, field_item(message, field, i), pretty, ipa_bits);
		char *longer = text_new("%s%s%s", text, i ? "," : "", item);

		free(item);
		free(text);
		text = longer;
	}
	return text;
}

static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);

	/* Not UTF-8: cannot come from a daemon that keeps to protobuf. */
	return json ? json : json_string("");
}

static json_t *taken_json(char *text)
{
	json_t *json = text_json(text);

	free(text);
	return json;
}

static json_t *item_json(const ProtobufCFieldDescriptor *field, const void *item)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE: return field_json_message(item);
	case PROTOBUF_C_TYPE_STRING: return text_json(item);
	case PROTOBUF_C_TYPE_BYTES: return taken_json(bytes_text(item));
	case PROTOBUF_C_TYPE_FLOAT: return json_real((double)*(const float *)item);
	case PROTOBUF_C_TYPE_DOUBLE: return json_real(*(const double *)item);
	case PROTOBUF_C_TYPE_ENUM:
		if (enum_name(field, item))
			return json_string(enum_name(field, item));
		return json_integer(*(const int32_t *)item);
	default:
		/* Sizes are fixed64 like addresses; JSON goes by the type alone. */
		return shown_json(field->type == PROTOBUF_C_TYPE_FIXED64 ? SHOWN_ADDRESS
									 : field_shown(field),
				  item_number(field->type, item));
	}
}

/* "outcome" has a companion "outcome_name", "prot" has "prot_name". */
static void add_words(json_t *object, const ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field)
{
	enum shown shown = field_shown(field);
	size_t count = field_count(message, field);
	json_t *words = json_array();
	char *name = text_new("%s_name", field->name);

	if (shown == SHOWN_OUTCOME || shown == SHOWN_PROT) {
		for (size_t i = 0; i < count; i++)
			json_array_append_new(
				words, taken_json(item_text(field, field_item(message, field, i),
							    true, 0)));
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			json_object_set(object, name, words);
		else if (count)
			json_object_set(object, name, json_array_get(words, 0));
	}
	json_decref(words);
	free(name);
}

json_t *field_json_message(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	json_t *object = json_object();

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = type->fields + i;
		size_t count = field_count(message, field);

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			json_t *array = json_array();

			for (size_t k = 0; k < count; k++)
				json_array_append_new(
					array, item_json(field, field_item(message, field, k)));
			json_object_set_new(object, field->name, array);
		} else if (count) {
			json_object_set_new(object, field->name,
					    item_json(field, field_item(message, field, 0)));
		}
		add_words(object, message, field);
	}
	return object;
}
