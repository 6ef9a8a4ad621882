/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls of the sweep, but for those of owners. */
#include "script.h"

#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/failpoint.pb-c.h"
#include "ptd/v1/fault.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/nested.pb-c.h"
#include "ptd/v1/server.pb-c.h"

#define MACHINE HANDLE(1)
#define CONTEXT HANDLE(2)
#define SECOND_ HANDLE(3)
#define NESTED	HANDLE(4)
#define SHADOW	HANDLE(5)
#define LOG	HANDLE(6)

#define ITEMS 48

static uint64_t ipas[ITEMS], sizes[ITEMS], pas[ITEMS], few[] = {0, KIB(4), MIB(64), MIB(4)};
static uint32_t kinds[ITEMS], prots[ITEMS], flags[ITEMS], one[] = {1};
static Ptd__V1__Ops ops = {PROTOBUF_C_MESSAGE_INIT(&ptd__v1__ops__descriptor),
			   ITEMS,
			   ipas,
			   ITEMS,
			   sizes,
			   ITEMS,
			   pas,
			   ITEMS,
			   kinds,
			   ITEMS,
			   prots,
			   ITEMS,
			   flags};

/* Pages far from each other, so that each takes tables of its own. */
static __attribute__((constructor)) void fill_items(void)
{
	for (uint32_t i = 0; i < ITEMS; i++) {
		ipas[i] = MIB(64) + i * MIB(2);
		sizes[i] = KIB(4);
		pas[i] = i * KIB(4);
		kinds[i] = 1;
		prots[i] = 3;
	}
}

static Ptd__V1__Slot slot = {
	PROTOBUF_C_MESSAGE_INIT(&ptd__v1__slot__descriptor), 1, 0, MIB(32), 0, 0, 0};
static Ptd__V1__Slot other_slot = {
	PROTOBUF_C_MESSAGE_INIT(&ptd__v1__slot__descriptor), 2, MIB(32), MIB(2), MIB(32), 0, 0};
static Ptd__V1__Failpoint failpoint = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__failpoint__descriptor),
	.name = TEXT("pool.reserve"),
	.action = PTD__V1__FAILPOINT_ACTION__FAILPOINT_ACTION_ERROR,
	.nth = 1,
	.times = 1,
	.context = SECOND_};
static Ptd__V1__ContextOptions nested_options = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__context_options__descriptor), .nested = true};
static Ptd__V1__SessionOpen session_open = {
	PROTOBUF_C_MESSAGE_INIT(&ptd__v1__session_open__descriptor), CONTEXT, ID("open.")};
static Ptd__V1__SessionOpen repair_open = {
	PROTOBUF_C_MESSAGE_INIT(&ptd__v1__session_open__descriptor), CONTEXT, ID("again")};
static Ptd__V1__ApplyRequest session_apply = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__apply_request__descriptor),
	.mode = PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT,
	.ops = &ops,
	.want_outcomes = true};
static Ptd__V1__Accesses session_access = {
	PROTOBUF_C_MESSAGE_INIT(&ptd__v1__accesses__descriptor), 4, few, 0, NULL, 1, one};

#define REFLECT(which, member)                                                                     \
	(&(Grpc__Reflection__V1__ServerReflectionRequest){                                         \
		.base = PROTOBUF_C_MESSAGE_INIT(                                                   \
			&grpc__reflection__v1__server_reflection_request__descriptor),             \
		.message_request_case =                                                            \
			GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##which,  \
		member}                                                                            \
		  .base)
