/* SPDX-License-Identifier: BSD-2-Clause */
/* google.rpc.Status with ErrorInfo and ptd.v1.ErrorDetail, written by hand: four fields in all. */
#include "status.h"

#include "codec.h"
#include "wire_limits.h"

#include <pt/txn.h>
#include <ptd/v1/common.pb-c.h>
#include <stdio.h>
#include <string.h>

#define TYPE_ERROR_INFO	  "type.googleapis.com/google.rpc.ErrorInfo"
#define TYPE_ERROR_DETAIL "type.googleapis.com/ptd.v1.ErrorDetail"

enum pt_grpc status_grpc(const struct call_status *status)
{
	const struct pt_outcome_info *info = pt_outcome_info(status->code);

	if (status->grpc)
		return (enum pt_grpc)status->grpc;
	return info ? info->grpc : PT_GRPC_INTERNAL;
}

static const char *status_text(const struct call_status *status)
{
	const struct pt_outcome_info *info = pt_outcome_info(status->code);

	return status->text[0] ? status->text : info ? info->text : "";
}

static void put_metadata(struct writer *info, const char *key, const char *value)
{
	uint8_t space[128];
	struct writer entry = {.data = space, .capacity = sizeof(space)};

	put_string(&entry, 1, key);
	put_string(&entry, 2, value);
	if (!entry.overflow)
		put_bytes(info, 3, space, entry.length);
}

static void put_any(struct writer *status, const char *type, const uint8_t *value, size_t length)
{
	uint8_t space[1024];
	struct writer any = {.data = space, .capacity = sizeof(space)};

	put_string(&any, 1, type);
	put_bytes(&any, 2, value, length);
	if (!any.overflow)
		put_bytes(status, 3, space, any.length);
}

static void put_error_info(struct writer *out, const struct call_status *status,
			   const struct pt_outcome_info *row)
{
	uint8_t space[512];
	struct writer info = {.data = space, .capacity = sizeof(space)};
	char text[32];

	put_string(&info, 1, row->name);
	put_string(&info, 2, "ptd");
	snprintf(text, sizeof(text), "PTD-E%04u", (unsigned)status->code);
	put_metadata(&info, "id", text);
	if (status->ipa) {
		snprintf(text, sizeof(text), "0x%llx", (unsigned long long)status->ipa);
		put_metadata(&info, "ipa", text);
	}
	if (!info.overflow)
		put_any(out, TYPE_ERROR_INFO, space, info.length);
}

static void put_error_detail(struct writer *out, const struct call_status *status,
			     const struct pt_outcome_info *row)
{
	Ptd__V1__ErrorDetail detail = PTD__V1__ERROR_DETAIL__INIT;
	uint8_t space[768];

	detail.code = status->code;
	detail.index = status->index;
	detail.ipa = status->ipa;
	detail.level = status->level;
	detail.nearest_below = status->nearest_below;
	detail.nearest_above = status->nearest_above;
	detail.hint = (char *)(uintptr_t)(status->hint ? status->hint : row->hint);
	if (ptd__v1__error_detail__get_packed_size(&detail) <= sizeof(space))
		put_any(out, TYPE_ERROR_DETAIL, space, ptd__v1__error_detail__pack(&detail, space));
}

static size_t encode_details(char *out, size_t room, const struct call_status *status)
{
	const struct pt_outcome_info *row = pt_outcome_info(status->code);
	uint8_t space[WIRE_DETAIL_BYTES];
	struct writer details = {.data = space, .capacity = sizeof(space)};

	put_uint(&details, 1, status_grpc(status));
	put_string(&details, 2, status_text(status));
	if (row) {
		put_error_info(&details, status, row);
		put_error_detail(&details, status, row);
	}
	if (details.overflow || base64_length(details.length) > room)
		return 0; /* dropped rather than too large for the peer */
	return base64_encode(out, space, details.length);
}

static void add(struct status_wire *wire, const char *name, const char *value, size_t length)
{
	wire->field[wire->fields++] = (nghttp2_nv){
		(uint8_t *)(uintptr_t)name,   (uint8_t *)(uintptr_t)value, strlen(name), length,
		NGHTTP2_NV_FLAG_NO_COPY_NAME,
	};
}

void status_encode(struct status_wire *wire, const struct call_status *status)
{
	size_t used, n;

	wire->fields = 0;
	used = (size_t)snprintf(wire->text, 16, "%u", (unsigned)status_grpc(status));
	add(wire, "grpc-status", wire->text, used);
	if (status->code == PT_OK && !status->grpc)
		return;
	if (status->pushback_ms) {
		n = (size_t)snprintf(wire->text + used, 16, "%u", (unsigned)status->pushback_ms);
		add(wire, "grpc-retry-pushback-ms", wire->text + used, n);
		used += n;
	}
	n = percent_encode(wire->text + used, WIRE_MESSAGE_TEXT, status_text(status));
	add(wire, "grpc-message", wire->text + used, n);
	used += n;
	n = encode_details(wire->text + used, sizeof(wire->text) - used - 256, status);
	if (n)
		add(wire, "grpc-status-details-bin", wire->text + used, n);
}
