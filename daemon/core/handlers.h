/* SPDX-License-Identifier: BSD-2-Clause */
/* All handlers of ptd.v1, for the method table; and what several of them share. */
#ifndef PTD_HANDLERS_H
#define PTD_HANDLERS_H

#include "domain_types.h"

call_handler server_get_info, server_get_stats, server_drain;
call_handler machine_create_call, machine_get, machine_list, machine_delete, machine_delete_abandon;
call_handler memory_read, memory_write;
call_handler context_create_call, context_get, context_list, context_delete, context_delete_abandon,
	context_set_quota;
call_handler context_watch, context_watch_abandon;
call_handler slot_set, slot_set_abandon, slot_delete, slot_delete_abandon;
call_handler context_dump, context_dump_abandon, context_digest, context_digest_abandon;
call_handler mapping_map, mapping_map_abandon, mapping_unmap, mapping_unmap_abandon,
	mapping_protect, mapping_protect_abandon, mapping_write_protect,
	mapping_write_protect_abandon;
call_handler mapping_age, mapping_age_abandon, mapping_split, mapping_collapse,
	mapping_upkeep_abandon;
call_handler mapping_start_dirty_log, mapping_start_dirty_log_abandon, mapping_get_dirty_log,
	mapping_stop_dirty_log, mapping_list_dirty_logs, mapping_dirty_abandon;
call_handler mapping_apply, mapping_apply_abandon;
call_handler mapping_session, mapping_session_look, mapping_session_abandon;
call_handler fault_access, fault_access_abandon, fault_handle, fault_handle_abandon;
call_handler fault_translate, fault_explain;
call_handler owner_get, owner_list, owner_lendings, owner_transfer, owner_transfer_abandon,
	owner_watch, owner_watch_abandon;
call_handler guest_reserve, guest_teardown, guest_teardown_abandon, guest_finalize,
	guest_finalize_abandon;
call_handler nested_enter_call, nested_enter_call_abandon, nested_exit_call, nested_invalidate,
	nested_list, nested_address_translate, nested_address_translate_abandon;
call_handler pager_serve_pages, pager_serve_pages_look, pager_serve_pages_abandon, pager_list;
call_handler failpoint_arm, failpoint_disarm, failpoint_list;

/*
 * Page tokens: opaque, bound to daemon, principal, method and filter by a checksum. Decoding ""
 * gives 0. False: forged, or of another list (the call has been failed).
 */
#define PAGE_TOKEN_BYTES 33
void page_token_make(const struct call *call, uint64_t filter, uint64_t last,
		     char token[PAGE_TOKEN_BYTES]);
bool page_token_read(struct call *call, uint64_t filter, const char *token, uint64_t *last);
/* How many entries a page may have. */
uint32_t page_limit(uint32_t asked);

/* The message that says what an operation did. */
struct Ptd__V1__Effects;
struct Ptd__V1__Effects *effects_message(struct call *call, const struct pt_effects *effects);
void effects_fill(struct Ptd__V1__Effects *message, const struct pt_effects *effects);

/* A response of `type` in the call's arena; NULL: the call has been failed. */
void *new_response(struct call *call, const ProtobufCMessageDescriptor *type);

#endif