#define HEALTH(Type, type)                                                                         \
	(&(Grpc__Health__V1__##Type){                                                              \
		.base = PROTOBUF_C_MESSAGE_INIT(&grpc__health__v1__##type##__descriptor)}          \
		  .base)
#define SESSION(what, member, number)                                                              \
	M(Session, session, .seq = number, .what_case = PTD__V1__SESSION_REQUEST__WHAT_##what,     \
	  member)

static const struct scripted state[] = {
	{CALL("Context", "GetDigest", M(GetDigest, get_digest, .context = CONTEXT))},
	{CALL("Context", "ListContexts", M(ListContexts, list_contexts))},
	{CALL("Machine", "ListMachines", M(ListMachines, list_machines))},
	{CALL("Failpoint", "ListFailpoints", M(ListFailpoints, list_failpoints))},
	{.path = NULL},
};

static const struct scripted calls[] = {
	{CALL("Server", "GetInfo", M(GetInfo, get_info))},
	{.path = "/grpc.health.v1.Health/Check",
	 .message = {HEALTH(HealthCheckRequest, health_check_request)}},
	{.path = "/grpc.health.v1.Health/List",
	 .message = {HEALTH(HealthListRequest, health_list_request)}},
	{.path = "/grpc.health.v1.Health/Watch",
	 .message = {HEALTH(HealthCheckRequest, health_check_request)},
	 .answers = 1},
	{.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	 .message = {REFLECT(LIST_SERVICES, .list_services = TEXT("*")),
		     REFLECT(FILE_CONTAINING_SYMBOL,
			     .file_containing_symbol = TEXT("ptd.v1.MappingService"))}},
	{CALL("Machine", "CreateMachine",
	      M(CreateMachine, create_machine, .name = TEXT("m0"), .memory_bytes = MIB(64),
		.vcpus = 2, .pa_bits = 40, .request_id = ID("machine")))},
	{CALL("Machine", "GetMachine", M(GetMachine, get_machine, .handle = MACHINE))},
	{CALL("Context", "CreateContext",
	      M(CreateContext, create_context, .machine = MACHINE, .name = TEXT("c0"),
		.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST, .request_id = ID("conte")))},
	{CALL("Context", "CreateContext",
	      M(CreateContext, create_context, .machine = MACHINE, .name = TEXT("c1"),
		.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST)),
	 .twice = true},
	{CALL("Machine", "ListMachines", M(ListMachines, list_machines))},
	{CALL("Context", "ListContexts",
	      M(ListContexts, list_contexts, .machine = MACHINE, .page_size = 1))},
	{CALL("Context", "WatchContexts", M(WatchContexts, watch_contexts)), .answers = 3},
	{CALL("Context", "SetSlot", M(SetSlot, set_slot, .context = CONTEXT, .slot = &slot))},
	{CALL("Context", "SetSlot",
	      M(SetSlot, set_slot, .context = CONTEXT, .slot = &other_slot,
		.request_id = ID("slot ")))},
	{CALL("Mapping", "Map",
	      M(Map, map, .context = CONTEXT, .ipa = MIB(256), .size = MIB(4), .prot = 3,
		.request_id = ID("map  ")))},
	{CALL("Mapping", "Map",
	      M(Map, map, .context = CONTEXT, .ipa = MIB(384), .size = KIB(4), .pa = KIB(64),
		.prot = 3))},
	{CALL("Mapping", "Protect",
	      M(Protect, protect, .context = CONTEXT, .ipa = MIB(256), .size = KIB(4), .prot = 1))},
	{CALL("Mapping", "Apply",
	      M(Apply, apply, .context = CONTEXT, .mode = PTD__V1__BATCH_MODE__BATCH_MODE_ATOMIC,
		.ops = &ops, .request_id = ID("batch")))},
	{CALL("Mapping", "Apply",
	      M(Apply, apply, .context = CONTEXT,
		.mode = PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT, .ops = &ops,
		.want_outcomes = true))},
	{CALL("Fault", "Access",
	      M(Access, access, .context = CONTEXT, .ipa = KIB(8),
		.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE, .length = 8,
		.data = {8, (uint8_t *)(uintptr_t) "8 bytes."}))},
	{CALL("Mapping", "WriteProtect",
	      M(WriteProtect, write_protect, .context = CONTEXT, .ipa = MIB(256), .size = KIB(64),
		.request_id = ID("wrpro")))},
	{CALL("Mapping", "Split",
	      M(Split, split, .context = CONTEXT, .ipa = MIB(258), .size = MIB(2)))},
	{CALL("Mapping", "Age",
	      M(Age, age, .context = CONTEXT, .ipa = MIB(256), .size = MIB(4), .clear = true,
		.want_bitmap = true))},
	{CALL("Mapping", "Collapse",
	      M(Collapse, collapse, .context = CONTEXT, .ipa = MIB(258), .size = MIB(2)))},
	{CALL("Fault", "HandleFault",
	      M(HandleFault, handle_fault, .context = CONTEXT, .ipa = KIB(16),
		.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ))},
	{CALL("Fault", "Translate",
	      M(Translate, translate, .context = CONTEXT, .ipa = MIB(256),
		.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ))},
	{CALL("Fault", "Explain",
	      M(Explain, explain, .context = CONTEXT, .ipa = MIB(256),
		.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ))},
	{.path = "/ptd.v1.MappingService/Session",
	 .message = {SESSION(OPEN, .open = &session_open, 0),
		     SESSION(APPLY, .apply = &session_apply, 1),
		     SESSION(ACCESS, .access = &session_access, 2),
		     SESSION(TRANSLATE, .translate = &session_access, 3)},
	 .changes = true},
	{CALL("Context", "DumpContext", M(DumpContext, dump_context, .context = CONTEXT))},
	{CALL("Machine", "WriteMemory",
	      M(WriteMemory, write_memory, .machine = MACHINE, .address = KIB(4),
		.data = {5, (uint8_t *)(uintptr_t) "bytes"}, .request_id = ID("write")))},
	{CALL("Machine", "ReadMemory",
	      M(ReadMemory, read_memory, .machine = MACHINE, .context = CONTEXT, .address = KIB(8),
		.length = 64))},
	{CALL("Failpoint", "ArmFailpoint", M(ArmFailpoint, arm_failpoint, .failpoint = &failpoint)),
	 .twice = true},
	{CALL("Failpoint", "ListFailpoints", M(ListFailpoints, list_failpoints))},
	{CALL("Failpoint", "DisarmFailpoints", M(DisarmFailpoints, disarm_failpoints))},
	{CALL("Context", "SetQuota",
	      M(SetQuota, set_quota, .context = CONTEXT, .quota_pages = 500))},
	{CALL("Context", "CreateContext",
	      M(CreateContext, create_context, .machine = MACHINE, .name = TEXT("c2"),
		.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST, .options = &nested_options,
		.request_id = ID("nest ")))},
	{CALL("Nested", "EnterNested", M(EnterNested, enter_nested, .context = NESTED))},
	{CALL("Fault", "Access",
	      M(Access, access, .context = SHADOW, .access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ,
		.length = 8))},
	/* Last of those that fault: where the answer is lost, a second log goes on. */
	{CALL("Mapping", "StartDirtyLog",
	      M(StartDirtyLog, start_dirty_log, .context = CONTEXT, .size = MIB(2),
		.eager_split = true)),
	 .twice = true},
	{CALL("Fault", "HandleFault",
	      M(HandleFault, handle_fault, .context = CONTEXT, .ipa = KIB(8),
		.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE))},
	{CALL("Mapping", "GetDirtyLog", M(GetDirtyLog, get_dirty_log, .log = LOG, .clear = true))},
	{CALL("Mapping", "StopDirtyLog", M(StopDirtyLog, stop_dirty_log, .log = LOG)),
	 .twice = true},
	{CALL("Mapping", "Unmap",
	      M(Unmap, unmap, .context = CONTEXT, .ipa = MIB(256), .size = MIB(4)))},
	{CALL("Context", "DeleteSlot", M(DeleteSlot, delete_slot, .context = CONTEXT, .id = 2)),
	 .twice = true},
	{CALL("Context", "DeleteContext",
	      M(DeleteContext, delete_context, .handle = SECOND_, .request_id = ID("undo ")))},
	{CALL("Server", "GetStats", M(GetStats, get_stats))},
	{CALL("Machine", "DeleteMachine",
	      M(DeleteMachine, delete_machine, .handle = MACHINE, .force = true,
		.request_id = ID("end  ")))},
	{.path = NULL},
};

static const struct scripted repair = {
	.path = "/ptd.v1.MappingService/Session",
	.message = {SESSION(OPEN, .open = &repair_open, 0),
		    SESSION(APPLY, .apply = &session_apply, 1),
		    SESSION(ACCESS, .access = &session_access, 2),
		    SESSION(TRANSLATE, .translate = &session_access, 3)}};

const struct script script_mappings = {"mappings", calls, state, &repair};
