/* SPDX-License-Identifier: BSD-2-Clause */
/* The method table of ptd.v1, and the small things that handlers share. */
#include "handlers.h"

#include "domain_fail.h"
#include "hot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptd/v1/common.pb-c.h"
#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"
#include "ptd/v1/pager.pb-c.h"
#include "ptd/v1/server.pb-c.h"

#define METHOD(service, rpc, type, handler, undo)                                                  \
	{                                                                                          \
		.path = "/ptd.v1." service "/" rpc,                                                \
		.request = &ptd__v1__##type##_request__descriptor, .run = handler, .abandon = undo \
	}

const struct method domain_methods[] = {
	METHOD("ServerService", "GetInfo", get_info, server_get_info, NULL),
	METHOD("ServerService", "GetStats", get_stats, server_get_stats, NULL),
	METHOD("ServerService", "Drain", drain, server_drain, NULL),
	METHOD("MachineService", "CreateMachine", create_machine, machine_create_call,
	       call_once_leave),
	METHOD("MachineService", "GetMachine", get_machine, machine_get, NULL),
	METHOD("MachineService", "ListMachines", list_machines, machine_list, NULL),
	METHOD("MachineService", "DeleteMachine", delete_machine, machine_delete,
	       machine_delete_abandon),
	METHOD("MachineService", "ReadMemory", read_memory, memory_read, NULL),
	METHOD("MachineService", "WriteMemory", write_memory, memory_write, call_once_leave),
	METHOD("ContextService", "CreateContext", create_context, context_create_call,
	       call_once_leave),
	METHOD("ContextService", "GetContext", get_context, context_get, NULL),
	METHOD("ContextService", "ListContexts", list_contexts, context_list, NULL),
	{.path = "/ptd.v1.ContextService/WatchContexts",
	 .request = &ptd__v1__watch_contexts_request__descriptor,
	 .run = context_watch,
	 .abandon = context_watch_abandon,
	 .server_streaming = true},
	METHOD("ContextService", "DeleteContext", delete_context, context_delete,
	       context_delete_abandon),
	METHOD("ContextService", "SetSlot", set_slot, slot_set, slot_set_abandon),
	METHOD("ContextService", "DeleteSlot", delete_slot, slot_delete, slot_delete_abandon),
	METHOD("ContextService", "SetQuota", set_quota, context_set_quota, NULL),
	METHOD("ContextService", "DumpContext", dump_context, context_dump, context_dump_abandon),
	METHOD("ContextService", "GetDigest", get_digest, context_digest, context_digest_abandon),
	METHOD("MappingService", "Map", map, mapping_map, mapping_map_abandon),
	METHOD("MappingService", "Unmap", unmap, mapping_unmap, mapping_unmap_abandon),
	METHOD("MappingService", "Protect", protect, mapping_protect, mapping_protect_abandon),
	METHOD("MappingService", "WriteProtect", write_protect, mapping_write_protect,
	       mapping_write_protect_abandon),
	METHOD("MappingService", "Age", age, mapping_age, mapping_age_abandon),
	METHOD("MappingService", "Split", split, mapping_split, mapping_upkeep_abandon),
	METHOD("MappingService", "Collapse", collapse, mapping_collapse, mapping_upkeep_abandon),
	METHOD("MappingService", "StartDirtyLog", start_dirty_log, mapping_start_dirty_log,
	       mapping_start_dirty_log_abandon),
	METHOD("MappingService", "GetDirtyLog", get_dirty_log, mapping_get_dirty_log,
	       mapping_dirty_abandon),
	METHOD("MappingService", "StopDirtyLog", stop_dirty_log, mapping_stop_dirty_log, NULL),
	METHOD("MappingService", "ListDirtyLogs", list_dirty_logs, mapping_list_dirty_logs, NULL),
	{.path = "/ptd.v1.MappingService/Apply",
	 .request = &ptd__v1__apply_request__descriptor,
	 .run = mapping_apply,
	 .abandon = mapping_apply_abandon,
	 .unpack = hot_unpack_apply,
	 .pack = hot_pack_apply},
	{.path = "/ptd.v1.MappingService/Session",
	 .request = &ptd__v1__session_request__descriptor,
	 .run = mapping_session,
	 .look = mapping_session_look,
	 .abandon = mapping_session_abandon,
	 .unpack = hot_unpack_session,
	 .pack = hot_pack_session,
	 .server_streaming = true,
	 .client_streaming = true},
	METHOD("FaultService", "Access", access, fault_access, fault_access_abandon),
	METHOD("FaultService", "HandleFault", handle_fault, fault_handle, fault_handle_abandon),
	METHOD("FaultService", "Translate", translate, fault_translate, NULL),
	METHOD("FaultService", "Explain", explain, fault_explain, NULL),
	METHOD("OwnershipService", "Transfer", transfer, owner_transfer, owner_transfer_abandon),
	METHOD("OwnershipService", "GetOwner", get_owner, owner_get, NULL),
	METHOD("OwnershipService", "ListOwners", list_owners, owner_list, NULL),
	METHOD("OwnershipService", "ListLendings", list_lendings, owner_lendings, NULL),
	{.path = "/ptd.v1.OwnershipService/WatchOwners",
	 .request = &ptd__v1__watch_owners_request__descriptor,
	 .run = owner_watch,
	 .abandon = owner_watch_abandon,
	 .server_streaming = true},
	METHOD("OwnershipService", "ReserveGuest", reserve_guest, guest_reserve, call_once_leave),
	METHOD("OwnershipService", "TeardownGuest", teardown_guest, guest_teardown,
	       guest_teardown_abandon),
	METHOD("OwnershipService", "FinalizeGuest", finalize_guest, guest_finalize,
	       guest_finalize_abandon),
	METHOD("NestedService", "EnterNested", enter_nested, nested_enter_call,
	       nested_enter_call_abandon),
	METHOD("NestedService", "ExitNested", exit_nested, nested_exit_call, NULL),
	METHOD("NestedService", "Invalidate", invalidate, nested_invalidate, NULL),
	METHOD("NestedService", "AddressTranslate", address_translate, nested_address_translate,
	       nested_address_translate_abandon),
	METHOD("NestedService", "ListShadows", list_shadows, nested_list, NULL),
	{.path = "/ptd.v1.PagerService/ServePages",
	 .request = &ptd__v1__serve_pages_request__descriptor,
	 .run = pager_serve_pages,
	 .look = pager_serve_pages_look,
	 .abandon = pager_serve_pages_abandon,
	 .server_streaming = true,
	 .client_streaming = true},
	METHOD("PagerService", "ListPagers", list_pagers, pager_list, NULL),
	METHOD("FailpointService", "ArmFailpoint", arm_failpoint, failpoint_arm, NULL),
	METHOD("FailpointService", "DisarmFailpoints", disarm_failpoints, failpoint_disarm, NULL),
	METHOD("FailpointService", "ListFailpoints", list_failpoints, failpoint_list, NULL),
	{0},
};

