/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed calls of ptd.h: changes of any kind, upkeep, dirty logs. */
#include "typed.h"

#include <string.h>

static void read_apply(void *into, const void *answer)
{
	const Ptd__V1__ApplyResponse *got = answer;

	effects_read(into, got->effects, got->generation, got->n_outcome ? got->outcome[0] : 0);
}

enum ptd_state ptd_change(struct ptd_client *client, uint64_t context, uint32_t kind,
			  struct ptd_ipa ipa, uint64_t size, struct ptd_pa pa, uint32_t prot,
			  uint32_t flags, struct ptd_effects *effects, struct ptd_status *status)
{
	Ptd__V1__ApplyRequest request = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;

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
	return typed_call(client, "/ptd.v1.MappingService/Apply", &request.base,
			  &request.request_id, false, &ptd__v1__apply_response__descriptor,
			  read_apply, effects, status);
}

static void bitmap_read(uint8_t *to, size_t bytes, const ProtobufCBinaryData *from)
{
	size_t n = from->len < bytes ? from->len : bytes;

	if (to && n)
		memcpy(to, from->data, n);
}

struct aged {
	uint8_t *bitmap;
	size_t bytes;
	struct ptd_upkeep *upkeep;
};

static void read_age(void *into, const void *answer)
{
	const Ptd__V1__AgeResponse *got = answer;
	const struct aged *to = into;

	bitmap_read(to->bitmap, to->bytes, &got->bitmap);
	*to->upkeep = (struct ptd_upkeep){.next = {got->next_ipa},
					  .stopped = got->stopped,
					  .young = got->young,
					  .old = got->old};
}

enum ptd_state ptd_age(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
		       uint64_t size, bool clear, uint8_t *bitmap, size_t bitmap_bytes,
		       struct ptd_upkeep *upkeep, struct ptd_status *status)
{
	Ptd__V1__AgeRequest request = PTD__V1__AGE_REQUEST__INIT;
	struct aged to = {bitmap, bitmap_bytes, upkeep};

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.clear = clear;
	request.want_bitmap = bitmap != NULL;
	return typed_call(client, "/ptd.v1.MappingService/Age", &request.base,
			  clear ? &request.request_id : NULL, !clear,
			  &ptd__v1__age_response__descriptor, read_age, &to, status);
}

static void read_split(void *into, const void *answer)
{
	const Ptd__V1__SplitResponse *got = answer;
	struct ptd_upkeep *upkeep = into;

	*upkeep = (struct ptd_upkeep){.next = {got->next_ipa}, .stopped = got->stopped};
	effects_read(&upkeep->effects, got->effects, 0, 0);
}

/* What was split stays so: it may be asked for twice. */
enum ptd_state ptd_split(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			 uint64_t size, uint32_t level, uint64_t pages, struct ptd_upkeep *upkeep,
			 struct ptd_status *status)
{
	Ptd__V1__SplitRequest request = PTD__V1__SPLIT_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.level_plus_2 = level + 2;
	request.page_budget = pages;
	return typed_call(client, "/ptd.v1.MappingService/Split", &request.base, NULL, true,
			  &ptd__v1__split_response__descriptor, read_split, upkeep, status);
}

static void read_collapse(void *into, const void *answer)
{
	const Ptd__V1__CollapseResponse *got = answer;
	struct ptd_upkeep *upkeep = into;

	*upkeep = (struct ptd_upkeep){
		.next = {got->next_ipa}, .stopped = got->stopped, .blocks_made = got->blocks_made};
	effects_read(&upkeep->effects, got->effects, 0, 0);
}

enum ptd_state ptd_collapse(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			    uint64_t size, struct ptd_upkeep *upkeep, struct ptd_status *status)
{
	Ptd__V1__CollapseRequest request = PTD__V1__COLLAPSE_REQUEST__INIT;

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	return typed_call(client, "/ptd.v1.MappingService/Collapse", &request.base, NULL, true,
			  &ptd__v1__collapse_response__descriptor, read_collapse, upkeep, status);
}

struct started {
	uint64_t *log, *generation;
};

static void read_start(void *into, const void *answer)
{
	const Ptd__V1__StartDirtyLogResponse *got = answer;
	const struct started *to = into;

	*to->log = got->log;
	*to->generation = got->log_generation;
}

