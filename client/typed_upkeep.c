/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed calls of ptd.h: changes of any kind, upkeep, dirty logs. */
#include "typed.h"

#include <string.h>

enum ptd_state ptd_change(struct ptd_client *client, uint64_t context, uint32_t kind,
			  struct ptd_ipa ipa, uint64_t size, struct ptd_pa pa, uint32_t prot,
			  uint32_t flags, struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__ApplyRequest request = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__ApplyResponse *response;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	ops.n_ipa = ops.n_size = ops.n_pa = ops.n_kind = ops.n_prot = ops.n_flags = 1;
	ops.ipa = &ipa.v;
	ops.size = &size;
	ops.pa = &pa.v;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.flags = &flags;
	request.context = context;
	request.mode = PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC;
	request.ops = &ops;
	request.want_outcomes = true;
	typed_take_id(client, &request.request_id, id);
	response = typed_call(client, "/ptd.v1.MappingService/Apply", &request.base,
			      typed_with_id(&request.request_id),
			      &ptd__v1__apply_response__descriptor, status);
	if (response)
		effects_read(effects, response->effects, response->generation,
			     response->n_outcome ? response->outcome[0] : 0);
	ptd__v1__apply_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

static void bitmap_read(uint8_t *to, size_t bytes, const ProtobufCBinaryData *from)
{
	size_t n = from->len < bytes ? from->len : bytes;

	if (to && n)
		memcpy(to, from->data, n);
}

enum ptd_state ptd_age(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
		       uint64_t size, bool clear, uint8_t *bitmap, size_t bitmap_bytes,
		       struct ptd_upkeep *upkeep, struct ptd_status *status)
{
	Ptd__V1__AgeRequest request = PTD__V1__AGE_REQUEST__INIT;
	Ptd__V1__AgeResponse *response;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.clear = clear;
	request.want_bitmap = bitmap != NULL;
	if (clear)
		typed_take_id(client, &request.request_id, id);
	response = typed_call(client, "/ptd.v1.MappingService/Age", &request.base,
			      clear ? typed_with_id(&request.request_id) : REPEAT_FREELY,
			      &ptd__v1__age_response__descriptor, status);
	if (response) {
		bitmap_read(bitmap, bitmap_bytes, &response->bitmap);
		*upkeep = (struct ptd_upkeep){.next = {response->next_ipa},
					      .stopped = response->stopped,
					      .young = response->young,
					      .old = response->old};
	}
	ptd__v1__age_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_split(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			 uint64_t size, uint32_t level, uint64_t pages, struct ptd_upkeep *upkeep,
			 struct ptd_status *status)
{
	Ptd__V1__SplitRequest request = PTD__V1__SPLIT_REQUEST__INIT;
	Ptd__V1__SplitResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.level_plus_2 = level + 2;
	request.page_budget = pages;
	/* What was split stays so: it may be asked for twice. */
	response = typed_call(client, "/ptd.v1.MappingService/Split", &request.base, REPEAT_FREELY,
			      &ptd__v1__split_response__descriptor, status);
	if (response) {
		*upkeep = (struct ptd_upkeep){.next = {response->next_ipa},
					      .stopped = response->stopped};
		effects_read(&upkeep->effects, response->effects, 0, 0);
	}
	ptd__v1__split_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_collapse(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			    uint64_t size, struct ptd_upkeep *upkeep, struct ptd_status *status)
{
	Ptd__V1__CollapseRequest request = PTD__V1__COLLAPSE_REQUEST__INIT;
	Ptd__V1__CollapseResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	response = typed_call(client, "/ptd.v1.MappingService/Collapse", &request.base,
			      REPEAT_FREELY, &ptd__v1__collapse_response__descriptor, status);
	if (response) {
		*upkeep = (struct ptd_upkeep){.next = {response->next_ipa},
					      .stopped = response->stopped,
					      .blocks_made = response->blocks_made};
		effects_read(&upkeep->effects, response->effects, 0, 0);
	}
	ptd__v1__collapse_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_dirty_start(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			       uint64_t size, uint32_t flags, uint64_t *log, uint64_t *generation,
			       struct ptd_status *status)
{
	Ptd__V1__StartDirtyLogRequest request = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StartDirtyLogResponse *response;
	struct ptd_status unused;
	uint8_t id[16];

	status = status ? status : &unused;
	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.eager_split = flags & PTD_DIRTY_EAGER;
	request.initially_set = (flags & PTD_DIRTY_ALL) != 0;
	typed_take_id(client, &request.request_id, id);
	response = typed_call(client, "/ptd.v1.MappingService/StartDirtyLog", &request.base,
			      typed_with_id(&request.request_id),
			      &ptd__v1__start_dirty_log_response__descriptor, status);
	if (response) {
		*log = response->log;
		*generation = response->log_generation;
	}
	ptd__v1__start_dirty_log_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_dirty_get(struct ptd_client *client, uint64_t log, struct ptd_ipa ipa,
			     uint64_t size, bool clear, uint64_t *generation, uint8_t *bitmap,
			     size_t bitmap_bytes, struct ptd_dirty *dirty,
			     struct ptd_status *status)
{
	Ptd__V1__GetDirtyLogRequest request = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__GetDirtyLogResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.log = log;
	request.ipa = ipa.v;
	request.size = size;
	request.clear = clear;
	request.log_generation = *generation;
	/* The generation tells an answer that was lost from one that came. */
	response = typed_call(client, "/ptd.v1.MappingService/GetDirtyLog", &request.base,
			      REPEAT_FREELY, &ptd__v1__get_dirty_log_response__descriptor, status);
	if (response) {
		bitmap_read(bitmap, bitmap_bytes, &response->bitmap);
		*generation = response->log_generation;
		*dirty = (struct ptd_dirty){.ipa = {response->ipa},
					    .next = {response->next_ipa},
					    .dirty = response->dirty,
					    .done = response->done};
	}
	ptd__v1__get_dirty_log_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}

enum ptd_state ptd_dirty_stop(struct ptd_client *client, uint64_t log, uint64_t *dirty,
			      struct ptd_status *status)
{
	Ptd__V1__StopDirtyLogRequest request = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;
	Ptd__V1__StopDirtyLogResponse *response;
	struct ptd_status unused;

	status = status ? status : &unused;
	request.log = log;
	response = typed_call(client, "/ptd.v1.MappingService/StopDirtyLog", &request.base,
			      REPEAT_NOT, &ptd__v1__stop_dirty_log_response__descriptor, status);
	if (response)
		*dirty = response->dirty;
	ptd__v1__stop_dirty_log_response__free_unpacked(response, NULL);
	return (enum ptd_state)status->state;
}