void *new_response(struct call *call, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = call_alloc(call, type->sizeof_message);

	if (!message) {
		fail_arena(call);
		return NULL;
	}
	type->message_init(message);
	return message;
}

Ptd__V1__Effects *effects_message(struct call *call, const struct pt_effects *e)
{
	Ptd__V1__Effects *m = new_response(call, &ptd__v1__effects__descriptor);

	if (m)
		effects_fill(m, e);
	return m;
}

void effects_fill(Ptd__V1__Effects *m, const struct pt_effects *e)
{
	m->leaves_written = e->leaves_written;
	m->leaves_removed = e->leaves_removed;
	m->already = e->already;
	m->holes = e->holes;
	m->blocks_split = e->blocks_split;
	m->tables_added = e->tables_added;
	m->tables_freed = e->tables_freed;
	m->tlbis = e->tlbis;
	m->annotated = e->annotated;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) + UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = mix(h, (unsigned char)*text);
	return h;
}

static uint64_t checksum(const struct call *call, uint64_t filter, uint64_t last)
{
	uint64_t h = mix(mix(mix(call->domain->config.epoch, filter), last), 1);

	h = mix_text(h, call->request->descriptor->name);
	return mix_text(h, call->principal->name);
}

void page_token_make(const struct call *call, uint64_t filter, uint64_t last,
		     char token[PAGE_TOKEN_BYTES])
{
	snprintf(token, PAGE_TOKEN_BYTES, "%016llx%016llx", (unsigned long long)last,
		 (unsigned long long)checksum(call, filter, last));
}

bool page_token_read(struct call *call, uint64_t filter, const char *token, uint64_t *last)
{
	char expected[PAGE_TOKEN_BYTES], part[17] = {0};

	*last = 0;
	if (!token[0])
		return true;
	if (strlen(token) == PAGE_TOKEN_BYTES - 1) {
		memcpy(part, token, 16);
		*last = strtoull(part, NULL, 16);
		page_token_make(call, filter, *last, expected);
		if (!strcmp(token, expected))
			return true;
	}
	call_fail(call, PT_INVALID, "page_token: not one that this list gave");
	return false;
}

uint32_t page_limit(uint32_t asked)
{
	if (!asked)
		return DEFAULT_PAGE_SIZE;
	return asked < LIMIT_PAGE_SIZE ? asked : LIMIT_PAGE_SIZE;
}
