/* SPDX-License-Identifier: BSD-2-Clause */
/* ServerService: what this daemon is, what it has done, and its end. */
#include "handlers.h"

#include "domain_fail.h"
#include "registry.h"
#include "wire_limits.h"

#include "ptd/v1/server.pb-c.h"

static const uint32_t granules[] = {12, 14, 16};
static const char *const features[] = {
	"FEAT_LPA",    "FEAT_LPA2",   "FEAT_S2FWB", "FEAT_XNX",
	"FEAT_VMID16", "FEAT_HAFDBS", "FEAT_TTST",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void wire_limits(Ptd__V1__Limits *l, const struct wire_config *wire)
{
	l->max_principal_connections = wire->principal_connections;
	l->max_connection_calls = WIRE_LIVE_CALLS;
	l->max_principal_calls = WIRE_PRINCIPAL_CALLS;
	l->max_connection_request_bytes = WIRE_BODY_BUDGET;
	l->max_principal_request_bytes = WIRE_PRINCIPAL_REQUEST_BYTES;
	l->max_principal_output_bytes = WIRE_PRINCIPAL_OUTPUT_BYTES;
	l->max_request_ids = LIMIT_REQUEST_IDS;
	l->max_principal_request_ids = LIMIT_PRINCIPAL_REQUEST_IDS;
	l->max_sessions_per_principal = LIMIT_SESSIONS_PRINCIPAL;
	l->session_window = LIMIT_SESSION_WINDOW;
	l->max_session_answer_bytes = LIMIT_SESSION_BYTES;
	l->session_seconds = SESSION_TTL_NS / 1000000000;
	l->max_bitmap_bytes = LIMIT_BITMAP_BYTES;
	l->max_dirty_logs = LIMIT_DIRTY_LOGS;
	l->max_principal_dirty_logs = LIMIT_PRINCIPAL_DIRTY_LOGS;
	l->max_dirty_log_bytes = LIMIT_DIRTY_LOG_BYTES;
	l->max_principal_dirty_log_bytes = LIMIT_PRINCIPAL_DIRTY_LOG_BYTES;
	l->max_guests = LIMIT_GUESTS;
	l->max_shadows = LIMIT_SHADOWS;
	l->max_transfer_items = LIMIT_TRANSFER_ITEMS;
	l->max_lendings = LIMIT_LENDINGS;
	l->max_lend_borrowers = LIMIT_LEND_BORROWERS;
	l->max_lend_pieces = LIMIT_LEND_PIECES;
	l->max_lend_timeout_ms = LIMIT_LEND_TIMEOUT_MS;
	l->max_pagers = LIMIT_MACHINE_PAGERS;
	l->max_principal_pagers = LIMIT_PRINCIPAL_PAGERS;
	l->max_pager_window = LIMIT_PAGER_WINDOW;
	l->max_pager_bytes = LIMIT_PAGER_BYTES;
	l->request_id_seconds = REQUEST_ID_TTL_NS / SECOND;
	l->permit_ping_milliseconds = wire->permit_ping_ns / (SECOND / 1000);
}

static Ptd__V1__Limits *limits(struct call *call)
{
	const struct domain_config *config = &call->domain->config;
	Ptd__V1__Limits *l = new_response(call, &ptd__v1__limits__descriptor);

	if (!l)
		return NULL;
	l->max_receive_bytes = LIMIT_RECEIVE_BYTES;
	l->max_send_bytes = LIMIT_SEND_BYTES;
	l->max_batch_items = LIMIT_BATCH_ITEMS;
	l->max_concurrent_streams = LIMIT_CONCURRENT_STREAMS;
	l->max_header_list_bytes = LIMIT_HEADER_LIST_BYTES;
	l->max_vcpus = LIMIT_VCPUS;
	l->max_slots = LIMIT_SLOTS;
	l->max_machines = LIMIT_MACHINES;
	l->max_contexts = LIMIT_CONTEXTS;
	l->max_access_bytes = LIMIT_ACCESS_BYTES;
	l->max_page_size = LIMIT_PAGE_SIZE;
	l->max_machine_bytes = LIMIT_MACHINE_BYTES;
	l->table_bytes = config->table_bytes;
	l->max_name_bytes = LIMIT_NAME_BYTES;
	l->max_errors = LIMIT_ERRORS;
	l->max_connections =
		config->max_connections ? config->max_connections : DEFAULT_MAX_CONNECTIONS;
	wire_limits(l, &config->wire);
	return l;
}

/* protobuf-c's messages are not const-correct; nothing writes to what they point to. */
static void *unconst(const void *p)
{
	return (void *)(uintptr_t)p;
}

enum call_result server_get_info(struct call *call)
{
	const struct domain_config *config = &call->domain->config;
	Ptd__V1__GetInfoResponse *r = new_response(call, &ptd__v1__get_info_response__descriptor);

	if (!r)
		return CALL_DONE;
	r->limits = limits(call);
	if (!r->limits)
		return CALL_DONE;
	if (config->version)
		r->version = unconst(config->version);
	r->epoch = config->epoch;
	r->loops = config->loops;
	r->granule_shifts = unconst(granules);
	r->n_granule_shifts = COUNT(granules);
	r->features = unconst(features);
	r->n_features = COUNT(features);
	r->services = unconst(config->services);
	while (config->services && config->services[r->n_services])
		r->n_services++;
	r->checked = config->checked;
	r->failpoints_allowed = config->allow_failpoints;
	call->response = &r->base;
	return CALL_DONE;
}

static uint64_t peek(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void fill_loop(Ptd__V1__LoopStats *to, const struct loop_counters *c)
{
	to->connections = peek(&c->connections);
	to->calls_ok = peek(&c->calls_ok);
	to->calls_failed = peek(&c->calls_failed);
	to->leaves_written = peek(&c->leaves_written);
	to->leaves_removed = peek(&c->leaves_removed);
	to->faults = peek(&c->faults);
	to->parked = peek(&c->parked);
	to->bytes_in = peek(&c->bytes_in);
	to->bytes_out = peek(&c->bytes_out);
	to->streams_refused = peek(&c->streams_refused);
	to->calls_refused = peek(&c->calls_refused);
	to->te_missing = peek(&c->te_missing);
	to->blocks_folded = peek(&c->blocks_folded);
	to->tables_swept = peek(&c->tables_swept);
	to->groups_relaxed = peek(&c->groups_relaxed);
}

static bool add_loops(struct call *call, Ptd__V1__GetStatsResponse *r)
{
	struct domain *d = call->domain;

	r->loops = call_alloc(call, PT_MAX_AGENTS * sizeof(*r->loops));
	if (!r->loops)
		return false;
	for (uint32_t i = 0; i < PT_MAX_AGENTS; i++) {
		struct domain_loop *loop = atomic_load(&d->loop[i]);
		Ptd__V1__LoopStats *stats;

		if (!loop)
			continue;
		stats = new_response(call, &ptd__v1__loop_stats__descriptor);
		if (!stats)
			return false;
		fill_loop(stats, &loop->counters);
		r->loops[r->n_loops++] = stats;
	}
	return true;
}

enum call_result server_get_stats(struct call *call)
{
	struct domain *d = call->domain;
	Ptd__V1__GetStatsResponse *r = new_response(call, &ptd__v1__get_stats_response__descriptor);

	if (!r)
		return CALL_DONE;
	if (!add_loops(call, r))
		return fail_arena(call);
	r->table_bytes_used = peek(&d->tables.world.pool.used_bytes);
	r->table_bytes_total = d->tables.world.pool.total_bytes;
	r->machines = registry_machines(d);
	r->contexts = registry_contexts(d);
	call->response = &r->base;
	return CALL_DONE;
}

enum call_result server_drain(struct call *call)
{
	Ptd__V1__DrainResponse *r = new_response(call, &ptd__v1__drain_response__descriptor);

	if (!r)
		return CALL_DONE;
	if (!call->principal->admin)
		return fail_denied(call, "Drain is for admins");
	domain_drain(call->domain);
	call->response = &r->base;
	return CALL_DONE;
}
