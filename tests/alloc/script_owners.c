/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls of the sweep that a machine with owners has. */
#include "script.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/machine.pb-c.h"
#include "ptd/v1/mapping.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

#define OWNED	HANDLE(1)
#define HOST	HANDLE(2)
#define GUARDED HANDLE(3)

static Ptd__V1__ContextOptions host_options = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__context_options__descriptor), .identity = true};
static Ptd__V1__ContextOptions guest_options = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__context_options__descriptor), .protected_ = true};
static Ptd__V1__Party host = {.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__party__descriptor),
			      .kind = PTD__V1__OWNER_KIND__OWNER_KIND_HOST,
			      .context = HOST};
static Ptd__V1__Party guarded = {.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__party__descriptor),
				 .kind = PTD__V1__OWNER_KIND__OWNER_KIND_GUEST,
				 .context = GUARDED};
static Ptd__V1__TransferItem donation = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__transfer_item__descriptor),
	.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_DONATE,
	.from = &host,
	.to = &guarded,
	.pa = KIB(16),
	.size = KIB(16),
	.ipa = MIB(2)};
static Ptd__V1__TransferItem other_donation = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__transfer_item__descriptor),
	.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_DONATE,
	.from = &host,
	.to = &guarded,
	.pa = KIB(64),
	.size = KIB(16),
	.ipa = MIB(6)};
static Ptd__V1__TransferItem *donations[] = {&donation, &other_donation};
static Ptd__V1__TransferItem share = {
	.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__transfer_item__descriptor),
	.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_SHARE,
	.from = &guarded,
	.to = &host,
	.size = KIB(4),
	.ipa = MIB(2)};
static Ptd__V1__TransferItem *shares[] = {&share};
static Ptd__V1__Party *borrowers[] = {&guarded};
#define LENDING_ITEM(name, what, ...)                                                              \
	static Ptd__V1__TransferItem name##_item = {                                               \
		.base = PROTOBUF_C_MESSAGE_INIT(&ptd__v1__transfer_item__descriptor),              \
		.kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_##what,                              \
		__VA_ARGS__};                                                                      \
	static Ptd__V1__TransferItem *name[] = {&name##_item}
LENDING_ITEM(lend, LEND, .from = &host, .pa = KIB(128), .size = KIB(8), .borrowers = borrowers,
	     .n_borrowers = 1, .zero = true);
LENDING_ITEM(retrieve, RETRIEVE, .to = &guarded, .ipa = MIB(8), .lend_handle = 1);
LENDING_ITEM(relinquish, RELINQUISH, .from = &guarded, .lend_handle = 1);
LENDING_ITEM(take_back, RECLAIM, .to = &host, .lend_handle = 1);
#define LENDING(items_, id)                                                                        \
	{                                                                                          \
		CALL("Ownership", "Transfer",                                                      \
		     M(Transfer, transfer, .machine = OWNED, .n_items = 1, .items = items_,        \
		       .request_id = ID(id)))                                                      \
	}
static const struct scripted state[] = {
	{CALL("Context", "GetDigest", M(GetDigest, get_digest, .context = HOST))},
	{CALL("Context", "GetDigest", M(GetDigest, get_digest, .context = GUARDED))},
	{CALL("Context", "ListContexts", M(ListContexts, list_contexts))},
	{CALL("Machine", "ListMachines", M(ListMachines, list_machines))},
	{CALL("Ownership", "GetOwner", M(GetOwner, get_owner, .machine = OWNED, .size = MIB(4)))},
	{.path = NULL},
};

static const struct scripted calls[] = {
	{CALL("Machine", "CreateMachine",
	      M(CreateMachine, create_machine, .name = TEXT("m1"), .memory_bytes = MIB(4),
		.vcpus = 1, .owners = true, .request_id = ID("owned")))},
	{CALL("Context", "CreateContext",
	      M(CreateContext, create_context, .machine = OWNED, .name = TEXT("host"),
		.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_HOST, .options = &host_options,
		.request_id = ID("host ")))},
	{CALL("Context", "CreateContext",
	      M(CreateContext, create_context, .machine = OWNED, .name = TEXT("guest"),
		.kind = PTD__V1__CONTEXT_KIND__CONTEXT_KIND_GUEST, .options = &guest_options,
		.request_id = ID("guest")))},
	{CALL("Ownership", "Transfer",
	      M(Transfer, transfer, .machine = OWNED, .n_items = 2, .items = donations,
		.request_id = ID("donat")))},
	{CALL("Ownership", "GetOwner", M(GetOwner, get_owner, .machine = OWNED, .size = MIB(4)))},
	{CALL("Ownership", "ListOwners",
	      M(ListOwners, list_owners, .machine = OWNED, .page_size = 1))},
	{CALL("Ownership", "Transfer",
	      M(Transfer, transfer, .machine = OWNED, .n_items = 1, .items = shares,
		.request_id = ID("shar ")))},
	LENDING(lend, "lend "),
	LENDING(retrieve, "retri"),
	{CALL("Ownership", "ListLendings", M(ListLendings, list_lendings, .machine = OWNED))},
	LENDING(relinquish, "relin"),
	LENDING(take_back, "takeb"),
	{CALL("Ownership", "WatchOwners",
	      M(WatchOwners, watch_owners, .machine = OWNED, .after_seq = 1)),
	 .answers = 1},
	{CALL("Context", "DeleteContext",
	      M(DeleteContext, delete_context, .handle = GUARDED, .request_id = ID("guarD")))},
	{CALL("Machine", "DeleteMachine",
	      M(DeleteMachine, delete_machine, .handle = OWNED, .force = true,
		.request_id = ID("ownEd")))},
	{.path = NULL},
};

const struct script script_owners = {"owners", calls, state, NULL};