enum ptd_state ptd_dirty_start(struct ptd_client *client, uint64_t context, struct ptd_ipa ipa,
			       uint64_t size, uint32_t flags, uint64_t *log, uint64_t *generation,
			       struct ptd_status *status)
{
	Ptd__V1__StartDirtyLogRequest request = PTD__V1__START_DIRTY_LOG_REQUEST__INIT;
	struct started to = {log, generation};

	request.context = context;
	request.ipa = ipa.v;
	request.size = size;
	request.eager_split = flags & PTD_DIRTY_EAGER;
	request.initially_set = (flags & PTD_DIRTY_ALL) != 0;
	return typed_call(client, "/ptd.v1.MappingService/StartDirtyLog", &request.base,
			  &request.request_id, false,
			  &ptd__v1__start_dirty_log_response__descriptor, read_start, &to, status);
}

struct fetched {
	uint8_t *bitmap;
	size_t bytes;
	uint64_t *generation;
	struct ptd_dirty *dirty;
};

static void read_get(void *into, const void *answer)
{
	const Ptd__V1__GetDirtyLogResponse *got = answer;
	const struct fetched *to = into;

	bitmap_read(to->bitmap, to->bytes, &got->bitmap);
	*to->generation = got->log_generation;
	*to->dirty = (struct ptd_dirty){
		.ipa = {got->ipa}, .next = {got->next_ipa}, .dirty = got->dirty, .done = got->done};
}

/* The generation tells an answer that was lost from one that came: it may be asked for twice. */
enum ptd_state ptd_dirty_get(struct ptd_client *client, uint64_t log, struct ptd_ipa ipa,
			     uint64_t size, bool clear, uint64_t *generation, uint8_t *bitmap,
			     size_t bitmap_bytes, struct ptd_dirty *dirty,
			     struct ptd_status *status)
{
	Ptd__V1__GetDirtyLogRequest request = PTD__V1__GET_DIRTY_LOG_REQUEST__INIT;
	struct fetched to = {bitmap, bitmap_bytes, generation, dirty};

	request.log = log;
	request.ipa = ipa.v;
	request.size = size;
	request.clear = clear;
	request.log_generation = *generation;
	return typed_call(client, "/ptd.v1.MappingService/GetDirtyLog", &request.base, NULL, true,
			  &ptd__v1__get_dirty_log_response__descriptor, read_get, &to, status);
}

struct listed {
	struct ptd_dirty_log *logs;
	size_t room, *count;
};

static void read_log(struct ptd_dirty_log *to, const Ptd__V1__DirtyLog *from)
{
	*to = (struct ptd_dirty_log){.log = from->log,
				     .context = from->context,
				     .ipa = {from->ipa},
				     .size = from->size,
				     .memory_bytes = from->memory_bytes};
	strncpy(to->context_name, from->context_name, sizeof(to->context_name) - 1);
}

static void read_list(void *into, const void *answer)
{
	const Ptd__V1__ListDirtyLogsResponse *got = answer;
	const struct listed *to = into;

	for (size_t i = 0; i < got->n_logs && i < to->room; i++)
		read_log(&to->logs[i], got->logs[i]);
	*to->count = got->n_logs;
}

enum ptd_state ptd_dirty_list(struct ptd_client *client, uint64_t context,
			      struct ptd_dirty_log *logs, size_t room, size_t *count,
			      struct ptd_status *status)
{
	Ptd__V1__ListDirtyLogsRequest request = PTD__V1__LIST_DIRTY_LOGS_REQUEST__INIT;
	struct listed to = {logs, room, count};

	request.context = context;
	return typed_call(client, "/ptd.v1.MappingService/ListDirtyLogs", &request.base, NULL, true,
			  &ptd__v1__list_dirty_logs_response__descriptor, read_list, &to, status);
}

static void read_stop(void *into, const void *answer)
{
	const Ptd__V1__StopDirtyLogResponse *got = answer;

	*(uint64_t *)into = got->dirty;
}

enum ptd_state ptd_dirty_stop(struct ptd_client *client, uint64_t log, uint64_t *dirty,
			      struct ptd_status *status)
{
	Ptd__V1__StopDirtyLogRequest request = PTD__V1__STOP_DIRTY_LOG_REQUEST__INIT;

	request.log = log;
	return typed_call(client, "/ptd.v1.MappingService/StopDirtyLog", &request.base, NULL, false,
			  &ptd__v1__stop_dirty_log_response__descriptor, read_stop, dirty, status);
}
