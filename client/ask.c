/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests from the command line: a value goes to the field that has its name. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

/* Fields that the command line calls something else; the first that the command has counts. Others
 * differ in '-' for '_' alone. */
static const struct {
	const char *field, *param;
} renamed[] = {
	{"handle", "context"},
	{"handle", "machine"},
	{"expected_generation", "if-generation"},
	{"validate_only", "dry-run"},
	{"memory_bytes", "memory"},
	{"quota_pages", "quota"},
	{"quota_pages", "pages"},
	{"owner_quota_pages", "owner-quota"},
	{"after_seq", "after"},
	{"page_budget", "pages"},
	{"start_level_plus_2", "start-level"}, /* choices from -1 on are numbered from 1 on */
	{"want_bitmap", "bitmap"},
	{"eager_split", "eager"},
	{"initially_set", "all-dirty"},
	{"log_generation", "generation"},
	{"probability_ppm", "ppm"},
	{"time_to_live_ms", "ttl"},
	{"delay_ms", "delay"},
};

static const struct value *value_of(const struct ptctl *ctl, const char *field)
{
	const struct value *value;
	char name[32];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
		if (!strcmp(renamed[i].field, field)) {
			value = ptctl_find(ctl, renamed[i].param);
			if (value)
				return value;
		}
	for (; field[n] && n < sizeof(name) - 1; n++)
		name[n] = field[n] == '_' ? '-' : field[n];
	name[n] = '\0';
	return ptctl_find(ctl, name);
}

const struct param *ptctl_param_of(const struct ptctl *ctl, const char *field)
{
	const struct value *value = value_of(ctl, field);

	return value ? value->param : NULL;
}

static int put(struct ptctl *ctl, const struct value *value, const ProtobufCFieldDescriptor *field,
	       void *at)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)at = value->given; break;
	case PROTOBUF_C_TYPE_ENUM: /* choices are numbered as the enum's values */
	case PROTOBUF_C_TYPE_UINT32: *(uint32_t *)at = (uint32_t)value->number; break;
	case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)at = value->number; break;
	case PROTOBUF_C_TYPE_FIXED64:
		if (value->param->type == VALUE_MACHINE || value->param->type == VALUE_CONTEXT)
			return ptctl_handle(ctl, value->param->name, at);
		*(uint64_t *)at = value->number;
		break;
	case PROTOBUF_C_TYPE_STRING: *(char **)at = (char *)(uintptr_t)value->text; break;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)at =
			(ProtobufCBinaryData){.len = value->length, .data = value->bytes};
		break;
	default: break; /* of a message its handler takes care */
	}
	return EXIT_DONE;
}

static int check_request_id(const struct ptctl *ctl)
{
	const struct value *value = ptctl_find(ctl, "request-id");

	if (!value || !value->given || value->length == 16)
		return EXIT_DONE;
	return ptctl_usage(ctl,
			   "--request-id: %zu bytes, not 16\n  hint: accepted: 32 "
			   "hexadecimal digits",
			   value->length);
}

int ptctl_fill(struct ptctl *ctl, ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	int result = check_request_id(ctl); /* before anything is sent */

	for (unsigned i = 0; i < type->n_fields && !result; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const struct value *value = value_of(ctl, field->name);

		if (value && value->given && field->label != PROTOBUF_C_LABEL_REPEATED)
			result = put(ctl, value, field, (char *)message + field->offset);
	}
	return result;
}

int ptctl_ask(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	      const ProtobufCMessageDescriptor *type)
{
	int result = ptctl_fill(ctl, request);

	return result ? result : ptctl_show(ctl, method, request, type);
}
